# SPDX-License-Identifier: BSD-3-Clause
"""Tables of a result: one row a free parameter, one row a source, one row a trial step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.table import QTable
from numpy.typing import NDArray

from jointlight import flags
from jointlight.result.derived import (
    Quantities,
    Sparse1,
    magnitude,
    mean_brightness,
    source_flux,
)
from jointlight.result.slots import Component, FloatArray, SlotState, propagate

if TYPE_CHECKING:
    from jointlight.image import TargetImage
    from jointlight.result.fit_result import FitResult

__all__ = ["history_table", "parameter_table", "source_components", "source_table"]

# Standard deviation of an angle about which nothing is known, uniform over 180 degrees.
_UNIFORM_PA = 180.0 / math.sqrt(12.0)

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


def _structure(sources: Iterable[list[Component]]) -> dict[str, bool]:
    """Structural slot names, each with True where it is the same slot in all images."""
    names: dict[str, bool] = {}
    for components in sources:
        for component in components:
            for name, slot in zip(component.slot_names[2:-1], component.slots[2:-1], strict=True):
                shared = all(other.slot(name) in {slot, None} for other in components)
                names[name] = names.get(name, True) and shared
    return names


class _Columns:
    """Collects named quantities of all sources; their errors come from one gradient matrix."""

    def __init__(self, n_slots: int) -> None:
        self.n_slots = n_slots
        self.names: list[str] = []
        self.units: list[u.UnitBase | None] = []
        self.items: list[list[Sparse1]] = []

    def add(self, name: str, items: list[Sparse1], unit: u.UnitBase | None = None) -> None:
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
        errors[~np.isfinite(quantities.values)] = np.nan
        return np.asarray(errors, dtype=np.float64)


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
    sources = source_components(state)
    groups = list(sources.values())
    first = [components[0] for components in groups]
    columns = _Columns(state.values.size)

    def slot_item(component: Component | None, name: str) -> Sparse1:
        slot = component.slot(name) if component else None
        return (math.nan, {}) if slot is None else (float(state.values[slot]), {slot: 1.0})

    for name in ("x", "y"):
        columns.add(name, [slot_item(c, name) for c in first], _UNITS[name])
    for name, shared in _structure(groups).items():
        unit = _UNITS.get(name)
        if shared:
            holders = [next((c for c in g if c.slot(name) is not None), None) for g in groups]
            columns.add(name, [slot_item(c, name) for c in holders], unit)
            continue
        for index, image in enumerate(result.images):
            here = [next((c for c in g if c.image == index), None) for g in groups]
            columns.add(f"{name}_{image.name}", [slot_item(c, name) for c in here], unit)

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
        columns.add(f"flux_{image.name}", fluxes, image_unit(image))
        if image.zeropoint is None:
            continue
        mags = [magnitude(flux, image.zeropoint) for flux in fluxes]
        columns.add(f"mag_{image.name}", mags, u.mag)
        if any(math.isfinite(mean[0]) for mean in means):
            mus = [magnitude(mean, image.zeropoint) for mean in means]
            columns.add(f"mean_sb_{image.name}", mus, u.mag / u.arcsec**2)

    return _assemble(result, groups, columns, negative)


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
            _source_flags(result, group, row, values, errors, columns.names)
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
    names: Sequence[str],
) -> int:
    slots = sorted({slot for component in group for slot in component.slots})
    used = np.unique(result.slots.jacobian[slots, :].indices)
    bits = result.global_flags
    if used.size:
        bits |= int(np.bitwise_or.reduce(result.parameter_flags[used]))
    if any(np.isfinite(values[n][row]) and np.isnan(errors[row, i]) for i, n in enumerate(names)):
        bits |= flags.NO_ERROR
    for suffix in ["", *(f"_{image.name}" for image in result.images)]:
        if f"q{suffix}" not in values or not np.isfinite(values[f"q{suffix}"][row]):
            continue
        q_error = errors[row, names.index(f"q{suffix}")]
        pa_error = errors[row, names.index(f"PA{suffix}")]
        roundness = 1.0 - values[f"q{suffix}"][row]
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
