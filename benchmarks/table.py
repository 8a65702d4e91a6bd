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
from .answers import agreement, distribution
from .cases import CASES, ROOT
from .rows import ROWS, judged, text_of
from .run import RESULTS, last_line, machine, run_case, started, stopped, summarise

BEFORE = RESULTS / "crowded_field_before.json"
# Of the peers, those that fit stamps; the slow ones only some of them, chosen at random.
FITTERS = ("jointlight", "scipy_hand", "scipy_fine", "astrophot", "pyimfit_image")
SUBSET, SUBSET_SEED = 24, 3
NOT_CODE = (":!benchmarks/results", ":!*.md")


class Settings:
    """What the command line says."""

    def __init__(self, pythons: dict[str, str], repeats: int, before: str | None) -> None:
        self.pythons, self.repeats = pythons, repeats
        name, _, self.before = (before or "").rpartition("=")
        self.before_name = name or "an earlier state"

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
        peers = started({name: settings.pythons[name] for name in names}, path)
        with stopped(peers):
            for k in range(settings.repeats):
                for peer in peers:
                    if peer.name == "jointlight" or k < settings.few(2):
                        peer.repeat()
            endings = {peer.name: peer.end() for peer in peers}
        values = {n: np.load(e["result"]["values"]) for n, e in endings.items()}
    result = summarise(peers, endings)
    for name, entry in result.items():
        for quantity, found in entry["quantities"].items():
            for unlike in ("ratio_to_jointlight", "ratio_range"):  # theirs are fewer stamps
                found.pop(unlike, None)
            whole = name == "jointlight" and quantity != "fits_chosen"
            found["n"] = len(used.data) if whole else SUBSET
            found["per_second_wall"] = found["n"] / found["median_s"]
            if quantity != "fits_2_threads":  # which the processor's time of two threads hides
                found["per_second"] = found["n"] / found["median_cpu_s"]
    ours = endings["jointlight"]["result"]
    result["jointlight"]["status"] = ours["status"]
    result["jointlight"]["n_linearize"] = distribution(ours["n_linearize"])
    mine = values.pop("jointlight")[chosen]
    known = mine[:, 5] < stamp_set.GALSIM_MAX_N
    left_out = [
        {"stamp": int(i), "why": f"its best n is {n:.2f}: GalSim, the judge, draws no such index"}
        for i, n in zip(chosen[~known], mine[~known, 5], strict=True)
    ]
    mine, values = mine[known], {name: v[known] for name, v in values.items()}
    offsets = [
        stamp_set.galsim_offsets(jl, used, i, v) for i, v in zip(chosen[known], mine, strict=True)
    ]
    optimum = mine + np.array([delta for delta, _ in offsets])
    sigma = np.array([errors for _, errors in offsets])
    for name, v in {"jointlight": mine, **values}.items():
        result[name]["agreement"] = agreement(v, optimum, sigma)
    what = f"{len(used.data)} stamps"
    return {"what": what, "subset": SUBSET, "left_out": left_out, "peers": result}


def in_process(module: str, *arguments: str) -> dict[str, Any]:
    """What a module of this folder prints."""
    return last_line([sys.executable, "-m", f"benchmarks.{module}", *arguments])


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
    wall, cpu = (
        {
            k: statistics.median(r[clock]["fit_in_all"] for r in found)
            for k, found in runs.items()
            if found and clock in found[-1]
        }
        for clock in ("seconds", "cpu_seconds")
    )
    if settings.before:
        earlier = runs["before"][-1]
        if earlier["package"] == runs["one"][-1]["package"]:
            raise ValueError("--before must import another jointlight; it imports this one")
        before, ours, clock = cpu["before"], cpu["one"], "processor time"
        before_is = f"{settings.before_name}, run beside; {clock}"
    else:
        document = json.loads(BEFORE.read_text())
        earlier = document["cases"]["field_1000"]
        before, ours, clock = earlier["seconds"]["fit_in_all"], wall["one"], "wall clock"
        before_is = f"stored result of {document['date']}, another load; {clock}"
    last = runs["one"][-1]
    return {
        "one_thread_s": wall["one"],
        "one_thread_cpu_s": cpu["one"],
        "two_threads_s": wall["two"],
        "before_s": before,
        "before_clock": clock,
        "before_is": before_is,
        "ratio": before / ours,
        "n_linearize": [last["n_linearize"], earlier["n_linearize"]],
        "reduced_chi2": [last["reduced_chi2"], earlier["reduced_chi2"]],
        "agreement": last["agreement"],
        "agreement_before": earlier["agreement"],
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
    """The table for a terminal, with a line that counts."""
    lines = []
    found = judged(document)
    words = {True: "met", False: "MISSED", None: "not measured"}
    for row in found:
        against = "; ".join(t for t in (row["baseline"], row["note"]) if t)
        what = row["work"] + (f" [{against}]" if against else "")
        reached = text_of(row["reached"], row["unit"])
        lines.append(
            f"{row['key']:<20} {row['reach']:>10} {reached:>9}  {words[row['met']]:<12} {what}"
        )
    counts = {word: sum(row["met"] is met for row in found) for met, word in words.items()}
    lines.append(f"{len(found)} rows: " + ", ".join(f"{n} {w}" for w, n in counts.items()))
    lines += [f"{name}: {why}" for name, why in document.get("failed", {}).items()]
    return "\n".join(lines)


def commit() -> str:
    """Of the working tree, with a mark where tracked files other than results and text differ."""
    said = [
        subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
        for words in (
            ["rev-parse", "--short=7", "HEAD"],
            ["status", "--porcelain", "--untracked-files=no", "--", ".", *NOT_CODE],
        )
    ]
    if any(s.returncode for s in said):
        return "unknown"
    return said[0].stdout.strip() + ("-dirty" if said[1].stdout.strip() else "")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    choices = sorted({r.key for r in ROWS} | set(GROUPS))
    parser.add_argument("--only", action="append", choices=choices, metavar="ROW")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--before", metavar="[NAME=]PYTHON", help="with an earlier jointlight (crowded)"
    )
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
    measured, failed = (document.setdefault(k, {}) for k in ("measured", "failed"))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for name, measure in GROUPS.items():
        if name not in wanted:
            continue
        began = time.perf_counter()
        for found in (document, measured, failed):
            found.pop(name, None)
        try:
            document[name] = measure(settings)
            measured[name] = facts | {"repeats": options.repeats}
            said = f"measured in {time.perf_counter() - began:.0f} s"
        except Exception as error:  # the other rows are still worth having
            failed[name] = f"{type(error).__name__}: {error}"
            said = f"not measured: {failed[name]}"
        print(f"{name}: {said}", flush=True)
        document["rows"] = judged(document)
        options.out.write_text(json.dumps(document, indent=1) + "\n")
    print(report(document))
    print(f"written: {options.out}")


if __name__ == "__main__":
    main()
