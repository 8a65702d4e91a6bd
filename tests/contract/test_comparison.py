# SPDX-License-Identifier: BSD-3-Clause
"""The README's figures are those of the stored benchmark."""

from __future__ import annotations

import json
from pathlib import Path

from reference.scripts import load

ROOT = Path(__file__).resolve().parents[2]


def test_readme_figures_come_from_the_stored_result() -> None:
    report = load(ROOT / "benchmarks" / "report.py")
    result = json.loads(report.DEFAULT.read_text(encoding="utf-8"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert report.section(readme) == report.render(result)
