# SPDX-License-Identifier: BSD-3-Clause
"""Running the scripts of examples/ where their data are there."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def run_example(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[Any, Any, Path]]:
    """``run_example(stem)``: module, comparison, data folder; skips where the data are absent."""
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def run(stem: str) -> tuple[Any, Any, Path]:
        module = importlib.import_module(stem)
        shared = importlib.import_module("shared")
        try:
            folder = shared.data_folder(module.NAME)
        except SystemExit as absent:
            pytest.skip(str(absent))
        comparison = module.compare(folder)
        print(comparison)
        return module, comparison, folder

    return run
