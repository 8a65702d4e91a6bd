# SPDX-License-Identifier: BSD-3-Clause
"""Which components stand for one object on the sky."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jointlight.parameters import dependency_order, resolve_affine

from .group import Group
from .joint import Joint

if TYPE_CHECKING:
    from .base import Model
    from .component import Component


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
    table. So are all components of a group that is a member of `model`, unless its centres are
    shared with other members, as where there is a group for every image. A sky stands for
    itself, or with the other images' skies of the same joint model.
    """
    leaves = model.leaves()
    number = {id(leaf): k for k, leaf in enumerate(leaves)}
    parent = list(range(len(leaves)))

    def find(k: int) -> int:
        while parent[k] != k:
            parent[k] = parent[parent[k]]
            k = parent[k]
        return k

    def merge(members: list[int]) -> None:
        for k in members[1:]:
            a, b = sorted((find(members[0]), find(k)))
            parent[b] = a

    by_centre: dict[int, list[int]] = {}
    for k, leaf in enumerate(leaves):
        if "center" in leaf.parameters:
            by_centre.setdefault(_centre_root(leaf), []).append(k)
    for members in by_centre.values():
        merge(members)

    tops = model.models if isinstance(model, Group) and not isinstance(model, Joint) else (model,)
    top_names: dict[int, str] = {}
    inside_of = [0] * len(leaves)
    for t, top in enumerate(tops):
        for leaf in top.leaves():
            inside_of[number[id(leaf)]] = t
    crossing = {
        t
        for members in by_centre.values()
        if len({inside_of[k] for k in members}) > 1
        for t in (inside_of[k] for k in members)
    }
    for t, top in enumerate(tops):
        objects = [number[id(leaf)] for leaf in top.leaves() if not leaf.is_sky]
        if t not in crossing and objects:
            merge(objects)
            top_names[find(objects[0])] = top.name
        for inner in _joints(top):
            skies = [number[id(leaf)] for leaf in inner.leaves() if leaf.is_sky]
            if skies:
                merge(skies)
                top_names[find(skies[0])] = inner.name

    joint_names = {id(leaf): j.name for j in _joints(model) for leaf in j.components}
    groups: dict[int, list[int]] = {}
    for k in range(len(leaves)):
        groups.setdefault(find(k), []).append(k)
    n_objects = sum(not leaves[root].is_sky for root in groups)
    found, taken = [], set[str]()
    for root, members in groups.items():
        is_sky = leaves[root].is_sky
        name = top_names.get(root, leaves[root].name)
        if n_objects == 1 and not is_sky and len(tops) > 1 and root not in top_names:
            name = model.name
        elif root not in top_names:
            name = joint_names.get(id(leaves[root]), name)
        unique, k = name, 1
        while unique in taken:
            k += 1
            unique = f"{name} {k}"
        taken.add(unique)
        found.append(Source(unique, tuple(leaves[k] for k in members), is_sky))
    return tuple(found)


def _centre_root(leaf: Component) -> int:
    """Identity of the parameter that a centre equals, up to an offset."""
    center = leaf.parameters["center"]
    if not center.is_tied:
        return id(center)
    single = resolve_affine(dependency_order([center]))[center].single
    if single is None or not np.all(single[1] == 1.0):
        return id(center)
    return id(single[0])


def _joints(model: Model) -> list[Joint]:
    if isinstance(model, Joint):
        return [model]
    if isinstance(model, Group):
        return [found for member in model.models for found in _joints(member)]
    return []
