# SPDX-License-Identifier: BSD-3-Clause
"""What is wrong with a model is refused before any work, by argument and value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord

from jointlight.errors import InvalidInput, JointlightError
from jointlight.image import TargetImage, TargetImageList
from jointlight.models import FlatSky, Gaussian, Group, Model, PointSource, Sersic, joint
from jointlight.parameters import Normal, Parameter
from reference.on_backends import EVERY_BACKEND
from unit.model_cases import make_image, make_list, values_for

R = make_image()
BARE = make_image("bare", fwhm=None)
NO_SKY = TargetImage(np.ones((20, 20)), variance=1.0, pixelscale=0.4, name="plain")
BOTH = make_list()


def sersic(**options: Any) -> Sersic:
    return Sersic(**{"target": R, "name": "it", **values_for(Sersic), **options})


def in_a_circle() -> None:
    a, b = sersic(name="a"), sersic(name="b")
    a["Re"].tie(b["Re"])
    b["Re"].tie(a["Re"])


def function_that(result: Any) -> Callable[[], Any]:
    def build() -> Any:
        model = sersic()
        source = Parameter("source", 2.0)

        def function(x: float) -> Any:
            if isinstance(result, Exception):
                raise result
            return result

        model["Re"].tie(function, [source])
        return model.compile()

    return build


def jacobian_that(result: Any) -> Callable[[], Any]:
    def build() -> Any:
        model = sersic()
        source = Parameter("source", 2.0)
        model["Re"].tie(lambda x: x, [source], jacobian=lambda x: result)
        return model.compile()

    return build


def tied_outside_limits() -> Any:
    a, b = sersic(name="a", n=6.0), sersic(name="b")
    b["n"].tie(a["n"], scale=2.0)
    return Group([a, b]).compile()


def sum_outside_limits() -> Any:
    a, b, c = sersic(name="a"), sersic(name="b"), sersic(name="c")
    c["Re"].tie_linear([a["Re"], b["Re"]], scales=[1.0, -1.0])
    return Group([a, b, c]).compile()


def planes_apart() -> Any:
    a, b = make_image("a"), make_image("b", ra=150.001)
    pair = TargetImageList([b])
    del pair
    return Group([sersic(target=a, name="a"), sersic(target=b, name="b")])


def one_model_twice() -> Any:
    model = Sersic(target=R)
    return Group([model, model])


def one_model_at_two_depths() -> Any:
    model = sersic()
    return Group([model, Group([model], name="g")])


def tied_to_itself() -> None:
    model = sersic()
    model["n"].tie(model["n"])


def tied_and_set() -> None:
    model = sersic()
    model["n"].tie(sersic()["n"])
    model["n"].value = 3.0


def same_name_twice() -> Any:
    a, b = make_image("a"), make_image("a")
    return Group([Sersic(target=a), Sersic(target=b)])


CASES: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "unknown type": (
        lambda: Model("sersik galaxy", target=R),
        ["'sersik galaxy'", "Did you mean 'sersic galaxy'"],
    ),
    "unknown type, nothing near": (lambda: Model("zzz", target=R), ["'zzz'", "'sersic galaxy'"]),
    "type is no string": (lambda: Model(3, target=R), ["model_type", "3"]),
    "no type": (lambda: Model(target=R), ["type", "positional"]),
    "two positional arguments": (lambda: Model("sersic", R), ["positional"]),
    "target is a list": (lambda: Sersic(target=BOTH), ["target", "TargetImage", "joint"]),
    "target is an array": (lambda: Sersic(target=np.ones((3, 3))), ["target", "TargetImage"]),
    "empty name": (lambda: sersic(name=" "), ["name", "' '"]),
    "name is a number": (lambda: sersic(name=3), ["name", "3"]),
    "unknown parameter": (lambda: sersic(re=3.0), ["'re'", "Did you mean 'Re'"]),
    "parameter of another profile": (lambda: sersic(sigma=3.0), ["'sigma'", "'Re'"]),
    "parameter given twice": (lambda: sersic(parameters={"n": 2}), ["'n'", "both"]),
    "flux where the amplitude is Ie": (lambda: sersic(flux=3.0), ["'flux'", "amplitude='flux'"]),
    "Ie where the amplitude is flux": (
        lambda: sersic(amplitude="flux"),
        ["'Ie'", "amplitude='flux'"],
    ),
    "unknown amplitude": (lambda: sersic(amplitude="mag"), ["amplitude", "'mag'", "'flux'"]),
    "flux of a sky": (lambda: FlatSky(target=R, amplitude="flux"), ["amplitude", "'flux'", "'I0'"]),
    "unknown key": (lambda: sersic(n={"val": 2.0}), ["'val'", "'value'"]),
    "looking up an unknown parameter": (lambda: sersic()["Ree"], ["'Ree'", "Did you mean 'Re'"]),
    "NaN start": (lambda: sersic(n=np.nan), ["it.n", "nan"]),
    "infinite start": (lambda: sersic(Ie=np.inf), ["it.Ie", "inf"]),
    "NaN centre": (lambda: sersic(center=(0, np.nan)), ["it.center", "finite"]),
    "centre of three": (lambda: sersic(center=(0, 1, 2)), ["it.center", "(2,)"]),
    "centre on the sky without WCS": (
        lambda: sersic(target=NO_SKY, center=SkyCoord(150, 2, unit="deg")),
        ["plain", "WCS"],
    ),
    "many sky positions": (
        lambda: sersic(center=SkyCoord([150, 151], [2, 3], unit="deg")),
        ["it.center", "one position"],
    ),
    "sky position for Re": (lambda: sersic(Re=SkyCoord(150, 2, unit="deg")), ["it.Re", "SkyCoord"]),
    "q above one": (lambda: sersic(q=1.2), ["it.q", "1.2", "[0.02, 1]"]),
    "q of zero": (lambda: sersic(q=0.0), ["it.q", "[0.02, 1]"]),
    "n too small": (lambda: sersic(n=0.1), ["it.n", "0.1", "[0.3, 10]"]),
    "n too large": (lambda: sersic(n=11.0), ["it.n", "11", "[0.3, 10]"]),
    "negative Re": (lambda: sersic(Re=-1.0), ["it.Re", "-1", "(0, inf)"]),
    "text for a number": (lambda: sersic(Re="wide"), ["it.Re", "'wide'"]),
    "wrong unit": (lambda: sersic(Re=3 * u.Jy), ["it.Re", "Jy", "arcsec"]),
    "start outside limits": (
        lambda: sersic(n={"value": 6, "limits": (1, 5)}),
        ["it.n", "6", "(1.0, 5.0)"],
    ),
    "limits outside the profile": (
        lambda: sersic(n={"value": 2, "limits": (0, 5)}),
        ["limits", "(0, 5)", "[0.3, 10]"],
    ),
    "limits exclude the value": (
        lambda: setattr(sersic()["n"], "limits", (3, 4)),
        ["(3, 4)", "2.0"],
    ),
    "limits the wrong way round": (lambda: sersic(n={"limits": (4, 3)}), ["(4, 3)"]),
    "prior without width": (lambda: sersic(n={"prior": Normal(2, 0)}), ["sigma", "0"]),
    "window outside the image": (
        lambda: sersic(window=((100, 200), (100, 200))),
        ["'it'", "'r'", "window"],
    ),
    "window of another image": (
        lambda: sersic(window=((0, 30), (0, 80))),
        ["'it'", "window", "80"],
    ),
    "empty window": (lambda: sersic(window=((5, 5), (0, 10))), ["window", "5"]),
    "window the wrong way round": (lambda: sersic(window=((9, 5), (0, 10))), ["window"]),
    "window of three": (lambda: sersic(window=(1, 2, 3)), ["window"]),
    "fractional window": (lambda: sersic(window=((0.5, 5), (0, 10))), ["window"]),
    "star without PSF": (lambda: PointSource(target=BARE), ["PSF", "'bare'"]),
    "star without convolution": (
        lambda: PointSource(target=R, psf_convolve=False),
        ["psf_convolve"],
    ),
    "unknown psf_mode": (lambda: sersic(psf_mode="maybe"), ["psf_mode", "'maybe'"]),
    "psf_convolve is no bool": (lambda: sersic(psf_convolve="yes"), ["psf_convolve", "'yes'"]),
    "PSF of zero sum": (lambda: sersic(psf=np.zeros((3, 3))), ["psf"]),
    "empty group": (lambda: Group([], name="none"), ["'none'", "at least one"]),
    "group of a string": (lambda: Group("sersic"), ["models", "'sersic'"]),
    "group of one model bare": (lambda: Group(sersic()), ["models", "[model]"]),
    "group of images": (lambda: Group([R]), ["models[0]"]),
    "group of a number": (lambda: Group(3), ["models", "3"]),
    "equal names": (lambda: Group([sersic(), sersic()]), ["'it'", "two"]),
    "one model twice": (one_model_twice, ["twice"]),
    "one model at two depths": (one_model_at_two_depths, ["twice"]),
    "group on another image": (
        lambda: Group([sersic()], target=BARE),
        ["target", "'r'", "'it'", "'bare'"],
    ),
    "group target of the wrong kind": (lambda: Group([sersic()], target=3), ["target", "3"]),
    "group on images of equal name": (same_name_twice, ["'a'", "name"]),
    "planes about different points": (planes_apart, ["a.center", "TargetImageList"]),
    "unknown member": (lambda: Group([sersic()])["ti"], ["'ti'", "It can be 'it'"]),
    "unknown path": (lambda: Group([sersic()])["it/Rw"], ["'Rw'", "'Re'"]),
    "joint of a group": (lambda: joint("group", target=BOTH), ["model_type", "'group'"]),
    "joint of an unknown type": (lambda: joint("sersc", target=BOTH), ["Did you mean"]),
    "joint without images": (lambda: joint("sersic", target=[]), ["images"]),
    "joint on a number": (lambda: joint("sersic", target=3), ["target", "3"]),
    "joint: unknown per_image": (
        lambda: joint("sersic", target=BOTH, per_image=["ie"]),
        ["per_image", "Did you mean 'Ie'"],
    ),
    "joint: unknown parameter": (lambda: joint("sersic", target=BOTH, r_e=3), ["'r_e'"]),
    "joint: unknown image": (
        lambda: joint("sersic", target=BOTH, Ie={"w1": 3}),
        ["'w1'", "Did you mean 'W1'"],
    ),
    "joint: too few values": (
        lambda: joint("sersic", target=BOTH, Ie=[1.0, 2.0, 3.0]),
        ["3 values", "2 images"],
    ),
    "joint: one window for two": (
        lambda: joint("sersic", target=BOTH, window=((0, 9), (0, 9))),
        ["window", "each", "'W1'"],
    ),
    "joint: window for an unknown image": (
        lambda: joint("sersic", target=BOTH, window={"g": None}),
        ["window", "'g'"],
    ),
    "joint: image that is not there": (
        lambda: joint("sersic", target=BOTH)["Ie"]["g"],
        ["Ie", "'g'"],
    ),
    "tie to a number": (lambda: sersic()["n"].tie(3.0), ["it.n", "3.0"]),
    "tie to another shape": (lambda: sersic()["center"].tie(sersic()["n"]), ["it.center", "(2,)"]),
    "tie in a circle": (in_a_circle, ["circle", "a.Re", "b.Re"]),
    "tie to itself": (tied_to_itself, ["circle", "it.n -> it.n"]),
    "tie a model to an image": (lambda: sersic().tie(R), ["other"]),
    "tie all but an unknown one": (
        lambda: sersic().tie(sersic(), except_=["ie"]),
        ["'ie'", "'Ie'"],
    ),
    "set a tied value": (tied_and_set, ["it.n", "untie"]),
    "function raises": (
        function_that(RuntimeError("broken")),
        ["it.Re", "RuntimeError", "broken", "source = 2"],
    ),
    "function returns NaN": (function_that(np.nan), ["Re", "nan", "finite"]),
    "function returns infinity": (function_that(np.inf), ["Re", "inf", "finite"]),
    "function returns a vector": (function_that([1.0, 2.0]), ["it.Re", "(2,)"]),
    "function returns text": (function_that("x"), ["it.Re", "ValueError"]),
    "function returns nothing": (function_that(None), ["Re"]),
    "function starts outside limits": (function_that(-3.0), ["Re", "-3.0", "limits"]),
    "jacobian of the wrong shape": (jacobian_that([1.0, 2.0]), ["jacobian", "it.Re", "(2,)"]),
    "jacobian of NaN": (jacobian_that(np.nan), ["Re", "no finite"]),
    "linear tie starts outside limits": (tied_outside_limits, ["b/n", "12.0", "0.3"]),
    "sum starts outside limits": (sum_outside_limits, ["c/Re", "0.0"]),
    "no start": (
        lambda: Sersic(target=R, name="it", q=0.5).compile(),
        ["center, PA, Re, n, Ie", "initialize"],
    ),
    "no start in a group": (lambda: Group([Sersic(target=R, name="it")]).image(), ["it/center"]),
    "image of several": (lambda: joint("sersic", target=BOTH).image(), ["target", "'r'", "'W1'"]),
    "image of another": (lambda: sersic().image(BARE), ["target", "'bare'"]),
    "image of an unknown name": (
        lambda: joint("sersic", target=BOTH).image("w1"),
        ["'w1'", "Did you mean 'W1'"],
    ),
    "threads below zero": (lambda: sersic().compile(n_threads=-1), ["n_threads", "-1"]),
    "half a thread": (lambda: sersic().compile(n_threads=0.5), ["n_threads", "0.5"]),
    "negative tolerance": (lambda: sersic().compile(tolerance=-1e-9), ["tolerance", "-1e-09"]),
    "tolerance of all light": (lambda: sersic().compile(tolerance=1.0), ["tolerance", "1.0"]),
    "no number as tolerance": (lambda: sersic().compile(tolerance=True), ["tolerance", "True"]),
    "tolerance no float holds": (
        lambda: sersic().compile(tolerance=10**400),
        ["tolerance", "below 1"],
    ),
    "step of zero": (lambda: sersic().check_jacobian(step=0.0), ["step", "0.0"]),
    "vector of the wrong length": (
        lambda: sersic().compile().render(0, [1.0]),
        ["v", "(1,)", "(7,)"],
    ),
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.replace(" ", "_"))
def test_refused(case: str) -> None:
    build, words = CASES[case]
    with pytest.raises(JointlightError) as caught:
        build()
    message = str(caught.value)
    for word in words:
        assert word in message, message
    assert isinstance(caught.value, (InvalidInput, ValueError))


@EVERY_BACKEND
def test_compilation_does_not_touch_the_model() -> None:
    model = Gaussian(target=R, **values_for(Gaussian))
    before = str(model)
    model.compile().chi2()
    model.check_jacobian()
    assert str(model) == before


@pytest.mark.parametrize("n", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_random_vectors_never_crash(n: int) -> None:
    """Values no limits would allow: the core must answer, whatever the numbers."""
    rng = np.random.default_rng(3)
    both = make_list()
    model = Group(
        [
            joint("sersic galaxy", target=both, name="a", **values_for(Sersic)),
            Gaussian(target=both[0], name="b", psf_convolve=False, **values_for(Gaussian)),
            PointSource(target=both[0], name="c", center=(1, 1), flux=3.0),
            joint("flat sky", target=both, name="d", I0=0.0),
        ],
        target=both,
    )
    compiled = model.compile(n_threads=1)
    extremes = np.array([0.0, -1.0, 1e-300, 1e300, -1e300, 1e9, np.nan, np.inf, -np.inf])
    for k in range(n):
        v = compiled.v0 * rng.lognormal(0.0, 3.0 if k % 2 else 0.5, compiled.n_free)
        v *= rng.choice([1.0, -1.0], compiled.n_free, p=[0.8, 0.2])
        hit = rng.random(compiled.n_free) < 0.1
        v[hit] = rng.choice(extremes, int(hit.sum()))
        for image in range(2):
            assert compiled.render(image, v).shape == both[image].shape
        chi2, gradient, hessian = compiled.linearize(v)
        assert isinstance(chi2, float)
        assert gradient.shape == (compiled.n_free,)
        assert hessian.shape == (compiled.n_free, compiled.n_free)
