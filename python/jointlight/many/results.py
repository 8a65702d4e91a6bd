# SPDX-License-Identifier: BSD-3-Clause
"""ManyResults: the outcome of many fits, column by column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, overload

import numpy as np
from astropy import units as u
from astropy.table import QTable
from numpy.typing import NDArray

from jointlight import _core
from jointlight.errors import InvalidInput, did_you_mean, invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SENTENCES", "STATUS", "SUCCESS", "Layout", "ManyResults", "ManyRow", "code_of"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

_KINDS: Final = _core.batch_statuses()
STATUS: Final = tuple(name for name, _, _ in _KINDS)
"""Status by code."""

SUCCESS: Final = np.array([good for _, _, good in _KINDS])
"""Whether a fit converged, by code."""

SENTENCES: Final = tuple(sentence for _, sentence, _ in _KINDS)
"""Status as a sentence, by code."""

# Columns of the table before the parameters.
_QUALITY: Final = (
    "status", "success", "chi2", "n_pixels", "dof", "reduced_chi2", "n_evaluations", "time",
    "backend", "message",
)  # fmt: skip


def code_of(status: str) -> int:
    """Code of a status.

    Parameters
    ----------
    status : str
        One of `STATUS`.

    Returns
    -------
    int
        Its place there.
    """
    return STATUS.index(status)


@dataclass(frozen=True)
class Layout:
    """The free parameters that some objects have in common.

    Attributes
    ----------
    names : tuple of str
        As in ``scene.names``.
    units : tuple of str
        Unit of each, empty if none.
    """

    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ManyRow:
    """Outcome of one object.

    Attributes
    ----------
    status, message : str
        How its fit ended.
    success : bool
        Whether it converged.
    values, errors : dict of str to float
        Its free parameters; NaN where there is no error.
    at_bound : tuple of str
        Parameters that ended at a limit.
    chi2, reduced_chi2, time : float
        The last in seconds.
    n_pixels, dof, n_evaluations : int
        Pixels that count, degrees of freedom, evaluations of the model.
    backend : str
        What fitted it, as in `ManyResults`.
    covariance : ndarray or None
        ``[n_free, n_free]``, if it was asked for.
    """

    status: str
    message: str
    success: bool
    values: dict[str, float]
    errors: dict[str, float]
    at_bound: tuple[str, ...]
    chi2: float
    reduced_chi2: float
    time: float
    n_pixels: int
    dof: int
    n_evaluations: int
    backend: str
    covariance: FloatArray | None = None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ManyResults:
    """Outcome of `fit_many`, one row an object, in the order of the input.

    Columns are arrays: ``results["Re"]``, ``results["Re_error"]``, ``results["status"]``, or all
    of them as a table. ``results[3]`` is a row, ``results[mask]`` the results of some objects.

    Attributes
    ----------
    layouts : tuple of Layout
        The sets of free parameters that occur.
    layout_of : ndarray of int
        Which of them each object has; -1 for one that could not be compiled, ``[n]``.
    offset : ndarray of int
        Where the parameters of each object begin in the flat arrays, ``[n + 1]``.
    flat_values, flat_variances : ndarray
        Values and variances of all free parameters, object after object.
    flat_at_bound, flat_degenerate : ndarray of bool
        Which ended at a limit, and which the data do not constrain.
    status_code : ndarray of int
        Place of the status in `jointlight.many.results.STATUS`, ``[n]``.
    special_messages : dict of int to str
        What there is to say beyond the status, by row.
    chi2 : ndarray
        Chi-squared, priors included; NaN for what was not fitted, ``no_data`` among it, whose
        values are those of the start.
    n_pixels, dof : ndarray of int
        Pixels that count; degrees of freedom.
    n_linearize, n_chi2 : ndarray of int
        Evaluations with and without derivatives.
    time : ndarray
        Wall-clock seconds spent on each object.
    covariance_scale : ndarray
        Factor on variances and covariances, 1 unless the noise was not known.
    flat_covariance, covariance_offset : ndarray or None
        Covariances, object after object, if they were asked for, and where each begins,
        ``[n + 1]``; nothing for objects of more parameters than ``covariance_max_size``.
    wall_time : float
        Seconds that the whole call took.
    backend : ndarray of str
        What fitted each object, ``[n]``: "cpu", or the device's name as it was asked for, "cuda"
        or "cuda:1". Empty where nothing was evaluated (`n_evaluations` is 0): what could not be
        compiled, was refused, or had not begun when an interrupt came.
    precision : str
        What derivatives were computed in, "float64" or "mixed".
    """

    layouts: tuple[Layout, ...]
    layout_of: IntArray
    offset: IntArray
    flat_values: FloatArray
    flat_variances: FloatArray
    flat_at_bound: BoolArray
    flat_degenerate: BoolArray
    status_code: NDArray[np.int8]
    special_messages: Mapping[int, str]
    chi2: FloatArray
    n_pixels: IntArray
    dof: IntArray
    n_linearize: IntArray
    n_chi2: IntArray
    time: FloatArray
    covariance_scale: FloatArray
    flat_covariance: FloatArray | None = None
    covariance_offset: IntArray | None = None
    wall_time: float = field(default=0.0)
    backend: NDArray[np.str_] = field(default_factory=lambda: np.zeros(0, dtype=np.str_))
    precision: str = "float64"

    def __len__(self) -> int:
        return len(self.status_code)

    # ---- how they ended -----------------------------------------------------------------

    @cached_property
    def status(self) -> NDArray[np.str_]:
        """How each fit ended, as for `FitResult`; also ``"invalid_input"``, ``"no_data"``,
        ``"lost"``, ``"failed"``."""
        return np.array(STATUS)[self.status_code]

    @cached_property
    def success(self) -> BoolArray:
        """True where a convergence test was met, or nothing was left to fit."""
        return SUCCESS[self.status_code]

    @property
    def failed(self) -> IntArray:
        """Rows of the objects that did not end well."""
        return np.flatnonzero(~self.success)

    @property
    def interrupted(self) -> bool:
        """Whether a keyboard interrupt came before all were done."""
        return bool((self.status_code == code_of("interrupted")).any())

    @cached_property
    def message(self) -> NDArray[np.object_]:
        """The status as a sentence, with parameters at bounds or unconstrained named."""
        out = np.array(SENTENCES, dtype=object)[self.status_code]
        for row, text in self.special_messages.items():
            out[row] = text
        for flat, what in (
            (self.flat_at_bound, "At a bound"),
            (self.flat_degenerate, "Not constrained by the data"),
        ):
            where = np.flatnonzero(flat)
            owners = np.searchsorted(self.offset, where, side="right") - 1
            rows, first = np.unique(owners, return_index=True)
            for row, some in zip(rows, np.split(where, first[1:]), strict=False):
                if self.status[row] == "no_data":
                    continue
                names = self.layouts[self.layout_of[row]].names
                listed = ", ".join(names[k] for k in some - self.offset[row])
                out[row] += f" {what}: {listed}."
        return out

    @property
    def n_evaluations(self) -> IntArray:
        """Evaluations of the model, with and without derivatives."""
        return self.n_linearize + self.n_chi2

    @cached_property
    def reduced_chi2(self) -> FloatArray:
        """Chi-squared over degrees of freedom; NaN without any."""
        known = self.dof > 0
        out: FloatArray = np.divide(
            self.chi2, self.dof, out=np.full(len(self), np.nan), where=known
        )
        return out

    # ---- parameters ---------------------------------------------------------------------

    @property
    def is_uniform(self) -> bool:
        """Whether all objects have the same free parameters."""
        return len(self.layouts) == 1 and bool((self.layout_of == 0).all())

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters, each once, in the order of first appearance."""
        return tuple(dict.fromkeys(name for layout in self.layouts for name in layout.names))

    @cached_property
    def units(self) -> dict[str, str]:
        """Unit of each parameter, empty if none."""
        pairs = [pair for one in self.layouts for pair in zip(one.names, one.units, strict=True)]
        return dict(reversed(pairs))

    @cached_property
    def values(self) -> FloatArray:
        """Values, ``[n, len(names)]``; NaN for parameters that an object does not have."""
        return self._matrix(self.flat_values, np.nan)

    @cached_property
    def errors(self) -> FloatArray:
        """Standard errors, NaN where there is none; ``[n, len(names)]``."""
        variances: FloatArray = self._matrix(self.flat_variances, np.nan)
        return np.sqrt(variances * self.covariance_scale[:, None])

    @cached_property
    def at_bound(self) -> BoolArray:
        """Parameters that ended at a limit, ``[n, len(names)]``."""
        return self._matrix(self.flat_at_bound, False)

    @cached_property
    def degenerate(self) -> BoolArray:
        """Parameters that the data do not constrain, ``[n, len(names)]``."""
        return self._matrix(self.flat_degenerate, False)

    @property
    def covariance(self) -> FloatArray | list[FloatArray | None] | None:
        """Covariances, scaled: ``[n, k, k]``, or a matrix each where objects differ.

        None unless asked for. Rows of parameters without an error are NaN.
        """
        if self.flat_covariance is None:
            return None
        k = len(self.names)
        if self.is_uniform and self.flat_covariance.size == len(self) * k * k:
            cube = self.flat_covariance.reshape(len(self), k, k)
            return cube * self.covariance_scale[:, None, None]
        return [self.covariance_of(row) for row in range(len(self))]

    def covariance_of(self, row: int) -> FloatArray | None:
        """Covariance of one object's parameters, scaled.

        Parameters
        ----------
        row : int
            The object.

        Returns
        -------
        ndarray or None
            ``[k, k]`` in the order of its layout; None unless covariances were asked for, and for
            more parameters than the option ``covariance_max_size``.
        """
        if self.flat_covariance is None or self.covariance_offset is None:
            return None
        k = int(self.offset[row + 1] - self.offset[row])
        begin, end = (int(at) for at in self.covariance_offset[row : row + 2])
        if end - begin != k * k:
            return None
        block = self.flat_covariance[begin:end].reshape(k, k)
        return np.asarray(block * self.covariance_scale[row])

    def without_covariance(self) -> ManyResults:
        """The same without the covariance matrices; errors stay."""
        return replace(self, flat_covariance=None, covariance_offset=None)

    def column(self, name: str) -> NDArray[Any]:
        """One column, without its unit.

        Parameters
        ----------
        name : str
            A parameter, a parameter's ``name_error``, or a column of `table`.

        Returns
        -------
        ndarray
            ``[n]``.
        """
        place = {known: k for k, known in enumerate(self.names)}
        if name in place:
            return self.values[:, place[name]]
        if name.removesuffix("_error") in place:
            return self.errors[:, place[name.removesuffix("_error")]]
        more = (*_QUALITY, "status_code", "n_linearize", "n_chi2")
        if name in more:
            return np.asarray(getattr(self, name))
        hint = did_you_mean(name, (*self.names, *more), list_at_most=30)
        raise InvalidInput(f"there is no column {name!r}{hint}", argument="name")

    @overload
    def __getitem__(self, key: str) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, key: int) -> ManyRow: ...
    @overload
    def __getitem__(self, key: slice | Sequence[int] | NDArray[Any]) -> ManyResults: ...
    def __getitem__(self, key: Any) -> Any:
        """A column by name, an object by number, or the results of several."""
        if isinstance(key, str):
            return self.column(key)
        if isinstance(key, (int, np.integer)) and not isinstance(key, bool | np.bool_):
            if not -len(self) <= key < len(self):
                raise IndexError(f"row {key} of {len(self)}")
            return self._row(int(key) % len(self))
        return self._subset(key)

    def __iter__(self) -> Iterator[ManyRow]:
        return (self._row(row) for row in range(len(self)))

    # ---- tables and text ----------------------------------------------------------------

    @cached_property
    def table(self) -> QTable:
        """All columns, with units, as a table on the same memory."""
        return self.to_table()

    def to_table(self, *, copy: bool = False) -> QTable:
        """All columns, with units, as a table.

        Parameters
        ----------
        copy : bool, optional
            Give the table memory of its own.

        Returns
        -------
        QTable
            One row an object: status, quality, what fitted it, then ``name, name_error`` of each
            parameter. ``meta["precision"]`` is that of the derivatives.
        """
        table = QTable(meta={"precision": self.precision})
        for name in _QUALITY:
            column = self.column(name)
            if name == "message":
                column = column.astype(np.str_)  # files take no objects
            if name == "time":
                column = u.Quantity(column, u.s, copy=False)
            table.add_column(column, name=name, copy=copy)
            if column.dtype.kind == "f":
                table[name].info.format = ".6g"
        for name in self.names:
            unit = self.units[name]
            for label in (name, f"{name}_error"):
                values = self.column(label)
                column = u.Quantity(values, unit, copy=False) if unit else values
                table.add_column(column, name=label, copy=copy)
                table[label].info.format = ".6g"
        return table

    def summary(self) -> str:
        """What became of the objects, in a few lines.

        Returns
        -------
        str
            Counts by status, speed, median quality.
        """
        n, good = len(self), int(self.success.sum())
        lines = [f"{good} of {n} fits converged"]
        if self.wall_time > 0 and n:
            n_done = int((self.status_code != code_of("interrupted")).sum())
            lines[0] += f"; {self.wall_time:.3g} s, {n_done / self.wall_time:.4g} objects/s"
        kinds, counts = np.unique(self.status_code, return_counts=True)
        for kind, count in sorted(zip(kinds, counts, strict=True), key=lambda pair: -pair[1]):
            lines.append(f"  {count:7d}  {STATUS[kind]}")
        reduced = self.reduced_chi2[self.success & (self.dof > 0)]
        if reduced.size:
            evaluations = np.median(self.n_evaluations[self.success])
            lines.append(
                f"median reduced chi2 {np.median(reduced):.4g}, {evaluations:g} evaluations"
            )
        if computed := self._computed():
            lines.append(computed)
        for row in self.failed[:5]:
            lines.append(f"  row {row}: {self.message[row]}")
        if self.failed.size > 5:
            lines.append(f"  ... and {self.failed.size - 5} more: see .failed and .message")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return (
            f"<ManyResults: {int(self.success.sum())} of {len(self)} fits converged, "
            f"{len(self.names)} parameters>"
        )

    def __str__(self) -> str:
        return self.summary()

    def __getstate__(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self)}

    # ---- details ------------------------------------------------------------------------

    def _computed(self) -> str:
        """What fitted how many, and in which precision; empty for the usual."""
        names, counts = np.unique(self.backend[self.backend != ""], return_counts=True)
        if not len(names) or (list(names) == ["cpu"] and self.precision == "float64"):
            return ""
        pairs = sorted(zip(counts, names, strict=True), key=lambda pair: -pair[0])
        return "on " + ", ".join(f"{name} ({n:,})" for n, name in pairs) + f"; {self.precision}"

    def _matrix(self, flat: NDArray[Any], absent: Any) -> NDArray[Any]:
        n, k = len(self), len(self.names)
        if self.is_uniform:
            return flat.reshape(n, k)
        out = np.full((n, k), absent, dtype=flat.dtype)
        place = {name: at for at, name in enumerate(self.names)}
        for number, layout in enumerate(self.layouts):
            rows = np.flatnonzero(self.layout_of == number)
            columns = np.array([place[name] for name in layout.names], dtype=np.int64)
            where = self.offset[rows][:, None] + np.arange(len(columns))
            out[rows[:, None], columns] = flat[where]
        return out

    def _row(self, row: int) -> ManyRow:
        part = slice(int(self.offset[row]), int(self.offset[row + 1]))
        names = self.layouts[self.layout_of[row]].names if self.layout_of[row] >= 0 else ()
        errors = np.sqrt(self.flat_variances[part] * self.covariance_scale[row])
        held = self.flat_at_bound[part]
        return ManyRow(
            status=str(self.status[row]),
            message=str(self.message[row]),
            success=bool(self.success[row]),
            values=dict(zip(names, map(float, self.flat_values[part]), strict=True)),
            errors=dict(zip(names, map(float, errors), strict=True)),
            at_bound=tuple(name for name, at in zip(names, held, strict=True) if at),
            chi2=float(self.chi2[row]),
            reduced_chi2=float(self.reduced_chi2[row]),
            time=float(self.time[row]),
            n_pixels=int(self.n_pixels[row]),
            dof=int(self.dof[row]),
            n_evaluations=int(self.n_evaluations[row]),
            backend=str(self.backend[row]),
            covariance=self.covariance_of(row),
        )

    def _subset(self, key: Any) -> ManyResults:
        allowed = "a column's name, a row, a slice, a mask or row numbers"
        try:
            where = key if isinstance(key, slice) else np.asarray(key)
            if not isinstance(where, slice):
                if where.ndim != 1:
                    raise TypeError
                if not where.size:
                    where = where.astype(np.int64)
            rows = np.arange(len(self))[where]
        except (IndexError, TypeError, ValueError):
            raise invalid("key", key, allowed) from None
        sizes = np.diff(self.offset)[rows]
        starts = self.offset[rows]
        flat = _ranges(starts, sizes)
        by_row = (
            "layout_of", "status_code", "chi2", "n_pixels", "dof", "n_linearize", "n_chi2", "time",
            "covariance_scale", "backend",
        )  # fmt: skip
        changed: dict[str, Any] = {name: getattr(self, name)[rows] for name in by_row}
        for name in ("flat_values", "flat_variances", "flat_at_bound", "flat_degenerate"):
            changed[name] = getattr(self, name)[flat]
        if self.flat_covariance is not None and self.covariance_offset is not None:
            squares = np.diff(self.covariance_offset)[rows]
            where = _ranges(self.covariance_offset[rows], squares)
            changed["flat_covariance"] = self.flat_covariance[where]
            changed["covariance_offset"] = np.concatenate([[0], np.cumsum(squares)])
        messages = {
            new: self.special_messages[int(old)]
            for new, old in enumerate(rows)
            if int(old) in self.special_messages
        }
        return replace(
            self,
            offset=np.concatenate([[0], np.cumsum(sizes)]),
            special_messages=messages,
            wall_time=0.0,
            **changed,
        )


def _ranges(starts: IntArray, sizes: IntArray) -> IntArray:
    """The numbers ``start ... start + size - 1`` of all ranges, one after the other."""
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) - np.repeat(ends - sizes, sizes) + np.repeat(starts, sizes)
