# SPDX-License-Identifier: BSD-3-Clause
"""Models: the factory, components, groups, joint models, sources, copies and text."""

from __future__ import annotations

import copy
import pickle
import sys
import warnings
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord

from jointlight import models
from jointlight.errors import InvalidInput, JointlightWarning
from jointlight.image import TargetImage, TargetImageList
from jointlight.models import (
    Component,
    FlatSky,
    Group,
    Joint,
    Model,
    PlaneSky,
    PointSource,
    RadialProfile,
    Sersic,
    component_classes,
    joint,
    model_types,
)
from jointlight.parameters import Domain, Normal, Parameter
from jointlight.scene import check_profile
from reference.on_backends import EVERY_BACKEND
from unit.model_cases import STRUCTURE, make_image, make_list, values_for

pytestmark = EVERY_BACKEND


@pytest.fixture(scope="module")
def r() -> TargetImage:
    return make_image()


@pytest.fixture(scope="module")
def both() -> TargetImageList:
    return make_list()


def sersic(target: TargetImage, **options: Any) -> Sersic:
    return Sersic(target=target, **{**values_for(Sersic), **options})


# --- factory -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("sersic galaxy", "Sersic"),
        ("sersic galaxy model", "Sersic"),
        ("Sersic", "Sersic"),
        ("  sersic_galaxy ", "Sersic"),
        ("exponential", "Exponential"),
        ("exponential galaxy model", "Exponential"),
        ("de vaucouleurs", "DeVaucouleurs"),
        ("gaussian galaxy", "Gaussian"),
        ("moffat galaxy", "Moffat"),
        ("point source", "PointSource"),
        ("point model", "PointSource"),
        ("star", "PointSource"),
        ("flat sky", "FlatSky"),
        ("flat sky model", "FlatSky"),
        ("sky", "FlatSky"),
        ("plane-sky", "PlaneSky"),
    ],
)
def test_names_of_types(r: TargetImage, text: str, name: str) -> None:
    model = Model(text, target=r)
    assert type(model).__name__ == name
    assert isinstance(model, Model)
    assert type(Model(model_type=text, target=r)) is type(model)


def test_group_by_name(r: TargetImage) -> None:
    member = sersic(r)
    for text in ("group", "group model"):
        group = Model(text, models=[member], target=r, name="all")
        assert isinstance(group, Group)
        assert group.models == (member,)


def test_every_type_is_listed_once() -> None:
    names = model_types()
    assert len(names) == len(set(names))
    assert {"sersic galaxy", "flat sky", "group"} <= set(names)


def test_classes_and_core_agree() -> None:
    for cls in component_classes():
        if cls.__module__.startswith("jointlight."):
            check_profile(cls)
            assert getattr(models, cls.__name__) is cls
            assert cls.__name__ in models.__all__


def test_a_new_class_needs_no_other_edit(r: TargetImage) -> None:
    class Test(RadialProfile):
        """Only here."""

        type_names = ("test of registry galaxy",)
        profile = "sersic"
        scale_spec = Sersic.scale_spec
        shape_specs = Sersic.shape_specs
        amplitude_spec = Sersic.amplitude_spec

    assert isinstance(Model("test of registry", target=r), Test)
    with pytest.raises(InvalidInput, match="taken by"):

        class Other(Sersic):
            type_names = ("sersic",)


# --- components ----------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", component_classes(), ids=lambda cls: cls.__name__)
def test_every_class(cls: type[Component], r: TargetImage) -> None:
    model = cls(target=r, name="it", **values_for(cls))
    assert list(model.parameters) == [spec.name for spec in cls.specs()]
    for name, parameter in model.parameters.items():
        np.testing.assert_allclose(parameter.value, STRUCTURE[name])
        assert parameter.label == f"it.{name}"
        assert parameter.description
    assert model.leaves() == (model,)
    assert "it" in repr(model)
    assert str(model).count("\n") == len(model.parameters)
    assert model["flux" if cls is PointSource else model.amplitude_name] is not None
    image = model.image()
    assert image.shape == r.shape
    assert np.isfinite(image).all()
    assert np.any(image != 0.0)
    twin = pickle.loads(pickle.dumps(model))
    np.testing.assert_allclose(twin.image("r"), image, rtol=0, atol=1e-9 * np.abs(image).max())


def test_parameters_are_given_in_many_ways(r: TargetImage) -> None:
    other = sersic(r, name="other")
    model = Sersic(
        target=r,
        parameters={"q": 0.5},
        n={"value": 3.0, "limits": (1, 5), "fixed": True, "prior": Normal(3, 1)},
        Re=other["Re"],
        PA=np.pi / 4 * u.rad,
    )
    assert model["q"].value == 0.5
    assert model["n"].fixed
    assert model["n"].limits == (1.0, 5.0)
    assert model["Re"].value == other["Re"].value
    assert model["PA"].value == pytest.approx(45.0)
    assert list(model.unset_parameters) == ["center", "Ie"]


def test_default_limits(r: TargetImage) -> None:
    model = Sersic(target=r)
    assert model["q"].limits == (0.02, 1.0)
    assert model["n"].limits == (0.3, 10.0)
    assert model["Re"].limits == (0.0, None)
    assert model["PA"].limits == (None, None)
    assert model["Ie"].limits == (None, None)


def test_units_follow_the_image() -> None:
    model = Sersic(target=make_image(unit="adu"))
    assert model["Ie"].unit == u.adu / u.arcsec**2
    assert model["Re"].unit == u.arcsec
    assert PlaneSky(target=make_image(unit="nJy"))["slope_x"].unit == u.nJy / u.arcsec**3
    assert Model("star", target=make_image(unit="nJy"))["flux"].unit == u.nJy


def test_center_from_sky_follows_the_plane() -> None:
    first, second = make_image("a"), make_image("b", ra=150.01)
    where = SkyCoord(150.005, 2.0003, unit="deg")
    model = Sersic(target=second, center=where)
    alone = model["center"].value
    TargetImageList([first, second])
    moved = model["center"].value
    assert not np.allclose(alone, moved)
    back = second.plane_to_world(*moved)
    assert back.separation(where).arcsec < 1e-6


def test_flux_as_amplitude(r: TargetImage) -> None:
    model = Sersic(target=r, amplitude="flux", **values_for(Sersic, "flux"))
    assert "Ie" not in model
    assert model.amplitude_name == "flux"
    free = model.copy()
    assert free.amplitude == "flux"
    wide = Sersic(
        target=make_image(n=200, fwhm=1.2), amplitude="flux", center=(0, 0), q=1.0, PA=0.0, n=1.0,
        Re=1.0, flux=300.0,
    )  # fmt: skip
    assert wide.image().sum() == pytest.approx(300.0, rel=1e-4)


def test_windows(r: TargetImage) -> None:
    for window in (((5, 36), (10, 38)), [[5, 36], [10, 38]], np.s_[10:38, 5:36]):
        model = sersic(r, window=window)
        assert model.window == ((5, 36), (10, 38))
    image = model.image()
    assert np.all(image[:10] == 0.0)
    assert np.all(image[:, 36:] == 0.0)
    part = np.s_[10:38, 5:36]
    full = sersic(r).image()
    np.testing.assert_allclose(image[part], full[part], rtol=0, atol=1e-4 * full.max())


def test_psf_options(r: TargetImage) -> None:
    with_psf = sersic(r)
    without = sersic(r, psf_convolve=False)
    assert with_psf.has_psf
    assert not without.has_psf
    assert not sersic(r, psf_mode="none").has_psf
    assert without.image().max() > with_psf.image().max()
    own = sersic(r, psf=np.ones((3, 3)))
    assert own.psf_at(0, 0) is not None
    assert own.image().max() != pytest.approx(with_psf.image().max(), rel=1e-3)
    assert not FlatSky(target=r).has_psf


def test_tie_to_another_model(r: TargetImage) -> None:
    a, b = sersic(r, name="a"), Sersic(target=r, name="b")
    b.tie(a, except_=["Ie"])
    assert [name for name in b if b[name].is_tied] == ["center", "q", "PA", "Re", "n"]
    c = Model("exponential", target=r, name="c")
    c.tie(a, only=["center", "PA"])
    assert [name for name in c if c[name].is_tied] == ["center", "PA"]
    with pytest.raises(InvalidInput, match="Did you mean 'PA'"):
        c.tie(a, only=["pa"])


def test_residual_is_nan_where_masked() -> None:
    mask = np.zeros((48, 50), dtype=bool)
    mask[3, 4] = True
    image = make_image(mask=mask)
    model = sersic(image)
    residual = model.residual(image)
    assert np.isnan(residual[3, 4])
    assert np.isnan(residual).sum() == 1
    np.testing.assert_allclose(residual[10], (image.data - model.image())[10])


# --- groups --------------------------------------------------------------------------------------


def test_group_adds_up(r: TargetImage) -> None:
    a, b = sersic(r, name="a"), Model("flat sky", target=r, I0=3.0, name="b")
    group = Group([a, b])
    np.testing.assert_allclose(group.image(), a.image() + b.image())
    np.testing.assert_allclose(group(r), group.image("r"))
    assert group.target is r
    assert group["a"] is a
    assert group["a/Re"] is a["Re"]
    assert list(group.parameters) == ["a/center", "a/q", "a/PA", "a/Re", "a/n", "a/Ie", "b/I0"]
    assert group.chi2() == pytest.approx(float(np.sum((r.data - group.image()) ** 2)))


def test_nested_groups(both: TargetImageList) -> None:
    first = Group([sersic(both[0], name="r"), sersic(both[1], name="W1")], name="one")
    second = joint("exponential", target=both, name="two")
    everything = Group([Group([first, second], name="inner")], target=both, name="outer")
    assert everything["inner/one/W1/q"] is first["W1"]["q"]
    assert everything["inner/two/Re"] is second["Re"]
    assert len(everything.leaves()) == 4
    assert len(everything.all_parameters) == 6 + 6 + 5 + 5
    assert "inner/two/W1/Ie" in everything.parameters
    assert "inner/two/W1/Re" not in everything.parameters


def test_tutorial_structure(both: TargetImageList) -> None:
    m_r = Model("sersic galaxy model", target=both[0], name="r band", **values_for(Sersic))
    m_w = Model("sersic galaxy model", target=both[1], name="W1 band", Ie=7.0)
    for p in ["center", "q", "PA", "n", "Re"]:
        m_w[p].value = m_r[p]
    model = Model("group model", target=both, models=[m_r, m_w], name="LEDA 41136")
    assert len(model.parameters) == 7
    assert "W1 band/Ie" in model.parameters
    (source,) = model.sources
    assert source.name == "LEDA 41136"
    assert source.components == (m_r, m_w)
    assert [image.shape for image in model.images()] == [image.shape for image in both]
    assert len(model.residuals()) == 2
    assert "= r band.Re" in str(model)


def test_members_without_a_name_are_numbered(r: TargetImage) -> None:
    group = Group([sersic(r), sersic(r), Sersic(target=r, name="sersic galaxy 2")])
    assert [m.name for m in group] == ["sersic galaxy", "sersic galaxy 3", "sersic galaxy 2"]
    assert group.models[1]["Re"].label == "sersic galaxy 3.Re"


def test_group_makes_its_list() -> None:
    a, b = make_image("a"), make_image("b", ra=150.001)
    group = Group([Sersic(target=a), Sersic(target=b)])
    assert isinstance(group.target, TargetImageList)
    assert group.target.names == ("a", "b")
    assert a.reference is not None
    assert b.reference is not None
    assert a.reference.separation(b.reference).arcsec < 1e-9


def test_group_refuses_to_move_positions() -> None:
    a, b = make_image("a"), make_image("b", ra=150.001)
    models = [Sersic(target=a), Sersic(target=b, name="second", center=(1, 2))]
    with pytest.raises(InvalidInput, match=r"second\.center"):
        Group(models)


# --- joint ---------------------------------------------------------------------------------------


def test_joint_shares_all_but_the_amplitude(both: TargetImageList) -> None:
    model = joint("sersic galaxy", target=both, name="gal", n=2.5, Re=3.0, Ie={"r": 2.0, "W1": 5.0})
    assert isinstance(model, Joint)
    assert model.per_image == ("Ie",)
    assert model["Re"] is model["r"]["Re"]
    assert model["W1/Re"].is_tied
    assert model["Ie"]["W1"].value == 5.0
    assert model["Ie"][0].value == 2.0
    assert model["Ie"].value == {"r": 2.0, "W1": 5.0}
    assert list(model.parameters) == ["center", "q", "PA", "Re", "n", "r/Ie", "W1/Ie"]
    assert model["Re"].label == "gal.Re"
    assert model["Ie"]["r"].label == "gal/r.Ie"
    model["Ie"].fixed = True
    model["Ie"].limits = (0, None)
    model["Ie"].value = {"r": 9.0}
    assert model["r/Ie"].value == 9.0
    assert model["W1/Ie"].limits == (0.0, None)
    assert model["W1/Ie"].fixed
    assert copy.deepcopy(model["Ie"]).value == model["Ie"].value
    with pytest.raises(InvalidInput, match=r"Did you mean 'limits'"):
        model["Ie"].limit = (0, 1)


def test_joint_options(both: TargetImageList) -> None:
    free = joint("sersic galaxy", target=both, per_image=["Ie", "n"], n=[1.0, 4.0], Ie=3.0)
    assert free["n"].value == {"r": 1.0, "W1": 4.0}
    assert free["Ie"].value == {"r": 3.0, "W1": 3.0}
    none = joint("sersic galaxy", target=both, per_image=[])
    assert not none["W1/Ie"].is_free
    flux = joint("sersic galaxy", target=both, amplitude="flux")
    assert flux.per_image == ("flux",)
    sky = joint("plane sky", target=both)
    assert sky.per_image == ("I0", "slope_x", "slope_y")
    single = joint("sersic galaxy", target=both[0], window=((1, 20), (2, 20)))
    assert single["r"].window == ((1, 20), (2, 20))
    windows = joint("sersic galaxy", target=both, window={"W1": np.s_[1:9, 2:8]})
    assert windows["W1"].window == ((2, 8), (1, 9))
    listed = joint("sersic galaxy", target=both, window=[((0, 9), (0, 9)), ((0, 8), (0, 8))])
    assert listed["W1"].window == ((0, 8), (0, 8))
    spec = joint("sersic", target=both, Ie={"value": 2.0, "limits": (0, 5)})
    assert spec["Ie"].limits == {"r": (0.0, 5.0), "W1": (0.0, 5.0)}
    centers = joint("star", target=both, per_image=["center", "flux"], center=[(1, 2), (3, 4)])
    np.testing.assert_array_equal(centers["center"]["W1"].value, [3, 4])


def test_joint_equals_the_same_by_hand(both: TargetImageList) -> None:
    a = joint("sersic galaxy", target=both, **values_for(Sersic))
    b = Group([sersic(both[0], name="x"), sersic(both[1], name="y")], target=both)
    for one, two in zip(a.images(), b.images(), strict=True):
        np.testing.assert_allclose(one, two)


def test_component_tied_to_a_joint_model(both: TargetImageList) -> None:
    a = joint("sersic galaxy", target=both, **values_for(Sersic))
    b = Model("exponential", target=both[0], Ie=1.0)
    b.tie(a)
    assert not b["Ie"].is_tied
    assert b["q"].value == a["q"].value


def test_joint_models_tied_to_each_other(both: TargetImageList) -> None:
    bulge = joint("sersic galaxy", target=both, name="bulge", **values_for(Sersic))
    disc = joint("exponential", target=both, name="disc")
    disc.tie(bulge, only=["center"])
    assert disc["W1/center"].value is not None
    assert not disc["q"].is_tied
    disc.tie(bulge)
    assert disc["q"].is_tied
    assert not disc["W1/Ie"].is_tied
    pair = Group([bulge, disc], name="galaxy")
    assert [(s.name, len(s.components)) for s in pair.sources] == [("galaxy", 4)]


def test_plane_sky_is_i0_at_the_middle_of_its_window(r: TargetImage) -> None:
    window = ((4, 15), (10, 31))
    model = PlaneSky(target=r, window=window, I0=2.0, slope_x=0.1, slope_y=-0.2)
    image = model.image()
    area = r.pixel_area(9, 20)
    assert image[20, 9] == pytest.approx(2.0 * area, rel=1e-6)
    x0, y0 = r.pixel_to_plane(9, 20)
    x, y = r.pixel_to_plane(12, 25)
    expected = 2.0 + 0.1 * (x - x0) - 0.2 * (y - y0)
    assert image[25, 12] == pytest.approx(expected * area, rel=1e-6)


# --- sources -------------------------------------------------------------------------------------


def test_sources_of_an_object_per_group_and_an_image_per_group(both: TargetImageList) -> None:
    def leaf(image: TargetImage, k: int) -> Sersic:
        return sersic(image, name=f"{image.name} {k}")

    pairs = [(leaf(both[0], k), leaf(both[1], k)) for k in range(3)]
    for a, b in pairs:
        b.tie(a, except_=["Ie"])
    by_object = Group([Group(pair, name=f"object {k}") for k, pair in enumerate(pairs)])
    assert [s.name for s in by_object.sources] == ["object 0", "object 1", "object 2"]
    assert all(len(s.components) == 2 for s in by_object.sources)
    by_image = Group(
        [Group([p[k] for p in pairs], name=both[k].name) for k in range(2)], target=both
    )
    assert len(by_image.sources) == 3
    assert by_image.sources[1].components == pairs[1]


def test_sources_of_bulge_disc_and_sky(r: TargetImage) -> None:
    bulge, disc = sersic(r, name="bulge"), Model("exponential", target=r, name="disc")
    sky = FlatSky(target=r, name="sky")
    apart = Group([Group([bulge, disc], name="galaxy"), sky], name="all")
    assert [(s.name, len(s.components), s.is_sky) for s in apart.sources] == [
        ("galaxy", 2, False),
        ("sky", 1, True),
    ]
    disc.tie(bulge, only=["center"])
    flat = Group([bulge, disc, sky], name="NGC 1")
    assert [(s.name, len(s.components)) for s in flat.sources] == [("NGC 1", 2), ("sky", 1)]


def test_source_of_joint_models(both: TargetImageList) -> None:
    model = Group(
        [joint("sersic galaxy", target=both, name=f"g{k}") for k in range(2)]
        + [joint("flat sky", target=both, name="sky")],
        name="field",
    )
    assert [(s.name, len(s.components), s.is_sky) for s in model.sources] == [
        ("g0", 2, False),
        ("g1", 2, False),
        ("sky", 2, True),
    ]
    assert [s.name for s in model["g0"].sources] == ["g0"]
    assert [s.name for s in model["g0"]["r"].sources] == ["r"]


def test_centre_offset_is_the_same_source(both: TargetImageList) -> None:
    model = joint("sersic galaxy", target=both)
    model["W1/center"].tie(model["center"], offset=(0.1, 0.0))
    assert len(model.sources) == 1


# --- copies and text -----------------------------------------------------------------------------


def test_copies_are_independent_and_share_images(both: TargetImageList) -> None:
    model = joint("sersic galaxy", target=both, name="gal", **values_for(Sersic))
    for twin in (model.copy(name="twin"), copy.deepcopy(model), copy.copy(model).copy()):
        assert twin.target[0] is both[0]
        twin["Re"].value = 9.0
        assert twin["W1/Re"].value == 9.0
        assert model["W1/Re"].value == STRUCTURE["Re"]
    assert model.copy(name="twin")["Re"].label == "twin.Re"
    loaded = pickle.loads(pickle.dumps(model))
    loaded["Re"].value = 5.0
    assert loaded["W1/Re"].value == 5.0
    assert loaded.find_image(both[0]) is loaded.target[0]
    assert str(loaded).splitlines()[0] == str(model).splitlines()[0]


def test_a_copy_stays_tied_to_other_models(r: TargetImage) -> None:
    bulge, disc = sersic(r, name="bulge"), sersic(r, name="disc")
    disc["center"].tie(bulge["center"])
    disc["Re"].tie(disc["Ie"], scale=0.1)
    twin = disc.copy(name="twin")
    bulge["center"].value = (1.0, 2.0)
    np.testing.assert_array_equal(twin["center"].value, (1.0, 2.0))
    twin["Ie"].value = 5.0
    assert (twin["Re"].value, disc["Re"].value) == (0.5, 0.1 * disc["Ie"].value)
    assert Group([bulge, disc, twin]).compile().n_free == 7 + 4 + 4
    both_copied = Group([bulge, disc]).copy()
    both_copied["bulge/center"].value = (3.0, 3.0)
    np.testing.assert_array_equal(both_copied["disc/center"].value, (3.0, 3.0))
    np.testing.assert_array_equal(disc["center"].value, (1.0, 2.0))


def test_images_without_a_component(both: TargetImageList) -> None:
    group = Group([sersic(both[0], name="one")], target=both)
    assert not group.image("W1").any()
    assert group.image("r").any()
    np.testing.assert_array_equal(group.residual("W1"), both[1].data)
    np.testing.assert_array_equal(group.residuals()[1], both[1].data)
    with pytest.raises(InvalidInput, match="no component on the images"):
        group.compile(images=[both[1]])


def test_tree(both: TargetImageList) -> None:
    model = joint("sersic galaxy", target=both, name="gal", **values_for(Sersic))
    model["n"].fixed = True
    model["Re"].limits = (1, 5)
    model["Re"].prior = Normal(2, 0.5)
    model["q"].uncertainty = 0.0123
    text = str(Group([model, joint("flat sky", target=both, name="sky")], name="scene"))
    assert "scene (group, 2 images)" in text
    assert "0.600 ± 0.012" in text
    assert "fixed" in text
    assert "[1, 5] prior 2.0 ± 0.5" in text
    assert "= gal.Re" in text
    assert "unset" in text
    many = Group([sersic(both[0]) for _ in range(100)], name="many")
    assert "80 more" in str(many)
    assert repr(model.parameters).count("\n") == 5


def test_parameters_of_models_outside(r: TargetImage) -> None:
    outside, inside = sersic(r, name="out"), sersic(r, name="in")
    inside["Re"].tie(outside["Re"])
    assert "out.Re" in inside.free_parameters
    scene = inside.compile()
    assert "out.Re" in scene.names
    outside["Re"].fixed = True
    assert "out.Re" not in inside.compile().names


def test_standalone_parameter(r: TargetImage) -> None:
    size = Parameter("size", 2.0, unit="arcsec", domain=Domain(0.0, np.inf, low_open=True))
    models = [sersic(r, Re=size), sersic(r, Re=size)]
    group = Group(models)
    assert "size" in group.parameters
    assert group.compile().names.count("size") == 1


def test_module_lookup() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        _ = models.nothing
    assert "jointlight.models.sersic" in sys.modules


# --- settings that would do nothing --------------------------------------------------------------


def test_unknown_settings_of_models_are_refused(both: TargetImageList) -> None:
    one = sersic(both[0], name="one")
    pair = joint("sersic galaxy", target=both, name="pair", **values_for(Sersic))
    for model in (one, pair):
        with pytest.raises(InvalidInput, match=r"model\['n'\]\.value = 4"):
            model.n = 4
    with pytest.raises(InvalidInput, match="Did you mean 'window'"):
        one.windw = ((0, 3), (0, 3))
    with pytest.raises(InvalidInput, match="amplitude"):
        one.amplitudes = "flux"
    with pytest.raises(AttributeError):
        one.amplitude = "flux"  # type: ignore[misc]
    with pytest.raises(InvalidInput, match="has no attribute 'window'"):
        Group([one]).window = ((0, 3), (0, 3))
    with pytest.raises(InvalidInput, match=r"method: call it"):
        one.tie = pair  # type: ignore[method-assign,assignment]
    one.window = ((0, 30), (0, 30))
    assert pickle.loads(pickle.dumps(one)).window == copy.deepcopy(one).window == one.window


def test_positions_on_a_plane_that_moves_are_noticed() -> None:
    near, far = make_image("near"), make_image("far", ra=150.001)
    sersic(far, center=None)
    sersic(far, center=SkyCoord(150.001, 2.0, unit="deg"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TargetImageList([near, far])  # nothing was set in numbers
        sersic(far)
        TargetImageList([near, far])  # and now it stays where it is
    other = make_image("other", ra=150.002)
    sersic(other)
    with pytest.warns(JointlightWarning, match=r"^other: .*TargetImageList before.*SkyCoord"):
        TargetImageList([near, other])
    tied = sersic(make_image("third", ra=150.003))
    image = make_image("fourth", ra=150.003)
    follower = sersic(image, center=tied["center"])
    follower.compile()
    with pytest.warns(JointlightWarning, match="^fourth: "):
        TargetImageList([near, image])


@pytest.mark.parametrize("form", [tuple, list, np.array])
def test_joint_on_one_image_takes_its_window_and_psf_alone_or_in_a_list(form: Any) -> None:
    target = TargetImageList([make_image("r")])
    window = form(((3, 20), (4, 30)))
    psf = np.outer([1.0, 2.0, 1.0], [1.0, 2.0, 1.0]) / 16.0
    for given, kernel in ((window, psf), ([window], [psf]), ({"r": window}, {"r": psf})):
        component = joint("sersic galaxy", target=target, window=given, psf=kernel)["r"]
        assert component.window == ((3, 20), (4, 30))
        assert component.psf_at(10, 10) is not target[0].psf
