# SPDX-License-Identifier: BSD-3-Clause
"""Ties: how one parameter's value follows from others.

A tie is a node of a graph whose leaves are untied parameters. Linear ties compose into one
sparse affine map; function ties carry a callable and its Jacobian. Nothing here recurses, so a
chain may be as long as a time series.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jointlight.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from .parameter import Parameter

FloatArray = NDArray[np.float64]

_TINY = 1e-30  # below it a value is taken for zero
_LEAST_CHANGE = 1e-8  # relative; a smaller one loses the difference to rounding
# Optimal relative step of a central difference in float64: the cube root of the rounding unit.
_STEP = float(np.finfo(np.float64).eps ** (1.0 / 3.0))


class Tie(ABC):
    """The rule that gives one parameter its value; `inputs` are the parameters it reads."""

    inputs: tuple[Parameter, ...]

    @abstractmethod
    def evaluate(self, values: Sequence[FloatArray]) -> FloatArray:
        """Value of the tied parameter from the values of `inputs`, in their order."""

    @abstractmethod
    def derivative(self, values: Sequence[FloatArray]) -> FloatArray:
        """d value / d inputs, shape [size, sum of input sizes]."""

    @abstractmethod
    def describe(self) -> str:
        """One line for the printed tree."""


class LinearTie(Tie):
    """``value = sum_k scale_k * input_k + offset``, component by component.

    A scalar input goes to all components of a vector, each with its own scale.
    """

    def __init__(
        self, inputs: Sequence[Parameter], scales: Sequence[FloatArray], offset: FloatArray
    ) -> None:
        self.inputs = tuple(inputs)
        self.scales = tuple(scales)
        self.offset = offset

    @cached_property
    def is_identity(self) -> bool:
        """True where the parameter simply equals its one input."""
        return (
            len(self.inputs) == 1
            and self.inputs[0].shape == self.offset.shape
            and bool(np.all(self.scales[0] == 1.0))
            and bool(np.all(self.offset == 0.0))
        )

    def evaluate(self, values: Sequence[FloatArray]) -> FloatArray:
        total = self.offset.copy()
        for scale, value in zip(self.scales, values, strict=True):
            total = total + scale * value
        return total

    def derivative(self, values: Sequence[FloatArray]) -> FloatArray:
        del values  # constant
        blocks = [
            np.diag(np.atleast_1d(scale)) if p.shape == scale.shape else scale.reshape(-1, 1)
            for p, scale in zip(self.inputs, self.scales, strict=True)
        ]
        return np.hstack(blocks)

    def describe(self) -> str:
        terms = []
        for parameter, scale in zip(self.inputs, self.scales, strict=True):
            factor = "" if np.all(scale == 1.0) else f"{_brief(scale)} * "
            terms.append(f"{factor}{parameter.label}")
        if np.any(self.offset != 0.0):
            terms.append(_brief(self.offset))
        return " + ".join(terms)


class FunctionTie(Tie):
    """``value = function(*inputs)`` with a given Jacobian or central differences."""

    def __init__(
        self,
        function: Callable[..., Any],
        inputs: Sequence[Parameter],
        *,
        jacobian: Callable[..., Any] | None,
        shape: tuple[int, ...],
        label: str,
    ) -> None:
        self.function = function
        self.inputs = tuple(inputs)
        self.jacobian = jacobian
        self.shape = shape
        self.label = label

    def evaluate(self, values: Sequence[FloatArray]) -> FloatArray:
        result = self._call(self.function, values, "function")
        if result.size != _size(self.shape):
            raise InvalidInput(
                f"the function tied to {self.label} returned an array of shape {result.shape}; "
                f"expected shape {self.shape}"
            )
        return result.reshape(self.shape)

    def derivative(self, values: Sequence[FloatArray]) -> FloatArray:
        n_out, n_in = _size(self.shape), sum(value.size for value in values)
        if self.jacobian is None:
            return self._differences(values)
        result = self._call(self.jacobian, values, "jacobian")
        if result.size != n_out * n_in:
            raise InvalidInput(
                f"the jacobian of the function tied to {self.label} returned shape "
                f"{result.shape}; expected ({n_out}, {n_in}): one row a component of "
                f"{self.label}, one column a component of its inputs"
            )
        return result.reshape(n_out, n_in)

    def describe(self) -> str:
        name = getattr(self.function, "__name__", type(self.function).__name__)
        name = "function" if name == "<lambda>" else name
        return f"{name}({', '.join(parameter.label for parameter in self.inputs)})"

    def _call(
        self, function: Callable[..., Any], values: Sequence[FloatArray], what: str
    ) -> FloatArray:
        """Call with plain floats for scalars and arrays for vectors; name what went wrong."""
        arguments = [float(value) if value.ndim == 0 else value.copy() for value in values]
        try:
            returned = function(*arguments)
            if what == "jacobian" and isinstance(returned, (list, tuple)):
                n_out = _size(self.shape)
                # One entry an input: each is [n_out] or [n_out, size of that input].
                if len(returned) == len(values):
                    blocks = [np.asarray(b, dtype=np.float64) for b in returned]
                    if all(b.size == n_out * v.size for b, v in zip(blocks, values, strict=True)):
                        return np.hstack([b.reshape(n_out, -1) for b in blocks])
            return np.asarray(returned, dtype=np.float64)
        except Exception as error:
            given = ", ".join(
                f"{parameter.label} = {_brief(value)}"
                for parameter, value in zip(self.inputs, values, strict=True)
            )
            raise InvalidInput(
                f"the {what} tied to {self.label} raised {type(error).__name__}: {error} "
                f"(called with {given})"
            ) from error

    def _differences(self, values: Sequence[FloatArray]) -> FloatArray:
        """Central differences; one-sided where one side is not finite."""
        columns = []
        for k, value in enumerate(values):
            for index in np.ndindex(value.shape):
                x = float(value[index])
                step = _STEP * (abs(x) if abs(x) > _TINY else 1.0)
                column, change = self._difference(values, k, index, step)
                # A value much smaller than what the function compares it with: step wider.
                while change < _LEAST_CHANGE and step < _STEP:
                    step = min(1e3 * step, _STEP)
                    column, change = self._difference(values, k, index, step)
                columns.append(column)
        return np.column_stack(columns)

    def _difference(
        self, values: Sequence[FloatArray], k: int, index: tuple[int, ...], step: float
    ) -> tuple[FloatArray, float]:
        """d value / d inputs[k][index] and the largest relative change it was taken from."""
        x = float(values[k][index])
        sides, points = [], []
        for target in (x + step, x - step):
            moved = values[k].copy()
            moved[index] = target
            with np.errstate(all="ignore"):
                side = self.evaluate([*values[:k], moved, *values[k + 1 :]]).ravel()
            if not np.all(np.isfinite(side)):
                side, target = self.evaluate(values).ravel(), x
            sides.append(side)
            points.append(target)
        if points[0] == points[1]:
            return np.full(sides[0].shape, np.nan), np.inf
        with np.errstate(all="ignore"):
            difference = sides[0] - sides[1]
            size = np.maximum(np.abs(sides[0]), np.abs(sides[1]))
            change = float(np.max(np.abs(difference) / np.maximum(size, _TINY)))
        return difference / (points[0] - points[1]), change


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=int))


def _brief(value: FloatArray) -> str:
    if np.ndim(value) == 0:
        return f"{float(value):.6g}"
    if np.all(value == np.ravel(value)[0]):
        return f"{float(np.ravel(value)[0]):.6g}"
    return "(" + ", ".join(f"{float(v):.6g}" for v in np.ravel(value)) + ")"


def dependency_order(parameters: Iterable[Parameter]) -> list[Parameter]:
    """All parameters that `parameters` depend on, themselves included, inputs first."""
    order: list[Parameter] = []
    done: set[int] = set()
    for start in parameters:
        stack: list[tuple[Parameter, bool]] = [(start, False)]
        while stack:
            parameter, expanded = stack.pop()
            if id(parameter) in done:
                continue
            tie = parameter.current_tie
            if expanded or tie is None:
                done.add(id(parameter))
                order.append(parameter)
                continue
            stack.append((parameter, True))
            stack.extend((p, False) for p in reversed(tie.inputs) if id(p) not in done)
    return order


def refuse_loop(parameter: Parameter, tie: Tie) -> None:
    """Raise `InvalidInput` naming the loop that giving `parameter` this tie would close."""
    came_from: dict[int, Parameter] = {}
    stack = list(tie.inputs)
    for p in tie.inputs:
        came_from[id(p)] = parameter
    seen: set[int] = set()
    while stack:
        p = stack.pop()
        if p is parameter:
            loop, step = [p.label], came_from[id(p)]
            while step is not parameter:
                loop.append(step.label)
                step = came_from[id(step)]
            loop.append(parameter.label)
            # came_from runs from the end of the chain back to `parameter`.
            raise InvalidInput("ties run in a circle: " + " -> ".join(reversed(loop)))
        if id(p) in seen:
            continue
        seen.add(id(p))
        if p.current_tie is not None:
            for q in p.current_tie.inputs:
                if id(q) not in seen:
                    came_from[id(q)] = p
                    stack.append(q)


class Affine:
    """A parameter as an affine function of parameters that are no linear ties.

    Attributes
    ----------
    terms : dict of Parameter to ndarray
        Coefficient of each root, one a component (shape of the parameter). A scalar root of a
        vector goes to all its components.
    offset : ndarray
        Constant part.
    """

    def __init__(self, terms: dict[Parameter, FloatArray], offset: FloatArray) -> None:
        self.terms = terms
        self.offset = offset

    def is_mean_of_its_like(self, parameter: Parameter) -> bool:
        """Whether it is a weighted mean of several parameters of one name and shape with it."""
        total = sum(self.terms.values(), np.zeros(parameter.shape))
        return (
            len(self.terms) > 1
            and all(p.name == parameter.name and p.shape == parameter.shape for p in self.terms)
            and bool(np.all(np.abs(total - 1.0) < 1e-9))
            and bool(np.all(self.offset == 0.0))
        )

    @property
    def single(self) -> tuple[Parameter, FloatArray, FloatArray] | None:
        """(root, scale, offset) where there is exactly one root with no zero scale."""
        if len(self.terms) != 1:
            return None
        ((root, scale),) = self.terms.items()
        return (root, scale, self.offset) if np.all(scale != 0.0) else None


def root_component(root: Parameter, component: int) -> int:
    """Component of a root that a component of what follows it linearly depends on."""
    return component if root.size > 1 else 0


def resolve_affine(order: Iterable[Parameter]) -> dict[Parameter, Affine]:
    """Compose linear ties of parameters listed inputs first.

    Roots are the untied parameters and those tied by a function.
    """
    resolved: dict[Parameter, Affine] = {}
    for parameter in order:
        tie = parameter.current_tie
        if not isinstance(tie, LinearTie):
            one = np.ones(parameter.shape)
            resolved[parameter] = Affine({parameter: one}, np.zeros(parameter.shape))
            continue
        terms: dict[Parameter, FloatArray] = {}
        offset = tie.offset.copy()
        for scale, source in zip(tie.scales, tie.inputs, strict=True):
            inner = resolved[source]
            offset = offset + scale * inner.offset
            for root, coefficient in inner.terms.items():
                terms[root] = terms.get(root, np.zeros(parameter.shape)) + scale * coefficient
        resolved[parameter] = Affine(terms, offset)
    return resolved


def evaluate_all(
    order: Iterable[Parameter], known: Mapping[Parameter, FloatArray | None] | None = None
) -> dict[Parameter, FloatArray | None]:
    """Values of parameters listed inputs first; None where one depends on an unset value.

    `known` overrides the stored values of untied parameters.
    """
    values: dict[Parameter, FloatArray | None] = {}
    for parameter in order:
        tie = parameter.current_tie
        if tie is None:
            held = known.get(parameter) if known is not None else None
            values[parameter] = held if held is not None else parameter.stored
            continue
        inputs = [values[p] for p in tie.inputs]
        ready = [value for value in inputs if value is not None]
        values[parameter] = tie.evaluate(ready) if len(ready) == len(inputs) else None
    return values
