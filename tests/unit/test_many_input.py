# SPDX-License-Identifier: BSD-3-Clause
"""fit_many: a bad object harms no other, a bad call is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table

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

# ---- bad objects --------------------------------------------------------------------------------


def nan_data(stamps: list[Any], start: dict[str, Any], row: int) -> None:
    stamps[row] = np.full((32, 32), np.nan)


def empty(stamps: list[Any], start: dict[str, Any], row: int) -> None:
    stamps[row] = np.zeros((0, 5))


def absent(stamps: list[Any], start: dict[str, Any], row: int) -> None:
    stamps[row] = None


def saturated(stamps: list[Any], start: dict[str, Any], row: int) -> None:
    stamps[row] = np.minimum(stamps[row], 0.3)
    stamps[row][12:20, 12:20] = np.inf


def runaway(stamps: list[Any], start: dict[str, Any], row: int) -> None:
    stamps[row] = np.random.default_rng(0).normal(0, NOISE, (32, 32))
    start["center_x"][row] = 500.0


def huge(stamps: list[Any], start: dict[str, Any], row: int) -> None:
    stamps[row] = np.full((32, 32), 1e300)


def constant(stamps: list[Any], start: dict[str, Any], row: int) -> None:
    stamps[row] = np.zeros((32, 32))


def nan_start(stamps: list[Any], start: dict[str, Any], row: int) -> None:
    start["Re"][row] = np.nan


def outside(stamps: list[Any], start: dict[str, Any], row: int) -> None:
    start["q"][row] = 1.7


def three_dimensions(stamps: list[Any], start: dict[str, Any], row: int) -> None:
    stamps[row] = np.zeros((2, 32, 32))


def text(stamps: list[Any], start: dict[str, Any], row: int) -> None:
    stamps[row] = np.array([["a", "b"]])


BAD = {
    nan_data: "no_data",
    empty: "no_data",
    absent: "no_data",
    saturated: None,
    runaway: "lost",
    huge: None,
    constant: None,
    nan_start: "invalid_input",
    outside: "invalid_input",
    three_dimensions: "invalid_input",
    text: "invalid_input",
}


@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__)
def test_a_bad_object_costs_nothing_to_the_others(spoil):
    stamps, _, start = drawn([(32, 32)] * 5)
    good = jl.fit_many(template(), data=stamps, start=start, n_threads=1)
    spoil(stamps, start, 2)
    results = jl.fit_many(template(), data=stamps, start=start, n_threads=2, time_limit=20.0)
    others = [0, 1, 3, 4]
    assert_equal(results[others], good[others])
    if BAD[spoil] is not None:
        assert results.status[2] == BAD[spoil]
        assert results.failed.tolist() == [2]
        assert results.message[2]
    if BAD[spoil] == "invalid_input":
        assert np.isnan(results.values[2]).all()
        assert "must be" in results.message[2] or "outside its limits" in results.message[2]
    assert len(results.table) == 5
    assert results.status[2] in results.summary() or results.success[2]


def test_all_bad_objects_at_once():
    stamps, _, start = drawn([(32, 32)] * (2 * len(BAD)))
    good = jl.fit_many(template(), data=stamps, start=start, n_threads=1)
    for k, spoil in enumerate(BAD):
        spoil(stamps, start, 2 * k + 1)
    results = jl.fit_many(template(), data=stamps, start=start, n_threads=2)
    assert_equal(results[::2], good[::2])


@pytest.mark.parametrize(
    ("noise", "counts"),
    [
        ({"variance": np.nan}, False),
        ({"variance": 0.0}, False),
        ({"variance": -1.0}, False),
        ({"std": np.inf}, False),
        ({"weight": np.nan}, False),
        ({"weight": -2.0}, False),
        ({"weight": np.inf}, False),
        ({"std": 0.05}, True),
    ],
)
def test_pixels_of_a_noise_that_is_none_do_not_count(noise, counts):
    stamps, _, start = drawn([(32, 32)] * 2)
    ((kind, value),) = noise.items()
    planes = np.full((2, 32, 32), {"variance": NOISE**2, "std": NOISE, "weight": NOISE**-2}[kind])
    planes[1, :16] = value
    results = jl.fit_many(template(), data=stamps, start=start, n_threads=1, **{kind: planes})
    assert results.n_pixels.tolist() == [1024, 1024 if counts else 512]
    assert results.success.all()


def test_a_bad_psf_is_its_objects_alone():
    stamps, _, start = drawn([(32, 32)] * 3)
    psfs = np.array([gaussian_array()] * 3)
    good = jl.fit_many(template(), data=stamps, psf=psfs, start=start, n_threads=1)
    psfs[1] = np.nan
    for psf in (psfs, list(psfs)):
        results = jl.fit_many(template(), data=stamps, psf=psf, start=start, n_threads=1)
        assert results.status[1] == "invalid_input"
        assert "psf" in results.message[1]
        np.testing.assert_allclose(results.values[[0, 2]], good.values[[0, 2]], rtol=1e-9)


def test_bad_models_are_their_own():
    models = mixed_models(6)
    good = jl.fit_many(mixed_models(6))
    lost = models[0].target
    models[3] = galaxy(lost, (1e9, 0.0), 0.5, 0.0, 3.0, 1.0, 1.0)
    models[4] = galaxy(lost, (0.0, 0.0), 0.5, 0.0, 3.0, 1.0, 1.0)
    models[4]["q"].tie(models[4]["Re"], scale=0.1)
    models[4]["Re"].value = 11.0
    results = jl.fit_many(models)
    assert_equal(results[:3], good[:3])
    assert_equal(results[5:], good[5:])
    assert results.status[4] == "invalid_input"
    assert "q follows" in results.message[4]
    assert not results.success[3]


def test_poisson_templates_refuse_negative_counts_of_one_object():
    rng = np.random.default_rng(4)
    image = jl.TargetImage(np.ones((32, 32)), pixelscale=1.0, psf=PSF, likelihood="poisson")
    model = jl.Group(
        [
            jl.Model("flat sky", target=image, I0=20.0, name="sky"),
            jl.Model("point", target=image, center=(0.0, 0.0), flux=900.0, name="star"),
        ]
    )
    data = rng.poisson(model.image(), (3, 32, 32)).astype(float)
    data[1, 3, 3] = -1.0
    results = jl.fit_many(model, data=data, n_threads=1)
    assert results.status[1] == "invalid_input"
    assert "negative" in results.message[1]
    assert results.success[[0, 2]].all()


# ---- input --------------------------------------------------------------------------------------


def test_starts_may_be_tables_quantities_and_vectors():
    stamps, _, start = drawn([(32, 32)] * 3)
    plain = jl.fit_many(template(), data=stamps, start=start, n_threads=1)
    table = Table(start)
    table["id"] = [7, 8, 9]
    assert_equal(jl.fit_many(template(), data=stamps, start=table, n_threads=1), plain)
    center = np.column_stack([start["center_x"], start["center_y"]])
    rest = {name: start[name] for name in NAMES[2:]}
    again = jl.fit_many(template(), data=stamps, start={"center": center, **rest}, n_threads=1)
    assert_equal(again, plain)
    rest["Re"] = (start["Re"] * u.arcsec).to(u.arcmin)
    quantities = jl.fit_many(
        template(), data=stamps, start={"center": center * u.arcsec, **rest}, n_threads=1
    )
    np.testing.assert_allclose(quantities.values, plain.values, rtol=1e-7)


def test_a_template_without_values_takes_them_from_the_start():
    stamps, _, start = drawn([(32, 32)] * 2)
    image = template().target
    bare = jl.Model("sersic galaxy", target=image)
    results = jl.fit_many(bare, data=stamps, start=start, n_threads=1)
    assert_same(results, one_by_one(stamps, start))
    assert bare["Re"].value is None
    few = {name: start[name] for name in NAMES if name != "Re"}
    with pytest.raises(jl.InvalidInput, match="no value is set for Re"):
        jl.fit_many(bare, data=stamps, start=few)


def good_call(**changes: Any) -> Any:
    stamps, _, start = drawn([(16, 16)] * 2)
    call = {"models": template(16), "data": stamps, "start": start, "n_threads": 1} | changes
    return jl.fit_many(call.pop("models"), **call)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": None}, "needs data="),
        ({"data": np.zeros((16, 16))}, "np.newaxis"),
        ({"data": {"z": np.zeros((2, 16, 16))}}, "no image 'z'"),
        ({"data": {}}, "mapping from image name"),
        ({"data": np.zeros((2, 16, 16), complex)}, "real numbers"),
        ({"data": np.zeros((2, 16, 16)) * u.Jy}, "no unit"),
        ({"std": 1.0, "weight": 1.0}, "at most one"),
        ({"std": -1.0}, "positive number"),
        ({"std": [0.1, 0.2, 0.3]}, "2, one an object"),
        ({"std": np.ones((3, 16, 16))}, r"shape \(2, h, w\)"),
        ({"std": np.ones((2, 15, 16))}, "same shape as data"),
        ({"mask": 1}, "array"),
        ({"mask": np.zeros((2, 16, 16))}, "boolean"),
        ({"psf": "psf.fits"}, "PSF.from_fits"),
        ({"psf": [PSF]}, "one an object"),
        ({"start": {"re": 1.0}}, "Did you mean 'Re'"),
        ({"start": {"Re": [1.0, 2.0, 3.0]}}, "2 of them"),
        ({"start": {"Re": "big"}}, "numbers"),
        ({"start": {"Re": 3 * u.Jy}}, "arcsec"),
        ({"start": 3.0}, "mapping from parameter name"),
        ({"start": {"center": np.zeros((2, 3))}}, r"shape \(2, 2\)"),
        ({"start": {"center": np.zeros((2, 2)), "center_x": 0.0}}, "twice"),
        ({"start": Table({"id": [1, 2]})}, "without any parameter"),
        ({"limits": {"Re": 3.0}}, "pair"),
        ({"limits": {"re": (1, 2)}}, "Did you mean 'Re'"),
        ({"jacobian": np.eye(3)}, r"shape \(2, 2, 2\)"),
        ({"n_threads": -1}, "n_threads"),
        ({"n_threads": 1.5}, "n_threads"),
        ({"time_limit": 0}, "time_limit"),
        ({"max_iter": -1}, "max_iter"),
        ({"backend": "gpu"}, "'auto', 'cpu', 'cuda'"),
        ({"progress": "yes"}, "progress"),
        ({"covariance": 1}, "covariance"),
        ({"update": 0}, "update"),
        ({"scale_covariance": 2}, "scale_covariance"),
        ({"options": {}}, "LMOptions"),
        ({"maxiter": 3}, "Did you mean 'max_iter'"),
        ({"models": 3, "data": None, "start": None}, "models, or one model"),
        ({"models": [3], "data": None, "start": None}, "nothing else"),
        ({"models": "x", "data": None, "start": None}, "models, or one model"),
        ({"models": [template()]}, "data goes with one model"),
        ({"models": [template()] * 2, "data": None, "start": None}, "update|twice"),
    ],
)
def test_bad_calls_are_refused_by_name(changes, message):
    if changes.get("models") and isinstance(changes["models"], list) and len(changes) == 3:
        same = changes["models"][0]
        changes = changes | {"models": [same] * len(changes["models"])}
    with pytest.raises(jl.InvalidInput, match=message):
        good_call(**changes)
