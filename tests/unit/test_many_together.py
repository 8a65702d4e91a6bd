# SPDX-License-Identifier: BSD-3-Clause
"""Many fits evaluated together, as on a device: the same as one by one, whatever goes wrong."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import Any

import numpy as np
import pytest

import jointlight as jl
from jointlight import _core
from reference import small_problem

DEVICE = os.environ.get("JOINTLIGHT_TEST_DEVICE", "cuda-emulated")
COLUMNS = ("q", "PA", "n", "Re")


def models(n: int, rng: np.random.Generator, bands: int = 3) -> list[Any]:
    """Noisy realisations of a joint problem, from starts that are off."""
    clean = small_problem.noiseless()
    out = []
    for _ in range(n):
        targets = small_problem.images(small_problem.noisy(clean, rng))[:bands]
        model = small_problem.model(targets)
        model["Re"].value = 2.4 * rng.uniform(0.7, 1.4)
        model["n"].value = 1.8 * rng.uniform(0.7, 1.4)
        out.append(model)
    return out


def assert_alike(one: Any, other: Any) -> None:
    """The same statuses, and parameters to far less than their errors."""
    assert list(one["status"]) == list(other["status"])
    for name in one.colnames:
        if name.endswith("_error") or f"{name}_error" not in one.colnames:
            continue
        shift = (np.asarray(one[name]) - np.asarray(other[name])) / np.asarray(one[f"{name}_error"])
        assert not np.any(np.abs(shift) > 1e-6), name


def test_models_of_several_bands(rng: np.random.Generator) -> None:
    listed = models(5, rng) + models(3, rng, bands=1)
    alone = jl.fit_many([m.copy() for m in listed])
    together = jl.fit_many(listed, backend=DEVICE)
    assert_alike(alone.table, together.table)
    assert list(alone.table["n_evaluations"]) == list(together.table["n_evaluations"])


@pytest.mark.parametrize("precision", ["float64", "mixed"])
def test_template_and_any_number_of_threads(precision: str, rng: np.random.Generator) -> None:
    target = small_problem.images()[0]
    template = small_problem.model([target])
    data = np.array(template.images()[0]) + rng.normal(0.0, 0.1, (20, 40, 40))
    given = {"data": data, "variance": 0.01, "start": {"Re": rng.uniform(1.8, 3.0, 20)}}
    alone = jl.fit_many(template, **given, precision=precision)
    tables = [
        jl.fit_many(template, **given, precision=precision, backend=DEVICE, n_threads=k).table
        for k in (1, 2, 3)
    ]
    for table in tables[1:]:
        for name in table.colnames:
            if name != "time":
                np.testing.assert_array_equal(table[name], tables[0][name])
    if precision == "float64":
        assert_alike(alone.table, tables[0])


def test_bad_objects_cost_nothing_to_the_others(rng: np.random.Generator) -> None:
    target = small_problem.images()[0]
    template = small_problem.model([target])
    data = np.array(template.images()[0]) + rng.normal(0.0, 0.1, (8, 40, 40))
    good = jl.fit_many(template, data=data, variance=0.01, backend=DEVICE).table
    spoilt = data.copy()
    spoilt[1] = np.nan
    spoilt[3] = 1e30
    spoilt[4] = 0.0
    start = {"Re": np.where(np.arange(8) == 6, np.nan, 2.4)}
    bad = jl.fit_many(template, data=spoilt, variance=0.01, start=start, backend=DEVICE).table
    alone = jl.fit_many(template, data=spoilt, variance=0.01, start=start).table
    assert list(bad["status"]) == list(alone["status"])
    assert bad["status"][1] == "no_data"
    assert bad["status"][6] == "invalid_input"
    for k in (0, 2, 5, 7):
        for name in COLUMNS:
            assert bad[name][k] == good[name][k]


def test_a_function_of_the_users(rng: np.random.Generator) -> None:
    """Python is called from whatever thread goes on with a fit."""
    listed = models(4, rng, bands=1)
    for model in listed:
        model["q"].tie(lambda n: 0.5 + 0.05 * n, [model["n"]])
    alone = jl.fit_many([m.copy() for m in listed], n_threads=2)
    together = jl.fit_many(listed, backend=DEVICE, n_threads=2)
    assert_alike(alone.table, together.table)


def test_stopped_half_way(rng: np.random.Generator) -> None:
    calls = []

    def stop(done: int, total: int) -> None:
        calls.append((done, total))
        raise KeyboardInterrupt

    target = small_problem.images()[0]
    template = small_problem.model([target])
    data = np.array(template.images()[0]) + rng.normal(0.0, 0.1, (200, 40, 40))
    table = jl.fit_many(
        template, data=data, variance=0.01, backend=DEVICE, progress=stop, n_threads=1
    ).table
    assert len(table) == 200
    assert "interrupted" in set(table["status"])


@pytest.mark.parametrize("given", ["gpu", "CUDA", "cuda:", "cuda:x", "", None, 1])
def test_backends_that_do_not_exist(given: Any) -> None:
    model = small_problem.model(small_problem.images())
    for call in (
        lambda: model.compile(backend=given),
        lambda: jl.fit.LM(model, backend=given),
        lambda: jl.fit_many([model], backend=given),
    ):
        with pytest.raises(jl.errors.InvalidInput, match=r"backend.*'cpu'"):
            call()


def test_a_device_that_is_not_there() -> None:
    model = small_problem.model(small_problem.images())
    with pytest.raises(jl.errors.BackendUnavailable, match="cuda"):
        jl.fit_many([model], backend="cuda:999")


def test_stopped_before_all_have_begun(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller is asked between fits, not only once all of them have come as far as they can."""
    begun: set[int] | None = None

    def slowly(k: int, n: float) -> float:
        if begun is not None:
            begun.add(k)
            time.sleep(0.1)
        return 0.5 + 0.05 * n

    def fit_scenes(*given: Any, **options: Any) -> Any:
        nonlocal begun
        begun = set()
        return compiled(*given, **options)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    listed = models(12, rng, bands=1)
    for k, model in enumerate(listed):
        model["q"].tie(partial(slowly, k), [model["n"]])
    compiled = _core.fit_scenes
    monkeypatch.setattr(_core, "fit_scenes", fit_scenes)
    table = jl.fit_many(listed, backend=DEVICE, progress=stop, n_threads=1).table
    assert set(table["status"]) == {"interrupted"}
    assert begun is not None
    assert 0 < len(begun) < len(listed) // 2  # half of them share an evaluator


@pytest.mark.parametrize("after", [1, 2, 3, 5])
def test_a_device_that_fails(after: int, rng: np.random.Generator) -> None:
    """The CPU goes on from where each fit is: nothing is lost, and it is told."""
    target = small_problem.images()[0]
    template = small_problem.model([target])
    data = np.array(template.images()[0]) + rng.normal(0.0, 0.1, (12, 40, 40))
    given = {"data": data, "variance": 0.01, "start": {"Re": rng.uniform(1.8, 3.0, 12)}}
    alone = jl.fit_many(template, **given).table
    with pytest.warns(jl.JointlightWarning, match="failed .*: 1?[0-9] were fitted on the CPU"):
        results = jl.fit_many(template, **given, backend=f"cuda-emulated-until-{after}")
    moved = results.table
    assert_alike(alone, moved)
    assert list(alone["n_evaluations"]) == list(moved["n_evaluations"])
    assert moved["success"].all()
    n_moved = int(np.sum(moved["backend"] == "cpu"))
    assert n_moved > 0
    assert {row.backend for row in results} <= {"cpu", f"cuda-emulated-until-{after}"}
    assert (f"cpu ({n_moved})" in results.summary()) == (n_moved < 12)


def test_fits_take_turns(rng: np.random.Generator) -> None:
    """Of scenes with many windows a device of 16 MB, as the emulated one, holds but a few."""
    y, x = np.mgrid[:60, :60] - 29.5
    listed = []
    for k in range(14):
        places = [(16.0 * i, 16.0 * j) for i in (-1, 0, 1) for j in (-1, 0, 1)]  # from the middle
        data = rng.normal(0.0, 0.1, (60, 60))
        for cx, cy in places:
            data += 1.3 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * 2.5**2))
        target = jl.TargetImage(data, variance=0.01, pixelscale=1.0, psf=np.ones((3, 3)))
        sources = [
            jl.Model(
                "gaussian galaxy", target=target, name=f"s{i}", center=place, q=0.9,
                PA=0.3, sigma=2.5, I0=0.8,
            )
            for i, place in enumerate(places)
        ]  # fmt: skip
        for source in sources:
            for name in ("center", "q", "PA", "sigma"):
                source[name].fixed = True
        listed.append(jl.Group(sources, name=f"field {k}"))
    alone = jl.fit_many([m.copy() for m in listed])
    together = jl.fit_many(listed, backend="cuda-emulated")
    assert_alike(alone.table, together.table)
    assert together.table["success"].all()
    assert set(together.backend) == {"cuda-emulated"}


TOO_LARGE = (
    "^objects too large for backend 'cuda-emulated': 1 were fitted on the CPU "
    r"\(see results\.backend\)$"
)


def test_more_than_a_device_holds(rng: np.random.Generator) -> None:
    """What never fits in goes to the CPU."""
    side = 700  # pixels; lanes of one such window take twice the emulated device's memory
    small = models(9, rng)
    noise = rng.normal(0.0, 0.1, (side, side))
    target = jl.TargetImage(noise, variance=0.01, pixelscale=1.0, psf=np.ones((3, 3)))
    large = jl.Model(
        "exponential galaxy",
        target=target,
        name="large",
        center=(300.0, 350.0),
        q=0.6,
        PA=0.4,
        Re=9.0,
        Ie=3.0,
    )
    listed = [*small, large]
    alone = jl.fit_many([m.copy() for m in listed])
    with pytest.warns(jl.JointlightWarning, match=TOO_LARGE):
        together = jl.fit_many(listed, backend="cuda-emulated")
    assert list(alone.table["status"]) == list(together.table["status"])


def test_time_limits_count_own_time(rng: np.random.Generator) -> None:
    """What a fit waits for others is not its own: with a limit that all of them together pass by
    far, each ends as it would alone."""
    listed = models(40, rng)
    began = time.perf_counter()
    free = jl.fit_many([m.copy() for m in listed], backend="cuda-emulated", n_threads=1)
    whole = time.perf_counter() - began
    own = np.asarray(free.table["time"])
    assert own.sum() < 1.05 * whole
    assert own.min() > 0.0
    limited = jl.fit_many(listed, backend="cuda-emulated", n_threads=1, time_limit=whole / 4)
    assert list(limited.table["status"]) == list(free.table["status"])
