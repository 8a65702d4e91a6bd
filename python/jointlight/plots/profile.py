# SPDX-License-Identifier: BSD-3-Clause
"""Radial profile of data and model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jointlight.errors import Described, did_you_mean, invalid
from jointlight.plots.images import sigma_of
from jointlight.plots.sky import FloatArray, axes_for, images_of, targets_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from jointlight.image import TargetImage

__all__ = ["radial_profile"]


def radial_profile(
    ax: Any,
    model: Any,
    image: TargetImage | str | None = None,
    *,
    source: str | None = None,
    components: bool = True,
    r_max: float | None = None,
) -> Axes:
    """Plot mean surface brightness in elliptical annuli, of data and model alike.

    Parameters
    ----------
    ax : Axes or None
        Where to draw; None makes a figure.
    model : Model
        The model.
    image : TargetImage or str, optional
        The image or its name; the model's first by default.
    source : str, optional
        Name of the component whose centre, axis ratio and position angle set the annuli; by
        default the first with a centre.
    components : bool, optional
        Also draw each component by itself where there is more than one.
    r_max : float, optional
        Largest semi-major axis in arcsec.

    Returns
    -------
    Axes
        The panel: mag/arcsec^2 against semi-major axis where the image has a zeropoint, else
        flux/arcsec^2.
    """
    image = images_of(model, image)[0]
    panel = axes_for(ax, 1)[0]
    leaves = [m for m in model.leaves() if any(one is image for one in targets_of(m))]
    shape = _shape_of(leaves, source, image)
    values = np.asarray(model.image(image))
    height, width = image.shape
    x, y = np.meshgrid(np.arange(width, dtype=float), np.arange(height, dtype=float))
    radius = _elliptical_radius(*image.pixel_to_plane(x, y), *shape)
    good = ~np.asarray(image.mask) & (np.asarray(image.weight) > 0)
    if not good.any():
        raise invalid("image", Described("all masked"), "an image with usable pixels")
    number = isinstance(r_max, (int, float, np.number)) and 0 < r_max < np.inf
    if r_max is not None and not number:
        raise invalid("r_max", r_max, "a positive number of arcsec, or None")
    scale = float(image.pixelscale)
    r_max = float(radius[good].max()) if r_max is None else r_max
    edges = [0.0, 0.75 * scale]
    while edges[-1] < r_max:
        edges.append(edges[-1] + max(scale, 0.07 * edges[-1]))
    which = np.where(good, np.digitize(radius, edges) - 1, -1)
    inside_bins = (which >= 0) & (which < len(edges) - 1)
    index = which[inside_bins]
    n = np.bincount(index, minlength=len(edges) - 1)
    filled = n > 0
    area = scale * scale

    def mean(array: FloatArray) -> FloatArray:
        sums = np.bincount(index, weights=array[inside_bins], minlength=len(edges) - 1)
        return np.asarray(sums[filled] / n[filled] / area)

    sigma = sigma_of(image, values)
    error = np.sqrt(np.bincount(index, weights=sigma[inside_bins] ** 2, minlength=len(edges) - 1))
    curves = [("model", mean(values), {"color": "#b2182b", "lw": 1.6, "zorder": 3})]
    if components and len(leaves) > 1:
        curves += [
            (leaf.name, mean(np.asarray(leaf.image(image))), {"lw": 0.9, "ls": "--"})
            for leaf in leaves[:12]
        ]
    _draw(panel, image, mean(radius) * area, mean(np.asarray(image.data)),
          error[filled] / n[filled] / area, curves)  # fmt: skip
    return panel


def _shape_of(
    leaves: list[Any], source: str | None, image: TargetImage
) -> tuple[float, float, float, float]:
    """Centre (arcsec), axis ratio and position angle (deg) of the annuli."""
    centred = [leaf for leaf in leaves if "center" in leaf.parameters]
    names = [leaf.name for leaf in centred]
    if source is not None and source not in names:
        raise invalid("source", source, "a component's name", did_you_mean(source, names))
    if not centred:
        x, y = image.pixel_to_plane((image.shape[1] - 1) / 2, (image.shape[0] - 1) / 2)
        return float(x), float(y), 1.0, 0.0
    leaf = centred[0 if source is None else names.index(source)]
    x, y = leaf["center"].value
    has_ellipse = "q" in leaf.parameters and "PA" in leaf.parameters
    q, pa = (float(leaf["q"].value), float(leaf["PA"].value)) if has_ellipse else (1.0, 0.0)
    return float(x), float(y), q, pa


def _elliptical_radius(
    east: FloatArray, north: FloatArray, x: float, y: float, q: float, pa: float
) -> FloatArray:
    sine, cosine = np.sin(np.radians(pa)), np.cos(np.radians(pa))
    dx, dy = np.asarray(east) - x, np.asarray(north) - y
    return np.asarray(np.hypot(dx * sine + dy * cosine, (dx * cosine - dy * sine) / q))


def _draw(
    panel: Axes,
    image: TargetImage,
    radius: FloatArray,
    data: FloatArray,
    error: FloatArray,
    curves: list[tuple[str, FloatArray, dict[str, Any]]],
) -> None:
    style: dict[str, Any] = {"fmt": "o", "ms": 3, "color": "0.2", "lw": 0.8, "zorder": 2}
    panel.set_xlabel("semi-major axis (arcsec)")
    if image.zeropoint is None:
        panel.errorbar(radius, data, error, label="data", **style)
        for name, values, kwargs in curves:
            panel.plot(radius, values, label=name, **kwargs)
        panel.set_yscale("symlog", linthresh=float(np.nanmedian(error)) or 1.0)
        unit = str(getattr(image, "unit", None) or "") or "flux"
        panel.set_ylabel(f"surface brightness ({unit} arcsec$^{{-2}}$)")
    else:
        zeropoint = float(image.zeropoint)
        with np.errstate(divide="ignore", invalid="ignore"):
            seen = data > error
            detected = data[data > 3.0 * error]
            faintest = zeropoint - 2.5 * np.log10(detected.min() if detected.size else data.max())
            mag = zeropoint - 2.5 * np.log10(data[seen])
            fainter = 2.5 * np.log10(data[seen] / (data[seen] - error[seen] * 0.999))
            brighter = 2.5 * np.log10(1.0 + error[seen] / data[seen])
            panel.errorbar(radius[seen], mag, [brighter, fainter], label="data", **style)
            for name, values, kwargs in curves:
                panel.plot(radius, np.where(values > 0, zeropoint - 2.5 * np.log10(values), np.nan),
                           label=name, **kwargs)  # fmt: skip
        if mag.size:
            panel.set_ylim(float(faintest) + 1.0, float(mag.min()) - 0.5)
        panel.set_ylabel("surface brightness (mag arcsec$^{-2}$)")
    significant = radius[data > 3.0 * error]
    # Beyond the last significant annulus there is noise only.
    panel.set_xlim(0.0, 1.2 * float(significant.max()) if significant.size else None)
    panel.set_title(f"{image.name} profile")
    panel.legend(frameon=False, fontsize="small")
