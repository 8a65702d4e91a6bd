# SPDX-License-Identifier: BSD-3-Clause
"""Times of images, and sources that move between them."""

from __future__ import annotations

import pickle
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import GCRS, SkyCoord, get_body_barycentric
from astropy.io import fits
from astropy.time import Time

import jointlight as jl
from jointlight.errors import InvalidInput
from jointlight.image import TargetImage, TargetImageList
from jointlight.models.motion import parallax_factors
from jointlight.parameters import Parameter, dependency_order, resolve_affine
from jointlight.scene import SlotMap
from reference.on_backends import EVERY_BACKEND
from unit.model_cases import make_image

MJD = 59000.0
EPOCH = Time(MJD, format="mjd", scale="utc")
DAYS = np.array([0.0, 60.0, 150.0, 260.0, 365.0, 500.0, 640.0, 800.0])


def epochs(days: Any = DAYS, *, n: int = 30, scale: float = 0.4, **options: Any) -> TargetImageList:
    return TargetImageList(
        make_image(f"e{k}", n=n, scale=scale, time=MJD + day, **options)
        for k, day in enumerate(days)
    )


def moving(images: Any, **options: Any) -> Any:
    given: dict[str, Any] = {"proper_motion": True, "parallax": True, "name": "star"}
    return jl.joint("point", target=images, **{**given, **options})


# --- times ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "mjd", "scale"),
    [
        (59000.25, 59000.25, "utc"),
        (np.float32(59000.25), 59000.25, "utc"),
        (59000, 59000.0, "utc"),
        ("2020-05-31T06:00:00", 59000.25, "utc"),
        ("2020-05-31", 59000.0, "utc"),
        (datetime(2020, 5, 31, 12), 59000.5, "utc"),
        (Time(2459000.75, format="jd", scale="tdb"), 59000.25, "tdb"),
    ],
)
def test_time(given: Any, mjd: float, scale: str) -> None:
    time = make_image(time=given).time
    assert time is not None
    assert time.mjd == pytest.approx(mjd, abs=1e-9)
    assert time.scale == scale


@pytest.mark.parametrize(
    "given",
    [float("nan"), 2459000.5, "yesterday", True, 3.0 * u.day, Time([1.0, 2.0], format="mjd"), [1]],
    ids=repr,
)
def test_time_refused(given: Any) -> None:
    with pytest.raises(InvalidInput, match="time must be"):
        make_image(time=given)


def test_a_julian_date_is_told_from_a_modified_one() -> None:
    with pytest.raises(InvalidInput, match="format='jd'"):
        make_image(time=2459000.5)


@pytest.mark.parametrize(
    ("cards", "mjd"),
    [
        ({"MJD-OBS": 59000.25}, 59000.25),
        ({"MJD-OBS": 59000.25, "MJD-AVG": 59000.26}, 59000.26),
        ({"MJD-OBS": 59000.25, "DATE-AVG": "2020-05-31T07:12:00"}, 59000.3),
        ({"DATE-OBS": "2020-05-31T06:00:00"}, 59000.25),
        ({"DATE-OBS": "2020-05-31T06:00:00Z", "MJD-OBS": 59000.25}, 59000.25),
        ({"DATE-OBS": "2020-05-31"}, None),
        ({"DATE-OBS": "31/05/20"}, None),
        ({"MJD-OBS": 0.0}, None),
        ({"MJD-OBS": "unknown"}, None),
        ({"MJD-OBS": 59000.25, "DATE-OBS": "2021-05-31T06:00:00"}, None),
        ({"MJD-OBS": 59000.25, "TIMESYS": "ODD"}, None),
        ({}, None),
    ],
    ids=str,
)
def test_time_from_fits(cards: dict[str, Any], mjd: float | None) -> None:
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones((5, 5)))])
    for where in (0, 1):
        for hdu in hdus:
            for card in ("MJD-OBS", "MJD-AVG", "DATE-OBS", "DATE-AVG", "TIMESYS"):
                hdu.header.pop(card, None)
        for card, value in cards.items():
            hdus[where].header[card] = value
        image = TargetImage.from_fits(hdus, 1, pixelscale=1.0, variance=1.0)
        if mjd is None:
            assert image.time is None
        else:
            assert image.time is not None
            assert image.time.mjd == pytest.approx(mjd, abs=1e-9)
    assert TargetImage.from_fits(hdus, 1, pixelscale=1.0, variance=1.0, time=5e4).time.mjd == 5e4


def test_time_and_wavelength_stay_with_the_image(tmp_path: Path) -> None:
    image = make_image(time=Time(59000.1, 1e-7, format="mjd", scale="tai"), wavelength=620 * u.nm)
    for other in (
        image.copy(name="b"),
        image.crop(((2, 20), (3, 30))),
        pickle.loads(pickle.dumps(image)),
    ):
        assert other.time is not None
        assert other.time == image.time
        assert other.wavelength == 0.62 * u.um
    jl.Model("flat sky", target=image, I0=0.0).fit().write(tmp_path / "fit.asdf")
    back = jl.load(tmp_path / "fit.asdf").images[0]
    assert abs((back.time - image.time).to_value(u.ns)) < 1.0
    assert back.time.scale == "tai"
    assert back.wavelength == image.wavelength
    assert image.copy(time=None, wavelength=None).time is None


@pytest.mark.parametrize(
    ("given", "um"),
    [(0.62, 0.62), (6200.0 * u.AA, 0.62), (1.0 * u.mm, 1000.0), (299.792458 * u.GHz, 1000.0)],
)
def test_wavelength(given: Any, um: float) -> None:
    wavelength = make_image(wavelength=given).wavelength
    assert wavelength is not None
    assert wavelength.unit == u.um
    assert wavelength.value == pytest.approx(um, rel=1e-12)


@pytest.mark.parametrize("given", [0.0, -1.0, float("inf"), 3 * u.s, "r", [0.5], True], ids=repr)
def test_wavelength_refused(given: Any) -> None:
    with pytest.raises(InvalidInput, match="wavelength must be positive"):
        make_image(wavelength=given)


# --- where a star is -----------------------------------------------------------------------------


@pytest.mark.parametrize("place", [(150.0, 2.0), (10.0, 66.0), (271.0, -66.5), (200.0, -30.0)])
def test_parallax_factors_are_those_of_astropy(place: tuple[float, float]) -> None:
    """The shift between a near and a far star as seen from the Earth, in a frame of its own."""
    times = EPOCH + np.linspace(0.0, 700.0, 12) * u.day
    reference = SkyCoord(*place, unit="deg")
    parallax = 0.2  # arcsec
    expected = np.empty((len(times), 2))
    for k, time in enumerate(times):
        seen = [
            SkyCoord(reference.ra, reference.dec, distance=d).transform_to(GCRS(obstime=time))
            for d in (1.0 / parallax * u.pc, 1e9 * u.pc)
        ]
        near, far = (s.represent_as("unitspherical").to_cartesian().xyz.value for s in seen)
        # GCRS has the axes of ICRS.
        ra, dec = np.radians(place)
        east = np.array([-np.sin(ra), np.cos(ra), 0.0])
        north = np.array([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)])
        offset = np.degrees(near - far) * 3600.0
        expected[k] = offset @ east / parallax, offset @ north / parallax
    factors = parallax_factors(reference, times)
    # Aberration turns and stretches the little triangle by 1e-4.
    assert np.max(np.abs(factors - expected)) < 1e-3


def test_centre_follows_space_motion() -> None:
    """Against astropy: barycentric motion, then seen from the Earth."""
    images = epochs()
    reference = images[0].reference
    assert reference is not None
    pm, parallax = (310.0, -480.0), 350.0  # mas / yr, mas
    star = SkyCoord(
        reference.ra,
        reference.dec,
        distance=1000.0 / parallax * u.pc,
        pm_ra_cosdec=pm[0] * u.mas / u.yr,
        pm_dec=pm[1] * u.mas / u.yr,
        radial_velocity=0.0 * u.km / u.s,
        obstime=EPOCH.tdb,
    )
    model = moving(images, reference_epoch=EPOCH, center=(0.0, 0.0))
    model["proper_motion"].value = pm
    model["parallax"].value = parallax * u.mas
    for image in images:
        there = star.apply_space_motion(
            new_obstime=image.time.tdb
        ).cartesian.without_differentials()
        earth = get_body_barycentric("earth", image.time, ephemeris="builtin")
        seen = SkyCoord(there - earth, representation_type="cartesian").represent_as(
            "unitspherical"
        )
        expected = image.world_to_plane(SkyCoord(seen.lon, seen.lat))
        found = model[image.name]["center"].value
        assert np.max(np.abs(found - np.array(expected))) < 1e-3 * 1e-3 * parallax


@EVERY_BACKEND
def test_fits_the_motion_of_a_star_that_galsim_drew() -> None:
    galsim = pytest.importorskip("galsim")
    rng = np.random.default_rng(8)
    pm, parallax, center = np.array([420.0, -260.0]), 180.0, np.array([-0.3, 0.5])
    drawn = []
    for image in epochs():
        years = (image.time.tdb - EPOCH.tdb).to_value(u.yr)
        factor = parallax_factors(image.reference, Time([image.time]))[0]
        at = center + 1e-3 * (pm * years + parallax * factor)
        x, y = image.plane_to_pixel(*at)
        canvas = galsim.ImageD(image.shape[1], image.shape[0], scale=1.0)
        light = galsim.Gaussian(fwhm=3.0, flux=200.0)
        light.drawImage(image=canvas, center=galsim.PositionD(x + 1.0, y + 1.0))
        data = canvas.array + rng.normal(scale=0.3, size=image.shape)
        psf = jl.gaussian_psf(fwhm=1.2, pixelscale=0.4, includes_pixel=False)
        drawn.append(image.copy(name=image.name, data=data, variance=0.09, psf=psf))
    model = moving(TargetImageList(drawn), reference_epoch=MJD, per_image=[])
    model.initialize()
    result = model.fit()
    assert result.success
    pulls = [
        *((model["center"].value - center) / model["center"].uncertainty),
        *((model["proper_motion"].value - pm) / model["proper_motion"].uncertainty),
        (float(model["parallax"]) - parallax) / model["parallax"].uncertainty,
        (float(model["flux"]) - 200.0) / model["flux"].uncertainty,
    ]
    assert np.max(np.abs(pulls)) < 4.0
    assert np.max(model["proper_motion"].uncertainty) < 20.0
    assert model["parallax"].uncertainty < 20.0
    assert len(result.sources) == 1
    still = jl.joint("point", target=TargetImageList(drawn), per_image=[])
    assert still.initialize().fit().chi2 - result.chi2 > 100.0


@EVERY_BACKEND
def test_it_is_linear_and_nothing_is_called_back() -> None:
    images = epochs()
    model = moving(images, center=(0.1, 0.2), flux=50.0)
    model["proper_motion"].value = (200.0, 100.0)
    scene = model.compile()
    assert scene.slots.blocks == []
    assert scene.names[:5] == [
        "center_x",
        "center_y",
        "proper_motion_x",
        "proper_motion_y",
        "parallax",
    ]
    assert model.check_jacobian(tolerance=1e-7)


def test_epochs_beyond_the_known_leap_seconds() -> None:
    model = moving(epochs(15000.0 + DAYS), center=(0.0, 0.0), reference_epoch="J2065.0")
    assert np.isfinite(model["e3"]["center"].value).all()


def test_reference_epoch() -> None:
    images = epochs([0.0, 100.0, 400.0])
    assert moving(images).reference_epoch.tdb.mjd == pytest.approx(
        (Time(MJD, format="mjd", scale="utc").tdb.mjd + 200.0), abs=1e-6
    )
    model = moving(images, parallax=False, reference_epoch="2016-01-01T12:00:00", center=(0, 0))
    model["proper_motion"].value = (1000.0, 0.0)
    years = (images[2].time.tdb - Time("2016-01-01T12:00:00", scale="utc").tdb).to_value(u.yr)
    assert model["e2"]["center"].value[0] == pytest.approx(years, rel=1e-9)
    assert "parallax" not in model.shared_parameters
    assert jl.joint("point", target=images).reference_epoch is None


def test_known_motion_may_be_held() -> None:
    images = epochs()
    model = moving(
        images,
        proper_motion={"value": (300.0, -100.0), "fixed": True},
        parallax={"value": 0.05 * u.arcsec, "prior": jl.Normal(50.0, 0.1)},
        center=(0.0, 0.0),
        flux=10.0,
    )
    assert float(model["parallax"]) == pytest.approx(50.0)
    names = model.compile().names
    assert "proper_motion_x" not in names
    assert "parallax" in names
    # Only one free parameter is left behind each centre: its limits can be kept there.
    model["parallax"].fixed = True
    model["e1"]["center"].limits = ((-1.0, -1.0), (1.0, 1.0))
    slots = model.compile().slots
    offset = model["e1"]["center"].value
    np.testing.assert_allclose(slots.upper[:2], 1.0 - offset)
    np.testing.assert_allclose(slots.lower[:2], -1.0 - offset)


def test_is_one_source_and_prints() -> None:
    images = epochs()
    star, other = moving(images), jl.joint("point", target=images, name="other")
    group = jl.Group([jl.Group([star, other], name="pair")])
    assert [len(source.components) for source in star.sources] == [len(images)]
    assert len(jl.Group([star, other]).sources) == 2
    assert "proper_motion" in str(group)
    assert "mas / yr" in str(star)


def test_copies_and_files(tmp_path: Path) -> None:
    images = epochs()
    model = moving(images, reference_epoch=58000.0, center=(0.1, -0.1), flux=30.0)
    model["proper_motion"].value = (50.0, -70.0)
    twin = model.copy()
    twin["proper_motion"].value = (0.0, 0.0)
    np.testing.assert_array_equal(model["proper_motion"].value, [50.0, -70.0])
    assert twin.chi2() != model.chi2()
    back = pickle.loads(pickle.dumps(model))
    assert back.chi2() == pytest.approx(model.chi2(), rel=1e-12)
    assert back["e3"]["center"].current_tie.inputs[1] is back["proper_motion"]
    result = model.fit(max_iter=2)
    result.write(tmp_path / "fit.asdf")
    read = jl.load(tmp_path / "fit.asdf").model
    assert read.chi2() == pytest.approx(model.chi2(), rel=1e-9)
    assert read.free_parameters.keys() == model.free_parameters.keys()
    assert read.reference_epoch.mjd == pytest.approx(58000.0, abs=1e-9)
    assert read["proper_motion"].unit == u.mas / u.yr


def test_tied_to_another_that_moves() -> None:
    images = epochs()
    a, b = moving(images, name="a"), moving(images, name="b")
    b.tie(a, only=["proper_motion", "parallax"])
    group = jl.Group([a, b])
    assert "b/proper_motion" not in group.free_parameters
    assert "b/center" in group.free_parameters
    a["proper_motion"].value = (7.0, 8.0)
    np.testing.assert_array_equal(b["proper_motion"].value, [7.0, 8.0])
    c = jl.joint("gaussian galaxy", target=images, name="c", parallax=True)
    c.tie(a, except_=["parallax"])
    a["center"].value = (0.5, 0.5)
    np.testing.assert_array_equal(c["center"].value, [0.5, 0.5])
    assert c["parallax"].is_free


def test_who_stays_takes_the_motion_over() -> None:
    images = epochs()
    first = moving(images, name="first", center=(0.0, 0.0), flux=3.0)
    second = moving(images, name="second", center=(2.0, 2.0), flux=1.0)
    second.tie(first, only=["proper_motion", "parallax"])
    first["proper_motion"].value = (100.0, 200.0)
    group = jl.Group([first, second])
    before = second["e5"].image()
    group.remove("first")
    assert {"second/proper_motion", "second/parallax"} < set(group.free_parameters)
    np.testing.assert_array_equal(second["proper_motion"].value, [100.0, 200.0])
    np.testing.assert_allclose(second["e5"].image(), before, atol=1e-12)


def test_initialize_forgets_it_too() -> None:
    images = epochs()
    model = moving(images, center=(0.0, 0.0), flux=10.0)
    model["proper_motion"].value = (100.0, 100.0)
    model.initialize(overwrite=True)
    assert not model.unset_parameters
    np.testing.assert_array_equal(model["proper_motion"].value, [0.0, 0.0])


REFUSED: dict[str, tuple[Any, tuple[str, ...]]] = {
    "no time": (lambda: moving([make_image("a"), make_image("b", time=5e4)]), ("'a'", "time=")),
    "no sky": (
        lambda: moving(TargetImage(np.zeros((5, 5)), pixelscale=1.0, variance=1.0, psf=np.ones(
            (3, 3)), time=5e4, name="a")),
        ("'a'", "WCS", "parallax"),
    ),
    "epoch without motion": (
        lambda: moving(epochs(), proper_motion=False, parallax=False, reference_epoch=5e4),
        ("reference_epoch",),
    ),
    "odd epoch": (lambda: moving(epochs(), reference_epoch="long ago"), ("reference_epoch",)),
    "odd parallax": (lambda: moving(epochs(), parallax="yes"), ("parallax", "yes")),
    "wrong unit": (lambda: moving(epochs(), parallax=3 * u.s), ("parallax", "mas")),
    "one number": (lambda: moving(epochs(), proper_motion=3.0), ("proper_motion", "(2,)")),
    "own centres": (
        lambda: moving(epochs(), per_image=["center", "flux"]),
        ("center", "share"),
    ),
    "a sky": (
        lambda: jl.joint("flat sky", target=epochs(), proper_motion=True),
        ("center", "share"),
    ),
    "not a joint model": (
        lambda: jl.Model("point", target=make_image(), proper_motion=True),
        ("proper_motion",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.replace(" ", "_"))
def test_refused(case: str) -> None:
    build, words = REFUSED[case]
    with pytest.raises(InvalidInput) as caught:
        build()
    for word in words:
        assert word in str(caught.value)


# --- the ties behind it --------------------------------------------------------------------------


def test_scalar_goes_to_all_components_of_a_vector() -> None:
    base = Parameter("base", (1.0, 2.0), shape=(2,))
    slope = Parameter("slope", (10.0, 20.0), shape=(2,))
    height = Parameter("height", 3.0)
    sum_of = Parameter("sum", shape=(2,))
    sum_of.tie_linear([base, slope, height], scales=[1.0, (0.5, -0.5), (4.0, 7.0)], offset=0.25)
    np.testing.assert_allclose(sum_of.value, [1.0 + 5.0 + 12.0 + 0.25, 2.0 - 10.0 + 21.0 + 0.25])
    above = Parameter("above", shape=(2,))
    above.tie(sum_of, scale=2.0)
    named = {p.name: p for p in (base, slope, height, sum_of, above)}
    slots = SlotMap(named, [sum_of, above])
    assert slots.names == ["base_x", "base_y", "slope_x", "slope_y", "height"]
    expected = np.array([[1.0, 0.0, 0.5, 0.0, 4.0], [0.0, 1.0, 0.0, -0.5, 7.0]])
    np.testing.assert_allclose(slots.matrix.toarray(), np.vstack([expected, 2.0 * expected]))
    np.testing.assert_allclose(slots.values(slots.start)[2:], 2.0 * sum_of.value)
    tie = sum_of.current_tie
    assert tie is not None
    np.testing.assert_allclose(tie.derivative([]), expected)
    terms = resolve_affine(dependency_order([above]))[above].terms
    np.testing.assert_allclose(terms[height], [8.0, 14.0])


def test_functions_may_follow_such_a_vector() -> None:
    base, height = Parameter("base", (1.0, 2.0), shape=(2,)), Parameter("height", 3.0)
    vector, length = Parameter("vector", shape=(2,)), Parameter("length")
    vector.tie_linear([base, height], scales=[1.0, (4.0, 7.0)])
    length.tie(lambda xy: float(np.hypot(*xy)), [vector])
    slots = SlotMap({p.name: p for p in (base, height, vector, length)}, [vector, length])
    gradient = slots.jacobian(slots.start).toarray()
    step = 1e-6
    for k in range(3):
        moved = slots.start.copy()
        moved[k] += step
        change = (slots.values(moved) - slots.values(slots.start)) / step
        np.testing.assert_allclose(gradient[:, k], change, atol=1e-5)


def test_proposing_a_value_leaves_the_slopes() -> None:
    base, height = Parameter("base", shape=(2,)), Parameter("height")
    vector = Parameter("vector", shape=(2,))
    vector.tie_linear([height, base], scales=[(4.0, 7.0), 1.0])
    assert vector.propose((5.0, 6.0))
    np.testing.assert_array_equal(base.value, [5.0, 6.0])
    assert height.value == 0.0


@pytest.mark.parametrize("inputs", [["xy"], ["a", "xy"]])
def test_vectors_do_not_go_into_scalars(inputs: list[str]) -> None:
    known = {"xy": Parameter("xy", shape=(2,)), "a": Parameter("a", 1.0)}
    with pytest.raises(InvalidInput, match="cannot be tied to xy"):
        Parameter("b").tie_linear([known[k] for k in inputs], scales=[1.0] * len(inputs))
    with pytest.raises(InvalidInput, match="cannot be tied to a"):
        known["xy"].tie(known["a"])
