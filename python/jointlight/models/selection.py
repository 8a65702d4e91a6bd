# SPDX-License-Identifier: BSD-3-Clause
"""Some of a model's components, by name, path, model or source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jointlight.errors import InvalidInput, did_you_mean, invalid

from .sources import Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jointlight.image import TargetImage
    from jointlight.parameters import Parameter

    from .base import Model
    from .component import Component


def walk(model: Model, prefix: str = "") -> Iterator[tuple[str, Model]]:
    """All models below a group, with their paths, each before what is in it.

    Parameters
    ----------
    model : Model
        A component has none below it.
    prefix : str, optional
        Path of the model itself.

    Yields
    ------
    path : str
    below : Model
    """
    stack = [(prefix, model)]
    while stack:
        path, one = stack.pop()
        if one is not model:
            yield path, one
        members: Sequence[Model] = getattr(one, "models", ())
        stack += [
            (f"{path}/{member.name}" if path else member.name, member)
            for member in reversed(members)
        ]


class Finder:
    """Finds the models below a group that names, paths, models and sources mean.

    Parameters
    ----------
    model : Model
    argument : str
        What the user's argument is called, for messages.
    """

    def __init__(self, model: Model, argument: str) -> None:
        self.model = model
        self.argument = argument
        self._known = {id(model), *(id(one) for _, one in walk(model))}
        self._by_name: dict[str, list[tuple[str, Model]]] | None = None
        self._sources: dict[str, Source] | None = None

    def find(self, wanted: object) -> list[Model]:
        """The models meant by a name, a path, a label, a model, a source, or several of them.

        ``"sky"`` means all skies where no model or source is called so.
        """
        single = isinstance(wanted, (str, int, np.integer, Source)) or hasattr(wanted, "leaves")
        if single and not isinstance(wanted, bool):
            wanted = [wanted]
        try:
            items = list(wanted)  # type: ignore[call-overload]
        except TypeError:
            raise self._refuse(wanted) from None
        found = [one for item in items for one in self._find_one(item)]
        return list({id(one): one for one in found}.values())

    def leaves(self, wanted: object) -> dict[int, Component]:
        """The single components of what is meant, by their ``id``."""
        return {id(leaf): leaf for one in self.find(wanted) for leaf in one.leaves()}

    def _find_one(self, item: object) -> Sequence[Model]:
        if isinstance(item, (int, np.integer)) and not isinstance(item, bool):
            item = str(item)  # a label of a segmentation map
        if isinstance(item, str):
            return self._named(item)
        if isinstance(item, Source):
            if not all(id(leaf) in self._known for leaf in item.components):
                raise InvalidInput(
                    f"{self.argument}: the source {item.name!r} is not one of {self.model.name!r}",
                    argument=self.argument,
                )
            return item.components
        if not hasattr(item, "leaves") or isinstance(item, type):
            raise self._refuse(item)
        if id(item) in self._known:
            return [item]  # type: ignore[list-item]
        name = getattr(item, "name", "")
        raise InvalidInput(
            f"{self.argument}: the model {name!r} is not in {self.model.name!r}"
            + ("; another one of that name is" if self._named_alike(name) else ""),
            argument=self.argument,
        )

    def _named(self, name: str) -> Sequence[Model]:
        """By path, as a source, or as the one model of that name at any depth."""
        model = self.model
        by_path = model.find_below(name) if hasattr(model, "find_below") else None
        if by_path is not None:
            return [by_path]
        if self._sources is None:
            self._sources = {source.name: source for source in model.sources}
        if name in self._sources:
            return self._sources[name].components
        alike = self._named_alike(name)
        if len(alike) == 1:
            return [alike[0][1]]
        if len(alike) > 1:
            paths = ", ".join(repr(path) for path, _ in alike[:4])
            more = f" and {len(alike) - 4} more" if len(alike) > 4 else ""
            raise InvalidInput(
                f"{self.argument}: {len(alike)} models of {model.name!r} are named {name!r}; "
                f"say which by path: {paths}{more}",
                argument=self.argument,
            )
        if name == model.name and not getattr(model, "models", ()):
            return [model]
        if name == "sky":
            skies = [leaf for leaf in model.leaves() if leaf.is_sky]
            if skies:
                return skies
        known = [member.name for member in getattr(model, "models", ())]
        known += [source for source in self._sources if source not in known]
        raise InvalidInput(
            f"{self.argument}: {model.name!r} has no member or source {name!r}"
            f"{did_you_mean(name, known)}",
            argument=self.argument,
        )

    def _named_alike(self, name: str) -> list[tuple[str, Model]]:
        if self._by_name is None:
            self._by_name = {}
            for path, one in walk(self.model):
                self._by_name.setdefault(one.name, []).append((path, one))
        return self._by_name.get(name, [])

    def _refuse(self, value: object) -> InvalidInput:
        return invalid(
            self.argument, value, "a sequence of names, paths, models or sources of the model"
        )


class Selection:
    """Some components of a model, to be compiled and drawn by themselves.

    Parameters
    ----------
    model : Model
    exclude : str, Model, Source, or sequence of them, optional
        Left out.
    only : the same, optional
        All others are left out.
    """

    def __init__(self, model: Model, *, exclude: Any = (), only: Any = None) -> None:
        self.model = model
        chosen = {id(leaf): leaf for leaf in model.leaves()}
        if only is not None:
            kept = Finder(model, "only").leaves(only)
            chosen = {key: leaf for key, leaf in chosen.items() if key in kept}
        for key in Finder(model, "exclude").leaves(exclude):
            chosen.pop(key, None)
        self._leaves = tuple(chosen.values())

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.model.name

    @property
    def all_parameters(self) -> Mapping[str, Parameter]:
        """All parameters of the model: what is left may be tied to what is not."""
        return self.model.all_parameters

    @property
    def images_modelled(self) -> tuple[TargetImage, ...]:
        """The model's images."""
        return self.model.images_modelled

    @property
    def sources(self) -> tuple[Source, ...]:
        """The model's sources, as far as they are left."""
        left = {id(leaf) for leaf in self._leaves}
        found = []
        for source in self.model.sources:
            components = tuple(leaf for leaf in source.components if id(leaf) in left)
            if components:
                found.append(Source(source.name, components, source.is_sky))
        return tuple(found)

    def leaves(self) -> tuple[Component, ...]:
        """The components that are left, in the model's order."""
        return self._leaves
