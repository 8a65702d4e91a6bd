# SPDX-License-Identifier: BSD-3-Clause
"""FitResult: everything a fit found, immutable."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import QTable
from numpy.typing import NDArray
from scipy import sparse

from jointlight import flags
from jointlight.errors import did_you_mean, invalid
from jointlight.result import summary as _summary
from jointlight.result import tables
from jointlight.result.derived import Quantities, magnitude, numerical_gradient, source_flux
from jointlight.result.slots import (
    Derived,
    FloatArray,
    SlotState,
    SlotValues,
    only_at_bound,
    propagate,
)

if TYPE_CHECKING:
    from jointlight.image import TargetImage
    from jointlight.models.base import Model

__all__ = ["FitResult", "FreeParameter"]


@dataclass(frozen=True, kw_only=True)
class FreeParameter:
    """One free scalar.

    Attributes
    ----------
    name : str
        Parameter name, with its component for a vector: ``Re``, ``center_x``.
    model : str
        Name of the model it belongs to.
    path : str
        Unique name within the fit: ``model[path]`` is the parameter.
    unit : str
        Its unit, empty if none.
    lower, upper : float
        Its limits; infinite where there are none.
    """

    name: str
    model: str
    path: str = ""
    unit: str = ""
    lower: float = -math.inf
    upper: float = math.inf

    @property
    def full_name(self) -> str:
        """Its path, or model and name where there is none."""
        return self.path or f"{self.model}.{self.name}"


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    copy = np.array(array)
    copy.setflags(write=False)
    return copy


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class FitResult:
    """Outcome of a fit: solution, errors, quality, history. Immutable.

    Attributes
    ----------
    status : str
        How the fit ended, e.g. ``"converged_ftol"``, ``"max_iterations"``, ``"interrupted"``.
    message : str
        The same as a sentence, with parameters at bounds or unconstrained named.
    chi2 : float
        Chi-squared (minus twice the log-likelihood, up to a constant, for Poisson images) at the
        solution, priors included.
    dof : int
        Degrees of freedom: usable pixels and priors less fitted parameters.
    parameters : tuple of FreeParameter
        The free scalars, in the order of all arrays.
    values, initial : ndarray
        Their values at the solution and at the start, ``[n_free]``.
    at_bound, degenerate : ndarray of bool
        Which ended at a limit, and which the data do not constrain.
    raw_covariance : ndarray or None
        Covariance before any scaling, ``[n_free, n_free]``; NaN rows for those left out.
    covariance_scale : float
        Factor on the covariance, 1 unless asked for.
    images : tuple of TargetImage
        The images fitted.
    chi2_images, n_pixels_images : ndarray
        Chi-squared and usable pixels of each image.
    slots : SlotState
        Every component's parameters at the solution and their derivatives.
    model : Model or None
        The model fitted. It is the live object: fitting it again moves it, not this result.
    options : dict
        Options of the fit.
    time_s : float
        Wall-clock time of the fit in seconds.
    timing : dict of str to float
        The same as ``{"fit": seconds}``.
    n_linearize, n_chi2 : int
        Evaluations with and without derivatives.
    raw_history : dict of str to ndarray
        Record of the trial steps.
    """

    status: str
    message: str
    chi2: float
    dof: int
    parameters: tuple[FreeParameter, ...]
    values: FloatArray
    initial: FloatArray
    at_bound: NDArray[np.bool_]
    degenerate: NDArray[np.bool_]
    raw_covariance: FloatArray | None
    images: tuple[TargetImage, ...]
    chi2_images: FloatArray
    n_pixels_images: NDArray[np.int64]
    slots: SlotState
    model: Model | None = None
    covariance_scale: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)
    time_s: float = math.nan
    timing: Mapping[str, float] = field(default_factory=dict)
    n_linearize: int = 0
    n_chi2: int = 0
    raw_history: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.parameters)
        for name in ("values", "initial", "at_bound", "degenerate"):
            array = _read_only(np.asarray(getattr(self, name)))
            if array.shape != (n,):
                raise invalid(name, array, f"an array of shape ({n},)")
            object.__setattr__(self, name, array)
        for name in ("chi2_images", "n_pixels_images"):
            object.__setattr__(self, name, _read_only(np.asarray(getattr(self, name))))
        if self.raw_covariance is not None:
            covariance = _read_only(np.asarray(self.raw_covariance, dtype=np.float64))
            if covariance.shape != (n, n):
                raise invalid("raw_covariance", covariance, f"an array of shape ({n}, {n})")
            object.__setattr__(self, "raw_covariance", covariance)

    # ---- quality ------------------------------------------------------------------------

    @property
    def success(self) -> bool:
        """True if a convergence test was met, or nothing was left to fit."""
        return self.status.startswith("converged") or self.status == "no_free_parameters"

    @property
    def reduced_chi2(self) -> float:
        """Chi-squared over degrees of freedom; NaN without any."""
        return self.chi2 / self.dof if self.dof > 0 else math.nan

    @property
    def n_free(self) -> int:
        """Number of free scalars."""
        return len(self.parameters)

    @property
    def chi2_by_image(self) -> dict[str, float]:
        """Chi-squared of each image, by its name."""
        names = (image.name for image in self.images)
        return dict(zip(names, map(float, self.chi2_images), strict=True))

    # ---- parameters ---------------------------------------------------------------------

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Unique name of each free scalar, its path in the model."""
        return tuple(p.full_name for p in self.parameters)

    @cached_property
    def covariance(self) -> FloatArray | None:
        """Covariance of the free parameters in natural units, full across images.

        Rows of parameters at a bound or not constrained by the data are NaN. None where it was
        not computed.
        """
        if self.raw_covariance is None or self.covariance_scale == 1.0:
            return self.raw_covariance
        return _read_only(self.raw_covariance * self.covariance_scale)

    @cached_property
    def errors(self) -> FloatArray:
        """Standard errors of the free parameters, NaN where there is none."""
        if self.covariance is None:
            return _read_only(np.full(self.n_free, np.nan))
        return _read_only(np.sqrt(np.diag(self.covariance)))

    @cached_property
    def correlation(self) -> FloatArray | None:
        """Correlation matrix of the free parameters."""
        if self.covariance is None:
            return None
        return _read_only(self.covariance / np.outer(self.errors, self.errors))

    @cached_property
    def global_flags(self) -> int:
        """Flag bits that concern the whole fit."""
        bits = 0 if self.success else flags.NOT_CONVERGED
        return bits | (flags.INTERRUPTED if self.status in {"interrupted", "timed_out"} else 0)

    @cached_property
    def parameter_flags(self) -> NDArray[np.int64]:
        """Flag bits of each free parameter, see `jointlight.flags`."""
        out = np.full(self.n_free, self.global_flags, dtype=np.int64)
        out[self.at_bound] |= flags.AT_BOUND
        out[self.degenerate] |= flags.DEGENERATE
        out[~np.isfinite(self.errors)] |= flags.NO_ERROR
        return _read_only(out)

    # ---- tables -------------------------------------------------------------------------

    @cached_property
    def _table(self) -> QTable:
        return tables.parameter_table(self)

    @cached_property
    def _sources(self) -> QTable:
        return tables.source_table(self)

    @property
    def table(self) -> QTable:
        """One row a free scalar: name, model, value, error, unit, init, limits, flags."""
        return self._table.copy()

    @property
    def sources(self) -> QTable:
        """One row a source: position, structure, fluxes, magnitudes, with errors and flags.

        Columns come in pairs ``name, name_error``. Errors are first order in the full
        covariance of all free parameters. The centre's errors are ``x_error`` (East) and
        ``y_error`` (North) in arcsec. Structure that differs between images has one column an
        image (``Re_W1``), and where a source's components in one image differ, one column a
        component (``Re_bulge``, ``Re_bulge_W1``). Centres that differ have such columns besides
        ``x`` and ``y``, which are those of the first component.
        """
        return self._sources.copy()

    @property
    def history(self) -> QTable:
        """One row a trial step; row 0 is the start."""
        return tables.history_table(self.raw_history)

    # ---- derived quantities -------------------------------------------------------------

    @property
    def parameter_values(self) -> SlotValues:
        """All scalar parameters by name: free, tied and fixed."""
        return SlotValues(self.slots.values, self.slots.keys)

    def derived(self, function: Callable[[SlotValues], object], *, unit: str = "") -> Derived:
        """Any function of the parameters, with its error.

        Parameters
        ----------
        function : callable
            Takes a mapping from parameter name to value (``"Re"``, or ``"model.Re"`` where a
            name is used more than once; ``"Ie[W1]"`` for one image) and returns a number or an
            array.
        unit : str, optional
            Unit of what it returns, kept for display.

        Returns
        -------
        Derived
            Value, error and covariance; unpacks as ``value, error``.

        Examples
        --------
        >>> area, error = result.derived(lambda p: p["q"] * p["Re"] ** 2)  # doctest: +SKIP
        """
        value, gradient = numerical_gradient(function, self.slots, self._slot_errors)
        return self._finish(value, gradient, unit)

    def flux(self, image: str | TargetImage, *, source: str | int | None = None) -> Derived:
        """Total flux of the sources in one image.

        Parameters
        ----------
        image : str or TargetImage
            The image, or its name.
        source : str or int, optional
            Only this source, by its name or row in `sources`.

        Returns
        -------
        Derived
            One value a source, or a scalar if `source` is given.
        """
        index = self._image_index(image, "image")
        return self._per_source(source, lambda fluxes: fluxes[index], [index])

    def color(
        self,
        first: str | TargetImage,
        second: str | TargetImage,
        *,
        source: str | int | None = None,
    ) -> Derived:
        """Colour ``mag_first - mag_second`` with its full-covariance error.

        Parameters
        ----------
        first, second : str or TargetImage
            The two images, or their names. Both need a zeropoint.
        source : str or int, optional
            Only this source, by its name or row in `sources`.

        Returns
        -------
        Derived
            One value a source, or a scalar if `source` is given.
        """
        a, b = self._image_index(first, "first"), self._image_index(second, "second")
        zeropoints = []
        for argument, index in (("first", a), ("second", b)):
            zeropoint = self.images[index].zeropoint
            if zeropoint is None:
                raise invalid(
                    argument, self.images[index].name, "an image with a zeropoint",
                    "give the image zeropoint= when it is made",
                )  # fmt: skip
            zeropoints.append(zeropoint)

        def difference(fluxes: dict[int, tuple[float, dict[int, float]]]) -> Any:
            one = magnitude(fluxes[a], zeropoints[0])
            two = magnitude(fluxes[b], zeropoints[1])
            gradient = dict(one[1])
            for slot, derivative in two[1].items():
                gradient[slot] = gradient.get(slot, 0.0) - derivative
            return one[0] - two[0], gradient

        return self._per_source(source, difference, [a, b], unit="mag")

    def _per_source(
        self,
        source: str | int | None,
        quantity: Callable[[dict[int, tuple[float, dict[int, float]]]], Any],
        images: list[int],
        unit: str = "",
    ) -> Derived:
        items = []
        for components in tables.source_components(self.slots).values():
            here = {i: [c for c in components if c.image == i] for i in images}
            if all(here.values()):
                fluxes = {i: source_flux(c, self.slots.values) for i, c in here.items()}
                items.append(quantity(fluxes))
            else:
                items.append((math.nan, {}))
        if source is not None:
            items = [items[self._source_index(source)]]
        stacked = Quantities.stack(items, self.slots.values.size)
        value = stacked.values if source is None else stacked.values[0]
        return self._finish(np.asarray(value), stacked.gradient, unit)

    @cached_property
    def _slot_errors(self) -> FloatArray:
        """Standard error of every slot; NaN where it has none."""
        jacobian = self.slots.jacobian.tocsr()
        if self.covariance is None:
            return np.full(jacobian.shape[0], np.nan)
        known = np.where(np.isfinite(self.covariance), self.covariance, 0.0)
        variance = np.asarray(jacobian.multiply(jacobian @ known).sum(axis=1)).ravel()
        return np.sqrt(np.where(variance > 0, variance, np.nan))

    def _finish(self, value: FloatArray, gradient: sparse.csr_array, unit: str) -> Derived:
        rows = (gradient @ self.slots.jacobian).tocsr()
        covariance = propagate(rows, self.covariance, self.at_bound)
        lost = ~np.isfinite(value.ravel()) | only_at_bound(rows, self.at_bound)
        covariance[lost, :] = np.nan
        covariance[:, lost] = np.nan
        error = np.sqrt(np.maximum(np.diag(covariance), 0.0)).reshape(value.shape)
        return Derived(value=value, error=error, covariance=covariance, unit=unit)

    def _image_index(self, image: str | TargetImage, argument: str) -> int:
        names = [member.name for member in self.images]
        for index, member in enumerate(self.images):
            if member is image or member.name == image:
                return index
        raise invalid(
            argument, getattr(image, "name", image), "an image of this fit, or its name",
            did_you_mean(getattr(image, "name", image), names),
        )  # fmt: skip

    def _source_index(self, source: str | int) -> int:
        groups = tables.source_components(self.slots).values()
        names = [components[0].source_name for components in groups]
        if isinstance(source, str):
            if names.count(source) != 1:
                raise invalid(
                    "source", source, "the name of one source", did_you_mean(source, names)
                )
            return names.index(source)
        if not -len(names) <= source < len(names):
            raise invalid("source", source, f"a row of sources, less than {len(names)}")
        return source

    def scale_errors(self, factor: float | None = None) -> FitResult:
        """The same result with rescaled errors.

        Parameters
        ----------
        factor : float, optional
            Factor on the errors; by default the square root of the reduced chi-squared, which
            makes up for variances that are wrong by a common factor.

        Returns
        -------
        FitResult
            A new result; this one stays as it is.
        """
        scale = self.reduced_chi2 if factor is None else factor * factor
        if not (math.isfinite(scale) and scale > 0):
            raise invalid("factor", factor, "positive, or left out with dof > 0")
        return replace(self, covariance_scale=scale)

    # ---- text and files -----------------------------------------------------------------

    def summary(self) -> str:
        """The fit in a page of text.

        Returns
        -------
        str
            Status, chi-squared by image, free parameters with errors.
        """
        return _summary.text(self)

    def write(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write everything to an ASDF file that `jointlight.load` reads back.

        Parameters
        ----------
        path : str or Path
            File to write.
        overwrite : bool, optional
            Replace an existing file.
        """
        from jointlight.io import write_result

        write_result(self, path, overwrite=overwrite)

    def write_fits(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write data, model, residual and components of every image, and the tables, as FITS.

        Parameters
        ----------
        path : str or Path
            File to write.
        overwrite : bool, optional
            Replace an existing file.
        """
        from jointlight.io import write_fits

        write_fits(self, path, overwrite=overwrite)

    def __repr__(self) -> str:
        return (
            f"<FitResult {self.status}: chi2/dof = {self.chi2:.6g}/{self.dof} = "
            f"{self.reduced_chi2:.4g}, {self.n_free} free parameters, {len(self.images)} "
            f"image{'s' if len(self.images) != 1 else ''}>"
        )

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return _summary.html(self)

    def __getstate__(self) -> dict[str, Any]:
        # Tables are made again on demand.
        return {
            k: v
            for k, v in self.__dict__.items()
            if k not in {"_table", "_sources", "_slot_errors"}
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
