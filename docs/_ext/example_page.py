# SPDX-License-Identifier: BSD-3-Clause
"""The directive ``example``: a script of examples/ with its docstring, output and figures.

Output and figures are those kept in docs/_static/examples, written by docs/make_figures.py; where
there are none yet, the page says so.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
KEPT = "_static/examples"


class Example(SphinxDirective):
    """Show the script whose stem is the argument."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        stem = self.arguments[0]
        script = ROOT / "examples" / f"{stem}.py"
        self.env.note_dependency(str(script))
        code = script.read_text()
        text = (ast.get_docstring(ast.parse(code)) or "").splitlines()
        found = self.parsed(text)
        kept = Path(self.env.srcdir) / KEPT
        output = kept / f"{stem}.txt"
        if output.is_file():
            found += [self.picture(path) for path in sorted(kept.glob(f"{stem}*.webp"))]
            printed = output.read_text().rstrip()
            found.append(nodes.literal_block(printed, printed, language="text"))
        else:
            message = "The output is not in this build: it needs the example's images."
            found.append(nodes.note("", nodes.paragraph(message, message)))
        found.append(nodes.literal_block(code, code, language="python"))
        return found

    def parsed(self, lines: list[str]) -> list[nodes.Node]:
        """Parse lines as the page's own markup."""
        holder = nodes.container()
        self.state.nested_parse(StringList(lines, source="docstring"), 0, holder)
        return list(holder.children)

    def picture(self, path: Path) -> nodes.Node:
        return nodes.image("", uri=f"/{KEPT}/{path.name}", alt=path.stem)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("example", Example)
    return {"version": "1", "parallel_read_safe": True}
