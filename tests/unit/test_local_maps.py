# SPDX-License-Identifier: BSD-3-Clause
"""Local maps of many windows at once are those of each by itself, and as good as they say."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from numpy.testing import assert_allclose, assert_array_equal

import jointlight as jl
from jointlight.wcs import LinearPlane, fit_local_map, fit_local_maps

SIZE = 400


def distorted() -> WCS:
    """A tangent projection with third-order SIP terms: 1 px at the corners."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    wcs.wcs.crval = [210.0, 35.0]
    wcs.wcs.crpix = [SIZE / 2, SIZE / 2]
    wcs.wcs.cd = 0.2 / 3600 * np.array([[-0.8, 0.6], [0.6, 0.8]])
    a, b = np.zeros((4, 4)), np.zeros((4, 4))
    a[2, 0], a[1, 1], a[0, 3] = 2e-5, -1e-5, 1e-8
    b[0, 2], b[2, 1], b[3, 0] = -1e-5, 1e-8, 1e-8
    from astropy.wcs import Sip

    wcs.sip = Sip(a, b, None, None, wcs.wcs.crpix)
    return wcs


@pytest.fixture(scope="module")
def image() -> jl.TargetImage:
    return jl.TargetImage(np.zeros((SIZE, SIZE)), variance=1.0, wcs=distorted())


@pytest.fixture(scope="module")
def windows(rng_module: np.random.Generator) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    found = []
    for _ in range(300):  # more than one batch
        x, y = rng_module.integers(0, SIZE - 60, 2)
        w, h = rng_module.integers(1, 60, 2)
        found.append(((int(x), int(x + w)), (int(y), int(y + h))))
    return found


@pytest.fixture(scope="module")
def rng_module() -> np.random.Generator:
    return np.random.default_rng(5)


def test_many_are_each(image: jl.TargetImage, windows: list) -> None:
    x = np.array([0.5 * sum(w[0]) for w in windows])
    y = np.array([0.5 * sum(w[1]) for w in windows])
    together = image.local_maps(x, y, windows)
    for i in range(0, len(windows), 7):
        one = image.local_map(x[i], y[i], windows[i])
        for name in ("anchor_pixel", "anchor_plane", "jacobian", "quadratic"):
            assert_array_equal(getattr(together[i], name), getattr(one, name))
        assert together[i].error_px == one.error_px


def test_errors_against_the_wcs(image: jl.TargetImage, windows: list) -> None:
    """Every pixel of a window, by astropy's own projection of sky positions onto the plane."""
    wcs, reference = distorted(), image.reference
    assert isinstance(reference, SkyCoord)
    x = np.array([0.5 * sum(w[0]) for w in windows])
    y = np.array([0.5 * sum(w[1]) for w in windows])
    worst = 0.0
    for (range_x, range_y), local in list(
        zip(windows, image.local_maps(x, y, windows), strict=True)
    )[::10]:
        px, py = np.meshgrid(np.arange(*range_x, dtype=float), np.arange(*range_y, dtype=float))
        sky = wcs.pixel_to_world(px, py)
        dra, dec, dec0 = sky.ra.rad - reference.ra.rad, sky.dec.rad, reference.dec.rad
        cosine = np.sin(dec0) * np.sin(dec) + np.cos(dec0) * np.cos(dec) * np.cos(dra)
        east = np.degrees(np.cos(dec) * np.sin(dra) / cosine) * 3600
        tilt = np.cos(dec0) * np.sin(dec) - np.sin(dec0) * np.cos(dec) * np.cos(dra)
        north = np.degrees(tilt / cosine) * 3600
        got_x, got_y = local.plane_to_pixel(east, north)
        miss = float(np.hypot(got_x - px, got_y - py).max())
        worst = max(worst, miss)
        # The nodes include the window's corners; between them nothing is much worse.
        assert miss <= 1.2 * local.error_px + 1e-7
    assert 1e-6 < worst < 1e-3


def test_a_straight_map_stays_straight() -> None:
    plane = LinearPlane(0.3, (10.0, 20.0))
    windows = [((0, 30), (0, 30)), ((5, 6), (5, 6)), ((0, 400), (7, 8))]
    for local in fit_local_maps(plane, [3.0, 5.0, 100.0], [4.0, 5.0, 7.0], windows):
        assert_allclose(local.jacobian, [[-0.3, 0.0], [0.0, 0.3]], rtol=0, atol=1e-12)
        assert_array_equal(local.quadratic, np.zeros((2, 3)))
        assert local.error_px < 1e-9


def test_no_windows() -> None:
    assert fit_local_maps(LinearPlane(0.3, (0.0, 0.0)), [], [], []) == []


@pytest.mark.parametrize("bad", [0, 1])
def test_one_bad_anchor_among_many(bad: int) -> None:
    plane = LinearPlane(0.3, (0.0, 0.0))
    x = [3.0, 4.0]
    x[bad] = np.nan
    with pytest.raises(jl.InvalidInput, match="x, y"):
        fit_local_maps(plane, x, [3.0, 4.0], [((0, 9), (0, 9))] * 2)
    with pytest.raises(jl.InvalidInput, match="x, y"):
        fit_local_map(plane, np.nan, 4.0, ((0, 9), (0, 9)))
