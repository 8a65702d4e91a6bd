# SPDX-License-Identifier: BSD-3-Clause
"""Many independent fits in one call."""

from jointlight.many.call import fit_many
from jointlight.many.results import ManyResults

__all__ = ["ManyResults", "fit_many"]
