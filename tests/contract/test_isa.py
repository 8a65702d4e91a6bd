# SPDX-License-Identifier: BSD-3-Clause
"""JOINTLIGHT_ISA forces an instruction-set level, and every level gives the same numbers."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

LEVELS = ("base", "v3", "v4")
PROGRAM = """
import json
import numpy as np
import jointlight as jl
from jointlight import _core

rng = np.random.default_rng(3)
data = rng.normal(size=(48, 44))
out = {"isa": _core.isa()}
for name, psf in (("fourier", jl.gaussian_psf(fwhm=3.0, pixelscale=1.0)), ("pixel", None)):
    image = jl.TargetImage(data, pixelscale=1.0, variance=1.0, psf=psf)
    galaxy = jl.Model("sersic galaxy", target=image, name="galaxy", center=(1.3, -0.4), q=0.6,
                      PA=30, n=2.3, Re=5, Ie=4)
    sky = jl.Model("flat sky", target=image, name="sky", I0=0.1)
    for precision in ("float64", "mixed"):
        scene = jl.Group([galaxy, sky], target=image).compile(n_threads=1, precision=precision)
        chi2, gradient, normal = scene.core.linearize(np.asarray(scene.v0))
        model = scene.core.render(np.asarray(scene.v0), 0)
        out[f"{name} {precision}"] = [chi2, *gradient, *normal.ravel(), *model[::7, ::5].ravel()]
print(json.dumps(out))
"""


def evaluated(level: str) -> dict[str, Any]:
    """What a fresh process computes at a level, "" for the best."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"JOINTLIGHT_ISA": level},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def best() -> dict[str, Any]:
    return evaluated("")


def test_base_can_be_forced_everywhere() -> None:
    assert evaluated("base")["isa"] == "base"


@pytest.mark.parametrize("level", LEVELS)
def test_levels_agree(level: str, best: dict[str, Any]) -> None:
    if level != "base" and platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("a level of x86-64")
    found = evaluated(level)
    if found["isa"] != level:
        assert LEVELS.index(found["isa"]) < LEVELS.index(level)
        pytest.skip(f"this processor has no {level}")
    for renderer in ("fourier", "pixel"):
        for precision, rounding in (("float64", 1e-11), ("mixed", 1e-7)):
            name = f"{renderer} {precision}"
            one, other = np.array(found[name]), np.array(best[name])
            # Sums are formed in another order: rounding, relative to each quantity's neighbours.
            assert one[0] == pytest.approx(other[0], rel=1e-12), "chi2 is float64 in both"
            np.testing.assert_allclose(
                one, other, rtol=100 * rounding, atol=rounding * np.abs(other).max()
            )
