# SPDX-License-Identifier: BSD-3-Clause
"""Maps between the pixels of an image and the plane."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from astropy.wcs.wcsapi import SlicedLowLevelWCS
from numpy.typing import ArrayLike

from jointlight.wcs.headers import low_level_celestial, unusable_wcs
from jointlight.wcs.sky import Celestial, Floats, Gnomonic, sky_coordinates, sky_vectors

_INVERSE_TOLERANCE = 1e-8  # px
_INVERSE_FOUND = 1e-3  # px; farther off than this, the search went astray and gives NaN
_INVERSE_STEPS = 25


class PlaneMap(ABC):
    """What takes an image's pixels to the plane in arcsec and back."""

    reference: SkyCoord | None = None
    """Sky position of the plane's origin; None where the image has no place on the sky."""

    @abstractmethod
    def pixel_to_plane(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Plane coordinates in arcsec of pixel coordinates."""

    @abstractmethod
    def plane_to_pixel(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Pixel coordinates of plane coordinates in arcsec."""

    @abstractmethod
    def shifted(self, dx: float, dy: float) -> PlaneMap:
        """Return the map of an image whose pixel (0, 0) is this one's pixel (dx, dy)."""

    def jacobian(self, x: ArrayLike, y: ArrayLike) -> Floats:
        """Derivatives d(plane)/d(pixel) in arcsec per pixel, shape (..., 2, 2)."""
        x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
        step = np.array([0.5, -0.5, 0.0, 0.0])
        at_x = x[..., None] + step
        at_y = y[..., None] + step[::-1]
        plane = np.stack(self.pixel_to_plane(at_x, at_y), axis=-2)  # [..., plane axis, node]
        return np.stack([plane[..., 0] - plane[..., 1], plane[..., 3] - plane[..., 2]], axis=-1)


class LinearPlane(PlaneMap):
    """An image without WCS: North up, East left.

    Parameters
    ----------
    pixelscale : float
        Arcsec per pixel.
    origin : tuple of float
        Pixel (x, y) at which the plane has its origin.
    """

    def __init__(self, pixelscale: float, origin: tuple[float, float]) -> None:
        self.pixelscale = float(pixelscale)
        self.origin = (float(origin[0]), float(origin[1]))

    def pixel_to_plane(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
        scale = self.pixelscale
        return (self.origin[0] - x) * scale, (y - self.origin[1]) * scale

    def plane_to_pixel(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
        return self.origin[0] - x / self.pixelscale, self.origin[1] + y / self.pixelscale

    def shifted(self, dx: float, dy: float) -> LinearPlane:
        return LinearPlane(self.pixelscale, (self.origin[0] - dx, self.origin[1] - dy))

    def __repr__(self) -> str:
        return f"LinearPlane({self.pixelscale!r}, {self.origin!r})"


class SkyPlane(PlaneMap):
    """The plane about `reference`, seen through an image's WCS.

    Parameters
    ----------
    wcs : WCS, Header or APE 14 object
        Celestial and two-dimensional, or with a celestial part.
    reference : SkyCoord, optional
        Where the plane touches the sky. Default: the sky position of `origin`.
    origin : tuple of float
        Pixel whose sky position is the default reference, and where the search for a pixel
        starts if the WCS has no inverse.
    """

    def __init__(
        self,
        wcs: Any,
        reference: SkyCoord | None = None,
        *,
        origin: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self._celestial = Celestial(low_level_celestial(wcs))
        self._offset = (0.0, 0.0)
        self._anchor = (float(origin[0]), float(origin[1]))  # in the WCS's own frame
        if reference is None:
            try:
                vector = self._celestial.vectors(np.asarray(origin[0]), np.asarray(origin[1]))
            except Exception as error:
                raise unusable_wcs(error) from error
            reference = sky_coordinates(vector)
        self._set_reference(reference)

    def _set_reference(self, reference: SkyCoord) -> None:
        icrs = reference.icrs
        ra, dec = float(icrs.ra.deg), float(icrs.dec.deg)
        self.reference = SkyCoord(ra, dec, unit="deg", frame="icrs")
        self._projection = Gnomonic(ra, dec)

    @property
    def wcs(self) -> Any:
        """The WCS as given, which counts pixels from `offset`."""
        return self._celestial.wcs

    @property
    def offset(self) -> tuple[float, float]:
        """Pixel of the WCS's own frame that is pixel (0, 0) here."""
        return self._offset

    def with_reference(self, reference: SkyCoord) -> SkyPlane:
        """Return the same image on the plane about another point."""
        other = copy.copy(self)
        other._set_reference(reference)
        return other

    def shifted(self, dx: float, dy: float) -> SkyPlane:
        other = copy.copy(self)
        other._offset = (self._offset[0] + dx, self._offset[1] + dy)
        return other

    def pixel_to_vectors(self, x: ArrayLike, y: ArrayLike) -> Floats:
        """ICRS unit vectors (..., 3) of pixel coordinates."""
        x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
        return self._celestial.vectors(x + self._offset[0], y + self._offset[1])

    def pixel_to_plane(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        return self._projection.project(self.pixel_to_vectors(x, y))

    def pixel_to_world(self, x: ArrayLike, y: ArrayLike) -> SkyCoord:
        """ICRS coordinates of pixel coordinates."""
        return sky_coordinates(self.pixel_to_vectors(x, y))

    def plane_to_world(self, x: ArrayLike, y: ArrayLike) -> SkyCoord:
        """ICRS coordinates of plane coordinates in arcsec."""
        return sky_coordinates(self._projection.unproject(x, y))

    def world_to_plane(self, world: SkyCoord) -> tuple[Floats, Floats]:
        """Plane coordinates in arcsec of sky coordinates."""
        return self._projection.project(sky_vectors(world))

    def world_to_pixel(self, world: SkyCoord) -> tuple[Floats, Floats]:
        """Pixel coordinates of sky coordinates."""
        return self._invert(sky_vectors(world))

    def plane_to_pixel(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        return self._invert(self._projection.unproject(x, y))

    def _invert(self, vectors: Floats) -> tuple[Floats, Floats]:
        """Pixels of unit vectors: the WCS's own inverse, polished with its forward map.

        Distorted WCSs invert to 1e-4 px or so, and some not at all; the forward map is exact.
        """
        shape = vectors.shape[:-1]
        vectors = vectors.reshape(-1, 3)
        x, y = self._celestial.pixels(vectors)
        lost = ~(np.isfinite(x) & np.isfinite(y))
        x = np.where(lost, self._anchor[0], x) - self._offset[0]
        y = np.where(lost, self._anchor[1], y) - self._offset[1]
        target_x, target_y = self._projection.project(vectors)
        best = np.full(x.shape, np.inf)
        best_x, best_y = np.full(x.shape, np.nan), np.full(x.shape, np.nan)
        inverse = self._inverse_jacobian(x, y)
        for _ in range(_INVERSE_STEPS):
            plane_x, plane_y = self.pixel_to_plane(x, y)
            miss = np.stack([target_x - plane_x, target_y - plane_y], axis=-1)
            step = np.einsum("nij,nj->ni", inverse, miss)
            size = np.hypot(step[:, 0], step[:, 1])
            better = size < best
            best[better], best_x[better], best_y[better] = size[better], x[better], y[better]
            if not np.any(better & (size > _INVERSE_TOLERANCE)):
                break
            x, y = np.where(better, x + step[:, 0], x), np.where(better, y + step[:, 1], y)
        found = best < _INVERSE_FOUND
        best_x, best_y = np.where(found, best_x, np.nan), np.where(found, best_y, np.nan)
        return best_x.reshape(shape)[()], best_y.reshape(shape)[()]

    def _inverse_jacobian(self, x: Floats, y: Floats) -> Floats:
        """d(pixel)/d(plane), shape (n, 2, 2), with NaN where there is none."""
        a, b, c, d = np.moveaxis(self.jacobian(x, y).reshape(-1, 4), -1, 0)
        with np.errstate(all="ignore"):
            inverse = np.stack([d, -b, -c, a], axis=-1) / (a * d - b * c)[:, None]
        return inverse.reshape(-1, 2, 2)

    def image_wcs(self) -> Any:
        """The WCS as an astropy object that counts the image's own pixels."""
        dx, dy = (round(shift) for shift in self._offset)
        if (dx, dy) == (0, 0):
            return self.wcs
        part = (slice(dy, None), slice(dx, None))
        if isinstance(self.wcs, WCS):
            return self.wcs.slice(part)
        return SlicedLowLevelWCS(self.wcs, part)

    def __repr__(self) -> str:
        at = "" if self.reference is None else self.reference.to_string("decimal", precision=6)
        return f"<SkyPlane of {type(self.wcs).__name__} about {at}>"
