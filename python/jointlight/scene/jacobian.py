# SPDX-License-Identifier: BSD-3-Clause
"""Analytic derivatives against finite differences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .scene import Scene

FloatArray = NDArray[np.float64]

# Fourth-order stencils: nodes in steps and weights, the first central, the others one-sided.
_STENCILS: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...] = (
    ((-2.0, -1.0, 1.0, 2.0), (1.0 / 12.0, -2.0 / 3.0, 2.0 / 3.0, -1.0 / 12.0)),
    ((0.0, 1.0, 2.0, 3.0, 4.0), (-25.0 / 12.0, 4.0, -3.0, 4.0 / 3.0, -0.25)),
    ((0.0, -1.0, -2.0, -3.0, -4.0), (25.0 / 12.0, -4.0, 3.0, -4.0 / 3.0, 0.25)),
)
# Below this part of the image's peak over the parameter's size a column counts as zero.
_NEGLIGIBLE = 1e-8


@dataclass(frozen=True)
class JacobianCheck:
    """Largest difference between analytic and numerical derivatives.

    Attributes
    ----------
    names : tuple of str
        Parameters.
    images : tuple of str
        Images.
    errors : ndarray
        [n_parameters, n_images], ``max |analytic - numerical| / max |numerical|`` over the
        image; 0 where the image does not depend on the parameter.
    tolerance : float
        What `ok` compares with.
    """

    names: tuple[str, ...]
    images: tuple[str, ...]
    errors: FloatArray
    tolerance: float

    @property
    def worst(self) -> float:
        """Largest of all errors, 0 where there is no free parameter."""
        return float(np.max(self.errors, initial=0.0))

    @property
    def ok(self) -> bool:
        """Whether every error is a number within the tolerance."""
        return bool(np.all(self.errors <= self.tolerance))

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        width = max((len(name) for name in self.names), default=0)
        lines = [f"{'':{width}}  " + "  ".join(f"{name:>9.9}" for name in self.images)]
        for name, row in zip(self.names, self.errors, strict=True):
            lines.append(f"{name:{width}}  " + "  ".join(f"{error:9.1e}" for error in row))
        verdict = "within" if self.ok else "NOT within"
        lines.append(f"worst {self.worst:.1e}, {verdict} {self.tolerance:.0e}")
        return "\n".join(lines)


def check_jacobian(
    scene: Scene,
    v: FloatArray,
    *,
    parameters: Sequence[str] | None = None,
    step: float = 1e-3,
    tolerance: float = 1e-6,
) -> JacobianCheck:
    """Compare; parameters as in `Scene.check_jacobian`."""
    chosen = [i for i, name in enumerate(scene.names) if parameters is None or name in parameters]
    scales = _scales(scene, v)
    errors = np.zeros((len(chosen), len(scene.images)))
    for j, image in enumerate(scene.images):
        analytic = scene.jacobian(image, v)
        peak = float(np.max(np.abs(scene.render(image, v)), initial=0.0))
        reached = _reached(scene, j)
        for row, i in enumerate(chosen):
            if not reached[i] and not np.any(analytic[i]):
                continue
            numerical = _difference(scene, v, i, step * scales[i], j)
            size = float(np.max(np.abs(numerical), initial=0.0))
            miss = float(np.max(np.abs(analytic[i] - numerical), initial=0.0))
            if not np.isfinite(miss):
                errors[row, j] = np.nan
            elif miss > 0.0:
                errors[row, j] = miss / max(size, _NEGLIGIBLE * peak / scales[i], 1e-300)
    names = tuple(scene.names[i] for i in chosen)
    return JacobianCheck(names, tuple(image.name for image in scene.images), errors, tolerance)


def _reached(scene: Scene, image: int) -> NDArray[np.bool_]:
    """Which free parameters any component on the image follows, [n_free]."""
    reached = np.zeros(scene.n_free, dtype=bool)
    for tile in scene.tiles:
        if tile.image == image:
            followed = np.concatenate([tile.slots, tile.image_slots])
            reached[scene.slots.matrix[followed, :].tocsr().indices] = True
    return reached


def _difference(scene: Scene, v: FloatArray, i: int, step: float, image: int) -> FloatArray:
    """d image / d v[i], from inside the limits."""
    low, high = scene.slots.lower[i], scene.slots.upper[i]
    if v[i] - 2.0 * step >= low and v[i] + 2.0 * step <= high:
        nodes, weights = _STENCILS[0]
    else:
        nodes, weights = _STENCILS[1 if high - v[i] > v[i] - low else 2]
        step = min(step, 0.25 * (high - v[i] if nodes[-1] > 0 else v[i] - low))
    total = np.zeros(scene.images[image].shape)
    for node, weight in zip(nodes, weights, strict=True):
        moved = v.copy()
        moved[i] += node * step
        total += weight * scene.render(image, moved)
    return total / step


def _scales(scene: Scene, v: FloatArray) -> FloatArray:
    """The change of each parameter over which the image changes by its own size."""
    pixel = min(image.pixelscale for image in scene.images)
    scales = np.empty(len(v))
    moved = _moved(scene)
    for i, (p, _) in enumerate(scene.free_parameters):
        if moved[i] > 0.0:
            scales[i] = pixel / moved[i]
        elif p.shape == (2,) and str(p.unit) == "arcsec":
            scales[i] = pixel
        elif p.period is not None:
            scales[i] = p.period / 6.0
        else:
            scales[i] = abs(v[i]) if v[i] != 0.0 else 1.0
    return scales


def _moved(scene: Scene) -> FloatArray:
    """How far each free parameter moves a centre at most, arcsec per unit, [n_free]."""
    moved = np.zeros(scene.n_free)
    centres = {int(s) for tile in scene.tiles if not tile.leaf.is_sky for s in tile.slots[:2]}
    part = scene.slots.matrix[sorted(centres), :].tocoo()
    np.maximum.at(moved, part.col, np.abs(part.data))
    return moved
