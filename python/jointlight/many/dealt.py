# SPDX-License-Identifier: BSD-3-Clause
"""One call of the core, or several on what computes fastest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jointlight.backends import ready_backend, warn_of_moved
from jointlight.choose import DEVICE_FAILED
from jointlight.many.assemble import end_to_end, not_begun
from jointlight.many.results import code_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jointlight.choose import Turns
    from jointlight.many.progress import Progress

__all__ = ["fit_dealt"]


def fit_dealt(
    fit: Callable[..., Mapping[str, Any]],
    *,
    n_pixels: Sequence[int],
    sizes: Sequence[int],
    how: dict[str, Any],
    turns: Turns | None,
    progress: Progress,
    later: float = 0.0,
) -> dict[str, Any]:
    """Fit objects with the backend that was asked for, or some with each that is worth a try.

    Parameters
    ----------
    fit : callable
        ``fit(begin, end, **how)`` calls the core for some of them.
    n_pixels, sizes : sequence of int
        Pixels and free parameters of each object.
    how : dict
        backend, options, n_threads, covariance.
    turns : Turns or None
        Who deals them out; None: the backend takes all.
    progress : Progress
        Told of every object, all of them in the end.
    later : float, optional
        Pixels of objects that are still to come in other calls.

    Returns
    -------
    dict
        The core's columns, and "backend".
    """
    parts: dict[int, dict[str, Any]] = {}
    n = len(sizes)

    def run(backend: str, begin: int, end: int) -> bool:
        if not progress.go_on:
            out: Mapping[str, Any] = not_begun(sizes[begin:end], how)
            backend = ""
        else:
            try:
                name = ready_backend(backend)
                out = fit(begin, end, **how | {"backend": name}, callback=progress.step)
            except DEVICE_FAILED:
                if turns is None or backend == "cpu":
                    raise
                return False
            if np.any(out["status"] == _INTERRUPTED):
                progress.interrupted = True
            progress.count(end - begin)
        columns = dict(out)
        moved = columns.pop("moved", np.zeros(end - begin)) != 0
        failure = columns.pop("device_failure", "")
        warn_of_moved(backend, failure, int(moved.sum()))
        if turns is not None and failure:
            turns.strike(backend)
        columns["backend"] = np.where(moved, "cpu", backend)
        parts[begin] = columns
        return True

    if turns is None or n == 0:
        run(how["backend"], 0, n)
    else:
        turns.deal(n_pixels, run, later=later)
    return end_to_end([parts[begin] for begin in sorted(parts)])


_INTERRUPTED = code_of("interrupted")
