# SPDX-License-Identifier: BSD-3-Clause
"""Fitting: `LM` for everything at once, `Iter` for one member of a group after the other."""

from jointlight.fit.iterate import Iter
from jointlight.fit.lm import LM
from jointlight.fit.options import LMOptions

__all__ = ["LM", "Iter", "LMOptions"]
