# SPDX-License-Identifier: BSD-3-Clause
"""Made-up objects for fit_many, and the same fitted one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jointlight as jl

NOISE = 0.05
NAMES = ("center_x", "center_y", "q", "PA", "Re", "n", "Ie")
PSF = jl.gaussian_psf(fwhm=2.5, pixelscale=1.0)


def gaussian_array(sigma: float = 1.1, size: int = 13) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.exp(-0.5 * (x * x + y * y) / sigma**2)


def template(size: int = 32, **options: Any) -> Any:
    options = {"psf": PSF, "std": NOISE, "pixelscale": 1.0, "name": "r", **options}
    image = jl.TargetImage(np.zeros((size, size)), **options)
    return galaxy(image, (0.0, 0.0), 0.7, 30.0, 4.0, 1.5, 1.0)


def galaxy(image: Any, center: Any, q: float, angle: float, Re: float, n: float, Ie: float) -> Any:
    return jl.Model(
        "sersic galaxy", target=image, center=center, q=q, PA=angle, Re=Re, n=n, Ie=Ie
    )  # fmt: skip


def drawn(shapes: list[tuple[int, int]], seed: int = 1, **options: Any) -> tuple[Any, Any, Any]:
    """Stamps of different galaxies, their truth and starts some way off, by parameter."""
    rng = np.random.default_rng(seed)
    n = len(shapes)
    truth = {
        "center_x": rng.uniform(-1, 1, n),
        "center_y": rng.uniform(-1, 1, n),
        "q": rng.uniform(0.4, 0.9, n),
        "PA": rng.uniform(0, 180, n),
        "Re": rng.uniform(2.5, 5, n),
        "n": rng.uniform(0.8, 3, n),
        "Ie": rng.uniform(0.7, 2, n),
    }
    stamps = []
    for i, shape in enumerate(shapes):
        image = jl.TargetImage(
            np.zeros(shape), **{"psf": PSF, "pixelscale": 1.0, "std": NOISE, **options}
        )
        values = [truth[name][i] for name in NAMES]
        model = galaxy(image, values[:2], *values[2:])
        stamps.append(model.image() + rng.normal(0, NOISE, shape))
    start = {name: values * rng.uniform(0.85, 1.15, n) for name, values in truth.items()}
    start["q"] = np.clip(start["q"], 0.2, 0.95)
    return stamps, truth, start


def one_by_one(stamps: Any, start: Any, **options: Any) -> list[Any]:
    """The same fits, each of its own model."""
    out = []
    for i, stamp in enumerate(stamps):
        image = jl.TargetImage(
            stamp, **{"psf": PSF, "pixelscale": 1.0, "std": NOISE, "name": "r", **options}
        )
        values = [float(start[name][i]) for name in NAMES]
        out.append(galaxy(image, values[:2], *values[2:]).fit(n_threads=1))
    return out


def assert_same(results: Any, singles: list[Any]) -> None:
    for row, single in zip(results, singles, strict=True):
        errors = np.array(list(row.errors.values()))
        away = np.abs(np.array(list(row.values.values())) - single.values)
        assert row.status == single.status
        # The maps from pixels to sky are written about different anchors: rounding alone differs.
        assert np.all(away < 1e-6 * errors)
        np.testing.assert_allclose(errors, single.errors, rtol=1e-6)
        assert row.chi2 == pytest.approx(single.chi2, rel=1e-11)
        assert row.dof == single.dof
        assert row.n_evaluations == single.n_linearize + single.n_chi2


def assert_equal(results: Any, others: Any) -> None:
    """Equal in every bit but the times."""
    assert results.layouts == others.layouts
    assert results.special_messages == others.special_messages
    for name in (
        "layout_of", "offset", "flat_values", "flat_variances", "flat_at_bound", "status_code",
        "flat_degenerate", "chi2", "n_pixels", "dof", "n_linearize", "n_chi2", "covariance_scale",
    ):  # fmt: skip
        np.testing.assert_array_equal(getattr(results, name), getattr(others, name), err_msg=name)


def mixed_models(n: int = 12) -> list[Any]:
    out = []
    for i in range(n):
        rng = np.random.default_rng(i)
        image = jl.TargetImage(np.zeros((28 + i, 30)), pixelscale=1.0, psf=PSF, std=NOISE, name="r")
        if i % 3 == 0:
            truth = galaxy(image, (0.3, 0.2), 0.6, 170.0, 4.0, 1.5, 1.0)
        elif i % 3 == 1:
            truth = jl.Model("point", target=image, center=(0.1, 0.2), flux=20.0)
        else:
            truth = jl.Group(
                [
                    jl.Model("flat sky", target=image, I0=0.1, name="sky"),
                    jl.Model("exponential galaxy", target=image, center=(0.3, 0.2), q=0.6, PA=30.0,
                             Re=4.0, Ie=1.0, name="disc"),
                ]
            )  # fmt: skip
        noisy = image.copy(data=truth.image() + rng.normal(0, NOISE, image.shape))
        if i % 3 == 0:
            model = galaxy(noisy, (0.0, 0.0), 0.7, 160.0, 5.0, 1.2, 0.8)
            model["n"].prior = jl.Normal(1.5, 0.3)
        elif i % 3 == 1:
            model = jl.Model("point", target=noisy, center=(0.0, 0.0), flux=15.0)
        else:
            sky = jl.Model("flat sky", target=noisy, name="sky")
            disc = jl.Model("exponential galaxy", target=noisy, name="disc")
            model = jl.Group([sky, disc])  # started from the data
        out.append(model)
    return out
