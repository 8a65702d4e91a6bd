# SPDX-License-Identifier: BSD-3-Clause
"""Data that want an ellipse thinner than may be drawn: q is at a limit, the rest is sound."""

from __future__ import annotations

import numpy as np
import pytest

import jointlight as jl
from jointlight.scene import compile
from reference.field import Field
from reference.on_backends import EVERY_BACKEND

pytestmark = EVERY_BACKEND


def needle() -> jl.Model:
    psf = jl.gaussian_psf(fwhm=0.9, pixelscale=0.3)
    empty = jl.TargetImage(np.zeros((41, 41)), pixelscale=0.3, variance=1.0, psf=psf, name="r")
    truth = jl.Model(
        "sersic galaxy", target=empty, q=0.02, PA=37.0, Re=2.0, n=1.0, Ie=400.0, center=(0.1, 0.05)
    )
    data = truth.image(empty) + np.random.default_rng(3).normal(size=empty.shape)
    image = jl.TargetImage(data, pixelscale=0.3, variance=1.0, psf=psf, name="r")
    model = jl.Model(
        "sersic galaxy", target=image, q=0.1, PA=40.0, Re=1.8, Ie=10.0, center=(0.0, 0.0)
    )
    model["n"].value = 1.0
    model["n"].fixed = True
    return model


def test_the_axis_ratio_is_at_its_limit_and_the_others_have_errors():
    model = needle()
    result = model.fit(verbose=0)
    assert result.success
    at = list(result.table["name"]).index("q")
    assert result.at_bound[at]
    assert 0.02 <= result.values[at] < 0.0205
    scene, v = compile(model), result.values
    jacobian = scene.jacobian(0, v).reshape(len(v), -1)
    free = [i for i in range(len(v)) if i != at]
    expected = np.linalg.inv(jacobian[free] @ jacobian[free].T)
    found = np.asarray(result.raw_covariance)
    assert np.isnan(found[at]).all()
    assert np.isnan(found[:, at]).all()
    sigma = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(
        found[np.ix_(free, free)] / np.outer(sigma, sigma),
        expected / np.outer(sigma, sigma),
        atol=1e-4,
    )
    columns = scene.core.covariance_columns(v, result.at_bound, np.arange(len(v)))
    np.testing.assert_array_equal(np.isnan(columns), np.isnan(found))
    np.testing.assert_allclose(
        columns[np.ix_(free, free)] / np.outer(sigma, sigma),
        found[np.ix_(free, free)] / np.outer(sigma, sigma),
        atol=5e-3,
    )


@pytest.mark.parametrize("sigma", [0.8, 2.0, 3.0])
@pytest.mark.parametrize("q", [0.02, 0.03, 0.05])
def test_thin_ellipses_under_wide_psfs(q: float, sigma: float) -> None:
    """A window's image is that of the middle of a wide one, in which nothing repeats."""
    values = np.array([15.65, 39.45, q, 131.3, 10.6, 6.3, 1.0])
    height, width, pad = 46, 52, 300
    field, wide = (
        Field((height, width), sigma=sigma),
        Field((height + 600, width + 600), sigma=sigma),
    )
    field.add("sersic", values, amplitude="flux")
    wide.add("sersic", np.add(values, (pad, pad, 0, 0, 0, 0, 0)), amplitude="flux")
    image = field.scene().render(field.start, 0)
    expected = wide.scene().render(wide.start, 0)[pad : pad + height, pad : pad + width]
    assert np.max(np.abs(image - expected)) <= 1e-3 * expected.max()
