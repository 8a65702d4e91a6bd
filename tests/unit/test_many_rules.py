# SPDX-License-Identifier: BSD-3-Clause
"""fit_many: what limits, masks, noise, units and interruptions mean for single objects."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable, Table
from astropy.utils.masked import Masked

import jointlight as jl
from reference.many_objects import (
    NAMES,
    NOISE,
    PSF,
    assert_equal,
    assert_same,
    drawn,
    galaxy,
    gaussian_array,
    mixed_models,
    one_by_one,
    template,
)
from reference.on_backends import EVERY_BACKEND

pytestmark = EVERY_BACKEND


def fit(stamps: Any, start: Any, model: Any = None, **options: Any) -> Any:
    return jl.fit_many(
        model or template(), data=stamps, start=start, **({"n_threads": 1} | options)
    )


def part_of(start: Any, row: int) -> Any:
    return {name: values[row : row + 1] for name, values in start.items()}


# ---- limits ---------------------------------------------------------------------------------


def near_north(limits: Any, angle: float) -> tuple[Any, Any]:
    """A galaxy of PA 1 deg fitted alone, and as the stamp of a template."""
    image = template().target
    truth = galaxy(image, (0.0, 0.0), 0.5, 1.0, 4.0, 1.5, 1.0)
    stamp = truth.image() + np.random.default_rng(0).normal(0, NOISE, (32, 32))
    alone = galaxy(image.copy(data=stamp), (0.0, 0.0), 0.5, angle, 4.0, 1.5, 1.0)
    alone["PA"].limits = limits
    model = galaxy(image, (0.0, 0.0), 0.5, 30.0, 4.0, 1.5, 1.0)
    many = fit([stamp], {"PA": angle}, model, limits={"PA": limits})
    return alone.fit(n_threads=1), many


@pytest.mark.parametrize(
    ("limits", "angle"),
    [((0.0, 180.0), 170.0), ((0.0, 180.0), 5.0), ((-10.0, 200.0), 150.0), ((150.0, 220.0), 160.0)],
)
def test_limits_of_cyclic_parameters_mean_what_they_do_alone(limits, angle):
    single, many = near_north(limits, angle)
    assert_same(many, [single])
    assert limits[0] <= many["PA"][0] <= limits[1]
    assert not many.at_bound.any()


@pytest.mark.parametrize("turns", [-2, 0, 3])
def test_starts_of_cyclic_parameters_are_brought_into_their_limits(turns):
    stamps, _, start = drawn([(32, 32)] * 2)
    angle = start["PA"]
    limits = {"PA": (angle - 45, angle + 45)}
    plain = fit(stamps, start, limits=limits)
    assert plain.success.all()
    assert np.all(np.abs(plain["PA"] - angle) <= 45)
    turned = fit(stamps, start | {"PA": angle + 180.0 * turns}, limits=limits)
    np.testing.assert_allclose(turned.values, plain.values, rtol=1e-7)
    # The template's own start too, where no other is given.
    model = template()
    model["PA"].value = 30.0
    rest = {name: values for name, values in start.items() if name != "PA"}
    moved = fit(stamps, rest, model, limits={"PA": (195.0, 285.0)}, max_iter=0)
    np.testing.assert_allclose(moved["PA"], 210.0)


def test_angles_of_a_template_come_back_in_their_period():
    stamps, _, start = drawn([(32, 32)] * 2)
    plain = fit(stamps, start)
    turned = fit(stamps, start | {"PA": start["PA"] - 360.0})
    assert np.all((turned["PA"] >= 0) & (turned["PA"] < 180))
    np.testing.assert_allclose(turned["PA"], plain["PA"], rtol=1e-7)
    image = template().target
    truth = galaxy(image, (0.0, 0.0), 0.5, 179.0, 4.0, 1.5, 1.0)
    stamp = truth.image() + np.random.default_rng(0).normal(0, NOISE, (32, 32))
    across = fit([stamp], {"PA": 2.0})
    assert 170.0 < across["PA"][0] < 180.0


def test_angles_start_next_to_the_mean_of_their_prior():
    stamps, truth, start = drawn([(32, 32)] * 2)
    model = template()
    model["PA"].prior = jl.Normal(truth["PA"][0], 5.0)
    near = fit(stamps[:1], part_of(start, 0), model)
    far = fit(stamps[:1], part_of(start, 0) | {"PA": start["PA"][:1] + 540.0}, model)
    np.testing.assert_allclose(far.values, near.values, rtol=1e-6)
    assert far.chi2[0] == pytest.approx(near.chi2[0], rel=1e-9)


def test_priors_of_a_template_count_as_data():
    stamps, truth, start = drawn([(32, 32)])
    model = template()
    model["n"].prior = jl.Normal(truth["n"][0], 0.3)
    results = fit(stamps, start, model)
    alone = galaxy(
        model.target.copy(data=stamps[0]), *[(start["center_x"][0], start["center_y"][0])],
        *[start[name][0] for name in NAMES[2:]],
    )  # fmt: skip
    alone["n"].prior = jl.Normal(truth["n"][0], 0.3)
    assert_same(results, [alone.fit(n_threads=1)])
    assert results.dof[0] == 32 * 32 + 1 - 7


def test_limits_wider_than_those_of_the_template_are_cut():
    stamps, _, start = drawn([(32, 32)])
    model = template()
    model["Re"].value = 0.6 * float(start["Re"][0])
    model["Re"].limits = (0.5, 0.7 * float(start["Re"][0]))
    start["Re"] = 0.6 * start["Re"]
    cut = fit(stamps, start, model, limits={"Re": (0.1, 100.0)})
    assert cut.at_bound[0, NAMES.index("Re")]
    assert_equal(cut, fit(stamps, start, model))


def test_limits_of_a_vector():
    stamps, _, start = drawn([(32, 32)] * 2)
    plain = fit(stamps, start)
    wide = fit(stamps, start, limits={"center": (-9.0, [9.0, 9.0])})
    np.testing.assert_allclose(wide.values, plain.values, rtol=1e-6)
    high = np.array([[9.0, 9.0], [start["center_x"][1], 9.0]]) + 1e-6
    held = fit(stamps, start, limits={"center": (None, high)})
    assert np.all(held.values[:, :2] <= high)


def test_bad_limits_of_one_object_are_its_own():
    stamps, _, start = drawn([(32, 32)] * 3)
    results = fit(stamps, start, limits={"n": ([0.5, np.nan, 9.0], [8.0, 8.0, 0.6])})
    assert results.status[1:].tolist() == ["invalid_input"] * 2
    assert results.success[0]
    assert "(nan, 8) of n" in results.message[1]
    assert "(9, 0.6) of n" in results.message[2]


# ---- masks and noise ------------------------------------------------------------------------


@pytest.mark.parametrize("noise", ["uniform", "varying", "own"])
@pytest.mark.parametrize("own_mask", [False, True])
@pytest.mark.parametrize("as_list", [False, True])
def test_the_templates_mask_holds_for_stamps_of_its_shape(noise, own_mask, as_list):
    stamps, _, start = drawn([(32, 32)] * 2)
    mask = np.zeros((32, 32), dtype=bool)
    mask[:5] = True
    more = np.zeros((32, 32), dtype=bool)
    more[:, :3] = True
    std = np.full((32, 32), NOISE)
    std[20:] *= 1.5 if noise == "varying" else 1.0
    model = template(std=std, mask=mask)
    options: dict[str, Any] = {"std": NOISE} if noise == "own" else {}
    if own_mask:
        options["mask"] = more
    data = stamps if as_list else np.array(stamps)
    results = fit(data, start, model, **options)
    whole = mask | more if own_mask else mask
    for row in range(2):
        single = one_by_one([stamps[row]], part_of(start, row), std=std, mask=whole)
        assert_same(results[row : row + 1], single)


def test_the_templates_mask_does_not_hold_for_other_shapes():
    stamps, _, start = drawn([(32, 32), (30, 34)])
    mask = np.zeros((32, 32), dtype=bool)
    mask[:5] = True
    results = fit(stamps, start, template(mask=mask))
    assert results.n_pixels.tolist() == [27 * 32, 30 * 34]


def test_none_in_a_list_is_the_templates():
    stamps, _, start = drawn([(32, 32)] * 3)
    plain = fit(stamps, start)
    other = fit(stamps, start, std=2 * NOISE)
    for name in ("std", "variance", "weight", "mask", "psf"):
        assert_equal(fit(stamps, start, **{name: [None] * 3}), plain)
    plane = np.full((32, 32), 2 * NOISE)
    for noise in ([2 * NOISE, None, None], [plane, None, None]):
        assert_equal(fit(stamps, start, std=noise)[1:], plain[1:])
        assert_equal(fit(stamps, start, std=noise)[:1], other[:1])
    mixed = fit(stamps, start, std=[plane, 2 * NOISE, None])
    assert_equal(mixed[:2], other[:2])
    assert_equal(mixed[2:], plain[2:])


def test_unknown_noise_of_some_objects_scales_theirs():
    stamps, _, start = drawn([(32, 32)] * 2)
    with pytest.warns(jl.JointlightWarning, match="no noise is known of 1 of 2 objects"):
        results = fit(stamps, start, template(std=None), std=[NOISE, None], covariance=True)
    assert results.covariance_scale[0] == 1.0
    assert results.covariance_scale[1] == pytest.approx(results.reduced_chi2[1])
    errors = np.sqrt(np.einsum("nii->ni", results.covariance))
    np.testing.assert_allclose(errors, results.errors, rtol=1e-12)
    for row in range(2):
        np.testing.assert_allclose(np.sqrt(np.diag(results.covariance_of(row))), errors[row])
        np.testing.assert_allclose(list(results[row].errors.values()), errors[row])


def test_unknown_noise_among_models_is_told_before_they_are_fitted():
    def models() -> list[Any]:
        bare = mixed_models(2)
        image = bare[1].target
        image = jl.TargetImage(image.data, psf=PSF, pixelscale=1.0, name="bare")
        bare[1] = jl.Model("point", target=image, center=(0.0, 0.0), flux=15.0)
        return bare

    listed = models()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(jl.JointlightWarning, match="images of 1 models have no noise"):
            jl.fit_many(listed)
    assert listed[0]["Re"].uncertainty is None
    with pytest.warns(jl.JointlightWarning, match="images of 1 models"):
        results = jl.fit_many(listed, covariance=True)
    single = models()[1]
    with pytest.warns(jl.JointlightWarning, match="no noise"):
        alone = single.fit(n_threads=1)
    np.testing.assert_array_equal(list(results[1].errors.values()), alone.errors)
    np.testing.assert_array_equal(results[1].covariance, alone.covariance)
    np.testing.assert_array_equal(listed[1]["flux"].uncertainty, single["flux"].uncertainty)


def test_errors_are_scaled_where_that_is_asked_for():
    stamps, _, start = drawn([(32, 32)] * 2)
    plain, scaled = fit(stamps, start), fit(stamps, start, scale_covariance=True)
    np.testing.assert_allclose(
        scaled.errors, plain.errors * np.sqrt(plain.reduced_chi2)[:, None], rtol=1e-12
    )
    models, alone = mixed_models(3), mixed_models(3)
    results = jl.fit_many(models, scale_covariance=True)
    for row, model in zip(results, alone, strict=True):
        single = jl.fit.LM(model, scale_covariance=True, n_threads=1).fit()
        np.testing.assert_array_equal(list(row.errors.values()), single.errors)


@pytest.mark.parametrize("form", ["stack", "list", "numbers", "quantities"])
@pytest.mark.parametrize(("kind", "power"), [("variance", 2), ("std", 1), ("weight", -2)])
def test_units_of_noise_are_those_of_the_pixels(form, kind, power):
    stamps, _, start = drawn([(32, 32)] * 2)
    model = template(unit="nJy")
    start = {name: values for name, values in start.items() if name != "Ie"}
    number = (NOISE * 1e-3 * u.uJy) ** power
    noise = {
        "stack": np.ones((2, 32, 32)) * number,
        "list": [np.ones((32, 32)) * number] * 2,
        "numbers": np.ones(2) * number,
        "quantities": [number, number],
    }[form]
    plain = fit(stamps, start, model)
    results = fit(stamps, start, model, **{kind: noise})
    np.testing.assert_allclose(results.values, plain.values, rtol=1e-6)
    np.testing.assert_allclose(results.chi2, plain.chi2, rtol=1e-9)


def test_poisson_templates_have_their_noise():
    image = jl.TargetImage(np.ones((8, 8)), pixelscale=1.0, psf=PSF, likelihood="poisson")
    model = jl.Model("flat sky", target=image, I0=1.0)
    for kind in ("variance", "std", "weight"):
        with pytest.raises(jl.InvalidInput, match=f"{kind} must be left out"):
            jl.fit_many(model, data=np.ones((2, 8, 8)), **{kind: 1.0})


# ---- units, masked values, PSFs -------------------------------------------------------------


def test_units_and_masks_of_columns_count():
    stamps, _, start = drawn([(32, 32)] * 2)
    table = Table({"Re": start["Re"] / 60})
    table["Re"].unit = "arcmin"
    np.testing.assert_allclose(fit(stamps, table, max_iter=0)["Re"], start["Re"])
    hidden = QTable()
    hidden["Re"] = Masked(start["Re"] * u.arcsec, mask=[True, False])
    masked = Table({"Re": np.ma.MaskedArray(start["Re"], mask=[True, False])})
    for given in (hidden, masked):
        results = fit(stamps, given, max_iter=0)
        assert results.status[0] == "invalid_input"
        assert results["Re"][1] == start["Re"][1]


def test_masked_pixels_do_not_count():
    stamps, _, start = drawn([(32, 32)] * 2)
    data = np.array(stamps, dtype=np.float32)
    bad = data > 1.0
    assert bad.any()
    for given in (Masked(data, mask=bad), np.ma.MaskedArray(data, mask=bad)):
        results = fit(given, start)
        assert results.n_pixels.tolist() == (~bad).sum(axis=(1, 2)).tolist()


def test_units_of_jacobians():
    stamps, _, start = drawn([(32, 32)])
    jacobian = template().target.pixel_jacobian(15.5, 15.5)
    plain = fit(stamps, start, jacobian=jacobian)
    for unit in (u.arcmin, u.arcmin / u.pix):
        given = jacobian / 60 * unit
        np.testing.assert_allclose(fit(stamps, start, jacobian=given).values, plain.values)


@pytest.mark.parametrize("analytic", [False, True])
@pytest.mark.parametrize("form", ["one", "stack", "list"])
def test_arrays_are_sampled_as_the_templates_psf(analytic, form):
    stamps, _, start = drawn([(32, 32)])
    array = gaussian_array(3.0, 31)
    psf = jl.PSF(array, oversampling=3, kind="optical")
    own = (
        jl.gaussian_psf(fwhm=3.0, pixelscale=1.0, oversampling=3, kind="optical")
        if analytic
        else psf
    )
    given = {"one": array, "stack": array[np.newaxis], "list": [array]}[form]
    results = fit(stamps, start, template(psf=own), psf=given)
    assert_same(results, one_by_one(stamps, start, psf=psf))


def test_psfs_for_other_pixels_are_told():
    stamps, _, start = drawn([(32, 32)])
    psf = jl.PSF(gaussian_array(), pixelscale=2.0)
    for given in (psf, [psf]):
        with pytest.warns(jl.JointlightWarning, match="made for pixels of 2 arcsec"):
            fit(stamps, start, psf=given)


@pytest.mark.parametrize("held", [False, True])
def test_starts_outside_the_domain_are_refused(held):
    stamps, _, start = drawn([(32, 32)] * 3)
    model = template()
    model["q"].fixed = model["Re"].fixed = held
    start["q"][1], start["Re"][2] = 5.0, -1.0
    results = fit(stamps, start, model)
    assert results.success.tolist() == [True, False, False]
    assert results.status[1:].tolist() == ["invalid_input"] * 2
    assert "q = 5 at the start must be in [" in results.message[1]
    assert "Re = -1 at the start must be in (0, inf)" in results.message[2]


# ---- lists ----------------------------------------------------------------------------------


def sky_in(unit: str | None, level: float) -> Any:
    rng = np.random.default_rng(1)
    data = level * (1 + 0.1 * rng.normal(size=(8, 8)))
    image = jl.TargetImage(data, pixelscale=1.0, std=0.1 * level, unit=unit, name="r")
    return jl.Model("flat sky", target=image, I0=level)


@pytest.mark.parametrize("at_a_time", [1, 512])
def test_columns_of_lists_have_one_unit(at_a_time, monkeypatch):
    monkeypatch.setattr("jointlight.many.separate._AT_A_TIME", at_a_time)
    models = [sky_in("uJy", 1.0), sky_in("nJy", 1000.0)]
    results = jl.fit_many(models, covariance=True)
    assert results.is_uniform
    assert u.Unit(results.units["I0"]).is_equivalent(models[0]["I0"].unit)
    np.testing.assert_allclose(results["I0"][1], results["I0"][0])
    np.testing.assert_allclose(results["I0_error"][1], results["I0_error"][0])
    np.testing.assert_allclose(results.covariance[1], results.covariance[0])
    assert models[1]["I0"].value == pytest.approx(1000 * models[0]["I0"].value)
    with pytest.raises(jl.InvalidInput, match="I0 is in 1 / arcsec2 in row 1 and in uJy"):
        jl.fit_many([sky_in("uJy", 1.0), sky_in(None, 1.0)])


def test_models_with_parameters_in_common_are_refused():
    models = mixed_models(2)
    models[1]["center"].tie(models[0]["center"])
    with pytest.raises(jl.InvalidInput, match=r"\(row 0\) and .* \(row 1\) share"):
        jl.fit_many(models)


def test_models_without_values_stay_so_without_update():
    models = mixed_models(3)
    results = jl.fit_many(models, update=False)
    assert models[2]["disc"]["Re"].value is None
    assert_equal(results, jl.fit_many(mixed_models(3)))


def test_updates_as_a_single_fit_leaves_them():
    def at_bound() -> Any:
        model = mixed_models(1)[0]
        model["Re"].limits = (0.1, 5.0)
        model["Re"].value = 3.0
        model["Re"].limits = (0.1, 3.2)
        return model

    single, many = at_bound(), at_bound()
    result = single.fit(n_threads=1)
    results = jl.fit_many([many])
    assert result.at_bound.any()
    assert results.at_bound.any()
    for options in (None, jl.fit.LMOptions(covariance=False)):
        single, many = at_bound(), at_bound()
        jl.fit.LM(single, options=options, n_threads=1).fit()
        jl.fit_many([many], options=options)
        for name in ("q", "Re", "n"):
            np.testing.assert_array_equal(many[name].uncertainty, single[name].uncertainty)


def test_followers_of_a_parameter_at_its_bound_have_the_error_of_a_single_fit():
    def model() -> Any:
        made = mixed_models(1)[0]
        made["Re"].value = 3.0
        made["Re"].limits = (0.1, 3.2)
        made["Ie"].tie(lambda Re, n: 0.2 * Re + 0.1 * n, [made["Re"], made["n"]])
        return made

    single, many = model(), model()
    assert single.fit(n_threads=1).at_bound.any()
    jl.fit_many([many])
    assert np.isfinite(single["Ie"].uncertainty)
    np.testing.assert_array_equal(many["Ie"].uncertainty, single["Ie"].uncertainty)


def test_errors_of_large_models_are_scaled_too():
    model = mixed_models(1)[0]
    image = jl.TargetImage(model.target.data, psf=PSF, pixelscale=1.0)
    bare = galaxy(image, (0.0, 0.0), 0.7, 160.0, 5.0, 1.2, 0.8)
    options = jl.fit.LMOptions(covariance_max_size=5)
    with pytest.warns(jl.JointlightWarning, match="no noise"):
        results = jl.fit_many([bare], options=options)
    assert results.covariance_scale[0] != 1.0
    assert bare["Re"].uncertainty == pytest.approx(results["Re_error"][0], rel=1e-9)


def fails_below(n: float) -> float:
    if n < 1.45:
        raise RuntimeError("boom")
    return 0.3 + 0.2 * n


def with_failing_tie(stamp: Any = None) -> Any:
    image = template().target
    model = galaxy(
        image if stamp is None else image.copy(data=stamp), (0.0, 0.0), 0.7, 30.0, 4.0, 3.0, 1.0
    )
    model["Ie"].tie(fails_below, [model["n"]])
    return model


def test_errors_of_function_ties_are_told_as_by_a_single_fit():
    truth = galaxy(template().target, (0.0, 0.0), 0.7, 30.0, 4.0, 1.0, 0.5)
    stamp = truth.image() + np.random.default_rng(0).normal(0, NOISE, (32, 32))
    single = with_failing_tie(stamp).fit(n_threads=1)
    tail = "A function tie failed during the fit: "
    assert tail in single.message
    assert "RuntimeError: boom" in single.message
    row = jl.fit_many([with_failing_tie(stamp)])[0]
    assert row.status == single.status == "non_finite"
    assert row.message == single.message
    whole = jl.fit_many(with_failing_tie(), data=[stamp], n_threads=1)
    assert whole.status[0] == "non_finite"
    begin, end = whole.message[0].split(tail)
    assert begin == single.message.split(tail)[0]
    assert "RuntimeError: boom" in end


# ---- interruption ---------------------------------------------------------------------------


def test_an_interruption_is_not_told_as_all_done(monkeypatch):
    monkeypatch.setattr("jointlight.many.separate._AT_A_TIME", 2)
    told = []

    def stop(done: int, total: int) -> None:
        told.append(done)
        if done >= 2:
            raise KeyboardInterrupt

    results = jl.fit_many(mixed_models(6), progress=stop, n_threads=1)
    assert results.interrupted
    assert max(told) == 2
    assert results.success[:2].all()
    assert (results.status[2:] == "interrupted").all()
    assert (results.message[2:] == "Interrupted before it began.").all()
    assert np.isnan(results.chi2[2:]).all()
    rate = float(results.summary().split(" objects/s")[0].rsplit(" ", 1)[1])
    assert rate == pytest.approx(2 / results.wall_time, rel=1e-3)
    assert not results[:2].interrupted


def test_no_objects_have_no_covariance():
    assert jl.fit_many([]).covariance is None


def test_what_was_not_fitted_has_no_chi2():
    stamps, _, start = drawn([(32, 32)] * 2)
    stamps[1][:] = np.nan
    results = fit(stamps, start)
    assert np.isnan(results.chi2[1])
    assert results["Re"][1] == pytest.approx(start["Re"][1])
    assert results.table["message"][1] == results.message[1]


def test_subsets():
    results = fit(*drawn([(16, 16)] * 2)[::2], template(16))
    assert len(results[[]]) == 0
    for key in (True, np.zeros((2, 2), int), None):
        with pytest.raises(jl.InvalidInput, match="a row, a slice, a mask or row numbers"):
            results[key]


# ---- refusals by name -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"std": ["a", "b"]}, r"std\[0\] must be a number, not 'a'"),
        ({"std": [0.05 * u.Jy] * 2}, r"std\[0\].*no unit, not in Jy"),
        ({"std": 0.0}, "std must be a positive number, not 0"),
        ({"variance": [0.1, -0.1]}, r"variance\[1\] must be a positive number, not -0.1"),
        ({"variance": np.array([0.1, -0.1])}, r"variance\[1\] must be a positive number"),
        ({"mask": np.zeros((15, 16), bool)}, r"mask must be of the stamps' shape, \(16, 16\)"),
        ({"jacobian": "x"}, "jacobian must be numbers"),
        ({"jacobian": np.eye(2) * u.Jy}, "jacobian must be in arcsec"),
        ({"limits": {"n": ([0.5] * 5, 8.0)}}, r"limits\['n'\] must be a number, or 2 of them"),
        ({"limits": {"n": (np.nan, 8.0)}}, r"limits\['n'\] must be a number, or None.*not nan"),
        ({"limits": {"n": (8.0, 0.5)}}, r"limits\['n'\] must be \(low, high\).*\(8.0, 0.5\)"),
        ({"limits": {"n": (1.5, 1.5)}}, r"low below high"),
        ({"time_limit": 0}, "time_limit must be a positive number of seconds, or None, not 0"),
        ({"time_limit": -1}, "time_limit must be a positive number of seconds, or None, not -1"),
        ({"time_limit": np.inf}, "time_limit must be a positive number of seconds, or None"),
        ({"data": {"r": None}}, "only None"),
    ],
)
def test_refusals_name_argument_value_and_what_is_allowed(changes, message):
    stamps, _, start = drawn([(16, 16)] * 2)
    call = {"data": stamps, "start": start, "n_threads": 1} | changes
    with pytest.raises(jl.InvalidInput, match=message):
        jl.fit_many(template(16), **call)


def test_what_is_no_stamp_is_named():
    results = jl.fit_many(template(16), data=["a", np.zeros((16, 16))], max_iter=1)
    assert results.status[0] == "invalid_input"
    assert results.message[0] == "data must be a two-dimensional array, not 'a'"


def test_threads_of_the_environment_are_named(monkeypatch):
    monkeypatch.setenv("JOINTLIGHT_NUM_THREADS", "abc")
    with pytest.raises(jl.InvalidInput, match=r"JOINTLIGHT_NUM_THREADS.*'abc'"):
        jl.fit_many([])


def test_several_images_are_named():
    images = jl.TargetImageList(
        [
            jl.TargetImage(np.zeros((8, 8)), pixelscale=1.0, std=NOISE, psf=PSF, name=name)
            for name in "gr"
        ]
    )
    model = jl.joint("point", target=images, per_image=["flux"], center=(0.0, 0.0), flux=9.0)
    cube = np.ones((3, 8, 8))
    both = {"g": cube, "r": cube}
    plain = jl.fit_many(model, data=both, std=0.05, n_threads=1)
    assert_equal(jl.fit_many(model, data=both, std=np.full(3, 0.05), n_threads=1), plain)
    for changes, message in (
        ({"data": {"g": None, "r": cube}}, "nothing for image 'g'"),
        ({"data": {"g": cube, "r": cube[:2]}}, r"data\['r'\] must be of shape \(3, h, w\)"),
        ({"std": {"g": np.ones((3, 7, 8))}}, r"std\['g'\]"),
        ({"mask": {"r": np.zeros((7, 8), bool)}}, r"mask\['r'\]"),
        ({"std": np.ones((3, 8, 8))}, "a mapping from image name"),
    ):
        with pytest.raises(jl.InvalidInput, match=message):
            jl.fit_many(model, **({"data": both, "n_threads": 1} | changes))
