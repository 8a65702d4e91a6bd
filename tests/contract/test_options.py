# SPDX-License-Identifier: BSD-3-Clause
"""The options of the fit are the same in Python and in the core."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from jointlight.fit.options import LMOptions

HEADER = Path(__file__).resolve().parents[2] / "csrc" / "solve" / "options.hpp"


def core_options() -> dict[str, float | int | bool]:
    struct = re.search(r"struct LMOptions \{(.*?)\n\};", HEADER.read_text(), re.DOTALL)
    assert struct is not None
    found: dict[str, float | int | bool] = {}
    for kind, name, default in re.findall(
        r"^\s*(double|int|bool)\s+(\w+)\s*=\s*([^;]+);", struct.group(1), re.MULTILINE
    ):
        if kind == "bool":
            found[name] = default == "true"
        else:
            found[name] = float(default) if kind == "double" else int(default)
    return found


def test_names_and_defaults_are_the_same() -> None:
    mirrored = {field.name: field.default for field in fields(LMOptions)}
    assert mirrored == core_options()


def test_types_are_the_same() -> None:
    for name, default in core_options().items():
        assert type(getattr(LMOptions(), name)) is type(default), name


def test_every_option_is_documented() -> None:
    assert LMOptions.__doc__ is not None
    for field in fields(LMOptions):
        assert re.search(rf"\b{field.name}\b", LMOptions.__doc__), field.name
