# SPDX-License-Identifier: BSD-3-Clause
"""Adding, removing, replacing and merging members of groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jointlight.errors import Described, InvalidInput, invalid

from .base import Model
from .handover import plan
from .selection import Finder, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from jointlight.parameters import Parameter

    from .group import Group

_TIES = ("hand over", "untie")


def parse_models(models: Sequence[Any], argument: str = "models") -> tuple[Model, ...]:
    """Models given one by one, checked."""
    if not models:
        raise invalid(argument, Described("nothing"), "at least one model")
    for model in models:
        if not isinstance(model, Model):
            hint = None
            if isinstance(model, (list, tuple)):
                hint = "give models one by one, or put a * before the list"
            raise invalid(argument, model, "a model", hint)
    return tuple(models)


def add(group: Group, models: Sequence[Any], *, rename: bool = False) -> None:
    """Append members to a group; see `Group.add`.

    Parameters
    ----------
    group : Group
    models : sequence of Model
    rename : bool, optional
        Change given names that are taken, instead of refusing them.
    """
    new = parse_models(models)
    _refuse_circle(group, new)
    members = (*group.models, *new)
    group._check_leaves(members)
    names = _new_names(group, new, {member.name for member in group.models}, rename=rename)
    target = group._grown_target(members)
    _install(group, members, target, names)


def remove(group: Group, wanted: Sequence[Any], *, ties: str) -> None:
    """Take models out of a group; see `Group.remove`."""
    if ties not in _TIES:
        raise invalid("ties", ties, " or ".join(map(repr, _TIES)))
    if not wanted:
        raise invalid("models", Described("nothing"), "at least one name, path or model")
    found = Finder(group, "models").find(_flat(wanted))
    gone = {id(leaf) for one in found for leaf in one.leaves()}
    if all(id(leaf) in gone for leaf in group.leaves()):
        raise InvalidInput(
            f"models: nothing would be left in {group.name!r}; a group needs at least one member",
            argument="models",
        )
    plan(*_parameters(group, gone), ties=ties).apply()
    _prune(group, gone)


def replace(group: Group, old: Any, new: Any) -> None:
    """Put another model in a member's place; see `Group.replace`."""
    (new,) = parse_models([new], "new")
    found = Finder(group, "old").find(old)
    if len(found) != 1 or found[0] is group:
        raise invalid("old", old, f"one model in {group.name!r}, by name, path or itself")
    before = found[0]
    parent: Any = next(
        one
        for one in [group, *(one for _, one in walk(group))]
        if any(member is before for member in getattr(one, "models", ()))
    )
    parent._refuse_other_members("replace")
    _refuse_circle(group, [new])
    members = tuple(new if member is before else member for member in parent.models)
    parent._check_leaves(members)
    gone = {id(leaf) for leaf in before.leaves()}
    staying = [leaf for leaf in group.leaves() if id(leaf) not in gone]
    group._check_leaves([*staying, new])
    names = {}
    if not new._named:
        names[id(new)] = before.name
    elif any(member.name == new.name for member in members if member is not new):
        raise InvalidInput(
            f"new: {parent.name!r} has another member named {new.name!r}", argument="new"
        )
    heirs = _alike(before, new)
    leaving, others = _parameters(group, gone)
    changes = plan(leaving, others, heirs={a: b for a, b in heirs if not b.is_tied})
    target = parent._grown_target(members)
    for a, b in heirs:
        _start_like(a, b)
    _start_there(before, new)
    changes.apply()
    _install(parent, members, target, names)


def merge_into(group: Group, other: Any) -> None:
    """Take another model's members into a group; see `Group.merge`."""
    (other,) = parse_models([other], "other")
    if other is group:
        raise InvalidInput(f"other: {group.name!r} cannot be merged with itself", argument="other")
    known = {id(member) for member in group.models}
    new = [member for member in members_of(other) if id(member) not in known]
    images = [image for image in other.images_modelled if image not in group.images_modelled]
    if new:
        # Before anything is changed, planes of images included: the last one refuses images that
        # do not go together.
        _refuse_circle(group, new)
        group._check_leaves((*group.models, *new))
        target = group._grown_target((*group.models, *new), images)
        add(group, new, rename=True)
        group._target = target
    elif images:
        group._target = group._grown_target(group.models, images)


def members_of(model: Any) -> tuple[Model, ...]:
    """Members of a plain group; any other model stands for itself."""
    return model.models if getattr(model, "is_plain_group", False) else (model,)


def _flat(wanted: Sequence[Any]) -> list[Any]:
    """Arguments of which some are lists."""
    out: list[Any] = []
    for one in wanted:
        out += one if isinstance(one, (list, tuple)) else [one]
    return out


def _refuse_circle(group: Group, new: Iterable[Model]) -> None:
    for model in new:
        if model is group or any(one is group for _, one in walk(model)):
            raise InvalidInput(
                f"models: {model.name!r} holds {group.name!r} and cannot become its member",
                argument="models",
            )


def _new_names(
    group: Group, new: Iterable[Model], taken: set[str], *, rename: bool
) -> dict[int, str]:
    """Names by ``id`` of the models that must change theirs."""
    names: dict[int, str] = {}
    for model in new:
        if model._named and model.name in taken and not rename:
            raise InvalidInput(
                f"models: {group.name!r} already has a member named {model.name!r}; "
                "give each its own name=",
                argument="models",
            )
        if model._named:
            taken_or_own = taken
            if model.name in taken:
                taken_or_own = taken | {one.name for one in new if one is not model}
                names[id(model)] = free_name(model.name, taken_or_own, "{} ({})")
            taken.add(names.get(id(model), model.name))
    for model in new:
        if not model._named:
            name = model.name
            if name in taken:
                name = free_name(model.model_type, taken, "{} {}")
                names[id(model)] = name
            taken.add(name)
    return names


def free_name(name: str, taken: set[str], pattern: str) -> str:
    """``name``, numbered by a pattern from 2 on where it is taken."""
    unique, k = name, 1
    while unique in taken:
        k += 1
        unique = pattern.format(name, k)
    return unique


def _install(group: Group, members: tuple[Model, ...], target: Any, names: dict[int, str]) -> None:
    for member in members:
        if id(member) in names:
            member._name = names[id(member)]
            member._relabel()
    group._models = members
    group._target = target


def _parameters(group: Group, gone: set[int]) -> tuple[list[Parameter], list[Parameter]]:
    """Parameters of components that leave and of those that stay."""
    leaving: list[Parameter] = []
    staying: list[Parameter] = []
    for leaf in group.leaves():
        (leaving if id(leaf) in gone else staying).extend(leaf.parameters.values())
    for model in (group, *(below for _, below in walk(group))):
        # Proper motion and the like belong to no component; they go with the last one.
        extra = getattr(model, "extra_parameters", {})
        left = any(id(leaf) not in gone for leaf in model.leaves()) if extra else True
        (staying if left else leaving).extend(extra.values())
    return leaving, staying


def _prune(group: Group, gone: set[int]) -> None:
    """Drop components, and groups in which nothing is left."""
    kept = []
    for member in group.models:
        if all(id(leaf) in gone for leaf in member.leaves()):
            continue
        if any(id(leaf) in gone for leaf in member.leaves()):
            _prune(member, gone)  # type: ignore[arg-type]
        kept.append(member)
    group._models = tuple(kept)
    group._relabel()


def _alike(old: Model, new: Model) -> list[tuple[Parameter, Parameter]]:
    """Parameters of the same path, shape and unit."""
    theirs = dict(new.named_parameters())
    return [
        (p, theirs[path])
        for path, p in old.named_parameters()
        if path in theirs and theirs[path].shape == p.shape and theirs[path].unit == p.unit
    ]


def _start_there(old: Model, new: Model) -> None:
    """Start the components of several in place of one where that was, so that none wanders off."""
    if len(new.leaves()) == len(old.leaves()):
        return
    first: dict[str, dict[int, Parameter]] = {}
    for leaf in old.leaves():
        for name in ("center", "q", "PA"):
            if name in leaf.parameters:
                first.setdefault(name, {}).setdefault(id(leaf.target), leaf.parameters[name])
    for leaf in new.leaves():
        for name, known in first.items():
            if name in leaf.parameters:
                _start_like(
                    known.get(id(leaf.target), next(iter(known.values()))), leaf.parameters[name]
                )


def _start_like(old: Parameter, new: Parameter) -> None:
    """Start the new one where the old one is, if it has no value of its own."""
    value = old.array
    if value is None or new.is_tied or new.array is not None:
        return
    low, high = new.bounds
    allowed = bool(np.all((value >= low) & (value <= high)))
    if old._sky is not None and not old.is_tied and allowed:
        new.value = old._sky
    else:
        new.propose(value)
