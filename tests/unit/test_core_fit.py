# SPDX-License-Identifier: BSD-3-Clause
"""The compiled fit: limits through the charts, priors on angles, replanning, bad evaluations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from jointlight import _core
from jointlight.backends import ready_backend
from reference.on_backends import EVERY_BACKEND

pytestmark = EVERY_BACKEND

TRUTH = np.array([0.3, -0.4, 0.5, 20.0, 4.0, 1.5, 50.0])  # x, y, q, PA, Re, n, Ie
SIZE = 48


def scene(
    start: np.ndarray,
    *,
    data: np.ndarray | None = None,
    lower: dict[int, float] | None = None,
    upper: dict[int, float] | None = None,
    prior: dict[int, tuple[float, float]] | None = None,
    functions: list[Any] | None = None,
) -> Any:
    """One Sersic galaxy under a Gaussian PSF; pixels are arcsec."""
    builder = _core.SceneBuilder()
    data = np.zeros((SIZE, SIZE)) if data is None else data
    builder.add_image(data, np.ones_like(data))
    builder.add_psf_analytic("gaussian", (1.2,), 12.0)
    middle = (SIZE - 1) / 2
    builder.add_tile(
        "sersic",
        0,
        0,
        (0, SIZE, 0, SIZE),
        (middle, middle),
        (0.0, 0.0),
        [[-1.0, 0.0], [0.0, 1.0]],
        np.zeros((2, 3)),
        np.arange(7),
        "brightness",
        0,
    )
    n = len(start)
    low, high = np.full(n, -np.inf), np.full(n, np.inf)
    low[[2, 4, 5]], high[[2, 5]] = (0.0, 0.0, 0.3), (1.0, 10.0)
    for i, value in (lower or {}).items():
        low[i] = value
    for i, value in (upper or {}).items():
        high[i] = value
    mean, sigma = np.zeros(n), np.full(n, np.nan)
    for i, (m, s) in (prior or {}).items():
        mean[i], sigma[i] = m, s
    builder.set_parameters(
        n,
        start,
        low,
        high,
        np.arange(n + 1),
        np.arange(n),
        np.ones(n),
        np.zeros(n),
        mean,
        sigma,
        functions or [],
    )
    return builder.build(n_threads=1, backend=ready_backend("auto"))


@pytest.fixture(scope="module")
def data() -> np.ndarray:
    noise = np.random.default_rng(8).normal(size=(SIZE, SIZE))
    return scene(TRUTH).render(TRUTH, 0) + noise


@pytest.mark.parametrize(
    ("lower", "upper"),
    [
        ({2: 0.2}, {4: 3.0}),
        ({2: 0.7}, {}),
        ({2: 0.05}, {}),
        ({4: 5.0}, {}),
        ({}, {4: 3.5}),
        ({}, {5: 1.2}),
        ({3: 0.0}, {3: 10.0}),
    ],
)
def test_limits_hold_in_every_chart(
    data: np.ndarray, lower: dict[int, float], upper: dict[int, float]
) -> None:
    start = TRUTH.copy()
    for i, value in {**lower, **upper}.items():
        start[i] = np.clip(start[i], lower.get(i, -np.inf), upper.get(i, np.inf))
        start[i] = value * 1.01 if i in lower else value * 0.99
    out = scene(start, data=data, lower=lower, upper=upper).fit(start)
    assert out["status"].startswith("converged")
    for i, value in lower.items():
        assert out["v"][i] >= value * (1 - 1e-9)
    for i, value in upper.items():
        assert out["v"][i] <= value * (1 + 1e-9)
    for i in np.flatnonzero(out["at_bound"]):
        assert np.isnan(out["covariance"][i, i])


@pytest.mark.parametrize("mean", [20.0, 200.0, -160.0, 380.0])
def test_a_prior_on_an_angle_repeats(data: np.ndarray, mean: float) -> None:
    plain = scene(TRUTH, data=data, prior={3: (20.0, 5.0)}).fit(TRUTH)
    turned = scene(TRUTH, data=data, prior={3: (mean, 5.0)}).fit(TRUTH)
    np.testing.assert_allclose(turned["v"], plain["v"], atol=1e-6)
    assert turned["chi2"] == pytest.approx(plain["chi2"], rel=1e-9)


def test_a_prior_across_the_wrap() -> None:
    truth = TRUTH.copy()
    truth[3] = 178.0
    image = scene(truth).render(truth, 0)
    out = scene(truth, data=image, prior={3: (0.0, 5.0)}).fit(truth)
    assert out["v"][3] == pytest.approx(178.0, abs=0.2)
    assert out["chi2"] < 0.2


def test_a_source_far_from_its_plan_is_planned_anew(data: np.ndarray) -> None:
    start = TRUTH.copy()
    start[:2] = (9.0, -8.0)
    start[4] = 7.0
    away = scene(start, data=data)
    out = away.fit(start)
    near = scene(TRUTH, data=data).fit(TRUTH)
    assert out["chi2"] == pytest.approx(near["chi2"], abs=1e-2)
    iterations = out["history"]["iteration"]
    assert np.all(np.diff(iterations) > 0)
    assert np.all(np.diff(out["history"]["n_linearize"]) >= 0)
    assert out["n_linearize"] >= out["history"]["n_linearize"][-1]
    short = scene(start, data=data).fit(start, {"max_iterations": 3})
    assert short["history"]["iteration"][-1] <= 3


def function_tie(f: Callable[[np.ndarray], Any]) -> list[Any]:
    """Re of the galaxy as a function of itself: enough to disturb an evaluation."""
    return [(f, np.array([4]), np.array([4]))]


@pytest.mark.parametrize(
    "value",
    [
        lambda v: (np.array([np.nan]), np.array([[1.0]])),
        lambda v: (np.array([1.0, 2.0]), np.array([[1.0]])),
        lambda v: "nonsense",
        lambda v: 1 / 0,
    ],
)
def test_a_function_that_fails_is_a_status(data: np.ndarray, value: Any) -> None:
    failing = scene(TRUTH, data=data, functions=function_tie(value))
    out = failing.fit(TRUTH)
    assert out["status"] == "non_finite"
    assert np.isnan(failing.chi2(TRUTH))
    assert np.isnan(out["chi2_images"]).all()


def test_a_function_that_fails_midway_only_rejects_steps(data: np.ndarray) -> None:
    calls = []

    def sometimes(v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        calls.append(v[0])
        bad = len(calls) == 4  # two calls see the start: planning and the first evaluation
        return np.array([np.nan if bad else v[0]]), np.array([[1.0]])

    start = TRUTH.copy()
    start[4] = 5.5
    out = scene(start, data=data, functions=function_tie(sometimes)).fit(start)
    assert out["status"].startswith("converged")
    assert out["v"][4] == pytest.approx(TRUTH[4], rel=0.05)


def test_keyboard_interrupt_inside_a_function(data: np.ndarray) -> None:
    calls = []

    def stop(v: np.ndarray) -> Any:
        calls.append(v)
        if len(calls) > 1:  # the first call is planning's
            raise KeyboardInterrupt
        return v, np.ones((1, 1))

    interrupted = scene(TRUTH, data=data, functions=function_tie(stop))
    assert interrupted.fit(TRUTH)["status"] == "interrupted"
    with pytest.raises(KeyboardInterrupt):
        interrupted.render(TRUTH, 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_parameters_that_are_not_finite(data: np.ndarray, bad: float) -> None:
    for i in range(7):
        v = TRUTH.copy()
        v[i] = bad
        built = scene(TRUTH, data=data)
        assert built.fit(v)["status"] == "non_finite"
        assert np.isnan(built.chi2(v))
        assert np.isnan(built.render(v, 0)).all()
        assert np.isnan(built.jacobian(v, 0)).all()


def test_a_callback_stops_the_fit(data: np.ndarray) -> None:
    start = TRUTH.copy()
    start[4] = 6.0
    for no in (False, np.False_, 0):
        out = scene(start, data=data).fit(start, {}, lambda record, no=no: no)
        assert out["status"] == "interrupted"


@pytest.mark.parametrize(
    ("what", "arguments", "text"),
    [
        ("beta", ("moffat", (2.0, 40.0), 12.0), "beta = 40"),
        ("width", ("gaussian", (0.03,), 12.0), "0.03"),
        ("extent", ("gaussian", (1.0,), -1.0), "extent = -1"),
    ],
)
def test_psfs_out_of_range(what: str, arguments: Any, text: str) -> None:
    builder = _core.SceneBuilder()
    builder.add_image(np.zeros((9, 9)), np.ones((9, 9)))
    builder.add_psf_analytic(*arguments)
    builder.add_tile(
        "point",
        0,
        0,
        (0, 9, 0, 9),
        (4.0, 4.0),
        (0.0, 0.0),
        [[-1.0, 0.0], [0.0, 1.0]],
        np.zeros((2, 3)),
        np.arange(3),
        "brightness",
        0,
    )
    open_box = np.full(3, np.inf)
    nothing = np.zeros(3)
    builder.set_parameters(
        3,
        nothing,
        -open_box,
        open_box,
        np.arange(4),
        np.arange(3),
        np.ones(3),
        nothing,
        nothing,
        open_box,
        [],
    )
    with pytest.raises(ValueError, match=text):
        builder.build()
