# SPDX-License-Identifier: BSD-3-Clause
"""What fits and the search for start values refuse or warn of: the argument is named."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import jointlight as jl
from jointlight.errors import InvalidInput, JointlightWarning
from jointlight.fit.lm import with_tie_errors
from reference import small_problem
from reference.on_backends import EVERY_BACKEND

pytestmark = EVERY_BACKEND

NAN = float("nan")
LM, Iter, LMOptions = jl.fit.LM, jl.fit.Iter, jl.fit.LMOptions
TOLERANCES = (
    r"'tolerance'. It can be 'ftol', 'xtol' or 'gtol' \(when to stop\); "
    r"drawing's is compile\(tolerance=\)"
)


def image(name: str = "r", *, shape: tuple[int, int] = (24, 30), **options: Any) -> jl.TargetImage:
    rng = np.random.default_rng(3)
    y, x = np.mgrid[: shape[0], : shape[1]]
    light = 50.0 * np.exp(-0.5 * ((x - 14) ** 2 + (y - 11) ** 2) / 2.5**2)
    data = light + rng.normal(0.0, 3.0, shape)
    return jl.TargetImage(data, pixelscale=0.5, name=name, **options)


def source(target: jl.TargetImage, **options: Any) -> Any:
    return jl.Model("gaussian galaxy", target=target, name="galaxy", **options)


@pytest.fixture(scope="module")
def model(every_backend: str) -> Any:
    return source(image(variance=9.0)).initialize()


Case = tuple[str, Callable[[Any], object], str]
REFUSED: list[Case] = [
    ("the class", lambda m: LM(jl.Model), "model must be a model"),
    ("no model", lambda m: Iter(3), "model must be a model, not 3"),
    ("time", lambda m: LM(m, time_limit="a"), "time_limit must be .* not 'a'"),
    ("time nan", lambda m: LM(m, time_limit=NAN), "time_limit must be .* not nan"),
    ("time Iter", lambda m: Iter(m, time_limit="a"), "time_limit must be .* not 'a'"),
    ("options", lambda m: LM(m, options={"ftol": 1}), "options must be an LMOptions"),
    ("options Iter", lambda m: Iter(m, options={"ftol": 1}), "options must be an LMOptions"),
    ("ftol", lambda m: LM(m, ftol="a"), "ftol must be a finite number, 0 or more, not 'a'"),
    ("ftol nan", lambda m: LM(m, ftol=NAN), "ftol must be a finite number, 0 or more, not nan"),
    ("ftol < 0", lambda m: LM(m, ftol=-2), "ftol must be a finite number, 0 or more, not -2"),
    ("xtol", lambda m: LM(m, xtol=[1]), "xtol must be a finite number"),
    ("gtol", lambda m: LM(m, gtol=True), "gtol must be a finite number"),
    ("ftol Iter", lambda m: Iter(m, ftol="a"), "ftol must be .* not 'a'"),
    ("ftol nan Iter", lambda m: Iter(m, ftol=NAN), "ftol must be .* not nan"),
    ("ftol 1 Iter", lambda m: Iter(m, ftol=1.0), "ftol must be between 0 and 1, not 1.0"),
    ("callback", lambda m: LM(m, callback=3), "callback must be a function, or None, not 3"),
    ("callback Iter", lambda m: Iter(m, callback=3), "callback must be a function, or None"),
    ("max_iter", lambda m: LM(m, max_iter=2.5), "max_iter must be a whole number, 0 or more"),
    ("max_iter text", lambda m: LM(m, max_iter="3"), "max_iter must be a whole number"),
    ("max_iter bool", lambda m: LM(m, max_iter=True), "max_iter must be a whole number"),
    ("max_iter Iter", lambda m: Iter(m, max_iter=0), "max_iter must be a whole number, 1 or more"),
    ("verbose", lambda m: LM(m, verbose="a"), "verbose must be 0, 1 or 2, not 'a'"),
    ("threads", lambda m: LM(m, n_threads="two"), "n_threads must be a whole number"),
    ("progress", lambda m: LM(m, progress="yes"), "progress must be"),
    ("scale", lambda m: LM(m, scale_covariance="no"), "scale_covariance must be"),
    ("LMOptions", lambda m: LMOptions(ftol="a"), "ftol must be a finite number"),
    ("LMOptions whole", lambda m: LMOptions(max_iterations=1.5), "max_iterations must be a whole"),
    ("LMOptions lambda", lambda m: LMOptions(initial_lambda=0), "initial_lambda must be positive"),
    ("LMOptions range", lambda m: LMOptions(initial_lambda=1e20), "inside .min_lambda"),
    ("LMOptions bool", lambda m: LMOptions(covariance=3), "covariance must be True or False"),
    ("unknown fit", lambda m: m.fit(max_itr=3), "'max_itr'. Did you mean 'max_iter'"),
    ("device", lambda m: m.fit(device="cuda"), "'device'. Did you mean 'backend'"),
    ("device Iter", lambda m: Iter(m, device="cuda"), "'device'. Did you mean 'backend'"),
    ("device many", lambda m: jl.fit_many([m], device="cuda"), "'device'. Did you mean 'backend'"),
    ("tolerance", lambda m: m.fit(tolerance=1e-3), TOLERANCES),
    ("tolerance many", lambda m: jl.fit_many([m], tolerance=1e-3), TOLERANCES),
    ("ftolerance", lambda m: jl.fit_many([m], ftolerance=1e-3), "'gtol' \\(when to stop\\)$"),
    ("tolerance Iter", lambda m: Iter(m, tolerance=1), "It can be 'ftol' \\(when to stop\\); draw"),
    ("backend", lambda m: m.fit(backend="CUDA"), "not 'CUDA'. Did you mean 'cuda'"),
    ("unknown Iter", lambda m: Iter(m, ftoll=3), "'ftoll'. Did you mean 'ftol'"),
    ("unknown init", lambda m: m.initialize(overwite=True), "Did you mean 'overwrite'"),
    ("max_side", lambda m: m.initialize(max_side=0), "max_side must be a whole number, 8 or more"),
    ("n_cand", lambda m: m.initialize(n_candidates=-1), "n_candidates must be a whole number"),
    ("overwrite", lambda m: m.initialize(overwrite="r"), "overwrite must be True or False"),
]


@pytest.mark.parametrize(
    ("call", "message"), [pytest.param(call, text, id=name) for name, call, text in REFUSED]
)
def test_refused(model: Any, call: Callable[[Any], object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        call(model)


@pytest.mark.parametrize("method", [LM, Iter])
def test_numbers_of_numpy_are_numbers(model: Any, method: Any) -> None:
    fitter = method(
        model, max_iter=np.int64(3), ftol=np.float32(1e-3), time_limit=np.float64(9.0),
        n_threads=np.int32(1), options=LMOptions(xtol=np.float32(1e-4)),
    )  # fmt: skip
    assert fitter.fit().options["xtol"] == pytest.approx(1e-4)
    assert type(LMOptions(max_iterations=np.int64(4)).max_iterations) is int


@pytest.mark.parametrize("text", ["two", "²", "-1", "1.5"])
@pytest.mark.parametrize(
    "call", [lambda m: m.fit(), lambda m: m.initialize(), lambda m: jl.backends()]
)
def test_the_variable_of_threads_is_named(
    model: Any, call: Callable[[Any], object], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOINTLIGHT_NUM_THREADS", text)
    with pytest.raises(InvalidInput, match="JOINTLIGHT_NUM_THREADS must be a whole number"):
        call(model)


@pytest.mark.parametrize("center", [(100.0, 100.0), (-1000.0, 0.0)])
def test_a_center_off_the_image_is_named_and_can_be_fitted(center: tuple[float, float]) -> None:
    model = source(image(variance=9.0), center=center)
    with pytest.warns(JointlightWarning, match=r"center .* of 'galaxy' is off image 'r'"):
        model.initialize()
    assert not model.unset_parameters
    assert np.all(np.abs(model["Ie"].value if "Ie" in model.parameters else 0.0) < 1e6)
    assert model.fit().status


def test_a_center_on_one_of_two_images_needs_no_word() -> None:
    near, far = image("near", variance=9.0), image("far", variance=9.0, shape=(10, 10))
    model = jl.joint(
        "gaussian galaxy", target=jl.TargetImageList([near, far]), per_image=["flux"],
        amplitude="flux", center=near.pixel_to_plane(25.0, 20.0),
    )  # fmt: skip
    model.initialize()
    assert not model.unset_parameters


@pytest.mark.parametrize("method", [LM, Iter])
def test_unknown_noise_scales_the_errors_and_says_so(method: Any) -> None:
    model = source(image()).initialize()
    with pytest.warns(JointlightWarning, match="image 'r' has no noise") as caught:
        result = method(model).fit()
    assert len(caught) == 1
    assert result.covariance_scale == pytest.approx(result.reduced_chi2)
    known = source(image(variance=9.0)).initialize()
    truth = method(known).fit()
    assert truth.covariance_scale == 1.0
    assert np.allclose(result.errors, truth.errors, rtol=0.1)


@pytest.mark.parametrize("scale", [True, False])
def test_the_users_choice_about_errors_holds_silently(scale: bool) -> None:
    model = source(image()).initialize()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = model.fit(scale_covariance=scale)
    assert (result.covariance_scale != 1.0) is scale


def test_images_without_noise_are_named_together() -> None:
    data = small_problem.noisy(small_problem.noiseless(), np.random.default_rng(1))
    images = small_problem.images(data, variance=None)
    with pytest.warns(JointlightWarning, match="images 'a', 'b', 'c' have no noise") as caught:
        small_problem.model(images).fit()
    assert len(caught) == 1


@pytest.mark.parametrize("method", [LM, Iter])
def test_the_error_of_a_tie_is_quoted(method: Any) -> None:
    model = source(image(variance=9.0)).initialize()
    model["q"].value = 0.6

    def broken(q: Any) -> Any:
        if q > 0.7:  # on the way to the best value, not at the start
            raise ZeroDivisionError("nothing to divide by")
        return 10.0 * q

    model["PA"].tie(broken, model["q"])
    result = method(model).fit()
    assert "ZeroDivisionError: nothing to divide by" in result.message


def test_only_the_first_error_of_ties_is_quoted() -> None:
    outcome = with_tie_errors({"message": "Stopped"}, [ValueError("one."), ValueError("two")])
    assert outcome["message"] == "Stopped. A function tie failed during the fit: ValueError: one."
    assert with_tie_errors({"message": "Done."}, [])["message"] == "Done."
