# SPDX-License-Identifier: BSD-3-Clause
"""Fit results: tables, errors of derived quantities, flags, immutability."""

from __future__ import annotations

import math
import pickle
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

import jointlight as jl
from jointlight import flags
from jointlight.result import Component, FitResult, FreeParameter, SlotState
from jointlight.result.derived import (
    Quantities,
    component_flux,
    half_light_ratio,
    mean_brightness,
)
from jointlight.result.slots import Derived
from jointlight.result.summary import format_value
from jointlight.scene import propagate
from reference import small_problem
from reference.on_backends import EVERY_BACKEND

pytestmark = EVERY_BACKEND


def small_fit(amplitude: str = "brightness", **options: Any) -> FitResult:
    """One Sersic in three small images, from a start off the truth."""
    clean = small_problem.noiseless()
    targets = small_problem.images(small_problem.noisy(clean, np.random.default_rng(7)))
    model = jl.joint(
        "sersic galaxy", target=jl.TargetImageList(targets), amplitude=amplitude, name="galaxy"
    )
    f0, _ = jl._core.flux_factor("sersic", np.array([small_problem.TRUTH["n"]]))
    area = small_problem.TRUTH["Re"] ** 2 * small_problem.TRUTH["q"] * f0
    for name, value in small_problem.TRUTH.items():
        model[name].value = value
    for member in model.models:
        flux = small_problem.FLUXES[member.target.name]
        member[member.amplitude_name].value = flux if amplitude == "flux" else flux / area
    model["Re"].value = 2.6
    model["n"].value = 1.5
    return jl.fit.LM(model, **options).fit()


@pytest.fixture(scope="module")
def result(every_backend: str) -> FitResult:
    return small_fit()


# ---- flags ------------------------------------------------------------------------------


def test_flags_are_distinct_bits() -> None:
    bits = [flag.bit for flag in flags.FLAGS]
    assert len(set(bits)) == len(bits)
    assert all(bit & (bit - 1) == 0 for bit in bits)
    assert len({flag.name for flag in flags.FLAGS}) == len(bits)
    assert all(flag.short and flag.long for flag in flags.FLAGS)


def test_flags_round_trip() -> None:
    names = [flag.name for flag in flags.FLAGS]
    assert flags.decode(flags.encode(names)) == names
    assert flags.decode(0) == []
    assert flags.decode([1, 2], style="short") == [
        ["at its bound"],
        ["not constrained by the data"],
    ]
    assert flags.decode(np.array([flags.NO_ERROR])) == [["no_error"]]


@pytest.mark.parametrize("value", [-1, 1 << 30])
def test_unknown_bits_are_refused(value: int) -> None:
    with pytest.raises(jl.InvalidInput, match="value"):
        flags.decode(value)


def test_unknown_flag_names_are_refused() -> None:
    with pytest.raises(jl.InvalidInput, match="at_bound"):
        flags.encode(["at_bond"])


# ---- propagation ------------------------------------------------------------------------


def test_propagation_is_the_quadratic_form(rng: np.random.Generator) -> None:
    root = rng.normal(size=(4, 4))
    covariance = root @ root.T
    gradient = rng.normal(size=(3, 4))
    got = propagate(sparse.csr_array(gradient), covariance, np.zeros(4, bool))
    assert_allclose(got, gradient @ covariance @ gradient.T, rtol=1e-12)


def test_unconstrained_parameters_take_the_error_of_what_depends_on_them() -> None:
    covariance = np.diag([1.0, np.nan, 4.0])
    covariance[1, :] = covariance[:, 1] = np.nan
    gradient = sparse.csr_array(np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]))
    got = propagate(gradient, covariance, np.zeros(3, bool))
    assert_allclose(got[0, 0], 5.0)
    assert np.isnan(got[1]).all()
    # A parameter held at its bound does not: it adds nothing.
    at_bound = np.array([False, True, False])
    assert_allclose(propagate(gradient, covariance, at_bound)[1, 1], 0.0)


def test_no_covariance_no_error() -> None:
    got = propagate(sparse.csr_array(np.eye(2)), None, np.zeros(2, bool))
    assert np.isnan(got).all()


@pytest.mark.parametrize("profile", sorted(jl._core.profiles()))
def test_flux_and_mean_brightness_gradients(profile: str) -> None:
    facts = jl._core.profiles()[profile]
    names = ["x", "y"]
    values = [0.0, 0.0]
    if "sky" in profile or profile in {"flat", "plane"}:
        pytest.skip("no total flux")
    amplitude = "flux" if profile == "point" else "brightness"
    if profile != "point":
        shape = list(facts["shape_names"])
        low, high = np.asarray(facts["shape_min"]), np.asarray(facts["shape_max"])
        middle = np.minimum(np.sqrt(np.maximum(low, 0.5) * high), 3.0)
        names += ["q", "PA", facts["scale_name"], *shape]
        values += [0.7, 20.0, 3.0, *middle]
    names.append(facts["amplitude_name"])
    values.append(2.5)
    component = Component(
        source=0, source_name="s", name="s", model_type=profile, profile=profile, image=0,
        slot_names=tuple(names), slots=tuple(range(len(names))), amplitude=amplitude,
    )  # fmt: skip
    v = np.array(values)
    for function in (component_flux, mean_brightness):
        value, gradient = function(component, v)
        if math.isnan(value):
            continue
        for slot in range(len(v)):
            step = 1e-6 * max(1.0, abs(v[slot]))
            up, down = v.copy(), v.copy()
            up[slot] += step
            down[slot] -= step
            numerical = (function(component, up)[0] - function(component, down)[0]) / (2 * step)
            assert_allclose(gradient.get(slot, 0.0), numerical, rtol=2e-6, atol=1e-7 * abs(value))


@pytest.mark.parametrize("profile", ["sersic", "gaussian", "moffat"])
@pytest.mark.parametrize("scale", [0.0, 1e-200, 1e200])
def test_a_source_without_extent_has_no_mean_brightness(profile: str, scale: float) -> None:
    """A lost source may shrink to nothing or grow out of range; its table is still wanted."""
    facts = jl._core.profiles()[profile]
    names = ("x", "y", "q", "PA", facts["scale_name"], *facts["shape_names"], "Ie")
    shape = [2.0] * len(facts["shape_names"])
    component = Component(
        source=0, source_name="s", name="s", model_type=profile, profile=profile, image=0,
        slot_names=names, slots=tuple(range(len(names))), amplitude="brightness",
    )  # fmt: skip
    value, gradient = mean_brightness(
        component, np.array([0.0, 0.0, 0.7, 20.0, scale, *shape, 2.5])
    )
    assert math.isnan(value)
    assert gradient == {}


def test_a_moffat_profile_of_infinite_flux_has_no_half_light_radius() -> None:
    for beta in (0.9, 1.0, 1.0 + 1e-4):
        assert math.isnan(half_light_ratio("moffat", np.array([beta]))[0])
    # 1 - (1 + r^2)^(1 - beta) = 1/2
    ratio = half_light_ratio("moffat", np.array([1.01]))[0]
    assert (1.0 + ratio**2) ** -0.01 == pytest.approx(0.5, rel=1e-12)


def test_stacked_quantities() -> None:
    stacked = Quantities.stack([(1.0, {2: 3.0}), (math.nan, {})], 4)
    assert_array_equal(stacked.gradient.toarray(), [[0, 0, 3, 0], [0, 0, 0, 0]])


# ---- a real fit -------------------------------------------------------------------------


def test_quality(result: FitResult) -> None:
    assert result.success, result.message
    assert result.n_free == 9
    assert result.dof == sum(image.data.size for image in result.images) - 9
    assert_allclose(sum(result.chi2_by_image.values()), result.chi2, rtol=1e-12)
    assert 0.85 < result.reduced_chi2 < 1.15
    assert result.correlation is not None
    assert_allclose(np.diag(result.correlation), 1.0)
    assert len(result.history) > 1
    assert result.time_s > 0
    assert result.n_linearize > 0


def test_parameter_table(result: FitResult) -> None:
    table = result.table
    assert len(table) == result.n_free
    for column in ("name", "model", "value", "error", "unit", "init", "flags"):
        assert column in table.colnames
    assert len(set(result.parameter_names)) == result.n_free
    names = list(table["name"])
    assert names.count("Ie") == 3
    re = names.index("Re")
    assert table["init"][re] == pytest.approx(2.6)
    pull = (table["value"][re] - small_problem.TRUTH["Re"]) / table["error"][re]
    assert abs(pull) < 4
    assert table["unit"][re] == "arcsec"
    assert not table["flags"].any()


def test_the_model_carries_values_and_uncertainties(result: FitResult) -> None:
    names = [p.name for p in result.parameters]
    model = result.model
    assert model is not None
    assert model["Re"].value == pytest.approx(result.values[names.index("Re")])
    assert model["Re"].uncertainty == pytest.approx(result.errors[names.index("Re")])
    # Tied parameters have their root's error.
    assert model["b/Re"].uncertainty == pytest.approx(model["Re"].uncertainty)
    assert model["Ie"]["b"].uncertainty > 0


def test_source_table(result: FitResult) -> None:
    sources = result.sources
    assert len(sources) == 1
    row = sources[0]
    assert row["name"] == "galaxy"
    for name in ("ra", "dec", "x", "y", "Re", "n", "q", "PA", "flux_a", "mag_b", "mean_sb_c"):
        assert name in sources.colnames
    position = result.images[0].plane_to_world(row["x"].value, row["y"].value)
    assert_allclose(row["ra"].value, position.ra.deg, rtol=0, atol=1e-9)
    assert_allclose(row["dec"].value, position.dec.deg, rtol=0, atol=1e-9)
    for name, flux in small_problem.FLUXES.items():
        assert abs(row[f"flux_{name}"] - flux) < 4 * row[f"flux_{name}_error"]
        mag = small_problem.ZEROPOINT - 2.5 * np.log10(row[f"flux_{name}"])
        assert_allclose(row[f"mag_{name}"].value, mag)
        assert_allclose(
            row[f"mag_{name}_error"].value,
            2.5 / np.log(10) * row[f"flux_{name}_error"] / row[f"flux_{name}"],
        )
    assert row["flags"] == 0


def test_flux_errors_do_not_depend_on_the_amplitude_parameter(result: FitResult) -> None:
    other = small_fit("flux")
    assert_allclose(other.chi2, result.chi2, rtol=1e-8)
    for name in small_problem.FLUXES:
        assert_allclose(other.sources[f"flux_{name}"], result.sources[f"flux_{name}"], rtol=1e-4)
        assert_allclose(
            other.sources[f"flux_{name}_error"], result.sources[f"flux_{name}_error"], rtol=1e-3
        )
    ours, theirs = result.color("a", "b", source=0), other.color("a", "b", source=0)
    assert_allclose(theirs.error, ours.error, rtol=1e-3)
    # Independent: from the flux fit's own covariance.
    index = [i for i, p in enumerate(other.parameters) if p.name == "flux"][:2]
    assert other.covariance is not None
    block = other.covariance[np.ix_(index, index)]
    gradient = 2.5 / np.log(10) * np.array([-1, 1]) / other.values[index]
    assert_allclose(theirs.error, np.sqrt(gradient @ block @ gradient), rtol=1e-10)


def test_colour(result: FitResult) -> None:
    value, error = result.color("a", "c", source="galaxy")
    row = result.sources[0]
    assert_allclose(value, (row["mag_a"] - row["mag_c"]).value)
    apart = np.hypot(row["mag_a_error"].value, row["mag_c_error"].value)
    assert 0 < error < apart  # shared structure moves both fluxes together
    assert result.color("a", "c").value.shape == (1,)
    assert_allclose(result.color("a", "a", source=0).error, 0.0, atol=1e-12)
    flux = result.flux("a", source=0)
    assert_allclose(flux.error, row["flux_a_error"])


@pytest.mark.parametrize(
    ("arguments", "match"),
    [(("a", "B"), "second"), (("nope", "a"), "first"), (("a", None), "second")],
)
def test_colour_of_unknown_images(result: FitResult, arguments: Any, match: str) -> None:
    with pytest.raises(jl.InvalidInput, match=match):
        result.color(*arguments)


@pytest.mark.parametrize("source", ["galxy", 1, -2, True, 0.0, object()])
def test_unknown_sources(result: FitResult, source: Any) -> None:
    with pytest.raises(jl.InvalidInput, match="source"):
        result.flux("a", source=source)


def test_derived_agrees_with_the_analytic_errors(result: FitResult) -> None:
    def flux(p: Any) -> float:
        f0, _ = jl._core.flux_factor("sersic", np.array([p["n"]]))
        return float(p["Ie[a]"] * p["Re"] ** 2 * p["q"] * f0)

    mine, theirs = result.derived(flux), result.flux("a", source=0)
    assert_allclose(mine.value, theirs.value)
    assert_allclose(mine.error, theirs.error, rtol=1e-6)
    both = result.derived(lambda p: [p["Re"], p["galaxy.q"]], unit="mixed")
    assert_allclose(both.error, [result.sources["Re_error"][0].value, result.sources["q_error"][0]])
    assert both.covariance.shape == (2, 2)
    assert "mixed" in repr(both)


def test_derived_names_what_it_does_not_know(result: FitResult) -> None:
    with pytest.raises(KeyError, match="Re"):
        result.derived(lambda p: p["Ree"])


def test_scaled_errors(result: FitResult) -> None:
    scaled = result.scale_errors()
    assert_allclose(scaled.errors, result.errors * np.sqrt(result.reduced_chi2))
    assert_allclose(
        scaled.sources["flux_a_error"],
        result.sources["flux_a_error"] * np.sqrt(result.reduced_chi2),
    )
    assert_allclose(result.scale_errors(2.0).errors, 2 * result.errors)
    assert_allclose(small_fit(scale_covariance=True).errors, scaled.errors, rtol=1e-9)
    with pytest.raises(jl.InvalidInput, match="factor"):
        result.scale_errors(0.0)


def test_immutable(result: FitResult) -> None:
    with pytest.raises(FrozenInstanceError):
        result.chi2 = 0.0  # type: ignore[misc]
    for array in (result.values, result.errors, result.covariance):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.0
    result.table["value"][0] = -99.0
    assert result.table["value"][0] != -99.0


def test_a_second_fit_leaves_the_first_result_alone() -> None:
    first = small_fit(max_iter=1)
    before = first.sources["Re"][0]
    assert first.model is not None
    second = jl.fit.LM(first.model).fit()
    assert first.sources["Re"][0] == before
    assert second.chi2 < first.chi2


def test_pickle(result: FitResult) -> None:
    twin = pickle.loads(pickle.dumps(result))
    for array in (twin.values, twin.covariance, twin.chi2_images):
        assert not array.flags.writeable
    assert twin.status == result.status
    assert_array_equal(twin.values, result.values)
    assert_allclose(twin.sources["mag_a"].value, result.sources["mag_a"].value)


@pytest.mark.parametrize("precision", ["float64", "mixed"])
@pytest.mark.parametrize("how", ["lm", "iter"])
def test_how_it_was_computed(every_backend: str, how: str, precision: Any, tmp_path: Path) -> None:
    model = small_problem.model(small_problem.images()[:1])
    fitter: Any = jl.fit.LM if how == "lm" else jl.fit.Iter
    found = fitter(model, precision=precision).fit()
    assert (found.backend, found.precision) == (every_backend, precision)
    for table in (found.table, found.sources):
        assert (table.meta["backend"], table.meta["precision"]) == (every_backend, precision)
    found.write(tmp_path / "fit.asdf")
    back = jl.load(tmp_path / "fit.asdf")
    for one in (back, pickle.loads(pickle.dumps(found))):
        assert (one.backend, one.precision) == (every_backend, precision)
    usual = (every_backend, precision) == ("cpu", "float64")
    assert (f"\n  on {every_backend}; {precision}\n" in found.summary()) != usual
    assert ("float64" in found.summary()) == (precision == "float64" and not usual)


def test_text(result: FitResult) -> None:
    text = result.summary()
    assert "Re" in text
    assert "chi2" in text
    assert str(result) == text
    assert result.status in repr(result)
    assert "<table>" in result._repr_html_()


@pytest.mark.parametrize(
    ("value", "error", "expected"),
    [
        (1.23456, 0.0123, ("1.235", "0.012")),
        (12345.678, 12.3, ("12346", "12")),
        (1.5e-5, 2e-7, ("0.00001500", "0.00000020")),
        (2.0e10, 1.0e8, ("2e+10", "1e+08")),
        (3.0, math.nan, ("3", "-")),
    ],
)
def test_digits_follow_the_error(value: float, error: float, expected: tuple[str, str]) -> None:
    assert format_value(value, error) == expected


# ---- flags of results -------------------------------------------------------------------


def test_a_bound_is_flagged_and_has_no_error() -> None:
    clean = small_problem.noiseless()
    targets = small_problem.images(small_problem.noisy(clean, np.random.default_rng(3)))
    model = small_problem.model(targets)
    model["n"].value = 1.0
    model["n"].limits = (0.5, 1.2)  # the truth is 1.8
    result = jl.fit.LM(model).fit()
    row = [p.name for p in result.parameters].index("n")
    assert result.table["flags"][row] & flags.AT_BOUND
    assert np.isnan(result.errors[row])
    assert model["n"].value == pytest.approx(1.2)
    assert np.isfinite(np.delete(result.errors, row)).all()
    source = result.sources[0]
    assert source["flags"] & flags.AT_BOUND
    assert np.isfinite(source["flux_a_error"])


def test_a_round_source_has_no_position_angle() -> None:
    clean = small_problem.noiseless()
    targets = small_problem.images(clean)
    model = small_problem.model(targets)
    model["q"].value = 1.0
    round_images = [
        t.copy(data=i, name=t.name) for t, i in zip(targets, model.images(), strict=True)
    ]
    model = small_problem.model(round_images)
    model["q"].value = 0.9
    result = jl.fit.LM(model).fit()
    assert result.success
    assert result.sources["q"][0] > 0.99
    assert "pa_undefined" in flags.decode(int(result.sources["flags"][0]))


def test_a_negative_flux_has_no_magnitude() -> None:
    clean = small_problem.noiseless()
    clean["b"] = -clean["b"]
    result = jl.fit.LM(small_problem.model(small_problem.images(clean))).fit()
    row = result.sources[0]
    assert row["flux_b"] < 0
    assert np.isfinite(row["flux_b_error"])
    assert np.isnan(row["mag_b"].value)
    assert row["flags"] & flags.NEGATIVE_FLUX


def test_no_zeropoint_no_magnitude() -> None:
    targets = small_problem.images(small_problem.noiseless(), zeropoint=None)
    result = jl.fit.LM(small_problem.model(targets)).fit()
    assert not [name for name in result.sources.colnames if name.startswith("mag_")]
    with pytest.raises(jl.InvalidInput, match="zeropoint"):
        result.color("a", "b")


# ---- running a fit ----------------------------------------------------------------------


def test_a_callback_sees_the_steps_and_can_stop() -> None:
    seen: list[int] = []

    def stop_after_two(record: Any) -> bool:
        seen.append(int(record["iteration"]))
        return len(seen) == 2

    result = small_fit(callback=stop_after_two)
    assert result.status == "interrupted"
    assert len(seen) == 2
    assert not result.success
    assert (result.table["flags"] & flags.INTERRUPTED).all()


def test_a_keyboard_interrupt_keeps_the_best_so_far() -> None:
    def interrupt(record: Any) -> None:
        if record["iteration"] == 2:
            raise KeyboardInterrupt

    result = small_fit(callback=interrupt)
    assert result.status == "interrupted"
    assert result.chi2 <= result.history["chi2"][0]


def test_an_error_in_the_callback_is_raised() -> None:
    def fail(record: Any) -> None:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        small_fit(callback=fail)


@pytest.mark.parametrize(
    "options",
    [
        {"verbose": 3},
        {"max_iter": -1},
        {"ftol": -1.0},
        {"time_limit": 0.0},
        {"callback": 3},
        {"gtol": math.nan},
    ],
)
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        small_fit(**options)


def test_verbose_levels(capsys: pytest.CaptureFixture[str]) -> None:
    small_fit()
    assert capsys.readouterr().out == ""
    small_fit(verbose=1)
    assert "chi2/dof" in capsys.readouterr().out
    small_fit(verbose=2, progress=False)
    assert "lambda" in capsys.readouterr().out


def test_max_iter_is_reported() -> None:
    result = small_fit(max_iter=1)
    assert result.status == "max_iterations"
    assert (result.table["flags"] & flags.NOT_CONVERGED).all()


def test_iter_reaches_the_same_minimum() -> None:
    clean = small_problem.noiseless()
    rng = np.random.default_rng(11)
    target = jl.TargetImageList(small_problem.images(small_problem.noisy(clean, rng)))

    def build() -> Any:
        galaxy = jl.joint("sersic galaxy", target=target, amplitude="flux", name="galaxy")
        sky = jl.joint("flat sky", target=target, name="sky")
        small_problem.set_truth(galaxy)
        for leaf in sky.leaves():
            leaf["I0"].value = 0.01
        return jl.Group([galaxy, sky], target=target, name="all")

    together = jl.fit.LM(build()).fit()
    in_turn = jl.fit.Iter(build()).fit()
    assert in_turn.success, in_turn.message
    assert in_turn.chi2 < together.chi2 + 0.05
    assert_allclose(in_turn.errors, together.errors, rtol=0.02)
    assert len(in_turn.sources) == 1
    assert all(p.is_free for p in in_turn.model.free_parameters.values())


# ---- a result made by hand --------------------------------------------------------------


def by_hand(n: int = 2) -> FitResult:
    image = SimpleNamespace(name="r", zeropoint=25.0, unit=None, reference=None, shape=(9, 9))
    return FitResult(
        status="converged_ftol",
        message="Converged.",
        chi2=10.0,
        dof=10,
        parameters=tuple(FreeParameter(name=f"p{i}", model="m") for i in range(n)),
        values=np.ones(n),
        initial=np.zeros(n),
        at_bound=np.zeros(n, bool),
        degenerate=np.zeros(n, bool),
        raw_covariance=np.eye(n),
        images=(image,),  # type: ignore[arg-type]
        chi2_images=np.array([10.0]),
        n_pixels_images=np.array([12]),
        slots=SlotState(
            values=np.ones(n), jacobian=sparse.csr_array(np.eye(n)), components=(), keys={}
        ),
    )


def test_shapes_are_checked() -> None:
    result = by_hand()
    with pytest.raises(jl.InvalidInput, match="values"):
        replace(result, values=np.ones(3))
    with pytest.raises(jl.InvalidInput, match="raw_covariance"):
        replace(result, raw_covariance=np.eye(3))


def test_nothing_free_and_no_sources() -> None:
    result = by_hand(0)
    assert len(result.table) == 0
    assert len(result.sources) == 0
    assert "Converged." in result.summary()


def test_degenerate_parameters_are_flagged() -> None:
    covariance = np.eye(2)
    covariance[1] = np.nan
    covariance[:, 1] = np.nan
    result = replace(by_hand(), raw_covariance=covariance, degenerate=np.array([False, True]))
    assert flags.decode(int(result.table["flags"][1])) == ["degenerate", "no_error"]
    assert "not constrained" in result.summary()


def test_degenerate_pairs_cost_one_degree_of_freedom() -> None:
    image = small_problem.images(small_problem.noiseless())[0]
    for count in (2, 3):
        stars = [
            jl.Model("point", target=image, name=f"s{k}", center=(0.0, 0.0), flux=9.0)
            for k in range(count)
        ]
        for star in stars:
            star["center"].fixed = True
        result = jl.fit.LM(jl.Group(stars, target=image, name="stars")).fit()
        assert result.degenerate.all()
        assert result.dof == int(result.n_pixels_images.sum()) - 1


# ---- columns of the table of sources ----------------------------------------------------


@pytest.mark.parametrize("name", ["q", "PA"])
def test_only_one_of_axis_ratio_and_angle_is_per_image(name: str) -> None:
    targets = small_problem.images(small_problem.noiseless())
    result = jl.fit.LM(small_problem.model(targets, per_image=["flux", name])).fit()
    columns = result.sources.colnames
    assert {f"{name}_a", f"{name}_b", f"{name}_c"} < set(columns)
    assert name not in columns
    assert result.sources["flags"][0] == 0


def test_a_parameter_at_its_bound_has_no_error_in_any_table() -> None:
    targets = small_problem.images(small_problem.noiseless())
    model = small_problem.model(targets)
    model["n"].value = 1.0
    model["n"].limits = (0.5, 1.2)
    result = jl.fit.LM(model).fit()
    row = result.sources[0]
    assert np.isnan(row["n_error"])
    assert row["Re_error"].value > 0
    assert row["flags"] & flags.NO_ERROR
    assert np.isnan(result.derived(lambda p: p["n"] ** 2).error)
    assert result.derived(lambda p: p["n"] * p["Re"]).error > 0


def bulge_and_disc(images: Any, *, joint: bool) -> Any:
    start = {"center": (0.4, -0.3), "q": 0.6, "PA": 30.0, "flux": 200.0}
    members = []
    for name, re, n in (("bulge", 1.0, 3.0), ("disc", 4.0, 1.0)):
        if joint:
            member = jl.joint("sersic", target=images, per_image=["flux", "Re"], amplitude="flux",
                              name=name)  # fmt: skip
            for leaf in member.leaves():
                leaf["Re"].value = re
        else:
            member = jl.Model("sersic", target=images, amplitude="flux", name=name, Re=re)
        for leaf in member.leaves():
            leaf["flux"].value = start["flux"]
        for key in ("center", "q", "PA"):
            member[key].value = start[key]
        member["n"].value = n
        members.append(member)
    members[1]["center"].tie(members[0]["center"])
    members[1]["PA"].tie(members[0]["PA"])
    return jl.Group(members, target=images, name="galaxy")


def test_components_that_differ_have_their_own_columns() -> None:
    image = small_problem.images(small_problem.noiseless())[0]
    sources = jl.fit.LM(bulge_and_disc(image, joint=False), max_iter=1).fit().sources
    assert len(sources) == 1
    columns = set(sources.colnames)
    assert {"Re_bulge", "Re_disc", "q_bulge", "q_disc_error", "n_disc", "PA", "x"} < columns
    assert not {"Re", "q", "n", "PA_bulge", "x_bulge"} & columns
    assert sources["Re_bulge"][0] != sources["Re_disc"][0]


def test_components_of_joint_models_have_columns_by_image() -> None:
    images = jl.TargetImageList(small_problem.images(small_problem.noiseless()))
    result = jl.fit.LM(bulge_and_disc(images, joint=True), max_iter=1).fit()
    columns = set(result.sources.colnames)
    assert {"Re_bulge_a", "Re_disc_c", "q_bulge", "n_disc", "PA"} < columns
    assert not {"Re", "Re_a", "Re_bulge", "q", "q_bulge_a"} & columns
    parameters = result.parameter_values
    assert result.sources["Re_disc_b"][0].value == parameters["disc/b/Re"]


def test_centres_by_image() -> None:
    targets = small_problem.images(small_problem.noiseless())
    result = jl.fit.LM(small_problem.model(targets, per_image=["flux", "center"])).fit()
    row = result.sources[0]
    assert {"x", "ra", "x_a", "y_b", "x_c_error"} < set(row.colnames)
    assert row["x"] == row["x_a"]
    assert row["x_b"].value == result.parameter_values["b/center_x"]


def test_columns_that_collide_are_refused() -> None:
    clean = small_problem.noiseless()
    targets = small_problem.images(clean)
    names = {"a": "r", "b": "r_error", "c": "i"}
    targets = [t.copy(name=names[t.name]) for t in targets]
    model = jl.joint("sersic galaxy", target=jl.TargetImageList(targets), amplitude="flux")
    for name, value in small_problem.TRUTH.items():
        model[name].value = value
    for leaf in model.leaves():
        leaf["flux"].value = 100.0
    result = jl.fit.LM(model, max_iter=1).fit()
    with pytest.raises(jl.InvalidInput, match=r"'r'.*'r_error'"):
        _ = result.sources


@pytest.mark.parametrize("unit", [1.0, 1e-17])
def test_derived_in_any_unit(unit: float) -> None:
    clean = {k: v * unit for k, v in small_problem.noiseless().items()}
    options = {"variance": (0.1 * unit) ** 2}
    model = small_problem.model(small_problem.images(clean, **options))
    for leaf in model.leaves():
        leaf["flux"].value = leaf["flux"].value * unit
    result = jl.fit.LM(model).fit()
    ours = result.derived(lambda p: p["flux[a]"] / p["flux[b]"] - p["flux[c]"] / p["flux[b]"])
    color = result.derived(lambda p: -2.5 * math.log10(p["flux[a]"] / p["flux[b]"]))
    assert_allclose(color.error, result.color("a", "b", source=0).error, rtol=1e-6)
    assert float(ours.error) > 0
    fluxes = result.derived(lambda p: p["flux[a]"])
    assert_allclose(fluxes.error, result.flux("a", source=0).error, rtol=1e-6)


def test_names_are_taken_as_they_are_printed() -> None:
    from jointlight.result.slots import SlotValues

    values = SlotValues(np.array([1.0, 2.0, 3.0]), {"gal.Re": 0, "a/Re": 1, "Re": 2})
    assert values["gal/Re"] == values["gal.Re"] == 1.0
    assert values["a.Re"] == values["a/Re"] == 2.0
    with pytest.raises(KeyError, match=r"(?i)did you mean"):
        values["gal/Ree"]


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (2.66773291, 0.0041763, "2.6677 ± 0.0042 mag"),
        (12345.678, 321.0, "12346 ± 321 mag"),
        (1.5, np.nan, "1.5 ± nan mag"),
        (0.0, 0.0, "0 ± 0 mag"),
        (1e-9, 2e-11, "1e-09 ± 2e-11 mag"),
    ],
)
def test_derived_values_print_with_two_digits_of_their_errors(value, error, text):
    one = Derived(
        value=np.array(value), error=np.array(error), covariance=np.array([[error**2]]), unit="mag"
    )
    assert str(one) == text
    assert repr(one) == f"Derived({text})"
    two = Derived(
        value=np.array([value, value]),
        error=np.array([error, error]),
        covariance=np.full((2, 2), error**2),
        unit="",
    )
    assert str(two) == f"[{text[:-4]}, {text[:-4]}]"
