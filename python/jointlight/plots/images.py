# SPDX-License-Identifier: BSD-3-Clause
"""Plots of images, models, residuals and windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from jointlight.errors import did_you_mean, invalid
from jointlight.plots.sky import (
    FloatArray,
    axes_for,
    brightness_scale,
    color_bar,
    draw_sky,
    images_of,
    targets_of,
    titles,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from jointlight.image import TargetImage

__all__ = ["model_image", "model_window", "residual_image", "target_image"]


def _returned(axes: list[Axes], target: Any) -> Any:
    single = hasattr(getattr(target, "target", target), "pixel_to_plane")
    if single:
        return axes[0]
    out = np.empty(len(axes), dtype=object)
    out[:] = axes
    return out


def target_image(
    ax: Any,
    image: Any,
    *,
    flipx: bool | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    cmap: str = "magma",
    colorbar: bool = True,
) -> Any:
    """Plot the data of an image, or of each image of a list.

    Parameters
    ----------
    ax : Axes, sequence of Axes, or None
        Where to draw; None makes a figure.
    image : TargetImage, TargetImageList or Model
        What to draw.
    flipx : bool, optional
        True: East left; False: East right. By default as the image has it.
    vmin, vmax : float, optional
        Ends of the colour scale, flux per arcsec^2.
    cmap : str, optional
        Colour map.
    colorbar : bool, optional
        Draw a colour bar: mag/arcsec^2 where the image has a zeropoint.

    Returns
    -------
    Axes or ndarray of Axes
        The panels.

    Notes
    -----
    Colours are linear within the noise and logarithmic above it. Masked pixels are grey.
    """
    images = targets_of(image)
    axes = axes_for(ax, len(images))
    for panel, one in zip(axes, images, strict=True):
        scale = brightness_scale(one, vmin=vmin, vmax=vmax)
        mesh = draw_sky(
            panel, one, scale.scaled(one.data), norm=scale.norm, cmap=cmap, flipx=flipx,
            mask=np.asarray(one.mask),
        )  # fmt: skip
        if colorbar:
            color_bar(panel, mesh, one, scale)
    titles(axes, images)
    return _returned(axes, image)


def model_image(
    ax: Any,
    model: Any,
    *,
    image: TargetImage | str | None = None,
    flipx: bool | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    cmap: str = "magma",
    colorbar: bool = True,
) -> Any:
    """Plot a model in each of its images, PSF included, on the data's colour scale.

    Parameters
    ----------
    ax : Axes, sequence of Axes, or None
        Where to draw; None makes a figure.
    model : Model
        What to draw.
    image : TargetImage or str, optional
        Only this image, or the one of this name.
    flipx : bool, optional
        True: East left; False: East right. By default as the image has it.
    vmin, vmax : float, optional
        Ends of the colour scale, flux per arcsec^2.
    cmap : str, optional
        Colour map.
    colorbar : bool, optional
        Draw a colour bar: mag/arcsec^2 where the image has a zeropoint.

    Returns
    -------
    Axes or ndarray of Axes
        The panels.
    """
    images = images_of(model, image)
    axes = axes_for(ax, len(images))
    for panel, one in zip(axes, images, strict=True):
        draw_model(
            panel, one, model.image(one), flipx=flipx, vmin=vmin, vmax=vmax, cmap=cmap,
            colorbar=colorbar,
        )  # fmt: skip
    titles(axes, images, " model")
    return _returned(axes, model if image is None else images[0])


def draw_model(
    panel: Axes,
    image: TargetImage,
    values: FloatArray,
    *,
    flipx: bool | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    cmap: str = "magma",
    colorbar: bool = True,
) -> None:
    """One panel of `model_image`.

    Parameters
    ----------
    panel : Axes
        Where to draw.
    image : TargetImage
        The image.
    values : ndarray
        The model in it.
    flipx, vmin, vmax, cmap, colorbar
        As for `model_image`.
    """
    scale = brightness_scale(image, vmin=vmin, vmax=vmax)
    mesh = draw_sky(panel, image, scale.scaled(values), norm=scale.norm, cmap=cmap, flipx=flipx)
    if colorbar:
        color_bar(panel, mesh, image, scale)


def residual_image(
    ax: Any,
    model: Any,
    *,
    image: TargetImage | str | None = None,
    stretch: Literal["clip", "arctan"] = "clip",
    limit: float = 5.0,
    normalize: bool = True,
    flipx: bool | None = None,
    cmap: str = "RdBu_r",
    colorbar: bool = True,
) -> Any:
    """Plot data minus model in units of sigma.

    Parameters
    ----------
    ax : Axes, sequence of Axes, or None
        Where to draw; None makes a figure.
    model : Model
        The model.
    image : TargetImage or str, optional
        Only this image, or the one of this name.
    stretch : {"clip", "arctan"}, optional
        Linear and clipped at ``limit``, or an arctangent that saturates slowly beyond it.
    limit : float, optional
        Where colours saturate, in sigma (in flux per pixel if not normalised).
    normalize : bool, optional
        Divide by sigma.
    flipx : bool, optional
        True: East left; False: East right. By default as the image has it.
    cmap : str, optional
        Colour map.
    colorbar : bool, optional
        Draw a colour bar.

    Returns
    -------
    Axes or ndarray of Axes
        The panels.
    """
    images = images_of(model, image)
    axes = axes_for(ax, len(images))
    for panel, one in zip(axes, images, strict=True):
        draw_residual(
            panel, one, model.image(one), stretch=stretch, limit=limit, normalize=normalize,
            flipx=flipx, cmap=cmap, colorbar=colorbar,
        )  # fmt: skip
    titles(axes, images, " residual")
    return _returned(axes, model if image is None else images[0])


def sigma_of(image: TargetImage, values: FloatArray) -> FloatArray:
    """Standard deviation of each pixel; from the model's counts for Poisson images.

    Parameters
    ----------
    image : TargetImage
        The image.
    values : ndarray
        The model in it.

    Returns
    -------
    ndarray
        ``[h, w]``; infinite where a pixel does not enter.
    """
    weight = np.asarray(image.weight, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        if image.likelihood == "poisson":
            # The weight is counts per data unit: variance = data unit * value / counts.
            return np.asarray(np.sqrt(np.where(weight > 0, np.maximum(values, 0) / weight, np.inf)))
        return np.asarray(np.where(weight > 0, 1.0 / np.sqrt(weight), np.inf))


def draw_residual(
    panel: Axes,
    image: TargetImage,
    values: FloatArray,
    *,
    stretch: str = "clip",
    limit: float = 5.0,
    normalize: bool = True,
    flipx: bool | None = None,
    cmap: str = "RdBu_r",
    colorbar: bool = True,
) -> None:
    """One panel of `residual_image`.

    Parameters
    ----------
    panel : Axes
        Where to draw.
    image : TargetImage
        The image.
    values : ndarray
        The model in it.
    stretch, limit, normalize, flipx, cmap, colorbar
        As for `residual_image`.
    """
    from matplotlib.colors import FuncNorm, Normalize

    if stretch not in {"clip", "arctan"}:
        options = ("clip", "arctan")
        raise invalid("stretch", stretch, "a stretch", did_you_mean(stretch, options))
    if not (isinstance(limit, (int, float, np.number)) and limit > 0):
        raise invalid("limit", limit, "positive")
    residual = np.asarray(image.data) - np.asarray(values)
    label = f"data - model ({getattr(image, 'unit', None) or 'flux'})"
    if normalize:
        sigma = sigma_of(image, values)
        residual = np.where(sigma > 0, residual / np.where(sigma > 0, sigma, 1.0), 0.0)
        label = "(data - model) / $\\sigma$"
    norm: Any = Normalize(-limit, limit)
    ticks = None
    if stretch == "arctan":
        scale = limit / 2.0
        norm = FuncNorm(
            (lambda v: np.arctan(np.asarray(v) / scale), lambda t: np.tan(t) * scale),
            vmin=-10 * limit, vmax=10 * limit,
        )  # fmt: skip
        ticks = [-10 * limit, -limit, -limit / 5, 0, limit / 5, limit, 10 * limit]
    mask = np.asarray(image.mask) | ~(np.asarray(image.weight) > 0)
    mesh = draw_sky(panel, image, residual, norm=norm, cmap=cmap, flipx=flipx, mask=mask)
    if colorbar:
        bar = panel.figure.colorbar(mesh, ax=panel, fraction=0.046, pad=0.03, extend="both")
        if ticks is not None:
            bar.set_ticks(ticks, labels=[f"{tick:.3g}" for tick in ticks])
        bar.set_label(label)


def model_window(
    ax: Any, model: Any, *, image: TargetImage | str | None = None, color: str = "w", **kwargs: Any
) -> Any:
    """Outline the window of every component on axes that already show the images.

    Parameters
    ----------
    ax : Axes, sequence of Axes, or None
        Where to draw; None makes a figure and plots the images first.
    model : Model
        The model.
    image : TargetImage or str, optional
        Only this image, or the one of this name.
    color : str, optional
        Colour of the lines.
    **kwargs
        Passed to ``Axes.plot``.

    Returns
    -------
    Axes or ndarray of Axes
        The panels.
    """
    images = images_of(model, image, drawn=False)
    fresh = ax is None
    axes = axes_for(ax, len(images))
    for panel, one in zip(axes, images, strict=True):
        if fresh:
            target_image(panel, one)
        for window in windows_on(model, one):
            (x0, x1), (y0, y1) = window
            # A straight edge of pixels may be curved on the sky.
            x = np.concatenate([np.linspace(a, b, 17) for a, b in
                                ((x0, x1), (x1, x1), (x1, x0), (x0, x0))]) - 0.5  # fmt: skip
            y = np.concatenate([np.linspace(a, b, 17) for a, b in
                                ((y0, y0), (y0, y1), (y1, y1), (y1, y0))]) - 0.5  # fmt: skip
            east, north = one.pixel_to_plane(x, y)
            panel.plot(east, north, **{"color": color, "linewidth": 1.0, **kwargs})
    return _returned(axes, model if image is None else images[0])


def windows_on(model: Any, image: TargetImage) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Windows of a model's components on one image, each once.

    Parameters
    ----------
    model : Model
        The model.
    image : TargetImage
        The image.

    Returns
    -------
    list
        ``((x0, x1), (y0, y1))`` each.
    """
    found = []
    for leaf in model.leaves():
        if any(one is image for one in targets_of(leaf)):
            window = leaf.window_on(image) if hasattr(leaf, "window_on") else leaf.window
            window = image.window if window is None else window
            if window not in found:
                found.append(window)
    return found
