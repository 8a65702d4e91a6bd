# SPDX-License-Identifier: BSD-3-Clause
"""Time and memory of many sources and many exposures at once, and how right the answers are.

    python -m benchmarks.crowded [--case field_1000] [--repeats 3]

Each repeat of each case runs in a process of its own, which reads its data from a file, so that
the peak memory is that of the fit. One thread.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .cases import crowded, exposures
from .peers.protocol import peak_mb
from .run import RESULTS, last_line, machine

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Case:
    """A field of sources, or exposures of one blend."""

    name: str
    what: str
    n: int
    bands: tuple[str, ...] = ("r",)
    aligned: bool | None = None  # of exposures; None for a field


CASES = {
    case.name: case
    for case in (
        *(
            Case(f"field_{n}", f"{n} galaxies in one band, one solve", n)
            for n in (100, 300, 1000, 3000)
        ),
        Case("field_300_x3", '300 galaxies in pixels of 0.2", 0.27", 0.4"', 300, ("r", "z", "u")),
        Case("exposures_aligned", "3 galaxies in 100 exposures of one WCS", 100, aligned=True),
        Case("exposures_different", "3 galaxies in 100 exposures of 100 WCS", 100, aligned=False),
    )
}  # fmt: skip


def timed(
    times: dict[str, float],
    name: str,
    function: Callable[[], Any],
    cpu_times: dict[str, float] | None = None,
) -> Any:
    """The function's value; its seconds go into `times` and, of the processor, `cpu_times`."""
    start, cpu = time.perf_counter(), time.process_time()
    value = function()
    times[name] = time.perf_counter() - start
    if cpu_times is not None:
        cpu_times[name] = time.process_time() - cpu
    return value


def prepare(case: Case, folder: Path) -> Path:
    """Write what the measuring process reads."""
    path = folder / f"{case.name}.npz"
    if case.aligned is None:
        field = crowded.stored(case.n, case.bands)
        crowded.save(field, path)
        np.save(path.with_suffix(".labels.npy"), crowded.segmentation(field))
    else:
        taken = exposures.make(case.n, aligned=case.aligned)
        headers = np.array([e.header.tostring() for e in taken])
        np.savez(path, data=np.array([e.data for e in taken]), headers=headers)
    return path


def build(case: Case, path: Path, times: dict[str, float]) -> tuple[Any, Any]:
    """The model with start values, and the field that judges it."""
    import jointlight as jl

    if case.aligned is None:
        field = crowded.load(path)
        labels = np.load(path.with_suffix(".labels.npy"))
        model = timed(times, "build", lambda: crowded.model(jl, field, labels))
        timed(times, "initialize", model.initialize)
        return model, field
    from astropy.io.fits import Header

    with np.load(path) as f:
        pairs = zip(f["data"], f["headers"], strict=True)
        taken = [exposures.Exposure(d, Header.fromstring(str(h))) for d, h in pairs]
    start = exposures.rough()
    return timed(times, "build", lambda: exposures.build(jl, taken, start)), None


def measure(case: Case, path: Path, n_threads: int = 1, *, parts: bool = True) -> dict[str, Any]:
    """In a fresh process: the whole by the public interface, then its parts one by one."""
    import jointlight as jl
    from jointlight.fit.compiled import CompiledFit

    before = peak_mb()
    times: dict[str, float] = {}
    cpu_times: dict[str, float] = {}
    model, field = build(case, path, times)
    result = timed(
        times, "fit_in_all", lambda: jl.fit.LM(model, n_threads=n_threads).fit(), cpu_times
    )
    timed(times, "sources", lambda: result.sources)
    peak = peak_mb()
    facts: dict[str, Any] = {
        "n_models": len(model.models),
        "n_free": int(result.n_free),
        "n_pixels": int(result.dof + result.n_free),
        "status": result.status,
        "n_linearize": int(result.n_linearize),
        "reduced_chi2": result.reduced_chi2,
        "peak_mb": round(peak),
        "peak_mb_before": round(before),
        "cpu_seconds": cpu_times,
        "package": str(Path(jl.__file__).parent),
    }
    if field is not None:
        facts["status_of_sources"] = statuses(result)
        facts["agreement"] = crowded.judge(field, model.models).shares()
    else:
        delta = result.values.reshape(3, 7) - exposures.TRUTH
        delta[:, 3] = (delta[:, 3] + 90) % 180 - 90
        worst = np.max(np.abs(delta / result.errors.reshape(3, 7)))
        facts["agreement"] = {"worst_pull": float(worst)}
    if not parts:
        return facts | {"seconds": times}
    again, _ = build(case, path, {})
    core = timed(times, "compile", lambda: CompiledFit(again, n_threads=n_threads)).scene.core
    solution = result.values
    # No step is taken from the solution: once for the linearization, which the scene keeps, and
    # once more for the covariance.
    options = result.options | {"max_iterations": 0}
    timed(times, "linearize", lambda: core.fit(solution, options | {"covariance": False}, None))
    timed(times, "covariance", lambda: core.fit(solution, options, None))
    times["steps"] = result.time_s - times["covariance"]
    facts["seconds_a_step"] = times["steps"] / result.n_linearize
    return facts | {"seconds": times}


def statuses(result: Any) -> dict[str, int]:
    """How many sources ended how."""
    table = result.sources
    names, counts = np.unique(np.asarray(table["status"], dtype=str), return_counts=True)
    return {str(k): int(c) for k, c in zip(names, counts, strict=True)}


def repeat(
    case: Case, path: Path, n_threads: int = 1, *, parts: bool = True, python: str = sys.executable
) -> dict[str, Any]:
    """One measurement in a process of its own (`python` may hold an earlier jointlight)."""
    command = [python, "-m", "benchmarks.crowded", "--measure", case.name, str(path)]
    command += ["--threads", str(n_threads), *([] if parts else ["--whole"])]
    env = dict(os.environ)
    if python != sys.executable:
        env.pop("PYTHONPATH", None)  # which may hold the present jointlight
    return last_line(command, env)


def run_case(case: Case, repeats: int) -> dict[str, Any]:
    """Medians of the times; the rest from the last repeat."""
    with tempfile.TemporaryDirectory() as folder:
        path = prepare(case, Path(folder))
        each = [repeat(case, path) for _ in range(repeats)]
    names = each[0]["seconds"]
    seconds = {k: statistics.median(e["seconds"][k] for e in each) for k in names}
    peak = max(e["peak_mb"] for e in each)
    last = {k: v for k, v in each[-1].items() if k != "package"}
    return last | {"what": case.what, "repeats": repeats, "seconds": seconds, "peak_mb": peak}


def main() -> None:
    """Run the cases and write the results."""
    parser = argparse.ArgumentParser(description="time many sources and many exposures")
    parser.add_argument("--case", action="append", choices=list(CASES))
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS / "crowded_field.json")
    parser.add_argument("--measure", nargs=2, metavar=("CASE", "FILE"), help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--whole", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        name, path = options.measure
        found = measure(CASES[name], Path(path), options.threads, parts=not options.whole)
        print(json.dumps(found))
        return
    document: dict[str, Any] = {"cases": {}}
    if options.case and options.out.exists():
        document = json.loads(options.out.read_text())
    document |= {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"), "machine": machine(), "threads": 1,
    }  # fmt: skip
    for name in options.case or CASES:
        found = run_case(CASES[name], options.repeats)
        document["cases"][name] = found
        times = ", ".join(f"{k} {v:.2f} s" for k, v in found["seconds"].items())
        print(f"{name}: {found['status']}, {times}, peak {found['peak_mb']} MB", flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(document, indent=1) + "\n")
    print(f"written: {options.out}")


if __name__ == "__main__":
    main()
