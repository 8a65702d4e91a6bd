# SPDX-License-Identifier: BSD-3-Clause
"""Bit flags of fit results, declared once.

The ``flags`` columns of `~jointlight.FitResult.table` and `~jointlight.FitResult.sources` are
integers whose bits are listed here; `decode` turns one into names.

Examples
--------
>>> from jointlight import flags
>>> flags.decode(flags.AT_BOUND | flags.NO_ERROR)
['at_bound', 'no_error']
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, overload

from jointlight.errors import did_you_mean, invalid

__all__ = [
    "AT_BOUND",
    "CENTER_OUTSIDE",
    "DEGENERATE",
    "FLAGS",
    "INTERRUPTED",
    "LOST",
    "NEGATIVE_FLUX",
    "NOT_CONVERGED",
    "NO_DATA",
    "NO_ERROR",
    "PA_UNDEFINED",
    "Flag",
    "decode",
    "encode",
]


@dataclass(frozen=True)
class Flag:
    """One bit of a ``flags`` column.

    Attributes
    ----------
    name : str
        Identifier, as `decode` returns it.
    bit : int
        Value of the bit, a power of two.
    short : str
        A few words, for tables.
    long : str
        What it means and what to do about it, for the documentation.
    """

    name: str
    bit: int
    short: str
    long: str


FLAGS: Final[tuple[Flag, ...]] = (
    Flag(
        "at_bound",
        1 << 0,
        "at its bound",
        "The parameter ended at one of its limits. It is left out of the covariance and has no "
        "error; the other errors hold for this value of it.",
    ),
    Flag(
        "degenerate",
        1 << 1,
        "not constrained by the data",
        "The data do not constrain this parameter, or only a combination of it with others. It "
        "has no error; fix it, tie it, give it a prior, or simplify the model.",
    ),
    Flag(
        "no_error",
        1 << 2,
        "no error",
        "No error could be computed for this value, or for something it depends on.",
    ),
    Flag(
        "pa_undefined",
        1 << 3,
        "PA undefined (round)",
        "The axis ratio is 1 within its error, so the position angle carries no information.",
    ),
    Flag(
        "negative_flux",
        1 << 4,
        "flux not positive",
        "The flux is zero or negative in at least one image: its magnitude is NaN. The flux and "
        "its error remain meaningful.",
    ),
    Flag(
        "not_converged",
        1 << 5,
        "fit not converged",
        "The fit, or in the table of sources the part of it that holds the source, ended without "
        "meeting a convergence test; see the result's message and the source's status.",
    ),
    Flag(
        "interrupted",
        1 << 6,
        "interrupted",
        "The fit was stopped from outside (keyboard, time limit or callback); the values are the "
        "best met so far.",
    ),
    Flag(
        "center_outside",
        1 << 7,
        "centre outside every image",
        "The source's centre lies outside all the images it was fitted to.",
    ),
    Flag(
        "lost",
        1 << 8,
        "lost",
        "The source ran away during the fit: it is not drawn any more, because it left its windows "
        "or its size degenerated. Its values mean nothing; its neighbours are not affected. Check "
        "its start, give it limits or priors, or remove it.",
    ),
    Flag(
        "no_data",
        1 << 9,
        "no usable pixel",
        "No pixel with weight lies in the source's windows, so that its values are those it "
        "started with.",
    ),
)

_BY_NAME: Final = {flag.name: flag for flag in FLAGS}

AT_BOUND: Final[int] = _BY_NAME["at_bound"].bit
DEGENERATE: Final[int] = _BY_NAME["degenerate"].bit
NO_ERROR: Final[int] = _BY_NAME["no_error"].bit
PA_UNDEFINED: Final[int] = _BY_NAME["pa_undefined"].bit
NEGATIVE_FLUX: Final[int] = _BY_NAME["negative_flux"].bit
NOT_CONVERGED: Final[int] = _BY_NAME["not_converged"].bit
INTERRUPTED: Final[int] = _BY_NAME["interrupted"].bit
CENTER_OUTSIDE: Final[int] = _BY_NAME["center_outside"].bit
LOST: Final[int] = _BY_NAME["lost"].bit
NO_DATA: Final[int] = _BY_NAME["no_data"].bit


@overload
def decode(value: int, *, style: Literal["name", "short", "long"] = ...) -> list[str]: ...
@overload
def decode(
    value: Iterable[int], *, style: Literal["name", "short", "long"] = ...
) -> list[list[str]]: ...
def decode(
    value: int | Iterable[int], *, style: Literal["name", "short", "long"] = "name"
) -> list[str] | list[list[str]]:
    """Names of the bits set in a flag value, or in each of several.

    Parameters
    ----------
    value : int or iterable of int
        Flag value, or a ``flags`` column.
    style : {"name", "short", "long"}, optional
        Which text to return for each bit.

    Returns
    -------
    list of str, or list of list of str
        One entry per bit set, lowest bit first.

    Raises
    ------
    ValueError
        If a bit is set that no flag has.
    """
    if isinstance(value, Iterable):
        return [decode(int(item), style=style) for item in value]
    value = int(value)
    known = sum(flag.bit for flag in FLAGS)
    if value < 0 or value & ~known:
        raise invalid("value", value, f"made of the flags' bits, at most {known}")
    return [str(getattr(flag, style)) for flag in FLAGS if value & flag.bit]


def encode(names: Iterable[str]) -> int:
    """Flag value with the named bits set.

    Parameters
    ----------
    names : iterable of str
        Flag names.

    Returns
    -------
    int
        The bits of all names together.
    """
    value = 0
    for name in names:
        if name not in _BY_NAME:
            raise invalid("names", name, "a flag's name", did_you_mean(name, _BY_NAME))
        value |= _BY_NAME[name].bit
    return value
