# SPDX-License-Identifier: BSD-3-Clause
"""Write docs/gpu.md from results/gpu.json, so that no figure is typed by hand.

    python -m benchmarks.gpu_page [RESULT.json]

A test compares page and result. Without a result the page says how to get one. Of a RESULT.json
that is given the page is RESULT.md.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from .gpu_rows import judged
from .page import milliseconds, table

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "gpu.json"
PAGE = ROOT / "docs" / "gpu.md"

Document = dict[str, Any]

USE = """
`backend="cuda"` in `LM`, `Iter`, `fit_many`, `compile` and jobs computes on a GPU, where the
package was built [with its CUDA module](install.md#cuda); `jointlight info` says whether it was,
and what is missing. It is meant for [many fits in one call](fit-many.md) and for large scenes:

    results = jl.fit_many(template, data=stamps, variance=variances, backend="cuda")

`results.backend` says what fitted each object, [devices](how-it-works/devices.md) how it works.
"""
NOTHING = """
No figures have been measured on a GPU yet, and no fit has run on one. On a machine with an NVIDIA
GPU, its driver and nvcc,

    tests/gpu/run

builds the package with its CUDA module, runs the tests on the device (under compute-sanitizer too,
where there is one), measures, and writes `benchmarks/results/gpu.json` and this page;
`tests/gpu/run RESULT.json 0.01` does a hundredth of the objects.

What is to be reached:
"""
HOW = """
Written from `benchmarks/results/gpu.json` by `python -m benchmarks.gpu_page`; `tests/gpu/run`
measures it anew.

{device}. CPU: {cpu}, {cpu_threads} threads. {date}, commit {commit}. Times are wall clock of whole
calls, the fastest of several; the CPU works on the same data in the same run.
"""
DRY = """
**This was a dry run (backend `{backend}`, sizes times {scale:g}): its figures mean nothing.**
"""
CEILINGS = """
Measured on this device: {bytes:,.0f} GB/s copied in its memory (read and written), {flops:,.0f}
Gflop/s in float64 and {single:,.0f} in float32 (multiply-adds in registers, two each); from plain
memory of the host {upload:.3g} GB/s, back {download:.3g} GB/s; a launch that does nothing is timed
at {launch:.2g} µs.
"""
STAGES = """
Launches are timed one by one in a run of their own, so that their sum is more than what they take
in a row. Bytes are those of a launch's input and output, each number once; operations are those of
the source (a multiply-add is two; `exp` is {exp}, `log` {log}, as written in `csrc/base/vmath.hpp`,
a sine as `exp`). At best a stage takes as long as its bytes, its operations or its launches need at
the measured rates, whichever is longest: the limit, of which the last column is the share reached.
The pixel renderer's operations are counted low, and those of a few threads that work for a
whole tile not at all. Stages of the host are summed over its threads, and go on beside those of
the device.
"""
NAMES = {
    "place": "assign memory, radial tables",
    "phases": "phases of centres",
    "columns": "fill spectra, FFT along y",
    "rows": "FFT along x",
    "copies": "wings: copies' light",
    "subtract": "pixels out, wings taken off",
    "smooth": "smooth rest",
    "pixel": "pixel renderer",
    "residual": "model, residual, χ²",
    "normal": "normal equations",
    "upload": "to the device",
    "download": "from the device",
}
HOST = {
    "place": "place tiles",
    "fold": "fold into parameters",
    "factor": "factor",
    "solve_system": "solve",
}
CASES = {
    "stamps_10000": "stamps of 64x64",
    "stamps_100000": "stamps of 64x64",
    "nine_bands_5000": "bulge and disc in nine bands",
    "seed_fit": "three-image fit",
    "image_4096": "one galaxy, image side in pixels",
    "crowded_1000": "crowded field, one solve",
    "crowded_10000": "crowded field, one solve",
}


def targets(document: Document) -> str:
    """What was to be reached, and what was."""
    words = {True: "met", False: "**missed**", None: "not measured"}
    body = [
        [row["work"], row["target"], row["reached"] or "", words[row["met"]]]
        for row in judged(document)
    ]
    return table(["work", "target", "reached", ""], body)


def cases(document: Document) -> str:
    """Both times of every case."""
    body = []
    for name, facts in document["cases"].items():
        what, size = CASES[name], f"{facts['size']:,}"
        if "failed" in facts:
            body.append([what, size, "", f"failed: {facts['failed']}", "", "", "", ""])
            continue
        each = {k: facts[k] for k in ("float64", "mixed") if k in facts} or {"float64": facts}
        for precision, found in each.items():
            seconds = found["seconds"]
            rate = f"{found['per_second']:,.3g}/s" if "per_second" in found else ""
            apart = f"{found['worst_sigma']:.1g} sigma" if "worst_sigma" in found else ""
            if "chi2" in found:
                one, other = found["chi2"]
                apart = f"χ² {(other - one) / abs(one):.1g} of itself higher"
            bits = {True: "yes", False: "**no**", None: ""}[found.get("same_bits")]
            cpu = facts["cpu_s"]
            body.append(
                [what, size, precision, milliseconds(cpu), milliseconds(seconds),
                 f"{cpu / seconds:.3g}", rate, apart, bits]
            )  # fmt: skip
    head = ["work", "size", "precision", "CPU", "device", "ratio", "rate", "from the CPU's",
            "same bits again"]  # fmt: skip
    return table(head, [line + [""] * (len(head) - len(line)) for line in body])


def stages(profiled: Document) -> str:
    """One run by stage."""
    found = profiled["stages"]
    total = sum(stage["seconds"] for stage in found.values())
    body = []
    for key, stage in found.items():
        flops = f"{stage['flops_per_s'] / 1e9:,.3g}" if stage["flops_per_s"] else ""
        reached = f"{100 * stage['share']:.0f} %" if stage["bound_s"] else ""
        body.append(
            [NAMES.get(key, key), milliseconds(stage["seconds"]),
             f"{100 * stage['seconds'] / total:.0f} %", f"{stage['launches']:,}",
             f"{stage['bytes'] / 1e9:.3g}",
             f"{(stage['flops'] + stage['single_flops']) / 1e9:.3g}",
             f"{stage['bytes_per_s'] / 1e9:,.3g}", flops, stage["binds"], reached]
        )  # fmt: skip
    head = ["stage", "time", "of all", "launches", "GB", "Gflop", "GB/s", "Gflop/s", "limit",
            "reached"]  # fmt: skip
    took = profiled["host"]
    host = "; ".join(f"{HOST[key]} {milliseconds(s)}" for key, s in took.items() if key in HOST)
    evaluated = sum(s for key, s in took.items() if key not in HOST)
    if evaluated > 0.0:
        host += f"; evaluations of what was started or finished there {milliseconds(evaluated)}"
    text = table(head, body) + f"\n\nAll launches and copies: {milliseconds(total)}"
    text += f", of {milliseconds(profiled['seconds'])} in all; at their limits they would take "
    text += milliseconds(sum(stage["bound_s"] for stage in found.values()))
    return text + (f"; on the host: {host}." if host else ".")


def start(document: Document) -> str:
    """The first call of a process."""
    found = document.get("first_call")
    if found is None:
        return ""
    return (
        f"In a fresh process `import jointlight` takes {milliseconds(found['import_s'])}, the "
        f"first fit on the device (a stamp, built and fitted) {milliseconds(found['first_s'])}, "
        f"the next {milliseconds(found['second_s'])}. Nothing is compiled at run time."
    )


def render(document: Document | None) -> str:
    """The page."""
    if document is None:
        parts = ["# On a GPU", USE, "## What it reaches", NOTHING, targets({"cases": {}})]
        return "\n\n".join(part.strip("\n") for part in parts) + "\n"
    ceilings = document["ceilings"]
    rates = {k: v / 1e9 for k, v in ceilings.items()} | {"launch": 1e6 * ceilings["launch"]}
    rates["single"] = rates["single_flops"]
    parts = [
        "# On a GPU",
        USE,
        "## How it was measured",
        HOW.format(**document["machine"] | document),
    ]
    if document["backend"] != "cuda" or document["scale"] != 1.0:
        parts.append(DRY.format(**document))
    parts += ["## What was to be reached", targets(document), start(document)]
    parts += ["## Times", cases(document)]
    parts += ["## By stage", CEILINGS.format(**rates), STAGES.format(**document["counting"])]
    for name, facts in document["cases"].items():
        for precision, profiled in facts.get("profile", {}).items():
            parts += [f"### {CASES[name]}, {facts['size']:,}, {precision}", stages(profiled)]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def page(result: Path = RESULT) -> str:
    """The page of a stored result, if there is one."""
    return render(json.loads(result.read_text(encoding="utf-8")) if result.exists() else None)


if __name__ == "__main__":
    given = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    target = PAGE if given is None else given.with_suffix(".md")
    target.write_text(page(given or RESULT), encoding="utf-8")
