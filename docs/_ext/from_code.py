# SPDX-License-Identifier: BSD-3-Clause
"""Tables made from the code, so that they cannot fall behind it.

``flags-table``, ``status-table``, ``options-table``, ``profiles-table``, ``models-table``: no
arguments, no content.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
Rows = Iterable[Sequence[str]]


def table(header: Sequence[str], rows: Rows, *, code_columns: int = 1) -> nodes.table:
    """A docutils table; the first `code_columns` columns are set as code."""
    group = nodes.tgroup(cols=len(header))
    group += [nodes.colspec(colwidth=1) for _ in header]
    head, body = nodes.thead(), nodes.tbody()
    group += [head, body]
    head += row(header, 0)
    body += [row(cells, code_columns) for cells in rows]
    result = nodes.table()
    result += group
    return result


def row(cells: Sequence[str], code_columns: int) -> nodes.row:
    """One row, a paragraph a cell."""
    result = nodes.row()
    for column, text in enumerate(cells):
        inner = nodes.literal(text, text) if column < code_columns and text else nodes.Text(text)
        result += nodes.entry("", nodes.paragraph("", "", inner))
    return result


def flags_table() -> nodes.table:
    """Bits of the `flags` columns."""
    from jointlight.flags import FLAGS

    return table(["name", "bit", "meaning"], [(f.name, str(f.bit), f.long) for f in FLAGS])


def status_table() -> nodes.table:
    """Ways a fit can end, from the core's enum and its comments."""
    text = (ROOT / "csrc" / "solve" / "result.hpp").read_text()
    body = re.search(r"enum class Status[^{]*\{(.*?)\};", text, re.DOTALL)
    if body is None:
        raise RuntimeError("csrc/solve/result.hpp declares no enum class Status")
    rows = re.findall(r"^\s*(\w+),\s*// (.*)$", body.group(1), re.MULTILINE)
    return table(["status", "meaning"], rows)


def options_table() -> nodes.table:
    """Options of the fit: default from the dataclass, reason from its docstring."""
    from numpydoc.docscrape import ClassDoc

    from jointlight.fit.options import LMOptions

    reasons = {
        name: " ".join(parameter.desc)
        for parameter in ClassDoc(LMOptions)["Parameters"]
        for name in parameter.name.split(", ")
    }
    rows = [(field.name, f"{field.default:g}" if isinstance(field.default, float)
             else str(field.default), reasons[field.name].replace("``", ""))
            for field in fields(LMOptions)]  # fmt: skip
    return table(["option", "default", "meaning"], rows, code_columns=2)


def profiles_table() -> nodes.table:
    """Radial profiles the core was built with."""
    from jointlight import _core

    rows = []
    for name, info in _core.profiles().items():
        ranges = zip(info["shape_names"], info["shape_min"], info["shape_max"], strict=True)
        shapes = ", ".join(f"{shape} in [{low:g}, {high:g}]" for shape, low, high in ranges)
        rows.append((name, info["scale_name"], info["amplitude_name"], shapes or "none"))
    return table(["profile", "scale", "amplitude", "shape parameters"], rows, code_columns=3)


TABLES: dict[str, Callable[[], nodes.table]] = {
    "flags-table": flags_table,
    "status-table": status_table,
    "options-table": options_table,
    "profiles-table": profiles_table,
}


def directive(make: Callable[[], nodes.table]) -> type[SphinxDirective]:
    """The directive class that shows what `make` returns."""

    class FromCode(SphinxDirective):
        def run(self) -> list[nodes.Node]:
            return [make()]

    return FromCode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    for name, make in TABLES.items():
        app.add_directive(name, directive(make))
    return {"version": "1", "parallel_read_safe": True}
