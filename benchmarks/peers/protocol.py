# SPDX-License-Identifier: BSD-3-Clause
"""What a peer's process says to the runner: one JSON object a line.

    peer: {"versions": {...}}            set-up done, first calls warmed up
    runner: run                          peer: {"<quantity>": [wall s, CPU s], ...}
    runner: end                          peer: {"result": {...}, "peak_mb": ...} and exit

Only the standard library and numpy: it is imported by every peer's own Python.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable


def load(path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Facts and arrays of a case file."""
    with np.load(path) as file:
        arrays = {k: file[k] for k in file.files if k != "facts"}
        return json.loads(str(file["facts"])), arrays


def saved(image: Any) -> dict[str, str]:
    """An answer that is an image: where it was written, beside the case file."""
    out = Path(sys.argv[1]).with_suffix(f".{Path(sys.argv[0]).stem}.npy")
    np.save(out, np.asarray(image, float))
    return {"image": str(out)}


def saved_fits(values: Any) -> dict[str, str]:
    """Answers that are parameters, a row an object: where they were written."""
    return {"values": saved(values)["image"]}


def peak_mb() -> float:
    """Peak resident memory; not ru_maxrss, where a child starts at its parent's peak."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def serve(
    versions: dict[str, str],
    quantities: dict[str, Callable[[], Any]],
    result: Callable[[], dict[str, Any]],
    prepare: Callable[[], None] = lambda: None,
    warm: Callable[[], Any] | None = None,
) -> None:
    """Warm up, then answer the runner until it says end; `prepare` runs untimed before each.

    Warming up is every quantity once, or `warm`.
    """
    # Libraries may print; only this descriptor speaks to the runner.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(message: dict[str, Any]) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    for function in [warm] if warm else quantities.values():
        prepare()
        function()
    say({"versions": versions, "pid": os.getpid()})
    for line in sys.stdin:
        if line.strip() == "end":
            break
        times = {}
        for name, function in quantities.items():
            prepare()
            wall, cpu = time.perf_counter(), time.process_time()
            function()
            times[name] = [time.perf_counter() - wall, time.process_time() - cpu]
        say(times)
    say({"result": result(), "peak_mb": peak_mb()})
