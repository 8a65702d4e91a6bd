# SPDX-License-Identifier: BSD-3-Clause
"""The house's layout: dependencies point one way, bindings stay thin, files stay short."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"
PACKAGE = ROOT / "python" / "jointlight"

# Lower layers first. A file may include or import its own layer and those before it.
CPP_LAYERS = (
    ("base",),
    ("profiles",),
    ("scene",),
    ("stages",),
    ("backend",),
    ("solve",),
    ("bindings",),
)
PYTHON_LAYERS = (
    ("_core", "_cuda"),
    ("errors", "flags"),
    ("backends",),
    ("choose", "device_arrays"),
    ("parameters", "ties", "image", "psf", "wcs"),
    ("scene",),
    ("initialize",),
    ("models",),
    ("result",),
    ("fit", "plots", "io", "catalog", "astrophot"),
    ("many",),
    ("demo",),
    ("cli",),
    ("__init__", "__main__"),
)
# Conveniences on a model (`model.fit()`, ...) reach up, inside the method only.
LAZY_UPWARD = {"models": {"fit", "result", "plots", "io"}, "result": {"plots", "io"}}

MAX_CODE_LINES = 600
MAX_BINDING_LINES = 150
CPP_SUFFIXES = {".hpp", ".cpp", ".cuh", ".cu"}


def ranks(layers: tuple[tuple[str, ...], ...]) -> dict[str, int]:
    return {name: rank for rank, names in enumerate(layers) for name in names}


CPP_RANK = ranks(CPP_LAYERS)
PYTHON_RANK = ranks(PYTHON_LAYERS)


def cpp_sources() -> list[Path]:
    return sorted(path for path in CSRC.rglob("*") if path.suffix in CPP_SUFFIXES)


def python_sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def code_lines_cpp(text: str) -> int:
    """Lines that are neither blank nor comment only."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    stripped = (re.sub(r"//.*", "", line).strip() for line in text.splitlines())
    return sum(bool(line) for line in stripped)


def code_lines_python(text: str) -> int:
    """Lines that hold a token which is neither a comment nor part of a docstring."""
    tree = ast.parse(text)
    docstrings: set[int] = set()
    scopes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, scopes) and ast.get_docstring(node, clean=False) is not None:
            docstring = node.body[0]
            docstrings.update(range(docstring.lineno, (docstring.end_lineno or 0) + 1))
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENCODING}
    skipped |= {tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in skipped:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


# ---- C++ ------------------------------------------------------------------------------------


def local_includes(path: Path) -> Iterator[str]:
    for line in path.read_text().splitlines():
        match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if match:
            yield match.group(1)


def cpp_layer(path: Path) -> str:
    return path.relative_to(CSRC).parts[0]


@pytest.mark.parametrize("path", cpp_sources(), ids=relative)
def test_includes_point_down(path: Path) -> None:
    layer = cpp_layer(path)
    assert layer in CPP_RANK, f"csrc/{layer} has no place in CPP_LAYERS"
    for include in local_includes(path):
        target = include.split("/")[0]
        beside = (path.parent / include).is_file()
        if target not in CPP_RANK:
            # A generated header (configure_file) or a neighbour named without its folder.
            generated = list(CSRC.rglob(Path(include).name + ".in"))
            assert beside or generated, f"{relative(path)} includes unknown {include!r}"
            continue
        assert CPP_RANK[target] <= CPP_RANK[layer], (
            f"{relative(path)} ({layer}) includes {include!r}, a layer above it"
        )


def test_includes_have_no_cycle() -> None:
    graph = {
        path.relative_to(CSRC).as_posix(): [
            include for include in local_includes(path) if (CSRC / include).is_file()
        ]
        for path in cpp_sources()
    }
    assert not find_cycle(graph)


def test_python_headers_stay_in_the_bindings() -> None:
    pattern = re.compile(r"#\s*include\s+[<\"](pybind11/|Python\.h)")
    strays = [
        relative(path)
        for path in cpp_sources()
        if cpp_layer(path) != "bindings" and pattern.search(path.read_text())
    ]
    assert not strays, f"Python headers outside csrc/bindings: {strays}"


def test_device_sources_hold_no_python_and_host_sources_no_cuda() -> None:
    cuda_folder = CSRC / "backend" / "cuda"
    strays = [
        relative(path)
        for path in cpp_sources()
        if cuda_folder not in path.parents
        and (path.suffix in {".cu", ".cuh"} or "cuda_runtime" in path.read_text())
    ]
    assert not strays, f"CUDA outside csrc/backend/cuda: {strays}"


BINDINGS = [path for path in cpp_sources() if cpp_layer(path) == "bindings"]


@pytest.mark.parametrize("path", BINDINGS, ids=relative)
def test_bindings_hold_no_algorithm(path: Path) -> None:
    text = path.read_text()
    lines = code_lines_cpp(text)
    assert lines <= MAX_BINDING_LINES, f"{relative(path)}: {lines} code lines"
    for header in ("cmath", "numeric", "thread", "random", "complex"):
        assert f"<{header}>" not in text, f"{relative(path)} includes <{header}>"
    for include in local_includes(path):
        assert not include.startswith(("stages/", "base/vmath", "base/special")), (
            f"{relative(path)} includes {include!r}: bindings call scenes, backends and solvers"
        )
    assert not re.search(r"\bwhile\s*\(", text), f"{relative(path)} loops until something holds"


# ---- Python ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Import:
    """One import of a jointlight module."""

    target: str  # dotted, without the leading "jointlight."
    lazy: bool  # inside a function, or for the type checker only
    typing_only: bool
    line: int


def module_name(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".")


def python_layer(module: str) -> str:
    return module.partition(".")[0]


def is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
    return name == "TYPE_CHECKING"


def package_imports(path: Path) -> list[Import]:
    package = module_name(path).split(".")[:-1]
    found: list[Import] = []

    def add(node: ast.Import | ast.ImportFrom, lazy: bool, typing_only: bool) -> None:
        targets: list[str] = []
        if isinstance(node, ast.Import):
            names = (alias.name.split(".") for alias in node.names)
            targets = [
                ".".join(name[1:]) or "__init__" for name in names if name[0] == PACKAGE.name
            ]
        else:
            base = (node.module or "").split(".") if node.module else []
            if node.level:
                base = package[: len(package) - (node.level - 1)] + base
            elif base[:1] == [PACKAGE.name]:
                base = base[1:]
            else:
                return
            targets = [resolve([*base, alias.name]) for alias in node.names]
        found.extend(Import(target, lazy, typing_only, node.lineno) for target in targets)

    def resolve(parts: list[str]) -> str:
        """The module that `from base import name` reads: base.name if a module, else base."""
        as_path = PACKAGE.joinpath(*parts)
        stub = as_path.with_suffix(".pyi")
        if as_path.is_dir() or as_path.with_suffix(".py").is_file() or stub.is_file():
            return ".".join(parts)
        return ".".join(parts[:-1]) or "__init__"

    def walk(node: ast.AST, lazy: bool, typing_only: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import | ast.ImportFrom):
                add(child, lazy, typing_only)
            elif isinstance(child, ast.If) and is_type_checking(child.test):
                for statement in child.body:
                    walk(ast.Module([statement], []), lazy, True)
                for statement in child.orelse:
                    walk(ast.Module([statement], []), lazy, typing_only)
            else:
                inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                walk(child, lazy or inside, typing_only)

    walk(ast.parse(path.read_text()), False, False)
    return found


@pytest.mark.parametrize("path", python_sources(), ids=relative)
def test_imports_point_down(path: Path) -> None:
    layer = python_layer(module_name(path))
    assert layer in PYTHON_RANK, f"{relative(path)} has no place in PYTHON_LAYERS"
    for item in package_imports(path):
        target = python_layer(item.target)
        assert target in PYTHON_RANK, f"{relative(path)}:{item.line} imports unknown {target!r}"
        if item.typing_only or PYTHON_RANK[target] <= PYTHON_RANK[layer]:
            continue
        if target == "__init__" and layer in {"demo", "cli"}:
            continue
        allowed = item.lazy and target in LAZY_UPWARD.get(layer, set())
        assert allowed, f"{relative(path)}:{item.line} ({layer}) imports {item.target!r}, above it"


def test_imports_have_no_cycle() -> None:
    """Import-time cycles only: lazy imports and those for the type checker do not count."""
    graph: dict[str, list[str]] = {}
    for path in python_sources():
        name = module_name(path)
        name = name.removesuffix(".__init__") if "." in name else name
        graph[name] = [
            item.target for item in package_imports(path) if not item.lazy and not item.typing_only
        ]
    # A package's modules may use what its __init__ does not need of them; skip self references.
    graph = {name: [t for t in targets if t != name] for name, targets in graph.items()}
    assert not find_cycle(graph)


def find_cycle(graph: dict[str, list[str]]) -> list[str]:
    """Some cycle of the graph as a list of nodes; empty where there is none."""
    done: set[str] = set()

    def visit(node: str, trail: list[str]) -> list[str]:
        if node in trail:
            return [*trail[trail.index(node) :], node]
        if node in done:
            return []
        for target in graph.get(node, []):
            cycle = visit(target, [*trail, node])
            if cycle:
                return cycle
        done.add(node)
        return []

    return next((cycle for node in graph if (cycle := visit(node, []))), [])


def test_astropy_wcs_stays_with_the_images() -> None:
    """Sky coordinates are evaluated by the image layer; the demo builds a WCS."""
    strays = [
        relative(path)
        for path in python_sources()
        if python_layer(module_name(path)) not in {"wcs", "image", "psf", "demo"}
        and re.search(r"^\s*(from|import) astropy\.wcs", path.read_text(), re.MULTILINE)
        and not only_for_types(path, "astropy.wcs")
    ]
    assert not strays, f"astropy.wcs outside the image layer: {strays}"


def only_for_types(path: Path, module: str) -> bool:
    """True if every import of `module` sits under `if TYPE_CHECKING`."""
    tree = ast.parse(path.read_text())
    guarded: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and is_type_checking(node.test):
            guarded.update(id(child) for child in ast.walk(node))
    for node in ast.walk(tree):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if any(name.startswith(module) for name in names) and id(node) not in guarded:
            return False
    return True


# ---- every file -----------------------------------------------------------------------------


def repository_sources() -> list[Path]:
    tops = ("csrc", "python", "tests", "benchmarks", "examples", "docs")
    suffixes = {*CPP_SUFFIXES, ".py", ".pyi"}
    found = [path for top in tops for path in (ROOT / top).rglob("*") if path.suffix in suffixes]
    return sorted(path for path in found if "_build" not in path.parts)


@pytest.mark.parametrize("path", repository_sources(), ids=relative)
def test_source_file(path: Path) -> None:
    text = path.read_text()
    first = "// " if path.suffix in CPP_SUFFIXES else "# "
    expected = f"{first}SPDX-License-Identifier: BSD-3-Clause"
    opening = text.splitlines()[:2]
    assert expected in opening, f"{relative(path)} does not begin with {expected!r}"
    counter = code_lines_cpp if path.suffix in CPP_SUFFIXES else code_lines_python
    lines = counter(text)
    assert lines <= MAX_CODE_LINES, f"{relative(path)}: {lines} code lines: two rooms?"


def text_files() -> list[Path]:
    suffixes = {
        *CPP_SUFFIXES,
        ".py",
        ".pyi",
        ".md",
        ".toml",
        ".txt",
        ".cmake",
        ".in",
        ".cff",
    }
    suffixes |= {".yaml", ".yml", ".json", ".css"}
    skipped = {
        ".git",
        "build",
        "dist",
        "_build",
        "_generated",
        "node_modules",
        "_executed",
    }
    found = [
        path
        for path in ROOT.rglob("*")
        if path.is_file()
        and (path.suffix in suffixes or path.parent.name == ".ci")
        and not any(part in skipped or part.startswith(".venv") for part in path.parts)
        and not any(part.endswith((".egg-info", "_cache")) for part in path.parts)
    ]
    return sorted(found)


def test_no_machine_paths() -> None:
    """The repository says nothing of the machine it was written on."""
    folders = "work|root|home|farm"
    pattern = re.compile(rf"(?<![\w.~>-])/({folders})/\w")
    hits = [
        f"{relative(path)}:{number}: {line.strip()}"
        for path in text_files()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not hits, "\n".join(hits)
