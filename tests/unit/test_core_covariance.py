# SPDX-License-Identifier: BSD-3-Clause
"""Covariances, dense, sparse and by columns, against the inverse of J^T W J."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reference.field import Field, normal_matrix
from reference.on_backends import EVERY_BACKEND

pytestmark = EVERY_BACKEND

DENSE = {"covariance_max_size": 100000}
SPARSE = {"covariance_max_size": 0}
# Both ways of the core's linear algebra, for each form of the result.
WAYS = [{**form, "dense_max_size": size} for form in (DENSE, SPARSE) for size in (0, 100000)]
NAMES = ["dense-sparse", "dense-dense", "sparse-sparse", "sparse-dense"]


def few() -> tuple[Field, list[list[int]]]:
    """Galaxies that overlap in a row, a star apart, a sky under the row; one prior."""
    field = Field((34, 90), (30, 66))
    sources = [
        ("sersic", (12.0, 16.0, 0.6, 40.0, 2.6, 1.4, 3000.0)),
        ("sersic", (24.0, 14.0, 0.8, 100.0, 2.2, 2.0, 2500.0)),
        ("gaussian", (38.0, 17.0, 0.7, 150.0, 2.0, 1500.0)),
        ("point", (48.0, 15.0, 600.0)),
    ]
    slots = []
    for profile, values in sources:
        x = int(values[0])
        window = (max(x - 10, 0), x + 11, 4, 29)
        slots.append(field.add(profile, values, window=window, amplitude="flux"))
    for k, own in enumerate(slots[:3]):
        x = int(field.values[own[0]])
        field.tiles.append(type(field.tiles[0])(**{**vars(field.tiles[k]), "image": 1}))
    slots.append(field.add("point", (76.0, 17.0, 500.0), window=(66, 88, 6, 28)))
    slots.append(field.add("flat_sky", (2.0,), window=(0, 62, 0, 34)))
    random = np.random.default_rng(2)
    field.weight = [random.uniform(0.3, 1.5, size=data.shape) for data in field.data]
    field.prior[slots[1][5]] = (2.0, 0.05)
    truth = field.observe()
    field.data = [
        data + random.normal(size=data.shape) / np.sqrt(weight)
        for data, weight in zip(field.data, field.weight, strict=True)
    ]
    assert len(truth) == len(field.start)
    return field, slots


def expected(field: Field, v: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Inverse of J^T W J with priors over what is not held, NaN elsewhere."""
    normal = normal_matrix(field.scene(), v, field.weight)
    for slot, (_, sigma) in field.prior.items():
        i = field.index([slot])[0]
        normal[i, i] += sigma**-2
    out = np.full_like(normal, np.nan)
    kept = np.flatnonzero(~held)
    inner = normal[np.ix_(kept, kept)]
    scale = 1 / np.sqrt(np.diag(inner))
    out[np.ix_(kept, kept)] = np.linalg.inv(inner * np.outer(scale, scale)) * np.outer(scale, scale)
    return out


def as_matrix(out: dict[str, Any]) -> np.ndarray:
    """The covariance, NaN also where the sparse form holds no pair."""
    if out["covariance"] is not None:
        assert out["covariance_sparse"] is None
        return np.asarray(out["covariance"])
    data, rows, starts = out["covariance_sparse"]
    n = len(out["v"])
    assert len(starts) == n + 1
    assert len(data) == len(rows) == starts[-1]
    matrix = np.full((n, n), np.nan)
    for j in range(n):
        column = rows[starts[j] : starts[j + 1]]
        assert np.all(np.diff(column) > 0)
        assert column[0] == j
        matrix[column, j] = matrix[j, column] = data[starts[j] : starts[j + 1]]
    return matrix


def pairs_in_common(field: Field) -> np.ndarray:
    """Pairs of parameters of one source, or of sources that share pixels."""
    n = len(field.start)
    shared = np.zeros((n, n), bool)
    position = {int(slot): k for k, slot in enumerate(field.free)}
    mine = [[position[s] for s in tile.slots if s in position] for tile in field.tiles]
    for a, first in zip(mine, field.tiles, strict=True):
        for b, second in zip(mine, field.tiles, strict=True):
            w, u = first.window, second.window
            assert w is not None
            assert u is not None
            meet = first.image == second.image and (
                w[0] < u[1] and u[0] < w[1] and w[2] < u[3] and u[2] < w[3]
            )
            if meet or first.source == second.source:
                shared[np.ix_(a, b)] = True
    return shared


def pairs_asked_for(field: Field, options: dict[str, int]) -> np.ndarray:
    """All pairs in the dense form, those in common in the sparse one."""
    if options["covariance_max_size"] == SPARSE["covariance_max_size"]:
        return pairs_in_common(field)
    return np.ones((len(field.start),) * 2, bool)


def assert_covariance(found: np.ndarray, wanted: np.ndarray, where: np.ndarray) -> None:
    sigma = np.sqrt(np.diag(wanted))
    assert np.array_equal(np.isnan(found[where]), np.isnan(wanted[where]))
    known = where & np.isfinite(wanted)
    scale = np.outer(sigma, sigma)
    np.testing.assert_allclose((found / scale)[known], (wanted / scale)[known], rtol=0, atol=1e-7)


@pytest.mark.parametrize("options", WAYS, ids=NAMES)
def test_of_all_parameters(options: dict[str, int]) -> None:
    field, _ = few()
    out = field.scene().fit(field.start, options)
    assert out["status"].startswith("converged")
    assert not out["at_bound"].any()
    found, wanted = as_matrix(out), expected(field, out["v"], out["at_bound"])
    where = pairs_asked_for(field, options)
    assert np.isfinite(found[where]).all()
    assert_covariance(found, wanted, where)
    if not where.all():
        assert np.isnan(found[~where]).all()
        assert np.isfinite(found).sum() < found.size


@pytest.mark.parametrize("options", WAYS, ids=NAMES)
def test_of_what_is_not_held(options: dict[str, int]) -> None:
    field, slots = few()
    active = np.ones(len(field.start), bool)
    active[slots[1]] = active[slots[3][:2]] = False
    out = field.scene().fit(field.start, options, None, active)
    assert out["status"].startswith("converged")
    found, wanted = as_matrix(out), expected(field, out["v"], ~active)
    where = pairs_asked_for(field, options)
    assert_covariance(found, wanted, where)


@pytest.mark.parametrize(
    ("which", "limit", "bound"),
    [
        (2, "lower", 0.7),
        (3, "upper", 38.0),
        (4, "upper", 2.4),
        (5, "upper", 1.0),
        (6, "lower", 3200),
    ],
    ids=["q", "PA", "Re", "n", "flux"],
)
@pytest.mark.parametrize("options", WAYS, ids=NAMES)
def test_of_what_is_not_at_a_bound(
    options: dict[str, int], which: int, limit: str, bound: float
) -> None:
    field, slots = few()
    at = slots[0][which]
    getattr(field, limit)[at] = bound
    field.values[at] = bound * (1.02 if limit == "lower" else 0.98)
    out = field.scene().fit(field.start, options)
    assert out["status"].startswith("converged")
    assert np.flatnonzero(out["at_bound"]).tolist() == [at]
    found, wanted = as_matrix(out), expected(field, out["v"], out["at_bound"])
    where = pairs_asked_for(field, options)
    assert_covariance(found, wanted, where)


@pytest.mark.parametrize("options", WAYS, ids=NAMES)
def test_a_degenerate_pair(options: dict[str, int]) -> None:
    """Two stars in one place: their fluxes are tied in sum only, and they alone go without."""
    field, slots = few()
    x, y, flux = field.values[slots[3][0]], field.values[slots[3][1]], field.values[slots[3][2]]
    twin = field.add("point", (x, y, 0.0), window=field.tiles[3].window)
    field.values[slots[3][2]] = flux
    field.held = {*slots[3][:2], *twin[:2]}
    pair = field.index([slots[3][2], twin[2]])
    out = field.scene().fit(field.start, options)
    assert out["status"].startswith("converged")
    assert out["degenerate"] == [pair.tolist()]
    found = as_matrix(out)
    assert np.isnan(found[pair]).all()
    # The others know them as well as if one of the two were fixed.
    held = np.isin(np.arange(len(out["v"])), pair[:1])
    wanted = expected(field, out["v"], held)
    wanted[pair], wanted[:, pair] = np.nan, np.nan
    where = pairs_asked_for(field, options)
    assert_covariance(found, wanted, where)


def test_columns() -> None:
    field, slots = few()
    scene, v = field.scene(), field.start
    everything = np.arange(len(v))
    wanted = expected(field, v, np.zeros(len(v), bool))
    sigma = np.sqrt(np.diag(wanted))
    found = scene.covariance_columns(v, None, everything)
    np.testing.assert_allclose(found / np.outer(sigma, sigma), wanted / np.outer(sigma, sigma),
                               rtol=0, atol=1e-7)  # fmt: skip
    few_columns = [slots[2][0], slots[0][6], slots[2][0]]
    np.testing.assert_allclose(
        scene.covariance_columns(v, None, few_columns), found[:, few_columns], rtol=1e-9
    )
    assert scene.covariance_columns(v, None, np.array([], int)).shape == (len(v), 0)


def test_columns_with_some_held() -> None:
    field, slots = few()
    scene, v = field.scene(), field.start
    held = np.zeros(len(v), bool)
    held[slots[1]] = held[slots[3][2]] = True
    wanted = expected(field, v, held)
    found = scene.covariance_columns(v, held, np.arange(len(v)))
    kept = ~held
    sigma = np.sqrt(np.diag(wanted))[kept]
    scale = np.outer(sigma, sigma)
    np.testing.assert_allclose(
        found[np.ix_(kept, kept)] / scale, wanted[np.ix_(kept, kept)] / scale, rtol=0, atol=1e-7
    )
    assert np.isnan(found[held]).all()
    assert np.isnan(found[:, held]).all()


def test_columns_of_a_degenerate_pair() -> None:
    """Nothing is known of either, and of the others what is known with one of them fixed."""
    field, slots = few()
    x, y, _ = (field.values[i] for i in slots[3])
    twin = field.add("point", (x, y, 1.0), window=field.tiles[3].window)
    field.held = {*slots[3][:2], *twin[:2]}
    pair = field.index([slots[3][2], twin[2]])
    v = field.start
    found = field.scene().covariance_columns(v, None, np.arange(len(v)))
    assert np.isnan(found[pair]).all()
    assert np.isnan(found[:, pair]).all()
    wanted = expected(field, v, np.isin(np.arange(len(v)), pair[:1]))
    others = np.setdiff1d(np.arange(len(v)), pair)
    sigma = np.sqrt(np.diag(wanted))[others]
    scale, block = np.outer(sigma, sigma), np.ix_(others, others)
    np.testing.assert_allclose(found[block] / scale, wanted[block] / scale, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("held", "indices", "text"),
    [
        (None, [-1], r"indices\[0\] = -1 must lie in 0"),
        (None, [0, 27], r"indices\[1\] = 27 must lie in 0..26"),
        (np.ones(3, bool), [0], r"held has shape \(3\), expected \(27\)"),
        (np.ones((27, 1), bool), [0], "held has shape"),
    ],
)
def test_columns_that_do_not_exist(held: Any, indices: Any, text: str) -> None:
    field, _ = few()
    assert len(field.start) == 27
    with pytest.raises(ValueError, match=text):
        field.scene().covariance_columns(field.start, held, indices)


def lattice(columns: int, rows: int) -> Field:
    """Stars so close that each overlaps its neighbours: one component."""
    random = np.random.default_rng(9)
    step = 6
    field = Field((step * rows + 8, step * columns + 8), sigma=1.2)
    height, width = field.data[0].shape
    for k in range(columns * rows):
        x, y = 7 + step * (k % columns), 7 + step * (k // columns)
        window = (max(x - 5, 0), min(x + 6, width), max(y - 5, 0), min(y + 6, height))
        flux = random.uniform(300, 600)
        place = (x + random.uniform(-0.4, 0.4), y + random.uniform(-0.4, 0.4))
        field.add("point", (*place, flux), window=window)
    field.weight = [random.uniform(0.5, 1.5, size=(height, width))]
    field.observe()
    field.data[0] += random.normal(size=(height, width)) / np.sqrt(field.weight[0])
    return field


@pytest.mark.parametrize("options", WAYS, ids=NAMES)
def test_of_one_large_component(options: dict[str, int]) -> None:
    """Larger than what is decomposed into eigenvectors."""
    field = lattice(15, 10)
    out = field.scene().fit(field.start, options)
    assert out["status"].startswith("converged")
    assert len(out["component_status"]) == 1
    assert out["degenerate"] == []
    found = as_matrix(out)
    wanted = expected(field, out["v"], out["at_bound"])
    where = pairs_asked_for(field, options)
    assert np.isfinite(found[where]).all()
    assert_covariance(found, wanted, where)


@pytest.mark.parametrize("options", WAYS, ids=NAMES)
def test_degenerate_pairs_in_a_large_component(options: dict[str, int]) -> None:
    """Two pairs of twins and a source without influence lose their errors, and nothing else."""
    field = lattice(12, 10)
    lost = []
    for source in (17, 80):
        tile = field.tiles[source]
        x, y, _ = (field.values[i] for i in tile.slots)
        twin = field.add("point", (x, y, 1.0), window=tile.window)
        field.held |= {*tile.slots[:2], *twin[:2]}
        lost.append([tile.slots[2], twin[2]])
    dark = field.add("point", (33.0, 30.0, 0.0), window=(28, 39, 25, 36))
    field.held.add(dark[2])
    pairs = [field.index(pair).tolist() for pair in lost]
    nothing = [[int(i)] for i in field.index(dark[:2])]
    out = field.scene().fit(field.start, options)
    assert out["status"].startswith("converged")
    assert sorted(out["degenerate"]) == sorted(pairs + nothing)
    found = as_matrix(out)
    gone = np.array([i for group in pairs + nothing for i in group])
    assert np.isnan(found[gone]).all()
    held = np.isin(np.arange(len(out["v"])), [pairs[0][0], pairs[1][0], *np.ravel(nothing)])
    wanted = expected(field, out["v"], held)
    wanted[gone], wanted[:, gone] = np.nan, np.nan
    where = pairs_asked_for(field, options)
    assert_covariance(found, wanted, where)


def test_columns_of_a_large_component() -> None:
    field = lattice(18, 18)
    scene, v = field.scene(), field.start
    assert len(v) > 900
    some = np.array([0, 500, 971])
    hessian = scene.linearize(v)[2]
    unit = np.eye(len(v))[:, some]
    wanted = np.linalg.solve(hessian, unit)
    sigma = np.sqrt(np.diag(np.linalg.inv(hessian)))
    found = scene.covariance_columns(v, None, some)
    np.testing.assert_allclose(
        found / np.outer(sigma, sigma[some]), wanted / np.outer(sigma, sigma[some]), atol=1e-9
    )
