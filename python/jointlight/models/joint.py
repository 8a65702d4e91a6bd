# SPDX-License-Identifier: BSD-3-Clause
"""One object in several images: shared structure, some parameters one an image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
from astropy.time import Time

from jointlight.errors import InvalidInput, did_you_mean, invalid
from jointlight.image import TargetImage, TargetImageList
from jointlight.parameters import Parameter
from jointlight.psf import PSF

from .base import Model
from .component import Component
from .display import ParameterView
from .group import Group
from .motion import Motion, is_asked_for
from .registry import find_class
from .wavelength import parse_degrees, tie_to_wavelength

_SETTINGS = frozenset({"value", "limits", "fixed", "prior", "uncertainty"})


class PerImage(Mapping[str, Parameter]):
    """A parameter of which there is one an image: ``model["Ie"]["r"]``, or by position.

    ``value`` and ``uncertainty`` are dicts by image; assigning ``value``, ``limits``, ``fixed``
    or ``prior`` sets all, or those named in a dict.

    Parameters
    ----------
    name : str
        Name of the parameter.
    parameters : dict
        The parameters by image name.
    """

    def __init__(self, name: str, parameters: dict[str, Parameter]) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "_parameters", parameters)

    name: str
    _parameters: dict[str, Parameter]

    def __getitem__(self, key: str | int) -> Parameter:
        if isinstance(key, (int, np.integer)):
            return list(self._parameters.values())[int(key)]
        try:
            return self._parameters[key]
        except KeyError:
            raise InvalidInput(
                f"{self.name} has no image {key!r}{did_you_mean(key, self._parameters)}"
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)

    def __getattr__(self, attribute: str) -> Any:
        if attribute not in _SETTINGS:
            raise AttributeError(attribute)
        return {image: getattr(p, attribute) for image, p in self._parameters.items()}

    def __setattr__(self, attribute: str, value: Any) -> None:
        if attribute not in _SETTINGS:
            hint = did_you_mean(attribute, sorted(_SETTINGS))
            if attribute in ("vary", "free"):
                hint = "; use .fixed = True to hold it"
            raise InvalidInput(f"{self.name} has no setting {attribute!r}{hint}")
        if isinstance(value, Mapping):
            for image, one in value.items():
                setattr(self[image], attribute, one)
            return
        for parameter in self._parameters.values():
            setattr(parameter, attribute, value)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, self._parameters)

    def __repr__(self) -> str:
        return repr(ParameterView({f"{k}/{self.name}": p for k, p in self._parameters.items()}))


class Joint(Group):
    """The same component in every image of a list.

    Its members are named after their images. The first one holds the shared parameters, the
    others are tied to it; untie one (``model["W1/n"].untie()``) to let it go its own way.

    Parameters
    ----------
    model_type : str
        Type of the component, e.g. ``"sersic galaxy"``.
    target : TargetImageList
    per_image : sequence of str, optional
        Parameters that every image has for itself; default the amplitude, and all of a sky's.
    name : str, optional
    window, psf : mapping or sequence, optional
        One an image, by image name or in order. A single PSF goes to all.
    amplitude, psf_convolve, psf_mode
        As for `Component`.
    proper_motion, parallax : bool, value or mapping, optional
        True lets the center move with the images' times: ``model["proper_motion"]`` (East,
        North; mas / yr) and ``model["parallax"]`` (mas), from 0. A value or a dict of settings
        is the start instead.
    reference_epoch : Time, float or str, optional
        When ``model["center"]`` holds; default the middle of the images' times.
    wavelength_degree : mapping, optional
        Parameters that are polynomials in the images' wavelength, with their degrees:
        ``{"n": 1, "Re": 2}``. What is fitted are their values in as many images as that takes,
        the bluest and reddest among them; in the others they follow.
    parameters : mapping, optional
        The same as `values`.
    **values
        Values as for `Component`. A parameter in `per_image` also takes a dict by image name or
        a sequence in the order of images.

    Notes
    -----
    ``model["Re"]`` is the shared parameter, ``model["Ie"]["r"]`` one of `per_image`,
    ``model["r"]`` the component on image r and ``model["r/Ie"]`` its parameter.
    """

    # Not a type of its own for the factory: it needs the type of its component.
    def __init__(
        self,
        model_type: str,
        *,
        target: TargetImageList | TargetImage,
        per_image: Iterable[str] | None = None,
        name: str | None = None,
        window: Any = None,
        psf: Any = None,
        amplitude: str | None = None,
        psf_convolve: bool = True,
        psf_mode: str | None = None,
        proper_motion: Any = False,
        parallax: Any = False,
        reference_epoch: Any = None,
        wavelength_degree: Mapping[str, int] | None = None,
        parameters: Mapping[str, Any] | None = None,
        **values: Any,
    ) -> None:
        cls = find_class(model_type)
        if not issubclass(cls, Component):
            raise InvalidInput(
                f"joint: model_type must be a single component, not {model_type!r}; for several "
                "components make a group of joint models",
                argument="model_type",
            )
        self._class: type[Component] = cls
        self._set_name(name)
        if isinstance(target, (list, tuple)):
            target = TargetImageList(target)
        if not isinstance(target, (TargetImage, TargetImageList)):
            raise invalid(f"target of {self.name!r}", target, "a TargetImageList")
        images = (target,) if isinstance(target, TargetImage) else tuple(target)
        windows = _spread(window, images, "window", single=len(images) == 1)
        one_psf = isinstance(psf, PSF) or (isinstance(psf, np.ndarray) and psf.ndim == 2)
        psfs = _spread(psf, images, "psf", single=one_psf or len(images) == 1)
        members = [
            cls(
                target=image,
                name=image.name,
                window=windows.get(image.name),
                psf=psfs.get(image.name),
                amplitude=amplitude,
                psf_convolve=psf_convolve,
                psf_mode=psf_mode,
            )
            for image in images
        ]
        self._per_image = self._parse_per_image(per_image, members[0])
        self._degrees = parse_degrees(self.name, wavelength_degree, members[0])
        own = set(self._per_image)
        self._per_image += tuple(name for name in self._degrees if name not in own)
        super().__init__(members, target=target, name=name)
        for member in members[1:]:
            member.tie(members[0], except_=self._per_image)
        self._extra: dict[str, Parameter] = {}  # shared, and of no component
        self._motion: Motion | None = None
        if is_asked_for(proper_motion) or is_asked_for(parallax):
            self._set_motion(images, proper_motion, parallax, reference_epoch)
        elif reference_epoch is not None:
            raise invalid("reference_epoch", reference_epoch, "left out unless the source moves")
        self._relabel()
        self._configure(parameters, values)
        tie_to_wavelength(self.name, members, self._degrees)

    # --- what it is -----------------------------------------------------------------------

    @property
    def model_type(self) -> str:
        """``"joint"`` and the type of its component."""
        return f"joint {self._class.type_names[0]}"

    @property
    def is_plain_group(self) -> bool:
        """False: its members are one component on each image."""
        return False

    @property
    def per_image(self) -> tuple[str, ...]:
        """Names of the parameters that every image has for itself."""
        return self._per_image

    @property
    def components(self) -> tuple[Component, ...]:
        """The component on each image."""
        return cast("tuple[Component, ...]", self._models)

    @property
    def shared_parameters(self) -> Mapping[str, Parameter]:
        """Parameters that all images share, by name."""
        first = self.components[0].parameters
        shared = {n: p for n, p in first.items() if n not in self._per_image}
        return ParameterView({**shared, **self._extra})

    @property
    def extra_parameters(self) -> Mapping[str, Parameter]:
        """Shared parameters that no component has: those of its motion."""
        return ParameterView(dict(self._extra))

    @property
    def reference_epoch(self) -> Time | None:
        """When the center of a source that moves is ``model["center"]``."""
        return None if self._motion is None else self._motion.reference_epoch

    @property
    def wavelength_degree(self) -> Mapping[str, int]:
        """Degrees of the parameters that are polynomials in wavelength."""
        return dict(self._degrees)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Shared parameters by name, the others with their image in front."""
        for k, member in enumerate(self.components):
            for name, parameter in member.parameters.items():
                shared = k == 0 and name not in self._per_image and name not in self._extra
                yield (name if shared else f"{member.name}/{name}"), parameter
        yield from self._extra.items()

    def tie(
        self,
        other: Model,
        *,
        only: Iterable[str] | None = None,
        except_: Iterable[str] = (),
    ) -> None:
        """Tie the shared parameters to those of another model; see `Component.tie`."""
        left_out = [except_] if isinstance(except_, str) else list(except_)
        if only is None:
            left_out += self._per_image
        if self._motion is not None:
            # What the components follow is tied in their place.
            asked = None if only is None else ([only] if isinstance(only, str) else list(only))
            theirs = other.shared_parameters if isinstance(other, Joint) else other.parameters
            for name, parameter in self._motion.parameters.items():
                wanted = name not in left_out if asked is None else name in asked
                if wanted and name in theirs:
                    parameter.tie(theirs[name])
            moving = set(self._motion.parameters)
            left_out = [*(n for n in left_out if n not in moving), "center"]
            only = None if asked is None else [n for n in asked if n not in moving]
        self.components[0].tie(other, only=only, except_=left_out)

    def __getitem__(self, key: str) -> Any:
        """Shared parameter, `PerImage`, component of an image, or anything by path."""
        first = self.components[0].parameters
        if key in self._extra:
            return self._extra[key]
        if key in first:
            if key not in self._per_image:
                return first[key]
            return PerImage(key, {m.name: m.parameters[key] for m in self.components})
        return super().__getitem__(key)

    # --- details --------------------------------------------------------------------------

    def _refuse_other_members(self, method: str) -> None:
        raise InvalidInput(
            f"{method}: {self.name!r} is a joint model, one component on each image; put it in a "
            "group with the other models"
        )

    def _own_names(self) -> tuple[str, ...]:
        members = self.__dict__.get("_models", ())
        return (*members[0]._own_names(), *self._extra) if members else ()

    def _known_keys(self) -> list[str]:
        return [*self.components[0].parameters, *self._extra, *super()._known_keys()]

    def _set_motion(
        self, images: Sequence[TargetImage], proper_motion: Any, parallax: Any, epoch: Any
    ) -> None:
        if "center" not in self.components[0].parameters or "center" in self._per_image:
            raise InvalidInput(
                f"{self.name!r}: proper_motion and parallax need a center that all images share"
            )
        self._motion = Motion(
            self.name,
            images,
            proper_motion=proper_motion,
            parallax=parallax,
            reference_epoch=epoch,
        )
        self._extra |= self._motion.parameters
        self._motion.move(self.components)

    def _set_name(self, name: object) -> None:
        super()._set_name(name)
        if name is None:
            self._name = self._class.type_names[0]

    def _relabel(self) -> None:
        for member in self.components:
            for name, parameter in member.parameters.items():
                shared = member is self._models[0] and name not in self._per_image
                parameter.owner = self._name if shared else f"{self._name}/{member.name}"
        for name, parameter in self.__dict__.get("_extra", {}).items():
            parameter.owner = self._name
            if name in self.components[0].parameters:
                self.components[0][name].owner = f"{self._name}/{self.components[0].name}"

    def _parse_per_image(
        self, per_image: Iterable[str] | None, component: Component
    ) -> tuple[str, ...]:
        known = component.parameters
        if per_image is None:
            return tuple(known) if component.is_sky else (component.amplitude_name,)
        names = (per_image,) if isinstance(per_image, str) else tuple(per_image)
        for name in names:
            if name not in known:
                raise InvalidInput(
                    f"per_image of {self.name!r}: a {component.model_type} has no parameter "
                    f"{name!r}{did_you_mean(name, known)}",
                    argument="per_image",
                )
        return names

    def _configure(self, parameters: Mapping[str, Any] | None, values: dict[str, Any]) -> None:
        given = {} if parameters is None else dict(parameters)
        for name in values:
            if name in given:
                raise InvalidInput(
                    f"{self.name!r}: parameter {name!r} is given both in parameters= and by itself"
                )
        first = self.components[0]
        for name, value in {**given, **values}.items():
            if name not in first.parameters:
                raise InvalidInput(first._no_parameter(name))
            if value is None:
                continue
            if name not in self._per_image:
                self._extra.get(name, first[name]).configure(value)
                continue
            each = self[name]
            for image, one in self._by_image(name, value).items():
                each[image].configure(one)

    def _by_image(self, name: str, value: Any) -> dict[str, Any]:
        images = [member.name for member in self.components]
        if isinstance(value, Mapping):
            if set(value) <= _SETTINGS and not set(value) <= set(images):
                return dict.fromkeys(images, value)
            for key in value:
                if key not in images:
                    raise InvalidInput(
                        f"{self.name!r}: {name} is given for an image {key!r} that it is not on"
                        f"{did_you_mean(key, images)}"
                    )
            return dict(value)
        shape = self.components[0][name].shape
        if isinstance(value, (list, tuple, np.ndarray)) and np.ndim(cast("Any", value)) > len(
            shape
        ):
            if len(value) != len(images):
                raise InvalidInput(
                    f"{self.name!r}: {name} has {len(value)} values for {len(images)} images"
                )
            return dict(zip(images, value, strict=True))
        return dict.fromkeys(images, value)


def joint(
    model_type: str,
    *,
    target: TargetImageList | TargetImage,
    per_image: Iterable[str] | None = None,
    name: str | None = None,
    **options: Any,
) -> Joint:
    """Return one object in several images, structure shared, amplitudes one an image.

    Parameters
    ----------
    model_type : str
        Type of the component, e.g. ``"sersic galaxy"``.
    target : TargetImageList
    per_image : sequence of str, optional
        Parameters that every image has for itself; default the amplitude, and all of a sky's.
    name : str, optional
    **options
        Windows, PSFs and values, see `Joint`.

    Returns
    -------
    Joint
    """
    return Joint(model_type, target=target, per_image=per_image, name=name, **options)


def _spread(
    value: Any, images: Sequence[TargetImage], what: str, *, single: bool
) -> dict[str, Any]:
    """Option by image name from a mapping, a sequence in order, or one for all."""
    names = [image.name for image in images]
    if value is None:
        return {}
    if isinstance(value, Mapping):
        for key in value:
            if key not in names:
                raise InvalidInput(
                    f"{what}: no image is named {key!r}{did_you_mean(key, names)}", argument=what
                )
        return dict(value)
    if single and not (isinstance(value, (list, tuple)) and len(value) == 1):
        return dict.fromkeys(names, value)
    parts = list(value) if isinstance(value, (list, tuple)) else []
    one_each = len(parts) == len(images) and all(
        part is None or what != "window" or _looks_like_window(part) for part in parts
    )
    if not one_each:
        raise InvalidInput(
            f"{what} must be given for each of the {len(images)} images, as a dict by image name "
            f"({', '.join(map(repr, names))}) or a list in their order",
            argument=what,
        )
    return dict(zip(names, parts, strict=True))


def _looks_like_window(part: Any) -> bool:
    if isinstance(part, tuple) and any(isinstance(one, slice) for one in part):
        return True
    try:
        return bool(np.shape(part) == (2, 2))
    except ValueError:
        return False
