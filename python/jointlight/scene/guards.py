# SPDX-License-Identifier: BSD-3-Clause
"""Limits of parameters that follow several others, which no box on those can express."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike

    from jointlight.parameters import Parameter

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_SLACK = 1e-9  # relative: rounding on the limit itself is not a step outside


class LimitGuard:
    """Slots that are linear in several free parameters, and NaN outside their limits.

    A step to where one is NaN is refused. Called by the core like a function tie.

    Parameters
    ----------
    slots : ndarray
        The slots guarded, [n_slots].
    matrix : ndarray
        Their derivatives, [n_slots, n_inputs].
    constant, low, high : ndarray
        [n_slots].
    inputs : ndarray
        Free parameters, [n_inputs].
    """

    last_error: Exception | None = None

    def __init__(
        self,
        slots: IntArray,
        matrix: FloatArray,
        constant: FloatArray,
        low: FloatArray,
        high: FloatArray,
        inputs: IntArray,
    ) -> None:
        self.slots, self.inputs = slots, inputs
        self.matrix, self.constant = matrix, constant
        slack = _SLACK * np.where(np.isfinite(high - low), high - low, 1.0)
        self.low, self.high = low - slack, high + slack

    def __call__(self, v: ArrayLike) -> tuple[FloatArray, FloatArray]:
        values = self.matrix @ np.asarray(v, dtype=np.float64) + self.constant
        inside = (values >= self.low) & (values <= self.high)
        return np.where(inside, values, np.nan), self.matrix


def make_guards(
    guarded: Iterable[tuple[Parameter, IntArray]], matrix: sparse.csr_array, constants: FloatArray
) -> list[LimitGuard]:
    """Guards of parameters given with their slots, one for all that follow the same others."""
    together: dict[bytes, tuple[IntArray, list[tuple[int, float, float]]]] = {}
    for p, where in guarded:
        low, high = (np.ravel(end) for end in p.bounds)
        for component, slot in enumerate(where):
            ends = float(low[component]), float(high[component])
            row = matrix.indices[matrix.indptr[slot] : matrix.indptr[slot + 1]]
            if len(row) > 1 and np.any(np.isfinite(ends)):
                inputs = np.sort(row).astype(np.int64)
                together.setdefault(inputs.tobytes(), (inputs, []))[1].append((int(slot), *ends))
    guards = []
    for inputs, entries in together.values():
        slots = np.array([slot for slot, _, _ in entries])
        guards.append(
            LimitGuard(
                slots,
                matrix[slots, :][:, inputs].toarray(),
                constants[slots],
                np.array([low for _, low, _ in entries]),
                np.array([high for _, _, high in entries]),
                inputs,
            )
        )
    return guards
