# SPDX-License-Identifier: BSD-3-Clause
"""A result as a FITS file: data, model, residual and components of every image, and tables."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits
from astropy.table import Table

from jointlight.errors import Described, invalid
from jointlight.io.models import model_of_result
from jointlight.io.results import checked_output

if TYPE_CHECKING:
    from jointlight.image import TargetImage
    from jointlight.result import FitResult

__all__ = ["write_fits"]

_CUBE_MAX = 256 * 1024 * 1024 // 8  # numbers in a cube of components


def write_fits(result: FitResult, path: str | Path, *, overwrite: bool = False) -> None:
    """Write a result to a FITS file.

    Parameters
    ----------
    result : FitResult
        The result; its model is written with the values of the fit, wherever it is now.
    path : str or Path
        The file.
    overwrite : bool, optional
        Replace an existing file.

    Notes
    -----
    For an image called ``r`` the extensions are ``r_DATA``, ``r_MODEL``, ``r_RESIDUAL``
    (data minus model), ``r_WEIGHT``, ``r_MASK`` and ``r_COMPONENTS``, a cube with one plane a
    component (their names in the cards ``COMP1``, ``COMP2``, ...); it is left out where it would
    hold more than 256 MB. Masked pixels
    that had no value are NaN in data and residual. The tables are
    ``PARAMETERS``, ``SOURCES`` and ``HISTORY``, the matrix ``COVARIANCE``. Of many parameters,
    ``COVARIANCE`` is a table of the pairs that were stored, each once: ``ROW``, ``COLUMN``
    (rows of ``PARAMETERS``, from 0) and ``VALUE``. Pairs that are not in it are not known.
    """
    model: Any = model_of_result(result)
    if model is None:
        raise invalid("result", Described("one without"), "a fit that carries its model")
    path = checked_output(path, overwrite)
    primary = fits.PrimaryHDU()
    primary.header["CREATOR"] = "jointlight"
    primary.header["STATUS"] = (result.status, "how the fit ended")
    primary.header["CHI2"] = (float(result.chi2), "chi-squared")
    primary.header["DOF"] = (int(result.dof), "degrees of freedom")
    hdus: list[Any] = [primary]
    for image, prefix in zip(result.images, _prefixes(result), strict=True):
        hdus += _image_hdus(model, image, prefix)
    hdus += [
        _table_hdu(result.table, "PARAMETERS"),
        _table_hdu(result.sources, "SOURCES"),
        _table_hdu(result.history, "HISTORY"),
    ]
    known = result.known_covariance
    if known is not None and known.is_sparse:
        lower = known.stored.tocoo()
        pairs = Table({"ROW": lower.row, "COLUMN": lower.col, "VALUE": lower.data * known.scale})
        hdus.append(_table_hdu(pairs, "COVARIANCE"))
        hdus[-1].header["COMMENT"] = "pairs of rows of PARAMETERS, counted from 0"
    elif known is not None:
        hdu = fits.ImageHDU(np.array(known.symmetric), name="COVARIANCE")
        hdu.header["COMMENT"] = "rows and columns in the order of PARAMETERS"
        hdus.append(hdu)
    fits.HDUList(hdus).writeto(path, overwrite=overwrite)


def _prefixes(result: FitResult) -> list[str]:
    """Extension name of each image: FITS allows few characters, and no case."""
    prefixes: list[str] = []
    for index, image in enumerate(result.images):
        name = re.sub(r"[^A-Za-z0-9]+", "_", image.name).strip("_")[:40] or f"IMAGE{index + 1}"
        taken = {p.upper() for p in prefixes}
        prefixes.append(name if name.upper() not in taken else f"{name}_{index + 1}")
    return prefixes


def _image_hdus(model: Any, image: TargetImage, prefix: str) -> list[Any]:
    header = fits.Header()
    if image.wcs is not None and hasattr(image.wcs, "to_header"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = image.wcs.to_header(relax=True)
    header["IMAGE"] = image.name
    if image.zeropoint is not None:
        header["MAGZERO"] = (float(image.zeropoint), "magnitude of unit flux")
    if image.unit is not None:
        header["BUNIT"] = image.unit.to_string()
    values = np.asarray(model.image(image), dtype=np.float64)
    # An image holds 0 where a pixel was NaN, and masks it.
    data = np.where(np.asarray(image.mask) & (np.asarray(image.data) == 0.0), np.nan, image.data)
    leaves = [leaf for leaf in model.leaves() if _on(leaf, image)]
    out = [
        fits.ImageHDU(np.array(array), header=header, name=f"{prefix}_{kind}")
        for kind, array in (
            ("DATA", data),
            ("MODEL", values),
            ("RESIDUAL", data - values),
            ("WEIGHT", image.weight),
            ("MASK", np.asarray(image.mask).astype(np.uint8)),
        )
    ]
    if 0 < len(leaves) * image.data.size <= _CUBE_MAX:
        cube = np.array([np.asarray(leaf.image(image)) for leaf in leaves])
        hdu = fits.ImageHDU(cube, header=header, name=f"{prefix}_COMPONENTS")
        for number, leaf in enumerate(leaves, 1):
            hdu.header[f"COMP{number}"] = leaf.name
        out.append(hdu)
    return out


def _on(leaf: Any, image: TargetImage) -> bool:
    target = leaf.target
    members = [target] if hasattr(target, "pixel_to_plane") else list(target)
    return any(member is image for member in members)


def _table_hdu(table: Table, name: str) -> Any:
    plain = Table(table, copy=True)
    plain.meta = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # units that FITS does not know are kept as text
        hdu = fits.table_to_hdu(plain)
    hdu.name = name
    return hdu
