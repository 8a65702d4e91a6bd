# SPDX-License-Identifier: BSD-3-Clause
"""Model classes by type name; a class enters by being defined."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jointlight.errors import InvalidInput, did_you_mean

if TYPE_CHECKING:
    from .base import Model
    from .component import Component

_CLASSES: dict[str, type[Model]] = {}


def register(cls: type[Model]) -> None:
    """Make a class known under each of its ``type_names``; the first is the usual one."""
    for name in cls.type_names:
        key = _key(name)
        other = _CLASSES.get(key)
        if other is not None and (other.__module__, other.__qualname__) != (
            cls.__module__,
            cls.__qualname__,
        ):
            raise InvalidInput(
                f"model type {name!r} of {cls.__qualname__} is taken by {other.__qualname__}"
            )
        _CLASSES[key] = cls


def find_class(type_name: object) -> type[Model]:
    """Return the class for a type name.

    Parameters
    ----------
    type_name : str
        ``"sersic galaxy"``; case, hyphens and a last word ``model`` or ``galaxy`` do not matter.

    Returns
    -------
    type
        A subclass of `Model`.
    """
    if not isinstance(type_name, str):
        raise InvalidInput(
            f"model_type must be a string such as 'sersic galaxy', not {type_name!r}",
            argument="model_type",
        )
    found = _CLASSES.get(_key(type_name))
    if found is None:
        aliases = [name for cls in _CLASSES.values() for name in cls.type_names]
        hint = did_you_mean(type_name, aliases, list_at_most=0)
        if "mean" not in hint:
            hint = did_you_mean(type_name, model_types(), list_at_most=100)
        raise InvalidInput(
            f"there is no model type {type_name!r}{hint}",
            argument="model_type",
        )
    return found


def model_types() -> list[str]:
    """Return the usual names of all model types, sorted."""
    return sorted({cls.type_names[0] for cls in _CLASSES.values()})


def component_classes() -> list[type[Component]]:
    """Return every class of single components, by type name."""
    from .component import Component

    classes = {cls for cls in _CLASSES.values() if issubclass(cls, Component)}
    return sorted(classes, key=lambda cls: cls.type_names[0])


def _key(name: str) -> str:
    words = re.split(r"[\s_\-]+", name.strip().casefold())
    if len(words) > 1 and words[-1] == "model":
        words.pop()
    if len(words) > 1 and words[-1] == "galaxy":
        words.pop()
    return " ".join(words)
