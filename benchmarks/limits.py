# SPDX-License-Identifier: BSD-3-Clause
"""The processor's limits, measured by ``limits.cpp``: exp, log, multiply-adds, bandwidth, FFT."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from .cases import ROOT

__all__ = ["measure"]


def cmake_list(name: str) -> list[str]:
    """A ``set(NAME ...)`` of CMakeLists.txt, so that the flags are those of the kernels."""
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    found = re.search(rf"set\({name} ([^)]*)\)", text)
    assert found, name
    return found[1].replace('"', "").split()


def measure() -> dict[str, Any] | None:
    """The limits at the level that the package chooses here; None without a C++ compiler."""
    from jointlight import _core

    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None:
        return None
    level = _core.isa().removeprefix("isa_")
    flags = ["-std=gnu++20", *cmake_list("KERNEL_FLAGS"), *cmake_list(f"ISA_FLAGS_{level}")]
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "limits"
        sources = [str(ROOT / "benchmarks" / "limits.cpp")]
        command = [compiler, *flags, "-Wno-psabi", f"-I{ROOT / 'csrc'}", *sources, "-o"]
        subprocess.run([*command, str(program)], check=True)
        said = subprocess.run([program], check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, Any] = json.loads(said)
    return found | {"isa": level}
