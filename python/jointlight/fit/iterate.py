# SPDX-License-Identifier: BSD-3-Clause
"""Block-coordinate descent: one member of a group after the other."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Never

import numpy as np

from jointlight.errors import invalid
from jointlight.fit.assemble import make_result, update_model
from jointlight.fit.compiled import CompiledFit, free_roots
from jointlight.fit.lm import ensure_initialized, scaled, with_tie_errors
from jointlight.fit.options import (
    LMOptions,
    check_arguments,
    check_count,
    check_number,
    check_unknown,
)
from jointlight.fit.report import Reporter

if TYPE_CHECKING:
    from jointlight.models import Model
    from jointlight.parameters import Parameter
    from jointlight.result import FitResult

__all__ = ["Iter"]


class Iter:
    """Fit the top-level members of a group in turn, the others held, until nothing moves.

    Slower to converge than `LM` where members overlap, but each step is a small problem. Errors
    come from the full normal matrix of all parameters at the end, as with `LM`.

    Parameters
    ----------
    model : Model
        A group. A joint model of one source counts as one member, and so does a model that is
        no group.
    verbose : {0, 1, 2}, optional
        0: silent. 1: a progress bar in a terminal or notebook, and the outcome. 2: a line for
        every sweep as well.
    max_iter : int, optional
        Most sweeps over all members.
    ftol : float, optional
        Converged when a whole sweep lowers chi2 by less than this fraction.
    time_limit : float, optional
        Seconds after which to stop with the best values so far.
    options : LMOptions, optional
        Options of each member's fit.
    n_threads : int, optional
        Threads, as for `LM`.
    progress : bool, optional
        Force the progress bar on or off.
    callback : callable, optional
        Called after every sweep with a mapping (iteration, chi2); True stops.
    scale_covariance : bool, optional
        Scale the covariance by chi2/dof; by default as for `LM`.
    """

    def __init__(
        self,
        model: Model,
        *,
        verbose: int = 0,
        max_iter: int = 100,
        ftol: float = 1e-7,
        time_limit: float | None = None,
        options: LMOptions | None = None,
        n_threads: int | None = None,
        progress: bool | None = None,
        callback: Callable[[Mapping[str, Any]], bool | None] | None = None,
        scale_covariance: bool | None = None,
        **unknown: Never,
    ) -> None:
        check_unknown("Iter", unknown, Iter.__init__.__kwdefaults__)
        check_arguments(locals())
        if not 0 < check_number("ftol", ftol) < 1:
            raise invalid("ftol", ftol, "between 0 and 1")
        self.model = model
        self.verbose = verbose
        self.max_iter = check_count("max_iter", max_iter, least=1)
        self.ftol = float(ftol)
        self.time_limit = time_limit
        self.options = options or LMOptions()
        self.n_threads = n_threads
        self.progress = progress
        self.callback = callback
        self.scale_covariance = scale_covariance
        self._tie_errors: list[Exception] = []

    def fit(self) -> FitResult:
        """Fit, and leave values and uncertainties in the model.

        Returns
        -------
        FitResult
            The outcome; its history has one row a sweep.
        """
        start = time.perf_counter()
        ensure_initialized(self.model)
        initial = CompiledFit(self.model, n_threads=self.n_threads).start
        reporter = Reporter(
            name=self.model.name, verbose=self.verbose, progress=self.progress,
            callback=self.callback,
        )  # fmt: skip
        history: list[dict[str, Any]] = []
        self._tie_errors = []
        counts = {"n_linearize": 0, "n_chi2": 0}
        with reporter:
            status, message = self._sweeps(reporter, history, counts, start)
        reporter.reraise()
        # The full problem at the solution, not moved any further: covariance, chi2 by image.
        compiled = CompiledFit(self.model, n_threads=self.n_threads)
        outcome = dict(compiled.fit({**self.options.to_dict(), "max_iterations": 0}, None))
        if outcome["status"] in {"max_iterations", "converged_gtol"}:
            outcome |= {"status": status, "message": message}
        for name, count in counts.items():
            outcome[name] += count
        outcome["time_s"] = time.perf_counter() - start
        outcome["history"] = {
            key: np.array([record[key] for record in history])
            for key in ("iteration", "chi2", "accepted", "time_s")
        }
        result = make_result(
            self.model, compiled,
            with_tie_errors(outcome, [*self._tie_errors, *compiled.scene.tie_errors()]),
            initial=initial, options=self._settings(),
            scale_covariance=scaled(compiled, self.scale_covariance),
        )  # fmt: skip
        update_model(compiled, result)
        reporter.done(result)
        return result

    def _settings(self) -> dict[str, Any]:
        settings = self.options.to_dict() | {"max_sweeps": self.max_iter, "sweep_ftol": self.ftol}
        return settings | {"time_limit_s": self.time_limit or 0.0}

    def _sweeps(
        self,
        reporter: Reporter,
        history: list[dict[str, Any]],
        counts: dict[str, int],
        start: float,
    ) -> tuple[str, str]:
        everything = free_roots(self.model)
        blocks = [free_roots(member) for member in members(self.model)]
        last = math.inf
        for sweep in range(self.max_iter):
            chi2 = last
            for block in blocks:
                if not block:
                    continue
                left = self._time_left(start)
                if left is not None and left <= 0:
                    return "timed_out", f"Stopped by the time limit in sweep {sweep + 1}."
                outcome = self._fit_block(everything, block, left)
                counts["n_linearize"] += int(outcome["n_linearize"])
                counts["n_chi2"] += int(outcome["n_chi2"])
                chi2 = float(outcome["chi2"])
                if outcome["status"] == "interrupted":
                    return "interrupted", f"Interrupted in sweep {sweep + 1}."
                if outcome["status"] in {"non_finite", "all_masked"}:
                    return str(outcome["status"]), str(outcome["message"])
            record = {
                "iteration": sweep, "chi2": chi2, "accepted": True,
                "time_s": time.perf_counter() - start,
            }  # fmt: skip
            history.append(record)
            if reporter.step(record):
                return "interrupted", f"Interrupted after sweep {sweep + 1}."
            if last - chi2 <= self.ftol * abs(chi2):
                text = f"Converged: sweep {sweep + 1} lowered chi2 by less than ftol."
                return "converged_ftol", text
            last = chi2
        return "max_iterations", f"Still falling after {self.max_iter} sweeps."

    def _time_left(self, start: float) -> float | None:
        if self.time_limit is None:
            return None
        return self.time_limit - (time.perf_counter() - start)

    def _fit_block(
        self,
        everything: Sequence[Parameter],
        block: Sequence[Parameter],
        time_left: float | None,
    ) -> Mapping[str, Any]:
        chosen = {id(parameter) for parameter in block}
        options = replace(self.options, covariance=False)
        if time_left is not None:
            options = replace(options, time_limit_s=time_left)
        with held([p for p in everything if id(p) not in chosen]):
            compiled = CompiledFit(self.model, n_threads=self.n_threads)
            outcome = compiled.fit(options.to_dict(), None)
            self._tie_errors += compiled.scene.tie_errors()
            compiled.push(np.asarray(outcome["v"]), None)
        return outcome

    def __repr__(self) -> str:
        return f"<Iter fit of {self.model.name!r}, at most {self.max_iter} sweeps>"


def members(model: Model) -> list[Model]:
    """The members fitted in turn.

    Parameters
    ----------
    model : Model
        A group or a single model.

    Returns
    -------
    list of Model
        Its top-level members; the model itself if it is not a group, or one joint source.
    """
    if hasattr(model, "shared_parameters") or not hasattr(model, "models"):
        return [model]
    return list(model.models)


@contextmanager
def held(parameters: Sequence[Parameter]) -> Iterator[None]:
    """Fix parameters for a while.

    Parameters
    ----------
    parameters : sequence of Parameter
        Free parameters.
    """
    try:
        for parameter in parameters:
            parameter.fixed = True
        yield
    finally:
        for parameter in parameters:
            parameter.fixed = False
