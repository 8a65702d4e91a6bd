# SPDX-License-Identifier: BSD-3-Clause
"""Calibration of images: astrometric shift, rotation and scale, and photometric scale."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.wcs import WCS

import jointlight as jl
from jointlight.errors import InvalidInput
from jointlight.image import TargetImage, TargetImageList
from jointlight.models import Component, Sersic, component_classes
from reference.on_backends import EVERY_BACKEND
from unit.model_cases import make_image, make_list, values_for

pytestmark = EVERY_BACKEND

SHIFT, ROTATION, SCALE, FLUX = (0.31, -0.22), 7.0, 1.04, 0.8
SETTINGS: dict[str, Any] = {
    "shift": SHIFT,
    "rotation": ROTATION,
    "scale": SCALE,
    "flux_scale": FLUX,
}
NAMES = tuple(SETTINGS)
LIGHT = [cls for cls in component_classes() if not cls.is_sky]


def turn(rotation: float) -> np.ndarray:
    """Matrix on (East, North) that takes North towards East."""
    a = np.radians(rotation)
    return np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])


def tan_wcs(cd: np.ndarray, crpix: Any) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cd = [150.0, 2.0], crpix, cd / 3600.0
    return wcs


# --- what it does to an image --------------------------------------------------------------------


@pytest.mark.parametrize("cls", LIGHT, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("flip", [1.0, -1.0], ids=["usual parity", "mirrored"])
def test_is_the_image_of_the_true_wcs(cls: type[Component], flip: float) -> None:
    """A wrong WCS with its calibration draws what the right WCS draws, pixel for pixel."""
    cd = 0.4 * np.array([[-flip, 0.15], [flip * 0.15, 1.0]])  # d(East, North) / d pixel
    n = 41
    middle = np.array([(n + 1) / 2, (n + 1) / 2])  # FITS pixels
    options = {"reference": (150.0, 2.0), "variance": 1.0}
    psf = jl.PSF(jl.gaussian_psf(fwhm=1.2, pixelscale=0.4).data)
    wrong = TargetImage(
        np.zeros((n, n)), wcs=tan_wcs(cd, middle), psf=psf, calibration=SETTINGS, **options
    )
    # c' = scale R c + shift about the middle, so c = R^-1 (c' - shift) / scale.
    back = turn(-ROTATION) / SCALE
    at_origin = middle + np.linalg.solve(cd, np.array(SHIFT))
    right = TargetImage(np.zeros((n, n)), wcs=tan_wcs(back @ cd, at_origin), psf=psf, **options)

    given = values_for(cls)
    calibrated = cls(target=wrong, **given).image()
    truth = cls(target=right, **given).image()
    # The TAN projection about the reference is linear, so nothing but rounding is left.
    assert np.max(np.abs(calibrated - FLUX * truth)) < 1e-9 * np.max(truth)
    assert np.max(np.abs(cls(target=right.copy(wcs=wrong.wcs), **given).image() - truth)) > (
        1e-2 * np.max(truth)
    )


@pytest.mark.parametrize("cls", LIGHT, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("amplitude", ["brightness", "flux"])
def test_derivatives(cls: type[Component], amplitude: str) -> None:
    if amplitude == "brightness" and not cls.has_flux:
        pytest.skip("a flux is all it has")
    images = make_list()
    for image, sign in zip(images, (1.0, -1.0), strict=True):
        image.calibration["shift"].value = (sign * 0.3, 0.1)
        image.calibration["rotation"].value = sign * 4.0
        image.calibration["scale"].value = 1.0 + 0.03 * sign
        image.calibration["flux_scale"].value = 1.0 - 0.1 * sign
        image.calibration.free(*NAMES)
    model = jl.joint(
        cls.type_names[0], target=images, amplitude=amplitude, **values_for(cls, amplitude)
    )
    check = model.check_jacobian(tolerance=1e-7)
    assert check, str(check)
    here = [name.startswith("image W1/") for name in check.names]
    assert sum(here) == 5
    assert np.all(check.errors[here, 0] == 0.0)


def test_skies_stay() -> None:
    image = make_image(calibration=SETTINGS)
    sky = jl.Model("plane sky", target=image, I0=3.0, slope_x=0.1, slope_y=-0.2)
    plain = jl.Model("plane sky", target=make_image(), I0=3.0, slope_x=0.1, slope_y=-0.2)
    np.testing.assert_array_equal(sky.image(), plain.image())
    assert list(sky.all_parameters) == ["I0", "slope_x", "slope_y"]


def test_total_flux_is_kept() -> None:
    image = make_image(n=200, scale=0.2, fwhm=None, calibration={"scale": 1.2, "rotation": 30.0})
    plain = make_image(n=200, scale=0.2, fwhm=None)
    given = {"center": (0.0, 0.0), "q": 0.5, "PA": 20.0, "sigma": 1.0}
    total = jl.Model("gaussian", target=image, amplitude="flux", flux=7.0, **given).image().sum()
    assert total == pytest.approx(7.0, rel=1e-6)
    bright = jl.Model("gaussian", target=image, I0=7.0, **given)
    assert bright.image().sum() == pytest.approx(
        jl.Model("gaussian", target=plain, I0=7.0, **given).image().sum(), rel=1e-6
    )


# --- recovery from images made elsewhere ---------------------------------------------------------

OBJECTS = (  # East, North, flux; a half-light radius makes it a galaxy of q, PA
    {"at": (4.0, 5.5), "flux": 900.0},
    {"at": (-6.0, 3.0), "flux": 700.0},
    {"at": (5.0, -6.0), "flux": 800.0},
    {"at": (-1.0, -1.5), "flux": 1500.0, "radius": 1.6, "q": 0.55, "PA": 35.0},
)


def exposure(rng: np.random.Generator, **true: Any) -> np.ndarray:
    """GalSim's image through the true map, with noise of 0.05 a pixel; 0.3 arcsec pixels."""
    galsim = pytest.importorskip("galsim")
    n, pixel = 80, 0.3
    scale, shift = true.get("scale", 1.0), np.array(true.get("shift", (0.0, 0.0)))
    back = turn(-true.get("rotation", 0.0)) / scale
    j = back @ (pixel * np.array([[-1.0, 0.0], [0.0, 1.0]]))
    origin = -back @ shift
    middle = galsim.PositionD((n + 1) / 2, (n + 1) / 2)
    wcs = galsim.AffineTransform(
        j[0, 0], j[0, 1], j[1, 0], j[1, 1], origin=middle, world_origin=galsim.PositionD(*origin)
    )
    image = galsim.ImageD(n, n, wcs=wcs)
    psf = wcs.local(image_pos=middle).profileToWorld(galsim.Gaussian(fwhm=3.2))
    for one in OBJECTS:
        light: Any = psf * one["flux"]
        if "radius" in one:
            q, beta = one["q"], 90.0 - one["PA"]  # from East to North
            disc = galsim.Exponential(half_light_radius=one["radius"] * np.sqrt(q))
            disc = disc.shear(q=q, beta=beta * galsim.degrees).withFlux(one["flux"])
            light = galsim.Convolve([disc, psf], gsparams=galsim.GSParams(folding_threshold=1e-4))
        at = wcs.toImage(galsim.PositionD(*one["at"]))
        light.drawImage(image=image, center=at, add_to_image=True)
    data = true.get("flux_scale", 1.0) * image.array
    return data + rng.normal(scale=0.05, size=data.shape)


def test_recovers_what_galsim_put_in() -> None:
    rng = np.random.default_rng(5)
    true = [
        {},
        {"shift": (0.21, -0.13), "rotation": 0.8, "scale": 1.004, "flux_scale": 0.93},
        {"shift": (-0.08, 0.3), "rotation": -1.5, "scale": 0.993, "flux_scale": 1.12},
    ]
    psf = jl.gaussian_psf(fwhm=3.2 * 0.3, pixelscale=0.3, includes_pixel=False)
    images = TargetImageList(
        TargetImage(
            exposure(rng, **one), variance=0.05**2, pixelscale=0.3, psf=psf, name=f"exposure {k}"
        )
        for k, one in enumerate(true)
    )
    for image in images[1:]:
        image.calibration.free(*NAMES)
    members: list[Any] = []
    for k, one in enumerate(OBJECTS):
        kind = "exponential galaxy" if "radius" in one else "point"
        start = np.array(one["at"]) + rng.normal(scale=0.1, size=2)
        options: dict[str, Any] = {"per_image": [], "name": f"object {k}", "center": start}
        if "radius" in one:
            options |= {"amplitude": "flux", "q": 0.7, "PA": 20.0, "Re": 1.3}
        members.append(jl.joint(kind, target=images, flux=1000.0, **options))
    result = jl.Group(members).fit()
    assert result.success
    assert abs(result.chi2 - result.dof) < 5.0 * np.sqrt(2.0 * result.dof)
    pulls = []
    for image, one in zip(images[1:], true[1:], strict=True):
        for name in NAMES:
            p = image.calibration[name]
            pulls += list(np.atleast_1d((np.array(p.value) - one[name]) / p.uncertainty))
    for member, one in zip(members, OBJECTS, strict=True):
        pulls += list((member["center"].value - np.array(one["at"])) / member["center"].uncertainty)
        for name, key in (("flux", "flux"), ("Re", "radius"), ("q", "q"), ("PA", "PA")):
            if key in one:
                p = member[name]
                pulls.append((float(p) - one[key]) / p.uncertainty)
    assert np.max(np.abs(pulls)) < 4.0
    assert 0.5 < np.std(pulls) < 1.6
    # They are worth knowing: errors far below what was put in.
    assert images[1].calibration["rotation"].uncertainty < 0.1
    assert np.max(images[1].calibration["shift"].uncertainty) < 0.02


# --- as parameters -------------------------------------------------------------------------------


def star(images: Any, **options: Any) -> Any:
    return jl.joint("point", target=images, name="star", center=(0.1, 0.2), flux=300.0, **options)


def test_fixed_and_neutral_it_is_not_there() -> None:
    images = make_list()
    model = star(images)
    assert model.calibrations == {}
    assert not any(name.startswith("image") for name in model.all_parameters)
    assert all(tile.image_slots.size == 0 for tile in model.compile().tiles)
    assert "calibration" not in str(model)
    for p in images["r"].calibration.values():
        assert p.fixed
    assert images["r"].calibration["scale"].value == 1.0


def test_takes_part_once_freed() -> None:
    images = make_list()
    model = star(images)
    images["W1"].calibration.free("shift", prior=jl.Normal(0.0, 0.1))
    assert list(model.free_parameters)[-1] == "image W1/shift"
    assert {"image W1/rotation", "image W1/scale", "image W1/flux_scale"} < set(
        model.all_parameters
    )
    assert not any(name.startswith("image r/") for name in model.all_parameters)
    assert model["image W1/shift"] is images["W1"].calibration["shift"]
    assert model["W1"]["image W1/shift"] is model["image W1/shift"]
    scene = model.compile()
    assert scene.names[-2:] == ["image W1/shift_x", "image W1/shift_y"]
    np.testing.assert_allclose(scene.slots.prior_sigma[-2:], 0.1)
    assert "calibration of image 'W1'" in str(model)
    assert not model.unset_parameters


def test_is_in_the_result() -> None:
    images = make_list()
    data = [star(images).image(image) for image in images]
    images = TargetImageList(
        image.copy(name=image.name, data=d) for image, d in zip(images, data, strict=True)
    )
    images["W1"].calibration.free("shift", "flux_scale", prior=jl.Normal(0.0, 0.5))
    images["W1"].calibration["flux_scale"].prior = None
    model = star(images, per_image=[])
    result = model.fit()
    assert result.success
    assert list(result.table["name"])[-3:] == ["shift_x", "shift_y", "flux_scale"]
    assert list(result.table["model"])[-3:] == ["image W1"] * 3
    value, error = result.derived(lambda p: 2.0 * p["image W1/flux_scale"])
    assert value == pytest.approx(2.0, abs=1e-6)
    assert error == pytest.approx(2.0 * images["W1"].calibration["flux_scale"].uncertainty)


def test_tied_between_images() -> None:
    images = TargetImageList([make_image(name) for name in ("g", "r", "i")])
    images["g"].calibration.free("shift")
    for name in ("r", "i"):
        images[name].calibration["shift"].tie(images["g"].calibration["shift"])
    model = star(images)
    scene = model.compile()
    assert [n for n in scene.names if "shift" in n] == ["image g/shift_x", "image g/shift_y"]
    index = [tile.image_slots for tile in scene.tiles]
    assert list(index[0][:2]) == list(index[1][:2]) == list(index[2][:2])
    # A part of the images: the tie leads to one that is not drawn.
    assert any(name.endswith("shift_x") for name in model["r"].compile().names)


def test_tied_to_one_that_is_held_neutral() -> None:
    images = make_list()
    images["W1"].calibration["shift"].tie(images["r"].calibration["shift"], offset=0.2)
    model = star(images)
    assert set(model.calibrations) == {"r", "W1"}
    assert model.free_parameters.keys() == {"center", "r/flux", "W1/flux"}
    np.testing.assert_allclose(model["image W1/shift"].value, [0.2, 0.2])
    images["r"].calibration["shift"].fixed = False
    assert "image r/shift" in model.free_parameters


def test_never_unset() -> None:
    image = make_image(calibration={"shift": {"value": (1.0, 2.0), "fixed": False}})
    calibration = image.calibration
    calibration["shift"].value = None
    np.testing.assert_array_equal(calibration["shift"].value, [0.0, 0.0])
    calibration["scale"].value = None
    assert calibration["scale"].value == 1.0
    model = jl.Model("gaussian", target=image)
    model.initialize(overwrite=True)
    assert not model.unset_parameters


def test_models_share_it() -> None:
    images = make_list()
    images["r"].calibration.free("shift")
    model = star(images)
    twin = model.copy()
    assert twin["image r/shift"] is model["image r/shift"]
    assert twin["center"] is not model["center"]


def test_copies_of_the_image_do_not() -> None:
    image = make_image(calibration={**SETTINGS, "shift": {"value": SHIFT, "fixed": False}})
    other = make_image("other")
    image.calibration["flux_scale"].tie(other.calibration["flux_scale"])
    twin = image.copy(name="twin")
    assert twin.calibration["shift"] is not image.calibration["shift"]
    assert not twin.calibration["shift"].fixed
    np.testing.assert_allclose(twin.calibration["shift"].value, SHIFT)
    assert twin.calibration["shift"].label == "image twin.shift"
    assert twin.calibration["flux_scale"].current_tie.inputs == (other.calibration["flux_scale"],)
    assert image.copy(calibration=None).calibration["rotation"].value == 0.0


def test_crop_turns_about_its_own_middle() -> None:
    image = make_image(n=60, calibration=SETTINGS)
    model = Sersic(target=image, **values_for(Sersic))
    window = ((5, 50), (12, 44))
    part = image.crop(window, name="part")
    of_part = jl.Model("sersic galaxy", target=part)
    for name, p in model.parameters.items():
        of_part[name].value = p.value
    whole = model.image()[12:44, 5:50]
    # The map over a window is a quadratic fit to it, so it is not the same to the last digit.
    np.testing.assert_allclose(of_part.image(), whole, atol=2e-6 * whole.max())
    assert not np.allclose(part.calibration["shift"].value, SHIFT, atol=1e-3)


def test_crop_takes_limits_and_prior_of_the_shift_along() -> None:
    prior = jl.Normal((0.1, -0.3), 0.05)
    shift = {"value": SHIFT, "limits": (-1.0, 1.0), "prior": prior, "fixed": False}
    image = make_image(n=60, calibration=SETTINGS | {"shift": shift})
    part = image.crop(((5, 50), (12, 44))).calibration["shift"]
    moved = part.value - np.array(SHIFT)
    assert np.max(np.abs(moved)) > 1e-3
    np.testing.assert_allclose(part.bounds, [moved - 1.0, moved + 1.0], atol=1e-14)
    assert part.prior is not None
    np.testing.assert_allclose(part.prior.mean, moved + np.array((0.1, -0.3)), atol=1e-14)
    assert part.prior.sigma == (0.05, 0.05)
    assert not part.fixed
    neutral = make_image(calibration={"shift": shift}).crop(((5, 30), (5, 30)))
    np.testing.assert_array_equal(neutral.calibration["shift"].bounds, [[-1, -1], [1, 1]])


def test_pickles() -> None:
    images = make_list()
    images["r"].calibration.free("shift", prior=jl.Normal(0.0, 0.2))
    images["W1"].calibration["shift"].tie(images["r"].calibration["shift"], scale=-1.0)
    images["r"].calibration["shift"].value = (0.3, 0.1)
    model = star(images)
    back = pickle.loads(pickle.dumps(model))
    assert back["image r/shift"] is back.images_modelled[0].calibration["shift"]
    assert back["image r/shift"].prior == jl.Normal(0.0, 0.2)
    assert back.chi2() == pytest.approx(model.chi2(), rel=1e-12)
    back["image r/shift"].value = (0.0, 0.0)
    assert back.chi2() != pytest.approx(model.chi2(), rel=1e-6)


def test_files(tmp_path: Path) -> None:
    images = make_list()
    images["r"].calibration.free("shift", prior=jl.Normal(0.0, 0.2))
    images["W1"].calibration["shift"].tie(images["r"].calibration["shift"], scale=-1.0)
    images["W1"].calibration["scale"].value = 1.01
    result = star(images).fit(max_iter=3)
    fitted = np.array(images["r"].calibration["shift"].value)
    # The file has the result's values, wherever the model is now, and leaves that there.
    images["r"].calibration["shift"].value = (0.7, 0.7)
    result.write(tmp_path / "fit.asdf")
    np.testing.assert_array_equal(images["r"].calibration["shift"].value, [0.7, 0.7])
    back = jl.load(tmp_path / "fit.asdf")
    assert back.model is not None
    read = back.images[0].calibration["shift"]
    assert back.model["image r/shift"] is read
    np.testing.assert_allclose(read.value, fitted)
    assert not read.fixed
    assert read.prior == jl.Normal(0.0, 0.2)
    np.testing.assert_allclose(back.images[1].calibration["shift"].value, -fitted)
    assert back.images[1].calibration["scale"].value == 1.01
    assert back.model.chi2() == pytest.approx(result.chi2, rel=1e-9)


# --- what is refused -----------------------------------------------------------------------------

REFUSED: dict[str, tuple[Any, tuple[str, ...]]] = {
    "unknown name": (lambda c: c["shfit"], ("shfit", "shift")),
    "unknown to free": (lambda c: c.free("rotate"), ("rotate", "rotation")),
    "nothing to free": (lambda c: c.free(), ("shift", "rotation")),
    "assigned as an item": (lambda c: c.__setitem__("scale", 1.1), ("calibration['scale'].value",)),
    "negative scale": (lambda c: setattr(c["scale"], "value", -1.0), ("image r.scale", "-1")),
    "zero flux scale": (lambda c: setattr(c["flux_scale"], "value", 0.0), ("flux_scale",)),
    "shift of one number": (lambda c: setattr(c["shift"], "value", 1.0), ("shift", "(2,)")),
    "sky position": (
        lambda c: setattr(c["shift"], "value", make_image().reference),
        ("image r.shift", "SkyCoord"),
    ),
    "not a mapping": (lambda _: make_image(calibration=[1.0]), ("calibration",)),
    "unknown in a mapping": (lambda _: make_image(calibration={"turn": 1.0}), ("turn",)),
    "unknown setting": (
        lambda _: make_image(calibration={"shift": {"fix": False}}),
        ("image r.shift", "'fix'", "fixed"),
    ),
}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.replace(" ", "_"))
def test_refused(case: str) -> None:
    act, words = REFUSED[case]
    calibration = make_image().calibration
    with pytest.raises(InvalidInput) as caught:
        act(calibration)
    for word in words:
        assert word in str(caught.value)
    assert not calibration.in_use


def test_free_refuses_what_is_tied() -> None:
    a, b = make_image("a"), make_image("b")
    a.calibration["scale"].tie(b.calibration["scale"])
    with pytest.raises(InvalidInput, match=r"image a\.scale is tied"):
        a.calibration.free("scale")
