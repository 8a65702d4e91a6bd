# SPDX-License-Identifier: BSD-3-Clause
"""Arrays of any library, and how AstroPhot's parameters read in jointlight's units."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from jointlight.errors import invalid, warn_user
from jointlight.models import component_classes, find_class

if TYPE_CHECKING:
    from jointlight.models import Component

FloatArray: TypeAlias = NDArray[np.float64]
Limits: TypeAlias = tuple[Any, Any]


def plain(value: Any) -> Any:
    """A tensor as an array; anything else as it is.

    Parameters
    ----------
    value : object
        A tensor is told by its ``detach`` method, so that no tensor library is needed.

    Returns
    -------
    object
        An array in place of a tensor.
    """
    return value.detach().cpu().numpy() if hasattr(value, "detach") else value


def as_array(argument: str, value: Any) -> FloatArray:
    """A float64 array of a tensor, an array, numbers, or sequences of these.

    Parameters
    ----------
    argument : str
        Name of the argument, for messages.
    value : array_like or tensor
        What was passed.

    Returns
    -------
    ndarray
        Double precision.
    """
    if isinstance(value, (list, tuple)):
        value = [plain(item) for item in value]
    try:
        return np.asarray(plain(value), dtype=np.float64)
    except (TypeError, ValueError):
        raise invalid(argument, value, "numbers, an array or a tensor") from None


class Convention:
    """A quantity that both sides express alike."""

    def to_native(self, value: FloatArray) -> FloatArray:
        """Value here to jointlight's."""
        return value

    def from_native(self, value: FloatArray) -> FloatArray:
        """jointlight's value to the one here."""
        return value

    def slope(self, value: FloatArray) -> FloatArray:
        """Derivative of `from_native` at jointlight's value, with its sign."""
        return np.ones_like(value)

    def limits_to_native(self, limits: Limits) -> Limits:
        """Limits here to jointlight's, None for an open end."""
        return limits

    def limits_from_native(self, limits: Limits) -> Limits:
        """jointlight's limits to those here."""
        return limits


class Angle(Convention):
    """Radians from North towards West in [0, pi), for degrees from North towards East."""

    def to_native(self, value: FloatArray) -> FloatArray:
        return -np.degrees(value) % 180.0

    def from_native(self, value: FloatArray) -> FloatArray:
        return -np.radians(value) % math.pi

    def slope(self, value: FloatArray) -> FloatArray:
        return np.full_like(value, -math.pi / 180.0)

    def limits_to_native(self, limits: Limits) -> Limits:
        low, high = limits
        return (
            None if high is None else -math.degrees(high),
            None if low is None else -math.degrees(low),
        )

    def limits_from_native(self, limits: Limits) -> Limits:
        low, high = limits
        return (
            None if high is None else -math.radians(high),
            None if low is None else -math.radians(low),
        )


class Log10(Convention):
    """Decimal logarithm, for a linear amplitude that may be negative.

    A negative amplitude reads as NaN, with a warning.
    """

    def to_native(self, value: FloatArray) -> FloatArray:
        return np.asarray(10.0**value)

    def from_native(self, value: FloatArray) -> FloatArray:
        if np.any(value <= 0.0):
            warn_user(
                f"an amplitude is {np.min(value):.4g}, of which there is no logarithm: it reads as "
                "NaN. Its linear value is parameter.native.value"
            )
        return self.quietly(value)

    def quietly(self, value: FloatArray) -> FloatArray:
        """`from_native` without the warning."""
        positive = value > 0.0
        return np.where(positive, np.log10(np.where(positive, value, 1.0)), np.nan)

    def slope(self, value: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):
            return np.where(value > 0.0, 1.0 / (value * math.log(10.0)), np.nan)

    def limits_to_native(self, limits: Limits) -> Limits:
        low, high = (None if end is None else 10.0 ** float(end) for end in limits)
        return low, high

    def limits_from_native(self, limits: Limits) -> Limits:
        low, high = (
            None if end is None or end <= 0.0 else math.log10(float(end)) for end in limits
        )
        return low, high


@dataclass(frozen=True)
class Entry:
    """One parameter as it is named and measured here.

    Attributes
    ----------
    name : str
        Name here.
    native : tuple of str
        jointlight's names; several scalars make a vector here.
    convention : Convention
        How values translate.
    units : str
        Units here.
    """

    name: str
    native: tuple[str, ...]
    convention: Convention
    units: str


SAME, ANGLE, LOG10 = Convention(), Angle(), Log10()

# What is not called by jointlight's name, or not measured as `entries` would guess.
_SPECIAL: Mapping[str, tuple[Entry, ...]] = {
    "flat_sky": (Entry("F", ("I0",), LOG10, "log10(flux/arcsec^2)"),),
    "plane_sky": (
        Entry("F", ("I0",), SAME, "flux/arcsec^2"),
        Entry("delta", ("slope_x", "slope_y"), SAME, "flux/arcsec^3"),
    ),
}
_RENAMED: Mapping[str, Mapping[str, str]] = {"moffat": {"beta": "n"}}
# 0.16 has the Gaussian's normalisation as its amplitude, not its central brightness.
_BY_FLUX = frozenset({"gaussian"})


def native_class(model_type: Any) -> type[Component]:
    """Class of single components for a type name such as ``"sersic galaxy model"``.

    Parameters
    ----------
    model_type : str
        The name.

    Returns
    -------
    type
        A subclass of `jointlight.models.Component`.
    """
    found = find_class(model_type)
    classes = component_classes()
    for cls in classes:
        if cls is found:
            return cls
    names = ", ".join(repr(f"{cls.type_names[0]} model") for cls in classes)
    raise invalid("model_type", model_type, f"'group model' or one of {names}")


def amplitude_of(cls: type[Component]) -> str | None:
    """Which amplitude a component of a class is made with; None for its usual one.

    Parameters
    ----------
    cls : type
        Class of components.

    Returns
    -------
    str or None
        ``"flux"`` or None.
    """
    return "flux" if cls.profile in _BY_FLUX else None


def entries(cls: type[Component]) -> tuple[Entry, ...]:
    """The parameters of a class of components as they are named and measured here.

    Parameters
    ----------
    cls : type
        Class of components.

    Returns
    -------
    tuple of Entry
        In jointlight's order.
    """
    if cls.profile in _SPECIAL:
        return _SPECIAL[cls.profile]
    names = _RENAMED.get(cls.profile, {})
    specs = cls.specs(amplitude_of(cls) or "brightness")
    found = []
    for spec in specs:
        convention: Convention = SAME
        units = spec.unit.replace(" ", "").replace("arcsec2", "arcsec^2")
        if spec.name == "PA":
            convention, units = ANGLE, "radians"
        elif spec is specs[-1]:
            convention, units = LOG10, f"log10({units})"
        found.append(Entry(names.get(spec.name, spec.name), (spec.name,), convention, units))
    return tuple(found)
