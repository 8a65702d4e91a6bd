# SPDX-License-Identifier: BSD-3-Clause
"""Copy the files that CONTRIBUTING.md shows into it: each code block below `<!-- file: PATH -->`.

Run after changing one of them; a test fails until then.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"(<!-- file: (\S+) -->\n```(?:cpp|python)\n)(.*?)(```\n)", re.DOTALL)


def synchronised(text: str) -> str:
    """The text with every marked block equal to its file."""
    return BLOCK.sub(lambda m: f"{m[1]}{(ROOT / m[2]).read_text()}{m[4]}", text)


if __name__ == "__main__":
    page = ROOT / "CONTRIBUTING.md"
    page.write_text(synchronised(page.read_text()))
