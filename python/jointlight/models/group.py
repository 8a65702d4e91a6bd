# SPDX-License-Identifier: BSD-3-Clause
"""Several models that are added up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from jointlight.errors import Described, InvalidInput, did_you_mean, invalid
from jointlight.image import TargetImage, TargetImageList
from jointlight.scene import same_plane

from . import editing
from .base import Model

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

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
        self._index: dict[str, int] = {}
        self._models = self._parse_members(models)
        self._check_leaves(self._models)
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

    @property
    def target(self) -> TargetImage | TargetImageList:
        """The image or images it is a model of; it grows with its members' images."""
        grown = self._grown_target(self._models)
        if grown is not self._target:
            self._target = grown
        return grown

    @property
    def is_plain_group(self) -> bool:
        """Whether its members may be any models, as they may not in a joint model."""
        return True

    def __getitem__(self, key: str) -> Any:
        """Member by name, or anything below by path; names may hold slashes themselves."""
        member = self._member(key)
        if member is not None:
            return member
        heads = self._heads(key)
        for k, (head, rest) in enumerate(heads):
            try:
                return head[rest]
            except InvalidInput:
                if k == len(heads) - 1:
                    raise
        of_image = self._image_parameter(key)
        if of_image is not None:
            return of_image
        raise InvalidInput(
            f"{self.model_type} {self.name!r} has no member {key!r}"
            f"{did_you_mean(key, self._known_keys())}"
        )

    def find_below(self, path: str) -> Model | None:
        """Return the model at a path, None where there is none."""
        member = self._member(path)
        if member is not None:
            return member
        for head, rest in self._heads(path):
            found = head.find_below(rest) if isinstance(head, Group) else None
            if found is not None:
                return found
        return None

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

    # --- editing --------------------------------------------------------------------------

    def add(self, *models: Model) -> Self:
        """Append members; returns the group itself.

        The target grows by images that it lacks. Models without a name of their own are
        numbered; a name that is taken is refused.

        Parameters
        ----------
        *models : Model
            None of them, nor anything in them, may be in the group already.
        """
        self._refuse_other_members("add")
        editing.add(self, models)
        return self

    def remove(self, *models: Any, ties: Literal["hand over", "untie"] = "hand over") -> Self:
        """Take models out, at any depth; returns the group itself.

        Groups in which nothing is left go too. The target keeps its images.

        Parameters
        ----------
        *models : str, Model or Source
            Names, paths such as ``"galaxy 3/bulge"``, models or sources.
        ties : {"hand over", "untie"}, optional
            What becomes of parameters that stay and follow ones that leave. ``"hand over"``: the
            first of them takes over value, limits, prior and fixed state, all others follow that
            one, and so does the parameter that left, so that nothing that was shared falls
            apart. Where none can take over, as a function of what leaves, nothing is changed
            and an error names both parameters. ``"untie"``: each is set free at its value.
        """
        editing.remove(self, models, ties=ties)
        return self

    def replace(self, old: Any, new: Model) -> Self:
        """Put a model in the place of another, at any depth; returns the group itself.

        The new one takes over the name if it was given none, start values of parameters that it
        has no value for, and parameters that followed the old one's: they follow the new one's
        of the same name, or are handed over as by `remove` where there is none.

        Parameters
        ----------
        old : str or Model
            Name, path or model.
        new : Model
        """
        editing.replace(self, old, new)
        return self

    def merge(self, other: Model) -> Self:
        """Take in another group's members and images; returns the group itself.

        Members are not copied, and the other group still has them; use ``other.copy()`` for
        independent ones. Those that are in both stay once. Given names that are taken get a
        number, ``"galaxy 1 (2)"``.

        Parameters
        ----------
        other : Model
            A group; a single component or a joint model becomes one member.
        """
        self._refuse_other_members("merge")
        editing.merge_into(self, other)
        return self

    def _refuse_other_members(self, method: str) -> None:
        """Raise where members cannot be chosen freely."""

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

    def _member(self, name: object) -> Model | None:
        """Member by name; names change when models move between groups, so hits are checked."""
        if not isinstance(name, str):
            return None
        for fresh in (False, True):
            if fresh:
                self._index = {m.name: k for k, m in reversed(list(enumerate(self._models)))}
            k = self._index.get(name)
            if k is not None and k < len(self._models) and self._models[k].name == name:
                return self._models[k]
            if not fresh and len(self._index) == len(self._models) and "/" in name:
                # Most likely a path: its head will tell whether the index is out of date.
                head = self._index.get(name.partition("/")[0])
                if head is not None and self._models[head].name == name.partition("/")[0]:
                    return None
        return None

    def _heads(self, path: object) -> list[tuple[Model, str]]:
        """Members whose names a path may begin with, longest first, with the rest of the path."""
        if not isinstance(path, str):
            return []
        cuts = [k for k, letter in enumerate(path) if letter == "/"]
        heads = [(self._member(path[:k]), path[k + 1 :]) for k in reversed(cuts)]
        return [(head, rest) for head, rest in heads if head is not None]

    def _check_leaves(self, members: Iterable[Model]) -> None:
        seen: set[int] = set()
        for member in members:
            for one in {id(m): m for m in (member, *member.leaves())}.values():
                if id(one) in seen:
                    raise InvalidInput(
                        f"models of {self.name!r}: {one.name!r} is in the group twice; use "
                        ".copy(name=...) for a second one of the same kind",
                        argument="models",
                    )
                seen.add(id(one))

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
        last: dict[str, int] = {}
        for member in self._models:
            if member._named:
                continue
            name, kind = member.name, member.model_type
            k = last.get(kind, 1)
            while name in taken:
                k += 1
                name = f"{kind} {k}"
            last[kind] = k
            member._name = name
            member._relabel()
            taken.add(name)

    def _parse_target(self, target: Any) -> TargetImage | TargetImageList:
        leaves = self.leaves()
        if target is None:
            images = list({id(leaf.target): leaf.target for leaf in leaves}.values())
            return images[0] if len(images) == 1 else self._make_list(images, leaves)
        if isinstance(target, (list, tuple)):
            target = self._make_list(target, leaves)
        if not isinstance(target, (TargetImage, TargetImageList)):
            raise invalid(f"target of {self.name!r}", target, "a TargetImage or TargetImageList")
        known = [target] if isinstance(target, TargetImage) else list(target)
        known_ids = set(map(id, known))
        for leaf in leaves:
            if id(leaf.target) not in known_ids:
                raise InvalidInput(
                    f"target of the group {self.name!r} lacks image {leaf.target.name!r}, on "
                    f"which {leaf.name!r} is a model; it has "
                    + ", ".join(repr(image.name) for image in known),
                    argument="target",
                )
        return target

    def _grown_target(
        self, members: Iterable[Model], more: Iterable[TargetImage] = ()
    ) -> TargetImage | TargetImageList:
        """The target with the members' images and `more`; itself where it has them all."""
        target = self._target
        known = [target] if isinstance(target, TargetImage) else list(target)
        ids = set(map(id, known))
        new: dict[int, TargetImage] = {}
        for member in members:
            theirs = member.target
            for image in (theirs,) if isinstance(theirs, TargetImage) else theirs:
                if id(image) not in ids:
                    new[id(image)] = image
        new |= {id(image): image for image in more if id(image) not in ids}
        if not new:
            return target
        leaves = [leaf for member in members for leaf in member.leaves()]
        return self._make_list([*known, *new.values()], leaves)

    def _make_list(self, images: Any, leaves: Sequence[Component]) -> TargetImageList:
        """List of the images; it puts them on one plane, so no position may be set yet."""
        if all(isinstance(image, TargetImage) for image in images) and not same_plane(images):
            anchor = next((image for image in images if image.reference_fixed), images[0])
            for leaf in leaves:
                center = leaf.parameters.get("center")
                if center is None or not center.is_plane_position:
                    continue
                if not same_plane([leaf.target, anchor]):
                    raise InvalidInput(
                        f"the images of {self.name!r} have planes about different points and "
                        f"{center.label} is set in that of its own image; make the "
                        "TargetImageList before setting positions, or set them as SkyCoord",
                        argument="target",
                    )
        return TargetImageList(images)


def merge(first: Model, second: Model, *others: Model, name: str | None = None) -> Group:
    """Return one group with the members and images of several models; see `Group.merge`.

    Parameters
    ----------
    first, second, *others : Model
        Groups, or components and joint models, which become one member each. They are not
        changed, except that members whose given names are taken get a number.
    name : str, optional
        Default the first one's, if it is a group with a name.

    Returns
    -------
    Group
        Its members are those of the models, not copies of them.
    """
    models = editing.parse_models([first, second, *others])
    if name is None and editing.members_of(first) != (first,) and first._named:
        name = first.name
    merged = Group(editing.members_of(first), target=first.target, name=name)
    for model in models[1:]:
        merged.merge(model)
    return merged
