# SPDX-License-Identifier: BSD-3-Clause
"""Which light components make up each source, and what tells them apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jointlight.result.slots import Component, SlotState

if TYPE_CHECKING:
    from jointlight.image import TargetImage

__all__ = ["Part", "labelled", "source_components"]


def source_components(state: SlotState) -> dict[int, list[Component]]:
    """Components of each source; sky, which has none, left out.

    Parameters
    ----------
    state : SlotState
        The slots.

    Returns
    -------
    dict of int to list of Component
        By source index, in the model's order.
    """
    sources: dict[int, list[Component]] = {}
    for component in state.components:
        if component.source >= 0 and "x" in component.slot_names:
            sources.setdefault(component.source, []).append(component)
    return sources


@dataclass(frozen=True)
class Part:
    """One component of a source, with what it is called among the others."""

    component: Component
    label: str


def _paths(state: SlotState) -> list[str]:
    """Path of each component below the model, from the names its slots answer to."""
    candidates: dict[int, list[str]] = {}
    for key, slot in state.keys.items():
        if "/" in key:
            candidates.setdefault(slot, []).append(key)
    taken: set[str] = set()
    paths = []
    for component in state.components:
        last = component.slot_names[-1]
        path = component.name
        for key in candidates.get(component.slots[-1], []):
            head = key.removesuffix(f"/{last}")
            if head == key or head in taken or not head.endswith(component.name):
                continue
            pairs = zip(component.slot_names, component.slots, strict=True)
            if all(state.keys.get(f"{head}/{name}") == slot for name, slot in pairs):
                path = head
                break
        taken.add(path)
        paths.append(path)
    return paths


def labelled(
    groups: Sequence[Sequence[Component]], state: SlotState, images: Sequence[TargetImage]
) -> list[list[Part]]:
    """Components of each source with labels that tell those in one image apart.

    The label is the component's name, or its joint model's; the path where names are not unique.
    """
    path_of = {id(c): path for c, path in zip(state.components, _paths(state), strict=True)}
    out = []
    for group in groups:
        heads = []
        for component in group:
            path, image = path_of[id(component)], images[component.image].name
            # A joint model's members are called as their images.
            stem = path.removesuffix(f"/{image}")
            heads.append(stem if component.name == image and stem != path else path)
        short = [head.rpartition("/")[2] for head in heads]
        pairs = {(c.image, name) for c, name in zip(group, short, strict=True)}
        labels = short if len(pairs) == len(group) else heads
        out.append([Part(c, label) for c, label in zip(group, labels, strict=True)])
    return out
