# SPDX-License-Identifier: BSD-3-Clause
"""Registers and spills of the CUDA kernels, against the stored table.

    python tests/gpu/kernel_resources.py BUILD_LOG [--write]

BUILD_LOG is what a build with -DJOINTLIGHT_CUDA_RESOURCES=ON printed. A kernel that spills more
than the table says, or needs many more registers under the same compiler, fails; so does one that
is not in the table, or a table's that is gone: then look whether that is meant, and --write.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("kernel_resources.json")
MORE_REGISTERS = 8  # than the table's, tolerated
MOST_REGISTERS = 168  # with any compiler: two blocks of 192 threads

ENTRY = re.compile(r"Compiling entry function '(\w+)' for '(sm_\d+)'")
SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
REGISTERS = re.compile(r"Used (\d+) registers")


def demangled(names: list[str]) -> list[str]:
    """C++ names without namespaces, parameters and return types."""
    done = subprocess.run(
        ["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True
    )
    out = []
    for name in done.stdout.splitlines():
        short = re.sub(r"\b(?:jointlight|cuda|isa_\w+|detail|pixel_detail)::", "", name)
        short = re.sub(r"^void ", "", short)
        depth, end = 0, len(short)
        for i, c in enumerate(short):  # the parameter list: the first bracket outside <>
            depth += (c == "<") - (c == ">")
            if c == "(" and depth == 0:
                end = i
                break
        out.append(re.sub(r"^run_body<(.*?) *>$", r"\1", short[:end]))
    return out


def read(log: str) -> dict[str, dict[str, dict[str, int]]]:
    """By architecture and kernel: registers, stack and spilled bytes."""
    found: dict[str, dict[str, dict[str, int]]] = {}
    names: list[str] = []
    rows: list[tuple[str, dict[str, int]]] = []
    for line in log.splitlines():
        if entry := ENTRY.search(line):
            names.append(entry[1])
            rows.append((entry[2], {"registers": 0, "stack": 0, "spills": 0}))
        elif rows and (spill := SPILLS.search(line)):
            rows[-1][1]["stack"] = int(spill[1])
            rows[-1][1]["spills"] = int(spill[2]) + int(spill[3])
        elif rows and (used := REGISTERS.search(line)):
            rows[-1][1]["registers"] = int(used[1])
    for name, (architecture, facts) in zip(demangled(names), rows, strict=True):
        found.setdefault(architecture, {})[name] = facts
    return found


def compiler() -> str:
    """Release of nvcc."""
    text = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=True).stdout
    release = re.search(r"release ([\d.]+), V([\d.]+)", text)
    return release[2] if release else "unknown"


def complaints(found: dict[str, Any], table: dict[str, Any], version: str) -> list[str]:
    """What differs from the table."""
    out = []
    for architecture, kernels in found.items():
        known = table["kernels"].get(architecture, {})
        out += [
            f"{architecture}: {name} is not in the table" for name in kernels.keys() - known.keys()
        ]
        out += [f"{architecture}: {name} is gone" for name in known.keys() - kernels.keys()]
        for name in sorted(kernels.keys() & known.keys()):
            now, then = kernels[name], known[name]
            most = MOST_REGISTERS
            if version == table["nvcc"]:
                most = then["registers"] + MORE_REGISTERS
            if now["registers"] > most:
                out.append(f"{architecture}: {name} takes {now['registers']} registers, not {most}")
            if now["spills"] > then["spills"]:
                out.append(
                    f"{architecture}: {name} spills {now['spills']} bytes, not {then['spills']}"
                )
    return out


def main(arguments: list[str]) -> int:
    """Compare, or write."""
    found = read(Path(arguments[0]).read_text(encoding="utf-8"))
    if not found:
        print("no kernel was compiled: build afresh with -DJOINTLIGHT_CUDA_RESOURCES=ON")
        return 1
    version = compiler()
    if "--write" in arguments:
        document = {"nvcc": version, "kernels": found}
        TABLE.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        return 0
    wrong = complaints(found, json.loads(TABLE.read_text(encoding="utf-8")), version)
    for line in wrong:
        print(line)
    n = sum(map(len, found.values()))
    print(f"{n} kernels, {len(wrong)} complaints (nvcc {version})")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
