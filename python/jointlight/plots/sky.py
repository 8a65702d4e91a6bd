# SPDX-License-Identifier: BSD-3-Clause
"""Shared by the image plots: axes, sky grid, brightness scale, colour bars."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jointlight.errors import Described, invalid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.colorbar import Colorbar

    from jointlight.image import TargetImage

__all__ = [
    "BrightnessScale",
    "axes_for",
    "brightness_scale",
    "color_bar",
    "draw_sky",
    "images_of",
    "magnitude_ticks",
    "targets_of",
]

FloatArray = NDArray[np.float64]

MASKED = "0.82"  # grey of pixels that do not enter the fit


def targets_of(target: Any) -> list[TargetImage]:
    """The images behind an image, a list of images, or a model.

    Parameters
    ----------
    target : TargetImage, TargetImageList, Model or sequence
        What to plot.

    Returns
    -------
    list of TargetImage
        One or more.
    """
    inner = target if isinstance(target, type) else getattr(target, "target", target)
    if hasattr(inner, "pixel_to_plane") and not isinstance(inner, type):
        return [inner]
    if not isinstance(inner, (str, bytes)) and isinstance(inner, Iterable):
        images = list(inner)
        if images and all(hasattr(image, "pixel_to_plane") for image in images):
            return images
    raise invalid("image", target, "a TargetImage, several of them, or a model")


def images_of(model: Any, image: Any = None, *, drawn: bool = True) -> list[TargetImage]:
    """The images of a model to be drawn.

    Parameters
    ----------
    model : Model
        The model.
    image : TargetImage or str, optional
        One of its images, or its name; all by default.
    drawn : bool, optional
        The model itself is drawn: its parameters must have values.

    Returns
    -------
    list of TargetImage
        One or more.
    """
    if isinstance(model, type) or not hasattr(model, "leaves"):
        raise invalid("model", model, "a model")
    images = targets_of(model) if image is None else [model.find_image(image)]
    if drawn and model.unset_parameters:
        names = ", ".join(list(model.unset_parameters)[:6])
        raise invalid(
            "model", Described(f"one without values for {names}"),
            "a model whose parameters have values", "call model.initialize() or set them",
        )  # fmt: skip
    return images


def axes_for(ax: Any, n: int, *, width: float = 4.6, height: float = 4.0) -> list[Axes]:
    """Axes for `n` panels: those given, or a row of new ones.

    Parameters
    ----------
    ax : Axes, sequence or array of Axes, or None
        The caller's axes.
    n : int
        Number of panels.
    width, height : float, optional
        Size of a new panel in inches.

    Returns
    -------
    list of Axes
        `n` of them.
    """
    if ax is None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(width * n, height), layout="constrained")
        return [figure.add_subplot(1, n, i + 1) for i in range(n)]
    flat = list(np.atleast_1d(np.asarray(ax, dtype=object)).ravel())
    if len(flat) < n:
        raise invalid(
            "ax", Described(f"{len(flat)}"), f"{n} axes, one for each image",
            f"make them with plt.subplots(1, {n})",
        )  # fmt: skip
    return flat[:n]


def corners(image: TargetImage, window: Any = None) -> tuple[FloatArray, FloatArray]:
    """Plane coordinates of the pixel corners, ``[h + 1, w + 1]`` each, arcsec.

    Parameters
    ----------
    image : TargetImage
        The image.
    window : ((x0, x1), (y0, y1)), optional
        Part of it; all by default.

    Returns
    -------
    tuple of ndarray
        East and North offsets.
    """
    height, width = image.shape
    (x0, x1), (y0, y1) = ((0, width), (0, height)) if window is None else window
    x, y = np.meshgrid(np.arange(x0, x1 + 1) - 0.5, np.arange(y0, y1 + 1) - 0.5)
    east, north = image.pixel_to_plane(x, y)
    return np.asarray(east), np.asarray(north)


def east_is_left(east: FloatArray, north: FloatArray) -> bool:
    """True if an image displayed with y up has East to the left of North.

    Parameters
    ----------
    east, north : ndarray
        Plane coordinates of its pixel corners.

    Returns
    -------
    bool
        From the sign of the corners' area.
    """
    ax, ay = east[0, -1] - east[0, 0], north[0, -1] - north[0, 0]
    bx, by = east[-1, 0] - east[0, 0], north[-1, 0] - north[0, 0]
    return bool(ax * by - ay * bx < 0)


def draw_sky(
    ax: Axes,
    image: TargetImage,
    values: FloatArray,
    *,
    norm: Any,
    cmap: Any,
    flipx: bool | None,
    mask: NDArray[np.bool_] | None = None,
) -> QuadMesh:
    """Draw one value a pixel on the sky.

    Parameters
    ----------
    ax : Axes
        Where.
    image : TargetImage
        Gives the pixel corners.
    values : ndarray
        ``[h, w]``.
    norm : matplotlib.colors.Normalize
        Colour scale.
    cmap : str or Colormap
        Colours.
    flipx : bool or None
        True: East left; False: East right; None: as the image has it.
    mask : ndarray of bool, optional
        Pixels shown grey.

    Returns
    -------
    QuadMesh
        The mesh, for a colour bar.
    """
    import matplotlib as mpl

    east, north = corners(image)
    colors = mpl.colormaps.get_cmap(cmap).with_extremes(bad=MASKED)
    shown = np.ma.masked_invalid(values)
    if mask is not None:
        shown = np.ma.masked_where(mask, shown)
    mesh = ax.pcolormesh(east, north, shown, norm=norm, cmap=colors, rasterized=True)
    ax.set_aspect("equal")
    x0, x1 = float(np.nanmin(east)), float(np.nanmax(east))
    left = east_is_left(east, north) if flipx is None else flipx
    ax.set_xlim((x1, x0) if left else (x0, x1))
    ax.set_ylim(float(np.nanmin(north)), float(np.nanmax(north)))
    ax.set_facecolor("0.95")
    ax.set_xlabel("East offset (arcsec)")
    ax.set_ylabel("North offset (arcsec)")
    return mesh


@dataclass(frozen=True, kw_only=True)
class BrightnessScale:
    """Colour scale of one image's surface brightness.

    Attributes
    ----------
    sky : float
        Level that is shown as zero, flux per arcsec^2.
    noise : float
        Noise of one pixel, flux per arcsec^2.
    norm : matplotlib.colors.AsinhNorm
        Linear within the noise, logarithmic above.
    area : float
        Pixel area in arcsec^2.
    """

    sky: float
    noise: float
    norm: Any
    area: float

    def scaled(self, values: FloatArray) -> FloatArray:
        """Surface brightness above the sky level.

        Parameters
        ----------
        values : ndarray
            Pixel values.

        Returns
        -------
        ndarray
            Flux per arcsec^2.
        """
        return np.asarray(values, dtype=np.float64) / self.area - self.sky


def brightness_scale(
    image: TargetImage, *, vmin: float | None = None, vmax: float | None = None
) -> BrightnessScale:
    """Colour scale for an image's data, to be used for its model as well.

    Parameters
    ----------
    image : TargetImage
        The image.
    vmin, vmax : float, optional
        Ends of the scale in flux per arcsec^2; from the data by default.

    Returns
    -------
    BrightnessScale
        The scale.
    """
    from matplotlib.colors import AsinhNorm

    area = float(image.pixelscale) ** 2
    good = ~np.asarray(image.mask) & (np.asarray(image.weight) > 0)
    values = np.asarray(image.data)[good] / area
    if values.size == 0:
        values = np.zeros(1)
    low, median = np.percentile(values, [15.87, 50.0])
    noise = float(median - low)
    if image.likelihood == "gaussian" and good.any():
        noise = float(np.median(np.asarray(image.weight)[good])) ** -0.5 / area
    noise = noise or float(np.ptp(values)) * 1e-3 or 1.0
    # A pedestal well above the noise is sky; magnitudes only make sense above it.
    sky = float(median) if abs(median) > 3.0 * noise else 0.0
    top = float(values.max()) - sky if vmax is None else vmax
    bottom = -noise if vmin is None else vmin
    if top <= bottom + noise:
        top = bottom + 10.0 * noise
    norm = AsinhNorm(linear_width=noise, vmin=bottom, vmax=top)
    return BrightnessScale(sky=sky, noise=noise, norm=norm, area=area)


def magnitude_ticks(scale: BrightnessScale, zeropoint: float) -> tuple[list[float], list[str]]:
    """Colour-bar ticks at round magnitudes per arcsec^2, and one at zero.

    Parameters
    ----------
    scale : BrightnessScale
        The colour scale.
    zeropoint : float
        The image's zeropoint.

    Returns
    -------
    positions : list of float
        In flux per arcsec^2.
    labels : list of str
        Magnitudes.
    """
    top = float(scale.norm.vmax)
    if top <= scale.noise:
        return [0.0], ["sky"]
    brightest = zeropoint - 2.5 * np.log10(top)
    faintest = zeropoint - 2.5 * np.log10(max(scale.noise, top * 1e-6))
    span = faintest - brightest
    step = 0.5 if span < 3 else 1.0 if span < 8 else 2.0
    mags = np.arange(np.ceil(brightest / step), np.floor(faintest / step) + 0.5) * step
    positions = [float(10.0 ** (-0.4 * (m - zeropoint))) for m in mags]
    return [0.0, *positions], ["sky", *(f"{m:g}" for m in mags)]


def color_bar(ax: Axes, mesh: QuadMesh, image: TargetImage, scale: BrightnessScale) -> Colorbar:
    """Colour bar in mag/arcsec^2 where there is a zeropoint, else in flux per arcsec^2.

    Parameters
    ----------
    ax : Axes
        The panel.
    mesh : QuadMesh
        What is drawn.
    image : TargetImage
        Gives zeropoint and unit.
    scale : BrightnessScale
        The colour scale.

    Returns
    -------
    Colorbar
        The bar.
    """
    bar = ax.figure.colorbar(mesh, ax=ax, fraction=0.046, pad=0.03)
    unit = str(getattr(image, "unit", None) or "") or "flux"
    if image.zeropoint is not None:
        positions, labels = magnitude_ticks(scale, image.zeropoint)
        bar.set_ticks(positions, labels=labels)
        bar.minorticks_off()
        text = "surface brightness (mag arcsec$^{-2}$)"
    else:
        text = f"surface brightness ({unit} arcsec$^{{-2}}$)"
    if scale.sky != 0.0:
        text += f"\nabove {scale.sky:.4g} {unit} arcsec$^{{-2}}$"
    bar.set_label(text)
    return bar


def titles(axes: Sequence[Axes], images: Iterable[TargetImage], suffix: str = "") -> None:
    """Name of the image over each panel that has no title yet.

    Parameters
    ----------
    axes : sequence of Axes
        Panels.
    images : iterable of TargetImage
        Their images.
    suffix : str, optional
        Added to the name.
    """
    for ax, image in zip(axes, images, strict=True):
        if not ax.get_title():
            ax.set_title(f"{image.name}{suffix}")
