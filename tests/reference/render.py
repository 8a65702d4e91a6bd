# SPDX-License-Identifier: BSD-3-Clause
"""Pixel images of elliptical profiles, with and without a point spread function.

Everything is in one image's pixel frame: x to the right, y up the rows, 0 at the middle of the
first pixel. The major axis makes the angle `theta` (radians) with +x, towards +y. An image's value
is the flux in the pixel: brightness per unit area integrated over one pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial.legendre import leggauss
from scipy.interpolate import CubicSpline

from .profiles import PROFILES, Shape

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Ellipse:
    """An elliptical component: lengths in pixels, amplitude in flux per square pixel."""

    profile: str
    shape: Shape
    x: float
    y: float
    scale: float
    q: float
    theta: float
    amplitude: float = 1.0

    @property
    def flux(self) -> float:
        """Total flux to infinity."""
        return self.amplitude * self.scale**2 * self.q * PROFILES[self.profile].flux(self.shape)

    def with_flux(self, flux: float) -> Ellipse:
        """The same component at another total flux."""
        return Ellipse(**{**self.__dict__, "amplitude": self.amplitude * flux / self.flux})

    def brightness(self, x: NDArray, y: NDArray) -> NDArray:
        """Surface brightness at a point, per square pixel."""
        dx, dy = x - self.x, y - self.y
        c, s = np.cos(self.theta), np.sin(self.theta)
        u, v = (c * dx + s * dy) / self.scale, (-s * dx + c * dy) / (self.scale * self.q)
        r = np.sqrt(u * u + v * v)
        return self.amplitude * PROFILES[self.profile].brightness(r, self.shape)


def pixel_integrals(e: Ellipse, height: int, width: int, *, tolerance: float = 1e-12) -> NDArray:
    """Integral of the brightness over each pixel by adaptive halving of squares.

    A square is accepted when a 10 x 10 Gauss rule agrees with the same rule on its four quarters
    to `tolerance` times the component's brightness scale; otherwise the quarters take its place.
    """
    x, w = leggauss(10)
    x, w = x / 2, w / 2
    gx, gy = np.meshgrid(x, x)
    ww = np.outer(w, w)

    def rule(cx: NDArray, cy: NDArray, side: float) -> NDArray:
        out = np.empty(len(cx))
        for start in range(0, len(cx), 20000):
            part = slice(start, start + 20000)
            px = cx[part, None, None] + side * gx
            py = cy[part, None, None] + side * gy
            out[part] = side**2 * np.sum(ww * e.brightness(px, py), axis=(1, 2))
        return out

    cy, cx = (a.ravel().astype(float) for a in np.mgrid[:height, :width])
    pixel = np.arange(height * width)
    image = np.zeros(height * width)
    side = 1.0
    coarse = rule(cx, cy, side)
    floor = tolerance * np.max(np.abs(coarse))
    for _ in range(60):
        offsets = np.array([-side / 4, side / 4])
        qx = (cx[:, None, None] + offsets[None, None, :]) + np.zeros((1, 2, 1))
        qy = (cy[:, None, None] + offsets[None, :, None]) + np.zeros((1, 1, 2))
        fine = rule(qx.ravel(), qy.ravel(), side / 2).reshape(-1, 4)
        total = fine.sum(axis=1)
        accept = np.abs(total - coarse) <= floor
        np.add.at(image, pixel[accept], total[accept])
        if np.all(accept):
            return image.reshape(height, width)
        keep = ~accept
        cx, cy = qx.reshape(-1, 4)[keep].ravel(), qy.reshape(-1, 4)[keep].ravel()
        pixel, coarse = np.repeat(pixel[keep], 4), fine[keep].ravel()
        side /= 2
    np.add.at(image, pixel, coarse)
    return image.reshape(height, width)


@lru_cache(maxsize=32)
def transform_spline(profile: str, shape: Shape, rho_max: float) -> CubicSpline:
    """f(rho) tabulated finely in log rho, good to about 1e-9 of f(0)."""
    rho = np.geomspace(1e-4, rho_max, 900)
    return CubicSpline(np.log(rho), PROFILES[profile].transform(rho, shape))


def continuous_transform(e: Ellipse, kx: NDArray, ky: NDArray) -> NDArray:
    """Fourier transform of the component's brightness at the frequencies given (rad/pixel)."""
    c, s = np.cos(e.theta), np.sin(e.theta)
    u, v = c * kx + s * ky, e.q * (-s * kx + c * ky)
    rho = e.scale * np.hypot(u, v)
    # A power of two past the largest argument, so that nearby calls share one table.
    spline = transform_spline(e.profile, e.shape, float(2 ** np.ceil(np.log2(rho.max() + 1.0))))
    f = np.where(rho > 1e-4, spline(np.log(np.maximum(rho, 1e-4))), 0.0)
    f = np.where(rho > 1e-4, f, PROFILES[e.profile].flux(e.shape))
    phase = np.exp(-1j * (kx * e.x + ky * e.y))
    return e.amplitude * e.scale**2 * e.q * f * phase


def convolved(
    e: Ellipse,
    height: int,
    width: int,
    psf: NDArray,
    *,
    oversampling: int = 1,
    optical: bool = False,
    copies: int = 8,
) -> NDArray:
    """The component under a PSF array whose middle is its centre, band-limited at the array's rate.

    Periodic copies of the component are subtracted one by one in real space, `copies` boxes out,
    each as its bare brightness: only valid where the PSF is narrow against the distance to them.
    `optical` adds the pixel's own response.
    """
    m = oversampling * int(2 ** np.ceil(np.log2(2 * max(height, width, *psf.shape))))
    step = 1.0 / oversampling
    kx = 2 * np.pi * np.fft.rfftfreq(m, step)[None, :]
    ky = 2 * np.pi * np.fft.fftfreq(m, step)[:, None]
    box = np.zeros((m, m))
    box[: psf.shape[0], : psf.shape[1]] = psf / psf.sum()
    middle_x, middle_y = (psf.shape[1] - 1) / 2, (psf.shape[0] - 1) / 2
    kernel = np.fft.rfft2(box) * np.exp(1j * step * (kx * middle_x + ky * middle_y))
    if optical:
        kernel = kernel * np.sinc(kx / (2 * np.pi)) * np.sinc(ky / (2 * np.pi))
    spectrum = continuous_transform(e, kx, ky) * kernel
    # Samples of the continuous image at pixel centres: every `oversampling`-th point of the fine
    # grid, brightness per square pixel.
    fine = np.fft.irfft2(spectrum, s=(m, m)) * oversampling**2
    image = fine[: height * oversampling : oversampling, : width * oversampling : oversampling]
    y, x = np.mgrid[:height, :width].astype(float)
    period = m * step
    for a in range(-copies, copies + 1):
        for b in range(-copies, copies + 1):
            if a or b:
                image = image - e.brightness(x - a * period, y - b * period)
    return image


def oversampled(e: Ellipse, height: int, width: int, factor: int) -> NDArray:
    """Plain midpoint sampling on a grid `factor` times finer, averaged: the simplest renderer."""
    offset = (np.arange(factor) + 0.5) / factor - 0.5
    y, x = np.mgrid[:height, :width].astype(float)
    image = np.zeros((height, width))
    for dy in offset:
        for dx in offset:
            image += e.brightness(x + dx, y + dy)
    return image / factor**2


def star(psf: Ellipse, height: int, width: int) -> NDArray:
    """A point source under a round PSF profile and the pixel: the profile's pixel integrals."""
    return pixel_integrals(psf, height, width)


def effective_array(psf: Ellipse, size: int, oversampling: int = 1) -> NDArray:
    """Samples of PSF * pixel on a grid of 1/oversampling pixel, centred, by exact integration.

    `psf` gives the profile and its width; its centre is ignored.
    """
    middle = (size - 1) / 2
    fine = np.zeros((size, size))
    for b in range(oversampling):
        for a in range(oversampling):
            columns = -(-(size - a) // oversampling)
            lines = -(-(size - b) // oversampling)
            moved = replace(psf, x=(middle - a) / oversampling, y=(middle - b) / oversampling)
            fine[b::oversampling, a::oversampling] = pixel_integrals(moved, lines, columns)
    return fine / oversampling**2


def psf_profile(kind: str, fwhm: float, beta: float = 3.5) -> Ellipse:
    """A round Gaussian or Moffat of unit flux."""
    if kind == "gaussian":
        return Ellipse(kind, (), 0.0, 0.0, fwhm / np.sqrt(8 * np.log(2)), 1.0, 0.0).with_flux(1.0)
    scale = fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1))
    return Ellipse(kind, (beta,), 0.0, 0.0, scale, 1.0, 0.0).with_flux(1.0)
