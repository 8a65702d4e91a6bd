# SPDX-License-Identifier: BSD-3-Clause
"""FitResult: everything a fit found, immutable."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import QTable
from numpy.typing import NDArray
from scipy import sparse

from jointlight import flags
from jointlight.errors import invalid
from jointlight.result import access, lightcurve, photometry, tables
from jointlight.result import summary as _summary
from jointlight.result.derived import numerical_gradient
from jointlight.result.slots import Derived, FloatArray, SlotState, SlotValues
from jointlight.result.sources import source_table
from jointlight.result.status import status_flags, succeeded
from jointlight.scene import Covariance, only_at_bound, standard_errors
from jointlight.scene.covariance import ColumnSolver, UnknownPair, lower_triangle

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
    raw_covariance : ndarray, scipy.sparse.csc_array or None
        Covariance before any scaling, ``[n_free, n_free]``; NaN for those left out. Of many
        parameters, only the lower triangle of the pairs of one source or with common pixels.
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
    component_of : ndarray of int
        The connected component of each free scalar, -1 for one that was held, ``[n_free]``.
        Empty where it was not recorded.
    component_status, source_status : tuple of str
        How each connected component and each source, skies included, ended.
    chi2_tiles, n_pixels_tiles : ndarray
        Chi-squared and number of the pixels that belong to each of the slots' components; every
        usable pixel belongs to one.
    column_solver : callable or None
        Computes columns of the covariance that are not stored. It holds on to the compiled
        scene, and does not survive pickling or writing.
    backend : str
        What it was computed on: "cpu", or the device's name as it was asked for, "cuda" or
        "cuda:1" and so on.
    precision : str
        What derivatives were computed in, "float64" or "mixed".
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
    raw_covariance: FloatArray | sparse.csc_array | None
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
    component_of: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    component_status: tuple[str, ...] = ()
    source_status: tuple[str, ...] = ()
    chi2_tiles: FloatArray = field(default_factory=lambda: np.zeros(0))
    n_pixels_tiles: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    column_solver: ColumnSolver | None = None
    backend: str = "cpu"
    precision: str = "float64"

    def __post_init__(self) -> None:
        n = len(self.parameters)
        for name in ("values", "initial", "at_bound", "degenerate"):
            array = _read_only(np.asarray(getattr(self, name)))
            if array.shape != (n,):
                raise invalid(name, array, f"an array of shape ({n},)")
            object.__setattr__(self, name, array)
        for name in ("chi2_images", "n_pixels_images"):
            object.__setattr__(self, name, _read_only(np.asarray(getattr(self, name))))
        n_tiles = len(self.slots.components)
        for name, size in (
            ("component_of", n), ("chi2_tiles", n_tiles), ("n_pixels_tiles", n_tiles),
        ):  # fmt: skip
            array = _read_only(np.asarray(getattr(self, name)))
            if array.shape not in {(0,), (size,)}:
                raise invalid(name, array, f"an array of shape ({size},), or empty")
            object.__setattr__(self, name, array)
        if self.raw_covariance is None:
            return
        covariance: Any = self.raw_covariance
        if covariance.shape != (n, n):
            raise invalid("raw_covariance", covariance, f"an array of shape ({n}, {n})")
        if sparse.issparse(covariance):
            covariance = lower_triangle(covariance)
            for part in (covariance.data, covariance.indices, covariance.indptr):
                part.setflags(write=False)
        else:
            covariance = _read_only(np.asarray(covariance, dtype=np.float64))
        object.__setattr__(self, "raw_covariance", covariance)

    # ---- quality ------------------------------------------------------------------------

    @property
    def success(self) -> bool:
        """True if a convergence test was met, or nothing was left to fit."""
        return succeeded(self.status)

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
    def known_covariance(self) -> Covariance | None:
        """What is known of the covariance, scaled; None where it was not computed."""
        if self.raw_covariance is None:
            return None
        return Covariance(
            self.raw_covariance, scale=self.covariance_scale, columns=self.column_solver
        )

    @cached_property
    def covariance(self) -> FloatArray | sparse.csr_array | None:
        """Covariance of the free parameters in natural units, full across images.

        Rows of parameters at a bound or not constrained by the data are NaN. None where it was
        not computed. Of more parameters than the option ``covariance_max_size`` it is a sparse
        symmetric matrix that holds every pair of one source and every pair with common pixels;
        other pairs are not zero but unknown, and `covariance_of` computes them.
        """
        known = self.known_covariance
        return None if known is None else known.symmetric

    def covariance_of(self, items: str | Iterable[str]) -> FloatArray:
        """Covariance of any parameters, dense, scaled like `covariance`.

        Parameters
        ----------
        items : str or iterable of str
            Parameters, by name; or sources, which stand for all free parameters that they
            depend on, as `parameters_of` lists them.

        Returns
        -------
        ndarray
            ``[k, k]``, in the order asked for; NaN rows for parameters without an error.

        Raises
        ------
        InvalidInput
            If a name is unknown; or if a pair was not stored, and the result was pickled or read
            from a file, so that it cannot be computed any more.

        Examples
        --------
        >>> block = result.covariance_of(["galaxy 1", "galaxy 2/Re"])  # doctest: +SKIP
        """
        return access.covariance_of(self, items)

    def parameters_of(self, items: str | Iterable[str]) -> tuple[str, ...]:
        """Full names of the parameters that `covariance_of` has a row for.

        Parameters
        ----------
        items : str or iterable of str
            As for `covariance_of`.

        Returns
        -------
        tuple of str
            One name a row.
        """
        return tuple(self.parameters[i].full_name for i in access.numbers_of(self, items))

    @cached_property
    def errors(self) -> FloatArray:
        """Standard errors of the free parameters, NaN where there is none."""
        if self.known_covariance is None:
            return _read_only(np.full(self.n_free, np.nan))
        return _read_only(np.sqrt(self.known_covariance.diagonal))

    @cached_property
    def correlation(self) -> FloatArray | sparse.csr_array | None:
        """Correlation matrix of the free parameters; sparse where `covariance` is."""
        covariance: Any = self.covariance
        if covariance is None:
            return None
        if not sparse.issparse(covariance):
            return _read_only(covariance / np.outer(self.errors, self.errors))
        out = covariance.tocoo()
        out.data = out.data / (self.errors[out.row] * self.errors[out.col])
        return out.tocsr()

    @cached_property
    def global_flags(self) -> int:
        """Flag bits that concern the whole fit."""
        return status_flags(self.status)

    @cached_property
    def parameter_flags(self) -> NDArray[np.int64]:
        """Flag bits of each free parameter, see `jointlight.flags`."""
        if self.component_status:
            # A held parameter belongs to no component, hence the 0 that -1 picks.
            by_component = [*map(status_flags, self.component_status), 0]
            out = np.array(by_component, dtype=np.int64)[self.component_of]
        else:
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
        return source_table(self)

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

        Each source has its own ``status`` (as for fits; or ``"lost"``, ``"no_data"``,
        ``"fixed"``) and ``success``; ``chi2`` and ``n_pixels`` of the pixels that belong to it,
        every pixel to the source nearest in units of its size, and ``reduced_chi2``, the one
        over the other less the source's fitted parameters. ``flags`` holds bits of
        `jointlight.flags`, which `jointlight.flags.decode` turns into words: those of its
        parameters (at a bound, not constrained, no error), of its shape and place
        (``pa_undefined``, ``negative_flux``, ``center_outside``), and of its end
        (``not_converged``, ``interrupted``, ``lost``, ``no_data``).
        """
        return self._sources.copy()

    @property
    def components(self) -> QTable:
        """One row a connected component: component, n_parameters, status, success.

        Sources that share pixels or parameters, directly or through others, are one component;
        each converges by itself. `component_of` has the component of each parameter.
        """
        return tables.component_table(self)

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
        return self.finish(value, gradient, unit=unit)

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
        return photometry.flux(self, image, source)

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
        return photometry.color(self, first, second, source)

    def light_curve(
        self, source: str | int | Model, images: Any = None, *, zeropoint: float | None = None
    ) -> QTable:
        """Flux of one source in each image in the order of time, with the full covariance.

        Parameters
        ----------
        source : str, int or Model
            Name or row in `sources`, or a model of the fit.
        images : str, TargetImage or sequence of these, optional
            Only these; a name may be a pattern: ``"r *"``.
        zeropoint : float, optional
            Bring all fluxes to this zeropoint.

        Returns
        -------
        QTable
            See `jointlight.result.lightcurve.light_curve`; ``meta["covariance"]`` is that of
            the fluxes.
        """
        return lightcurve.light_curve(self, source, images, zeropoint=zeropoint)

    def sed(
        self, source: str | int | Model, images: Any = None, *, zeropoint: float | None = None
    ) -> QTable:
        """Flux of one source in each image in the order of wavelength; else as `light_curve`.

        Parameters
        ----------
        source, images, zeropoint
            As for `light_curve`.

        Returns
        -------
        QTable
            See `jointlight.result.lightcurve.sed`.
        """
        return lightcurve.sed(self, source, images, zeropoint=zeropoint)

    @cached_property
    def _slot_errors(self) -> FloatArray:
        """Standard error of every slot; NaN where it has none."""
        errors = standard_errors(self.slots.jacobian, self.known_covariance, self.at_bound)
        return np.where(errors > 0, errors, np.nan)

    def finish(
        self,
        value: FloatArray,
        gradient: sparse.csr_array,
        *,
        unit: str = "",
        complete: bool = True,
    ) -> Derived:
        """Give quantities their errors.

        Parameters
        ----------
        value : ndarray
            The quantities.
        gradient : scipy.sparse.csr_array
            Their derivatives with respect to the slots, ``[size, n_slots]``.
        unit : str, optional
            Their unit.
        complete : bool, optional
            Compute covariances that were not stored; otherwise what needs them is NaN.

        Returns
        -------
        Derived
            Value, error and covariance.
        """
        rows = (gradient @ self.slots.jacobian).tocsr()
        known = self.known_covariance
        if known is None:
            covariance = np.full((rows.shape[0],) * 2, np.nan)
        else:
            try:
                covariance = known.propagate(rows, self.at_bound, complete=complete)
            except UnknownPair as unknown:
                raise access.unknown_pair(self, unknown) from None
        lost = ~np.isfinite(value.ravel()) | only_at_bound(rows, self.at_bound)
        covariance[lost, :] = np.nan
        covariance[:, lost] = np.nan
        error = np.sqrt(np.maximum(np.diag(covariance), 0.0)).reshape(value.shape)
        return Derived(value=value, error=error, covariance=covariance, unit=unit)

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
        # Tables are made again on demand; a compiled scene cannot be pickled.
        made_again = {"_table", "_sources", "_slot_errors", "known_covariance", "covariance"}
        state = {k: v for k, v in self.__dict__.items() if k not in made_again}
        return state | {"column_solver": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        covariance: Any = self.raw_covariance
        parts = [covariance]
        if sparse.issparse(covariance):
            parts = [covariance.data, covariance.indices, covariance.indptr]
        for array in (*state.values(), *parts):  # pickles forget that arrays are read-only
            if isinstance(array, np.ndarray):
                array.setflags(write=False)
