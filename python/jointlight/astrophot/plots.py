# SPDX-License-Identifier: BSD-3-Clause
"""Plots under AstroPhot's names: a figure, its axes, what to draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jointlight import plots as native
from jointlight.astrophot.convert import as_array
from jointlight.astrophot.image import PSF_Image, Target_Image, Target_Image_List
from jointlight.astrophot.models import Component_Model, Group_Model, native_model
from jointlight.errors import invalid
from jointlight.psf import PSF

if TYPE_CHECKING:
    from jointlight.image import TargetImage

__all__ = ["model_image", "model_window", "psf_image", "residual_image", "target_image"]


def target_image(
    fig: Any,
    ax: Any,
    target: Target_Image | Target_Image_List,
    *,
    flipx: bool = False,
    **options: Any,
) -> tuple[Any, Any]:
    """Draw the data of an image, or of each image of a list.

    Parameters
    ----------
    fig : Figure
        Handed back.
    ax : Axes or array of Axes
        One for each image.
    target : Target_Image or Target_Image_List
        What to draw.
    flipx : bool
        True puts East to the left.
    **options
        Options of `jointlight.plots.target_image`.

    Returns
    -------
    fig, ax
        As they were passed.
    """
    if not isinstance(target, (Target_Image, Target_Image_List)):
        raise invalid("target", target, "a Target_Image or Target_Image_List")
    native.target_image(ax, target.native, flipx=flipx, **options)
    return fig, ax


def model_image(
    fig: Any,
    ax: Any,
    model: Component_Model | Group_Model,
    *,
    flipx: bool = False,
    magunits: bool = True,
    vmin: float | None = None,
    vmax: float | None = None,
    **options: Any,
) -> tuple[Any, Any]:
    """Draw a model in each of its images.

    Parameters
    ----------
    fig : Figure
        Handed back.
    ax : Axes or array of Axes
        One for each image.
    model : model
        What to draw.
    flipx : bool
        True puts East to the left.
    magunits : bool
        Whether `vmin` and `vmax` of images with a zeropoint are magnitudes.
    vmin, vmax : float, optional
        Brightest and faintest magnitude per arcsec^2; without zeropoint or `magunits` the lowest
        and highest flux per arcsec^2.
    **options
        Options of `jointlight.plots.model_image`.

    Returns
    -------
    fig, ax
        As they were passed.
    """
    found = native_model(model)
    images = found.images_modelled
    for panel, image in zip(_panels(ax, len(images)), images, strict=True):
        low, high = vmin, vmax
        if magunits and image.zeropoint is not None:
            # Magnitudes count the other way: the faint end is the low one.
            low, high = _brightness(vmax, image), _brightness(vmin, image)
        native.model_image(panel, found, image=image, flipx=flipx, vmin=low, vmax=high, **options)
    return fig, ax


def residual_image(
    fig: Any,
    ax: Any,
    model: Component_Model | Group_Model,
    *,
    flipx: bool = False,
    normalize_residuals: bool = True,
    **options: Any,
) -> tuple[Any, Any]:
    """Draw data minus model in each image, the colours saturating as an arctangent.

    Parameters
    ----------
    fig : Figure
        Handed back.
    ax : Axes or array of Axes
        One for each image.
    model : model
        What to draw.
    flipx : bool
        True puts East to the left.
    normalize_residuals : bool
        In units of sigma.
    **options
        Options of `jointlight.plots.residual_image`.

    Returns
    -------
    fig, ax
        As they were passed.
    """
    options = {"stretch": "arctan", "normalize": normalize_residuals, **options}
    native.residual_image(ax, native_model(model), flipx=flipx, **options)
    return fig, ax


def model_window(
    fig: Any, ax: Any, model: Component_Model | Group_Model, **options: Any
) -> tuple[Any, Any]:
    """Outline the window of every component on axes that already show the images.

    Parameters
    ----------
    fig : Figure
        Handed back.
    ax : Axes or array of Axes
        One for each image.
    model : model
        The model.
    **options
        Options of `jointlight.plots.model_window`.

    Returns
    -------
    fig, ax
        As they were passed.
    """
    native.model_window(ax, native_model(model), **options)
    return fig, ax


def psf_image(fig: Any, ax: Any, psf: Any, **options: Any) -> tuple[Any, Any]:
    """Draw a PSF on a logarithmic scale.

    Parameters
    ----------
    fig : Figure
        Handed back.
    ax : Axes
        Where to draw.
    psf : array, tensor, PSF_Image or Target_Image
        The PSF, or an image that has one.
    **options
        Options of ``Axes.imshow``.

    Returns
    -------
    fig, ax
        As they were passed.
    """
    from matplotlib.colors import LogNorm

    given = psf.psf if isinstance(psf, Target_Image) else psf
    if isinstance(given, (PSF, PSF_Image)):
        given = given.data
    if given is None:
        raise invalid("psf", psf, "an image that has a PSF")
    data = as_array("psf", given)
    # Arrays measured on stars have zeros and negative pixels far out.
    faintest = max(float(data[data > 0.0].min()), float(data.max()) * 1e-8)
    options = {"origin": "lower", "norm": LogNorm(vmin=faintest), **options}
    shown = ax.imshow(np.maximum(data, faintest), **options)
    fig.colorbar(shown, ax=ax)
    return fig, ax


def _panels(ax: Any, n: int) -> list[Any]:
    panels = list(np.ravel(np.asarray(ax, dtype=object)))
    if len(panels) != n:
        raise invalid("ax", ax, f"{n} axes, one for each image")
    return panels


def _brightness(magnitude: float | None, image: TargetImage) -> float | None:
    assert image.zeropoint is not None
    return None if magnitude is None else float(10.0 ** (-0.4 * (magnitude - image.zeropoint)))
