# SPDX-License-Identifier: BSD-3-Clause
"""What users pass for the pixels of many objects, as the core reads it: copied only if it must be.

What is wrong with one object is noted for its row; what is wrong with the call is raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from astropy import units as u
from numpy.typing import NDArray

from jointlight.errors import Described, InvalidInput, did_you_mean, invalid

__all__ = [
    "Planes",
    "by_image",
    "count_objects",
    "is_listed",
    "jacobians",
    "levels_or_planes",
    "planes",
]

Planes: TypeAlias = NDArray[Any] | list[Any] | None
"""``[n, h, w]``, or one ``[h, w]`` or None an object."""

_POWER = {"variance": 2, "std": 1, "weight": -2}


def is_listed(given: Any) -> bool:
    """Whether something is one entry an object: a list, a tuple or an array of objects.

    Parameters
    ----------
    given : object
        What was passed.

    Returns
    -------
    bool
    """
    if isinstance(given, np.ndarray):
        return bool(given.dtype.kind == "O")
    return isinstance(given, (list, tuple))


def by_image(argument: str, given: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Sort an argument by image.

    Parameters
    ----------
    argument : str
        Its name.
    given : mapping or object
        By image name, or what holds for all.
    names : tuple of str
        The template's images.

    Returns
    -------
    dict
        One entry an image; None where nothing was given.
    """
    if not isinstance(given, Mapping):
        if given is not None and len(names) > 1 and np.ndim(_first(given)) > 0:
            raise invalid(
                argument, given, f"a mapping from image name, one of {', '.join(names)}, to arrays"
            )
        return dict.fromkeys(names, given)
    for name in given:
        if name not in names:
            raise InvalidInput(
                f"{argument}: the template has no image {name!r}{did_you_mean(name, names)}",
                argument=argument,
            )
    return {name: given.get(name) for name in names}


def _first(given: Any) -> Any:
    """One object's part of what was given; a number for a number."""
    if isinstance(given, (list, tuple)):
        return given[0] if given and given[0] is not None else np.zeros(1)
    return given if np.ndim(given) else 0.0


def count_objects(argument: str, given: Any) -> int:
    """How many objects an argument describes.

    Parameters
    ----------
    argument : str
        Its name.
    given : array or list
        ``[n, h, w]``, or one 2-d array an object.

    Returns
    -------
    int
        n.
    """
    if isinstance(given, (list, tuple)):
        return len(given)
    if np.ndim(given) == 3 or (isinstance(given, np.ndarray) and given.dtype == object):
        return len(given)
    hint = "one stamp is data[np.newaxis]" if np.ndim(given) == 2 else None
    shown = Described(f"of shape {np.shape(given)}")
    raise invalid(argument, shown, "an array [n, h, w] or a list of 2-d arrays", hint)


def planes(
    argument: str, given: Any, n: int, problems: dict[int, str], *, unit: Any = None
) -> Planes:
    """Read one 2-d array an object.

    Parameters
    ----------
    argument : str
        Its name.
    given : array, list or None
        ``[n, h, w]``, or one 2-d array (or None) an object.
    n : int
        Number of objects.
    problems : dict
        What is wrong with single objects is added here, by row.
    unit : Unit, optional
        What Quantities are converted to.

    Returns
    -------
    ndarray, list or None
        float32, float64 or bool, contiguous.
    """
    if given is None:
        return None
    if is_listed(given):
        if len(given) != n:
            raise invalid(argument, Described(f"{len(given)} arrays"), f"{n}, one an object")
        out: list[Any] = []
        for row, item in enumerate(given):
            array = None
            if item is not None:
                try:
                    array = _numbers(argument, item, unit)
                    if array.ndim != 2:
                        shown = Described(f"of shape {array.shape}")
                        raise invalid(argument, shown, "two-dimensional")
                except InvalidInput as error:
                    problems.setdefault(row, str(error))
                    array = None
            out.append(array)
        return out
    array = _numbers(argument, given, unit)
    if array.ndim != 3 or len(array) != n:
        shown = Described(f"of shape {array.shape}")
        raise invalid(argument, shown, f"of shape ({n}, h, w), or a list of {n} 2-d arrays")
    return array


def levels_or_planes(
    argument: str, given: Any, n: int, pixels: Planes, problems: dict[int, str], unit: Any = None
) -> Planes:
    """Read noise or masks: a number, one an object, one plane for all, or one an object.

    Parameters
    ----------
    argument : str
        Its name.
    given : object
        What was passed.
    n : int
        Number of objects.
    pixels : ndarray, list or None
        The objects' pixels, whose shapes it must have.
    problems : dict
        As for `planes`.
    unit : Unit, optional
        Of the pixels.

    Returns
    -------
    ndarray, list or None
        ``[n]``, or as from `planes`.
    """
    if given is None:
        return None
    power = _POWER.get(argument)
    unit = None if unit is None or power is None else unit**power
    ragged = is_listed(given)
    if ragged and len(given) == n and all(np.ndim(item) == 0 for item in given):
        given = np.array([np.nan if item is None else float(item) for item in given])
        ragged = False
    if not ragged and np.ndim(given) < 3:
        array = _numbers(argument, given, unit)
        if array.ndim == 0 and power is None:
            raise invalid(argument, given, "an array")
        if array.ndim == 0:
            if not (np.isfinite(array) and array >= 0):
                raise invalid(argument, given, "a positive number")
            return np.full(n, float(array))
        if array.ndim == 1 and power is not None:
            if len(array) != n:
                raise invalid(argument, Described(f"{len(array)} numbers"), f"{n}, one an object")
            return array.astype(np.float64)
        given = [array] * n  # one plane for all
    found = planes(argument, given, n, problems, unit=unit)
    if isinstance(found, list):
        shapes = [None if one is None else one.shape for one in pixels]  # type: ignore[union-attr]
        for row, one in enumerate(found):
            if one is not None and shapes[row] is not None and one.shape != shapes[row]:
                shown = Described(f"of shape {one.shape}")
                problems.setdefault(
                    row, str(invalid(argument, shown, f"of the stamp's shape {shapes[row]}"))
                )
            if one is None or one.shape != shapes[row]:
                found[row] = None
    elif found is not None:
        others = {None if one is None else one.shape for one in pixels}  # type: ignore[union-attr]
        if others - {None, found.shape[1:]}:
            shown = Described(f"of shape {found.shape}")
            raise invalid(argument, shown, "of the same shape as data")
    return found


def _numbers(argument: str, value: Any, unit: Any) -> NDArray[Any]:
    """A contiguous array of float32, float64 or bool; masked values become NaN."""
    if isinstance(value, u.Quantity):
        try:
            value = value.to_value(u.dimensionless_unscaled if unit is None else unit)
        except u.UnitConversionError:
            allowed = (
                "a plain array: the template's image has no unit"
                if unit is None
                else (f"in {unit}")
            )
            raise invalid(argument, Described(f"in {value.unit}"), allowed) from None
    if isinstance(value, np.ma.MaskedArray):
        kind = value.dtype if value.dtype.kind == "f" else np.dtype(np.float64)
        value = np.ma.filled(value.astype(kind), np.nan)
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"{argument} cannot be made an array: {error}") from None
    if argument == "mask":
        if array.dtype.kind not in "biu":
            raise invalid(argument, Described(f"of type {array.dtype}"), "boolean or whole numbers")
        return np.ascontiguousarray(array if array.dtype.kind == "b" else array != 0)
    if array.dtype.kind not in "iuf":
        raise invalid(argument, Described(f"of type {array.dtype}"), "of real numbers")
    single = array.dtype.kind == "f" and array.dtype.itemsize == 4
    return np.ascontiguousarray(array, dtype=np.float32 if single else np.float64)


def jacobians(given: Any, n: int) -> NDArray[np.float64] | None:
    """Read d(plane)/d(pixel) of each object, ``[n, 2, 2]``.

    Parameters
    ----------
    given : array_like or None
        ``[n, 2, 2]``, or ``[2, 2]`` for all.
    n : int
        Number of objects.

    Returns
    -------
    ndarray or None
    """
    if given is None:
        return None
    array = np.asarray(given, dtype=np.float64)
    if array.shape not in {(2, 2), (n, 2, 2)}:
        raise invalid("jacobian", Described(f"of shape {array.shape}"), f"of shape ({n}, 2, 2)")
    return np.ascontiguousarray(np.broadcast_to(array, (n, 2, 2)))
