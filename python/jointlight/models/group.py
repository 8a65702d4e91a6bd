# SPDX-License-Identifier: BSD-3-Clause
"""Several models that are added up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jointlight.errors import Described, InvalidInput, did_you_mean, invalid
from jointlight.image import TargetImage, TargetImageList
from jointlight.scene import same_plane

from .base import Model

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from jointlight.parameters import Parameter

    from .component import Component


class Group(Model):
    """A sum of models, of components or of other groups to any depth.

    Parameters
    ----------
    models : sequence of Model
        Members; no model may occur twice. Members without a name of their own are numbered,
        equal given names are refused.
    target : TargetImage or TargetImageList, optional
        Must hold every image that a member is on; default, just those.
    name : str, optional

    Notes
    -----
    ``group["name"]`` is a member, ``group["name/Re"]`` its parameter. What a fit sees as one
    source is told in `sources`.
    """

    type_names = ("group",)

    def __init__(
        self,
        models: Iterable[Model] = (),
        *,
        target: TargetImage | TargetImageList | None = None,
        name: str | None = None,
    ) -> None:
        self._set_name(name)
        self._models = self._parse_members(models)
        self._check_leaves()
        self._number_members()
        self._target = self._parse_target(target)

    # --- what it is -----------------------------------------------------------------------

    @property
    def models(self) -> tuple[Model, ...]:
        """The members."""
        return self._models

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """What a fit would move, each once, by path; all others are in `all_parameters`."""
        return self.free_parameters

    def leaves(self) -> tuple[Component, ...]:
        """All single components, in order."""
        return tuple(leaf for member in self._models for leaf in member.leaves())

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter below it with its path."""
        for member in self._models:
            for path, parameter in member.named_parameters():
                yield f"{member.name}/{path}", parameter

    def __getitem__(self, key: str) -> Any:
        """Member by name, or anything below by path; names may hold slashes themselves."""
        if isinstance(key, str):
            for member in self._models:
                if member.name == key:
                    return member
            for member in self._models:
                if key.startswith(f"{member.name}/"):
                    return member[key[len(member.name) + 1 :]]
        raise InvalidInput(
            f"{self.model_type} {self.name!r} has no member {key!r}"
            f"{did_you_mean(key, self._known_keys())}"
        )

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    def __repr__(self) -> str:
        n = len(self._models)
        shown = ", ".join(repr(member.name) for member in self._models[:6])
        more = f", ... {n - 6} more" if n > 6 else ""
        return (
            f"<{type(self).__name__} {self.name!r} of {n} on {len(self.images_modelled)} "
            f"image{'s' if len(self.images_modelled) > 1 else ''}: {shown}{more}>"
        )

    # --- checks ---------------------------------------------------------------------------

    def _known_keys(self) -> list[str]:
        return [member.name for member in self._models]

    def _parse_members(self, models: Any) -> tuple[Model, ...]:
        if isinstance(models, (Model, str)):
            raise invalid("models", models, "a sequence of models", "write [model]")
        try:
            members = tuple(models)
        except TypeError:
            raise invalid("models", models, "a sequence of models") from None
        if not members:
            raise invalid(
                f"models of the group {self.name!r}",
                Described("an empty sequence"),
                "at least one model",
            )
        for k, member in enumerate(members):
            if not isinstance(member, Model):
                raise invalid(f"models[{k}]", member, "a model")
        return members

    def _check_leaves(self) -> None:
        seen: set[int] = set()
        for leaf in self.leaves():
            if id(leaf) in seen:
                raise InvalidInput(
                    f"models of {self.name!r}: {leaf.name!r} is in the group twice; use "
                    ".copy(name=...) for a second one of the same kind",
                    argument="models",
                )
            seen.add(id(leaf))

    def _number_members(self) -> None:
        """Keep names unique: number those that the user did not choose."""
        taken: set[str] = set()
        for member in self._models:
            if member._named:
                if member.name in taken:
                    raise InvalidInput(
                        f"models of {self.name!r}: two of them are named {member.name!r}; "
                        "give each its own name=",
                        argument="models",
                    )
                taken.add(member.name)
        for member in self._models:
            if member._named:
                continue
            name, k = member.name, 1
            while name in taken:
                k += 1
                name = f"{member.model_type} {k}"
            member._name = name
            member._relabel()
            taken.add(name)

    def _parse_target(self, target: Any) -> TargetImage | TargetImageList:
        leaves = self.leaves()
        if target is None:
            images = list({id(leaf.target): leaf.target for leaf in leaves}.values())
            return images[0] if len(images) == 1 else self._make_list(images)
        if isinstance(target, (list, tuple)):
            target = self._make_list(target)
        if not isinstance(target, (TargetImage, TargetImageList)):
            raise invalid(f"target of {self.name!r}", target, "a TargetImage or TargetImageList")
        known = [target] if isinstance(target, TargetImage) else list(target)
        for leaf in leaves:
            if not any(leaf.target is image for image in known):
                raise InvalidInput(
                    f"target of the group {self.name!r} lacks image {leaf.target.name!r}, on "
                    f"which {leaf.name!r} is a model; it has "
                    + ", ".join(repr(image.name) for image in known),
                    argument="target",
                )
        return target

    def _make_list(self, images: Any) -> TargetImageList:
        """List of the images; it puts them on one plane, so no position may be set yet."""
        if all(isinstance(image, TargetImage) for image in images) and not same_plane(images):
            for leaf in self.leaves():
                center = leaf.parameters.get("center")
                if center is not None and center.is_plane_position and leaf.target is not images[0]:
                    raise InvalidInput(
                        f"the images of {self.name!r} have planes about different points and "
                        f"{center.label} is set in that of its own image; make the "
                        "TargetImageList before setting positions, or set them as SkyCoord",
                        argument="target",
                    )
        return TargetImageList(images)
