# SPDX-License-Identifier: BSD-3-Clause
"""Levenberg-Marquardt fit of a model to all of its images at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Never

from jointlight.errors import InvalidInput, option_hint, warn_user
from jointlight.fit.assemble import make_result, update_model
from jointlight.fit.compiled import CompiledFit
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
    from jointlight.models.base import Model
    from jointlight.result import FitResult

__all__ = ["LM", "Callback"]

Callback = Callable[[Mapping[str, Any]], bool | None]


class LM:
    """Levenberg-Marquardt fit of a model to all of its images at once.

    Parameters
    ----------
    model : Model
        What to fit. Parameters without a value are initialised from the data first.
    verbose : {0, 1, 2}, optional
        0: silent. 1: a progress bar in a terminal or notebook, and the outcome in one line.
        2: a line for every trial step as well.
    max_iter : int, optional
        Most trial steps.
    ftol, xtol, gtol : float, optional
        Tolerances of the convergence tests, see `LMOptions`.
    time_limit : float, optional
        Seconds after which to stop with the best values so far.
    component_time_limit : float, optional
        The same for each group of sources that shares neither pixels nor parameters with others,
        counting its share of the time: a hard group cannot use up what the others need.
    options : LMOptions, optional
        All options at once; those above override it.
    n_threads : int, optional
        Threads; by default the environment's ``JOINTLIGHT_NUM_THREADS``, else all cores.
    precision : {"float64", "mixed"}, optional
        "mixed": derivatives in float32, images and all sums in float64. Takes 0.6 of the memory,
        and less time on processors without AVX-512, to the same answer: of 400 stored stamps no
        parameter moves by more than 0.0014 sigma (``benchmarks/results/precision.json``). Not
        where only wings below 1e-6 of the peak count.
    backend : str, optional
        "cpu", "cuda", or "cuda:N" for device N. "auto": what the environment's
        ``JOINTLIGHT_BACKEND`` says, else the CPU, or for large scenes a device, where one evaluates
        them faster: measured at the first scene of each size.
    progress : bool, optional
        Force the progress bar on or off.
    callback : callable, optional
        Called after every trial step with a mapping (iteration, chi2, accepted, ...). Returning
        True stops the fit with the status ``interrupted``; an exception stops it and is raised.
    scale_covariance : bool, optional
        Scale the covariance by chi2/dof, for variances known up to a factor only. By default it
        is scaled, with a warning, where an image was given no noise: all its pixels have weight 1
        then, and unscaled errors would be in no relation to the data.

    Examples
    --------
    >>> result = jl.fit.LM(model, verbose=1).fit()  # doctest: +SKIP
    >>> print(result.summary())  # doctest: +SKIP
    """

    def __init__(
        self,
        model: Model,
        *,
        verbose: int = 0,
        max_iter: int | None = None,
        ftol: float | None = None,
        xtol: float | None = None,
        gtol: float | None = None,
        time_limit: float | None = None,
        component_time_limit: float | None = None,
        options: LMOptions | None = None,
        n_threads: int | None = None,
        precision: Precision = "float64",
        backend: str = "auto",
        progress: bool | None = None,
        callback: Callback | None = None,
        scale_covariance: bool | None = None,
        **unknown: Never,
    ) -> None:
        check_unknown("LM", unknown, LM.__init__.__kwdefaults__)
        check_arguments(locals())
        if max_iter is not None:
            max_iter = check_count("max_iter", max_iter)
        for name, tolerance in (("ftol", ftol), ("xtol", xtol), ("gtol", gtol)):
            if tolerance is not None:
                check_number(name, tolerance)
        given: dict[str, Any] = {
            "max_iterations": max_iter,
            "ftol": ftol,
            "xtol": xtol,
            "gtol": gtol,
            "time_limit_s": time_limit,
            "component_time_limit_s": component_time_limit,
        }
        chosen = {name: value for name, value in given.items() if value is not None}
        self.model = model
        self.options = replace(options or LMOptions(), **chosen)
        self.verbose = verbose
        self.n_threads = n_threads
        self.precision = precision
        self.backend = backend
        self.progress = progress
        self.callback = callback
        self.scale_covariance = scale_covariance

    def fit(self) -> FitResult:
        """Fit, and leave values and uncertainties in the model.

        Returns
        -------
        FitResult
            The outcome; one that did not converge is returned, not raised.
        """
        ensure_initialized(self.model)
        compiled = CompiledFit(
            self.model, n_threads=self.n_threads, precision=self.precision, backend=self.backend
        )
        reporter = Reporter(
            name=self.model.name,
            verbose=self.verbose,
            progress=self.progress,
            callback=self.callback,
        )
        with reporter:
            outcome = compiled.fit(self.options.to_dict(), reporter.step)
        reporter.reraise()
        result = make_result(
            self.model, compiled, with_tie_errors(outcome, compiled.scene.tie_errors()),
            options=self.options.to_dict(),
            scale_covariance=scaled(compiled, self.scale_covariance),
        )  # fmt: skip
        update_model(compiled, result)
        reporter.done(result)
        return result

    def __repr__(self) -> str:
        return f"<LM fit of {self.model.name!r}, at most {self.options.max_iterations} steps>"


def scaled(compiled: CompiledFit, asked: bool | None) -> bool:
    """Whether to scale the covariance by chi2/dof; warns where that was not asked for.

    Parameters
    ----------
    compiled : CompiledFit
        What was fitted.
    asked : bool or None
        The user's choice, if any.

    Returns
    -------
    bool
        True to scale it.
    """
    if asked is not None:
        return bool(asked)
    unknown = [repr(image.name) for image in compiled.images if not image.noise_known]
    if not unknown:
        return False
    which = f"image {unknown[0]} has" if len(unknown) == 1 else f"images {', '.join(unknown)} have"
    text = f"{which} no noise: pixels were given weight 1, and errors are scaled by chi2/dof"
    if len(compiled.images) > 1:
        text += ". How the images weigh against each other is arbitrary"
    warn_user(f"{text}. Give variance=, std= or weight=, or choose scale_covariance= yourself")
    return True


def with_tie_errors(outcome: Mapping[str, Any], errors: Sequence[Exception]) -> dict[str, Any]:
    """The outcome, with the first error of a function tie in its message.

    Parameters
    ----------
    outcome : mapping
        What the core returned.
    errors : sequence of Exception
        What function ties raised during the fit.

    Returns
    -------
    dict
        The outcome.
    """
    out = dict(outcome)
    if errors:
        text = str(out["message"]).rstrip()
        text += "" if text.endswith((".", "!", "?")) else "."
        cause = f"{type(errors[0]).__name__}: {errors[0]}".rstrip(". ")
        out["message"] = f"{text} A function tie failed during the fit: {cause}."
    return out


def ensure_initialized(model: Model) -> None:
    """Initialise the model if any of its parameters has no value yet.

    Parameters
    ----------
    model : Model
        The model.
    """
    if model.unset_parameters:
        model.initialize()


def options_from(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments of `LM` from a job's settings.

    Parameters
    ----------
    settings : mapping
        Names and values.

    Returns
    -------
    dict
        The same, checked.
    """
    limits = ("time_limit", "component_time_limit")
    known = (
        "max_iter",
        "ftol",
        "xtol",
        "gtol",
        *limits,
        "n_threads",
        "precision",
        "backend",
        "scale_covariance",
    )
    for name in settings:
        if name not in known:
            raise InvalidInput(f"fit: unknown option {name!r}{option_hint(name, known)}")
    chosen = dict(settings)
    if not chosen.get("n_threads"):
        chosen.pop("n_threads", None)
    return {k: float(v) if k in limits else v for k, v in chosen.items()}
