# SPDX-License-Identifier: BSD-3-Clause
"""Adding, removing, replacing and merging models; what happens to ties; nesting and its sources."""

from __future__ import annotations

import copy
import pickle
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord

import jointlight as jl
from jointlight.errors import InvalidInput
from jointlight.image import TargetImage, TargetImageList
from jointlight.models import (
    Exponential,
    FlatSky,
    Group,
    Model,
    PointSource,
    Sersic,
    joint,
    merge,
)
from reference.on_backends import EVERY_BACKEND
from unit.model_cases import make_image, make_list, values_for


@pytest.fixture
def r() -> TargetImage:
    return make_image("r")


@pytest.fixture
def both() -> TargetImageList:
    return make_list()


def sersic(target: TargetImage, name: str | None = "it", **changes: Any) -> Sersic:
    return Sersic(target=target, name=name, **(values_for(Sersic) | changes))


def galaxy(target: TargetImageList, name: str, **changes: Any) -> Any:
    values = values_for(Sersic) | changes
    return joint("sersic galaxy", target=target, name=name, **values)


def names(group: Group) -> list[str]:
    return [member.name for member in group.models]


# --- add -----------------------------------------------------------------------------------------


def test_add_appends_numbers_and_returns_the_group(r: TargetImage) -> None:
    group = Group([sersic(r, None)], name="field")
    assert group.add(sersic(r, "A"), sersic(r, None), FlatSky(target=r)) is group
    assert names(group) == ["sersic galaxy", "A", "sersic galaxy 2", "flat sky"]
    assert group["sersic galaxy 2/Re"].label == "sersic galaxy 2.Re"
    assert len(group.sources) == 4


def test_the_target_grows_by_images_it_lacks(both: TargetImageList) -> None:
    r, w1 = both
    group = Group([sersic(r, "a")])
    assert group.target is r
    group.add(sersic(w1, "b"))
    assert group.images_modelled == (r, w1)
    same = group.target
    group.add(sersic(r, "c"))
    assert group.target is same


def test_a_group_around_a_group_that_grew_grows_too(both: TargetImageList) -> None:
    r, w1 = both
    inner = Group([sersic(r, "a", Ie=1.0)], name="inner")
    outer = Group([inner, FlatSky(target=r, I0=0.0)], name="outer")
    inner.add(sersic(w1, "b", Ie=1.0))
    assert outer.images_modelled == (r, w1)
    assert len(outer.compile().tiles) == 3


def test_what_is_added_to_an_inner_group_twice_is_found_when_compiled(r: TargetImage) -> None:
    model, inner = sersic(r, "a"), Group([sersic(r, "b")], name="inner")
    outer = Group([inner, model], name="outer")
    inner.add(model)
    with pytest.raises(InvalidInput, match="'a' is in 'outer' twice"):
        outer.compile()


@EVERY_BACKEND
def test_an_edited_group_is_the_one_built_by_hand(both: TargetImageList) -> None:
    members = [galaxy(both, f"g{k}", center=(2.0 * k - 3.0, 1.0 - k)) for k in range(4)]
    sky = joint("flat sky", target=both, name="sky", I0=0.3)
    by_hand = Group([*members, sky], target=both, name="field")
    edited = Group([members[0]], target=both, name="field")
    edited.add(members[2], members[1]).add(sky).remove("g1", members[2])
    edited.merge(Group(members[1:], target=both))
    assert set(names(edited)) == set(names(by_hand))
    for a, b in zip(edited.images(), by_hand.images(), strict=True):
        np.testing.assert_allclose(a, b, rtol=0.0, atol=1e-12 * np.abs(b).max())
    assert set(edited.free_parameters) == set(by_hand.free_parameters)


# --- remove --------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["name", "model", "list", "source"])
def test_remove_by(how: str, both: TargetImageList) -> None:
    field = Group([galaxy(both, f"g{k}") for k in range(3)], target=both, name="field")
    wanted = {
        "name": "g1",
        "model": field["g1"],
        "list": ["g1"],
        "source": next(s for s in field.sources if s.name == "g1"),
    }[how]
    assert field.remove(wanted) is field
    assert names(field) == ["g0", "g2"]
    assert field.images_modelled == tuple(both)


def test_remove_at_depth_and_groups_that_become_empty(r: TargetImage) -> None:
    inner = Group([sersic(r, "bulge"), sersic(r, "disc")], name="g")
    outer = Group([inner, sersic(r, "h")], name="all")
    outer.remove("g/bulge")
    assert names(inner) == ["disc"]
    outer.remove(inner["disc"])
    assert names(outer) == ["h"]


@EVERY_BACKEND
def test_a_galaxy_that_is_not_on_one_of_the_images(both: TargetImageList) -> None:
    field = Group([galaxy(both, "a"), galaxy(both, "b", center=(3.0, 3.0))], target=both)
    before = field.image("W1")
    field.remove("a/r")  # the component that holds what both share
    a = field["a"]
    assert a["Re"] is a["W1/Re"]
    assert not a["Re"].is_tied
    assert a["Re"].value == 2.0
    assert a["Re"].label == "a.Re"
    np.testing.assert_array_equal(field.image("W1"), before)
    np.testing.assert_array_equal(field.image("r"), field.image("r", only="b"))
    assert len(field.sources) == 2


def test_the_first_follower_takes_over(r: TargetImage) -> None:
    a, b, c = (sersic(r, name) for name in "abc")
    a["Re"].limits = (0.5, 9.0)
    a["Re"].prior = jl.Normal(2.0, 0.5)
    a["Re"].uncertainty = 0.1
    b["Re"].limits = (1.0, 40.0)
    b["Re"].tie(a["Re"], scale=2.0, offset=1.0)  # 5
    c["Re"].tie(b["Re"], scale=3.0)  # 15, by way of b
    c["n"].tie(a["n"])
    a["n"].fixed = True
    group = Group([a, b, c]).remove("a")
    assert b["Re"].is_free
    assert b["Re"].value == 5.0
    assert b["Re"].limits == (2.0, 19.0)
    assert (b["Re"].prior.mean, b["Re"].prior.sigma) == (5.0, 1.0)
    assert b["Re"].uncertainty == pytest.approx(0.2)
    assert c["Re"].value == 15.0
    assert c["n"].fixed
    assert c["n"].value == 2.0
    b["Re"].value = 7.0
    assert c["Re"].value == 21.0
    assert a["Re"].value == 3.0, "the one that left follows"
    assert a["Re"].prior is None, "it would count twice if it came back"
    group.add(a)
    assert set(group.free_parameters) >= {"b/Re"}
    assert "a/Re" not in group.free_parameters


def test_ties_by_way_of_what_leaves_are_kept(r: TargetImage) -> None:
    a, b, c, d = (sersic(r, name) for name in "abcd")
    b["q"].tie(a["q"], scale=0.5)
    c["q"].tie(b["q"], scale=1.2)
    b["Re"].tie_linear([a["Re"], d["Re"]], scales=[0.5, 0.25], offset=0.1)
    c["Re"].tie(b["Re"], scale=2.0)
    Group([a, b, c, d]).remove(b)
    a["q"].value, a["Re"].value, d["Re"].value = 0.8, 3.0, 4.0
    assert c["q"].value == pytest.approx(0.48)
    assert c["Re"].value == pytest.approx(2.0 * (1.5 + 1.0 + 0.1))


def square(x: float) -> float:
    return x * x


def test_functions_are_handed_over(r: TargetImage) -> None:
    a, b, c, d = (sersic(r, name) for name in "abcd")
    b["n"].tie(square, [a["n"]])
    c["n"].tie(b["n"])
    d["n"].tie(square, [b["n"]])
    Group([a, b, c, d]).remove(b)
    a["n"].value = 1.5
    assert c["n"].value == pytest.approx(2.25)
    assert d["n"].value == pytest.approx(2.25**2)
    assert b["n"].value == pytest.approx(2.25)


def test_a_function_of_what_leaves_is_refused_and_nothing_changed(r: TargetImage) -> None:
    a, b, c = (sersic(r, name) for name in "abc")
    c["Re"].tie(a["Re"])
    b["n"].tie(square, [a["n"]])
    group = Group([a, b, c])
    with pytest.raises(InvalidInput, match=r"b\.n stays and follows a\.n.*square.*ties='untie'"):
        group.remove("a")
    assert names(group) == ["a", "b", "c"]
    assert c["Re"].is_tied
    group.remove("a", ties="untie")
    assert b["n"].is_free
    assert (b["n"].value, c["Re"].value) == (4.0, 2.0)


def test_positions_on_the_sky_stay_positions_on_the_sky(both: TargetImageList) -> None:
    position = SkyCoord(150.0001, 2.0001, unit="deg")
    a = sersic(both[0], "a", center=position)
    b = sersic(both[1], "b")
    b["center"].tie(a["center"])
    Group([a, b], target=both).remove("a")
    assert not b["center"].is_plane_position
    x, y = both[0].world_to_plane(position)
    np.testing.assert_allclose(b["center"].value, (float(x), float(y)))


def test_angles_take_limits_over_by_whole_turns(r: TargetImage) -> None:
    a, b = sersic(r, "a", PA=20.0), sersic(r, "b", PA=160.0)
    a["PA"].limits = (0.0, 60.0)
    b["PA"].limits = (150.0, 200.0)
    b["PA"].tie(a["PA"], offset=-20.0)
    before = b["PA"].value
    Group([a, b]).remove("a")
    assert (b["PA"].value - before) % 180.0 == pytest.approx(0.0)
    low, high = b["PA"].limits
    assert (low, high) == (160.0, 200.0)


@EVERY_BACKEND
def test_a_fit_after_an_edit_is_that_of_a_fresh_model(both: TargetImageList) -> None:
    def two() -> Group:
        return Group(
            [galaxy(both, "a", center=(1.0, 2.0)), joint("flat sky", target=both, name="sky", I0=0)]
        )

    edited = Group([galaxy(both, "gone", center=(-4.0, 0.0)), *two().models], target=both)
    edited["a"].tie(edited["gone"], only=["n"])
    edited.remove("gone")
    a, b = edited.fit(max_iter=8), two().fit(max_iter=8)
    assert a.chi2 == pytest.approx(b.chi2, rel=1e-9)


# --- replace -------------------------------------------------------------------------------------


def test_replace_keeps_name_place_start_and_followers(both: TargetImageList) -> None:
    a, b = galaxy(both, "a", Re=3.0), galaxy(both, "b")
    b["Re"].tie(a["Re"], scale=2.0)
    b["n"].tie(a["n"])
    field = Group([a, b], target=both, name="field")
    new = joint("gaussian galaxy", target=both)
    assert field.replace("a", new) is field
    assert names(field) == ["a", "b"]
    assert field["a"] is new
    np.testing.assert_array_equal(new["center"].value, (0.4, -0.3))
    assert new["q"].value == 0.6
    assert new["sigma"].value is None, "a Gaussian has no Re"
    assert b["Re"].is_free
    assert b["Re"].value == 6.0
    assert b["n"].is_free


def test_followers_follow_the_new_one(r: TargetImage) -> None:
    host, star = sersic(r, "host"), PointSource(target=r, name="SN", flux=30.0)
    star["center"].tie(host["center"], offset=(1.0, 0.0))
    group = Group([Group([host], name="inner"), star])
    group.replace("inner/host", Exponential(target=r, name="disc", center=(2.0, 2.0), Ie=1.0))
    np.testing.assert_allclose(star["center"].value, (3.0, 2.0))
    assert star["center"].current_tie.inputs == (group["inner/disc/center"],)


# --- merge ---------------------------------------------------------------------------------------


def test_merge_unites_members_images_and_names(both: TargetImageList) -> None:
    r, w1 = both
    a = Group([sersic(r, "g1"), sersic(r, None)], target=r, name="A")
    b = Group([sersic(w1, "g1"), sersic(w1, None), sersic(w1, "g1 (2)")], target=w1, name="B")
    merged = merge(a, b)
    assert isinstance(merged, Group)
    assert merged.name == "A"
    assert names(merged) == [
        "g1", "sersic galaxy", "g1 (3)", "sersic galaxy 2", "g1 (2)",
    ]  # fmt: skip
    assert merged.images_modelled == (r, w1)
    assert names(a) == ["g1", "sersic galaxy"]
    assert a.target is r
    assert jl.models.merge is merge


def test_merge_takes_common_members_once_and_anything_as_a_member(both: TargetImageList) -> None:
    common = galaxy(both, "common")
    a = Group([common, galaxy(both, "a")], target=both)
    b = Group([galaxy(both, "b"), common], target=both)
    merged = merge(a, b, joint("flat sky", target=both, name="sky"), name="all")
    assert names(merged) == ["common", "a", "b", "sky"]
    assert merged.name == "all"


def test_merge_of_a_group_into_another_in_place(r: TargetImage) -> None:
    a, b = Group([sersic(r, "a")]), Group([sersic(r, "b")])
    assert a.merge(b) is a
    assert names(a) == ["a", "b"]
    assert a["b"] is b["b"]


# --- what is refused -----------------------------------------------------------------------------


def _nested(field: Group) -> Group:
    return Group([field], name="outer")


REFUSED: dict[str, tuple[Callable[[Group], object], list[str]]] = {
    "add nothing": (lambda f: f.add(), ["models", "at least one"]),
    "add a list": (lambda f: f.add([f["a"]]), ["models must be a model", "*"]),
    "add a name": (lambda f: f.add("a"), ["models must be a model", "'a'"]),
    "add a class": (lambda f: f.add(Sersic), ["models must be a model"]),
    "add a member": (lambda f: f.add(f["a"]), ["'a'", "'field'"]),
    "add a leaf of a member": (lambda f: f.add(f["a"]["r"]), ["twice", "'r'"]),
    "add itself": (lambda f: f.add(f), ["'field'", "cannot"]),
    "add what holds it": (lambda f: f.add(_nested(f)), ["'outer' holds 'field'"]),
    "add an equal name": (
        lambda f: f.add(sersic(f.images_modelled[0], "a")),
        ["'field' already has a member named 'a'"],
    ),
    "add two equal names": (
        lambda f: f.add(*(sersic(f.images_modelled[0], "x") for _ in range(2))),
        ["named 'x'"],
    ),
    "add an image of equal name": (
        lambda f: f.add(sersic(make_image("r"), "x")),
        ["two of them are named 'r'"],
    ),
    "add an image on another plane": (
        lambda f: f.add(sersic(make_image("z", ra=150.001), "x")),
        ["planes about different points", "x.center"],
    ),
    "add to a joint model": (
        lambda f: f["a"].add(sersic(f.images_modelled[0], "x")),
        ["add", "'a' is a joint model"],
    ),
    "merge into a joint model": (lambda f: f["a"].merge(f["b"]), ["merge", "joint model"]),
    "merge nothing": (lambda f: f.merge(3), ["other must be a model, not 3"]),
    "merge with itself": (lambda f: f.merge(f), ["'field'", "itself"]),
    "merge a number": (lambda f: merge(f, 3), ["models must be a model, not 3"]),
    "remove nothing": (lambda f: f.remove(), ["models", "at least one"]),
    "remove an unknown": (lambda f: f.remove("aa"), ["models", "'aa'", "Did you mean 'a'?"]),
    "remove a number": (lambda f: f.remove(3), ["models", "3"]),
    "remove a foreign model": (
        lambda f: f.remove(sersic(f.images_modelled[0], "a")),
        ["'a' is not in 'field'", "another one of that name"],
    ),
    "remove an ambiguous name": (
        lambda f: f.remove("r"),
        ["3 models", "'a/r'", "'b/r'", "'sky/r'"],
    ),
    "remove all": (lambda f: f.remove("a", "b", "sky"), ["nothing would be left in 'field'"]),
    "remove itself": (lambda f: f.remove(f), ["nothing would be left"]),
    "remove with a wrong choice": (
        lambda f: f.remove("a", ties="drop"),
        ["ties must be 'hand over' or 'untie', not 'drop'"],
    ),
    "replace an unknown": (
        lambda f: f.replace("x", sersic(f.images_modelled[0], "y")),
        ["old", "'x'"],
    ),
    "replace two": (
        lambda f: f.replace(["a", "b"], sersic(f.images_modelled[0], "y")),
        ["old must be one model"],
    ),
    "replace by a name": (lambda f: f.replace("a", "b"), ["new must be a model, not 'b'"]),
    "replace by a member": (lambda f: f.replace("a", f["b"]), ["twice"]),
    "replace by an equal name": (
        lambda f: f.replace("a", sersic(f.images_modelled[0], "b")),
        ["new", "named 'b'"],
    ),
    "replace in a joint model": (
        lambda f: f.replace("a/r", sersic(f.images_modelled[0], "y")),
        ["replace", "'a' is a joint model"],
    ),
    "exclude an unknown": (lambda f: f.images(exclude=["c"]), ["exclude", "'c'", "'a'"]),
    "exclude a number": (lambda f: f.images(exclude=3), ["exclude", "3"]),
    "exclude a number in a list": (lambda f: f.images(exclude=[3]), ["exclude", "3"]),
    "only an unknown": (lambda f: f.image("r", only="c"), ["only", "'c'"]),
    "exclude a foreign source": (
        lambda f: f.images(exclude=galaxy(TargetImageList(f.target), "a").sources),
        ["exclude", "source 'a' is not one of 'field'"],
    ),
    "deblend no image": (lambda f: f.deblend(), ["2 images", "target"]),
    "deblend an unknown image": (lambda f: f.deblend("z"), ["'z'"]),
    "deblend masked": (lambda f: f.deblend("r", masked=0), ["masked must be 'nan' or 'model'"]),
}


@pytest.mark.parametrize(("call", "words"), REFUSED.values(), ids=REFUSED)
def test_refused(call: Callable[[Group], object], words: list[str], both: TargetImageList) -> None:
    field = Group(
        [galaxy(both, "a"), galaxy(both, "b"), joint("flat sky", target=both, name="sky", I0=1.0)],
        target=both,
        name="field",
    )
    with pytest.raises(InvalidInput) as caught:
        call(field)
    for word in words:
        assert word in str(caught.value)
    assert names(field) == ["a", "b", "sky"], "nothing was changed"
    assert field.target is both


# --- nesting -------------------------------------------------------------------------------------


def nested(both: TargetImageList, how: str) -> Group:
    """Three galaxies and a sky in two images, the groups nested one way or another."""
    centers = [(-2.0, 1.0), (1.5, 0.5), (0.0, -2.5)]
    pairs = []
    for k, center in enumerate(centers):
        a = sersic(both[0], f"r {k}", center=center, Re=1.0 + 0.2 * k)
        b = sersic(both[1], f"W1 {k}")
        b.tie(a, except_=["Ie"])
        pairs.append((a, b))
    skies = [FlatSky(target=image, name=f"sky {image.name}", I0=0.1) for image in both]
    if how == "flat":
        members: list[Model] = [one for pair in pairs for one in pair] + skies
    elif how == "by object":
        members = [Group(pair, name=f"g{k}") for k, pair in enumerate(pairs)]
        members += skies
    elif how == "by image":
        members = [
            Group([*(pair[i] for pair in pairs), skies[i]], name=both[i].name) for i in range(2)
        ]
    else:
        inner = Group([Group(pairs[0], name="g0"), Group(pairs[1], name="g1")], name="pair")
        members = [Group([inner, skies[0]], name="most"), *pairs[2], skies[1]]
    return Group(members, target=both, name="field")


HOW = ["flat", "by object", "by image", "mixed"]


@pytest.mark.parametrize("how", HOW)
def test_groups_nested_any_way_have_the_same_sources(how: str, both: TargetImageList) -> None:
    sources = nested(both, how).sources
    objects = [
        sorted(leaf.name for leaf in source.components) for source in sources if not source.is_sky
    ]
    assert sorted(objects) == [[f"W1 {k}", f"r {k}"] for k in range(3)]
    assert sum(source.is_sky for source in sources) == 2


@EVERY_BACKEND
@pytest.mark.parametrize("how", HOW[1:])
def test_groups_nested_any_way_are_the_same_scene(how: str, both: TargetImageList) -> None:
    flat, other = nested(both, "flat"), nested(both, how)
    for a, b in zip(flat.images(), other.images(), strict=True):
        np.testing.assert_allclose(a, b, rtol=0.0, atol=1e-13 * np.abs(a).max())
    assert flat.chi2() == pytest.approx(other.chi2(), rel=1e-13)
    assert len(flat.free_parameters) == len(other.free_parameters)
    a, b = flat.fit(max_iter=6), other.fit(max_iter=6)
    assert a.chi2 == pytest.approx(b.chi2, rel=1e-9)


def test_a_group_of_many_objects_is_looked_through(r: TargetImage) -> None:
    field = Group([sersic(r, f"g{k}", center=(k - 3.0, 0.0)) for k in range(6)], name="catalogue")
    model = Group([field, FlatSky(target=r, name="sky")], name="all")
    assert [s.name for s in model.sources] == [*(f"g{k}" for k in range(6)), "sky"]
    flat = Group([*field.models, *model.models[1:]])
    assert [s.name for s in flat.sources] == [s.name for s in model.sources]


def test_a_group_with_a_sky_is_no_object(r: TargetImage) -> None:
    inner = Group([sersic(r, "a"), sersic(r, "b"), FlatSky(target=r, name="sky")], name="r band")
    model = Group([inner, Exponential(target=r, name="c")])
    assert [s.name for s in model.sources] == ["a", "b", "sky", "c"]


def test_an_edited_group_can_be_copied_and_pickled(both: TargetImageList) -> None:
    field = Group([galaxy(both, "a"), galaxy(both, "b")], target=both).add(galaxy(both, "c"))
    field.remove("a")
    assert names(field.copy()) == ["b", "c"]
    assert names(pickle.loads(pickle.dumps(field))) == ["b", "c"]
    assert copy.copy(field)["c/Re"].value == 2.0


def test_members_are_found_after_renaming(r: TargetImage) -> None:
    group = Group([sersic(r, "a/b"), sersic(r, "a"), sersic(r, None)])
    assert group["a/b/Re"] is group["a/b"]["Re"]
    assert group["a/Re"] is group.models[1]["Re"]
    unnamed = group["sersic galaxy"]
    Group([sersic(r, "sersic galaxy"), unnamed])
    assert group["sersic galaxy 2"] is unnamed
    assert group["sersic galaxy 2/q"] is unnamed["q"]
    with pytest.raises(InvalidInput, match="no member 'sersic galaxy'"):
        group["sersic galaxy"]


def test_long_tables_are_abbreviated(r: TargetImage) -> None:
    group = Group([sersic(r, f"g{k}") for k in range(300)])
    text = repr(group.free_parameters)
    assert len(text.splitlines()) < 120
    assert "1700 more" in text
    assert "g0/center" in text
    assert "g299/Ie" in text
    assert len(str(group).splitlines()) < 200


def test_units_that_differ_are_not_passed_on() -> None:
    bare, with_unit = make_image("r"), make_image("z", unit=u.nJy)
    pair = TargetImageList([bare, with_unit])
    group = Group([sersic(bare, "a"), sersic(with_unit, "b", Ie=None)], target=pair)
    group.replace("a", Sersic(target=with_unit, name="c"))
    assert group["c/Re"].value == 2.0
    assert group["c/Ie"].value is None


# --- ties of any shape ---------------------------------------------------------------------------


def sensitivities(models: list[Sersic], roots: list[Any]) -> np.ndarray:
    """d (Re of each model) / d (value of each root), by moving them."""
    before = np.array([model["Re"].value for model in models])
    columns = []
    for root in roots:
        value = root.value
        root.value = value + 1.0
        columns.append(np.array([model["Re"].value for model in models]) - before)
        root.value = value
    return np.array(columns).T.reshape(len(models), len(roots))


@pytest.mark.parametrize("seed", range(60))
def test_what_stays_can_do_what_it_could(seed: int, r: TargetImage) -> None:
    """Whatever the ties: the same values, and the same directions to move in, as before."""
    rng = np.random.default_rng(seed)
    models = [sersic(r, f"m{k}", Re=float(rng.uniform(40.0, 60.0))) for k in range(7)]
    for k, model in enumerate(models):
        model["Re"].limits = None
        if k == 0 or rng.random() < 0.3:
            continue
        others = [models[j]["Re"] for j in range(k)]
        scale, offset = float(rng.uniform(0.5, 1.5)), float(rng.uniform(0.0, 1.0))
        if k > 1 and rng.random() < 0.2:
            pair = rng.choice(k, size=2, replace=False)
            model["Re"].tie_linear([others[j] for j in pair], scales=[scale, 0.3], offset=offset)
        else:
            model["Re"].tie(others[int(rng.integers(k))], scale=scale, offset=offset)
    shuffled = [models[j] for j in rng.permutation(7)]
    leaving = shuffled[: int(rng.integers(1, 6))]
    group = Group([models[j] for j in rng.permutation(7)], name="all")
    staying = [model for model in group.models if model not in leaving]
    values = [model["Re"].value for model in staying]
    roots = [model["Re"] for model in models if not model["Re"].is_tied]
    before = sensitivities(staying, roots)  # type: ignore[arg-type]
    try:
        group.remove(*leaving)
    except InvalidInput:
        assert [model["Re"].value for model in staying] == values
        np.testing.assert_array_equal(sensitivities(staying, roots), before)  # type: ignore[arg-type]
        return
    np.testing.assert_allclose([model["Re"].value for model in staying], values, rtol=1e-12)
    own = [model["Re"] for model in staying if not model["Re"].is_tied]
    after = sensitivities(staying, own)  # type: ignore[arg-type]
    rank = np.linalg.matrix_rank(before, tol=1e-9)
    assert np.linalg.matrix_rank(after, tol=1e-9) == rank == len(own)
    assert np.linalg.matrix_rank(np.hstack([before, after]), tol=1e-9) == rank
    inside = {id(p) for p in group.all_parameters.values()}
    assert all(id(p) in inside for p in group.free_parameters.values())


@pytest.mark.slow
def test_the_time_goes_with_the_number_of_members(both: TargetImageList) -> None:
    def times(n: int) -> np.ndarray:
        members = [galaxy(both, f"g{k}", center=(0.01 * k, 0.0)) for k in range(n)]
        out = []
        for call in (
            lambda: Group(members, target=both),
            lambda: Group(members[:1], target=both).add(*members[1:]).remove(*members[: n // 2]),
            lambda: Group(members, target=both).sources,
            lambda: Group(members, target=both).free_parameters,
            lambda: [Group(members, target=both)[f"g{k}/Re"] for k in (0, n - 1)],
        ):
            start = time.perf_counter()
            call()
            out.append(time.perf_counter() - start)
        return np.array(out)

    times(50)
    few, many = (np.min([times(n) for _ in range(3)], axis=0) for n in (250, 1000))
    assert np.all(many < 12.0 * few + 0.01), "four times as many; 16 would be by the square"
