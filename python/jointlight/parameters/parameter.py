# SPDX-License-Identifier: BSD-3-Clause
"""One parameter: value, unit, limits, prior, fixed or free, and its tie to others."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord

from jointlight.errors import InvalidInput, did_you_mean

from .ties import (
    FunctionTie,
    LinearTie,
    Tie,
    dependency_order,
    evaluate_all,
    refuse_loop,
    resolve_affine,
)
from .values import (
    EVERYWHERE,
    Domain,
    FloatArray,
    Normal,
    finite_array,
    limit_arrays,
    open_as_none,
    plain,
    strip_unit,
    wrap_into,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


_SETTINGS = ("value", "limits", "fixed", "prior", "uncertainty")


class Parameter:
    """One quantity of a model: a number, or a vector such as ``center``.

    Parameters
    ----------
    name : str
    value : float, array, Quantity, SkyCoord, Parameter or None, optional
        None leaves it to `initialize`. A `Parameter` ties this one to it. A SkyCoord is taken
        by ``center`` only and follows its image's tangent plane.
    unit : str or `~astropy.units.UnitBase`, optional
    limits : (low, high), optional
        None for an open end. In the parameter's unit; both ends belong to the range.
    fixed : bool, optional
        Held at its value during a fit.
    prior : `Normal`, optional
    shape : tuple of int, optional
        ``()`` or ``(2,)``.
    domain : `Domain`, optional
        Where the parameter is defined; limits may not reach outside.
    period : float, optional
        Period of a cyclic parameter (PA: 180 deg).
    description : str, optional

    Attributes
    ----------
    owner : str
        Name of the model the parameter belongs to, used in messages.
    """

    _plain_attributes = frozenset(
        {"name", "owner", "unit", "shape", "domain", "period", "description"}
    )

    def __setattr__(self, attribute: str, value: Any) -> None:
        # A misspelt setting would otherwise do nothing, silently.
        if not attribute.startswith("_") and attribute not in self._plain_attributes:
            declared = getattr(type(self), attribute, None)
            if not hasattr(declared, "__set__"):
                raise InvalidInput(self._no_setting(attribute, callable(declared)))
        super().__setattr__(attribute, value)

    def _no_setting(self, attribute: str, is_method: bool) -> str:
        where = self.__dict__.get("name", "")
        where = self.label if where and "owner" in self.__dict__ else type(self).__name__
        if is_method:
            return f"{where}.{attribute} is a method: call it, .{attribute}(...)"
        if attribute in ("vary", "free"):
            return f"{where} has no setting {attribute!r}; use .fixed = True to hold it"
        hint = did_you_mean(attribute, _SETTINGS)
        return f"{where} has no setting {attribute!r}{hint}"

    def __init__(
        self,
        name: str,
        value: Any = None,
        *,
        unit: Any = None,
        limits: tuple[Any, Any] | None = None,
        fixed: bool = False,
        prior: Normal | None = None,
        shape: tuple[int, ...] = (),
        domain: Domain = EVERYWHERE,
        period: float | None = None,
        description: str = "",
    ) -> None:
        self.name = name
        self.owner = ""
        self.unit: u.UnitBase = u.dimensionless_unscaled if unit is None else u.Unit(unit)
        self.shape = tuple(shape)
        self.domain = domain
        self.period = period
        self.description = description
        self._frame: Any = None  # the image whose tangent plane a SkyCoord is projected on
        self._sky: SkyCoord | None = None
        self._sky_reference: Any = None
        self._value: FloatArray | None = None
        self._tie: Tie | None = None
        self._fixed = False
        self._prior: Normal | None = None
        self._uncertainty: FloatArray | None = None
        self._low = np.full(self.shape, domain.low)
        self._high = np.full(self.shape, domain.high)
        if limits is not None:
            self.limits = limits
        self.value = value
        self.prior = prior
        self.fixed = fixed

    # --- identity -------------------------------------------------------------------------

    @property
    def label(self) -> str:
        """Name with its owner's in front: ``"r band.Re"``."""
        return f"{self.owner}.{self.name}" if self.owner else self.name

    @property
    def size(self) -> int:
        """Number of components."""
        return math.prod(self.shape)

    @property
    def component_names(self) -> tuple[str, ...]:
        """``("Re",)``, or ``("center_x", "center_y")`` for a vector."""
        if self.shape == ():
            return (self.name,)
        suffixes = "xy" if self.size == 2 else [str(k) for k in range(self.size)]
        return tuple(f"{self.name}_{suffix}" for suffix in suffixes)

    # --- value ----------------------------------------------------------------------------

    @property
    def value(self) -> Any:
        """Value in `unit`: float, read-only array for a vector, None while unset.

        Assigning a `Parameter` ties to it. Assigning None unsets.
        """
        array = self.array
        return None if array is None else plain(array)

    @value.setter
    def value(self, value: Any) -> None:
        if isinstance(value, Parameter):
            self.tie(value)
            return
        if callable(value):
            raise InvalidInput(
                f"{self.label}: to follow a function use .tie(function, [inputs]), "
                "which names the parameters it reads"
            )
        if self._tie is not None:
            raise InvalidInput(
                f"{self.label} is tied to {self._tie.describe()} and takes its value from there; "
                "call .untie() before setting it"
            )
        self._uncertainty = None
        self._sky = None
        if value is None:
            self._value = None
            return
        if isinstance(value, SkyCoord):
            self._set_sky(value)
            return
        self._value = self._inside(self._convert(value, "value"))
        self._note_plane()

    @property
    def array(self) -> FloatArray | None:
        """Value as a float64 array of `shape`, ties followed; None while unset."""
        if self._tie is None:
            return self.stored
        return evaluate_all(dependency_order([self]))[self]

    @property
    def stored(self) -> FloatArray | None:
        """The parameter's own value, ties not followed."""
        if self._sky is not None and self._frame is not None:
            reference = getattr(self._frame, "reference", None)
            if reference is not self._sky_reference or self._value is None:
                self._project_sky()
        return self._value

    @property
    def quantity(self) -> u.Quantity | None:
        """Value with its unit, None while unset."""
        array = self.array
        return None if array is None else u.Quantity(array, self.unit)

    @property
    def uncertainty(self) -> Any:
        """Standard error from the last fit (float or array), None where there is none."""
        return None if self._uncertainty is None else plain(self._uncertainty)

    @uncertainty.setter
    def uncertainty(self, value: Any) -> None:
        if value is None:
            self._uncertainty = None
            return
        array = np.asarray(
            strip_unit(value, self.unit, f"{self.label}.uncertainty"), dtype=np.float64
        )
        if array.size not in (1, self.size):
            raise InvalidInput(
                f"{self.label}.uncertainty has shape {array.shape}; expected {self.shape}"
            )
        self._uncertainty = np.broadcast_to(array.reshape(-1), (self.size,)).reshape(self.shape)

    def follow_plane_of(self, image: Any) -> None:
        """Let a SkyCoord be projected on this image's tangent plane."""
        self._frame = image

    @property
    def is_plane_position(self) -> bool:
        """True where a position is held as numbers in the tangent plane."""
        return self._tie is None and self._sky is None and self._value is not None

    def propose(self, value: Any) -> bool:
        """Give a start value where none is set yet; True where something was set.

        A value outside the limits is moved to the nearest allowed one. For a linear tie the
        first unset parameter at its root is solved for and the other unset ones become 0, but
        for a weighted mean of parameters of its name all become equal; what a function tie
        reads cannot be guessed and stays unset.
        """
        if self.array is not None:
            return False
        wanted = np.broadcast_to(np.asarray(value, dtype=np.float64), self.shape)
        if not np.all(np.isfinite(wanted)):
            raise InvalidInput(f"{self.label}: proposed start {value!r} is not finite")
        if self._tie is None:
            self._value = self.nearest_allowed(wanted)
            self._note_plane()
            return True
        affine = resolve_affine(dependency_order([self]))[self]
        unset = [root for root in affine.terms if root.array is None]
        if any(root.is_tied for root in unset):
            return False
        rest = affine.offset.copy()
        for root, scale in affine.terms.items():
            held = root.array
            if held is not None:
                rest = rest + scale * held
        if affine.is_mean_of_its_like(self):
            # A weighted mean of its like, as in a polynomial: solving for one would overshoot.
            proposed = [root.propose(wanted) for root in unset]
            return any(proposed)
        done = False
        for root in unset:
            scale = affine.terms[root]
            solve = not done and root.shape == self.shape and bool(np.all(scale != 0.0))
            root.propose((wanted - rest) / scale if solve else np.zeros(root.shape))
            done = done or solve
        return True

    def nearest_allowed(self, value: ArrayLike) -> FloatArray:
        """`value` moved inside limits and domain (a cyclic one by whole periods first)."""
        array = self._wrap(np.array(value, dtype=np.float64).reshape(self.shape))
        array = np.clip(array, self._low, self._high)
        if self.domain.low_open:
            # The open end itself is not allowed: stay a little above it.
            span = np.where(np.isfinite(self._high), self._high - self.domain.low, 1.0)
            array = np.where(array > self.domain.low, array, self.domain.low + 1e-3 * span)
        return array

    # --- limits, prior, fixed -------------------------------------------------------------

    @property
    def limits(self) -> tuple[Any, Any]:
        """(low, high), None for an open end."""
        return (open_as_none(self._low, -np.inf), open_as_none(self._high, np.inf))

    @limits.setter
    def limits(self, limits: tuple[Any, Any] | None) -> None:
        if limits is None:
            self._low = np.full(self.shape, self.domain.low)
            self._high = np.full(self.shape, self.domain.high)
            return
        low_array, high_array = limit_arrays(
            limits, self.shape, self.unit, self.domain, f"{self.label}.limits"
        )
        value = self.stored
        if value is not None and self._tie is None:
            wrapped = wrap_into(value, low_array, high_array, self.period)
            if np.any(wrapped < low_array) or np.any(wrapped > high_array):
                raise InvalidInput(
                    f"{self.label}.limits = {limits!r} exclude its value {plain(value)}; "
                    "set the value first"
                )
            if self._sky is None:
                self._value = wrapped
        self._low, self._high = low_array, high_array

    @property
    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """Limits as arrays of `shape`, +-inf for open ends."""
        return self._low.copy(), self._high.copy()

    @property
    def prior(self) -> Normal | None:
        """Gaussian prior, or None."""
        return self._prior

    @prior.setter
    def prior(self, prior: Normal | None) -> None:
        if prior is not None:
            if not isinstance(prior, Normal):
                raise InvalidInput(
                    f"{self.label}.prior = {prior!r}: expected jl.Normal(mean, sigma) or None"
                )
            prior.check_size(self.size, f"{self.label}.prior")
            prior = prior.in_unit(self.unit, f"{self.label}.prior")
        self._prior = prior

    @property
    def fixed(self) -> bool:
        """Held at its value during a fit."""
        return self._fixed

    @fixed.setter
    def fixed(self, fixed: bool) -> None:
        if not isinstance(fixed, (bool, np.bool_)):
            raise InvalidInput(f"{self.label}.fixed = {fixed!r} must be True or False")
        if fixed and self._tie is not None:
            raise InvalidInput(
                f"{self.label} is tied to {self._tie.describe()}: call .untie() first "
                "(it keeps its value), or fix the parameter it is tied to"
            )
        self._fixed = bool(fixed)

    @property
    def is_free(self) -> bool:
        """Neither fixed nor tied: a number that a fit may move."""
        return not self._fixed and self._tie is None

    # --- ties -----------------------------------------------------------------------------

    @property
    def is_tied(self) -> bool:
        """True where the value follows from other parameters."""
        return self._tie is not None

    @property
    def current_tie(self) -> Tie | None:
        """The tie, None where there is none."""
        return self._tie

    def tie(
        self,
        other: Parameter | Callable[..., Any],
        inputs: Sequence[Parameter] | None = None,
        *,
        scale: ArrayLike = 1.0,
        offset: ArrayLike = 0.0,
        jacobian: Callable[..., Any] | None = None,
    ) -> None:
        """Let this parameter follow others.

        Parameters
        ----------
        other : Parameter or callable
            A parameter: ``value = scale * other + offset``, on the numbers in each parameter's
            own unit. A callable: ``value = other(*inputs)``; it gets floats for scalar
            parameters and arrays for vectors.
        inputs : sequence of Parameter, optional
            What a callable reads.
        scale, offset : float or array, optional
            One number, or one a component.
        jacobian : callable, optional
            Same arguments; returns d value / d inputs, shape [components of this parameter,
            components of all inputs], or a list with one entry an input. Central differences
            where it is not given.

        Notes
        -----
        A free parameter of a model that is not part of the fit still becomes part of the
        problem when something in the fit is tied to it; fix it to hold it. Lambdas work, but
        only named functions can be pickled.
        """
        if isinstance(other, Parameter):
            if inputs is not None or jacobian is not None:
                raise InvalidInput(f"{self.label}: inputs and jacobian go with a function only")
            self.tie_linear([other], scales=[scale], offset=offset)
        elif callable(other):
            self._accept(self._function(other, inputs, scale, offset, jacobian))
        else:
            raise InvalidInput(
                f"{self.label}: cannot tie to {other!r}; expected a Parameter, or a function "
                "with the list of parameters it reads"
            )

    def untie(self) -> None:
        """Set free again, at the value it had."""
        if self._tie is None:
            return
        value = self.array
        self._tie = None
        self._value = None if value is None else self.nearest_allowed(value)

    def tie_linear(
        self,
        inputs: Sequence[Parameter],
        *,
        scales: Sequence[ArrayLike],
        offset: ArrayLike = 0.0,
    ) -> None:
        """Follow several parameters: ``value = sum_k scales[k] * inputs[k] + offset``.

        Parameters
        ----------
        inputs : sequence of Parameter
            Of this parameter's shape, or scalars where it is a vector.
        scales : sequence of float or array
            One for each input: a number, or one a component.
        offset : float or array, optional
            Constant part.
        """
        for other in inputs:
            if other.shape not in (self.shape, ()) or (
                other.shape != self.shape and len(inputs) == 1
            ):
                raise InvalidInput(
                    f"{self.label} of shape {self.shape} cannot be tied to {other.label} "
                    f"of shape {other.shape}; use a function"
                )
        if not inputs or len(inputs) != len(scales):
            raise InvalidInput(
                f"{self.label}: a linear tie needs one scale for each parameter, not "
                f"{len(scales)} for {len(inputs)}"
            )
        numbers = [self._tie_number(scale, "scale") for scale in scales]
        self._accept(LinearTie(inputs, numbers, self._tie_number(offset, "offset")))

    def _function(
        self,
        function: Callable[..., Any],
        inputs: object,
        scale: ArrayLike,
        offset: ArrayLike,
        jacobian: Callable[..., Any] | None,
    ) -> FunctionTie:
        if isinstance(inputs, Parameter):
            inputs = [inputs]
        listed = list(inputs) if isinstance(inputs, (list, tuple)) else []
        if not listed or not all(isinstance(p, Parameter) for p in listed):
            raise InvalidInput(
                f"{self.label}: inputs = {inputs!r} must list the parameters the function reads"
            )
        if np.any(np.asarray(scale) != 1.0) or np.any(np.asarray(offset) != 0.0):
            raise InvalidInput(f"{self.label}: scale and offset belong inside the function")
        if jacobian is not None and not callable(jacobian):
            raise InvalidInput(f"{self.label}: jacobian = {jacobian!r} must be callable or None")
        return FunctionTie(function, listed, jacobian=jacobian, shape=self.shape, label=self.label)

    def _accept(self, tie: Tie) -> None:
        refuse_loop(self, tie)
        self._tie = tie
        self._fixed = False
        self._value = None
        self._sky = None
        self._uncertainty = None

    def _tie_number(self, value: ArrayLike, what: str) -> FloatArray:
        try:
            array = np.asarray(value, dtype=np.float64)
            array = np.array(np.broadcast_to(array, self.shape))
        except (TypeError, ValueError):
            raise InvalidInput(
                f"{self.label}: {what} = {value!r} must be a number or have shape {self.shape}"
            ) from None
        if not np.all(np.isfinite(array)):
            raise InvalidInput(f"{self.label}: {what} = {value!r} must be finite")
        return array

    # --- conversion and checks ------------------------------------------------------------

    def configure(self, given: Any) -> None:
        """Apply a value, or a dict of value, limits, fixed, prior and uncertainty."""
        if not isinstance(given, Mapping):
            self.value = given
            return
        for key in given:
            if key not in _SETTINGS:
                hint = did_you_mean(key, _SETTINGS)
                raise InvalidInput(f"{self.label}: unknown key {key!r}{hint}")
        # Limits last would refuse a value that fits them only; first, they refuse nothing.
        for key in ("limits", "value", "prior", "fixed", "uncertainty"):
            if key in given:
                setattr(self, key, given[key])

    def set_fitted(self, value: FloatArray, uncertainty: FloatArray | None) -> None:
        """Store a fit's outcome, rounding at limits removed."""
        self._sky = None
        # Which turn of a cyclic value to keep depends on what follows it: the caller has chosen.
        array = self._wrap(np.array(value, dtype=np.float64).reshape(self.shape))
        self._value = np.clip(array, self._low, self._high)
        self._note_plane()
        self.uncertainty = uncertainty

    def _note_plane(self) -> None:
        """Tell the image that numbers in its tangent plane are in use."""
        if self._frame is not None:
            self._frame.note_plane_used()

    def _wrap(self, array: FloatArray) -> FloatArray:
        return wrap_into(array, self._low, self._high, self.period)

    def _inside(self, array: FloatArray) -> FloatArray:
        array = self._wrap(array)
        if not self.domain.contains(array):
            raise InvalidInput(
                f"{self.label} = {plain(array)} is outside {self.domain}, "
                f"where {self.name} is defined"
            )
        if np.any(array < self._low) or np.any(array > self._high):
            raise InvalidInput(
                f"{self.label} = {plain(array)} is outside its limits {self.limits}; "
                "change the value or the limits"
            )
        return array

    def _convert(self, value: Any, what: str) -> FloatArray:
        return finite_array(value, self.shape, self.unit, f"{self.label}.{what}")

    def _set_sky(self, value: SkyCoord) -> None:
        if self.shape != (2,) or self._frame is None:
            raise InvalidInput(
                f"{self.label} does not take a SkyCoord; only the center of a model on an "
                "image with a WCS does"
            )
        if not value.isscalar:
            raise InvalidInput(f"{self.label} = {value!r} must be one position")
        self._sky = value
        try:
            self._project_sky()
            if self._value is not None:
                self._inside(self._value)
        except BaseException:
            self._sky, self._value = None, None
            raise

    def _project_sky(self) -> None:
        self._sky_reference = getattr(self._frame, "reference", None)
        x, y = self._frame.world_to_plane(self._sky)
        self._value = self._convert((float(x), float(y)), "value")

    # --- copying and printing -------------------------------------------------------------

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        """Independent copy; images are shared, parameters it is tied to are copied along."""
        twin = type(self).__new__(type(self))
        memo[id(self)] = twin
        if self._frame is not None:
            memo.setdefault(id(self._frame), self._frame)
        if self._sky_reference is not None:
            memo.setdefault(id(self._sky_reference), self._sky_reference)
        for key, value in self.__dict__.items():
            setattr(twin, key, copy.deepcopy(value, memo))
        return twin

    def __float__(self) -> float:
        array = self.array
        if array is None or array.size != 1:
            raise TypeError(f"{self.label} has no single value")
        return float(array)

    def state(self) -> str:
        """``"free"``, ``"fixed"``, or what it is tied to."""
        if self._tie is not None:
            return f"= {self._tie.describe()}"
        return "fixed" if self._fixed else "free"

    def __repr__(self) -> str:
        try:
            value = self.value
        except InvalidInput:
            value = "invalid"
        text = f"{self.label} = {value}"
        if self.uncertainty is not None:
            text += f" ± {self.uncertainty}"
        if str(self.unit):
            text += f" {self.unit}"
        return f"<Parameter {text}, {self.state()}>"
