# SPDX-License-Identifier: BSD-3-Clause
"""One image, a few tiles, straight onto the compiled core: no Python layer in between.

The plane is the pixel frame here (one pixel is one arcsecond, East is +x), so that a component's
slots are its pixel-frame numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .render import Ellipse


def slots(e: Ellipse) -> NDArray:
    """x, y, q, PA (degrees, from +y towards +x), scale, shape..., amplitude."""
    pa = (90.0 - np.degrees(e.theta)) % 180.0
    return np.array([e.x, e.y, e.q, pa, e.scale, *e.shape, e.amplitude])


def steps(e: Ellipse) -> NDArray:
    """Finite-difference steps that suit each slot."""
    shape_steps = [1e-3 * s for s in e.shape]
    return np.array([1e-3, 1e-3, 1e-3, 0.05, 1e-3 * e.scale, *shape_steps, 1e-3 * e.amplitude])


def limits_of(e: Ellipse) -> NDArray:
    """Lower and upper limit of each slot, [2, n]: the range where the profile is defined."""
    from jointlight import _core

    profile = _core.profiles()[e.profile]
    low, high = list(profile["shape_min"]), list(profile["shape_max"])
    inf = np.inf
    return np.array(
        [[-inf, -inf, 0.01, -inf, 0.0, *low, -inf], [inf, inf, 1.0, inf, inf, *high, inf]]
    )


class PsfArray:
    """A sampled PSF for `scene`."""

    def __init__(
        self,
        array: NDArray,
        *,
        oversampling: int = 1,
        kind: Literal["effective", "optical"] = "effective",
    ) -> None:
        self.array = np.ascontiguousarray(array, dtype=float)
        self.oversampling, self.kind = oversampling, kind

    def add(self, builder: Any) -> int:
        """Register with a scene builder."""
        height, width = self.array.shape
        center = ((width - 1) / 2, (height - 1) / 2)
        return int(
            builder.add_psf_array(
                self.array, oversampling=self.oversampling, center=center, kind=self.kind
            )
        )


class PsfAnalytic:
    """A Gaussian or Moffat PSF whose transform the core knows; `fwhm` in pixels."""

    def __init__(
        self,
        profile: Literal["gaussian", "moffat"],
        fwhm: float,
        *,
        beta: float = 3.5,
        extent: float = 200.0,
        kind: Literal["effective", "optical"] = "optical",
    ) -> None:
        self.profile, self.extent, self.kind = profile, extent, kind
        if profile == "gaussian":
            self.params: tuple[float, ...] = (fwhm / np.sqrt(8 * np.log(2)),)
        else:
            self.params = (fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1)), beta)

    def add(self, builder: Any) -> int:
        """Register with a scene builder."""
        return int(
            builder.add_psf_analytic(
                profile=self.profile, params=self.params, extent_px=self.extent, kind=self.kind
            )
        )


def scene(
    components: Sequence[Ellipse] | Ellipse,
    height: int,
    width: int,
    *,
    psf: PsfArray | PsfAnalytic | None = None,
    data: NDArray | None = None,
    weight: NDArray | None = None,
    likelihood: str = "gaussian",
    n_threads: int = 1,
    stars: Sequence[tuple[float, float, float]] = (),
    tolerance: float = 1e-5,
) -> tuple[Any, NDArray]:
    """Compile the components (all parameters free) and return (scene, start vector)."""
    from jointlight import _core
    from jointlight.backends import ready_backend

    if not isinstance(components, (list, tuple)):
        components = [components]
    builder = _core.SceneBuilder()
    zeros, ones = np.zeros((height, width)), np.ones((height, width))
    image = builder.add_image(
        zeros if data is None else np.ascontiguousarray(data, dtype=float),
        ones if weight is None else np.ascontiguousarray(weight, dtype=float),
        likelihood=likelihood,
    )
    psf_id = -1 if psf is None else psf.add(builder)
    anchor = ((width - 1) / 2, (height - 1) / 2)
    start: list[float] = []
    sources = [(e.profile, slots(e), "brightness") for e in components]
    sources += [("point", np.array(s), "flux") for s in stars]
    for number, (profile, values, amplitude) in enumerate(sources):
        builder.add_tile(
            profile=profile,
            image=image,
            psf=psf_id,
            window=(0, width, 0, height),
            anchor_pixel=anchor,
            anchor_plane=anchor,
            jacobian=np.eye(2),
            quadratic=np.zeros((2, 3)),
            slots=np.arange(len(start), len(start) + len(values)),
            amplitude=amplitude,
            source=number,
        )
        start.extend(values)
    v = np.array(start)
    n = len(v)
    limits = [limits_of(e) for e in components] + [np.full((2, 3), [[-np.inf], [np.inf]])] * len(
        stars
    )
    lower, upper = np.hstack(limits) if limits else np.zeros((2, 0))
    builder.set_parameters(
        n_free=n,
        start=v,
        lower=lower,
        upper=upper,
        indptr=np.arange(n + 1),
        indices=np.arange(n),
        coefs=np.ones(n),
        const=np.zeros(n),
        prior_mean=np.zeros(n),
        prior_sigma=np.full(n, np.inf),
        functions=[],
    )
    how = {"n_threads": n_threads, "tolerance": tolerance, "backend": ready_backend("auto")}
    return builder.build(**how), v


def render(
    components: Sequence[Ellipse] | Ellipse, height: int, width: int, **kwargs: Any
) -> NDArray:
    """Model image of the components."""
    compiled, v = scene(components, height, width, **kwargs)
    return np.asarray(compiled.render(v, 0))
