# SPDX-License-Identifier: BSD-3-Clause
"""``backend="auto"``: who computes, shown both ways without a device."""

from __future__ import annotations

import sys
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import jointlight as jl
from jointlight import choose
from jointlight.backends import cuda_module
from jointlight.choose import CPU, SceneSize, Turns, scene_backend
from reference import small_problem

if TYPE_CHECKING:
    from collections.abc import Callable

LARGE = SceneSize([1024 * 1024] * 2, "float64")


def costing(**seconds: Any) -> Callable[[str], float]:
    """What `scene_backend` is given: looks up, or raises, and keeps what it was asked."""
    asked: list[str] = []

    def cost(name: str) -> float:
        asked.append(name)
        found = seconds[name]
        if isinstance(found, Exception):
            raise found
        return float(found)

    cost.asked = asked  # type: ignore[attr-defined]
    return cost


# ---- scenes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "chosen", "asked"),
    [
        ({"cpu": 0.1, "cuda": 0.01}, "cuda", ["cpu", "cuda"]),
        ({"cpu": 0.1, "cuda": 0.2}, "cpu", ["cpu", "cuda"]),
        ({"cpu": 0.001, "cuda": 0.0}, "cpu", ["cpu"]),  # not worth waking it
        ({"cpu": 0.1, "cuda": RuntimeError("out of memory")}, "cpu", ["cpu", "cuda"]),
    ],
)
def test_scene_goes_where_it_is_faster(
    seconds: dict[str, Any], chosen: str, asked: list[str]
) -> None:
    cost = costing(**seconds)
    known: dict[Any, str] = {}
    for _ in range(2):  # the second time it is known
        assert scene_backend(LARGE, cost, find=lambda: ("cuda",), known=known) == chosen
    assert cost.asked == asked  # type: ignore[attr-defined]


def test_each_size_is_measured_by_itself() -> None:
    known: dict[Any, str] = {}
    sizes = (LARGE, SceneSize([2048 * 2048] * 2, "float64"), SceneSize([1024 * 1024] * 2, "mixed"))
    for size, chosen in zip(sizes, ("cuda", "cpu", "cuda"), strict=True):
        cost = costing(cpu=0.1, cuda=0.01 if chosen == "cuda" else 1.0)
        assert scene_backend(size, cost, find=lambda: ("cuda",), known=known) == chosen
    assert len(known) == 3
    alike = SceneSize([1000 * 1000] * 2, "float64")
    assert scene_backend(alike, costing(), find=lambda: ("cuda",), known=known) == "cuda"


def test_nothing_is_timed_where_there_is_no_choice() -> None:
    def looked_for() -> tuple[str, ...]:
        raise AssertionError("a small scene needs no device")

    small = SceneSize([500 * 500, 52 * 52, 90 * 90])
    assert scene_backend(small, costing(), find=looked_for, known={}) == CPU
    assert scene_backend(LARGE, costing(), find=lambda: (), known={}) == CPU


def large_model(size: int = 300) -> Any:
    image = jl.TargetImage(
        np.zeros((size, size)),
        pixelscale=0.2,
        std=0.1,
        psf=jl.gaussian_psf(fwhm=0.7, pixelscale=0.2),
    )
    return jl.Model("sersic galaxy", target=image, center=(0, 0), q=0.6, PA=30, Re=3, n=2, Ie=1)


def test_emulation_is_never_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """For real: the same scene on both, and the CPU wins."""
    monkeypatch.setattr(choose, "SMALL_SCENE", 1)
    monkeypatch.setattr(choose, "WAKING", 0.0)
    known: dict[Any, str] = {}
    monkeypatch.setattr(choose, "_KNOWN", known)
    found = []

    def find() -> tuple[str, ...]:
        found.append(True)
        return ("cuda-emulated",)

    monkeypatch.setattr(scene_backend, "__kwdefaults__", {"find": find, "known": None})
    scene = large_model(100).compile()
    assert scene.backend == "cpu"
    assert list(known.values()) == ["cpu"]
    assert found
    fit = large_model(100).compile().core.describe()["backend"]
    assert "emulated" not in fit


@pytest.mark.parametrize("cached", [False, True])
def test_scene_is_compiled_for_what_was_chosen(
    cached: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told that the device is faster, a fit runs there and says so; single images never do."""
    monkeypatch.setattr(choose, "SMALL_SCENE", 1)

    def chosen(size: SceneSize, seconds: Callable[[str], float]) -> str:
        if not cached:
            assert min(seconds(CPU), seconds("cuda-emulated")) > 0.0
        return "cuda-emulated"

    monkeypatch.setattr(choose, "scene_backend", chosen)
    model = large_model(60)
    assert jl.scene.compile(model).backend == "cpu"
    assert model.compile(backend="cpu").backend == "cpu"
    monkeypatch.setenv("JOINTLIGHT_BACKEND", "cpu")
    assert model.compile().backend == "cpu"
    monkeypatch.delenv("JOINTLIGHT_BACKEND")
    scene = model.compile()
    assert scene.backend == "cuda-emulated"
    assert "emulated" in scene.describe()["backend"]
    result = model.fit(max_iter=2)
    assert result.backend == "cuda-emulated"


def test_a_device_that_cannot_take_this_scene(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was the faster for others of its size."""
    monkeypatch.setattr(choose, "scene_backend", lambda size, seconds: "cuda:999")
    assert large_model(60).compile().backend == "cpu"


# ---- many objects ---------------------------------------------------------------------------


class Fits:
    """Objects that cost what they cost, by a clock of their own."""

    def __init__(self, cost: dict[str, float], work: list[int], fails: str = "") -> None:
        self.now = 0.0
        self.cost = cost
        self.work = work
        self.fails = fails
        self.calls: list[tuple[str, int, int]] = []

    def fit(self, backend: str, begin: int, end: int) -> bool:
        self.calls.append((backend, begin, end))
        self.now += self.cost[backend] * sum(self.work[begin:end])
        return backend != self.fails

    def deal(self, find: Callable[[], Any] = lambda: ("cuda",)) -> list[tuple[str, int, int]]:
        Turns(1, find=find, clock=lambda: self.now).deal(self.work, self.fit)
        return self.calls


STAMPS = [64 * 64] * 100_000
US = 1e-6  # of a pixel's cost: a stamp in 4 ms


def test_objects_without_pixels_are_no_measure() -> None:
    fits = Fits({"cpu": US, "cuda": US / 50}, [0] * 1000 + STAMPS[:50_000])
    calls = fits.deal()
    assert min(begin for _, begin, _ in calls) == 0
    assert max(end for *_, end in calls) == 51_000


def test_a_device_that_failed_is_not_asked_again() -> None:
    """Though its objects were fitted: the CPU took them over."""
    fits = Fits({"cpu": US, "cuda": US / 50}, STAMPS)
    turns = Turns(1, find=lambda: ("cuda",), clock=lambda: fits.now)

    def fit(backend: str, begin: int, end: int) -> bool:
        if backend == "cuda":
            turns.strike(backend)
        return fits.fit(backend, begin, end)

    turns.deal(STAMPS, fit)
    assert [backend for backend, *_ in fits.calls].count("cuda") == 1
    turns.deal(STAMPS, fit)  # the next call's
    assert [backend for backend, *_ in fits.calls].count("cuda") == 1


@pytest.mark.parametrize(
    ("cost", "winner"),
    [({"cpu": US, "cuda": 0.01 * US}, "cuda"), ({"cpu": US, "cuda": US * 3}, "cpu")],
)
def test_most_objects_go_to_the_faster(cost: dict[str, float], winner: str) -> None:
    fits = Fits(cost, STAMPS)
    calls = fits.deal()
    assert calls[0] == ("cpu", 0, 64)
    assert [name for name, _, _ in calls] == ["cpu", "cuda", "cuda", winner]
    assert all(before[2] == after[1] for before, after in pairwise(calls))  # each once
    assert calls[-1][2] == len(STAMPS)
    assert calls[-1][2] - calls[-1][1] > 0.9 * len(STAMPS)


def test_a_slow_device_costs_little() -> None:
    """However few there are: it gets a quarter of what is left, twice."""
    work = STAMPS[:3000]
    calls = Fits({"cpu": US, "cuda": 10 * US}, work).deal()
    tried = sum(end - begin for name, begin, end in calls if name == "cuda")
    assert tried < 0.3 * len(work)


def test_sizes_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small objects first make no backend look fast: rates are by pixel."""
    work = [16 * 16] * 64 + [200 * 200] * 5000
    calls = Fits({"cpu": US, "cuda": 0.5 * US}, work).deal()
    assert calls[-1][0] == "cuda"
    calls = Fits({"cpu": US, "cuda": 2 * US}, work).deal()
    assert calls[-1][0] == "cpu"


def test_no_device_is_looked_for_or_woken_for_little() -> None:
    def looked_for() -> tuple[str, ...]:
        raise AssertionError("too little for a device")

    few = Fits({"cpu": US}, STAMPS[:1000])
    assert few.deal(looked_for) == [("cpu", 0, 1000)]
    none = Fits({"cpu": US}, STAMPS)
    assert none.deal(lambda: ()) == [("cpu", 0, len(STAMPS))]
    quick = Fits({"cpu": 1e-4 * US}, STAMPS)  # 0.04 s in all
    assert {name for name, _, _ in quick.deal()} == {"cpu"}
    large = Fits({"cpu": US}, [10**6] * 200)  # too few to be tried
    assert large.deal() == [("cpu", 0, 200)]


def test_what_a_device_failed_at_is_fitted_again() -> None:
    fits = Fits({"cpu": US, "cuda": 0.01 * US}, STAMPS, fails="cuda")
    calls = fits.deal()
    assert calls[:3] == [("cpu", 0, 64), ("cuda", 64, 128), ("cpu", 64, 128)]
    assert calls[3:] == [("cpu", 128, len(STAMPS))]


# ---- fit_many -------------------------------------------------------------------------------


def given(n: int, rng: np.random.Generator) -> tuple[Any, dict[str, Any]]:
    """Stamps with everything that goes by row: some objects bad, masks, PSFs, levels."""
    image = small_problem.images()[0]
    template = small_problem.model([image])
    data = np.array(template.images()[0]) + rng.normal(0.0, 0.1, (n, 40, 40))
    data[5] = np.nan
    mask: list[Any] = [None] * n
    mask[7] = data[7] > 2.0
    return template, {
        "data": data,
        "variance": rng.uniform(0.009, 0.011, n),
        "mask": mask,
        "psf": [None if k % 3 else image.psf for k in range(n)],
        "start": {"Re": np.where(np.arange(n) == n - 2, np.nan, rng.uniform(1.8, 3.0, n))},
        "limits": {"n": (0.3, rng.uniform(6.0, 7.0, n))},
    }


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """An emulated device that is tried with a handful of objects."""
    monkeypatch.setattr(choose, "SMALL_BATCH", 1)
    monkeypatch.setattr(choose, "WAKING", 0.0)
    monkeypatch.setattr(Turns, "least_cpu", 3)
    monkeypatch.setattr(Turns, "per_thread", 1)
    monkeypatch.setattr(Turns, "least_device", 2)
    monkeypatch.setattr(Turns, "most_device", 3)
    monkeypatch.setitem(Turns.__init__.__kwdefaults__, "find", lambda: ("cuda-emulated",))


@pytest.mark.usefixtures("eager")
def test_objects_of_a_template_on_both(rng: np.random.Generator) -> None:
    """Columns of several calls are those of one, whoever fitted which object."""
    template, arrays = given(16, rng)
    alone = jl.fit_many(template, **arrays, backend="cpu", covariance=True)
    dealt = jl.fit_many(template, **arrays, covariance=True, n_threads=1)
    refused = 14  # by whichever backend had it: nothing was evaluated
    expected = ["cpu"] * 3 + ["cuda-emulated"] * 4 + ["cpu"] * 9
    expected[refused] = ""
    assert list(alone.backend) == [*["cpu"] * refused, "", "cpu"]
    assert list(dealt.backend) == expected
    assert "\non cpu (11), cuda-emulated (4); float64" in dealt.summary()
    assert list(dealt.status) == list(alone.status)
    assert dealt.status[5] == "no_data"
    assert dealt.status[refused] == "invalid_input"
    assert list(dealt.message) == list(alone.message)
    np.testing.assert_array_equal(dealt.dof, alone.dof)
    by_cpu = dealt.backend != "cuda-emulated"
    np.testing.assert_array_equal(dealt.values[by_cpu], alone.values[by_cpu])
    np.testing.assert_array_equal(dealt.covariance[by_cpu], alone.covariance[by_cpu])  # type: ignore[index]
    shift = (dealt.values - alone.values) / alone.errors
    good = alone.success
    assert np.abs(shift[good]).max() < 1e-6
    assert "cuda-emulated" in dealt.summary()
    assert set(dealt[~by_cpu].backend) == {"cuda-emulated"}
    assert dealt["backend"][4] == "cuda-emulated"


@pytest.mark.usefixtures("eager")
def test_models_on_both(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """In several turns, of which the first decides."""
    monkeypatch.setattr("jointlight.many.separate._AT_A_TIME", 14)
    arrays = given(20, rng)[1]
    image = small_problem.images()[0]
    listed = []
    for pixels in arrays["data"]:
        listed.append(small_problem.model([image.copy(data=np.nan_to_num(pixels))]))
    bad = listed[2].images_modelled[0]
    compiled = jl.scene.compile

    def compile_good(model: Any, **options: Any) -> Any:
        if model.images_modelled[0] is bad:
            raise jl.errors.InvalidInput("bad")
        return compiled(model, **options)

    monkeypatch.setattr(jl.scene, "compile", compile_good)
    alone = jl.fit_many([m.copy() for m in listed], backend="cpu", update=False)
    dealt = jl.fit_many(listed, update=False, n_threads=1)
    assert list(dealt.status) == list(alone.status)
    assert list(dealt.backend[:4]) == ["cpu", "cpu", "", "cpu"]
    assert list(dealt.backend[4:8]) == ["cuda-emulated"] * 4
    assert set(dealt.backend[8:]) == {"cpu"}
    assert not np.any(np.abs((dealt.values - alone.values) / alone.errors)[alone.success] > 1e-6)


@pytest.mark.usefixtures("eager")
def test_interrupted_between_turns(rng: np.random.Generator) -> None:
    template, arrays = given(16, rng)
    calls = []

    def stop(done: int, n: int) -> None:
        calls.append(done)
        raise KeyboardInterrupt

    results = jl.fit_many(template, **arrays, progress=stop, covariance=True, n_threads=1)
    assert calls == [3]
    assert list(results.backend) == ["cpu"] * 3 + [""] * 13
    assert set(results.status[3:]) == {"interrupted"}
    assert results.status[0] != "interrupted"
    assert np.isnan(results.values[3:]).all()
    assert results.message[8] == "Interrupted before it began."
    assert results.interrupted


@pytest.mark.usefixtures("eager")
def test_progress_over_all_turns(rng: np.random.Generator) -> None:
    template, arrays = given(16, rng)
    calls: list[tuple[int, int]] = []
    jl.fit_many(template, **arrays, progress=lambda done, n: calls.append((done, n)), n_threads=1)
    assert calls == sorted(calls)
    assert calls[-1] == (16, 16)

    def fail(done: int, n: int) -> None:
        raise RuntimeError("of the user's")

    with pytest.raises(RuntimeError, match="of the user's"):
        jl.fit_many(template, **arrays, progress=fail)


@pytest.mark.usefixtures("eager")
def test_a_device_that_does_not_start(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(Turns.__init__.__kwdefaults__, "find", lambda: ("cuda:999",))
    template, arrays = given(16, rng)
    results = jl.fit_many(template, **arrays)
    assert set(results.backend[results.n_evaluations > 0]) == {"cpu"}
    assert "interrupted" not in results.status


@pytest.mark.gpu
@pytest.mark.parametrize("waking", [0.0, 1e9], ids=["tried", "not worth it"])
def test_objects_on_a_device_for_real(
    waking: float, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "SMALL_BATCH", 1)
    monkeypatch.setattr(choose, "WAKING", waking)
    template, arrays = given(400, rng)
    alone = jl.fit_many(template, **arrays, backend="cpu")
    dealt = jl.fit_many(template, **arrays, n_threads=1)
    assert dealt.backend[0] == "cpu"
    assert ("cuda" in dealt.backend) == (waking == 0.0)
    assert list(dealt.status) == list(alone.status)
    assert not np.any(np.abs((dealt.values - alone.values) / alone.errors)[alone.success] > 1e-6)


# ---- devices --------------------------------------------------------------------------------


def test_devices_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def module() -> Any:
        asked.append(True)
        return SimpleNamespace()

    monkeypatch.setattr(choose, "cuda_module", module)
    monkeypatch.setattr(choose, "find_spec", lambda name: sys)
    choose.devices.cache_clear()
    try:
        assert choose.devices() == choose.devices() == ("cuda",)
        assert len(asked) == 1
        choose.devices.cache_clear()
        monkeypatch.setattr(choose, "find_spec", lambda name: None)
        assert choose.devices() == ()
        choose.devices.cache_clear()
        monkeypatch.setattr(choose, "find_spec", lambda name: sys)
        monkeypatch.setattr(choose, "cuda_module", cuda_module)
        assert choose.devices() == (("cuda",) if jl.backends()["cuda"].available else ())
    finally:
        choose.devices.cache_clear()
