# SPDX-License-Identifier: BSD-3-Clause
"""Start values, limits and held values of many objects, by the names of their parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.table import Column
from astropy.utils.masked import Masked
from numpy.typing import NDArray

from jointlight.errors import Described, InvalidInput, did_you_mean, invalid
from jointlight.scene import root_parameters

if TYPE_CHECKING:
    from jointlight.models import Model
    from jointlight.parameters import Parameter

__all__ = ["Given", "check_name", "read_columns", "read_ends", "root_names"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Given:
    """Numbers of one scalar of a parameter.

    Attributes
    ----------
    parameter : Parameter
    component : int
        Which of its scalars.
    values : ndarray
        ``[n]``, in the parameter's unit; NaN is kept for who looks at single objects.
    """

    parameter: Parameter
    component: int
    values: FloatArray


def root_names(model: Model) -> dict[str, tuple[Parameter, int | None]]:
    """Every name under which a parameter that is not tied can be given.

    Parameters
    ----------
    model : Model

    Returns
    -------
    dict
        Path, and name alone where it is the only one, to parameter and component; a component
        of None stands for all of a vector.
    """
    names: dict[str, tuple[Parameter, int | None]] = {}
    short: dict[str, list[tuple[Parameter, int | None]]] = {}
    for path, parameter in root_parameters(model.all_parameters).items():
        start = path[: len(path) - len(parameter.name)] if path.endswith(parameter.name) else ""
        if parameter.shape:
            names[path] = (parameter, None)
            short.setdefault(parameter.name, []).append((parameter, None))
        for component, name in enumerate(parameter.component_names):
            key = f"{start}{name}" if start or path == parameter.name else path
            names[key] = (parameter, component)
            short.setdefault(name, []).append((parameter, component))
    for name, found in short.items():
        if len(found) == 1:
            names.setdefault(name, found[0])
    return names


def read_columns(argument: str, given: Any, model: Model, n: int) -> list[Given]:
    """Columns by parameter name, as plain numbers.

    Parameters
    ----------
    argument : str
        Name of the argument.
    given : mapping or table or None
        Numbers, or arrays ``[n]`` (``[n, 2]`` for a vector), by name. Columns of a table that
        are no parameter are left alone.
    model : Model
        Whose parameters.
    n : int
        Number of objects.

    Returns
    -------
    list of Given
    """
    if given is None:
        return []
    known = root_names(model)
    columns = list(_columns(argument, given, known))
    out: dict[tuple[int, int], Given] = {}
    for name, values in columns:
        parameter, component = known[name]
        for one in _split(f"{argument}[{name!r}]", parameter, component, values, n):
            key = (id(one.parameter), one.component)
            if key in out:
                raise InvalidInput(f"{argument} gives {name!r} twice", argument=argument)
            out[key] = one
    return list(out.values())


def check_name(argument: str, name: Any, known: Mapping[str, Any]) -> None:
    """Refuse a name that is none of a parameter.

    Parameters
    ----------
    argument : str
        Name of the argument.
    name : object
        What was given.
    known : mapping
        Names that are, as from `root_names`.
    """
    if name not in known:
        hint = did_you_mean(name, known, list_at_most=20)
        raise InvalidInput(
            f"{argument}: the template has no parameter {name!r} that is not tied{hint}",
            argument=argument,
        )


def read_ends(
    argument: str, values: Any, parameter: Parameter, component: int | None, n: int
) -> list[FloatArray]:
    """One end of limits for scalars of a parameter.

    Parameters
    ----------
    argument : str
        Name for messages.
    values : array_like
        A number, ``[n]``, or for a whole vector one of each scalar or ``[n, size]``.
    parameter : Parameter
    component : int or None
        Which scalar; None for all.
    n : int
        Number of objects.

    Returns
    -------
    list of ndarray
        ``[n]`` of each scalar.
    """
    array = numbers_of(argument, values, parameter.unit)
    if array.ndim == 0 and np.isnan(array):
        raise invalid(argument, values, "a number, or None for no limit")
    if component is None and array.ndim == 0:
        array = np.full(parameter.shape, array)
    return [one.values for one in _split(argument, parameter, component, array, n)]


def _columns(argument: str, given: Any, known: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    if hasattr(given, "colnames"):
        names = [name for name in given.colnames if name in known]
    elif isinstance(given, np.ndarray) and given.dtype.names:
        names = [name for name in given.dtype.names if name in known]
    elif isinstance(given, Mapping):
        for name in given:
            check_name(argument, name, known)
        names = list(given)
    else:
        raise invalid(argument, given, "a mapping from parameter name to numbers, or a table")
    if not names and not isinstance(given, Mapping):
        raise invalid(argument, Described("without any parameter's name"), "such with one")
    return [(name, given[name]) for name in names]


def _split(
    argument: str, parameter: Parameter, component: int | None, values: Any, n: int
) -> list[Given]:
    array = numbers_of(argument, values, parameter.unit)
    if component is not None:
        if array.shape not in {(), (n,)}:
            shown = Described(f"of shape {array.shape}")
            raise invalid(argument, shown, f"a number, or {n} of them")
        full = np.array(np.broadcast_to(array, (n,)))
        return [Given(parameter, component, full)]
    if array.shape not in {parameter.shape, (n, *parameter.shape)}:
        shown = Described(f"of shape {array.shape}")
        raise invalid(argument, shown, f"of shape ({n}, {parameter.size})")
    full = np.broadcast_to(array, (n, *parameter.shape)).reshape(n, parameter.size)
    return [Given(parameter, k, np.array(full[:, k])) for k in range(parameter.size)]


def numbers_of(argument: str, values: Any, unit: Any) -> FloatArray:
    """Plain numbers in a unit; masked ones become NaN.

    Parameters
    ----------
    argument : str
        Name for messages.
    values : array_like
        What was given.
    unit : Unit
        What Quantities are converted to.

    Returns
    -------
    ndarray
    """
    hidden = None
    if isinstance(values, Masked):
        hidden, values = np.asarray(values.mask), values.unmasked
    column_unit = getattr(values, "unit", None) if isinstance(values, Column) else None
    if isinstance(values, np.ma.MaskedArray):
        hidden, values = np.ma.getmaskarray(values), np.asarray(values.data)
    if column_unit is not None:
        values = u.Quantity(np.asarray(values), column_unit)
    if isinstance(values, u.Quantity):
        try:
            values = values.to_value(unit)
        except u.UnitConversionError:
            raise invalid(argument, Described(f"in {values.unit}"), f"in {unit}") from None
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise invalid(argument, values, "numbers") from None
    return array if hidden is None else np.where(hidden, np.nan, array)
