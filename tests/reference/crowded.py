# SPDX-License-Identifier: BSD-3-Clause
"""Crowded fields made by GalSim: Sersic galaxies at one density, blends included, in any bands.

    python -m reference.crowded 1000 field.npz [--bands g r z]      (from the folder tests)

A field of n galaxies has sides of 1000 sqrt(n / 1000) fine pixels of 0.2", so that the crowding is
the same at any n: one galaxy in 32 x 32 pixels, a third of them within 3" of another.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.wcs import WCS
from scipy.optimize import brentq
from scipy.spatial import cKDTree

from . import galsim_truth
from .profiles import sersic_b

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

RA, DEC = 53.1, -27.8  # degrees; the tangent point of all bands
FINE = 0.2  # arcsec per pixel of the detection band
NEAREST = 1.2  # arcsec between two centres, at least: 1.7 FWHM, so that a map can tell them apart
TRUTH_NAMES = ("x", "y", "q", "PA", "Re", "n")  # arcsec East and North, degrees East of North
_WING = 0.01  # noise sigmas; a stamp ends where the galaxy is fainter than this in every pixel
_VERSION = 3  # of the recipe: stored fields of another one are made again


@dataclass(frozen=True)
class Band:
    """One exposure: scale (arcsec), noise per pixel, PSF, colour of the galaxies."""

    name: str
    pixelscale: float
    fwhm: float  # arcsec, Moffat
    beta: float
    sigma: float
    colour: float = 0.0  # log10 of the mean flux ratio to the first band
    rotation: float = 0.0  # degrees
    zeropoint: float = 27.0


BANDS = {
    "r": Band("r", FINE, 0.70, 3.5, 1.0),
    "z": Band("z", 0.27, 0.85, 3.0, 2.5, 0.2, 17.0),
    "u": Band("u", 0.40, 1.10, 3.5, 1.4, -0.35, -40.0),
}


@dataclass
class Field:
    """Images with noise, and what is in them."""

    bands: tuple[Band, ...]
    headers: tuple[str, ...]
    data: dict[str, NDArray]
    truth: NDArray  # [n, 6] as TRUTH_NAMES
    flux: NDArray  # [n, bands]
    snr: NDArray  # [n, bands]: of the flux if all else were known and it stood alone
    side: float  # arcsec
    facts: dict[str, Any] = field(default_factory=dict)

    def wcs(self, band: int) -> WCS:
        """Astropy's WCS of a band."""
        from astropy.io.fits import Header

        return WCS(Header.fromstring(self.headers[band]))

    def targets(self, jl: Any) -> list[Any]:
        """As jointlight's images, with the formula of their PSF."""
        return [
            jl.TargetImage(
                self.data[b.name],
                wcs=self.wcs(k),
                variance=b.sigma**2,
                zeropoint=b.zeropoint,
                psf=jl.moffat_psf(fwhm=b.fwhm, beta=b.beta, pixelscale=b.pixelscale),
                name=b.name,
                reference=(RA, DEC),
            )
            for k, b in enumerate(self.bands)
        ]


def sample(n: int, side: float, rng: np.random.Generator) -> NDArray:
    """Structure and flux of the first band of n galaxies, [n, 7]."""
    positions = np.empty((0, 2))
    while len(positions) < n:
        new = rng.uniform(-0.5, 0.5, (n, 2)) * (side - 6.0)
        for one in new:
            if len(positions) == n:
                break
            if len(positions) == 0 or cKDTree(positions).query(one)[0] > NEAREST:
                positions = np.vstack([positions, one])
    flux = 150.0 * rng.uniform(size=n) ** (-1 / 1.1)  # number counts rise to faint fluxes
    flux = np.minimum(flux, 2e5)
    size = 0.55 * (flux / 1000.0) ** 0.2 * 10 ** rng.normal(0.0, 0.15, n)
    shape = np.clip(10 ** rng.normal(0.18, 0.2, n), 0.6, 5.0)
    q = rng.uniform(0.25, 0.98, n)
    angle = rng.uniform(0.0, 180.0, n)
    return np.column_stack([positions, q, angle, np.clip(size, 0.2, 3.0), shape, flux])


def band_wcs(band: Band, side: float) -> tuple[WCS, int]:
    """A tangent-plane WCS that covers the field, and its number of pixels a side."""
    turn = np.radians(band.rotation)
    reach = side * (abs(np.cos(turn)) + abs(np.sin(turn)))
    size = int(np.ceil(reach / band.pixelscale))
    w = WCS(naxis=2)
    w.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    w.wcs.crval = [RA, DEC]
    c, s = np.cos(turn), np.sin(turn)
    w.wcs.cd = band.pixelscale / 3600 * np.array([[c, -s], [s, c]]) @ np.diag([-1, 1])
    w.wcs.crpix = [(size + 1) / 2, (size + 1) / 2]
    return w, size


def _reach(galaxy: NDArray, flux: float, band: Band) -> float:
    """Arcsec from the centre at which a galaxy is fainter than `_WING` sigma a pixel."""
    _, _, q, _, scale, n = galaxy
    b = sersic_b(n)
    from .profiles import PROFILES

    peak = flux * band.pixelscale**2 / (q * scale**2 * PROFILES["sersic"].flux((n,)))
    level = _WING * band.sigma
    if peak * np.exp(-b * (1e-3 ** (1 / n) - 1)) <= level:
        return 0.0

    def excess(log_r: float) -> float:
        return float(np.log(peak / level) - b * (np.exp(log_r / n) - 1))

    return float(scale * np.exp(brentq(excess, np.log(1e-3), np.log(1e4))))


def draw(truth: NDArray, fluxes: NDArray, band: Band, side: float) -> tuple[NDArray, NDArray, str]:
    """Noise-free image of a band, each galaxy's S/N, and the header."""
    gs = galsim_truth.galsim()
    params = gs.GSParams(
        folding_threshold=5e-4,
        kvalue_accuracy=1e-6,
        xvalue_accuracy=1e-6,
        maxk_threshold=1e-4,
        maximum_fft_size=16384,
    )
    w, size = band_wcs(band, side)
    image = gs.ImageD(size, size, xmin=0, ymin=0)
    local = gs.JacobianWCS(*(w.wcs.cd @ np.eye(2) * 3600).ravel())
    psf = gs.Moffat(fwhm=band.fwhm, beta=band.beta, gsparams=params)
    snr = np.zeros(len(truth))
    # All bands share the tangent point, so plane and pixels differ by a linear map alone.
    inverse = np.linalg.inv(w.wcs.cd * 3600)
    middle = w.wcs.crpix - 1
    for k, (galaxy, flux) in enumerate(zip(truth, fluxes, strict=True)):
        x, y, q, angle, scale, n = galaxy
        px, py = inverse @ (x, y) + middle
        obj = gs.Sersic(
            n=float(n), half_light_radius=scale * np.sqrt(q), flux=float(flux), gsparams=params
        ).shear(q=float(q), beta=(90.0 - angle) * gs.degrees)
        obj = gs.Convolve([obj, psf], gsparams=params)
        half = int(np.ceil((_reach(galaxy, flux, band) + 4 * band.fwhm) / band.pixelscale))
        # Moffat wings of bright galaxies.
        half = max(half, int(2.5 * band.fwhm / band.pixelscale * (flux / band.sigma / 100) ** 0.15))
        ix, iy = round(px), round(py)
        bounds = gs.BoundsI(ix - half, ix + half, iy - half, iy + half)
        stamp = gs.ImageD(bounds)
        obj.drawImage(stamp, wcs=local, center=gs.PositionD(px, py), dtype=float)
        snr[k] = np.sqrt(np.sum(stamp.array**2)) / band.sigma
        common = bounds & image.bounds
        if common.isDefined():
            image[common] += stamp[common]
    return np.array(image.array), snr, w.to_header_string()


def make(n: int, bands: Sequence[str] = ("r",), seed: int = 1) -> Field:
    """A field of n galaxies in the bands named, with noise."""
    rng = np.random.default_rng(seed)
    side = FINE * 1000 * np.sqrt(n / 1000)
    drawn = sample(n, side, rng)
    truth, first = drawn[:, :6], drawn[:, 6]
    chosen = tuple(BANDS[b] for b in bands)
    data, headers, fluxes, ratios = {}, [], [], []
    for k, band in enumerate(chosen):
        scatter = 0.0 if k == 0 else 0.15
        flux = first * 10 ** (band.colour + rng.normal(0.0, 1.0, n) * scatter)
        clean, snr, header = draw(truth, flux, band, side)
        data[band.name] = clean + rng.normal(0.0, band.sigma, clean.shape)
        headers.append(header)
        fluxes.append(flux)
        ratios.append(snr)
    facts = {"n": n, "seed": seed, "version": _VERSION, "bands": list(bands)}
    return Field(
        chosen, tuple(headers), data, truth, np.array(fluxes).T, np.array(ratios).T, side, facts
    )


def stored(n: int, bands: Sequence[str] = ("r",), seed: int = 1) -> Field:
    """The same, from a file in the temporary folder where an earlier call has left it."""
    key = {"n": n, "seed": seed, "version": _VERSION, "bands": list(bands)}
    folder = Path(os.environ.get("JOINTLIGHT_TEST_CACHE", tempfile.gettempdir()))
    path = folder / f"jointlight_crowded_v{_VERSION}_{n}_{seed}_{''.join(bands)}.npz"
    if path.exists():
        found = load(path)
        recipes = [asdict(b) for b in found.bands] == [asdict(BANDS[b]) for b in bands]
        if found.facts == key and recipes:
            return found
    made = make(n, bands, seed)
    save(made, path)
    return made


def save(made: Field, path: Path) -> None:
    """Write a field as one ``.npz``."""
    facts = made.facts | {
        "headers": made.headers,
        "band_facts": [asdict(b) for b in made.bands],
        "side": made.side,
    }
    partial = path.with_name(f"{path.stem}.{os.getpid()}.npz")
    np.savez(
        partial, facts=json.dumps(facts), truth=made.truth, flux=made.flux, snr=made.snr,
        **{f"data_{k}": v for k, v in made.data.items()},
    )  # fmt: skip
    partial.replace(path)


def load(path: Path) -> Field:
    """Read a field written by `save`."""
    with np.load(path) as f:
        facts = json.loads(str(f["facts"]))
        bands = tuple(Band(**b) for b in facts.pop("band_facts"))
        headers, side = tuple(facts.pop("headers")), facts.pop("side")
        data = {b.name: f[f"data_{b.name}"] for b in bands}
        return Field(bands, headers, data, f["truth"], f["flux"], f["snr"], side, facts)


def segmentation(made: Field) -> NDArray:
    """Deblended map of the first band by SExtractor's method, as an integer array."""
    import pytest

    sep = pytest.importorskip("sep")
    band = made.bands[0]
    image = np.ascontiguousarray(made.data[band.name], float)
    r = np.arange(-4, 5) * band.pixelscale / (0.5 * band.fwhm / np.sqrt(8 * np.log(2)))
    kernel = np.exp(-0.5 * (r[:, None] ** 2 + r**2))
    sep.set_extract_pixstack(2_000_000)
    sep.set_sub_object_limit(4096)
    _, found = sep.extract(
        image, 2.0, err=band.sigma, minarea=4, filter_kernel=kernel, filter_type="matched",
        deblend_nthresh=64, deblend_cont=5e-5, clean=False, segmentation_map=True,
    )  # fmt: skip
    return np.asarray(found)


def match(x: NDArray, y: NDArray, truth: NDArray, radius: float = 0.6) -> NDArray:
    """Index of the fitted source that is each true one's, or -1; one to one, nearest first."""
    tree = cKDTree(np.column_stack([x, y]))
    distance, index = tree.query(truth[:, :2], k=3, distance_upper_bound=radius)
    pairs = [
        (d, t, i)
        for t in range(len(truth))
        for d, i in zip(distance[t], index[t], strict=True)
        if np.isfinite(d)
    ]
    out = np.full(len(truth), -1)
    used: set[int] = set()
    for _, t, i in sorted(pairs):
        if out[t] < 0 and i not in used:
            out[t] = i
            used.add(int(i))
    return out


@dataclass(frozen=True)
class Verdict:
    """How the fitted sources compare with the true ones, arrays over the true ones."""

    found: NDArray  # index of the fitted source, or -1
    bright: NDArray  # S/N in the first band above 20
    unseen: NDArray  # whether a source that the map lacks is within 3"
    flux_pull: NDArray  # in the first band; NaN where not found
    size_pull: NDArray

    def shares(self) -> dict[str, float]:
        """Fractions of bright sources within 5 sigma, of those the map has.

        Where a map has one label for two galaxies no fit of one can be right: shares are given
        with and without the neighbours of what it lacks.
        """
        in_map = self.bright & (self.found >= 0)
        clear = in_map & ~self.unseen
        out = {
            "bright": int(self.bright.sum()),
            "bright_in_map": int(in_map.sum()),
            "bright_in_map_no_unseen_neighbour": int(clear.sum()),
        }
        for name, pull in (("flux", self.flux_pull), ("Re", self.size_pull)):
            good = np.abs(pull) < 5  # False where an error is missing
            out[f"{name}_in_map"] = float(good[in_map].mean())
            out[f"{name}_no_unseen_neighbour"] = float(good[clear].mean())
            out[f"{name}_missing_error"] = int((~np.isfinite(pull) & in_map).sum())
        return out


def judge(made: Field, sources: Sequence[Any]) -> Verdict:
    """Set fitted joint models (of jointlight) against the truth."""

    def column(name: str, attribute: str) -> NDArray:
        values = [getattr(s[name], attribute) for s in sources]
        if name == "flux":
            values = [next(iter(v.values())) for v in values]
        return np.array([np.nan if v is None else v for v in values], float)

    centers = np.array([np.asarray(s["center"].value) for s in sources], float)
    found = match(centers[:, 0], centers[:, 1], made.truth)
    pulls = []
    for name, truth in (("flux", made.flux[:, 0]), ("Re", made.truth[:, 4])):
        pull = (column(name, "value")[found] - truth) / column(name, "uncertainty")[found]
        pulls.append(np.where(found >= 0, pull, np.nan))
    lacking = made.truth[found < 0, :2]
    near = np.zeros(len(found), bool)
    if len(lacking):
        near = cKDTree(lacking).query(made.truth[:, :2])[0] < 3.0
    return Verdict(found, made.snr[:, 0] > 20, near, pulls[0], pulls[1])


def model(jl: Any, made: Field, labels: NDArray) -> Any:
    """A Sersic galaxy for each label, start values and windows from the map."""
    images = made.targets(jl)
    target = images[0] if len(images) == 1 else jl.TargetImageList(images, reference=(RA, DEC))
    return jl.joint_from_segmentation(
        "sersic galaxy",
        labels,
        target=target,
        reference=images[0],
        per_image=["flux"],
        amplitude="flux",
        name="field",
    )


def main() -> None:
    """Write a field."""
    parser = argparse.ArgumentParser(description="make a crowded field")
    parser.add_argument("n", type=int)
    parser.add_argument("out", type=Path)
    parser.add_argument("--bands", nargs="+", default=["r"], choices=list(BANDS))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    save(make(options.n, options.bands, options.seed), options.out)


if __name__ == "__main__":
    main()
