# SPDX-License-Identifier: BSD-3-Clause
"""What an image's WCS and zeropoint may be wrong by, as parameters."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from jointlight.errors import InvalidInput, did_you_mean, invalid
from jointlight.parameters import Domain, LinearTie, Normal, Parameter, dependency_order

_POSITIVE = Domain(0.0, np.inf, low_open=True)


class _Spec(NamedTuple):
    unit: str
    shape: tuple[int, ...]
    neutral: float
    domain: Domain
    description: str


_SPECS = {
    "shift": _Spec("arcsec", (2,), 0.0, Domain(), "offset of the WCS, East and North"),
    "rotation": _Spec("deg", (), 0.0, Domain(), "turn of the WCS, North to East"),
    "scale": _Spec("", (), 1.0, _POSITIVE, "stretch of the WCS"),
    "flux_scale": _Spec("", (), 1.0, _POSITIVE, "measured flux / true flux"),
}


class CalibrationParameter(Parameter):
    """A parameter that always has a value: unset, it is neutral."""

    @property
    def value(self) -> Any:
        """Value in `unit`; assigning None makes it neutral."""
        return Parameter.value.fget(self)  # type: ignore[attr-defined]

    @value.setter
    def value(self, value: Any) -> None:
        if value is None and self._tie is None:
            value = np.full(self.shape, _SPECS[self.name].neutral)
        Parameter.value.fset(self, value)  # type: ignore[attr-defined]


class Calibration(Mapping[str, Parameter]):
    """Corrections to an image's WCS and zeropoint, fixed at none until freed.

    A source at plane position ``c`` is found where the image's WCS has
    ``pivot + scale R(rotation) (c - pivot) + shift``; the pivot is the middle of the image and a
    positive rotation turns North to East, so that position angles grow. Galaxies are turned and
    stretched with it at their total flux. All light but the sky is multiplied by ``flux_scale``.

    Parameters
    ----------
    image_name : str
        Name of the image, for labels.
    given : mapping, optional
        A value each, or a dict of value, limits, fixed, prior; naming any of the latter three
        does not free a parameter, ``fixed=False`` does.

    Notes
    -----
    The parameters belong to the image and are shared by all models on it. What the image itself
    says of positions, such as ``plane_to_pixel``, stays as the WCS has it, and so do windows.
    """

    def __init__(self, image_name: str, given: Mapping[str, Any] | None = None) -> None:
        self._parameters: dict[str, Parameter] = {}
        for name, spec in _SPECS.items():
            parameter = CalibrationParameter(
                name,
                np.full(spec.shape, spec.neutral),
                unit=spec.unit,
                shape=spec.shape,
                domain=spec.domain,
                fixed=True,
                description=spec.description,
            )
            parameter.owner = f"image {image_name}"
            self._parameters[name] = parameter
        if given is None:
            return
        if not isinstance(given, Mapping):
            raise invalid("calibration", given, f"a dict with keys from {', '.join(_SPECS)}")
        for name, settings in given.items():
            self[name].configure(settings)

    def __getitem__(self, key: str) -> Parameter:
        try:
            return self._parameters[key]
        except KeyError:
            raise InvalidInput(
                f"calibration has no parameter {key!r}{did_you_mean(key, _SPECS)}"
            ) from None

    def __setitem__(self, key: str, value: Any) -> None:
        raise InvalidInput(f"write calibration[{key!r}].value = ...")

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)

    def free(self, *names: str, prior: Any = None) -> None:
        """Let parameters be fitted.

        Parameters
        ----------
        *names : str
            Of ``"shift"``, ``"rotation"``, ``"scale"``, ``"flux_scale"``.
        prior : Normal, optional
            Prior of each of them; None keeps the one they have.
        """
        if not names:
            raise invalid("names", names, f"at least one of {', '.join(_SPECS)}")
        chosen = [self[name] for name in names]
        for parameter in chosen:
            if parameter.is_tied:
                raise InvalidInput(f"{parameter.label} is tied ({parameter.state()}); untie it")
        for parameter in chosen:
            if prior is not None:
                parameter.prior = prior
            parameter.fixed = False

    @property
    def in_use(self) -> bool:
        """Whether any of them is free, tied or not neutral."""
        return any(
            p.is_tied or not p.fixed or bool(np.any(p.array != _SPECS[p.name].neutral))
            for p in self._parameters.values()
        )

    @property
    def settings(self) -> dict[str, dict[str, Any]]:
        """What makes an equal calibration, ties left out; see `tie_like`."""
        return {
            name: {
                "limits": p.limits,
                "value": p.value,
                "prior": p.prior,
                "fixed": p.fixed,
            }
            for name, p in self._parameters.items()
            if not p.is_tied
        }

    def tie_like(self, other: Calibration) -> None:
        """Take over the ties of another image's calibration, to the same parameters."""
        for name, p in other.items():
            tie = p.current_tie
            if isinstance(tie, LinearTie):
                self[name].tie_linear(tie.inputs, scales=tie.scales, offset=tie.offset)
            elif tie is not None:
                self[name].tie(tie.function, tie.inputs, jacobian=tie.jacobian)  # type: ignore[attr-defined]

    def moved(self, by: tuple[float, float]) -> dict[str, dict[str, Any]]:
        """Settings of the same map about a pivot that is `by` (arcsec) farther East and North."""
        settings = self.settings
        shift = self["shift"]
        angle = np.radians(float(self["rotation"]))
        c, s = np.cos(angle), np.sin(angle)
        # North to East: the axis that points North gains an Eastern part.
        bend = float(self["scale"]) * np.array([[c, s], [-s, c]]) - np.eye(2)
        offset = bend @ np.asarray(by)
        if "shift" in settings and np.any(bend != 0.0):
            settings["shift"]["value"] = np.asarray(shift.value) + offset
            settings["shift"]["limits"] = tuple(end + offset for end in shift.bounds)
            if shift.prior is not None:
                sigma = np.broadcast_to(shift.prior.sigma, (2,))
                mean = np.broadcast_to(shift.prior.mean, (2,)) + offset
                settings["shift"]["prior"] = Normal(tuple(mean), tuple(sigma))
        return settings

    def relabel(self, image_name: str) -> None:
        """Tell the parameters the image's name, for messages and paths."""
        for p in self._parameters.values():
            p.owner = f"image {image_name}"

    def __repr__(self) -> str:
        return "\n".join(_line(name, p) for name, p in self.items())

    def __deepcopy__(self, memo: dict[int, Any]) -> Calibration:
        twin = type(self).__new__(type(self))
        memo[id(self)] = twin
        twin._parameters = copy.deepcopy(self._parameters, memo)
        return twin


def _line(name: str, p: Parameter) -> str:
    array = np.ravel(p.value)
    errors = [None] * array.size if p.uncertainty is None else np.ravel(p.uncertainty)
    parts = [
        f"{value:.6g}" if error is None else f"{value:.6g} ± {error:.2g}"
        for value, error in zip(array, errors, strict=True)
    ]
    shown = parts[0] if p.shape == () else f"({', '.join(parts)})"
    return f"{name} = {shown} {p.unit}".rstrip() + f", {p.state()}"


def calibrations_in_use(images: Iterable[Any]) -> dict[int, Calibration]:
    """Calibrations that matter among some images, by ``id(image)``, in their order.

    One that is neutral itself counts where that of another image is tied to it.
    """
    listed = {id(image): image.calibration for image in images}
    used = {key for key, calibration in listed.items() if calibration.in_use}
    if not used:
        return {}
    followed = {
        id(p)
        for p in dependency_order(p for key in used for p in listed[key].values() if p.is_tied)
    }
    return {
        key: calibration
        for key, calibration in listed.items()
        if key in used or any(id(p) in followed for p in calibration.values())
    }
