# SPDX-License-Identifier: BSD-3-Clause
"""Positions, shapes, sizes and fluxes of all segments of a map at once.

Every sum over the pixels of a segment is one weighted `numpy.bincount` over all segments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from jointlight.initialize import estimators as est
from jointlight.initialize.stamp import PIXEL_VARIANCE

if TYPE_CHECKING:
    from jointlight.image import TargetImage
    from jointlight.initialize.labels import LabelMap
    from jointlight.psf import PSF

Array = est.Array
Mask = est.Mask
Indices = NDArray[np.intp]

# The Gaussian that weights the moments has this many times the covariance of the one matched to
# the source: wide enough to feel the outskirts, whose shape the PSF changes least.
_WEIGHT_SCALE = 2.0
_MAX_ROUNDS = 12
_SETTLED = 0.01
# growth curve: bins a major-axis sigma, and how many
_BINS_PER_SIGMA, _N_BINS = 10, 80
# cells of the background mesh, px
_SMALLEST_CELL, _LARGEST_CELL = 24, 128
_MOST_CELLS = 1000
# signal-to-noise at which half of an ellipticity is believed, squared
_TRUST = 60.0


@dataclass(frozen=True, eq=False)
class Segments:
    """What a map and its image tell about each label; ``[n]`` unless said otherwise.

    Attributes
    ----------
    x, y : ndarray
        Centroid, image pixels.
    flux, snr : ndarray
        Sum of the good pixels above the local sky, and over its error; NaN without good pixels.
    sky : ndarray
        Mean of the local sky, flux per pixel.
    observed, intrinsic : ndarray
        ``[n, 2, 2]`` second moments, px^2, with the PSF and without.
    half_light : ndarray
        Radius along the observed major axis that holds half of `flux`, px.
    concentration : ndarray
        Radius of 80 % over that of 20 % of `flux`.
    n_good, n_pixels : ndarray of int
        Pixels that count, and all.
    """

    x: Array
    y: Array
    flux: Array
    snr: Array
    sky: Array
    observed: Array
    intrinsic: Array
    half_light: Array
    concentration: Array
    n_good: Indices
    n_pixels: Indices

    def plane_shape(self, image: TargetImage) -> tuple[Array, Array, Array]:
        """Major-axis sigma (arcsec), axis ratio and PA (degrees) without the PSF."""
        n = self.x.size
        if n == 0:
            return np.empty(0), np.empty(0), np.empty(0)
        jacobian = np.reshape(image.pixel_jacobian(self.x, self.y), (n, 2, 2))
        values, vectors = np.linalg.eigh(jacobian @ self.intrinsic @ np.swapaxes(jacobian, 1, 2))
        major = vectors[:, :, 1]
        angle = np.degrees(np.arctan2(major[:, 0], major[:, 1])) % 180.0
        ratio = np.sqrt(np.maximum(values[:, 0], 0.0) / values[:, 1])
        return np.sqrt(values[:, 1]), np.clip(ratio, 0.05, 1.0), angle


@dataclass(frozen=True, eq=False)
class _Pixels:
    """Good pixels of all segments: number of the segment, place, value above the sky."""

    k: Indices
    x: Array
    y: Array
    value: Array

    def sums(self, weights: Array, n: int) -> Array:
        total: Array = np.bincount(self.k, weights=weights, minlength=n).astype(np.float64)
        return total

    def of(self, chosen: Mask) -> _Pixels:
        """Those of the segments chosen."""
        keep = chosen[self.k]
        return _Pixels(self.k[keep], self.x[keep], self.y[keep], self.value[keep])


def measure_segments(found: LabelMap, image: TargetImage) -> Segments:
    """Measure every segment.

    Parameters
    ----------
    found : LabelMap
        Of the image's shape.
    image : TargetImage

    Returns
    -------
    Segments
        Finite everywhere but for flux and signal-to-noise of segments without good pixels;
        those have place and shape of the segment itself.
    """
    n = len(found.labels)
    rows, columns = np.nonzero(found.index)
    k = (found.index[rows, columns] - 1).astype(np.intp)
    x, y = columns.astype(np.float64), rows.astype(np.float64)
    n_pixels = np.bincount(k, minlength=n)
    ones = np.ones(k.size)
    outline = _Pixels(k, x, y, ones)
    level = _local_sky(found, image, x, y)
    weight = image.weight[rows, columns]
    good = weight > 0
    n_good = np.bincount(k[good], minlength=n)
    value = np.where(good, image.data[rows, columns] - level, 0.0)
    total = outline.sums(value, n)
    # of a negative source the mirror image is measured
    sign = np.where(total < 0, -1.0, 1.0)
    pixels = _Pixels(k, x, y, value * sign[k])
    if n and (n_good < n_pixels).any():
        pixels = _fill(pixels, good, found, n)
    variance = _variance(image, weight, value)
    with np.errstate(invalid="ignore", divide="ignore"):
        snr = total / np.sqrt(outline.sums(np.where(good, variance, 0.0), n))
    flux = sign * pixels.sums(pixels.value, n)
    flux[n_good == 0] = snr[n_good == 0] = np.nan
    cx, cy, observed = _moments(pixels, outline, n)
    half, concentration = _growth(pixels, cx, cy, observed, n)
    psf = _psf_covariances(image, cx, cy, observed)
    trust = np.where(np.isfinite(snr), snr**2 / (snr**2 + _TRUST), 0.0)
    return Segments(
        x=cx,
        y=cy,
        flux=flux,
        snr=snr,
        sky=outline.sums(level, n) / n_pixels,
        observed=observed,
        intrinsic=_without_psf(observed, psf, trust),
        half_light=half,
        concentration=concentration,
        n_good=n_good,
        n_pixels=n_pixels,
    )


def _variance(image: TargetImage, weight: Array, value: Array) -> Array:
    """Variance of pixels of given weight; 0 weight gives 0."""
    inverse = np.divide(1.0, weight, out=np.zeros_like(weight), where=weight > 0)
    if image.likelihood == "poisson":
        counts: Array = np.maximum(value * weight, 1.0) * inverse**2
        return counts
    if not image.noise_known:
        inverse = inverse * est.noise_level(image.data, image.weight) ** 2
    return inverse


def _fill(pixels: _Pixels, good: Mask, found: LabelMap, n: int) -> _Pixels:
    """Give bad pixels inside segments the value of their good neighbours."""
    value = pixels.value.copy()
    bad_of = np.bincount(pixels.k[~good], minlength=n)
    good_of = np.bincount(pixels.k[good], minlength=n)
    value[~good] = 0.0
    for k in np.flatnonzero((bad_of > 0) & (good_of > 0)):
        here = np.flatnonzero(pixels.k == k) if n < 50 else _members(pixels, found, int(k))
        (x0, x1), (y0, y1) = found.windows[k]
        at = (pixels.y[here].astype(int) - y0, pixels.x[here].astype(int) - x0)
        stamp, used = np.zeros((y1 - y0, x1 - x0)), np.zeros((y1 - y0, x1 - x0))
        stamp[at], used[at] = value[here], good[here]
        value[here] = est.fill_masked(stamp, used, sigma=1.0)[at]
    return _Pixels(pixels.k, pixels.x, pixels.y, value)


def _members(pixels: _Pixels, found: LabelMap, k: int) -> Indices:
    """Numbers of a segment's pixels, which are listed row by row."""
    _, (y0, y1) = found.windows[k]
    first, last = np.searchsorted(pixels.y, [y0, y1])
    members: Indices = first + np.flatnonzero(pixels.k[first:last] == k)
    return members


def _moments(pixels: _Pixels, outline: _Pixels, n: int) -> tuple[Array, Array, Array]:
    """Centroids and covariances under a matched Gaussian weight; of the outline if all fails."""
    positive = np.maximum(pixels.value, 0.0)
    light = pixels.sums(positive, n) > 0
    start = _Pixels(pixels.k, pixels.x, pixels.y, np.where(light[pixels.k], positive, 1.0))
    cx, cy, v = _plain_moments(start, n)
    px, py, outer = _plain_moments(outline, n)
    outer = outer + np.eye(2) * PIXEL_VARIANCE
    cx, cy = np.where(light, cx, px), np.where(light, cy, py)
    v = np.where(light[:, None, None], v, outer)
    v = _limit(v, PIXEL_VARIANCE, np.trace(outer, axis1=1, axis2=2))
    active = light & (np.bincount(outline.k, minlength=n) > 3)
    part = pixels.of(active)
    size = np.sqrt(np.trace(outer, axis1=1, axis2=2))
    for _ in range(_MAX_ROUNDS):
        if not active.any():
            break
        i = np.linalg.inv(v * _WEIGHT_SCALE)
        dx, dy = part.x - cx[part.k], part.y - cy[part.k]
        e = i[part.k, 0, 0] * dx * dx + 2 * i[part.k, 0, 1] * dx * dy + i[part.k, 1, 1] * dy * dy
        w = np.exp(-0.5 * e) * part.value
        flux = part.sums(w, n)
        wx, wy = w * dx, w * dy
        with np.errstate(invalid="ignore", divide="ignore"):
            mx, my = part.sums(wx, n) / flux, part.sums(wy, n) / flux
            m = np.empty((n, 2, 2))
            m[:, 0, 0] = part.sums(wx * dx, n) / flux - mx * mx
            m[:, 0, 1] = m[:, 1, 0] = part.sums(wx * dy, n) / flux - mx * my
            m[:, 1, 1] = part.sums(wy * dy, n) / flux - my * my
        # a Gaussian of covariance V under a weight of c V has moments V c / (1 + c)
        gain = 1.0 + 1.0 / _WEIGHT_SCALE
        new = m * gain
        step = np.hypot(mx, my) * gain
        sane = active & (flux > 0) & np.isfinite(new).all(axis=(1, 2)) & (step < size)
        new[~sane] = v[~sane]
        new = _limit(new, PIXEL_VARIANCE, np.trace(outer, axis1=1, axis2=2))
        change = np.abs(new - v).max(axis=(1, 2)) / np.trace(v, axis1=1, axis2=2)
        cx, cy = cx + np.where(sane, mx * gain, 0.0), cy + np.where(sane, my * gain, 0.0)
        v = new
        still = sane & ((change > _SETTLED) | (step > _SETTLED))
        if np.count_nonzero(still) < 0.7 * np.count_nonzero(active):
            part = part.of(still)
        active = still
    # a centroid that left its segment's surroundings followed something else
    lost = np.hypot(cx - px, cy - py) > 2.0 * size + 1.0
    cx, cy = np.where(lost, px, cx), np.where(lost, py, cy)
    v[lost] = outer[lost]
    return cx, cy, v


def _plain_moments(pixels: _Pixels, n: int) -> tuple[Array, Array, Array]:
    w = pixels.value
    with np.errstate(invalid="ignore", divide="ignore"):
        flux = pixels.sums(w, n)
        cx, cy = pixels.sums(w * pixels.x, n) / flux, pixels.sums(w * pixels.y, n) / flux
        dx, dy = pixels.x - cx[pixels.k], pixels.y - cy[pixels.k]
        v = np.empty((n, 2, 2))
        v[:, 0, 0] = pixels.sums(w * dx * dx, n) / flux
        v[:, 0, 1] = v[:, 1, 0] = pixels.sums(w * dx * dy, n) / flux
        v[:, 1, 1] = pixels.sums(w * dy * dy, n) / flux
    return cx, cy, v


def _limit(v: Array, low: float | Array, high: Array) -> Array:
    """Clip the eigenvalues of ``[n, 2, 2]`` covariances."""
    values, vectors = np.linalg.eigh(v)
    floor = np.broadcast_to(np.asarray(low, dtype=np.float64), high.shape)[:, None]
    values = np.clip(values, floor, np.maximum(high[:, None], floor))
    limited: Array = (vectors * values[:, None, :]) @ np.swapaxes(vectors, 1, 2)
    return limited


def _without_psf(observed: Array, psf: Array, trust: Array) -> Array:
    """Covariances with the PSF's removed, the rounder the less the light carries."""
    n = len(observed)
    if n == 0:
        return observed
    mean = np.trace(psf, axis1=1, axis2=2) / 2
    c = _limit(observed - psf, 0.1 * mean, np.full(n, np.inf))
    round_ = np.trace(c, axis1=1, axis2=2)[:, None, None] / 2 * np.eye(2)
    t = trust[:, None, None]
    result: Array = t * c + (1 - t) * round_
    return result


def _psf_covariances(image: TargetImage, x: Array, y: Array, observed: Array) -> Array:
    """``[n, 2, 2]`` second moments of the PSF with the pixel, as each source's weight sees them.

    A varying PSF is looked up on a 3 x 3 mesh.
    """
    height, width = image.shape
    area = np.sqrt(np.maximum(np.linalg.det(observed), 1e-12))
    if image.psf_at(0.0, 0.0) is image.psf:
        return _psf_under_weights(image.psf, area)
    rows = np.clip((y + 0.5) * 3 // height, 0, 2).astype(int)
    columns = np.clip((x + 0.5) * 3 // width, 0, 2).astype(int)
    found = np.empty((x.size, 2, 2))
    for row in range(3):
        for column in range(3):
            here = (rows == row) & (columns == column)
            if here.any():
                at = ((column + 0.5) * width / 3 - 0.5, (row + 0.5) * height / 3 - 0.5)
                found[here] = _psf_under_weights(image.psf_at(*at), area[here])
    return found


def _psf_under_weights(psf: PSF | None, area: Array) -> Array:
    """Second moments of one PSF under round weights of variance `_WEIGHT_SCALE` times `area`.

    Corrected for the weight, so that a Gaussian has the same under all; wings count for wide
    sources only.
    """
    if psf is None:
        return np.broadcast_to(np.eye(2) * PIXEL_VARIANCE, (area.size, 2, 2))
    over = psf.oversampling**2
    pixel = np.eye(2) * (PIXEL_VARIANCE if psf.kind == "optical" else 0.0)
    dy, dx = np.indices(psf.data.shape, dtype=np.float64)
    dx, dy = dx - psf.center[0], dy - psf.center[1]
    r2 = dx * dx + dy * dy
    sigma2 = max(psf.fwhm_px / 2.3548, 0.3) ** 2 * over
    variances = sigma2 * np.geomspace(1.0, 100.0, 9)
    table = np.empty((variances.size, 2, 2))
    for k, variance in enumerate(variances):
        w = psf.data * np.exp(-0.5 * r2 / variance)
        m = np.array([[np.sum(w * dx * dx), np.sum(w * dx * dy)], [0.0, np.sum(w * dy * dy)]])
        m[1, 0] = m[0, 1]
        # a single sample, or negative wings, leave no moments
        m = _limit(m[None] / max(float(np.sum(w)), 1e-12), 1e-3, np.array([np.inf]))[0]
        inverse = np.linalg.inv(m) - np.eye(2) / variance
        broad = np.linalg.eigvalsh(inverse)[0] <= 0.0
        # a PSF broader than its array has no moments: the last that has
        table[k] = table[max(k - 1, 0)] if broad and k else np.linalg.inv(inverse)
    at = np.interp(np.log(_WEIGHT_SCALE * area * over), np.log(variances), np.arange(9.0))
    low = np.minimum(at.astype(int), 7)
    part = (at - low)[:, None, None]
    covariance: Array = ((1 - part) * table[low] + part * table[low + 1]) / over + pixel
    return covariance


def _growth(pixels: _Pixels, cx: Array, cy: Array, observed: Array, n: int) -> tuple[Array, Array]:
    """Half-light radius (major axis, px) and concentration inside each segment."""
    if n == 0:
        return np.empty(0), np.empty(0)
    k = pixels.k
    i = np.linalg.inv(observed)
    dx, dy = pixels.x - cx[k], pixels.y - cy[k]
    u = np.sqrt(i[k, 0, 0] * dx * dx + 2 * i[k, 0, 1] * dx * dy + i[k, 1, 1] * dy * dy)
    bins = np.minimum((u * _BINS_PER_SIGMA).astype(np.intp), _N_BINS - 1)
    light = np.bincount(k * _N_BINS + bins, weights=pixels.value, minlength=n * _N_BINS)
    # never falling, so that the outermost noise moves no radius
    growth = np.maximum.accumulate(np.cumsum(light.reshape(n, _N_BINS), axis=1), axis=1)
    total = growth[:, -1]
    sigma = np.sqrt(np.linalg.eigvalsh(observed)[:, 1])
    radii = {}
    for share in (0.2, 0.5, 0.8):
        level = share * total[:, None]
        after = np.minimum((growth < level).sum(axis=1), _N_BINS - 1)
        row = np.arange(n)
        high = growth[row, after]
        low = np.where(after > 0, growth[row, np.maximum(after - 1, 0)], 0.0)
        step = np.where(high > low, high - low, 1.0)
        inner = np.clip((level[:, 0] - low) / step, 0.0, 1.0)
        radii[share] = (after + inner) / _BINS_PER_SIGMA
    usable = total > 0
    half = np.where(usable, radii[0.5], 1.1774) * sigma
    ratio = np.where(usable, radii[0.8] / np.maximum(radii[0.2], 0.05), 2.7)
    return half, ratio


def _local_sky(found: LabelMap, image: TargetImage, x: Array, y: Array) -> Array:
    """Sky at each position, flux per pixel, from a mesh of the pixels of no segment."""
    if x.size == 0:
        return np.empty(0)
    good = image.weight > 0
    free = good & (ndimage.maximum_filter(found.index, size=5) == 0)
    if np.count_nonzero(free) < 25:
        free = good & (found.index == 0)
    if np.count_nonzero(free) < 25:
        return np.full(x.size, est.sky_level(image.data, image.weight).level)
    side = [max(b - a for a, b in window) for window in found.windows]
    cell = int(np.clip(3 * np.median(side), _SMALLEST_CELL, _LARGEST_CELL))
    height, width = image.shape
    cell = max(cell, int(np.sqrt(height * width / _MOST_CELLS)))
    ny, nx = max(height // cell, 1), max(width // cell, 1)
    edges_y = np.linspace(0, height, ny + 1).astype(int)
    edges_x = np.linspace(0, width, nx + 1).astype(int)
    mesh = np.full((ny, nx), np.nan)
    for row in range(ny):
        for column in range(nx):
            box = np.s_[edges_y[row] : edges_y[row + 1], edges_x[column] : edges_x[column + 1]]
            here = image.data[box][free[box]]
            if here.size >= 25:
                mesh[row, column] = _mode(here)
    filled = np.isfinite(mesh)
    if not filled.any():
        return np.full(x.size, _mode(image.data[free]))
    nearest = ndimage.distance_transform_edt(~filled, return_distances=False, return_indices=True)
    mesh = ndimage.median_filter(mesh[tuple(nearest)], size=3, mode="nearest")
    at = np.stack([(y + 0.5) * ny / height - 0.5, (x + 0.5) * nx / width - 0.5])
    level: Array = ndimage.map_coordinates(mesh, at, order=1, mode="nearest")
    return level


def _mode(values: Array) -> float:
    """Clipped level of pixels that are mostly sky; tighter on the bright side."""
    low, middle = np.percentile(values, [16.0, 50.0])
    sigma = middle - low
    if sigma <= 0:
        return float(middle)
    kept = values[np.abs(values - middle) < 2.5 * sigma]
    median, mean = float(np.median(kept)), float(kept.mean())
    return 2.5 * median - 1.5 * mean if abs(mean - median) < 0.3 * sigma else median
