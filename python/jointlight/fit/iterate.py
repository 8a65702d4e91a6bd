# SPDX-License-Identifier: BSD-3-Clause
"""Block-coordinate descent: one part of a model after the other."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Never

import numpy as np
from numpy.typing import NDArray

from jointlight.errors import invalid
from jointlight.fit.assemble import make_result, update_model
from jointlight.fit.blocks import SHARED, Block, check_blocks, make_blocks, shortened, side_by_side
from jointlight.fit.compiled import CompiledFit
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
    from jointlight.backends import Precision
    from jointlight.models import Model
    from jointlight.result import FitResult
    from jointlight.scene import Scene

__all__ = ["Iter"]

FloatArray = NDArray[np.float64]

_FIRST_TOLERANCE = 1e-3  # of chi2, over all blocks: the first sweep sees neighbours that will move
_FIRST_STEPS = 15  # trial steps a block at most in the first sweep, for the same reason
_FEW_BLOCKS = 20  # with more, only verbose=2 prints a line for each
_LONGEST_JUMP = 50.0  # sweeps' worth of an extrapolation
_HELD = frozenset({"degenerate", "no_decrease"})  # a block that cannot move; others may free it


class Iter:
    """Fit one part of a model after the other, the rest held, until nothing moves.

    Reaches the minimum that `LM` reaches, slower where parts overlap, but each step is a small
    problem. The parts are fitted loosely at first and more tightly as the sweeps converge, and
    from the second sweep on the common direction of the last one is followed as far as it
    lowers chi2. Errors come from the full normal matrix of all parameters at the end, as with
    `LM`.

    Parameters
    ----------
    model : Model
        Usually a group.
    blocks : sequence, optional
        The parts: for each a name, path, model, source or parameter, or a list of them. What no
        block names is fitted in one more. Default the top-level members; a joint model counts
        as one member, and so does a model that is no group.
    shared : {"every", "first", "own block"}, optional
        Where a parameter is moved that several blocks follow: in every one of them, in the
        first, or in a block of its own at the end. All lead to the same minimum; ``"every"`` in
        the fewest sweeps.
    verbose : {0, 1, 2}, optional
        0: silent. 1: a line a sweep and, for up to 20 blocks, a block, and the outcome; a
        progress bar in a terminal or notebook. 2: always a line a block.
    max_iter : int, optional
        Most sweeps over all blocks.
    ftol : float, optional
        Converged when a whole sweep lowers chi2 by less than this fraction, and so would all
        further ones together, going by how fast the sweeps converge.
    time_limit : float, optional
        Seconds after which to stop with the best values so far.
    options : LMOptions, optional
        Options of each block's fit; its tolerances are the tightest that are used.
    n_threads : int, optional
        Threads, as for `LM`.
    precision : {"float64", "mixed"}, optional
        As for `LM`.
    backend : str, optional
        As for `LM`; "auto" is what ``JOINTLIGHT_BACKEND`` says here too.
    progress : bool, optional
        Force the progress bar on or off.
    callback : callable, optional
        Called after every sweep with a mapping (iteration, chi2, accepted, time_s); True stops.
    scale_covariance : bool, optional
        Scale the covariance by chi2/dof; by default as for `LM`.
    """

    def __init__(
        self,
        model: Model,
        *,
        blocks: Sequence[Any] | None = None,
        shared: Literal["every", "first", "own block"] = "every",
        verbose: int = 0,
        max_iter: int = 100,
        ftol: float = 1e-7,
        time_limit: float | None = None,
        options: LMOptions | None = None,
        n_threads: int | None = None,
        precision: Precision = "float64",
        backend: str = "auto",
        progress: bool | None = None,
        callback: Callable[[Mapping[str, Any]], bool | None] | None = None,
        scale_covariance: bool | None = None,
        **unknown: Never,
    ) -> None:
        check_unknown("Iter", unknown, Iter.__init__.__kwdefaults__)
        check_arguments(locals())
        if not 0 < check_number("ftol", ftol) < 1:
            raise invalid("ftol", ftol, "between 0 and 1")
        if shared not in SHARED:
            raise invalid("shared", shared, ", ".join(map(repr, SHARED[:2])) + f" or {SHARED[2]!r}")
        self.model = model
        self.blocks = blocks
        self.shared = shared
        self.verbose = verbose
        self.max_iter = check_count("max_iter", max_iter, least=1)
        self.ftol = float(ftol)
        self.time_limit = time_limit
        self.options = options or LMOptions()
        self.n_threads = n_threads
        self.precision = precision
        self.backend = backend
        self.progress = progress
        self.callback = callback
        self.scale_covariance = scale_covariance
        check_blocks(model, blocks)

    def fit(self) -> FitResult:
        """Fit, and leave values and uncertainties in the model.

        Returns
        -------
        FitResult
            The outcome; its history has one row a sweep.
        """
        start = time.perf_counter()
        ensure_initialized(self.model)
        compiled = CompiledFit(
            self.model, n_threads=self.n_threads, precision=self.precision, backend=self.backend
        )
        blocks = make_blocks(compiled.scene, check_blocks(self.model, self.blocks), self.shared)
        reporter = Reporter(
            name=self.model.name, verbose=min(int(self.verbose), 1), progress=self.progress,
            callback=self.callback,
        )  # fmt: skip
        deadline = None if self.time_limit is None else start + self.time_limit
        sweeps = _Sweeps(compiled.scene, blocks, self, reporter, start, deadline)
        with reporter:
            status, message = sweeps.run()
        reporter.reraise()
        # The full problem at the solution, not moved any further: covariance, chi2 by image.
        settings = self.options.to_dict() | {"max_iterations": 0}
        outcome = dict(compiled.scene.fit(settings, None, v=sweeps.v))
        if outcome["status"] in {"max_iterations", "converged_gtol"}:
            outcome |= {"status": status, "message": message}
        for key in ("component_status", "source_status"):
            if key in outcome:  # those of no step at all are those of the sweeps
                outcome[key] = [status if s == "max_iterations" else s for s in outcome[key]]
        outcome["n_linearize"] += sweeps.n_linearize
        outcome["n_chi2"] += sweeps.n_chi2
        outcome["time_s"] = time.perf_counter() - start
        outcome["history"] = {
            key: np.array([record[key] for record in sweeps.history])
            for key in ("iteration", "chi2", "accepted", "time_s")
        }
        result = make_result(
            self.model, compiled, with_tie_errors(outcome, compiled.scene.tie_errors()),
            options=self._settings(), scale_covariance=scaled(compiled, self.scale_covariance),
        )  # fmt: skip
        update_model(compiled, result)
        reporter.done(result)
        return result

    def _settings(self) -> dict[str, Any]:
        settings = self.options.to_dict() | {"max_sweeps": self.max_iter, "sweep_ftol": self.ftol}
        return settings | {"time_limit_s": self.time_limit or 0.0, "shared": self.shared}

    def __repr__(self) -> str:
        return f"<Iter fit of {self.model.name!r}, at most {self.max_iter} sweeps>"


@dataclass
class _Sweeps:
    """One run over the blocks of a compiled scene."""

    scene: Scene
    blocks: list[Block]
    settings: Iter
    reporter: Reporter
    start: float
    deadline: float | None
    history: list[dict[str, Any]] = field(default_factory=list)
    n_linearize: int = 0
    n_chi2: int = 0

    def __post_init__(self) -> None:
        self.turns = side_by_side(self.scene, self.blocks)
        self.v = self.scene.v0
        self.chi2 = self._chi2(self.v)
        self._last = math.inf  # decrease of chi2 in the last sweep

    def run(self) -> tuple[str, str]:
        """Sweep until converged or stopped; returns status and message."""
        try:
            return self._run()
        except KeyboardInterrupt:  # between two steps of the core, which tells of it otherwise
            return "interrupted", f"Interrupted in sweep {len(self.history) + 1}."

    def _run(self) -> tuple[str, str]:
        if not self.blocks:
            return "converged_gtol", "Nothing is free."
        n, most = len(self.blocks), self.settings.max_iter
        tightest = max(self.settings.options.ftol, 0.1 * self.settings.ftol / n)
        tolerance = max(tightest, _FIRST_TOLERANCE / n)
        for sweep in range(most):
            before, v_before = self.chi2, self.v.copy()
            if self.settings.verbose:
                self.reporter.say(f"sweep {sweep + 1} of at most {most}")
            stopped = self._sweep(sweep, tolerance)
            if stopped is not None:
                return stopped
            drop = before - self.chi2
            rate = drop / self._last if self._last > 0.0 else 0.0
            jumped = self._jump(self.v - v_before, rate) if sweep else 0.0
            record = {
                "iteration": sweep, "chi2": self.chi2, "accepted": True,
                "time_s": time.perf_counter() - self.start,
            }  # fmt: skip
            self.history.append(record)
            if self.settings.verbose:
                self.reporter.say(
                    f"  chi2 = {self.chi2:.10g} after {n} block{'s' if n > 1 else ''}, lower by "
                    f"{drop + jumped:.3g}"
                )
            if self.reporter.step(record):
                return "interrupted", f"Interrupted after sweep {sweep + 1}."
            enough = self.settings.ftol * abs(self.chi2)
            to_come = drop * rate / (1.0 - rate) if 0.0 <= rate < 1.0 else math.inf
            small = drop + jumped <= enough and (to_come <= enough or drop <= 1e-3 * enough)
            if small and tolerance <= tightest and (sweep or n == 1):
                return (
                    "converged_ftol",
                    f"Converged: sweep {sweep + 1} lowered chi2 by less than ftol.",
                )
            self._last = drop
            wanted = 0.1 * max(drop, 0.0) / max(abs(self.chi2), 1e-300) / n
            tolerance = max(tightest, min(tolerance, wanted))
        return "max_iterations", f"Still falling after {most} sweeps."

    def _sweep(self, sweep: int, tolerance: float) -> tuple[str, str] | None:
        """Each block once; status and message where it must end."""
        options = replace(self.settings.options, covariance=False, ftol=tolerance)
        if sweep == 0:
            steps = min(options.max_iterations, _FIRST_STEPS)
            options = replace(options, max_iterations=steps)
        for turn in self.turns:
            if self.deadline is not None:
                left = self.deadline - time.perf_counter()
                if left <= 0:
                    return "timed_out", f"Stopped by the time limit in sweep {sweep + 1}."
                options = replace(options, time_limit_s=left)
            active = np.any([block.active for block in turn], axis=0)
            outcome = self._fit(options.to_dict(), active)
            self.n_linearize += int(outcome["n_linearize"])
            self.n_chi2 += int(outcome["n_chi2"])
            status = str(outcome["status"])
            if status in {"non_finite", "all_masked"}:
                return status, str(outcome["message"])
            self.v = np.asarray(outcome["v"], dtype=np.float64)
            if status == "interrupted":
                return status, f"Interrupted in sweep {sweep + 1}."
            self._tell(turn, outcome)
        # Not that of the last fit, which may have been of the scene before its last change.
        self.chi2 = self._chi2(self.v)
        return None

    def _fit(self, options: dict[str, Any], active: NDArray[np.bool_]) -> dict[str, Any]:
        return self.scene.fit(options, None, v=self.v, active=active)

    def _tell(self, turn: Sequence[Block], outcome: Mapping[str, Any]) -> None:
        verbose = self.settings.verbose
        if verbose > 1 or (verbose and len(self.blocks) <= _FEW_BLOCKS):
            n = len(outcome["history"]["chi2"])
            self.reporter.say(
                f"  {shortened([block.name for block in turn])}: chi2 = {outcome['chi2']:.10g}, "
                f"{n} step{'s' if n != 1 else ''}"
                + (f", {outcome['status']}" if outcome["status"] in _HELD else "")
            )

    def _jump(self, step: FloatArray, rate: float) -> float:
        """Go on along a whole sweep's step; returns by how much that lowers chi2.

        Where blocks follow each other in a valley, each sweep repeats the last one's step
        shortened by the root of the rate at which its gain in chi2 falls.
        """
        if not 0.01 < rate < 1.0:
            return 0.0
        shorter = math.sqrt(rate)
        length = min(shorter / (1.0 - shorter), _LONGEST_JUMP)
        lower, upper = self.scene.slots.lower, self.scene.slots.upper
        room = np.where(step > 0.0, upper - self.v, self.v - lower)
        moving = (step != 0.0) & (room > 0.0) & np.isfinite(room)
        if moving.any():  # short of the limits, where the light may be undefined
            length = min(length, 0.9 * float(np.min(room[moving] / np.abs(step[moving]))))
        step = np.where(room > 0.0, step, 0.0)
        here = self.chi2
        for _ in range(3):
            there = self.v + length * step
            chi2 = self._chi2(there)
            if chi2 < here:
                self.v, self.chi2 = there, chi2
                return here - chi2
            length *= 0.3
        return 0.0

    def _chi2(self, v: FloatArray) -> float:
        self.n_chi2 += 1
        return float(self.scene.chi2(v))
