# SPDX-License-Identifier: BSD-3-Clause
"""Images and PSFs as plain trees of numbers, text and arrays, and back."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.time import Time

from jointlight import wcs as geometry
from jointlight.errors import warn_user
from jointlight.image import TargetImage
from jointlight.psf import PSF, GaussianPSF, MoffatPSF, gaussian_psf, moffat_psf

__all__ = [
    "image_from_tree",
    "image_to_tree",
    "psf_from_tree",
    "psf_to_tree",
    "time_from_tree",
    "time_to_tree",
]


def psf_to_tree(psf: PSF) -> dict[str, Any]:
    """A PSF as a tree.

    Parameters
    ----------
    psf : PSF
        The PSF.

    Returns
    -------
    dict
        Plain values and arrays.
    """
    tree: dict[str, Any] = {
        "kind": psf.kind,
        "oversampling": int(psf.oversampling),
        "pixelscale": psf.pixelscale,
    }
    if isinstance(psf, GaussianPSF | MoffatPSF) and psf.pixelscale is not None:
        tree["form"] = "gaussian" if isinstance(psf, GaussianPSF) else "moffat"
        tree["fwhm"] = float(psf.fwhm_px) * float(psf.pixelscale)
        tree["size"] = int(psf.shape[0])
        tree["includes_pixel"] = bool(psf.includes_pixel)
        if isinstance(psf, MoffatPSF):
            tree["beta"] = float(psf.beta)
        return tree
    tree |= {"form": "array", "data": np.array(psf.data), "center": [float(c) for c in psf.center]}
    return tree


def psf_from_tree(tree: Mapping[str, Any]) -> PSF:
    """The PSF of a tree.

    Parameters
    ----------
    tree : mapping
        What `psf_to_tree` returned.

    Returns
    -------
    PSF
        The PSF.
    """
    common = {"kind": tree["kind"], "oversampling": tree["oversampling"]}
    if tree["form"] == "array":
        return PSF(
            np.array(tree["data"]), center=tuple(tree["center"]), normalize=False,
            pixelscale=tree["pixelscale"], **common,
        )  # fmt: skip
    common |= {k: tree[k] for k in ("fwhm", "pixelscale", "size", "includes_pixel")}
    if tree["form"] == "gaussian":
        return gaussian_psf(**common)
    return moffat_psf(beta=tree["beta"], **common)


def image_to_tree(image: TargetImage) -> dict[str, Any]:
    """An image as a tree.

    Parameters
    ----------
    image : TargetImage
        The image.

    Returns
    -------
    dict
        Plain values and arrays.
    """
    reference = image.reference
    tree: dict[str, Any] = {
        "name": image.name,
        "data": np.array(image.data),
        "weight": np.array(image.weight),
        "noise_known": image.noise_known,
        "mask": np.array(image.mask),
        "window": [[int(v) for v in pair] for pair in image.window],
        "zeropoint": image.zeropoint,
        "unit": None if image.unit is None else image.unit.to_string(),
        "likelihood": image.likelihood,
        "reference": None
        if reference is None
        else [float(reference.ra.deg), float(reference.dec.deg)],
        "wcs": _wcs_to_tree(image),
        "psf": None if image.psf is None else psf_to_tree(image.psf),
        "time": None if image.time is None else time_to_tree(image.time),
        "wavelength_um": None if image.wavelength is None else float(image.wavelength.value),
    }
    if not image.has_wcs:
        tree["pixelscale"] = float(image.pixelscale)
        x, y = image.plane_to_pixel(0.0, 0.0)
        tree["origin"] = [float(x), float(y)]
    if image.psf is not None and getattr(image, "_psf_function", None) is not None:
        warn_user(
            f"image {image.name!r}: its PSF varies by a function, which no file can hold; the "
            "PSF at the image's middle is written"
        )
    return tree


def _wcs_to_tree(image: TargetImage) -> Any:
    """The WCS as the bytes of a FITS file, distortion tables included; another kind as it is."""
    if not image.has_wcs:
        return None
    wcs = image.wcs
    if not hasattr(wcs, "to_fits"):
        return wcs
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wcs.to_fits(relax=True).writeto(buffer)
    return np.frombuffer(buffer.getvalue(), dtype=np.uint8)


def time_to_tree(time: Time) -> dict[str, Any]:
    """A time as two numbers, which hold it to better than a nanosecond, and its scale.

    Parameters
    ----------
    time : Time
        The time.

    Returns
    -------
    dict
        Plain values.
    """
    return {"scale": str(time.scale), "jd1": float(time.jd1), "jd2": float(time.jd2)}


def time_from_tree(tree: Mapping[str, Any]) -> Time:
    """The time of a tree.

    Parameters
    ----------
    tree : mapping
        What `time_to_tree` returned.

    Returns
    -------
    Time
        The time.
    """
    time = Time(tree["jd1"], tree["jd2"], format="jd", scale=tree["scale"])
    time.format = "mjd"
    return time


def image_from_tree(tree: Mapping[str, Any]) -> TargetImage:
    """The image of a tree.

    Parameters
    ----------
    tree : mapping
        What `image_to_tree` returned.

    Returns
    -------
    TargetImage
        The image.
    """
    options: dict[str, Any] = {
        k: tree[k] for k in ("name", "zeropoint", "unit", "likelihood") if tree[k] is not None
    }
    if tree.get("time") is not None:
        options["time"] = time_from_tree(tree["time"])
    options["wavelength"] = tree.get("wavelength_um")
    options["window"] = tuple(tuple(pair) for pair in tree["window"])
    if tree["likelihood"] == "poisson":
        options["gain"] = np.array(tree["weight"])
    elif tree.get("noise_known", True):  # otherwise errors are to be scaled, as they were
        options["weight"] = np.array(tree["weight"])
    options["mask"] = np.array(tree["mask"])
    if tree["psf"] is not None:
        options["psf"] = psf_from_tree(tree["psf"])
    if tree["wcs"] is None:
        options |= {"pixelscale": tree["pixelscale"], "origin": tuple(tree["origin"])}
    else:
        options["wcs"] = _wcs_from_tree(tree["wcs"])
        options["reference"] = tuple(tree["reference"])
    return TargetImage(np.array(tree["data"]), **options)


def _wcs_from_tree(tree: Any) -> Any:
    if not isinstance(np.asarray(tree).dtype.type(0), np.uint8):
        return tree
    with fits.open(io.BytesIO(np.asarray(tree).tobytes())) as hdus:
        return geometry.wcs_from_header(hdus[0].header, hdus=hdus)
