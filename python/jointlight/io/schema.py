# SPDX-License-Identifier: BSD-3-Clause
"""Checks of hand-written job files: unknown keys and wrong types, with the place named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jointlight.errors import InvalidInput, describe_value, did_you_mean

__all__ = ["JobError", "Key", "Section"]


class JobError(InvalidInput):
    """Something in a job file that cannot be used; the message names file, table and key."""


_WORDS = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a table",
}


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key of a table.

    Attributes
    ----------
    types : tuple of type
        What its value may be; float takes whole numbers as well.
    text : str
        What it means.
    required : bool
        Must be there.
    choices : tuple of str
        The texts it may be, if not any.
    """

    types: tuple[type, ...]
    text: str
    required: bool = False
    choices: tuple[str, ...] = ()

    def accepts(self, value: object) -> bool:
        """Whether a value has one of the types.

        Parameters
        ----------
        value : object
            What the file holds.

        Returns
        -------
        bool
            True if it does.
        """
        if isinstance(value, bool):
            return bool in self.types
        if isinstance(value, int) and float in self.types:
            return True
        return isinstance(value, self.types)


def _key_hint(key: str, known: Iterable[str]) -> str:
    return did_you_mean(key, known, list_at_most=20)


@dataclass(frozen=True, kw_only=True)
class Section:
    """One kind of table and its keys.

    Attributes
    ----------
    name : str
        Name of the table in the file.
    keys : dict of str to Key
        Its keys.
    hint : callable
        Leads from a key that does not exist and those that do to the right one.
    """

    name: str
    keys: Mapping[str, Key] = field(default_factory=dict)
    hint: Callable[[str, Iterable[str]], str] = _key_hint

    def check(self, table: object, *, where: str) -> dict[str, Any]:
        """The table, if it is what it should be.

        Parameters
        ----------
        table : object
            What the file holds.
        where : str
            The place, for messages: ``job.toml, image 'r'``.

        Returns
        -------
        dict
            The table.
        """
        if not isinstance(table, Mapping):
            raise JobError(f"{where}: must be a table, not {describe_value(table)}")
        for key, value in table.items():
            if key not in self.keys:
                raise JobError(f"{where}: unknown key {key!r}{self.hint(key, self.keys)}")
            known = self.keys[key]
            if not known.accepts(value):
                words = " or ".join(dict.fromkeys(_WORDS[t] for t in known.types))
                raise JobError(
                    f"{where}: {key} must be {words} ({known.text}), not {describe_value(value)}"
                )
            if known.choices and isinstance(value, str) and value not in known.choices:
                hint = did_you_mean(value, known.choices)
                raise JobError(f"{where}: {key} = {value!r} is not known{hint}")
        for key, known in self.keys.items():
            if known.required and key not in table:
                raise JobError(f"{where}: {key} is missing ({known.text})")
        return dict(table)


def existing_file(base: Path, name: str, *, where: str) -> Path:
    """A file named in a job, relative to the job file.

    Parameters
    ----------
    base : Path
        Folder of the job file.
    name : str
        As written.
    where : str
        The place, for messages.

    Returns
    -------
    Path
        Where it is.
    """
    path = Path(name).expanduser()
    path = path if path.is_absolute() else base / path
    if not path.is_file():
        folder = path.parent
        others = [p.name for p in folder.iterdir()] if folder.is_dir() else []
        hint = did_you_mean(path.name, others, list_at_most=6)
        raise JobError(f"{where}: there is no file {path}" + hint)
    return path


def unique_names(tables: Sequence[Mapping[str, Any]], kind: str, *, where: str) -> None:
    """Check that named tables have different names.

    Parameters
    ----------
    tables : sequence of dict
        Tables with a ``name``.
    kind : str
        What they are.
    where : str
        The place, for messages.
    """
    names = [table["name"] for table in tables]
    for name in names:
        if names.count(name) > 1:
            raise JobError(f"{where}: {names.count(name)} {kind}s are called {name!r}")
