# SPDX-License-Identifier: BSD-3-Clause
"""Fluxes of one source over images: by time a light curve, by wavelength a spectrum."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.table import QTable
from astropy.time import Time

from jointlight.errors import Described, did_you_mean, invalid
from jointlight.image import TargetImage
from jointlight.image.epoch import in_scale
from jointlight.models import Model
from jointlight.result.derived import POGSON, Quantities, source_flux
from jointlight.result.slots import Component, FloatArray

if TYPE_CHECKING:
    from jointlight.result.fit_result import FitResult

__all__ = ["light_curve", "sed"]


def light_curve(
    result: FitResult, source: Any, images: Any = None, *, zeropoint: float | None = None
) -> QTable:
    """Flux of one source in each image, in the order of time.

    Parameters
    ----------
    result : FitResult
        The result.
    source : str, int or Model
        Name or row of a source, or a model, whose components are then added up.
    images : str, TargetImage or sequence of these, optional
        Only these; a name may hold ``*`` and ``?``: ``"r *"``. Default: all that the source is
        on.
    zeropoint : float, optional
        Bring all fluxes to this zeropoint.

    Returns
    -------
    QTable
        Columns image, time (where images have one), flux, flux_err, mag, mag_err (NaN where
        the flux is not positive), snr, zeropoint. ``meta["covariance"]`` is that of the fluxes,
        ``[n_rows, n_rows]``.
    """
    rows = _components(result, source, images)
    times = [result.images[i].time for i in rows]
    if all(time is not None for time in times):
        order = np.argsort(
            [in_scale(time, "utc").mjd for time in times if time is not None], kind="stable"
        )
        rows = {i: rows[i] for i in np.array(list(rows))[order]}
    table = _fluxes(result, rows, zeropoint, _name(source))
    found = [result.images[i].time for i in rows]
    if any(time is not None for time in found):
        mjd = [math.nan if time is None else in_scale(time, "utc").mjd for time in found]
        column = Time(np.ma.masked_invalid(mjd), format="mjd", scale="utc")
        if not np.any(np.isnan(mjd)):
            column = Time(mjd, format="mjd", scale="utc")
        table.add_column(column, name="time", index=1)
    return table


def sed(
    result: FitResult, source: Any, images: Any = None, *, zeropoint: float | None = None
) -> QTable:
    """Flux of one source in each image, in the order of wavelength.

    Parameters
    ----------
    result : FitResult
        The result.
    source, images, zeropoint
        As for `light_curve`.

    Returns
    -------
    QTable
        Columns image, wavelength (where images have one), flux, flux_err, mag, mag_err, snr,
        zeropoint. ``meta["covariance"]`` is that of the fluxes, ``meta["mag_covariance"]`` that
        of the magnitudes; the covariance of any colours ``A @ mag`` is ``A @ C @ A.T``.
    """
    rows = _components(result, source, images)
    found = {i: result.images[i].wavelength for i in rows}
    numbers = {i: math.nan if w is None else float(w.to_value(u.um)) for i, w in found.items()}
    if not any(math.isnan(w) for w in numbers.values()):
        rows = {i: rows[i] for i in sorted(rows, key=lambda i: numbers[i])}
    table = _fluxes(result, rows, zeropoint, _name(source))
    if any(w is not None for w in found.values()):
        table.add_column([numbers[i] for i in rows] * u.um, name="wavelength", index=1)
        table["wavelength"].info.format = ".4g"
    return table


def _name(source: Any) -> str:
    return source.name if isinstance(source, Model) else str(source)


def _components(result: FitResult, source: Any, images: Any) -> dict[int, list[Component]]:
    """Components of a source by image, on the images chosen."""
    chosen = _of_source(result, source)
    wanted = _chosen_images(result, images)
    rows: dict[int, list[Component]] = {}
    for i in range(len(result.images)):
        here = [c for c in chosen if c.image == i]
        if here and (wanted is None or i in wanted):
            rows[i] = here
    missing = [] if wanted is None else [result.images[i].name for i in wanted if i not in rows]
    if missing:
        raise invalid(
            "images",
            Described(", ".join(map(repr, missing))),
            f"images that {_name(source)!r} is on",
        )
    return rows


def _of_source(result: FitResult, source: Any) -> list[Component]:
    components = result.slots.components
    by_name: dict[str, list[Component]] = {}
    for component in components:
        if component.source >= 0 and component.slot("x") is not None:
            by_name.setdefault(component.source_name, []).append(component)
    if isinstance(source, (int, np.integer)) and not isinstance(source, bool):
        names = list(by_name)
        if not -len(names) <= source < len(names):
            raise invalid("source", source, f"a row of sources, less than {len(names)}")
        return by_name[names[int(source)]]
    if isinstance(source, str) and source in by_name:
        return by_name[source]
    model = source if isinstance(source, Model) else _member(result.model, source)
    if model is None:
        allowed = "the name or row of a source, or a model of the fit"
        raise invalid("source", source, allowed, did_you_mean(source, by_name))
    leaves = [] if result.model is None else list(result.model.leaves())
    names_now = [(leaf.name, leaf.target.name) for leaf in leaves]
    names_then = [(c.name, result.images[c.image].name) for c in components]
    if names_now != names_then:
        raise invalid("source", source, "the name of a source", "the model was changed since")
    number = {id(leaf): c for leaf, c in zip(leaves, components, strict=True)}
    wanted = [leaf for leaf in model.leaves() if not leaf.is_sky]
    if not wanted or any(id(leaf) not in number for leaf in wanted):
        raise invalid("source", Described(_name(source)), "a model with light in this fit")
    return [number[id(leaf)] for leaf in wanted]


def _member(model: Model | None, path: Any) -> Model | None:
    if model is None or not isinstance(path, str):
        return None
    if path == model.name:
        return model
    try:
        found = model[path]
    except ValueError:
        return None
    return found if isinstance(found, Model) else None


def _chosen_images(result: FitResult, images: Any) -> list[int] | None:
    if images is None:
        return None
    listed: Sequence[Any]
    listed = [images] if isinstance(images, (str, TargetImage)) else _iterable(images)
    if not listed:
        raise invalid("images", images, "at least one image")
    names = [image.name for image in result.images]
    chosen: list[int] = []
    for one in listed:
        exact = [i for i, image in enumerate(result.images) if image is one or image.name == one]
        if not exact and isinstance(one, TargetImage):
            exact = [i for i, image in enumerate(result.images) if image.id == one.id]
        if not exact and isinstance(one, str):
            exact = [i for i, name in enumerate(names) if fnmatch.fnmatchcase(name, one)]
        if not exact:
            shown = getattr(one, "name", one)
            allowed = "images of this fit, their names or patterns"
            raise invalid("images", shown, allowed, did_you_mean(shown, names))
        chosen += [i for i in exact if i not in chosen]
    return chosen


def _iterable(images: Any) -> list[Any]:
    try:
        return list(images)
    except TypeError:
        raise invalid("images", images, "an image, a name, or a sequence of these") from None


def _fluxes(
    result: FitResult, rows: dict[int, list[Component]], zeropoint: float | None, name: str
) -> QTable:
    values = result.slots.values
    own = np.array([_zeropoint(result.images[i]) for i in rows], dtype=np.float64)
    units = [result.images[i].unit for i in rows]
    factor = np.ones(len(rows))
    common = own
    if zeropoint is not None:
        if not math.isfinite(zeropoint):
            raise invalid("zeropoint", zeropoint, "finite")
        if np.any(np.isnan(own)):
            without = [result.images[i].name for i, z in zip(rows, own, strict=True) if z != z]
            raise invalid(
                "zeropoint",
                zeropoint,
                f"left out where an image has none of its own, as {', '.join(without)}",
            )
        factor = 10.0 ** (0.4 * (zeropoint - own))
        common = np.full(len(rows), float(zeropoint))
    items = []
    for scale, components in zip(map(float, factor), rows.values(), strict=True):
        value, gradient = source_flux(components, values)
        items.append((scale * value, {slot: scale * d for slot, d in gradient.items()}))
    stacked = Quantities.stack(items, values.size)
    derived = result.finish(stacked.values, stacked.gradient)
    flux, error, covariance = derived.value, derived.error, derived.covariance
    unit = units[0] if zeropoint is None and len(set(map(str, units))) == 1 else None
    with np.errstate(divide="ignore", invalid="ignore"):
        positive = flux > 0.0
        mag = np.where(positive, common - POGSON * np.log(np.where(positive, flux, 1.0)), np.nan)
        by_flux = np.where(positive & np.isfinite(common), -POGSON / flux, np.nan)
        snr = np.where(error > 0.0, flux / error, np.nan)
    table = QTable()
    table["image"] = [result.images[i].name for i in rows]
    table["flux"] = _with_unit(flux, unit)
    table["flux_err"] = _with_unit(error, unit)
    table["mag"] = mag * u.mag
    table["mag_err"] = np.abs(by_flux) * error * u.mag
    table["snr"] = snr
    table["zeropoint"] = common
    for column, form in (("flux", ".6g"), ("flux_err", ".3g"), ("mag", ".4f"), ("mag_err", ".4f"),
                         ("snr", ".1f")):  # fmt: skip
        table[column].info.format = form
    table.meta["source"] = name
    table.meta["covariance"] = covariance
    table.meta["mag_covariance"] = by_flux[:, None] * covariance * by_flux[None, :]
    return table


def _zeropoint(image: TargetImage) -> float:
    return math.nan if image.zeropoint is None else image.zeropoint


def _with_unit(values: FloatArray, unit: u.UnitBase | None) -> Any:
    return values if unit is None or unit == u.dimensionless_unscaled else values * unit
