# SPDX-License-Identifier: BSD-3-Clause
"""What one exposure is: pixels, noise, mask, PSF, zeropoint and place on the sky."""

from __future__ import annotations

from jointlight.image.arrays import Window, parse_window
from jointlight.image.calibration import Calibration, calibrations_in_use
from jointlight.image.collection import TargetImageList
from jointlight.image.target import TargetImage

__all__ = [
    "Calibration",
    "TargetImage",
    "TargetImageList",
    "Window",
    "calibrations_in_use",
    "parse_window",
]
