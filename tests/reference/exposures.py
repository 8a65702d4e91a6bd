# SPDX-License-Identifier: BSD-3-Clause
"""Many exposures of one blend, each with its own rotation, dither and distortion, made by GalSim.

Every galaxy is drawn through the exposure's own map at its place: exact position from astropy's
WCS, shape through the map's derivatives there. Over one galaxy the distortions bend by less than
a thousandth of a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io.fits import Header
from astropy.wcs import WCS

from . import galsim_truth

if TYPE_CHECKING:
    from numpy.typing import NDArray

RA, DEC = 210.8, 54.3  # degrees
SIZE = 48  # pixels a side
SCALE = 0.25  # arcsec
FWHM = 0.9  # arcsec
SIGMA = 4.0
# x, y (arcsec East, North), q, PA, Re (arcsec), n, flux
TRUTH = np.array(
    [
        [-0.9, 0.4, 0.6, 35.0, 0.9, 1.5, 900.0],
        [1.0, -0.3, 0.75, 120.0, 0.6, 2.5, 700.0],
        [0.2, 1.7, 0.5, 80.0, 0.7, 1.0, 400.0],
    ]
)
KINDS = ("tan", "sip", "tpv")


@dataclass
class Exposure:
    """One image and where it is on the sky."""

    data: NDArray
    header: Header

    def wcs(self) -> WCS:
        """Astropy's WCS."""
        return WCS(self.header)


def make_header(k: int, aligned: bool, rng: np.random.Generator) -> Header:
    """Header of exposure k: TAN, TPV or SIP in turn, the blend near its middle."""
    turn, dither = rng.uniform(0.0, 2 * np.pi), rng.uniform(-1.5, 1.5, 2)
    corner = rng.uniform(-1500.0, 1500.0, 2)  # where on a large detector the image was cut out
    if aligned:
        turn, dither, corner = 0.0, np.zeros(2), np.zeros(2)
    c, s = np.cos(turn), np.sin(turn)
    cd = SCALE / 3600 * np.array([[-c, -s], [-s, c]])
    kind = "tan" if aligned else KINDS[k % len(KINDS)]
    header = Header()
    header["NAXIS"], header["NAXIS1"], header["NAXIS2"] = 2, SIZE, SIZE
    suffix = {"tan": "TAN", "sip": "TAN-SIP", "tpv": "TPV"}[kind]
    header["CTYPE1"], header["CTYPE2"] = f"RA---{suffix}", f"DEC--{suffix}"
    header["CUNIT1"] = header["CUNIT2"] = "deg"
    middle = (SIZE + 1) / 2
    header["CRPIX1"], header["CRPIX2"] = middle + corner[0], middle + corner[1]
    header["CRVAL1"], header["CRVAL2"] = RA, DEC
    for i in (1, 2):
        for j in (1, 2):
            header[f"CD{i}_{j}"] = cd[i - 1, j - 1]
    # Some pixels of distortion at the detector's corners, as wide-field cameras have.
    if kind == "sip":
        header["A_ORDER"] = header["B_ORDER"] = 3
        for letter in "AB":
            for p, q in ((2, 0), (1, 1), (0, 2)):
                header[f"{letter}_{p}_{q}"] = 4e-6 * rng.normal()
            header[f"{letter}_3_0"], header[f"{letter}_1_2"] = 1e-9 * rng.normal(size=2)
    if kind == "tpv":
        degrees = SCALE / 3600
        for axis in (1, 2):
            header[f"PV{axis}_0"], header[f"PV{axis}_1"], header[f"PV{axis}_2"] = 0.0, 1.0, 0.0
            for power in (4, 5, 6):
                header[f"PV{axis}_{power}"] = 4e-6 / degrees * rng.normal()
    # Move the reference value so that the blend falls near the middle.
    for _ in range(3):
        sky = WCS(header).all_pix2world([[middle - 1 + dither[0], middle - 1 + dither[1]]], 0)[0]
        header["CRVAL1"] += RA - sky[0]
        header["CRVAL2"] += DEC - sky[1]
    return header


def plane() -> WCS:
    """The tangent plane about (RA, DEC), +x East, +y North, one pixel per arcsec from 0."""
    w = WCS(naxis=2)
    w.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    w.wcs.crval = [RA, DEC]
    w.wcs.cd = np.eye(2) / 3600
    w.wcs.crpix = [1.0, 1.0]
    return w


def place(header: Header, x: float, y: float) -> tuple[NDArray, NDArray]:
    """Pixel (from 0) of a plane point and d(plane)/d(pixel) there."""
    w, flat = WCS(header), plane()
    sky = flat.wcs_pix2world([[x, y]], 0)
    pixel = np.asarray(w.all_world2pix(sky, 0, tolerance=1e-9)[0])
    h = 0.5
    ends = pixel + h * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
    at = flat.wcs_world2pix(w.all_pix2world(ends, 0), 0)
    return pixel, np.column_stack([at[0] - at[1], at[2] - at[3]]) / (2 * h)


def draw(header: Header, truth: NDArray = TRUTH) -> NDArray:
    """Noise-free image."""
    gs = galsim_truth.galsim()
    params = gs.GSParams(folding_threshold=5e-4, kvalue_accuracy=1e-6, maximum_fft_size=8192)
    image = np.zeros((SIZE, SIZE))
    for x, y, q, pa, size, n, flux in truth:
        pixel, local = place(header, x, y)
        galaxy = gs.Sersic(
            n=n, half_light_radius=size * np.sqrt(q), flux=flux, gsparams=params
        ).shear(q=q, beta=(90.0 - pa) * gs.degrees)
        # The PSF belongs to the detector: round in pixels, whatever the map does to the sky.
        star = gs.Gaussian(fwhm=FWHM / SCALE, gsparams=params)
        star = gs.JacobianWCS(*local.ravel()).toWorld(star)
        offset = pixel - (SIZE - 1) / 2
        drawn = gs.Convolve([galaxy, star], gsparams=params).drawImage(
            nx=SIZE, ny=SIZE, wcs=gs.JacobianWCS(*local.ravel()), offset=tuple(offset), dtype=float
        )
        image += drawn.array
    return image


def make(n: int = 100, *, aligned: bool = False, seed: int = 4) -> list[Exposure]:
    """Exposures with noise."""
    rng = np.random.default_rng(seed)
    out: list[Exposure] = []
    clean = np.zeros(0)
    for k in range(n):
        header = make_header(k, aligned, rng)
        if not (aligned and out):  # aligned ones are all the same but for their noise
            clean = draw(header)
        out.append(Exposure(clean + rng.normal(0.0, SIGMA, clean.shape), header))
    return out


def psf(jl: Any, exposure: Exposure) -> Any:
    """Of one width in pixels in all exposures, whatever their pixels' size on the sky."""
    _, local = place(exposure.header, 0.0, 0.0)
    scale = np.sqrt(abs(np.linalg.det(local)))
    return jl.gaussian_psf(fwhm=FWHM / SCALE * scale, pixelscale=scale)


def build(jl: Any, taken: list[Exposure], start: NDArray) -> Any:
    """The blend in all exposures, nothing of it one an exposure, as jointlight's model."""
    images = [
        jl.TargetImage(e.data, wcs=e.wcs(), variance=SIGMA**2, psf=psf(jl, e), name=f"exposure {k}")
        for k, e in enumerate(taken)
    ]
    target = jl.TargetImageList(images, reference=(RA, DEC))
    galaxies = [
        jl.joint(
            "sersic galaxy",
            target=target,
            per_image=[],
            amplitude="flux",
            name=f"galaxy {k}",
            center=(x, y),
            q=q,
            PA=pa,
            Re=size,
            n=n,
            flux=flux,
        )
        for k, (x, y, q, pa, size, n, flux) in enumerate(start)
    ]
    return jl.Group(galaxies, target=target, name="blend")


def rough() -> NDArray:
    """Start values 10-30 % off the truth."""
    start = TRUTH.copy()
    start[:, :2] += [[0.1, -0.15], [-0.2, 0.1], [0.1, 0.1]]
    return start * [1, 1, 1.2, 1.1, 0.7, 1.3, 0.8]
