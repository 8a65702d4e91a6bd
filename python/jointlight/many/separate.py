# SPDX-License-Identifier: BSD-3-Clause
"""Many models of any kind: each compiled by itself, fitted side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from jointlight import scene as scenes
from jointlight.errors import InvalidInput, warn_user
from jointlight.many.assemble import add_tie_errors, in_common_units, joined, make_results
from jointlight.many.dealt import fit_dealt
from jointlight.many.progress import Progress
from jointlight.many.results import Layout, ManyResults, code_of

if TYPE_CHECKING:
    from jointlight.backends import Precision
    from jointlight.choose import Turns
    from jointlight.models import Model
    from jointlight.scene import Scene

__all__ = ["fit_models"]

# Models compiled at a time: enough to keep all threads busy, few enough to fit into memory. Results
# do not depend on it.
_AT_A_TIME = 512


def fit_models(
    models: Sequence[Model],
    progress: Progress,
    how: dict[str, Any],
    turns: Turns | None,
    precision: Precision,
    *,
    scale: bool | None,
    update: bool,
) -> ManyResults:
    """Fit models that have nothing to do with each other.

    Parameters
    ----------
    models : sequence of Model
    progress : Progress
    how : dict
        options, n_threads, covariance and backend.
    turns : Turns or None
        Who chooses the backend, if that is left open.
    precision : {"float64", "mixed"}
        Of derivatives.
    scale : bool or None
        Whether errors are scaled by chi2/dof; None where no noise is known.
    update : bool
        Leave values and errors in the models.

    Returns
    -------
    ManyResults
    """
    _check_list(models)
    if scale is None:
        _warn_of_noise(models)
    parts = []
    units: dict[str, str] = {}
    for begin in range(0, len(models), _AT_A_TIME):
        chunk = _Chunk(
            models[begin : begin + _AT_A_TIME], progress, update=update, precision=precision
        )
        n_left = len(models) - begin - len(chunk.models)
        more = {"covariance": how["covariance"] or update}
        results = chunk.fit(progress, how | more, turns, scale, n_left)
        if update:
            chunk.update(results, with_errors=how["options"]["covariance"])
        kept = results if how["covariance"] else results.without_covariance()
        parts.append(in_common_units(kept, units))
        progress.reraise()
    return joined(parts)


def _check_list(models: Sequence[Model]) -> None:
    """Refuse models that share free parameters, and parameters of one name but other units."""
    owner: dict[int, int] = {}
    units: dict[str, tuple[int, Any]] = {}
    for row, model in enumerate(models):
        try:
            free = model.free_parameters
        except Exception:  # its own trouble, told when it is compiled
            continue
        for path, parameter in free.items():
            first = owner.setdefault(id(parameter), row)
            if first != row:
                raise InvalidInput(
                    f"models: {models[first].name!r} (row {first}) and {model.name!r} (row {row}) "
                    f"share the free parameter {path}; they must be independent: fit them "
                    "together with jl.Group, or fit copies",
                    argument="models",
                )
            first, unit = units.setdefault(path, (row, parameter.unit))
            if not parameter.unit.is_equivalent(unit):
                raise InvalidInput(
                    f"models: {path} is in {parameter.unit.to_string() or 'no unit'} in row {row} "
                    f"and in {unit.to_string() or 'no unit'} in row {first}; it must be in units "
                    "that can be converted, or have other names: fit them in lists of their own",
                    argument="models",
                )


def _warn_of_noise(models: Sequence[Model]) -> None:
    """Warn of unknown noise, before anything is fitted."""
    unknown = 0
    for model in models:
        try:
            unknown += not all(image.noise_known for image in model.images_modelled)
        except Exception:  # its own trouble, told when it is compiled
            continue
    if unknown:
        warn_user(
            f"images of {unknown} models have no noise: pixels are given weight 1, and errors are "
            "scaled by chi2/dof. Give variance=, std= or weight=, or choose scale_covariance= "
            "yourself"
        )


class _Chunk:
    """Some models, compiled where that is possible."""

    def __init__(
        self, models: Sequence[Model], progress: Progress, *, update: bool, precision: Precision
    ) -> None:
        self.models = models
        self.precision = precision
        self.scenes: list[Scene | None] = []
        self.status = np.zeros(len(models), dtype=np.int8)
        self.messages: dict[int, str] = {}
        for row, model in enumerate(models):
            self.scenes.append(None)
            try:
                if progress.interrupted:
                    raise KeyboardInterrupt
                if model.unset_parameters:
                    model = model if update else model.copy()
                    model.initialize()
                self.scenes[row] = scenes.compile(model, n_threads=1, precision=precision)
            except KeyboardInterrupt:
                progress.interrupted = True
                self.status[row] = code_of("interrupted")
            except Exception as error:  # whatever it is, it is this model's alone
                expected = isinstance(error, InvalidInput)
                self.status[row] = code_of("invalid_input" if expected else "failed")
                self.messages[row] = str(error) if expected else f"{type(error).__name__}: {error}"
        self.noise_unknown = np.array(
            [
                scene is not None and not all(image.noise_known for image in scene.images)
                for scene in self.scenes
            ],
            dtype=bool,
        )

    def fit(
        self,
        progress: Progress,
        how: dict[str, Any],
        turns: Turns | None,
        scale: bool | None,
        n_left: int,
    ) -> ManyResults:
        """Run the core; `n_left` models are in other chunks."""
        from jointlight import _core

        where = np.array([row for row, s in enumerate(self.scenes) if s is not None], np.int64)
        fitted: list[Scene] = [s for s in self.scenes if s is not None]
        cores, starts = [s.core for s in fitted], [s.v0 for s in fitted]
        n_pixels = [
            sum((x1 - x0) * (y1 - y0) for ((x0, x1), (y0, y1)) in (t.window for t in s.tiles))
            for s in fitted
        ]
        out = fit_dealt(
            lambda begin, end, **more: _core.fit_scenes(
                cores[begin:end], starts[begin:end], **more
            ),
            n_pixels=n_pixels, sizes=[len(v) for v in starts], how=how, turns=turns,
            progress=progress, later=sum(n_pixels) * n_left / max(len(self.models), 1),
        )  # fmt: skip
        progress.count(len(self.models) - len(fitted))
        offset = out["offset"]
        for k, scene in enumerate(fitted):
            part = slice(offset[k], offset[k + 1])
            out["values"][part] = scene.slots.wrapped(out["values"][part])
            if errors := scene.tie_errors():
                add_tie_errors(out, [k], errors)
        layouts: dict[Layout, int] = {}
        layout_of = np.full(len(self.models), -1, dtype=np.int64)
        n_priors = np.zeros(len(self.models), dtype=np.int64)
        for row, scene in zip(where, fitted, strict=True):
            units = tuple(p.unit.to_string() for p, _ in scene.free_parameters)
            layout = Layout(tuple(scene.names), units)
            layout_of[row] = layouts.setdefault(layout, len(layouts))
            n_priors[row] = int(np.isfinite(scene.slots.prior_sigma).sum())
        return make_results(
            self._spread(dict(out), where),
            layouts=tuple(layouts),
            layout_of=layout_of,
            n_priors=n_priors,
            scaled=self.noise_unknown if scale is None else np.full(len(self.models), scale),
            precision=self.precision,
        )

    def _spread(self, out: dict[str, Any], where: NDArray[np.int64]) -> dict[str, Any]:
        """The core's columns with rows for models that were not compiled."""
        n = len(self.models)
        for name in ("offset", "covariance_offset"):
            sizes = np.zeros(n, dtype=np.int64)
            sizes[where] = np.diff(out[name])
            out[name] = np.concatenate([[0], np.cumsum(sizes)])
        nothing = {"chi2": np.nan, "time_s": 0.0, "n_pixels": 0, "n_null": 0, "n_linearize": 0,
                   "n_chi2": 0}  # fmt: skip
        for name, absent in nothing.items():
            full = np.full(n, absent, dtype=out[name].dtype)
            full[where] = out[name]
            out[name] = full
        backend = np.full(n, "", dtype=out["backend"].dtype)
        backend[where] = out["backend"]
        status = self.status.copy()
        status[where] = out["status"]
        messages = {int(where[k]): text for k, text in out["messages"].items()}
        return out | {
            "status": status,
            "backend": backend,
            "messages": messages | self.messages,
        }

    def update(self, results: ManyResults, *, with_errors: bool) -> None:
        """Leave values and errors in the models that were fitted."""
        evaluated = results.n_evaluations > 0
        for row, scene in enumerate(self.scenes):
            if scene is None or not evaluated[row]:
                continue
            part = slice(results.offset[row], results.offset[row + 1])
            scale = results.covariance_scale[row]
            covariance: Any = results.covariance_of(row)
            if not with_errors:
                covariance = None  # all errors are cleared
            elif covariance is None:
                covariance = sparse.diags_array(results.flat_variances[part] * scale).tocsc()
            scene.assign(
                results.flat_values[part], covariance, at_bound=results.flat_at_bound[part]
            )
