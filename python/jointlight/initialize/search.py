# SPDX-License-Identifier: BSD-3-Clause
"""Start values of one source on one image: moments, then a short search on the pixels.

The moments give the centre, the position angle and a first axis ratio. Scale and shape are read
from a coarse grid of models whose amplitude (and sky, where the model has one) is solved
linearly, so a start is compared by the chi^2 it really has; the best few are taken a handful of
Levenberg-Marquardt steps further. Wings that fill the stamp are no problem, because no sky is
subtracted which the model does not contain.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jointlight.initialize import estimators as est
from jointlight.initialize.trial import PA, SCALE, Q, SourceRequest, Trial, X, Y

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jointlight.initialize.stamp import Stamp

Array = est.Array

# start shapes; those of a parameter not named here are spread over its limits
SHAPE_GRIDS = {"n": (0.6, 1.2, 2.5, 5.0), "beta": (1.6, 2.5, 4.5)}
# scale radii tried, in units of the deconvolved half-light radius of the data
SCALE_GRID = (0.5, 1.0, 2.0, 4.0)
# components on one centre, innermost first: scale in units of the whole's Re, start shape n
INNER_SCALES, MIDDLE_SCALES, OUTER_SCALES = (0.15, 0.3, 0.6), (0.5, 1.0), (0.8, 1.3, 2.0)
INNER_N, OUTER_N = 2.5, 1.0


@dataclass(frozen=True)
class SourceEstimate:
    """Start values by slot for each component of a source, with the work they took."""

    values: tuple[Array, ...]
    sky: float
    chi2: float
    snr: float
    n_render: int
    n_linearize: int


class _Start(NamedTuple):
    chi2: float
    values: list[Array]
    sky: float


@dataclass(frozen=True)
class Geometry:
    """What the moments say: position and PSF-free covariance in stamp pixels, reliability."""

    x: float
    y: float
    covariance: Array
    observed: Array
    snr: float
    neighbours: est.Mask


def measure(
    stamp: Stamp,
    *,
    centre: tuple[float, float] | None = None,
    near: tuple[float, float] | None = None,
) -> Geometry:
    """Position, size and shape of the main source of a stamp.

    Parameters
    ----------
    stamp : Stamp
        Pixels; a constant background is found and removed.
    centre : tuple of float, optional
        Known position, stamp pixels; the most significant peak otherwise.
    near : tuple of float, optional
        Where to start looking for it, stamp pixels.

    Returns
    -------
    Geometry
        With ``snr`` 0 and the PSF's size where nothing is significant.
    """
    data, weight = stamp.data, stamp.weight / est.noise_level(stamp.data, stamp.weight) ** 2
    psf_sigma = float(np.sqrt(max(np.trace(stamp.psf_covariance) / 2, 0.08)))
    sky = est.sky_level(data, weight)
    flat = np.where(weight > 0, data - sky.level, 0.0)
    h, w = data.shape
    start, sigma, snr = ((w - 1) / 2, (h - 1) / 2), 2 * psf_sigma, 0.0
    if centre is not None:
        start = centre
    else:
        prior = None if near is None else 3 * psf_sigma
        peak = est.find_peak(
            flat, weight, psf_sigma=psf_sigma, prior_centre=near, prior_sigma=prior
        )
        start = start if near is None else near
        if peak is not None and peak.snr > 3:
            start, sigma, snr = (peak.x, peak.y), max(peak.scale, psf_sigma), peak.snr
    core = 2.5 * psf_sigma + 1
    neighbours = est.asymmetric_pixels(flat, weight, x=start[0], y=start[1], core=core)
    if np.count_nonzero(neighbours) < 0.4 * neighbours.size:
        weight = np.where(neighbours, 0.0, weight)
    else:
        neighbours = np.zeros_like(neighbours)
    found = est.moments(
        flat,
        weight,
        start=start,
        covariance=np.eye(2) * sigma**2,
        fixed_centre=centre is not None,
        min_sigma=0.7 * psf_sigma,
        max_sigma=max(0.3 * min(data.shape), psf_sigma),
    )
    observed = found.covariance if found.converged else np.eye(2) * sigma**2
    if found.converged:
        start, snr = (found.x, found.y), max(snr, found.snr)
    intrinsic = est.subtract_psf(observed, stamp.psf_covariance)
    # shape noise goes as 1/snr: towards a circle where it carries nothing
    trust = snr**2 / (snr**2 + 60.0) if snr > 0 else 0.0
    intrinsic = trust * intrinsic + (1 - trust) * np.trace(intrinsic) / 2 * np.eye(2)
    return Geometry(start[0], start[1], intrinsic, observed, snr, neighbours)


def find_source(
    stamp: Stamp,
    requests: Sequence[SourceRequest],
    *,
    with_sky: bool = False,
    n_candidates: int = 2,
    n_iterations: int = 5,
    near: tuple[float, float] | None = None,
) -> SourceEstimate:
    """Start values of one source: one component, or several on one centre.

    Parameters
    ----------
    stamp : Stamp
        Pixels; the sky must be subtracted unless `with_sky`.
    requests : sequence of SourceRequest
        Profile, known slots and limits of each component.
    with_sky : bool
        Let a constant sky vary with the amplitudes.
    n_candidates : int
        Grid minima carried on by Levenberg-Marquardt; 0 stops at the grid.
    n_iterations : int
        Steps of each.
    near : tuple of float, optional
        Where to look for an unknown centre, stamp pixels; the most significant peak otherwise.

    Returns
    -------
    SourceEstimate
        Values of every slot, inside the limits; known ones as given.
    """
    data, weight = est.clean(stamp.data, stamp.weight)
    weight /= est.noise_level(data, weight) ** 2
    stamp = replace(stamp, data=data, weight=weight)
    known = requests[0].known
    centre = None
    if X in known and Y in known:
        x, y = stamp.to_pixel(np.array([known[X], known[Y]]))
        centre = (float(x), float(y))
    shape = measure(stamp, centre=centre, near=near)
    weight = np.where(shape.neighbours, 0.0, weight)
    base = _base_values(stamp, shape)
    n_render = n_linearize = 0
    if len(requests) == 1:
        trial = Trial(stamp, requests, weight, with_sky=with_sky)
        starts = _single_grid(stamp, trial, shape, base, with_sky)
    else:
        whole = _whole(requests)
        single = Trial(stamp, [whole], weight, with_sky=with_sky)
        first = _single_grid(stamp, single, shape, base, with_sky)[0]
        chi2, values, _ = single.polish(first.values, first.sky, n_iterations)
        trial = Trial(stamp, requests, weight, with_sky=with_sky)
        whole_values = values[0] if np.isfinite(chi2) else first.values[0]
        starts = _joint_grid(trial, whole_values)
        n_render, n_linearize = single.n_render, single.n_linearize
    chosen = _choose(starts, trial.requests, n_candidates)
    polished = [_Start(*trial.polish(s.values, s.sky, n_iterations)) for s in chosen]
    best = min([*starts[:1], *polished], key=lambda s: s.chi2)
    values = [_inside(v, r) for v, r in zip(best.values, requests, strict=True)]
    n_render, n_linearize = n_render + trial.n_render, n_linearize + trial.n_linearize
    return SourceEstimate(tuple(values), best.sky, best.chi2, shape.snr, n_render, n_linearize)


def _base_values(stamp: Stamp, shape: Geometry) -> Array:
    """Slots x, y, q, PA, scale from the moments."""
    j = stamp.jacobian
    sigma, q, pa = est.ellipse_from_covariance(j @ shape.covariance @ j.T)
    x, y = stamp.to_plane(shape.x, shape.y)
    return np.array([x, y, np.clip(q, 0.15, 0.95), pa, 1.4 * sigma])


def _template(request: SourceRequest, base: Array) -> Array:
    """All slots: geometry from `base`, the rest 1, known ones as known."""
    values = np.ones(request.n_slots)
    if request.is_point:
        values[:2] = base[:2]
    else:
        values[: SCALE + 1] = base
    return _inside(values, request)


def _inside(values: Array, request: SourceRequest) -> Array:
    values = np.clip(values, request.lower, request.upper)
    for slot, value in request.known.items():
        values[slot] = value
    return values


def _single_grid(
    stamp: Stamp, trial: Trial, shape: Geometry, base: Array, with_sky: bool
) -> list[_Start]:
    """chi^2 of every (scale, shape) of the grid, best first."""
    request = trial.requests[0]
    template = _template(request, base)
    if request.is_point:
        grid: list[Array] = [template]
    else:
        scales = _scales(stamp, request, shape, template, with_sky)
        shapes = [_shapes(request, k) for k in range(len(request.shape_names))]
        grid = []
        for scale, values in itertools.product(scales, itertools.product(*shapes)):
            v = template.copy()
            v[SCALE], v[SCALE + 1 : -1] = scale, values
            grid.append(v)
    starts = []
    for v in grid:
        chi2, amplitudes, sky = trial.solve([trial.unit_image(0, v)])
        if np.isfinite(chi2):
            v[-1] = amplitudes[0]
            starts.append(_Start(chi2, [v], sky))
    if not starts:
        starts.append(_Start(np.inf, [template], 0.0))
    return sorted(starts, key=lambda s: s.chi2)


def _scales(
    stamp: Stamp, request: SourceRequest, shape: Geometry, values: Array, with_sky: bool
) -> list[float]:
    """Scale radii to try, arcsec, about the half-light radius of the radial profile."""
    if SCALE in request.known:
        return [request.known[SCALE]]
    j = np.linalg.inv(stamp.jacobian)
    ellipse = j @ est.covariance_from_ellipse(1.0, values[Q], values[PA]) @ j.T
    px_per_arcsec = np.sqrt(max(float(np.linalg.eigvalsh(ellipse)[-1]), 1e-12))
    smear = float(np.trace(stamp.psf_covariance)) / 2
    weight = np.where(shape.neighbours, 0.0, stamp.weight)
    sky = est.sky_level(stamp.data, weight).level if with_sky else 0.0
    profile = est.radial_profile(
        stamp.data - sky, weight, x=shape.x, y=shape.y, covariance=shape.observed
    )
    half = est.half_light_radius(profile)
    half = np.sqrt(max(half**2 - 1.39 * smear, 0.15 * smear, 0.1)) / px_per_arcsec
    low, high = request.lower[SCALE], request.upper[SCALE]
    return sorted({float(np.clip(half * s, low, high)) for s in SCALE_GRID})


def _shapes(request: SourceRequest, k: int) -> list[float]:
    """Values to try of the k-th shape parameter."""
    slot = SCALE + 1 + k
    if slot in request.known:
        return [request.known[slot]]
    low, high = max(float(request.lower[slot]), 1e-2), min(float(request.upper[slot]), 1e2)
    grid = SHAPE_GRIDS.get(request.shape_names[k])
    if grid is None:
        grid = tuple(np.geomspace(low, high, 6)[1:-1])
    return sorted({float(np.clip(s, low, high)) for s in grid})


def _choose(starts: list[_Start], requests: Sequence[SourceRequest], n: int) -> list[_Start]:
    """The best start of each distinct shape, best first, at most n."""
    if len(requests) > 1 or not requests[0].shape_names:
        return starts[:n]
    chosen: list[_Start] = []
    taken: set[tuple[float, ...]] = set()
    for start in starts:
        shape = tuple(float(s) for s in start.values[0][SCALE + 1 : -1])
        if shape not in taken and len(chosen) < n:
            chosen.append(start)
            taken.add(shape)
    return chosen


def _whole(requests: Sequence[SourceRequest]) -> SourceRequest:
    """One free Sersic in place of several components on one centre."""
    infinite = np.full(SCALE + 3, np.inf)
    lower, upper = -infinite, infinite.copy()
    lower[[Q, SCALE, SCALE + 1]] = 0.1, 1e-3, 0.5
    upper[[Q, SCALE + 1]] = 1.0, 6.0
    known = {slot: v for slot, v in requests[0].known.items() if slot in (X, Y)}
    return SourceRequest("sersic", ("n",), lower, upper, known)


def compactness(request: SourceRequest) -> int:
    """Rank of a profile on a common centre: the smaller, the further in."""
    return {"point": 0, "gaussian": 1, "devaucouleurs": 2, "exponential": 4}.get(request.profile, 3)


def _joint_grid(trial: Trial, whole: Array) -> list[_Start]:
    """Combinations of scales of components on one centre, amplitudes solved, best first."""
    order = sorted(range(len(trial.requests)), key=lambda k: compactness(trial.requests[k]))
    options: list[list[tuple[Array, Array]]] = [[] for _ in order]
    for rank, k in enumerate(order):
        request = trial.requests[k]
        last = rank == len(order) - 1
        scales = INNER_SCALES if rank == 0 else OUTER_SCALES if last else MIDDLE_SCALES
        n = OUTER_N if last else INNER_N
        template = _template(request, whole[: SCALE + 1])
        for factor in (1.0,) if request.is_point else scales:
            v = template.copy()
            if not request.is_point:
                v[SCALE] = whole[SCALE] * factor
                v[SCALE + 1 : -1] = [n if s == "n" else 2.5 for s in request.shape_names]
                v = _inside(v, request)
            options[k].append((v, trial.unit_image(k, v)))
    starts = []
    for combination in itertools.product(*options):
        values = [v.copy() for v, _ in combination]
        chi2, amplitudes, sky = trial.solve([unit for _, unit in combination])
        for v, amplitude in zip(values, amplitudes, strict=True):
            v[-1] = amplitude
        starts.append(_Start(chi2, values, sky))
    return sorted(starts, key=lambda s: s.chi2)
