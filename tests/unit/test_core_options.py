# SPDX-License-Identifier: BSD-3-Clause
"""Options on their way from the fit's keywords into the core."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jointlight.errors import InvalidInput
from jointlight.fit import LM, LMOptions
from reference import small_problem
from reference.field import Field
from reference.on_backends import EVERY_BACKEND

pytestmark = EVERY_BACKEND


@pytest.fixture
def model(rng: np.random.Generator) -> Any:
    data = small_problem.noisy(small_problem.noiseless(), rng)
    return small_problem.model(small_problem.images(data))


def star() -> Field:
    field = Field((21, 21))
    field.add("point", (10.0, 10.0, 100.0))
    field.observe(noise=1.0)
    return field


def test_the_core_knows_every_option() -> None:
    field = star()
    options = LMOptions().to_dict()
    assert len(options) > 10
    out = field.scene().fit(field.start, options)
    plain = field.scene().fit(field.start)
    np.testing.assert_array_equal(out["v"], plain["v"])


@pytest.mark.parametrize("name", ["component_time_limit", "ftoll", ""])
def test_the_core_knows_no_other(name: str) -> None:
    field = star()
    with pytest.raises(ValueError, match=f"options: '{name}' is not known"):
        field.scene().fit(field.start, {name: 1.0})


def test_the_component_time_limit_is_passed_on(model: Any) -> None:
    assert LM(model).options.component_time_limit_s == 0.0
    chosen = LMOptions(component_time_limit_s=3.0)
    assert LM(model, options=chosen).options.component_time_limit_s == 3.0
    assert LM(model, options=chosen, component_time_limit=2).options.component_time_limit_s == 2.0
    result = LM(model, component_time_limit=1e-9).fit()
    assert result.status == "timed_out"
    assert not result.success


@pytest.mark.parametrize("bad", [0, -1.0, np.nan, np.inf, True, "a"])
def test_a_component_time_limit_that_is_none(model: Any, bad: Any) -> None:
    with pytest.raises(InvalidInput, match="component_time_limit must be a positive number"):
        LM(model, component_time_limit=bad)
