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
from jointlight.initialize.reach import grow_windows
from jointlight.initialize.segmentation import (
    PA_from_segmentation_map,
    centroids_from_segmentation_map,
    fluxes_from_segmentation_map,
    half_light_radii_from_segmentation_map,
    q_from_segmentation_map,
)
from jointlight.initialize.tree import initialize_model
from jointlight.initialize.windows import (
    filter_windows,
    scale_windows,
    transfer_windows,
    windows_from_segmentation_map,
)

__all__ = [
    "Moments",
    "PA_from_segmentation_map",
    "Peak",
    "RadialProfile",
    "SkyEstimate",
    "centroid",
    "centroids_from_segmentation_map",
    "filter_windows",
    "find_peak",
    "fluxes_from_segmentation_map",
    "grow_windows",
    "half_light_radii_from_segmentation_map",
    "half_light_radius",
    "initialize_model",
    "moments",
    "noise_level",
    "q_from_segmentation_map",
    "radial_profile",
    "scale_windows",
    "sky_level",
    "transfer_windows",
    "windows_from_segmentation_map",
]
