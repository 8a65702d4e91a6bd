# SPDX-License-Identifier: BSD-3-Clause
"""Each stage of the core against its slow numpy truth."""

from __future__ import annotations

import numpy as np
import pytest

from reference import core, render, stages
from reference.on_backends import EVERY_BACKEND
from reference.profiles import PROFILES
from reference.render import Ellipse

pytestmark = EVERY_BACKEND

E = Ellipse("sersic", (1.7,), 12.3, 13.1, 3.0, 0.7, 0.6).with_flux(400.0)
F = Ellipse("exponential", (), 6.4, 17.9, 2.0, 0.5, 1.9).with_flux(150.0)


def gaussian_array(sigma: float, size: int, oversampling: int = 1) -> np.ndarray:
    r = (np.arange(size) - (size - 1) / 2) / oversampling
    g = np.exp(-0.5 * (r / sigma) ** 2)
    return np.outer(g, g) / g.sum() ** 2


@pytest.mark.parametrize("name", PROFILES)
def test_flux_factor(name):
    from jointlight import _core

    shapes = {"sersic": [(0.3,), (0.5,), (1.0,), (4.0,), (8.0,)], "moffat": [(1.5,), (4.765,)]}
    for shape in shapes.get(name, [()]):
        f0, _ = _core.flux_factor(name, np.array(shape))
        assert f0 == pytest.approx(PROFILES[name].flux(shape), rel=1e-10)


def test_render_by_plain_sampling():
    model = core.render([E, F], 25, 25)
    plain = render.oversampled(E, 25, 25, 31) + render.oversampled(F, 25, 25, 31)
    assert np.max(np.abs(model - plain)) <= 1e-3 * np.max(plain)


def test_convolve_is_flux_conserving_and_linear():
    psf = core.PsfArray(gaussian_array(1.4, 31))
    both = core.render([E, F], 101, 101, psf=psf)
    each = core.render(E, 101, 101, psf=psf) + core.render(F, 101, 101, psf=psf)
    assert np.max(np.abs(both - each)) <= 1e-12 * np.max(both)
    far = Ellipse("exponential", (), 50.0, 50.0, 3.0, 0.8, 0.2).with_flux(3.0)
    assert core.render(far, 101, 101, psf=psf).sum() == pytest.approx(3.0, rel=1e-7)


def test_convolve_against_direct_sum():
    """For a source much wider than the pixel, pixel sums and the exact transform agree."""
    wide = Ellipse("gaussian", (), 40.2, 39.6, 6.0, 0.8, 0.3).with_flux(1.0)
    array = gaussian_array(2.0, 41)
    direct = stages.convolve(wide.brightness(*np.meshgrid(np.arange(81.0), np.arange(81.0))), array)
    model = core.render(wide, 81, 81, psf=core.PsfArray(array))
    assert np.max(np.abs(model - direct)) <= 1e-6 * np.max(direct)


@pytest.mark.parametrize("psf", [None, core.PsfArray(gaussian_array(1.4, 31))])
def test_normal_equations_against_dense_jacobian(psf):
    rng = np.random.default_rng(4)
    data = rng.normal(0.5, 0.3, (25, 25))
    weight = rng.uniform(0.0, 4.0, (25, 25)) * (rng.random((25, 25)) > 0.2)
    data[weight == 0] = 1e30  # a weightless pixel's value must not matter
    scene, v = core.scene([E, F], 25, 25, psf=psf, data=data, weight=weight)
    chi2, gradient, hessian = scene.linearize(v)
    expected = stages.normal(data, weight, scene.render(v, 0), np.asarray(scene.jacobian(v, 0)))
    assert chi2 == pytest.approx(expected[0], rel=1e-12)
    assert scene.chi2(v) == pytest.approx(chi2, rel=1e-12)
    assert np.allclose(gradient, expected[1], rtol=1e-9, atol=1e-9 * np.max(np.abs(expected[1])))
    scale = np.sqrt(np.outer(np.diag(expected[2]), np.diag(expected[2])))
    assert np.max(np.abs(np.asarray(hessian) - expected[2]) / scale) <= 1e-10


def test_residual_poisson_deviance():
    rng = np.random.default_rng(5)
    psf = core.PsfArray(gaussian_array(1.4, 31))
    expected = core.render([E, F], 25, 25, psf=psf)
    counts = rng.poisson(expected).astype(float)
    scene, v = core.scene([E, F], 25, 25, psf=psf, data=counts, likelihood="poisson")
    # Statistics that differ by a constant of the data alone (Cash, likelihood ratio) both serve.
    moved = v.copy()
    moved[4] *= 1.02
    change = scene.chi2(moved) - scene.chi2(v)
    truth = stages.poisson_deviance(counts, scene.render(moved, 0)) - stages.poisson_deviance(
        counts, scene.render(v, 0)
    )
    assert change == pytest.approx(truth, rel=1e-6)
    gradient = scene.linearize(v)[1]
    numeric = stages.central_jacobian(
        lambda p: np.array([0.5 * scene.chi2(p)]),
        v,
        0.1 * np.concatenate([core.steps(E), core.steps(F)]),
    )[:, 0]
    assert np.allclose(gradient, numeric, rtol=1e-5, atol=1e-5 * np.max(np.abs(numeric)))


def test_solve_reaches_the_dense_least_squares_minimum():
    from scipy.optimize import least_squares

    rng = np.random.default_rng(6)
    psf = core.PsfArray(gaussian_array(1.4, 31))
    truth = core.render([E, F], 25, 25, psf=psf)
    data = truth + rng.normal(0.0, 0.1, truth.shape)
    weight = np.full(data.shape, 100.0)
    scene, v = core.scene([E, F], 25, 25, psf=psf, data=data, weight=weight)
    fit = scene.fit(v, {}, None)
    scipy_fit = least_squares(
        lambda p: stages.residual(data, weight, np.asarray(scene.render(p, 0))).ravel(),
        v,
        x_scale=np.abs(v),
        xtol=1e-12,
        ftol=1e-12,
    )
    assert fit["chi2"] <= 2 * scipy_fit.cost + 1e-3
    covariance = np.linalg.inv(scipy_fit.jac.T @ scipy_fit.jac)
    sigma = np.sqrt(np.diag(covariance))
    assert np.max(np.abs(fit["v"] - scipy_fit.x) / sigma) <= 0.02
    assert np.allclose(np.sqrt(np.diag(fit["covariance"])), sigma, rtol=0.01)
