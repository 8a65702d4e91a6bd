# SPDX-License-Identifier: BSD-3-Clause
"""Estimators on plain arrays: sky, noise, peak, moments, radial profile.

All take ``data[row, column]`` and, optionally, ``weight`` (inverse variance, 0 = ignore), work in
0-based pixel coordinates ``(x, y) = (column, row)`` and never modify their input. Non-finite
pixels are ignored whatever their weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# sigma of a normal distribution per unit of median absolute deviation
MAD_TO_SIGMA = 1.482602218505602
# signal-to-noise of a peak that is no chance among the pixels of an image
SIGNIFICANT = 6.0


@dataclass(frozen=True)
class SkyEstimate:
    """Robust background: value at the middle of the array, slopes per pixel and scatter."""

    level: float
    slope_x: float
    slope_y: float
    scatter: float
    error: float
    n_pixels: int


@dataclass(frozen=True)
class Peak:
    """A local maximum of the matched-filter map."""

    x: float
    y: float
    scale: float
    snr: float


@dataclass(frozen=True)
class Moments:
    """Adaptive second moments of one source.

    ``covariance`` is the 2x2 matrix of the best-fitting elliptical Gaussian in px^2, ordered
    ``[[xx, xy], [xy, yy]]``; the PSF is still in it.
    """

    x: float
    y: float
    covariance: Array
    flux: float
    snr: float
    converged: bool


@dataclass(frozen=True)
class RadialProfile:
    """Median brightness in elliptical annuli; ``radius`` along the major axis, px."""

    radius: Array
    brightness: Array
    error: Array
    n_pixels: Array


def clean(data: ArrayLike, weight: ArrayLike | None = None) -> tuple[Array, Array]:
    """Copy to float64 with bad pixels at value 0 and weight 0."""
    values = np.array(data, dtype=np.float64)
    if values.ndim != 2:
        raise ValueError(f"data must have two dimensions, got shape {values.shape}")
    if weight is None:
        weights = np.ones_like(values)
    else:
        weights = np.array(np.broadcast_to(np.asarray(weight, dtype=np.float64), values.shape))
    bad = ~np.isfinite(values) | ~np.isfinite(weights) | (weights <= 0.0)
    values[bad] = 0.0
    weights[bad] = 0.0
    return values, weights


def noise_level(data: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Pixel noise from differences of diagonal neighbours, insensitive to smooth light.

    With `weight` the differences are scaled by their expected errors, so that the result is 1
    where the weights are true inverse variances.
    """
    values, weights = clean(data, weight)
    if min(values.shape) < 3:
        return 1.0
    # second differences along both diagonals: a locally linear surface gives zero
    pieces = []
    for a, b, c in (
        (
            (slice(0, -2), slice(0, -2)),
            (slice(1, -1), slice(1, -1)),
            (slice(2, None), slice(2, None)),
        ),
        (
            (slice(0, -2), slice(2, None)),
            (slice(1, -1), slice(1, -1)),
            (slice(2, None), slice(0, -2)),
        ),
    ):
        good = (weights[a] > 0) & (weights[b] > 0) & (weights[c] > 0)
        if not good.any():
            continue
        variance = (1 / weights[a][good] + 4 / weights[b][good] + 1 / weights[c][good]) / 6
        difference = (values[a][good] - 2 * values[b][good] + values[c][good]) / np.sqrt(6.0)
        pieces.append(difference / np.sqrt(variance))
    if not pieces:
        return 1.0
    scale = MAD_TO_SIGMA * float(np.median(np.abs(np.concatenate(pieces))))
    return scale if scale > 0 else 1.0


def sky_level(
    data: ArrayLike, weight: ArrayLike | None = None, *, clip: float = 3.0, plane: bool = False
) -> SkyEstimate:
    """Background of an array by iterative clipping, constant or a plane.

    The constant is the clipped median, moved towards the mode where sources skew the
    distribution. Clipping is tighter on the bright side, where the sources are.

    Parameters
    ----------
    data, weight : array_like
        Image and inverse variance; the weight only selects pixels.
    clip : float
        Clipping threshold in units of the scatter.
    plane : bool
        Fit slopes too.

    Returns
    -------
    SkyEstimate
        Level at the middle of the array, slopes per pixel (0 unless `plane`), pixel scatter,
        error of the level.
    """
    values, weights = clean(data, weight)
    rows, columns = np.nonzero(weights > 0)
    if rows.size == 0:
        return SkyEstimate(0.0, 0.0, 0.0, 0.0, float("inf"), 0)
    z = values[rows, columns]
    h, w = values.shape
    u = (columns - (w - 1) / 2) / max(w, 1)
    v = (rows - (h - 1) / 2) / max(h, 1)
    design = np.stack([np.ones_like(u), u, v], axis=1) if plane else np.ones((z.size, 1))
    coefficients = np.zeros(design.shape[1])
    coefficients[0] = np.median(z)
    keep = np.ones(z.size, dtype=bool)
    scatter = 0.0
    for _ in range(20):
        r = z - design @ coefficients
        centre = float(np.median(r[keep]))
        low = r[keep & (r <= centre)]
        # scatter from the faint side only: sources contaminate the other
        scatter = MAD_TO_SIGMA * float(np.median(centre - low)) if low.size else 0.0
        new = np.abs(r - centre) <= clip * scatter if scatter > 0 else np.ones_like(keep)
        if plane and np.count_nonzero(new) > 3:
            coefficients = np.linalg.lstsq(design[new], z[new], rcond=None)[0]
        else:
            coefficients[0] += centre
        if np.array_equal(new, keep):
            break
        keep = new
    r = z - design @ coefficients
    kept = r[keep]
    median, mean = float(np.median(kept)), float(np.mean(kept))
    # empirical mode of a mildly skewed distribution
    shift = 2.5 * median - 1.5 * mean if abs(mean - median) < 0.3 * scatter else median
    n = int(np.count_nonzero(keep))
    error = 1.2533 * scatter / np.sqrt(max(n, 1))
    slope_x = float(coefficients[1]) / w if plane else 0.0
    slope_y = float(coefficients[2]) / h if plane else 0.0
    return SkyEstimate(float(coefficients[0]) + shift, slope_x, slope_y, scatter, float(error), n)


def fill_masked(data: Array, weight: Array, *, sigma: float = 2.0) -> Array:
    """Replace ignored pixels by a Gaussian-weighted mean of their good neighbours."""
    good = (weight > 0).astype(np.float64)
    if good.all():
        return data
    filled = np.where(weight > 0, data, 0.0)
    missing = weight <= 0
    for s in (sigma, 3 * sigma):
        norm = ndimage.gaussian_filter(good, s, mode="constant")
        mean = ndimage.gaussian_filter(filled * good, s, mode="constant")
        here = missing & (norm > 1e-3)
        filled[here] = mean[here] / norm[here]
        missing &= ~here
    return filled


def find_peak(
    data: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    psf_sigma: float = 1.0,
    exclude: ArrayLike | None = None,
    prior_centre: tuple[float, float] | None = None,
    prior_sigma: float | None = None,
    largest: float | None = None,
) -> Peak | None:
    """Position and size of the most significant source.

    The array is filtered with round Gaussians of growing width; the largest signal-to-noise
    wins, gently favouring the middle of the array (a neighbour near the border must not win
    against the object the window was drawn for).

    Parameters
    ----------
    data, weight : array_like
        Background-subtracted image and inverse variance.
    psf_sigma : float
        Smallest filter width, px.
    exclude : array_like of bool, optional
        Where no peak may lie.
    prior_centre : tuple of float, optional
        Expected position (x, y); the middle of the array by default.
    prior_sigma : float, optional
        Width of the preference, px; 0.25 of the array's diagonal half-length by default.
    largest : float, optional
        Widest filter, px; a fifth of the array's shorter side by default.

    Returns
    -------
    Peak or None
        None where no usable pixel is left.
    """
    values, weights = clean(data, weight)
    allowed = weights > 0
    if exclude is not None:
        allowed &= ~np.asarray(exclude, dtype=bool)
        weights = np.where(allowed, weights, 0.0)
    if not allowed.any():
        return None
    h, w = values.shape
    cx, cy = prior_centre if prior_centre is not None else ((w - 1) / 2, (h - 1) / 2)
    width = prior_sigma if prior_sigma is not None else 0.25 * float(np.hypot(h, w)) / 2
    yy, xx = np.mgrid[:h, :w]
    prior = np.exp(-0.5 * ((xx - cx) ** 2 + (yy - cy) ** 2) / width**2)
    best: Peak | None = None
    scale = max(psf_sigma, 0.7)
    widest = max(min(h, w) / 5 if largest is None else largest, scale)
    best_rank = (False, -np.inf)
    while scale <= widest * 1.0001:
        signal = ndimage.gaussian_filter(values * weights, scale, mode="constant")
        narrow = ndimage.gaussian_filter(weights, scale / np.sqrt(2.0), mode="constant")
        snr = signal / np.sqrt(np.maximum(narrow, 1e-300) / (4 * np.pi * scale**2))
        # the preference decides between sources, not between a source and the noise
        summit = snr >= ndimage.maximum_filter(snr, size=3)
        usable = allowed & (narrow > 0) & summit
        real = usable & (snr > SIGNIFICANT)
        among = real if real.any() else usable
        if not among.any():
            scale *= 1.6
            continue
        score = np.where(among, snr * prior, -np.inf)
        at = int(np.argmax(score))
        rank = (bool(real.any()), float(score.flat[at]))
        if rank > best_rank:
            best_rank = rank
            y, x = divmod(at, w)
            best = Peak(float(x), float(y), scale, float(snr[y, x]))
        scale *= 1.6
    return best


def centroid(
    data: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    start: tuple[float, float],
    sigma: float,
    n_iterations: int = 20,
) -> tuple[float, float]:
    """Gaussian-windowed centroid of a background-subtracted source.

    Returns `start` where the light in the window is not positive or the position runs off.
    """
    values, weights = clean(data, weight)
    result = moments(
        values,
        weights,
        start=start,
        covariance=np.eye(2) * sigma**2,
        fixed_covariance=True,
        n_iterations=n_iterations,
    )
    return (result.x, result.y) if result.converged else start


def moments(
    data: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    start: tuple[float, float],
    covariance: ArrayLike,
    fixed_centre: bool = False,
    fixed_covariance: bool = False,
    min_sigma: float = 0.5,
    max_sigma: float | None = None,
    n_iterations: int = 60,
) -> Moments:
    """Second moments of a source under a matched elliptical Gaussian weight.

    The weight's covariance is twice the weighted moments, iterated to the fixed point: the
    Gaussian which, fitted to the source, would have these moments. Neighbours beyond two or
    three of its widths do not enter, nor does a small error of the background.

    Parameters
    ----------
    data, weight : array_like
        Background-subtracted image and inverse variance. The weight selects pixels and scales
        the signal-to-noise; it does not bend the shape.
    start : tuple of float
        First position (x, y), px.
    covariance : array_like, shape (2, 2)
        First weight, px^2.
    fixed_centre, fixed_covariance : bool
        Keep the position, or the weight, as given.
    min_sigma, max_sigma : float
        Limits of the weight's widths, px.

    Returns
    -------
    Moments
        With ``converged`` False (and the start values) where the light is not positive or the
        position leaves the neighbourhood of the start.
    """
    values, weights = clean(data, weight)
    filled = fill_masked(values, weights)
    h, w = values.shape
    largest = max_sigma if max_sigma is not None else max(h, w) / 2
    x, y = start
    v = np.array(covariance, dtype=np.float64)
    failed = Moments(x, y, v.copy(), 0.0, 0.0, False)
    flux = 0.0
    reach = 3.0 * float(np.sqrt(np.linalg.eigvalsh(v)[-1])) + 2.0
    converged = False
    for _ in range(n_iterations):
        box, g, dx, dy = _gaussian_patch(values.shape, x, y, v)
        p = filled[box] * g
        flux = float(p.sum())
        if not flux > 0:
            return failed
        step_x, step_y = float((p * dx).sum()) / flux, float((p * dy).sum()) / flux
        sxx = float((p * dx * dx).sum()) / flux - step_x**2
        sxy = float((p * dx * dy).sum()) / flux - step_x * step_y
        syy = float((p * dy * dy).sum()) / flux - step_y**2
        moved = 0.0
        if not fixed_centre:
            # twice the weighted offset is the Gaussian's own offset
            x, y = x + 2 * step_x, y + 2 * step_y
            moved = float(np.hypot(step_x, step_y))
            if np.hypot(x - start[0], y - start[1]) > reach:
                return failed
        changed = 0.0
        if not fixed_covariance:
            new = _limit(2 * np.array([[sxx, sxy], [sxy, syy]]), min_sigma, largest)
            changed = float(np.abs(new - v).max() / np.trace(v))
            v = new
        if moved < 1e-4 and changed < 1e-4:
            converged = True
            break
    box, g, _, _ = _gaussian_patch(values.shape, x, y, v)
    norm = float((weights[box] * g * g).sum())
    snr = float((weights[box] * g * values[box]).sum()) / np.sqrt(norm) if norm > 0 else 0.0
    return Moments(x, y, v, flux, snr, converged or n_iterations > 1)


def _gaussian_patch(
    shape: tuple[int, ...], x: float, y: float, v: Array
) -> tuple[tuple[slice, slice], Array, Array, Array]:
    """Box, Gaussian weight (peak 1) and offsets within 5 widths of (x, y)."""
    h, w = shape
    rx, ry = 5 * np.sqrt(v[0, 0]) + 1, 5 * np.sqrt(v[1, 1]) + 1
    x0, x1 = int(max(0, min(w - 1, np.floor(x - rx)))), int(min(w, max(1, np.ceil(x + rx) + 1)))
    y0, y1 = int(max(0, min(h - 1, np.floor(y - ry)))), int(min(h, max(1, np.ceil(y + ry) + 1)))
    dx = np.arange(x0, x1)[None, :] - x
    dy = np.arange(y0, y1)[:, None] - y
    i = np.linalg.inv(v)
    g = np.exp(-0.5 * (i[0, 0] * dx * dx + 2 * i[0, 1] * dx * dy + i[1, 1] * dy * dy))
    return (slice(y0, y1), slice(x0, x1)), g, dx + 0 * dy, dy + 0 * dx


def _limit(c: Array, low: float, high: float) -> Array:
    """Clip the eigenvalues of a covariance to [low^2, high^2]."""
    values, vectors = np.linalg.eigh(c)
    values = np.clip(values, low**2, high**2)
    limited: Array = (vectors * values) @ vectors.T
    return limited


def subtract_psf(covariance: ArrayLike, psf_covariance: ArrayLike, *, floor: float = 0.1) -> Array:
    """Source covariance with the PSF's removed, kept positive.

    Eigenvalues are floored at `floor` times the PSF's mean variance, so a point-like source
    comes out small and round rather than negative.
    """
    psf = np.asarray(psf_covariance, dtype=np.float64)
    c = np.asarray(covariance, dtype=np.float64) - psf
    low = np.sqrt(max(floor * float(np.trace(psf)) / 2, 1e-4))
    return _limit(c, float(low), np.inf)


def ellipse_from_covariance(covariance: ArrayLike) -> tuple[float, float, float]:
    """Major-axis sigma, axis ratio and PA (degrees from +y towards +x, in [0, 180))."""
    values, vectors = np.linalg.eigh(np.asarray(covariance, dtype=np.float64))
    major = vectors[:, 1]
    angle = float(np.degrees(np.arctan2(major[0], major[1]))) % 180.0
    return float(np.sqrt(values[1])), float(np.sqrt(max(values[0], 0.0) / values[1])), angle


def covariance_from_ellipse(sigma: float, q: float, pa: float) -> Array:
    """Inverse of `ellipse_from_covariance`."""
    s, c = np.sin(np.radians(pa)), np.cos(np.radians(pa))
    a, b = np.array([s, c]), np.array([c, -s])
    result: Array = sigma**2 * (np.outer(a, a) + q**2 * np.outer(b, b))
    return result


def elliptical_radius(shape: tuple[int, ...], x: float, y: float, covariance: ArrayLike) -> Array:
    """Radius of every pixel along the major axis of the given ellipse, px."""
    c = np.asarray(covariance, dtype=np.float64)
    unit = np.linalg.inv(c / np.linalg.eigvalsh(c)[-1])
    dx = np.arange(shape[1])[None, :] - x
    dy = np.arange(shape[0])[:, None] - y
    r2 = unit[0, 0] * dx * dx + 2 * unit[0, 1] * dx * dy + unit[1, 1] * dy * dy
    radius: Array = np.sqrt(np.maximum(r2, 0.0))
    return radius


def radial_profile(
    data: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    x: float,
    y: float,
    covariance: ArrayLike,
    n_bins: int = 16,
    max_radius: float | None = None,
) -> RadialProfile:
    """Median brightness in elliptical annuli, robust to neighbours.

    Annuli are a pixel wide at the centre and widen with radius; empty ones are left out.
    """
    values, weights = clean(data, weight)
    r = elliptical_radius(values.shape, x, y, covariance)
    used = weights > 0
    reach = max_radius if max_radius is not None else float(r[used].max(initial=1.0))
    # evenly spaced in asinh(r): linear inside about two pixels, logarithmic outside
    edges = 2.0 * np.sinh(np.linspace(0.0, np.arcsinh(reach / 2.0), n_bins + 1))
    index = np.digitize(r, edges) - 1
    rows = []
    for k in range(n_bins):
        here = used & (index == k)
        n = int(np.count_nonzero(here))
        if n == 0:
            continue
        z = values[here]
        median = float(np.median(z))
        spread = MAD_TO_SIGMA * float(np.median(np.abs(z - median)))
        error = 1.2533 * max(spread, 1.0 / np.sqrt(float(np.median(weights[here])))) / np.sqrt(n)
        rows.append((float(r[here].mean()), median, error, float(n)))
    table = np.array(rows).reshape(-1, 4)
    return RadialProfile(table[:, 0], table[:, 1], table[:, 2], table[:, 3])


def half_light_radius(profile: RadialProfile, *, significance: float = 1.0) -> float:
    """Radius along the major axis that holds half the light of a radial profile, px.

    The curve of growth is followed to where the profile drops below `significance` times its
    error for two annuli in a row.
    """
    if profile.radius.size == 0:
        return 1.0
    below = profile.brightness < significance * profile.error
    stop = profile.radius.size
    for k in range(1, below.size - 1):
        if below[k] and below[k + 1]:
            stop = k
            break
    r, b = profile.radius[:stop], np.maximum(profile.brightness[:stop], 0.0)
    fine = np.linspace(0.0, r[-1], 400)
    light = np.cumsum(np.interp(fine, r, b) * fine)
    if not light[-1] > 0:
        return float(max(r[-1], 0.3))
    return float(max(np.interp(0.5 * light[-1], light, fine), 0.3))


def asymmetric_pixels(
    data: Array, weight: Array, *, x: float, y: float, core: float, threshold: float = 5.0
) -> Mask:
    """Pixels much brighter than their mirror image through (x, y): light of neighbours.

    A pixel within `core` px of the centre never counts, so that an offset of the centre or a
    real lopsidedness costs nothing.
    """
    h, w = data.shape
    yy, xx = np.mgrid[:h, :w]
    mx, my = np.rint(2 * x - xx).astype(int), np.rint(2 * y - yy).astype(int)
    inside = (mx >= 0) & (mx < w) & (my >= 0) & (my < h)
    mx, my = np.clip(mx, 0, w - 1), np.clip(my, 0, h - 1)
    # brightest of the mirror's surroundings: forgives a pixel of offset on steep profiles
    around = ndimage.maximum_filter(np.where(weight > 0, data, -np.inf), size=3)
    mirror, mirror_weight = around[my, mx], weight[my, mx]
    usable = inside & (weight > 0) & (mirror_weight > 0)
    sigma = np.sqrt(1 / np.where(usable, weight, 1.0) + 1 / np.where(usable, mirror_weight, 1.0))
    far = np.hypot(xx - x, yy - y) > core
    excess = data - 2.0 * np.maximum(mirror, 0.0) > threshold * sigma
    flagged: Mask = usable & far & excess
    grown: Mask = ndimage.binary_dilation(flagged, iterations=2) & far
    return grown
