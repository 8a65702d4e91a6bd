# SPDX-License-Identifier: BSD-3-Clause
"""`fit_many`: many independent fits in one call."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from numbers import Real
from typing import TYPE_CHECKING, Any, Never

import numpy as np
from numpy.typing import NDArray

from jointlight.backends import check_precision, environment_threads, ready_backend
from jointlight.choose import Turns, is_open
from jointlight.device_arrays import DeviceArrays, backend_of, holds_device_arrays
from jointlight.errors import Described, InvalidInput, invalid, warn_user
from jointlight.fit.options import (
    LMOptions,
    check_count,
    check_number,
    check_unknown,
)
from jointlight.many.arrays import count_objects
from jointlight.many.assemble import make_results
from jointlight.many.progress import Progress
from jointlight.many.results import ManyResults
from jointlight.many.separate import fit_models
from jointlight.many.stamps import NOISE
from jointlight.many.template import Template

if TYPE_CHECKING:
    from jointlight.backends import Precision
    from jointlight.models import Model

__all__ = ["fit_many"]

_PIXELS = ("data", *NOISE, "mask", "psf", "jacobian")
_ARRAYS = (*_PIXELS, "start", "limits")


def fit_many(
    models: Model | Iterable[Model],
    *,
    data: Any = None,
    variance: Any = None,
    std: Any = None,
    weight: Any = None,
    mask: Any = None,
    psf: Any = None,
    start: Any = None,
    limits: Mapping[str, Any] | None = None,
    jacobian: Any = None,
    covariance: bool = False,
    update: bool = True,
    max_iter: int | None = None,
    ftol: float | None = None,
    xtol: float | None = None,
    gtol: float | None = None,
    time_limit: float | None = None,
    options: LMOptions | None = None,
    n_threads: int | None = None,
    precision: Precision = "float64",
    progress: bool | Callable[[int, int], object] = False,
    scale_covariance: bool | None = None,
    backend: str = "auto",
    **unknown: Never,
) -> ManyResults:
    """Fit many objects, each by itself, on all cores.

    Either of models, which may differ in everything, or of one model as a template with the
    objects' pixels as arrays: then nothing is made in Python for the single object.

    Whatever goes wrong with an object is its status; the others are fitted as if it were not
    there. With a named backend, or where there is no device, their results do not depend on the
    number of threads nor on their order. A keyboard interrupt stops; objects that are not done have
    the status ``interrupted``.

    Parameters
    ----------
    models : iterable of Model, or Model
        What to fit, independent of each other; parameters without a value are initialised from
        the data first. Or one model, the template: its image or images say what all objects have
        in common (pixel scale, PSF, unit), its parameters what is free, fixed and tied, and its
        values hold wherever `start` gives none.
    data : array, list, or mapping of these
        With a template: pixels, ``[n, h, w]``, or a list of 2-d arrays of any shapes. For several
        images a mapping from image name; None in a list is an object that is not on that image.
        Pixels that are NaN or masked do not count. float32 and float64 are read in place. The
        stamp's middle is where the template's image has its own. All arrays may lie on a device
        (``__cuda_array_interface__``, DLPack), for a backend there: data in float64 are then used
        without a copy on the device, and so are weights that need no change.
    variance, std, weight : float or array or list or mapping, optional
        The noise, as one of the three: a number, one an object (``[n]``), one plane ``[h, w]`` for
        all, or like `data`; lists may mix numbers and planes. Pixels without a positive number do
        not count. Default, also for None in a list: the noise of the template's image.
    mask : array or list or mapping, optional
        True, or any integer but 0, = ignore; ``[h, w]`` for all objects or like `data`. The mask
        of the template's image holds besides, for all stamps of its shape and for no others.
    psf : PSF, array, or list or mapping of these, optional
        One for all, ``[ny, nx]``; one an object, ``[n, ny, nx]``, or a list. Arrays have the
        oversampling and the kind of the template's PSF, analytic ones included (without one:
        effective, sampled like the image), and are centred on their middle. Default, also for
        None in a list: the template's.
    start : mapping or table, optional
        Start values by parameter name, numbers or ``[n]``, in the parameters' units; for fixed
        parameters the values at which they are held. Quantities and columns with a unit are
        converted; an object whose entry is masked is refused. A table may have other columns.
    limits : mapping, optional
        ``(low, high)`` by parameter name, each a number or ``[n]`` or None. They narrow those of
        the template: where they are wider, the template's hold. Limits of a cyclic parameter that
        span its period are none.
    jacobian : array or mapping, optional
        d(plane)/d(pixel) of each object's stamp, a Quantity or in arcsec per pixel,
        ``[n, 2, 2]``. Default: that of the template's image.
    covariance : bool, optional
        Keep the covariance matrices, not only the errors.
    update : bool, optional
        Leave values and errors in the models, as `fit` does; otherwise they stay as they are,
        without values too. A template never changes.
    max_iter, ftol, xtol, gtol : optional
        As for `jointlight.fit.LM`.
    time_limit : float, optional
        Seconds for each object, after which it keeps its best values; looked at between
        evaluations. What it waits on a device for others does not count.
    options : LMOptions, optional
        All options at once; those above override it.
    n_threads : int, optional
        Threads, one object each; by default ``JOINTLIGHT_NUM_THREADS``, else all cores.
    precision : {"float64", "mixed"}, optional
        As for `jointlight.fit.LM`.
    progress : bool or callable, optional
        True for a progress bar; or called a few times a second with the number of objects done
        and the number of all.
    scale_covariance : bool, optional
        Scale errors by chi2/dof, object by object. By default they are, with a warning, where no
        noise is known.
    backend : str, optional
        "cpu", "cuda" (all devices), or "cuda:N" for device N. Where a device fails, or an object
        is too large for it, the CPU goes on, with a warning.
        "auto": what the environment's ``JOINTLIGHT_BACKEND`` says, else the CPU where there is no
        device or little to do; else some objects are fitted on each, and the rest where that went
        faster. Values then come from either, and are meant to agree to 1e-6 of their errors, 1e-3
        in mixed precision: the device's code run on the host does, no fit has run on a device
        yet. The column "backend" says which it was.

    Returns
    -------
    ManyResults
        One row an object, in the order of the input.

    Examples
    --------
    >>> results = jl.fit_many(models)  # doctest: +SKIP
    >>> results = jl.fit_many(template, data=cutouts, variance=variances,
    ...                       start={"Re": catalogue["radius"]})  # doctest: +SKIP
    >>> results.table["Re", "Re_error", "status"]  # doctest: +SKIP
    """
    began = time.perf_counter()
    given = {name: value for name, value in locals().items() if name in _ARRAYS}
    check_unknown("fit_many", unknown, fit_many.__kwdefaults__)
    chosen = _options(
        options,
        {
            "max_iterations": max_iter, "ftol": ftol, "xtol": xtol, "gtol": gtol,
            "time_limit_s": time_limit,
        },
    )  # fmt: skip
    _check(locals())
    if is_open(backend):
        there = next((name for name in _ARRAYS if holds_device_arrays(given[name])), None)
        backend = backend if there is None else backend_of(there)
    how: dict[str, Any] = {
        "options": chosen.to_dict(),
        "n_threads": environment_threads() if n_threads is None else int(n_threads),
        "covariance": bool(covariance),
        "backend": ready_backend(backend),
    }
    check_precision(precision)
    turns = Turns(how["n_threads"] or _all_threads()) if is_open(backend) else None
    if hasattr(models, "leaves"):
        results = _fit_template(models, given, scale_covariance, progress, how, precision, turns)
    else:
        for name in _ARRAYS:
            if given[name] is not None:
                raise InvalidInput(
                    f"{name} goes with one model as a template; a list of models have their own",
                    argument=name,
                )
        listed = _listed(models)
        with Progress(progress, len(listed)) as told:
            results = fit_models(
                listed, told, how, turns, precision,
                scale=scale_covariance, update=bool(update),
            )  # fmt: skip
    return replace(results, wall_time=time.perf_counter() - began)


def _all_threads() -> int:
    from jointlight import _core

    return int(_core.build_info()["default_threads"])


def _listed(models: Any) -> list[Any]:
    allowed = "models, or one model as a template"
    if isinstance(models, (str, bytes, type)):
        raise invalid("models", models, allowed)
    try:
        listed = list(models)
    except TypeError:
        raise invalid("models", models, allowed) from None
    for model in listed:
        if isinstance(model, type) or not hasattr(model, "leaves"):
            raise invalid("models", model, "models, nothing else")
    if len({id(model) for model in listed}) < len(listed):
        raise InvalidInput("models: one of them is there twice; fit a copy()", argument="models")
    return listed


def _options(options: LMOptions | None, given: Mapping[str, Any]) -> LMOptions:
    if not isinstance(options, LMOptions | None):
        raise invalid("options", options, "an LMOptions, or None")
    chosen: dict[str, Any] = {}
    for name, value in given.items():
        if value is None:
            continue
        if name == "max_iterations":
            chosen[name] = check_count("max_iter", value)
            continue
        if name == "time_limit_s":
            number = isinstance(value, Real) and not isinstance(value, bool)
            if not (number and 0 < value < math.inf):
                raise invalid("time_limit", value, "a positive number of seconds, or None")
            chosen[name] = float(value)
            continue
        chosen[name] = check_number(name, value)
    out = options or LMOptions()
    return replace(out, **chosen)


def _check(arguments: Mapping[str, Any]) -> None:
    if arguments["n_threads"] is not None:
        check_count("n_threads", arguments["n_threads"])
    for name in ("covariance", "update"):
        if not isinstance(arguments[name], bool | np.bool_):
            raise invalid(name, arguments[name], "True or False")
    if not isinstance(arguments["scale_covariance"], bool | np.bool_ | None):
        raise invalid("scale_covariance", arguments["scale_covariance"], "True, False or None")
    progress = arguments["progress"]
    if not (isinstance(progress, bool | np.bool_) or callable(progress)):
        raise invalid("progress", progress, "True, False or a function")


def _fit_template(
    model: Any,
    given: Mapping[str, Any],
    scale: bool | None,
    progress: Any,
    how: dict[str, Any],
    precision: Precision,
    turns: Turns | None,
) -> ManyResults:
    lent = DeviceArrays(how["backend"])
    given = {name: lent.on_host(name, one) for name, one in given.items()}
    data = given["data"]
    if isinstance(model, type) or data is None:
        raise InvalidInput(
            "one model is a template and needs data=, an array [n, h, w] or a list of stamps; "
            "pass a list of models to fit these themselves",
            argument="data",
        )
    first = data
    if isinstance(data, Mapping):
        if not data:
            raise invalid("data", data, "a mapping from image name to arrays")
        first = next((one for one in data.values() if one is not None), None)
        if first is None:
            raise invalid("data", Described("only None"), "a mapping from image name to arrays")
    n = count_objects("data", first)
    template = Template(model, n, given["start"])
    template.set_limits(given["limits"])
    images = template.read_images({k: given[k] for k in _PIXELS}, lent)
    scaled = _scaled(template.noise_known, scale)
    with Progress(progress, n) as told:
        out = template.fit(images, precision=precision, how=how, turns=turns, progress=told)
    told.reraise()
    k = len(template.names)
    values = template.wrapped(out["values"].reshape(n, k)).ravel()
    return make_results(
        out | {"values": values},
        layouts=(template.layout,),
        layout_of=np.zeros(n, dtype=np.int64),
        n_priors=np.full(n, template.n_priors),
        scaled=scaled,
        precision=precision,
    )


def _scaled(known: NDArray[np.bool_], asked: bool | None) -> NDArray[np.bool_]:
    """Of which objects errors are scaled; warns where that was not asked for."""
    if asked is not None or known.all():
        return np.full(len(known), bool(asked))
    which = f" of {np.sum(~known)} of {len(known)} objects" if known.any() else ""
    warn_user(
        f"no noise is known{which}: pixels are given weight 1, and errors are scaled by chi2/dof. "
        "Give variance=, std= or weight=, or choose scale_covariance= yourself"
    )
    return ~known
