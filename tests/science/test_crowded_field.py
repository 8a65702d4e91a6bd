# SPDX-License-Identifier: BSD-3-Clause
"""A crowded field: start values from a segmentation map, one fit of all sources at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reference import crowded
from reference.on_backends import CPU_ALONE, EVERY_BACKEND, NOT_EMULATED, SLOW_EMULATED

pytestmark = EVERY_BACKEND

jl = pytest.importorskip("jointlight")


def solve(n: int, bands: tuple[str, ...] = ("r",)) -> tuple[crowded.Field, Any, Any]:
    field = crowded.stored(n, bands)
    model = crowded.model(jl, field, crowded.segmentation(field))
    model.initialize()
    return field, model, jl.fit.LM(model).fit()


def check(field: crowded.Field, model: Any, result: Any, share: float) -> dict[str, float]:
    """Converged; bright sources right; errors there and of the right size."""
    assert result.success, result.message
    verdict = crowded.judge(field, model.models)
    shares = verdict.shares()
    print(shares)
    # The map has nearly all; otherwise the shares would say little.
    assert shares["bright_in_map"] >= 0.94 * shares["bright"]
    for name in ("flux", "Re"):
        assert shares[f"{name}_no_unseen_neighbour"] >= share, shares
        assert shares[f"{name}_missing_error"] <= 0.01 * shares["bright"], shares
    # Most are right to within their errors, not merely within 5 of them.
    clear = verdict.bright & (verdict.found >= 0) & ~verdict.unseen
    for pull in (verdict.flux_pull, verdict.size_pull):
        assert 0.8 <= 1.4826 * np.nanmedian(np.abs(pull[clear])) <= 1.25
    return shares


@SLOW_EMULATED
def test_a_small_field():
    field, model, result = solve(60)
    assert result.n_free > 350
    check(field, model, result, 0.95)


# About the judge, not about the fit.
@CPU_ALONE
def test_the_truth_judges():
    """Shares fall where sources are wrong: a judge that lets all pass would be none."""
    field, model, _ = solve(60)
    before = crowded.judge(field, model.models).shares()
    for source in model.models[::2]:
        source["Re"].value = 2.0 * source["Re"].value
    after = crowded.judge(field, model.models).shares()
    assert after["Re_in_map"] <= 0.7 * before["Re_in_map"]
    assert after["flux_in_map"] == before["flux_in_map"]


@NOT_EMULATED
@pytest.mark.slow
def test_three_bands_of_different_scales():
    field, model, result = solve(150, ("r", "z", "u"))
    check(field, model, result, 0.97)


@NOT_EMULATED
@pytest.mark.slow
def test_a_thousand_sources():
    field, model, result = solve(1000)
    assert result.n_free > 6500
    shares = check(field, model, result, 0.98)
    # Also with those that share their light with galaxies of which the map knows nothing.
    assert shares["flux_in_map"] >= 0.97
    assert shares["Re_in_map"] >= 0.97
