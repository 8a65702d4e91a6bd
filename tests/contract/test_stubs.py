# SPDX-License-Identifier: BSD-3-Clause
"""The typed stubs say what the compiled modules hold."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import jointlight

# The stubs of the checkout, so that a stale installation is noticed.
STUBS = Path(__file__).resolve().parents[2] / "python" / "jointlight"
COMPILED = ("_core", "_cuda")


def stub_names(body: list[ast.stmt]) -> set[str]:
    """Public functions, classes and constants of a module's or class's body."""
    names = set()
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return {name for name in names if name[0] != "_"}


def public(thing: object) -> set[str]:
    return {name for name in vars(thing) if not name.startswith("_")}


@pytest.mark.parametrize("name", COMPILED)
def test_stub_names_what_the_module_holds(name: str) -> None:
    try:
        module = importlib.import_module(f"jointlight.{name}")
    except ModuleNotFoundError:
        pytest.skip(f"jointlight.{name} was not built")
    tree = ast.parse((STUBS / f"{name}.pyi").read_text())
    assert stub_names(tree.body) == public(module)
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name[0] != "_":
            held = getattr(module, node.name)
            if not issubclass(held, BaseException):
                assert stub_names(node.body) == public(held), node.name


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_functions_are_documented(name: str) -> None:
    try:
        module = importlib.import_module(f"jointlight.{name}")
    except ModuleNotFoundError:
        pytest.skip(f"jointlight.{name} was not built")
    holders = [module, *(held for held in vars(module).values() if inspect.isclass(held))]
    for holder in holders:
        for member in public(holder):
            assert (getattr(holder, member).__doc__ or "").strip(), f"{holder}.{member}"


@pytest.mark.parametrize("name", COMPILED)
def test_stubtest(name: str) -> None:
    """mypy's own comparison of stub and module, where mypy is installed."""
    pytest.importorskip("mypy.stubtest")
    pytest.importorskip(f"jointlight.{name}", reason=f"jointlight.{name} was not built")
    command = [sys.executable, "-m", "mypy.stubtest", f"jointlight.{name}", "--concise"]
    command += ["--allowlist", str(Path(__file__).with_name("stubtest_allowlist.txt"))]
    command += ["--ignore-unused-allowlist"]
    if "--ignore-disjoint-bases" in run([*command[:3], "--help"]).stdout:
        command.append("--ignore-disjoint-bases")
    found = run(command)
    assert found.returncode == 0, found.stdout + found.stderr


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_package_is_marked_typed() -> None:
    assert (Path(jointlight.__file__).parent / "py.typed").is_file()
