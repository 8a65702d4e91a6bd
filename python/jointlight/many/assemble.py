# SPDX-License-Identifier: BSD-3-Clause
"""From the core's columns to ManyResults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from astropy import units as u
from numpy.typing import NDArray

from jointlight.fit.lm import with_tie_errors
from jointlight.many.results import SENTENCES, Layout, ManyResults, code_of

__all__ = [
    "add_tie_errors",
    "end_to_end",
    "in_common_units",
    "joined",
    "make_results",
    "not_begun",
]


def make_results(
    out: Mapping[str, Any],
    *,
    layouts: tuple[Layout, ...],
    layout_of: NDArray[np.int64],
    n_priors: NDArray[np.int64],
    scaled: NDArray[np.bool_],
    precision: str,
) -> ManyResults:
    """Dress the core's columns.

    Parameters
    ----------
    out : mapping
        What the core returned, cyclic values wrapped, with the backends.
    layouts, layout_of
        As for `ManyResults`.
    n_priors : ndarray of int
        Free scalars with a prior of each object.
    scaled : ndarray of bool
        Whether its errors are scaled by chi2/dof.
    precision : str
        Of derivatives.

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
    evaluated = n_linearize + n_chi2 > 0
    dof = np.where(evaluated, dof, 0)
    chi2 = np.where(evaluated & (out["status"] != code_of("no_data")), chi2, np.nan)
    messages = dict(out["messages"])
    for row in np.flatnonzero((out["status"] == code_of("interrupted")) & ~evaluated):
        messages.setdefault(int(row), "Interrupted before it began.")
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
        special_messages=messages,
        chi2=chi2,
        n_pixels=n_pixels,
        dof=dof,
        n_linearize=n_linearize,
        n_chi2=n_chi2,
        time=np.asarray(out["time_s"]),
        covariance_scale=scale,
        flat_covariance=out.get("covariance"),
        covariance_offset=out["covariance_offset"] if "covariance" in out else None,
        backend=np.where(evaluated, np.asarray(out["backend"], dtype=np.str_), ""),
        precision=precision,
    )


def end_to_end(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The core's columns of several calls as those of one.

    Parameters
    ----------
    parts : sequence of mapping

    Returns
    -------
    dict
    """
    if len(parts) == 1:
        return dict(parts[0])
    out: dict[str, Any] = {}
    for name in parts[0]:
        columns = [part[name] for part in parts]
        if name.endswith("offset"):
            sizes = np.concatenate([np.diff(column) for column in columns])
            out[name] = np.concatenate([[0], np.cumsum(sizes)])
        elif name != "messages":
            out[name] = np.concatenate(columns)
    begins = np.cumsum([0] + [len(part["status"]) for part in parts])
    out["messages"] = {
        int(begin) + row: text
        for begin, part in zip(begins, parts, strict=False)
        for row, text in part["messages"].items()
    }
    return out


def not_begun(sizes: Sequence[int], how: Mapping[str, Any]) -> dict[str, Any]:
    """The core's columns of objects that an interrupt left out.

    Parameters
    ----------
    sizes : sequence of int
        Free parameters of each.
    how : mapping
        options and covariance, as the core takes them.

    Returns
    -------
    dict
    """
    n, k = len(sizes), np.array(sizes, dtype=np.int64)
    squares = np.where(k <= how["options"]["covariance_max_size"], k * k, 0)
    offset, square = (np.concatenate([[0], np.cumsum(one)]) for one in (k, squares))
    out: dict[str, Any] = {
        "offset": offset,
        "covariance_offset": square,
        "status": np.full(n, code_of("interrupted"), dtype=np.int8),
        "chi2": np.full(n, np.nan),
        "time_s": np.zeros(n),
        "messages": {},
    }
    out |= {name: np.zeros(n, np.int64) for name in ("n_pixels", "n_null", "n_linearize", "n_chi2")}
    out |= {name: np.full(offset[-1], np.nan) for name in ("values", "variances")}
    out |= {name: np.zeros(offset[-1], np.uint8) for name in ("at_bound", "degenerate")}
    if how["covariance"]:
        out["covariance"] = np.full(square[-1], np.nan)
    return out


def add_tie_errors(out: Mapping[str, Any], rows: Any, errors: Sequence[Exception]) -> None:
    """Add what function ties raised to messages, as for a single fit.

    Parameters
    ----------
    out : mapping
        The core's columns.
    rows : iterable of int
        Whose messages.
    errors : sequence of Exception
        What was raised.
    """
    for row in rows:
        known = out["messages"].get(int(row), SENTENCES[out["status"][row]])
        out["messages"][int(row)] = with_tie_errors({"message": known}, errors)["message"]


def in_common_units(results: ManyResults, units: dict[str, str]) -> ManyResults:
    """Results with each parameter in one unit, whatever model it is of.

    Parameters
    ----------
    results : ManyResults
    units : dict of str to str
        Unit of each parameter's name; those of new names are added.

    Returns
    -------
    ManyResults
    """
    layouts = tuple(
        Layout(one.names, tuple(units.setdefault(*pair) for pair in zip(*_pairs(one), strict=True)))
        for one in results.layouts
    )
    if layouts == results.layouts:
        return results
    factor = np.ones(len(results.flat_values))
    covariance = None if results.flat_covariance is None else results.flat_covariance.copy()
    for number, (old, new) in enumerate(zip(results.layouts, layouts, strict=True)):
        ratios = np.array(
            [u.Unit(a).to(u.Unit(b)) for a, b in zip(old.units, new.units, strict=True)]
        )
        for row in np.flatnonzero(results.layout_of == number):
            factor[results.offset[row] : results.offset[row + 1]] = ratios
            if covariance is not None and results.covariance_offset is not None:
                begin, end = results.covariance_offset[row : row + 2]
                if end > begin:
                    covariance[begin:end] *= np.outer(ratios, ratios).ravel()
    return replace(
        results,
        layouts=layouts,
        flat_values=results.flat_values * factor,
        flat_variances=results.flat_variances * factor**2,
        flat_covariance=covariance,
    )


def _pairs(layout: Layout) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return layout.names, layout.units


def joined(parts: Sequence[ManyResults]) -> ManyResults:
    """Results of one after the other as one.

    Parameters
    ----------
    parts : sequence of ManyResults

    Returns
    -------
    ManyResults
    """
    if len(parts) == 1 and len(set(parts[0].layouts)) == len(parts[0].layouts):
        return parts[0]
    layouts: dict[Layout, int] = {}
    layout_of, messages, begin = [], {}, 0
    for part in parts:
        new = np.array([layouts.setdefault(one, len(layouts)) for one in part.layouts] + [-1])
        layout_of.append(new[part.layout_of])
        messages.update({begin + row: text for row, text in part.special_messages.items()})
        begin += len(part)
    offset = None
    flat = ["flat_values", "flat_variances", "flat_at_bound", "flat_degenerate"]
    if parts and all(part.flat_covariance is not None for part in parts):
        flat.append("flat_covariance")
        squares = [np.diff(np.asarray(part.covariance_offset)) for part in parts]
        offset = np.concatenate([[0], np.cumsum(_stacked(squares, int))])
    rows = ["status_code", "chi2", "n_pixels", "dof", "n_linearize", "n_chi2", "time",
            "covariance_scale", "backend"]  # fmt: skip
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
        covariance_offset=offset,
        precision=parts[0].precision if parts else "float64",
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
    "backend": np.str_,
} | dict.fromkeys(
    ("flat_values", "flat_variances", "flat_covariance", "chi2", "time", "covariance_scale"), float
)


def _stacked(arrays: Sequence[NDArray[Any]], kind: type) -> NDArray[Any]:
    return np.concatenate(arrays) if arrays else np.zeros(0, dtype=kind)
