# SPDX-License-Identifier: BSD-3-Clause
"""The quadratic map that stands for an image's own over one window."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from jointlight.errors import Described, invalid
from jointlight.wcs.planes import PlaneMap
from jointlight.wcs.sky import Floats

Window: TypeAlias = tuple[tuple[int, int], tuple[int, int]]

_NODES = 15  # nodes an axis at which a window's map is evaluated; real distortions are of order < 8
_MARGIN = 2.0  # px about the anchor that the nodes always cover, so that thin windows have a slope
_CORE = 0.05  # of the window's size: within this all errors count alike
_ROUND_OFF = 1e-7  # px; an affine map this good is exact but for the sky coordinates' round-off
_SINGULAR = 1e-9  # |det| / |J|^2 below which pixels collapse to a line
_INVERSE_STEPS = 25


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
