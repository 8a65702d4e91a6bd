# SPDX-License-Identifier: BSD-3-Clause
"""Small images and models that the tests of models and scenes share."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.wcs import WCS

from jointlight.image import TargetImage, TargetImageList
from jointlight.models import Component
from jointlight.psf import gaussian_psf

STRUCTURE: dict[str, Any] = {
    "center": (0.4, -0.3),
    "q": 0.6,
    "PA": 40.0,
    "Re": 2.0,
    "n": 2.0,
    "sigma": 1.5,
    "Rd": 1.5,
    "beta": 3.0,
    "Ie": 20.0,
    "I0": 5.0,
    "flux": 300.0,
    "slope_x": 0.02,
    "slope_y": -0.03,
}


def make_image(
    name: str = "r",
    *,
    n: int = 48,
    scale: float = 0.4,
    fwhm: float | None = 1.2,
    rotation: float = 0.0,
    ra: float = 150.0,
    **options: Any,
) -> TargetImage:
    """An image of noise with a rotated tangent-plane WCS."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [ra, 2.0]
    wcs.wcs.crpix = [(n + 1) / 2, (n + 1) / 2]
    c, s = np.cos(rotation), np.sin(rotation)
    wcs.wcs.cd = scale / 3600.0 * np.array([[-c, s], [s, c]])
    data = np.random.default_rng(len(name)).normal(size=(n, n + 2))
    psf = None if fwhm is None else gaussian_psf(fwhm=fwhm, pixelscale=scale)
    settings: dict[str, Any] = {"variance": 1.0, "psf": psf, "zeropoint": 25.0, **options}
    return TargetImage(data, wcs=wcs, name=name, **settings)


def make_list() -> TargetImageList:
    """Two images of different scale and rotation."""
    return TargetImageList(
        [make_image("r"), make_image("W1", n=24, scale=1.1, fwhm=2.6, rotation=0.4)]
    )


def values_for(cls: type[Component], amplitude: str = "brightness") -> dict[str, Any]:
    """A value for each parameter of a class."""
    return {spec.name: STRUCTURE[spec.name] for spec in cls.specs(amplitude)}
