# SPDX-License-Identifier: BSD-3-Clause
"""Start values from the data, for whole models and as estimators on plain arrays."""

from __future__ import annotations

from jointlight.initialize.estimators import (
    Moments,
    Peak,
    RadialProfile,
    SkyEstimate,
    centroid,
    find_peak,
    half_light_radius,
    moments,
    noise_level,
    radial_profile,
    sky_level,
)
from jointlight.initialize.tree import initialize_model

__all__ = [
    "Moments",
    "Peak",
    "RadialProfile",
    "SkyEstimate",
    "centroid",
    "find_peak",
    "half_light_radius",
    "initialize_model",
    "moments",
    "noise_level",
    "radial_profile",
    "sky_level",
]
