# SPDX-License-Identifier: BSD-3-Clause
"""The compiled problem: models and images flattened into the core's tables."""

from .compile import Tables, check_profile, compile, flatten, parse_threads, same_plane
from .covariance import Covariance, only_at_bound, propagate, standard_errors
from .jacobian import JacobianCheck
from .scene import Scene, Tile
from .slots import SlotMap, as_table, root_parameters

__all__ = [
    "Covariance",
    "JacobianCheck",
    "Scene",
    "SlotMap",
    "Tables",
    "Tile",
    "as_table",
    "check_profile",
    "compile",
    "flatten",
    "only_at_bound",
    "parse_threads",
    "propagate",
    "root_parameters",
    "same_plane",
    "standard_errors",
]
