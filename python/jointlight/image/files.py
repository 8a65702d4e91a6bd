# SPDX-License-Identifier: BSD-3-Clause
"""Images from FITS files and from astropy's NDData."""

from __future__ import annotations

import os
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.nddata import (
    InverseVariance,
    NDData,
    StdDevUncertainty,
    VarianceUncertainty,
)

from jointlight import wcs as geometry
from jointlight.errors import Described, InvalidInput, did_you_mean, invalid
from jointlight.image.epoch import header_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_UNCERTAINTIES = (
    (StdDevUncertainty, "std"),
    (VarianceUncertainty, "variance"),
    (InverseVariance, "weight"),
)


@contextmanager
def opened(path: Any) -> Iterator[fits.HDUList]:
    """Give an open FITS file, and close it again unless it came open."""
    if isinstance(path, fits.HDUList):
        yield path
        return
    if not isinstance(path, str | os.PathLike):
        raise invalid("path", path, "a path or an open HDUList")
    file = Path(path)
    if not file.is_file():
        raise invalid("path", str(file), "a file that exists")
    with warnings.catch_warnings():
        # Non-standard cards are read all the same, and nothing is written.
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)
        try:
            hdus = fits.open(file, memmap=False)
        except OSError as error:
            raise InvalidInput(f"path: {file} cannot be read as FITS: {error}") from error
        with hdus:
            yield hdus


def find_hdu(hdus: fits.HDUList, hdu: object, argument: str) -> Any:
    """Return the HDU of an index or name; for None the first that holds an image."""
    names = [f"{i} ({item.name})" if item.name else str(i) for i, item in enumerate(hdus)]
    if hdu is None:
        for item in hdus:
            if item.is_image and item.header.get("NAXIS", 0) >= 2 and item.shape:
                return item
        raise invalid(argument, Described(f"found in HDUs {', '.join(names)}"), "an image")
    if isinstance(hdu, bool) or not isinstance(hdu, int | np.integer | str):
        raise invalid(argument, hdu, "the index or the name of an HDU")
    try:
        item = hdus[int(hdu) if not isinstance(hdu, str) else hdu]
    except (KeyError, IndexError):
        known = [other.name for other in hdus if other.name]
        hint = did_you_mean(hdu, known) if isinstance(hdu, str) else None
        raise invalid(argument, hdu, f"one of the HDUs {', '.join(names)}", hint) from None
    if not item.is_image or item.header.get("NAXIS", 0) < 2:
        kind = "a table" if not item.is_image else f"of {item.header.get('NAXIS', 0)} axes"
        raise invalid(argument, Described(f"{hdu!r}, which is {kind}"), "an image HDU")
    return item


def image_array(item: Any, plane: int | None, argument: str) -> NDArray[Any]:
    """Return an HDU's pixels as a two-dimensional array in native byte order."""
    array = np.asarray(item.data)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 2:
        if plane not in (None, 0):
            raise invalid("plane", plane, f"left out: {argument} has a single plane")
        return array
    count = int(np.prod(array.shape[:-2]))
    if plane is None:
        raise invalid(
            "plane", None, f"given for a cube of shape {array.shape}", f"from 0 to {count - 1}"
        )
    if isinstance(plane, bool) or not isinstance(plane, int | np.integer):
        raise invalid("plane", plane, "a whole number")
    if not 0 <= plane < count:
        raise invalid("plane", plane, f"from 0 to {count - 1}")
    return np.asarray(array.reshape(count, *array.shape[-2:])[plane])


def read_array(path: Any, hdu: object, *, plane: int | None, argument: str) -> NDArray[Any]:
    """Return the two-dimensional array of one HDU of a file."""
    with opened(path) as hdus:
        return image_array(find_hdu(hdus, hdu, argument), plane, argument)


def read_target(
    path: Any,
    hdu: int | str | None,
    *,
    plane: int | None,
    extra: dict[str, Any],
    ctype: str | tuple[str, str] | None,
    zeropoint: Any,
    given: dict[str, Any],
) -> dict[str, Any]:
    """Return the arguments of `TargetImage` for what is in a FITS file.

    Parameters
    ----------
    path : path or HDUList
        The file.
    hdu : int, str or None
        The image's HDU.
    plane : int or None
        Plane of a cube.
    extra : dict
        HDUs of mask, variance, std, weight and psf by argument name, None where not given.
    ctype : str, tuple of str or None
        Axes where the header lacks them.
    zeropoint : float, str, Quantity or None
        Value or header card.
    given : dict
        Arguments that the user gave directly; they win.
    """
    arguments: dict[str, Any] = {}
    with opened(path) as hdus:
        item = find_hdu(hdus, hdu, "hdu")
        header = item.header
        arguments["data"] = image_array(item, plane, "hdu")
        arguments["unit"] = _header_unit(header)
        arguments["name"] = _file_name(path, hdus)
        arguments["zeropoint"] = _header_zeropoint(zeropoint, header)
        if "time" not in given:
            arguments["time"] = header_time([header, hdus[0].header])
        for argument, where in extra.items():
            if where is None:
                continue
            if given.get(argument) is not None:
                raise invalid(f"{argument}, {argument}_hdu", Described("both"), "one of the two")
            arguments[argument] = _elsewhere(hdus, where, f"{argument}_hdu", plane)
        if "wcs" not in given:
            arguments["wcs"] = _header_wcs(header, hdus, ctype)
    return {**arguments, **given}


def _elsewhere(hdus: fits.HDUList, where: Any, argument: str, plane: int | None) -> NDArray[Any]:
    """Read an array that belongs to the image from another HDU or file."""
    other: Any = None
    if isinstance(where, tuple) and len(where) == 2:
        other, where = where
    elif isinstance(where, os.PathLike):
        other, where = where, None
    with opened(hdus if other is None else other) as source:
        item = find_hdu(source, where, argument)
        cube = len([n for n in item.shape if n > 1]) > 2
        return image_array(item, plane if cube else None, argument)


def _header_wcs(
    header: fits.Header, hdus: fits.HDUList, ctype: str | tuple[str, str] | None
) -> Any:
    """The WCS of a header; the header itself where CTYPE is missing; None where there is none."""
    if ctype is not None:
        header = _with_ctype(header, ctype)
    if geometry.lacks_ctype(header):
        return header if "CRVAL1" in header or "CRPIX1" in header else None
    found = geometry.wcs_from_header(header, hdus=hdus)
    return found if found.has_celestial else None


def _with_ctype(header: fits.Header, ctype: str | tuple[str, str]) -> fits.Header:
    if not geometry.lacks_ctype(header):
        raise invalid("ctype", ctype, f"left out: the header has CTYPE1 = {header.get('CTYPE1')!r}")
    if isinstance(ctype, str):
        if len(ctype) != 3:
            raise invalid("ctype", ctype, "a projection's three letters or both CTYPE cards")
        ctype = (f"RA---{ctype.upper()}", f"DEC--{ctype.upper()}")
    try:
        first, second = (str(card) for card in ctype)
    except (TypeError, ValueError):
        raise invalid("ctype", ctype, "a projection's three letters or both CTYPE cards") from None
    header = header.copy()
    header["CTYPE1"], header["CTYPE2"] = first, second
    return header


def _header_unit(header: fits.Header) -> u.UnitBase | None:
    """The unit of BUNIT, None where astropy does not know it."""
    text = str(header.get("BUNIT", "")).strip()
    if not text:
        return None
    try:
        return u.Unit(text, parse_strict="raise")
    except (ValueError, TypeError):
        return None


def _header_zeropoint(zeropoint: Any, header: fits.Header) -> Any:
    if not isinstance(zeropoint, str):
        return zeropoint
    if zeropoint not in header:
        cards = [card for card in header if card]
        raise invalid(
            "zeropoint",
            zeropoint,
            "a number or a card of the header",
            did_you_mean(zeropoint, cards),
        )
    return header[zeropoint]


def _file_name(path: Any, hdus: fits.HDUList) -> str | None:
    name = hdus.filename() if isinstance(path, fits.HDUList) else path
    if name is None:
        return None
    stem = Path(name).name
    for suffix in (".gz", ".bz2", ".xz", ".fz", ".fits", ".fit", ".fts"):
        stem = stem.removesuffix(suffix)
    return stem or None


def from_nddata(nddata: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of `TargetImage` for what is in an NDData object.

    Parameters
    ----------
    nddata : NDData
        The image.
    given : dict
        Arguments that the user gave directly; they win.
    """
    if not isinstance(nddata, NDData):
        raise invalid("nddata", nddata, "an astropy NDData or CCDData")
    arguments: dict[str, Any] = {
        "data": nddata.data,
        "unit": nddata.unit,
        "mask": nddata.mask,
        "psf": getattr(nddata, "psf", None),
    }
    if nddata.wcs is not None and "wcs" not in given:
        arguments["wcs"] = nddata.wcs
    noise_given = any(given.get(key) is not None for key in ("variance", "std", "weight"))
    if nddata.uncertainty is not None and not noise_given and given.get("likelihood") != "poisson":
        uncertainty = nddata.uncertainty
        for kind, argument in _UNCERTAINTIES:
            if isinstance(uncertainty, kind):
                arguments[argument] = _uncertainty_array(uncertainty, nddata.unit)
                break
        else:
            raise invalid(
                "nddata.uncertainty",
                Described(type(uncertainty).__name__),
                "a StdDevUncertainty, VarianceUncertainty or InverseVariance",
                "or pass variance=, std= or weight=",
            )
    return {**arguments, **given}


def _uncertainty_array(uncertainty: Any, unit: u.UnitBase | None) -> Any:
    array, own = uncertainty.array, uncertainty.unit
    if own is None or unit is None:
        return array
    return u.Quantity(array, own)
