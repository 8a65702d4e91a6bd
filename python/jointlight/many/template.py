# SPDX-License-Identifier: BSD-3-Clause
"""Many objects of one kind: a template model compiled once, and arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jointlight import scene as scenes
from jointlight.errors import InvalidInput, invalid
from jointlight.many.assemble import add_tie_errors
from jointlight.many.dealt import fit_dealt
from jointlight.many.results import SUCCESS, Layout, code_of
from jointlight.many.stamps import n_pixels, read_stamps, stamp_rows
from jointlight.many.starts import Given, check_name, read_columns, read_ends, root_names
from jointlight.parameters.values import wrap_into

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jointlight.backends import Precision
    from jointlight.choose import Turns
    from jointlight.device_arrays import DeviceArrays
    from jointlight.image import TargetImage
    from jointlight.many.progress import Progress
    from jointlight.models import Model
    from jointlight.parameters import Parameter
    from jointlight.scene import Tables

__all__ = ["Template"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class _Start:
    """What `Template.read_start` found, ``[n, ...]`` each; None stands for the template's."""

    values: FloatArray
    lower: FloatArray | None
    upper: FloatArray | None
    constants: FloatArray | None


class Template:
    """A model as the pattern of many objects.

    Parameters
    ----------
    model : Model
        The template; it stays as it is.
    n : int
        Number of objects.
    start : mapping or table or None
        Values by parameter name, of free and of fixed parameters.

    Attributes
    ----------
    problems : dict of int to str
        What is wrong with single objects, by row.
    """

    def __init__(self, model: Model, n: int, start: Any = None) -> None:
        self.n = n
        self.problems: dict[int, str] = {}
        twin = model.copy()
        given = read_columns("start", start, twin, n)
        held = _held(given)
        self.model = twin
        for parameter in dict.fromkeys(one.parameter for one in given):
            _set_template_value(parameter, [one for one in given if one.parameter is parameter])
        for parameter in held:
            parameter.fixed = False  # for its column of the slots' matrix
        self.tables: Tables = scenes.flatten(twin)
        slots = self.tables.slots
        self.is_held = np.array([p in held for p, _ in slots.free], dtype=bool)
        self.kept: IntArray = np.flatnonzero(~self.is_held)
        self._free = [slots.free[i] for i in self.kept]
        self.names = tuple(slots.names[i] for i in self.kept)
        self.start = self._read_start(given)
        self.noise_known = np.ones(n, dtype=bool)

    @property
    def images(self) -> tuple[TargetImage, ...]:
        """Images of the template, in the core's order."""
        return self.tables.images

    @property
    def layout(self) -> Layout:
        """Names and units of the free parameters."""
        return Layout(self.names, tuple(p.unit.to_string() for p, _ in self._free))

    @property
    def n_priors(self) -> int:
        """Free scalars with a prior."""
        return int(np.isfinite(self.tables.slots.prior_sigma[self.kept]).sum())

    # --- parameters -----------------------------------------------------------------------

    def _read_start(self, given: list[Given]) -> _Start:
        slots = self.tables.slots
        index = {(id(p), component): i for i, (p, component) in enumerate(slots.free)}
        values = np.tile(slots.start, (self.n, 1))
        own = np.zeros(slots.n_free, dtype=bool)
        for one in given:
            at = index.get((id(one.parameter), one.component))
            if at is None:
                continue  # nothing that is drawn follows it
            values[:, at] = one.values
            own[at] = True
            for row in np.flatnonzero(~np.isfinite(one.values)):
                text = f"{slots.names[at]} = {one.values[row]} at the start must be finite"
                self.problems.setdefault(int(row), text)
            domain = one.parameter.domain
            if not domain.contains(one.values):
                for k, value in enumerate(one.values):
                    if not domain.contains(value):
                        text = f"{slots.names[at]} = {value:g} at the start must be in {domain}"
                        self.problems.setdefault(k, text)
        self._given = own
        constants = None
        if self.is_held.any():
            columns = slots.matrix.tocsc()[:, np.flatnonzero(self.is_held)]
            constants = slots.constants + (columns @ values[:, self.is_held].T).T
            self._drop_columns()
        return _Start(values[:, self.kept], None, None, constants)

    def _drop_columns(self) -> None:
        """Leave only what is free in the core's tables: the rest comes with the constants."""
        slots = self.tables.slots
        table = scenes.as_table(slots)
        new = np.cumsum(~self.is_held) - 1
        matrix = slots.matrix.tocsc()[:, self.kept].tocsr()
        matrix.sort_indices()
        functions = []
        for function, inputs, outputs in table["functions"]:
            if self.is_held[inputs].any():
                names = [slots.names[i] for i in inputs if self.is_held[i]]
                raise InvalidInput(
                    f"start: {names[0]} is fixed and a function of it is used; a value of its own "
                    "for each object is not possible: free it, with tight limits or a prior",
                    argument="start",
                )
            functions.append((function, [int(new[i]) for i in inputs], outputs))
        by_free = ("start", "lower", "upper", "prior_mean", "prior_sigma")
        table |= {name: table[name][self.kept] for name in by_free}
        self.tables.builder.set_parameters(
            **table
            | {
                "n_free": len(self.kept),
                "indptr": matrix.indptr.astype(np.int64),
                "indices": matrix.indices.astype(np.int64),
                "coefs": matrix.data,
                "functions": functions,
            }
        )

    def set_limits(self, limits: Mapping[str, Any] | None) -> None:
        """Narrow the limits of free parameters, object by object, and check the start.

        Parameters
        ----------
        limits : mapping or None
            ``(low, high)`` by parameter name, each a number or ``[n]``, None for no limit.
        """
        slots = self.tables.slots
        lower = np.tile(slots.lower[self.kept], (self.n, 1))
        upper = np.tile(slots.upper[self.kept], (self.n, 1))
        index = {(id(p), component): i for i, (p, component) in enumerate(self._free)}
        if limits is not None and not hasattr(limits, "items"):
            raise invalid("limits", limits, "a mapping from parameter name to (low, high)")
        known = root_names(self.model)
        for name, pair in (limits or {}).items():
            check_name("limits", name, known)
            parameter, component = known[name]
            argument = f"limits[{name!r}]"
            try:
                low, high = pair
            except (TypeError, ValueError):
                raise invalid(argument, pair, "a pair (low, high)") from None
            scalar = low is not None and high is not None and np.ndim(low) == np.ndim(high) == 0
            where = [component] if component is not None else range(parameter.size)
            if any((id(parameter), k) not in index for k in where):
                raise invalid("limits", name, "of a free parameter")
            for side, end, narrow in ((lower, low, np.maximum), (upper, high, np.minimum)):
                if end is None:
                    continue
                numbers = read_ends(argument, end, parameter, component, self.n)
                for k, one in zip(where, numbers, strict=True):
                    at = index[id(parameter), k]
                    side[:, at] = narrow(side[:, at], one)
            if scalar and not low < high:
                raise invalid(argument, pair, "(low, high) with low below high")
        for at, (parameter, _) in enumerate(self._free):
            if slots.cyclic[self.kept[at]] and parameter.period is not None:
                everything = upper[:, at] - lower[:, at] >= parameter.period
                lower[everything, at], upper[everything, at] = -np.inf, np.inf
        self._place(lower, upper)
        values = self.start.values
        slack = 1e-12 * (1.0 + np.abs(values))
        for row, at in np.argwhere((values < lower - slack) | (values > upper + slack)):
            self.problems.setdefault(
                int(row),
                f"{self.names[at]} = {values[row, at]:g} at the start is outside its limits "
                f"({lower[row, at]:g}, {upper[row, at]:g})",
            )
        for row, at in np.argwhere(~(lower < upper)):
            self.problems[int(row)] = (
                f"the limits ({lower[row, at]:g}, {upper[row, at]:g}) of {self.names[at]} must be "
                "numbers, the lower below the upper, together with those of the template"
            )
        self.start = _Start(
            np.clip(values, lower, upper),
            lower if limits else None,
            upper if limits else None,
            self.start.constants,
        )

    def _place(self, lower: FloatArray, upper: FloatArray) -> None:
        """Turn cyclic parameters into their limits, or next to their prior's mean."""
        slots = self.tables.slots
        for at, (parameter, _) in enumerate(self._free):
            i = self.kept[at]
            if not slots.cyclic[i] or parameter.period is None:
                continue
            column = self.start.values[:, at]
            column[:] = wrap_into(column, lower[:, at], upper[:, at], parameter.period)
            if np.isfinite(slots.prior_sigma[i]) and np.isinf(lower[:, at]).all():
                turns = np.round((column - slots.prior_mean[i]) / parameter.period)
                column -= parameter.period * turns

    def wrapped(self, values: FloatArray) -> FloatArray:
        """Solutions with cyclic parameters in their period, ``[n, n_free]``."""
        full = np.tile(self.tables.slots.start, (len(values), 1))
        full[:, self.kept] = values
        out = np.asarray(self.tables.slots.wrapped(full)[:, self.kept])
        if self.start.lower is not None and self.start.upper is not None:
            limited = np.isfinite(self.start.lower) | np.isfinite(self.start.upper)
            out = np.where(limited, values, out)
        return out

    # --- pixels ---------------------------------------------------------------------------

    def read_images(self, given: Mapping[str, Any], lent: DeviceArrays) -> list[dict[str, Any]]:
        """What the core needs of each image's stamps.

        Parameters
        ----------
        given : mapping
            data, mask, psf, jacobian and the kinds of noise, on the host.
        lent : DeviceArrays
            Where those lie that came from a device.

        Returns
        -------
        list of dict
            As ``_core.fit_stamps`` takes them.
        """
        stamps, self.noise_known = read_stamps(self.images, given, self.n, self.problems, lent)
        return stamps

    # --- the fit --------------------------------------------------------------------------

    def fit(
        self,
        images: list[dict[str, Any]],
        *,
        precision: Precision,
        how: dict[str, Any],
        turns: Turns | None,
        progress: Progress,
    ) -> dict[str, Any]:
        """Run the core.

        Parameters
        ----------
        images : list of dict
            As from `read_images`.
        precision : {"float64", "mixed"}
            Of derivatives.
        how, turns, progress
            As for `fit_dealt`.

        Returns
        -------
        dict
            The core's columns.
        """
        from jointlight import _core

        self.tables.builder.set_precision(precision)
        values = self.start.values.copy()
        values[list(self.problems)] = np.nan  # refused at once

        def fit(begin: int, end: int, **more: Any) -> Mapping[str, Any]:
            rows = slice(begin, end)

            def part(table: FloatArray | None) -> FloatArray | None:
                return None if table is None else table[rows]

            return _core.fit_stamps(
                self.tables.builder,
                [stamp_rows(one, rows) for one in images],
                values[rows],
                part(self.start.lower),
                part(self.start.upper),
                part(self.start.constants),
                **more,
            )

        out = fit_dealt(
            fit, n_pixels=n_pixels(images, self.n), sizes=[len(self.names)] * self.n,
            how=how, turns=turns, progress=progress,
        )  # fmt: skip
        refused = np.array(sorted(self.problems), dtype=np.int64)
        done = out["status"][refused] == code_of("invalid_input")
        for row in refused[done]:
            out["messages"][int(row)] = self.problems[int(row)]
        errors = [b.last_error for b, _ in self.tables.slots.blocks if b.last_error is not None]
        if errors:
            add_tie_errors(out, np.flatnonzero(~SUCCESS[out["status"]]), errors)
        return out


def _held(given: list[Given]) -> set[Parameter]:
    """Fixed parameters that get values of their own."""
    held = {one.parameter for one in given if one.parameter.fixed}
    for parameter in held:
        if parameter.owner.startswith("image "):
            raise InvalidInput(
                f"start: {parameter.label} is fixed; free it, or set it in the template",
                argument="start",
            )
    return held


def _set_template_value(parameter: Parameter, given: list[Given]) -> None:
    """Give the template's parameter the value of the first object that has a good one."""
    low, high = (np.ravel(end) for end in parameter.bounds)
    value = (
        np.full(parameter.size, np.nan)
        if parameter.array is None
        else (np.array(parameter.array, dtype=float).ravel())
    )
    for one in given:
        k = one.component
        ok = np.isfinite(one.values) & (one.values >= low[k]) & (one.values <= high[k])
        if not np.isfinite(value[k]) and ok.any():
            value[k] = one.values[ok][0]
    if np.isfinite(value).all():
        parameter.value = float(value[0]) if parameter.shape == () else value
