# SPDX-License-Identifier: BSD-3-Clause
"""Plots on the true sky grid. matplotlib is imported when a plot is made, not before.

Every function draws on the axes it is given, or makes a figure of its own when given None, and
returns the axes (or the figure); no global pyplot state is touched.
"""

from jointlight.plots.images import model_image, model_window, residual_image, target_image
from jointlight.plots.profile import radial_profile
from jointlight.plots.statistics import covariance
from jointlight.plots.summary import fit_summary

__all__ = [
    "covariance",
    "fit_summary",
    "model_image",
    "model_window",
    "radial_profile",
    "residual_image",
    "target_image",
]
