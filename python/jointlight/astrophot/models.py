# SPDX-License-Identifier: BSD-3-Clause
"""Models under AstroPhot's names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jointlight.astrophot.convert import amplitude_of, entries, native_class
from jointlight.astrophot.image import (
    Model_Image,
    Model_Image_List,
    PSF_Image,
    Target_Image,
    Target_Image_List,
)
from jointlight.astrophot.parameters import Parameter_Node, Parameter_Table
from jointlight.errors import InvalidInput, did_you_mean, invalid, warn_user
from jointlight.models import Component, Group, Model

__all__ = ["AstroPhot_Model", "Component_Model", "Group_Model"]

# Numerics that jointlight settles by itself, to a stated accuracy.
_NO_COUNTERPART = frozenset(
    {"integrate_mode", "psf_convolve_mode", "psf_subpixel_shift", "sampling_mode",
     "sampling_tolerance"}
)  # fmt: skip


def AstroPhot_Model(*, model_type: str, **options: Any) -> Component_Model | Group_Model:
    """Make a model.

    Parameters
    ----------
    model_type : str
        ``"sersic galaxy model"``, ``"group model"``, ...
    **options
        Those of `Component_Model` or `Group_Model`.

    Returns
    -------
    Component_Model or Group_Model
        The model.
    """
    if isinstance(model_type, str) and model_type.casefold().split()[:1] == ["group"]:
        return Group_Model(**options)
    return Component_Model(model_type=model_type, **options)


class _Base:
    """What components and groups have in common."""

    _native: Any
    _target: Target_Image | Target_Image_List

    @property
    def native(self) -> Any:
        """jointlight's model."""
        return self._native

    @property
    def name(self) -> str:
        """Its name."""
        return str(self._native.name)

    @property
    def model_type(self) -> str:
        """Name of its type, ``"sersic galaxy model"``."""
        return f"{self._native.model_type} model"

    @property
    def target(self) -> Target_Image | Target_Image_List:
        """What it is a model of."""
        return self._target

    @property
    def parameters(self) -> Parameter_Table:
        """All parameters by name; prints as a table."""
        raise NotImplementedError

    def initialize(self, **options: Any) -> Any:
        """Give every unset parameter a start value from the data; returns the model itself."""
        self._native.initialize(**options)
        return self

    def sample(self) -> Model_Image | Model_Image_List:
        """Draw it: a `Model_Image`, or one for each image of its list."""
        if isinstance(self._target, Target_Image):
            return Model_Image(self._native.image(self._target.native), self._target)
        drawn = self._native.images()
        return Model_Image_List(
            Model_Image(data, image) for data, image in zip(drawn, self._target, strict=True)
        )

    __call__ = sample

    def __str__(self) -> str:
        return f"{self.name} ({self.model_type})\n{self.parameters!r}"


class Component_Model(_Base):
    """One profile on one image.

    Parameters
    ----------
    model_type : str
        Name of the type; jointlight's names are understood too.
    target : Target_Image
        The image.
    name : str, optional
        Its name.
    window : [[x0, x1], [y0, y1]], optional
        Half-open pixel ranges within which it is drawn and fitted.
    parameters : mapping, optional
        Values by name, in the units of `Parameter_Node`; a dict of value, limits, locked,
        uncertainty; or another model's parameter.
    psf_mode : {"none", "full"}
        Whether it is drawn through the PSF. As in AstroPhot it is not unless asked for.
    psf : array, tensor or PSF_Image, optional
        In place of the image's PSF.
    **numerics
        ``sampling_mode``, ``integrate_mode`` and the like have no counterpart: jointlight
        integrates every pixel to its own accuracy. They are ignored with a warning.
    """

    _native: Component
    _target: Target_Image

    def __init__(
        self,
        *,
        model_type: str,
        target: Target_Image,
        name: str | None = None,
        window: Any = None,
        parameters: Mapping[str, Any] | None = None,
        psf_mode: str = "none",
        psf: Any = None,
        **numerics: Any,
    ) -> None:
        _check_numerics(numerics)
        cls = native_class(model_type)
        if not isinstance(target, Target_Image):
            raise invalid(f"target of {name!r}", target, "a Target_Image")
        if psf is not None and not isinstance(psf, PSF_Image):
            psf = PSF_Image(psf)
        self._target = target
        self._native = cls(
            target=target.native,
            name=name,
            window=window,
            psf=None if psf is None else psf.native,
            # A star is its PSF: there is nothing to switch off.
            psf_mode="full" if cls.needs_psf else psf_mode,
            amplitude=amplitude_of(cls),
        )
        self._nodes = {
            entry.name: Parameter_Node(entry, tuple(self._native[part] for part in entry.native))
            for entry in entries(cls)
        }
        for key, value in (parameters or {}).items():
            if value is not None:
                self[key].configure(value)

    @property
    def psf_mode(self) -> str:
        """``"full"`` if it is drawn through the PSF, else ``"none"``."""
        return "full" if self._native.psf_convolve else "none"

    @psf_mode.setter
    def psf_mode(self, mode: str) -> None:
        if mode not in ("full", "none"):
            raise invalid("psf_mode", mode, "'full' or 'none'")
        if not self._native.needs_psf:
            self._native.psf_convolve = mode == "full"

    @property
    def window(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Half-open pixel ranges ``((x0, x1), (y0, y1))``."""
        return self._native.window

    @window.setter
    def window(self, window: Any) -> None:
        self._native.window = window

    @property
    def parameters(self) -> Parameter_Table:
        """All parameters by name; prints as a table."""
        return Parameter_Table(self._nodes)

    @property
    def parameter_order(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return tuple(self._nodes)

    def __getitem__(self, key: str) -> Parameter_Node:
        try:
            return self._nodes[key]
        except KeyError:
            raise InvalidInput(
                f"{self.model_type} {self.name!r} has no parameter {key!r}"
                f"{did_you_mean(key, self._nodes)}"
            ) from None

    def __contains__(self, key: object) -> bool:
        return key in self._nodes

    def __repr__(self) -> str:
        return f"<{self.model_type} {self.name!r} of {self._native!r}>"


class Group_Model(_Base):
    """A sum of models, groups among them.

    Parameters
    ----------
    target : Target_Image or Target_Image_List, optional
        Must hold every image of the members. Default: just those.
    models : iterable of models
        The members.
    name : str, optional
        Its name.
    psf_mode : {"none", "full"}, optional
        Given, it is passed on to every member; otherwise each keeps its own.
    **numerics
        As for `Component_Model`.
    """

    _native: Group

    def __init__(
        self,
        *,
        models: Iterable[Component_Model | Group_Model],
        target: Target_Image | Target_Image_List | None = None,
        name: str | None = None,
        psf_mode: str | None = None,
        **numerics: Any,
    ) -> None:
        _check_numerics(numerics)
        members = tuple(models)
        for member in members:
            if not isinstance(member, _Base):
                raise invalid(f"models of {name!r}", member, "models of this interface")
        self._members = members
        if target is None:
            images = list(dict.fromkeys(leaf._target for leaf in self._leaves()))
            target = images[0] if len(images) == 1 else Target_Image_List(images)
        self._target = target
        self._native = Group([member.native for member in members], target=target.native, name=name)
        if psf_mode is not None:
            self.psf_mode = psf_mode

    @property
    def models(self) -> dict[str, Component_Model | Group_Model]:
        """Members by name."""
        return {member.name: member for member in self._members}

    @property
    def psf_mode(self) -> str | None:
        """The members' PSF mode, None where they differ."""
        modes = {leaf.psf_mode for leaf in self._leaves()}
        return modes.pop() if len(modes) == 1 else None

    @psf_mode.setter
    def psf_mode(self, mode: str) -> None:
        for leaf in self._leaves():
            leaf.psf_mode = mode

    @property
    def parameters(self) -> Parameter_Table:
        """All parameters below it, ``"member:Re"``; prints as a table."""
        return Parameter_Table(
            {
                f"{member.name}:{key}": node
                for member in self._members
                for key, node in member.parameters.items()
            }
        )

    def __getitem__(self, key: str) -> Any:
        """A member, ``"member"``, or what is below it, ``"member:Re"``."""
        for member in self._members:
            if key == member.name:
                return member
            head, tail = key[: len(member.name)], key[len(member.name) :]
            if head == member.name and tail[:1] in (":", "|"):
                return member[tail[1:]]
        raise InvalidInput(
            f"group {self.name!r} has no member {key!r}{did_you_mean(key, self.models)}"
        )

    def __iter__(self) -> Iterator[Component_Model | Group_Model]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def _leaves(self) -> Iterator[Component_Model]:
        for member in self._members:
            if isinstance(member, Group_Model):
                yield from member._leaves()
            else:
                yield member

    def __repr__(self) -> str:
        return f"<{self.model_type} {self.name!r} of {self._native!r}>"


def native_model(model: Any) -> Model:
    """jointlight's model behind one of this interface.

    Parameters
    ----------
    model : Component_Model or Group_Model
        The model.

    Returns
    -------
    Model
        What it stands for.
    """
    if not isinstance(model, _Base):
        raise invalid("model", model, "an AstroPhot_Model")
    found: Model = model.native
    return found


def _check_numerics(options: Mapping[str, Any]) -> None:
    for key in options:
        if key not in _NO_COUNTERPART:
            known = ["models", "name", "parameters", "psf", "psf_mode", "target", "window"]
            raise InvalidInput(
                f"AstroPhot_Model has no option {key!r}{did_you_mean(key, known)}", argument=key
            )
        warn_user(f"{key} is ignored: pixels are integrated to a fixed accuracy, whatever the mode")
