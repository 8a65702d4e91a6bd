# SPDX-License-Identifier: BSD-3-Clause
"""Backends: what is there, and why the rest is not."""

from __future__ import annotations

import importlib
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import jointlight as jl
from jointlight import errors
from jointlight.backends import cuda_module, ready_backend
from jointlight.fit.compiled import CompiledFit
from reference import small_problem
from reference.profiles import PROFILES

SHAPES: dict[str, tuple[float, ...]] = {"sersic": (2.7,), "moffat": (3.5,)}


def fake_cuda(message: str, *, driver: bool = True) -> SimpleNamespace:
    found: dict[str, Any] = {
        "driver": driver,
        "driver_version": 13000 if driver else 0,
        "runtime_version": 13000,
        "message": message,
        "devices": [],
    }
    return SimpleNamespace(probe=lambda: found, architectures=lambda: "80-real 90")


def pretend(monkeypatch: pytest.MonkeyPatch, result: object) -> None:
    """Let `import jointlight._cuda` return or raise `result`."""
    real = importlib.import_module

    def import_module(name: str, package: str | None = None) -> ModuleType:
        if name != "jointlight._cuda":
            return real(name, package)
        if isinstance(result, Exception):
            raise result
        return result  # type: ignore[return-value]

    monkeypatch.setattr(importlib, "import_module", import_module)


def test_cpu_is_there() -> None:
    cpu = jl.backends()["cpu"]
    assert cpu.available
    assert not cpu.reason
    assert cpu.details["isa"]
    assert cpu.details["threads"] >= 1
    assert "cpu" in str(cpu)


def test_threads_follow_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOINTLIGHT_NUM_THREADS", "3")
    assert jl.backends()["cpu"].details["threads"] == 3


@pytest.mark.parametrize(
    ("text", "auto"), [(None, "cpu"), (" ", "cpu"), ("auto", "cpu"), ("cuda-emulated", None)]
)
def test_auto_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, text: str | None, auto: str | None
) -> None:
    monkeypatch.delenv("JOINTLIGHT_BACKEND", raising=False)
    if text is not None:
        monkeypatch.setenv("JOINTLIGHT_BACKEND", text)
    assert ready_backend("auto") == (auto or text)
    assert ready_backend("cpu") == "cpu"


def test_fits_follow_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_problem.model(small_problem.images())
    monkeypatch.setenv("JOINTLIGHT_BACKEND", "cuda-emulated")
    assert model.compile().describe()["backend"] == "cuda-emulated"
    assert CompiledFit(model).scene.describe()["backend"] == "cuda-emulated"
    assert model.compile(backend="cpu").describe()["backend"].startswith("cpu")


@pytest.mark.parametrize("text", ["gpu", "CUDA", "cuda:", "cpu cuda"])
def test_the_variable_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("JOINTLIGHT_BACKEND", text)
    model = small_problem.model(small_problem.images())
    for call in (model.compile, model.fit, partial(jl.fit_many, [model])):
        with pytest.raises(errors.InvalidInput, match=f"JOINTLIGHT_BACKEND.*'auto'.*not '{text}'"):
            call()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("CUDA", "cuda"), ("Cuda:1", "cuda:1"), ("cuda:01", "cuda:1"), ("cuda:00", "cuda:0"),
        ("gpu", "cuda"), ("GPU:2", "cuda:2"), ("CPU", "cpu"), (" auto", "auto"),
        ("tpu", None), ("cuda:", None), ("cuda:1000", None), (0, None), (None, None),
    ],
)  # fmt: skip
def test_wrong_names_lead_to_right_ones(
    monkeypatch: pytest.MonkeyPatch, name: object, meant: str | None
) -> None:
    allowed = "must be 'auto', 'cpu', 'cuda' or 'cuda:N'"
    with pytest.raises(errors.InvalidInput, match=f"^backend {allowed}") as caught:
        ready_backend(name)
    assert ("Did you mean" in str(caught.value)) == (meant is not None)
    assert meant is None or str(caught.value).endswith(f"Did you mean {meant!r}?")
    if isinstance(name, str) and name == name.strip():
        monkeypatch.setenv("JOINTLIGHT_BACKEND", name)
        with pytest.raises(errors.InvalidInput, match=f"JOINTLIGHT_BACKEND {allowed}") as caught:
            ready_backend("auto")
        assert meant is None or str(caught.value).endswith(f"Did you mean {meant!r}?")


def test_an_unavailable_backend_says_who_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, ModuleNotFoundError("no module"))
    monkeypatch.setenv("JOINTLIGHT_BACKEND", "cuda:1")
    with pytest.raises(errors.BackendUnavailable, match=r"without the CUDA.*JOINTLIGHT_BACKEND"):
        ready_backend("auto")
    with pytest.raises(errors.BackendUnavailable) as caught:
        ready_backend("cuda:1")
    assert "JOINTLIGHT_BACKEND" not in str(caught.value)


def test_cuda_error_is_documented() -> None:
    try:
        module = importlib.import_module("jointlight._cuda")
    except ImportError:
        pytest.skip("this installation was built without the CUDA module")
    assert module.CudaError.__doc__


def test_cuda_says_why_not() -> None:
    cuda = jl.backends()["cuda"]
    if cuda.available:
        pytest.skip("there is a device")
    assert cuda.reason
    assert "not available" in str(cuda)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (ModuleNotFoundError("no module"), ["without the CUDA module", "JOINTLIGHT_CUDA=ON"]),
        (
            ImportError("libfoo.so.1: cannot open"),
            ["does not load", "libfoo", "JOINTLIGHT_CUDA=ON"],
        ),
        (fake_cuda("no NVIDIA driver was found", driver=False), ["driver", "CUDA 13.0"]),
        (fake_cuda("the NVIDIA driver reports no device"), ["no device", "CUDA_VISIBLE_DEVICES"]),
    ],
    ids=["module", "library", "driver", "device"],
)
def test_reason_names_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, result: object, words: list[str]
) -> None:
    pretend(monkeypatch, result)
    reason = jl.backends()["cuda"].reason
    for word in words:
        assert word in reason
    with pytest.raises(errors.BackendUnavailable, match="'cuda' is not available") as caught:
        cuda_module()
    assert caught.value.reason == reason


@pytest.mark.gpu
@pytest.mark.parametrize("profile", PROFILES)
def test_device_evaluates_the_shared_profiles(profile: str, rng: np.random.Generator) -> None:
    shape = np.array(SHAPES.get(profile, ()))
    r2 = rng.uniform(1e-4, 100.0, 1000)
    value, d_r2, d_shape = cuda_module().brightness(profile, shape, r2)
    truth = PROFILES[profile].brightness
    np.testing.assert_allclose(value, truth(np.sqrt(r2), tuple(shape)), rtol=1e-12)
    step = 1e-5 * r2
    up, down = (truth(np.sqrt(r2 + s), tuple(shape)) for s in (step, -step))
    np.testing.assert_allclose(d_r2, (up - down) / (2 * step), rtol=1e-7)
    assert d_shape.shape == (len(shape), len(r2))


@pytest.mark.gpu
def test_device_checks_its_input() -> None:
    module = cuda_module()
    with pytest.raises(ValueError, match="no profile named 'nonsense'"):
        module.brightness("nonsense", [], [1.0])
    with pytest.raises(ValueError, match="takes 1 shape values, not 2"):
        module.brightness("sersic", [1.0, 2.0], [1.0])
