# SPDX-License-Identifier: BSD-3-Clause
"""Which components make up one source on one image, and where unplaced ones are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import ndimage

from jointlight.initialize import estimators as est
from jointlight.initialize.stamp import PIXEL_VARIANCE, Stamp, cut
from jointlight.initialize.trial import PA, SCALE, Q, SourceRequest
from jointlight.parameters import dependency_order, resolve_affine

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from jointlight.image import TargetImage, Window
    from jointlight.models.component import Component
    from jointlight.parameters import Parameter

Array = est.Array
Mask = est.Mask

# centres closer than this many pixels count as one
SAME_CENTRE = 0.3
# signal-to-noise, above the main source's own profile, that makes a bump another source
SECOND_PEAK = 8.0


@dataclass
class Source:
    """Components on one centre in one image.

    ``hint`` is where to look for an unknown centre, image pixels; ``score`` says how much the
    image tells about the source.
    """

    leaves: list[Component]
    hint: tuple[float, float] | None = None
    score: float = 0.0
    done: bool = False
    extent: float = field(default=0.0)

    @property
    def image(self) -> TargetImage:
        """The image."""
        return self.leaves[0].target

    @property
    def window(self) -> Window:
        """Union of the windows."""
        boxes = [leaf.window for leaf in self.leaves]
        return (
            (min(b[0][0] for b in boxes), max(b[0][1] for b in boxes)),
            (min(b[1][0] for b in boxes), max(b[1][1] for b in boxes)),
        )

    @property
    def centre(self) -> tuple[float, float] | None:
        """Known centre, image pixels."""
        value = self.leaves[0]["center"].array
        if value is None:
            return None
        x, y = self.image.plane_to_pixel(value[0], value[1])
        return float(x), float(y)

    @property
    def place(self) -> tuple[float, float] | None:
        """Centre if known, else the hint."""
        return self.centre or self.hint


def middle(window: Window) -> tuple[float, float]:
    """Middle of a window, image pixels."""
    (x0, x1), (y0, y1) = window
    return (x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2


def slots(leaf: Component) -> list[tuple[Parameter, int]]:
    """(parameter, component) of each slot, in the core's order."""
    return [(p, k) for p in leaf.parameters.values() for k in range(p.size)]


def request_for(leaf: Component, stamp: Stamp) -> SourceRequest:
    """What the search needs to know of a component."""
    entries = slots(leaf)
    lower, upper = np.empty(len(entries)), np.empty(len(entries))
    known: dict[int, float] = {}
    for k, (parameter, index) in enumerate(entries):
        low, high = _bounds(parameter)
        lower[k], upper[k] = low.ravel()[index], high.ravel()[index]
        value = parameter.array
        if value is not None:
            known[k] = float(value.ravel()[index])
    names: tuple[str, ...] = ()
    if len(entries) > SCALE:
        names = tuple(leaf.parameters)[4:-1]
        scale = np.sqrt(stamp.pixel_area)
        lower[PA], upper[PA] = -np.inf, np.inf
        lower[Q] = max(lower[Q], min(0.05, upper[Q]))
        lower[SCALE] = max(lower[SCALE], min(0.1 * scale, upper[SCALE]))
        upper[SCALE] = min(upper[SCALE], max(2 * scale * max(stamp.data.shape), lower[SCALE]))
    amplitude: Literal["brightness", "flux"]
    amplitude = "flux" if leaf.amplitude == "flux" else "brightness"
    return SourceRequest(leaf.profile, names, lower, upper, known, amplitude)


def _bounds(parameter: Parameter) -> tuple[Array, Array]:
    """Limits, those of the parameter it is linearly tied to included."""
    low, high = parameter.bounds
    single = resolve_affine(dependency_order([parameter]))[parameter].single
    if single is not None and single[0] is not parameter:
        root, scale, offset = single
        ends = np.sort(np.stack([scale * end + offset for end in root.bounds]), axis=0)
        low, high = np.maximum(low, ends[0]), np.minimum(high, ends[1])
    return low, high


def propose_values(leaf: Component, values: Array) -> None:
    """Hand start values, by slot, to the parameters that have none."""
    first = 0
    for parameter in leaf.parameters.values():
        part = values[first : first + parameter.size].reshape(parameter.shape)
        first += parameter.size
        parameter.propose(part)


def roots(parameters: Iterable[Parameter]) -> list[Parameter]:
    """Untied parameters that these depend on."""
    return [p for p in dependency_order(parameters) if not p.is_tied]


def find_sources(leaves: Sequence[Component], backgrounds: dict[str, Array]) -> list[Source]:
    """Group components by image and centre; tell unplaced ones where to look.

    Components whose centres are tied together, or set to the same place, are one source. So are
    unplaced ones of one window in which no second peak is to be seen.
    """
    found: list[Source] = []
    for leaf in leaves:
        for source in found:
            if source.image is leaf.target and _same_centre(source, leaf):
                source.leaves.append(leaf)
                break
        else:
            found.append(Source([leaf]))
    by_window: dict[tuple[str, Window], list[Source]] = {}
    for source in found:
        if source.centre is None:
            by_window.setdefault((source.image.id, source.window), []).append(source)
    for unplaced in by_window.values():
        placed = [s for s in found if s.image is unplaced[0].image and s.centre is not None]
        if len(unplaced) + len(placed) == 1:
            continue
        peaks = _peaks(unplaced[0], [s.centre for s in placed], len(unplaced), backgrounds)
        for source, peak in zip(unplaced, peaks, strict=False):
            source.hint = peak
        for extra in unplaced[len(peaks) :]:
            home = unplaced[0] if peaks else (placed or unplaced)[0]
            if home is not extra:
                home.leaves.extend(extra.leaves)
                found.remove(extra)
    return found


def _same_centre(source: Source, leaf: Component) -> bool:
    mine, theirs = source.leaves[0]["center"], leaf["center"]
    if mine.array is not None and theirs.array is not None:
        scale = SAME_CENTRE * leaf.target.pixelscale
        return bool(np.hypot(*(mine.array - theirs.array)) < scale)
    a, b = (resolve_affine(dependency_order([p]))[p] for p in (mine, theirs))
    return (
        set(a.terms) == set(b.terms)
        and all(np.array_equal(a.terms[r], b.terms[r]) for r in a.terms)
        and bool(np.allclose(a.offset, b.offset))
    )


def _peaks(
    source: Source,
    placed: Sequence[tuple[float, float] | None],
    n: int,
    backgrounds: dict[str, Array],
) -> list[tuple[float, float]]:
    """Up to n separate peaks in the window, image pixels, brightest first."""
    image, leaf = source.image, source.leaves[0]
    stamp = cut(
        image,
        source.window,
        psf=leaf.psf_at(*middle(source.window)),
        background=backgrounds[image.id],
        max_side=256,
    )
    if stamp is None:
        return []
    weight = stamp.weight / est.noise_level(stamp.data, stamp.weight) ** 2
    left = np.where(weight > 0, stamp.data - est.sky_level(stamp.data, weight).level, 0.0)
    sigma = float(np.sqrt(max(np.trace(stamp.psf_covariance) / 2, PIXEL_VARIANCE)))
    smooth = ndimage.gaussian_filter(left, sigma)
    summit = smooth >= ndimage.maximum_filter(smooth, size=2 * round(sigma) + 3)
    exclude: Mask = np.zeros(left.shape, dtype=bool)
    for place in placed:
        if place is not None:
            half = (stamp.block - 1) / 2
            x = (place[0] - stamp.corner[0] - half) / stamp.block
            y = (place[1] - stamp.corner[1] - half) / stamp.block
            left, exclude = _remove(left, weight, exclude, x, y, sigma)
    found: list[tuple[float, float]] = []
    wide = float(np.hypot(*left.shape))
    for _ in range(4 * n):
        peak = est.find_peak(
            left, weight, psf_sigma=sigma, exclude=exclude, prior_sigma=wide, largest=4 * sigma
        )
        if peak is None or peak.snr < (SECOND_PEAK if found or placed else 3.0):
            break
        x, y = round(peak.x), round(peak.y)
        reach = round(peak.scale + sigma) + 1
        near = summit[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
        if near.any() or not found:
            found.append(stamp.to_image_pixel(peak.x, peak.y))
        left, exclude = _remove(left, weight, exclude, peak.x, peak.y, max(sigma, peak.scale))
        if len(found) == n:
            break
    return found


def _remove(
    left: Array, weight: Array, exclude: Mask, x: float, y: float, sigma: float
) -> tuple[Array, Mask]:
    """Subtract the median radial profile about a peak and close its core to further ones."""
    m = est.moments(left, weight, start=(x, y), covariance=np.eye(2) * sigma**2, min_sigma=sigma)
    covariance = m.covariance if m.converged else np.eye(2) * sigma**2
    profile = est.radial_profile(left, weight, x=m.x, y=m.y, covariance=covariance)
    r = est.elliptical_radius(left.shape, m.x, m.y, covariance)
    if profile.radius.size > 1:
        left = left - np.interp(r, profile.radius, np.maximum(profile.brightness, 0.0), right=0.0)
    major = float(np.sqrt(np.linalg.eigvalsh(covariance)[-1]))
    return left, exclude | (r < 2 * major)
