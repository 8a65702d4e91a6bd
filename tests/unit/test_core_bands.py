# SPDX-License-Identifier: BSD-3-Clause
"""Fields of so many tiles that images are cut into squares, each of which keeps its sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reference.field import Field
from reference.on_backends import CPU_ALONE, EVERY_BACKEND

pytestmark = EVERY_BACKEND

SHAPE = (131, 157)  # several squares each way, none of them whole at the far sides


def crowd(*, likelihood: str = "gaussian") -> Field:
    """Galaxies, stars and a sky, overlapping, with windows on all borders of squares."""
    random = np.random.default_rng(5)
    field = Field(SHAPE)
    for k in range(22):
        x, y = random.uniform(4, SHAPE[1] - 4), random.uniform(4, SHAPE[0] - 4)
        half = int(random.integers(8, 26))
        window = (
            max(int(x) - half, 0), min(int(x) + half + 1, SHAPE[1]),
            max(int(y) - half, 0), min(int(y) + half + 1, SHAPE[0]),
        )  # fmt: skip
        if k % 4 == 3:
            field.add("point", (x, y, random.uniform(300, 900)), window=window)
            continue
        shape = (random.uniform(0.4, 0.9), random.uniform(0, 180), random.uniform(1.5, 3.0))
        values = (x, y, *shape, random.uniform(0.8, 3.0), random.uniform(1500, 4000))
        field.add("sersic", values, window=window, amplitude="flux")
    field.add("flat_sky", (3.0,))
    field.observe(noise=1.0, seed=6)
    field.likelihood[0] = likelihood
    if likelihood == "poisson":
        field.data[0] = np.round(np.maximum(field.data[0], 0.0))
    field.weight[0] = np.ones(SHAPE)
    field.weight[0][40:52, 30:90] = 0.0
    return field


def dense(n: int, sums: Any) -> tuple[float, np.ndarray, np.ndarray]:
    """chi2, half its gradient and J^T W J, of what linearize() returns."""
    chi2, gradient, hessian = sums[0], np.asarray(sums[1]), np.asarray(sums[2])
    assert gradient.shape == (n,)
    assert hessian.shape == (n, n)
    return chi2, gradient, hessian


def test_sums_are_those_of_the_whole_image() -> None:
    """Against the Jacobian of the image, pixel by pixel."""
    field = crowd()
    scene, v = field.scene(), field.start * 1.01
    chi2, gradient, hessian = dense(v.size, scene.linearize(v))
    columns = np.asarray(scene.jacobian(v, 0)).reshape(v.size, -1)
    weight = field.weight[0].ravel()
    residual = (np.asarray(scene.render(v, 0)) - field.data[0]).ravel()
    covered = weight > 0
    assert chi2 == pytest.approx(np.sum(weight * residual**2), rel=1e-12)
    want = columns[:, covered] @ (weight * residual)[covered]
    scale = np.sqrt(np.sum(columns[:, covered] ** 2, axis=1))
    np.testing.assert_allclose(gradient / scale, want / scale, rtol=0, atol=1e-9 * np.sqrt(chi2))
    want = (columns * weight) @ columns.T
    unit = np.outer(scale, scale)
    np.testing.assert_allclose(hessian / unit, want / unit, rtol=0, atol=1e-12)


@pytest.mark.parametrize("likelihood", ["gaussian", "poisson"])
def test_what_is_kept_never_shows(likelihood: str) -> None:
    """Sources that move one by one, back and forth: the bits of a scene that remembers nothing."""
    field = crowd(likelihood=likelihood)
    scene, v = field.scene(), field.start
    random = np.random.default_rng(7)
    scene.linearize(v)
    points = [v]
    for tile in [field.tiles[k] for k in (0, 7, 3, 22, 11)]:
        moved = points[-1].copy()
        moved[list(tile.slots)] *= 1 + 0.02 * random.uniform(-1, 1, len(tile.slots))
        points.append(moved)
    for at in (*points, points[2], v):
        assert scene.chi2(at) == field.scene().chi2(at)
        for one, other in zip(
            scene.linearize(at), field.scene(n_threads=3).linearize(at), strict=True
        ):
            np.testing.assert_array_equal(one, other)


@CPU_ALONE
def test_fits_do_not_depend_on_threads() -> None:
    """The same path, not only the same end."""
    field = crowd()
    start = field.start * (1 + 0.03 * np.sin(np.arange(field.start.size)))
    one, other = (field.scene(n_threads=n).fit(start) for n in (1, 2))
    assert one["status"].startswith("converged")
    np.testing.assert_array_equal(one["v"], other["v"])
    np.testing.assert_array_equal(one["history"]["chi2"], other["history"]["chi2"])


@pytest.mark.parametrize(("likelihood", "close"), [("gaussian", 2e-4), ("poisson", 1e-9)])
def test_covariance_of_a_fit_is_that_of_its_end(likelihood: str, close: float) -> None:
    """What is kept of the normal equations from step to step: the same from a fresh start there.

    Gaussian fits plan their boxes anew at the end, which moves derivatives by a little.
    """
    field = crowd(likelihood=likelihood)
    out = field.scene().fit(field.start * (1 + 0.03 * np.sin(np.arange(field.start.size))))
    assert out["status"].startswith("converged")
    assert out["n_linearize"] > 5
    there = field.scene().fit(out["v"], {"max_iterations": 0})
    np.testing.assert_allclose(there["v"], out["v"], rtol=1e-9)
    sigma = np.sqrt(np.diag(there["covariance"]))
    difference = (out["covariance"] - there["covariance"]) / np.outer(sigma, sigma)
    np.testing.assert_allclose(difference, 0.0, rtol=0, atol=close)
