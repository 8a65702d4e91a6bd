# SPDX-License-Identifier: BSD-3-Clause
"""What README, CONTRIBUTING, CITATION, CHANGES and nox say is what the code does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import jointlight as jl
from reference.scripts import load

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)["project"]


def test_one_version(project: dict[str, Any]) -> None:
    version = project["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {version}" in (ROOT / "CHANGES.md").read_text()
    assert jl.__version__ == version


def test_floors_that_are_tested_are_those_declared(project: dict[str, Any]) -> None:
    text = (ROOT / ".ci" / "oldest.txt").read_text()
    tested = dict(re.findall(r"^([\w-]+)==([\d.]+)$", text, re.MULTILINE))
    declared = dict(item.split(">=") for item in project["dependencies"])
    assert tested.keys() == declared.keys()
    for name, floor in declared.items():
        assert f"{tested[name]}.".startswith(f"{floor}."), name


def test_jobs_that_contributing_names_exist() -> None:
    sessions = set(
        re.findall(r"^def (\w+)\(session", (ROOT / "noxfile.py").read_text(), re.MULTILINE)
    )
    named = set(re.findall(r"nox -s (\w+)", (ROOT / "CONTRIBUTING.md").read_text()))
    assert named <= sessions
    jobs = set(re.findall(r"^job_(\w+)\(\)", (ROOT / ".ci" / "run").read_text(), re.MULTILINE))
    assert {"test", "lint", "types", "cuda", "demo", "docs"} <= jobs


def test_contributing_shows_the_files_as_they_are() -> None:
    sync = load(ROOT / "docs" / "sync_contributing.py")
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert len(sync.BLOCK.findall(text)) == 2
    assert sync.synchronised(text) == text, "run python docs/sync_contributing.py"


def test_readme_commands_are_those_of_ci() -> None:
    readme = (ROOT / "README.md").read_text()
    script = (ROOT / ".ci" / "run").read_text()
    assert "pip install '.[test]' && pytest" in readme
    assert "pip install --quiet '.[test]'" in script
    assert "jointlight demo" in readme
    assert "jointlight demo" in script


def test_public_names_exist_and_are_documented() -> None:
    for name in jl.__all__:
        thing = getattr(jl, name)
        if callable(thing):
            assert (thing.__doc__ or "").strip(), name


def test_reference_lists_every_public_name() -> None:
    pages = "".join(path.read_text() for path in (ROOT / "docs" / "reference").glob("*.md"))
    for name in jl.__all__:
        assert re.search(rf"\b{name}\b", pages), f"docs/reference does not mention {name}"


def test_readme_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example = load(ROOT / "docs" / "make_figures.py").readme_example()
    assert len(example.splitlines()) <= 20
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {"__name__": "__main__"})
    assert (tmp_path / "fit.png").stat().st_size > 10_000
    assert "Converged" in capsys.readouterr().out


def test_quickstart_job_is_valid(tmp_path: Path) -> None:
    import numpy as np
    from astropy.io import fits

    from jointlight.demo import BANDS
    from jointlight.io import read_job

    page = (ROOT / "docs" / "quickstart.md").read_text()
    text = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)[0]
    (tmp_path / "job.toml").write_text(text)
    header = BANDS[0].wcs().to_header()
    for name in re.findall(r'file = "(.*)"', text):
        fits.writeto(tmp_path / name, np.ones((64, 64)), header)
    assert read_job(tmp_path / "job.toml")
