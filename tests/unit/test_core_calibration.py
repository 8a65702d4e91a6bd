# SPDX-License-Identifier: BSD-3-Clause
"""An image's calibration in the core: what its five numbers mean, and their derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reference.field import Field, Tile, central_differences
from reference.on_backends import EVERY_BACKEND

pytestmark = EVERY_BACKEND

SIZE, SIGMA = 61, 1.4
PIVOT = (6.0, -4.0)
ANCHOR = (30.0, 30.0)
# shift east, north [arcsec], rotation [degrees], scale, flux scale
NEUTRAL = (0.0, 0.0, 0.0, 1.0, 1.0)
CALIBRATION = (0.8, -0.5, 20.0, 1.15, 1.3)
# East to the left, 0.7 arcsec pixels, turned by 25 degrees
TURN = np.radians(25.0)
SKY = 0.7 * np.array([[-np.cos(TURN), np.sin(TURN)], [np.sin(TURN), np.cos(TURN)]])


def turn(degrees: float) -> np.ndarray:
    """Of (east, north), from north towards east."""
    a = np.radians(degrees)
    return np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])


def calibrated(
    profile: str,
    values: Any,
    calibration: Any = CALIBRATION,
    *,
    amplitude: str = "flux",
    jacobian: Any = SKY,
) -> Field:
    field = Field((SIZE, SIZE), sigma=SIGMA)
    own, image = field.slots(profile, values), field.slots("calibration", calibration)
    field.tiles.append(
        Tile(
            profile,
            own,
            amplitude=amplitude,
            image_slots=image,
            pivot=PIVOT,
            anchor=ANCHOR,
            jacobian=jacobian,
        )
    )
    return field


def gaussian_image(centre: np.ndarray, covariance: np.ndarray, flux: float) -> np.ndarray:
    """Flux per pixel of a Gaussian given in the plane, under the PSF."""
    inverse = np.linalg.inv(SKY)
    middle = ANCHOR + inverse @ centre
    spread = inverse @ covariance @ inverse.T + SIGMA**2 * np.eye(2)
    y, x = np.mgrid[:SIZE, :SIZE]
    d = np.stack([x - middle[0], y - middle[1]])
    r2 = np.einsum("iyx,ij,jyx->yx", d, np.linalg.inv(spread), d)
    return flux / (2 * np.pi * np.sqrt(np.linalg.det(spread))) * np.exp(-0.5 * r2)


GALAXY = (2.0, 1.0, 0.55, 35.0, 2.6)  # x, y, q, PA, sigma
STAR = (-3.0, 2.5, 70.0)


def plane_gaussian(shift_x: float, shift_y: float, rotation: float, scale: float) -> Any:
    """Centre and covariance of the galaxy as the calibrated image sees it."""
    x, y, q, pa, size = GALAXY
    major = turn(pa) @ [0.0, 1.0]
    minor = turn(pa) @ [1.0, 0.0]
    shape = size**2 * (np.outer(major, major) + q**2 * np.outer(minor, minor))
    r = turn(rotation)
    centre = np.array(PIVOT) + scale * r @ (np.array([x, y]) - PIVOT) + [shift_x, shift_y]
    return centre, scale**2 * r @ shape @ r.T


EACH = [
    NEUTRAL,
    (1.5, 0.0, 0.0, 1.0, 1.0),
    (0.0, -2.0, 0.0, 1.0, 1.0),
    (0.0, 0.0, 40.0, 1.0, 1.0),
    (0.0, 0.0, 0.0, 1.3, 1.0),
    (0.0, 0.0, 0.0, 1.0, 0.4),
    CALIBRATION,
]


@pytest.mark.parametrize("calibration", EACH)
def test_a_galaxy_is_found_where_the_formula_says(calibration: Any) -> None:
    *plane, flux_scale = calibration
    expected = gaussian_image(*plane_gaussian(*plane), 500.0 * flux_scale)
    q, size = GALAXY[2], GALAXY[4]
    central = 500.0 / (2 * np.pi * q * size**2)
    for amplitude, value in (("flux", 500.0), ("brightness", central)):
        field = calibrated("gaussian", (*GALAXY, value), calibration, amplitude=amplitude)
        image = field.scene().render(field.start, 0)
        np.testing.assert_allclose(image, expected, rtol=0, atol=1e-7 * expected.max())


@pytest.mark.parametrize("calibration", EACH)
def test_a_star_is_found_where_the_formula_says(calibration: Any) -> None:
    shift_x, shift_y, rotation, scale, flux_scale = calibration
    centre = np.array(PIVOT) + scale * turn(rotation) @ (np.array(STAR[:2]) - PIVOT)
    expected = gaussian_image(
        centre + np.array([shift_x, shift_y]), np.zeros((2, 2)), STAR[2] * flux_scale
    )
    field = calibrated("point", STAR, calibration)
    image = field.scene().render(field.start, 0)
    np.testing.assert_allclose(image, expected, rtol=0, atol=1e-7 * expected.max())


def test_a_positive_rotation_raises_the_position_angle() -> None:
    """A galaxy at the pivot, turned by the image, is the galaxy of a larger position angle."""
    values = (*PIVOT, 0.4, 30.0, 2.0, 1.7, 300.0)
    turned = calibrated("sersic", values, (0.0, 0.0, 25.0, 1.0, 1.0))
    plain = calibrated("sersic", (*PIVOT, 0.4, 55.0, 2.0, 1.7, 300.0), NEUTRAL)
    one, other = (f.scene().render(f.start, 0) for f in (turned, plain))
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-12 * other.max())


@pytest.mark.parametrize("amplitude", ["flux", "brightness"])
def test_scale_keeps_the_flux(amplitude: str) -> None:
    total = []
    for scale in (0.8, 1.0, 1.25):
        field = calibrated(
            "gaussian", (*GALAXY, 40.0), (0.0, 0.0, 0.0, scale, 1.0), amplitude=amplitude
        )
        total.append(field.scene().render(field.start, 0).sum())
    np.testing.assert_allclose(total, total[0], rtol=1e-7)


@pytest.mark.parametrize(
    ("profile", "amplitude", "psf"),
    [
        ("sersic", "flux", 0),
        ("sersic", "flux", -1),
        ("sersic", "brightness", 0),
        ("sersic", "brightness", -1),
        ("gaussian", "flux", 0),
        ("gaussian", "brightness", 0),
        ("point", "flux", 0),
    ],
)
def test_derivatives(profile: str, amplitude: str, psf: int) -> None:
    values = {
        "sersic": (*GALAXY, 1.6, 50.0),
        "gaussian": (*GALAXY, 50.0),
        "point": STAR,
    }[profile]
    field = calibrated(profile, values, amplitude=amplitude)
    field.tiles[0].psf = psf
    scene, v = field.scene(), field.start
    steps = np.array([1e-3, 1e-3, 1e-3, 0.05, 2e-3, *[1e-3] * (len(values) - 6), 0.05])
    steps = steps if profile != "point" else np.array([1e-3, 1e-3, 0.05])
    steps = np.append(steps, [1e-3, 1e-3, 0.02, 1e-3, 1e-3])
    exact = scene.jacobian(v, 0)
    expected = central_differences(scene, v, 0, steps)
    for i in range(len(v)):
        scale = np.abs(expected[i]).max()
        assert scale > 0
        np.testing.assert_allclose(exact[i], expected[i], rtol=0, atol=3e-7 * scale, err_msg=str(i))


def blend(calibration: Any, rng: np.random.Generator) -> Field:
    """Four sources in two images: the first defines the frame, the second is calibrated."""
    field = Field((SIZE, SIZE), (SIZE, SIZE), sigma=SIGMA)
    image = field.slots("calibration", calibration)
    sources = [
        ("sersic", (5.0, 2.0, 0.6, 40.0, 2.0, 1.5, 900.0)),
        ("sersic", (-7.0, -8.0, 0.8, 120.0, 1.7, 2.5, 700.0)),
        ("point", (-8.0, 9.0, 500.0)),
        ("point", (9.0, -7.0, 500.0)),
    ]
    for number, (profile, values) in enumerate(sources):
        slots = field.slots(profile, values)
        for i in range(2):
            field.tiles.append(
                Tile(
                    profile,
                    slots,
                    source=number,
                    image=i,
                    amplitude="flux",
                    image_slots=image if i else None,
                    pivot=PIVOT,
                    anchor=ANCHOR,
                    jacobian=SKY,
                )
            )
    field.data = [rng.normal(size=(SIZE, SIZE)) for _ in range(2)]
    field.weight = [rng.uniform(0.5, 2.0, size=(SIZE, SIZE)) for _ in range(2)]
    return field


def test_the_gradient_of_chi2(rng: np.random.Generator) -> None:
    field = blend(CALIBRATION, rng)
    scene, v = field.scene(), field.start
    chi2, gradient, hessian = scene.linearize(v)
    expected_g, expected_h = np.zeros(len(v)), np.zeros((len(v), len(v)))
    expected = 0.0
    for i in range(2):
        jacobian = scene.jacobian(v, i)
        residual = field.data[i] - scene.render(v, i)
        expected += np.sum(field.weight[i] * residual**2)
        expected_g -= np.einsum("kyx,yx->k", jacobian, field.weight[i] * residual)
        expected_h += np.einsum("kyx,yx,lyx->kl", jacobian, field.weight[i], jacobian)
    assert chi2 == pytest.approx(expected, rel=1e-12)
    scale = np.sqrt(np.diag(expected_h))
    np.testing.assert_allclose(gradient / scale, expected_g / scale, atol=1e-9 * np.sqrt(chi2))
    np.testing.assert_allclose(
        hessian / np.outer(scale, scale), expected_h / np.outer(scale, scale), atol=1e-11
    )


def test_a_fit_finds_the_calibration(rng: np.random.Generator) -> None:
    field = blend((0.3, -0.2, 1.5, 1.01, 1.1), rng)
    truth = field.observe()
    field.values[:5] = NEUTRAL
    out = field.scene().fit(field.start)
    assert out["status"].startswith("converged")
    np.testing.assert_allclose(out["v"][:5], truth[:5], atol=1e-6)
    np.testing.assert_allclose(out["v"], truth, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, 1e6])
def test_a_scale_that_cannot_be_draws_nothing(scale: float) -> None:
    field = calibrated("point", STAR)
    v = field.start
    v[3 + 3] = scale
    image = field.scene().render(v, 0)
    assert np.isnan(image).all() if np.isnan(scale) else not image.any()


@pytest.mark.parametrize(
    ("profile", "image_slots", "text"),
    [
        ("flat_sky", [1, 2, 3, 4, 5], "image_slots: a sky has none"),
        ("point", [3, 4, 5, 6], r"image_slots has shape \(4\), expected \(5\)"),
        ("point", [[3, 4, 5, 6, 7]], r"image_slots has shape \(1, 5\), expected \(5\)"),
        ("point", [3, 4, 5, 6, 8], "slot 8 does not exist"),
        ("point", [3, 4, 5, 6, -1], "slot -1 does not exist"),
    ],
)
def test_image_slots_that_are_wrong(profile: str, image_slots: Any, text: str) -> None:
    field = Field((9, 9))
    own = field.slots(profile, STAR if profile == "point" else (1.0,))
    field.slots("calibration", NEUTRAL)
    field.tiles.append(Tile(profile, own, image_slots=image_slots))
    with pytest.raises(ValueError, match=text):
        field.scene()


def test_a_source_counts_from_zero() -> None:
    field = Field((9, 9))
    field.add("point", STAR, source=-1)
    with pytest.raises(ValueError, match="source = -1"):
        field.builder()


def test_a_fit_of_the_calibration_alone(rng: np.random.Generator) -> None:
    """All sources are held; those of the calibrated image still have a status."""
    field = blend((0.3, -0.2, 1.5, 1.01, 1.1), rng)
    truth = field.observe()
    apart = field.add("point", (0.0, 0.0, 100.0), image=0, anchor=ANCHOR, window=(0, 9, 0, 9))
    field.values[:5] = NEUTRAL
    active = np.arange(len(field.start)) < 5
    out = field.scene().fit(field.start, {}, None, active)
    assert out["status"].startswith("converged")
    np.testing.assert_allclose(out["v"][:5], truth[:5], atol=1e-6)
    assert out["source_status"] == [*[out["status"]] * 4, "fixed"]
    field.held = {*range(5, len(truth)), *apart}
    alone = field.scene().fit(field.start)
    np.testing.assert_allclose(alone["v"], truth[:5], atol=1e-6)
