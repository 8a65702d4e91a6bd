# SPDX-License-Identifier: BSD-3-Clause
"""Errors mean what they say: (fit - truth) / error over noise realisations is N(0, 1)."""

from __future__ import annotations

import numpy as np
import pytest

from reference import small_problem
from reference.on_backends import EVERY_BACKEND, NOT_EMULATED

pytestmark = EVERY_BACKEND


def pulls(realisations: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Pulls by quantity, [realisations] each, and the flux errors' correlations, [3, 3]."""
    rng = np.random.default_rng(seed)
    clean = small_problem.noiseless()
    truth = {k: v for k, v in small_problem.TRUTH.items() if k != "center"}
    truth |= dict(zip(("center_x", "center_y"), small_problem.TRUTH["center"], strict=True))
    collected: dict[str, list[float]] = {}
    fluxes, predicted = [], []
    for _ in range(realisations):
        targets = small_problem.images(small_problem.noisy(clean, rng))
        joint = small_problem.model(targets)
        for name in ("q", "n", "Re"):
            joint[name].value = joint[name].value * rng.uniform(0.85, 1.15)
        result = joint.fit(verbose=0)
        assert result.success, result.message
        flux_errors = []
        for parameter, value, error in zip(
            result.parameters, result.values, result.errors, strict=True
        ):
            if parameter.name.startswith("flux"):
                continue
            delta = value - truth[parameter.name]
            if parameter.name == "PA":
                delta = (delta + 90) % 180 - 90
            collected.setdefault(parameter.name, []).append(delta / error)
        for name, flux in small_problem.FLUXES.items():
            value, error = result.flux(name, source=0)
            collected.setdefault(f"flux_{name}", []).append((value - flux) / error)
            flux_errors.append(value)
        fluxes.append(flux_errors)
        for first, second in (("a", "b"), ("b", "c")):
            expected = -2.5 * np.log10(small_problem.FLUXES[first] / small_problem.FLUXES[second])
            value, error = result.color(first, second, source=0)
            collected.setdefault(f"{first}-{second}", []).append((value - expected) / error)
        both = result.derived(lambda p: np.array([p["flux[a]"], p["flux[b]"], p["flux[c]"]]))
        sigma = np.sqrt(np.diag(both.covariance))
        predicted.append(both.covariance / np.outer(sigma, sigma))
    scatter = np.corrcoef(np.array(fluxes).T)
    return {k: np.array(v) for k, v in collected.items()}, scatter - np.mean(predicted, axis=0)


def check(realisations: int, mean: float, width: float, correlation: float) -> None:
    collected, correlation_difference = pulls(realisations, 11)
    table = {k: (v.mean(), v.std(ddof=1)) for k, v in collected.items()}
    print("\n".join(f"{k:10} mean {m:+.3f} width {w:.3f}" for k, (m, w) in table.items()))
    for name, (m, w) in table.items():
        assert abs(m) <= mean, name
        assert abs(w - 1) <= width, name
    assert np.max(np.abs(correlation_difference)) <= correlation


def test_pulls_of_a_part():
    # The tolerances are the full study's, widened by the square root of the smaller sample.
    check(80, 0.4, 0.25, 0.3)


@NOT_EMULATED
@pytest.mark.slow
def test_pulls():
    # 2000 rather than 500: the sample's own scatter stays well inside the tolerances.
    check(2000, 0.1, 0.05, 0.08)
