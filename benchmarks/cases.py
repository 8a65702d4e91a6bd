# SPDX-License-Identifier: BSD-3-Clause
"""The named benchmark cases: what is computed, from which data, started where.

A case is written as one ``.npz`` so that every peer, whatever its Python, reads the same numbers.
The data come from GalSim through ``tests/reference``.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

__all__ = ["CASES", "ROOT", "Case", "brightness_at_re", "crowded", "demo_problem", "exposures"]

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from reference import crowded, demo_problem, exposures  # noqa: E402
from reference.profiles import PROFILES  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

# 20-50 % off the truth in every parameter, as a first guess by eye would be.
START_FACTORS = np.array([1.0, 1.0, 1.3, 1.0, 0.75, 0.7, 1.3, 0.8, 1.4])
START_SHIFTS = np.array([0.8, -0.6, 0.0, 18.0, 0.0, 0.0, 0.0, 0.0, 0.0])


def gaussian_array(sigma: float, size: int) -> NDArray:
    """Point samples of a round Gaussian, unit sum; `sigma` in pixels."""
    r = np.arange(size) - (size - 1) / 2
    g = np.exp(-0.5 * (r / sigma) ** 2)
    return np.outer(g, g) / g.sum() ** 2


def brightness_at_re(flux: NDArray, q: float, scale: float, n: float) -> NDArray:
    """Sersic Ie (flux per square arcsecond) of total fluxes."""
    return flux / (q * scale**2 * PROFILES["sersic"].flux((n,)))


@dataclass(frozen=True)
class Case:
    """One thing to time."""

    name: str
    what: str
    bands: tuple[str, ...]
    quantities: tuple[str, ...]  # what a repeat times, in order
    make: Callable[[Case], dict[str, Any]]

    def write(self, path: Path) -> dict[str, Any]:
        """Write the arrays and return the facts (also inside the file, as JSON)."""
        content = self.make(self)
        arrays = {k: v for k, v in content.items() if isinstance(v, np.ndarray)}
        facts = {k: v for k, v in content.items() if k not in arrays}
        facts |= {"case": self.name, "bands": list(self.bands), "quantities": self.quantities}
        np.savez(path, facts=json.dumps(facts), **arrays)
        return facts


def _demo(case: Case) -> dict[str, Any]:
    images = [b for b in demo_problem.bands(aligned=True) if b.name in case.bands]
    used = [*range(6), *(6 + ["r", "W1", "NUV"].index(b) for b in case.bands)]
    truth = demo_problem.TRUTH[used]
    start = (demo_problem.TRUTH * START_FACTORS + START_SHIFTS)[used]
    content: dict[str, Any] = {"truth": truth, "start": start}
    for vector in ("truth", "start"):
        _, _, q, _, scale, n, *flux = content[vector]
        content[f"{vector}_ie"] = brightness_at_re(np.array(flux), q, scale, n)
        content[f"{vector}_names"] = ["x", "y", "q", "PA", "Re", "n", *case.bands]
    for band in images:
        size = 51 if band.name == "r" else 21
        psf = gaussian_array(band.fwhm / np.sqrt(8 * np.log(2)) / band.pixelscale, size)
        content[f"{band.name}_data"] = band.data
        content[f"{band.name}_psf"] = psf
        content[f"{band.name}_meta"] = {
            "pixelscale": band.pixelscale,
            "sigma": band.sigma,
            "fwhm": band.fwhm,
            "zeropoint": band.zeropoint,
            "header": band.wcs().to_header_string(),
        }
    return content


CASES = {
    case.name: case
    for case in (
        Case(
            "image500",
            "one 500 x 500 PSF-convolved Sersic and its 7-parameter Jacobian, float64",
            ("r",),
            ("image", "jacobian", "linearize"),
            _demo,
        ),
        Case(
            "demo_fit",
            "three-image joint fit (500x500, 52x52, 90x90), 9 free parameters, start 20-50 % off",
            ("r", "W1", "NUV"),
            ("fit",),
            _demo,
        ),
    )
}
