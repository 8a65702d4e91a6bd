# SPDX-License-Identifier: BSD-3-Clause
"""Centre and widths of an array of light."""

from __future__ import annotations

import numpy as np

from jointlight.psf.checks import Floats

FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))


def array_centroid(data: Floats) -> tuple[float, float]:
    """Centre of the light, (x, y): first moments under a Gaussian window that follows the light.

    Plain first moments of a large array are mostly those of the noise in its wings.
    """
    ny, nx = data.shape
    x, y = np.arange(nx, dtype=float), np.arange(ny, dtype=float)
    iy, ix = np.unravel_index(int(np.argmax(data)), data.shape)
    cx, cy = float(ix), float(iy)
    sigma = max(array_fwhm(data, (cx, cy)) / FWHM_PER_SIGMA, 0.5)
    for _ in range(100):
        window = np.outer(
            np.exp(-0.5 * ((y - cy) / sigma) ** 2), np.exp(-0.5 * ((x - cx) / sigma) ** 2)
        )
        light = window * data
        total = light.sum()
        if not total > 0.0:
            break
        # Twice the step: the window of the light's own width sees half of an offset.
        dx = 2.0 * float((light.sum(axis=0) @ (x - cx)) / total)
        dy = 2.0 * float((light.sum(axis=1) @ (y - cy)) / total)
        cx, cy = cx + dx, cy + dy
        if not (0.0 <= cx <= nx - 1 and 0.0 <= cy <= ny - 1):
            break
        if max(abs(dx), abs(dy)) < 1e-6:
            return cx, cy
    if 0.0 <= cx <= nx - 1 and 0.0 <= cy <= ny - 1:
        return cx, cy
    return float(ix), float(iy)


def array_moments(data: Floats, oversampling: int) -> Floats:
    """Second central moments of an array in image pixels squared, order (x, y)."""
    ny, nx = data.shape
    total = data.sum()
    x = np.arange(nx) - float(data.sum(axis=0) @ np.arange(nx)) / total
    y = np.arange(ny) - float(data.sum(axis=1) @ np.arange(ny)) / total
    xx = float(data.sum(axis=0) @ x**2)
    yy = float(data.sum(axis=1) @ y**2)
    xy = float(y @ data @ x)
    moments: Floats = np.array([[xx, xy], [xy, yy]]) / float(total * oversampling**2)
    return moments


def array_fwhm(data: Floats, center: tuple[float, float]) -> float:
    """Width at half maximum of the angle-averaged array about a centre, in array pixels."""
    from scipy.ndimage import map_coordinates  # takes longer to import than all of this package

    angles = np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)
    radii = np.arange(0.0, max(data.shape), 0.05)
    points = [
        center[1] + radii[:, None] * np.sin(angles),
        center[0] + radii[:, None] * np.cos(angles),
    ]
    # A cubic spline that is zero outside: a one-pixel array has a width too.
    profile = map_coordinates(data, points, order=3, mode="grid-constant").mean(axis=1)
    profile /= profile.max()
    below = np.flatnonzero(profile < 0.5)
    below = below[below > np.argmax(profile)]
    if not below.size:
        return float(max(data.shape))
    i = int(below[0])
    part = (profile[i - 1] - 0.5) / (profile[i - 1] - profile[i])
    return float(2.0 * (radii[i - 1] + part * (radii[i] - radii[i - 1])))
