# SPDX-License-Identifier: BSD-3-Clause
"""Block-coordinate fits: the minimum of LM, whatever the blocks; what they say and refuse."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import jointlight as jl
from jointlight.errors import InvalidInput
from jointlight.fit import LM, Iter, LMOptions
from jointlight.fit.blocks import check_blocks, make_blocks, side_by_side
from reference.on_backends import EVERY_BACKEND, SLOW_EMULATED

pytestmark = EVERY_BACKEND

GALAXIES = (
    {"center": (-1.5, 0.3), "q": 0.7, "PA": 20.0, "n": 1.5, "Re": 1.2},
    {"center": (1.2, -0.4), "q": 0.5, "PA": 100.0, "n": 2.5, "Re": 1.0},
    {"center": (0.2, 2.2), "q": 0.8, "PA": 60.0, "n": 1.0, "Re": 0.8},
)
FLUXES = {"r": (300.0, 200.0, 150.0), "W": (400.0, 300.0, 80.0)}
SIGMA = {"r": 0.15, "W": 0.3}
START = {"n": 1.2, "Re": 1.3, "q": 0.8}  # what the fits start from in place of the truth


def images(data: dict[str, Any] | None = None) -> jl.TargetImageList:
    """Two pixel scales, two PSFs."""
    made = []
    for name, size, scale, fwhm in (("r", 50, 0.3, 0.8), ("W", 30, 0.5, 1.4)):
        pixels = np.zeros((size, size)) if data is None else data[name]
        psf = jl.gaussian_psf(fwhm=fwhm, pixelscale=scale)
        made.append(
            jl.TargetImage(pixels, pixelscale=scale, variance=SIGMA[name] ** 2, psf=psf, name=name)
        )
    return jl.TargetImageList(made)


def by_object(target: jl.TargetImageList, changes: dict[str, float]) -> jl.Group:
    """A joint model an object, and one of the skies."""
    members: list[Any] = [
        jl.joint(
            "sersic galaxy", target=target, name=f"g{k}", amplitude="flux",
            flux={image.name: FLUXES[image.name][k] for image in target},
            parameters=galaxy | changes,
        )
        for k, galaxy in enumerate(GALAXIES)
    ]  # fmt: skip
    members.append(jl.joint("flat sky", target=target, name="sky", I0=0.05))
    return jl.Group(members, target=target, name="blend")


def by_image(target: jl.TargetImageList, changes: dict[str, float]) -> jl.Group:
    """A group an image; the shapes of the first are those of the second."""
    model = by_object(target, changes)
    groups = []
    for image in target:
        members = []
        for member in model.models:
            leaf = member[image.name]
            leaf._set_name(f"{member.name} {image.name}")
            members.append(leaf)
        groups.append(jl.Group(members, name=image.name))
    return jl.Group(groups, target=target, name="blend")


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    rng = np.random.default_rng(3)
    truth = by_object(images(), {})
    return {
        image.name: truth.image(image) + rng.normal(0.0, SIGMA[image.name], image.shape)
        for image in truth.images_modelled
    }


@pytest.fixture(scope="module")
def by_lm(data: dict[str, Any]) -> Any:
    return LM(by_object(images(data), START)).fit()


@pytest.fixture
def blend(data: dict[str, Any]) -> jl.Group:
    return by_object(images(data), START)


def agree(result: Any, reference: Any) -> None:
    """The same minimum: far below what chi2 can tell, and errors of the full problem."""
    assert result.success, result.message
    assert abs(result.chi2 - reference.chi2) < 0.01
    assert np.max(np.abs(result.values - reference.values) / reference.errors) < 0.05
    assert_allclose(result.errors, reference.errors, rtol=0.01)
    assert result.dof == reference.dof


# --- the same minimum ----------------------------------------------------------------------------

BLOCKS: dict[str, Any] = {
    "members": None,
    "one": [["g0", "g1", "g2", "sky"]],
    "pairs": [["g0", "g1"], ["g2", "sky"]],
    "overlapping": [["g0", "g1"], ["g1", "g2"], ["sky"]],
    "some left over": ["g0", "g2"],
    "leaves": ["r", "W"],
}


@pytest.mark.parametrize("blocks", BLOCKS.values(), ids=BLOCKS)
def test_any_partition_reaches_the_minimum(blocks: Any, blend: jl.Group, by_lm: Any) -> None:
    if blocks == ["r", "W"]:
        blocks = [[f"{m.name}/{band}" for m in blend.models] for band in blocks]
    agree(Iter(blend, blocks=blocks).fit(), by_lm)


@SLOW_EMULATED
def test_blocks_of_parameters(blend: jl.Group, by_lm: Any) -> None:
    shapes = [[blend[f"g{k}"][name] for name in ("q", "PA", "n", "Re")] for k in range(3)]
    rest = [[f"g{k}/center" for k in range(3)], ["g0/flux", "g1/flux", "g2/flux", blend["sky"]]]
    agree(Iter(blend, blocks=[*shapes, *rest], max_iter=300).fit(), by_lm)


@SLOW_EMULATED
@pytest.mark.parametrize("shared", ["every", "first", "own block"])
def test_ties_across_blocks(shared: Any, data: dict[str, Any], by_lm: Any) -> None:
    model = by_image(images(data), START)
    result = Iter(model, shared=shared).fit()
    assert result.success, result.message
    assert abs(result.chi2 - by_lm.chi2) < 0.01
    for k in range(3):
        for name in ("Re", "n", "q", "PA"):
            expected = by_lm.model[f"g{k}/{name}"]
            found = model[f"r/g{k} r/{name}"]
            assert abs(found.value - expected.value) < 0.05 * expected.uncertainty
            assert found.uncertainty == pytest.approx(expected.uncertainty, rel=0.01)


@SLOW_EMULATED
def test_a_tie_between_members_and_a_function(data: dict[str, Any]) -> None:
    def build() -> jl.Group:
        model = by_object(images(data), START)
        model["g1/n"].tie(model["g0/n"])
        model["g2/Re"].tie(_shorter, [model["g0/Re"]])
        return model

    reference = LM(build()).fit()
    for shared in ("every", "first", "own block"):
        agree(Iter(build(), shared=shared).fit(), reference)


def _shorter(length: float) -> float:
    return 0.7 * length


def test_limits_hold_and_are_told(data: dict[str, Any]) -> None:
    def build() -> jl.Group:
        model = by_object(images(data), START)
        model["g1/n"].limits = (0.5, 1.4)
        return model

    reference, result = LM(build()).fit(), Iter(build()).fit()
    assert result.success
    assert abs(result.chi2 - reference.chi2) < 0.01
    assert_array_equal(result.at_bound, reference.at_bound)
    assert result.model["g1/n"].value == 1.4
    assert "At a bound: g1/n" in result.message


def test_fixed_parameters_and_priors(data: dict[str, Any]) -> None:
    def build() -> jl.Group:
        model = by_object(images(data), START)
        model["g0/n"].fixed = True
        model["g2/Re"].prior = jl.Normal(0.6, 0.01)
        return model

    result = Iter(build()).fit()
    agree(result, LM(build()).fit())
    assert result.model["g0/n"].value == START["n"]


def test_a_calibration_of_an_image_is_a_block_of_its_own(data: dict[str, Any]) -> None:
    def build() -> jl.Group:
        target = images(data)
        target["W"].calibration["shift"].fixed = False
        return by_object(target, START)

    model = build()
    scene = model.compile()
    blocks = make_blocks(scene, check_blocks(model, None), "every")
    assert [block.name for block in blocks] == ["g0", "g1", "g2", "sky", "others"]
    assert [scene.names[i] for i in np.flatnonzero(blocks[-1].active)] == [
        "image W/shift_x",
        "image W/shift_y",
    ]


# --- blocks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", ["every", "first", "own block"])
def test_where_shared_parameters_go(shared: str, data: dict[str, Any]) -> None:
    model = by_image(images(data), {})
    scene = model.compile()
    blocks = make_blocks(scene, check_blocks(model, None), shared)
    sizes = {block.name: int(block.active.sum()) for block in blocks}
    shapes, amplitudes = 3 * 6, 3 + 1
    assert (
        sizes
        == {
            "every": {"r": shapes + amplitudes, "W": shapes + amplitudes},
            "first": {"r": shapes + amplitudes, "W": amplitudes},
            "own block": {"r": amplitudes, "W": amplitudes, "shared": shapes},
        }[shared]
    )
    covered = np.sum([block.active for block in blocks], axis=0)
    assert covered.min() == 1
    assert (covered.max() == 1) == (shared != "every")


REFUSED: dict[str, tuple[Callable[[Any], object], str]] = {
    "blocks a name": (lambda m: Iter(m, blocks="g0"), r"blocks must be a sequence of blocks.*\[\["),
    "blocks a model": (lambda m: Iter(m, blocks=m["g0"]), "blocks must be a sequence of blocks"),
    "blocks a number": (lambda m: Iter(m, blocks=3), "blocks must be a sequence of blocks, not 3"),
    "blocks empty": (lambda m: Iter(m, blocks=[]), "blocks must be at least one block"),
    "a block empty": (lambda m: Iter(m, blocks=[["g0"], []]), "blocks must be .* an empty block"),
    "a block a number": (lambda m: Iter(m, blocks=[["g0", 3.5]]), "blocks must be .* of names"),
    "an unknown label": (lambda m: Iter(m, blocks=[["g0", 3]]), "no member or source '3'"),
    "unknown member": (lambda m: Iter(m, blocks=["g7"]), "'blend' has no member or source 'g7'"),
    "unknown parameter": (lambda m: Iter(m, blocks=["g0/Ree"]), "blocks: .*'g0/Ree'"),
    "foreign model": (lambda m: Iter(m, blocks=[m["g0"].copy()]), "'g0' is not in 'blend'"),
    "foreign parameter": (
        lambda m: Iter(m, blocks=[[m["g0"].copy(name="far")["Re"]]]),
        r"blocks: far\.Re is not a parameter of 'blend'",
    ),
    "shared": (
        lambda m: Iter(m, shared="last"),
        "shared must be 'every', 'first' or 'own block', not 'last'",
    ),
    "misspelt": (lambda m: Iter(m, block=[["g0"]]), "'block'. Did you mean 'blocks'"),
}  # fmt: skip


@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(call: Callable[[Any], object], message: str, blend: jl.Group) -> None:
    with pytest.raises(InvalidInput, match=message):
        call(blend)


# --- how it ends and what it says ----------------------------------------------------------------


def test_progress_is_told(blend: jl.Group, capsys: pytest.CaptureFixture[str]) -> None:
    Iter(blend, verbose=1, max_iter=2).fit()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "sweep 1 of at most 2"
    assert [line.split(":")[0].strip() for line in lines[1:5]] == ["g0", "g1", "g2", "sky"]
    chi2 = [float(re.search(r"chi2 = ([\d.]+)", line)[1]) for line in lines[1:6]]  # type: ignore[index]
    assert chi2 == sorted(chi2, reverse=True), "no block makes it worse"
    assert lines[5].startswith("  chi2 = ")
    assert "after 4 blocks, lower by" in lines[5]
    assert lines[6] == "sweep 2 of at most 2"
    assert lines[-1].startswith("blend: Still falling after 2 sweeps.")


def test_many_blocks_are_told_one_by_one_only_if_asked(
    blend: jl.Group, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jointlight.fit.iterate._FEW_BLOCKS", 3)
    Iter(blend, verbose=1, max_iter=1).fit()
    assert "  g0: chi2" not in capsys.readouterr().out
    Iter(blend, verbose=2, max_iter=1).fit()
    assert "  g0: chi2" in capsys.readouterr().out
    Iter(blend, max_iter=1).fit()
    assert capsys.readouterr().out == ""


def test_too_few_sweeps_is_no_success(blend: jl.Group) -> None:
    result = Iter(blend, max_iter=1).fit()
    assert result.status == "max_iterations"
    assert not result.success
    assert np.isfinite(result.errors).all(), "errors come even so"


def test_the_time_limit_ends_it(blend: jl.Group) -> None:
    result = Iter(blend, time_limit=1e-9).fit()
    assert result.status == "timed_out"
    assert result.model["g0/Re"].value == START["Re"]


def test_a_callback_sees_every_sweep_and_may_stop_it(blend: jl.Group) -> None:
    seen: list[dict[str, Any]] = []

    def watch(record: Any) -> bool:
        seen.append(dict(record))
        return len(seen) == 3

    result = Iter(blend, callback=watch).fit()
    assert result.status == "interrupted"
    assert [record["iteration"] for record in seen] == [0, 1, 2]
    falling = [record["chi2"] for record in seen]
    assert falling == sorted(falling, reverse=True)
    assert len(result.history) == 3


def test_an_error_in_the_callback_is_raised(blend: jl.Group) -> None:
    def broken(_: Any) -> bool:
        raise RuntimeError("stop here")

    with pytest.raises(RuntimeError, match="stop here"):
        Iter(blend, callback=broken).fit()


def test_nothing_free(blend: jl.Group) -> None:
    for parameter in blend.free_parameters.values():
        parameter.fixed = True
    result = Iter(blend).fit()
    assert result.success, result.message
    assert len(result.values) == 0


def test_a_single_component_is_one_block(data: dict[str, Any]) -> None:
    def build() -> Any:
        star = jl.Model("sersic galaxy", target=images(data)["r"], name="it", n=1.0)
        return star.initialize()

    result, reference = Iter(build()).fit(), LM(build()).fit()
    assert result.success
    assert result.chi2 == pytest.approx(reference.chi2, rel=1e-8)


@SLOW_EMULATED
def test_a_member_without_data_does_not_keep_the_others(data: dict[str, Any]) -> None:
    model = by_object(images(data), START)
    far = model["g2"].copy(name="far")
    far["center"].value = (4000.0, 4000.0)
    model.add(far)
    result = Iter(model).fit()
    assert result.chi2 == pytest.approx(LM(by_object(images(data), START)).fit().chi2, abs=0.05)


def test_loose_first_then_tight(blend: jl.Group, monkeypatch: pytest.MonkeyPatch) -> None:
    from jointlight.fit import iterate

    tolerances: list[float] = []
    original = iterate._Sweeps._fit

    def spy(self: Any, options: dict[str, Any], active: Any) -> Any:
        tolerances.append(options["ftol"])
        return original(self, options, active)

    monkeypatch.setattr(iterate._Sweeps, "_fit", spy)
    result = Iter(blend, options=LMOptions(ftol=1e-10)).fit()
    assert result.success
    assert tolerances[0] == pytest.approx(1e-3 / 4)
    assert tolerances == sorted(tolerances, reverse=True)
    assert tolerances[-1] == pytest.approx(0.1 * 1e-7 / 4)


def test_jumps_pay_and_stay_inside_limits(
    data: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from jointlight.fit import iterate

    start = START | {"q": 0.7}
    model = by_image(images(data), start)
    model["r/g0 r/q"].limits = (0.03, 0.75)
    with_jumps = Iter(model).fit()
    assert with_jumps.success
    assert model["r/g0 r/q"].value <= 0.75
    monkeypatch.setattr(iterate._Sweeps, "_jump", lambda *_: 0.0)
    plain_model = by_image(images(data), start)
    plain_model["r/g0 r/q"].limits = (0.03, 0.75)
    plain = Iter(plain_model).fit()
    assert abs(plain.chi2 - with_jumps.chi2) < 0.02
    assert len(with_jumps.history) < len(plain.history)


def test_it_is_compiled_once(blend: jl.Group, monkeypatch: pytest.MonkeyPatch) -> None:
    from jointlight import scene

    count = 0
    original = scene.compile

    def counted(*args: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        return original(*args, **options)

    monkeypatch.setattr(scene, "compile", counted)
    Iter(blend).fit()
    assert count == 1


# --- blocks that do not meet ---------------------------------------------------------------------


def apart(data: Any, window: int) -> jl.Group:
    """Four galaxies in the corners of an image, windows of so many pixels."""
    psf = jl.gaussian_psf(fwhm=0.8, pixelscale=0.3)
    image = jl.TargetImage(data, pixelscale=0.3, variance=0.01, psf=psf, name="r")
    members = []
    for k in range(4):
        x, y = 15 + 30 * (k % 2), 15 + 30 * (k // 2)
        xs, ys = ((max(at - window // 2, 0), min(at + window // 2, 60)) for at in (x, y))
        members.append(
            jl.Model(
                "sersic galaxy", target=image, name=f"g{k}", center=image.pixel_to_plane(x, y),
                window=(xs, ys), q=0.7, PA=20.0 * k, n=1.0, Re=0.9, Ie=10.0,
            )
        )  # fmt: skip
    return jl.Group(members, name="apart")


@pytest.mark.parametrize(("window", "turns"), [(28, [4]), (30, [4]), (32, [1, 1, 1, 1])])
def test_blocks_that_share_no_pixel_take_a_turn_together(window: int, turns: list[int]) -> None:
    model = apart(np.zeros((60, 60)), window)
    scene = model.compile()
    found = side_by_side(scene, make_blocks(scene, check_blocks(model, None), "every"))
    assert [len(turn) for turn in found] == turns


def test_turns_go_by_what_follows_a_block_too(data: dict[str, Any]) -> None:
    model = apart(np.zeros((60, 60)), 28)
    model["g3/Re"].tie(_shorter, [model["g0/Re"]])
    scene = model.compile()
    blocks = make_blocks(scene, check_blocks(model, None), "first")
    assert [[b.name for b in turn] for turn in side_by_side(scene, blocks)] == [
        ["g0", "g1", "g2"],
        ["g3"],
    ]


def test_a_field_of_objects_apart_takes_few_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    from jointlight.fit import iterate

    rng = np.random.default_rng(8)
    data = apart(np.zeros((60, 60)), 28).image() + rng.normal(0.0, 0.1, (60, 60))
    calls = 0
    original = iterate._Sweeps._fit

    def counted(self: Any, options: dict[str, Any], active: Any) -> Any:
        nonlocal calls
        calls += 1
        return original(self, options, active)

    monkeypatch.setattr(iterate._Sweeps, "_fit", counted)
    result = Iter(apart(data, 28)).fit()
    assert calls == len(result.history) <= 6
    agree(result, LM(apart(data, 28)).fit())


@SLOW_EMULATED
def test_sources_are_told_apart(data: dict[str, Any]) -> None:
    model = by_object(images(data), START)
    far = model["g2"].copy(name="far")
    far["center"].value = (4000.0, 4000.0)
    table = Iter(model.add(far)).fit().sources
    assert list(table["name"]) == ["g0", "g1", "g2", "far"]
    assert list(table["status"]) == ["converged_ftol"] * 3 + ["lost"]
    assert set(Iter(model, max_iter=1).fit().sources["status"]) == {"max_iterations", "lost"}


def test_an_interrupt_between_two_fits_keeps_what_was_reached(
    blend: jl.Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jointlight.fit import iterate

    before = blend.chi2()
    original = iterate._Sweeps._fit
    calls = 0

    def interrupted(self: Any, options: dict[str, Any], active: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return original(self, options, active)

    monkeypatch.setattr(iterate._Sweeps, "_fit", interrupted)
    result = Iter(blend).fit()
    assert result.status == "interrupted"
    assert "Interrupted in sweep 1." in result.message
    assert not result.success
    assert result.chi2 < before
    assert blend.chi2() == pytest.approx(result.chi2, rel=1e-12)
