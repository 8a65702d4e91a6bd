# SPDX-License-Identifier: BSD-3-Clause
"""Views of parameters in AstroPhot's units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from astropy.coordinates import SkyCoord

from jointlight.astrophot.convert import Entry, FloatArray, Log10, as_array
from jointlight.errors import InvalidInput, did_you_mean, invalid
from jointlight.parameters import Parameter

__all__ = ["Parameter_Node", "Parameter_Table"]

_SETTINGS = ("value", "limits", "locked", "uncertainty", "units")


class Parameter_Node:
    """One parameter of a model, in the units of AstroPhot 0.16.

    Parameters
    ----------
    entry : Entry
        Its name and units.
    native : tuple of Parameter
        What holds it.
    """

    def __init__(self, entry: Entry, native: tuple[Parameter, ...]) -> None:
        self._entry = entry
        self._parts = native

    @property
    def name(self) -> str:
        """Its name, ``"Re"``."""
        return self._entry.name

    @property
    def native(self) -> Any:
        """jointlight's parameter; a tuple where several make this one."""
        return self._parts[0] if len(self._parts) == 1 else self._parts

    @property
    def units(self) -> str:
        """Units of `value`."""
        return self._entry.units

    # --- value ------------------------------------------------------------------------------

    @property
    def value(self) -> Any:
        """Value: a float, an array for a vector, or None while unset. A node ties to it."""
        array = self._array()
        return None if array is None else self._shown(self._entry.convention.from_native(array))

    @value.setter
    def value(self, value: Any) -> None:
        if isinstance(value, Parameter_Node):
            self._tie(value)
            return
        if isinstance(value, Parameter):
            raise invalid(f"{self.name}.value", value, "a parameter of this interface")
        if callable(value):
            raise InvalidInput(
                f"{self.name}: to follow a function use parameter.native.tie(function, [inputs]), "
                "in jointlight's units"
            )
        for part in self._parts:
            part.untie()
        if value is None or isinstance(value, SkyCoord):
            for part in self._parts:
                part.value = value
            return
        array = self._entry.convention.to_native(as_array(self.name, value))
        if len(self._parts) == 1:
            part = self._parts[0]
            part.value = array.reshape(part.shape) if array.size == part.size else array
            return
        for part, number in zip(self._parts, self._split(array), strict=True):
            part.value = number

    @property
    def uncertainty(self) -> Any:
        """Standard error from the last fit, None where there is none."""
        errors = [part.uncertainty for part in self._parts]
        array = self._array()
        if array is None or any(error is None for error in errors):
            return None
        slope = self._entry.convention.slope(array)
        return self._shown(np.abs(slope) * np.reshape(errors, array.shape))

    @uncertainty.setter
    def uncertainty(self, value: Any) -> None:
        array = self._array()
        if value is None or array is None:
            for part in self._parts:
                part.uncertainty = None
            return
        given = np.broadcast_to(as_array(f"{self.name}.uncertainty", value), array.shape)
        native = given / np.abs(self._entry.convention.slope(array))
        if len(self._parts) == 1:
            self._parts[0].uncertainty = native
            return
        for part, number in zip(self._parts, self._split(native), strict=True):
            part.uncertainty = number

    # --- settings ---------------------------------------------------------------------------

    @property
    def limits(self) -> tuple[Any, Any]:
        """(low, high) in `units`, None for an open end."""
        return self._entry.convention.limits_from_native(self._parts[0].limits)

    @limits.setter
    def limits(self, limits: Any) -> None:
        native = None
        if limits is not None:
            low, high = (
                None if end is None else as_array(f"{self.name}.limits", end)[()] for end in limits
            )
            native = self._entry.convention.limits_to_native((low, high))
        for part in self._parts:
            part.limits = native

    @property
    def locked(self) -> bool:
        """Held at its value during a fit."""
        return all(part.fixed for part in self._parts)

    @locked.setter
    def locked(self, locked: bool) -> None:
        for part in self._parts:
            part.fixed = bool(locked)

    def configure(self, value: Any) -> None:
        """Take what ``parameters={name: value}`` holds: a value, a node or a dict of settings."""
        if not isinstance(value, Mapping):
            self.value = value
            return
        for key in value:
            if key not in _SETTINGS:
                raise InvalidInput(
                    f"{self.name}: unknown setting {key!r}{did_you_mean(key, _SETTINGS)}"
                )
        units = value.get("units")
        if units is not None and units != self.units:
            raise invalid(f"{self.name} units", units, f"{self.units!r}, or left out")
        for key in ("value", "limits", "uncertainty", "locked"):
            if value.get(key) is not None:
                setattr(self, key, value[key])

    # --- details ----------------------------------------------------------------------------

    def _array(self) -> FloatArray | None:
        arrays = [part.array for part in self._parts]
        if len(arrays) == 1:
            return arrays[0]
        held = [array for array in arrays if array is not None]
        return np.array(held) if len(held) == len(arrays) else None

    def _split(self, array: FloatArray) -> list[float]:
        if array.shape != (len(self._parts),):
            raise invalid(f"{self.name}.value", array, f"{len(self._parts)} numbers")
        return [float(number) for number in array]

    def _tie(self, other: Parameter_Node) -> None:
        same = type(self._entry.convention) is type(other._entry.convention)
        if not same or len(self._parts) != len(other._parts):
            raise InvalidInput(
                f"{self.name} ({self.units}) cannot be tied to {other.name} ({other.units}); use "
                "parameter.native.tie(function, [inputs]), in jointlight's units"
            )
        for part, theirs in zip(self._parts, other._parts, strict=True):
            part.tie(theirs)

    @staticmethod
    def _shown(array: FloatArray) -> Any:
        return np.asarray(array)[()]

    def slopes(self) -> dict[int, FloatArray]:
        """d(value here) / d(native value) of each native parameter, by its id."""
        found = {}
        for part in self._parts:
            array = part.array
            if array is not None:
                found[id(part)] = self._entry.convention.slope(array)
        return found

    def row(self) -> tuple[str, str, str, str]:
        """Value, error, units and state as text."""
        array = self._array()
        convention = self._entry.convention
        if array is None:
            shown = "unset"
        else:
            quiet = convention.quietly if isinstance(convention, Log10) else convention.from_native
            shown = _text(quiet(array))
        error = self.uncertainty
        state = self._parts[0].state()
        if state == "free" and self.limits != (None, None):
            state += f", limits {self.limits}"
        return shown, "" if error is None else f"± {_text(error)}", self.units, state

    def __repr__(self) -> str:
        return " ".join(f"<{self.name}: {' '.join(filter(None, self.row()))}>".split())


class Parameter_Table(Mapping[str, Parameter_Node]):
    """Parameters by name; prints as a table.

    Parameters
    ----------
    nodes : dict
        Parameters by name.
    """

    def __init__(self, nodes: Mapping[str, Parameter_Node]) -> None:
        self._nodes = dict(nodes)

    def __getitem__(self, key: str) -> Parameter_Node:
        try:
            return self._nodes[key]
        except KeyError:
            hint = did_you_mean(key, self._nodes)
            raise InvalidInput(f"there is no parameter {key!r}{hint}") from None

    def __contains__(self, key: object) -> bool:
        return key in self._nodes

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    def __repr__(self) -> str:
        rows = [(name, *node.row()) for name, node in self._nodes.items()]
        widths = [max((len(row[k]) for row in rows), default=0) for k in range(5)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )


def _text(value: Any) -> str:
    numbers = [f"{number:.6g}" for number in np.ravel(value)]
    return numbers[0] if np.ndim(value) == 0 else f"[{', '.join(numbers)}]"
