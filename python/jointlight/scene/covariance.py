# SPDX-License-Identifier: BSD-3-Clause
"""Covariance of the free parameters, whole or in part, and first-order errors from it.

A scene of many sources stores only pairs of parameters of one source, and pairs that share
pixels, as a sparse matrix. A pair that is not stored is *unknown*, not zero: what depends on one
comes out as NaN, or is completed by solving for its columns where that is still possible.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from jointlight.errors import Described, invalid

__all__ = [
    "ColumnSolver",
    "Covariance",
    "UnknownPair",
    "lower_triangle",
    "only_at_bound",
    "propagate",
    "standard_errors",
]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
ColumnSolver: TypeAlias = Callable[[IntArray], FloatArray]
"""From parameter numbers, [k], to their columns of the covariance, [n_free, k]."""

_CHUNK = 256  # quantities whose dense gradients are held at a time


class Covariance:
    """What is known of the covariance of the free parameters.

    Parameters
    ----------
    stored : ndarray or scipy.sparse.csc_array
        All of it, ``[n, n]``; or the lower triangle of what is known, diagonal included.
        NaN for parameters that have no error.
    scale : float, optional
        Factor on all of it.
    columns : callable, optional
        Gives whole columns, before scaling, for pairs that are not stored.
    """

    def __init__(
        self, stored: Any, *, scale: float = 1.0, columns: ColumnSolver | None = None
    ) -> None:
        self.stored = stored
        self.scale = float(scale)
        self.columns = columns
        self.is_sparse = bool(sparse.issparse(stored))

    @classmethod
    def of(cls, given: Any) -> Covariance:
        """The same for an array, a symmetric or lower triangular sparse matrix, or one of these.

        Parameters
        ----------
        given : ndarray, sparse matrix or Covariance
            The covariance.

        Returns
        -------
        Covariance
            What is known of it.
        """
        if isinstance(given, Covariance):
            return given
        if sparse.issparse(given):
            return cls(lower_triangle(given))
        return cls(np.asarray(given, dtype=np.float64))

    @property
    def shape(self) -> tuple[int, int]:
        """``(n_free, n_free)``."""
        rows, columns = self.stored.shape
        return int(rows), int(columns)

    @cached_property
    def diagonal(self) -> FloatArray:
        """Variances, ``[n_free]``."""
        return np.asarray(self.stored.diagonal(), dtype=np.float64) * self.scale

    @cached_property
    def symmetric(self) -> Any:
        """Both triangles: an array, or a ``csr_array`` whose stored zeros are known zeros."""
        if not self.is_sparse:
            if self.scale == 1.0:
                return self.stored
            scaled = self.stored * self.scale
            scaled.setflags(write=False)
            return scaled
        lower = self.stored.tocoo()
        row, column, data = lower.row, lower.col, lower.data * self.scale
        off = row != column
        # A sum of matrices would drop stored zeros.
        both = sparse.coo_array(
            (
                np.concatenate([data, data[off]]),
                (np.concatenate([row, column[off]]), np.concatenate([column, row[off]])),
            ),
            shape=self.shape,
        )
        return both.tocsr()

    @cached_property
    def _finite_and_known(self) -> tuple[sparse.csr_array, sparse.csr_array]:
        """Sparse covariance with NaN as 0, and 1 wherever a pair is stored."""
        matrix = self.symmetric
        finite = matrix.copy()
        finite.data = np.nan_to_num(finite.data, nan=0.0, posinf=0.0, neginf=0.0)
        known = matrix.copy()
        known.data = np.ones_like(known.data)
        return finite, known

    def block(self, index: IntArray) -> tuple[FloatArray, BoolArray]:
        """Dense covariance of some parameters, and which pairs are known.

        Parameters
        ----------
        index : ndarray
            Numbers of the parameters, ``[k]``.

        Returns
        -------
        block : ndarray
            ``[k, k]``, NaN where unknown.
        known : ndarray of bool
            ``[k, k]``.
        """
        index = np.asarray(index, dtype=np.int64)
        if not self.is_sparse:
            return self.symmetric[np.ix_(index, index)], np.ones((index.size,) * 2, dtype=bool)
        _, known = self._finite_and_known
        there = known[index, :][:, index].toarray() > 0
        values = self.symmetric[index, :][:, index].toarray()
        return np.where(there, values, np.nan), there

    def completed(self, index: IntArray) -> FloatArray:
        """Dense covariance of any parameters; pairs that are not stored are solved for.

        Parameters
        ----------
        index : ndarray
            Numbers of the parameters, ``[k]``.

        Returns
        -------
        ndarray
            ``[k, k]``.

        Raises
        ------
        UnknownPair
            If a pair is not stored and cannot be solved for.
        """
        index = np.asarray(index, dtype=np.int64)
        block, known = self.block(index)
        # Those left out of the covariance stay NaN; there is nothing to solve for.
        out = ~np.isfinite(self.diagonal[index])
        open_pairs = ~known & ~(out[:, None] | out[None, :])
        if not open_pairs.any():
            return block
        if self.columns is None:
            i, j = np.argwhere(open_pairs)[0]
            raise UnknownPair(int(index[i]), int(index[j]))
        # Each open pair needs one of its two columns.
        wanted = np.flatnonzero(np.triu(open_pairs).any(axis=0))
        for start in range(0, wanted.size, _CHUNK):
            part = wanted[start : start + _CHUNK]
            found = np.asarray(self.columns(index[part]), dtype=np.float64)[index, :] * self.scale
            block[:, part] = np.where(open_pairs[:, part], found, block[:, part])
            block[part, :] = np.where(open_pairs[part, :], found.T, block[part, :])
        return block

    def variance(self, gradient: sparse.csr_array, at_bound: BoolArray) -> FloatArray:
        """Variances of quantities from their gradients.

        Parameters
        ----------
        gradient : scipy.sparse.csr_array
            ``[k, n_free]``.
        at_bound : ndarray of bool
            Parameters held at a bound, which add nothing.

        Returns
        -------
        ndarray
            ``[k]``; NaN where a quantity depends on a parameter without an error, or on a pair
            that is not known.
        """
        used, lost = self._usable(gradient, at_bound)
        out = np.zeros(used.shape[0])
        # A few at a time: a parameter that many share would fill the product with all its pairs.
        for start in range(0, used.shape[0], _CHUNK):
            part = slice(start, start + _CHUNK)
            rows = used[part, :]
            columns = np.unique(rows.indices)
            rows = rows[:, columns]
            if not self.is_sparse:
                dense = rows.toarray()
                block = self.symmetric[np.ix_(columns, columns)]
                out[part] = np.einsum("ij,ij->i", dense @ block, dense)
                continue
            finite, known = (m[columns, :][:, columns] for m in self._finite_and_known)
            out[part] = (rows @ finite).multiply(rows).sum(axis=1)
            there = _pattern(rows)
            pairs = (there @ known).multiply(there).sum(axis=1)
            lost[part] |= np.asarray(pairs) < np.diff(rows.indptr).astype(np.float64) ** 2
        out[lost] = np.nan
        return out

    def propagate(
        self, gradient: sparse.csr_array, at_bound: BoolArray, *, complete: bool = False
    ) -> FloatArray:
        """First-order covariance of quantities; see `propagate`.

        Parameters
        ----------
        gradient : scipy.sparse.csr_array
            ``[k, n_free]``.
        at_bound : ndarray of bool
            Parameters held at a bound, which add nothing.
        complete : bool, optional
            Solve for pairs that are not stored; otherwise what needs them is NaN.

        Returns
        -------
        ndarray
            ``[k, k]``.
        """
        used, lost = self._usable(gradient, at_bound)
        if self.is_sparse and not complete:
            finite, known = self._finite_and_known
            out = np.asarray((used @ finite @ used.T).toarray(), dtype=np.float64)
            there = _pattern(used)
            size = np.diff(used.indptr).astype(np.float64)
            out[(there @ known @ there.T).toarray() < np.outer(size, size)] = np.nan
        else:
            columns = np.unique(used.indices)
            dense = used[:, columns].toarray()
            out = dense @ self.completed(columns) @ dense.T
        out[lost, :] = np.nan
        out[:, lost] = np.nan
        return out

    def _usable(
        self, gradient: sparse.csr_array, at_bound: BoolArray
    ) -> tuple[sparse.csr_array, BoolArray]:
        """Gradient on parameters that have an error, and which quantities need others too."""
        entries = gradient.tocoo()
        row, column, data = entries.row, entries.col, entries.data
        felt = (data != 0) & ~at_bound[column]
        bad = felt & (~np.isfinite(data) | ~np.isfinite(self.diagonal[column]))
        lost = np.zeros(gradient.shape[0], dtype=bool)
        lost[row[bad]] = True
        keep = felt & ~bad
        used = sparse.csr_array(
            (data[keep], (row[keep], column[keep])), shape=gradient.shape, dtype=np.float64
        )
        return used, lost


class UnknownPair(LookupError):
    """A pair of parameters whose covariance is neither stored nor to be had any more.

    Parameters
    ----------
    first, second : int
        Their numbers.
    """

    def __init__(self, first: int, second: int) -> None:
        super().__init__(first, second)
        self.pair = (first, second)


def lower_triangle(matrix: Any) -> sparse.csc_array:
    """Lower triangle of a sparse covariance that is symmetric, or lower triangular already.

    Parameters
    ----------
    matrix : scipy.sparse matrix or array
        Square.

    Returns
    -------
    scipy.sparse.csc_array
        With its stored zeros.
    """
    entries = sparse.coo_array(matrix)
    rows, columns = entries.shape
    if rows != columns:
        raise invalid("covariance", Described(f"of shape ({rows}, {columns})"), "square")
    below = entries.row >= entries.col
    n_above = int(np.count_nonzero(~below))
    n_strictly_below = int(np.count_nonzero(entries.row > entries.col))
    if n_above not in (0, n_strictly_below):
        what = Described("a sparse matrix that is neither symmetric nor lower triangular")
        raise invalid("covariance", what, "symmetric")
    lower = sparse.coo_array(
        (entries.data[below], (entries.row[below], entries.col[below])),
        shape=entries.shape,
        dtype=np.float64,
    ).tocsc()
    stored = np.zeros(rows, dtype=bool)
    diagonal = entries.row == entries.col
    stored[entries.row[diagonal]] = True
    if not stored.all():
        missing = int(np.flatnonzero(~stored)[0])
        what = Described(f"one without the variance of parameter {missing}")
        raise invalid("covariance", what, "one that stores its diagonal, NaN where there is none")
    return lower


def _pattern(matrix: sparse.csr_array) -> sparse.csr_array:
    ones = matrix.copy()
    ones.data = np.ones_like(ones.data)
    return ones


def propagate(gradient: sparse.csr_array, covariance: Any, at_bound: BoolArray) -> FloatArray:
    """First-order covariance of quantities from their gradients.

    Parameters
    ----------
    gradient : scipy.sparse.csr_array
        Derivatives with respect to the free parameters, ``[k, n_free]``.
    covariance : ndarray, sparse matrix, Covariance or None
        Covariance of the free parameters; NaN rows for those left out of it.
    at_bound : ndarray of bool
        Parameters at a bound: held there, so they add nothing to the error.

    Returns
    -------
    ndarray
        ``[k, k]``; NaN rows for quantities that depend on an unconstrained parameter, NaN where a
        pair that is not stored would be needed.
    """
    if covariance is None:
        return np.full((gradient.shape[0],) * 2, np.nan)
    return Covariance.of(covariance).propagate(gradient, at_bound)


def standard_errors(gradient: sparse.csr_array, covariance: Any, at_bound: BoolArray) -> FloatArray:
    """Standard errors of quantities from their gradients.

    Parameters
    ----------
    gradient : scipy.sparse.csr_array
        Derivatives with respect to the free parameters, ``[k, n_free]``.
    covariance : ndarray, sparse matrix, Covariance or None
        Covariance of the free parameters; NaN rows for those left out of it.
    at_bound : ndarray of bool
        Parameters at a bound.

    Returns
    -------
    ndarray
        ``[k]``; 0 for what depends on no free parameter; NaN for what depends on parameters at a
        bound only, on an unconstrained one, or on a pair that is not stored.
    """
    if covariance is None:
        return np.full(gradient.shape[0], np.nan)
    variance = Covariance.of(covariance).variance(gradient, at_bound)
    variance[only_at_bound(gradient, at_bound)] = np.nan
    return np.sqrt(np.maximum(variance, 0.0))


def only_at_bound(gradient: sparse.csr_array, at_bound: BoolArray) -> BoolArray:
    """Quantities that depend on parameters at a bound and on no others: they have no error.

    Parameters
    ----------
    gradient : scipy.sparse.csr_array
        Derivatives with respect to the free parameters, ``[k, n_free]``.
    at_bound : ndarray of bool
        Parameters at a bound.

    Returns
    -------
    ndarray of bool
        ``[k]``.
    """
    used = gradient.tocoo()
    present = used.data != 0
    row, column = used.row[present], used.col[present]
    counts = np.bincount(row, minlength=gradient.shape[0])
    held = np.bincount(row, weights=at_bound[column].astype(float), minlength=gradient.shape[0])
    return np.asarray((counts > 0) & (held == counts))
