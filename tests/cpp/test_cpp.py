# SPDX-License-Identifier: BSD-3-Clause
"""Compile and run every ``test_*.cpp`` of this folder: plain programs that exit 0 if all is well.

Comments in a program's first lines say what it takes besides ``csrc`` on the include path:
``// sources: csrc/solve/lm.cpp ...``, ``// needs: eigen``, ``// flags: -O3 ...``. What needs
``kernels`` gets those of the base level, and takes long to compile.
With JOINTLIGHT_SANITIZE set they run under the address and undefined-behaviour sanitisers.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cpp.kernel_build import compile_kernels, strays

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PROGRAMS = sorted(HERE.glob("test_*.cpp"))
FLAGS = ["-std=c++20", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
if os.environ.get("JOINTLIGHT_SANITIZE"):
    FLAGS += ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
HEADER_LINES = 8


def header(program: Path) -> dict[str, list[str]]:
    """What the leading comments ask for: ``{"sources": [...], "needs": [...], "flags": [...]}``."""
    asked: dict[str, list[str]] = {"sources": [], "needs": [], "flags": []}
    for line in program.read_text().splitlines()[:HEADER_LINES]:
        match = re.match(r"//\s*(sources|needs|flags):\s*(.*)", line)
        if match:
            asked[match[1]] += match[2].split()
    return asked


def eigen_include() -> Path | None:
    """Headers of the build requirement cmeel-eigen, or of the system."""
    candidates = [
        Path(entry) / "cmeel.prefix" / "include" / "eigen3" for entry in sys.path if entry
    ]
    candidates.append(Path("/usr/include/eigen3"))
    return next((path for path in candidates if path.is_dir()), None)


@pytest.fixture(scope="session")
def compiler() -> str:
    """Path of $CXX, by default ``c++``."""
    name = os.environ.get("CXX", "c++")
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no C++ compiler: {name!r} is not on PATH")
    return found


@pytest.fixture(scope="session")
def build_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this session's programs are compiled."""
    return tmp_path_factory.mktemp("cpp")


def parameters() -> list:
    """Programs by name, slow ones marked."""
    slow = [pytest.mark.slow]
    return [
        pytest.param(path, id=path.stem, marks=slow if "kernels" in header(path)["needs"] else [])
        for path in PROGRAMS
    ]


def sources(patterns: list[str]) -> list[str]:
    """Files by name or pattern; kernels.cpp comes by its level."""
    found = [path for pattern in patterns for path in sorted(ROOT.glob(pattern))]
    return [str(path) for path in found if path.name != "kernels.cpp"]


@pytest.fixture(scope="session")
def kernels(compiler: str, build_folder: Path) -> list[Path]:
    """Objects of the base level."""
    return compile_kernels(compiler, build_folder, "base")


@pytest.mark.slow
@pytest.mark.parametrize("level", ["base", "v3"])
def test_kernels_export_only_their_level(
    level: str, compiler: str, kernels: list[Path], tmp_path: Path
) -> None:
    if shutil.which("nm") is None:
        pytest.skip("nm is not on PATH")
    if level == "v3" and platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("a level of x86-64")
    objects = kernels if level == "base" else compile_kernels(compiler, tmp_path, level)
    assert strays(objects, level) == []


def test_shared_symbol_is_a_stray(compiler: str, tmp_path: Path) -> None:
    if shutil.which("nm") is None:
        pytest.skip("nm is not on PATH")
    source = tmp_path / "shared.cpp"
    source.write_text("inline int shared() { return 1; }\nint (*isa_base)() = &shared;\n")
    made = source.with_suffix(".o")
    subprocess.run([compiler, "-c", str(source), "-o", str(made)], check=True)
    assert strays([made], "base") == ["_Z6sharedv"]


@pytest.mark.parametrize("program", parameters())
def test_program(
    program: Path, compiler: str, build_folder: Path, request: pytest.FixtureRequest
) -> None:
    asked = header(program)
    command = [compiler, *FLAGS, *asked["flags"], f"-I{ROOT / 'csrc'}", f"-I{HERE}"]
    for need in asked["needs"]:
        if need == "kernels":
            command += [str(path) for path in request.getfixturevalue("kernels")]
            command += [f"-I{build_folder / 'generated'}", "-DJL_HAVE_base"]
            continue
        assert need == "eigen", f"{program.name} needs {need!r}: 'eigen', 'kernels' are known"
        include = eigen_include()
        if include is None:
            pytest.skip("Eigen's headers are not installed (pip install cmeel-eigen)")
        command += ["-isystem", str(include), "-DEIGEN_MPL2_ONLY"]
    target = build_folder / program.stem
    command += [str(program), *sources(asked["sources"])]
    command += ["-pthread", "-o", str(target)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, f"{' '.join(command)}\n{built.stderr}"
    ran = subprocess.run([target], capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, f"{ran.stdout}{ran.stderr}"
