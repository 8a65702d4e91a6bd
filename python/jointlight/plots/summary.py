# SPDX-License-Identifier: BSD-3-Clause
"""A fit in one figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jointlight.errors import Described, invalid
from jointlight.plots.images import draw_model, draw_residual, model_window, target_image
from jointlight.plots.profile import radial_profile
from jointlight.plots.statistics import check_result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jointlight.result import FitResult

__all__ = ["fit_summary"]


def fit_summary(
    result: FitResult,
    *,
    profile: bool = False,
    windows: bool = False,
    flipx: bool | None = None,
    limit: float = 5.0,
    figure: Figure | None = None,
) -> Figure:
    """Data, model and residual, a row an image.

    Parameters
    ----------
    result : FitResult
        The result; its model is drawn as it stands now.
    profile : bool, optional
        Add a column with the radial profile.
    windows : bool, optional
        Outline the components' windows on the data.
    flipx : bool, optional
        True: East left; False: East right. By default as each image has it.
    limit : float, optional
        Residuals saturate at this many sigma.
    figure : Figure, optional
        Where to draw; a new one by default.

    Returns
    -------
    Figure
        The figure.
    """
    from matplotlib.figure import Figure as NewFigure

    check_result(result)
    model: Any = result.model
    if model is None:
        raise invalid("result", Described("one without"), "a fit that carries its model")
    rows, columns = len(result.images), 4 if profile else 3
    if figure is None:
        figure = NewFigure(figsize=(4.5 * columns, 3.7 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    chi2 = result.chi2_by_image
    for row, image in zip(axes, result.images, strict=True):
        values = model.image(image)
        target_image(row[0], image, flipx=flipx)
        if windows:
            model_window(row[0], model, image=image)
        draw_model(row[1], image, values, flipx=flipx)
        draw_residual(row[2], image, values, limit=limit, flipx=flipx)
        if profile:
            radial_profile(row[3], model, image)
        row[0].set_title(f"{image.name}: data")
        row[1].set_title("model")
        n = int(result.n_pixels_images[list(result.images).index(image)])
        row[2].set_title(f"residual, $\\chi^2$ per pixel {chi2[image.name] / max(n, 1):.3f}")
    figure.suptitle(
        f"{model.name}: $\\chi^2$/dof = {result.chi2:.1f}/{result.dof} = {result.reduced_chi2:.4f}"
    )
    return figure
