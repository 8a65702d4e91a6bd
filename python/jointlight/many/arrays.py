# SPDX-License-Identifier: BSD-3-Clause
"""What users pass for the pixels of many objects, as the core reads it: copied only if it must be.

What is wrong with one object is noted for its row; what is wrong with the call is raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from astropy import units as u
from astropy.utils.masked import Masked
from numpy.typing import NDArray

from jointlight.errors import Described, InvalidInput, did_you_mean, invalid

__all__ = [
    "Planes",
    "by_image",
    "count_objects",
    "is_listed",
    "jacobians",
    "masks",
    "noise_levels",
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
        if len(names) > 1 and given is not None and not _holds_for_all(argument, given):
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


def _holds_for_all(argument: str, given: Any) -> bool:
    """Whether something may be meant for several images: numbers and PSFs, but no pixels."""
    if argument == "data":
        return False
    if is_listed(given):
        return all(one is None or np.ndim(one) == 0 for one in given)
    return np.ndim(given) == 0 or (np.ndim(given) == 1 and argument in _POWER)


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
    argument: str,
    given: Any,
    n: int,
    problems: dict[int, str],
    *,
    unit: Any = None,
    is_mask: bool = False,
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
    is_mask : bool, optional
        Whether they are masks.

    Returns
    -------
    ndarray, list or None
        float32, float64 or bool, contiguous.
    """
    if given is None:
        return None
    if is_listed(given):
        _check_length(argument, given, n)
        out: list[Any] = []
        for row, item in enumerate(given):
            array = None
            if item is not None:
                try:
                    if np.ndim(item) == 0:
                        raise invalid(argument, item, "a two-dimensional array")
                    array = _numbers(argument, item, unit, is_mask=is_mask)
                    if array.ndim != 2:
                        shown = Described(f"of shape {array.shape}")
                        raise invalid(argument, shown, "two-dimensional")
                except InvalidInput as error:
                    problems.setdefault(row, str(error))
                    array = None
            out.append(array)
        return out
    array = _numbers(argument, given, unit, is_mask=is_mask)
    if array.ndim != 3 or len(array) != n:
        shown = Described(f"of shape {array.shape}")
        raise invalid(argument, shown, f"of shape ({n}, h, w), or a list of {n} 2-d arrays")
    return array


def noise_levels(
    argument: str,
    kind: str,
    given: Any,
    n: int,
    pixels: Planes,
    problems: dict[int, str],
    unit: Any = None,
) -> tuple[Planes, NDArray[np.bool_]]:
    """Read noise: a number, one an object, one plane for all, or one an object.

    Parameters
    ----------
    argument : str
        Its name in messages.
    kind : str
        ``"variance"``, ``"std"`` or ``"weight"``.
    given : object
        What was passed.
    n : int
        Number of objects.
    pixels : ndarray or list
        The objects' pixels, whose shapes planes must have.
    problems : dict
        As for `planes`.
    unit : Unit, optional
        Of the pixels.

    Returns
    -------
    levels : ndarray, list or None
        ``[n]``, or as from `planes`; None stands for the template's noise.
    known : ndarray of bool
        Which objects have noise of their own, ``[n]``.
    """
    known = np.ones(n, dtype=bool)
    unit = None if unit is None else unit ** _POWER[kind]
    if given is not None and is_listed(given):
        _check_length(argument, given, n)
        known = np.array([one is not None for one in given], dtype=bool)
    if given is None or not known.any():
        return None, np.zeros(n, dtype=bool)
    if is_listed(given):
        scalar = [one is not None and np.ndim(one) == 0 for one in given]
        numbers = {
            row: _level(f"{argument}[{row}]", one, unit)
            for row, one in enumerate(given)
            if scalar[row]
        }
        if all(scalar):
            return np.array([numbers[row] for row in range(n)]), known
        found: Planes = planes(
            argument,
            [None if scalar[row] else one for row, one in enumerate(given)],
            n, problems, unit=unit,
        )  # fmt: skip
        assert isinstance(found, list)
        for row, number in numbers.items():
            shape = _shape_of(pixels, row)
            found[row] = None if shape is None else np.full(shape, number)
        return _of_same_shapes(argument, found, n, pixels, problems), known
    array = _numbers(argument, given, unit)
    if array.ndim == 0:
        if not (np.isfinite(array) and array > 0):
            raise invalid(argument, given, "a positive number")
        return np.full(n, float(array)), known
    if array.ndim == 1:
        _check_length(argument, array, n)
        for first in np.flatnonzero(array < 0)[:1]:
            raise invalid(f"{argument}[{first}]", float(array[first]), "a positive number")
        return array.astype(np.float64), known
    return _of_same_shapes(argument, _stacked(argument, array, n), n, pixels, problems), known


def masks(argument: str, given: Any, n: int, pixels: Planes, problems: dict[int, str]) -> Planes:
    """Read masks: one plane for all, or one an object.

    Parameters
    ----------
    argument : str
        Its name in messages.
    given : object
        What was passed.
    n : int
        Number of objects.
    pixels : ndarray or list
        The objects' pixels, whose shapes they must have.
    problems : dict
        As for `planes`.

    Returns
    -------
    ndarray, list or None
        True = ignore; None where nothing was given.
    """
    if given is None:
        return None
    if is_listed(given):
        found = planes(argument, given, n, problems, is_mask=True)
    else:
        array = _numbers(argument, given, None, is_mask=True)
        if array.ndim < 2:
            raise invalid(argument, given, f"an array [h, w] or [{n}, h, w], or a list")
        found = _stacked(argument, array, n)
    return _of_same_shapes(argument, found, n, pixels, problems)


def _level(argument: str, value: Any, unit: Any) -> float:
    array = _numbers(argument, value, unit)
    if array < 0:
        raise invalid(argument, value, "a positive number")
    return float(array)


def _check_length(argument: str, given: Any, n: int) -> None:
    if len(given) != n:
        raise invalid(argument, Described(f"{len(given)} entries"), f"{n}, one an object")


def _stacked(argument: str, array: NDArray[Any], n: int) -> Planes:
    """One plane for all as one an object; a stack as it is."""
    if array.ndim == 2:
        return [array] * n
    if array.ndim != 3 or len(array) != n:
        shown = Described(f"of shape {array.shape}")
        raise invalid(argument, shown, f"of shape ({n}, h, w), or a list of {n} 2-d arrays")
    return array


def _shape_of(pixels: Planes, row: int) -> tuple[int, ...] | None:
    one = None if pixels is None else pixels[row]
    return None if one is None else one.shape


def _of_same_shapes(
    argument: str, found: Planes, n: int, pixels: Planes, problems: dict[int, str]
) -> Planes:
    """Planes of the shapes of the pixels: refuse all others."""
    shapes = {row: _shape_of(pixels, row) for row in range(n)}
    if isinstance(found, list):
        shared = n > 0 and found[0] is not None and all(one is found[0] for one in found)
        present = {shape for shape in shapes.values() if shape is not None}
        if shared and present and found[0].shape not in present:
            shown = Described(f"of shape {found[0].shape}")
            raise invalid(argument, shown, f"of the stamps' shape, {min(present)}")
        for row, one in enumerate(found):
            if one is not None and shapes[row] is not None and one.shape != shapes[row]:
                shown = Described(f"of shape {one.shape}")
                problems.setdefault(
                    row, str(invalid(argument, shown, f"of the stamp's shape {shapes[row]}"))
                )
            if one is None or one.shape != shapes[row]:
                found[row] = None
    elif found is not None and set(shapes.values()) - {None, found.shape[1:]}:
        shown = Described(f"of shape {found.shape}")
        raise invalid(argument, shown, "of the same shape as data")
    return found


def _numbers(argument: str, value: Any, unit: Any, *, is_mask: bool = False) -> NDArray[Any]:
    """A contiguous array of float32, float64 or bool; masked values become NaN."""
    hidden = None
    if isinstance(value, Masked):
        hidden, value = np.asarray(value.mask), value.unmasked
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
        hidden, value = np.ma.getmaskarray(value), value.data
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"{argument} cannot be made an array: {error}") from None
    if is_mask:
        if array.dtype.kind not in "biu":
            raise invalid(argument, Described(f"of type {array.dtype}"), "boolean or whole numbers")
        return np.asarray(array if array.dtype.kind == "b" else array != 0, order="C")
    if array.dtype.kind not in "iuf":
        shown = value if array.ndim == 0 else Described(f"of type {array.dtype}")
        raise invalid(argument, shown, "of real numbers" if array.ndim else "a number")
    single = array.dtype.kind == "f" and array.dtype.itemsize == 4
    array = np.asarray(array, dtype=np.float32 if single else np.float64, order="C")
    return array if hidden is None else np.where(hidden, array.dtype.type(np.nan), array)


def jacobians(argument: str, given: Any, n: int) -> NDArray[np.float64] | None:
    """Read d(plane)/d(pixel) of each object, ``[n, 2, 2]``.

    Parameters
    ----------
    argument : str
        Its name in messages.
    given : array_like or Quantity or None
        ``[n, 2, 2]``, or ``[2, 2]`` for all; plain numbers are arcsec per pixel.
    n : int
        Number of objects.

    Returns
    -------
    ndarray or None
    """
    if given is None:
        return None
    if isinstance(given, u.Quantity):
        per_pixel = u.arcsec / u.pix
        known = next((one for one in (u.arcsec, per_pixel) if given.unit.is_equivalent(one)), None)
        if known is None:
            raise invalid(argument, Described(f"in {given.unit}"), "in arcsec per pixel")
        given = given.to_value(known)
    try:
        array = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise invalid(argument, given, f"numbers, of shape ({n}, 2, 2)") from None
    if array.shape not in {(2, 2), (n, 2, 2)}:
        raise invalid(argument, Described(f"of shape {array.shape}"), f"of shape ({n}, 2, 2)")
    return np.ascontiguousarray(np.broadcast_to(array, (n, 2, 2)))
