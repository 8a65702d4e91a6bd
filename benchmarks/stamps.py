# SPDX-License-Identifier: BSD-3-Clause
"""1,000 different galaxies on stamps of 101 x 101 pixels, drawn by GalSim, each with its own start.

Sersic index 0.6-6, half-light radius 1.5-9 pixels, axis ratio 0.25-0.95, any angle, sub-pixel
centres, signal-to-noise ratio 30-300; starts are off by 20-50 % in every parameter (in the angle by
20-50 % of 90 degrees, in the position by as much of 2 pixels). One pixel is one arcsecond, North is
up and East left. The stamps of 64 x 64 pixels are cut out of these.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .cases import brightness_at_re, demo_problem, gaussian_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "FWHM",
    "GALSIM_MAX_N",
    "NAMES",
    "SIGMA",
    "Stamps",
    "galsim_offsets",
    "stored",
    "write_case",
]

N, SEED, VERSION = 1000, 20261123, 1
# Pixels, Gaussian, without the pixel's response: wide enough for codes that convolve pixels.
FWHM = 4.0
SIGMA = 1.0
GALSIM_MAX_N = 6.2  # it draws no larger index; a fit may want one
SIZE, PSF_SIZE = 101, 31
SMALL, SMALL_PSF = 64, 21
NAMES = ("x", "y", "q", "PA", "Re", "n", "Ie")
MARGIN = {"q": (0.12, 0.98), "n": (0.45, 7.5)}  # a start stays inside


class Stamps:
    """Data [n, size, size], PSF [p, p], truth and start [n, 7] in the order of `NAMES`."""

    def __init__(self, data: NDArray, psf: NDArray, truth: NDArray, start: NDArray) -> None:
        self.data, self.psf, self.truth, self.start = data, psf, truth, start

    @property
    def size(self) -> int:
        """Pixels a side."""
        return int(self.data.shape[-1])

    def small(self) -> Stamps:
        """The middle 64 x 64 pixels, whose centre is half a pixel off that of the whole."""
        cut = (self.size - SMALL) // 2
        shift = 0.5 * (self.size - 1) - (cut + 0.5 * (SMALL - 1))
        truth, start = self.truth.copy(), self.start.copy()
        for vector in (truth, start):
            vector[:, 0] -= shift
            vector[:, 1] += shift
        data = np.ascontiguousarray(self.data[:, cut : cut + SMALL, cut : cut + SMALL])
        return Stamps(data, gaussian_array(FWHM / np.sqrt(8 * np.log(2)), SMALL_PSF), truth, start)


def draws(rng: np.random.Generator, n: int) -> tuple[NDArray, NDArray]:
    """Truth and starts, [n, 7] each."""
    index = rng.uniform(0.6, 6.0, n)
    scale = np.exp(rng.uniform(np.log(1.5), np.log(9.0), n))
    q, pa = rng.uniform(0.25, 0.95, n), rng.uniform(0.0, 180.0, n)
    x, y = rng.uniform(-1.5, 1.5, (2, n))
    snr = np.exp(rng.uniform(np.log(30.0), np.log(300.0), n))
    # Within the half-light ellipse, widened by the PSF.
    area = np.pi * (scale**2 * q + (FWHM / 2) ** 2)
    flux = 2.0 * snr * SIGMA * np.sqrt(area)
    one = np.ones(1)
    unit = [brightness_at_re(one, b, a, c)[0] for a, b, c in zip(scale, q, index, strict=True)]
    truth = np.column_stack([x, y, q, pa, scale, index, flux * np.array(unit)])

    off = rng.uniform(0.2, 0.5, (n, 7)) * rng.choice([-1.0, 1.0], (n, 7))
    start = truth * (1.0 + off)
    start[:, :2] = truth[:, :2] + 2.0 * off[:, :2]
    start[:, 3] = (truth[:, 3] + 90.0 * off[:, 3]) % 180.0
    for name, (low, high) in MARGIN.items():
        k = NAMES.index(name)
        wrong = (start[:, k] < low) | (start[:, k] > high)
        start[wrong, k] = truth[wrong, k] * (1.0 - off[wrong, k])
        start[:, k] = np.clip(start[:, k], low, high)
    return truth, start


def galsim_image(v: NDArray, size: int, params: Any = None) -> NDArray:
    """One galaxy under the PSF and the pixel."""
    import galsim

    x, y, q, pa, scale, n, ie = v.tolist()
    flux = ie / brightness_at_re(np.ones(1), q, scale, n)[0]
    galaxy = galsim.Sersic(
        n=n, half_light_radius=scale * np.sqrt(q), flux=flux, gsparams=params
    ).shear(q=q, beta=(90.0 + pa) * galsim.degrees)
    psf = galsim.Gaussian(fwhm=FWHM, gsparams=params)
    drawn = galsim.Convolve([galaxy, psf], gsparams=params).drawImage(
        nx=size, ny=size, scale=1.0, offset=(-x, y), dtype=float
    )
    return np.array(drawn.array)


def stored(n: int = N) -> Stamps:
    """The first `n` of the set, from the temporary folder where an earlier call has left them."""
    folder = Path(os.environ.get("JOINTLIGHT_TEST_CACHE", tempfile.gettempdir()))
    path = folder / f"jointlight_stamps_v{VERSION}_{SEED}_{N}.npz"
    rng = np.random.default_rng(SEED)
    truth, start = draws(rng, N)
    if path.exists():
        with np.load(path) as file:
            data = file["data"]
    else:
        noise = rng.normal(0.0, SIGMA, (N, SIZE, SIZE))
        order = np.argsort(truth[:, 5])  # GalSim keeps its latest tables
        data = np.empty((N, SIZE, SIZE), np.float32)
        for i in order:
            data[i] = galsim_image(truth[i], SIZE) + noise[i]
        partial = path.with_name(f"{path.stem}.{os.getpid()}.npz")
        np.savez(partial, data=data)
        partial.replace(path)
    psf = gaussian_array(FWHM / np.sqrt(8 * np.log(2)), PSF_SIZE)
    return Stamps(data[:n].astype(float), psf, truth[:n], start[:n])


def write_case(path: Path, stamps: Stamps, chosen: NDArray) -> None:
    """What the peers read: all stamps, and which of them the slow ones fit."""
    band = demo_problem.Band("s", stamps.size, 1.0, SIGMA, FWHM, 0.0)
    meta = {
        "pixelscale": 1.0,
        "sigma": SIGMA,
        "fwhm": FWHM,
        "zeropoint": 0.0,
        "header": band.wcs().to_header_string(),
    }
    facts = {"case": "stamps", "bands": ["s"], "s_meta": meta, "chosen": chosen.tolist()}
    np.savez(
        path,
        facts=json.dumps(facts),
        stamps=stamps.data,
        s_data=stamps.data[0],
        s_psf=stamps.psf,
        truth=stamps.truth,
        start=stamps.start,
    )


def galsim_offsets(jl: Any, stamps: Stamps, index: int, v: NDArray) -> tuple[NDArray, NDArray]:
    """How far the optimum of GalSim's model is from a fit's answer, and the errors.

    One Gauss-Newton step with GalSim's residual at `v`; derivatives and errors are jointlight's.
    """
    from reference import galsim_truth

    image = jl.TargetImage(
        stamps.data[index],
        pixelscale=1.0,
        variance=SIGMA**2,
        psf=jl.PSF(stamps.psf, pixelscale=1.0, kind="optical"),
    )
    values = {"q": v[2], "PA": v[3], "Re": v[4], "n": v[5], "Ie": v[6]}
    model = jl.Model("sersic galaxy", target=image, center=(v[0], v[1]), **values)
    scene = model.compile(n_threads=1)
    jacobian = scene.core.jacobian(np.asarray(scene.v0), 0).reshape(len(NAMES), -1)
    normal = jacobian @ jacobian.T / SIGMA**2
    drawn = galsim_image(v, stamps.size, galsim_truth.gsparams(1e-4))
    pull = jacobian @ (stamps.data[index] - drawn).ravel() / SIGMA**2
    covariance = np.linalg.inv(normal)
    return covariance @ pull, np.sqrt(np.diag(covariance))
