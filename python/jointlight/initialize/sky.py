# SPDX-License-Identifier: BSD-3-Clause
"""Start values of sky components, and the background they make."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jointlight.initialize import estimators as est

if TYPE_CHECKING:
    from jointlight.image import TargetImage
    from jointlight.models.component import Component

Array = est.Array


def propose_sky(leaf: Component, background: Array) -> None:
    """Estimate a flat or plane sky in its window and add it to the background.

    Parameters
    ----------
    leaf : Component
        The sky; values that are set are kept.
    background : ndarray
        Sky of the image so far, flux per pixel, of the image's shape; changed in place.
    """
    image = leaf.target
    (x0, x1), (y0, y1) = leaf.window
    box = (slice(y0, y1), slice(x0, x1))
    middle = ((x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2)
    jacobian = image.local_map(*middle, window=leaf.window).jacobian
    area = float(abs(np.linalg.det(jacobian)))
    slopes = [p for name, p in leaf.parameters.items() if name != leaf.amplitude_name]
    sky = est.sky_level(
        image.data[box] - background[box], image.weight[box], plane=len(slopes) == 2
    )
    fresh = leaf[leaf.amplitude_name].propose(sky.level / area)
    if len(slopes) == 2:
        gradient = np.linalg.solve(jacobian.T, [sky.slope_x, sky.slope_y]) / area
        for slope, value in zip(slopes, gradient, strict=True):
            # their default of 0 stands for "not given" as long as the level is not
            if fresh and slope.is_free and slope.array == 0.0:
                slope.value = float(slope.nearest_allowed(value))
            else:
                slope.propose(value)
    background[box] += sky_image(leaf, image, middle, jacobian)[box]


def sky_image(leaf: Component, image: TargetImage, middle: tuple[float, float], j: Array) -> Array:
    """Light of a sky component at its present values, flux per pixel; 0 where unset."""
    values = [p.array for p in leaf.parameters.values()]
    numbers = [0.0 if v is None else float(v) for v in values]
    area = float(abs(np.linalg.det(j)))
    h, w = image.shape
    light = np.full((h, w), numbers[0])
    if len(numbers) == 3:
        dx = np.arange(w)[None, :] - middle[0]
        dy = np.arange(h)[:, None] - middle[1]
        light = light + numbers[1] * (j[0, 0] * dx + j[0, 1] * dy)
        light = light + numbers[2] * (j[1, 0] * dx + j[1, 1] * dy)
    result: Array = light * area
    return result
