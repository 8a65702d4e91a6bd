# SPDX-License-Identifier: BSD-3-Clause
"""Time the cases against peers in the same run and write ratios with machine facts.

    python -m benchmarks.run --peer astrophot=/path/to/other/venv/bin/python [--case demo_fit]

Repeats are interleaved (ours, theirs, ours, ...), so that a busy machine slows both alike; the
figure is the ratio of medians, and the ratios repeat by repeat show its scatter. Every peer's
answer is set against GalSim's beside its time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from .answers import canonical
from .cases import CASES, Case, brightness_at_re
from .cases import demo_problem as demo

PEERS = Path(__file__).parent / "peers"
RESULTS = Path(__file__).parent / "results"
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "JOINTLIGHT_NUM_THREADS"), "1"
)
# These draw one image and cannot tie several: they take part in this case only.
IMAGE_ONLY = dict.fromkeys(("galsim_draw", "pyimfit_image", "pysersic_jax"), "image500")


def last_line(command: list[str], environment: dict[str, str] | None = None) -> dict[str, Any]:
    """The JSON that ends what a process with one thread prints."""
    done = subprocess.run(
        command,
        cwd=Path(__file__).parents[1],
        env=(os.environ if environment is None else environment) | ONE_THREAD,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


class Peer:
    """One code in its own process."""

    def __init__(self, name: str, python: str, case_file: Path) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [python, str(PEERS / f"{name}.py"), str(case_file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=case_file.parent,
            env=os.environ | ONE_THREAD,
        )
        self.times: dict[str, list[list[float]]] = {}
        self.versions = self._read()["versions"]

    def _read(self) -> dict[str, Any]:
        line = self.process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            raise RuntimeError(f"peer {self.name} ended with status {self.process.wait()}")
        message: dict[str, Any] = json.loads(line)
        return message

    def _say(self, word: str) -> dict[str, Any]:
        self.process.stdin.write(word + "\n")  # type: ignore[union-attr]
        self.process.stdin.flush()  # type: ignore[union-attr]
        return self._read()

    def repeat(self) -> None:
        """Run every quantity once."""
        for quantity, seconds in self._say("run").items():
            self.times.setdefault(quantity, []).append(seconds)

    def kill(self) -> None:
        """Stop the process where it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def end(self) -> dict[str, Any]:
        """Stop the process; its answer and peak memory."""
        last = self._say("end")
        self.process.wait()
        return last


def started(pythons: dict[str, str], case_file: Path) -> list[Peer]:
    """The peers that start; those that fail cost no other its figures. Without ours there is none.

    Warming up is part of the start.
    """
    peers = []
    for name, python in pythons.items():
        try:
            peers.append(Peer(name, python, case_file))
        except (OSError, RuntimeError) as error:
            if name == "jointlight":
                raise
            print(f"{name}: left out: {error}", flush=True)
    return peers


@contextmanager
def stopped(peers: list[Peer]) -> Iterator[None]:
    """No process of theirs outlives the block."""
    try:
        yield
    finally:
        for peer in peers:
            peer.kill()


def machine() -> dict[str, Any]:
    """What a reader needs to judge the figures."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [s for s in cpuinfo.read_text().splitlines() if s.startswith("model name")]
        model = lines[0].split(":", 1)[1].strip() if lines else model
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "system": platform.system(),
        "load_1min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
    }


def check(case: Case, answer: dict[str, Any]) -> dict[str, Any]:
    """How far a peer's answer is from GalSim's."""
    images = demo.bands(aligned=True)
    if case.name == "image500":
        truth = demo.model(demo.TRUTH, images)[0]
        image = np.load(answer["image"])
        sigma = images[0].sigma
        error = float(np.max(np.abs(image - truth)))
        return {
            "worst_pixel_over_peak": error / float(truth.max()),
            "worst_pixel_sigma": error / sigma,
        }
    x, y, q, pa, scale, n = canonical(np.array(answer["structure"])).tolist()
    unit = brightness_at_re(np.ones(1), q, scale, n)[0]
    v = np.array([x, y, q, pa, scale, n, *(np.array(answer["ie"]) / unit)])
    best = demo.optimum(images)
    delta = v - best.v
    delta[3] = (delta[3] + 90) % 180 - 90
    delta /= best.sigma
    return {
        "chi2_above_galsim_optimum": round(demo.chi2(v, images) - best.chi2, 4),
        "offset_from_galsim_optimum_sigma": dict(
            zip(demo.NAMES, np.round(delta, 3).tolist(), strict=True)
        ),
        "message": answer.get("message"),
        "iterations": answer.get("iterations"),
    }


def summarise(peers: list[Peer], endings: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Medians, bests and ratios to the first peer."""
    out: dict[str, Any] = {}
    ours = peers[0]
    for peer in peers:
        quantities = {}
        for quantity, times in peer.times.items():
            wall = [t[0] for t in times]
            entry = {
                "median_s": statistics.median(wall),
                "best_s": min(wall),
                "median_cpu_s": statistics.median(t[1] for t in times),
                "repeats": len(times),
            }
            if peer is not ours and quantity in ours.times:
                mine = [t[0] for t in ours.times[quantity]][: len(wall)]
                each = [a / b for a, b in zip(wall, mine, strict=True)]
                entry["ratio_to_jointlight"] = entry["median_s"] / statistics.median(mine)
                entry["ratio_range"] = [min(each), max(each)]
            quantities[quantity] = entry
        out[peer.name] = {
            "versions": peer.versions,
            "peak_mb": round(endings[peer.name]["peak_mb"]),
            "quantities": quantities,
        }
    return out


def run_case(case: Case, pythons: dict[str, str], repeats: int) -> dict[str, Any]:
    """One case, all peers interleaved."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{case.name}.npz"
        case.write(path)
        wanted = {
            name: python
            for name, python in pythons.items()
            if IMAGE_ONLY.get(name, case.name) == case.name
        }
        peers = started(wanted, path)
        with stopped(peers):
            for _ in range(repeats):
                for peer in peers:
                    peer.repeat()
            endings = {peer.name: peer.end() for peer in peers}
        result = summarise(peers, endings)
        for peer in peers:
            result[peer.name]["agreement"] = check(case, endings[peer.name]["result"])
    return {"what": case.what, "repeats": repeats, "peers": result}


def report(name: str, result: dict[str, Any]) -> str:
    """A few lines for people."""
    lines = [f"{name}: {result['what']}"]
    for peer, entry in result["peers"].items():
        for quantity, t in entry["quantities"].items():
            ratio = t.get("ratio_to_jointlight")
            times = f"{1e3 * t['median_s']:.1f} ms (best {1e3 * t['best_s']:.1f})"
            lines.append(
                f"  {peer:<14} {quantity:<14} {times:<28}"
                + (f" {ratio:.1f}x ours" if ratio else "")
                + f"  peak {entry['peak_mb']} MB"
            )
        lines.append(f"  {'':<14} agreement {entry['agreement']}")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--case", choices=CASES, action="append", help="default: all")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, default=RESULTS / "latest.json")
    options = parser.parse_args()
    pythons = {"jointlight": sys.executable} | dict(p.split("=", 1) for p in options.peer)
    document: dict[str, Any] = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine(),
        "threads": 1,
        "cases": {},
    }
    for name in options.case or CASES:
        document["cases"][name] = run_case(CASES[name], pythons, options.repeats)
        print(report(name, document["cases"][name]), flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(document, indent=1) + "\n")
    print(f"written: {options.out}")


if __name__ == "__main__":
    main()
