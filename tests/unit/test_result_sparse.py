# SPDX-License-Identifier: BSD-3-Clause
"""Results that store part of the covariance tell the same as results that store all of it."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from scipy import sparse

import jointlight as jl
from jointlight import scene as scenes
from jointlight.result import FitResult
from jointlight.scene import Covariance, propagate, standard_errors
from reference import blended_row
from reference.on_backends import EVERY_BACKEND

pytestmark = EVERY_BACKEND

FAR = "s0/Re", "s4/Re"  # share no pixels


@pytest.fixture(scope="module")
def dense(every_backend: str) -> FitResult:
    return jl.fit.LM(blended_row.problem()).fit()


@pytest.fixture(scope="module")
def scene(dense: FitResult) -> Any:
    return scenes.compile(dense.model)


@pytest.fixture(scope="module")
def pairs(scene: Any) -> NDArray[np.bool_]:
    return blended_row.stored_pairs(scene)


@pytest.fixture(scope="module")
def part(dense: FitResult, pairs: NDArray[np.bool_]) -> FitResult:
    """The same fit as if it were too large for a dense matrix; other columns on request."""
    full = np.array(dense.raw_covariance)
    return replace(
        dense,
        raw_covariance=blended_row.lower(full, pairs),
        column_solver=lambda index: full[:, index],
    )


@pytest.fixture(scope="module")
def alone(part: FitResult) -> FitResult:
    """Without the compiled scene."""
    return pickle.loads(pickle.dumps(part))


# ---- against an inverse in numpy --------------------------------------------------------


def test_the_dense_covariance_is_the_inverse(dense: FitResult, scene: Any) -> None:
    assert dense.success, dense.message
    inverse = np.linalg.inv(blended_row.normal_matrix(scene, dense.values))
    scale = np.sqrt(np.diag(inverse))
    assert_allclose(np.asarray(dense.covariance) / np.outer(scale, scale),
                    inverse / np.outer(scale, scale), rtol=0, atol=1e-6)  # fmt: skip


def test_the_problem_has_pairs_that_are_not_stored(
    dense: FitResult, pairs: NDArray[np.bool_]
) -> None:
    number = {name: i for i, name in enumerate(dense.parameter_names)}
    assert not pairs[number[FAR[0]], number[FAR[1]]]
    assert 0.2 < pairs.mean() < 0.8
    block = dense.covariance_of(FAR)
    assert block[0, 1] != 0.0


# ---- the same answers -------------------------------------------------------------------


def test_tables_agree(dense: FitResult, part: FitResult, alone: FitResult) -> None:
    for other in (part, alone):
        for mine, theirs in ((dense.table, other.table), (dense.sources, other.sources)):
            assert mine.colnames == theirs.colnames
            for name in mine.colnames:
                if mine[name].dtype.kind in "US":
                    assert_array_equal(mine[name], theirs[name])
                else:
                    a, b = (np.asarray(getattr(t[name], "value", t[name])) for t in (mine, theirs))
                    assert_allclose(a, b, rtol=1e-9)
    assert np.isfinite(np.asarray(dense.sources["flux_g_error"])).all()


def test_covariance_holds_what_is_stored(
    dense: FitResult, part: FitResult, pairs: NDArray[np.bool_]
) -> None:
    matrix: Any = part.covariance
    assert sparse.issparse(matrix)
    assert matrix.nnz == np.count_nonzero(pairs)
    full = np.tril(np.asarray(dense.covariance))
    full += np.tril(full, -1).T
    assert_array_equal(matrix.toarray(), np.where(pairs, full, 0.0))
    correlation: Any = part.correlation
    assert_allclose(
        correlation.toarray(), np.where(pairs, dense.correlation, 0.0), rtol=1e-9, atol=1e-14
    )


@pytest.mark.parametrize(
    "items",
    ["s0", ["s0", "s4"], FAR, ["s3", "s0/Re", "sky g/I0"], ["s1/g/Ie", "s1", "s4/center_x"]],
)
def test_covariance_of_anything(dense: FitResult, part: FitResult, items: Any) -> None:
    names = part.parameters_of(items)
    index = [dense.parameter_names.index(name) for name in names]
    assert len(set(index)) == len(index)
    block = np.asarray(dense.covariance)[np.ix_(index, index)]
    assert_allclose(part.covariance_of(items), block, rtol=1e-12)
    assert_allclose(dense.covariance_of(items), block, rtol=1e-12)


def test_a_source_stands_for_its_parameters(part: FitResult) -> None:
    names = part.parameters_of("s2")
    assert len(names) == 8  # centre, q, PA, Re, n, and Ie in two bands
    assert all(name.startswith("s2/") for name in names)


def test_scaling_applies_to_every_part(part: FitResult) -> None:
    twice = part.scale_errors(2.0)
    assert_allclose(twice.covariance_of(FAR), 4.0 * part.covariance_of(FAR), rtol=1e-12)
    assert_allclose(twice.errors, 2.0 * part.errors, rtol=1e-12)
    assert_allclose(twice.sources["flux_g_error"], 2.0 * part.sources["flux_g_error"], rtol=1e-12)
    matrix: Any = twice.covariance
    assert_allclose(matrix.data, 4.0 * np.asarray(part.covariance.data), rtol=1e-12)


def test_functions_of_far_sources(dense: FitResult, part: FitResult, alone: FitResult) -> None:
    def ratio(p: Any) -> float:
        return p[FAR[0]] / p[FAR[1]]

    assert_allclose(part.derived(ratio).error, dense.derived(ratio).error, rtol=1e-9)
    with pytest.raises(jl.InvalidInput, match="covariance_of"):
        alone.derived(ratio)
    near = alone.derived(lambda p: p["s0/Re"] / p["s1/Re"])
    assert_allclose(near.error, dense.derived(lambda p: p["s0/Re"] / p["s1/Re"]).error, rtol=1e-9)


def test_fluxes_of_all_sources(dense: FitResult, part: FitResult) -> None:
    flux, colour = part.flux("g"), part.color("g", "r")
    for ours, theirs in ((flux, dense.flux("g")), (colour, dense.color("g", "r"))):
        assert_allclose(ours.error, theirs.error, rtol=1e-9)
        # Unknown, which is not zero.
        assert np.isnan(ours.covariance[0, 4])
        assert theirs.covariance[0, 4] != 0.0
    blend = flux.covariance[:2, :2]
    assert_allclose(blend, dense.flux("g").covariance[:2, :2], rtol=1e-9)
    # The amplitude of one in g shares no pixel with that of its neighbour in r.
    assert np.isnan(colour.covariance[0, 1])
    assert_allclose(part.flux("g", source="s1").error, dense.flux("g", source=1).error, rtol=1e-9)


def test_the_model_gets_the_same_errors(dense: FitResult, part: FitResult) -> None:
    targets = jl.TargetImageList(list(dense.images))
    model = blended_row.model(targets)
    model["s4/q"].tie(model["s3/q"])
    model["s2/Re"].tie(lambda a: 1.1 * a**0.5, model["s3/Re"])
    result = jl.fit.LM(model).fit()
    scene = scenes.compile(model)
    full = np.array(result.covariance)
    known = blended_row.lower(full, blended_row.stored_pairs(scene))
    expected = {path: p.uncertainty for path, p in model.all_parameters.items()}
    scene.assign(result.values)
    assert all(p.uncertainty is None for p in model.all_parameters.values())
    scene.assign(result.values, known, at_bound=result.at_bound)
    for path, parameter in model.all_parameters.items():
        assert_allclose(parameter.uncertainty, expected[path], rtol=1e-9, err_msg=path)
    # d(1.1 sqrt(a)) = 1.1 / (2 sqrt(a)) da
    a = model["s3/Re"]
    assert_allclose(model["s2/Re"].uncertainty, 0.55 / np.sqrt(a.value) * a.uncertainty, rtol=1e-7)


# ---- files ------------------------------------------------------------------------------


def test_nothing_is_lost_but_the_columns(part: FitResult, alone: FitResult, tmp_path: Path) -> None:
    part.write(tmp_path / "fit.asdf")
    loaded = jl.load(tmp_path / "fit.asdf")
    for other in (alone, loaded):
        assert_array_equal(other.raw_covariance.toarray(), part.raw_covariance.toarray())
        blend = ["s0/Re", "s1/Re", "s1/n"]
        assert_array_equal(other.covariance_of(blend), part.covariance_of(blend))
        with pytest.raises(jl.InvalidInput, match=r"s0/Re.*s4/Re.*read from a file"):
            other.covariance_of(FAR)
        assert_array_equal(other.sources["mag_r_error"], part.sources["mag_r_error"])
    again = tmp_path / "again.asdf"
    loaded.write(again)
    assert_array_equal(jl.load(again).errors, part.errors)


def test_fits_file_lists_the_pairs(part: FitResult, tmp_path: Path) -> None:
    part.scale_errors(3.0).write_fits(tmp_path / "fit.fits")
    with fits.open(tmp_path / "fit.fits") as file:
        table = file["COVARIANCE"].data
        assert len(table) == part.raw_covariance.nnz
        for row in table[:: len(table) // 20]:
            assert_allclose(row["VALUE"], 9.0 * part.covariance[row["ROW"], row["COLUMN"]])


def test_text_and_plots(part: FitResult) -> None:
    assert "s0/Re" in part.summary()
    assert part._repr_html_()
    assert jl.plots.covariance(part, kind="matrix").axes
    assert jl.plots.covariance(part, parameters=[*FAR, "s0/n"]).axes
    assert jl.plots.covariance(part, parameters=list(FAR), kind="matrix").axes


def test_a_plot_of_too_many_shows_the_most_correlated(
    part: FitResult, alone: FitResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jointlight.plots.statistics._MATRIX_MAX", 4)
    matrix = np.abs(np.tril(np.nan_to_num(part.correlation.toarray()), -1))
    strongest = np.unravel_index(np.argmax(matrix), matrix.shape)
    for result in (part, alone):
        figure = jl.plots.covariance(result, kind="matrix")
        labels = {text.get_text() for text in figure.axes[0].get_xticklabels()}
        assert 4 <= len(labels) <= 5
        for i in strongest:
            shown = {part.parameters[i].full_name, part.parameters[i].name}
            assert labels & shown


# ---- by the solver itself ---------------------------------------------------------------


@pytest.fixture(scope="module")
def solved(every_backend: str) -> FitResult:
    """The same fit, made to store only part of its covariance."""
    options = jl.fit.LMOptions(covariance_max_size=5)
    return jl.fit.LM(blended_row.problem(), options=options).fit()


def test_the_solver_stores_what_it_promises(
    solved: FitResult, scene: Any, pairs: NDArray[np.bool_]
) -> None:
    assert solved.success, solved.message
    inverse = np.linalg.inv(blended_row.normal_matrix(scene, solved.values))
    matrix: Any = solved.covariance
    entries = matrix.tocoo()
    there = np.zeros(pairs.shape, dtype=bool)
    there[entries.row, entries.col] = True
    assert there[pairs].all()
    scale = np.sqrt(np.diag(inverse))
    weight = scale[entries.row] * scale[entries.col]
    assert_allclose(
        entries.data / weight, inverse[entries.row, entries.col] / weight, rtol=0, atol=1e-6
    )


def test_the_solver_computes_the_rest(solved: FitResult, dense: FitResult, scene: Any) -> None:
    inverse = np.linalg.inv(blended_row.normal_matrix(scene, solved.values))
    index = [solved.parameter_names.index(name) for name in solved.parameters_of(["s0", "s4"])]
    block = solved.covariance_of(["s0", "s4"])
    scale = np.sqrt(np.diag(inverse))[index]
    assert_allclose(block / np.outer(scale, scale),
                    inverse[np.ix_(index, index)] / np.outer(scale, scale), atol=1e-6)  # fmt: skip
    for name in ("x_error", "Re_error", "flux_g_error", "mag_r_error", "chi2", "n_pixels"):
        mine, theirs = (np.asarray(getattr(r.sources[name], "value", r.sources[name]))
                        for r in (solved, dense))  # fmt: skip
        assert_allclose(mine, theirs, rtol=1e-4)
    assert_allclose(solved.errors, dense.errors, rtol=1e-4)


# ---- what is left out -------------------------------------------------------------------


def small(stored: Any, **options: Any) -> Covariance:
    return Covariance.of(stored) if not options else Covariance(stored, **options)


def triangle(rows: list[int], columns: list[int], data: list[float], n: int) -> sparse.csc_array:
    return sparse.coo_array((data, (rows, columns)), shape=(n, n)).tocsc()


def test_unknown_is_not_zero_and_stored_zero_is() -> None:
    # 0 with 1 is stored as 0; 0 with 2, and 1 with 2, are not stored.
    known = small(triangle([0, 1, 2, 1], [0, 1, 2, 0], [1.0, 4.0, 9.0, 0.0], 3))
    gradient = sparse.csr_array(np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 0.0, 2.0]]))
    free = np.zeros(3, dtype=bool)
    assert_allclose(standard_errors(gradient, known, free), [np.sqrt(5.0), np.nan, 6.0])
    got = propagate(gradient, known, free)
    assert_allclose(got, [[5.0, np.nan, np.nan], [np.nan, np.nan, np.nan], [np.nan, np.nan, 36.0]])
    # What is held at a bound adds nothing, so that its pairs do not matter.
    held = np.array([False, False, True])
    assert_allclose(standard_errors(gradient, known, held), [np.sqrt(5.0), 1.0, np.nan])


def test_parameters_without_an_error() -> None:
    nan = np.nan
    asked: list[int] = []

    def columns(index: NDArray[np.int64]) -> NDArray[np.float64]:
        asked.extend(index)
        return np.full((3, len(index)), 0.5)

    stored = triangle([0, 1, 1, 2], [0, 0, 1, 2], [1.0, nan, nan, 9.0], 3)
    known = small(stored, columns=columns, scale=2.0)
    block = known.completed(np.array([0, 1, 2]))
    assert_allclose(block, [[2.0, nan, 1.0], [nan, nan, nan], [1.0, nan, 18.0]])
    assert len(asked) == 1  # one column serves a pair; none is asked for what has no error
    gradient = sparse.csr_array(np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]))
    got = known.propagate(gradient, np.zeros(3, bool), complete=True)
    assert_allclose(got, [[22.0, nan], [nan, nan]])


@pytest.mark.parametrize(
    ("matrix", "match"),
    [
        (sparse.csc_array(np.array([[1.0, 0.5, 0.3], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])), "symm"),
        (sparse.csc_array(np.ones((3, 2))), "square"),
        (triangle([0, 1], [0, 1], [1.0, 1.0], 3), "diagonal"),
    ],
)
def test_sparse_matrices_that_are_no_covariance(matrix: Any, match: str) -> None:
    with pytest.raises(jl.InvalidInput, match=match):
        Covariance.of(matrix)


def test_a_symmetric_matrix_is_taken_too() -> None:
    full = np.array([[2.0, 0.5], [0.5, 1.0]])
    assert_array_equal(Covariance.of(sparse.csr_array(full)).symmetric.toarray(), full)


@pytest.mark.parametrize(
    ("items", "match"),
    [("s9", "s0"), (["s0", "s0/re"], "s0/Re"), ("Re", "Several have it: s0/Re"), ([3], "items")],
)
def test_names_that_mean_nothing(part: FitResult, items: Any, match: str) -> None:
    with pytest.raises(jl.InvalidInput, match=match):
        part.covariance_of(items)


def test_a_fit_without_covariance(dense: FitResult) -> None:
    bare = replace(dense, raw_covariance=None)
    with pytest.raises(jl.InvalidInput, match="covariance"):
        bare.covariance_of("s0")
    assert np.isnan(bare.errors).all()
    assert np.isnan(np.asarray(bare.sources["flux_g_error"])).all()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"raw_covariance": np.eye(3)}, "raw_covariance"),
        ({"raw_covariance": sparse.csc_array(np.eye(3))}, "raw_covariance"),
        ({"chi2_tiles": np.zeros(3)}, "chi2_tiles"),
        ({"component_of": np.zeros(1, dtype=int)}, "component_of"),
    ],
)
def test_arrays_of_a_wrong_size(dense: FitResult, changes: Any, match: str) -> None:
    with pytest.raises(jl.InvalidInput, match=match):
        replace(dense, **changes)
