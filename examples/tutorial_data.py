# SPDX-License-Identifier: BSD-3-Clause
"""Make the images of AstroPhot's joint-modelling tutorial with GalSim, with a known truth.

The tutorial cuts them from the Legacy Survey's viewer: around LEDA 41136 in r (500 x 500 pixels of
0.262"), unWISE W1 (52 x 52 of 2.75") and GALEX NUV (90 x 90 of 1.5"), and around a group of
galaxies (90 x 90, 8 x 8 and 15 x 15 pixels). Here they have the same sizes, scales, zeropoints,
PSFs and noise, and headers as the viewer writes them: every cutout is gnomonic about the position
asked for, which is at the array's middle. Files are named after the query that the tutorial sends.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import galsim
import numpy as np
from astropy.io import fits


@dataclass(frozen=True)
class Band:
    """One survey's images: arcsec, counts per pixel, magnitudes."""

    name: str
    layer: str
    bands: str
    pixelscale: float
    fwhm: float
    sigma: float
    zeropoint: float


BANDS = (
    Band("r", "ls-dr9", "r", 0.262, 1.12, 0.008, 22.5),
    Band("W1", "unwise-neo7", "1", 2.75, 6.1, 4.9, 25.199),
    Band("NUV", "galex", "n", 1.5, 5.4, 0.0007, 20.08),
)
FWHM_PER_SIGMA = 2.355  # as the tutorial has it

SINGLE = (187.3119, 12.9783)
SINGLE_SIZES = {"r": 500, "W1": 52, "NUV": 90}
GROUP = (156.7283, 15.5512)
GROUP_SIZES = {band.name: int(90 * 0.262 / band.pixelscale) for band in BANDS}

# center: arcsec East and North of the position asked for; PA: degrees East of North; Re: arcsec
# along the major axis; magnitudes: total.
LEDA_41136: dict[str, Any] = {
    "center": (0.41, -0.23),
    "q": 0.68,
    "PA": 38.0,
    "n": 1.3,
    "Re": 11.0,
    "mag": {"r": 14.2, "W1": 14.6, "NUV": 17.4},
}
GALAXIES: tuple[dict[str, Any], ...] = (
    {"center": (0.35, 0.52), "q": 0.72, "PA": 24.0, "n": 1.6, "Re": 1.35,
     "mag": {"r": 16.3, "W1": 16.1, "NUV": 20.4}},
    {"center": (-4.90, 3.40), "q": 0.45, "PA": 118.0, "n": 1.0, "Re": 1.10,
     "mag": {"r": 17.4, "W1": 17.3, "NUV": 20.9}},
    {"center": (5.20, 3.95), "q": 0.83, "PA": 71.0, "n": 1.2, "Re": 0.80,
     "mag": {"r": 17.8, "W1": 17.9, "NUV": 21.6}},
    {"center": (4.30, -4.90), "q": 0.55, "PA": 160.0, "n": 1.4, "Re": 0.95,
     "mag": {"r": 17.1, "W1": 16.8, "NUV": 22.6}},
    {"center": (-4.25, -4.60), "q": 0.62, "PA": 49.0, "n": 0.8, "Re": 1.20,
     "mag": {"r": 17.9, "W1": 17.2, "NUV": 21.8}},
)  # fmt: skip


def query(position: tuple[float, float], size: int, band: Band) -> str:
    """Name of a file: what the tutorial asks the viewer for."""
    ra, dec = position
    return (
        f"ra={ra}&dec={dec}&size={size}&layer={band.layer}&pixscale={band.pixelscale}"
        f"&bands={band.bands}"
    )


def header(position: tuple[float, float], size: int, band: Band) -> fits.Header:
    """Header of a cutout: North up, East left, gnomonic about its middle."""
    cards = fits.Header()
    cards["SURVEY"], cards["BANDS"] = band.layer, band.bands
    cards["CTYPE1"], cards["CTYPE2"] = "RA---TAN", "DEC--TAN"
    cards["CRVAL1"], cards["CRVAL2"] = position
    cards["CRPIX1"] = cards["CRPIX2"] = size / 2 + 0.5
    step = band.pixelscale / 3600.0
    cards["CD1_1"], cards["CD1_2"], cards["CD2_1"], cards["CD2_2"] = -step, 0.0, 0.0, step
    return cards


def flux(galaxy: dict[str, Any], band: Band) -> float:
    """Counts of a galaxy in a band."""
    return float(10.0 ** (-0.4 * (galaxy["mag"][band.name] - band.zeropoint)))


def effective_brightness(galaxy: dict[str, Any], band: Band) -> float:
    """Surface brightness at Re, counts per arcsec^2, by GalSim."""
    # Re counts along the major axis; the ellipse's area is that of a circle of Re sqrt(q).
    profile = galsim.Sersic(galaxy["n"], half_light_radius=1.0, flux=flux(galaxy, band))
    return float(profile.xValue(1.0, 0.0)) / (galaxy["Re"] ** 2 * galaxy["q"])


def noiseless(galaxies: tuple[dict[str, Any], ...], size: int, band: Band) -> np.ndarray:
    """What a perfect camera counts, ``[y, x]``."""
    image = galsim.ImageD(size, size, scale=band.pixelscale)
    psf = galsim.Gaussian(sigma=band.fwhm / FWHM_PER_SIGMA)
    exact = galsim.GSParams(
        folding_threshold=1e-4, stepk_minimum_hlr=20, maxk_threshold=1e-5, kvalue_accuracy=1e-7
    )
    total = np.zeros((size, size))
    for galaxy in galaxies:
        profile = galsim.Sersic(
            galaxy["n"],
            half_light_radius=galaxy["Re"] * np.sqrt(galaxy["q"]),
            flux=flux(galaxy, band),
            gsparams=exact,
        )
        # East is left: a position angle counts from up towards left, GalSim's from right to up.
        angle = galaxy["PA"] + 90.0
        profile = profile.shear(q=galaxy["q"], beta=angle * galsim.degrees)
        east, north = galaxy["center"]
        seen = galsim.Convolve(profile.shift(-east, north), psf, gsparams=exact)
        seen.drawImage(image=image, method="auto")
        total += image.array
    return total


def make_tutorial_data(folder: Path | str, seed: int = 1) -> dict[str, Any]:
    """Write the tutorial's six FITS files.

    Parameters
    ----------
    folder : path
        Where to; made if need be.
    seed : int, optional
        Of the noise.

    Returns
    -------
    dict
        ``"single"``: the truth of LEDA 41136; ``"group"``: that of each of the five galaxies.
        Each a dict of center (arcsec East and North), q, PA (degrees East of North), n, Re
        (arcsec), and flux and Ie by band.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    scenes = (
        (SINGLE, SINGLE_SIZES, (LEDA_41136,)),
        (GROUP, GROUP_SIZES, GALAXIES),
    )
    for position, sizes, galaxies in scenes:
        for band in BANDS:
            size = sizes[band.name]
            data = noiseless(galaxies, size, band) + rng.normal(0.0, band.sigma, (size, size))
            path = folder / query(position, size, band)
            fits.writeto(
                path, data.astype(np.float32), header(position, size, band), overwrite=True
            )
    return {"single": truth(LEDA_41136), "group": [truth(galaxy) for galaxy in GALAXIES]}


def truth(galaxy: dict[str, Any]) -> dict[str, Any]:
    """A galaxy's parameters, fluxes and surface brightnesses by band."""
    found = {key: galaxy[key] for key in ("center", "q", "PA", "n", "Re")}
    found["flux"] = {band.name: flux(galaxy, band) for band in BANDS}
    found["Ie"] = {band.name: effective_brightness(galaxy, band) for band in BANDS}
    return found


def main() -> None:
    """Write the files into a folder and say what is in them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("tutorial_data"), help="folder to write")
    folder = parser.parse_args().out
    made = make_tutorial_data(folder)
    for path in sorted(folder.iterdir()):
        print(path.name)
    print("LEDA 41136:", made["single"])
    for k, galaxy in enumerate(made["group"]):
        print(f"galaxy {k}:", galaxy)


if __name__ == "__main__":
    main()
