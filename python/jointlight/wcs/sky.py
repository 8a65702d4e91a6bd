# SPDX-License-Identifier: BSD-3-Clause
"""Directions on the sky: unit vectors, the gnomonic projection, and a WCS seen through them."""

from __future__ import annotations

import threading
from typing import Any, TypeAlias

import numpy as np
from astropy.coordinates import ICRS, SkyCoord
from astropy.units import Unit
from numpy.typing import ArrayLike, NDArray

from jointlight.errors import Described, invalid
from jointlight.wcs.headers import unusable_wcs

Floats: TypeAlias = NDArray[np.float64]

ARCSEC = np.degrees(1.0) * 3600.0  # arcsec per radian


def unit_vectors(lon: ArrayLike, lat: ArrayLike) -> Floats:
    """Unit vectors, shape (..., 3), of spherical coordinates in radians."""
    lon, lat = np.broadcast_arrays(np.asarray(lon, float), np.asarray(lat, float))
    cos_lat = np.cos(lat)
    return np.stack([cos_lat * np.cos(lon), cos_lat * np.sin(lon), np.sin(lat)], axis=-1)


def sky_coordinates(vectors: Floats) -> SkyCoord:
    """ICRS coordinates of unit vectors, shape (..., 3)."""
    lon = np.degrees(np.arctan2(vectors[..., 1], vectors[..., 0])) % 360.0
    lat = np.degrees(np.arctan2(vectors[..., 2], np.hypot(vectors[..., 0], vectors[..., 1])))
    return SkyCoord(lon, lat, unit="deg", frame="icrs")


def sky_vectors(world: SkyCoord) -> Floats:
    """ICRS unit vectors, shape (..., 3), of coordinates in any frame."""
    icrs = world.icrs
    return unit_vectors(icrs.ra.rad, icrs.dec.rad)


class Gnomonic:
    """Gnomonic (TAN) projection about a point of the sky.

    Parameters
    ----------
    ra, dec : float
        ICRS position of the plane's origin in degrees.
    """

    def __init__(self, ra: float, dec: float) -> None:
        self.ra, self.dec = float(ra), float(dec)
        a, d = np.radians([self.ra, self.dec])
        self._basis = np.array(  # rows: East, North, outwards
            [
                [-np.sin(a), np.cos(a), 0.0],
                [-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)],
                [np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)],
            ]
        )

    def project(self, vectors: Floats) -> tuple[Floats, Floats]:
        """Plane coordinates in arcsec of unit vectors (..., 3); NaN on the far hemisphere."""
        east, north, out = np.moveaxis(vectors @ self._basis.T, -1, 0)
        out = np.where(out > 0.0, out, np.nan)
        return ARCSEC * east / out, ARCSEC * north / out

    def unproject(self, x: ArrayLike, y: ArrayLike) -> Floats:
        """Unit vectors (..., 3) of plane coordinates in arcsec."""
        x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
        local = np.stack([x / ARCSEC, y / ARCSEC, np.ones_like(x)], axis=-1)
        local /= np.linalg.norm(local, axis=-1, keepdims=True)
        return np.asarray(local @ self._basis)


class Celestial:
    """A two-dimensional celestial WCS, seen as a map between pixels and ICRS unit vectors."""

    def __init__(self, low_level: Any) -> None:
        self.wcs = low_level
        lon, lat, frame = _celestial_axes(low_level)
        units = [str(unit) for unit in low_level.world_axis_units]
        self._axes = (lon, lat)
        self._to_radians = [_radians_per(units[lon]), _radians_per(units[lat])]
        self._frame = frame
        self._rotation = _rotation_to_icrs(frame)
        self._lock = threading.Lock()  # wcslib sets up its structures at the first call

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def vectors(self, x: Floats, y: Floats) -> Floats:
        """ICRS unit vectors (..., 3) of pixels; NaN where the projection is not defined."""
        with self._lock, np.errstate(invalid="ignore"):
            world = self.wcs.pixel_to_world_values(x, y)
        lon, lat = (
            np.asarray(world[axis], dtype=float) * factor
            for axis, factor in zip(self._axes, self._to_radians, strict=True)
        )
        if self._rotation is not None:
            return np.asarray(unit_vectors(lon, lat) @ self._rotation.T)
        return sky_vectors(SkyCoord(lon, lat, unit="rad", frame=self._frame))

    def pixels(self, vectors: Floats) -> tuple[Floats, Floats]:
        """Pixels of ICRS unit vectors as the WCS itself inverts them; NaN where it cannot."""
        if self._rotation is not None:
            vectors = vectors @ self._rotation
            lon = np.arctan2(vectors[..., 1], vectors[..., 0]) % (2.0 * np.pi)
            lat = np.arctan2(vectors[..., 2], np.hypot(vectors[..., 0], vectors[..., 1]))
        else:
            spherical = sky_coordinates(vectors).transform_to(self._frame).spherical
            lon, lat = spherical.lon.rad, spherical.lat.rad
        world: list[Any] = [None, None]
        for axis, factor, value in zip(self._axes, self._to_radians, (lon, lat), strict=True):
            world[axis] = value / factor
        try:
            with self._lock, np.errstate(invalid="ignore"):
                x, y = self.wcs.world_to_pixel_values(*world)
        except Exception as error:
            best = getattr(error, "best_solution", None)  # astropy's NoConvergence
            if best is None:
                return np.full(lon.shape, np.nan), np.full(lon.shape, np.nan)
            x, y = np.asarray(best, dtype=float).T
        return np.reshape(np.asarray(x, float), lon.shape), np.reshape(
            np.asarray(y, float), lon.shape
        )


def _celestial_axes(wcs: Any) -> tuple[int, int, Any]:
    """World axes of longitude and latitude, and their frame."""
    try:
        classes = wcs.world_axis_object_classes
        for name, entry in classes.items():
            if not issubclass(entry[0], SkyCoord):
                continue
            frame = entry[2].get("frame", ICRS())
            places = {
                component[1]: axis
                for axis, component in enumerate(wcs.world_axis_object_components)
                if component[0] == name
            }
            return places[0], places[1], SkyCoord(0.0, 0.0, unit="deg", frame=frame).frame
    except Exception as error:
        raise unusable_wcs(error) from error
    kinds = ", ".join(str(kind) for kind in wcs.world_axis_physical_types)
    raise invalid("wcs", Described(f"one with world axes {kinds}"), "celestial")


def _radians_per(unit: str) -> float:
    return float(Unit(unit or "deg").to("rad"))


def _rotation_to_icrs(frame: Any) -> Floats | None:
    """Matrix from a frame's unit vectors to ICRS ones, None where it is not a mere rotation."""
    if isinstance(frame, ICRS):
        return np.eye(3)
    trial = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [0.6, 0.0, 0.8], [0.48, -0.64, -0.6]])
    lon = np.arctan2(trial[:, 1], trial[:, 0])
    lat = np.arcsin(trial[:, 2])
    plain = frame.replicate_without_data()
    try:
        images = sky_vectors(SkyCoord(lon, lat, unit="rad", frame=plain))
    except Exception as error:
        raise invalid(
            "wcs", Described(f"one in {type(frame).__name__}"), "in a frame that leads to ICRS"
        ) from error
    rotation = images[:3].T
    return rotation if np.abs(trial @ rotation.T - images).max() < 1e-14 else None
