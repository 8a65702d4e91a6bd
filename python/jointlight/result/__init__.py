# SPDX-License-Identifier: BSD-3-Clause
"""What a fit hands back."""

from jointlight.result.fit_result import FitResult, FreeParameter
from jointlight.result.slots import Component, Derived, SlotState, SlotValues

__all__ = ["Component", "Derived", "FitResult", "FreeParameter", "SlotState", "SlotValues"]
