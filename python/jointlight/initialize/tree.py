# SPDX-License-Identifier: BSD-3-Clause
"""Start values for a whole tree of models."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral
from typing import TYPE_CHECKING, Any, Never

import numpy as np
from scipy.spatial import cKDTree

from jointlight.backends import environment_threads
from jointlight.errors import InvalidInput, did_you_mean, invalid, warn_user
from jointlight.initialize import estimators as est
from jointlight.initialize.amplitudes import solve_amplitudes
from jointlight.initialize.search import SourceEstimate, find_source, measure
from jointlight.initialize.sky import propose_sky
from jointlight.initialize.sources import (
    Source,
    find_sources,
    link_neighbours,
    middle,
    propose_amplitudes,
    propose_values,
    request_for,
    roots,
)
from jointlight.initialize.stamp import MAX_SIDE, Stamp, cut
from jointlight.initialize.trial import Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jointlight.models import Model
    from jointlight.models.component import Component

Array = est.Array

# half a side of the stamp searched, in widths of the source's adaptive Gaussian: wide, because
# that Gaussian is narrow for a cuspy profile
REACH = 14.0
# neighbours above which distances go by a tree
MANY = 12


def initialize_model(
    model: Model,
    *,
    overwrite: bool = False,
    n_candidates: int = 2,
    n_iterations: int = 5,
    max_side: int = MAX_SIDE,
    **unknown: Never,
) -> None:
    """Give every unset parameter of a model a start value from the data.

    Skies come first, then the sources, each in the image that tells most about it (resolution
    times signal-to-noise) before the others, bright ones before the faint ones near them. Values
    that are set are kept and used. At the end the amplitudes that were not set are solved for
    together, by linear least squares in all images.

    Parameters
    ----------
    model : Model
        A component, a group or a joint model.
    overwrite : bool
        Forget the values of free parameters first.
    n_candidates : int
        Starts of each source that are taken a few Levenberg-Marquardt steps further; 0: none.
    n_iterations : int
        How many steps.
    max_side : int
        Pixels on a side above which an image is binned for the search.
    """
    for name in unknown:
        hint = did_you_mean(name, initialize_model.__kwdefaults__ or ())
        raise InvalidInput(f"initialize has no option {name!r}{hint}", argument=name)
    counts = {"n_candidates": n_candidates, "n_iterations": n_iterations, "max_side": max_side}
    _check(model, overwrite, counts)
    leaves = model.leaves()
    parameters = [p for leaf in leaves for p in leaf.parameters.values()]
    if overwrite:
        for parameter in roots(parameters):
            if parameter.is_free:
                parameter.value = None
    unset = [p for p in roots(parameters) if p.array is None]
    if not unset:
        return
    backgrounds = {leaf.target.id: np.zeros(leaf.target.shape) for leaf in leaves}
    skies = [leaf for leaf in leaves if leaf.is_sky]
    for leaf in skies:
        propose_sky(leaf, backgrounds[leaf.target.id])
    free_sky = {
        leaf.target.id
        for leaf in skies
        if leaf[leaf.amplitude_name] in unset and leaf[leaf.amplitude_name].is_free
    }
    galaxies = [leaf for leaf in leaves if not leaf.is_sky]
    sources = find_sources(galaxies, backgrounds)
    _warn_outside(sources)
    options = {"n_candidates": n_candidates, "n_iterations": n_iterations}
    walk = _Walk(sources, backgrounds, free_sky, max_side, options)
    walk.run()
    structural = {
        id(p)
        for leaf in galaxies
        for name, parameter in leaf.parameters.items()
        if name != leaf.amplitude_name
        for p in roots([parameter])
    }
    # where no light falls on the image, least squares would divide by next to nothing
    skip = structural | {id(p) for leaf in walk.unseen for p in roots([leaf[leaf.amplitude_name]])}
    linear = [p for p in unset if id(p) not in skip and p.is_free]
    if linear and not model.unset_parameters:
        solve_amplitudes(model, linear)


def _check(model: object, overwrite: object, counts: Mapping[str, object]) -> None:
    if isinstance(model, type) or not hasattr(model, "leaves"):
        raise invalid("model", model, "a model")
    if not isinstance(overwrite, (bool, np.bool_)):
        raise invalid("overwrite", overwrite, "True or False")
    for name, value in counts.items():
        least = 8 if name == "max_side" else 0
        whole = isinstance(value, Integral) and not isinstance(value, bool)
        if not (whole and value >= least):  # type: ignore[operator]
            raise invalid(name, value, f"a whole number, {least} or more")
    environment_threads()


def _warn_outside(sources: list[Source]) -> None:
    """Warn of centres that were set, and are on no image of their source."""
    outside: dict[frozenset[int], list[Source]] = {}
    seen: set[frozenset[int]] = set()
    for source in sources:
        centre = source.centre
        if centre is None:
            continue
        key = frozenset(id(p) for p in roots([source.leaves[0]["center"]]))
        height, width = source.image.shape
        if -0.5 <= centre[0] <= width - 0.5 and -0.5 <= centre[1] <= height - 0.5:
            seen.add(key)
        else:
            outside.setdefault(key, []).append(source)
    for key, found in outside.items():
        if key in seen:
            continue
        leaf = found[0].leaves[0]
        images = ", ".join(repr(source.image.name) for source in found)
        array = leaf["center"].array
        x, y = found[0].centre or (np.nan, np.nan)
        at = [] if array is None else [float(value) for value in array]
        warn_user(
            f"the center {at} arcsec of {leaf.name!r} is off "
            f"{'image' if len(found) == 1 else 'images'} {images} "
            f"(x = {x:.6g}, y = {y:.6g} px on {found[0].image.name!r}): start values are guesses "
            "from its window. Set the center to a position on the image, or leave it unset"
        )


class _Walk:
    """Takes the sources in the order of what is known best, on data minus those done."""

    def __init__(
        self,
        sources: list[Source],
        backgrounds: dict[str, Array],
        free_sky: set[str],
        max_side: int,
        options: dict[str, Any],
    ) -> None:
        self.sources = sources
        self.light = backgrounds
        self.free_sky = free_sky
        self.max_side = max_side
        self.options = options
        self.unseen: list[Component] = []

    def run(self) -> None:
        """Give every source its start values."""
        link_neighbours(self.sources)
        shaped = {id(source) for source in self.sources if source.is_shaped}
        left = []
        for source in self.sources:
            # amplitudes are solved for at the end; till then, who is searched beside a known
            # shape wants it subtracted
            alone = all(id(other) in shaped for other in source.neighbours)
            if id(source) in shaped and alone:
                if propose_amplitudes(source, self.light):
                    continue
                source.unseen = True
            left.append(source)
        for source in left:
            if not source.late:
                self._score(source)
        for source in sorted(left, key=lambda s: (s.late, -s.score)):
            self._start(source)
            source.done = True

    def _stamp(self, source: Source, radius: float | None = None) -> Stamp | None:
        place = source.place
        return cut(
            source.image,
            source.window,
            psf=source.leaves[0].psf_at(*(place or middle(source.window))),
            background=self.light[source.image.id],
            centre=place,
            radius=radius if place is not None else None,
            ignore=self._hidden(source),
            max_side=self.max_side,
        )

    def _score(self, source: Source) -> None:
        """How much the image tells about the source, and how far it reaches."""
        # of a place among many, what is far away tells nothing
        stamp = self._stamp(source, self.max_side if len(source.neighbours) > MANY else None)
        if stamp is None:
            return
        centre, near = self._look(source, stamp)
        found = measure(stamp, centre=centre, near=near)
        if stamp.block > 1 and np.sqrt(np.trace(found.observed) / 2) < 3.0:
            # too small for the binned image: again, close up
            source.hint = source.place or stamp.to_image_pixel(found.x, found.y)
            close = self._stamp(source, radius=self.max_side / 2)
            if close is not None:
                stamp = close
                centre, near = self._look(source, stamp)
                found = measure(stamp, centre=centre, near=near)
        width = float(np.sqrt(np.linalg.eigvalsh(found.observed)[-1])) * stamp.block
        psf = float(np.sqrt(np.trace(stamp.psf_covariance) / 2 * stamp.pixel_area))
        source.score = max(found.snr, 0.0) / max(psf, 1e-12)
        source.extent = REACH * width
        if source.place is None and found.snr > 0 and stamp.block > 1:
            source.hint = stamp.to_image_pixel(found.x, found.y)

    def _start(self, source: Source) -> None:
        """Search on the source's stamp, hand out the values, add its light to the image's."""
        stamp = None if source.unseen else self._stamp(source, max(source.extent, 12.0))
        if stamp is None:
            # nothing to see about the centre: size and shape of what else is in the window
            stamp = self._stamp(source)
            if stamp is None:
                return
            self.unseen += source.leaves
            requests = [
                replace(request, known={k: v for k, v in request.known.items() if k > 1})
                for request in (request_for(leaf, stamp) for leaf in source.leaves)
            ]
            estimate = find_source(stamp, requests, **self.options)
        else:
            estimate = self._search(source, stamp)
        for leaf, values in zip(source.leaves, estimate.values, strict=True):
            propose_values(leaf, values)
        if any(not other.done for other in source.neighbours):
            self._add_light(source)

    def _search(self, source: Source, stamp: Stamp) -> SourceEstimate:
        requests = [request_for(leaf, stamp) for leaf in source.leaves]
        centre, near = self._look(source, stamp)
        cropped = stamp.block * max(stamp.data.shape) < 0.7 * max(b - a for a, b in source.window)
        # a sky cannot be told from the wings in a crop: there the estimate is kept
        with_sky = source.image.id in self.free_sky and not cropped
        return find_source(
            stamp, requests, with_sky=with_sky, near=None if centre else near, **self.options
        )

    def _look(
        self, source: Source, stamp: Stamp
    ) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
        """Known centre and hint in stamp pixels."""
        half = (stamp.block - 1) / 2
        out: list[tuple[float, float] | None] = []
        for place in (source.centre, source.hint):
            if place is None:
                out.append(None)
                continue
            x = (place[0] - stamp.corner[0] - half) / stamp.block
            y = (place[1] - stamp.corner[1] - half) / stamp.block
            out.append((x, y))
        return out[0], out[1]

    def _hidden(self, source: Source) -> Callable[[slice, slice], Array | None] | None:
        """Pixels nearer to a source that is yet to come than to this one."""
        place = source.place
        around = [p for other in source.neighbours if not other.done and (p := other.place)]
        if place is None or not around:
            return None

        def ignore(rows: slice, columns: slice) -> Array | None:
            # those whose bisector with this one crosses the box
            reach = np.hypot(columns.stop - columns.start, rows.stop - rows.start)
            reach += np.hypot(place[0] - columns.start, place[1] - rows.start)
            near = [p for p in around if np.hypot(p[0] - place[0], p[1] - place[1]) < 2 * reach]
            if not near:
                return None
            xx = np.arange(columns.start, columns.stop)[None, :]
            yy = np.arange(rows.start, rows.stop)[:, None]
            own = (xx - place[0]) ** 2 + (yy - place[1]) ** 2
            if len(near) > MANY:
                pixels = np.stack(np.broadcast_arrays(xx, yy), axis=-1).reshape(-1, 2)
                nearest = cKDTree(near).query(pixels)[0].reshape(own.shape) ** 2
            else:
                nearest = np.full(own.shape, np.inf)
                for p in near:
                    np.minimum(nearest, (xx - p[0]) ** 2 + (yy - p[1]) ** 2, out=nearest)
            closer: Array = nearest < own
            return closer

        return ignore

    def _add_light(self, source: Source) -> None:
        """Add the source's model to what is subtracted for those still to come."""
        image = source.image
        place = source.place
        for leaf in source.leaves:
            arrays = [a for p in leaf.parameters.values() if (a := p.array) is not None]
            if len(arrays) < len(leaf.parameters):
                continue
            stamp = cut(
                image,
                leaf.window,
                psf=leaf.psf_at(*(place or middle(leaf.window))),
                centre=place,
                radius=None if place is None else max(2.0 * source.extent, 64.0),
                max_side=max(image.shape),
            )
            if stamp is None:
                continue
            request = request_for(leaf, stamp)
            trial = Trial(stamp, [request], stamp.weight, with_sky=False)
            values = np.concatenate([np.ravel(a) for a in arrays])
            (u0, v0), (h, w) = stamp.corner, stamp.data.shape
            self.light[image.id][v0 : v0 + h, u0 : u0 + w] += trial.unit_image(0, values)
