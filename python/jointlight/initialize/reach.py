# SPDX-License-Identifier: BSD-3-Clause
"""Windows that hold a source's light down to a fraction of the noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from jointlight import _core
from jointlight.errors import InvalidInput, invalid
from jointlight.initialize import estimators as est
from jointlight.initialize.sources import roots

if TYPE_CHECKING:
    from jointlight.image import TargetImage, Window
    from jointlight.models import Model
    from jointlight.models.component import Component
    from jointlight.psf import PSF

Floats = NDArray[np.float64]

# noise sigmas a pixel: fainter than this, light beyond a window does not matter
EDGE = 0.03
# pixels of a window whose noise is looked at, at most
_SAMPLE = 2500
_SERSIC_INDEX = {"exponential": 1.0, "devaucouleurs": 4.0}
# pixels around a source that are needed to tell the sky
_RING = 10


@dataclass(frozen=True, kw_only=True)
class Light:
    """One source in one image; lengths in arcsec, the flux in the image's unit.

    Attributes
    ----------
    center : ndarray
        Place on the plane, East and North.
    flux : float
        Total.
    profile : str
        The core's name; ``"point"`` for one without extent.
    size, q, pa, shape
        Scale along the major axis, axis ratio, degrees East of North, shape parameters.
    psf : PSF or None
        What it is drawn through.
    """

    center: Floats
    flux: float
    profile: str
    size: float = 0.0
    q: float = 1.0
    pa: float = 0.0
    shape: tuple[float, ...] = ()
    psf: PSF | None = None


def grow_windows(model: Model, *, edge: float = EDGE) -> int:
    """Enlarge the windows that cut off light at the present values.

    A window grows, in each image for itself, until the component's brightness at its edge is below
    `edge`; none shrinks. Components without a window of their own, and skies, are left alone.

    Parameters
    ----------
    model : Model
        Initialized or fitted.
    edge : float
        Brightness allowed outside, in standard deviations of the noise of a pixel there.

    Returns
    -------
    int
        How many windows have grown; 0 says that a fit needs no repetition.

    Examples
    --------
    >>> result = model.fit()  # doctest: +SKIP
    >>> if model.grow_windows():  # doctest: +SKIP
    ...     result = model.fit()
    """
    edge = parse_edge(edge)
    leaves: dict[TargetImage, list[Component]] = {}
    for leaf in model.leaves():
        if not leaf.is_sky and leaf.has_window:
            leaves.setdefault(leaf.target, []).append(leaf)
    unset = [
        parameter.label
        for some in leaves.values()
        for leaf in some
        for parameter in leaf.parameters.values()
        if parameter.array is None
    ]
    if unset:
        shown = ", ".join(unset[:5]) + (", ..." if len(unset) > 5 else "")
        raise InvalidInput(f"grow_windows: {shown} not set; call model.initialize() first")
    grown = 0
    for image, some in leaves.items():
        lights = [light_of(leaf) for leaf in some]
        for leaf, window in zip(
            some, windows_for(image, lights, [leaf.window for leaf in some], edge), strict=True
        ):
            if window != leaf.window:
                leaf.window = window
                grown += 1
    return grown


def parse_edge(edge: object) -> float:
    """Check a brightness in units of the noise."""
    number = isinstance(edge, (int, float, np.integer, np.floating)) and not isinstance(edge, bool)
    if not number or not 0 < edge < np.inf:  # type: ignore[operator]
        raise invalid("edge", edge, "a positive number of standard deviations of the noise")
    return float(edge)  # type: ignore[arg-type]


def light_of(leaf: Component, *, flux: float | None = None) -> Light:
    """Light of a component at its present values.

    Parameters
    ----------
    leaf : Component
        Not a sky.
    flux : float, optional
        In place of that of its amplitude.

    Returns
    -------
    Light
        Its light.
    """
    value = {name: leaf[name].array for name in leaf.parameters}
    center = np.asarray(value["center"], dtype=np.float64)
    scale = getattr(type(leaf), "scale_spec", None)
    psf = None
    if leaf.has_psf:
        psf = leaf.psf_at(*(float(p) for p in leaf.target.plane_to_pixel(*center)))
    if scale is None:
        own = value[leaf.amplitude_name]
        total = float(own) if flux is None and own is not None else float(flux or 0.0)
        return Light(center=center, flux=total, profile="point", psf=psf)
    size, q, pa = (float(np.asarray(value[name])) for name in (scale.name, "q", "PA"))
    shape = tuple(float(np.asarray(value[s.name])) for s in type(leaf).shape_specs)  # type: ignore[attr-defined]
    if flux is None:
        flux = float(np.asarray(value[leaf.amplitude_name]))
        if leaf.amplitude != "flux":
            flux *= size**2 * q * _core.flux_factor(leaf.profile, np.array(shape))[0]
    return Light(
        center=center,
        flux=flux,
        profile=leaf.profile,
        size=size,
        q=q,
        pa=pa,
        shape=shape,
        psf=psf,
    )


def windows_for(
    image: TargetImage, lights: Sequence[Light], windows: Sequence[Window], edge: float
) -> list[Window]:
    """Grow windows until what is outside is fainter than `edge` times the noise of a pixel.

    Parameters
    ----------
    image : TargetImage
        Where they are; they grow no further than the pixels it uses.
    lights : sequence of Light
        What each is to hold.
    windows : sequence
        The least they are to be; the noise is that of their pixels.
    edge : float
        Brightness in units of the noise of a pixel.

    Returns
    -------
    list
        A window for each.
    """
    if not lights:
        return []
    noise = Noise(image)
    tables: dict[int, tuple[Floats, Floats]] = {}
    centers = np.array([light.center for light in lights]).reshape(-1, 2)
    x, y = image.plane_to_pixel(centers[:, 0], centers[:, 1])
    jacobian = np.reshape(image.pixel_jacobian(x, y), (-1, 2, 2))
    found = []
    for k, (light, window) in enumerate(zip(lights, windows, strict=True)):
        extent = None
        if np.isfinite(x[k]) and np.isfinite(y[k]) and np.isfinite(light.flux):
            extent = _extent(light, edge * noise.sigma(window), jacobian[k], tables)
        if extent is None or not np.all(np.isfinite(extent)):
            found.append(window)
            continue
        sides = []
        for at, reach, (low, high), (first, last) in zip(
            (x[k], y[k]), extent, window, image.window, strict=True
        ):
            low_wanted = max(np.floor(at - reach + 0.5), first)
            high_wanted = min(np.ceil(at + reach + 0.5), last)
            sides.append((int(min(low, low_wanted)), int(max(high, high_wanted))))
        found.append((sides[0], sides[1]))
    return found


class Noise:
    """Noise of an image's pixels in windows.

    Parameters
    ----------
    image : TargetImage
        Its weight counts, or its scatter where that is not known.
    """

    def __init__(self, image: TargetImage) -> None:
        self.image = image
        self._scale: float | None = None

    def sigma(self, window: Window) -> float:
        """Return the standard deviation of a typical pixel; NaN where none counts."""
        (x0, x1), (y0, y1) = window
        step = max(1, int(np.sqrt((x1 - x0) * (y1 - y0) / _SAMPLE)))
        for every in {step: None, 1: None}:
            part = np.s_[y0:y1:every, x0:x1:every]
            weight = self.image.weight[part]
            good = weight > 0
            if good.any():
                break
        if not good.any():
            return float("nan")
        weight = weight[good]
        variance = 1.0 / weight
        if self.image.likelihood == "poisson":
            variance *= np.maximum(self.image.data[part][good] * weight, 1.0) * variance
        sigma = float(np.sqrt(np.median(variance)))
        return sigma if self.image.noise_known else sigma * self._scatter()

    def _scatter(self) -> float:
        if self._scale is None:
            self._scale = est.noise_level(self.image.data, self.image.weight)
        return self._scale


def wing_radius(light: Light, level: float) -> float:
    """Radius along the major axis (arcsec) at which a profile falls to a level, before the PSF.

    Parameters
    ----------
    light : Light
        Not a point.
    level : float
        Flux per arcsec^2, positive.

    Returns
    -------
    float
        0 where it is fainter even in the middle.
    """
    shape = np.array(light.shape, dtype=np.float64)
    area = light.size**2 * light.q * _core.flux_factor(light.profile, shape)[0]
    if not area > 0.0:
        return 0.0
    ratio = abs(light.flux) / area / level
    if light.profile == "gaussian":
        return light.size * float(np.sqrt(2.0 * np.log(max(ratio, 1.0))))
    if light.profile == "moffat":
        beta = light.shape[0]
        return light.size * float(np.sqrt(max(ratio, 1.0) ** (1.0 / beta) - 1.0))
    n = _SERSIC_INDEX.get(light.profile) or light.shape[0]
    b = float(gammaincinv(2.0 * n, 0.5))
    # I(R) = Ie exp(-b ((R / Re)^(1/n) - 1))
    radius = max(1.0 + float(np.log(max(ratio, 1e-300))) / b, 0.0) ** n
    return light.size * float(radius)


def _extent(
    light: Light, level: float, jacobian: Floats, tables: dict[int, tuple[Floats, Floats]]
) -> Floats | None:
    """Reach along x and y, px; `level` is in flux per pixel."""
    if not level > 0.0 or light.flux == 0.0:
        return None
    extent = np.zeros(2)
    if light.profile != "point":
        radius = wing_radius(light, level / abs(float(np.linalg.det(jacobian))))
        angle = np.radians(light.pa)
        axes = np.array([[np.sin(angle), np.cos(angle)], [-np.cos(angle), np.sin(angle)]])
        # semi-axes of the isophote as columns, px
        semi = np.linalg.solve(jacobian, axes.T * np.array([radius, light.q * radius]))
        extent = np.hypot(semi[:, 0], semi[:, 1])
    if light.psf is not None:
        reach = _psf_reach(light.psf, level / abs(light.flux), tables)
        # the PSF blurs the isophote, and far out its own wings carry the core's light
        extent = np.maximum(np.where(extent > 0, np.hypot(extent, light.psf.fwhm_px), 0.0), reach)
    return extent


def _psf_reach(psf: PSF, level: float, tables: dict[int, tuple[Floats, Floats]]) -> float:
    """Radius (px) at which a PSF falls to a level in flux per image pixel, flux 1 in all."""
    if id(psf) not in tables:
        data = psf.data * (psf.oversampling**2 / max(float(np.sum(psf.data)), 1e-12))
        rows, columns = np.indices(data.shape)
        radius = np.hypot(columns - psf.center[0], rows - psf.center[1])
        ring = np.rint(radius).astype(np.intp)
        count = np.bincount(ring.ravel())
        mean = np.bincount(ring.ravel(), weights=data.ravel()) / np.maximum(count, 1)
        # never rising outward: a ring of noise below a brighter one does not end it
        outward = np.maximum.accumulate(mean[::-1])[::-1]
        tables[id(psf)] = (np.arange(mean.size) / psf.oversampling, outward)
    radii, mean = tables[id(psf)]
    above = np.flatnonzero(mean > level)
    return float(radii[above[-1]]) + 1.0 if above.size else 0.0


# start values are that uncertain: factor on the size, least Sersic index of a wing
_WIDER, _STEEPEST = 1.5, 3.0


def usual_lights(
    leaves: Sequence[Component], fluxes: Mapping[Component, float | None]
) -> list[Light]:
    """Lights of components at start values, as wide as they may turn out to be.

    Parameters
    ----------
    leaves : sequence of Component
        With all structure set.
    fluxes : mapping
        Total flux; None is that of the component's amplitude.

    Returns
    -------
    list of Light
        One each.
    """
    return [_widened(leaf, light_of(leaf, flux=fluxes[leaf])) for leaf in leaves]


def _widened(leaf: Component, light: Light) -> Light:
    if light.profile == "point":
        return light
    shape = light.shape
    if light.profile == "sersic" and any(p.is_free for p in roots([leaf["n"]])):
        shape = (max(shape[0], min(_STEEPEST, float(leaf["n"].bounds[1]))),)
    return replace(light, size=light.size * _WIDER, q=min(0.1 + 1.2 * light.q, 1.0), shape=shape)


class FluxGuess:
    """Rough fluxes in an image whose amplitudes are not known yet.

    Parameters
    ----------
    image : TargetImage
        Its pixels are summed.
    """

    def __init__(self, image: TargetImage) -> None:
        self.image = image
        self.noise = Noise(image)
        self._sky: float | None = None

    def flux(self, box: Window, window: Window) -> float:
        """Return the flux in a box above that in the rest of a window, plus its error.

        Parameters
        ----------
        box : ((x0, x1), (y0, y1))
            Where the source is.
        window : ((x0, x1), (y0, y1))
            Around it.

        Returns
        -------
        float
            Rather too much than too little; 0 if no pixel counts.
        """
        (x0, x1), (y0, y1) = window
        (u0, u1), (v0, v1) = box
        good = self.image.weight[y0:y1, x0:x1] > 0
        data = self.image.data[y0:y1, x0:x1]
        inside = np.zeros(good.shape, dtype=bool)
        inside[max(v0 - y0, 0) : max(v1 - y0, 0), max(u0 - x0, 0) : max(u1 - x0, 0)] = True
        around = data[good & ~inside]
        level = float(np.median(around)) if around.size >= _RING else self._level()
        own = data[good & inside]
        if own.size == 0:
            return 0.0
        # bad pixels hold as much as the good ones
        n = int(np.count_nonzero(inside))
        total = max((float(own.mean()) - level) * n, 0.0)
        return total + self.noise.sigma(window) * float(np.sqrt(n))

    def _level(self) -> float:
        if self._sky is None:
            self._sky = est.sky_level(self.image.data, self.image.weight).level
        return self._sky
