# SPDX-License-Identifier: BSD-3-Clause
"""Answers of other codes are compared as ellipses, whatever names their parameters came out by."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from reference.scripts import load

ROOT = Path(__file__).resolve().parents[2]
# x, y, q, PA, Re, n, Ie
ANSWER = np.array([0.3, -0.2, 0.5, 25.0, 4.0, 2.0, 10.0])
SIGMA = np.full((1, 7), 0.1)


@pytest.fixture(scope="module")
def answers() -> ModuleType:
    return load(ROOT / "benchmarks" / "answers.py")


def radius(v: np.ndarray) -> np.ndarray:
    """Elliptical radius in units of Re at some points: all that the brightness sees."""
    x, y = np.random.default_rng(5).normal(0.0, 3.0, (2, 20))
    s, c = np.sin(np.radians(v[3])), np.cos(np.radians(v[3]))
    major = (x - v[0]) * s + (y - v[1]) * c
    minor = ((x - v[0]) * c - (y - v[1]) * s) / v[2]
    return np.hypot(major, minor) / abs(v[4])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {2: 2.0, 4: 2.0, 3: 115.0},  # minor and major axis swapped
        {2: 2.0, 4: 2.0, 3: -65.0},
        {2: -0.5},
        {2: -2.0, 4: -2.0, 3: 295.0},
        {3: 25.0 - 3 * 180.0},
        {4: -4.0},
    ],
)
def test_one_galaxy_by_other_names(answers: ModuleType, changes: dict[int, float]) -> None:
    other = ANSWER.copy()
    for k, value in changes.items():
        other[k] = value
    np.testing.assert_allclose(radius(other), radius(ANSWER), rtol=1e-12)
    np.testing.assert_allclose(answers.canonical(other), ANSWER, rtol=1e-12)
    found = answers.agreement(other[None], ANSWER[None], SIGMA)
    assert found["largest_offset_sigma"] < 1e-9


def test_another_galaxy_stays_another(answers: ModuleType) -> None:
    other = ANSWER.copy()
    other[2] = 2.0  # Re and PA are those of another ellipse
    found = answers.agreement(other[None], ANSWER[None], SIGMA)
    assert found["failed"] == 1
    other = ANSWER.copy()
    other[3] += 179.0  # a degree away, across the period
    found = answers.agreement(other[None], ANSWER[None], SIGMA)
    assert found["largest_offset_sigma"] == pytest.approx(10.0)


def test_answers_given_are_left_as_they_are(answers: ModuleType) -> None:
    given = np.array([[0.0, 0.0, 2.0, 100.0, 1.0, 1.0, 1.0]])
    before = given.copy()
    answers.canonical(given)
    assert np.array_equal(given, before)
