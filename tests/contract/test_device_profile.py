# SPDX-License-Identifier: BSD-3-Clause
"""A device's profile: bytes and operations of a small plan counted by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import jointlight as jl
from jointlight import _core
from jointlight.backends import ready_backend

if TYPE_CHECKING:
    from collections.abc import Iterator

SIDE, LANES, DOUBLE = 64, 8, 8
PIXELS = SIDE * SIDE
PIECES, SUMS = 4, LANES * LANES + LANES  # of 16 rows, about 1024 pixels each


@pytest.fixture(params=["cuda-emulated", "cuda"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    name: str = request.param
    cuda = jl.backends()["cuda"]
    if name == "cuda" and not cuda.available:
        pytest.skip(cuda.reason)
    _core.device_profile()
    yield ready_backend(name)
    _core.profile_devices(False)
    _core.device_profile()


def stamp() -> Any:
    """One galaxy in one image with a PSF."""
    data = np.random.default_rng(5).normal(size=(SIDE, SIDE))
    image = jl.TargetImage(
        data, pixelscale=1.0, variance=1.0, psf=jl.gaussian_psf(fwhm=3.0, pixelscale=1.0)
    )
    return jl.Model(
        "sersic galaxy", target=image, center=(0.0, 0.0), q=0.7, PA=40, n=1.5, Re=4, Ie=5
    )


def profile_of(compiled: Any) -> dict[str, dict[str, float]]:
    """Of one linearization."""
    _core.device_profile()
    _core.profile_devices(True)
    compiled.core.linearize(np.asarray(compiled.v0))
    _core.profile_devices(False)
    return _core.device_profile()


def passes(size: int) -> list[int]:
    """Radices of a transform."""
    found, rest = [], size
    for radix in (4, 2, 3, 5):
        while rest % radix == 0:
            found.append(radix)
            rest //= radix
    assert rest == 1
    return found


def transform_flops(size: int) -> float:
    """Of one complex sequence, all passes: butterflies and the turns of all but their first."""
    own = {2: 4, 3: 16, 4: 16, 5: 48}
    return sum(size / radix * (own[radix] + 6 * (radix - 1)) for radix in passes(size))


def test_off_unless_asked_for(backend: str) -> None:
    compiled = stamp().compile(backend=backend)
    compiled.core.linearize(np.asarray(compiled.v0))
    assert _core.device_profile() == {}


@pytest.mark.parametrize("precision", ["float64", "mixed"])
def test_counts_of_one_stamp(backend: str, precision: str) -> None:
    compiled = stamp().compile(backend=backend, precision=precision)
    found = profile_of(compiled)
    lane = 8 if precision == "float64" else 4
    # read: data, weight, the model's lane; written: model, w, w r, term. Then the term is read and
    # a row's sum written, which is read and the tile's written.
    residual = found["residual"]
    assert residual["launches"] == 3
    assert residual["bytes"] == DOUBLE * (7 * PIXELS + (PIXELS + SIDE) + (SIDE + 1))
    assert residual["flops"] == (2 + 3) * PIXELS + PIXELS + SIDE
    # read: w, w r and the lanes; written: the sums of pieces, which are read and added
    normal = found["normal"]
    assert normal["launches"] == 2
    sums = PIECES * SUMS * DOUBLE
    assert normal["bytes"] == PIXELS * (LANES * lane + 2 * DOUBLE) + sums + sums + SUMS * DOUBLE
    assert normal["flops"] == PIXELS * (3 * LANES**2 + 2 * LANES) + PIECES * SUMS
    assert normal["single_flops"] == 0.0
    assert found["download"]["bytes"] == DOUBLE * (LANES**2 + LANES + 1)
    assert found["upload"]["bytes"] > 0.0
    assert all(stage["seconds"] > 0.0 for stage in found.values())


def test_transforms_of_one_stamp(backend: str) -> None:
    compiled = stamp().compile(backend=backend)
    (tile,) = compiled.core.describe()["tiles"]
    assert tile["renderer"] == "fourier"
    box_x, _ = tile["box"]
    found = profile_of(compiled)["rows"]
    n_passes = len(passes(box_x))
    assert found["launches"] == 1 + n_passes
    sequences = SIDE // 2 * LANES  # two rows in one
    moved = 2 * 16 * box_x * sequences * n_passes
    packed = found["bytes"] - moved - 16 * box_x * sequences
    n_columns = packed / (16 * SIDE * LANES)  # that hold power
    assert n_columns == int(n_columns)
    assert 0 < n_columns <= box_x // 2 + 1
    turned = found["flops"] - sequences * transform_flops(box_x)
    # of a pair of rows an addition and a subtraction, on either side of all columns but the first
    assert turned in {2 * 2 * sequences * (n_columns - k) for k in (1, 2)}


def test_single_precision_is_counted_apart(backend: str) -> None:
    of_double = profile_of(stamp().compile(backend=backend))
    of_mixed = profile_of(stamp().compile(backend=backend, precision="mixed"))
    double, mixed = of_double["rows"], of_mixed["rows"]
    assert double["single_flops"] == 0.0
    assert mixed["single_flops"] == double["flops"]  # derivatives
    assert mixed["flops"] == pytest.approx(double["flops"] / LANES, rel=1e-12)  # the image
    for stage in ("phases", "copies"):  # made once for both
        assert of_mixed[stage]["launches"] == of_double[stage]["launches"]


def test_many_fits_add_up(backend: str) -> None:
    """As many normal equations as the table says were made."""
    once = profile_of(stamp().compile(backend=backend))["normal"]
    _core.profile_devices(True)
    data = np.random.default_rng(1).normal(size=(3, SIDE, SIDE)) + np.asarray(stamp().image())
    table = jl.fit_many(stamp(), data=data, variance=1.0, backend=backend, max_iter=3).table
    found = _core.device_profile()["normal"]
    n_linearize = found["bytes"] / once["bytes"]
    assert n_linearize == int(n_linearize)
    assert len(table) <= n_linearize <= np.sum(table["n_evaluations"])


def test_ceilings(backend: str) -> None:
    found = _core.device_ceilings(backend)
    assert 0.0 <= found.pop("launch") < 1e-2
    assert found.keys() == {"bytes", "flops", "single_flops", "upload", "download"}
    assert all(1e6 < rate < 1e16 for rate in found.values())
    with pytest.raises(ValueError, match="backend = 'tpu'"):
        _core.device_ceilings("tpu")
