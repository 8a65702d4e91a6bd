# SPDX-License-Identifier: BSD-3-Clause
"""When an image was taken and at what wavelength."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from datetime import datetime
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from astropy import units as u
from astropy.time import Time
from erfa import ErfaWarning  # type: ignore[import-untyped]

from jointlight.errors import invalid

if TYPE_CHECKING:
    from astropy.io import fits

TimeLike: TypeAlias = Time | float | str | datetime
WavelengthLike: TypeAlias = u.Quantity | float

_CARDS = (("MJD-AVG", "DATE-AVG"), ("MJD-OBS", "DATE-OBS"))  # the middle, and often the start
_SCALES = {"UTC": "utc", "TT": "tt", "TAI": "tai", "TDB": "tdb", "TCB": "tcb", "TCG": "tcg"}
_SAME_DAY = 1.0  # days; cards that differ by more contradict each other
_MJD_RANGE = (-100_000.0, 200_000.0)  # years 1585 to 2406; a Julian date is far outside


def parse_time(time: object, argument: str = "time") -> Time | None:
    """Return a single time for what a user gave: a Time, an MJD (UTC), a date; None for None."""
    if time is None:
        return None
    allowed = "an astropy Time, a modified Julian date (UTC) or an ISO date"
    if isinstance(time, Time):
        if not time.isscalar or not np.isfinite(time.mjd):
            raise invalid(argument, time, "a single time")
        return time
    if isinstance(time, (int, float, np.integer, np.floating)) and not isinstance(time, bool):
        mjd = float(time)
        if not (math.isfinite(mjd) and _MJD_RANGE[0] < mjd < _MJD_RANGE[1]):
            hint = "a Julian date is given as Time(jd, format='jd')" if mjd > 2e6 else None
            raise invalid(argument, time, allowed, hint)
        return Time(mjd, format="mjd", scale="utc")
    if isinstance(time, u.Quantity):
        raise invalid(argument, time, allowed, "MJD is a plain number")
    if isinstance(time, (str, datetime)):
        try:
            return Time(time, scale="utc")
        except (ValueError, TypeError):
            raise invalid(argument, time, allowed) from None
    raise invalid(argument, time, allowed)


def in_scale(time: Time, scale: str) -> Time:
    """Return the time in another scale, without ERFA's doubts about leap seconds to come."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ErfaWarning)
        return getattr(time, scale)


def header_time(headers: Sequence[fits.Header]) -> Time | None:
    """Time of observation by the standard cards, the first header's before the others'.

    The middle of the exposure (MJD-AVG, DATE-AVG) where it is told, else MJD-OBS or DATE-OBS,
    most often its start. None where nothing is told, only a day, or cards contradict each other.
    """
    for header in headers:
        scale = _SCALES.get(str(header.get("TIMESYS", "UTC")).strip().upper(), "")
        if not scale:
            continue
        found = [
            time
            for number, date in _CARDS
            for time in (_by_number(header.get(number), scale), _by_date(header.get(date), scale))
            if time is not None
        ]
        if found and max(abs(t.mjd - found[0].mjd) for t in found) <= _SAME_DAY:
            return found[0]
        if found:
            return None
    return None


def _by_number(value: object, scale: str) -> Time | None:
    # 0 stands for "not known" in more than one survey.
    if isinstance(value, Real) and 0.0 < float(value) < _MJD_RANGE[1]:
        return Time(float(value), format="mjd", scale=scale)
    return None


def _by_date(value: object, scale: str) -> Time | None:
    text = str(value).strip() if value is not None else ""
    if "T" not in text:
        return None
    try:
        return Time(text.rstrip("Z"), format="isot", scale=scale)
    except ValueError:
        return None


def parse_wavelength(wavelength: Any) -> float | None:
    """Return a wavelength in micrometres; frequencies and energies are converted."""
    if wavelength is None:
        return None
    allowed = "positive: a number in micrometres, or a Quantity"
    value = wavelength
    if isinstance(value, u.Quantity):
        try:
            value = value.to_value(u.um, equivalencies=u.spectral())
        except u.UnitConversionError:
            raise invalid("wavelength", wavelength, allowed) from None
    if isinstance(value, (bool, str)) or np.ndim(value) != 0:
        raise invalid("wavelength", wavelength, allowed)
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise invalid("wavelength", wavelength, allowed) from None
    if not (math.isfinite(number) and number > 0.0):
        raise invalid("wavelength", wavelength, allowed)
    return number
