# SPDX-License-Identifier: BSD-3-Clause
"""Tables of a result: one row a free parameter, a connected component, a trial step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import QTable
from numpy.typing import NDArray

from jointlight import flags
from jointlight.result.status import succeeded

if TYPE_CHECKING:
    from jointlight.result.fit_result import FitResult

__all__ = ["component_table", "history_table", "parameter_table"]


def parameter_table(result: FitResult) -> QTable:
    """One row a free scalar parameter.

    Parameters
    ----------
    result : FitResult
        The result.

    Returns
    -------
    QTable
        Columns name, model, value, error, unit, init, lower, upper, flags. ``meta`` has the
        flags' names, and the backend and precision of the fit.
    """
    table = QTable()
    table["name"] = [p.name for p in result.parameters] or np.array([], dtype=str)
    table["model"] = [p.model for p in result.parameters] or np.array([], dtype=str)
    table["value"] = result.values
    table["error"] = result.errors
    table["unit"] = [p.unit for p in result.parameters] or np.array([], dtype=str)
    table["init"] = result.initial
    table["lower"] = np.array([p.lower for p in result.parameters], dtype=float)
    table["upper"] = np.array([p.upper for p in result.parameters], dtype=float)
    table["flags"] = result.parameter_flags
    for name in ("value", "error", "init"):
        table[name].info.format = ".6g"
    table.meta["flags"] = {f.bit: f.short for f in flags.FLAGS}
    table.meta |= {"backend": result.backend, "precision": result.precision}
    return table


def history_table(history: Mapping[str, NDArray[Any]]) -> QTable:
    """One row a trial step.

    Parameters
    ----------
    history : mapping of str to ndarray
        The solver's record.

    Returns
    -------
    QTable
        The same, as a table.
    """
    return QTable({name: np.asarray(column) for name, column in history.items()})


def component_table(result: FitResult) -> QTable:
    """One row a connected component.

    Parameters
    ----------
    result : FitResult
        The result.

    Returns
    -------
    QTable
        Columns component, n_parameters, status, success.
    """
    component, status = result.component_of, list(result.component_status)
    if not status:
        component, status = np.zeros(result.n_free, dtype=np.int64), [result.status]
    counts = np.bincount(component[component >= 0], minlength=len(status))
    table = QTable()
    table["component"] = np.arange(len(status))
    table["n_parameters"] = counts
    table["status"] = status
    table["success"] = np.array([succeeded(one) for one in status], dtype=bool)
    return table
