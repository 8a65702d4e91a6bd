# SPDX-License-Identifier: BSD-3-Clause
"""How many evaluations fits take: 1,000 made-up problems, always the same ones.

    python -m benchmarks.tuning [--n 1000] [--out benchmarks/results/tuning.json]

Sersic galaxies of n 0.5-7, half-light radius 0.7-12 pixels, axis ratio 0.15-1, peaks of 10-1000
sigma in signal-to-noise ratio; a third are blends of two that are fitted together. Every parameter
starts 20-50 % off. Data are jointlight's own images with noise, so that the optimum is known to be
near the truth; an answer is wrong where chi-squared ends more than 0.5 above that of a fit from the
truth. Counts of linearizations and of chi-squared evaluations say how well the solver steps; wall
clock has no part in it.
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import jointlight as jl

from .cases import brightness_at_re
from .run import RESULTS
from .table import commit

if TYPE_CHECKING:
    from numpy.typing import NDArray

N, SEED = 1000, 6021
SIZE = 64
FWHM = (2.2, 5.0)  # pixels
NAMES = ("x", "y", "q", "PA", "Re", "n", "Ie")
WRONG = 0.5  # of chi-squared
MARGIN = {"q": (0.08, 0.98), "n": (0.4, 8.5)}


def galaxy(rng: np.random.Generator, fwhm: float) -> NDArray:
    """One galaxy near the middle."""
    scale = np.exp(rng.uniform(np.log(0.7), np.log(12.0)))
    q, n = rng.uniform(0.15, 1.0), np.exp(rng.uniform(np.log(0.5), np.log(7.0)))
    snr = np.exp(rng.uniform(np.log(10.0), np.log(1000.0)))
    flux = 2.0 * snr * np.sqrt(np.pi * (scale**2 * q + (fwhm / 2) ** 2))
    ie = brightness_at_re(np.array(flux), q, scale, n)
    x, y = rng.uniform(-2.0, 2.0, 2)
    return np.array([x, y, q, rng.uniform(0.0, 180.0), scale, n, float(ie)])


def off(rng: np.random.Generator, v: NDArray, fwhm: float) -> NDArray:
    """A start 20-50 % off in everything; positions by as much of the seen size."""
    by = rng.uniform(0.2, 0.5, 7) * rng.choice([-1.0, 1.0], 7)
    start = v * (1.0 + by)
    start[:2] = v[:2] + by[:2] * min(np.hypot(v[4], fwhm / 2), 4.0)
    start[3] = (v[3] + 90.0 * by[3]) % 180.0
    for name, (low, high) in MARGIN.items():
        k = NAMES.index(name)
        start[k] = np.clip(start[k], low, high)
    return start


def problem(index: int) -> tuple[list[NDArray], list[NDArray], float, NDArray]:
    """Truth and starts of the galaxies, the PSF's width, the noise."""
    rng = np.random.default_rng([SEED, index])
    fwhm = rng.uniform(*FWHM)
    truth = [galaxy(rng, fwhm)]
    if index % 3 == 0:
        other = galaxy(rng, fwhm)
        # Apart by one to three times the larger seen size: they overlap, yet are two.
        size = max(np.hypot(v[4] * np.sqrt(v[2]), fwhm / 2) for v in (truth[0], other))
        angle, apart = rng.uniform(0.0, 2 * np.pi), min(rng.uniform(1.0, 3.0) * size, 24.0)
        apart = max(apart, 1.2 * fwhm)
        for sign, v in ((-0.5, truth[0]), (0.5, other)):
            v[:2] += sign * apart * np.array([np.cos(angle), np.sin(angle)])
        truth.append(other)
    return truth, [off(rng, v, fwhm) for v in truth], fwhm, rng.normal(0.0, 1.0, (SIZE, SIZE))


def model_at(image: Any, vectors: list[NDArray]) -> Any:
    """The model with these values."""
    parts = [
        jl.Model(
            "sersic galaxy",
            target=image,
            name=f"galaxy {k}",
            center=(v[0], v[1]),
            **dict(zip(NAMES[2:], v[2:], strict=True)),
        )
        for k, v in enumerate(vectors)
    ]
    return parts[0] if len(parts) == 1 else jl.Group(parts, target=image, name="blend")


def run(index: int) -> dict[str, Any]:
    """One problem from its start and from the truth."""
    truth, start, fwhm, noise = problem(index)
    psf = jl.gaussian_psf(fwhm=fwhm, pixelscale=1.0)
    options = {"pixelscale": 1.0, "variance": 1.0, "psf": psf}
    empty = jl.TargetImage(np.zeros((SIZE, SIZE)), **options)
    image = jl.TargetImage(model_at(empty, truth).image(empty) + noise, **options)
    best = model_at(image, truth).fit(n_threads=1)
    found = model_at(image, start).fit(n_threads=1)
    return {
        "n_linearize": int(found.n_linearize),
        "n_chi2": int(found.n_chi2),
        "status": found.status,
        "excess": float(found.chi2 - best.chi2),
        "blend": len(truth) > 1,
        "core_s": float(found.time_s),
    }


def tail(values: list[float]) -> dict[str, float]:
    """Median, 90 %, 99 %, largest, mean."""
    points = np.percentile(values, [50, 90, 99, 100]) if values else [np.nan] * 4
    names = ("median", "90 %", "99 %", "max")
    out = dict(zip(names, map(float, points), strict=True))
    return out | {"mean": float(np.mean(values))}


def summary(each: list[dict[str, Any]]) -> dict[str, Any]:
    """The distribution, over all problems and by kind."""
    out: dict[str, Any] = {}
    for kind, chosen in (
        ("all", each),
        ("single", [e for e in each if not e["blend"]]),
        ("blend", [e for e in each if e["blend"]]),
    ):
        statuses, counts = np.unique([e["status"] for e in chosen], return_counts=True)
        out[kind] = {
            "n": len(chosen),
            "n_linearize": tail([e["n_linearize"] for e in chosen]),
            "n_chi2": tail([e["n_chi2"] for e in chosen]),
            "core_ms": tail([1e3 * e["core_s"] for e in chosen]),
            "status": {str(s): int(c) for s, c in zip(statuses, counts, strict=True)},
            "not_converged": sum(not e["status"].startswith("converged") for e in chosen),
            "wrong": sum(not e["excess"] < WRONG for e in chosen),
        }
    return out


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--n", type=int, default=N)
    parser.add_argument("--out", type=Path, default=RESULTS / "tuning.json")
    options = parser.parse_args()
    each = [run(i) for i in range(options.n)]
    document: dict[str, Any] = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": commit(),
        "seed": SEED,
        "summary": summary(each),
        "worst": sorted(range(len(each)), key=lambda i: -each[i]["n_linearize"])[:20],
        "wrong": [i for i, e in enumerate(each) if not e["excess"] < WRONG],
        "n_linearize": [e["n_linearize"] for e in each],
        "n_chi2": [e["n_chi2"] for e in each],
    }
    text = json.dumps(document, indent=1)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text + "\n")
    for kind, found in document["summary"].items():
        shown = {k: found[k] for k in ("n_linearize", "n_chi2", "wrong", "not_converged")}
        print(f"{kind} ({found['n']}): {shown}")
    print(f"written: {options.out}")


if __name__ == "__main__":
    main()
