# SPDX-License-Identifier: BSD-3-Clause
"""From the core's outcome to a FitResult."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jointlight.result import FitResult, FreeParameter

if TYPE_CHECKING:
    from jointlight.fit.compiled import CompiledFit
    from jointlight.models import Model

__all__ = ["make_result", "update_model"]

_MAX_EIGEN = 1000  # free parameters up to which null directions are counted exactly


def make_result(
    model: Model,
    compiled: CompiledFit,
    outcome: Mapping[str, Any],
    *,
    initial: NDArray[np.float64] | None = None,
    options: Mapping[str, Any],
    scale_covariance: bool = False,
) -> FitResult:
    """Dress the core's outcome.

    Parameters
    ----------
    model : Model
        What was fitted.
    compiled : CompiledFit
        Its compiled form.
    outcome : mapping
        What the core returned.
    initial : ndarray, optional
        Start values, if not those it was compiled with.
    options : mapping
        Options of the fit.
    scale_covariance : bool, optional
        Scale errors by the reduced chi-squared.

    Returns
    -------
    FitResult
        The result.
    """
    parameters = compiled.free_parameters()
    n = len(parameters)
    values = compiled.wrapped(np.asarray(outcome["v"], dtype=np.float64))
    at_bound = np.asarray(outcome["at_bound"], dtype=bool)
    directions = [[int(i) for i in group] for group in outcome["degenerate"]]
    degenerate = np.zeros(n, dtype=bool)
    for group in directions:
        degenerate[group] = True
    n_pixels = np.asarray(outcome["n_pixels_images"], dtype=np.int64)
    covariance = outcome["covariance"]
    chi2 = float(outcome["chi2"])
    n_null = _null_directions(compiled, values, at_bound, directions, options)
    dof = int(n_pixels.sum()) + compiled.n_priors - (n - int(at_bound.sum()) - n_null)
    scale = chi2 / dof if scale_covariance and dof > 0 and chi2 > 0 else 1.0
    time_s = float(outcome["time_s"])
    return FitResult(
        status=str(outcome["status"]),
        message=_message(str(outcome["message"]), parameters, at_bound, directions),
        chi2=chi2,
        dof=dof,
        parameters=parameters,
        values=values,
        initial=compiled.start if initial is None else initial,
        at_bound=at_bound,
        degenerate=degenerate,
        raw_covariance=None if covariance is None else np.asarray(covariance),
        images=tuple(compiled.images),
        chi2_images=np.asarray(outcome["chi2_images"], dtype=np.float64),
        n_pixels_images=n_pixels,
        slots=compiled.slot_state(values),
        model=model,
        covariance_scale=scale,
        options=dict(options),
        time_s=time_s,
        timing=dict(outcome.get("timing", {"fit": time_s})),
        n_linearize=int(outcome["n_linearize"]),
        n_chi2=int(outcome["n_chi2"]),
        raw_history={key: np.asarray(column) for key, column in outcome["history"].items()},
    )


def _null_directions(
    compiled: CompiledFit,
    values: NDArray[np.float64],
    at_bound: NDArray[np.bool_],
    groups: list[list[int]],
    options: Mapping[str, Any],
) -> int:
    """How many directions the data leave open: one a group, except that a large one may have more.

    The core tells which parameters are bound together, not along how many directions.
    """
    if max(map(len, groups), default=0) < 3 or values.size > _MAX_EIGEN:
        return len(groups)
    hessian = compiled.scene.linearize(values)[2][np.ix_(~at_bound, ~at_bound)]
    scale = np.sqrt(np.diag(hessian))
    felt = scale > 0
    if not np.isfinite(hessian).all():
        return len(groups)
    scaled = hessian[np.ix_(felt, felt)] / np.outer(scale[felt], scale[felt])
    limit = float(options.get("degenerate_rcond", 1e-11))
    n_null = int((~felt).sum()) + int((np.linalg.eigvalsh(scaled) <= limit).sum())
    return max(n_null, len(groups))


def _message(
    text: str,
    parameters: tuple[FreeParameter, ...],
    at_bound: NDArray[np.bool_],
    degenerate: list[list[int]],
) -> str:
    """The core's sentence with the parameters concerned named."""
    parts = [text if text.endswith((".", "!", "?")) else f"{text}."]
    if at_bound.any():
        names = [parameters[i].full_name for i in np.flatnonzero(at_bound)]
        parts.append(f"At a bound: {_listed(names)}.")
    groups = [" with ".join(parameters[i].full_name for i in group) for group in degenerate]
    if groups:
        parts.append(f"Not constrained by the data: {_listed(groups)}.")
    return " ".join(parts)


def _listed(names: list[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def update_model(compiled: CompiledFit, result: FitResult) -> None:
    """Leave a result's values and errors in its model.

    Parameters
    ----------
    compiled : CompiledFit
        The compiled model.
    result : FitResult
        Its result.
    """
    compiled.push(result.values, result.covariance, result.at_bound)
