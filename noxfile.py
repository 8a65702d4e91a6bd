# SPDX-License-Identifier: BSD-3-Clause
"""One named session a job; `.ci/run` runs the same commands in one virtual environment."""

from __future__ import annotations

import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2024.4"
nox.options.sessions = ["lint", "types", "tests"]
nox.options.reuse_existing_virtualenvs = True

CPP_FOLDERS = ("csrc", "tests/cpp")
CPP_SUFFIXES = (".hpp", ".cpp", ".cuh", ".cu")


def cpp_files() -> list[str]:
    """Every C++ and CUDA source of the repository."""
    files = (path for folder in CPP_FOLDERS for path in Path(folder).rglob("*"))
    return sorted(str(path) for path in files if path.suffix in CPP_SUFFIXES)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff and clang-format, nothing rewritten."""
    session.install("ruff>=0.6", "clang-format>=18")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("clang-format", "--dry-run", "--Werror", *cpp_files())


@nox.session
def format(session: nox.Session) -> None:
    """Rewrite Python and C++ sources in the house style."""
    session.install("ruff>=0.6", "clang-format>=18")
    session.run("ruff", "check", "--fix", ".")
    session.run("ruff", "format", ".")
    session.run("clang-format", "-i", *cpp_files())


@nox.session
def types(session: nox.Session) -> None:
    """Mypy, strict, on the package; stubs against the compiled modules."""
    session.install(".[test]", "mypy>=1.11")
    session.run("mypy")
    session.run("pytest", "tests/contract/test_stubs.py")


@nox.session
def tests(session: nox.Session) -> None:
    """The test suite; arguments after `--` go to pytest."""
    session.install(".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def slow(session: nox.Session) -> None:
    """The studies that CI also runs: pulls, start values, random bad parameters."""
    session.install(".[test]")
    session.run("pytest", "-m", "slow", *session.posargs)


@nox.session
def oldest(session: nox.Session) -> None:
    """The test suite with the oldest supported dependencies."""
    # The extra `test` but for gwcs, which asks for newer ones; the tests that need it skip.
    tests = ("pytest", "hypothesis", "galsim", "mpmath", "cmeel-eigen")
    session.install(".", *tests, "--constraint", ".ci/oldest.txt")
    session.run("pytest", "-W", "default", "-p", "no:asdf_schema_tester", *session.posargs)


@nox.session
def cpp(session: nox.Session) -> None:
    """C++ unit tests under the address and undefined-behaviour sanitisers."""
    session.install("pytest", "numpy", "hypothesis", "pybind11", "cmake>=3.28", "cmeel-eigen")
    session.run("pytest", "tests/cpp", env={"JOINTLIGHT_SANITIZE": "1"})


@nox.session
def docs(session: nox.Session) -> None:
    """HTML documentation, warnings as errors, its examples executed."""
    session.install(".[docs]")
    session.run("sphinx-build", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html")


@nox.session
def figures(session: nox.Session) -> None:
    """The README's picture, from the README's own example."""
    session.install(".")
    session.run("python", "docs/make_figures.py")


@nox.session
def bench(session: nox.Session) -> None:
    """Named benchmark cases; results with machine facts go to benchmarks/results."""
    session.install(".[test]")
    session.run("python", "-m", "benchmarks.run", *session.posargs)


@nox.session
def cuda(session: nox.Session) -> None:
    """Build the CUDA module, warnings as errors; its tests run where a device is found."""
    if shutil.which("nvcc") is None:
        session.skip("nvcc is not on PATH")
    define = (
        "-C",
        "cmake.define.JOINTLIGHT_CUDA=ON",
        "-C",
        "cmake.define.JOINTLIGHT_WERROR=ON",
    )
    session.install(".[test]", *define)
    session.run("pytest", "-m", "gpu or not slow", "tests/unit/test_backends.py")
