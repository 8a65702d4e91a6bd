# SPDX-License-Identifier: BSD-3-Clause
"""Amplitudes of a whole model by linear least squares."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from jointlight import scene as scenes
from jointlight.initialize import estimators as est
from jointlight.parameters import dependency_order

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jointlight.image import TargetImage
    from jointlight.models import Model
    from jointlight.parameters import Parameter
    from jointlight.scene import Scene

Array = est.Array

MAX_ROUNDS = 5
# amplitudes solved for with a dense matrix of second derivatives; more go to the core's fit
MAX_DENSE = 3000
# unknowns above which the linear solver looks for zeros
_SPARSE = 200


def bounded_newton(
    gradient: Array, hessian: Array, values: Array, lower: Array, upper: Array
) -> Array:
    """Minimum of a quadratic in a box, by clamping what leaves it and solving for the rest.

    Parameters
    ----------
    gradient, hessian : ndarray
        ``[n]`` and ``[n, n]`` of half the quadratic at `values`.
    values, lower, upper : ndarray
        Position and box, ``[n]``.

    Returns
    -------
    ndarray
        Position inside the box.
    """
    scale = np.sqrt(np.maximum(np.diag(hessian), 0.0))
    usable = scale > 0
    step = np.zeros_like(values)
    held = ~usable
    for _ in range(values.size + 1):
        free = ~held
        if not free.any():
            break
        h = hessian[np.ix_(free, free)] / np.outer(scale[free], scale[free])
        h[np.diag_indices_from(h)] += 1e-10
        g = gradient[free] + hessian[np.ix_(free, held)] @ step[held]
        step[free] = -_solve(h, g / scale[free]) / scale[free]
        out = free & ((values + step < lower) | (values + step > upper))
        if not out.any():
            break
        step[out] = np.clip(values[out] + step[out], lower[out], upper[out]) - values[out]
        held |= out
    result: Array = np.clip(values + step, lower, upper)
    return result


def _solve(matrix: Array, right: Array) -> Array:
    if right.size <= _SPARSE:
        dense: Array = np.asarray(np.linalg.solve(matrix, right), dtype=np.float64)
        return dense
    solution: Array = splu(sparse.csc_matrix(matrix)).solve(right)
    return solution


def solve_amplitudes(model: Model, parameters: Sequence[Parameter]) -> None:
    """Set linear parameters to their least-squares values, all others held.

    Parameters
    ----------
    model : Model
        With every parameter set.
    parameters : sequence of Parameter
        Free ones on which the images depend linearly.
    """
    wanted = {id(p) for p in parameters}
    images = _images_of(model, wanted)
    if not images:
        return
    with _held(model, wanted):
        scene = scenes.compile(model, images=images)
        if scene.n_free == 0:
            return
        free = scene.free_parameters
        v = _many(scene) if scene.n_free > MAX_DENSE else _few(scene, images)
    if not np.isfinite(v).all():
        return
    at = 0
    while at < len(free):
        parameter = free[at][0]
        part = v[at : at + parameter.size].reshape(parameter.shape)
        at += parameter.size
        parameter.value = None
        parameter.propose(part)


def _few(scene: Scene, images: Sequence[TargetImage]) -> Array:
    """Minimum by Newton's method on all amplitudes together, which is exact for Gaussian noise."""
    v = scene.v0
    ends = [(p.bounds, k) for p, k in scene.free_parameters]
    lower = np.array([low.ravel()[k] for (low, _), k in ends])
    upper = np.array([high.ravel()[k] for (_, high), k in ends])
    exact = all(image.likelihood == "gaussian" for image in images)
    chi2, gradient, hessian = scene.linearize(v)
    for _ in range(MAX_ROUNDS):
        if not (np.isfinite(chi2) and np.isfinite(gradient).all()):
            break
        trial = bounded_newton(gradient, hessian, v, lower, upper)
        if exact:
            return trial
        after, *derivatives = scene.linearize(trial)
        if not (np.isfinite(after) and after < chi2):
            break
        fallen = chi2 - after
        v, chi2, (gradient, hessian) = trial, after, derivatives
        if fallen < 1e-3 * max(abs(chi2), 1.0):
            break
    return v


def _many(scene: Scene) -> Array:
    """The same by the core's sparse fit, which needs no dense matrix."""
    outcome = scene.fit({"max_iterations": MAX_ROUNDS})
    return np.asarray(outcome["v"], dtype=np.float64)


def _images_of(model: Model, wanted: set[int]) -> list[TargetImage]:
    """Images in which anything depends on the parameters wanted."""
    found: dict[int, TargetImage] = {}
    for leaf in model.leaves():
        if id(leaf.target) in found:
            continue
        linear = leaf.parameters.values() if leaf.is_sky else [leaf[leaf.amplitude_name]]
        if any(id(p) in wanted for p in dependency_order(linear)):
            found[id(leaf.target)] = leaf.target
    return list(found.values())


@contextmanager
def _held(model: Model, wanted: set[int]) -> Iterator[None]:
    """Fix every free parameter but those wanted for a while."""
    others = [p for p in model.free_parameters.values() if id(p) not in wanted]
    try:
        for parameter in others:
            parameter.fixed = True
        yield
    finally:
        for parameter in others:
            parameter.fixed = False
