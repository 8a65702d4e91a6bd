# SPDX-License-Identifier: BSD-3-Clause
"""Options of the Levenberg-Marquardt fit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from numbers import Integral, Real
from typing import Any

import numpy as np

from jointlight.backends import check_precision, environment_threads, ready_backend
from jointlight.errors import InvalidInput, invalid, option_hint

__all__ = [
    "LMOptions",
    "check_arguments",
    "check_count",
    "check_number",
    "check_unknown",
]


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
        Trial steps, accepted or not. Usual fits need 5 to 15, thousands of blended sources 100.
    time_limit_s : float, optional
        Wall-clock limit in seconds; 0 means none.
    component_time_limit_s : float, optional
        The same for each independent group of sources (no pixel and no parameter in common with
        others), counting its share of the time: one that is out of time keeps its best point, with
        the status ``timed_out``, and leaves the rest to the others. 0 means none.
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
    InvalidInput
        If a value is no number or out of its range.
    """

    ftol: float = 1e-9
    xtol: float = 1e-8
    gtol: float = 1e-6
    max_iterations: int = 400
    time_limit_s: float = 0.0
    component_time_limit_s: float = 0.0
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
            if isinstance(field.default, bool):
                if not isinstance(value, (bool, np.bool_)):
                    raise invalid(field.name, value, "True or False")
                value = bool(value)
            elif isinstance(field.default, int):
                value = check_count(field.name, value)
            else:
                value = check_number(field.name, value)
            object.__setattr__(self, field.name, value)
        for name in ("initial_lambda", "min_lambda", "max_lambda"):
            if getattr(self, name) <= 0:
                raise invalid(name, getattr(self, name), "positive")
        if not self.min_lambda <= self.initial_lambda <= self.max_lambda:
            raise invalid(
                "initial_lambda",
                self.initial_lambda,
                f"inside [min_lambda={self.min_lambda!r}, max_lambda={self.max_lambda!r}]",
            )

    def to_dict(self) -> dict[str, Any]:
        """The options as the core takes them.

        Returns
        -------
        dict
            Field name to value.
        """
        return asdict(self)


def check_number(name: str, value: object) -> float:
    """A finite number that is not negative.

    Parameters
    ----------
    name : str
        The argument.
    value : object
        What was passed.

    Returns
    -------
    float
        The number.
    """
    number = isinstance(value, Real) and not isinstance(value, (bool, np.bool_))
    if not (number and math.isfinite(value) and value >= 0):  # type: ignore[arg-type, operator]
        raise invalid(name, value, "a finite number, 0 or more")
    return float(value)  # type: ignore[arg-type]


def check_count(name: str, value: object, *, least: int = 0) -> int:
    """A whole number, NumPy's included.

    Parameters
    ----------
    name : str
        The argument.
    value : object
        What was passed.
    least : int, optional
        The smallest that will do.

    Returns
    -------
    int
        The number.
    """
    whole = isinstance(value, (Integral, float)) and not isinstance(value, bool)
    if not (whole and value >= least and value % 1 == 0):  # type: ignore[operator]
        raise invalid(name, value, f"a whole number, {least} or more")
    return int(value)  # type: ignore[call-overload, no-any-return]


def check_unknown(where: str, unknown: Iterable[str], known: Iterable[str] | None) -> None:
    """Refuse keywords that do not exist, and say which were meant.

    Parameters
    ----------
    where : str
        What they were passed to.
    unknown : iterable of str
        The keywords.
    known : iterable of str or None
        Those that exist.
    """
    for name in unknown:
        hint = option_hint(name, known or ())
        if name == "tolerance":
            hint += "; drawing's is compile(tolerance=)"
        raise InvalidInput(f"{where} has no option {name!r}{hint}", argument=name)


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Check what all fits have in common.

    Parameters
    ----------
    arguments : mapping
        ``model``, ``verbose``, ``time_limit``, ``options``, ``n_threads``, ``precision``,
        ``backend``, ``callback``, ``progress`` and ``scale_covariance``, as passed;
        ``component_time_limit`` where there is one.
    """
    model, verbose = arguments["model"], arguments["verbose"]
    if isinstance(model, type) or not hasattr(model, "leaves"):
        raise invalid("model", model, "a model")
    if not (isinstance(verbose, (Integral, np.bool_)) and verbose in (0, 1, 2)):
        raise invalid("verbose", verbose, "0, 1 or 2")
    for name in ("time_limit", "component_time_limit"):
        limit = arguments.get(name)
        number = isinstance(limit, Real) and not isinstance(limit, bool)
        if limit is not None and not (number and 0 < limit < math.inf):
            raise invalid(name, limit, "a positive number of seconds, or None")
    if not isinstance(arguments["options"], LMOptions | None):
        hint = "Pass single options by keyword, or write jl.fit.LMOptions(...)"
        raise invalid("options", arguments["options"], "an LMOptions, or None", hint)
    if arguments["n_threads"] is None:
        environment_threads()
    else:
        check_count("n_threads", arguments["n_threads"])
    check_precision(arguments["precision"])
    ready_backend(arguments["backend"])
    if not (arguments["callback"] is None or callable(arguments["callback"])):
        raise invalid("callback", arguments["callback"], "a function, or None")
    for name in ("progress", "scale_covariance"):
        if not isinstance(arguments[name], bool | np.bool_ | None):
            raise invalid(name, arguments[name], "True, False or None")
