# SPDX-License-Identifier: BSD-3-Clause
"""fit_many: many fits in one call agree with single ones, and bad objects harm no other."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable
from hypothesis import given, settings
from hypothesis import strategies as st

import jointlight as jl
from jointlight import _core
from jointlight.many.results import STATUS
from jointlight.result.status import succeeded
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
from reference.on_backends import CPU_ALONE, EVERY_BACKEND

pytestmark = EVERY_BACKEND

# ---- agreement with single fits ---------------------------------------------------------------


def test_template_agrees_with_single_fits():
    stamps, truth, start = drawn([(32, 32)] * 8)
    results = jl.fit_many(template(), data=np.array(stamps), start=start, n_threads=1)
    assert results.names == NAMES
    assert results.success.all()
    assert_same(results, one_by_one(stamps, start))
    pulls = (results.values - np.array([truth[name] for name in NAMES]).T) / results.errors
    assert np.sqrt(np.mean(pulls**2)) < 1.5


def test_ragged_stamps_agree_with_single_fits():
    shapes = [(32, 32), (25, 40), (33, 33), (48, 29)]
    stamps, _, start = drawn(shapes)
    results = jl.fit_many(template(), data=stamps, start=start, n_threads=1)
    assert_same(results, one_by_one(stamps, start))
    np.testing.assert_array_equal(results.n_pixels, [h * w for h, w in shapes])


@pytest.mark.parametrize("kind", ["variance", "std", "weight"])
@pytest.mark.parametrize("form", ["number", "one an object", "one plane", "stack", "list"])
def test_noise_in_every_form(kind, form):
    stamps, _, start = drawn([(32, 32)] * 3)
    rng = np.random.default_rng(5)
    std = {
        "number": 0.06,
        "one an object": np.array([0.05, 0.06, 0.07]),
        "one plane": rng.uniform(0.04, 0.06, (32, 32)),
        "stack": rng.uniform(0.04, 0.06, (3, 32, 32)),
        "list": list(rng.uniform(0.04, 0.06, (3, 32, 32))),
    }[form]
    power = {"variance": 2, "std": 1, "weight": -2}[kind]
    noise = [one**power for one in std] if form == "list" else std**power
    results = jl.fit_many(
        template(), data=np.array(stamps), start=start, n_threads=1, **{kind: noise}
    )
    whole = np.broadcast_to(
        np.reshape(std, (3, 1, 1)) if form == "one an object" else np.asarray(std), (3, 32, 32)
    )
    for i in range(3):
        part = {name: values[i : i + 1] for name, values in start.items()}
        single = one_by_one(stamps[i : i + 1], part, std=whole[i].copy())
        assert_same(results[i : i + 1], single)


def test_single_precision_masks_and_nan_agree_with_single_fits():
    stamps, _, start = drawn([(32, 32)] * 3)
    data = np.array(stamps, dtype=np.float32)
    data[0, 3:6, 4] = np.nan
    mask = np.zeros(data.shape, dtype=np.uint8)
    mask[1, :, 7:9] = 4
    results = jl.fit_many(template(), data=data, mask=mask, start=start, n_threads=1)
    for i in range(3):
        part = {name: values[i : i + 1] for name, values in start.items()}
        bad = ~np.isfinite(data[i]) | (mask[i] != 0)
        stamp = np.where(bad, 0.0, data[i].astype(float))
        assert_same(results[i : i + 1], one_by_one([stamp], part, mask=bad))
    np.testing.assert_array_equal(results.n_pixels, [32 * 32 - 3, 32 * 30, 32 * 32])


def test_psfs_of_their_own():
    sigmas = (0.9, 1.2, 1.5)
    psfs = [jl.PSF(gaussian_array(sigma)) for sigma in sigmas]
    stamps, starts = [], []
    for k, psf in enumerate(psfs):
        one, _, start = drawn([(32, 32)], seed=k, psf=psf)
        stamps += one
        starts.append(start)
    start = {name: np.concatenate([one[name] for one in starts]) for name in NAMES}
    singles = []
    for k, psf in enumerate(psfs):
        part = {name: values[k : k + 1] for name, values in start.items()}
        singles += one_by_one(stamps[k : k + 1], part, psf=psf)
    stack = np.array([gaussian_array(sigma) for sigma in sigmas])
    for psf in (psfs, stack, list(stack)):
        results = jl.fit_many(template(psf=psfs[0]), data=stamps, psf=psf, start=start, n_threads=1)
        assert_same(results, singles)
    without = template(psf=None)
    results = jl.fit_many(without, data=stamps, psf=psfs, start=start, n_threads=1)
    assert_same(results, singles)


def test_stamps_may_lie_otherwise_on_the_sky():
    stamps, _, start = drawn([(32, 32)] * 2)
    turned = [stamps[0], np.rot90(stamps[1]).copy()]
    # (x, y) of the turned stamp's pixels are (y, -x) of the other's, about the middle.
    jacobian = template().target.pixel_jacobian(15.5, 15.5)
    jacobians = np.array([jacobian, jacobian @ np.array([[0.0, -1.0], [1.0, 0.0]])])
    plain = jl.fit_many(template(), data=stamps, start=start, n_threads=1)
    results = jl.fit_many(template(), data=turned, jacobian=jacobians, start=start, n_threads=1)
    assert np.all(np.abs(results.values - plain.values) < 1e-4 * plain.errors)


def test_fixed_parameters_are_held_at_values_of_each_object():
    stamps, truth, start = drawn([(32, 32)] * 4)
    model = template()
    for name in ("center", "n"):
        model[name].fixed = True
    held = {name: truth[name] for name in ("center_x", "center_y", "n")}
    free = {name: start[name] for name in ("q", "PA", "Re", "Ie")}
    results = jl.fit_many(model, data=stamps, start=held | free, n_threads=1)
    assert results.names == ("q", "PA", "Re", "Ie")
    assert model["n"].fixed
    for i, stamp in enumerate(stamps):
        image = jl.TargetImage(stamp, psf=PSF, pixelscale=1.0, std=NOISE)
        at = {name: float(values[i]) for name, values in (held | free).items()}
        single = galaxy(
            image, (at["center_x"], at["center_y"]), at["q"], at["PA"], at["Re"], at["n"], at["Ie"]
        )
        single["center"].fixed = single["n"].fixed = True
        assert_same(results[i : i + 1], [single.fit(n_threads=1)])


def test_several_images_of_each_object():
    def images(data: Any = None) -> Any:
        return jl.TargetImageList(
            [
                jl.TargetImage(
                    np.zeros((30, 30)) if data is None else data[0],
                    pixelscale=1.0, psf=PSF, std=NOISE, name="g",
                ),
                jl.TargetImage(
                    np.zeros((20, 20)) if data is None else data[1],
                    pixelscale=1.5, psf=jl.gaussian_psf(fwhm=3.0, pixelscale=1.5), std=NOISE,
                    name="r",
                ),
            ]
        )  # fmt: skip

    def model(targets: Any, **values: Any) -> Any:
        made = jl.joint(
            "sersic galaxy", target=targets, per_image=["flux"], amplitude="flux", name="galaxy",
            center=(0.2, -0.1), q=0.7, PA=40.0, Re=4.0, n=1.5, **values,
        )  # fmt: skip
        for image, flux in zip(targets, (60.0, 90.0), strict=True):
            made["flux"][image.name].value = flux
        return made

    rng = np.random.default_rng(2)
    clean = model(images()).images()
    data = [[one + rng.normal(0, NOISE, one.shape) for one in clean] for _ in range(3)]
    by_name = {"g": [pair[0] for pair in data], "r": np.array([pair[1] for pair in data])}
    results = jl.fit_many(model(images()), data=by_name, start={"Re": 4.4}, n_threads=1)
    for pair, row in zip(data, results, strict=True):
        single = model(images(pair))
        single["Re"].value = 4.4
        assert_same([row], [single.fit(n_threads=1)])
    by_name["r"] = [by_name["r"][0], None, by_name["r"][2]]  # not seen in r
    some = jl.fit_many(model(images()), data=by_name, start={"Re": 4.4}, n_threads=1)
    assert_equal(some[[0, 2]], results[[0, 2]])
    assert some.success.all()
    flux = next(name for name in some.names if "r" in name and name.endswith("flux"))
    assert some.degenerate[1, some.names.index(flux)]
    assert np.isfinite(some["Re_error" if "Re" in some.names else "galaxy/Re_error"][1])


def test_models_of_all_kinds_are_fitted_as_one_by_one():
    singles = [model.fit(n_threads=1) for model in mixed_models()]
    models = mixed_models()
    results = jl.fit_many(models, covariance=True, n_threads=2)
    for model, row, single in zip(models, results, singles, strict=True):
        assert (row.status, row.chi2, row.dof) == (single.status, single.chi2, single.dof)
        np.testing.assert_array_equal(list(row.values.values()), single.values)
        np.testing.assert_array_equal(list(row.errors.values()), single.errors)
        np.testing.assert_array_equal(row.covariance, single.covariance)
        assert tuple(row.values) == single.parameter_names
        for mine, theirs in zip(
            model.free_parameters.values(), single.model.free_parameters.values(), strict=True
        ):
            np.testing.assert_array_equal(mine.value, theirs.value)
            np.testing.assert_array_equal(mine.uncertainty, theirs.uncertainty)
    assert results.values.shape == (12, len(results.names))
    assert np.isnan(results["flux"]).sum() == 8
    untouched = mixed_models()
    assert_equal(jl.fit_many(untouched, update=False), results.without_covariance())
    assert untouched[1]["flux"].value == 15.0
    assert untouched[1]["flux"].uncertainty is None


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_degenerate_models_lose_as_many_degrees_of_freedom(n):
    """Sources in one place: only the sum of their fluxes is known."""

    def model() -> Any:
        rng = np.random.default_rng(n)
        image = template().target
        one = jl.Model("point", target=image, center=(0.0, 0.0), flux=20.0)
        noisy = image.copy(data=one.image() + rng.normal(0, NOISE, image.shape))
        stars = [
            jl.Model("point", target=noisy, center=(0.0, 0.0), flux=5.0 + k, name=f"star {k}")
            for k in range(n)
        ]
        for star in stars:
            star["center"].fixed = True
        return jl.Group(stars)

    single = model().fit(n_threads=1)
    row = jl.fit_many([model()], covariance=True)[0]
    assert (row.status, row.dof) == (single.status, single.dof)
    np.testing.assert_array_equal(list(row.errors.values()), single.errors)
    np.testing.assert_array_equal(row.covariance, single.covariance)
    assert all(f"star {k}/flux" in row.message for k in range(n)) == (n > 1)


def test_large_models_keep_errors_without_a_matrix():
    options = jl.fit.LMOptions(covariance_max_size=5)
    models = mixed_models(4)
    results = jl.fit_many(models, covariance=True, options=options)
    assert [row.covariance is None for row in results] == [True, False, True, True]
    assert np.isfinite(results["flux_error"][1])
    whole = jl.fit_many(mixed_models(4), covariance=True)
    np.testing.assert_allclose(results.errors, whole.errors, rtol=1e-9)
    np.testing.assert_array_equal(results[1].covariance, whole[1].covariance)
    np.testing.assert_array_equal(results[::-1][2].covariance, whole[1].covariance)
    assert models[0]["Re"].uncertainty == pytest.approx(whole["Re_error"][0])


def test_models_in_several_turns(monkeypatch):
    whole = jl.fit_many(mixed_models(), covariance=True)
    monkeypatch.setattr("jointlight.many.separate._AT_A_TIME", 5)
    parts = jl.fit_many(mixed_models(), covariance=True)
    assert_equal(parts, whole)
    np.testing.assert_array_equal(parts.flat_covariance, whole.flat_covariance)


def test_unknown_noise_scales_errors_with_one_warning():
    stamps, _, start = drawn([(32, 32)] * 3)
    known = jl.fit_many(template(), data=stamps, start=start, n_threads=1)
    with pytest.warns(jl.JointlightWarning, match="no noise is known"):
        scaled = jl.fit_many(template(std=None), data=stamps, start=start, n_threads=1)
    np.testing.assert_allclose(
        scaled.errors, known.errors * np.sqrt(known.reduced_chi2)[:, None], rtol=1e-4
    )
    plain = jl.fit_many(
        template(std=None), data=stamps, start=start, scale_covariance=False, n_threads=1
    )
    np.testing.assert_allclose(plain.errors * NOISE, known.errors, rtol=1e-4)


def test_tied_parameters_of_a_template():
    image = jl.TargetImage(np.zeros((32, 32)), pixelscale=1.0, psf=PSF, std=NOISE)

    def model(on: Any, scale: float) -> Any:
        bulge = galaxy(on, (0.0, 0.0), 0.9, 10.0, 1.5, 3.0, 2.0)
        disc = galaxy(on, (0.0, 0.0), 0.5, 10.0, 6.0, 1.0, 0.5)
        disc["center"].tie(bulge["center"])
        disc["Re"].tie(bulge["Re"], scale=scale)
        disc["n"].fixed = True
        return jl.Group([bulge, disc], name="both")

    rng = np.random.default_rng(8)
    truth = model(image, 4.0)
    stamps = [truth.image() + rng.normal(0, NOISE, (32, 32)) for _ in range(2)]
    results = jl.fit_many(truth, data=stamps, n_threads=1)
    for stamp, row in zip(stamps, results, strict=True):
        single = model(image.copy(data=stamp), 4.0).fit(n_threads=1)
        assert_same([row], [single])
        assert tuple(row.values) == single.parameter_names


def tied_by_function(stamp: Any = None) -> Any:
    image = template().target
    model = galaxy(
        image if stamp is None else image.copy(data=stamp), (0.0, 0.0), 0.7, 30.0, 3.0, 2.0, 1.0
    )
    model["Ie"].tie(lambda n: 0.5 + 0.25 * n * n, [model["n"]])
    return model


def test_functions_of_parameters_are_called_from_every_thread():
    rng = np.random.default_rng(3)
    clean = tied_by_function().image()
    data = clean + rng.normal(0, NOISE, (6, 32, 32))
    results = jl.fit_many(tied_by_function(), data=data, start={"n": 1.6}, n_threads=3)
    assert results.names == ("center_x", "center_y", "q", "PA", "Re", "n")
    for stamp, row in zip(data, results, strict=True):
        single = tied_by_function(stamp)
        single["n"].value = 1.6
        assert_same([row], [single.fit(n_threads=1)])
    held = tied_by_function()
    held["n"].fixed = True
    with pytest.raises(jl.InvalidInput, match="n is fixed and a function of it"):
        jl.fit_many(held, data=data, start={"n": np.linspace(1, 2, 6)})


# ---- limits, time, interruption -----------------------------------------------------------------


def test_limits_of_each_object():
    stamps, _, start = drawn([(32, 32)] * 3)
    high = np.array([10.0, start["Re"][1] * 0.7, 10.0])
    start["Re"][1] = 0.6 * start["Re"][1]
    results = jl.fit_many(
        template(), data=stamps, start=start, limits={"Re": (0.5, high)}, n_threads=1
    )
    at = results.names.index("Re")
    assert results.at_bound[:, at].tolist() == [False, True, False]
    assert results.values[1, at] == high[1]
    assert np.isnan(results.errors[1, at])
    assert "At a bound: Re." in results.message[1]
    assert results[1].at_bound == ("Re",)
    assert results.dof[1] == results.dof[0] + 1


def test_time_limit_is_each_objects_own():
    stamps, _, start = drawn([(32, 32)] * 3)
    big, _, far = drawn([(350, 350)], seed=3)
    for name in NAMES:
        start[name] = np.append(start[name], far[name])
    begin = time.perf_counter()
    results = jl.fit_many(
        template(), data=[*stamps, *big], start=start, time_limit=1e-4, n_threads=1
    )
    assert results.status[3] == "timed_out"
    assert np.isfinite(results.values[3]).all()
    assert not results.success[3]
    unlimited = jl.fit_many(template(), data=[*stamps, *big], start=start, n_threads=1)
    assert unlimited.success.all()
    assert results.n_evaluations[3] < unlimited.n_evaluations[3]
    assert time.perf_counter() - begin < 60


def slow_job(n: int = 400) -> dict[str, Any]:
    stamps, _, start = drawn([(96, 96)] * 4)
    tiled = {name: np.tile(values, n // 4) for name, values in start.items()}
    return {"data": stamps * (n // 4), "start": tiled}


# One object after the other; on a device they go side by side: see test_many_together.py.
@CPU_ALONE
def test_keyboard_interrupt_keeps_what_is_done():
    job = slow_job(40_000)  # minutes, were it not interrupted
    timer = threading.Timer(0.6, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    told = [0]
    results = jl.fit_many(
        template(), n_threads=1, **job, progress=lambda done, n: told.append(done)
    )
    timer.join()
    assert results.interrupted
    assert max(told) < len(results)
    done = results.status != "interrupted"
    assert 0 < done.sum() < len(results)
    assert results.success[done].all()
    assert not results.success[~done].any()
    # Of one thread, all but the object under way were done in order.
    assert done[: done.sum()].all()
    whole = jl.fit_many(template(), data=job["data"][:4],
                        start={k: v[:4] for k, v in job["start"].items()})  # fmt: skip
    assert_equal(results[:4], whole)


def test_keyboard_interrupt_among_models(monkeypatch):
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("jointlight.many.separate._AT_A_TIME", 1)
    models = mixed_models(4)
    results = jl.fit_many(models, progress=stop, n_threads=1)
    assert results.interrupted
    # The first was done when the function was called; no other was begun.
    assert results.success.tolist() == [True, False, False, False]
    assert (results.status[1:] == "interrupted").all()
    assert (results.n_evaluations[1:] == 0).all()
    assert models[1]["flux"].uncertainty is None


def test_progress_is_told_and_its_errors_are_raised(every_backend):
    told = []
    n = {"cpu": 1200, "cuda-emulated": 24, "cuda": 40_000}[every_backend]
    results = jl.fit_many(
        template(), n_threads=1, **slow_job(n), progress=lambda done, n: told.append((done, n))
    )
    assert told == sorted(told)
    assert told[-1] == (len(results), len(results))
    assert len(told) > 1

    def fails(done: int, total: int) -> None:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        jl.fit_many(template(), n_threads=1, **slow_job(8), progress=fails)


def test_progress_bar(capsys):
    stamps, _, start = drawn([(32, 32)] * 2)
    jl.fit_many(template(), data=stamps, start=start, progress=True, n_threads=1)
    assert "fits" in capsys.readouterr().err


# ---- the same whatever the order, the threads ---------------------------------------------------


@pytest.fixture(scope="module")
def ragged(every_backend) -> tuple[Any, Any, Any]:
    stamps, _, start = drawn([(32, 32), (20, 41), (25, 25), (32, 32), (37, 30)], seed=9)
    stamps[2][:] = np.nan
    return stamps, start, jl.fit_many(template(), data=stamps, start=start, n_threads=1)


@settings(deadline=None, max_examples=15)
@given(order=st.permutations(range(5)), n_threads=st.integers(1, 4))
def test_order_and_threads_do_not_matter(ragged, order, n_threads):
    stamps, start, results = ragged
    order = list(order)
    permuted = jl.fit_many(
        template(),
        data=[stamps[k] for k in order],
        start={name: values[order] for name, values in start.items()},
        n_threads=n_threads,
    )
    assert_equal(permuted, results[order])


@settings(deadline=None, max_examples=5)
@given(order=st.permutations(range(6)))
def test_order_of_models_does_not_matter(order):
    models, results = mixed_models(6), jl.fit_many(mixed_models(6))
    permuted = jl.fit_many([models[k] for k in order], n_threads=2)
    for k, row in zip(order, permuted, strict=True):
        assert row.values == results[k].values
        assert row.errors == results[k].errors
        assert row.status == results[k].status


# ---- results ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def results(ragged) -> Any:
    stamps, start, _ = ragged
    return jl.fit_many(template(), data=stamps, start=start, covariance=True, n_threads=1)


def test_table_is_a_view_with_units(results):
    table = results.table
    assert isinstance(table, QTable)
    assert table["Re"].unit == u.arcsec
    assert table["time"].unit == u.s
    for name in NAMES:
        assert np.shares_memory(np.asarray(table[name]), results.flat_values), name
    assert np.shares_memory(np.asarray(table["chi2"]), results.chi2)
    copied = results.to_table(copy=True)
    assert not np.shares_memory(np.asarray(copied["Re"]), results.flat_values)
    assert table.colnames[:8] == [
        "status", "success", "chi2", "n_pixels", "dof", "reduced_chi2", "n_evaluations", "time"
    ]  # fmt: skip


def test_rows_subsets_and_columns(results):
    assert len(results) == 5
    assert [row.status for row in results] == results.status.tolist()
    assert results[-1].values["Re"] == results["Re"][4]
    assert results[np.array([True, False, True, False, False])].status.tolist() == (
        results.status[[0, 2]].tolist()
    )
    back = results[::-1]
    np.testing.assert_array_equal(back.values, results.values[::-1])
    np.testing.assert_array_equal(back.covariance, results.covariance[::-1])
    np.testing.assert_array_equal(np.sqrt(np.einsum("nii->ni", results.covariance)), results.errors)
    with pytest.raises(IndexError):
        results[5]
    with pytest.raises(jl.InvalidInput, match="'Re'"):
        results["re"]
    with pytest.raises(jl.InvalidInput, match="slice"):
        results["a":]
    assert len(results[:0]) == 0
    assert results[:0].table["Re"].size == 0
    assert "0 of 0" in results[:0].summary()


@pytest.mark.parametrize("precision", ["float64", "mixed"])
def test_results_say_how_they_were_computed(every_backend, ragged, precision, tmp_path):
    stamps, start, _ = ragged
    start = start | {"Re": np.array([3.0, np.nan, 3.0, 3.0, 3.0])}
    results = jl.fit_many(template(), data=stamps, start=start, precision=precision)
    assert results.status[[1, 2]].tolist() == ["invalid_input", "no_data"]
    expected = [every_backend] * 5
    expected[1] = ""  # refused before anything was evaluated
    assert results.backend.tolist() == expected
    assert (results.backend == "").tolist() == (results.n_evaluations == 0).tolist()
    assert [row.backend for row in results] == expected
    assert results.precision == results[:2].precision == precision
    assert pickle.loads(pickle.dumps(results)).precision == precision
    assert results.table["backend"].tolist() == expected
    results.table.write(tmp_path / "table.ecsv")
    back = QTable.read(tmp_path / "table.ecsv")
    assert back.meta["precision"] == precision
    assert [str(one) for one in back["backend"].filled("")] == expected
    usual = every_backend == "cpu" and precision == "float64"
    assert (f"\non {every_backend} (4); {precision}" in results.summary()) != usual
    assert ("; float64" in results.summary()) == (precision == "float64" and not usual)


def test_models_say_how_they_were_computed(every_backend):
    listed = [template() for _ in range(3)]
    listed[0]["q"].tie(listed[0]["Re"], scale=0.1)
    listed[0]["Re"].value = 11.0  # cannot be compiled: q would be above 1
    results = jl.fit_many(listed, precision="mixed")
    assert results.backend.tolist() == ["", every_backend, every_backend]
    assert results.precision == "mixed"
    assert jl.fit_many([]).precision == "float64"


def test_results_are_pickled(results):
    back = pickle.loads(pickle.dumps(results))
    assert_equal(back, results)
    assert back.summary() == results.summary()
    assert back.table.colnames == results.table.colnames


def test_good_ends_are_those_of_single_fits():
    assert len(STATUS) == len(set(STATUS))
    for name, sentence, good in _core.batch_statuses():
        assert good == succeeded(name), name
        assert sentence.endswith("."), name


def test_no_objects():
    assert len(jl.fit_many([])) == 0
    none = jl.fit_many(template(), data=np.zeros((0, 8, 8)))
    assert len(none) == 0
    assert none.names == NAMES
    assert none.table["Re"].unit == u.arcsec


def test_nothing_free():
    stamps, truth, _ = drawn([(32, 32)] * 2)
    model = template()
    for parameter in model.free_parameters.values():
        parameter.fixed = True
    results = jl.fit_many(model, data=stamps, start=truth, n_threads=1)
    assert (results.status == "no_free_parameters").all()
    assert np.all(np.abs(results.reduced_chi2 - 1) < 0.2)
