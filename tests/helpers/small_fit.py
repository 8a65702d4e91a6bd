# SPDX-License-Identifier: BSD-3-Clause
"""A joint fit small enough to be repeated: one Sersic in two images of different pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.wcs import WCS

import jointlight as jl

TRUTH: dict[str, Any] = {"center": (0.3, -0.2), "q": 0.6, "PA": 40.0, "n": 1.3, "Re": 3.0}
IE = {"g": 2.0, "z": 5.0}
SIGMA = {"g": 0.05, "z": 0.4}


def wcs(scale: float, size: int, *, rotation: float = 0.0, mirrored: bool = False) -> WCS:
    """A gnomonic WCS about the same sky position."""
    out = WCS(naxis=2)
    out.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    out.wcs.crval = [150.0, 2.2]
    out.wcs.crpix = [(size + 1) / 2.0, (size + 1) / 2.0]
    angle, flip = np.radians(rotation), 1.0 if mirrored else -1.0
    step = scale / 3600.0
    out.wcs.cd = step * np.array(
        [[flip * np.cos(angle), np.sin(angle)], [-flip * np.sin(angle), np.cos(angle)]]
    )
    out.wcs.set()
    return out


def make_images(
    *, seed: int = 5, zeropoints: tuple[float | None, float | None] = (25.0, 27.5)
) -> jl.TargetImageList:
    """Two noisy images of the galaxy, the second rotated and mirrored."""
    settings = [("g", 44, 0.4, 0.0, False, 1.0), ("z", 26, 0.8, 25.0, True, 1.9)]
    rng = np.random.default_rng(seed)
    blank = [
        jl.TargetImage(
            np.zeros((size, size)),
            wcs=wcs(scale, size, rotation=rotation, mirrored=mirrored),
            std=SIGMA[name],
            psf=jl.gaussian_psf(fwhm=fwhm, pixelscale=scale),
            zeropoint=zeropoint,
            name=name,
        )
        for (name, size, scale, rotation, mirrored, fwhm), zeropoint in zip(
            settings, zeropoints, strict=True
        )
    ]
    truth = make_model(jl.TargetImageList(blank))
    images = [
        image.copy(data=truth.image(image) + rng.normal(0, SIGMA[image.name], image.shape),
                   name=image.name)
        for image in blank
    ]  # fmt: skip
    return jl.TargetImageList(images)


def make_model(target: jl.TargetImageList) -> Any:
    """The joint model, at the truth."""
    model = jl.joint("sersic galaxy", target=target, per_image=["Ie"], name="galaxy")
    for name, value in TRUTH.items():
        model[name].value = value
    for leaf in model.leaves():
        leaf["Ie"].value = IE[leaf.target.name]
    return model


def make_fit(**options: Any) -> Any:
    """The fit from near the truth."""
    model = make_model(make_images())
    model["Re"].value = 3.3
    model["n"].value = 1.1
    return jl.fit.LM(model, **options).fit()
