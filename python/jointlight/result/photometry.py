# SPDX-License-Identifier: BSD-3-Clause
"""Fluxes and colours of the sources of a result."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from jointlight.errors import did_you_mean, invalid
from jointlight.result.derived import Quantities, Sparse1, magnitude, source_flux
from jointlight.result.labels import source_components
from jointlight.result.slots import Derived

if TYPE_CHECKING:
    from jointlight.image import TargetImage
    from jointlight.result.fit_result import FitResult

__all__ = ["color", "flux", "image_index", "per_source", "source_index"]

Fluxes: TypeAlias = dict[int, Sparse1]


def flux(result: FitResult, image: str | TargetImage, source: str | int | None) -> Derived:
    """Total flux of sources in one image; see `FitResult.flux`.

    Parameters
    ----------
    result : FitResult
        The result.
    image : str or TargetImage
        The image, or its name.
    source : str, int or None
        Only this one.

    Returns
    -------
    Derived
        One value a source, or a scalar.
    """
    index = image_index(result, image, "image")
    return per_source(result, source, lambda fluxes: fluxes[index], [index])


def color(
    result: FitResult,
    first: str | TargetImage,
    second: str | TargetImage,
    source: str | int | None,
) -> Derived:
    """Colour of sources; see `FitResult.color`.

    Parameters
    ----------
    result : FitResult
        The result.
    first, second : str or TargetImage
        The images, or their names.
    source : str, int or None
        Only this one.

    Returns
    -------
    Derived
        One value a source, or a scalar.
    """
    a, b = image_index(result, first, "first"), image_index(result, second, "second")
    zeropoints = []
    for argument, index in (("first", a), ("second", b)):
        zeropoint = result.images[index].zeropoint
        if zeropoint is None:
            raise invalid(
                argument, result.images[index].name, "an image with a zeropoint",
                "give the image zeropoint= when it is made",
            )  # fmt: skip
        zeropoints.append(zeropoint)

    def difference(fluxes: Fluxes) -> Sparse1:
        one = magnitude(fluxes[a], zeropoints[0])
        two = magnitude(fluxes[b], zeropoints[1])
        gradient = dict(one[1])
        for slot, derivative in two[1].items():
            gradient[slot] = gradient.get(slot, 0.0) - derivative
        return one[0] - two[0], gradient

    return per_source(result, source, difference, [a, b], unit="mag")


def per_source(
    result: FitResult,
    source: str | int | None,
    quantity: Callable[[Fluxes], Sparse1],
    images: list[int],
    unit: str = "",
) -> Derived:
    """A function of each source's fluxes.

    Parameters
    ----------
    result : FitResult
        The result.
    source : str, int or None
        Only this one.
    quantity : callable
        From fluxes by image, with gradients, to a value with its gradient.
    images : list of int
        The images it needs; NaN for sources that are not on all of them.
    unit : str, optional
        Unit of the quantity.

    Returns
    -------
    Derived
        One value a source, or a scalar.
    """
    groups = list(source_components(result.slots).values())
    if source is not None:
        groups = [groups[source_index(result, source)]]
    items: list[Sparse1] = []
    for components in groups:
        here = {i: [c for c in components if c.image == i] for i in images}
        if all(here.values()):
            items.append(
                quantity({i: source_flux(c, result.slots.values) for i, c in here.items()})
            )
        else:
            items.append((math.nan, {}))
    stacked = Quantities.stack(items, result.slots.values.size)
    value: Any = stacked.values if source is None else stacked.values[0]
    return result.finish(
        np.asarray(value), stacked.gradient, unit=unit, complete=source is not None
    )


def image_index(result: FitResult, image: str | TargetImage, argument: str) -> int:
    """Number of an image.

    Parameters
    ----------
    result : FitResult
        The result.
    image : str or TargetImage
        The image, or its name.
    argument : str
        What the caller called it.

    Returns
    -------
    int
        Index in the result's images.
    """
    names = [member.name for member in result.images]
    for index, member in enumerate(result.images):
        if member is image or member.name == image:
            return index
    asked = getattr(image, "name", image)
    hint = did_you_mean(asked, names)
    raise invalid(argument, asked, "an image of this fit, or its name", hint)


def source_index(result: FitResult, source: str | int) -> int:
    """Row of a source.

    Parameters
    ----------
    result : FitResult
        The result.
    source : str or int
        Its name or row.

    Returns
    -------
    int
        Row in the table of sources; negative ones count from the end.
    """
    groups = source_components(result.slots).values()
    names = [components[0].source_name for components in groups]
    if isinstance(source, str):
        if names.count(source) != 1:
            raise invalid("source", source, "the name of one source", did_you_mean(source, names))
        return names.index(source)
    whole = isinstance(source, (int, np.integer)) and not isinstance(source, bool)
    if not whole:
        raise invalid(
            "source", source, "the name of a source, or its row", did_you_mean(source, names)
        )
    if not -len(names) <= source < len(names):
        raise invalid("source", source, f"a row of sources, less than {len(names)}")
    return int(source)
