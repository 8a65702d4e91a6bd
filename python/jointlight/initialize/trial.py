# SPDX-License-Identifier: BSD-3-Clause
"""Small scenes on one stamp, to compare start values by the chi^2 they really have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.optimize import nnls

from jointlight import _core
from jointlight.initialize import estimators as est

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jointlight.initialize.stamp import Stamp

Array = est.Array

# slots of an elliptical profile before its shape parameters
X, Y, Q, PA, SCALE = range(5)
SKY = "flat_sky"


@dataclass(frozen=True)
class SourceRequest:
    """What is to be found: profile, what is known already, limits (by slot, natural units)."""

    profile: str
    shape_names: tuple[str, ...]
    lower: Array
    upper: Array
    known: Mapping[int, float] = field(default_factory=dict)
    amplitude: Literal["brightness", "flux"] = "brightness"

    @property
    def is_point(self) -> bool:
        """A point source: slots x, y, flux only."""
        return self.profile == "point"

    @property
    def n_slots(self) -> int:
        """Slots of the profile, amplitude last."""
        return 3 if self.is_point else SCALE + 2 + len(self.shape_names)


class Trial:
    """A scene of one or a few components that share a centre, with or without a flat sky.

    Parameters
    ----------
    stamp : Stamp
        Pixels; `weight` replaces its own.
    requests : sequence of SourceRequest
        The components.
    weight : ndarray
        Inverse variance of the pixels.
    with_sky : bool
        Add a flat sky as another linear unknown.
    """

    def __init__(
        self, stamp: Stamp, requests: Sequence[SourceRequest], weight: Array, *, with_sky: bool
    ) -> None:
        self.requests = tuple(requests)
        self.with_sky = with_sky
        self.data, self.weight = stamp.data, weight
        self.area = stamp.pixel_area
        self.n_render = 0
        self.n_linearize = 0
        builder = _core.SceneBuilder()
        image = builder.add_image(stamp.data, weight)
        psf = stamp.add_psf(builder)
        h, w = stamp.data.shape
        place: dict[str, Any] = {
            "window": (0, w, 0, h),
            "anchor_pixel": (float(stamp.anchor_pixel[0]), float(stamp.anchor_pixel[1])),
            "anchor_plane": (float(stamp.anchor_plane[0]), float(stamp.anchor_plane[1])),
            "jacobian": stamp.jacobian,
            "quadratic": np.zeros((2, 3)),
        }
        first = 0
        self.tiles: list[int] = []
        self.offsets: list[int] = []
        for index, request in enumerate(self.requests):
            slots = np.arange(first, first + request.n_slots)
            self.tiles.append(
                builder.add_tile(
                    request.profile,
                    image,
                    psf,
                    **place,
                    slots=slots,
                    amplitude=request.amplitude,
                    source=index,
                )
            )
            self.offsets.append(first)
            first += request.n_slots
        if with_sky:
            builder.add_tile(
                SKY,
                image,
                -1,
                **place,
                slots=np.array([first]),
                amplitude="brightness",
                source=len(self.requests),
            )
            first += 1
        self.n_total = first
        self._set_parameters(builder)
        self.scene = builder.build(n_threads=1)

    def _set_parameters(self, builder: _core.SceneBuilder) -> None:
        """Every slot free but the known ones; centres shared with the first component."""
        n = self.n_total
        lower, upper = np.full(n, -np.inf), np.full(n, np.inf)
        const = np.zeros(n)
        known = np.zeros(n, dtype=bool)
        follows = np.arange(n)
        for first, request in zip(self.offsets, self.requests, strict=True):
            block = slice(first, first + request.n_slots)
            lower[block], upper[block] = request.lower, request.upper
            if not request.is_point:
                # What looks larger than half its stamp is light of something else.
                largest = 0.5 * max(self.data.shape) * np.sqrt(self.area)
                upper[first + SCALE] = max(lower[first + SCALE], min(request.upper[SCALE], largest))
            for slot, value in request.known.items():
                known[first + slot], const[first + slot] = True, value
            if first > 0:
                for slot in (X, Y):
                    follows[first + slot] = slot
                    known[first + slot], const[first + slot] = known[slot], const[slot]
        free = np.nonzero(~known & (follows == np.arange(n)))[0]
        column = np.full(n, -1)
        column[free] = np.arange(free.size)
        column = np.where(known, -1, column[follows])
        self.free = free
        self.follows = follows
        self.lower, self.upper = lower, upper
        start = np.clip(np.ones(free.size), lower[free], upper[free])
        builder.set_parameters(
            free.size,
            start=start,
            lower=lower[free],
            upper=upper[free],
            indptr=np.concatenate([[0], np.cumsum(column >= 0)]),
            indices=column[column >= 0],
            coefs=np.ones(int((column >= 0).sum())),
            const=const,
            prior_mean=np.full(free.size, np.nan),
            prior_sigma=np.full(free.size, np.inf),
            functions=[],
        )

    def join(self, values: Sequence[Array], sky: float = 0.0) -> Array:
        """All slots as one vector, sky last."""
        tail = [np.array([sky])] if self.with_sky else []
        return np.concatenate([*values, *tail])

    def split(self, full: Array) -> list[Array]:
        """Slots of each component."""
        pairs = zip(self.offsets, self.requests, strict=True)
        return [full[first : first + r.n_slots].copy() for first, r in pairs]

    def unit_image(self, index: int, values: Array) -> Array:
        """Component `index` alone at unit amplitude (at the known one where it is known)."""
        request = self.requests[index]
        full = np.ones(self.n_total)
        full[X], full[Y] = values[X], values[Y]
        first = self.offsets[index]
        full[first : first + request.n_slots] = values
        amplitude = request.n_slots - 1
        full[first + amplitude] = request.known.get(amplitude, 1.0)
        for k, (at, other) in enumerate(zip(self.offsets, self.requests, strict=True)):
            if k != index and not other.is_point:
                full[at + Q : at + other.n_slots] = np.clip(1.0, other.lower[Q:], other.upper[Q:])
        self.n_render += 1
        unit: Array = np.asarray(self.scene.render_tiles(full[self.free], [self.tiles[index]])[0])
        return unit

    def solve(self, units: Sequence[Array]) -> tuple[float, Array, float]:
        """chi^2, amplitudes and sky for given unit images, by weighted linear least squares.

        Several components on one centre are held non-negative; one alone is not.
        """
        amplitudes = np.zeros(len(units))
        target = self.data
        columns, owner = [], []
        for k, (unit, request) in enumerate(zip(units, self.requests, strict=True)):
            if not np.isfinite(unit).all():
                return np.inf, amplitudes, 0.0
            held = request.known.get(request.n_slots - 1)
            if held is not None:
                target = target - unit
                amplitudes[k] = held
            else:
                columns.append(unit)
                owner.append(k)
        if self.with_sky:
            columns.append(np.full(target.shape, self.area))
        plain = float((self.weight * target**2).sum())
        if not columns:
            return plain, amplitudes, 0.0
        design = np.stack(columns).reshape(len(columns), -1)
        weighted = design * self.weight.ravel()
        normal, right = weighted @ design.T, weighted @ target.ravel()
        scale = np.sqrt(np.maximum(np.diag(normal), 1e-300))
        normal, right = normal / np.outer(scale, scale), right / scale
        normal[np.diag_indices_from(normal)] += 1e-12
        solution = np.linalg.solve(normal, right)
        if len(owner) > 1 and (solution[: len(owner)] < 0).any():
            signs = np.ones(len(columns))
            if self.with_sky and right[-1] < 0:
                signs[-1] = -1.0  # the sky may have either sign; nnls knows one
            factor = np.linalg.cholesky(normal).T * signs
            solution = signs * nnls(factor, np.linalg.solve(factor.T, right * signs))[0]
        chi2 = plain - 2 * float(right @ solution) + float(solution @ normal @ solution)
        solution = solution / scale
        amplitudes[owner] = solution[: len(owner)]
        return chi2, amplitudes, float(solution[-1]) if self.with_sky else 0.0

    def polish(
        self, values: Sequence[Array], sky: float, n_iterations: int
    ) -> tuple[float, list[Array], float]:
        """A few Levenberg-Marquardt steps from a start; infinite chi^2 where they failed."""
        full = self.join(values, sky)
        start = np.clip(full[self.free], self.lower[self.free], self.upper[self.free])
        outcome = self.scene.fit(start, {"max_iterations": n_iterations}, None)
        self.n_linearize += int(outcome["n_linearize"])
        self.n_render += int(outcome["n_chi2"])
        found = np.asarray(outcome["v"], dtype=np.float64)
        if not (np.isfinite(found).all() and np.isfinite(outcome["chi2"])):
            return np.inf, list(values), sky
        full[self.free] = found
        full = full[self.follows]
        return float(outcome["chi2"]), self.split(full), float(full[-1]) if self.with_sky else 0.0
