# SPDX-License-Identifier: BSD-3-Clause
"""tests/gpu/run, with all that it calls replaced by what notes how it was called."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

NOTE = """#!/bin/bash
{{ printf '%q ' "$(basename "$0")" "$@"; echo; }} >>{log}
{more}
"""
# venv: makes what is activated. -: a program on standard input. The benchmark: leaves a result.
PYTHON = """
case "$*" in
  "-m venv "*) mkdir -p "$3/bin"; : >"$3/bin/activate" ;;
  "- "*) exec {python} "$@" ;;
  *benchmarks.gpu\\ *) for last; do :; done; echo '{result}' >"$last" ;;
esac
"""
RESULT = '{"cases": {"seed_fit": {"seconds": 0.004, "worst_sigma": 1e-9, "same_bits": true}}}'


def called(tmp_path: Path, sanitizer_fails: str = "none", result: str = RESULT) -> tuple:
    """Exit status, result and calls of a run."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash")
    commands, log = tmp_path / "bin", tmp_path / "log"
    commands.mkdir()
    sanitizer = f'[[ "$*" != *"--tool {sanitizer_fails}"* ]]'
    python = PYTHON.format(python=sys.executable, result=result)
    for name, more in {
        "python3": python,
        "python": python,
        "pip": "",
        "jointlight": "",
        "nvcc": "",
        "compute-sanitizer": sanitizer,
    }.items():
        command = commands / name
        command.write_text(NOTE.format(log=log, more=more))
        command.chmod(0o755)
    out = tmp_path / "out.json"
    done = subprocess.run(
        [bash, str(ROOT / "tests/gpu/run"), str(out), "0.5"],
        env=os.environ | {"PATH": f"{commands}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    calls = [shlex.split(line) for line in log.read_text().splitlines()]
    return done, json.loads(out.read_text()), calls


def test_tests_and_figures_end_in_one_result(tmp_path: Path) -> None:
    done, document, calls = called(tmp_path)
    assert done.returncode == 0, done.stderr
    assert document["tests"] == dict.fromkeys(
        ("device_tests", "contract_suite", "memcheck", "racecheck", "initcheck"), True
    )
    met = {row["work"]: row["met"] for row in document["targets"]}
    assert met["three-image fit, whole"] is True
    assert met["compute-sanitizer memcheck finds nothing"] is True
    (measured,) = [c for c in calls if "benchmarks.gpu" in c]
    assert measured[measured.index("--scale") + 1] == "0.5"
    (page,) = [c for c in calls if "benchmarks.gpu_page" in c]
    assert page[-1] == str(tmp_path / "out.json")


def test_what_fails_is_noted_and_fails_the_run(tmp_path: Path) -> None:
    done, document, _ = called(tmp_path, sanitizer_fails="racecheck")
    assert done.returncode == 1
    assert document["tests"]["memcheck"] is True
    assert document["tests"]["racecheck"] is False


def test_failed_case_fails_the_run(tmp_path: Path) -> None:
    done, _, _ = called(tmp_path, result='{"cases": {"seed_fit": {"failed": "CudaError"}}}')
    assert done.returncode == 1
    assert "failed: seed_fit" in done.stderr


def test_reduced_suite_is_small_and_of_the_device(tmp_path: Path) -> None:
    """Quoted right, pytest sees one expression, which selects the device's tests."""
    _, _, calls = called(tmp_path)
    sanitized = [c for c in calls if c[0] == "compute-sanitizer"]
    assert [c[c.index("--tool") + 1] for c in sanitized] == ["memcheck", "racecheck", "initcheck"]
    command = sanitized[0][sanitized[0].index("python") + 1 :]
    listed = subprocess.run(
        # (asdf 3.5's own pytest plugin does not load under pytest 9.)
        [
            sys.executable,
            *command,
            "-p",
            "no:asdf_schema_tester",
            "-W",
            "default",
            "--collect-only",
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    names = [line.partition("::")[2] for line in listed.splitlines() if "::" in line]
    assert 10 < len(names) < 40
    for way in ("one box", "two parts", "pixels"):
        assert any(f"cuda-sersic-{way}" in name for name in names)
    assert "test_models_of_several_bands" in names
    assert not any("emulated" in name for name in names)
