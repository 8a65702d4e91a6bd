# SPDX-License-Identifier: BSD-3-Clause
"""Parameters of a joint model as polynomials in the wavelength of its images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jointlight.errors import InvalidInput, did_you_mean, invalid

if TYPE_CHECKING:
    from jointlight.parameters import Parameter

    from .component import Component

FloatArray = np.ndarray[Any, np.dtype[np.float64]]

_ROUNDING = 1e-14  # a weight below it is 0


def parse_degrees(owner: str, degrees: Any, component: Component) -> dict[str, int]:
    """Degrees by parameter, checked against the parameters that there are."""
    if degrees is None:
        return {}
    if not isinstance(degrees, Mapping):
        raise invalid("wavelength_degree", degrees, 'a dict of degrees, e.g. {"n": 1, "Re": 2}')
    for name, degree in degrees.items():
        if name not in component.parameters:
            raise InvalidInput(
                f"wavelength_degree of {owner!r}: a {component.model_type} has no parameter "
                f"{name!r}{did_you_mean(name, component.parameters)}",
                argument="wavelength_degree",
            )
        whole = isinstance(degree, (int, np.integer)) and not isinstance(degree, bool)
        if not whole or degree < 0:
            raise invalid(
                f"wavelength_degree[{name!r}] of {owner!r}", degree, "a whole number, 0 or more"
            )
    return {str(name): int(degree) for name, degree in degrees.items()}


def tie_to_wavelength(
    owner: str, components: Sequence[Component], degrees: Mapping[str, int]
) -> None:
    """Tie the parameters named to their values in as many images as a polynomial needs.

    Those values are what is fitted: unlike coefficients they have the parameter's limits, and
    between two of them a straight line cannot leave those.
    """
    if not degrees:
        return
    given = []
    for component in components:
        wavelength = component.target.wavelength
        if wavelength is None:
            raise InvalidInput(
                f"wavelength_degree of {owner!r}: image {component.target.name!r} has no "
                "wavelength; give it wavelength= when it is made",
                argument="wavelength_degree",
            )
        given.append(float(wavelength.value))
    wavelengths = np.array(given)
    distinct = len(np.unique(wavelengths))
    for name, degree in degrees.items():
        if degree >= distinct:
            raise invalid(
                f"wavelength_degree[{name!r}] of {owner!r}",
                degree,
                f"less than {distinct}, the number of different wavelengths",
                "leave the parameter out of it and name it in per_image to have one an image"
                if distinct == len(wavelengths)
                else None,
            )
        nodes, weights = interpolation(wavelengths, degree)
        parameters = [component[name] for component in components]
        for k, parameter in enumerate(parameters):
            if k not in nodes and (parameter.fixed or parameter.prior is not None):
                what = "fixed" if parameter.fixed else "given a prior"
                free = " and ".join(repr(components[node].name) for node in nodes)
                raise InvalidInput(
                    f"{parameter.label} follows a polynomial in wavelength through the values "
                    f"of {free} and cannot be {what}; those can",
                    argument="wavelength_degree",
                )
        _smooth_start(parameters, nodes, weights)
        for k, parameter in enumerate(parameters):
            if k in nodes:
                continue
            used = [(parameters[n], float(w)) for n, w in zip(nodes, weights[k], strict=True) if w]
            parameter.tie_linear([p for p, _ in used], scales=[w for _, w in used])


def interpolation(wavelengths: FloatArray, degree: int) -> tuple[list[int], FloatArray]:
    """Images whose values make up a polynomial, and their weights in all images.

    Parameters
    ----------
    wavelengths : ndarray
        ``[n]``.
    degree : int
        Less than the number of different wavelengths.

    Returns
    -------
    nodes : list of int
        ``[degree + 1]``, the ends and what is nearest to Chebyshev's points between them.
    weights : ndarray
        ``[n, degree + 1]``; rows add up to 1.
    """
    unique, first = np.unique(wavelengths, return_index=True)
    span = float(unique[-1] - unique[0]) or 1.0
    points = 2.0 * (unique - unique[0]) / span - 1.0
    # As many distinct images as nodes, in order, each leaving enough for those after it.
    nodes: list[int] = []
    least = 0
    for k in range(degree + 1):
        wanted = -np.cos(np.pi * k / degree) if degree else 0.0
        last = len(unique) - (degree - k)
        best = least + int(np.argmin(np.abs(points[least:last] - wanted)))
        nodes.append(best)
        least = best + 1
    t = 2.0 * (wavelengths - unique[0]) / span - 1.0
    basis = np.polynomial.chebyshev.chebvander(t, degree)
    at_nodes = np.polynomial.chebyshev.chebvander(points[nodes], degree)
    weights = np.linalg.solve(at_nodes.T, basis.T).T
    return [int(first[k]) for k in nodes], np.where(np.abs(weights) < _ROUNDING, 0.0, weights)


def _smooth_start(parameters: Sequence[Parameter], nodes: list[int], weights: FloatArray) -> None:
    """Where all have a value, start from the polynomial nearest to them."""
    values = [p.array for p in parameters]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return
    stacked = np.stack([value.ravel() for value in known])
    start = np.linalg.lstsq(weights, stacked, rcond=None)[0]
    for node, value in zip(nodes, start, strict=True):
        p = parameters[node]
        if not p.fixed and not p.is_tied:
            p.value = p.nearest_allowed(value.reshape(p.shape))
