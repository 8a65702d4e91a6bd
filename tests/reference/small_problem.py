# SPDX-License-Identifier: BSD-3-Clause
"""A small three-image problem through the public interface, quick enough for thousands of fits.

Three bands of one Sersic galaxy with other scales, PSFs, rotations and parities.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.wcs import WCS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TRUTH = {"center": (0.4, -0.3), "q": 0.6, "PA": 30.0, "n": 1.8, "Re": 2.4}
FLUXES = {"a": 400.0, "b": 900.0, "c": 60.0}
BANDS = {  # size, arcsec/px, sigma, PSF FWHM (arcsec), rotation (deg), parity
    "a": (40, 0.5, 0.10, 1.5, 0.0, -1),
    "b": (24, 0.9, 0.45, 2.4, 40.0, -1),
    "c": (30, 0.7, 0.03, 2.0, -15.0, 1),
}
ZEROPOINT = 25.0


def wcs(name: str) -> WCS:
    """A WCS per band: same point in the middle of each, own rotation and parity."""
    size, scale, _, _, rotation, parity = BANDS[name]
    w = WCS(naxis=2)
    w.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    w.wcs.crval = [150.0, 2.0]
    w.wcs.crpix = [(size + 1) / 2, (size + 1) / 2]
    c, s = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    w.wcs.cd = scale / 3600 * np.array([[c, -s], [s, c]]) @ np.diag([parity, 1])
    return w


def images(data: dict[str, NDArray] | None = None, **overrides: Any) -> list[Any]:
    """One `TargetImage` a band; `overrides` go to every image."""
    import jointlight as jl

    out = []
    for name, (size, scale, sigma, fwhm, _, _) in BANDS.items():
        options = {
            "wcs": wcs(name),
            "variance": sigma**2,
            "zeropoint": ZEROPOINT,
            "psf": jl.gaussian_psf(fwhm=fwhm, pixelscale=scale),
            "name": name,
        } | overrides
        array = np.zeros((size, size)) if data is None else data[name]
        out.append(jl.TargetImage(array, **options))
    return out


def model(targets: Sequence[Any], *, per_image: Sequence[str] = ("flux",)) -> Any:
    """The joint model at the truth."""
    import jointlight as jl

    joint = jl.joint(
        "sersic galaxy",
        target=jl.TargetImageList(list(targets)),
        per_image=list(per_image),
        amplitude="flux",
        name="galaxy",
    )
    return set_truth(joint)


def set_truth(joint: Any) -> Any:
    """Put the truth into a joint model."""
    for name, value in TRUTH.items():
        joint[name].value = value
    for member in joint.models:
        member["flux"].value = FLUXES[member.target.name]
    return joint


def noiseless() -> dict[str, NDArray]:
    """The model's own images at the truth."""
    targets = images()
    rendered = model(targets).images()
    return {t.name: np.asarray(i) for t, i in zip(targets, rendered, strict=True)}


def noisy(clean: dict[str, NDArray], rng: np.random.Generator) -> dict[str, NDArray]:
    """A realisation."""
    return {k: v + rng.normal(0.0, BANDS[k][2], v.shape) for k, v in clean.items()}
