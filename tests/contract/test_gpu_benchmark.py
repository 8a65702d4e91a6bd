# SPDX-License-Identifier: BSD-3-Clause
"""The device's benchmark runs to its end: here on the emulated device, whose times mean nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("case", ["seed_fit", "image_4096", "nine_bands_5000"])
def test_dry_run(case: str, tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    command = [sys.executable, "-m", "benchmarks.gpu", "--backend", "cuda-emulated"]
    done = subprocess.run(
        [*command, "--scale", "0.0004", "--only", case, "--out", str(out)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())["cases"][case]
    assert "failed" not in found, found
    each = found.get("float64", found)
    assert each["same_bits"]
    assert each["worst_sigma"] < 1e-6
