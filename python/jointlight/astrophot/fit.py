# SPDX-License-Identifier: BSD-3-Clause
"""Fits under AstroPhot's names."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import sparse

from jointlight import fit as native_fit
from jointlight.astrophot.convert import FloatArray
from jointlight.astrophot.models import Component_Model, Group_Model, native_model
from jointlight.errors import InvalidInput, JointlightError, did_you_mean, warn_user
from jointlight.result import FitResult

__all__ = ["LM", "Iter"]

_STEERING = frozenset(
    {"L0", "Lup", "Ldn", "acceleration", "curvature_limit", "epsilon4", "epsilon5",
     "initial_state", "max_step_iter", "method", "method_kwargs", "save_steps"}
)  # fmt: skip


class _Fit:
    """A fit and, once run, its outcome."""

    _native: native_fit.LM | native_fit.Iter
    _result: FitResult | None = None

    def __init__(self, model: Component_Model | Group_Model) -> None:
        self._model = model

    @property
    def model(self) -> Component_Model | Group_Model:
        """The model."""
        return self._model

    @property
    def native(self) -> native_fit.LM | native_fit.Iter:
        """jointlight's fit."""
        return self._native

    def fit(self) -> Any:
        """Fit, and leave values and uncertainties in the model; returns the fit itself."""
        self._result = self._native.fit()
        return self

    @property
    def result(self) -> FitResult:
        """jointlight's result, in its own units."""
        if self._result is None:
            raise JointlightError("there is no result before fit() was called")
        return self._result

    @property
    def message(self) -> str:
        """How it ended: ``"success. ..."`` or ``"fail. ..."``."""
        return f"{'success' if self.result.success else 'fail'}. {self.result.message}"

    @property
    def ndf(self) -> int:
        """Degrees of freedom."""
        return self.result.dof

    @property
    def loss_history(self) -> list[float]:
        """chi2/dof of each accepted step."""
        history = self.result.raw_history
        accepted = np.asarray(history["accepted"], dtype=bool)
        ndf = self.ndf or math.nan
        return [float(chi2) / ndf for chi2 in np.asarray(history["chi2"])[accepted]]

    @property
    def covariance_matrix(self) -> FloatArray | sparse.csr_array | None:
        """Covariance of the free scalars, in the units of `Parameter_Node`.

        Sparse where that of the result is, see `FitResult.covariance`.
        """
        covariance: Any = self.result.covariance
        if covariance is None:
            return None
        slope = self._slopes()
        if not sparse.issparse(covariance):
            return np.asarray(covariance * np.outer(slope, slope))
        entries = covariance.tocoo()
        # Entry by entry: a product with a matrix would drop zeros that are known.
        entries.data = entries.data * slope[entries.row] * slope[entries.col]
        return entries.tocsr()

    def res(self) -> FloatArray:
        """Values of the free scalars, in the units of `Parameter_Node`."""
        return np.concatenate(
            [np.ravel(node.value) for node in self._free_nodes().values()] or [np.empty(0)]
        )

    def res_loss(self) -> float:
        """chi2/dof at the solution."""
        return self.result.chi2 / (self.ndf or math.nan)

    def update_uncertainty(self) -> None:
        """Nothing to do: a fit leaves uncertainties in the model."""

    def _free_nodes(self) -> dict[int, Any]:
        """Nodes of the free parameters in the result's order, by the native one's id."""
        table = self._model.parameters.values()
        by_id = {key: node for node in table for key in node.slopes()}
        free = native_model(self._model).free_parameters.values()
        # A tie may lead to a model outside this one, whose conventions are not known here.
        missing = [parameter.label for parameter in free if id(parameter) not in by_id]
        if missing:
            raise InvalidInput(
                f"{missing[0]} belongs to a model outside the one fitted; read it from "
                ".result, in jointlight's units"
            )
        return {id(by_id[id(p)]): by_id[id(p)] for p in free}

    def _slopes(self) -> FloatArray:
        parts: list[FloatArray] = []
        for node in self._free_nodes().values():
            parts += [np.ravel(slope) for slope in node.slopes().values()]
        return np.concatenate(parts or [np.empty(0)])

    def __repr__(self) -> str:
        return f"<{self._native!r}>"


class LM(_Fit):
    """Levenberg-Marquardt fit of a model to all of its images at once.

    Parameters
    ----------
    model : model
        What to fit.
    initial_state : None
        Not used: the model's values are the start.
    max_iter : int, optional
        Most trial steps. Default: jointlight's own.
    relative_tolerance : float
        Smallest relative fall of chi2 that goes on.
    verbose : int
        0 is silent.
    **options
        Options of `jointlight.fit.LM`. Those that steer AstroPhot's own steps are ignored with a
        warning.
    """

    def __init__(
        self,
        model: Component_Model | Group_Model,
        initial_state: Any = None,
        max_iter: int | None = None,
        *,
        relative_tolerance: float | None = None,
        verbose: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(model)
        if initial_state is not None:
            options["initial_state"] = initial_state
        kept = _kept(options, native_fit.LM)
        if relative_tolerance is not None:
            kept["ftol"] = relative_tolerance
        self._native = native_fit.LM(
            native_model(model), max_iter=max_iter, verbose=verbose, **kept
        )


class Iter(_Fit):
    """Fit of the members of a group in turn, until chi2 falls no more.

    Parameters
    ----------
    model : Group_Model
        What to fit.
    initial_state : None
        Not used: the model's values are the start.
    max_iter : int
        Most sweeps over the members.
    verbose : int
        0 is silent.
    **options
        Options of `jointlight.fit.Iter`.
    """

    def __init__(
        self,
        model: Component_Model | Group_Model,
        initial_state: Any = None,
        max_iter: int = 100,
        *,
        verbose: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(model)
        if initial_state is not None:
            options["initial_state"] = initial_state
        self._native = native_fit.Iter(
            native_model(model),
            max_iter=max_iter,
            verbose=verbose,
            **_kept(options, native_fit.Iter),
        )


def _kept(options: dict[str, Any], native: type) -> dict[str, Any]:
    known = [name for name in native.__init__.__kwdefaults__ or {} if name != "self"]  # type: ignore[misc]
    kept = {}
    for name, value in options.items():
        if name in _STEERING:
            warn_user(f"{name} is ignored: it steers AstroPhot's own steps")
        elif name in known:
            kept[name] = value
        else:
            raise InvalidInput(
                f"{native.__name__} has no option {name!r}{did_you_mean(name, known)}",
                argument=name,
            )
    return kept
