# SPDX-License-Identifier: BSD-3-Clause
"""GalSim draws the image of a case: ``python galsim_draw.py CASE.npz``, one thread, float64.

At its default accuracy; the truth that answers are set against is GalSim's too, at a tighter one.
It has no derivatives. Its tables for this Sersic index are made by the first call, not timed.
"""

from __future__ import annotations

import sys

import galsim
import numpy as np
from protocol import load, saved, serve

facts, arrays = load(sys.argv[1])
(band,) = facts["bands"]
meta = facts[f"{band}_meta"]
scale, shape = meta["pixelscale"], arrays[f"{band}_data"].shape


def image() -> np.ndarray:
    """The convolved image at the truth; North is up and East left, about the image's center."""
    x, y, q, pa, re, n, flux = arrays["truth"].tolist()
    galaxy = galsim.Sersic(n=n, half_light_radius=re * np.sqrt(q), flux=flux)
    galaxy = galaxy.shear(q=q, beta=(90.0 + pa) * galsim.degrees)
    psf = galsim.Gaussian(fwhm=meta["fwhm"])
    drawn = galsim.Convolve([galaxy, psf]).drawImage(
        nx=shape[1], ny=shape[0], scale=scale, offset=(-x / scale, y / scale), dtype=float
    )
    return drawn.array


def result() -> dict:
    """Where the image is."""
    return saved(image())


versions = {"GalSim": galsim.__version__, "numpy": np.__version__}
serve(versions, {"image": image}, result)
