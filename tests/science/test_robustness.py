# SPDX-License-Identifier: BSD-3-Clause
"""Nothing a parameter vector can hold brings the core down, and threads never change a bit."""

from __future__ import annotations

import multiprocessing
import os
from typing import Any

import numpy as np
import pytest

from reference import core
from reference.on_backends import CPU_ALONE, EVERY_BACKEND, HOST_ALONE
from reference.render import Ellipse

pytestmark = EVERY_BACKEND

E = Ellipse("sersic", (1.7,), 12.3, 13.1, 3.0, 0.7, 0.6).with_flux(400.0)
F = Ellipse("moffat", (2.6,), 6.4, 17.9, 2.0, 0.5, 1.9).with_flux(150.0)
G = Ellipse("exponential", (), 17.4, 7.9, 2.0, 0.9, 1.0).with_flux(150.0)
STAR = (5.2, 6.1, 40.0)
EXTREME = np.array(
    [0.0, -0.0, 1.0, -1.0, 1e-300, 1e-30, 1e-8, 1e8, 1e30, 1e300, -1e300, np.inf, -np.inf, np.nan]
)
PSFS: dict[str, Any] = {
    "none": None,
    "gaussian": core.PsfAnalytic("gaussian", 2.5, extent=30.0),
    "moffat": core.PsfAnalytic("moffat", 2.5, extent=30.0),
    "array": core.PsfArray(np.outer(np.hanning(15), np.hanning(15))),
}


def vectors(v: np.ndarray, count: int, seed: int):
    """Mild, wild and extreme parameter vectors around `v`."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        kind = i % 4
        if kind == 0:  # plausible
            yield v * rng.uniform(0.2, 3.0, v.shape)
        elif kind == 1:  # any sign, any size
            yield rng.choice([-1, 1], v.shape) * 10.0 ** rng.uniform(-12, 12, v.shape)
        elif kind == 2:  # one extreme entry
            w = v.copy()
            w[rng.integers(len(v))] = rng.choice(EXTREME)
            yield w
        else:  # all extreme
            yield rng.choice(EXTREME, v.shape)


@pytest.mark.parametrize("psf", PSFS)
def test_ten_thousand_random_vectors(psf, every_backend):
    stars = () if psf == "none" else (STAR,)
    data = np.random.default_rng(0).normal(0.0, 1.0, (17, 19))
    scene, v = core.scene([E, F, G], 17, 19, psf=PSFS[psf], data=data, stars=stars)
    n = len(v)
    reference = np.array(scene.render(v, 0))
    count = 250 if every_backend == "cuda-emulated" else 2500
    for w in vectors(v, count, 7):
        image = scene.render(w, 0)
        chi2, gradient, hessian = scene.linearize(w)
        assert image.shape == (17, 19)
        assert np.shape(gradient) == (n,)
        assert np.shape(hessian) == (n, n)
        assert chi2 >= 0 or not np.isfinite(chi2)
    # No vector may leave anything behind.
    assert np.array_equal(scene.render(v, 0), reference)


def test_fits_from_wild_starts_end_with_a_status():
    data = np.random.default_rng(0).normal(0.0, 1.0, (17, 19))
    scene, v = core.scene([E, G], 17, 19, psf=PSFS["gaussian"], data=data)
    for w in vectors(v, 80, 8):
        fit = scene.fit(w, {"max_iterations": 8}, None)
        assert isinstance(fit["status"], str)
        assert fit["message"]


def linearized(n_threads: int, psf: Any) -> tuple:
    data = np.random.default_rng(0).normal(0.0, 1.0, (61, 67))
    many = [
        Ellipse("sersic", (1 + 0.2 * k,), 8.0 + 5 * k, 50.0 - 4 * k, 3.0, 0.7, 0.3 * k)
        for k in range(10)
    ]
    scene, v = core.scene(many, 61, 67, psf=psf, data=data, n_threads=n_threads)
    chi2, gradient, hessian = scene.linearize(v)
    fit = scene.fit(v, {"max_iterations": 3}, None)
    return chi2, scene.chi2(v), gradient, hessian, scene.render(v, 0), fit["v"], fit["chi2"]


@CPU_ALONE
@pytest.mark.parametrize("psf", PSFS)
def test_any_number_of_threads_gives_the_same_bits(psf):
    one = linearized(1, PSFS[psf])
    for n_threads in (2, 3, 8):
        for a, b in zip(one, linearized(n_threads, PSFS[psf]), strict=True):
            assert np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True)


def _child(queue: Any, scene: Any, v: np.ndarray) -> None:
    queue.put(scene.linearize(v)[0])


# A forked child has no part in the device that its parent has used.
@HOST_ALONE
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_can_use_the_parents_scene():
    data = np.random.default_rng(0).normal(0.0, 1.0, (61, 67))
    scene, v = core.scene([E, F, G], 61, 67, psf=PSFS["gaussian"], data=data, n_threads=4)
    expected = scene.linearize(v)[0]  # the pool's threads run now; a child has none of them
    context = multiprocessing.get_context("fork")
    for _ in range(3):
        queue = context.Queue()
        child = context.Process(target=_child, args=(queue, scene, v))
        child.start()
        try:
            assert queue.get(timeout=20) == expected
        finally:
            child.join(20)
            hung = child.is_alive()
            child.kill()
        assert not hung
        assert child.exitcode == 0
    assert scene.linearize(v)[0] == expected


def test_a_scene_serves_many_threads():
    from concurrent.futures import ThreadPoolExecutor

    data = np.random.default_rng(0).normal(0.0, 1.0, (61, 67))
    scene, v = core.scene([E, F, G], 61, 67, psf=PSFS["gaussian"], data=data, n_threads=2)
    moved = [v * (1 + 0.01 * k) for k in range(8)]
    expected = [scene.chi2(w) for w in moved]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(10):
            assert list(pool.map(scene.chi2, moved)) == expected
