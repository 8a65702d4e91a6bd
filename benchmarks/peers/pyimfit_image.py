# SPDX-License-Identifier: BSD-3-Clause
"""pyimfit draws the image of a case, or fits stamps one by one: one thread, float64.

It integrates pixels itself, so it gets the bare PSF. It counts pixels from 1 and its PA runs
counter-clockwise from +y, which is North towards East where East is left. It gives no derivatives.
Its transforms start a thread for every core whatever `maxThreads` says: the process keeps to one.
"""

from __future__ import annotations

import os
import sys

if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

import numpy as np
import pyimfit
from protocol import load, saved, saved_fits, serve

facts, arrays = load(sys.argv[1])
(band,) = facts["bands"]
scale = facts[f"{band}_meta"]["pixelscale"]
ny, nx = arrays[f"{band}_data"].shape


def described(v: np.ndarray, ie: float) -> tuple[pyimfit.SimpleModelDescription, np.ndarray]:
    """The model at x, y, q, PA, Re, n and the brightness at Re; its parameter vector."""
    x, y, q, pa, re, n = v.tolist()
    center = (nx + 1) / 2 - x / scale, (ny + 1) / 2 + y / scale
    # Limits are what its Levenberg-Marquardt is given by its users: it knows no other bounds.
    values = {
        "PA": (pa, -360.0, 540.0),
        "ell": (1 - q, 0.0, 0.98),
        "n": (n, 0.3, 10.0),
        "I_e": (ie * scale**2, 0.0, 1e9),
        "r_e": (re / scale, 0.05, 10.0 * nx),
    }
    galaxy = pyimfit.make_imfit_function("Sersic")
    for name, (value, low, high) in values.items():
        getattr(galaxy, name).setValue(value, [low, high])
    scene = pyimfit.SimpleModelDescription()
    scene.x0.setValue(center[0], [0.0, nx + 1.0])
    scene.y0.setValue(center[1], [0.0, ny + 1.0])
    scene.addFunction(galaxy)
    return scene, np.array([*center, *(value for value, _, _ in values.values())])


def image_case() -> None:
    """The convolved image at the truth."""
    scene, vector = described(arrays["truth"][:6], float(arrays["truth_ie"][0]))
    imfit = pyimfit.Imfit(scene, psf=arrays[f"{band}_psf"], maxThreads=1)
    ready: list[bool] = []

    def image() -> np.ndarray:
        shape = None if ready else (ny, nx)  # given once, in the untimed call
        ready.append(True)
        return imfit.getModelImage(shape, newParameters=vector)

    def result() -> dict:
        return saved(image())

    serve(versions, {"image": image}, result)


def stamps_case() -> None:
    """Stamps one by one."""
    sigma = facts[f"{band}_meta"]["sigma"]
    last: dict = {}

    def fit(index: int) -> list[float]:
        start = arrays["start"][index]
        scene, _ = described(start[:6], float(start[6]))
        imfit = pyimfit.Imfit(scene, psf=arrays[f"{band}_psf"], maxThreads=1)
        error = np.full((ny, nx), sigma)
        imfit.fit(arrays["stamps"][index], error=error, error_type="sigma", verbose=-1)
        x, y, pa, ell, n, ie, re = imfit.getRawParameters()
        x, y = ((nx + 1) / 2 - x) * scale, (y - (ny + 1) / 2) * scale
        return [x, y, 1 - ell, pa % 180.0, re * scale, n, ie / scale**2]

    def fits() -> None:
        last["values"] = [fit(i) for i in facts["chosen"]]

    def result() -> dict:
        return saved_fits(last["values"])

    serve(versions, {"fits": fits}, result, warm=lambda: fit(0))


versions = {"pyimfit": pyimfit.__version__, "numpy": np.__version__}
CASES = {"image500": image_case, "stamps": stamps_case}
CASES[facts["case"]]()
