# SPDX-License-Identifier: BSD-3-Clause
"""The performance page's figures are those of the stored results, and so are its verdicts."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def page() -> ModuleType:
    path = ROOT / "benchmarks" / "page.py"
    spec = importlib.util.spec_from_file_location("performance_page", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_page_is_that_of_the_stored_results(page: ModuleType) -> None:
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert text == page.page(), "run python -m benchmarks.page"


def test_stored_verdicts_follow_from_the_stored_figures(page: ModuleType) -> None:
    path = ROOT / "benchmarks" / "results" / "fast.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["rows"] == page.rows.judged(document)


def test_every_row_can_be_met_and_missed(page: ModuleType) -> None:
    """A target on the wrong side would always be met."""
    for row in page.rows.ROWS:
        assert row.reach > 0
        text = page.rows.text_of(row.reach, row.unit, at_most=row.at_most)
        assert text[0] == ("≤" if row.at_most else "≥")
        assert row.at_most == (row.unit in ("s", "ms", "MB"))
