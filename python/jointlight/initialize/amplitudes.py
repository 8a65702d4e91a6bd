# SPDX-License-Identifier: BSD-3-Clause
"""Amplitudes of a whole model by linear least squares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jointlight.initialize import estimators as est

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jointlight.models import Model
    from jointlight.parameters import Parameter

Array = est.Array

MAX_ROUNDS = 5


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
        step[free] = -np.linalg.solve(h, g / scale[free]) / scale[free]
        out = free & ((values + step < lower) | (values + step > upper))
        if not out.any():
            break
        step[out] = np.clip(values[out] + step[out], lower[out], upper[out]) - values[out]
        held |= out
    result: Array = np.clip(values + step, lower, upper)
    return result


def solve_amplitudes(model: Model, parameters: Sequence[Parameter]) -> None:
    """Set linear parameters to their least-squares values, all others held.

    Parameters
    ----------
    model : Model
        With every parameter set.
    parameters : sequence of Parameter
        Free ones on which the images depend linearly.
    """
    scene = model.compile()
    free = scene.free_parameters
    wanted = {id(p) for p in parameters}
    index = np.array([k for k, (p, _) in enumerate(free) if id(p) in wanted], dtype=np.intp)
    if index.size == 0:
        return
    v = scene.v0
    ends = [p.bounds for p, _ in free]
    lower = np.array([e[0].ravel()[k] for e, (_, k) in zip(ends, free, strict=True)])
    upper = np.array([e[1].ravel()[k] for e, (_, k) in zip(ends, free, strict=True)])
    best = np.inf
    for _ in range(MAX_ROUNDS):
        chi2, gradient, hessian = scene.linearize(v)
        if not (np.isfinite(chi2) and np.isfinite(gradient[index]).all()):
            return
        # a Gaussian likelihood is done after one round
        if chi2 > best * (1 - 1e-6):
            break
        best = chi2
        trial = v.copy()
        block = hessian[np.ix_(index, index)]
        trial[index] = bounded_newton(gradient[index], block, v[index], lower[index], upper[index])
        after = scene.chi2(trial)
        if not (np.isfinite(after) and after < chi2):
            break
        v = trial
        if chi2 - after < 1e-3 * max(abs(chi2), 1.0) or all(
            image.likelihood == "gaussian" for image in model.images_modelled
        ):
            break
    for k in index:
        parameter, component = free[k]
        array = parameter.array
        if array is None:
            continue
        new = np.array(array)
        new.reshape(-1)[component] = v[k]
        parameter.value = None
        parameter.propose(new)
