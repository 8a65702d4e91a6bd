# SPDX-License-Identifier: BSD-3-Clause
"""The performance page's figures are those of the stored results, and so are its verdicts."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest

from reference.scripts import load

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def page() -> ModuleType:
    return load(ROOT / "benchmarks" / "page.py")


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


def test_every_row_says_what_would_bound_it(page: ModuleType) -> None:
    assert set(page.rows.BOUNDS) == {row.key for row in page.rows.ROWS}


def test_every_missed_row_has_its_line_on_the_page(page: ModuleType) -> None:
    document = page.stored("fast.json")
    missed = [row for row in page.rows.judged(document) if row["met"] is False]
    lines = [line for line in page.targets(document).splitlines() if line.startswith("- ")]
    assert len(lines) == len(missed)
    for row, line in zip(missed, lines, strict=True):
        assert row["work"] in line
        assert page.rows.BOUNDS[row["key"]] in line


def test_nothing_stale_is_stored(page: ModuleType) -> None:
    """Every row was measured, and every group says at which commit; the page names them."""
    document = page.stored("fast.json")
    groups = {row.group for row in page.rows.ROWS} | {"limits", "stages"}
    assert groups <= set(document)
    assert groups == set(document["measured"])
    assert not document.get("failed")
    assert [row["key"] for row in document["rows"]] == [row.key for row in page.rows.ROWS]
    assert all(row["met"] is not None for row in document["rows"])
    text = page.page()
    assert all(facts["commit"] in text for facts in document["measured"].values())


def test_ratios_are_over_the_same_objects(page: ModuleType) -> None:
    """Ours on all stamps, theirs on a few, has no ratio."""
    rows = page.rows
    ours = {"fits": {"n": 1000, "median_cpu_s": 2.0}, "fits_chosen": {"n": 24, "median_cpu_s": 0.1}}
    theirs = {"fits": {"n": 24, "median_cpu_s": 5.0}}
    peers = {"jointlight": {"quantities": ours}, "other": {"quantities": theirs}}
    ratio = rows.faster("stamps", "other")
    assert ratio({"stamps": {"peers": peers}}) == pytest.approx(50.0)
    ours["fits_chosen"]["n"] = 1000
    assert ratio({"stamps": {"peers": peers}}) is None


def test_stages_and_sources_took_time(page: ModuleType) -> None:
    """With the stage clocks off they would say 0."""
    found = page.stored("fast.json")["stages"]
    scaling = found["scaling"]
    each = [*found["stages"].values(), *scaling["sources"].values()]
    each += [e for pair in scaling["threads"].values() for e in pair.values()]
    for e in each:
        assert 0.0 < e["used"] <= e["seconds"]["total"]
        assert len(e["seconds"]) > 2
    counts = [e["used"] for e in scaling["sources"].values()]
    assert counts == sorted(counts)


def test_worse_evaluations_are_named(page: ModuleType) -> None:
    def summary(mean: float, wrong: int) -> dict:
        tail = dict.fromkeys(page.TAIL, 9.0) | {"mean": mean}
        kind = {"n": 10, "n_linearize": tail, "not_converged": 0, "wrong": wrong}
        return {"commit": "c", "summary": {"single": kind, "blend": kind, "all": kind}}

    assert "nothing got worse" in page.worse(summary(5.0, 1), summary(6.0, 1))
    said = page.worse(summary(6.0, 3), summary(5.0, 1))
    assert "evaluations (mean) 5.0 to 6.0" in said
    assert "blends: not at the optimum 1 to 3 of 10" in said
