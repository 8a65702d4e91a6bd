# SPDX-License-Identifier: BSD-3-Clause
"""A device gives what the CPU gives: every way to draw, every sum, every number asked for.

``cuda-emulated`` runs the device's code on the host, thread by thread, and needs no device.

In float64 both do the same sums in another order. In mixed precision derivatives are float32, so
what may differ is stated in its epsilon: a transform of N numbers errs by up to log2(N) of it, of
the lane's peak, and a column of the Jacobian may be a difference of larger lanes.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from jointlight import _core
from jointlight.backends import ready_backend
from reference.field import Field, Tile
from reference.on_backends import require_backend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SINGLE = float(np.finfo(np.float32).eps)
# Of the peak, of a column's peak, of the normal equations in units of the errors
BOUNDS = {
    "float64": {"image": 1e-12, "column": 1e-12, "normal": 1e-12, "fit": 1e-6},
    "mixed": {"image": 1e-12, "column": 16 * SINGLE, "normal": 4 * SINGLE, "fit": 1e-3},
}
SHAPES: dict[str, tuple[float, ...]] = {
    "gaussian": (),
    "exponential": (),
    "devaucouleurs": (),
    "sersic": (2.4,),
    "moffat": (2.8,),
}
# Window (height, width), scale radius, number of PSF (-1: none)
WAYS: dict[str, tuple[tuple[int, int], float, int]] = {
    "one box": ((61, 50), 4.0, 0),
    "two parts": ((235, 228), 14.0, 0),
    "pixels": ((37, 44), 3.0, -1),
}


@pytest.fixture(params=["cuda-emulated", "cuda"])
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    require_backend(name)
    return ready_backend(name)


@pytest.fixture(params=["float64", "mixed"])
def precision(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def put(field: Field, profile: str, values: Sequence[float], **tile: Any) -> list[int]:
    """A new source with its window as (y, x, height, width); `window` None is the whole image."""
    window = tile.pop("window", None)
    if window is not None:
        y, x, height, width = window
        tile["window"] = (x, x + width, y, y + height)
    return field.add(profile, values, **tile)


def observed(field: Field, likelihood: str = "gaussian", seed: int = 3) -> Field:
    """With noise, and some pixels that do not count."""
    if likelihood == "gaussian":
        field.observe(noise=0.5, seed=seed)
    else:
        field.observe()
        random = np.random.default_rng(seed)
        field.likelihood = [likelihood] * len(field.data)
        field.data = [random.poisson(np.maximum(d, 0.0)).astype(float) for d in field.data]
        field.weight = [np.ones_like(d) for d in field.data]
    for weight in field.weight:
        weight[3:6, 2:9] = 0.0
        weight[-1, :] = 0.0
    return field


def beside(field: Field, size: float = 2e-3) -> NDArray:
    """A point near the start, within the bounds."""
    v = field.start * (1.0 + size * np.sin(1.0 + np.arange(len(field.start))))
    return np.clip(v, np.array(field.lower)[field.free], np.array(field.upper)[field.free])


def assert_alike(device: Any, cpu: Any, v: NDArray, n_images: int, tiles: int, of: str) -> None:
    """All that a scene can be asked at one point; `of` the precision."""
    bound = BOUNDS[of]
    chi2, gradient, normal = cpu.linearize(v)
    chi2_d, gradient_d, normal_d = device.linearize(v)
    assert chi2_d == pytest.approx(chi2, rel=1e-12)
    assert device.chi2(v) == chi2_d
    scale = np.sqrt(np.diag(normal))
    safe = np.where(scale > 0.0, scale, 1.0)  # of what is not drawn there is no derivative
    np.testing.assert_array_equal(np.diag(normal_d) > 0.0, scale > 0.0)
    assert np.abs((normal_d - normal) / np.outer(safe, safe)).max() < bound["normal"]
    assert np.abs((gradient_d - gradient) / safe).max() < bound["normal"] * np.sqrt(chi2)
    for i in range(n_images):
        image = cpu.render(v, i)
        peak = np.abs(image).max()
        assert np.abs(device.render(v, i) - image).max() <= bound["image"] * peak
        columns, columns_d = cpu.jacobian(v, i), device.jacobian(v, i)
        peaks = np.abs(columns).max(axis=(1, 2), keepdims=True)
        assert np.all(np.abs(columns_d - columns) <= bound["column"] * peaks)
        model, again = device.model_and_jacobian(v, i)
        assert np.abs(model - image).max() <= bound["image"] * peak
        np.testing.assert_array_equal(again, columns_d)
    pairs = zip(*(s.render_tiles(v, range(tiles)) for s in (device, cpu)), strict=True)
    for own, wanted in pairs:
        assert np.abs(own - wanted).max() <= bound["image"] * np.abs(wanted).max()


def compare(field: Field, v: NDArray, backend: str, precision: str) -> None:
    device = field.scene(backend=backend, precision=precision)
    assert_alike(device, field.scene(), v, len(field.data), len(field.tiles), precision)


def single(profile: str, way: str, likelihood: str) -> Field:
    """One source somewhere in one image, with a sky."""
    (height, width), scale, psf = WAYS[way]
    field = Field((height + 9, width + 5))
    centre = (3 + width / 2 + 0.3, 4 + height / 2 - 0.4)
    values = (*centre, 0.6, 35.0, scale, *SHAPES[profile], 60.0)
    put(field, profile, values, window=(4, 3, height, width), psf=psf)
    put(field, "plane_sky", (20.0, 0.02, -0.01))
    return observed(field, likelihood)


@pytest.mark.parametrize("likelihood", ["gaussian", "poisson"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("profile", SHAPES)
def test_every_profile_every_way(
    profile: str, way: str, likelihood: str, precision: str, backend: str
) -> None:
    field = single(profile, way, likelihood)
    drawn = field.scene().describe()["tiles"][0]
    assert drawn["renderer"] == ("pixel" if way == "pixels" else "fourier")
    assert (0 < drawn["box"][0] < WAYS[way][0][1]) == (way == "two parts")
    compare(field, beside(field), backend, precision)


@pytest.mark.parametrize("way", WAYS)
def test_threads_may_run_in_any_order(way: str, precision: str) -> None:
    """The last first: whatever reads what another thread of its launch writes would show."""
    field = single("sersic", way, "gaussian")
    device = field.scene(backend="cuda-emulated", precision=precision)
    v, before = beside(field), field.start
    forwards = device.linearize(v)
    device.linearize(before)  # other numbers in the memory between
    _core.emulate_backwards(True)
    try:
        backwards = device.linearize(v)
    finally:
        _core.emulate_backwards(False)
    for one, other in zip(forwards, backwards, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("likelihood", ["gaussian", "poisson"])
def test_stars_and_skies(likelihood: str, precision: str, backend: str) -> None:
    field = Field((43, 58), sigma=1.1)
    put(field, "point", (20.3, 17.8, 900.0), window=(2, 5, 31, 32))
    put(field, "point", (26.0, 22.0, 500.0), window=(8, 11, 30, 29))
    put(field, "flat_sky", (12.0,), window=(0, 0, 43, 40))
    put(field, "plane_sky", (9.0, 0.05, 0.1))
    observed(field, likelihood)
    compare(field, beside(field), backend, precision)


def blob(side: int, width: float, tail: float, step: float) -> NDArray:
    """A lopsided PSF on `side` x `side` samples `step` pixels apart."""
    at = (np.arange(side) - side // 2) * step
    x, y = np.meshgrid(at, at)
    core = np.exp(-0.5 * ((x - 0.2) ** 2 + 0.8 * y**2 + 0.3 * x * y) / width**2)
    return core + tail * np.exp(-0.5 * ((x + 2.0) ** 2 + (y - 1.0) ** 2) / (2 * width) ** 2)


PSFS: dict[str, float | tuple[NDArray, int, tuple[float, float]]] = {
    "narrower than a pixel": 0.45,
    "wide": 3.2,
    "lopsided": (blob(21, 1.2, 0.2, 1.0), 1, (10.3, 9.8)),
    "oversampled": (blob(45, 1.0, 0.1, 1 / 3), 3, (22.0, 22.0)),
    "oversampled and narrow": (blob(41, 0.4, 0.05, 0.25), 4, (20.0, 21.0)),
}


@pytest.mark.parametrize("psf", PSFS)
@pytest.mark.parametrize("way", ["one box", "two parts"])
def test_any_psf(psf: str, way: str, precision: str, backend: str) -> None:
    given = PSFS[psf]
    (height, width), scale, _ = WAYS[way]
    field = Field((height, width), sigma=given if isinstance(given, float) else 1.3)
    if not isinstance(given, float):
        field.psf_arrays[0] = given
    centre = (width / 2 + 0.2, height / 2 + 0.1)
    put(field, "sersic", (*centre, 0.45, 110.0, scale, 1.7, 50.0))
    put(field, "point", (centre[0] - 9.0, centre[1] + 4.0, 700.0))
    put(field, "flat_sky", (5.0,))
    observed(field)
    compare(field, beside(field), backend, precision)


def test_each_change_is_drawn(backend: str) -> None:
    """One scene, of which first one number alone changes, and then the next."""
    field = Field((47, 53))
    put(field, "sersic", (26.0, 23.0, 0.5, 20.0, 3.0, 1.5, 40.0))
    put(field, "moffat", (12.0, 30.0, 0.8, 50.0, 2.0, 2.5, 30.0))
    put(field, "point", (30.0, 10.0, 300.0))
    put(field, "flat_sky", (5.0,))
    observed(field)
    device = field.scene(backend=backend)
    v = np.array(field.start)
    for k in range(len(v)):
        v[k] *= 1.01
        assert_alike(device, field.scene(), v, 1, 4, "float64")
    here = v.copy()
    v[0] = -200.0  # off the image, and back
    assert_alike(device, field.scene(), v, 1, 4, "float64")
    assert_alike(device, field.scene(), here, 1, 4, "float64")


@pytest.mark.parametrize(
    ("q", "scale", "n"),
    [(0.05, 12.0, 1.0), (1.0, 0.4, 4.0), (0.9, 40.0, 8.0), (0.3, 3.0, 0.35), (0.7, 0.3, 2.0)],
)
@pytest.mark.parametrize("psf", [-1, 0])
def test_shapes_at_the_limits(q: float, scale: float, n: float, psf: int, backend: str) -> None:
    field = Field((47, 53))
    put(field, "sersic", (26.0, 23.0, q, 20.0, scale, n, 40.0), psf=psf)
    put(field, "flat_sky", (5.0,))
    observed(field)
    compare(field, beside(field), backend, "float64")


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (8, 3)])
@pytest.mark.parametrize("psf", [-1, 0])
def test_tiny_windows(size: tuple[int, int], psf: int, backend: str) -> None:
    """In float64 alone: of so few pixels, a column may all be a small difference of lanes."""
    field = Field((12, 14))
    put(field, "sersic", (6.0, 5.0, 0.6, 20.0, 2.0, 1.5, 40.0), window=(4, 5, *size), psf=psf)
    put(field, "exponential", (7.3, 6.0, 0.8, 80.0, 1.5, 30.0), psf=psf)
    put(field, "flat_sky", (5.0,))
    field.observe(noise=0.5)
    compare(field, beside(field), backend, "float64")


@pytest.mark.parametrize(
    ("q", "scale", "n"),
    [(0.5, 3.0, 11.0), (0.5, 3.0, 0.2), (1e-9, 3.0, 2.0), (0.5, 1e-20, 2.0), (1.0, 1e16, 2.0)],
)
@pytest.mark.parametrize("psf", [-1, 0])
def test_what_has_no_meaning(q: float, scale: float, n: float, psf: int, backend: str) -> None:
    """Out of its bounds a source is drawn as the CPU draws it, if at all, and comes back."""
    field = Field((20, 22))
    put(field, "sersic", (10.0, 9.0, 0.5, 20.0, 3.0, 2.0, 40.0), psf=psf)
    put(field, "flat_sky", (5.0,))
    observed(field)
    cpu, device = field.scene(), field.scene(backend=backend)
    beyond = beside(field)
    beyond[[2, 4, 5]] = q, scale, n
    for v in (beyond, beside(field)):
        assert_alike(device, cpu, v, 1, 2, "float64")


def survey() -> Field:
    """Three images, one of them Poisson, one calibrated, with sources in common that overlap."""
    field = Field((59, 66), (64, 61), (235, 228), sigma=1.4)
    field.psf_arrays[1] = (blob(25, 1.1, 0.15, 1.0), 1, (12.0, 12.2))
    turn = 0.9 * np.array([[0.8, 0.6], [-0.6, 0.8]])
    calibration = field.slots("calibration", (0.3, -0.2, 4.0, 1.05, 1.1))
    for number, (profile, values, amplitude) in enumerate(
        (
            ("sersic", (28.0, 27.0, 0.6, 30.0, 5.0, 2.2, 20.0), "brightness"),
            ("exponential", (36.0, 31.0, 0.8, 100.0, 4.0, 5000.0), "flux"),
            ("moffat", (20.0, 35.0, 0.7, 60.0, 3.0, 2.5, 30.0), "brightness"),
            ("point", (41.0, 22.0, 2500.0), "flux"),
        )
    ):
        slots = field.slots(profile, values)
        x, y = round(values[0]), round(values[1])
        window = (x - 18, x + 19, y - 17, y + 20)
        has_psf = profile != "moffat"  # drawn pixel by pixel in the first image
        field.tiles.append(
            Tile(profile, slots, number, 0, window, amplitude, psf=0 if has_psf else -1)
        )
        field.tiles.append(
            Tile(
                profile,
                slots,
                number,
                1,
                None if number == 0 else (8, 55, 10, 58),
                amplitude,
                psf=1,
                image_slots=calibration,
                pivot=(30.0, 30.0),
                anchor=(24.0, -15.0),
                jacobian=turn,
            )
        )
        wide = None if number < 2 else (70, 155, 75, 160)
        field.tiles.append(
            Tile(profile, slots, number, 2, wide, amplitude, psf=2, anchor=(80.0, 82.0))
        )
    for image in range(3):
        put(field, "flat_sky", (6.0 + image,), image=image)
    field.held.update(calibration[2:4])
    observed(field)
    field.likelihood[1] = "poisson"
    field.data[1] = np.round(np.maximum(field.data[1], 0.0))
    field.weight[1] = np.where(field.weight[1] > 0.0, 1.0, 0.0)
    return field


@cache
def surveyed() -> Field:
    return survey()


def test_joint_scene_at_many_points(precision: str, backend: str) -> None:
    """One scene all along: with sources that leave the image, vanish and come back."""
    field = surveyed()
    cpu, device = field.scene(), field.scene(backend=backend, precision=precision)
    first = int(field.index(field.tiles[0].slots)[0])
    away, flat, dark = (beside(field) for _ in range(3))
    away[first] = 1e9
    flat[first + 2] = 1e-9  # no axis ratio to speak of
    dark[first + 6] = 0.0
    for v in (beside(field), away, flat, dark, field.start, beside(field, 2e-2)):
        assert_alike(device, cpu, v, len(field.data), len(field.tiles), precision)


def test_the_same_every_time(precision: str, backend: str) -> None:
    field = surveyed()
    v = beside(field)
    one, other = (field.scene(backend=backend, precision=precision) for _ in range(2))
    one.chi2(beside(field, 1e-2))
    for a, b in zip(one.linearize(v), other.linearize(v), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(one.render(v, 1), other.render(v, 1))


def crowd() -> Field:
    """More tiles of one kind than the emulation draws at once, and some of other kinds."""
    field = Field((130, 137))
    random = np.random.default_rng(8)
    for k in range(24):
        x, y = random.uniform(38, 90, 2)
        values = (x, y, random.uniform(0.4, 0.9), random.uniform(0, 180), 2.5)
        window = (round(y) - 37, round(x) - 37, 75, 75)
        is_pixel = k % 8 == 7
        put(field, "sersic", (*values, 1.5, 40.0), window=window, psf=-1 if is_pixel else 0)
    put(field, "flat_sky", (3.0,))
    return observed(field)


def test_crowd(precision: str, backend: str) -> None:
    field = crowd()
    compare(field, beside(field), backend, precision)


@pytest.mark.parametrize("kind", ["one box", "two parts", "pixels", "joint"])
def test_fits_end_at_the_same_place(kind: str, precision: str, backend: str) -> None:
    field = surveyed() if kind == "joint" else single("sersic", kind, "gaussian")
    start = beside(field, 2e-2)
    exact = field.scene().fit(start)
    found = field.scene(backend=backend, precision=precision).fit(start)
    assert exact["status"].startswith("converged")
    assert found["status"] == exact["status"]
    assert found["chi2"] == pytest.approx(exact["chi2"], rel=1e-9)
    sigma = np.sqrt(np.diag(exact["covariance"]))
    assert np.abs((found["v"] - exact["v"]) / sigma).max() < BOUNDS[precision]["fit"]
    ratio = np.diag(found["covariance"]) / sigma**2
    assert np.abs(ratio - 1.0).max() < (1e-6 if precision == "float64" else 1e-4)
