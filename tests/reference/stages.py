# SPDX-License-Identifier: BSD-3-Clause
"""Stages after rendering, written the dense and obvious way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import convolve2d

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def convolve(image: NDArray, kernel: NDArray) -> NDArray:
    """Direct sum, zero outside, same size (the stage *convolve* on a pixel grid)."""
    return convolve2d(image, kernel, mode="same")


def residual(data: NDArray, weight: NDArray, model: NDArray) -> NDArray:
    """Whitened residuals, zero where the weight is zero (the stage *residual*)."""
    return np.sqrt(weight) * np.where(weight > 0, data - model, 0.0)


def chi2(data: NDArray, weight: NDArray, model: NDArray) -> float:
    """Gaussian chi-squared."""
    return float(np.sum(residual(data, weight, model) ** 2))


def poisson_deviance(counts: NDArray, model: NDArray) -> float:
    """Twice the log-likelihood ratio to a perfect model, for counts."""
    term = np.where(counts > 0, counts * np.log(np.where(counts > 0, counts, 1.0) / model), 0.0)
    return float(2 * np.sum(model - counts + term))


def normal(
    data: NDArray, weight: NDArray, model: NDArray, jacobian: NDArray
) -> tuple[float, NDArray, NDArray]:
    """chi2, half its gradient, and J^T W J from a dense Jacobian [n, h, w] (the stage *normal*)."""
    rows = jacobian.reshape(len(jacobian), -1)
    w = weight.ravel()
    r = np.where(w > 0, (data - model).ravel(), 0.0)
    return float(np.sum(w * r * r)), -rows @ (w * r), (rows * w) @ rows.T


def central_jacobian(function: Callable[[NDArray], NDArray], v: NDArray, steps: NDArray) -> NDArray:
    """Derivatives of an array-valued function by 4-point central differences, [n, ...]."""
    columns = []
    for i, h in enumerate(steps):

        def at(k: float, i: int = i, h: float = h) -> NDArray:
            moved = np.array(v, float)
            moved[i] += k * h
            return np.asarray(function(moved))

        columns.append((8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * h))
    return np.array(columns)


def solve(hessian: NDArray, gradient: NDArray, damping: float = 0.0) -> NDArray:
    """Marquardt step (the stage *solve*), dense."""
    return -np.linalg.solve(hessian + damping * np.diag(np.diag(hessian)), gradient)
