# SPDX-License-Identifier: BSD-3-Clause
"""Mixed precision: the image and chi2 as in float64, derivatives to float32, fits the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jointlight as jl
from reference import small_problem
from reference.field import Field, Tile
from reference.on_backends import EVERY_BACKEND, SLOW_EMULATED

pytestmark = EVERY_BACKEND

SINGLE = float(np.finfo(np.float32).eps)


def mixture() -> Field:
    """Every way to draw on one image: in one box, in two parts, pixel by pixel, a point, a sky."""
    field = Field((301, 305))
    for number, (values, window, psf) in enumerate(
        (
            ((150.2, 147.9, 0.6, 40.0, 25.0, 2.0, 30.0), (0, 305, 0, 301), 0),
            ((60.3, 201.1, 0.8, 110.0, 2.5, 4.0, 25.0), (30, 93, 170, 231), 0),
            ((240.0, 80.4, 0.5, 10.0, 3.0, 1.0, 12.0), (215, 266, 60, 100), -1),
        )
    ):
        slots = field.slots("sersic", values)
        field.tiles.append(Tile("sersic", slots, number, 0, window, "brightness", psf=psf))
    point = field.slots("point", (80.7, 190.2, 900.0))
    field.tiles.append(Tile("point", point, 3, 0, (60, 101, 170, 211), "flux"))
    field.add("flat_sky", (3.0,))
    field.observe(noise=1.0, seed=1)
    return field


def test_every_way_to_draw() -> None:
    field = mixture()
    v = field.start * (1.0 + 1e-3 * np.sin(np.arange(len(field.start))))
    exact, mixed = field.scene(), field.scene(precision="mixed")
    chi2, gradient, normal = exact.linearize(v)
    chi2_m, gradient_m, normal_m = mixed.linearize(v)
    assert chi2_m == pytest.approx(chi2, rel=1e-12)
    assert mixed.chi2(v) == chi2_m
    scale = np.sqrt(np.diag(normal))
    assert np.abs((normal_m - normal) / np.outer(scale, scale)).max() < 20 * SINGLE
    assert np.abs((gradient_m - gradient) / scale).max() < 20 * SINGLE * np.sqrt(chi2)
    assert not np.array_equal(normal_m, normal), "float32 is nowhere to be seen"
    np.testing.assert_allclose(mixed.render(v, 0), exact.render(v, 0), rtol=1e-13)
    columns, columns_m = exact.jacobian(v, 0), mixed.jacobian(v, 0)
    worst = np.abs(columns_m - columns).max(axis=(1, 2)) / np.abs(columns).max(axis=(1, 2))
    assert worst.max() < 20 * SINGLE


def test_image_beside_the_derivatives_is_float64() -> None:
    target, *_ = small_problem.images()
    model = small_problem.model([target])
    exact, mixed = (model.compile(precision=p) for p in ("float64", "mixed"))
    image, columns = exact.model_and_jacobian(0)
    image_m, columns_m = mixed.model_and_jacobian(0)
    assert np.abs(image_m - image).max() < 1e-13 * np.abs(image).max()
    assert np.abs(columns_m - columns).max() < 20 * SINGLE * np.abs(columns).max()


@pytest.mark.parametrize("unit", [1e-30, 1e-19, 1e12, 1e25])
@pytest.mark.parametrize("likelihood", ["gaussian", "poisson"])
def test_any_unit_of_brightness(unit: float, likelihood: str) -> None:
    """Nothing that carries a unit is in float32, which would not hold its square."""
    field = mixture()
    field.likelihood[0] = likelihood
    if likelihood == "poisson":
        field.data[0] = np.round(np.maximum(field.data[0], 0.0))
        field.weight[0] = np.ones_like(field.data[0])
    v = field.start
    chi2, _, normal = field.scene(precision="mixed").linearize(v)
    amplitudes = sorted({tile.slots[-1] for tile in field.tiles})
    scaled = v.copy()
    scaled[amplitudes] *= unit
    field.data[0] = field.data[0] * unit
    field.weight[0] = field.weight[0] / unit ** (2 if likelihood == "gaussian" else 1)
    chi2_u, _, normal_u = field.scene(precision="mixed").linearize(scaled)
    factor = np.ones(len(v))
    factor[amplitudes] = unit
    assert chi2_u == pytest.approx(chi2, rel=1e-9)
    back = normal_u * np.outer(factor, factor)
    scale = np.sqrt(np.diag(normal))
    assert np.abs((back - normal) / np.outer(scale, scale)).max() < 20 * SINGLE


def noisy_model(rng: np.random.Generator) -> Any:
    clean = small_problem.noiseless()
    return small_problem.model(small_problem.images(small_problem.noisy(clean, rng)))


def test_fits_end_at_the_same_place(rng: np.random.Generator) -> None:
    model = noisy_model(rng)
    exact = jl.fit.LM(model).fit()
    again = model.copy()
    small_problem.set_truth(again)
    mixed = jl.fit.LM(again, precision="mixed").fit()
    assert exact.success
    assert mixed.success
    assert mixed.chi2 == pytest.approx(exact.chi2, rel=1e-9)
    shift = (np.asarray(mixed.values) - exact.values) / np.sqrt(np.diag(exact.covariance))
    assert np.abs(shift).max() < 1e-3
    ratio = np.diag(mixed.covariance) / np.diag(exact.covariance)
    assert np.abs(ratio - 1).max() < 1e-4


def test_block_by_block(rng: np.random.Generator) -> None:
    model = noisy_model(rng)
    exact = jl.fit.LM(model.copy()).fit()
    mixed = jl.fit.Iter(model, precision="mixed").fit()
    assert mixed.chi2 == pytest.approx(exact.chi2, rel=1e-6)


def test_many_fits(rng: np.random.Generator) -> None:
    clean = small_problem.noiseless()
    models = [
        small_problem.model(small_problem.images(small_problem.noisy(clean, rng))) for _ in range(3)
    ]
    exact = jl.fit_many([m.copy() for m in models], covariance=True)
    mixed = jl.fit_many([m.copy() for m in models], precision="mixed")
    assert np.all(mixed.table["status"] == exact.table["status"])
    np.testing.assert_allclose(mixed.table["chi2"], exact.table["chi2"], rtol=1e-9)
    shift = (mixed.table["Re"] - exact.table["Re"]) / exact.table["Re_error"]
    assert np.abs(np.asarray(shift)).max() < 1e-3
    assert not np.array_equal(mixed.table["Re"], exact.table["Re"]), "precision= went nowhere"


def test_template_with_arrays(rng: np.random.Generator) -> None:
    target = small_problem.images()[0]
    template = small_problem.model([target])
    data = np.array(template.images()[0]) + rng.normal(0.0, 0.1, (4, 40, 40))
    exact = jl.fit_many(template, data=data, variance=0.01)
    mixed = jl.fit_many(template, data=data, variance=0.01, precision="mixed")
    np.testing.assert_allclose(mixed.table["chi2"], exact.table["chi2"], rtol=1e-9)
    assert not np.array_equal(mixed.table["Re"], exact.table["Re"]), "precision= went nowhere"
    after = jl.fit_many(template, data=data, variance=0.01)
    np.testing.assert_array_equal(after.table["Re"], exact.table["Re"])


@pytest.mark.parametrize("given", ["single", "Float64", 32, None, np.float32])
def test_refused(given: Any) -> None:
    model = small_problem.model(small_problem.images())
    for call in (
        lambda: model.compile(precision=given),
        lambda: jl.fit.LM(model, precision=given),
        lambda: jl.fit.Iter(model, precision=given),
        lambda: jl.fit_many([model], precision=given),
    ):
        with pytest.raises(jl.errors.InvalidInput, match=r"precision.*'float64' or 'mixed'"):
            call()


@SLOW_EMULATED
def test_thin_unresolved_galaxies_converge_as_in_float64() -> None:
    """Where data hardly determine a direction, a full step promises what float32 rounds."""
    random = np.random.default_rng(11)
    n = 80
    target = jl.TargetImage(
        np.zeros((33, 35)),
        variance=1.0,
        psf=jl.gaussian_psf(fwhm=3.0, pixelscale=1.0),
        pixelscale=1.0,
    )
    model = jl.Model(
        "sersic galaxy", target=target, center=(17.0, 16.0), q=0.5, PA=30.0, n=1.0, Re=2.0, Ie=1.0
    )
    scene = model.compile(n_threads=1)
    at = {name: k for k, name in enumerate(scene.names)}
    data = []
    for _ in range(n):
        v = np.asarray(scene.v0).copy()
        v[at["Re"]] = random.uniform(2, 5)
        v[at["n"]] = random.uniform(0.6, 3)
        v[at["q"]] = random.uniform(0.02, 0.2)
        v[at["Ie"]] = 10 ** random.uniform(1, 2.5)
        data.append(np.asarray(scene.render(0, v)) + random.normal(size=(33, 35)))
    pixels = np.array(data)
    start = {
        "Re": np.full(n, 2.0),
        "n": np.full(n, 1.5),
        "q": np.full(n, 0.6),
        "PA": np.full(n, 10.0),
        "Ie": np.maximum(pixels.max(axis=(1, 2)) / 3, 0.1),
    }
    exact, mixed = (
        jl.fit_many(model, data=pixels, variance=1.0, start=start, precision=p).table
        for p in ("float64", "mixed")
    )
    both = np.asarray(exact["success"])
    assert both.mean() > 0.95
    assert np.asarray(mixed["success"])[both].all()
    np.testing.assert_allclose(mixed["chi2"], exact["chi2"], atol=0.01)  # 0.1 sigma
