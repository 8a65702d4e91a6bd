# SPDX-License-Identifier: BSD-3-Clause
"""The kernels as CMakeLists.txt compiles them, for tests that need their objects.

    python kernel_build.py BUILD_FOLDER

checks the objects of a CMake build: no symbol leaves one that is not named after its level.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LEVELS = ("base", "v3", "v4")


def cmake_list(name: str) -> list[str]:
    """Words of a ``set(NAME ...)`` in CMakeLists.txt."""
    found = re.search(rf"set\({name} ([^)]*)\)", (ROOT / "CMakeLists.txt").read_text())
    assert found, name
    return found[1].replace('"', "").split()


def generate(folder: Path) -> list[Path]:
    """What CMake generates for the kernels, below folder/generated; the sources to compile."""
    stems = sorted(path.stem for path in (ROOT / "csrc" / "profiles").glob("*.hpp"))
    out = folder / "generated"
    out.mkdir(exist_ok=True)
    values = {
        "PROFILE_INCLUDES": "".join(f'#include "profiles/{s}.hpp"\n' for s in stems),
        "PROFILE_LIST": "".join(f"  X({s}) \\\n" for s in stems),
    }
    fill(ROOT / "csrc" / "scene" / "profile_list.hpp.in", out / "profile_list.hpp", values)
    template = ROOT / "csrc" / "backend" / "cpu" / "profile_kernels.cpp.in"
    made = [ROOT / "csrc" / "backend" / "cpu" / "kernels.cpp"]
    for stem in stems:
        made.append(out / f"profile_{stem}.cpp")
        fill(template, made[-1], {"PROFILE": stem})
    return made


def fill(template: Path, target: Path, values: dict[str, str]) -> None:
    """Replace @NAME@."""
    text = template.read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    target.write_text(text)


def compile_kernels(compiler: str, folder: Path, level: str) -> list[Path]:
    """Objects of one level, with the flags of the package."""
    sources = generate(folder)
    flags = [
        "-std=gnu++20",
        "-fPIC",
        *cmake_list("KERNEL_FLAGS"),
        *cmake_list(f"ISA_FLAGS_{level}"),
    ]
    flags += [f"-DJL_ISA=isa_{level}", "-Wno-psabi", f"-I{ROOT / 'csrc'}"]
    flags += [f"-I{folder / 'generated'}"]

    def one(source: Path) -> Path:
        target = folder / f"{level}_{source.stem}.o"
        command = [compiler, *flags, "-c", str(source), "-o", str(target)]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        assert built.returncode == 0, f"{' '.join(command)}\n{built.stderr}"
        return target

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, sources))


def strays(objects: list[Path], level: str) -> list[str]:
    """Defined symbols that other objects see without the level's name in them.

    The linker keeps one copy of a weak symbol: an AVX-512 copy of a shared one could end up in
    what every processor runs.
    """
    said = subprocess.run(
        ["nm", "--defined-only", "--extern-only", *map(str, objects)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    names = {fields[-1] for line in said.splitlines() if len(fields := line.split()) >= 3}
    assert names, "nm named no symbol"
    return sorted(name for name in names if f"isa_{level}" not in name)


def main() -> None:
    """Check a build folder."""
    build = Path(sys.argv[1])
    failed = False
    for level in LEVELS:
        objects = sorted((build / "CMakeFiles" / f"kernels_{level}.dir").rglob("*.o"))
        if not objects:
            continue
        found = strays(objects, level)
        failed |= bool(found)
        print(f"kernels_{level}: {len(objects)} objects, symbols without the level: {found or 0}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
