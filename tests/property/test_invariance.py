# SPDX-License-Identifier: BSD-3-Clause
"""What holds for any galaxy: shift, rotation, scale, linearity, order of components, ties."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jointlight.backends import ready_backend
from reference import core
from reference.on_backends import EVERY_BACKEND
from reference.render import Ellipse

pytestmark = EVERY_BACKEND

SIZE = 33
PSFS = {
    "none": None,
    "gaussian": core.PsfAnalytic("gaussian", 2.5),
    "array": core.PsfArray(np.outer(np.hanning(17), np.hanning(17))),
}

# The same examples every time: a failure in CI can be repeated at home.
bounded = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)

galaxies = st.builds(
    Ellipse,
    profile=st.just("sersic"),
    shape=st.tuples(st.floats(0.5, 6.0)),
    x=st.floats(12.0, 20.0),
    y=st.floats(12.0, 20.0),
    scale=st.floats(0.8, 10.0),
    q=st.floats(0.15, 1.0),
    theta=st.floats(0.0, np.pi),
    amplitude=st.floats(0.01, 100.0),
)


def close(a: np.ndarray, b: np.ndarray, tolerance: float) -> bool:
    return bool(np.max(np.abs(a - b)) <= tolerance * max(np.max(np.abs(b)), 1e-300))


@pytest.mark.parametrize("psf", PSFS)
@bounded
@given(e=galaxies, dx=st.integers(-3, 3), dy=st.integers(-3, 3))
def test_shift_by_whole_pixels(psf, e, dx, dy):
    still = core.render(e, SIZE, SIZE, psf=PSFS[psf])
    moved = core.render(replace(e, x=e.x + dx, y=e.y + dy), SIZE, SIZE, psf=PSFS[psf])
    a = still[max(0, -dy) : SIZE - max(0, dy), max(0, -dx) : SIZE - max(0, dx)]
    b = moved[max(0, dy) : SIZE + min(0, dy), max(0, dx) : SIZE + min(0, dx)]
    # The window, and with it the box, sits differently about the galaxy: each is right to 1e-5.
    assert close(b, a, 1e-5)


@pytest.mark.parametrize("psf", PSFS)
@bounded
@given(e=galaxies)
def test_quarter_turn(psf, e):
    image = core.render(e, SIZE, SIZE, psf=PSFS[psf])
    turned = replace(e, x=SIZE - 1 - e.y, y=e.x, theta=e.theta + np.pi / 2)
    assert close(core.render(turned, SIZE, SIZE, psf=PSFS[psf]), np.rot90(image, -1), 1e-6)


@pytest.mark.parametrize("psf", PSFS)
@bounded
@given(e=galaxies)
def test_half_turn_of_the_angle_is_nothing(psf, e):
    image = core.render(e, SIZE, SIZE, psf=PSFS[psf])
    again = core.render(replace(e, theta=e.theta + np.pi), SIZE, SIZE, psf=PSFS[psf])
    assert close(again, image, 1e-11)


@pytest.mark.parametrize("psf", PSFS)
@bounded
@given(e=galaxies, factor=st.floats(-5.0, 5.0))
def test_linear_in_amplitude(psf, e, factor):
    scene, v = core.scene(e, SIZE, SIZE, psf=PSFS[psf])
    image = np.array(scene.render(v, 0))
    v[-1] *= factor
    assert np.max(np.abs(scene.render(v, 0) - factor * image)) <= 1e-12 * np.max(np.abs(image)) * 5


@bounded
@given(e=galaxies)
def test_scale_of_lengths_without_psf(e):
    """A galaxy twice as large on pixels half the size has the same light in four of them."""
    image = core.render(e, SIZE, SIZE)
    large = replace(
        e, x=2 * e.x + 0.5, y=2 * e.y + 0.5, scale=2 * e.scale, amplitude=e.amplitude / 4
    )
    fine = core.render(large, 2 * SIZE, 2 * SIZE)
    binned = fine.reshape(SIZE, 2, SIZE, 2).sum(axis=(1, 3))
    assert close(binned, image, 2e-6)


@pytest.mark.parametrize("psf", PSFS)
@bounded
@given(a=galaxies, b=galaxies)
def test_order_of_components_is_nothing(psf, a, b):
    forth = core.render([a, b], SIZE, SIZE, psf=PSFS[psf])
    back = core.render([b, a], SIZE, SIZE, psf=PSFS[psf])
    assert close(forth, back, 1e-13)
    alone = [core.render(e, SIZE, SIZE, psf=PSFS[psf]) for e in (a, b)]
    assert close(forth, alone[0] + alone[1], 1e-12)


@pytest.mark.parametrize("psf", PSFS)
@bounded
@given(e=galaxies, seed=st.integers(0, 2**31))
def test_gradient_is_that_of_chi2(psf, e, seed):
    rng = np.random.default_rng(seed)
    kernel = PSFS[psf]
    data = core.render(e, SIZE, SIZE, psf=kernel)
    data = data + rng.normal(0.0, 0.1 * data.max(), data.shape)
    weight = np.full(data.shape, 100.0 / data.max() ** 2)
    scene, v = core.scene(e, SIZE, SIZE, psf=kernel, data=data, weight=weight)
    direction = rng.normal(size=len(v)) * core.steps(e)
    if not 0.01 < e.q + 2 * direction[2] < 1.0:
        direction[2] = 0.0
    _, gradient, hessian = scene.linearize(v)
    h = 0.05
    up, down = scene.chi2(v + h * direction), scene.chi2(v - h * direction)
    slope = 2 * gradient @ direction
    scale = np.sqrt(direction @ np.asarray(hessian) @ direction) * np.sqrt(scene.chi2(v))
    assert abs((up - down) / (2 * h) - slope) <= 1e-5 * max(abs(slope), scale)


@bounded
@given(e=galaxies, share=st.floats(0.3, 0.7))
def test_tie_is_substitution(e, share):
    """Two components whose slots all follow one free vector are one component of the sum."""
    from jointlight import _core

    builder = _core.SceneBuilder()
    psf = PSFS["gaussian"]
    data = np.random.default_rng(1).normal(0.0, 1.0, (SIZE, SIZE))
    image = builder.add_image(data, np.ones((SIZE, SIZE)), likelihood="gaussian")
    psf_id = psf.add(builder)
    v = core.slots(e)
    n = len(v)
    for k in range(2):
        builder.add_tile(
            profile="sersic",
            image=image,
            psf=psf_id,
            window=(0, SIZE, 0, SIZE),
            anchor_pixel=(16.0, 16.0),
            anchor_plane=(16.0, 16.0),
            jacobian=np.eye(2),
            quadratic=np.zeros((2, 3)),
            slots=np.arange(k * n, (k + 1) * n),
            amplitude="brightness",
            source=k,
        )
    coefs = np.ones(2 * n)
    coefs[n - 1], coefs[2 * n - 1] = share, 1 - share
    builder.set_parameters(
        n_free=n,
        start=v,
        lower=np.full(n, -np.inf),
        upper=np.full(n, np.inf),
        indptr=np.arange(2 * n + 1),
        indices=np.tile(np.arange(n), 2),
        coefs=coefs,
        const=np.zeros(2 * n),
        prior_mean=np.zeros(n),
        prior_sigma=np.full(n, np.inf),
        functions=[],
    )
    tied = builder.build(n_threads=1, backend=ready_backend("auto"))
    plain, _ = core.scene(e, SIZE, SIZE, psf=psf, data=data)
    a, b = tied.linearize(v), plain.linearize(v)
    assert a[0] == pytest.approx(b[0], rel=1e-11)
    assert np.allclose(a[1], b[1], rtol=1e-9, atol=1e-9 * np.max(np.abs(b[1])))
    assert np.allclose(a[2], b[2], rtol=1e-9, atol=1e-9 * np.max(np.abs(b[2])))
