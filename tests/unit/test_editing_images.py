# SPDX-License-Identifier: BSD-3-Clause
"""Images of some of the members, and the data shared out among the sources."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import jointlight as jl
from jointlight.errors import InvalidInput
from jointlight.image import TargetImage, TargetImageList
from jointlight.models import Deblended, Exponential, FlatSky, Group, PointSource, Sersic, joint
from reference.on_backends import EVERY_BACKEND
from unit.model_cases import make_image, make_list, values_for

pytestmark = EVERY_BACKEND


@pytest.fixture
def both() -> TargetImageList:
    return make_list()


@pytest.fixture
def field(both: TargetImageList) -> Group:
    """Three galaxies, a bulge with its disc among them, and a sky, in two images."""
    values = values_for(Sersic)
    a = joint("sersic galaxy", target=both, name="a", **values)
    b = joint("sersic galaxy", target=both, name="b", **(values | {"center": (3.0, 1.0)}))
    bulge = joint("sersic galaxy", target=both, name="bulge", **(values | {"center": (-3, -2)}))
    disc = joint("exponential", target=both, name="disc", q=0.5, PA=10.0, Re=3.0, Ie=4.0)
    disc.tie(bulge, only=["center"])
    sky = joint("flat sky", target=both, name="sky", I0=0.4)
    return Group([a, b, Group([bulge, disc], name="c"), sky], target=both, name="field")


def close(a: Any, b: Any) -> None:
    assert_allclose(a, b, rtol=0.0, atol=1e-12 * np.abs(np.asarray(b)).max())


# --- image(exclude=, only=) ----------------------------------------------------------------------


@pytest.mark.parametrize("image", ["r", "W1"])
@pytest.mark.parametrize("name", ["a", "b", "c", "c/disc", "sky"])
def test_parts_add_up_to_the_whole(field: Group, name: str, image: str) -> None:
    whole = field.image(image)
    alone, rest = field.image(image, only=name), field.image(image, exclude=[name])
    assert np.abs(alone).max() > 0.0
    close(alone + rest, whole)
    close(field[name].image(image), alone)


def test_the_residual_leaves_what_is_excluded(field: Group, both: TargetImageList) -> None:
    r = both["r"]
    left = field.residual(r, exclude=["b"])
    close(left, field.residual(r) + field.image(r, only="b"))
    assert_array_equal(left, field.residuals(exclude=field["b"])[0])


@pytest.mark.parametrize(
    "wanted",
    [
        lambda f: f["c"],
        lambda f: [f["c"]["bulge"], "disc"],  # one by itself, one by a name that is unique below
        lambda f: {"c/bulge", "c/disc"},
        lambda f: next(s for s in f.sources if s.name == "c"),
        lambda f: f["c"].leaves(),
    ],
)
def test_ways_to_say_which(field: Group, wanted: Any) -> None:
    for a, b in zip(field.images(exclude=wanted(field)), field.images(exclude="c"), strict=True):
        assert_array_equal(a, b)


def test_labels_and_all_skies() -> None:
    image = make_image("r")
    values = values_for(Sersic)
    members = [
        Sersic(target=image, name="7", **values),
        Sersic(target=image, name="12", **(values | {"center": (3.0, 1.0)})),
        FlatSky(target=image, name="sky r", I0=0.4),
    ]
    field = Group(members, target=image)
    close(field.image(exclude=[7]), field.image(exclude=["7"]))
    close(field.image(only=np.int64(12)), members[1].image())
    close(field.image(exclude="sky"), members[0].image() + members[1].image())
    with pytest.raises(InvalidInput, match="no member or source '8'"):
        field.image(exclude=[8])
    with pytest.raises(InvalidInput, match="exclude"):
        field.image(exclude=[True])


def test_one_band_of_a_member_and_nothing_at_all(field: Group) -> None:
    r, w1 = field.images(exclude="a/r")
    close(w1, field.image("W1"))
    close(r, field.image("r", exclude="a"))
    for image in field.images(only=[]):
        assert not image.any()
    assert not field.image("r", exclude=["a", "b", "c", "sky"]).any()
    assert_array_equal(field.image("r", only=["a", "b"], exclude="b"), field.image("r", only="a"))


def test_excluded_members_need_no_values(field: Group, both: TargetImageList) -> None:
    field.add(Sersic(target=both["r"], name="new"))
    with pytest.raises(InvalidInput, match="no value is set for new/"):
        field.image("r")
    field.image("r", exclude="new")


def test_a_single_component_takes_them_too() -> None:
    model = Sersic(target=make_image("r"), name="it", **values_for(Sersic))
    assert not model.image(exclude="it").any()
    assert_array_equal(model.image(only=model), model.image())


def test_an_excluded_root_still_gives_its_value(field: Group) -> None:
    field["b"].tie(field["a"], only=["Re"])
    before = field.image("r", only="b")
    field["a/Re"].value = 4.0
    assert np.abs(field.image("r", exclude=["a", "c", "sky"]) - before).max() > 0.0


# --- deblend -------------------------------------------------------------------------------------


@pytest.mark.parametrize("image", ["r", "W1"])
def test_data_are_shared_in_proportion_to_the_light(field: Group, image: str) -> None:
    parts = field.deblend(image)
    target = field.find_image(image)
    assert isinstance(parts, Deblended)
    assert list(parts) == ["a", "b", "c"]
    data = target.data - field.image(image, only="sky")
    light = field.image(image, exclude="sky")
    bright = light > 1e-6 * light.max()
    for name in parts:
        expected = data * field.image(image, only=name) / light
        assert_allclose(parts.on_image(name)[bright], expected[bright], rtol=1e-6, atol=1e-8)
    close(parts.total(), data)
    close(parts.sky, field.image(image, only="sky"))


def test_windows_and_masks() -> None:
    rng = np.random.default_rng(4)
    mask = np.zeros((40, 42), dtype=bool)
    mask[10, 12] = True
    image = TargetImage(
        rng.normal(5.0, 1.0, mask.shape), pixelscale=0.5, variance=1.0, mask=mask, name="r"
    )
    x, y = image.pixel_to_plane(12.0, 10.0)
    u, v = image.pixel_to_plane(16.0, 12.0)
    values = {"q": 0.7, "PA": 10.0, "Re": 1.5, "n": 1.0, "Ie": 9.0}
    a = Sersic(target=image, name="a", window=((4, 20), (2, 18)), center=(x, y), **values)
    b = Sersic(target=image, name="b", window=((9, 30), (6, 20)), center=(u, v), **values)
    disc = Exponential(target=image, name="disc", window=((10, 36), (3, 15)), q=0.5, PA=0.0, Re=2.0)
    disc["Ie"].value = 3.0
    disc["center"].tie(b["center"])
    model = Group([a, b, disc], name="all")
    parts = model.deblend(image)
    assert {name: part.window for name, part in parts.items()} == {
        "a": ((4, 20), (2, 18)),
        "b": ((9, 36), (3, 20)),
    }
    array, ((x0, x1), (y0, y1)) = parts["a"]
    assert array.shape == (y1 - y0, x1 - x0)
    inside = np.zeros(image.shape, dtype=bool)
    for leaf in model.leaves():
        (x0, x1), (y0, y1) = leaf.window
        inside[y0:y1, x0:x1] = True
    total = parts.total()
    assert np.isnan(total[10, 12])
    close(total[inside & ~mask], image.data[inside & ~mask])
    assert not total[~inside].any()
    filled = model.deblend(masked="model").total()
    assert filled[10, 12] == pytest.approx(model.image()[10, 12])


def test_pixels_without_light_are_shared_all_the_same() -> None:
    data = np.random.default_rng(1).normal(0.0, 1.0, (60, 200))
    psf = jl.gaussian_psf(fwhm=1.0, pixelscale=0.4)
    image = TargetImage(data, pixelscale=0.4, variance=1.0, psf=psf, name="r")
    stars = [
        PointSource(
            target=image, name=f"s{k}", center=image.pixel_to_plane(20 + 150 * k, 30), flux=f
        )
        for k, f in enumerate([1e5, 1.0])
    ]
    parts = Group(stars).deblend()
    close(parts.total(), data)
    for array, _ in parts.values():
        assert np.abs(array[:, 70:130]).max() <= np.abs(data).max()


def test_negative_light_and_no_light() -> None:
    data = np.random.default_rng(2).normal(0.0, 1.0, (40, 40))
    image = TargetImage(data, pixelscale=0.4, variance=1.0, name="r")
    host = Sersic(target=image, name="host", center=(0, 0), q=0.8, PA=0.0, n=1.0, Re=2.0, Ie=5.0)
    dip = host.copy(name="dip")
    dip["Ie"].value = -5.0
    parts = Group([host, dip]).deblend()
    close(parts.total(), data)
    assert_allclose(parts["host"].array, host.image() + data / 2, atol=1e-9)
    host["Ie"].value = dip["Ie"].value = 0.0
    none = Group([host, dip]).deblend()
    close(none["dip"].array, data / 2)


def test_all_images_and_those_without_sources(field: Group, both: TargetImageList) -> None:
    parts = field.deblend_all()
    assert list(parts) == ["r", "W1"]
    assert_array_equal(parts["W1"].total(), field.deblend("W1").total())
    alone = Group([FlatSky(target=both["r"], name="sky", I0=0.2)], target=both)
    assert dict(alone.deblend("W1")) == {}
    assert not alone.deblend("r").total().any()
    assert alone.deblend("r").sky.any()


def test_names_and_text(field: Group) -> None:
    parts = field.deblend("r")
    assert "a" in parts
    assert "sky" not in parts
    assert repr(parts) == "<Deblended image 'r' of 3 sources: 'a', 'b', 'c'>"
    with pytest.raises(InvalidInput, match=r"no source 'd' on image 'r'.*'a', 'b' or 'c'"):
        parts["d"]


def test_deblended_fluxes_of_a_made_up_blend() -> None:
    """Two stars whose wings overlap: each gets its flux back, to the noise."""
    rng = np.random.default_rng(7)
    psf = jl.gaussian_psf(fwhm=1.2, pixelscale=0.3)
    blank = TargetImage(np.zeros((41, 41)), pixelscale=0.3, variance=1.0, psf=psf, name="r")
    fluxes = {"s0": 4000.0, "s1": 1500.0}

    def stars(image: TargetImage) -> Group:
        centers = [(-0.5, 0.0), (0.7, 0.2)]
        return Group(
            [
                PointSource(target=image, name=name, center=center, flux=flux)
                for (name, flux), center in zip(fluxes.items(), centers, strict=True)
            ]
        )

    noisy = stars(blank).image() + rng.normal(0.0, 1.0, blank.shape)
    image = TargetImage(noisy, pixelscale=0.3, variance=1.0, psf=psf, name="r")
    parts = stars(image).deblend()
    for name, flux in fluxes.items():
        assert parts[name].array.sum() == pytest.approx(flux, abs=4.0 * np.sqrt(blank.data.size))


# --- what takes over -----------------------------------------------------------------------------


def state(group: Group) -> dict[str, Any]:
    return {
        path: (str(p.value), p.limits, p.state(), p.prior, p.fixed)
        for path, p in group.all_parameters.items()
    }


@pytest.mark.parametrize(
    "limits", [{"value": 8.0, "limits": (5.0, 20.0)}, {"value": 8.0}], ids=["apart", "value"]
)
def test_nothing_changes_where_limits_leave_no_room(limits: dict[str, Any]) -> None:
    image = make_image()
    values = values_for(Sersic)
    first = Sersic(target=image, name="first", **values | {"Re": limits})
    second = Sersic(target=image, name="second", **values | {"Re": {"limits": (1.0, 4.0)}})
    third = Sersic(target=image, name="third", **values)
    second["Re"].tie(first["Re"])
    third["Re"].tie(second["Re"], scale=0.5)
    third["n"].tie(first["n"])
    group = Group([first, second, third])
    before = state(group)
    with pytest.raises(InvalidInput, match=r"second\.Re.*first\.Re.*untie"):
        group.remove("first")
    assert state(group) == before
    group.remove("first", ties="untie")
    assert group["second/Re"].value == 4.0  # as `untie` has it: the nearest that is allowed


@pytest.mark.parametrize("limits", [None, (100.0, 200.0)])
@pytest.mark.parametrize("scale", [1.0, -1.0])
def test_angles_at_an_offset_are_handed_over(limits: Any, scale: float) -> None:
    image = make_image()
    values = values_for(Sersic)
    first = Sersic(target=image, name="first", **values | {"PA": {"value": 170, "limits": limits}})
    second = Sersic(target=image, name="second", **values)
    second["PA"].tie(first["PA"], scale=scale, offset=90.0)
    group = Group([first, second])
    drawn = group.image(only="second")
    group.remove("first")
    assert not group["second/PA"].is_tied
    np.testing.assert_allclose(group.image(), drawn, atol=1e-12 * drawn.max())
    assert first["PA"].value % 180.0 == pytest.approx(170.0)
    if limits is not None:
        low, high = group["second/PA"].limits
        assert high - low == pytest.approx(100.0)
        assert low <= group["second/PA"].value <= high


def test_a_place_on_the_sky_that_is_not_allowed_is_moved() -> None:
    image = make_image()
    assert image.reference is not None
    values = values_for(Sersic)
    group = Group([Sersic(target=image, name="old", **values | {"center": image.reference})])
    new = Sersic(target=image, center={"limits": ((1.0, 1.0), (3.0, 3.0))})
    group.replace("old", new)
    assert group["old"] is new
    np.testing.assert_allclose(new["center"].value, (1.0, 1.0))
