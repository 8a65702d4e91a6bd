# SPDX-License-Identifier: BSD-3-Clause
"""Answers of different codes on one footing: the same ellipse under the same labels.

Only numpy: tests read it without the benchmarks' other needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CLOSE", "agreement", "canonical", "distribution"]

Q, PA, RE = 2, 3, 4  # columns: x, y, q, PA (degrees), Re, ...
CLOSE = 0.05  # sigma: answers that agree


def canonical(values: NDArray) -> NDArray:
    """A copy with 0 < q <= 1, Re > 0 along the major axis and PA in [0, 180).

    `values`: rows of x, y, q, PA, Re and anything else. A fit without bounds may end at q > 1 or at
    a negative q or Re, which enter the brightness by their squares: other names of one galaxy.
    """
    out = np.array(values, float)
    rows = out.reshape(-1, out.shape[-1])
    rows[:, [Q, RE]] = np.abs(rows[:, [Q, RE]])
    wide = rows[:, Q] > 1.0
    rows[wide, RE] *= rows[wide, Q]
    rows[wide, Q] = 1.0 / rows[wide, Q]
    rows[wide, PA] += 90.0
    rows[:, PA] %= 180.0
    return out


def agreement(values: NDArray, optimum: NDArray, sigma: NDArray) -> dict[str, Any]:
    """Distance from the optimum of GalSim's model: the worst parameter of each object, in sigma."""
    delta = canonical(values) - canonical(optimum)
    delta[:, PA] = (delta[:, PA] + 90.0) % 180.0 - 90.0
    worst = np.max(np.abs(delta / sigma), axis=1)
    return {
        "median_offset_sigma": float(np.median(worst)),
        "largest_offset_sigma": float(worst.max()),
        "within_0.05_sigma": int(np.sum(worst <= CLOSE)),
        "failed": int(np.sum(~(worst <= 1.0))),
        "of": len(worst),
    }


def distribution(counts: list[int]) -> dict[str, float]:
    """Median, tail and largest."""
    return {
        "median": float(np.median(counts)),
        "90 %": float(np.percentile(counts, 90)),
        "99 %": float(np.percentile(counts, 99)),
        "max": float(np.max(counts)),
    }
