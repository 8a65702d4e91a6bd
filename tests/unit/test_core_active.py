# SPDX-License-Identifier: BSD-3-Clause
"""Fits of some parameters while the others are held."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reference.field import Field
from reference.on_backends import EVERY_BACKEND

pytestmark = EVERY_BACKEND

# Nearly to the end: less than 1e-7 of chi2 is left, 3e-4 sigma, whatever the way there.
CLOSE = {"ftol": 1e-12, "gtol": 1e-12}


def blend() -> tuple[Field, list[list[int]]]:
    """Two galaxies, a star and a sky that overlap, and a star apart; start beside the truth."""
    field = Field((40, 70))
    slots = [
        field.add("sersic", (14.0, 18.0, 0.6, 40.0, 3.0, 1.5, 30.0)),
        field.add("sersic", (24.0, 22.0, 0.8, 110.0, 2.5, 2.5, 25.0)),
        field.add("point", (19.0, 28.0, 400.0)),
        field.add("point", (60.0, 20.0, 400.0), window=(51, 70, 10, 31)),
        field.add("flat_sky", (2.0,)),
    ]
    for tile in field.tiles:
        tile.window = tile.window or (0, 40, 0, 40)
    truth = field.observe(noise=1.0, seed=3)
    random = np.random.default_rng(5)
    field.values = list(truth * (1 + 0.01 * random.uniform(-1, 1, len(truth))))
    return field, slots


def moving(field: Field, slots: list[list[int]], which: list[int]) -> np.ndarray:
    active = np.zeros(len(field.values), bool)
    for k in which:
        active[slots[k]] = True
    return active


@pytest.mark.parametrize("which", [[0], [1, 2], [2], [3], [0, 3, 4], [4], [0, 1, 2, 3]])
def test_it_is_the_fit_of_a_scene_where_the_others_are_fixed(which: list[int]) -> None:
    field, slots = blend()
    start, active = field.start, moving(field, slots, which)
    out = field.scene().fit(start, CLOSE, None, active)
    np.testing.assert_array_equal(out["v"][~active], start[~active])

    field.held = set(np.flatnonzero(~active))
    alone = field.scene().fit(field.start, CLOSE)
    assert alone["status"].startswith("converged")
    assert out["status"].startswith("converged")
    assert out["chi2"] == pytest.approx(alone["chi2"], rel=0, abs=1e-7)
    sigma = np.sqrt(np.diag(alone["covariance"]))
    np.testing.assert_allclose((out["v"][active] - alone["v"]) / sigma, 0, atol=3e-4)

    covariance = out["covariance"]
    assert np.isnan(covariance[~active]).all()
    assert np.isnan(covariance[:, ~active]).all()
    inner = covariance[np.ix_(active, active)] / np.outer(sigma, sigma)
    np.testing.assert_allclose(inner, alone["covariance"] / np.outer(sigma, sigma), atol=1e-4)

    assert all(out["component"][i] == -1 for i in np.flatnonzero(~active))
    assert all(out["component"][i] >= 0 for i in np.flatnonzero(active))
    for k, status in enumerate(out["source_status"]):
        assert (status == "fixed") == (k not in which)


def test_single_parameters_may_be_held() -> None:
    """Position and shape of a galaxy; its flux alone moves."""
    field, slots = blend()
    active = moving(field, slots, [0])
    active[slots[0][:5]] = False
    out = field.scene().fit(field.start, {}, None, active)
    assert out["status"].startswith("converged")
    np.testing.assert_array_equal(out["v"][~active], field.start[~active])
    assert out["source_status"][0] == out["status"]
    assert np.all(out["v"][active] != field.start[active])


def test_everything_held() -> None:
    field, _ = blend()
    scene = field.scene()
    out = scene.fit(field.start, {}, None, np.zeros(len(field.start), bool))
    np.testing.assert_array_equal(out["v"], field.start)
    assert out["status"] == "no_free_parameters"
    assert out["chi2"] == pytest.approx(scene.chi2(field.start), rel=1e-14)
    assert set(out["component"]) == {-1}
    assert out["component_status"] == []
    assert set(out["source_status"]) == {"fixed"}
    assert out["n_linearize"] == 0


def test_none_held_is_the_fit_of_all() -> None:
    field, _ = blend()
    one = field.scene().fit(field.start)
    other = field.scene().fit(field.start, {}, None, np.ones(len(field.start), bool))
    np.testing.assert_array_equal(one["v"], other["v"])
    assert one["chi2"] == other["chi2"]


@pytest.mark.parametrize("member", [0, 1, 2])
def test_an_ellipse_is_held_as_a_whole(member: int) -> None:
    field, slots = blend()
    active = np.ones(len(field.start), bool)
    one = slots[1][2 + member]  # q, PA or Re
    active[one] = False
    with pytest.raises(ValueError, match=r"active: parameters \d+ and \d+ describe one ellipse"):
        field.scene().fit(field.start, {}, None, active)


@pytest.mark.parametrize(
    "active",
    [
        np.ones(3, bool),
        np.ones((19, 1), bool),
        np.True_,
        [],
    ],
)
def test_a_mask_of_the_wrong_shape(active: Any) -> None:
    field, _ = blend()
    with pytest.raises(ValueError, match=r"active has shape .*expected \(21\)"):
        field.scene().fit(field.start, {}, None, active)


def test_a_held_source_keeps_a_bound_and_values_outside_of_charts() -> None:
    """What is held need not survive the way into the fit's coordinates and back."""
    field, slots = blend()
    start, active = field.start, moving(field, slots, [3])
    start[slots[0][2]] = 1.0  # round
    start[slots[0][3]] = 217.3  # beyond half a turn
    start[slots[1][5]] = 10.0  # at its limit
    out = field.scene().fit(start, {}, None, active)
    np.testing.assert_array_equal(out["v"][~active], start[~active])
    assert not out["at_bound"].any()
