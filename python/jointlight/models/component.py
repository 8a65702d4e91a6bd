# SPDX-License-Identifier: BSD-3-Clause
"""A single component on a single image: the leaf of every model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from jointlight.errors import InvalidInput, did_you_mean, invalid
from jointlight.image import TargetImage, Window
from jointlight.psf import PSF, as_psf

from .base import Model
from .display import ParameterView
from .spec import AXIS_RATIO, CENTER, FLUX, POSITION_ANGLE, ParameterSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from jointlight.parameters import Parameter


class Component(Model):
    """One profile on one image.

    Parameters
    ----------
    target : TargetImage
    name : str, optional
    window : ((x0, x1), (y0, y1)) or slices, optional
        Half-open pixel ranges within which it is drawn and fitted; default the image's window.
    psf : PSF or array, optional
        In place of the image's.
    psf_convolve : bool, optional
        False draws it without PSF.
    psf_mode : {"full", "none"}, optional
        Another spelling of `psf_convolve`.
    amplitude : {"brightness", "flux"}, optional
        Which amplitude is the parameter, where the profile offers both.
    parameters : mapping, optional
        The same as `values`, for names that come from data.
    **values
        A parameter each: a value, a dict of value, limits, fixed, prior, or another model's
        parameter to be tied to.
    """

    profile: ClassVar[str]
    """Name in the core."""
    is_sky: ClassVar[bool] = False
    needs_psf: ClassVar[bool] = False
    amplitude_spec: ClassVar[ParameterSpec]
    """The amplitude that is the parameter by default."""
    has_flux: ClassVar[bool] = False
    """Whether the total flux may be the amplitude instead."""

    def __init__(
        self,
        *,
        target: TargetImage,
        name: str | None = None,
        window: Any = None,
        psf: Any = None,
        psf_convolve: bool = True,
        psf_mode: str | None = None,
        amplitude: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        **values: Any,
    ) -> None:
        self._set_name(name)
        if not isinstance(target, TargetImage):
            raise invalid(
                f"target of {self.name!r}",
                target,
                "a TargetImage",
                "for several images use jointlight.joint(...) or one model each in a group",
            )
        self._target: TargetImage = target
        self._window = None if window is None else self._parse_window(window)
        self._psf_override = None if psf is None else as_psf(psf, f"psf of {self.name!r}")
        self._psf_convolve = _parse_psf_mode(psf_convolve, psf_mode)
        self._amplitude = self._parse_amplitude(amplitude)
        self._parameters = {spec.name: spec.make(target) for spec in self.specs(self.amplitude)}
        self._relabel()
        if "center" in self._parameters:
            self._parameters["center"].follow_plane_of(target)
        if self.needs_psf and not self.has_psf:
            raise InvalidInput(
                f"{self.name!r} is a {self.model_type} and has no extent of its own, but "
                + (
                    "psf_convolve is off"
                    if not self._psf_convolve
                    else f"image {target.name!r} has no PSF; give psf="
                )
            )
        self._configure(parameters, values)

    # --- declaration ----------------------------------------------------------------------

    @classmethod
    def structure_specs(cls) -> tuple[ParameterSpec, ...]:
        """Parameters before the amplitude, in the core's order of slots."""
        return ()

    @classmethod
    def specs(cls, amplitude: str = "brightness") -> tuple[ParameterSpec, ...]:
        """All parameters in the core's order of slots, the amplitude last."""
        use_flux = amplitude == "flux" and cls.has_flux
        return (*cls.structure_specs(), FLUX if use_flux else cls.amplitude_spec)

    # --- what it is -----------------------------------------------------------------------

    @property
    def target(self) -> TargetImage:
        """The image it is a model of."""
        return self._target

    @property
    def window(self) -> Window:
        """Where it is drawn and fitted, ``((x0, x1), (y0, y1))``."""
        return self._target.window if self._window is None else self._window

    @window.setter
    def window(self, window: Any) -> None:
        self._window = None if window is None else self._parse_window(window)

    @property
    def has_window(self) -> bool:
        """Whether it has a window of its own."""
        return self._window is not None

    @property
    def psf_convolve(self) -> bool:
        """Whether it is drawn through a PSF if there is one."""
        return self._psf_convolve

    @psf_convolve.setter
    def psf_convolve(self, psf_convolve: bool) -> None:
        self._psf_convolve = _parse_psf_mode(psf_convolve, None)

    @property
    def has_psf(self) -> bool:
        """Whether it is drawn through a PSF."""
        if not self._psf_convolve or self.is_sky:
            return False
        return self._psf_override is not None or self._target.psf is not None

    def psf_at(self, x: float, y: float) -> PSF | None:
        """Return the PSF it is drawn through when centred on a pixel; None without."""
        if not self.has_psf:
            return None
        return self._target.psf_at(x, y) if self._psf_override is None else self._psf_override

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """All parameters by name, tied and fixed ones included."""
        return ParameterView(self._parameters)

    @property
    def amplitude(self) -> str:
        """``"brightness"`` or ``"flux"``: which amplitude is the parameter."""
        return self._amplitude

    @property
    def amplitude_name(self) -> str:
        """Name of the amplitude parameter."""
        use_flux = self.amplitude == "flux" and self.has_flux
        return FLUX.name if use_flux else self.amplitude_spec.name

    def leaves(self) -> tuple[Component, ...]:
        """The component itself."""
        return (self,)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Its parameters."""
        yield from self._parameters.items()

    def __getitem__(self, key: str) -> Parameter:
        """Parameter by name."""
        if key in self._parameters:
            return self._parameters[key]
        of_image = self._image_parameter(key)
        if of_image is None:
            raise InvalidInput(self._no_parameter(key))
        return of_image

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __contains__(self, key: object) -> bool:
        return key in self._parameters

    # --- ties -----------------------------------------------------------------------------

    def tie(
        self,
        other: Model,
        *,
        only: Iterable[str] | None = None,
        except_: Iterable[str] = (),
    ) -> None:
        """Tie every parameter to the one of the same name in another component.

        Parameters
        ----------
        other : Component or joint model
        only : iterable of str, optional
            Just these.
        except_ : iterable of str, optional
            All but these, e.g. ``["Ie"]``. Names the other model lacks are left alone.
        """
        left_out = [except_] if isinstance(except_, str) else list(except_)
        chosen = None if only is None else ([only] if isinstance(only, str) else list(only))
        for name in [*left_out, *(chosen or [])]:
            self[name]
        if not hasattr(other, "shared_parameters") and not isinstance(other, Component):
            raise invalid(
                "other", other, "a single component or a joint model", "tie the members one by one"
            )
        theirs = other.parameters if isinstance(other, Component) else other.shared_parameters
        for name, parameter in self._parameters.items():
            if name in left_out or (chosen is not None and name not in chosen):
                continue
            if name in theirs:
                parameter.tie(theirs[name])
            elif chosen is not None:
                raise InvalidInput(
                    f"{other.name!r} has no parameter {name!r}{did_you_mean(name, theirs)}"
                )

    # --- details --------------------------------------------------------------------------

    def _configure(self, parameters: Mapping[str, Any] | None, values: dict[str, Any]) -> None:
        given = {} if parameters is None else dict(parameters)
        for name in values:
            if name in given:
                raise InvalidInput(
                    f"{self.name!r}: parameter {name!r} is given both in parameters= and by itself"
                )
        for name, value in {**given, **values}.items():
            if name not in self._parameters:
                raise InvalidInput(self._no_parameter(name))
            if value is not None:
                self._parameters[name].configure(value)

    def _no_parameter(self, name: object) -> str:
        hint = did_you_mean(name, self._parameters)
        if name == "flux" and self.has_flux:
            hint = ". Make the model with amplitude='flux' to have the flux as its amplitude"
        elif self.amplitude == "flux" and name == self.amplitude_spec.name:
            hint = ". The model was made with amplitude='flux'"
        return f"{self.model_type} {self.name!r} has no parameter or option {name!r}{hint}"

    def _parse_amplitude(self, amplitude: object) -> str:
        own = self.amplitude_spec.name
        if amplitude is None or amplitude == own:
            return "flux" if own == "flux" else "brightness"
        if amplitude == "brightness" and own != "flux":
            return "brightness"
        if amplitude == "flux" and (self.has_flux or own == "flux"):
            return "flux"
        allowed = [own] if own == "flux" else ["brightness", own]
        allowed += ["flux"] if self.has_flux else []
        raise InvalidInput(
            f"amplitude of {self.name!r}, a {self.model_type}, cannot be {amplitude!r}"
            f"{did_you_mean(amplitude, allowed)}",
            argument="amplitude",
        )

    def _parse_window(self, window: Any) -> Window:
        try:
            return self._target.parse_window(window)
        except InvalidInput as error:
            raise InvalidInput(
                f"model {self.name!r} on image {self._target.name!r}: {error}", argument="window"
            ) from None

    def _own_names(self) -> tuple[str, ...]:
        return tuple(self.__dict__.get("_parameters", ()))

    def _relabel(self) -> None:
        for parameter in self._parameters.values():
            parameter.owner = self._name

    def __repr__(self) -> str:
        names = ", ".join(self._parameters)
        return f"<{type(self).__name__} {self.name!r} on image {self._target.name!r}: {names}>"


class RadialProfile(Component):
    """An elliptical component whose brightness depends on the elliptical radius alone.

    A subclass gives ``profile``, ``type_names``, ``scale_spec``, ``shape_specs`` and
    ``amplitude_spec``; their names and ranges must be those of the core's profile.
    """

    scale_spec: ClassVar[ParameterSpec]
    """Length along the major axis."""
    shape_specs: ClassVar[tuple[ParameterSpec, ...]] = ()
    has_flux = True

    @classmethod
    def structure_specs(cls) -> tuple[ParameterSpec, ...]:
        """Centre, axis ratio, position angle, scale, shape."""
        return (CENTER, AXIS_RATIO, POSITION_ANGLE, cls.scale_spec, *cls.shape_specs)


def _parse_psf_mode(psf_convolve: object, psf_mode: object) -> bool:
    if not isinstance(psf_convolve, (bool, np.bool_)):
        raise invalid("psf_convolve", psf_convolve, "True or False")
    if psf_mode is None:
        return bool(psf_convolve)
    if psf_mode not in ("full", "none"):
        raise invalid("psf_mode", psf_mode, "'full' or 'none'")
    return psf_mode == "full"
