# SPDX-License-Identifier: BSD-3-Clause
"""What the core remembers or forgets between evaluations never shows in its results."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from reference.field import Field, Tile
from reference.on_backends import CPU_ALONE, EVERY_BACKEND

pytestmark = EVERY_BACKEND

N_IMAGES = 4
PRECISIONS = ("float64", "mixed")
TINY = 1e-6  # MiB: less than any tile needs, so every image is a batch of its own


def survey() -> Field:
    """Five sources and a sky in each of four images; one image is Poisson."""
    field = Field(*[(32, 37 + 3 * i) for i in range(N_IMAGES)])
    sources = [
        ("sersic", (8.3, 9.1, 0.6, 40.0, 2.0, 1.5, 30.0), "brightness"),
        ("sersic", (14.2, 13.0, 0.8, 110.0, 2.5, 2.5, 25.0), "brightness"),
        ("gaussian", (26.0, 22.0, 0.7, 10.0, 1.5, 300.0), "flux"),
        ("point", (10.0, 24.0, 400.0), "flux"),
        ("point", (28.0, 8.0, 400.0), "flux"),
    ]
    for number, (profile, values, amplitude) in enumerate(sources):
        slots = field.slots(profile, values)
        for image in range(N_IMAGES):
            x, y = int(values[0]), int(values[1])
            window = (max(x - 12, 0), min(x + 13, 37), max(y - 11, 0), min(y + 12, 32))
            field.tiles.append(
                Tile(profile, slots, number, image, window, amplitude, psf=-1 if image == 2 else 0)
                if profile != "point"
                else Tile(profile, slots, number, image, window, amplitude)
            )
    for image in range(N_IMAGES):
        field.add("flat_sky", (3.0 + image,), image=image)
    field.observe(noise=1.0, seed=1)
    field.likelihood[3] = "poisson"
    field.data[3] = np.round(np.maximum(field.data[3], 0.0))
    field.weight[3] = np.ones_like(field.data[3])
    field.weight[0][5:9, 3:30] = 0.0
    return field


def everything(scene: Any, v: np.ndarray) -> list[Any]:
    """All that can be asked at one point, as arrays."""
    images = [scene.render(v, i) for i in range(N_IMAGES)]
    return [scene.chi2(v), *scene.linearize(v), *images, *scene.render_tiles(v, [3, 20, 7, 21])]


def assert_same(one: list[Any], other: list[Any]) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


# The memory is that of the CPU's backend.
@CPU_ALONE
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("memory", [TINY, 0.5, 1.0])
def test_images_in_batches(memory: float, threads: int, precision: str) -> None:
    field = survey()
    v, plain = field.start, field.scene(precision=precision)
    small = field.scene(n_threads=threads, memory_mb=memory, precision=precision)
    assert_same(everything(small, v), everything(plain, v))
    for i in range(N_IMAGES):
        np.testing.assert_array_equal(small.jacobian(v, i), plain.jacobian(v, i))
    # in another order, and again
    for i in reversed(range(N_IMAGES)):
        np.testing.assert_array_equal(small.render(v, i), plain.render(v, i))
    assert small.chi2(v) == plain.chi2(v)
    one, other = small.fit(v), plain.fit(v)
    assert other["status"].startswith("converged")
    np.testing.assert_array_equal(one["v"], other["v"])
    np.testing.assert_array_equal(one["covariance"], other["covariance"])
    np.testing.assert_array_equal(one["chi2_tiles"], other["chi2_tiles"])
    assert one["chi2"] == other["chi2"]


# The memory is that of the CPU's backend.
@CPU_ALONE
@pytest.mark.parametrize("memory", [0.0, -1.0, np.nan])
def test_an_allowance_that_is_none(memory: float) -> None:
    with pytest.raises(ValueError, match="memory_mb"):
        survey().scene(memory_mb=memory)


def neighbours(field: Field, random: np.random.Generator) -> list[np.ndarray]:
    """Points that differ from the start in ever other parameters."""
    start = field.start
    n = len(start)
    amplitudes = np.array(
        sorted({tile.slots[-1] for tile in field.tiles if tile.profile != "flat_sky"})
    )
    skies = np.array([tile.slots[0] for tile in field.tiles if tile.profile == "flat_sky"])
    points = []
    for k in range(8):
        v = start.copy()
        some = random.choice(n, size=int(random.integers(1, n)), replace=False)
        some = amplitudes if k == 1 else skies if k == 2 else some
        v[some] *= 1 + 0.02 * random.uniform(-1, 1, len(some))
        v[[2, 9]] = np.minimum(v[[2, 9]], 1.0)
        points.append(v)
    away = start.copy()
    away[0] = 1e9  # nothing of the first source is drawn
    flat = start.copy()
    flat[9] = 1e-9  # nor of the second
    none = start.copy()
    none[amplitudes] = 0.0
    return [*points, away, start.copy(), flat, none, start.copy(), away]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("memory", [TINY, 1024.0])
@pytest.mark.parametrize("threads", [1, 2])
def test_evaluations_do_not_depend_on_those_before(
    memory: float, threads: int, precision: str, rng: np.random.Generator
) -> None:
    field = survey()
    scene = field.scene(memory_mb=memory, n_threads=threads, precision=precision)
    points = neighbours(field, rng)
    fresh = [everything(field.scene(precision=precision), v) for v in points]
    for k in [*range(len(points)), *rng.integers(0, len(points), 12)]:
        ask = int(rng.integers(0, 4))
        if ask == 0:
            assert scene.chi2(points[k]) == fresh[k][0]
        elif ask == 1:
            assert_same(list(scene.linearize(points[k])), fresh[k][1:4])
        elif ask == 2:
            image = int(rng.integers(0, N_IMAGES))
            np.testing.assert_array_equal(scene.render(points[k], image), fresh[k][4 + image])
        else:
            assert_same(everything(scene, points[k]), fresh[k])


def test_there_and_back(rng: np.random.Generator) -> None:
    field = survey()
    scene = field.scene()
    for v in neighbours(field, rng):
        for ask in (scene.chi2, lambda x: scene.linearize(x)[0]):
            before = ask(field.start)
            ask(v)
            assert ask(field.start) == before


@pytest.mark.parametrize("memory", [TINY, 1024.0])
def test_many_callers_at_once(memory: float, rng: np.random.Generator) -> None:
    field = survey()
    points = neighbours(field, rng)
    fresh = [everything(field.scene(), v) for v in points]
    fitted = field.scene().fit(field.start)["v"]
    scene = field.scene(n_threads=2, memory_mb=memory)

    def ask(k: int) -> list[Any]:
        if k % 5 == 0:
            np.testing.assert_array_equal(scene.fit(field.start)["v"], fitted)
        return everything(scene, points[k % len(points)])

    with ThreadPoolExecutor(4) as pool:
        for k, found in enumerate(pool.map(ask, range(3 * len(points)))):
            assert_same(found, fresh[k % len(points)])


def test_chi2_after_a_fit_is_that_of_a_new_scene() -> None:
    field = survey()
    scene = field.scene()
    out = scene.fit(field.start)
    for v in (out["v"], field.start, out["v"]):
        assert scene.chi2(v) == field.scene().chi2(v)


def test_points_are_not_all_alike(rng: np.random.Generator) -> None:
    """The points above do differ, and those where a source is gone lack its light."""
    field = survey()
    scene, points = field.scene(), neighbours(field, rng)
    chi2 = [scene.chi2(v) for v in points]
    assert len(set(chi2)) == len(points) - 2  # the start occurs twice, and so does the last
    bright = scene.render(field.start, 0).sum()
    assert scene.render(points[8], 0).sum() < bright - 100
    assert scene.render(points[10], 0).sum() < bright - 100


def test_an_image_without_tiles_is_dark() -> None:
    field = Field((20, 20), (12, 14))
    field.add("point", (9.0, 9.0, 10.0))
    np.testing.assert_array_equal(field.scene().render(field.start, 1), np.zeros((12, 14)))


def test_model_and_jacobian_are_those_of_each() -> None:
    field = survey()
    for image in range(N_IMAGES):
        scene, v = field.scene(), field.start
        model, columns = scene.model_and_jacobian(v, image)
        np.testing.assert_array_equal(columns, scene.jacobian(v, image))
        np.testing.assert_allclose(model, scene.render(v, image), rtol=1e-12, atol=1e-12)
