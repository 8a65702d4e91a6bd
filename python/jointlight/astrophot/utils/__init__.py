# SPDX-License-Identifier: BSD-3-Clause
"""Helpers under AstroPhot's names."""

from jointlight.astrophot.utils import initialize

__all__ = ["initialize"]
