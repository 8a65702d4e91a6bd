# SPDX-License-Identifier: BSD-3-Clause
"""From the core's outcome to a FitResult."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from jointlight.result import FitResult, FreeParameter
from jointlight.result.status import outcome_sentence

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
    covariance = _covariance(outcome, n)
    chi2 = float(outcome["chi2"])
    n_null = _null_directions(compiled, values, at_bound, directions, options)
    dof = int(n_pixels.sum()) + compiled.n_priors - (n - int(at_bound.sum()) - n_null)
    scale = chi2 / dof if scale_covariance and dof > 0 and chi2 > 0 else 1.0
    time_s = float(outcome["time_s"])
    of_sources = _sources_sentence(compiled, outcome)
    message = _message(str(outcome["message"]), parameters, at_bound, directions, of_sources)
    return FitResult(
        status=str(outcome["status"]),
        message=message,
        chi2=chi2,
        dof=dof,
        parameters=parameters,
        values=values,
        initial=compiled.start if initial is None else initial,
        at_bound=at_bound,
        degenerate=degenerate,
        raw_covariance=covariance,
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
        component_of=np.asarray(outcome["component"], dtype=np.int64),
        component_status=tuple(outcome["component_status"]),
        source_status=tuple(outcome["source_status"]),
        chi2_tiles=np.asarray(outcome["chi2_tiles"], dtype=np.float64),
        n_pixels_tiles=np.asarray(outcome["n_pixels_tiles"], dtype=np.int64),
        column_solver=_column_solver(compiled, outcome, covariance),
        backend=compiled.scene.backend,
        precision=compiled.precision,
    )


def _covariance(outcome: Mapping[str, Any], n: int) -> Any:
    """What the core found: a dense matrix, the lower triangle of a sparse one, or None."""
    if outcome["covariance"] is not None:
        return np.asarray(outcome["covariance"], dtype=np.float64)
    triangle = outcome["covariance_sparse"]
    if triangle is None:
        return None
    data, indices, indptr = (np.asarray(part) for part in triangle)
    return sparse.csc_array((data, indices, indptr), shape=(n, n))


def _column_solver(
    compiled: CompiledFit, outcome: Mapping[str, Any], covariance: Any
) -> Callable[[NDArray[np.int64]], NDArray[np.float64]] | None:
    """What computes pairs that were not stored; keeps the core's scene alive."""
    if not sparse.issparse(covariance):
        return None
    core, v = compiled.scene.core, np.array(outcome["v"], dtype=np.float64)
    held = ~np.isfinite(covariance.diagonal())
    return lambda indices: np.asarray(core.covariance_columns(v, held, indices))


def _sources_sentence(compiled: CompiledFit, outcome: Mapping[str, Any]) -> str:
    pairs = zip(compiled.scene.sources, outcome["source_status"], strict=True)
    objects = [(source.name, status) for source, status in pairs if not source.is_sky]
    return outcome_sentence([name for name, _ in objects], [status for _, status in objects])


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
    scale = np.sqrt(np.maximum(np.diag(hessian), 0.0))  # rounding makes tiny ones negative
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
    sources: str = "",
) -> str:
    """The core's sentence with the parameters concerned named."""
    parts = [text if text.endswith((".", "!", "?")) else f"{text}."]
    if sources:
        parts.append(sources)
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
    compiled.push(result.values, result.known_covariance, result.at_bound)
