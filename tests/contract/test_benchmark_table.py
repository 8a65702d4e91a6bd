# SPDX-License-Identifier: BSD-3-Clause
"""The runner of the performance table: what fails costs no other row, and the count is printed."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT)
    pytest.importorskip("galsim")
    return importlib.import_module("benchmarks.table")


def run(
    runner: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    out: Path,
    groups: dict[str, Any],
    *words: str,
) -> dict[str, Any]:
    monkeypatch.setattr(runner, "GROUPS", groups)
    monkeypatch.setattr(sys, "argv", ["table", "--out", str(out), *words])
    runner.main()
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def fails(_: Any) -> Any:
    raise RuntimeError("no such thing")


def test_a_group_that_fails_leaves_the_others(
    runner: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    startup = {"first_fit_s": 0.04, "import_s": 1.0}
    groups = {
        "nine_bands": lambda _: {"per_second": 20.0},
        "crowded": fails,
        "startup": lambda _: startup,
        "memory": fails,
    }
    found = run(runner, monkeypatch, tmp_path / "out.json", groups)
    met = {row["key"]: row["met"] for row in found["rows"] if row["met"] is not None}
    assert met == {"nine_bands": True, "first_fit": True, "import": False}
    assert set(found["failed"]) == {"crowded", "memory"}
    assert set(found["measured"]) == {"nine_bands", "startup"}
    said = capsys.readouterr().out
    assert (
        f"{len(found['rows'])} rows: 2 met, 1 MISSED, {len(found['rows']) - 3} not measured" in said
    )
    assert "crowded: not measured: RuntimeError: no such thing" in said


def test_a_group_measured_anew_is_no_longer_the_old_one(
    runner: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    good = {"nine_bands": lambda _: {"per_second": 20.0}, "memory": lambda _: {}}
    run(runner, monkeypatch, out, good)
    found = run(runner, monkeypatch, out, good | {"nine_bands": fails}, "--only", "nine_bands")
    assert "nine_bands" not in found
    assert set(found["measured"]) == {"memory"}
    found = run(runner, monkeypatch, out, good, "--only", "nine_bands")
    assert found["nine_bands"] == {"per_second": 20.0}
    assert found["failed"] == {}
