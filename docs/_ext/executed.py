# SPDX-License-Identifier: BSD-3-Clause
"""The directive ``executed``: Python that runs while the page is built, shown with what it gave.

The blocks of a page share one namespace. Shown are the code, what it printed, the value of a last
expression, and the figures it made. An exception fails the build.

Options: ``hide-code``, ``hide-output``, ``alt`` (text for the figures), ``width``.
"""

from __future__ import annotations

import ast
import contextlib
import io
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import matplotlib as mpl
from docutils import nodes
from docutils.parsers.rst import directives
from matplotlib.figure import Figure
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx

FOLDER = "_executed"


class Executed(SphinxDirective):
    """Run the content, show code, text and figures."""

    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {
        "hide-code": directives.flag,
        "hide-output": directives.flag,
        "alt": directives.unchanged,
        "width": directives.unchanged,
    }

    def run(self) -> list[nodes.Node]:
        code = "\n".join(self.content)
        pages = self.env.temp_data.setdefault("executed", {"__name__": "__main__"})
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                value = execute(code, pages, where=f"<{self.env.docname}>")
        except Exception as error:
            message = f"{self.env.docname}, line {self.lineno}: {type(error).__name__}: {error}"
            raise ExtensionError(message, error) from error
        figures = [value] if isinstance(value, Figure) else []
        found: list[nodes.Node] = []
        if "hide-code" not in self.options:
            found.append(nodes.literal_block(code, code, language="python"))
        text = printed.getvalue().rstrip()
        if value is not None and not figures:
            text = f"{text}\n{value}".strip("\n")
        if text and "hide-output" not in self.options:
            found.append(nodes.literal_block(text, text, language="text", classes=["output"]))
        found.extend(self.picture(figure) for figure in figures)
        return found

    def picture(self, figure: Figure) -> nodes.Node:
        folder = Path(self.env.srcdir) / FOLDER
        folder.mkdir(exist_ok=True)
        name = self.env.docname.replace("/", "-")
        path = folder / f"{name}-{self.env.new_serialno('executed')}.png"
        figure.savefig(path, dpi=110)
        uri = f"/{FOLDER}/{path.name}"
        image = nodes.image("", uri=uri, alt=self.options.get("alt", ""))
        if "width" in self.options:
            image["width"] = self.options["width"]
        return image


def execute(code: str, namespace: dict[str, Any], *, where: str) -> Any:
    """Run statements; the value of the last one if it is an expression, else None."""
    tree = ast.parse(code, where)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, where, "exec"), namespace)
    if last is None:
        return None
    return eval(compile(ast.Expression(last.value), where, "eval"), namespace)


def clean(app: Sphinx) -> None:
    """Forget the figures of earlier builds; the pages that make them are all read again."""
    shutil.rmtree(Path(app.srcdir) / FOLDER, ignore_errors=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    mpl.use("Agg")
    app.add_directive("executed", Executed)
    app.connect("builder-inited", clean)
    # Reading is serial: the pages' figures are numbered as they are met.
    return {"version": "1", "parallel_read_safe": False, "env_version": 1}
