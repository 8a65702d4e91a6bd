# SPDX-License-Identifier: BSD-3-Clause
"""Which components make up one source on one image, and where unplaced ones are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import ndimage

from jointlight import _core
from jointlight.initialize import estimators as est
from jointlight.initialize.stamp import PIXEL_VARIANCE, Stamp, cut
from jointlight.initialize.trial import PA, SCALE, Q, SourceRequest
from jointlight.parameters import dependency_order, resolve_affine

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jointlight.image import TargetImage, Window
    from jointlight.models.component import Component
    from jointlight.parameters import Affine, Parameter

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
    image tells about the source; ``unseen`` that it has no pixel near the place; ``late``
    that only other images tell where it is, so that they go first.
    """

    leaves: list[Component]
    hint: tuple[float, float] | None = None
    score: float = 0.0
    done: bool = False
    unseen: bool = False
    late: bool = False
    extent: float = field(default=0.0)
    neighbours: list[Source] = field(default_factory=list, repr=False)
    _centre: tuple[Array, tuple[float, float]] | None = field(default=None, repr=False)

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
        if self._centre is None or not np.array_equal(self._centre[0], value):
            x, y = self.image.plane_to_pixel(value[0], value[1])
            self.remember(value, float(x), float(y))
            return float(x), float(y)
        return self._centre[1]

    def remember(self, center: Array, x: float, y: float) -> None:
        """Note the pixel of a place on the plane: WCSs are slow one by one."""
        self._centre = (np.array(center), (x, y))

    @property
    def is_shaped(self) -> bool:
        """Whether everything but the amplitudes is known."""
        return all(
            parameter.array is not None
            for leaf in self.leaves
            for name, parameter in leaf.parameters.items()
            if name != leaf.amplitude_name
        )

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


def propose_amplitudes(source: Source, backgrounds: Mapping[str, Array]) -> bool:
    """Give a source of known shape rough amplitudes; False where the image does not show it.

    The flux is what is in a box of the source's size; several components get equal shares.
    """
    missing = [leaf for leaf in source.leaves if leaf[leaf.amplitude_name].array is None]
    if not missing:
        return True
    place, image = source.place, source.image
    if place is None or not np.isfinite(place).all():
        return False
    psf = source.leaves[0].psf_at(*place)
    size = max((float(leaf[_scale(leaf)]) for leaf in missing if _scale(leaf)), default=0.0)
    reach = max(0.0 if psf is None else psf.fwhm_px, 1.5 * size / image.pixelscale, 1.0)
    (x0, x1), (y0, y1) = source.window
    x, y = round(place[0]), round(place[1])
    r = int(np.ceil(reach))
    box = np.s_[
        max(y - r, y0) : max(min(y + r + 1, y1), 0), max(x - r, x0) : max(min(x + r + 1, x1), 0)
    ]
    good = image.weight[box] > 0
    if np.count_nonzero(good) < 0.3 * (2 * r + 1) ** 2:
        return False
    above = (image.data[box] - backgrounds[image.id][box])[good]
    flux = float(above.sum()) / len(missing)
    if image.likelihood == "poisson":
        # the logarithm wants light
        flux = max(flux, 1.0 / float(image.weight[box][good].mean()))
    for leaf in missing:
        leaf[leaf.amplitude_name].propose((flux or 1.0) / _flux_factor(leaf))
    return True


def _scale(leaf: Component) -> str:
    """Name of the scale parameter; empty for a point source."""
    return "" if len(leaf.parameters) < 4 else tuple(leaf.parameters)[3]


def _flux_factor(leaf: Component) -> float:
    """Total flux for an amplitude of 1."""
    scale = _scale(leaf)
    if not scale or leaf.amplitude == "flux":
        return 1.0
    shape = np.array([float(p) for p in tuple(leaf.parameters.values())[4:-1]])
    factor = float(_core.flux_factor(leaf.profile, shape)[0])
    return max(factor * float(leaf[scale]) ** 2 * float(leaf["q"]), 1e-300)


def roots(parameters: Iterable[Parameter]) -> list[Parameter]:
    """Untied parameters that these depend on."""
    return [p for p in dependency_order(parameters) if not p.is_tied]


def find_sources(leaves: Sequence[Component], backgrounds: dict[str, Array]) -> list[Source]:
    """Group components by image and centre; tell unplaced ones where to look.

    Components whose centres are tied together, or set to the same place, are one source. So are
    unplaced ones of one window in which no second peak is to be seen.
    """
    found = _group(leaves)
    by_window: dict[tuple[str, Window], list[Source]] = {}
    placed_on: dict[str, list[Source]] = {}
    for source in found:
        if source.centre is None:
            by_window.setdefault((source.image.id, source.window), []).append(source)
        else:
            placed_on.setdefault(source.image.id, []).append(source)
    gone: set[int] = set()
    crowded: list[tuple[list[Source], list[Source], int]] = []
    for (image, window), unplaced in by_window.items():
        placed = [s for s in placed_on.get(image, ()) if _near(s.centre, window)]
        if len(unplaced) + len(placed) == 1:
            continue
        peaks = _peaks(unplaced[0], [s.centre for s in placed], len(unplaced), backgrounds)
        for source, peak in zip(unplaced, peaks, strict=False):
            source.hint = peak
        crowded.append((unplaced, placed, len(peaks)))
    seen = {_centre_key(s) for unplaced, _, n_peaks in crowded for s in unplaced[:n_peaks]}
    for unplaced, placed, n_peaks in crowded:
        for extra in unplaced[n_peaks:]:
            if _centre_key(extra) in seen:
                # Another image shows where it is, as of a transient that has not flared up here.
                extra.late = True
                continue
            home = unplaced[0] if n_peaks else (placed or unplaced)[0]
            if home is not extra:
                home.leaves.extend(extra.leaves)
                gone.add(id(extra))
    return [source for source in found if id(source) not in gone]


def _centre_key(source: Source) -> frozenset[int]:
    """What its centre follows, the same for one source in several images."""
    return frozenset(id(p) for p in roots([source.leaves[0]["center"]]))


def _group(leaves: Sequence[Component]) -> list[Source]:
    """One source for each centre on each image."""
    found: list[Source] = []
    on_image: dict[str, list[Component]] = {}
    for leaf in leaves:
        on_image.setdefault(leaf.target.id, []).append(leaf)
    order: dict[int, int] = {id(leaf): k for k, leaf in enumerate(leaves)}
    for here in on_image.values():
        scale = SAME_CENTRE * here[0].target.pixelscale
        cells: dict[tuple[int, int], list[tuple[Array, Source]]] = {}
        tied: dict[frozenset[Parameter], list[tuple[Any, Source]]] = {}
        placed: list[tuple[Array, Source]] = []
        for leaf in here:
            center = leaf["center"]
            value = center.array
            home = None
            if value is not None:
                at = (int(np.floor(value[0] / scale)), int(np.floor(value[1] / scale)))
                around = [
                    entry
                    for dx in (-1, 0, 1)
                    for dy in (-1, 0, 1)
                    for entry in cells.get((at[0] + dx, at[1] + dy), ())
                ]
                home = next((s for v, s in around if np.hypot(*(v - value)) < scale), None)
            else:
                form = resolve_affine(dependency_order([center]))[center]
                alike = tied.setdefault(frozenset(form.terms), [])
                home = next((s for other, s in alike if _same_form(form, other)), None)
            if home is not None:
                home.leaves.append(leaf)
                continue
            source = Source([leaf])
            found.append(source)
            if value is not None:
                cells.setdefault(at, []).append((value, source))
                placed.append((value, source))
            else:
                alike.append((form, source))
        if placed:
            plane = np.array([value for value, _ in placed])
            x, y = here[0].target.plane_to_pixel(plane[:, 0], plane[:, 1])
            for (value, source), px, py in zip(placed, x, y, strict=True):
                source.remember(value, float(px), float(py))
    return sorted(found, key=lambda source: order[id(source.leaves[0])])


def _near(place: tuple[float, float] | None, window: Window, margin: float = 5.0) -> bool:
    return place is not None and all(
        low - margin <= at < high + margin for at, (low, high) in zip(place, window, strict=True)
    )


def _same_form(a: Affine, b: Affine) -> bool:
    return all(np.array_equal(a.terms[r], b.terms[r]) for r in a.terms) and bool(
        np.allclose(a.offset, b.offset)
    )


def link_neighbours(sources: Sequence[Source]) -> None:
    """Tell every source those of the same image whose windows overlap its own."""
    on_image: dict[str, list[Source]] = {}
    for source in sources:
        on_image.setdefault(source.image.id, []).append(source)
    for here in on_image.values():
        boxes = np.array([source.window for source in here])  # [n, axis, end]
        cell = max(float(np.median(boxes[:, :, 1] - boxes[:, :, 0])), 16.0)
        first, last = (boxes[:, :, 0] // cell).astype(int), (boxes[:, :, 1] // cell).astype(int)
        cells: dict[tuple[int, int], list[int]] = {}
        for k in range(len(here)):
            for column in range(first[k, 0], last[k, 0] + 1):
                for row in range(first[k, 1], last[k, 1] + 1):
                    cells.setdefault((column, row), []).append(k)
        for k, source in enumerate(here):
            near = np.unique(
                np.concatenate(
                    [
                        cells[column, row]
                        for column in range(first[k, 0], last[k, 0] + 1)
                        for row in range(first[k, 1], last[k, 1] + 1)
                    ]
                )
            )
            low, high = boxes[near, :, 0], boxes[near, :, 1]
            overlap = np.all((low < boxes[k, :, 1]) & (boxes[k, :, 0] < high), axis=1)
            source.neighbours = [here[j] for j in near[overlap] if j != k]


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
