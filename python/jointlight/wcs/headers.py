# SPDX-License-Identifier: BSD-3-Clause
"""WCSs from headers, and which ones can be used."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning

from jointlight.errors import Described, invalid, warn_user


def low_level_celestial(wcs: Any) -> Any:
    """Return the APE 14 low-level object for the celestial part of what the user gave.

    Parameters
    ----------
    wcs : WCS, Header or APE 14 object
        What the user gave.

    Returns
    -------
    object
        An own copy with two pixel and two celestial world axes.
    """
    if isinstance(wcs, fits.Header):
        wcs = wcs_from_header(wcs)
    wcs = getattr(wcs, "low_level_wcs", wcs)
    if not hasattr(wcs, "pixel_to_world_values"):
        raise invalid("wcs", wcs, "an astropy WCS, a FITS header or another APE 14 object")
    if isinstance(wcs, WCS):
        try:
            celestial = wcs.has_celestial
        except Exception as error:
            raise unusable_wcs(error) from error
        if not celestial:
            kinds = ", ".join(repr(kind) for kind in wcs.wcs.ctype)
            raise invalid("wcs", Described(f"one of CTYPE {kinds}"), "celestial")
        if wcs.naxis != 2:
            wcs = wcs.celestial
    if wcs.pixel_n_dim != 2 or wcs.world_n_dim != 2:
        raise invalid(
            "wcs",
            Described(f"one of {wcs.pixel_n_dim} pixel and {wcs.world_n_dim} world axes"),
            "two-dimensional",
            "slice it to its celestial axes",
        )
    return copy.deepcopy(wcs)


def lacks_ctype(wcs: Any) -> bool:
    """Whether a FITS WCS or header says nothing about what its axes are."""
    if isinstance(wcs, fits.Header):
        return not any(str(wcs.get(f"CTYPE{axis}", "")).strip() for axis in (1, 2))
    return isinstance(wcs, WCS) and not any(str(kind).strip() for kind in wcs.wcs.ctype)


def wcs_from_header(header: fits.Header, *, hdus: Any = None) -> WCS:
    """Read a FITS WCS, quietly where astropy only reports what it has repaired.

    Parameters
    ----------
    header : Header
        The image's header.
    hdus : HDUList, optional
        The open file, for distortions kept in other HDUs.

    Returns
    -------
    WCS
        The celestial axes are taken out later, the others are left here.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        try:
            return WCS(header, fobj=hdus)
        except Exception as error:
            raise unusable_wcs(error) from error


def warn_no_ctype(wcs: Any, name: str) -> None:
    """Say once that a header has WCS cards but not which projection they belong to."""
    cards = wcs if isinstance(wcs, fits.Header) else wcs.to_header()
    if "CRVAL1" not in cards and "CRPIX1" not in cards:
        return
    plain = cards if isinstance(wcs, fits.Header) else None
    scale = None if plain is None else header_scale(plain)
    hint = "" if scale is None else f" (its scale would be {scale:.6g} arcsec per pixel)"
    warn_user(
        f"{name}: the header has WCS cards but no CTYPE, so it counts as an image without WCS"
        f"{hint}; give pixelscale= for North up and East left, or ctype='TAN' to from_fits if "
        "that is what the cards mean"
    )


def header_scale(header: fits.Header) -> float | None:
    """Arcsec per pixel from a header's CD or CDELT and PC cards, taken as degrees."""
    cdelt = [float(header.get(f"CDELT{i}", 1.0)) for i in (1, 2)]
    matrix = np.array(
        [[float(header.get(f"PC{i}_{j}", i == j)) * cdelt[i - 1] for j in (1, 2)] for i in (1, 2)]
    )
    if "CD1_1" in header:
        matrix = np.array([[float(header.get(f"CD{i}_{j}", 0.0)) for j in (1, 2)] for i in (1, 2)])
    elif "CDELT1" not in header:
        return None
    scale = float(np.sqrt(abs(np.linalg.det(matrix))) * 3600.0)
    return scale if np.isfinite(scale) and scale > 0.0 else None


def unusable_wcs(error: Exception) -> Exception:
    text = " ".join(str(error).split())
    return invalid(
        "wcs", Described(f"one that fails with {type(error).__name__}: {text}"), "usable"
    )
