# SPDX-License-Identifier: BSD-3-Clause
"""pyimfit draws the image of a case: ``python pyimfit_image.py CASE.npz``, one thread, float64.

It integrates pixels itself, so it gets the bare PSF. It counts pixels from 1 and its PA runs
counter-clockwise from +y, which is North towards East where East is left. It gives no derivatives.
"""

from __future__ import annotations

import sys

import numpy as np
import pyimfit
from protocol import load, saved, serve

facts, arrays = load(sys.argv[1])
(band,) = facts["bands"]
scale = facts[f"{band}_meta"]["pixelscale"]
ny, nx = arrays[f"{band}_data"].shape
x, y, q, pa, re, n, _ = arrays["truth"].tolist()

center = (nx + 1) / 2 - x / scale, (ny + 1) / 2 + y / scale
values = {
    "PA": pa,
    "ell": 1 - q,
    "n": n,
    "I_e": float(arrays["truth_ie"][0]) * scale**2,
    "r_e": re / scale,
}
galaxy = pyimfit.make_imfit_function("Sersic")
for name, value in values.items():
    getattr(galaxy, name).setValue(value)
scene = pyimfit.SimpleModelDescription()
scene.x0.setValue(center[0])
scene.y0.setValue(center[1])
scene.addFunction(galaxy)

vector = np.array([*center, *values.values()])
imfit = pyimfit.Imfit(scene, psf=arrays[f"{band}_psf"], maxThreads=1)
ready: list[bool] = []


def image() -> np.ndarray:
    """The convolved image at the truth."""
    shape = None if ready else (ny, nx)  # given once, in the untimed call
    ready.append(True)
    return imfit.getModelImage(shape, newParameters=vector)


def result() -> dict:
    """Where the image is."""
    return saved(image())


versions = {"pyimfit": pyimfit.__version__, "numpy": np.__version__}
serve(versions, {"image": image}, result)
