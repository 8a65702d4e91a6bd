# SPDX-License-Identifier: BSD-3-Clause
"""Five galaxies in three images as GalSim sees them: data, exact model and its optimum.

An r image of 90 x 90 pixels of 0.262", a W1 image of 8 x 8 of 2.75" and an NUV image of 15 x 15 of
1.5", one blended group. Free: x, y, q, PA, Re, n and three fluxes a galaxy, 45 in all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import demo_problem
from .demo_problem import Band, Optimum

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

REFERENCE = (demo_problem.RA, demo_problem.DEC)
NAMES = demo_problem.NAMES
#           x      y     q     PA    Re   n    r      W1      NUV
TRUTH = np.array(
    [
        [-1.20, 0.85, 0.70, 40.0, 2.60, 3.2, 125.0, 1500.0, 0.42],
        [2.35, 2.10, 0.45, 115.0, 1.70, 1.2, 48.0, 470.0, 0.31],
        [-5.60, -3.10, 0.82, 10.0, 1.10, 2.1, 26.0, 390.0, 0.09],
        [4.90, -4.30, 0.58, 70.0, 1.40, 1.0, 19.0, 170.0, 0.16],
        [-3.40, 5.90, 0.65, 155.0, 0.80, 1.6, 11.0, 140.0, 0.05],
    ]
)
# The same with sizes at which every image's pixels are coarse: Re of 1.1 to 3 pixels of r.
COMPACT = TRUTH * np.array([1, 1, 1, 1, 0.36, 1, 1, 1, 1])
STEPS = np.array([1e-3, 1e-3, 1e-3, 0.1, 2e-3, 4e-3, 0.05, 2.0, 5e-4])


def empty_bands() -> list[Band]:
    """The three exposures without data, cut out about one point as image servers do."""
    return [
        Band("r", 90, 0.262, 0.008, 1.12, 22.5),
        Band("W1", 8, 2.75, 4.9, 6.1, 25.199),
        Band("NUV", 15, 1.5, 0.0007, 5.4, 20.08),
    ]


def bands(truth: NDArray = TRUTH, *, seed: int = 20240608) -> list[Band]:
    """Noisy data made by GalSim."""
    made = empty_bands()
    rng = np.random.default_rng(seed)
    for band, image in zip(made, model(truth, made), strict=True):
        band.data = image + rng.normal(0.0, band.sigma, image.shape)
    return made


def model(v: NDArray, images: Sequence[Band]) -> list[NDArray]:
    """GalSim's images of all galaxies, parameters [5, 9]."""
    each = [demo_problem.model(galaxy, images) for galaxy in np.reshape(v, (-1, len(NAMES)))]
    return [np.sum(parts, axis=0) for parts in zip(*each, strict=True)]


def scaled(parts: Sequence[NDArray], images: Sequence[Band]) -> NDArray:
    """One vector of all pixels in units of their noise."""
    return np.concatenate([(p / b.sigma).ravel() for p, b in zip(parts, images, strict=True)])


def residual(v: NDArray, images: Sequence[Band]) -> NDArray:
    """(model - data) / sigma of all pixels."""
    return scaled(model(v, images), images) - scaled([b.data for b in images], images)


def chi2(v: NDArray, images: Sequence[Band], used: Sequence[NDArray] | None = None) -> float:
    """Chi-squared of GalSim's model; `used`: which pixels count, one mask an image."""
    r = residual(v, images)
    if used is not None:
        r = r[np.concatenate([u.ravel() for u in used])]
    return float(r @ r)


def jacobian(v: NDArray, images: Sequence[Band]) -> NDArray:
    """Derivatives of the residuals by central differences, [45, pixels]."""
    rows = []
    for galaxy in np.reshape(v, (-1, len(NAMES))):
        for k, step in enumerate(STEPS):
            up, down = galaxy.copy(), galaxy.copy()
            up[k] += step
            down[k] -= step
            difference = scaled(demo_problem.model(up, images), images) - scaled(
                demo_problem.model(down, images), images
            )
            rows.append(difference / (2 * step))
    return np.array(rows)


def optimum(images: Sequence[Band], start: NDArray = TRUTH, iterations: int = 8) -> Optimum:
    """Exact-model optimum by Gauss-Newton from the truth, which is a few sigma away.

    One Jacobian serves all steps: the last ones gain nothing, or `iterations` did not suffice.
    """
    v = np.array(start, float).ravel()
    j = jacobian(v, images)
    covariance = np.linalg.inv(j @ j.T)
    best, gain = chi2(v, images), np.inf
    for _ in range(iterations):
        trial = v - covariance @ (j @ residual(v, images))
        value = chi2(trial, images)
        gain = best - value
        if gain < 1e-5:
            break
        best, v = value, trial
    if gain > 1e-3:
        raise RuntimeError(f"the exact model's optimum is not reached: last step gained {gain:g}")
    return Optimum(v, best, covariance)
