# SPDX-License-Identifier: BSD-3-Clause
"""A transient on a host galaxy over many epochs and bands, made by GalSim.

Each epoch has its own dither, rotation, depth, sky level and sheared Moffat PSF. Noise-free images
are drawn once; a study adds noise to them as often as it likes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from astropy.wcs import WCS

from . import galsim_truth

if TYPE_CHECKING:
    from numpy.typing import NDArray

RA, DEC = 35.2, -4.6  # degrees
SIZE = 41  # pixels a side
SCALE = 0.25  # arcsec
STAMP = 81  # pixels a side of PSF images: 41 would lack 0.3 % of the light, which shows
HOST = {"center": (0.1, -0.05), "q": 0.65, "PA": 60.0, "Re": 1.1, "n": 2.2}
HOST_FLUX = {"g": 9000.0, "r": 15000.0, "i": 20000.0}
POSITION = (0.55, 0.25)  # of the transient, arcsec: where the host is bright
PEAK_FLUX = {"g": 2500.0, "r": 2200.0, "i": 1800.0}
PEAK_DAY, RISE, FALL = 40.0, 8.0, 25.0
TEMPLATE_BEFORE = 15.0  # days; earlier epochs have no transient


@dataclass
class Epoch:
    """One exposure, without noise."""

    name: str
    band: str
    day: float
    sigma: float
    psf: NDArray  # effective, one sample a pixel
    wcs: WCS
    clean: NDArray
    flux: float  # of the transient
    host_peak: float  # flux of a point source as bright as the host in its brightest pixel

    @property
    def is_template(self) -> bool:
        """Whether the transient is known to be absent."""
        return self.day < TEMPLATE_BEFORE


def light_curve(band: str, day: float) -> float:
    """Flux of the transient."""
    if day < TEMPLATE_BEFORE:
        return 0.0
    width = RISE if day < PEAK_DAY else FALL
    return PEAK_FLUX[band] * float(np.exp(-0.5 * ((day - PEAK_DAY) / width) ** 2))


def make(n: int = 60, bands: tuple[str, ...] = ("g", "r", "i"), seed: int = 6) -> list[Epoch]:
    """`n` epochs over 100 days, bands in turn."""
    gs = galsim_truth.galsim()
    params = gs.GSParams(folding_threshold=1e-4, kvalue_accuracy=1e-7, maximum_fft_size=8192)
    rng = np.random.default_rng(seed)
    out = []
    for k in range(n):
        band, day = bands[k % len(bands)], 100.0 * (k + 0.5) / n
        turn, dither = rng.uniform(0, 2 * np.pi), rng.uniform(-0.5, 0.5, 2)
        c, s = np.cos(turn), np.sin(turn)
        w = WCS(naxis=2)
        w.wcs.ctype, w.wcs.crval = ["RA---TAN", "DEC--TAN"], [RA, DEC]
        w.wcs.cd = SCALE / 3600 * np.array([[-c, -s], [-s, c]])
        w.wcs.crpix = (SIZE + 1) / 2 + dither
        local = w.wcs.cd * 3600
        star = gs.Moffat(fwhm=rng.uniform(3.2, 5.0), beta=rng.uniform(3.0, 4.0), gsparams=params)
        star = star.shear(g1=0.04 * rng.normal(), g2=0.04 * rng.normal())  # pixels
        on_sky = gs.JacobianWCS(*local.ravel()).toWorld(star)
        q, angle, size = HOST["q"], HOST["PA"], HOST["Re"]
        host = gs.Sersic(
            n=HOST["n"],
            half_light_radius=size * np.sqrt(q),
            flux=HOST_FLUX[band],
            gsparams=params,
        ).shear(q=q, beta=(90.0 - angle) * gs.degrees)

        def draw(obj, place, local=local, middle=w.wcs.crpix - 1):
            pixel = np.linalg.inv(local) @ place + middle
            offset = tuple(pixel - (SIZE - 1) / 2)
            image = obj.drawImage(
                nx=SIZE, ny=SIZE, wcs=gs.JacobianWCS(*local.ravel()), offset=offset, dtype=float
            )
            return np.array(image.array)

        galaxy = draw(gs.Convolve([host, on_sky], gsparams=params), HOST["center"])
        point = draw(on_sky, POSITION)
        flux = light_curve(band, day)
        stamp = galsim_truth.effective_array(star, STAMP)
        out.append(
            Epoch(
                name=f"{band} {k:02d}",
                band=band,
                day=day,
                sigma=rng.uniform(3.0, 6.0),
                psf=stamp,
                wcs=w,
                clean=galaxy + flux * point + rng.normal(0.0, 3.0),
                flux=flux,
                host_peak=float(galaxy.max() / stamp.max()),
            )
        )
    return out
