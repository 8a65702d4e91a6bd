# SPDX-License-Identifier: BSD-3-Clause
"""From the pixels of one image to the tangent plane that all images of a scene share.

Pixels are 0-based, ``x`` the column and ``y`` the row, integer at the pixel's centre. The plane is
the gnomonic projection of the sky about a reference position, in arcsec, +x East and +y North.
Every image keeps its own WCS, whatever astropy can evaluate; `local_map` replaces it over one
window by a quadratic map and says how far that is off.
"""

from __future__ import annotations

import copy
import threading
import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from astropy.coordinates import ICRS, SkyCoord
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from astropy.wcs.wcsapi import SlicedLowLevelWCS
from numpy.typing import ArrayLike, NDArray

from jointlight.errors import Described, invalid, warn_user

__all__ = ["Gnomonic", "LinearPlane", "LocalMap", "PlaneMap", "SkyPlane", "fit_local_map"]

Floats: TypeAlias = NDArray[np.float64]
Window: TypeAlias = tuple[tuple[int, int], tuple[int, int]]

ARCSEC = np.degrees(1.0) * 3600.0  # arcsec per radian
_NODES = 15  # nodes an axis at which a window's map is evaluated; real distortions are of order < 8
_MARGIN = 2.0  # px about the anchor that the nodes always cover, so that thin windows have a slope
_CORE = 0.05  # of the window's size: within this all errors count alike
_ROUND_OFF = 1e-7  # px; an affine map this good is exact but for the sky coordinates' round-off
_SINGULAR = 1e-9  # |det| / |J|^2 below which pixels collapse to a line
_INVERSE_TOLERANCE = 1e-8  # px
_INVERSE_STEPS = 25


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


class _Celestial:
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


class SkyPlane(PlaneMap):
    """The plane about `reference`, seen through an image's WCS.

    Parameters
    ----------
    wcs : WCS, Header or APE 14 object
        Celestial and two-dimensional, or with a celestial part.
    reference : SkyCoord, optional
        Where the plane touches the sky. Default: the sky position of `origin`.
    origin : tuple of float
        Pixel whose sky position is the default reference.
    """

    def __init__(
        self,
        wcs: Any,
        reference: SkyCoord | None = None,
        *,
        origin: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self._celestial = _Celestial(low_level_celestial(wcs))
        self._offset = (0.0, 0.0)
        if reference is None:
            try:
                vector = self._celestial.vectors(np.asarray(origin[0]), np.asarray(origin[1]))
            except Exception as error:
                raise _unusable(error) from error
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
        x, y = x - self._offset[0], y - self._offset[1]
        target_x, target_y = self._projection.project(vectors)
        inverse: Floats | None = None
        best = np.full(x.shape, np.inf)
        best_x, best_y = x.copy(), y.copy()
        for _ in range(_INVERSE_STEPS):
            plane_x, plane_y = self.pixel_to_plane(x, y)
            miss = np.stack([target_x - plane_x, target_y - plane_y], axis=-1)
            if inverse is None:
                inverse = self._inverse_jacobian(x, y)
            step = np.einsum("nij,nj->ni", inverse, miss)
            size = np.hypot(step[:, 0], step[:, 1])
            better = size < best
            best[better], best_x[better], best_y[better] = size[better], x[better], y[better]
            if not np.any(better & (size > _INVERSE_TOLERANCE)):
                break
            x, y = np.where(better, x + step[:, 0], x), np.where(better, y + step[:, 1], y)
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


@dataclass(frozen=True, eq=False, slots=True)
class LocalMap:
    """The map between plane and pixels over one window, about an anchor.

    ``pixel = anchor_pixel + jacobian^-1 d + quadratic @ (dX^2, dX dY, dY^2)`` with
    ``d = plane - anchor_plane``.
    """

    anchor_pixel: Floats = field(repr=False)
    """Pixel (x, y) of the anchor, shape (2,)."""
    anchor_plane: Floats = field(repr=False)
    """Plane coordinates of the anchor in arcsec, shape (2,)."""
    jacobian: Floats
    """d(plane)/d(pixel) in arcsec per pixel, shape (2, 2)."""
    quadratic: Floats
    """Pixels per arcsec squared, shape (2, 3)."""
    error_px: float
    """Largest distance between this map and the WCS over the window, in pixels."""
    affine_error_px: float
    """The same where the map is left affine."""

    def plane_to_pixel(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Pixel coordinates of plane coordinates in arcsec."""
        d = np.stack(
            np.broadcast_arrays(
                np.asarray(x, float) - self.anchor_plane[0],
                np.asarray(y, float) - self.anchor_plane[1],
            )
        )
        terms = np.stack([d[0] ** 2, d[0] * d[1], d[1] ** 2])
        inverse = np.linalg.inv(self.jacobian)
        pixel = np.tensordot(inverse, d, axes=1) + np.tensordot(self.quadratic, terms, axes=1)
        return pixel[0] + self.anchor_pixel[0], pixel[1] + self.anchor_pixel[1]

    def pixel_to_plane(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Plane coordinates in arcsec of pixel coordinates."""
        p = np.stack(
            np.broadcast_arrays(
                np.asarray(x, float) - self.anchor_pixel[0],
                np.asarray(y, float) - self.anchor_pixel[1],
            )
        )
        d = np.tensordot(self.jacobian, p, axes=1)
        for _ in range(_INVERSE_STEPS):  # contracts: the quadratic term is a small correction
            terms = np.stack([d[0] ** 2, d[0] * d[1], d[1] ** 2])
            bent = p - np.tensordot(self.quadratic, terms, axes=1)
            previous, d = d, np.tensordot(self.jacobian, bent, axes=1)
            if np.all(np.abs(d - previous) <= 1e-13 * (1.0 + np.abs(d))):
                break
        return d[0] + self.anchor_plane[0], d[1] + self.anchor_plane[1]


def fit_local_map(plane: PlaneMap, x: float, y: float, window: Window) -> LocalMap:
    """Replace an image's map by a quadratic one over a window.

    Parameters
    ----------
    plane : PlaneMap
        The image's map; it is evaluated once, on a grid.
    x, y : float
        Pixel of the anchor, at which both maps agree.
    window : tuple
        ``((x0, x1), (y0, y1))``, half-open pixel ranges.

    Returns
    -------
    LocalMap
        The map with its largest error over the window.
    """
    (x0, x1), (y0, y1) = window
    inside_x, inside_y = np.linspace(x0, x1 - 1, _NODES), np.linspace(y0, y1 - 1, _NODES)
    near = np.array([-_MARGIN, 0.0, _MARGIN])
    grid = [np.meshgrid(inside_x, inside_y), np.meshgrid(x + near, y + near)]
    px = np.concatenate([[x], *(g[0].ravel() for g in grid)]) - x
    py = np.concatenate([[y], *(g[1].ravel() for g in grid)]) - y
    plane_x, plane_y = plane.pixel_to_plane(px + x, py + y)
    anchor = np.array([plane_x[0], plane_y[0]])
    if not np.all(np.isfinite(anchor)):
        raise invalid("x, y", (x, y), "a pixel at which the WCS gives a place on the plane")
    pixel = np.stack([px, py], axis=-1)[1:]
    d = np.stack([plane_x[1:], plane_y[1:]], axis=-1) - anchor
    usable = np.all(np.isfinite(d), axis=-1)
    in_window = (np.arange(len(d)) < _NODES**2) & usable
    if np.count_nonzero(usable) < 6:
        raise invalid("window", window, "where the WCS gives places on the plane")

    size = np.abs(d[usable]).max()  # arcsec; keeps the columns of the fit of order one
    scaled = d / size if size > 0.0 else d
    columns = np.stack(
        [
            scaled[:, 0],
            scaled[:, 1],
            scaled[:, 0] ** 2,
            scaled[:, 0] * scaled[:, 1],
            scaled[:, 1] ** 2,
        ],
        axis=-1,
    )

    # Errors may grow in proportion to the distance from the anchor, where the light is.
    distance = np.hypot(pixel[:, 0], pixel[:, 1])
    weight = 1.0 / np.hypot(distance, max(_MARGIN, _CORE * float(distance.max())))[:, None]
    check = in_window if in_window.any() else usable

    def fit(n: int) -> tuple[Floats, float]:
        rows, values = (weight * columns)[usable, :n], (weight * pixel)[usable]
        solution = np.linalg.lstsq(rows, values, rcond=None)[0]
        miss = pixel - columns[:, :n] @ solution
        return solution.T, float(np.hypot(miss[check, 0], miss[check, 1]).max())

    affine, affine_error = fit(2)
    solution, error = fit(5)
    if affine_error < _ROUND_OFF:
        solution, error = np.hstack([affine, np.zeros((2, 3))]), affine_error
    linear = solution[:, :2] / size
    det = float(linear[0, 0] * linear[1, 1] - linear[0, 1] * linear[1, 0])
    if not np.isfinite(det) or abs(det) < _SINGULAR * float(np.sum(linear**2)):
        raise invalid("wcs", Described("one that is singular there"), f"invertible at ({x}, {y})")
    return LocalMap(
        anchor_pixel=np.array([x, y], dtype=float),
        anchor_plane=anchor,
        jacobian=np.linalg.inv(linear),
        quadratic=solution[:, 2:] / size**2,
        error_px=error,
        affine_error_px=affine_error,
    )


def low_level_celestial(wcs: Any) -> Any:
    """Return the APE 14 low-level object for the celestial part of what the user gave.

    Parameters
    ----------
    wcs : WCS, Header or APE 14 object
        What the user gave.

    Returns
    -------
    object
        An own copy with two pixel and two celestial world axes.
    """
    if isinstance(wcs, fits.Header):
        wcs = wcs_from_header(wcs)
    wcs = getattr(wcs, "low_level_wcs", wcs)
    if not hasattr(wcs, "pixel_to_world_values"):
        raise invalid("wcs", wcs, "an astropy WCS, a FITS header or another APE 14 object")
    if isinstance(wcs, WCS):
        if not wcs.has_celestial:
            kinds = ", ".join(repr(kind) for kind in wcs.wcs.ctype)
            raise invalid("wcs", Described(f"one of CTYPE {kinds}"), "celestial")
        if wcs.naxis != 2:
            wcs = wcs.celestial
    if wcs.pixel_n_dim != 2 or wcs.world_n_dim != 2:
        raise invalid(
            "wcs",
            Described(f"one of {wcs.pixel_n_dim} pixel and {wcs.world_n_dim} world axes"),
            "two-dimensional",
            "slice it to its celestial axes",
        )
    return copy.deepcopy(wcs)


def lacks_ctype(wcs: Any) -> bool:
    """Whether a FITS WCS or header says nothing about what its axes are."""
    if isinstance(wcs, fits.Header):
        return not any(str(wcs.get(f"CTYPE{axis}", "")).strip() for axis in (1, 2))
    return isinstance(wcs, WCS) and not any(str(kind).strip() for kind in wcs.wcs.ctype)


def wcs_from_header(header: fits.Header, *, hdus: Any = None) -> WCS:
    """Read a FITS WCS, quietly where astropy only reports what it has repaired.

    Parameters
    ----------
    header : Header
        The image's header.
    hdus : HDUList, optional
        The open file, for distortions kept in other HDUs.

    Returns
    -------
    WCS
        The celestial axes are taken out later, the others are left here.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        try:
            return WCS(header, fobj=hdus)
        except Exception as error:
            raise _unusable(error) from error


def warn_no_ctype(wcs: Any, name: str) -> None:
    """Say once that a header has WCS cards but not which projection they belong to."""
    cards = wcs if isinstance(wcs, fits.Header) else wcs.to_header()
    if "CRVAL1" not in cards and "CRPIX1" not in cards:
        return
    plain = cards if isinstance(wcs, fits.Header) else None
    scale = None if plain is None else header_scale(plain)
    hint = "" if scale is None else f" (its scale would be {scale:.6g} arcsec per pixel)"
    warn_user(
        f"{name}: the header has WCS cards but no CTYPE, so it counts as an image without WCS"
        f"{hint}; give pixelscale= for North up and East left, or ctype='TAN' to from_fits if "
        "that is what the cards mean"
    )


def header_scale(header: fits.Header) -> float | None:
    """Arcsec per pixel from a header's CD or CDELT and PC cards, taken as degrees."""
    cdelt = [float(header.get(f"CDELT{i}", 1.0)) for i in (1, 2)]
    matrix = np.array(
        [[float(header.get(f"PC{i}_{j}", i == j)) * cdelt[i - 1] for j in (1, 2)] for i in (1, 2)]
    )
    if "CD1_1" in header:
        matrix = np.array([[float(header.get(f"CD{i}_{j}", 0.0)) for j in (1, 2)] for i in (1, 2)])
    elif "CDELT1" not in header:
        return None
    scale = float(np.sqrt(abs(np.linalg.det(matrix))) * 3600.0)
    return scale if np.isfinite(scale) and scale > 0.0 else None


def _unusable(error: Exception) -> Exception:
    text = " ".join(str(error).split())
    return invalid(
        "wcs", Described(f"one that fails with {type(error).__name__}: {text}"), "usable"
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
        raise _unusable(error) from error
    kinds = ", ".join(str(kind) for kind in wcs.world_axis_physical_types)
    raise invalid("wcs", Described(f"one with world axes {kinds}"), "celestial")


def _radians_per(unit: str) -> float:
    from astropy.units import Unit

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
