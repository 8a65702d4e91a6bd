# SPDX-License-Identifier: BSD-3-Clause
"""PSFs and start values under AstroPhot's names.

Windows are ``{label: [[x0, x1], [y0, y1]]}``, half-open pixel ranges: a window made here holds
the last row and column of its segment. Positions and angles are in the pixels of the map.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from jointlight import initialize as native
from jointlight.astrophot.convert import FloatArray, as_array, plain
from jointlight.astrophot.image import Target_Image
from jointlight.errors import invalid
from jointlight.image import TargetImage
from jointlight.psf import gaussian_psf as native_gaussian_psf
from jointlight.psf import moffat_psf as native_moffat_psf

__all__ = [
    "PA_from_segmentation_map",
    "centroids_from_segmentation_map",
    "filter_windows",
    "gaussian_psf",
    "moffat_psf",
    "q_from_segmentation_map",
    "scale_windows",
    "transfer_windows",
    "windows_from_segmentation_map",
]

Windows: TypeAlias = dict[int, list[list[int]]]


def gaussian_psf(sigma: float, img_width: int, pixelscale: float, upsample: int = 4) -> FloatArray:
    """Array of a round Gaussian PSF, integrated over pixels, of unit sum.

    Parameters
    ----------
    sigma : float
        Dispersion in arcsec.
    img_width : int
        Pixels on a side.
    pixelscale : float
        Arcsec per pixel.
    upsample : int
        Not used: the integrals are exact.

    Returns
    -------
    ndarray
        ``[img_width, img_width]``.
    """
    del upsample
    data = native_gaussian_psf(sigma=sigma, pixelscale=pixelscale, size=img_width).data
    return np.asarray(data / data.sum())


def moffat_psf(
    n: float, Rd: float, img_width: int, pixelscale: float, upsample: int = 4
) -> FloatArray:
    """Array of a round Moffat PSF ``(1 + (r / Rd)^2)^-n``, integrated over pixels, of unit sum.

    Parameters
    ----------
    n : float
        Exponent.
    Rd : float
        Core radius in arcsec.
    img_width : int
        Pixels on a side.
    pixelscale : float
        Arcsec per pixel.
    upsample : int
        Not used: the integrals are good to all digits shown.

    Returns
    -------
    ndarray
        ``[img_width, img_width]``.
    """
    del upsample
    fwhm = 2.0 * Rd * math.sqrt(2.0 ** (1.0 / n) - 1.0)
    made = native_moffat_psf(fwhm=fwhm, beta=n, pixelscale=pixelscale, size=img_width)
    return np.asarray(made.data / made.data.sum())


def windows_from_segmentation_map(seg_map: Any, *, skip_index: Iterable[int] = (0,)) -> Windows:
    """Bounding box of every label of a segmentation map.

    Parameters
    ----------
    seg_map : array_like or tensor
        Whole numbers, 0 = no object.
    skip_index : iterable of int
        Labels to leave out.

    Returns
    -------
    dict
        ``{label: [[x0, x1], [y0, y1]]}``, half-open.
    """
    return _lists(_kept(native.windows_from_segmentation_map(plain(seg_map)), skip_index))


def scale_windows(
    windows: Mapping[int, Any],
    image_shape: Any = None,
    expand_scale: float = 1.0,
    expand_border: float = 0.0,
) -> Windows:
    """Scale windows about their middles, add a border, cut at the image's edge.

    Parameters
    ----------
    windows : mapping
        ``{label: [[x0, x1], [y0, y1]]}``.
    image_shape : tuple of int
        ``data.shape``.
    expand_scale : float
        Factor on width and height.
    expand_border : float
        Pixels to add on each side.

    Returns
    -------
    dict
        The windows.
    """
    return _lists(
        native.scale_windows(
            windows, image_shape=image_shape, expand_scale=expand_scale, expand_border=expand_border
        )
    )


def transfer_windows(
    windows: Mapping[int, Any], base_image: Target_Image, new_image: Target_Image
) -> Windows:
    """Windows of another image that hold the same parts of the sky.

    Parameters
    ----------
    windows : mapping
        In pixels of `base_image`.
    base_image : Target_Image
        Where they are from.
    new_image : Target_Image
        Where they are wanted.

    Returns
    -------
    dict
        The windows, cut at the edge. One that lies outside becomes the nearest pixel, so that
        every label keeps a window, as loops over labels expect.
    """
    for argument, image in (("base_image", base_image), ("new_image", new_image)):
        if not isinstance(image, Target_Image):
            raise invalid(argument, image, "a Target_Image")
    found = _lists(native.transfer_windows(windows, base_image.native, new_image.native))
    for label, window in windows.items():
        if label not in found:
            middle = np.mean(np.asarray(window, dtype=np.float64), axis=1) - 0.5
            place = new_image.plane_to_pixel(base_image.pixel_to_plane(middle))
            height, width = new_image.native.shape
            x, y = (
                int(np.clip(np.rint(place[k]), 0, n - 1)) for k, n in enumerate((width, height))
            )
            found[label] = [[x, x + 1], [y, y + 1]]
    return {label: found[label] for label in windows}


def filter_windows(
    windows: Mapping[int, Any],
    min_size: float | None = None,
    max_size: float | None = None,
    min_area: float | None = None,
    max_area: float | None = None,
    min_flux: float | None = None,
    max_flux: float | None = None,
    image: Any = None,
) -> Windows:
    """Keep the windows within limits.

    Parameters
    ----------
    windows : mapping
        ``{label: [[x0, x1], [y0, y1]]}``.
    min_size, max_size : float, optional
        Of the shorter and of the longer side, in pixels.
    min_area, max_area : float, optional
        Of the area in pixels.
    min_flux, max_flux : float, optional
        Of the sum of the pixels.
    image : array, tensor or Target_Image, optional
        Needed for the flux.

    Returns
    -------
    dict
        Those within all limits.
    """
    return _lists(
        native.filter_windows(
            windows, min_size=min_size, max_size=max_size, min_area=min_area, max_area=max_area,
            min_flux=min_flux, max_flux=max_flux, image=None if image is None else _flat(image),
        )
    )  # fmt: skip


def centroids_from_segmentation_map(
    seg_map: Any, image: Any, *, skip_index: Iterable[int] = (0,)
) -> dict[int, list[float]]:
    """Flux-weighted position of every label, its local sky removed.

    Parameters
    ----------
    seg_map : array_like or tensor
        Whole numbers, 0 = no object.
    image : array, tensor or Target_Image
        The pixels.
    skip_index : iterable of int
        Labels to leave out.

    Returns
    -------
    dict
        ``{label: [x, y]}`` in pixels.
    """
    flat = _flat(image)
    places = native.centroids_from_segmentation_map(plain(seg_map), flat)
    return {
        label: [float(pixel) for pixel in flat.plane_to_pixel(*place)]
        for label, place in _kept(places, skip_index).items()
    }


def PA_from_segmentation_map(
    seg_map: Any, image: Any, centroids: Any = None, *, skip_index: Iterable[int] = (0,)
) -> dict[int, float]:
    """Direction of the long axis of every label, from second moments.

    Parameters
    ----------
    seg_map : array_like or tensor
        Whole numbers, 0 = no object.
    image : array, tensor or Target_Image
        The pixels.
    centroids : mapping, optional
        Not used: moments are about the centroids of the light itself.
    skip_index : iterable of int
        Labels to leave out.

    Returns
    -------
    dict
        ``{label: angle}`` in radians, in [0, pi), from the y axis of the pixels towards -x.
    """
    del centroids
    # Flat images have North up and East left: position angles are those from +y towards -x.
    angles = native.PA_from_segmentation_map(plain(seg_map), _flat(image))
    return {
        label: math.radians(angle) % math.pi for label, angle in _kept(angles, skip_index).items()
    }


def q_from_segmentation_map(
    seg_map: Any,
    image: Any,
    centroids: Any = None,
    PA: Any = None,
    *,
    skip_index: Iterable[int] = (0,),
) -> dict[int, float]:
    """Axis ratio of every label, from second moments.

    Parameters
    ----------
    seg_map : array_like or tensor
        Whole numbers, 0 = no object.
    image : array, tensor or Target_Image
        The pixels; the PSF of a Target_Image is removed.
    centroids, PA : mapping, optional
        Not used: moments give all three together.
    skip_index : iterable of int
        Labels to leave out.

    Returns
    -------
    dict
        ``{label: q}``, minor over major axis.
    """
    del centroids, PA
    ratios = native.q_from_segmentation_map(plain(seg_map), _flat(image))
    return _kept(ratios, skip_index)


def _flat(image: Any) -> TargetImage:
    """An image's pixels with North up and East left, whatever its place on the sky."""
    if isinstance(image, Target_Image):
        own = image.native
        weight = own.weight if own.noise_known else None
        return TargetImage(
            own.data, mask=own.mask, weight=weight, psf=own.psf, pixelscale=own.pixelscale
        )
    return TargetImage(as_array("image", image), pixelscale=1.0)


def _kept(found: Mapping[int, Any], skip_index: Iterable[int]) -> dict[int, Any]:
    skipped = set(skip_index)
    return {label: value for label, value in found.items() if label not in skipped}


def _lists(windows: Mapping[int, Any]) -> Windows:
    return {label: [list(side) for side in window] for label, window in windows.items()}
