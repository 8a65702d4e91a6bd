# SPDX-License-Identifier: BSD-3-Clause
"""How each source and each connected component ended, as results tell it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import jointlight as jl
from jointlight import flags
from jointlight.fit.assemble import make_result
from jointlight.fit.compiled import CompiledFit
from jointlight.result import FitResult
from jointlight.result.status import outcome_sentence, status_flags, succeeded
from reference import blended_row
from reference.on_backends import EVERY_BACKEND

pytestmark = EVERY_BACKEND

# Of the galaxies s0 to s4 and the two skies.
STATUS = [
    "converged_ftol",
    "max_iterations",
    "lost",
    "no_data",
    "fixed",
    "converged_xtol",
    "converged_xtol",
]
COMPONENTS = ["converged_xtol", "max_iterations", "lost"]


@pytest.fixture(scope="module")
def compiled(every_backend: str) -> CompiledFit:
    return CompiledFit(blended_row.problem())


@pytest.fixture(scope="module")
def outcome(compiled: CompiledFit) -> dict[str, Any]:
    """A fit's outcome, as if some of its sources had failed."""
    found = dict(compiled.fit({"max_iterations": 30}, None))
    n_tiles = len(compiled.scene.tiles)
    component = np.zeros(compiled.scene.n_free, dtype=np.int64)
    component[[name.startswith("s1") for name in compiled.scene.names]] = 1
    component[[name.startswith("s2") for name in compiled.scene.names]] = 2
    component[[name.startswith("s4") for name in compiled.scene.names]] = -1
    return found | {
        "status": "max_iterations",
        "message": "Stopped after 30 iterations.",
        "source_status": STATUS,
        "component": component,
        "component_status": COMPONENTS,
        "chi2_tiles": 100.0 + np.arange(n_tiles),
        "n_pixels_tiles": 90 + np.arange(n_tiles),
    }


@pytest.fixture(scope="module")
def result(compiled: CompiledFit, outcome: dict[str, Any]) -> FitResult:
    return make_result(compiled.model, compiled, outcome, options={})


def test_each_source_has_its_own_end(result: FitResult) -> None:
    table = result.sources
    assert list(table["name"]) == ["s0", "s1", "s2", "s3", "s4"]
    assert list(table["status"]) == STATUS[:5]
    assert list(table["success"]) == [True, False, False, False, True]
    assert table["success"].dtype == bool
    expected = [0, flags.NOT_CONVERGED, flags.LOST, flags.NO_DATA, 0]
    ended = flags.NOT_CONVERGED | flags.LOST | flags.NO_DATA | flags.INTERRUPTED
    assert_array_equal(np.asarray(table["flags"]) & ended, expected)


def test_chi2_of_each_source_is_that_of_its_tiles(result: FitResult) -> None:
    table = result.sources
    for row in range(5):
        tiles = [i for i, c in enumerate(result.slots.components) if c.source == row]
        assert len(tiles) == 2
        assert_allclose(table["chi2"][row], sum(100.0 + i for i in tiles))
        assert table["n_pixels"][row] == sum(90 + i for i in tiles)
        # Centre, q, PA, Re, n and two amplitudes.
        left = table["n_pixels"][row] - 8
        assert_allclose(table["reduced_chi2"][row], table["chi2"][row] / left)
    assert table["n_pixels"].dtype.kind == "i"


def test_connected_components(result: FitResult) -> None:
    table = result.components
    assert table.colnames == ["component", "n_parameters", "status", "success"]
    assert list(table["status"]) == COMPONENTS
    assert list(table["n_parameters"]) == [18, 8, 8]  # s0, s3 and the skies; s1; s2
    assert list(table["success"]) == [True, False, False]


def test_parameters_have_the_end_of_their_component(result: FitResult) -> None:
    bits = dict(zip(result.parameter_names, result.parameter_flags, strict=True))
    assert not bits["s0/Re"] & (flags.NOT_CONVERGED | flags.LOST)
    assert bits["s1/Re"] & flags.NOT_CONVERGED
    assert bits["s2/Re"] & flags.LOST
    assert not bits["s4/Re"] & (flags.NOT_CONVERGED | flags.LOST)  # held
    assert result.global_flags == flags.NOT_CONVERGED


def test_the_message_names_them(result: FitResult) -> None:
    assert result.message.startswith("Stopped after 30 iterations. ")
    for part in (
        "1 of 5 sources did not converge: s1.",
        "1 of 5 sources was lost: s2.",
        "1 of 5 sources was without usable pixels: s3.",
    ):
        assert part in result.message
    assert "sky" not in result.message


def test_the_ends_survive_files(result: FitResult, tmp_path: Path) -> None:
    result.write(tmp_path / "fit.asdf")
    for other in (jl.load(tmp_path / "fit.asdf"), pickle.loads(pickle.dumps(result))):
        for name in ("status", "success", "chi2", "n_pixels", "reduced_chi2", "flags"):
            assert_array_equal(other.sources[name], result.sources[name])
        assert_array_equal(other.parameter_flags, result.parameter_flags)
        assert list(other.components["status"]) == COMPONENTS


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["converged_ftol"] * 3, ""),
        (["max_iterations"], ""),  # one source: the fit's own sentence says it
        (["lost"], "1 of 1 sources was lost: a0."),
        (
            ["max_iterations", "no_decrease", "fixed"],
            "2 of 3 sources did not converge: a0, a1.",
        ),
        (
            ["lost"] * 7 + ["converged_gtol"],
            "7 of 8 sources were lost: a0, a1, a2, a3, a4 and 2 more.",
        ),
    ],
)
def test_sentences(statuses: list[str], expected: str) -> None:
    assert outcome_sentence([f"a{i}" for i in range(len(statuses))], statuses) == expected


@pytest.mark.parametrize(
    ("status", "good", "names"),
    [
        ("converged_ftol", True, []),
        ("no_free_parameters", True, []),
        ("fixed", True, []),
        ("max_iterations", False, ["not_converged"]),
        ("timed_out", False, ["not_converged", "interrupted"]),
        ("interrupted", False, ["not_converged", "interrupted"]),
        ("lost", False, ["lost"]),
        ("no_data", False, ["no_data"]),
    ],
)
def test_what_a_status_means(status: str, good: bool, names: list[str]) -> None:
    assert succeeded(status) is good
    assert flags.decode(status_flags(status)) == names


# ---- by the solver itself ---------------------------------------------------------------


@pytest.fixture(scope="module")
def blind(every_backend: str) -> FitResult:
    """A fit in which the pixels of the last galaxy are all masked."""
    model = blended_row.problem()
    column = blended_row.COLUMNS[4]
    masked = []
    for image in model.images_modelled:
        mask = np.zeros(image.shape, dtype=bool)
        mask[:, column - blended_row.HALF - 1 :] = True
        masked.append(image.copy(mask=mask, name=image.name))
    return jl.fit.LM(blended_row.model(jl.TargetImageList(masked))).fit()


def test_a_source_without_pixels_leaves_the_others_alone(blind: FitResult) -> None:
    table = blind.sources
    assert list(table["status"])[4] == "no_data"
    assert list(table["success"]) == [True] * 4 + [False]
    assert table["n_pixels"][4] == 0
    assert table["flags"][4] & flags.NO_DATA
    assert not np.any(np.asarray(table["flags"])[:4])
    assert np.isfinite(np.asarray(table["flux_g_error"])[:4]).all()
    assert np.isnan(table["flux_g_error"][4])
    assert "1 of 5 sources was without usable pixels: s4." in blind.message


def test_pixels_and_chi2_belong_to_one_tile_each(blind: FitResult) -> None:
    assert_allclose(blind.chi2_tiles.sum(), blind.chi2, rtol=1e-10)
    assert blind.n_pixels_tiles.sum() == blind.n_pixels_images.sum()
    table = blind.sources
    good = np.asarray(table["n_pixels"]) > 0
    reduced = np.asarray(table["reduced_chi2"])[good]
    # Noise of known variance: 1 within 5 sigma of sqrt(2 / n).
    assert np.all(np.abs(reduced - 1.0) < 5.0 * np.sqrt(2.0 / np.asarray(table["n_pixels"])[good]))
