# SPDX-License-Identifier: BSD-3-Clause
"""Parameters: values with units, limits and priors, fixed or free, and ties between them."""

from .parameter import Parameter
from .polynomial import tie_polynomial
from .ties import (
    Affine,
    FunctionTie,
    LinearTie,
    Tie,
    dependency_order,
    evaluate_all,
    resolve_affine,
    root_component,
)
from .values import Domain, Normal

__all__ = [
    "Affine",
    "Domain",
    "FunctionTie",
    "LinearTie",
    "Normal",
    "Parameter",
    "Tie",
    "dependency_order",
    "evaluate_all",
    "resolve_affine",
    "root_component",
    "tie_polynomial",
]
