# SPDX-License-Identifier: BSD-3-Clause
"""A model lands where astropy says its sky position is, in every corner of a distorted image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from astropy.wcs import WCS, Sip

from reference.on_backends import EVERY_BACKEND

pytestmark = EVERY_BACKEND

jl = pytest.importorskip("jointlight")


def tan(size: int, scale: float, rotation: float, parity: int) -> WCS:
    w = WCS(naxis=2)
    w.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    w.wcs.crval = [30.0, 60.0]
    w.wcs.crpix = [size / 2 - 3.2, size / 2 + 5.7]
    c, s = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    w.wcs.cd = scale / 3600 * np.array([[c, -s], [s, c]]) @ np.diag([parity, 1])
    return w


def sip(size: int) -> WCS:
    w = tan(size, 0.6, 23.0, -1)
    w.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    a, b = np.zeros((4, 4)), np.zeros((4, 4))
    a[2, 0], a[1, 1], a[0, 2], a[3, 0] = 2e-5, -1e-5, 5e-6, 3e-9
    b[2, 0], b[1, 1], b[0, 2], b[0, 3] = -4e-6, 1.2e-5, 1.8e-5, -2e-9
    w.sip = Sip(a, b, None, None, w.wcs.crpix)
    return w


SKIES = {
    "tan": lambda size: tan(size, 0.5, 0.0, -1),
    "rotated mirrored": lambda size: tan(size, 0.9, 77.0, 1),
    "wide": lambda size: tan(size, 6.0, 12.0, -1),
    "sip": sip,
}


def far(w: WCS, arcsec: float) -> WCS:
    """A first image whose tangent point lies elsewhere."""
    other = tan(64, 0.5, 0.0, -1)
    other.wcs.crval = w.wcs.crval + np.array([2 * arcsec, -arcsec]) / 3600
    return other


@pytest.mark.parametrize("sky", SKIES)
@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_local_map_across_the_tile(sky, offset):
    size = 200
    w = SKIES[sky](size)
    image = jl.TargetImage(np.zeros((size, size)), wcs=w, variance=1.0, name="image")
    first = jl.TargetImage(np.zeros((64, 64)), wcs=far(w, offset), variance=1.0, name="first")
    images: Any = jl.TargetImageList([first, image])
    image = images[1]
    ys, xs = np.mgrid[60:141:8, 60:141:8].astype(float)
    local = image.local_map(101.3, 97.8, ((60, 141), (60, 141)))
    world = w.all_pix2world(np.column_stack([xs.ravel(), ys.ravel()]), 0)
    from astropy.coordinates import SkyCoord

    plane = np.array(image.world_to_plane(SkyCoord(world[:, 0], world[:, 1], unit="deg")))
    d = plane - np.asarray(local.anchor_plane)[:, None]
    squares = np.array([d[0] ** 2, d[0] * d[1], d[1] ** 2])
    pixel = (
        np.asarray(local.anchor_pixel)[:, None]
        + np.linalg.solve(np.asarray(local.jacobian), d)
        + np.asarray(local.quadratic) @ squares
    )
    error = np.max(np.hypot(pixel[0] - xs.ravel(), pixel[1] - ys.ravel()))
    assert error <= 1e-3
    assert error <= 1.05 * local.error_px + 1e-6  # the error is measured, not assumed


@pytest.mark.parametrize("sky", SKIES)
def test_a_rendered_source_is_where_astropy_says(sky):
    from astropy.coordinates import SkyCoord

    size = 200
    w = SKIES[sky](size)
    first = jl.TargetImage(np.zeros((64, 64)), wcs=far(w, 60.0), variance=1.0, name="first")
    for px, py in [(30.4, 40.2), (165.7, 33.1), (101.0, 170.6)]:
        ra, dec = w.all_pix2world([[px, py]], 0)[0]
        scale = np.sqrt(np.abs(np.linalg.det(w.pixel_scale_matrix))) * 3600
        image = jl.TargetImage(
            np.zeros((size, size)),
            wcs=w,
            variance=1.0,
            name="image",
            psf=jl.gaussian_psf(fwhm=3.0 * scale, pixelscale=scale),
        )
        images = jl.TargetImageList([first, image])
        star = jl.Model("point source", target=image, name="star", amplitude="flux")
        star["center"].value = SkyCoord(ra, dec, unit="deg")
        star["flux"].value = 1.0
        group = jl.Model("group", target=images, models=[star], name="all")
        drawn = np.asarray(group.image(images[1]))
        ys, xs = np.mgrid[:size, :size]
        x, y = np.sum(drawn * xs) / drawn.sum(), np.sum(drawn * ys) / drawn.sum()
        assert np.hypot(x - px, y - py) <= 1e-3
