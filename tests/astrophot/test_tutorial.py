# SPDX-License-Identifier: BSD-3-Clause
"""The joint-modelling tutorial's own code cells, run in order on made-up data of known truth.

Only imports and the place of the data are changed.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.utils.exceptions import AstropyDeprecationWarning

import jointlight.astrophot as ap
from reference.tutorial import BANDS, check_galaxy, make_data, matched

ROOT = Path(__file__).resolve().parents[2]
NAME = "joint_models_tutorial.txt"
SERVICE = "https://www.legacysurvey.org/viewer/fits-cutout?"
LAST_OF_FIRST_HALF = 7


def tutorial() -> str:
    """Text of the tutorial; skip where it is absent."""
    shared = Path(os.environ.get("JOINTLIGHT_SHARED", ROOT.parent / "shared" / "data"))
    for folder in (shared / "seed", shared.parent / "seed"):
        if (folder / NAME).is_file():
            return (folder / NAME).read_text()
    pytest.skip(f"no seed/{NAME} in or beside {shared}; set JOINTLIGHT_SHARED to the data's folder")


def code_cells(text: str) -> list[str]:
    """Code cells: after each mark, as many lines as are Python."""
    cells = []
    for chunk in re.split(r"^In \[None\]:\n", text, flags=re.MULTILINE)[1:]:
        lines = chunk.splitlines()
        while lines:
            try:
                ast.parse("\n".join(lines))
                break
            except SyntaxError:
                lines.pop()
        cells.append("\n".join(lines))
    return cells


def adapted(cell: str, folder: Path) -> str:
    """The cell with its imports and the place of the files changed, and nothing else."""
    cell = cell.replace("import astrophot as ap", "import jointlight.astrophot as ap")
    if importlib.util.find_spec("torch") is None:
        cell = cell.replace("import torch\n", "from reference.tutorial import torch\n")
    return cell.replace(SERVICE, f"{folder.as_posix()}/")


@dataclass
class Ran:
    """What the tutorial leaves behind."""

    truth: dict[str, Any]
    first: dict[str, Any]
    second: dict[str, Any]
    printed: list[str]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Names that the tutorial's two halves define."""
    text = tutorial()
    pytest.importorskip("photutils")
    pytest.importorskip("skimage", reason="photutils deblends with scikit-image")
    plt = pytest.importorskip("matplotlib.pyplot")
    cells = code_cells(text)
    assert len(cells) == 14
    folder = tmp_path_factory.mktemp("tutorial")
    truth = make_data(folder)
    printed: list[str] = []
    names: dict[str, Any] = {"print": lambda *args: printed.append(" ".join(map(str, args)))}
    first: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        # It calls photutils by names that have changed since.
        warnings.simplefilter("ignore", AstropyDeprecationWarning)
        patch.setattr(plt, "show", lambda: plt.close("all"))
        for number, cell in enumerate(cells):
            exec(compile(adapted(cell, folder), f"cell {number}", "exec"), names)
            if number == LAST_OF_FIRST_HALF:
                first = dict(names)
    for value in names.values():
        if isinstance(value, fits.HDUList):  # it leaves its files open
            value.close()
    return Ran(truth, first, names, printed)


def test_only_imports_and_data_are_changed() -> None:
    before = "\n".join(code_cells(tutorial())).splitlines()
    after = "\n".join(adapted(cell, Path("here")) for cell in code_cells(tutorial())).splitlines()
    changed = [line for line, new in zip(before, after, strict=True) if line != new]
    allowed = {"import astrophot as ap", "import torch"}
    assert all(line in allowed or SERVICE in line for line in changed)
    assert sum(SERVICE in line for line in changed) == 6


def test_first_half_recovers_the_galaxy(ran: Ran) -> None:
    models = {band: ran.first[f"model_{band}"] for band in BANDS}
    check_galaxy(ran.truth["single"], models)
    result = ran.first["result"]
    assert "success" in ran.printed[0]
    # Standard deviation of chi2/dof: sqrt(2/dof) = 0.003.
    assert abs(result.res_loss() - 1.0) < 4 * np.sqrt(2.0 / result.ndf)


def test_second_half_stops_after_one_sweep(ran: Ran) -> None:
    assert ran.second["result"].message.startswith("fail")
    assert len(ran.second["model_list"]) == 5
    chi2 = ran.second["result"].result.chi2
    for _, group in matched(ran.truth["group"], ran.second["model_list"]):
        assert group.psf_mode == "full"
    assert chi2 / ran.second["result"].ndf < 1.1


def test_second_half_run_to_convergence_recovers_five_galaxies(ran: Ran) -> None:
    result = ap.fit.LM(ran.second["MODEL"]).fit()
    assert result.message.startswith("success")
    assert abs(result.res_loss() - 1.0) < 4 * np.sqrt(2.0 / result.ndf)
    for truth, group in matched(ran.truth["group"], ran.second["model_list"]):
        check_galaxy(truth, dict(zip(BANDS, group, strict=True)))


def test_starts_point_along_the_galaxies(ran: Ran) -> None:
    """``-PAs[window]`` is the tutorial's angle of each galaxy, and ``qs`` an axis ratio."""
    names = ran.second
    for label, center in names["centers"].items():
        east, north = names["target_r"].pixel_to_plane(center)
        truth = min(
            ran.truth["group"],
            key=lambda t: np.hypot(t["center"][0] - east, t["center"][1] - north),
        )
        assert np.hypot(truth["center"][0] - east, truth["center"][1] - north) < 0.3
        off = -names["PAs"][label] + np.radians(truth["PA"])
        assert abs((off + np.pi / 2) % np.pi - np.pi / 2) < np.radians(12.0)
        # The PSF, half as wide as the galaxies, rounds them.
        assert truth["q"] - 0.05 < names["qs"][label] < truth["q"] + 0.2
