# SPDX-License-Identifier: BSD-3-Clause
"""The GPU page's figures are those of the stored result; targets can be met and missed."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def page() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        return importlib.import_module("benchmarks.gpu_page")


@pytest.fixture(scope="module")
def rows() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        return importlib.import_module("benchmarks.gpu_rows")


@pytest.mark.slow
def test_page_knows_every_case(page: ModuleType) -> None:
    measured = importlib.import_module("benchmarks.gpu")
    assert page.CASES.keys() == measured.CASES.keys()


def document(**changed: Any) -> dict[str, Any]:
    """A result in which every target is met."""
    many = {
        precision: {"per_second": 1e5, "seconds": 0.1, "worst_sigma": 1e-9, "same_bits": True}
        for precision in ("float64", "mixed")
    }
    names = ("stamps_10000", "stamps_100000", "nine_bands_5000")
    cases: dict[str, Any] = {name: {"size": 10, "cpu_s": 1.0} | many for name in names}
    cases["seed_fit"] = {
        "size": 1,
        "cpu_s": 0.05,
        "seconds": 0.004,
        "worst_sigma": 1e-9,
        "same_bits": True,
    }
    parts = ("device_tests", "contract_suite", "memcheck", "racecheck", "initcheck")
    return {
        "cases": cases,
        "first_call": {"first_s": 0.4},
        "tests": dict.fromkeys(parts, True),
    } | changed


def test_page_is_that_of_the_stored_result(page: ModuleType) -> None:
    text = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    assert text == page.page(), "run python -m benchmarks.gpu_page"


def test_page_without_a_result_says_so(page: ModuleType) -> None:
    text = page.render(None)
    assert "No figures have been measured" in text
    assert "tests/gpu/run" in text
    assert text.index('backend="cuda"') < text.index("tests/gpu/run")  # what a user can do, first
    assert "| met |" not in text
    assert "missed" not in text


def test_every_target_can_be_met_and_missed(rows: ModuleType) -> None:
    assert [row["met"] for row in rows.judged(document())] == [True] * len(rows.TARGETS)
    worse = document(first_call={"first_s": 0.6})
    for facts in worse["cases"].values():
        for found in (facts, *(facts[k] for k in ("float64", "mixed") if k in facts)):
            found.update(per_second=1.0, seconds=1.0, worst_sigma=1e-3, same_bits=False)
    worse["tests"] = dict.fromkeys(worse["tests"], False)
    assert [row["met"] for row in rows.judged(worse)] == [False] * len(rows.TARGETS)
    nothing = {"cases": {}, "first_call": {}}
    assert [row["met"] for row in rows.judged(nothing)] == [None] * len(rows.TARGETS)


def test_a_stage_is_bound_by_what_takes_longer(rows: ModuleType) -> None:
    ceilings = {"bytes": 1e9, "flops": 1e9, "single_flops": 2e9, "upload": 1e8}
    ceilings |= {"download": 1e8, "launch": 1e-3}

    def stage(**given: float) -> dict[str, float]:
        return {"seconds": 4.0, "launches": 1, "bytes": 0.0, "flops": 0.0, "single_flops": 0.0} | (
            given
        )

    found = rows.against_ceilings(
        {
            "columns": stage(bytes=1e9, flops=1e9, single_flops=2e9),
            "residual": stage(bytes=3e9, flops=1e9),
            "copies": stage(bytes=1e9, launches=2000),
            "upload": stage(bytes=1e8),
        },
        ceilings,
    )
    assert found["columns"]["binds"] == "arithmetic"
    assert found["columns"]["share"] == pytest.approx(0.5)  # one second each, of four
    assert found["residual"]["binds"] == "memory"
    assert found["residual"]["share"] == pytest.approx(0.75)
    assert found["residual"]["bytes_per_s"] == pytest.approx(0.75e9)
    assert found["copies"]["binds"] == "launches"
    assert found["copies"]["share"] == pytest.approx(0.5)
    assert found["upload"]["binds"] == "link"
    assert found["upload"]["share"] == pytest.approx(0.25)
