# SPDX-License-Identifier: BSD-3-Clause
"""Compile and run every ``test_*.cpp`` of this folder: plain programs that exit 0 if all is well.

Comments in a program's first lines say what it takes besides ``csrc`` on the include path:
``// sources: csrc/solve/lm.cpp ...``, ``// needs: eigen``, ``// flags: -O3 ...``.
With JOINTLIGHT_SANITIZE set they run under the address and undefined-behaviour sanitisers.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_program(program: Path, compiler: str, build_folder: Path) -> None:
    asked = header(program)
    command = [compiler, *FLAGS, *asked["flags"], f"-I{ROOT / 'csrc'}", f"-I{HERE}"]
    for need in asked["needs"]:
        assert need == "eigen", f"{program.name} needs {need!r}: only 'eigen' is known"
        include = eigen_include()
        if include is None:
            pytest.skip("Eigen's headers are not installed (pip install cmeel-eigen)")
        command += ["-isystem", str(include), "-DEIGEN_MPL2_ONLY"]
    target = build_folder / program.stem
    command += [str(program), *(str(ROOT / source) for source in asked["sources"])]
    command += ["-pthread", "-o", str(target)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, f"{' '.join(command)}\n{built.stderr}"
    ran = subprocess.run([target], capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, f"{ran.stdout}{ran.stderr}"
