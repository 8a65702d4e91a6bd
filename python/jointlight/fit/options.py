# SPDX-License-Identifier: BSD-3-Clause
"""Options of the Levenberg-Marquardt fit."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

__all__ = ["LMOptions"]


@dataclass(frozen=True, kw_only=True)
class LMOptions:
    """Options of the Levenberg-Marquardt fit, the same as the core's, field by field.

    Parameters
    ----------
    ftol : float, optional
        Converged when a full step promises, and the last step delivered, less than this
        fraction of chi2.
    xtol : float, optional
        Converged when the full step is below this fraction of the parameter vector, both in
        units of the conditional errors.
    gtol : float, optional
        Converged when no open parameter's derivative image makes an angle with the residuals
        whose cosine exceeds this.
    max_iterations : int, optional
        Trial steps, accepted or not. Usual fits need 5 to 15.
    time_limit_s : float, optional
        Wall-clock limit in seconds; 0 means none.
    initial_lambda : float, optional
        First damping, relative to the diagonal of the normal matrix.
    min_lambda, max_lambda : float, optional
        Range of the damping. At ``max_lambda`` the fit ends with the status ``no_decrease``.
    chi2_noise : float, optional
        Relative rounding error of chi2: smaller differences mean nothing.
    degenerate_rcond : float, optional
        Eigenvalues of the unit-diagonal normal matrix below this mark degenerate directions.
    covariance : bool, optional
        Compute the covariance at the solution.
    covariance_max_size : int, optional
        Largest number of free parameters for which the covariance is a dense matrix.
    dense_max_size : int, optional
        Up to this many free parameters the normal equations are factorised as a dense matrix.

    Raises
    ------
    ValueError
        If a value is out of its range.
    """

    ftol: float = 1e-9
    xtol: float = 1e-8
    gtol: float = 1e-6
    max_iterations: int = 200
    time_limit_s: float = 0.0
    initial_lambda: float = 1e-3
    min_lambda: float = 1e-15
    max_lambda: float = 1e12
    chi2_noise: float = 1e-13
    degenerate_rcond: float = 1e-11
    covariance: bool = True
    covariance_max_size: int = 2000
    dense_max_size: int = 200

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            integer = isinstance(field.default, int) and not isinstance(field.default, bool)
            if isinstance(field.default, bool):
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                msg = f"LMOptions: {field.name}={value!r} is not a number"
                raise ValueError(msg)
            if not math.isfinite(value) or value < 0:
                msg = f"LMOptions: {field.name}={value!r}; must be finite and not negative"
                raise ValueError(msg)
            if integer and value != int(value):
                msg = f"LMOptions: {field.name}={value!r}; must be a whole number"
                raise ValueError(msg)
        for name in ("initial_lambda", "min_lambda", "max_lambda"):
            if getattr(self, name) <= 0:
                msg = f"LMOptions: {name}={getattr(self, name)!r}; must be positive"
                raise ValueError(msg)
        if not self.min_lambda <= self.initial_lambda <= self.max_lambda:
            msg = (
                f"LMOptions: initial_lambda={self.initial_lambda!r} lies outside "
                f"[min_lambda={self.min_lambda!r}, max_lambda={self.max_lambda!r}]"
            )
            raise ValueError(msg)

    def to_dict(self) -> dict[str, Any]:
        """The options as the core takes them.

        Returns
        -------
        dict
            Field name to value.
        """
        return asdict(self)
