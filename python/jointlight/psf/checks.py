# SPDX-License-Identifier: BSD-3-Clause
"""Checks of what users pass for a PSF."""

from __future__ import annotations

from typing import Literal, TypeAlias, cast

import numpy as np
from astropy import units as u
from numpy.typing import NDArray

from jointlight.device_arrays import read_here
from jointlight.errors import Described, did_you_mean, invalid

Floats: TypeAlias = NDArray[np.float64]
Kind: TypeAlias = Literal["effective", "optical"]
KINDS = ("effective", "optical")
_LEAST_SUM = 1e-3  # of the sum of |values|: below this an array is noise about zero


def positive_arcsec(argument: str, value: object, pixelscale: float | None = None) -> float:
    """Return a positive length in arcsec; Quantities may be in pixels where their size is known."""
    number: object = value
    if isinstance(value, u.Quantity):
        equivalencies = [] if pixelscale is None else u.pixel_scale(pixelscale * u.arcsec / u.pix)
        try:
            if value.unit.is_equivalent(u.arcsec / u.pix):
                number = value.to_value(u.arcsec / u.pix)
            else:
                number = value.to_value(u.arcsec, equivalencies=equivalencies)
        except u.UnitConversionError:
            raise invalid(argument, value, "in arcsec or another angle") from None
    try:
        if isinstance(number, str | bytes):
            raise TypeError
        result = float(number)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise invalid(argument, value, "a positive number (arcsec)") from None
    if not (np.isfinite(result) and result > 0.0):
        raise invalid(argument, value, "a positive number (arcsec)")
    return result


def checked_array(data: object) -> Floats:
    if isinstance(data, u.Quantity):
        data = data.value
    data = read_here("psf", data)
    array = np.asarray(np.ma.filled(data, np.nan) if np.ma.isMaskedArray(data) else data)
    if array.ndim != 2 or array.size == 0:
        raise invalid("psf", array, "a two-dimensional array")
    if array.dtype.kind not in "iuf":
        raise invalid("psf", Described(f"of type {array.dtype}"), "of real numbers")
    array = np.array(array, dtype=np.float64, order="C")
    if not np.all(np.isfinite(array)):
        count = int(np.count_nonzero(~np.isfinite(array)))
        described = Described(f"one with {count} NaN or infinite of {array.size} values")
        raise invalid("psf", described, "finite", "set them to 0 where the PSF is unknown")
    total, size = float(array.sum()), float(np.abs(array).sum())
    if not (total > 0.0 and total > _LEAST_SUM * size and np.isfinite(total)):
        described = Described(f"one of sum {total:.4g}")
        raise invalid("psf", described, "an array of positive sum", "is the background subtracted?")
    return array


def checked_oversampling(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value <= 100:
        raise invalid("oversampling", value, "a whole number from 1 to 100")
    return int(value)


def checked_kind(value: object) -> Kind:
    if value not in KINDS:
        raise invalid("kind", value, "'effective' or 'optical'", did_you_mean(value, KINDS))
    return cast("Kind", value)
