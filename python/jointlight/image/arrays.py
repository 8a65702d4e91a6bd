# SPDX-License-Identifier: BSD-3-Clause
"""Checks that turn what users pass for an image into plain float64 arrays."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from astropy import units as u
from numpy.typing import NDArray

from jointlight.device_arrays import read_here
from jointlight.errors import Described, InvalidInput, invalid, warn_user

Floats: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]
Window: TypeAlias = tuple[tuple[int, int], tuple[int, int]]
Shape: TypeAlias = tuple[int, int]

NOISE_ARGUMENTS = ("variance", "std", "weight")

_counter = itertools.count(1)


def parse_unit(unit: object) -> u.UnitBase | None:
    """Return the unit for what a user gave, None for None."""
    if unit is None:
        return None
    try:
        return u.Unit(unit)
    except (ValueError, TypeError):
        raise invalid("unit", unit, "a unit that astropy knows") from None


def split_data(data: Any, unit: object) -> tuple[Floats, Mask | None, u.UnitBase | None]:
    """Return the pixels, the mask that came with them, and their unit."""
    parsed = parse_unit(unit)
    if isinstance(data, u.Quantity):
        if parsed is None:
            parsed = data.unit
        try:
            data = data.to_value(parsed)
        except u.UnitConversionError:
            raise invalid("unit", unit, f"one that {data.unit} converts to") from None
    mask = None
    if isinstance(data, np.ma.MaskedArray):
        mask = np.array(np.ma.getmaskarray(data))
        data = data.data
    array = real_array("data", data)
    if array.ndim != 2:
        hint = "pass one plane of a cube, for instance data[0]" if array.ndim > 2 else None
        raise invalid(
            "data", Described(f"of shape {array.shape}"), "two-dimensional [row, column]", hint
        )
    if array.size == 0:
        raise invalid("data", Described(f"of shape {array.shape}"), "an array with pixels")
    return np.array(array, dtype=np.float64, order="C"), mask, parsed


def real_array(argument: str, value: object) -> NDArray[Any]:
    """Return an array of real numbers, of whatever precision and byte order."""
    value = read_here(argument, value)
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"{argument} cannot be made an array: {error}") from None
    if array.dtype.kind not in "iuf":
        if array.dtype.kind == "c":
            hint = "pass its real part"
        elif array.dtype.kind == "b":
            hint = "use .astype(float) if 0 and 1 are what you mean"
        else:
            hint = "rows of unequal length and None make object arrays"
        raise invalid(argument, Described(f"of type {array.dtype}"), "real numbers", hint)
    return array


def build_mask(mask: object, mask_bits: int | Sequence[int] | None, shape: Shape) -> Mask:
    """Return a fresh boolean mask, True = ignore, from a boolean or integer one.

    Parameters
    ----------
    mask : array_like or None
        Boolean, or integers that are flags; floats that hold whole numbers count as integers.
    mask_bits : int or sequence of int, optional
        Flags that make a pixel bad. Default: any that is not zero.
    shape : tuple of int
        Shape of the image.
    """
    bits = _parse_bits(mask_bits)
    if mask is None:
        if bits is not None:
            raise invalid("mask_bits", mask_bits, "given together with an integer mask")
        return np.zeros(shape, dtype=bool)
    array = np.asarray(read_here("mask", mask))
    check_shape("mask", array, shape)
    if array.dtype.kind == "f":
        if not np.all(np.isfinite(array)) or np.any(array != np.rint(array)):
            raise invalid(
                "mask",
                Described(f"of type {array.dtype} with fractions or NaN"),
                "boolean or of whole numbers",
            )
        array = array.astype(np.int64)
    if array.dtype.kind == "b":
        if bits is not None:
            raise invalid("mask_bits", mask_bits, "left out with a boolean mask")
        return np.array(array, dtype=bool)
    if array.dtype.kind not in "iu":
        raise invalid("mask", Described(f"of type {array.dtype}"), "boolean or of whole numbers")
    if bits is None:
        return np.asarray(array != 0)
    # 64 bits of either sign hold every FITS integer type.
    return np.asarray((array.astype(np.int64) & np.int64(bits)) != 0)


def _parse_bits(mask_bits: Any) -> int | None:
    if mask_bits is None:
        return None
    values = list(mask_bits) if isinstance(mask_bits, Sequence | np.ndarray) else [mask_bits]
    pattern = 0
    for value in values:
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not whole or not 0 < value < 2**63:
            allowed = "a positive whole number, or several, whose bits mark bad pixels"
            raise invalid("mask_bits", mask_bits, allowed)
        pattern |= int(value)
    if pattern == 0:
        raise invalid("mask_bits", mask_bits, "at least one flag")
    return pattern


def check_shape(argument: str, array: NDArray[Any], shape: Shape) -> None:
    """Refuse an array that does not have the image's shape."""
    if array.shape == shape:
        return
    hint = None
    if array.ndim == 2 and array.shape == shape[::-1]:
        hint = "it looks transposed: arrays are [row, column]"
    raise invalid(argument, Described(f"of shape {array.shape}"), f"of the shape {shape}", hint)


def mask_non_finite(data: Floats, mask: Mask, name: str) -> None:
    """Mask NaN and infinite pixels in place, set them to 0, and say how many there were."""
    bad = ~np.isfinite(data)
    new = int(np.count_nonzero(bad & ~mask))
    data[bad] = 0.0
    mask |= bad
    if new and not mask.all():
        share = f"{100.0 * new / data.size:.2g} %"
        warn_user(f"{name}: {new} pixels ({share}) are NaN or infinite and are masked")


def build_weight(
    noise: dict[str, object], data: Floats, mask: Mask, unit: u.UnitBase | None
) -> tuple[Floats, bool]:
    """Return the inverse variances and whether the user gave any.

    Parameters
    ----------
    noise : dict
        What was passed for variance, std and weight; at most one is not None.
    data : ndarray
        The pixels.
    mask : ndarray of bool
        True = ignore.
    unit : Unit or None
        Unit of the pixels.
    """
    given = [key for key in NOISE_ARGUMENTS if noise.get(key) is not None]
    if len(given) > 1:
        raise invalid(
            ", ".join(NOISE_ARGUMENTS), Described(" and ".join(given)), "at most one of them"
        )
    if not given:
        return np.where(mask, 0.0, 1.0), False
    argument = given[0]
    power = {"variance": 2, "std": 1, "weight": -2}[argument]
    values = noise_array(argument, noise[argument], data.shape, unit, power)
    used = ~mask
    if argument == "weight":
        bad = used & ~((values >= 0.0) & np.isfinite(values))
        _refuse_pixels(argument, values, bad, "finite and not negative", "0 ignores a pixel")
        weight = np.where(used, values, 0.0)
    else:
        # Infinite noise is a way to say that a pixel does not count.
        bad = used & ~(values > 0.0)
        hint = "mask these pixels, or give weight= with 0 there"
        _refuse_pixels(argument, values, bad, "positive on unmasked pixels", hint)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            weight = np.where(used, values ** (-1.0 if argument == "variance" else -2.0), 0.0)
        bad = used & ~np.isfinite(weight)
        _refuse_pixels(argument, values, bad, "large enough for 1/variance to be finite", None)
    return weight, True


def noise_array(
    argument: str, value: Any, shape: Shape, unit: u.UnitBase | None, power: int
) -> Floats:
    """Return a noise argument as an array of the image's shape in its unit to a power."""
    if isinstance(value, u.Quantity):
        if unit is None and value.unit != u.dimensionless_unscaled:
            raise invalid(
                argument, Described(f"in {value.unit}"), "a plain array", "give data a unit too"
            )
        try:
            value = value.to_value((unit or u.dimensionless_unscaled) ** power)
        except u.UnitConversionError:
            wanted = (unit or u.dimensionless_unscaled) ** power
            raise invalid(argument, Described(f"in {value.unit}"), f"in {wanted}") from None
    if isinstance(value, np.ma.MaskedArray):
        value = value.filled(np.nan)
    array = real_array(argument, value)
    if array.ndim == 0:
        return np.full(shape, float(array))
    check_shape(argument, array, shape)
    return np.asarray(array, dtype=np.float64)


def _refuse_pixels(
    argument: str, values: Floats, bad: Mask, allowed: str, hint: str | None
) -> None:
    count = int(np.count_nonzero(bad))
    if not count:
        return
    y, x = (int(i) for i in np.argwhere(bad)[0])
    if np.all(values == values.flat[0]) or np.isnan(values).all():
        raise invalid(argument, Described(f"{values.flat[0]:g}"), allowed, hint)
    where = f"{values[y, x]:g} at (x, y) = ({x}, {y})"
    others = f" and {count - 1} other pixels" if count > 1 else ""
    raise invalid(argument, Described(where + others), allowed, hint)


def build_poisson_weight(gain: object, data: Floats, mask: Mask) -> Floats:
    """Return counts per data unit, 0 where a pixel does not count."""
    values = noise_array("gain", 1.0 if gain is None else gain, data.shape, None, -1)
    used = ~mask
    bad = used & ~((values >= 0.0) & np.isfinite(values))
    _refuse_pixels("gain", values, bad, "finite and not negative", "0 ignores a pixel")
    weight = np.where(used, values, 0.0)
    negative = (weight > 0.0) & (data < 0.0)
    if negative.any():
        y, x = (int(i) for i in np.argwhere(negative)[0])
        count = int(np.count_nonzero(negative))
        raise invalid(
            "data",
            Described(f"{data[y, x]:g} at (x, y) = ({x}, {y}), one of {count} negative pixels"),
            "counts, not negative, with likelihood='poisson'",
            "add the subtracted sky back and model it, or use likelihood='gaussian'",
        )
    return weight


def parse_window(
    window: object, shape: Shape, *, argument: str = "window", clip: bool = False
) -> Window:
    """Return a window as plain numbers, checked against an image.

    Parameters
    ----------
    window : sequence or tuple of slice
        ``((x0, x1), (y0, y1))``, half-open pixel ranges, as tuples or lists; or numpy slices
        ``np.s_[y0:y1, x0:x1]``.
    shape : tuple of int
        Shape of the image, (height, width).
    argument : str
        Name to use in messages.
    clip : bool
        Whether a window that reaches over the edge is cut there; otherwise it is refused. One
        that lies outside altogether is always refused.

    Returns
    -------
    tuple
        ``((x0, x1), (y0, y1))``.
    """
    height, width = shape
    allowed = "((x0, x1), (y0, y1)) in whole pixels, or numpy slices [y0:y1, x0:x1]"
    if isinstance(window, tuple) and any(isinstance(part, slice) for part in window):
        if len(window) != 2 or not all(isinstance(part, slice) for part in window):
            raise invalid(argument, window, allowed)
        try:
            ranges = [
                (part.indices(n), n) for part, n in zip(window[::-1], (width, height), strict=True)
            ]
        except (TypeError, ValueError):
            raise invalid(argument, window, allowed) from None
        if any(step != 1 for (_, _, step), _ in ranges):
            raise invalid(argument, window, "of slices without a step")
        (x0, x1), (y0, y1) = ((start, stop) for (start, stop, _), _ in ranges)
    else:
        try:
            raw = np.asarray(window)
        except (TypeError, ValueError):
            raise invalid(argument, window, allowed) from None
        if raw.shape != (2, 2) or raw.dtype.kind not in "iuf" or np.any(raw != np.rint(raw)):
            raise invalid(argument, window, allowed)
        (x0, x1), (y0, y1) = ((int(low), int(high)) for low, high in raw)
    if x1 <= x0 or y1 <= y0:
        raise invalid(argument, window, "of at least one pixel", "it is half-open: [x0, x1)")
    inside = (max(x0, 0), min(x1, width)), (max(y0, 0), min(y1, height))
    size = f"the image of {width} x {height} pixels (x, y)"
    if inside[0][1] <= inside[0][0] or inside[1][1] <= inside[1][0]:
        raise invalid(argument, window, f"inside {size}")
    if not clip and inside != ((x0, x1), (y0, y1)):
        raise invalid(argument, window, f"inside {size}", f"its part inside is {inside}")
    return inside


def parse_name(name: object) -> str:
    """Return a name, a fresh one for None."""
    if name is None:
        return f"image{next(_counter)}"
    if not isinstance(name, str) or not name.strip():
        raise invalid("name", name, "a text that is not empty")
    return name


def parse_zeropoint(zeropoint: Any) -> float | None:
    """Return a finite magnitude, or None for None."""
    if zeropoint is None:
        return None
    try:
        if isinstance(zeropoint, str):
            raise TypeError
        value = float(getattr(zeropoint, "value", zeropoint))
    except (TypeError, ValueError):
        raise invalid("zeropoint", zeropoint, "a magnitude") from None
    if not np.isfinite(value):
        raise invalid("zeropoint", zeropoint, "a finite magnitude", "None where it is not known")
    return value
