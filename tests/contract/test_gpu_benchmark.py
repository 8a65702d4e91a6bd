# SPDX-License-Identifier: BSD-3-Clause
"""The device's benchmark runs to its end: here on the emulated device, whose times mean nothing.

What it writes makes a page.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


# The CPU's stages that a device has; which of them a case takes depends on its windows.
COMMON = {"phases", "columns", "rows", "residual", "normal", "upload", "download"}


@pytest.mark.parametrize(
    "case",
    [
        "image_4096",
        pytest.param("seed_fit", marks=pytest.mark.slow),
        pytest.param("nine_bands_5000", marks=pytest.mark.slow),
    ],
)
def test_dry_run(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "gpu.json"
    command = [sys.executable, "-m", "benchmarks.gpu", "--backend", "cuda-emulated"]
    if case == "seed_fit":
        command += ["--only", "first_call"]
    done = subprocess.run(
        [*command, "--scale", "0.0004", "--only", case, "--out", str(out)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(out.read_text())
    found = document["cases"][case]
    assert "failed" not in found, found
    each = found.get("float64", found)
    assert each["same_bits"]
    assert each["worst_sigma"] < 1e-6
    assert (case == "seed_fit") == ("first_call" in document)
    assert document.get("first_call", {"first_s": 1.0})["first_s"] > 0.0
    assert all(rate > 0.0 for rate in document["ceilings"].values())
    for precision, profiled in found["profile"].items():
        stages = profiled["stages"]
        assert stages.keys() >= COMMON
        assert 0.0 < sum(s["seconds"] for s in stages.values()) < profiled["seconds"]
        assert (stages["rows"]["single_flops"] > 0.0) == (precision == "mixed")
        for name in COMMON - {"upload", "download"}:
            assert stages[name]["share"] > 0.0, name
    monkeypatch.syspath_prepend(str(ROOT))
    maker = importlib.import_module("benchmarks.gpu_page")
    page = maker.render(document)
    assert "dry run" in page
    for precision in found["profile"]:
        assert f"### {maker.CASES[case]}, {found['size']}, {precision}\n" in page
    assert "| normal equations |" in page
    assert page.count("not measured") > 0  # the other cases
