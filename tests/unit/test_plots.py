# SPDX-License-Identifier: BSD-3-Clause
"""Plots: what is drawn where, on whose axes."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.testing import assert_allclose

import jointlight as jl
from jointlight import plots
from jointlight.plots.sky import brightness_scale, magnitude_ticks
from reference import small_problem


@pytest.fixture(scope="module")
def result() -> jl.FitResult:
    clean = small_problem.noiseless()
    data = small_problem.noisy(clean, np.random.default_rng(4))
    images = small_problem.images(data)
    return jl.fit.LM(small_problem.model(images)).fit()


@pytest.fixture
def axes() -> Any:
    return Figure().subplots(1, 3)


def drawn(ax: Any) -> Any:
    return ax.collections[0]


def test_matplotlib_is_imported_when_needed_only() -> None:
    code = "import sys, jointlight; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_pyplot(result: jl.FitResult) -> None:
    code = (
        "import sys, numpy as np, jointlight as jl\n"
        "image = jl.TargetImage(np.eye(9), pixelscale=1.0)\n"
        "jl.plots.target_image(None, image).figure.canvas.draw()\n"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_pixels_are_where_the_sky_says(result: jl.FitResult, axes: Any) -> None:
    plots.target_image(axes, result.model)
    for ax, image in zip(axes, result.images, strict=True):
        corners = drawn(ax).get_coordinates()
        height, width = image.shape
        assert corners.shape == (height + 1, width + 1, 2)
        east, north = image.pixel_to_plane(-0.5, height - 0.5)
        assert_allclose(corners[-1, 0], [east, north], atol=1e-9)


def test_orientation(result: jl.FitResult, axes: Any) -> None:
    plots.target_image(axes, result.model)
    # East left, except where the image has it right.
    assert [bool(ax.xaxis_inverted()) for ax in axes] == [True, True, False]
    for flipx in (True, False):
        ax = plots.target_image(None, result.images[2], flipx=flipx)
        assert bool(ax.xaxis_inverted()) is flipx


def test_colour_bars_are_in_magnitudes_where_there_is_a_zeropoint(result: jl.FitResult) -> None:
    ax = plots.target_image(None, result.images[0])
    bar = ax.figure.axes[1]
    assert "mag" in bar.get_ylabel()
    plain = result.images[0].copy(zeropoint=None, unit="mJy", name="plain")
    bar = plots.target_image(None, plain).figure.axes[1]
    assert "mJy" in bar.get_ylabel()
    assert len(plots.target_image(None, plain, colorbar=False).figure.axes) == 1


def test_magnitude_ticks_are_true(result: jl.FitResult) -> None:
    scale = brightness_scale(result.images[0])
    positions, labels = magnitude_ticks(scale, 25.0)
    assert (positions[0], labels[0]) == (0.0, "sky")
    assert_allclose(25.0 - 2.5 * np.log10(positions[1:]), [float(text) for text in labels[1:]])
    assert max(positions) <= scale.norm.vmax


def test_a_pedestal_is_taken_off() -> None:
    rng = np.random.default_rng(0)
    image = jl.TargetImage(500 + rng.normal(size=(30, 30)), std=1.0, pixelscale=2.0, zeropoint=25.0)
    scale = brightness_scale(image)
    assert_allclose(scale.sky, 125.0, rtol=0.01)
    assert "above" in plots.target_image(None, image).figure.axes[1].get_ylabel()


def test_masked_pixels_are_not_drawn(result: jl.FitResult) -> None:
    image = result.images[0]
    mask = np.zeros(image.shape, bool)
    mask[3, 4] = True
    ax = plots.target_image(None, image.copy(mask=mask, name="masked"))
    assert_allclose(np.argwhere(drawn(ax).get_array().mask), [[3, 4]])


def test_model_and_data_share_a_scale(result: jl.FitResult) -> None:
    image = result.images[1]
    data = drawn(plots.target_image(None, image))
    model = drawn(plots.model_image(None, result.model, image=image))
    assert (data.norm.vmin, data.norm.vmax) == (model.norm.vmin, model.norm.vmax)
    assert_allclose(model.get_array(), result.model.image(image) / image.pixelscale**2)


def test_residuals_are_in_sigma(result: jl.FitResult, axes: Any) -> None:
    plots.residual_image(axes, result.model)
    for ax, image in zip(axes, result.images, strict=True):
        expected = (image.data - result.model.image(image)) * np.sqrt(image.weight)
        assert_allclose(drawn(ax).get_array(), expected)
    ax = plots.residual_image(None, result.model, image=result.images[0], normalize=False, limit=1)
    expected = result.images[0].data - result.model.image(result.images[0])
    assert_allclose(drawn(ax).get_array(), expected)


def test_arctan_residuals_keep_their_zero(result: jl.FitResult) -> None:
    ax = plots.residual_image(None, result.model, image=result.images[0], stretch="arctan")
    norm = drawn(ax).norm
    assert_allclose(norm(0.0), 0.5, atol=1e-12)
    assert norm(5.0) > 0.85
    ax.figure.canvas.draw()


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda r: plots.residual_image(None, r.model, stretch="arctn"), "arctan"),
        (lambda r: plots.residual_image(None, r.model, limit=0), "limit"),
        (lambda r: plots.target_image(Figure().subplots(1, 2), r.model), "3 axes"),
        (lambda r: plots.covariance(r, kind="cornr"), "corner"),
        (lambda r: plots.covariance(r, parameters=["Ree"]), "Re"),
        (lambda r: plots.radial_profile(None, r.model, source="x"), "source"),
        (lambda r: plots.radial_profile(None, r.model, r_max="x"), "r_max must be"),
        (lambda r: plots.radial_profile(None, r.model, "d"), "'d' is not an image"),
        (lambda r: plots.radial_profile(None, unset(r)), "without values for"),
        (lambda r: plots.radial_profile(None, 3), "model must be a model, not 3"),
        (lambda r: plots.model_image(None, r.model, image="d"), "'d' is not an image"),
        (lambda r: plots.model_image(None, unset(r)), "without values for"),
        (lambda r: plots.model_image(None, r.images[0]), "model must be a model"),
        (lambda r: plots.residual_image(None, unset(r)), "call model.initialize|Call model.init"),
        (lambda r: plots.residual_image(None, jl.Model), "model must be a model"),
        (lambda r: plots.residual_image(None, r.model, limit="a"), "limit must be positive"),
        (lambda r: plots.model_window(None, None), "model must be a model, not None"),
        (lambda r: plots.target_image(None, 3), "image must be a TargetImage.* not 3"),
        (lambda r: plots.target_image(None, "a"), "image must be a TargetImage.* not 'a'"),
        (lambda r: plots.target_image(None, [3]), "image must be a TargetImage"),
        (lambda r: plots.fit_summary(r.model), "result must be a FitResult"),
        (lambda r: plots.covariance(r.model), "result must be a FitResult"),
    ],
)
def test_bad_arguments(result: jl.FitResult, call: Any, match: str) -> None:
    with pytest.raises(jl.InvalidInput, match=match):
        call(result)


def unset(result: jl.FitResult) -> Any:
    return jl.Model("sersic galaxy", target=result.images[0])


@pytest.mark.parametrize(
    "draw", [plots.model_image, plots.residual_image, plots.model_window, plots.radial_profile]
)
def test_an_image_can_be_named(result: jl.FitResult, draw: Any) -> None:
    ax = draw(None, result.model, image="b")
    assert not isinstance(ax, np.ndarray)
    assert ax.get_title().startswith("b")


def test_windows_of_an_unset_model(result: jl.FitResult) -> None:
    assert plots.model_window(None, unset(result)).lines


def test_windows(result: jl.FitResult) -> None:
    image = result.images[0]
    model = jl.Model("flat sky", target=image, window=((2, 12), (5, 20)), I0=0.0)
    ax = plots.model_window(None, model)
    (line,) = ax.lines
    x, y = image.plane_to_pixel(*line.get_data())
    assert_allclose([x.min(), x.max(), y.min(), y.max()], [1.5, 11.5, 4.5, 19.5], atol=1e-6)


def test_profile_of_data_and_model_agree(result: jl.FitResult) -> None:
    image = result.images[0]
    ax = plots.radial_profile(None, result.model, image)
    model = next(line for line in ax.lines if line.get_label() == "model")
    radius, mag = model.get_data()
    inner = radius < 3.0
    points = ax.containers[0].lines[0].get_data()
    assert_allclose(np.interp(points[0][:5], radius[inner], mag[inner]), points[1][:5], atol=0.1)
    assert ax.yaxis_inverted()
    plain = image.copy(zeropoint=None, name="plain")
    ax = plots.radial_profile(None, jl.Model("flat sky", target=plain, I0=0.1), plain)
    assert "flux" in ax.get_ylabel()


def test_summary_has_a_row_an_image(result: jl.FitResult) -> None:
    figure = plots.fit_summary(result, profile=True, windows=True)
    titles = [ax.get_title() for ax in figure.axes]
    assert sum(title.startswith("residual") for title in titles) == 3
    figure.canvas.draw()
    given = Figure()
    assert plots.fit_summary(result, figure=given) is given


def test_covariance_plots(result: jl.FitResult) -> None:
    corner = plots.covariance(result)
    assert len(corner.axes) == 9 * 10 / 2
    corner.canvas.draw()
    matrix = plots.covariance(result, kind="matrix", parameters=["Re", "n", "flux"])
    assert matrix.axes[0].get_images()[0].get_array().shape == (5, 5)
    matrix.canvas.draw()
