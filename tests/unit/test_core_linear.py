# SPDX-License-Identifier: BSD-3-Clause
"""Amplitudes and skies are at their best for given shapes without evaluations of their own."""

from __future__ import annotations

import numpy as np
import pytest

from jointlight.backends import ready_backend
from reference.field import Field
from reference.on_backends import EVERY_BACKEND

pytestmark = EVERY_BACKEND

SHAPES = ((40, 44), (36, 36))


def blend(*, noise: float = 1.0) -> tuple[Field, np.ndarray, list[int]]:
    """Two galaxies, a star and skies in two images; shapes held or not by the caller.

    The second image shows the first galaxy three times as bright, by a tie of slots. Returns the
    field, the true parameters and the slots of amplitudes and skies.
    """
    field = Field(*SHAPES)
    one = field.add("sersic", (15.0, 17.0, 0.6, 40.0, 4.0, 1.5, 30.0))
    two = field.add("sersic", (24.0, 20.0, 0.8, 110.0, 3.0, 2.5, 25.0))
    star = field.add("point", (20.0, 10.0, 400.0))
    sky = field.add("flat_sky", (3.0,))
    other = field.add("flat_sky", (-2.0,), image=1)
    field.tiles.append(type(field.tiles[0])("sersic", one, 0, 1, amplitude="flux"))
    truth = field.observe(noise=noise, seed=4)
    return field, truth, [one[-1], two[-1], star[-1], *sky, *other]


def linear_solution(field: Field, v: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, float]:
    """Least squares in some parameters with numpy, and chi2 there."""
    scene = field.scene()
    rows, rest = [], []
    for image, weight in enumerate(field.weight):
        root = np.sqrt(weight).ravel()
        rows.append((scene.jacobian(v, image).reshape(len(v), -1)[columns] * root).T)
        rest.append(root * (field.data[image] - scene.render(v, image)).ravel())
    design, residual = np.concatenate(rows), np.concatenate(rest)
    step, *_ = np.linalg.lstsq(design, residual)
    found = v.copy()
    found[columns] += step
    return found, float(np.sum((residual - design @ step) ** 2))


def test_a_linear_problem_takes_one_evaluation() -> None:
    field, truth, linear = blend()
    field.held = set(range(len(field.values))) - set(linear)
    start = truth[linear] * np.array([1.7, 0.5, 1.4, 3.0, -2.0])
    expected, chi2 = linear_solution(field, start, np.arange(len(linear)))
    out = field.scene().fit(start)
    assert out["status"].startswith("converged")
    assert out["n_linearize"] == 1
    np.testing.assert_allclose(out["v"], expected, rtol=1e-9)
    assert out["chi2"] == pytest.approx(chi2, rel=1e-12)


def test_the_first_trial_starts_from_the_best_amplitudes() -> None:
    field, truth, linear = blend()
    start = truth.copy()
    start[linear] *= 1.8
    start[[4, 5]] *= 1.1
    _, chi2 = linear_solution(field, start, np.array(linear))
    out = field.scene().fit(start, {"max_iterations": 1})
    assert out["history"]["chi2"][0] == pytest.approx(chi2, rel=1e-10)


def test_normal_equations_follow() -> None:
    """The covariance at amplitudes that were refined is that of the plain normal equations."""
    field, truth, linear = blend()
    start = truth.copy()
    start[linear] *= 1.5
    out = field.scene().fit(start)
    assert out["status"].startswith("converged")
    _, _, hessian = field.scene().linearize(out["v"])
    np.testing.assert_allclose(out["covariance"], np.linalg.inv(hessian), rtol=1e-4, atol=1e-9)
    residual = [field.data[i] - field.scene().render(out["v"], i) for i in range(2)]
    chi2 = sum(np.sum(w * r**2) for w, r in zip(field.weight, residual, strict=True))
    assert out["chi2"] == pytest.approx(chi2, rel=1e-7)


def test_limits_hold() -> None:
    field, truth, linear = blend()
    field.upper[linear[0]] = 0.5 * truth[linear[0]]
    field.lower[linear[3]] = 3.5
    start = truth.copy()
    start[linear[0]] = 0.3 * truth[linear[0]]
    start[linear[3]] = 5.0
    out = field.scene().fit(start)
    assert out["status"].startswith("converged")
    assert np.all(out["v"] <= np.array(field.upper)[field.free])
    assert np.all(out["v"] >= np.array(field.lower)[field.free])
    assert out["v"][linear[0]] == field.upper[linear[0]]


def test_held_amplitudes_stay() -> None:
    field, truth, linear = blend()
    start = truth.copy()
    start[linear] *= 1.2
    active = np.ones(len(start), bool)
    active[linear[:2]] = False
    out = field.scene().fit(start, active=active)
    np.testing.assert_array_equal(out["v"][linear[:2]], start[linear[:2]])


def test_priors_on_amplitudes_count() -> None:
    field, truth, linear = blend()
    field.held = set(range(len(field.values))) - set(linear)
    field.prior[linear[0]] = (2.0 * truth[linear[0]], 1e-4 * truth[linear[0]])
    out = field.scene().fit(truth[linear])
    assert out["status"].startswith("converged")
    assert out["v"][0] == pytest.approx(2.0 * truth[linear[0]], rel=1e-3)


@pytest.mark.parametrize("factor", [1e-6, 1e6, -1.0])
def test_one_amplitude_far_off_is_found(factor: float) -> None:
    field = Field(SHAPES[0])
    galaxy = field.add("sersic", (18.0, 17.0, 0.6, 40.0, 4.0, 1.5, 30.0))
    field.add("flat_sky", (3.0,))
    truth = field.observe(noise=1.0, seed=5)
    start = truth.copy()
    start[galaxy[-1]] *= factor
    out = field.scene().fit(start)
    assert out["status"].startswith("converged")
    found, sigma = out["v"], np.sqrt(np.diag(out["covariance"]))
    assert np.all(np.abs(found - truth) < 5.0 * sigma)


@pytest.mark.parametrize("factor", [0.1, 0.5, 2.0, 10.0])
def test_a_blend_keeps_its_sources(factor: float) -> None:
    """Sources that share light do not lose it to each other while their shapes are wrong."""
    field, truth, linear = blend()
    start = truth.copy()
    start[linear[0]] *= factor
    out = field.scene().fit(start)
    assert out["status"].startswith("converged")
    found, sigma = out["v"], np.sqrt(np.diag(out["covariance"]))
    assert np.all(np.abs(found - truth) < 5.0 * sigma)


def test_poisson_images_are_left_alone() -> None:
    field, truth, linear = blend(noise=0.0)
    field.likelihood[0] = "poisson"
    field.data[0] = np.round(field.data[0])
    start = truth.copy()
    start[linear] *= 1.5
    out = field.scene().fit(start, {"max_iterations": 1})
    assert out["history"]["chi2"][0] == pytest.approx(field.scene().chi2(start), rel=1e-10)


def test_no_amplitude_is_no_obstacle() -> None:
    field, truth, linear = blend()
    start = truth.copy()
    start[linear[1]] = 0.0
    out = field.scene().fit(start)
    assert out["chi2"] < field.scene().chi2(start)


@pytest.mark.parametrize("start", [(30.0, 30.0), (30.0 + 1e-9, 30.0), (35.0, 10.0)])
def test_an_amplitude_that_is_a_difference_may_vanish(start: tuple[float, float]) -> None:
    """Its tile has no light, though none of its coordinates is zero."""
    size = 30
    field = Field((size, size))
    field.add("sersic", (15.0, 14.0, 0.7, 30.0, 3.0, 1.5, 20.0))
    field.add("flat_sky", (2.0,))
    truth = field.observe(noise=1.0, seed=3)
    builder = field.builder()
    n = len(truth)
    rows = [[k] for k in range(6)] + [[6, 7]] + [[8]]
    v = np.concatenate([truth[:6], start, truth[7:]])
    builder.set_parameters(
        n_free=n + 1, start=v, lower=np.full(n + 1, -np.inf), upper=np.full(n + 1, np.inf),
        indptr=np.cumsum([0, *map(len, rows)]), indices=np.concatenate(rows),
        coefs=np.array([1.0] * 7 + [-1.0, 1.0]), const=np.zeros(n),
        prior_mean=np.full(n + 1, 10.0), prior_sigma=np.where(np.arange(n + 1) == 7, 5.0, np.inf),
        functions=[],
    )  # fmt: skip
    out = builder.build(n_threads=1, backend=ready_backend("auto")).fit(v)
    assert out["status"].startswith("converged")
    assert out["v"][6] - out["v"][7] == pytest.approx(20.0, abs=3.0)
