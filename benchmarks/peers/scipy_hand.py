# SPDX-License-Identifier: BSD-3-Clause
"""The cases by hand, numpy and scipy only: ``python scipy_hand.py CASE.npz``, one thread, float64.

What a careful astronomer writes in an afternoon: the brightness at pixel centres, oversampled
around the galaxy, convolved with the bare PSF by FFT; derivatives are forward differences. It
relies on what the cases hold: North up, East left, one tangent plane, images about its origin.
"""

from __future__ import annotations

import os
import sys

import numpy as np
import scipy
from protocol import load, saved, saved_fits, serve
from scipy import fft
from scipy.optimize import least_squares
from scipy.special import gammaincinv

# Convolved pixels a side in each pixel of the image; scipy_fine.py sets it, for answers that agree.
FINE = int(os.environ.get("SCIPY_HAND_FINE", "1"))
OVERSAMPLE, BOX = 5, 10  # sub-pixels a side, for pixels up to BOX from the first guess
STEP = 1e-6  # of a parameter (or of 1, where that is larger), for the forward differences

facts, arrays = load(sys.argv[1])
bands = facts["bands"]


class Image:
    """One exposure: its pixels in arcseconds from the plane's origin and its PSF's transform."""

    def __init__(self, band: str, guess: np.ndarray) -> None:
        meta = facts[f"{band}_meta"]
        self.data, psf = arrays[f"{band}_data"], arrays[f"{band}_psf"]
        self.scale, self.sigma = meta["pixelscale"] / FINE, meta["sigma"]
        if FINE > 1:  # a Gaussian, whose width the case holds
            at = np.arange(-(FINE * psf.shape[0] // 2), FINE * psf.shape[0] // 2 + 1)
            line = np.exp(-4.0 * np.log(2.0) * (at * self.scale / meta["fwhm"]) ** 2)
            psf = np.outer(line, line) / line.sum() ** 2
        ny, nx = self.shape = tuple(FINE * n for n in self.data.shape)
        self.x = (np.arange(nx) - (nx - 1) / 2) * -self.scale
        self.y = ((np.arange(ny) - (ny - 1) / 2) * self.scale)[:, None]
        i, j = np.argmin(np.abs(self.y[:, 0] - guess[1])), np.argmin(np.abs(self.x - guess[0]))
        self.box = np.s_[max(i - BOX, 0) : i + BOX + 1, max(j - BOX, 0) : j + BOX + 1]
        sub = ((np.arange(OVERSAMPLE) + 0.5) / OVERSAMPLE - 0.5) * self.scale
        self.x_fine = (self.x[self.box[1], None] - sub).ravel()
        self.y_fine = (self.y[self.box[0]] + sub).reshape(-1, 1)
        self.half = psf.shape[0] // 2, psf.shape[1] // 2
        # Zeros beyond the image for as far as the PSF reaches, so that nothing wraps around.
        self.padded = [
            fft.next_fast_len(n + h, real=True) for n, h in zip(self.shape, self.half, strict=True)
        ]
        kernel = np.zeros(self.padded)
        kernel[: psf.shape[0], : psf.shape[1]] = psf
        kernel = np.roll(kernel, (-self.half[0], -self.half[1]), (0, 1))
        self.transfer = fft.rfft2(kernel)

    def render(self, v: np.ndarray, ie: float) -> np.ndarray:
        """The convolved image at x, y, q, PA, Re, n and the brightness at Re."""
        sharp = sersic(self.x, self.y, v)
        fine = sersic(self.x_fine, self.y_fine, v)
        rows, columns = (n // OVERSAMPLE for n in fine.shape)
        cells = fine.reshape(rows, OVERSAMPLE, columns, OVERSAMPLE)
        sharp[self.box] = cells.mean(axis=(1, 3))
        ny, nx = sharp.shape
        blurred = fft.irfft2(fft.rfft2(sharp, self.padded) * self.transfer, self.padded)
        image = blurred[:ny, :nx]
        if FINE > 1:
            image = image.reshape(ny // FINE, FINE, nx // FINE, FINE).sum(axis=(1, 3))
        return ie * self.scale**2 * image


def sersic(x: np.ndarray, y: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Brightness in units of that at Re, a row of `x` by a column of `y`."""
    x0, y0, q, pa, scale, n = v
    s, c = np.sin(np.radians(pa)), np.cos(np.radians(pa))
    major = (x - x0) * s + (y - y0) * c
    minor = ((x - x0) * c - (y - y0) * s) / q
    r2 = (major * major + minor * minor) / scale**2
    b = gammaincinv(2 * n, 0.5)
    return np.exp(-b * (r2 ** (0.5 / n) - 1))


def start_vector(vector: str, index: int | None = None) -> np.ndarray:
    """x, y, q, PA, Re, n and the brightness at Re in every band (of stamp `index`)."""
    if index is not None:
        return arrays[vector][index]
    return np.concatenate([arrays[vector][:6], arrays[f"{vector}_ie"]])


def stamps_case() -> None:
    """Stamps one by one; one set of grids and one PSF transform serve all of them."""
    image = Image("s", start_vector("start", 0))
    last: dict = {}

    def fit(index: int) -> np.ndarray:
        image.data = arrays["stamps"][index]
        return least_squares(
            lambda v: ((image.render(v[:6], v[6]) - image.data) / image.sigma).ravel(),
            arrays["start"][index],
            method="lm",
        ).x

    def fits() -> None:
        last["values"] = [fit(i) for i in facts["chosen"]]

    def result() -> dict:
        return saved_fits(last["values"])

    serve(versions, {"fits": fits}, result, warm=lambda: fit(0))


def image_case() -> None:
    """One image, its 7 derivatives, and those with the normal equations, at the truth."""
    v = start_vector("truth")
    image = Image(bands[0], v)
    steps = STEP * np.maximum(np.abs(v), 1.0)

    def jacobian() -> tuple[np.ndarray, np.ndarray]:
        value = image.render(v[:6], v[6])
        rows = np.empty((len(v), value.size))
        for row, k in zip(rows, range(len(v)), strict=True):
            moved = v.copy()
            moved[k] += steps[k]
            np.subtract(image.render(moved[:6], moved[6]), value, out=row.reshape(value.shape))
        rows /= steps[:, None]
        return value, rows

    def linearize() -> tuple[np.ndarray, np.ndarray]:
        value, rows = jacobian()
        weighted = rows / image.sigma**2
        return weighted @ rows.T, weighted @ (image.data - value).ravel()

    def result() -> dict:
        return saved(image.render(v[:6], v[6]))

    quantities = {
        "image": lambda: image.render(v[:6], v[6]),
        "jacobian": jacobian,
        "linearize": linearize,
    }
    serve(versions, quantities, result)


def fit_case() -> None:
    """The whole fit from the start values; setting up the grids and PSFs is not timed."""
    start = start_vector("start")
    images = [Image(band, start) for band in bands]
    last: dict = {}

    def residuals(v: np.ndarray) -> np.ndarray:
        parts = [
            ((image.render(v[:6], ie) - image.data) / image.sigma).ravel()
            for image, ie in zip(images, v[6:], strict=True)
        ]
        return np.concatenate(parts)

    def fit() -> None:
        last["fit"] = least_squares(residuals, start, method="lm")

    def result() -> dict:
        v = last["fit"].x
        return {
            "structure": [*v[:3].tolist(), float(v[3] % 180.0), *v[4:6].tolist()],
            "ie": v[6:].tolist(),
            "message": str(last["fit"].message),
            "iterations": int(last["fit"].nfev),
        }

    serve(versions, {"fit": fit}, result)


versions = {"scipy": scipy.__version__, "numpy": np.__version__}
CASES = {"image500": image_case, "demo_fit": fit_case, "stamps": stamps_case}
CASES[facts["case"]]()
