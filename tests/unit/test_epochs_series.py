# SPDX-License-Identifier: BSD-3-Clause
"""Light curves, spectra, and parameters that are smooth in wavelength."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from astropy import units as u

import jointlight as jl
from jointlight.errors import InvalidInput
from jointlight.image import TargetImageList
from jointlight.models.wavelength import interpolation
from jointlight.parameters import Parameter, tie_polynomial
from jointlight.parameters.ties import LinearTie
from reference.on_backends import EVERY_BACKEND
from unit.model_cases import make_image

pytestmark = EVERY_BACKEND

NOISE = 0.1
FLUX = {"r 1": 6.0, "g 1": -2.0, "r 2": 9.0, "g 2": 4.0, "r 0": 0.0, "g 0": 0.0}
BANDS = {"r": (0.62, 25.0), "g": (0.48, 24.0)}  # wavelength, zeropoint


def blank(name: str, **options: Any) -> Any:
    wavelength, zeropoint = BANDS[name[0]]
    return make_image(
        name,
        n=32,
        time=59000.0 + int(name[-1]),
        wavelength=wavelength,
        zeropoint=zeropoint,
        variance=NOISE**2,
        **options,
    )


def transient(images: Any, **options: Any) -> jl.Group:
    """A galaxy of one flux a band and a point source beside its middle."""
    host = jl.joint("exponential galaxy", target=images, amplitude="flux", name="host",
                    center=(0.0, 0.0), q=0.7, PA=30.0, Re=1.5, flux=80.0)  # fmt: skip
    for image in images:
        first = next(one for one in images if one.name[0] == image.name[0])
        if first is not image:
            host[f"{image.name}/flux"].tie(host[f"{first.name}/flux"])
    given: dict[str, Any] = {"center": (0.5, 0.3), "name": "transient", **options}
    return jl.Group([host, jl.joint("point", target=images, **given)])


@pytest.fixture(scope="module")
def fitted(every_backend: str) -> Any:
    images = TargetImageList(blank(name) for name in FLUX)
    truth = transient(images, flux=FLUX)
    rng = np.random.default_rng(4)
    noisy = TargetImageList(
        image.copy(
            name=image.name,
            data=truth.image(image) + rng.normal(scale=NOISE, size=image.shape),
        )
        for image in images
    )
    model = transient(noisy)
    for name in ("r 0", "g 0"):
        model["transient"]["flux"][name].value = 0.0
        model["transient"]["flux"][name].fixed = True
    model.initialize()
    return model, model.fit()


# --- light curves --------------------------------------------------------------------------------


def test_light_curve(fitted: Any) -> None:
    _, result = fitted
    table = result.light_curve("transient")
    assert list(table["image"]) == ["r 0", "g 0", "r 1", "g 1", "r 2", "g 2"]
    np.testing.assert_allclose(table["time"].mjd, 59000.0 + np.array([0, 0, 1, 1, 2, 2]))
    covariance = table.meta["covariance"]
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), table["flux_err"])
    assert np.all(table["flux"][:2] == 0.0)
    assert np.all(table["flux_err"][:2] == 0.0)
    free = table[2:]
    pulls = (free["flux"] - [FLUX[name] for name in free["image"]]) / free["flux_err"]
    assert np.max(np.abs(pulls)) < 4.0
    negative = table["flux"] <= 0.0
    assert list(table["image"][negative]) == ["r 0", "g 0", "g 1"]
    np.testing.assert_array_equal(np.isnan(table["mag"].value), negative)
    np.testing.assert_array_equal(np.isnan(table["mag_err"].value), negative)
    good = table[~negative]
    zero = np.array([BANDS[name[0]][1] for name in good["image"]])
    np.testing.assert_allclose(good["mag"].value, zero - 2.5 * np.log10(good["flux"]))
    np.testing.assert_allclose(
        good["mag_err"].value, 2.5 / np.log(10.0) * good["flux_err"] / good["flux"]
    )
    np.testing.assert_allclose(free["snr"], free["flux"] / free["flux_err"])
    assert np.all(np.isnan(table["snr"][:2]))


def test_covariance_is_that_of_linear_least_squares() -> None:
    """All but the fluxes held: (A^T W A)^-1 with the design matrix written out."""
    images = TargetImageList(blank(name) for name in ("r 0", "r 1", "r 2"))
    truth = transient(images, flux=[0.0, 5.0, -3.0])
    data = [truth.image(image) for image in images]
    images = TargetImageList(
        image.copy(name=image.name, data=d) for image, d in zip(images, data, strict=True)
    )
    model = transient(images, flux=1.0)
    for name, p in model.all_parameters.items():
        if "flux" not in name:
            p.fixed = not p.is_tied
    result = model.fit()
    columns = []
    for name in ("transient/r 0/flux", "transient/r 1/flux", "transient/r 2/flux", "host/r 0/flux"):
        one = transient(images, flux=0.0)
        one["host/r 0/flux"].value = 0.0
        one[name].value = 1.0
        columns.append(np.concatenate([one.image(image).ravel() for image in images]))
    design = np.stack(columns, axis=1) / NOISE
    expected = np.linalg.inv(design.T @ design)
    table = result.light_curve("transient")
    np.testing.assert_allclose(table.meta["covariance"], expected[:3, :3], rtol=1e-9)
    # Epochs share the host: they are not independent.
    assert expected[0, 1] > 0.1 * expected[0, 0]
    np.testing.assert_allclose(table["flux"], [0.0, 5.0, -3.0], atol=1e-9)


def test_selections(fitted: Any) -> None:
    model, result = fitted
    whole = result.light_curve("transient")
    for images in ("r *", ["r 0", "r 1", "r 2"], [model.images_modelled[0], "r 2", "r 0", "r 2"]):
        part = result.light_curve("transient", images)
        assert list(part["image"]) == ["r 0", "r 1", "r 2"]
        kept = [list(whole["image"]).index(name) for name in part["image"]]
        np.testing.assert_allclose(part["flux"], whole["flux"][kept])
        np.testing.assert_allclose(
            part.meta["covariance"], whole.meta["covariance"][np.ix_(kept, kept)]
        )
    one = result.light_curve("transient", model.images_modelled[2])
    assert list(one["image"]) == ["r 2"]
    for source in (model["transient"], 1, -1):
        np.testing.assert_array_equal(result.light_curve(source)["flux"], whole["flux"])
    both = result.light_curve(model)
    np.testing.assert_allclose(
        both["flux"], whole["flux"] + result.light_curve("host")["flux"], rtol=1e-12
    )


def test_common_zeropoint(fitted: Any) -> None:
    _, result = fitted
    own, common = result.light_curve("transient"), result.light_curve("transient", zeropoint=23.9)
    factor = 10.0 ** (0.4 * (23.9 - np.array(own["zeropoint"])))
    np.testing.assert_allclose(common["flux"], factor * own["flux"])
    np.testing.assert_allclose(
        common.meta["covariance"], np.outer(factor, factor) * own.meta["covariance"]
    )
    np.testing.assert_allclose(common["mag"].value, own["mag"].value)
    assert np.all(common["zeropoint"] == 23.9)


def test_after_a_pickle(fitted: Any) -> None:
    _, result = fitted
    back = pickle.loads(pickle.dumps(result))
    np.testing.assert_array_equal(
        back.light_curve("transient")["flux"], result.light_curve("transient")["flux"]
    )
    assert len(back.light_curve(back.model["transient"])) == len(FLUX)


def test_without_times_the_order_is_that_of_the_images() -> None:
    images = TargetImageList(
        [make_image("late", time=59010.0), make_image("never"), make_image("early", time=59000.0)]
    )
    result = jl.joint("point", target=images, center=(0, 0), flux=1.0, name="star").fit()
    table = result.light_curve("star")
    assert list(table["image"]) == ["late", "never", "early"]
    assert list(np.ma.getmaskarray(table["time"].mjd)) == [False, True, False]
    plain = TargetImageList([make_image("a", zeropoint=None), make_image("b", zeropoint=None)])
    result = jl.joint("point", target=plain, center=(0, 0), flux=1.0, name="star").fit()
    table = result.light_curve("star")
    assert "time" not in table.colnames
    assert "wavelength" not in result.sed("star").colnames
    assert np.all(np.isnan(table["mag"].value))
    with pytest.raises(InvalidInput, match="has none of its own, as a, b"):
        result.light_curve("star", zeropoint=25.0)


def test_units() -> None:
    images = TargetImageList([make_image("a", unit="nJy"), make_image("b", unit="nJy")])
    result = jl.joint("point", target=images, center=(0, 0), flux=1.0, name="star").fit()
    assert result.light_curve("star")["flux"].unit == u.nJy
    mixed = TargetImageList([make_image("a", unit="nJy"), make_image("b", unit="adu")])
    result = jl.joint("point", target=mixed, center=(0, 0), flux=1.0, name="star").fit()
    assert getattr(result.light_curve("star")["flux"], "unit", None) is None


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (("transiet",), {}, ("source", "transient")),
        ((7,), {}, ("source", "less than 2")),
        (("transient", "i *"), {}, ("images", "'i *'")),
        (("transient", []), {}, ("images",)),
        (("transient", 3.0), {}, ("images",)),
        (("transient", ["r 0", "x"]), {}, ("images", "'x'")),
        (("transient",), {"zeropoint": float("nan")}, ("zeropoint",)),
    ],
)
def test_refused(fitted: Any, arguments: Any, options: Any, words: tuple[str, ...]) -> None:
    _, result = fitted
    for method in (result.light_curve, result.sed):
        with pytest.raises(InvalidInput) as caught:
            method(*arguments, **options)
        for word in words:
            assert word in str(caught.value)


def test_models_of_another_fit_are_refused(fitted: Any) -> None:
    model, result = fitted
    with pytest.raises(InvalidInput, match="transient"):
        result.light_curve(model.copy()["transient"])


# --- spectra -------------------------------------------------------------------------------------


def test_sed_and_colours(fitted: Any) -> None:
    _, result = fitted
    table = result.sed("host", ["r 1", "g 1"])
    assert list(table["image"]) == ["g 1", "r 1"]
    np.testing.assert_allclose(table["wavelength"].to_value(u.nm), [480.0, 620.0])
    covariance = table.meta["mag_covariance"]
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), table["mag_err"].value)
    color, error = result.color("g 1", "r 1", source="host")
    assert table["mag"][0].value - table["mag"][1].value == pytest.approx(float(color), abs=1e-12)
    mixing = np.array([1.0, -1.0])
    assert np.sqrt(mixing @ covariance @ mixing) == pytest.approx(float(error), rel=1e-9)
    # One shape for both bands: magnitudes err together, the colour less than apart.
    assert covariance[0, 1] > 0.0


# --- smooth in wavelength ------------------------------------------------------------------------

SCALES = (0.4, 0.25, 0.4, 0.8)
WAVES = (0.45, 0.62, 0.9, 2.1)


def bands(**options: Any) -> TargetImageList:
    return TargetImageList(
        make_image(
            f"b{k}", n=int(16.0 / scale), scale=scale, wavelength=wave, fwhm=2.5 * scale, **options
        )
        for k, (scale, wave) in enumerate(zip(SCALES, WAVES, strict=True))
    )


def test_recovers_a_polynomial_over_pixel_scales() -> None:
    """Each band is drawn by itself, with values from numpy's Chebyshev series."""
    t = 2.0 * (np.array(WAVES) - WAVES[0]) / (WAVES[-1] - WAVES[0]) - 1.0
    n = np.polynomial.chebyshev.chebval(t, [2.0, 0.8])
    radius = np.polynomial.chebyshev.chebval(t, [1.8, -0.5, 0.15])
    rng = np.random.default_rng(2)
    drawn = []
    for image, one_n, one_radius in zip(bands(), n, radius, strict=True):
        model = jl.Model("sersic galaxy", target=image, amplitude="flux", center=(0.2, -0.1), q=0.6,
                         PA=50.0, n=one_n, Re=one_radius, flux=1500.0)  # fmt: skip
        data = model.image() + rng.normal(scale=0.1, size=image.shape)
        drawn.append(image.copy(name=image.name, data=data, variance=0.01))
    model = jl.joint(
        "sersic galaxy",
        target=TargetImageList(drawn),
        amplitude="flux",
        per_image=["flux"],
        wavelength_degree={"n": 1, "Re": 2},
        name="galaxy",
    )
    assert model.per_image == ("flux", "n", "Re")
    model.initialize()
    result = model.fit()
    assert result.success
    assert abs(result.chi2 - result.dof) < 5.0 * np.sqrt(2.0 * result.dof)
    for name, truth in (("n", n), ("Re", radius)):
        errors = np.array(list(model[name].uncertainty.values()))
        pulls = (np.array(list(model[name].value.values())) - truth) / errors
        assert np.max(np.abs(pulls)) < 4.0
        assert np.max(errors) < 0.1
    free = {path for path in model.free_parameters if path.endswith(("/n", "/Re"))}
    assert len(free) == 5
    assert {"b0/n", "b3/n", "b0/Re", "b3/Re"} < free


def steep(indices: Any) -> jl.Model:
    """A line in wavelength for galaxies, one a band, of these indices."""
    drawn = []
    for image, n in zip(bands(), indices, strict=True):
        model = jl.Model("sersic galaxy", target=image, amplitude="flux", center=(0.0, 0.0), q=0.6,
                         PA=50.0, n=n, Re=1.5, flux=800.0)  # fmt: skip
        drawn.append(image.copy(name=image.name, data=model.image(), variance=0.01))
    return jl.joint("sersic galaxy", target=TargetImageList(drawn), amplitude="flux",
                    wavelength_degree={"n": 1}, center=(0.0, 0.0), q=0.6, PA=50.0, n=2.0, Re=1.5,
                    flux=800.0)  # fmt: skip


def test_limits_hold_behind_a_polynomial() -> None:
    indices = (0.6, 1.2, 2.0, 4.4)
    free = steep(indices)
    free.fit()
    assert free["n"]["b0"].value < 0.75
    held = steep(indices)
    held["n"].limits = (0.9, 8.0)
    before = held.chi2()
    result = held.fit()
    assert all(0.9 - 1e-6 <= n <= 8.0 for n in held["n"].value.values())
    assert held["n"]["b0"].value < 1.2
    assert result.chi2 < 0.2 * before
    # It does not stop there: with the bluest one fixed at the limit the minimum is the same.
    index = result.parameter_names.index("b0/n")
    assert result.at_bound[index]
    fixed = steep(indices)
    fixed["n"]["b0"].value = 0.9
    fixed["n"]["b0"].fixed = True
    assert result.chi2 == pytest.approx(fixed.fit().chi2, abs=0.01)


def test_the_domain_holds_behind_a_polynomial() -> None:
    model = steep((0.31, 1.5, 3.0, 9.5))
    result = model.fit()
    assert np.isfinite(result.values).all()
    assert all(0.3 * (1.0 - 1e-6) <= n <= 10.0 * (1.0 + 1e-6) for n in model["n"].value.values())
    assert len(result.sources) == 1


def test_start_and_printing() -> None:
    model = jl.joint("sersic galaxy", target=bands(), wavelength_degree={"n": 1}, n=2.5, Re=1.0,
                     q=0.5, PA=0.0, Ie=1.0, center=(0.0, 0.0))  # fmt: skip
    assert [p.is_free for p in model["n"].values()] == [True, False, False, True]
    assert all(n == pytest.approx(2.5) for n in model["n"].value.values())
    assert "b0.n" in str(model)
    assert model.check_jacobian(tolerance=1e-7)
    twin = pickle.loads(pickle.dumps(model.copy(name="twin")))
    twin["n"]["b0"].value = twin["n"]["b3"].value = 3.0
    assert twin["n"]["b2"].value == pytest.approx(3.0)
    assert model["n"]["b2"].value == pytest.approx(2.5)


def test_scattered_starts_are_smoothed() -> None:
    scatter = np.array([1.0, 2.0, 2.2, 4.5])
    model = jl.joint("sersic galaxy", target=bands(), wavelength_degree={"n": 1}, n=scatter)
    line = np.polyval(np.polyfit(WAVES, scatter, 1), WAVES)
    np.testing.assert_allclose(list(model["n"].value.values()), line)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_weights_are_those_of_the_interpolating_polynomial(degree: int) -> None:
    waves = np.array([0.9, 0.45, 0.62, 2.1, 0.62, 1.2])
    nodes, weights = interpolation(waves, degree)
    assert len(set(waves[nodes])) == degree + 1
    values = np.cos(3.0 * waves[nodes])
    expected = np.polyval(np.polyfit(waves[nodes], values, degree), waves)
    np.testing.assert_allclose(weights @ values, expected, atol=1e-10)
    if degree:
        assert {0.45, 2.1} <= set(waves[nodes])


def test_an_image_between_starts_all() -> None:
    model = jl.joint("sersic galaxy", target=bands(), wavelength_degree={"n": 1})
    assert model["n"]["b1"].propose(3.0)
    np.testing.assert_allclose(list(model["n"].value.values()), 3.0)


def test_a_tie_to_coefficients_is_guarded() -> None:
    """What `tie_polynomial` makes has no box that keeps bands within their limits."""
    model = steep((0.6, 1.2, 2.0, 4.4))
    for p in model["n"].values():
        p.untie()
    model["n"].limits = (0.9, 8.0)
    coefficients = tie_polynomial(list(model["n"].values()), WAVES, degree=1)
    scene = model.compile()
    ((guard, where),) = scene.slots.blocks
    assert set(where) == {tile.slots[5] for tile in scene.tiles}
    assert {scene.free_parameters[i][0] for i in guard.inputs} == set(coefficients)
    for point, inside in (((2.0, 1.0), True), ((2.0, 1.3), False), ((6.0, 2.5), False)):
        assert bool(np.isfinite(guard(point)[0]).all()) is inside
        v = scene.v0
        v[guard.inputs] = point
        assert bool(np.isfinite(scene.chi2(v))) is inside
    assert model.check_jacobian(tolerance=1e-7)
    before = scene.chi2()
    result = model.fit()
    assert result.chi2 < before
    assert all(0.9 - 1e-6 <= n <= 8.0 for n in model["n"].value.values())


def test_files(tmp_path: Any) -> None:
    model = jl.joint("sersic galaxy", target=bands(), wavelength_degree={"n": 1}, n=2.5, Re=1.0,
                     q=0.5, PA=0.0, Ie=1.0, center=(0.0, 0.0))  # fmt: skip
    result = model.fit(max_iter=2)
    result.write(tmp_path / "fit.asdf")
    back = jl.load(tmp_path / "fit.asdf").model
    assert dict(back.wavelength_degree) == {"n": 1}
    assert back["n"]["b3"].value == model["n"]["b3"].value
    assert back["n"]["b1"].is_tied
    assert back.chi2() == pytest.approx(model.chi2(), rel=1e-9)
    assert back.free_parameters.keys() == model.free_parameters.keys()


def test_quantities_of_any_length() -> None:
    def coefficients(wavelengths: Any) -> list[np.ndarray]:
        members = [Parameter(f"p{k}", float(k**2)) for k in range(3)]
        tie_polynomial(members, wavelengths, degree=1)
        ties = [p.current_tie for p in members]
        return [np.array(tie.scales) for tie in ties if isinstance(tie, LinearTie)]

    plain = coefficients([0.5, 0.7, 2.0])
    for same in ([5000, 7000, 20000] * u.AA, [500 * u.nm, 0.7 * u.um, 20000 * u.AA]):
        np.testing.assert_allclose(coefficients(same), plain, atol=1e-12)
    with pytest.raises(InvalidInput, match="one kind"):
        coefficients([0.5 * u.um, 3.0 * u.s, 2.0 * u.um])
    with pytest.raises(InvalidInput, match="one kind"):
        coefficients([0.5 * u.um, 0.6, 2.0 * u.um])


REFUSED: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "unknown": ({"wavelength_degree": {"index": 1}}, ("index", "wavelength_degree")),
    "not a dict": ({"wavelength_degree": 2}, ("wavelength_degree",)),
    "fraction": ({"wavelength_degree": {"n": 1.5}}, ("'n'", "1.5")),
    "negative": ({"wavelength_degree": {"n": -1}}, ("'n'", "-1")),
    "too high": ({"wavelength_degree": {"n": 4}}, ("'n'", "less than 4")),
    "fixed": (
        {"wavelength_degree": {"n": 1}, "n": {"value": 2, "fixed": True}},
        ("b1.n", "'b0' and 'b3'", "fixed"),
    ),
    "prior": (
        {"wavelength_degree": {"n": 1}, "n": {"b2": {"prior": jl.Normal(2, 1)}}},
        ("b2.n", "prior"),
    ),
}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.replace(" ", "_"))
def test_degrees_refused(case: str) -> None:
    options, words = REFUSED[case]
    with pytest.raises(InvalidInput) as caught:
        jl.joint("sersic galaxy", target=bands(), **options)
    for word in words:
        assert word in str(caught.value)


def test_images_without_different_wavelengths() -> None:
    images = TargetImageList([make_image("a", wavelength=0.6), make_image("b")])
    with pytest.raises(InvalidInput, match="'b' has no wavelength"):
        jl.joint("sersic galaxy", target=images, wavelength_degree={"n": 0})
    images = TargetImageList([make_image(name, wavelength=0.6) for name in ("a", "b")])
    with pytest.raises(InvalidInput, match="less than 1"):
        jl.joint("sersic galaxy", target=images, wavelength_degree={"n": 1})
    model = jl.joint("sersic galaxy", target=images, wavelength_degree={"n": 0})
    assert model["b/n"].is_tied


# --- starts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("templates_first", [True, False])
@pytest.mark.parametrize("held", [True, False])
def test_a_transient_is_found_where_it_shows(templates_first: bool, held: bool) -> None:
    """Its place is not known, and on templates there is nothing but the host."""
    flux = {"r 1": 16.0, "g 1": 12.0, "r 2": 19.0, "r 0": 0.0, "g 0": 0.0}
    names = sorted(flux, key=lambda name: name[-1] == "0", reverse=templates_first)
    plan = TargetImageList(blank(name) for name in names)
    truth = transient(plan, flux=flux, center=(3.0, -2.0))
    rng = np.random.default_rng(0)
    images = TargetImageList(
        image.copy(
            name=image.name, data=truth.image(image) + rng.normal(scale=NOISE, size=image.shape)
        )
        for image in plan
    )
    model = transient(images, center=None)
    for name in ("r 0", "g 0"):
        if held:
            model["transient"]["flux"][name].configure({"value": 0.0, "fixed": True})
    model.initialize()
    assert np.max(np.abs(model["transient/center"].value - np.array([3.0, -2.0]))) < 0.3
    result = model.fit()
    assert result.success
    table = result.light_curve("transient", "? [12]")
    pulls = (table["flux"] - [flux[name] for name in table["image"]]) / table["flux_err"]
    assert np.max(np.abs(pulls)) < 4.0
