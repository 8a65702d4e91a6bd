# SPDX-License-Identifier: BSD-3-Clause
"""A result as text and as HTML."""

from __future__ import annotations

import html as _html
import math
from typing import TYPE_CHECKING

from jointlight import flags

if TYPE_CHECKING:
    from jointlight.result.fit_result import FitResult

__all__ = ["format_value", "html", "text"]

_MAX_ROWS = 40  # parameters listed before the text says how many more there are


def format_value(value: float, error: float) -> tuple[str, str]:
    """Value and error with the digits the error warrants.

    Parameters
    ----------
    value, error : float
        The number and its standard error, NaN if it has none.

    Returns
    -------
    tuple of str
        Value with the error's last digit, error with two digits.
    """
    if not (math.isfinite(error) and error > 0 and math.isfinite(value)):
        return f"{value:.6g}", "-"
    places = 1 - math.floor(math.log10(error))
    if 0 <= places <= 9 and abs(value) < 1e7:
        return f"{value:.{places}f}", f"{error:.{places}f}"
    digits = max(2, 2 + math.floor(math.log10(max(abs(value), error) / error)))
    return f"{value:.{digits}g}", f"{error:.2g}"


def _parameter_rows(result: FitResult) -> list[list[str]]:
    rows = []
    for index, parameter in enumerate(result.parameters):
        value, error = format_value(float(result.values[index]), float(result.errors[index]))
        noted = int(result.parameter_flags[index]) & ~result.global_flags
        if noted & (flags.AT_BOUND | flags.DEGENERATE):
            noted &= ~flags.NO_ERROR
        notes = ", ".join(flags.decode(noted, style="short"))
        rows.append([parameter.full_name, value, error, parameter.unit, notes])
    return rows


def _align(header: list[str], rows: list[list[str]], left: set[int]) -> list[str]:
    cells = [header, *rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = []
    for row in cells:
        parts = [
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  " + "  ".join(parts).rstrip())
    return lines


def text(result: FitResult) -> str:
    """A page of text about a result.

    Parameters
    ----------
    result : FitResult
        The result.

    Returns
    -------
    str
        Status, quality by image, parameters.
    """
    name = result.model.name if result.model is not None else "fit"
    quality = f"{result.dof} degrees of freedom, reduced {result.reduced_chi2:.5g}"
    counts = f"{result.n_linearize} evaluations with derivatives, {result.n_chi2} without"
    lines = [
        f"{name}: {result.message}",
        f"  chi2 {result.chi2:.6g}, {quality}",
        f"  {counts}, {result.time_s:.3g} s",
    ]
    if (result.backend, result.precision) != ("cpu", "float64"):
        lines.append(f"  on {result.backend}; {result.precision}")
    if result.covariance_scale != 1.0:
        lines.append(f"  errors scaled by {math.sqrt(result.covariance_scale):.4g}")
    rows = [
        [image.name, str(int(n)), f"{chi2:.6g}", f"{chi2 / n:.5g}" if n else "-"]
        for image, n, chi2 in zip(
            result.images, result.n_pixels_images, result.chi2_images, strict=True
        )
    ]
    lines += ["", *_align(["image", "pixels", "chi2", "per pixel"], rows, {0})]
    rows = _parameter_rows(result)
    header = ["parameter", "value", "error", "unit", ""]
    if rows:
        lines += ["", *_align(header, rows[:_MAX_ROWS], {0, 3, 4})]
    if len(rows) > _MAX_ROWS:
        lines.append(f"  ... and {len(rows) - _MAX_ROWS} more: see .table")
    return "\n".join(lines)


def html(result: FitResult) -> str:
    """The same for notebooks.

    Parameters
    ----------
    result : FitResult
        The result.

    Returns
    -------
    str
        An HTML fragment.
    """
    head = f"<b>{_html.escape(result.message)}</b><br>&chi;² {result.chi2:.6g} / {result.dof}"
    head += f" = {result.reduced_chi2:.4g}"
    body = "".join(
        "<tr>" + "".join(f"<td>{_html.escape(cell)}</td>" for cell in row) + "</tr>"
        for row in _parameter_rows(result)[:_MAX_ROWS]
    )
    titles = "".join(f"<th>{t}</th>" for t in ("parameter", "value", "error", "unit", ""))
    return f"<div>{head}<table><tr>{titles}</tr>{body}</table></div>"
