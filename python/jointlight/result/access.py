# SPDX-License-Identifier: BSD-3-Clause
"""Covariance of any parameters or sources of a result, by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jointlight.errors import Described, InvalidInput, did_you_mean, invalid
from jointlight.result.labels import source_components
from jointlight.result.slots import FloatArray, SlotState
from jointlight.scene.covariance import UnknownPair

if TYPE_CHECKING:
    from jointlight.result.fit_result import FitResult

__all__ = ["covariance_of", "numbers_of", "unknown_pair", "used_by"]


def used_by(state: SlotState, slots: Iterable[int]) -> NDArray[np.int64]:
    """Numbers of the free parameters that some slots depend on, each once, in order.

    Parameters
    ----------
    state : SlotState
        The slots.
    slots : iterable of int
        Slot numbers.

    Returns
    -------
    ndarray
        Sorted.
    """
    jacobian = state.jacobian
    parts = [jacobian.indices[jacobian.indptr[i] : jacobian.indptr[i + 1]] for i in slots]
    return np.unique(np.concatenate(parts)) if parts else np.zeros(0, dtype=np.int64)


def numbers_of(result: FitResult, items: str | Iterable[str]) -> NDArray[np.int64]:
    """Numbers of free parameters that are asked for by name.

    Parameters
    ----------
    result : FitResult
        The result.
    items : str or iterable of str
        Parameters, by full name or by one that only one of them has; or sources, which stand for
        all free parameters that they depend on.

    Returns
    -------
    ndarray
        ``[k]``, in the order asked for, each once.
    """
    names = result.parameter_names
    number = {name: i for i, name in enumerate(names)}
    short: dict[str, list[int]] = {}
    for i, parameter in enumerate(result.parameters):
        for alias in (parameter.name, f"{parameter.model}.{parameter.name}"):
            short.setdefault(alias, []).append(i)
    sources: dict[str, list[int]] = {}
    for components in source_components(result.slots).values():
        slots = sorted({slot for component in components for slot in component.slots})
        sources.setdefault(components[0].source_name, []).extend(slots)
    found: dict[int, None] = {}
    for item in [items] if isinstance(items, str) else items:
        if item in number:
            chosen = [number[item]]
        elif item in sources:
            chosen = [int(i) for i in used_by(result.slots, sources[item])]
        elif len(short.get(item, [])) == 1:
            chosen = short[item]
        elif item in short:
            shown = ", ".join(names[i] for i in short[item][:4])
            raise invalid("items", item, "a name of one parameter", f"several have it: {shown}")
        else:
            hint = did_you_mean(item, [*names, *sources])
            raise invalid("items", item, "a free parameter or a source", hint)
        found.update(dict.fromkeys(chosen))
    return np.array(list(found), dtype=np.int64)


def covariance_of(result: FitResult, items: str | Iterable[str]) -> FloatArray:
    """Dense covariance of any parameters; see `FitResult.covariance_of`.

    Parameters
    ----------
    result : FitResult
        The result.
    items : str or iterable of str
        As for `numbers_of`.

    Returns
    -------
    ndarray
        ``[k, k]``.
    """
    known = result.known_covariance
    if known is None:
        raise invalid("result", Described("one without"), "a fit with a covariance")
    try:
        return known.completed(numbers_of(result, items))
    except UnknownPair as error:
        raise unknown_pair(result, error) from None


def unknown_pair(result: FitResult, error: UnknownPair) -> InvalidInput:
    """What to tell of a pair of parameters that is not known.

    Parameters
    ----------
    result : FitResult
        The result.
    error : UnknownPair
        The pair.

    Returns
    -------
    InvalidInput
        To be raised.
    """
    first, second = (result.parameter_names[i] for i in error.pair)
    return InvalidInput(
        f"the covariance of {first!r} with {second!r} was not stored: they share no pixels and "
        "belong to no common source. result.covariance_of(...) computes it as long as the result "
        "is the one that the fit returned, not one that was pickled or read from a file"
    )
