# SPDX-License-Identifier: BSD-3-Clause
"""How each source and each connected component of a fit ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from jointlight import flags

if TYPE_CHECKING:
    from jointlight.result.fit_result import FitResult

__all__ = ["SourceQuality", "outcome_sentence", "source_quality", "status_flags", "succeeded"]

_LOST: Final = "lost"
_NO_DATA: Final = "no_data"
_NAMED = 5  # sources named in a message before it says how many more there are


def succeeded(status: str) -> bool:
    """Whether a status is a good end.

    Parameters
    ----------
    status : str
        Of a fit, a connected component or a source.

    Returns
    -------
    bool
        True if a convergence test was met, or nothing was left to fit.
    """
    return status.startswith("converged") or status in {"no_free_parameters", "fixed"}


def status_flags(status: str) -> int:
    """Flag bits that a status stands for.

    Parameters
    ----------
    status : str
        Of a fit, a connected component or a source.

    Returns
    -------
    int
        See `jointlight.flags`.
    """
    if succeeded(status):
        return 0
    own = {_LOST: flags.LOST, _NO_DATA: flags.NO_DATA}.get(status, flags.NOT_CONVERGED)
    return own | (flags.INTERRUPTED if status in {"interrupted", "timed_out"} else 0)


def outcome_sentence(names: Sequence[str], statuses: Sequence[str]) -> str:
    """What a message says about sources that did not end well.

    Parameters
    ----------
    names, statuses : sequence of str
        Of all sources.

    Returns
    -------
    str
        Empty if there is nothing to say.
    """
    kinds: dict[str, list[str]] = {}
    for name, status in zip(names, statuses, strict=True):
        if not succeeded(status):
            known = status if status in {_LOST, _NO_DATA} else ""
            kinds.setdefault(known, []).append(name)
    verbs = {"": "did not converge", _LOST: "{} lost", _NO_DATA: "{} without usable pixels"}
    parts = []
    for kind, verb in verbs.items():
        if not (found := kinds.get(kind)) or (not kind and len(names) == 1):
            continue  # of a single source the fit's own sentence says it
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        told = verb.format("was" if len(found) == 1 else "were")
        shown = ", ".join(found[:_NAMED]) + more
        parts.append(f"{len(found)} of {len(names)} sources {told}: {shown}.")
    return " ".join(parts)


@dataclass(frozen=True, kw_only=True)
class SourceQuality:
    """How sources ended, one entry a row of the table of sources.

    Attributes
    ----------
    status : list of str
        As for fits; and "lost", "no_data", "fixed".
    chi2 : ndarray
        Of the pixels that belong to the source, each pixel to one source only; NaN if unknown.
    n_pixels : ndarray of int
        Their number.
    reduced_chi2 : ndarray
        chi2 over `n_pixels` less the parameters of the source; NaN where that is not positive.
    """

    status: list[str]
    chi2: NDArray[np.float64]
    n_pixels: NDArray[np.int64]
    reduced_chi2: NDArray[np.float64]


def source_quality(
    result: FitResult, sources: Sequence[int], used: Sequence[NDArray[np.int64]]
) -> SourceQuality:
    """How each of some sources ended.

    Parameters
    ----------
    result : FitResult
        The result.
    sources : sequence of int
        Source indices.
    used : sequence of ndarray of int
        Numbers of the free parameters that each depends on.

    Returns
    -------
    SourceQuality
        In the order asked for.
    """
    known = result.source_status
    status = [known[source] if known else result.status for source in sources]
    chi2 = np.full(len(sources), np.nan)
    n_pixels = np.zeros(len(sources), dtype=np.int64)
    if result.chi2_tiles.size:
        owner = np.array([component.source for component in result.slots.components])
        size = max(int(owner.max(initial=-1)), max(sources, default=-1)) + 1
        mine = owner >= 0
        totals = np.bincount(owner[mine], weights=result.chi2_tiles[mine], minlength=size)
        counts = np.bincount(
            owner[mine], weights=result.n_pixels_tiles[mine].astype(float), minlength=size
        )
        chi2 = totals[list(sources)]
        n_pixels = counts[list(sources)].astype(np.int64)
    n_fitted = np.array([np.count_nonzero(~result.at_bound[one]) for one in used], dtype=np.int64)
    left = n_pixels - n_fitted
    reduced = np.where(left > 0, chi2 / np.maximum(left, 1), np.nan)
    return SourceQuality(status=status, chi2=chi2, n_pixels=n_pixels, reduced_chi2=reduced)
