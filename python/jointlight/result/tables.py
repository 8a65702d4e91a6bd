# SPDX-License-Identifier: BSD-3-Clause
"""Tables of a result: one row a free parameter, one row a source, one row a trial step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.table import QTable
from numpy.typing import NDArray

from jointlight import flags
from jointlight.errors import InvalidInput
from jointlight.result.derived import (
    Quantities,
    Sparse1,
    magnitude,
    mean_brightness,
    source_flux,
)
from jointlight.result.slots import Component, FloatArray, SlotState, only_at_bound, propagate

if TYPE_CHECKING:
    from jointlight.image import TargetImage
    from jointlight.result.fit_result import FitResult

__all__ = ["history_table", "parameter_table", "source_components", "source_table"]

# Standard deviation of an angle about which nothing is known, uniform over 180 degrees.
_UNIFORM_PA = 180.0 / math.sqrt(12.0)

_RESERVED = ("name", "model", "ra", "dec", "flags")

_UNITS = {
    "x": u.arcsec,
    "y": u.arcsec,
    "PA": u.deg,
    "Re": u.arcsec,
    "Rd": u.arcsec,
    "sigma": u.arcsec,
}


def parameter_table(result: FitResult) -> QTable:
    """One row a free scalar parameter.

    Parameters
    ----------
    result : FitResult
        The result.

    Returns
    -------
    QTable
        Columns name, model, value, error, unit, init, lower, upper, flags.
    """
    table = QTable()
    table["name"] = [p.name for p in result.parameters] or np.array([], dtype=str)
    table["model"] = [p.model for p in result.parameters] or np.array([], dtype=str)
    table["value"] = result.values
    table["error"] = result.errors
    table["unit"] = [p.unit for p in result.parameters] or np.array([], dtype=str)
    table["init"] = result.initial
    table["lower"] = np.array([p.lower for p in result.parameters], dtype=float)
    table["upper"] = np.array([p.upper for p in result.parameters], dtype=float)
    table["flags"] = result.parameter_flags
    for name in ("value", "error", "init"):
        table[name].info.format = ".6g"
    table.meta["flags"] = {f.bit: f.short for f in flags.FLAGS}
    return table


def history_table(history: Mapping[str, NDArray[Any]]) -> QTable:
    """One row a trial step.

    Parameters
    ----------
    history : mapping of str to ndarray
        The solver's record.

    Returns
    -------
    QTable
        The same, as a table.
    """
    return QTable({name: np.asarray(column) for name, column in history.items()})


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
class _Part:
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


def _labelled(
    groups: Sequence[Sequence[Component]], state: SlotState, images: Sequence[TargetImage]
) -> list[list[_Part]]:
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
        out.append([_Part(c, label) for c, label in zip(group, labels, strict=True)])
    return out


def _one_slot(components: Iterable[Component], name: str) -> bool:
    return len({slot for c in components if (slot := c.slot(name)) is not None}) <= 1


def _divided(parts: Sequence[_Part], name: str) -> bool:
    """Whether components of one source in one image have different parameters of a name."""
    return any(
        not _one_slot((p.component for p in parts if p.component.image == image), name)
        for image in {p.component.image for p in parts}
    )


class _Columns:
    """Collects named quantities of all sources; their errors come from one gradient matrix."""

    def __init__(self, n_slots: int) -> None:
        self.n_slots = n_slots
        self.names: list[str] = []
        self.units: list[u.UnitBase | None] = []
        self.items: list[list[Sparse1]] = []
        self._meaning: dict[str, str] = {name: f"the column {name!r}" for name in _RESERVED}

    def add(
        self, name: str, items: list[Sparse1], unit: u.UnitBase | None = None, *, meaning: str
    ) -> None:
        for column, what in ((name, meaning), (f"{name}_error", f"the error of {meaning}")):
            other = self._meaning.setdefault(column, what)
            if other != what:
                raise InvalidInput(
                    f"the table of sources cannot have two columns {column!r}, for {other} and "
                    f"for {what}; give one of them another name",
                    argument="name",
                )
        self.names.append(name)
        self.units.append(unit)
        self.items.append(items)

    def errors(self, result: FitResult, row: int) -> FloatArray:
        """Errors of one source's quantities, ``[n_columns]``."""
        state = result.slots
        quantities = Quantities.stack([column[row] for column in self.items], self.n_slots)
        gradient = (quantities.gradient @ state.jacobian).tocsr()
        variance = np.diag(propagate(gradient, result.covariance, result.at_bound))
        errors = np.sqrt(np.maximum(variance, 0.0))
        errors[~np.isfinite(quantities.values) | only_at_bound(gradient, result.at_bound)] = np.nan
        return np.asarray(errors, dtype=np.float64)

    def slot_errors(self, row: int, errors: FloatArray) -> dict[int, float]:
        """Error of each slot that is a column of one source."""
        found: dict[int, float] = {}
        for column, error in zip(self.items, errors, strict=True):
            gradient = column[row][1]
            if list(gradient.values()) == [1.0]:
                found.setdefault(next(iter(gradient)), float(error))
        return found


def image_unit(image: TargetImage) -> u.UnitBase | None:
    """Unit of an image's fluxes, None where the image has none.

    Parameters
    ----------
    image : TargetImage
        The image.

    Returns
    -------
    Unit or None
        Unit of a pixel's value.
    """
    unit = getattr(image, "unit", None)
    if unit is None:
        return None
    unit = u.Unit(unit)
    return None if unit == u.dimensionless_unscaled else unit


def source_table(result: FitResult) -> QTable:
    """One row a source, with full-covariance errors.

    Parameters
    ----------
    result : FitResult
        The result.

    Returns
    -------
    QTable
        Columns name, model, ra, dec, x, y, the structure, and for every image its flux,
        magnitude and mean surface brightness where a zeropoint is set; each with its error.
    """
    state = result.slots
    groups = list(source_components(state).values())
    columns = _Columns(state.values.size)
    _add_structure(columns, result, _labelled(groups, state, result.images))

    negative = np.zeros(len(groups), dtype=bool)
    for index, image in enumerate(result.images):
        fluxes: list[Sparse1] = []
        means: list[Sparse1] = []
        for row, group in enumerate(groups):
            here_all = [c for c in group if c.image == index]
            if not here_all:
                fluxes.append((math.nan, {}))
                means.append((math.nan, {}))
                continue
            fluxes.append(source_flux(here_all, state.values))
            one = len(here_all) == 1
            means.append(mean_brightness(here_all[0], state.values) if one else (math.nan, {}))
            negative[row] |= not fluxes[-1][0] > 0
        where = f"image {image.name!r}"
        columns.add(f"flux_{image.name}", fluxes, image_unit(image), meaning=f"the flux in {where}")
        if image.zeropoint is None:
            continue
        mags = [magnitude(flux, image.zeropoint) for flux in fluxes]
        columns.add(f"mag_{image.name}", mags, u.mag, meaning=f"the magnitude in {where}")
        if any(math.isfinite(mean[0]) for mean in means):
            mus = [magnitude(mean, image.zeropoint) for mean in means]
            columns.add(
                f"mean_sb_{image.name}",
                mus,
                u.mag / u.arcsec**2,
                meaning=f"the surface brightness in {where}",
            )

    return _assemble(result, groups, columns, negative)


def _add_structure(columns: _Columns, result: FitResult, groups: list[list[_Part]]) -> None:
    """Centres and structure: one column where it is one parameter, else one an image, component."""
    values = result.slots.values

    def item(parts: Sequence[_Part], name: str) -> Sparse1:
        for part in parts:
            slot = part.component.slot(name)
            if slot is not None:
                return float(values[slot]), {slot: 1.0}
        return math.nan, {}

    def add(name: str, label: str, selected: list[list[_Part]], *, always: bool = True) -> None:
        stem, unit = f"{name}_{label}" if label else name, _UNITS.get(name)
        what = f"{name} of the component {label!r}" if label else name
        if all(_one_slot((p.component for p in parts), name) for parts in selected):
            if always:
                columns.add(stem, [item(parts, name) for parts in selected], unit, meaning=what)
            return
        for index, image in enumerate(result.images):
            here = [[p for p in parts if p.component.image == index] for parts in selected]
            items = [item(parts, name) for parts in here]
            columns.add(
                f"{stem}_{image.name}", items, unit, meaning=f"{what} in image {image.name!r}"
            )

    for name in ("x", "y"):  # of the first component, always
        columns.add(name, [item(parts, name) for parts in groups], _UNITS[name], meaning=name)
    names = [name for g in groups for p in g for name in p.component.slot_names[2:-1]]
    for name in dict.fromkeys(["x", "y", *names]):
        divided = [_divided(parts, name) for parts in groups]
        whole = [[] if cut else parts for parts, cut in zip(groups, divided, strict=True)]
        if any(part.component.slot(name) is not None for parts in whole for part in parts):
            add(name, "", whole, always=name not in {"x", "y"})
        cut_up = [parts if cut else [] for parts, cut in zip(groups, divided, strict=True)]
        holders = [p for parts in cut_up for p in parts if p.component.slot(name) is not None]
        for label in dict.fromkeys(p.label for p in holders):
            add(name, label, [[p for p in parts if p.label == label] for parts in cut_up])


def _assemble(
    result: FitResult,
    groups: Sequence[list[Component]],
    columns: _Columns,
    negative: NDArray[np.bool_],
) -> QTable:
    errors = np.array([columns.errors(result, row) for row in range(len(groups))])
    errors = errors.reshape(len(groups), len(columns.names))
    values = {
        name: np.array([item[0] for item in column], dtype=float)
        for name, column in zip(columns.names, columns.items, strict=True)
    }
    table = QTable()
    table["name"] = [g[0].source_name for g in groups] or np.array([], dtype=str)
    table["model"] = [g[0].model_type for g in groups] or np.array([], dtype=str)
    sky = _sky_positions(result.images, values["x"], values["y"])
    if sky is not None:
        table["ra"], table["dec"] = sky[0] * u.deg, sky[1] * u.deg
        table["ra"].info.format = table["dec"].info.format = ".7f"
    for column, (name, unit) in enumerate(zip(columns.names, columns.units, strict=True)):
        error = errors[:, column]
        if unit is None:
            table[name], table[f"{name}_error"] = values[name], error
        else:
            table[name], table[f"{name}_error"] = values[name] * unit, error * unit
        table[name].info.format = ".6g"
        table[f"{name}_error"].info.format = ".3g"
    table["flags"] = np.array(
        [
            _source_flags(result, group, row, values, errors, columns)
            | (flags.NEGATIVE_FLUX if negative[row] else 0)
            for row, group in enumerate(groups)
        ],
        dtype=np.int64,
    )
    table.meta["flags"] = {f.bit: f.short for f in flags.FLAGS}
    table.meta["errors"] = "from the full covariance of all free parameters"
    return table


def _sky_positions(
    images: Sequence[TargetImage], x: FloatArray, y: FloatArray
) -> tuple[FloatArray, FloatArray] | None:
    """Right ascension and declination in degrees, None where no image has a WCS."""
    for image in images:
        if image.reference is None:
            continue
        if x.size == 0:
            return x, y
        position = image.plane_to_world(x, y)
        if hasattr(position, "ra"):
            return np.asarray(position.ra.deg), np.asarray(position.dec.deg)
        return np.asarray(position[0]), np.asarray(position[1])
    return None


def _source_flags(
    result: FitResult,
    group: Sequence[Component],
    row: int,
    values: Mapping[str, FloatArray],
    errors: FloatArray,
    columns: _Columns,
) -> int:
    slots = sorted({slot for component in group for slot in component.slots})
    used = np.unique(result.slots.jacobian[slots, :].indices)
    bits = result.global_flags
    if used.size:
        bits |= int(np.bitwise_or.reduce(result.parameter_flags[used]))
    finite = np.array([np.isfinite(values[name][row]) for name in columns.names], dtype=bool)
    if (finite & np.isnan(errors[row])).any():
        bits |= flags.NO_ERROR
    error_of = columns.slot_errors(row, errors[row])
    for component in group:
        q, angle = component.slot("q"), component.slot("PA")
        if q is None or angle is None:
            continue
        roundness = 1.0 - float(result.slots.values[q])
        q_error, pa_error = error_of.get(q, math.nan), error_of.get(angle, math.nan)
        if roundness < max(1e-3, np.nan_to_num(q_error)) or pa_error > _UNIFORM_PA:
            bits |= flags.PA_UNDEFINED
    if not _inside_any(result, group, values["x"][row], values["y"][row]):
        bits |= flags.CENTER_OUTSIDE
    return bits


def _inside_any(result: FitResult, group: Sequence[Component], x: float, y: float) -> bool:
    for index in {component.image for component in group}:
        image = result.images[index]
        px, py = image.plane_to_pixel(np.array([x]), np.array([y]))
        height, width = image.shape
        if -0.5 <= px[0] <= width - 0.5 and -0.5 <= py[0] <= height - 0.5:
            return True
    return False
