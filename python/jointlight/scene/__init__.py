# SPDX-License-Identifier: BSD-3-Clause
"""The compiled problem: models and images flattened into the core's tables."""

from .compile import check_profile, compile, same_plane
from .covariance import Covariance, only_at_bound, propagate, standard_errors
from .jacobian import JacobianCheck
from .scene import Scene, Tile
from .slots import SlotMap, root_parameters

__all__ = [
    "Covariance",
    "JacobianCheck",
    "Scene",
    "SlotMap",
    "Tile",
    "check_profile",
    "compile",
    "only_at_bound",
    "propagate",
    "root_parameters",
    "same_plane",
    "standard_errors",
]
