# SPDX-License-Identifier: BSD-3-Clause
"""What a parameter's value may be: domain, prior, and the checks on numbers with units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from numpy.typing import NDArray

from jointlight.errors import InvalidInput

FloatArray = NDArray[np.float64]


class Domain(NamedTuple):
    """Where a parameter is defined at all; limits may only narrow it."""

    low: float = -np.inf
    high: float = np.inf
    low_open: bool = False

    def contains(self, value: FloatArray) -> bool:
        """True where every component lies inside."""
        above = value > self.low if self.low_open else value >= self.low
        return bool(np.all(above & (value <= self.high)))

    def __str__(self) -> str:
        left = "(" if self.low_open or not np.isfinite(self.low) else "["
        right = "]" if np.isfinite(self.high) else ")"
        return f"{left}{self.low:g}, {self.high:g}{right}"


EVERYWHERE = Domain()


@dataclass(frozen=True)
class Normal:
    """A Gaussian prior: it enters the fit as one more residual, ``(value - mean) / sigma``.

    Parameters
    ----------
    mean, sigma : float, tuple of float, or Quantity
        One number, or one a component; plain ones are in the parameter's unit. A Quantity is
        converted to it when the prior is given to the parameter.
    """

    mean: Any
    sigma: Any

    def __post_init__(self) -> None:
        for name in ("mean", "sigma"):
            given = getattr(self, name)
            try:
                if isinstance(given, (list, tuple)) and any(
                    isinstance(v, u.Quantity) for v in given
                ):
                    given = u.Quantity(given)
                unit = given.unit if isinstance(given, u.Quantity) else None
                number = given.value if isinstance(given, u.Quantity) else given
                if number is None:
                    raise TypeError
                array = np.asarray(number, dtype=np.float64)
            except (TypeError, ValueError):
                raise InvalidInput(
                    f"Normal: {name} = {given!r} must be a number, one a component, or a Quantity"
                ) from None
            if array.ndim > 1 or not np.all(np.isfinite(array)):
                raise InvalidInput(f"Normal: {name} = {given!r} must be finite")
            if name == "sigma" and np.any(array <= 0.0):
                raise InvalidInput(f"Normal: sigma = {given!r} must be positive")
            plain: Any = float(array) if array.ndim == 0 else tuple(float(v) for v in array)
            object.__setattr__(self, name, plain if unit is None else u.Quantity(plain, unit))

    def in_unit(self, unit: u.UnitBase, argument: str) -> Normal:
        """Return it as plain numbers in a parameter's unit."""
        if not any(isinstance(v, u.Quantity) for v in (self.mean, self.sigma)):
            return self
        return Normal(
            strip_unit(self.mean, unit, f"{argument}: mean"),
            strip_unit(self.sigma, unit, f"{argument}: sigma"),
        )

    def check_size(self, size: int, argument: str) -> None:
        """Raise where it does not fit a parameter of so many components."""
        for numbers in (self.mean, self.sigma):
            if np.size(numbers) not in (1, size):
                raise InvalidInput(f"{argument} = {self!r}: expected one number or {size}")


def limit_arrays(
    limits: Any, shape: tuple[int, ...], unit: u.UnitBase, domain: Domain, argument: str
) -> tuple[FloatArray, FloatArray]:
    """Both ends of a range as arrays of `shape`, checked against the domain."""
    try:
        low, high = limits
    except (TypeError, ValueError):
        raise InvalidInput(
            f"{argument} = {limits!r} must be a pair (low, high); None leaves an end open"
        ) from None
    low_array = limit_array(low, shape, unit, domain.low, f"{argument}: low limit")
    high_array = limit_array(high, shape, unit, domain.high, f"{argument}: high limit")
    if np.any(low_array >= high_array):
        raise InvalidInput(
            f"{argument} = {limits!r}: the lower one must be below the upper one"
            + ("; to hold a value use .fixed = True" if np.any(low_array == high_array) else "")
        )
    if np.any(low_array < domain.low) or np.any(high_array > domain.high):
        raise InvalidInput(
            f"{argument} = {limits!r} reach outside {domain}, where the parameter is defined"
        )
    return low_array, high_array


def strip_unit(value: Any, unit: u.UnitBase, argument: str) -> Any:
    """Number or numbers in `unit`; plain numbers are taken to be in it."""
    if isinstance(value, SkyCoord):
        raise InvalidInput(f"{argument} cannot be a SkyCoord")
    if isinstance(value, (list, tuple)) and any(isinstance(v, u.Quantity) for v in value):
        value = u.Quantity(value)
    if isinstance(value, u.Quantity):
        try:
            return value.to_value(unit)
        except u.UnitConversionError:
            raise InvalidInput(
                f"{argument} = {value!r} cannot be converted to its unit "
                f"{str(unit) or 'dimensionless'!r}"
            ) from None
    return value


def finite_array(value: Any, shape: tuple[int, ...], unit: u.UnitBase, argument: str) -> FloatArray:
    """Finite float64 array of exactly `shape`."""
    stripped = strip_unit(value, unit, argument)
    try:
        array = np.array(stripped, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidInput(f"{argument} = {value!r} is not a number") from None
    if array.size != np.prod(shape, dtype=int) or array.ndim > max(1, len(shape)):
        raise InvalidInput(f"{argument} = {value!r} has shape {array.shape}; expected {shape}")
    if not np.all(np.isfinite(array)):
        raise InvalidInput(f"{argument} = {value!r} must be finite")
    return array.reshape(shape)


def limit_array(
    value: Any, shape: tuple[int, ...], unit: u.UnitBase, default: float, argument: str
) -> FloatArray:
    """One end of a range as an array of `shape`; None and infinities become `default`."""
    if value is None:
        return np.full(shape, default)
    stripped = strip_unit(value, unit, argument)
    if shape != () and isinstance(stripped, (list, tuple)):
        stripped = [default if v is None else v for v in stripped]
    try:
        array = np.array(np.broadcast_to(np.asarray(stripped, np.float64), shape))
    except (TypeError, ValueError):
        raise InvalidInput(f"{argument} {value!r} must be a number or None") from None
    if np.any(np.isnan(array)):
        raise InvalidInput(f"{argument} {value!r} is not a number")
    return np.where(np.isinf(array), default, array)


def plain(array: FloatArray) -> Any:
    """Float for a scalar, a read-only copy for a vector."""
    if array.ndim == 0:
        return float(array)
    copied = np.array(array)
    copied.flags.writeable = False
    return copied


def open_as_none(array: FloatArray, open_end: float) -> Any:
    if np.all(array == open_end):
        return None
    return plain(array)


def wrap_into(
    array: FloatArray, low: FloatArray, high: FloatArray, period: float | None
) -> FloatArray:
    """Shift a cyclic value by whole periods into its limits, where that is possible."""
    if period is None:
        return array
    outside = (array < low) | (array > high)
    if not np.any(outside):
        return array
    centre = np.where(np.isfinite(low) & np.isfinite(high), 0.5 * (low + high), array)
    moved = array - period * np.round((array - centre) / period)
    return np.where(outside & (moved >= low) & (moved <= high), moved, array)
