# SPDX-License-Identifier: BSD-3-Clause
"""Models and parameters as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jointlight.errors import InvalidInput, did_you_mean

if TYPE_CHECKING:
    from jointlight.parameters import Parameter

    from .base import Model

_MOST_MEMBERS = 20  # of a group that are printed; long groups show their ends
_MOST_ROWS = 100  # of a table of parameters


class ParameterView(Mapping[str, "Parameter"]):
    """Parameters by name; prints as a table.

    Parameters
    ----------
    parameters : dict
        Parameters by name or path.
    """

    def __init__(self, parameters: dict[str, Parameter]) -> None:
        self._parameters = parameters

    def __getitem__(self, key: str) -> Parameter:
        try:
            return self._parameters[key]
        except KeyError:
            raise InvalidInput(
                f"there is no parameter {key!r}{did_you_mean(key, self._parameters)}"
            ) from None

    def get(self, key: str, default: Any = None) -> Any:
        """Parameter, or the default where there is none of the name."""
        return self._parameters.get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self._parameters

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)

    def __repr__(self) -> str:
        n = len(self._parameters)
        if n <= _MOST_ROWS:
            return "\n".join(table(self._parameters)) if n else "(no parameters)"
        names, half = list(self._parameters), _MOST_ROWS // 2
        lines = table({name: self._parameters[name] for name in (*names[:half], *names[-half:])})
        return "\n".join([*lines[:half], f"... {n - 2 * half} more", *lines[half:]])


def table(parameters: Mapping[str, Parameter]) -> list[str]:
    """One line a parameter: name, value, unit, state, limits and prior, in columns."""
    rows = []
    for name, p in parameters.items():
        notes = []
        if not p.is_tied:
            notes = [_range(p), "" if p.prior is None else _prior(p)]
        unit = str(p.unit)
        rows.append((name, _value(p), unit, p.state(), " ".join(note for note in notes if note)))
    widths = [max((len(row[k]) for row in rows), default=0) for k in range(4)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*cells, row[4]]).rstrip())
    return lines


def tree(model: Model) -> str:
    """The model with all below it, one line a parameter."""
    lines = _lines(model)
    for image, calibration in model.calibrations.items():
        lines.append(f"calibration of image {image!r}")
        lines += [f"  {line}" for line in table(dict(calibration))]
    return "\n".join(lines)


def _lines(model: Model) -> list[str]:
    from .group import Group
    from .joint import Joint

    if not isinstance(model, Group):
        (x0, x1), (y0, y1) = model.window  # type: ignore[attr-defined]
        place = f"image {model.target.name!r}"  # type: ignore[union-attr]
        if (x0, x1, y0, y1) != (0, model.target.shape[1], 0, model.target.shape[0]):  # type: ignore[union-attr]
            place += f", window x {x0}:{x1}, y {y0}:{y1}"
        return [f"{model.name} ({model.model_type}, {place})"] + [
            f"  {line}" for line in table(model.parameters)
        ]
    n_images = len(model.images_modelled)
    where = f"{n_images} image{'s' if n_images > 1 else ''}"
    lines = [f"{model.name} ({model.model_type}, {where})"]
    if isinstance(model, Joint) and model.extra_parameters:
        lines += [f"│  {line}" for line in table(model.extra_parameters)]
    blocks = [_lines(member) for member in _ends(model.models)]
    left_out = len(model.models) - len(blocks)
    if left_out:
        blocks.insert(len(blocks) // 2, [f"... {left_out} more"])
    for k, block in enumerate(blocks):
        last = k == len(blocks) - 1
        lines.append(f"{'└─ ' if last else '├─ '}{block[0]}")
        lines += [f"{'   ' if last else '│  '}{line}" for line in block[1:]]
    return lines


def _ends(members: tuple[Model, ...]) -> tuple[Model, ...]:
    if len(members) <= _MOST_MEMBERS:
        return members
    half = _MOST_MEMBERS // 2
    return (*members[:half], *members[-half:])


def _value(p: Parameter) -> str:
    try:
        array = p.array
    except InvalidInput:
        return "invalid"
    if array is None:
        return "unset"
    values = np.ravel(array)
    if p.uncertainty is None:
        texts = [f"{value:.6g}" for value in values]
    else:
        errors = np.ravel(p.uncertainty)
        texts = [_with_error(v, e) for v, e in zip(values, errors, strict=True)]
    return texts[0] if array.ndim == 0 else "(" + ", ".join(texts) + ")"


def _with_error(value: float, error: float) -> str:
    """``12.345 ± 0.012``: two digits of the error, the value to the same place."""
    if not np.isfinite(error) or error <= 0.0:
        return f"{value:.6g} ± {'?' if not np.isfinite(error) else '0'}"
    place = int(np.floor(np.log10(error))) - 1
    size = int(np.floor(np.log10(abs(value)))) if value != 0.0 else place
    if -6 <= place <= 0 and size < 7:
        return f"{value:.{-place}f} ± {error:.{-place}f}"
    return f"{value:.{max(size - place, 1) + 1}g} ± {error:.2g}"


def _range(p: Parameter) -> str:
    low, high = p.bounds
    if np.all(np.isinf(low)) and np.all(np.isinf(high)):
        return ""
    if np.all(low == low.flat[0]) and np.all(high == high.flat[0]):
        a, b = float(low.flat[0]), float(high.flat[0])
        is_open = not np.isfinite(a) or (p.domain.low_open and a == p.domain.low)
        return f"{'(' if is_open else '['}{a:g}, {b:g}{']' if np.isfinite(b) else ')'}"
    return f"limits {p.limits}"


def _prior(p: Parameter) -> str:
    prior = p.prior
    assert prior is not None
    return f"prior {prior.mean} ± {prior.sigma}"
