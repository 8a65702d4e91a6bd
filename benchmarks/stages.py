# SPDX-License-Identifier: BSD-3-Clause
"""Where an evaluation's time goes, stage by stage, and how it grows.

    python -m benchmarks.stages

prints JSON. The kernels' own clocks (csrc/base/stage_clock.hpp) are on, which costs an evaluation
less than a microsecond a tile; times are the smallest of several rounds.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np

import jointlight as jl
from jointlight import _core

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS, TARGET_S = 25, 0.012  # rounds of about this long: some of them undisturbed

MERGED = {"phases": "columns"}


def scene(
    size: int,
    psf_size: int = 31,
    *,
    n_sources: int = 1,
    n_threads: int = 1,
    psf: bool = True,
    scale: float | None = None,
    precision: str = "float64",
) -> Any:
    """Sersic galaxies on one image; several stand on a grid, each in the window it would get."""
    rng = np.random.default_rng(size + n_sources)
    sigma = min(1.7, psf_size / 8)
    at = np.arange(psf_size) - psf_size // 2
    line = np.exp(-0.5 * (at / sigma) ** 2)
    image = jl.TargetImage(
        rng.normal(0.0, 1.0, (size, size)),
        pixelscale=1.0,
        variance=1.0,
        psf=jl.PSF(np.outer(line, line), pixelscale=1.0, kind="optical") if psf else None,
    )
    side = int(np.ceil(np.sqrt(n_sources)))
    models = []
    for k in range(n_sources):
        place = ((np.array([k % side, k // side]) + 0.5) / side - 0.5) * size
        radius = scale or (size / 16 if n_sources == 1 else 3.0)
        window = None
        if n_sources > 1:  # 48 x 48 pixels, so that neighbours overlap
            x, y = (round((size - 1) / 2 + s * p) for s, p in zip((-1, 1), place, strict=True))
            window = tuple((max(c - 24, 0), min(c + 24, size)) for c in (x, y))
        models.append(
            jl.Model(
                "sersic galaxy",
                target=image,
                window=window,
                center=tuple(place + rng.uniform(-0.5, 0.5, 2)),
                q=rng.uniform(0.4, 0.9),
                PA=rng.uniform(0, 180),
                n=rng.uniform(1.0, 3.0),
                Re=radius,
                Ie=5.0,
                name=f"galaxy {k}",
            )
        )
    model = models[0] if n_sources == 1 else jl.Group(models, target=image, name="field")
    return model.compile(n_threads=n_threads, precision=precision)


def timed(evaluate: Callable[[np.ndarray], Any], start: np.ndarray) -> dict[str, float]:
    """Seconds of one call and of its stages, smallest of the rounds."""
    calls = 0

    def once() -> None:
        nonlocal calls
        calls += 1
        evaluate(start * (1.0 + 1e-7 * calls))  # nothing is known from the last call

    began = time.perf_counter()
    once()
    n = int(np.clip(TARGET_S / (time.perf_counter() - began), 1, 400))
    best: dict[str, float] = {}
    for _ in range(ROUNDS):
        _core.stage_times()
        began = time.perf_counter()
        for _ in range(n):
            once()
        total = (time.perf_counter() - began) / n
        if total < best.get("total", np.inf):
            best = {"total": total}
            for name, (seconds, _) in _core.stage_times().items():
                key = MERGED.get(name, name)
                best[key] = best.get(key, 0.0) + seconds / n
    return {k: v for k, v in best.items() if k == "total" or v > 0.0}


def described(
    compiled: Any, pixels: int, *, chi2: bool = False, outside: float | None = None
) -> dict[str, Any]:
    """Times of one evaluation with the facts that they depend on.

    ``used`` leaves out what is spent outside the stages, as in the dense matrix that the Python
    method returns and a fit never makes. Clocks of several threads add up, so these cannot say it:
    they take `outside`, the seconds of one thread.
    """
    core, start = compiled.core, np.asarray(compiled.v0)
    seconds = timed(core.chi2 if chi2 else core.linearize, start)
    assert len(seconds) > 1, "the stage clocks are off"
    if outside is None:
        outside = seconds["total"] - sum(v for k, v in seconds.items() if k != "total")
        seconds["rest"] = outside
    used = seconds["total"] - outside
    assert used > 0.0, seconds
    tiles = core.describe()["tiles"]
    return {
        "pixels": pixels,
        "box": list(tiles[0]["box"]),
        "window": [int(tiles[0]["window"][1] - tiles[0]["window"][0])],
        "n_tiles": len(tiles),
        "seconds": seconds,
        "used": used,
    }


def threads(make: Callable[[int], Any]) -> dict[str, dict[str, Any]]:
    """One and two threads."""
    one = described(make(1), 0)
    return {"1": one, "2": described(make(2), 0, outside=one["seconds"]["rest"])}


def one(size: int, **options: Any) -> dict[str, Any]:
    """A single galaxy."""
    return described(scene(size, **options), size * size)


def measure() -> dict[str, Any]:
    """The tables of the performance page."""
    _core.time_stages(True)
    stages = {
        "stamp 64": one(64, psf_size=21),
        "stamp 101": one(101),
        "image 500": one(500, psf_size=51),
        "stamp 101, chi2 alone": described(scene(101), 101**2, chi2=True),
        "stamp 101, no PSF": one(101, psf=False),
    }
    scaling = {
        "size": {str(n): one(n, psf_size=21) for n in (32, 48, 64, 96, 128, 192, 256, 384, 512)},
        "psf": {str(n): one(101, psf_size=n) for n in (7, 15, 31, 51, 75, 101)},
        "sources": {
            str(n): described(scene(side, 21, n_sources=n), side * side)
            for n, side in ((n, round(32 * np.sqrt(n))) for n in (10, 30, 100, 300, 1000))
        },
        "threads": {
            "image 500": threads(lambda k: scene(500, 51, n_threads=k)),
            "300 sources": threads(lambda k: scene(554, 21, n_sources=300, n_threads=k)),
        },
    }
    return {"stages": stages, "scaling": scaling}


if __name__ == "__main__":
    print(json.dumps(measure()))
