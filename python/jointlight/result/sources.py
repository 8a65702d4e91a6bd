# SPDX-License-Identifier: BSD-3-Clause
"""The table of sources: one row a source, with errors from the covariance of all parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u
from astropy.table import QTable
from numpy.typing import NDArray

from jointlight import flags
from jointlight.errors import InvalidInput
from jointlight.result.access import used_by
from jointlight.result.derived import (
    Quantities,
    Sparse1,
    magnitude,
    mean_brightness,
    source_flux,
)
from jointlight.result.labels import Part, labelled, source_components
from jointlight.result.slots import Component, FloatArray
from jointlight.result.status import source_quality, status_flags, succeeded
from jointlight.scene import standard_errors

if TYPE_CHECKING:
    from jointlight.image import TargetImage
    from jointlight.result.fit_result import FitResult

__all__ = ["source_table"]

# Standard deviation of an angle about which nothing is known, uniform over 180 degrees.
_UNIFORM_PA = 180.0 / math.sqrt(12.0)

_QUALITY = ("status", "success", "chi2", "n_pixels", "reduced_chi2")
_RESERVED = ("name", "model", "ra", "dec", *_QUALITY, "flags")

_UNITS = {
    "x": u.arcsec,
    "y": u.arcsec,
    "PA": u.deg,
    "Re": u.arcsec,
    "Rd": u.arcsec,
    "sigma": u.arcsec,
}


def _one_slot(components: Iterable[Component], name: str) -> bool:
    return len({slot for c in components if (slot := c.slot(name)) is not None}) <= 1


def _divided(parts: Sequence[Part], name: str) -> bool:
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

    def errors(self, result: FitResult) -> FloatArray:
        """Errors of all quantities of all sources, ``[n_sources, n_columns]``."""
        n_columns = len(self.items)
        n_sources = len(self.items[0]) if self.items else 0
        rows = [column[row] for row in range(n_sources) for column in self.items]
        quantities = Quantities.stack(rows, self.n_slots)
        gradient = (quantities.gradient @ result.slots.jacobian).tocsr()
        errors = standard_errors(gradient, result.known_covariance, result.at_bound)
        errors[~np.isfinite(quantities.values)] = np.nan
        return errors.reshape(n_sources, n_columns)

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
    _add_structure(columns, result, labelled(groups, state, result.images))

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


def _add_structure(columns: _Columns, result: FitResult, groups: list[list[Part]]) -> None:
    """Centres and structure: one column where it is one parameter, else one an image, component."""
    values = result.slots.values

    def item(parts: Sequence[Part], name: str) -> Sparse1:
        for part in parts:
            slot = part.component.slot(name)
            if slot is not None:
                return float(values[slot]), {slot: 1.0}
        return math.nan, {}

    def add(name: str, label: str, selected: list[list[Part]], *, always: bool = True) -> None:
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
    errors = columns.errors(result)
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
    used = [used_by(result.slots, {slot for c in group for slot in c.slots}) for group in groups]
    quality = source_quality(result, [group[0].source for group in groups], used)
    table["status"] = quality.status or np.array([], dtype=str)
    table["success"] = np.array([succeeded(status) for status in quality.status], dtype=bool)
    table["chi2"], table["n_pixels"] = quality.chi2, quality.n_pixels
    table["reduced_chi2"] = quality.reduced_chi2
    table["chi2"].info.format = table["reduced_chi2"].info.format = ".6g"
    table["flags"] = (
        _parameter_bits(result, used)
        | np.array([status_flags(status) for status in quality.status], dtype=np.int64)
        | np.where(negative, flags.NEGATIVE_FLUX, 0)
        | np.where(_inside_any(result, groups, values), 0, flags.CENTER_OUTSIDE)
        | _shape_bits(result, groups, errors, columns)
        | _missing_bits(values, errors, columns)
    )
    table.meta["flags"] = {f.bit: f.short for f in flags.FLAGS}
    table.meta |= {"backend": result.backend, "precision": result.precision}
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


def _parameter_bits(result: FitResult, used: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Flags of the parameters that each source depends on; how the fit ended is not theirs."""
    ended = flags.NOT_CONVERGED | flags.INTERRUPTED
    own = result.parameter_flags & ~ended
    return np.array([np.bitwise_or.reduce(own[one], initial=0) for one in used], dtype=np.int64)


def _missing_bits(
    values: Mapping[str, FloatArray], errors: FloatArray, columns: _Columns
) -> NDArray[np.int64]:
    found = np.array([np.isfinite(values[name]) for name in columns.names], dtype=bool).T
    missing = (found.reshape(errors.shape) & np.isnan(errors)).any(axis=1)
    return np.where(missing, flags.NO_ERROR, 0)


def _shape_bits(
    result: FitResult, groups: Sequence[list[Component]], errors: FloatArray, columns: _Columns
) -> NDArray[np.int64]:
    """Whether each source is so round that its position angle means nothing."""
    bits = np.zeros(len(groups), dtype=np.int64)
    for row, group in enumerate(groups):
        error_of = columns.slot_errors(row, errors[row])
        for component in group:
            q, angle = component.slot("q"), component.slot("PA")
            if q is None or angle is None:
                continue
            roundness = 1.0 - float(result.slots.values[q])
            q_error, pa_error = error_of.get(q, math.nan), error_of.get(angle, math.nan)
            known_q_error = 0.0 if math.isnan(q_error) else q_error
            if roundness < max(1e-3, known_q_error) or pa_error > _UNIFORM_PA:
                bits[row] |= flags.PA_UNDEFINED
    return bits


def _inside_any(
    result: FitResult, groups: Sequence[list[Component]], values: Mapping[str, FloatArray]
) -> NDArray[np.bool_]:
    """Whether each source's centre is on an image that it was fitted to."""
    inside = np.zeros(len(groups), dtype=bool)
    for index, image in enumerate(result.images):
        here = np.array([any(c.image == index for c in group) for group in groups], dtype=bool)
        here &= ~inside
        if not here.any():
            continue
        px, py = image.plane_to_pixel(values["x"][here], values["y"][here])
        height, width = image.shape
        inside[here] = (np.abs(px - 0.5 * (width - 1)) <= 0.5 * width) & (
            np.abs(py - 0.5 * (height - 1)) <= 0.5 * height
        )
    return inside
