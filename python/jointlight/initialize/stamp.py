# SPDX-License-Identifier: BSD-3-Clause
"""Cut-outs for the search of start values: cropped to one source and binned to a cheap size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from scipy import ndimage

from jointlight.initialize import estimators as est

if TYPE_CHECKING:
    from collections.abc import Callable

    from jointlight.image import TargetImage, Window
    from jointlight.psf import PSF

Array = est.Array

# pixels on a side of the largest stamp searched; larger ones are binned
MAX_SIDE = 96
# of a pixel integral, px^2
PIXEL_VARIANCE = 1.0 / 12.0

# an image's PSF is asked for by every source on it
_known_covariances: WeakKeyDictionary[PSF, Array] = WeakKeyDictionary()


@dataclass(frozen=True)
class Stamp:
    """Pixels of one source and their place on the plane.

    ``plane = anchor_plane + jacobian @ (pixel - anchor_pixel)``, pixel being the stamp's own:
    image pixel = ``corner + (block - 1) / 2 + block * pixel``. Data are flux per stamp pixel,
    ``weight`` is their inverse variance.
    ``add_psf`` puts the stamp's PSF into a scene builder; ``psf_covariance`` is in stamp px^2.
    """

    data: Array
    weight: Array
    anchor_pixel: Array
    anchor_plane: Array
    jacobian: Array
    psf_covariance: Array
    add_psf: Callable[[Any], int]
    corner: tuple[int, int] = (0, 0)
    block: int = 1

    def to_plane(self, x: float, y: float) -> Array:
        """Plane position of a stamp pixel."""
        plane: Array = self.anchor_plane + self.jacobian @ (np.array([x, y]) - self.anchor_pixel)
        return plane

    def to_pixel(self, plane: Array) -> Array:
        """Stamp pixel of a plane position."""
        step = np.linalg.solve(self.jacobian, np.asarray(plane) - self.anchor_plane)
        pixel: Array = self.anchor_pixel + step
        return pixel

    def to_image_pixel(self, x: float, y: float) -> tuple[float, float]:
        """Image pixel of a stamp pixel."""
        half = (self.block - 1) / 2
        return self.corner[0] + half + self.block * x, self.corner[1] + half + self.block * y

    @property
    def pixel_area(self) -> float:
        """Area of a stamp pixel, arcsec^2."""
        return float(abs(np.linalg.det(self.jacobian)))


def psf_covariance(psf: PSF | None) -> Array:
    """Second moments of the effective PSF's core, image px^2.

    Adaptive, so that wide wings or noise at the array's border do not count.
    """
    if psf is None:
        return np.eye(2) * PIXEL_VARIANCE
    known = _known_covariances.get(psf)
    if known is None:
        known = _known_covariances[psf] = _measure_psf(psf)
    return known.copy()


def _measure_psf(psf: PSF) -> Array:
    sigma = max(psf.fwhm_px * psf.oversampling / 2.3548, 0.5)
    found = est.moments(
        psf.data,
        start=psf.center,
        covariance=np.eye(2) * sigma**2,
        min_sigma=0.3,
        fixed_centre=True,
    )
    c = found.covariance if found.converged else np.eye(2) * sigma**2
    covariance: Array = c / psf.oversampling**2
    if psf.kind == "optical":
        covariance = covariance + np.eye(2) * PIXEL_VARIANCE
    return covariance


def inverse_variance(image: TargetImage, rows: slice, columns: slice) -> Array:
    """Inverse variance of the pixels, 0 where they do not count."""
    weight = np.array(image.weight[rows, columns], dtype=np.float64)
    if image.likelihood == "poisson":
        # expected counts from the neighbourhood: a pixel's own count biases towards faint ones
        counts = ndimage.gaussian_filter(image.data[rows, columns] * weight, 2.0)
        weight = weight**2 / np.maximum(counts, 0.5)
    return weight


def cut(
    image: TargetImage,
    window: Window,
    *,
    background: Array | float = 0.0,
    psf: PSF | None = None,
    centre: tuple[float, float] | None = None,
    radius: float | None = None,
    ignore: Callable[[slice, slice], Array | None] | None = None,
    max_side: int = MAX_SIDE,
) -> Stamp | None:
    """Cut a stamp out of an image.

    Parameters
    ----------
    image : TargetImage
        The image.
    window : tuple
        ``((x0, x1), (y0, y1))``; nothing outside is used.
    background : ndarray or float
        Subtracted first, of the image's shape.
    psf : PSF, optional
        What the source is seen through.
    centre : tuple of float, optional
        Image pixel (x, y) about which to crop to `radius` px.
    radius : float, optional
        Half a side of the crop, image px.
    ignore : callable, optional
        More pixels to ignore: of rows and columns of the image, a mask or None.
    max_side : int
        Stamps larger than this are binned.

    Returns
    -------
    Stamp or None
        None where no pixel is left.
    """
    (x0, x1), (y0, y1) = window
    h, w = image.shape
    x0, x1, y0, y1 = max(x0, 0), min(x1, w), max(y0, 0), min(y1, h)
    if centre is not None and radius is not None:
        x0, x1 = max(x0, int(centre[0] - radius)), min(x1, int(np.ceil(centre[0] + radius)) + 1)
        y0, y1 = max(y0, int(centre[1] - radius)), min(y1, int(np.ceil(centre[1] + radius)) + 1)
    if x1 - x0 < 1 or y1 - y0 < 1:
        return None
    rows, columns = slice(y0, y1), slice(x0, x1)
    level = background[rows, columns] if isinstance(background, np.ndarray) else background
    data = image.data[rows, columns] - level
    weight = inverse_variance(image, rows, columns)
    more = None if ignore is None else ignore(rows, columns)
    if more is not None:
        weight[more] = 0.0
    data, weight = est.clean(data, weight)
    if not (weight > 0).any():
        return None
    block = int(np.ceil(max(data.shape) / max_side))
    if block > 1:
        data, weight = bin_blocks(data, weight, block)
    h, w = data.shape
    half = (block - 1) / 2
    anchor = np.array([(w - 1) / 2, (h - 1) / 2])
    at = (x0 + half + block * anchor[0], y0 + half + block * anchor[1])
    # a start needs no more than the affine map about the stamp's middle
    middle = np.array(image.pixel_to_plane(*at), dtype=np.float64)
    covariance = psf_covariance(psf)
    add_psf: Callable[[Any], int]
    if psf is None:
        # without a PSF the core integrates over the blocks exactly
        covariance = np.eye(2) * PIXEL_VARIANCE
        add_psf = _no_psf
    elif block == 1:
        add_psf = psf.to_core
    else:
        covariance = covariance / block**2 + np.eye(2) * PIXEL_VARIANCE * (1 - 1 / block**2)
        add_psf = _GaussianOf(covariance)
    return Stamp(
        data=data,
        weight=weight,
        anchor_pixel=anchor,
        anchor_plane=middle,
        jacobian=np.array(image.pixel_jacobian(*at), dtype=np.float64) * block,
        psf_covariance=covariance,
        add_psf=add_psf,
        corner=(x0, y0),
        block=block,
    )


def bin_blocks(data: Array, weight: Array, block: int) -> tuple[Array, Array]:
    """Flux in square blocks, from the weighted mean of their good pixels, and its weight."""
    h, w = data.shape
    pad = ((0, -h % block), (0, -w % block))
    shape = ((h + pad[0][1]) // block, block, (w + pad[1][1]) // block, block)
    total = np.pad(weight, pad).reshape(shape).sum(axis=(1, 3))
    signal = np.pad(data * weight, pad).reshape(shape).sum(axis=(1, 3))
    # a block that lost pixels is off its middle: only nearly whole ones count
    count = np.pad(weight > 0, pad).reshape(shape).sum(axis=(1, 3))
    total = np.where(count >= 0.7 * block**2, total, 0.0)
    mean = np.divide(signal, total, out=np.zeros_like(total), where=total > 0)
    area = block**2
    return mean * area, total / area**2


def _no_psf(_builder: Any) -> int:
    return -1


@dataclass(frozen=True)
class _GaussianOf:
    """Adds the round Gaussian of a covariance's size, pixel included."""

    covariance: Array

    def __call__(self, builder: Any) -> int:
        sigma = float(np.sqrt(np.trace(self.covariance) / 2))
        index: int = builder.add_psf_analytic("gaussian", (sigma,), 6 * sigma + 1, "effective")
        return index
