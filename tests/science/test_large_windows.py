# SPDX-License-Identifier: BSD-3-Clause
"""Large windows are drawn in two parts: as right as in one, and as smooth in every parameter."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from reference import core, galsim_truth, render, stages
from reference.on_backends import CPU_ALONE, EVERY_BACKEND, SLOW_EMULATED
from reference.render import Ellipse

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = EVERY_BACKEND

SIZE = 240
CASES = [  # n, Re (px), q
    (0.5, 20.0, 0.8),
    (0.5, 50.0, 0.6),
    (1.0, 5.0, 0.9),
    (1.0, 40.0, 0.6),
    (2.5, 12.0, 0.5),
    (4.0, 10.0, 1.0),
    (4.0, 30.0, 0.6),
    (6.0, 8.0, 0.8),
]


def galaxy(n: float, scale: float, q: float, size: int = SIZE, **change: Any) -> Ellipse:
    middle = (size - 1) / 2
    e = Ellipse("sersic", (n,), middle + 0.27, middle - 0.41, scale, q, np.radians(25.0))
    return replace(e.with_flux(1.0), **change)


def error(image: NDArray, expected: NDArray) -> float:
    return float(np.max(np.abs(image - expected)) / np.max(np.abs(expected)))


@cache
def truth(e: Ellipse, optical: Any, size: int) -> NDArray:
    """GalSim's image; as a Gaussian where n = 0.5: its Sersic errs by up to 5e-5 there."""
    if e.shape == (0.5,):
        sigma = e.scale / np.sqrt(2 * np.log(2))
        e = replace(e, profile="gaussian", shape=(), scale=sigma).with_flux(e.flux)
    return galsim_truth.image(e, optical, size, size)


def box(scene: Any) -> tuple[int, int]:
    width, height = scene.describe()["tiles"][0]["box"]
    return int(width), int(height)


def in_parts(scene: Any, size: int = SIZE) -> bool:
    return max(box(scene)) < size


@cache
def kernel(kind: str, fwhm: float) -> Any:
    """A PSF that holds all there is: sampled twice a pixel, or analytic."""
    if kind == "analytic":
        return core.PsfAnalytic("gaussian", fwhm, extent=25.0)
    if kind == "lopsided":
        half = 25
        y, x = np.mgrid[-half : half + 1, -half : half + 1] / 2
        s = fwhm / 2.3548
        blob = np.exp(-0.5 * ((x - 1.5) ** 2 + (y + 0.8) ** 2) / (1.4 * s) ** 2)
        array = np.exp(-0.5 * (x**2 + 1.2 * y**2) / s**2) + 0.1 * blob
        return core.PsfArray(array, oversampling=2)
    profile = render.psf_profile(kind, fwhm)
    return core.PsfArray(
        render.effective_array(profile, 121 if kind == "moffat" else 61, 2), oversampling=2
    )


@pytest.mark.parametrize(("psf", "fwhm"), [("gaussian", 2.6), ("gaussian", 5.0), ("analytic", 3.0)])
@pytest.mark.parametrize(("n", "scale", "q"), CASES)
def test_against_galsim(n, scale, q, psf, fwhm):
    e = galaxy(n, scale, q)
    scene, v = core.scene(e, SIZE, SIZE, psf=kernel(psf, fwhm))
    assert in_parts(scene)
    expected = truth(e, galsim_truth.psf("gaussian", fwhm), SIZE)
    assert error(np.asarray(scene.render(v, 0)), expected) <= 1e-5


@SLOW_EMULATED
@pytest.mark.parametrize(("n", "scale", "q"), CASES)
def test_against_galsim_under_wide_wings(n, scale, q):
    e = galaxy(n, scale, q, 360)
    optical = galsim_truth.psf("moffat", 3.0)
    array = galsim_truth.effective_array(
        galsim_truth.psf("moffat", 3.0, params=galsim_truth.gsparams(1e-6)), 281, 2
    )
    scene, v = core.scene(e, 360, 360, psf=core.PsfArray(array, oversampling=2))
    assert in_parts(scene, 360)
    expected = truth(e, optical, 360)
    assert error(np.asarray(scene.render(v, 0)), expected) <= 1e-5


@pytest.mark.parametrize("place", [(30.3, 199.6), (12.2, 12.8), (228.1, 120.4), (119.5, 3.0)])
@pytest.mark.parametrize(("n", "scale", "q"), [(1.0, 20.0, 0.6), (4.0, 10.0, 0.8)])
def test_galaxy_anywhere_in_its_window(n, scale, q, place):
    e = galaxy(n, scale, q, x=place[0], y=place[1])
    scene, v = core.scene(e, SIZE, SIZE, psf=kernel("gaussian", 3.5))
    assert in_parts(scene)
    expected = truth(e, galsim_truth.psf("gaussian", 3.5), SIZE)
    assert error(np.asarray(scene.render(v, 0)), expected) <= 1e-5


@SLOW_EMULATED
@pytest.mark.parametrize("psf", ["gaussian", "moffat", "lopsided"])
@pytest.mark.parametrize("tolerance", [1e-4, 1e-5, 1e-6])
@pytest.mark.parametrize(("n", "scale", "q"), CASES)
def test_asked_tolerance_is_kept(n, scale, q, tolerance, psf):
    """Against one box, whose own error is below 1e-7 here."""
    size = 480
    e = galaxy(n, scale, q, size)
    whole, v = core.scene(e, size, size, psf=kernel(psf, 3.5), tolerance=0.0)
    parts, _ = core.scene(e, size, size, psf=kernel(psf, 3.5), tolerance=tolerance)
    assert not in_parts(whole, size)
    assert in_parts(parts, size) or (psf == "moffat" and tolerance < 1e-5)
    expected = np.asarray(whole.render(v, 0))
    assert error(np.asarray(parts.render(v, 0)), expected) <= tolerance
    exact, fields = np.asarray(whole.jacobian(v, 0)), np.asarray(parts.jacobian(v, 0))
    # Derivatives weigh small scales more.
    for column, expected in zip(fields, exact, strict=True):
        if np.any(expected):  # a circle has no position angle
            assert error(column, expected) <= 20 * tolerance


GALAXIES = [
    galaxy(0.5, 15.0, 0.6),
    galaxy(1.0, 12.0, 0.9),
    galaxy(4.0, 20.0, 0.5),
    galaxy(7.0, 10.0, 0.7),
    replace(galaxy(1.0, 12.0, 0.7), profile="exponential", shape=()),
    replace(galaxy(1.0, 12.0, 0.7), profile="gaussian", shape=()),
    replace(galaxy(2.5, 8.0, 0.7), profile="moffat"),
]


@pytest.mark.parametrize("psf", ["gaussian", "lopsided"])
@pytest.mark.parametrize("e", GALAXIES, ids=lambda e: f"{e.profile}{e.shape}")
def test_derivatives_against_central_differences(e, psf):
    e = e.with_flux(1.0)
    scene, v = core.scene(e, SIZE, SIZE, psf=kernel(psf, 3.0))
    assert in_parts(scene)
    analytic = np.asarray(scene.jacobian(v, 0))
    best = np.full(len(v), np.inf)
    for factor in (1.0, 1e-2):
        numeric = stages.central_jacobian(lambda p: scene.render(p, 0), v, factor * core.steps(e))
        size = np.max(np.abs(numeric), axis=(1, 2))
        best = np.minimum(best, np.max(np.abs(analytic - numeric), axis=(1, 2)) / size)
    assert np.max(best) <= 1e-7


@SLOW_EMULATED
@pytest.mark.parametrize("n", [0.6, 1.0, 4.0, 6.0])
@pytest.mark.parametrize("which", [0, 2, 4, 5])
def test_moving_is_smooth(which, n):
    """Total flux and chi2 along a path of small steps have no jump above 1e-9 of their size."""
    e = galaxy(n, 12.0, 0.7)
    psf = kernel("gaussian", 3.0)
    data = np.random.default_rng(1).normal(0.0, 1e-4, (SIZE, SIZE)) + core.render(
        e, SIZE, SIZE, psf=psf
    )
    weight = np.full(data.shape, 1e8)
    scene, start = core.scene(e, SIZE, SIZE, psf=psf, data=data, weight=weight)
    assert in_parts(scene)
    path = np.zeros((2, 40))
    for k in range(40):
        v = start.copy()
        v[which] += 1e-3 * k * (1.0 if which == 0 else 0.1 * start[which])
        path[:, k] = scene.render(v, 0).sum(), scene.chi2(v)
    jumps = np.abs(np.diff(path, n=4, axis=1)) / np.max(np.abs(path), axis=1)[:, None]
    assert np.max(jumps) <= 1e-9


def test_far_from_the_plan():
    """Sizes, shapes and places that a fit may try before it is planned anew."""
    e = galaxy(2.0, 12.0, 0.7)
    scene, v = core.scene(e, SIZE, SIZE, psf=kernel("gaussian", 3.5))
    assert in_parts(scene)
    for change in (
        {"scale": 5.0},
        {"scale": 40.0},
        {"q": 0.95},
        {"theta": np.radians(115.0), "q": 0.8},
        {"x": v[0] + 4.0, "y": v[1] - 3.0},
        {"shape": (6.0,)},
    ):
        there = replace(e, **change)
        expected = core.render(there, SIZE, SIZE, psf=kernel("gaussian", 3.5), tolerance=0.0)
        assert error(np.asarray(scene.render(core.slots(there), 0)), expected) <= 2e-5, change


def test_fit_from_far_off_is_planned_anew():
    size = 300
    e = galaxy(2.0, 25.0, 0.5, size).with_flux(1e4)
    psf = kernel("gaussian", 3.5)
    data = core.render(e, size, size, psf=psf, tolerance=0.0)
    scene, v = core.scene(e, size, size, psf=psf, data=data, weight=np.full(data.shape, 1e2))
    start = v * np.array([1, 1, 1.7, 1, 0.4, 0.6, 2.0]) + np.array([9, -8, 0, 70, 0, 0, 0])
    fit = scene.fit(start, {}, None)
    assert fit["status"].startswith("converged"), fit["message"]
    assert in_parts(scene, size)
    # The two parts' 1e-5 of the peak is what the fit can know.
    assert np.max(np.abs(fit["v"] - v) / np.array([1, 1, 1, 60, 25, 2, v[6]])) <= 1e-4


@CPU_ALONE
def test_any_number_of_threads():
    e = galaxy(3.0, 20.0, 0.7)
    results = []
    for n_threads in (1, 2, 3):
        scene, v = core.scene(e, SIZE, SIZE, psf=kernel("gaussian", 3.0), n_threads=n_threads)
        assert in_parts(scene)
        results.append([scene.render(v, 0), *scene.linearize(v)[:3]])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert np.array_equal(a, b)


@pytest.mark.parametrize("n", [1.0, 4.0])
def test_turning_by_a_right_angle(n):
    size = 301
    e = galaxy(n, 20.0, 0.6, size)
    psf = kernel("gaussian", 3.0)
    turned = replace(e, x=size - 1 - e.y, y=e.x, theta=e.theta + np.pi / 2)
    image = core.render(e, size, size, psf=psf)
    other = core.render(turned, size, size, psf=psf)
    assert error(np.rot90(other), image) <= 1e-9


@pytest.mark.parametrize(("size", "q"), [(150, 0.8), (240, 0.05)])
def test_one_box_where_two_parts_do_not_pay(size, q):
    e = galaxy(1.0, 10.0, q, size)
    scene, _ = core.scene(e, size, size, psf=kernel("gaussian", 3.0))
    assert not in_parts(scene, size)


def test_one_box_for_what_the_filter_cannot_hold():
    y, x = np.mgrid[-40:41, -40:41]
    halo = np.exp(-0.5 * (x**2 + y**2) / 1.3**2) + 1e-3 / (1.0 + np.hypot(x, y) / 10.0)
    scene, _ = core.scene(galaxy(1.0, 10.0, 0.8), SIZE, SIZE, psf=core.PsfArray(halo))
    assert not in_parts(scene)


@pytest.mark.parametrize("shift", [40.0, 60.0, 80.0])
def test_a_compiled_scene_draws_away_from_its_start(shift):
    e = galaxy(2.0, 12.0, 0.6)
    moved = replace(e, x=e.x - shift, y=e.y + 0.5 * shift)
    psf = kernel("gaussian", 3.0)
    scene, v = core.scene(e, SIZE, SIZE, psf=psf)
    there, w = core.scene(moved, SIZE, SIZE, psf=psf)
    assert in_parts(scene)
    assert error(scene.render(w, 0), there.render(w, 0)) <= 2e-5
    assert scene.linearize(w)[0] == pytest.approx(there.linearize(w)[0], rel=1e-4)
    np.testing.assert_array_equal(
        scene.render(v, 0), core.scene(e, SIZE, SIZE, psf=psf)[0].render(v, 0)
    )
