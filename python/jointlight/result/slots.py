# SPDX-License-Identifier: BSD-3-Clause
"""Slot values at the solution and their derivatives by the free parameters.

A *slot* is one scalar of one component (centre x, axis ratio, ...). Every slot is a function of
the free parameters through ties; its derivatives at the solution are all that is needed to give
any derived quantity its full-covariance error to first order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from jointlight.errors import did_you_mean

__all__ = ["Component", "Derived", "SlotState", "SlotValues"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Component:
    """One light component on one image.

    Attributes
    ----------
    source : int
        Index of the source it belongs to; -1 for sky.
    source_name, name, model_type, profile : str
        Names of the source and of the model, its type and its radial profile.
    image : int
        Index of its image in the result's images.
    slot_names : tuple of str
        What each of its slots is: ``x, y, q, PA, Re, n, Ie`` and the like.
    slots : tuple of int
        Index of each of them among all slots.
    amplitude : {"brightness", "flux"}
        What the last slot is: surface brightness or total flux.
    """

    source: int
    source_name: str
    name: str
    model_type: str
    profile: str
    image: int
    slot_names: tuple[str, ...]
    slots: tuple[int, ...]
    amplitude: str

    def slot(self, name: str) -> int | None:
        """Index of the named slot.

        Parameters
        ----------
        name : str
            Slot name.

        Returns
        -------
        int or None
            None if the component has no such slot.
        """
        return self.slots[self.slot_names.index(name)] if name in self.slot_names else None


@dataclass(frozen=True, kw_only=True)
class SlotState:
    """All slots at the solution.

    Attributes
    ----------
    values : ndarray
        Slot values, ``[n_slots]``, in natural units.
    jacobian : scipy.sparse.csr_array
        Their derivatives with respect to the free parameters, ``[n_slots, n_free]``.
    components : tuple of Component
        What the slots belong to.
    keys : mapping of str to int
        Every name a slot answers to.
    """

    values: FloatArray
    jacobian: sparse.csr_array
    components: tuple[Component, ...]
    keys: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Derived:
    """A derived quantity with its full-covariance error; unpacks as ``value, error``.

    Attributes
    ----------
    value : ndarray
        Value or values, in the shape the function returned.
    error : ndarray
        Standard errors, same shape; NaN where one depends on an unconstrained parameter.
    covariance : ndarray
        Covariance of the flattened values, ``[size, size]``; NaN between values that hang on
        pairs of parameters whose covariance was not computed.
    unit : str
        Unit, empty if none.
    """

    value: NDArray[np.float64]
    error: NDArray[np.float64]
    covariance: FloatArray
    unit: str = ""

    def __iter__(self) -> Iterator[NDArray[np.float64]]:
        yield self.value
        yield self.error

    def __str__(self) -> str:
        """Values with two digits of their errors, ``2.6677 ± 0.0042 mag``."""
        pairs = [_with_error(v, e) for v, e in zip(self.value.flat, self.error.flat, strict=True)]
        unit = f" {self.unit}" if self.unit else ""
        return (pairs[0] if self.value.ndim == 0 else f"[{', '.join(pairs)}]") + unit

    def __repr__(self) -> str:
        return f"Derived({self})"


def _with_error(value: float, error: float) -> str:
    if not (np.isfinite(value) and np.isfinite(error) and error > 0):
        return f"{value:.8g} ± {error:.2g}"
    decimals = 1 - int(np.floor(np.log10(error)))
    if not -6 < decimals < 12:
        return f"{value:.8g} ± {error:.2g}"
    decimals = max(decimals, 0)
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


class SlotValues(Mapping[str, float]):
    """Parameter values by name, as a function given to `FitResult.derived` receives them.

    Every scalar parameter answers to ``"model.parameter"`` and, where that is not ambiguous, to
    ``"parameter"`` alone; the centre to ``"x"`` and ``"y"``; per-image parameters to
    ``"parameter[image]"``. Which were read is remembered, so that only those are varied.
    """

    def __init__(self, values: FloatArray, keys: Mapping[str, int]) -> None:
        self._values = values
        self._keys = keys
        self.read: set[int] = set()

    def __getitem__(self, key: str) -> float:
        index = self._keys.get(key, -1)
        if index < 0:
            # "galaxy/Re", as summaries print it, and "galaxy.Re" are one name.
            plain = key.replace("/", ".")
            alike = {slot for name, slot in self._keys.items() if name.replace("/", ".") == plain}
            if len(alike) != 1:
                msg = f"no parameter {key!r} in this result{did_you_mean(key, self._keys)}"
                raise KeyError(msg)
            index = alike.pop()
        self.read.add(index)
        return float(self._values[index])

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"<SlotValues of {len(self._keys)} names>"
