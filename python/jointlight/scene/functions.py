# SPDX-License-Identifier: BSD-3-Clause
"""Slots that follow functions of free parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jointlight.parameters import FunctionTie, Parameter, dependency_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import ArrayLike

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class FunctionBlock:
    """Slots that depend on the same function ties, evaluated together.

    Called by the core with the values of its inputs; returns slot values and their Jacobian
    [n_outputs, n_inputs]. It never raises: what fails gives NaN, which the fit rejects as a
    step, and is kept in `last_error`.
    """

    def __init__(
        self,
        outputs: Sequence[Parameter],
        input_of: Mapping[tuple[Parameter, int], int],
    ) -> None:
        self.order = dependency_order(outputs)
        self.outputs = tuple(outputs)
        free = [p for p in self.order if p.is_free]
        self.inputs: IntArray = np.array(
            [input_of[p, k] for p in free for k in range(p.size)], dtype=np.int64
        )
        self._free = free
        self._held = {p: p.array for p in self.order if not p.is_tied and not p.is_free}
        self.n_outputs = sum(p.size for p in outputs)
        self.last_error: Exception | None = None

    def __call__(self, v: ArrayLike) -> tuple[FloatArray, FloatArray]:
        try:
            with np.errstate(all="ignore"):
                values, jacobian = self.evaluate(np.asarray(v, dtype=np.float64))
        except Exception as error:
            self.last_error = error
            shape = (self.n_outputs, len(self.inputs))
            return np.full(self.n_outputs, np.nan), np.full(shape, np.nan)
        return values, jacobian

    def evaluate(self, v: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Values [n_outputs] and Jacobian [n_outputs, n_inputs]; raises what a function raises."""
        n = len(self.inputs)
        values: dict[Parameter, FloatArray] = {}
        gradients: dict[Parameter, FloatArray] = {}  # [size, n]
        at = 0
        for p in self._free:
            values[p] = v[at : at + p.size].reshape(p.shape)
            gradients[p] = np.eye(p.size, n, at)
            at += p.size
        for p, held in self._held.items():
            assert held is not None
            values[p] = held
            gradients[p] = np.zeros((p.size, n))
        for p in self.order:
            tie = p.current_tie
            if tie is None:
                continue
            given = [values[q] for q in tie.inputs]
            values[p] = tie.evaluate(given)
            gradients[p] = tie.derivative(given) @ np.vstack([gradients[q] for q in tie.inputs])
        return (
            np.concatenate([values[p].ravel() for p in self.outputs]),
            np.vstack([gradients[p] for p in self.outputs]),
        )


def follows_function(order: Iterable[Parameter]) -> set[Parameter]:
    """Parameters whose value goes through a function somewhere, of some listed inputs first."""
    found: set[Parameter] = set()
    for p in order:
        tie = p.current_tie
        if isinstance(tie, FunctionTie) or (tie is not None and found.intersection(tie.inputs)):
            found.add(p)
    return found


def sharing_functions(parameters: Sequence[Parameter]) -> list[list[Parameter]]:
    """Partition parameters so that no two parts share a function tie."""
    parts: dict[int, list[Parameter]] = {}  # by number of the part
    part_of: dict[int, int] = {}  # id(function tie) -> part
    for number, p in enumerate(parameters):
        ties = [
            id(q.current_tie)
            for q in dependency_order([p])
            if isinstance(q.current_tie, FunctionTie)
        ]
        touched = sorted({part_of[t] for t in ties if t in part_of})
        home = touched[0] if touched else number
        parts.setdefault(home, []).append(p)
        for other in touched[1:]:
            parts[home].extend(parts.pop(other))
            for t, part in part_of.items():
                if part == other:
                    part_of[t] = home
        for t in ties:
            part_of[t] = home
    return list(parts.values())
