# SPDX-License-Identifier: BSD-3-Clause
"""GalSim draws the image of a case: ``python galsim_draw.py CASE.npz``, one thread, float64.

At its default accuracy, and at that of the truth that answers are set against. It has no
derivatives. Its tables for this Sersic index are made by the first call, or anew in every call.
"""

from __future__ import annotations

import itertools
import sys

import galsim
import numpy as np
from protocol import load, saved, serve

facts, arrays = load(sys.argv[1])
(band,) = facts["bands"]
meta = facts[f"{band}_meta"]
scale, shape = meta["pixelscale"], arrays[f"{band}_data"].shape


# Those of the truth (tests/reference/galsim_truth.py): worst pixel 1e-7 of the peak.
TIGHT = galsim.GSParams(
    folding_threshold=1e-4,
    kvalue_accuracy=1e-7,
    xvalue_accuracy=1e-7,
    maxk_threshold=1e-5,
    integration_relerr=1e-8,
    integration_abserr=1e-10,
    maximum_fft_size=32768,
    stepk_minimum_hlr=20,
)


def image(factor: float = 1.0, settings: galsim.GSParams | None = None) -> np.ndarray:
    """The convolved image at the truth; North is up and East left, about the image's center."""
    x, y, q, pa, re, n, flux = arrays["truth"].tolist()
    n *= factor
    galaxy = galsim.Sersic(n=n, half_light_radius=re * np.sqrt(q), flux=flux, gsparams=settings)
    galaxy = galaxy.shear(q=q, beta=(90.0 + pa) * galsim.degrees)
    psf = galsim.Gaussian(fwhm=meta["fwhm"], gsparams=settings)
    drawn = galsim.Convolve([galaxy, psf]).drawImage(
        nx=shape[1], ny=shape[0], scale=scale, offset=(-x / scale, y / scale), dtype=float
    )
    return drawn.array


def result() -> dict:
    """Where the image is."""
    return saved(image())


versions = {"GalSim": galsim.__version__, "numpy": np.__version__}
calls = itertools.count(1)
quantities = {
    "image": image,
    # As a fit meets it: its tables are made anew for every Sersic index.
    "image_new_n": lambda: image(1 + 1e-6 * next(calls)),
    "image_tight": lambda: image(1.0, TIGHT),
    "image_tight_new_n": lambda: image(1 + 1e-6 * next(calls), TIGHT),
}
serve(versions, quantities, result)
