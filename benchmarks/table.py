# SPDX-License-Identifier: BSD-3-Clause
"""Measure every row of the performance table in one run, check the answers, print what was reached.

    python -m benchmarks.table --peer NAME=PYTHON ... [--only ROW] [--repeats N] [--out FILE]

Peers as for `benchmarks.run`. Repeats of all codes are interleaved, every code in a process of its
own with one thread unless a row says otherwise; figures are medians, ratios those of medians, of
processor time where there is one thread. With ``--only`` the other rows are kept as the file has
them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from . import crowded, fresh, limits, objects
from . import stamps as stamp_set
from .cases import CASES, ROOT
from .rows import ROWS, judged, text_of
from .run import ONE_THREAD, RESULTS, Peer, machine, run_case, summarise

BEFORE = RESULTS / "crowded_field_before.json"
# Of the peers, those that fit stamps; the slow ones only some of them, chosen at random.
FITTERS = ("jointlight", "scipy_hand", "scipy_fine", "astrophot", "pyimfit_image")
SUBSET, SUBSET_SEED = 24, 3
CLOSE = 0.05  # sigma: answers that agree


class Settings:
    """What the command line says."""

    def __init__(self, pythons: dict[str, str], repeats: int, before: str | None) -> None:
        self.pythons, self.repeats, self.before = pythons, repeats, before

    def few(self, most: int) -> int:
        """Repeats of something slow."""
        return max(1, min(self.repeats, most))


def case(name: str, settings: Settings) -> dict[str, Any]:
    """A case of `benchmarks.run`."""
    return run_case(CASES[name], settings.pythons, settings.repeats)


def stamps(size: int, settings: Settings) -> dict[str, Any]:
    """1,000 stamps by us, some of them by the others, one after the other."""
    import jointlight as jl

    everything = stamp_set.stored()
    used = everything if size == everything.size else everything.small()
    rng = np.random.default_rng(SUBSET_SEED)
    chosen = np.sort(rng.choice(len(used.data), SUBSET, replace=False))
    names = [n for n in FITTERS if n in settings.pythons]
    if size != everything.size:
        names = names[:1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stamps.npz"
        stamp_set.write_case(path, used, chosen)
        peers = [Peer(name, settings.pythons[name], path) for name in names]
        for k in range(settings.repeats):
            for peer in peers:
                if peer.name == "jointlight" or k < settings.few(2):
                    peer.repeat()
        endings = {peer.name: peer.end() for peer in peers}
        values = {n: np.load(e["result"]["values"]) for n, e in endings.items()}
    kept = {peer.name: peer.times for peer in peers}
    for peer in peers[1:]:  # as many as we have, for the ratios repeat by repeat
        for quantity, times in peer.times.items():
            peer.times[quantity] = times * settings.repeats
            peer.times[quantity] = peer.times[quantity][: settings.repeats]
    result = summarise(peers, endings)
    for name, entry in result.items():
        n = len(used.data) if name == "jointlight" else SUBSET
        for quantity, found in entry["quantities"].items():
            found.pop("ratio_to_jointlight", None)
            found.pop("ratio_range", None)
            clock = "median_s" if quantity == "fits_2_threads" else "median_cpu_s"
            found["per_second"] = n / found[clock]
            found["repeats"] = len(kept[name][quantity])
    ours = endings["jointlight"]["result"]
    result["jointlight"]["status"] = ours["status"]
    result["jointlight"]["n_linearize"] = distribution(ours["n_linearize"])
    mine = values.pop("jointlight")[chosen]
    known = mine[:, 5] < stamp_set.GALSIM_MAX_N
    mine, values = mine[known], {name: v[known] for name, v in values.items()}
    offsets = [
        stamp_set.galsim_offsets(jl, used, i, v) for i, v in zip(chosen[known], mine, strict=True)
    ]
    optimum = mine + np.array([delta for delta, _ in offsets])
    sigma = np.array([errors for _, errors in offsets])
    for name, v in {"jointlight": mine, **values}.items():
        result[name]["agreement"] = agreement(v, optimum, sigma)
    return {"what": f"{len(used.data)} stamps", "subset": SUBSET, "peers": result}


def agreement(v: np.ndarray, optimum: np.ndarray, sigma: np.ndarray) -> dict[str, Any]:
    """Distance from the optimum of GalSim's model: the worst parameter of each object, in sigma."""
    delta = v - optimum
    delta[:, 3] = (delta[:, 3] + 90.0) % 180.0 - 90.0
    worst = np.max(np.abs(delta / sigma), axis=1)
    return {
        "median_offset_sigma": float(np.median(worst)),
        "largest_offset_sigma": float(worst.max()),
        "within_0.05_sigma": int(np.sum(worst <= CLOSE)),
        "failed": int(np.sum(~(worst <= 1.0))),
        "of": len(worst),
    }


def distribution(counts: list[int]) -> dict[str, float]:
    """Median, tail and largest."""
    return {
        "median": float(np.median(counts)),
        "90 %": float(np.percentile(counts, 90)),
        "99 %": float(np.percentile(counts, 99)),
        "max": float(np.max(counts)),
    }


def in_process(module: str, *arguments: str) -> dict[str, Any]:
    """What a module of this folder prints."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *arguments],
        cwd=ROOT,
        env=os.environ | ONE_THREAD,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def single_objects(name: str, settings: Settings) -> dict[str, Any]:
    """One of `benchmarks.objects`: the repeat of median time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.npz"
        objects.WRITE[name](path)
        each = [in_process("objects", name, str(path)) for _ in range(settings.repeats)]
    each.sort(key=lambda e: e["seconds"]["fit"])
    return each[len(each) // 2] | {"repeats": len(each)}


def crowded_field(settings: Settings) -> dict[str, Any]:
    """1,000 sources with one and two threads, against the state before or its stored result."""
    field = crowded.CASES["field_1000"]
    runs: dict[str, list[dict[str, Any]]] = {"one": [], "two": [], "before": []}
    with tempfile.TemporaryDirectory() as folder:
        path = crowded.prepare(field, Path(folder))
        for _ in range(settings.few(3)):
            runs["one"].append(crowded.repeat(field, path, 1, parts=False))
            runs["two"].append(crowded.repeat(field, path, 2, parts=False))
            if settings.before:
                runs["before"].append(
                    crowded.repeat(field, path, 1, parts=False, python=settings.before)
                )
    seconds = {
        k: statistics.median(r["seconds"]["fit_in_all"] for r in found)
        for k, found in runs.items()
        if found
    }
    stored = json.loads(BEFORE.read_text())["cases"]["field_1000"]
    before = seconds.get("before", stored["seconds"]["fit_in_all"])
    last = runs["one"][-1]
    return {
        "one_thread_s": seconds["one"],
        "two_threads_s": seconds["two"],
        "before_s": before,
        "before_is": "run beside" if settings.before else "the stored result",
        "ratio": before / seconds["one"],
        "n_linearize": [last["n_linearize"], stored["n_linearize"]],
        "reduced_chi2": [last["reduced_chi2"], stored["reduced_chi2"]],
        "agreement": last["agreement"],
        "agreement_before": stored["agreement"],
        "peak_mb": max(r["peak_mb"] for r in runs["one"]),
        "repeats": len(runs["one"]),
    }


GROUPS: dict[str, Callable[[Settings], Any]] = {
    "demo_fit": lambda s: case("demo_fit", s),
    "image500": lambda s: case("image500", s),
    "stamps_101": lambda s: stamps(101, s),
    "stamps_64": lambda s: stamps(64, s),
    "nine_bands": lambda s: single_objects("nine_bands", s),
    "transient": lambda s: single_objects("transient", s),
    "crowded": crowded_field,
    "startup": lambda s: fresh.startup(s.repeats),
    "memory": lambda s: fresh.memory(s.pythons),
    "limits": lambda _: limits.measure(),
    "stages": lambda _: in_process("stages"),
}


def report(document: dict[str, Any]) -> str:
    """The table for a terminal."""
    lines = []
    for row in judged(document):
        verdict = {True: "met", False: "MISSED", None: "not measured"}[row["met"]]
        what = row["work"] + (f" [{row['baseline']}]" if row["baseline"] else "")
        reached = text_of(row["reached"], row["unit"])
        lines.append(f"{row['key']:<18} {row['reach']:>10} {reached:>9}  {verdict:<12} {what}")
    return "\n".join(lines)


def commit() -> str:
    """Of the working tree, with a mark where it holds changes."""
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=7", "--exclude=*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return said.stdout.strip() or "unknown"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    choices = sorted({r.key for r in ROWS} | set(GROUPS))
    parser.add_argument("--only", action="append", choices=choices, metavar="ROW")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--before", metavar="PYTHON", help="with an earlier jointlight (crowded)")
    parser.add_argument("--out", type=Path, default=RESULTS / "fast.json")
    options = parser.parse_args()
    pythons = {"jointlight": sys.executable} | dict(p.split("=", 1) for p in options.peer)
    settings = Settings(pythons, options.repeats, options.before)
    wanted = {r.group for r in ROWS if r.key in (options.only or [])} | set(options.only or GROUPS)
    document: dict[str, Any] = {}
    if options.only and options.out.exists():
        document = json.loads(options.out.read_text())
    facts = {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "commit": commit()}
    document |= facts | {"machine": machine(), "repeats": options.repeats, "threads": 1}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for name, measure in GROUPS.items():
        if name not in wanted:
            continue
        began = time.perf_counter()
        try:
            document[name] = measure(settings)
        except Exception as error:  # the other rows are still worth having
            document.pop(name, None)
            print(f"{name}: not measured: {type(error).__name__}: {error}", flush=True)
            continue
        print(f"{name}: measured in {time.perf_counter() - began:.0f} s", flush=True)
        document["rows"] = judged(document)
        options.out.write_text(json.dumps(document, indent=1) + "\n")
    print(report(document))
    print(f"written: {options.out}")


if __name__ == "__main__":
    main()
