# SPDX-License-Identifier: BSD-3-Clause
"""What the real-data examples have in common: where the data are, tables, figures.

The images are those described in each data folder's ``manifest.json``. They are not part of the
repository: give their place with ``--data`` or the environment variable ``JOINTLIGHT_SHARED``.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table


@dataclass
class Comparison:
    """Outcome of an example: a table against published numbers, and what a test may ask."""

    title: str
    table: Table
    values: dict[str, Any] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def __str__(self) -> str:
        lines = [self.title, "-" * len(self.title)]
        lines += self.table.pformat(max_lines=-1, max_width=-1)
        return "\n".join([*lines, *self.notes, ""])


def data_folder(name: str, root: Path | None = None) -> Path:
    """Folder of one data set; SystemExit with a clear message where it is absent."""
    if root is None:
        given = os.environ.get("JOINTLIGHT_SHARED")
        root = Path(given) if given else Path(__file__).parents[2] / "shared" / "data"
    folder = root / name
    if not folder.is_dir() and (root / "data" / name).is_dir():
        folder = root / "data" / name
    if not (folder / "manifest.json").is_file():
        raise SystemExit(
            f"example data not found: {folder} has no manifest.json; give the folder that holds "
            f"{name}/ with --data or in JOINTLIGHT_SHARED"
        )
    return folder


def manifest(folder: Path) -> dict[str, Any]:
    """The data set's description."""
    content: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return content


def pixels(path: Path, hdu: int = 0) -> np.ndarray:
    """One HDU as native float64."""
    return np.asarray(fits.getdata(path, hdu), dtype=np.float64)


def from_up(angle: float) -> float:
    """A position angle in degrees, in (-90, 90]."""
    folded = angle % 180.0
    return folded - 180.0 if folded > 90.0 else folded


def rows(columns: Sequence[str], lines: Sequence[Sequence[Any]]) -> Table:
    """A table of rows, numbers shown to a sensible length."""
    table = Table(rows=[tuple(line) for line in lines], names=list(columns))
    for name in columns[1:]:
        if table[name].dtype.kind == "f":
            table[name].info.format = ".5g"
    return table


def command_line(
    name: str,
    compare: Callable[[Path], Comparison],
    draw: Callable[[Comparison, Path], None],
    description: str | None,
) -> None:
    """Run an example as a script."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, help="folder that holds the data sets")
    parser.add_argument("--out", type=Path, help="folder for the figure; none: no figure")
    options = parser.parse_args()
    comparison = compare(data_folder(name, options.data))
    print(comparison)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        draw(comparison, options.out)
        print(f"figure in {options.out}", file=sys.stderr)


def save_summary(result: Any, path: Path) -> None:
    """Data, model and residual of a fit as one figure."""
    import matplotlib as mpl

    mpl.use("Agg", force=False)
    import jointlight as jl

    figure = jl.plots.fit_summary(result)
    figure.savefig(path, dpi=110, bbox_inches="tight")
