# SPDX-License-Identifier: BSD-3-Clause
"""The three-image joint fit as GalSim sees it: data, exact model and its optimum.

An r image of 500 x 500 pixels of 0.262", a W1 image of 52 x 52 of 2.75" and an NUV image of 90 x 90
of 1.5" of one Sersic galaxy, with Gaussian PSFs. Free: x, y, q, PA, Re, n and one flux an image.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.wcs import WCS

from . import galsim_truth, stages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

RA, DEC = 187.3119, 12.9783  # degrees
NAMES = ("x", "y", "q", "PA", "Re", "n", "flux_r", "flux_W1", "flux_NUV")
TRUTH = np.array([1.31, -0.87, 0.62, 35.0, 12.0, 2.2, 3311.0, 38000.0, 14.2])
STEPS = np.array([2e-3, 2e-3, 1e-3, 0.1, 0.02, 4e-3, 3.0, 100.0, 0.02])


@dataclass
class Band:
    """One exposure: shape, scale (arcsec), noise, PSF and sky geometry."""

    name: str
    size: int
    pixelscale: float
    sigma: float
    fwhm: float  # arcsec
    zeropoint: float
    rotation: float = 0.0  # degrees
    parity: int = -1  # -1: East left
    offset: tuple[float, float] = (0.0, 0.0)  # CRVAL moved East, North (arcsec)
    data: NDArray = field(default_factory=lambda: np.zeros((0, 0)))

    def wcs(self) -> WCS:
        """Tangent-plane WCS with the band's own reference point."""
        w = WCS(naxis=2)
        w.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        dec = DEC + self.offset[1] / 3600
        w.wcs.crval = [RA + self.offset[0] / 3600 / np.cos(np.radians(DEC)), dec]
        c, s = np.cos(np.radians(self.rotation)), np.sin(np.radians(self.rotation))
        turn = np.array([[c, -s], [s, c]])
        w.wcs.cd = self.pixelscale / 3600 * turn @ np.diag([self.parity, 1])
        w.wcs.crpix = [0.0, 0.0]
        center = (self.size + 1) / 2
        w.wcs.crpix = center - w.wcs_world2pix([[RA, DEC]], 1)[0]
        return w

    def local_map(self, x: float, y: float) -> tuple[NDArray, NDArray]:
        """Pixel (from 0) of a plane point and d(plane)/d(pixel) there, by finite differences."""
        plane = tangent_plane()
        image = self.wcs()

        def to_pixel(px: float, py: float) -> NDArray:
            sky = plane.wcs_pix2world([[px, py]], 0)
            return np.asarray(image.wcs_world2pix(sky, 0)[0])

        h = 1.0
        columns = [
            (to_pixel(x + h, y) - to_pixel(x - h, y)) / (2 * h),
            (to_pixel(x, y + h) - to_pixel(x, y - h)) / (2 * h),
        ]
        return to_pixel(x, y), np.linalg.inv(np.array(columns).T)


def tangent_plane() -> WCS:
    """The plane as a WCS of one pixel per arcsecond, +x East, origin at (RA, DEC)."""
    w = WCS(naxis=2)
    w.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    w.wcs.crval = [RA, DEC]
    w.wcs.cd = np.eye(2) / 3600
    w.wcs.crpix = [1.0, 1.0]
    return w


def bands(*, aligned: bool = False, seed: int = 20240607) -> list[Band]:
    """Noisy data made by GalSim; `aligned`: one CRVAL, no rotation (for codes that need it)."""
    made = [
        Band("r", 500, 0.262, 0.008, 1.12, 22.5),
        Band("W1", 52, 2.75, 4.9, 6.1, 25.199, rotation=31.0, offset=(40.0, -25.0)),
        Band("NUV", 90, 1.5, 0.0007, 5.4, 20.08, parity=1, rotation=-12.0, offset=(-15.0, 60.0)),
    ]
    if aligned:
        for band in made:
            band.rotation, band.parity, band.offset = 0.0, -1, (0.0, 0.0)
    rng = np.random.default_rng(seed)
    for band, image in zip(made, model(TRUTH, made), strict=True):
        band.data = image + rng.normal(0.0, band.sigma, image.shape)
    return made


def model(v: Sequence[float] | NDArray, images: Sequence[Band]) -> list[NDArray]:
    """GalSim's images at the parameters `NAMES`."""
    gs = galsim_truth.galsim()
    params = galsim_truth.gsparams(1e-4)
    x, y, q, pa, scale, n = v[:6]
    out = []
    for band, flux in zip(images, v[6:], strict=True):
        (px, py), jacobian = band.local_map(x, y)
        wcs = gs.JacobianWCS(*jacobian.ravel())
        galaxy = gs.Sersic(
            n=n, half_light_radius=scale * np.sqrt(q), flux=flux, gsparams=params
        ).shear(q=q, beta=(90.0 - pa) * gs.degrees)
        psf = gs.Gaussian(fwhm=band.fwhm, gsparams=params)
        drawn = gs.Convolve([galaxy, psf], gsparams=params).drawImage(
            nx=band.size,
            ny=band.size,
            wcs=wcs,
            offset=(px - (band.size - 1) / 2, py - (band.size - 1) / 2),
            dtype=float,
        )
        out.append(np.array(drawn.array))
    return out


def chi2(v: NDArray, images: Sequence[Band]) -> float:
    """Chi-squared of GalSim's model."""
    return float(np.sum(_residual(v, images) ** 2))


def _residual(v: NDArray, images: Sequence[Band]) -> NDArray:
    parts = [
        ((m - b.data) / b.sigma).ravel() for m, b in zip(model(v, images), images, strict=True)
    ]
    return np.concatenate(parts)


@dataclass(frozen=True)
class Optimum:
    """Where the exact model fits best: parameters, chi-squared, covariance."""

    v: NDArray
    chi2: float
    covariance: NDArray

    @property
    def sigma(self) -> NDArray:
        """Standard errors."""
        return np.sqrt(np.diag(self.covariance))


def optimum(images: Sequence[Band], start: NDArray = TRUTH, iterations: int = 2) -> Optimum:
    """Exact-model optimum by Gauss-Newton from a start that is already within a few sigma."""
    v = np.array(start, float)
    # The Jacobian hardly moves over a few sigma: one serves all steps and the covariance.
    jacobian = stages.central_jacobian(lambda p: _residual(p, images), v, STEPS)
    normal = jacobian @ jacobian.T
    for _ in range(iterations):
        v = v - np.linalg.solve(normal, jacobian @ _residual(v, images))
    return Optimum(v, chi2(v, images), np.linalg.inv(normal))


def summary(images: Sequence[Band]) -> dict[str, Any]:
    """Facts for reports."""
    return {b.name: {"size": b.size, "peak/sigma": float(b.data.max() / b.sigma)} for b in images}
