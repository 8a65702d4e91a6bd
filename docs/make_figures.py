# SPDX-License-Identifier: BSD-3-Clause
"""Make the pictures that README and documentation keep in docs/_static.

README's own example gives its picture; each script in examples/ gives its figure and its table.
Examples whose images
are absent are left as they are, with a message.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STATIC = ROOT / "docs" / "_static"
EXAMPLES = ROOT / "examples"
WIDTH = 1000  # px


def readme_example() -> str:
    """The Python block of README.md."""
    found = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    if len(found) != 1:
        raise RuntimeError(f"README.md has {len(found)} Python blocks, expected one")
    return str(found[0])


def keep(picture: Path, folder: Path, stem: str) -> None:
    """A WebP copy no wider than a page: images of noise are large as PNG."""
    from PIL import Image

    with Image.open(picture) as full:
        image = full.convert("RGB")
    image.thumbnail((WIDTH, 4 * WIDTH), Image.Resampling.LANCZOS)
    image.save(folder / f"{stem}.webp", quality=85, method=6)


def readme_picture() -> None:
    """Run README's example and keep its figure."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        exec(compile(readme_example(), "README.md", "exec"), {"__name__": "__main__"})
        keep(Path("fit.png"), STATIC, "readme")


def example_pictures() -> None:
    """Run the examples; keep each one's table and figure under the script's name."""
    folder = STATIC / "examples"
    folder.mkdir(parents=True, exist_ok=True)
    for script in sorted(EXAMPLES.glob("*.py")):
        if "command_line(" not in script.read_text() or script.stem == "shared":
            continue
        with tempfile.TemporaryDirectory() as out:
            command = [sys.executable, script.name, "--out", out]
            done = subprocess.run(
                command, cwd=EXAMPLES, capture_output=True, text=True, check=False
            )
            if done.returncode:
                print(f"{script.name}: kept as it is. {done.stderr.strip().splitlines()[-1]}")
                continue
            (folder / f"{script.stem}.txt").write_text(done.stdout)
            for picture in sorted(Path(out).glob("*.png")):
                keep(picture, folder, picture.stem)
            print(f"{script.name}: done")


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "Agg")
    readme_picture()
    example_pictures()
