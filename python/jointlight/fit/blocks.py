# SPDX-License-Identifier: BSD-3-Clause
"""Which free parameters are moved together in a block-coordinate fit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jointlight.errors import Described, InvalidInput, invalid
from jointlight.models.selection import Finder
from jointlight.parameters import Parameter, dependency_order

if TYPE_CHECKING:
    from jointlight.models import Model
    from jointlight.scene import Scene

__all__ = ["SHARED", "Block", "check_blocks", "make_blocks", "shortened", "side_by_side"]

SHARED = ("every", "first", "own block")
_LONGEST_NAME = 40  # characters


@dataclass(frozen=True)
class Block:
    """Free scalars that are moved together.

    Attributes
    ----------
    name : str
    active : ndarray of bool
        ``[n_free]``.
    """

    name: str
    active: NDArray[np.bool_]


def check_blocks(model: Model, blocks: Any) -> list[tuple[str, list[Parameter]]]:
    """Names and parameters of the blocks, tied ones included.

    Parameters
    ----------
    model : Model
    blocks : sequence or None
        A name, path, model, source or parameter for each block, or a list of them; None for the
        members of the model.

    Returns
    -------
    list of (str, list of Parameter)
    """
    if blocks is None:
        return [(one.name, parameters_of([one])) for one in members(model)]
    if isinstance(blocks, str) or hasattr(blocks, "leaves"):
        raise invalid("blocks", blocks, "a sequence of blocks", "Write [[...], [...]]")
    try:
        listed = list(blocks)
    except TypeError:
        raise invalid("blocks", blocks, "a sequence of blocks") from None
    if not listed:
        raise invalid("blocks", Described("an empty sequence"), "at least one block")
    finder = Finder(model, "blocks")
    known = {id(p) for p in dependency_order(model.all_parameters.values())}
    out = []
    for block in listed:
        items = block if isinstance(block, (list, tuple, set, frozenset)) else [block]
        if not items:
            raise invalid("blocks", Described("an empty block"), "a sequence of blocks")
        names: list[str] = []
        chosen: list[Parameter] = []
        for item in items:
            name, found = _resolve(model, finder, item)
            if not all(id(p) in known for p in found):
                raise InvalidInput(
                    f"blocks: {name} is not a parameter of {model.name!r}, and nothing in it "
                    "follows it",
                    argument="blocks",
                )
            names.append(name)
            chosen += found
        out.append((shortened(names), chosen))
    return out


def make_blocks(
    scene: Scene, chosen: Iterable[tuple[str, Sequence[Parameter]]], shared: str
) -> list[Block]:
    """Blocks of a scene's free scalars; what no block has makes one more.

    Parameters
    ----------
    scene : Scene
    chosen : iterable of (str, sequence of Parameter)
        As `check_blocks` returns them.
    shared : {"every", "first", "own block"}
        Where a parameter goes that several blocks depend on.

    Returns
    -------
    list of Block
        None of them empty.
    """
    index: dict[int, list[int]] = {}
    for i, (parameter, _) in enumerate(scene.free_parameters):
        index.setdefault(id(parameter), []).append(i)
    named = []
    times = np.zeros(scene.n_free, dtype=np.int64)
    for name, parameters in chosen:
        active = np.zeros(scene.n_free, dtype=bool)
        for parameter in dependency_order(parameters):
            active[index.get(id(parameter), [])] = True
        named.append((name, active))
        times += active
    if shared == "own block":
        for _, active in named:
            active &= times < 2
        named.append(("shared", times > 1))
    elif shared == "first":
        taken = np.zeros(scene.n_free, dtype=bool)
        for _, active in named:
            active &= ~taken
            taken |= active
    named.append(("others", times == 0))
    for group in scene.core.held_together():
        # the parameters of one ellipse move together, in every block that has one of them
        for _, active in named:
            active[group] = active[group].any()
    return [Block(name, active) for name, active in named if active.any()]


def side_by_side(scene: Scene, blocks: Sequence[Block]) -> list[list[Block]]:
    """Blocks in turns: those of a turn share no pixel, so that each is fitted as if alone.

    Parameters
    ----------
    scene : Scene
    blocks : sequence of Block

    Returns
    -------
    list of list of Block
        Each block is in the first turn that has room for it.
    """
    matrix = scene.slots.matrix.tocsc()
    reach = _windows_by_slot(scene)
    turns: list[list[Block]] = []
    occupied: list[NDArray[np.int64]] = []  # [n, 5] windows of each turn
    for block in blocks:
        columns = np.flatnonzero(block.active)
        starts, ends = matrix.indptr[columns], matrix.indptr[columns + 1]
        slots = {int(k) for a, b in zip(starts, ends, strict=True) for k in matrix.indices[a:b]}
        rows = {row for slot in slots for row in reach.get(slot, ())}
        mine = np.array(sorted(rows), dtype=np.int64).reshape(-1, 5)
        for k, theirs in enumerate(occupied):
            if not _overlap(mine, theirs):
                turns[k].append(block)
                occupied[k] = np.concatenate([theirs, mine])
                break
        else:
            turns.append([block])
            occupied.append(mine)
    return turns


def _windows_by_slot(scene: Scene) -> dict[int, set[tuple[int, int, int, int, int]]]:
    """Image and window of all that is drawn with a slot."""
    reach: dict[int, set[tuple[int, int, int, int, int]]] = {}
    for tile in scene.tiles:
        (x0, x1), (y0, y1) = tile.window
        for slot in (*tile.slots, *tile.image_slots):
            reach.setdefault(int(slot), set()).add((tile.image, x0, x1, y0, y1))
    return reach


def _overlap(a: NDArray[np.int64], b: NDArray[np.int64]) -> bool:
    """Whether any window of one set shares a pixel with one of the other, [n, 5] and [m, 5]."""
    for image, x0, x1, y0, y1 in a:
        meets = (b[:, 0] == image) & (b[:, 1] < x1) & (x0 < b[:, 2])
        if np.any(meets & (b[:, 3] < y1) & (y0 < b[:, 4])):
            return True
    return False


def members(model: Model) -> list[Model]:
    """The members fitted in turn.

    Parameters
    ----------
    model : Model
        A group or a single model.

    Returns
    -------
    list of Model
        Its top-level members; the model itself if it is not a group, or one joint source.
    """
    if hasattr(model, "shared_parameters") or not hasattr(model, "models"):
        return [model]
    return list(model.models)


def parameters_of(models: Iterable[Model]) -> list[Parameter]:
    """Parameters of models, those of images left aside."""
    return [p for model in models for _, p in model.named_parameters()]


def _resolve(model: Model, finder: Finder, item: Any) -> tuple[str, list[Parameter]]:
    if isinstance(item, Parameter):
        return item.label, [item]
    if isinstance(item, str):
        found = _parameters_at(model, item)
        if found:
            return item, found
    models = finder.find([item])
    return getattr(item, "name", str(item)), parameters_of(models)


def _parameters_at(model: Model, path: str) -> list[Parameter]:
    """The parameter at a path, or all of a parameter that there is one of an image."""
    try:
        found = model[path]
    except InvalidInput:
        return []
    if isinstance(found, Parameter):
        return [found]
    return [] if hasattr(found, "leaves") else list(found.values())


def shortened(names: Sequence[str]) -> str:
    """Names in a line, or the first and how many more.

    Parameters
    ----------
    names : sequence of str

    Returns
    -------
    str
    """
    text = ", ".join(names)
    if len(text) > _LONGEST_NAME and len(names) > 1:
        text = f"{names[0]} and {len(names) - 1} more"
    return text
