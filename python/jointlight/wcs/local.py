# SPDX-License-Identifier: BSD-3-Clause
"""The quadratic map that stands for an image's own over one window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
_RANK = 1e-12  # pivot relative to the largest below which columns count as dependent
_BATCH = 256  # windows fitted at a time: 2 MB of nodes


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
    return fit_local_maps(plane, [x], [y], [window])[0]


def fit_local_maps(
    plane: PlaneMap, x: ArrayLike, y: ArrayLike, windows: Sequence[Window]
) -> list[LocalMap]:
    """Replace an image's map by quadratic ones over many windows.

    The same as `fit_local_map` for each, to the last digit, at a fraction of the cost.

    Parameters
    ----------
    plane : PlaneMap
        The image's map.
    x, y : array_like
        Pixels of the anchors, ``[n]``.
    windows : sequence of tuple
        The windows, ``[n]``.

    Returns
    -------
    list of LocalMap
        One map a window.
    """
    at = np.stack([np.asarray(x, float), np.asarray(y, float)], axis=-1)
    out: list[LocalMap] = []
    for start in range(0, len(windows), _BATCH):
        part = slice(start, start + _BATCH)
        out += _fit_batch(plane, at[part], windows[part])
    return out


def _fit_batch(plane: PlaneMap, at: Floats, windows: Sequence[Window]) -> list[LocalMap]:
    pixel = _nodes(at, windows)  # [n, nodes, 2], from the anchor
    everywhere = np.concatenate([at[:, None, :], at[:, None, :] + pixel], axis=1)
    places = np.stack(plane.pixel_to_plane(everywhere[..., 0], everywhere[..., 1]), axis=-1)
    anchor, d = places[:, 0], places[:, 1:] - places[:, :1]
    lost = np.flatnonzero(~np.all(np.isfinite(anchor), axis=-1))
    if lost.size:
        pair = (float(at[lost[0], 0]), float(at[lost[0], 1]))
        raise invalid("x, y", pair, "a pixel at which the WCS gives a place on the plane")
    usable = np.asarray(np.all(np.isfinite(d), axis=-1))
    lost = np.flatnonzero(np.count_nonzero(usable, axis=-1) < 6)
    if lost.size:
        window = windows[int(lost[0])]
        raise invalid("window", window, "where the WCS gives places on the plane")
    in_window = (np.arange(d.shape[1]) < _NODES**2) & usable

    d = np.where(usable[..., None], d, 0.0)
    size = np.abs(d).max(axis=(1, 2))  # arcsec; keeps the columns of the fit of order one
    size[size == 0.0] = 1.0
    u, v = np.moveaxis(d / size[:, None, None], -1, 0)
    columns = np.stack([u, v, u**2, u * v, v**2], axis=-1)

    # Errors may grow in proportion to the distance from the anchor, where the light is.
    distance = np.hypot(pixel[..., 0], pixel[..., 1])
    core = np.maximum(_MARGIN, _CORE * distance.max(axis=-1))
    weight = np.where(usable, 1.0 / np.hypot(distance, core[:, None]), 0.0)[..., None]
    check = np.where(in_window.any(axis=-1)[:, None], in_window, usable)

    affine, quadratic = _least_squares(weight * columns, weight * pixel)
    affine_error = _largest_miss(pixel - columns[..., :2] @ affine, check)
    error = _largest_miss(pixel - columns @ quadratic, check)
    straight = affine_error < _ROUND_OFF
    error = np.where(straight, affine_error, error)
    quadratic[straight, :2] = affine[straight]
    quadratic[straight, 2:] = 0.0

    linear = np.swapaxes(quadratic[:, :2], 1, 2) / size[:, None, None]
    det = linear[:, 0, 0] * linear[:, 1, 1] - linear[:, 0, 1] * linear[:, 1, 0]
    good = np.isfinite(det) & (np.abs(det) >= _SINGULAR * np.sum(linear**2, axis=(1, 2)))
    lost = np.flatnonzero(~good)
    if lost.size:
        needed = f"invertible at ({at[lost[0], 0]}, {at[lost[0], 1]})"
        raise invalid("wcs", Described("one that is singular there"), needed)
    jacobian = np.linalg.inv(linear)
    bend = np.swapaxes(quadratic[:, 2:], 1, 2) / size[:, None, None] ** 2
    return [
        LocalMap(
            anchor_pixel=np.array(at[i]),
            anchor_plane=np.array(anchor[i]),
            jacobian=np.array(jacobian[i]),
            quadratic=np.array(bend[i]),
            error_px=float(error[i]),
            affine_error_px=float(affine_error[i]),
        )
        for i in range(len(windows))
    ]


def _nodes(at: Floats, windows: Sequence[Window]) -> Floats:
    """Pixels from each anchor at which its map is compared, ``[n, nodes, 2]``."""
    bounds = np.array(windows, dtype=float)  # [n, axis, end]
    low, high = bounds[..., 0], bounds[..., 1] - 1.0
    steps = np.linspace(0.0, 1.0, _NODES)
    inside = low[:, None, :] + (high - low)[:, None, :] * steps[:, None] - at[:, None, :]
    near = np.broadcast_to(np.array([-_MARGIN, 0.0, _MARGIN])[:, None], (len(at), 3, 2))

    def grid(axes: Floats) -> Floats:
        n, m, _ = axes.shape
        px = np.broadcast_to(axes[:, None, :, 0], (n, m, m)).reshape(n, -1)
        py = np.broadcast_to(axes[:, :, None, 1], (n, m, m)).reshape(n, -1)
        return np.stack([px, py], axis=-1)

    return np.concatenate([grid(inside), grid(near)], axis=1)


def _least_squares(rows: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Solutions with the first two columns, ``[n, 2, 2]``, and with all, ``[n, 5, 2]``."""
    q, r = np.linalg.qr(rows)
    projected = np.swapaxes(q, 1, 2) @ values
    pivots = np.abs(np.diagonal(r, axis1=1, axis2=2))
    thin = pivots.min(axis=-1) <= _RANK * pivots.max(axis=-1)
    r[thin] = np.eye(r.shape[-1])
    first, every = np.linalg.solve(r[:, :2, :2], projected[:, :2]), np.linalg.solve(r, projected)
    for i in np.flatnonzero(thin):  # as short a solution as any: nothing bends along a line
        first[i] = np.linalg.lstsq(rows[i, :, :2], values[i], rcond=None)[0]
        every[i] = np.linalg.lstsq(rows[i], values[i], rcond=None)[0]
    return first, every


def _largest_miss(miss: Floats, check: NDArray[np.bool_]) -> Floats:
    """Largest distance in pixels where it counts, ``[n]``."""
    distance = np.where(check, np.hypot(miss[..., 0], miss[..., 1]), 0.0)
    return np.asarray(distance.max(axis=-1), dtype=np.float64)
