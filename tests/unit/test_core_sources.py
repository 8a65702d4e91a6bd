# SPDX-License-Identifier: BSD-3-Clause
"""Many sources in one scene: each converges, fails and is counted on its own."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from reference.field import Field, Tile
from reference.on_backends import CPU_ALONE, EVERY_BACKEND

pytestmark = EVERY_BACKEND

CELL = 26  # px between sources that share no pixel


def apart(n: int, *, columns: int = 6, seed: int = 0) -> tuple[Field, list[list[int]]]:
    """Galaxies and stars whose windows do not meet, started away from the truth."""
    random = np.random.default_rng(seed)
    rows = -(-n // columns)
    field = Field((rows * CELL, columns * CELL))
    slots = []
    for k in range(n):
        corner = CELL * np.array([k % columns, k // columns])
        x, y = corner + CELL / 2 + random.uniform(-1.0, 1.0, 2)
        window = tuple(int(i) for i in np.repeat(corner, 2) + np.array([0, CELL, 0, CELL]))
        if k % 3 == 2:
            values: Any = (x, y, random.uniform(300, 900))
            slots.append(field.add("point", values, window=window))
            continue
        q, pa, size = random.uniform(0.4, 0.9), random.uniform(0, 180), random.uniform(1.8, 2.8)
        index, flux = random.uniform(0.8, 3.0), random.uniform(1500, 4000)
        values = (x, y, q, pa, size, index, flux)
        slots.append(field.add("sersic", values, window=window, amplitude="flux"))
    truth = field.observe(noise=1.0, seed=seed + 1)
    offsets = {3: [0.3, 0.2, 0.05], 7: [0.2, 0.3, 0.05, 5.0, 0.2, 0.2, 200.0]}
    for own in slots:
        off = np.array(offsets[len(own)]) * random.uniform(-1, 1, len(own))
        for i, by in zip(own, off, strict=True):
            scale = truth[i] if len(own) == 3 and i == own[-1] else 1.0
            field.values[i] += by * scale
    return field, slots


def alone(field: Field, source: int) -> Field:
    """The same image with one source only."""
    single = Field(*[data.shape for data in field.data], sigma=field.sigma)
    single.data, single.weight = field.data, field.weight
    tiles = [tile for tile in field.tiles if tile.source == source]
    kept = sorted({slot for tile in tiles for slot in tile.slots})
    single.values = [field.values[i] for i in kept]
    single.lower = [field.lower[i] for i in kept]
    single.upper = [field.upper[i] for i in kept]
    for tile in tiles:
        slots = [kept.index(i) for i in tile.slots]
        single.tiles.append(Tile(**{**vars(tile), "slots": slots, "source": 0}))
    return single


def errors(out: dict[str, Any]) -> np.ndarray:
    return np.sqrt(np.diag(out["covariance"]))


def test_separate_sources_converge_as_each_alone() -> None:
    field, slots = apart(30)
    out = field.scene().fit(field.start)
    assert out["status"].startswith("converged")
    assert len(out["component_status"]) == 30
    sigma = errors(out)
    for k, own in enumerate(slots):
        single = alone(field, k).scene().fit(np.array(field.values)[own])
        assert out["source_status"][k] == single["status"]
        assert out["chi2_tiles"][k] == pytest.approx(single["chi2"], rel=1e-12)
        np.testing.assert_allclose((out["v"][own] - single["v"]) / sigma[own], 0, atol=1e-9)
        np.testing.assert_allclose(
            out["covariance"][np.ix_(own, own)] / np.outer(sigma[own], sigma[own]),
            single["covariance"] / np.outer(sigma[own], sigma[own]),
            atol=1e-9,
        )
    assert out["chi2"] == pytest.approx(np.sum(out["chi2_tiles"]), rel=1e-12)


def test_components_are_the_sources_that_meet() -> None:
    field, slots = apart(9, columns=3)
    # 0 and 1 share pixels, 3 and 7 a parameter
    field.tiles[0].window = (0, CELL + 5, 0, CELL)
    field.tiles[7].slots = [*slots[7][:-1], slots[3][-1]]
    field.held = {slots[7][-1]}
    out = field.scene().fit(field.start)
    number = [
        sorted({out["component"][i] for i in field.index([s for s in own if s not in field.held])})
        for own in slots
    ]
    assert all(len(n) == 1 for n in number)
    sets: dict[int, list[int]] = {}
    for k, n in enumerate(number):
        sets.setdefault(n[0], []).append(k)
    assert sorted(sets.values()) == [[0, 1], [2], [3, 7], [4], [5], [6], [8]]
    assert sorted(sets) == list(range(7))
    assert len(out["component_status"]) == 7


def test_a_fixed_source_and_unused_numbers_join_nothing() -> None:
    field, slots = apart(6, columns=3)
    field.held = set(slots[2])
    for tile in field.tiles:
        tile.source *= 2
    out = field.scene().fit(field.start)
    assert len(out["component_status"]) == 5
    assert len(out["source_status"]) == 11
    assert [k for k, s in enumerate(out["source_status"]) if s == "fixed"] == [1, 3, 4, 5, 7, 9]


def broken_tie(tile: Tile, value: Any) -> tuple[Any, list[int], list[int]]:
    """The last slot of a tile from itself, badly."""
    return (lambda _: value, [tile.slots[-1]], [tile.slots[-1]])


@pytest.mark.parametrize("broken", [False, True])
def test_a_new_plan_for_one_leaves_the_others_alone(broken: bool) -> None:
    """A galaxy planned as round that turns out to be flat needs larger boxes.

    It gets them although another source cannot be drawn at all.
    """
    field, slots = apart(9, columns=3)
    field.values[slots[4][2]] = 0.15
    field.observe(noise=1.0)
    for own in slots:
        field.values[own[0]] += 0.2
    field.values[slots[4][2]] = 0.9
    active = np.ones(len(field.start), bool)
    active[slots[0]] = False
    if broken:
        field.functions = [broken_tie(field.tiles[8], None)]
    scene = field.scene()
    out = scene.fit(field.start, {}, None, active)
    assert out["status"] == "non_finite" if broken else out["status"].startswith("converged")
    np.testing.assert_array_equal(out["v"][slots[0]], field.start[slots[0]])
    boxes = [[tile["box"] for tile in s.describe()["tiles"]] for s in (field.scene(), scene)]
    assert boxes[0][4] != boxes[1][4]  # it was planned anew indeed
    assert out["source_status"][0] == "fixed"
    for k in range(1, 8 if broken else 9):
        single = alone(field, k).scene().fit(field.start[slots[k]])
        sigma = errors(single)
        np.testing.assert_allclose((out["v"][slots[k]] - single["v"]) / sigma, 0, atol=0.02)
        assert out["chi2_tiles"][k] == pytest.approx(single["chi2"], abs=1e-3)
    assert np.all(np.diff(out["history"]["iteration"]) == 1)


def test_threads_change_nothing() -> None:
    field, _ = apart(12)
    one, two = (field.scene(n_threads=n).fit(field.start) for n in (1, 2))
    np.testing.assert_array_equal(one["v"], two["v"])
    np.testing.assert_array_equal(one["covariance"], two["covariance"])
    assert one["chi2"] == two["chi2"]


def test_interrupted_in_the_middle() -> None:
    """What every source had reached is kept."""
    field, slots = apart(6, columns=3)
    records = []

    def stop(record: dict[str, Any]) -> bool:
        records.append(record)
        return len(records) < 3

    scene = field.scene()
    out = scene.fit(field.start, {}, stop)
    assert out["status"] == "interrupted"
    np.testing.assert_array_equal(out["v"], records[-1]["v"])
    assert out["chi2"] == pytest.approx(field.scene().chi2(out["v"]), rel=1e-12)
    assert out["chi2"] < field.scene().chi2(field.start)
    assert len(out["source_status"]) == len(slots)
    for status in out["source_status"]:
        assert status == "interrupted" or status.startswith("converged")


def test_too_few_iterations() -> None:
    field, _ = apart(6, columns=3)
    out = field.scene().fit(field.start, {"max_iterations": 1})
    assert out["status"] == "max_iterations"
    assert "max_iterations" in out["component_status"]
    assert out["history"]["iteration"].tolist() == [0, 1]


def crowd(likelihood: str = "gaussian") -> Field:
    """Overlapping sources in two images, a sky below each, masked pixels."""
    field = Field((40, 46), (33, 35))
    sources = [
        ("sersic", (12.0, 13.0, 0.6, 40.0, 2.5, 1.5, 2500.0)),
        ("sersic", (19.0, 18.0, 0.8, 100.0, 2.0, 2.5, 2000.0)),
        ("point", (25.0, 12.0, 500.0)),
        ("point", (28.0, 27.0, 400.0)),
    ]
    for number, (profile, values) in enumerate(sources):
        slots = field.slots(profile, values)
        x, y = int(values[0]), int(values[1])
        for image, (height, width) in enumerate(data.shape for data in field.data):
            window = (max(x - 9, 0), min(x + 10, width), max(y - 9, 0), min(y + 10, height))
            field.tiles.append(Tile(profile, slots, number, image, window, amplitude="flux"))
    field.add("flat_sky", (2.0,), image=0, window=(0, 46, 0, 36))
    field.weight[0][10:14, 8:20] = 0.0
    field.weight[1][:, 30:] = 0.0
    field.observe(noise=1.0, seed=4)
    if likelihood == "poisson":
        field.likelihood = ["poisson"] * 2
        field.data = [np.round(np.maximum(data + 5.0, 0.0)) for data in field.data]
        field.values[-1] = 8.0
        field.tiles[-1].window = None  # a model of no light at all has no deviance
    return field


def covered(field: Field, image: int) -> np.ndarray:
    """Pixels with weight inside some window."""
    inside = np.zeros(field.data[image].shape, bool)
    for tile in field.tiles:
        if tile.image == image:
            x0, x1, y0, y1 = tile.window or (0, inside.shape[1], 0, inside.shape[0])
            inside[y0:y1, x0:x1] = True
    return inside & (field.weight[image] > 0)


def test_every_pixel_counts_once() -> None:
    field = crowd()
    out = field.scene().fit(field.start)
    assert out["status"].startswith("converged")
    scene = field.scene()
    for image in range(2):
        mine = [k for k, tile in enumerate(field.tiles) if tile.image == image]
        inside = covered(field, image)
        residual = field.data[image] - scene.render(out["v"], image)
        chi2 = np.sum((field.weight[image] * residual**2)[inside])
        assert sum(out["n_pixels_tiles"][k] for k in mine) == inside.sum()
        assert out["n_pixels_images"][image] == inside.sum()
        assert out["chi2_tiles"][mine].sum() == pytest.approx(chi2, rel=1e-10)
        assert out["chi2_images"][image] == pytest.approx(chi2, rel=1e-10)
    assert out["chi2"] == pytest.approx(out["chi2_images"].sum(), rel=1e-12)
    assert len(out["chi2_tiles"]) == len(out["n_pixels_tiles"]) == len(field.tiles)


def test_tiles_of_poisson_images_sum_up() -> None:
    field = crowd("poisson")
    scene = field.scene()
    out = scene.fit(field.start)
    assert out["status"].startswith("converged")
    assert out["chi2"] == pytest.approx(out["chi2_tiles"].sum(), rel=1e-12)
    assert sum(out["n_pixels_tiles"]) == covered(field, 0).sum() + covered(field, 1).sum()
    model = scene.render(out["v"], 0)  # by the plan that the fit ended with
    inside = covered(field, 0)
    n, m = field.data[0][inside], model[inside]
    deviance = 2 * np.sum(m - n + n * np.log(np.where(n > 0, n, 1.0) / m))
    assert out["chi2_images"][0] == pytest.approx(deviance, rel=1e-9)


def test_pixels_belong_to_the_nearest_source() -> None:
    field = Field((31, 41))
    field.add("point", (10.0, 15.0, 500.0))
    field.add("point", (30.0, 15.0, 500.0))
    field.observe(noise=1.0)
    out = field.scene().fit(field.start)
    # columns 0..19 are nearer to one, 21..40 to the other, 20 is as near to both
    assert sorted(out["n_pixels_tiles"]) == [31 * 20, 31 * 21]
    residual = field.data[0] - field.scene().render(out["v"], 0)
    assert out["chi2_tiles"][1] == pytest.approx(np.sum(residual[:, 21:] ** 2), rel=1e-10)


def test_pixels_belong_to_what_moves() -> None:
    field = Field((31, 41))
    slots = field.add("point", (10.0, 15.0, 500.0))
    field.add("point", (30.0, 15.0, 500.0), window=(21, 41, 0, 31))
    field.add("flat_sky", (1.0,))
    field.held = set(slots)
    field.observe(noise=1.0)
    out = field.scene().fit(field.start)
    assert out["n_pixels_tiles"] == [0, 20 * 31, 21 * 31]
    assert out["source_status"][0] == "fixed"


def test_what_becomes_of_a_source() -> None:
    """One converges, one is fixed, one has no data, one is flung away."""
    field, slots = apart(6, columns=3)
    x0, x1, y0, y1 = field.tiles[1].window or (0, 0, 0, 0)
    field.weight[0][y0:y1, x0:x1] = 0.0
    field.held = set(slots[2])
    for i, off in zip(slots[4][:2], (4000.0, -3000.0), strict=True):
        field.values[i] += off
    out = field.scene().fit(field.start)
    status = out["source_status"]
    assert status[1] == "no_data"
    assert status[2] == "fixed"
    assert status[4] == "lost"
    for k in (0, 3, 5):
        assert status[k].startswith("converged")
        own = field.index(slots[k])
        single = alone(field, k).scene().fit(np.array(field.values)[slots[k]])
        np.testing.assert_allclose(out["v"][own], single["v"], rtol=1e-9, atol=1e-9)
    assert out["n_pixels_tiles"][1] == 0
    assert out["chi2_tiles"][1] == 0.0
    lost = field.index(slots[4])
    np.testing.assert_array_equal(out["v"][lost][:2], field.start[lost][:2])


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize(
    "value",
    [(np.array([np.nan]), np.ones((1, 1))), (np.ones(1), np.array([[np.inf]])), None],
    ids=["value", "derivative", "nonsense"],
)
def test_a_broken_source_does_not_spoil_the_others(value: Any, overlap: bool) -> None:
    field, slots = apart(6, columns=3)
    if overlap:
        field.tiles[4].window = (CELL, 2 * CELL + 4, CELL, 2 * CELL)  # touches source 5
    field.functions = [broken_tie(field.tiles[4], value)]
    out = field.scene().fit(field.start)
    assert out["source_status"][4] == "non_finite"
    assert out["status"] == "non_finite"
    assert not np.isfinite(out["chi2"])
    untouched = (0, 1, 2, 3) if overlap else (0, 1, 2, 3, 5)
    for k in untouched:
        assert out["source_status"][k].startswith("converged")
        single = alone(field, k).scene().fit(field.start[slots[k]])
        sigma = errors(single)
        np.testing.assert_allclose((out["v"][slots[k]] - single["v"]) / sigma, 0, atol=1e-9)
        assert out["chi2_tiles"][k] == pytest.approx(single["chi2"], rel=1e-12)
    np.testing.assert_array_equal(out["v"][slots[4]], field.start[slots[4]])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_start_that_is_not_finite_spoils_its_own_source(bad: float) -> None:
    field, slots = apart(6, columns=3)
    scene, start = field.scene(), field.start
    start[slots[3][1]] = bad
    out = scene.fit(start)
    assert out["source_status"][3] == "non_finite"
    for k in (0, 1, 2, 4, 5):
        assert out["source_status"][k].startswith("converged")
        single = alone(field, k).scene().fit(start[slots[k]])
        np.testing.assert_allclose(out["v"][slots[k]], single["v"], rtol=1e-9, atol=1e-9)


def valley(field: Field, slots: list[int], seconds: float) -> None:
    """A star whose position is bent like Rosenbrock's valley, so that a fit needs many steps."""
    x, y = field.values[slots[0]], field.values[slots[1]]

    def f(v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        time.sleep(seconds)
        a, b = v
        place = np.array([x + 1.5 * (a - 1.0), y + 20.0 * (b - a**2)])
        return place, np.array([[1.5, 0.0], [-40.0 * a, 20.0]])

    field.values[slots[0]], field.values[slots[1]] = -1.2, 1.44
    field.functions = [(f, slots[:2], slots[:2])]


def test_no_component_has_time() -> None:
    """One step each, kept where it was better."""
    field, _ = apart(6, columns=3)
    scene = field.scene()
    out = scene.fit(field.start, {"component_time_limit_s": 1e-9})
    assert out["status"] == "timed_out"
    assert set(out["component_status"]) == {"timed_out"}
    assert out["n_linearize"] == 2
    assert out["chi2"] < scene.chi2(field.start)


# Against the clock, which is the solver's on any backend.
@CPU_ALONE
def test_a_component_out_of_time_leaves_the_rest_to_the_others() -> None:
    field, slots = apart(6, columns=3)
    valley(field, slots[2], 0.0)
    plain = field.scene().fit(field.start)
    steps = plain["history"]["iteration"][-1]
    field, slots = apart(6, columns=3)
    valley(field, slots[2], 0.01)
    # 10 ms a step, of which a sixth is each one's share until only the bent one is left
    out = field.scene().fit(field.start, {"component_time_limit_s": 0.06})
    assert steps >= 14
    assert out["status"] == out["source_status"][2] == "timed_out"
    assert out["history"]["iteration"][-1] < steps
    assert out["chi2_tiles"][2] > plain["chi2_tiles"][2]
    for k in (0, 1, 3, 4, 5):
        assert out["source_status"][k].startswith("converged")
        single = alone(field, k).scene().fit(field.start[slots[k]])
        sigma = errors(single)
        np.testing.assert_allclose((out["v"][slots[k]] - single["v"]) / sigma, 0, atol=1e-9)


def test_time_enough_changes_nothing() -> None:
    field, _ = apart(6, columns=3)
    one = field.scene().fit(field.start, {"component_time_limit_s": 1e3})
    other = field.scene().fit(field.start)
    assert other["status"].startswith("converged")
    np.testing.assert_array_equal(one["v"], other["v"])
