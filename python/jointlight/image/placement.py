# SPDX-License-Identifier: BSD-3-Clause
"""Where an image is on the sky, from what a user says about it."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS

from jointlight import wcs as geometry
from jointlight.errors import Described, invalid
from jointlight.wcs import PlaneMap, SkyPlane

Reference: TypeAlias = SkyCoord | tuple[float, float]
_PROBE = 33  # nodes an axis, to look for a pixel that is on the sky


def parse_reference(reference: object) -> SkyCoord:
    """Return a single ICRS position for a SkyCoord or (RA, Dec) in degrees."""
    if isinstance(reference, SkyCoord):
        if not reference.isscalar:
            raise invalid("reference", reference, "a single position")
        icrs = reference.icrs
        ra, dec = float(icrs.ra.deg), float(icrs.dec.deg)
    else:
        ra, dec = parse_pair("reference", reference, "a SkyCoord or (RA, Dec) in degrees")
    if not (np.isfinite(ra) and -90.0 <= dec <= 90.0):
        raise invalid("reference", reference, "a position on the sky")
    return SkyCoord(ra, dec, unit="deg", frame="icrs")


def same_position(a: SkyCoord | None, b: SkyCoord | None) -> bool:
    """Whether two ICRS references are the same point, to 1e-9 arcsec or so."""
    if a is None or b is None:
        return a is b
    return bool(np.abs(geometry.sky_vectors(a) - geometry.sky_vectors(b)).max() < 1e-14)


def parse_pair(argument: str, value: object, allowed: str) -> tuple[float, float]:
    try:
        pair = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise invalid(argument, value, allowed) from None
    if pair.shape != (2,) or not np.all(np.isfinite(pair)):
        raise invalid(argument, value, allowed)
    return float(pair[0]), float(pair[1])


def sky_plane(
    wcs: Any,
    reference: SkyCoord | None,
    origin: tuple[float, float] | None,
    shape: tuple[int, int],
) -> SkyPlane:
    """The plane of an image with a WCS, about its middle unless told otherwise."""
    height, width = shape
    middle = ((width - 1) / 2.0, (height - 1) / 2.0)
    if isinstance(wcs, SkyPlane):  # of another image
        if origin is not None:
            reference = wcs.pixel_to_world(*origin)
        return wcs if reference is None else wcs.with_reference(reference)
    plane = SkyPlane(wcs, reference, origin=origin or middle)
    if reference is not None or np.isfinite(plane.pixel_to_plane(*middle)).all():
        return plane
    if origin is not None:
        raise invalid("origin", origin, "a pixel that the WCS puts on the sky")
    # All-sky projections leave much of their array empty, perhaps the middle too.
    x, y = (
        grid.ravel()
        for grid in np.meshgrid(
            np.linspace(0, width - 1, _PROBE), np.linspace(0, height - 1, _PROBE)
        )
    )
    on_sky = np.isfinite(plane.pixel_to_vectors(x, y)).all(axis=-1)
    if not on_sky.any():
        raise invalid("wcs", Described("one that gives no pixel a place"), "defined on the image")
    distance = np.where(on_sky, np.hypot(x - middle[0], y - middle[1]), np.inf)
    nearest = int(np.argmin(distance))
    return plane.with_reference(plane.pixel_to_world(x[nearest], y[nearest]))


def measured_scale(plane: PlaneMap, shape: tuple[int, int]) -> float:
    """Arcsec per pixel at the array's middle, or where the plane's origin is."""
    height, width = shape
    jacobian = plane.jacobian((width - 1) / 2.0, (height - 1) / 2.0)
    if not np.isfinite(jacobian).all():
        jacobian = plane.jacobian(*plane.plane_to_pixel(0.0, 0.0))
    det = abs(float(np.linalg.det(jacobian)))
    if not det > 1e-9 * float(np.sum(jacobian**2)):
        raise invalid(
            "wcs",
            Described(f"a singular one (d(sky)/d(pixel) = {np.round(jacobian, 6).tolist()})"),
            "invertible",
            "check its CD or PC matrix and CDELT",
        )
    return float(np.sqrt(det))


def north_up_wcs(reference: SkyCoord, scale: float, origin: tuple[float, float]) -> WCS:
    """A TAN WCS with North up, East left and `reference` at pixel `origin`."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [reference.ra.deg, reference.dec.deg]
    wcs.wcs.crpix = [origin[0] + 1.0, origin[1] + 1.0]
    wcs.wcs.cdelt = [-scale / 3600.0, scale / 3600.0]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.set()
    return wcs
