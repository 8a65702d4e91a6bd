# SPDX-License-Identifier: BSD-3-Clause
"""Exceptions and warnings, and the wording they share.

Raise `InvalidInput` for anything a caller passed (it is a `ValueError`), `JointlightError` or a
subclass for what went wrong in spite of good input, and warn with `JointlightWarning` where the
work can go on but the user should know.
"""

from __future__ import annotations

import difflib
import sys
import warnings
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "BackendUnavailable",
    "Described",
    "DeviceFailed",
    "InvalidInput",
    "JointlightError",
    "JointlightWarning",
    "describe_value",
    "did_you_mean",
    "invalid",
    "option_hint",
    "warn_user",
]

_LONGEST_VALUE = 80  # characters of a value's repr that are quoted in a message


class JointlightError(Exception):
    """Base class of the errors that jointlight raises on its own account."""


class JointlightWarning(UserWarning):
    """Something was assumed or left out that the user should know about."""


class DeviceFailed(JointlightError, RuntimeError):
    """A device failed while it computed: what it said. `fit_many` goes on without it instead."""


class BackendUnavailable(JointlightError, RuntimeError):
    """The backend that was asked for is not in this installation or cannot run here.

    Parameters
    ----------
    backend : str
        Name of the backend.
    reason : str
        Why it is not available.
    """

    def __init__(self, backend: str, reason: str) -> None:
        super().__init__(f"backend {backend!r} is not available: {reason}")
        self.backend = backend
        self.reason = reason

    def __reduce__(self) -> tuple[type[BackendUnavailable], tuple[str, str]]:
        return type(self), (self.backend, self.reason)


class InvalidInput(JointlightError, ValueError):
    """An argument that cannot be used; `invalid` writes the usual message.

    Parameters
    ----------
    message : str
        Names the argument, what was passed, what is allowed and what to do about it.
    argument : str, optional
        Name of the argument, for programs that look.
    """

    def __init__(self, message: str, *, argument: str | None = None) -> None:
        super().__init__(message)
        self.argument = argument


def invalid(
    argument: str, value: object, allowed: str, suggestion: str | None = None
) -> InvalidInput:
    """Return the exception for an argument that cannot be used.

    Parameters
    ----------
    argument : str
        Name of the argument, as the caller wrote it.
    value : object
        What was passed; arrays are described by shape and type instead of being printed, a
        `Described` is printed as it stands.
    allowed : str
        What would have been accepted, to be read after "must be".
    suggestion : str, optional
        What to do, or what `did_you_mean` returned.

    Returns
    -------
    InvalidInput
        To be raised by the caller.
    """
    text = f"{argument} must be {allowed}, not {describe_value(value)}"
    hint = (suggestion or "").lstrip(". ")
    if hint:
        text += f". {hint[0].upper()}{hint[1:]}"
    return InvalidInput(text, argument=argument)


class Described(str):
    """Text that stands for a value in a message and is printed without quotes."""

    __slots__ = ()


def describe_value(value: object) -> str:
    """Return a short text for `value`, fit for an error message.

    Parameters
    ----------
    value : object
        Anything; arrays are described by shape and type, long texts are cut.

    Returns
    -------
    str
        One line of text.
    """
    if isinstance(value, Described):
        return str(value)
    if isinstance(value, np.ndarray) and value.size > 8:
        return f"an array of shape {value.shape} and type {value.dtype}"
    text = " ".join(repr(value).split())
    if len(text) > _LONGEST_VALUE:
        text = f"{text[: _LONGEST_VALUE - 3]}..."
    return text


def did_you_mean(name: object, options: Iterable[str], *, list_at_most: int = 12) -> str:
    """Return what leads from a wrong name to a right one, to be put behind a message.

    Parameters
    ----------
    name : object
        What the user wrote.
    options : iterable of str
        The names that exist.
    list_at_most : int
        All options are listed when there are no more than this many.

    Returns
    -------
    str
        For instance ``". Did you mean 'Re'? It can be 'Re', 'n' or 'q'"``; empty where there
        are no options.
    """
    known = [str(option) for option in dict.fromkeys(options)]
    if not known:
        return ""
    folded: dict[str, str] = {}
    for option in known:
        folded.setdefault(option.casefold(), option)
    close = difflib.get_close_matches(str(name).casefold(), folded, n=1, cutoff=0.6)
    text = f". Did you mean {folded[close[0]]!r}?" if close else ""
    separator = " " if close else ". "
    if len(known) <= list_at_most:
        text += f"{separator}It can be " + ", ".join(map(repr, known[:-1]))
        text += (" or " if len(known) > 1 else "") + repr(known[-1])
    elif not close:
        first = ", ".join(map(repr, known[:list_at_most]))
        text += f"{separator}It can be one of {len(known)} names, among them {first}"
    return text


def option_hint(name: str, options: Iterable[str]) -> str:
    """Return what leads from a fit's option that does not exist to one that does.

    Parameters
    ----------
    name : str
        What the user wrote.
    options : iterable of str
        The options that exist.

    Returns
    -------
    str
        As of `did_you_mean`, but knows what other packages call things.
    """
    known = list(options)
    if name == "device" and "backend" in known:
        return ". Did you mean 'backend'?"
    stops = [f"{one!r}" for one in ("ftol", "xtol", "gtol") if one in known]
    if name in ("tol", "tolerance", "ftolerance", "xtolerance", "gtolerance") and stops:
        listed = " or ".join(filter(None, (", ".join(stops[:-1]), stops[-1])))
        return f". It can be {listed} (when to stop)"
    return did_you_mean(name, known, list_at_most=20)


def warn_user(message: str) -> None:
    """Issue a `JointlightWarning` that points at the user's line.

    Parameters
    ----------
    message : str
        What the user should know, and what to do about it.
    """
    level = 2
    frame = sys._getframe(1)
    package = __name__.partition(".")[0]
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        frame = frame.f_back
        level += 1
    warnings.warn(message, JointlightWarning, stacklevel=level)
