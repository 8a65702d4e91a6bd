# SPDX-License-Identifier: BSD-3-Clause
"""Different ways to pose the same problem have the same answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from reference import small_problem
from reference.on_backends import EVERY_BACKEND

if TYPE_CHECKING:
    from astropy.wcs import WCS

pytestmark = EVERY_BACKEND

jl = pytest.importorskip("jointlight")

TIGHT = {"ftol": 1e-13, "xtol": 1e-10, "gtol": 1e-12}


@pytest.fixture(scope="module")
def data() -> dict[str, np.ndarray]:
    return small_problem.noisy(small_problem.noiseless(), np.random.default_rng(2))


def by_name(result: Any) -> dict[str, tuple[float, float]]:
    return {
        p.name: (v, e)
        for p, v, e in zip(result.parameters, result.values, result.errors, strict=True)
    }


def assert_same(first: Any, second: Any, *, sigmas: float = 1e-3, errors: float = 1e-4) -> None:
    a, b = by_name(first), by_name(second)
    assert set(a) == set(b)
    for name, (value, error) in a.items():
        assert abs(value - b[name][0]) <= sigmas * error, name
        assert error == pytest.approx(b[name][1], rel=errors), name


def single(target: Any, name: str = "galaxy") -> Any:
    galaxy = jl.Model("sersic galaxy", target=target, name=name, amplitude="flux")
    for key, value in small_problem.TRUTH.items():
        galaxy[key].value = value
    galaxy["flux"].value = small_problem.FLUXES[target.name.split()[0]]
    return galaxy


def test_nothing_tied_is_separate_fits(data):
    targets = small_problem.images(data)
    alone = [single(t, f"galaxy {t.name}").fit(verbose=0, **TIGHT) for t in targets]
    members = [single(t, f"galaxy {t.name}") for t in targets]
    group = jl.Model("group", target=jl.TargetImageList(targets), models=members, name="all")
    together = group.fit(verbose=0, **TIGHT)
    assert together.chi2 == pytest.approx(sum(r.chi2 for r in alone), abs=1e-6)
    found = {
        (p.model, p.name): pair
        for p, *pair in zip(together.parameters, together.values, together.errors, strict=True)
    }
    for target, result in zip(targets, alone, strict=True):
        for name, (value, error) in by_name(result).items():
            value_together, error_together = found[f"galaxy {target.name}", name]
            assert abs(value_together - value) <= 1e-3 * error, name
            assert error_together == pytest.approx(error, rel=1e-4), name
    owner = np.array([p.model for p in together.parameters])
    apart = owner[:, None] != owner[None, :]
    assert np.max(np.abs(together.correlation[apart])) <= 1e-9


def halves(size: int) -> list[np.ndarray]:
    left = np.zeros((size, size), dtype=bool)
    left[:, : size // 2] = True
    return [left, ~left]


def image(data: np.ndarray, name: str, **overrides: Any) -> Any:
    _, scale, sigma, fwhm, _, _ = small_problem.BANDS["a"]
    options = {
        "wcs": small_problem.wcs("a"),
        "reference": (150.0, 2.0),
        "variance": sigma**2,
        "zeropoint": small_problem.ZEROPOINT,
        "psf": jl.gaussian_psf(fwhm=fwhm, pixelscale=scale),
    } | overrides
    return jl.TargetImage(data, name=name, **options)


def joint_all_tied(targets: list[Any]) -> Any:
    members = [single(t, f"galaxy {i}") for i, t in enumerate(targets)]
    for other in members[1:]:
        other.tie(members[0])
    return jl.Model("group", target=jl.TargetImageList(targets), models=members, name="all")


def test_two_halves_tied_are_the_whole(data):
    whole = single(image(data["a"], "a")).fit(verbose=0, **TIGHT)
    parts = [image(data["a"], f"a {i}", mask=m) for i, m in enumerate(halves(40))]
    tied = joint_all_tied(parts).fit(verbose=0, **TIGHT)
    assert tied.chi2 == pytest.approx(whole.chi2, rel=1e-9)
    assert_same(whole, tied)


def test_two_windows_tied_are_the_whole(data):
    whole = single(image(data["a"], "a")).fit(verbose=0, **TIGHT)
    windows = [((0, 17), (0, 40)), ((17, 40), (0, 40))]
    parts = [image(data["a"], f"a {i}", window=w) for i, w in enumerate(windows)]
    tied = joint_all_tied(parts).fit(verbose=0, **TIGHT)
    # Rendering in another window moves by its own accuracy, far below the noise.
    assert tied.chi2 == pytest.approx(whole.chi2, abs=5e-3)
    assert_same(whole, tied, sigmas=2e-3, errors=1e-3)


def test_an_image_twice_is_half_its_variance(data):
    sigma = small_problem.BANDS["a"][2]
    twice = joint_all_tied([image(data["a"], "a 0"), image(data["a"], "a 1")])
    once = single(image(data["a"], "a", variance=sigma**2 / 2))
    first, second = twice.fit(verbose=0, **TIGHT), once.fit(verbose=0, **TIGHT)
    assert first.chi2 == pytest.approx(second.chi2, rel=1e-9)
    assert_same(second, first)


def lopsided_psf() -> np.ndarray:
    y, x = np.mgrid[-12:13, -12:13].astype(float)
    return np.exp(-0.5 * ((x - 0.4 * y) ** 2 / 1.6**2 + y**2 / 2.1**2)) + 0.1 * np.exp(
        -0.5 * ((x - 3) ** 2 + (y - 1) ** 2) / 2.0**2
    )


def turned(w: WCS, size: int, operation: str) -> WCS:
    """WCS of the array after `operation`, for a square image."""
    matrix = {
        "rot90": np.array([[0.0, 1.0], [-1.0, 0.0]]),
        "fliplr": np.array([[-1.0, 0.0], [0.0, 1.0]]),
        "flipud": np.array([[1.0, 0.0], [0.0, -1.0]]),
    }[operation]
    # new pixel offset from the middle = matrix @ old offset
    out = w.deepcopy()
    middle = (size + 1) / 2
    out.wcs.crpix = middle + matrix @ (w.wcs.crpix - middle)
    out.wcs.cd = w.wcs.cd @ np.linalg.inv(matrix)
    return out


@pytest.mark.parametrize("operation", ["rot90", "fliplr", "flipud"])
def test_turning_the_array_leaves_the_fit(data, operation):
    size = 40
    psf = lopsided_psf()
    options = {"center": "array"}
    clean = single(image(np.zeros((size, size)), "a", psf=jl.PSF(psf, **options))).image()
    noisy = np.asarray(clean) + np.random.default_rng(5).normal(0.0, 0.1, (size, size))
    turn = getattr(np, operation)
    plain = single(image(noisy, "a", psf=jl.PSF(psf, **options))).fit(verbose=0, **TIGHT)
    other = single(
        image(
            np.ascontiguousarray(turn(noisy)),
            "a",
            psf=jl.PSF(turn(psf), **options),
            wcs=turned(small_problem.wcs("a"), size, operation),
        )
    ).fit(verbose=0, **TIGHT)
    assert other.chi2 == pytest.approx(plain.chi2, rel=1e-7)
    assert_same(plain, other)


def test_another_reference_point_leaves_the_fit(data):
    """The same pixels described from another CRVAL: the tangent planes differ, the sky does not."""
    targets = small_problem.images(data)
    moved = small_problem.wcs("b")
    elsewhere = moved.wcs.crpix + np.array([40.0, -25.0])
    moved.wcs.crval = moved.wcs_pix2world([elsewhere], 1)[0]
    moved.wcs.crpix = elsewhere
    _, scale, sigma, fwhm, _, _ = small_problem.BANDS["b"]
    b = jl.TargetImage(
        data["b"],
        name="b",
        wcs=moved,
        variance=sigma**2,
        zeropoint=small_problem.ZEROPOINT,
        psf=jl.gaussian_psf(fwhm=fwhm, pixelscale=scale),
    )
    plain = small_problem.model(targets).fit(verbose=0, **TIGHT)
    other = small_problem.model([targets[0], b, targets[2]]).fit(verbose=0, **TIGHT)
    assert other.chi2 == pytest.approx(plain.chi2, abs=0.05)
    for name in ("q", "Re", "n"):
        a, e = by_name(plain)[name]
        assert abs(by_name(other)[name][0] - a) <= 0.02 * e


def test_shifting_the_pixels_leaves_the_fit(data):
    size = 40
    plain = single(image(data["a"], "a")).fit(verbose=0, **TIGHT)
    padded = np.full((size + 9, size + 4), np.nan)
    padded[9:, 4:] = data["a"]
    w = small_problem.wcs("a")
    w.wcs.crpix = w.wcs.crpix + np.array([4, 9])
    with pytest.warns(UserWarning, match="(?i)nan|finite"):
        shifted = image(padded, "a", wcs=w)
    other = single(shifted).fit(verbose=0, **TIGHT)
    assert other.chi2 == pytest.approx(plain.chi2, abs=5e-3)
    assert_same(plain, other, sigmas=2e-3, errors=1e-3)
