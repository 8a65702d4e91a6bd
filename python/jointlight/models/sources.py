# SPDX-License-Identifier: BSD-3-Clause
"""Which components stand for one object on the sky."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from jointlight.errors import InvalidInput
from jointlight.parameters import LinearTie, dependency_order, resolve_affine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .base import Model
    from .component import Component

# Bulge, disc, bar and nucleus, each with a centre of its own; a group of more is a field.
_MOST_CENTRES = 4


@dataclass(frozen=True)
class Source:
    """Components that stand for one object, in one image or several.

    Attributes
    ----------
    name : str
    components : tuple of Component
    is_sky : bool
    """

    name: str
    components: tuple[Component, ...]
    is_sky: bool


def find_sources(model: Model) -> tuple[Source, ...]:
    """Group a model's components into objects.

    Components whose centres are one and the same parameter (tied, an offset allowed) are one
    source, so that a galaxy in three bands or a concentric bulge and disc is one row of a
    table. So are all components of a joint model, and of a group inside `model` that stands for
    an object: one that holds no sky and no further groups, shares no centre with components
    outside, and has one centre, or at most four where the group is not one of several for an
    image each. All other groups are looked through. A sky stands for itself, or with the other
    images' skies of the same joint model.
    """
    leaves = model.leaves()
    number = {id(leaf): k for k, leaf in enumerate(leaves)}
    if len(number) < len(leaves):
        twice = next(leaf for k, leaf in enumerate(leaves) if number[id(leaf)] != k)
        raise InvalidInput(
            f"{twice.name!r} is in {model.name!r} twice; use .copy(name=...) for a second one"
        )
    merged = _Merged(len(leaves))
    centre = [_centre_root(leaf) if "center" in leaf.parameters else 0 for leaf in leaves]
    by_centre: dict[int, list[int]] = {}
    for k, root in enumerate(centre):
        if root:
            by_centre.setdefault(root, []).append(k)
    for members in by_centre.values():
        merged.merge(members)

    names: dict[int, str] = {}
    second_names: dict[int, str] = {}
    n_images = len({id(leaf.target) for leaf in leaves})
    for unit in _units(model):
        inside = [number[id(leaf)] for leaf in unit.leaves()]
        objects = [k for k in inside if not leaves[k].is_sky]
        skies = [k for k in inside if leaves[k].is_sky]
        closed = _shares_no_centre(objects, centre, by_centre)
        if _is_joint(unit):
            if skies:
                merged.merge(skies)
                names.setdefault(merged.find(skies[0]), unit.name)
            elif closed:
                merged.merge(objects)
                names.setdefault(merged.find(objects[0]), unit.name)
            else:
                second_names.setdefault(merged.find(objects[0]), unit.name)
        elif objects and closed and not skies and _is_object(objects, centre, leaves, n_images):
            merged.merge(objects)
            names[merged.find(objects[0])] = unit.name

    groups: dict[int, list[int]] = {}
    for k in range(len(leaves)):
        groups.setdefault(merged.find(k), []).append(k)
    named = {merged.find(k): name for k, name in names.items()}
    objects = [root for root in groups if not leaves[root].is_sky]
    has_members = len(getattr(model, "models", ())) > 1
    if len(objects) == 1 and has_members and objects[0] not in named:
        named[objects[0]] = model.name
    named = {merged.find(k): name for k, name in second_names.items()} | named
    found, taken = [], set[str]()
    for root, members in groups.items():
        unique = _unique(named.get(root, leaves[root].name), taken)
        taken.add(unique)
        found.append(Source(unique, tuple(leaves[k] for k in members), leaves[root].is_sky))
    return tuple(found)


class _Merged:
    """Disjoint sets of numbers; each goes by its smallest."""

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))

    def find(self, k: int) -> int:
        parent = self._parent
        while parent[k] != k:
            parent[k] = parent[parent[k]]
            k = parent[k]
        return k

    def merge(self, members: Sequence[int]) -> None:
        for k in members[1:]:
            a, b = sorted((self.find(members[0]), self.find(k)))
            self._parent[b] = a


def _shares_no_centre(
    objects: Sequence[int], centre: Sequence[int], by_centre: dict[int, list[int]]
) -> bool:
    inside = set(objects)
    return all(inside.issuperset(by_centre[centre[k]]) for k in objects if centre[k])


def _is_object(
    objects: Sequence[int], centre: Sequence[int], leaves: Sequence[Component], n_images: int
) -> bool:
    """Whether the components of a group are close enough to stand for one object."""
    n_centres = len({centre[k] for k in objects})
    # On one of several images, more than one centre is what is seen there, not one object.
    of_an_image = n_images > 1 and len({id(leaves[k].target) for k in objects}) == 1
    return n_centres == 1 or (n_centres <= _MOST_CENTRES and not of_an_image)


def _units(model: Model) -> Iterator[Model]:
    """What may stand for an object: joint models, and groups without groups in them."""
    if _is_joint(model):
        yield model
        return
    stack = list(reversed(model.models)) if isinstance(model, _HasMembers) else []
    while stack:
        one = stack.pop()
        if _is_joint(one):
            yield one
        elif isinstance(one, _HasMembers):
            inner = [member for member in one.models if isinstance(member, _HasMembers)]
            if all(_is_joint(member) for member in inner):
                yield one  # before the joint models in it, so that its name counts
            stack += reversed(inner)


@runtime_checkable
class _HasMembers(Protocol):
    @property
    def models(self) -> tuple[Model, ...]: ...


def _is_joint(model: object) -> bool:
    return hasattr(model, "shared_parameters")


def _unique(name: str, taken: set[str]) -> str:
    unique, k = name, 1
    while unique in taken:
        k += 1
        unique = f"{name} {k}"
    return unique


def _centre_root(leaf: Component) -> int:
    """Identity of the parameter that a centre equals, up to an offset or a motion."""
    center = leaf.parameters["center"]
    while isinstance(tie := center.current_tie, LinearTie) and tie.is_identity:
        center = tie.inputs[0]  # by far the most ties, and quickly followed
    if not center.is_tied:
        return id(center)
    single = resolve_affine(dependency_order([center]))[center].single
    if single is None or not np.all(single[1] == 1.0):
        return id(center)
    return id(single[0])
