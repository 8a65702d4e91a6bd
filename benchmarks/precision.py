# SPDX-License-Identifier: BSD-3-Clause
"""Mixed against float64 precision, at each level of instructions that this processor has.

    python -m benchmarks.precision

writes results/precision.json, from which `benchmarks.page` takes its section: one evaluation of a
stamp (value, 7 derivatives, residual, normal equations), and how far the answers of 400 stored
stamps lie apart. Both precisions take turns in one process a level; times are the smallest of many.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from . import stamps
from .run import last_line, machine
from .stages import scene
from .table import commit

OUT = Path(__file__).parent / "results" / "precision.json"
LEVELS = ("v4", "v3", "base")
PRECISIONS = ("float64", "mixed")
SIZES = (32, 64, 101, 160)  # image side, pixels
ROUNDS, CALLS = 40, 30
N_STAMPS = 400


def evaluations() -> dict[str, dict[str, float]]:
    """Seconds of one evaluation by image side and precision."""
    found: dict[str, dict[str, float]] = {}
    for size in SIZES:
        compiled = {p: scene(size, precision=p) for p in PRECISIONS}
        start = np.asarray(compiled["float64"].v0)
        best = dict.fromkeys(PRECISIONS, np.inf)
        calls = 0
        for _ in range(ROUNDS):
            for precision in PRECISIONS:
                linearize = compiled[precision].core.linearize
                began = time.perf_counter()
                for _ in range(CALLS):
                    calls += 1
                    linearize(start * (1.0 + 1e-7 * calls))  # nothing is known from the last call
                spent = (time.perf_counter() - began) / CALLS
                best[precision] = min(best[precision], spent)
        found[str(size)] = best
    return found


def answers() -> dict[str, float]:
    """How far the fits of stored stamps of 64 x 64 pixels lie apart."""
    import jointlight as jl

    small = stamps.stored().small()
    target = jl.TargetImage(small.data[0], variance=1.0, psf=small.psf, pixelscale=1.0)
    model = jl.Model("sersic galaxy", target=target, name="galaxy")
    names = ("center_x", "center_y", "q", "PA", "Re", "n", "Ie")
    start = dict(zip(names, small.start[:N_STAMPS].T, strict=True))
    tables = {
        p: jl.fit_many(
            model, data=small.data[:N_STAMPS], variance=1.0, start=start, n_threads=1, precision=p
        ).table
        for p in PRECISIONS
    }
    exact, mixed = (tables[p] for p in PRECISIONS)
    shifts = [np.abs((mixed[n] - exact[n]) / exact[f"{n}_error"]) for n in names]
    ratios = [np.abs(mixed[f"{n}_error"] / exact[f"{n}_error"] - 1.0) for n in names]
    return {
        "n": N_STAMPS,
        "worst_shift_sigma": float(np.nanmax(np.array(shifts))),
        "worst_error_ratio": float(np.nanmax(np.array(ratios))),
        "evaluations_float64": float(np.mean(exact["n_evaluations"])),
        "evaluations_mixed": float(np.mean(mixed["n_evaluations"])),
        "other_status": int(np.sum(exact["status"] != mixed["status"])),
    }


def here() -> dict[str, Any]:
    """What this process finds at its level."""
    from jointlight import _core

    return {"isa": _core.isa(), "evaluations": evaluations(), "answers": answers()}


def main() -> None:
    """Every level in a process of its own."""
    levels: dict[str, Any] = {}
    for level in LEVELS:
        command = [sys.executable, "-m", "benchmarks.precision", "here"]
        found = last_line(command, dict(os.environ) | {"JOINTLIGHT_ISA": level})
        levels[found.pop("isa")] = found
    document = {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "commit": commit(),
        "machine": machine(),
        "levels": levels,
    }
    OUT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    if sys.argv[1:] == ["here"]:
        print(json.dumps(here()))
    else:
        main()
