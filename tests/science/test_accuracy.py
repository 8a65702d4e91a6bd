# SPDX-License-Identifier: BSD-3-Clause
"""Rendering against truths that share nothing with it: GalSim, quadrature, finite differences."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from reference import core, galsim_truth, render, stages
from reference.on_backends import EVERY_BACKEND
from reference.render import Ellipse

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = EVERY_BACKEND

SIZE = 65
CASES = [  # profile, shape, Re (px)
    ("sersic", (0.5,), 4.0),
    ("sersic", (1.0,), 1.0),
    ("sersic", (1.0,), 4.0),
    ("sersic", (2.5,), 2.0),
    ("sersic", (2.5,), 10.0),
    ("sersic", (4.0,), 1.0),
    ("sersic", (4.0,), 4.0),
    ("sersic", (4.0,), 10.0),
    ("sersic", (6.0,), 4.0),
    ("exponential", (), 3.0),
    ("devaucouleurs", (), 3.0),
    ("gaussian", (), 3.0),
    ("moffat", (2.5,), 3.0),
]
PSF_NAMES = ("gaussian", "moffat")
PSFS = [("gaussian", 2.2), ("moffat", 2.2), ("gaussian", 3.5), ("moffat", 3.5)]
PSF_RADIUS = 70  # px; a Moffat with beta 3.5 keeps 3e-7 of its flux outside


def galaxy(profile: str, shape: tuple[float, ...], scale: float) -> Ellipse:
    return Ellipse(profile, shape, 32.23, 31.63, scale, 0.6, np.radians(25.0)).with_flux(1.0)


@cache
def truth(profile: str, shape: tuple[float, ...], scale: float, psf: str, fwhm: float) -> NDArray:
    optical = galsim_truth.psf(psf, fwhm)
    return galsim_truth.image(galaxy(profile, shape, scale), optical, SIZE, SIZE)


@cache
def psf_array(psf: str, fwhm: float, oversampling: int, kind: str = "effective") -> NDArray:
    optical = galsim_truth.psf(psf, fwhm, params=galsim_truth.gsparams(1e-6))
    draw = getattr(galsim_truth, f"{kind}_array")
    return draw(optical, 2 * PSF_RADIUS * oversampling + 1, oversampling)


def error(image: NDArray, expected: NDArray) -> float:
    return float(np.max(np.abs(image - expected)) / np.max(np.abs(expected)))


@pytest.mark.parametrize(("psf", "fwhm"), PSFS)
@pytest.mark.parametrize(("profile", "shape", "scale"), CASES)
def test_convolved_with_oversampled_psf(profile, shape, scale, psf, fwhm):
    e = galaxy(profile, shape, scale)
    model = core.render(e, SIZE, SIZE, psf=core.PsfArray(psf_array(psf, fwhm, 2), oversampling=2))
    assert error(model, truth(profile, shape, scale, psf, fwhm)) <= 1e-5


@pytest.mark.parametrize(("psf", "fwhm"), PSFS)
@pytest.mark.parametrize(("profile", "shape", "scale"), CASES)
def test_convolved_with_analytic_psf(profile, shape, scale, psf, fwhm):
    e = galaxy(profile, shape, scale)
    model = core.render(e, SIZE, SIZE, psf=core.PsfAnalytic(psf, fwhm))
    assert error(model, truth(profile, shape, scale, psf, fwhm)) <= 1e-5


@pytest.mark.parametrize(("psf", "fwhm"), PSFS)
@pytest.mark.parametrize(("profile", "shape", "scale"), CASES[::2])
def test_convolved_with_native_psf(profile, shape, scale, psf, fwhm):
    e = galaxy(profile, shape, scale)
    array = psf_array(psf, fwhm, 1)
    model = core.render(e, SIZE, SIZE, psf=core.PsfArray(array))
    reached = error(model, truth(profile, shape, scale, psf, fwhm))
    # What the native samples do not tell is lost to any method: the band-limited reference, which
    # uses all they hold, errs by this much itself.
    limit = render.convolved(e, SIZE, SIZE, array)
    information = error(limit, truth(profile, shape, scale, psf, fwhm))
    asked = 1e-5 if fwhm >= 3.5 else 1e-3
    assert reached <= max(asked, 1.01 * information)
    # Ringing of under-sampled PSFs depends on the size of the periodic box, at their own level.
    assert error(model, limit) <= max(5e-6, 0.5 * information)


@cache
def under_gaussian(e: Ellipse, fwhm: float, size: int) -> NDArray:
    return galsim_truth.image(e, galsim_truth.psf("gaussian", fwhm), size, size)


@pytest.mark.parametrize("psf", ["array", "oversampled", "analytic"])
@pytest.mark.parametrize("fwhm", [2.5, 4.2])
@pytest.mark.parametrize(
    ("size", "x", "y"), [(33, 16.2, 15.6), (33, 3.2, 5.6), (65, 32.2, 31.6), (65, 5.2, 9.6)]
)
@pytest.mark.parametrize(
    ("n", "scale", "q", "theta"),
    [(1.0, 4.0, 0.6, 0.4), (4.0, 10.0, 0.6, 0.4), (6.0, 4.0, 0.6, 0.4), (5.0, 8.0, 0.2, 3.04)],
)
def test_compact_psf_and_galaxy_anywhere_in_its_window(n, scale, q, theta, size, x, y, fwhm, psf):
    """No wrap, no hard edge: small PSF arrays make small boxes, corners bring the copies near."""
    e = Ellipse("sersic", (n,), x, y, scale, q, theta).with_flux(1.0)
    expected = under_gaussian(e, fwhm, size)
    profile = render.psf_profile("gaussian", fwhm)
    kernel = {
        "array": lambda: core.PsfArray(render.effective_array(profile, 25)),
        "oversampled": lambda: core.PsfArray(
            render.effective_array(profile, 49, 2), oversampling=2
        ),
        "analytic": lambda: core.PsfAnalytic("gaussian", fwhm, extent=12.0),
    }[psf]()
    asked = 1e-3 if psf == "array" and fwhm < 3.5 else 1e-5
    assert error(core.render(e, size, size, psf=kernel), expected) <= asked


@pytest.mark.parametrize("fwhm", [2.2, 3.5])
@pytest.mark.parametrize("n", [1.0, 4.0])
def test_optical_psf_gets_the_pixel_once(n, fwhm):
    e = galaxy("sersic", (n,), 4.0)
    array = psf_array("gaussian", fwhm, 3, "optical")
    psf = core.PsfArray(array, oversampling=3, kind="optical")
    model = core.render(e, SIZE, SIZE, psf=psf)
    assert error(model, truth("sersic", (n,), 4.0, "gaussian", fwhm)) <= 1e-5


@pytest.mark.slow
def test_convolved_random_galaxies():
    rng = np.random.default_rng(8)
    worst = {1: 0.0, 2: 0.0}
    for _ in range(24):
        n, q = rng.uniform(0.6, 6.0), rng.uniform(0.25, 1.0)
        scale, theta = np.exp(rng.uniform(np.log(1.5), np.log(14.0))), rng.uniform(0, np.pi)
        x, y = 35 + rng.uniform(-0.5, 0.5, 2)
        e = Ellipse("sersic", (n,), x, y, scale, q, theta).with_flux(1.0)
        kind, fwhm = str(rng.choice(["gaussian", "moffat"])), rng.uniform(2.6, 5.0)
        optical = galsim_truth.psf(kind, fwhm)
        expected = galsim_truth.image(e, optical, 71, 71)
        for oversampling in (1, 2):
            array = galsim_truth.effective_array(
                galsim_truth.psf(kind, fwhm, params=galsim_truth.gsparams(1e-6)),
                2 * PSF_RADIUS * oversampling + 1,
                oversampling,
            )
            psf = core.PsfArray(array, oversampling=oversampling)
            reached = error(core.render(e, 71, 71, psf=psf), expected)
            worst[oversampling] = max(worst[oversampling], reached)
    assert worst[2] <= 1e-5
    assert worst[1] <= 1e-3


@pytest.mark.parametrize("n", [0.3, 0.5, 1.0, 2.0, 4.0, 6.0, 8.0])
@pytest.mark.parametrize("place", [(0.23, -0.37), (0.0, 0.0), (0.5, 0.5), (0.5, 0.1)])
@pytest.mark.parametrize("q", [1.0, 0.3])
def test_unconvolved_pixel_integrals(n, place, q):
    e = Ellipse("sersic", (n,), 20 + place[0], 20 + place[1], 4.0, q, 0.7).with_flux(1.0)
    expected = render.pixel_integrals(e, 41, 41)
    model = core.render(e, 41, 41)
    tolerance = 1e-6 if n <= 6 else 1e-5
    assert error(model, expected) <= tolerance
    assert abs(model.sum() - expected.sum()) <= tolerance


@pytest.mark.parametrize("scale", [0.3, 1.0, 15.0])
@pytest.mark.parametrize(
    ("profile", "shape"),
    [("exponential", ()), ("devaucouleurs", ()), ("gaussian", ()), ("moffat", (2.5,))],
)
def test_unconvolved_other_profiles(profile, shape, scale):
    e = Ellipse(profile, shape, 20.31, 19.86, scale, 0.55, 2.0).with_flux(1.0)
    expected = render.pixel_integrals(e, 41, 41)
    model = core.render(e, 41, 41)
    assert error(model, expected) <= 1e-6
    assert abs(model.sum() - expected.sum()) <= 1e-6


@pytest.mark.parametrize("sampling", ["analytic", "oversampled", "native"])
@pytest.mark.parametrize("psf", ["gaussian", "moffat"])
def test_point_source_at_any_phase(psf, sampling):
    # Native samples hold all there is where the PSF ends below their Nyquist frequency.
    fwhm = {"native gaussian": 4.0, "native moffat": 7.0}.get(f"{sampling} {psf}", 2.5)
    profile = render.psf_profile(psf, fwhm)
    size = 161
    kernel = {
        "analytic": lambda: core.PsfAnalytic(psf, fwhm),
        "oversampled": lambda: core.PsfArray(
            render.effective_array(profile, 3 * size, 3), oversampling=3
        ),
        "native": lambda: core.PsfArray(render.effective_array(profile, size)),
    }[sampling]()
    # An array is normalised at use: the Moffat's light outside it is given to what is inside.
    flux = 7.0 if sampling == "analytic" else 7.0 / kernel.array.sum()
    rng = np.random.default_rng(3)
    worst = 0.0
    for dx, dy in [(0.0, 0.0), (0.5, 0.5), *rng.uniform(-0.5, 0.5, (6, 2))]:
        x, y = 20 + dx, 20 + dy
        expected = flux * render.star(replace(profile, x=x, y=y), 41, 41)
        model = core.render([], 41, 41, psf=kernel, stars=[(x, y, 7.0)])
        worst = max(worst, error(model, expected))
    assert worst <= 1e-6


PSF_KINDS = {
    "none": lambda: None,
    "native": lambda: core.PsfArray(psf_array("gaussian", 3.0, 1)),
    "oversampled": lambda: core.PsfArray(psf_array("gaussian", 2.2, 2), oversampling=2),
    "optical": lambda: core.PsfArray(
        psf_array("gaussian", 2.2, 3, "optical"), oversampling=3, kind="optical"
    ),
    "gaussian": lambda: core.PsfAnalytic("gaussian", 2.2),
    "moffat": lambda: core.PsfAnalytic("moffat", 2.5),
}


@pytest.mark.parametrize("psf", PSF_KINDS)
@pytest.mark.parametrize(
    "e",
    [
        Ellipse("sersic", (0.5,), 20.2, 19.7, 4.0, 0.6, 0.4),
        Ellipse("sersic", (1.0,), 20.2, 19.7, 1.5, 0.9, 2.4),
        Ellipse("sersic", (4.0,), 20.5, 19.5, 6.0, 0.4, 1.4),
        Ellipse("sersic", (7.0,), 20.1, 19.6, 3.0, 0.7, 0.1),
        Ellipse("exponential", (), 20.2, 19.7, 4.0, 0.6, 0.4),
        Ellipse("devaucouleurs", (), 20.2, 19.7, 4.0, 0.6, 0.4),
        Ellipse("gaussian", (), 20.2, 19.7, 2.0, 0.6, 0.4),
        Ellipse("moffat", (2.5,), 20.2, 19.7, 3.0, 0.6, 0.4),
    ],
    ids=lambda e: f"{e.profile}{e.shape[0] if e.shape else ''}",
)
def test_derivatives_against_central_differences(e, psf):
    e = e.with_flux(1.0)
    scene, v = core.scene(e, 41, 41, psf=PSF_KINDS[psf]())
    analytic = np.asarray(scene.jacobian(v, 0))
    best = np.full(len(v), np.inf)
    # A cusp on a pixel's corner needs small steps, a smooth column large ones: the best of both.
    for factor in (1.0, 1e-2, 1e-4):
        steps = factor * core.steps(e)
        numeric = stages.central_jacobian(lambda p: scene.render(p, 0), v, steps)
        size = np.max(np.abs(numeric), axis=(1, 2))
        best = np.minimum(best, np.max(np.abs(analytic - numeric), axis=(1, 2)) / size)
    assert np.max(best) <= 1e-7


@pytest.mark.parametrize("psf", PSF_KINDS)
@pytest.mark.parametrize("n", [0.6, 1.0, 4.0, 6.0])
@pytest.mark.parametrize("start", [-0.02, 0.48])  # across a pixel's middle, across its edge
def test_moving_the_centre_is_smooth(n, psf, start):
    """Total flux and chi2 along a path of 1e-3 px steps have no jump above 1e-9 of their size.

    Fourth differences see a jump and are far smaller for a smooth path. A bare cusp is not that
    smooth itself: without a PSF the exact path is subtracted first.
    """
    e = Ellipse("sersic", (n,), 20.0, 20.0, 3.0, 0.7, 0.5).with_flux(1.0)
    kernel = PSF_KINDS[psf]()
    data = np.random.default_rng(1).normal(0.0, 1e-3, (41, 41)) + core.render(e, 41, 41, psf=kernel)
    weight = np.full((41, 41), 1e6)
    scene, v = core.scene(e, 41, 41, psf=kernel, data=data, weight=weight)
    path = np.zeros((2, 40))
    size = np.zeros((2, 40))
    for k in range(40):
        v[:2] = 20.0 + start + 1e-3 * k, 20.0 + 0.3 * 1e-3 * k
        size[:, k] = path[:, k] = scene.render(v, 0).sum(), scene.chi2(v)
        if psf == "none":
            exact = render.pixel_integrals(replace(e, x=v[0], y=v[1]), 41, 41)
            path[:, k] -= exact.sum(), stages.chi2(data, weight, exact)
    jumps = np.abs(np.diff(path, n=4, axis=1)) / np.max(np.abs(size), axis=1)[:, None]
    assert np.max(jumps) <= 1e-9


LOST = pytest.mark.xfail(
    strict=True,
    reason="n comes out 0.36 % low: native samples of a Moffat of 2.2 px do not hold its core",
)


@pytest.mark.parametrize(
    ("n", "psf", "fwhm"),
    [
        *((n, psf, fwhm) for n in (1.0, 2.5) for psf in PSF_NAMES for fwhm in (2.2, 3.5)),
        *((4.0, "gaussian", fwhm) for fwhm in (2.2, 3.5)),
        (4.0, "moffat", 3.5),
        pytest.param(4.0, "moffat", 2.2, marks=LOST),
    ],
)
def test_noise_free_fit_of_galsim_truth(n, psf, fwhm):
    e = Ellipse("sersic", (n,), 32.23, 31.63, 4.0, 0.6, np.radians(25.0)).with_flux(1000.0)
    optical = galsim_truth.psf(psf, fwhm)
    data = galsim_truth.image(e, optical, SIZE, SIZE)
    array = psf_array(psf, fwhm, 1)
    weight = np.full(data.shape, 1e4 / data.max() ** 2)
    scene, v = core.scene(e, SIZE, SIZE, psf=core.PsfArray(array), data=data, weight=weight)
    start = v * np.array([1, 1, 1.2, 1, 0.8, 1.2, 0.9]) + np.array([0.4, -0.3, 0, 15, 0, 0, 0])
    fit = scene.fit(start, {}, None)
    assert fit["status"].startswith("converged"), fit["message"]
    best = fit["v"]
    fitted = Ellipse("sersic", (best[5],), best[0], best[1], best[4], best[2], 0.0, best[6])
    assert abs(best[5] / n - 1) <= 2e-3
    assert abs(best[4] / e.scale - 1) <= 2e-3
    assert abs(best[2] / e.q - 1) <= 2e-3
    assert abs(fitted.flux / e.flux - 1) <= 2e-3
