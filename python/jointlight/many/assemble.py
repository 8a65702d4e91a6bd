# SPDX-License-Identifier: BSD-3-Clause
"""From the core's columns to ManyResults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointlight.many.results import Layout, ManyResults

__all__ = ["joined", "make_results"]


def make_results(
    out: Mapping[str, Any],
    *,
    layouts: tuple[Layout, ...],
    layout_of: NDArray[np.int64],
    n_priors: NDArray[np.int64],
    scaled: NDArray[np.bool_],
) -> ManyResults:
    """Dress the core's columns.

    Parameters
    ----------
    out : mapping
        What the core returned, cyclic values wrapped.
    layouts, layout_of
        As for `ManyResults`.
    n_priors : ndarray of int
        Free scalars with a prior of each object.
    scaled : ndarray of bool
        Whether its errors are scaled by chi2/dof.

    Returns
    -------
    ManyResults
    """
    n = len(out["status"])
    offset = np.asarray(out["offset"], dtype=np.int64)
    at_bound = np.asarray(out["at_bound"]).view(bool)
    sizes = np.diff(offset)
    row_of = np.repeat(np.arange(n), sizes)
    n_bound = np.bincount(row_of[at_bound], minlength=n)
    n_linearize, n_chi2 = (np.asarray(out[key], np.int64) for key in ("n_linearize", "n_chi2"))
    n_pixels = np.asarray(out["n_pixels"], dtype=np.int64)
    chi2 = np.asarray(out["chi2"])
    dof = n_pixels + n_priors - (sizes - n_bound - out["n_null"])
    dof = np.where(n_linearize + n_chi2 > 0, dof, 0)
    scale = np.ones(n)
    by_noise = scaled & (dof > 0) & (chi2 > 0)
    scale[by_noise] = chi2[by_noise] / dof[by_noise]
    return ManyResults(
        layouts=layouts,
        layout_of=layout_of,
        offset=offset,
        flat_values=np.asarray(out["values"]),
        flat_variances=np.asarray(out["variances"]),
        flat_at_bound=at_bound,
        flat_degenerate=np.asarray(out["degenerate"]).view(bool),
        status_code=np.asarray(out["status"]),
        special_messages=dict(out["messages"]),
        chi2=chi2,
        n_pixels=n_pixels,
        dof=dof,
        n_linearize=n_linearize,
        n_chi2=n_chi2,
        time=np.asarray(out["time_s"]),
        covariance_scale=scale,
        flat_covariance=out.get("covariance"),
    )


def joined(parts: Sequence[ManyResults]) -> ManyResults:
    """Results of one after the other as one.

    Parameters
    ----------
    parts : sequence of ManyResults

    Returns
    -------
    ManyResults
    """
    if len(parts) == 1:
        return parts[0]
    layouts: dict[Layout, int] = {}
    layout_of, messages, begin = [], {}, 0
    for part in parts:
        new = np.array([layouts.setdefault(one, len(layouts)) for one in part.layouts] + [-1])
        layout_of.append(new[part.layout_of])
        messages.update({begin + row: text for row, text in part.special_messages.items()})
        begin += len(part)
    flat = ["flat_values", "flat_variances", "flat_at_bound", "flat_degenerate"]
    if all(part.flat_covariance is not None for part in parts):
        flat.append("flat_covariance")
    rows = ["status_code", "chi2", "n_pixels", "dof", "n_linearize", "n_chi2", "time",
            "covariance_scale"]  # fmt: skip
    sizes = _stacked([np.diff(part.offset) for part in parts], int)
    stacked: dict[str, Any] = {
        name: _stacked([getattr(part, name) for part in parts], _TYPES[name])
        for name in (*flat, *rows)
    }
    return ManyResults(
        layouts=tuple(layouts),
        layout_of=_stacked(layout_of, np.int64),
        offset=np.concatenate([[0], np.cumsum(sizes)]),
        special_messages=messages,
        **stacked,
    )


_TYPES: dict[str, type] = {
    "flat_at_bound": bool,
    "flat_degenerate": bool,
    "status_code": np.int8,
    "n_pixels": np.int64,
    "dof": np.int64,
    "n_linearize": np.int64,
    "n_chi2": np.int64,
} | dict.fromkeys(
    ("flat_values", "flat_variances", "flat_covariance", "chi2", "time", "covariance_scale"), float
)


def _stacked(arrays: Sequence[NDArray[Any]], kind: type) -> NDArray[Any]:
    return np.concatenate(arrays) if arrays else np.zeros(0, dtype=kind)
