# SPDX-License-Identifier: BSD-3-Clause
"""Quantities derived from the slots of a source, each with its gradient.

Total flux of an elliptical profile: ``flux = A * s^2 * q * f0(shape)`` with the amplitude ``A``
(flux per arcsec^2), the scale ``s`` along the major axis (arcsec) and the profile's flux factor
``f0``. Mean surface brightness: half the flux over the area ``pi q R50^2`` of the half-light
ellipse.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from jointlight.result.slots import Component, FloatArray, SlotState, SlotValues

__all__ = [
    "Quantities",
    "component_flux",
    "half_light_ratio",
    "magnitude",
    "mean_brightness",
    "numerical_gradient",
    "source_flux",
]

_LEAST_AREA = 1e-150  # arcsec^2; its square, in derivatives, is still a number
_LEAST_BETA = 1.002  # a Moffat profile closer to 1 has its half-light radius beyond all numbers

POGSON = 2.5 / math.log(10.0)  # magnitudes per unit of ln(flux)

# (value, {slot: derivative})
Sparse1 = tuple[float, dict[int, float]]


@dataclass(frozen=True, kw_only=True)
class Quantities:
    """Values and their gradients with respect to the slots.

    Attributes
    ----------
    values : ndarray
        ``[k]``.
    gradient : scipy.sparse.csr_array
        ``[k, n_slots]``.
    """

    values: FloatArray
    gradient: sparse.csr_array

    @classmethod
    def stack(cls, items: Sequence[Sparse1], n_slots: int) -> Quantities:
        """Collect values with sparse gradients.

        Parameters
        ----------
        items : sequence of (float, dict)
            Value and derivative by slot.
        n_slots : int
            Number of slots.

        Returns
        -------
        Quantities
            All of them.
        """
        rows = [row for row, (_, gradient) in enumerate(items) for _ in gradient]
        columns = [slot for _, gradient in items for slot in gradient]
        data = [value for _, gradient in items for value in gradient.values()]
        matrix = sparse.csr_array(
            (np.asarray(data, dtype=np.float64), (rows, columns)), shape=(len(items), n_slots)
        )
        return cls(values=np.array([value for value, _ in items], dtype=float), gradient=matrix)


def component_flux(component: Component, values: FloatArray) -> Sparse1:
    """Total flux of one component.

    Parameters
    ----------
    component : Component
        The component.
    values : ndarray
        All slot values.

    Returns
    -------
    value : float
        Flux in the image's unit.
    gradient : dict of int to float
        Derivative by slot.
    """
    amplitude = component.slots[-1]
    if component.amplitude == "flux":
        return float(values[amplitude]), {amplitude: 1.0}
    from jointlight import _core

    axis_ratio, scale = component.slots[2], component.slots[4]
    shape = list(component.slots[5:-1])
    try:
        f0, df0 = _core.flux_factor(component.profile, np.ascontiguousarray(values[shape]))
    except ValueError:  # a shape outside its domain, as a tie may give: one source without a flux
        f0, df0 = np.nan, np.full(len(shape), np.nan)
    a, q, s = (float(values[i]) for i in (amplitude, axis_ratio, scale))
    gradient = {amplitude: s * s * q * f0, axis_ratio: a * s * s * f0, scale: 2 * a * s * q * f0}
    for slot, derivative in zip(shape, np.atleast_1d(df0), strict=True):
        gradient[slot] = gradient.get(slot, 0.0) + a * s * s * q * float(derivative)
    return a * s * s * q * f0, gradient


def source_flux(components: Sequence[Component], values: FloatArray) -> Sparse1:
    """Total flux of several components of one source in one image.

    Parameters
    ----------
    components : sequence of Component
        The components.
    values : ndarray
        All slot values.

    Returns
    -------
    value : float
        Flux in the image's unit.
    gradient : dict of int to float
        Derivative by slot.
    """
    total, gradient = 0.0, dict[int, float]()
    for component in components:
        value, parts = component_flux(component, values)
        total += value
        for slot, derivative in parts.items():
            gradient[slot] = gradient.get(slot, 0.0) + derivative
    return total, gradient


def magnitude(flux: Sparse1, zeropoint: float) -> Sparse1:
    """``-2.5 log10(flux) + zeropoint``; NaN for a flux that is not positive.

    Parameters
    ----------
    flux : (float, dict)
        Flux and its gradient.
    zeropoint : float
        Magnitude of unit flux.

    Returns
    -------
    value : float
        Magnitude.
    gradient : dict of int to float
        Derivative by slot.
    """
    value, gradient = flux
    if not value > 0:
        return math.nan, dict.fromkeys(gradient, math.nan)
    return (
        zeropoint - POGSON * math.log(value),
        {slot: -POGSON * derivative / value for slot, derivative in gradient.items()},
    )


def half_light_ratio(profile: str, shape: FloatArray) -> tuple[float, float]:
    """Half-light radius in units of the profile's scale radius.

    Parameters
    ----------
    profile : str
        Profile name.
    shape : ndarray
        Shape parameters.

    Returns
    -------
    ratio : float
        NaN for a profile whose half-light radius is not known in closed form.
    derivative : float
        With respect to the shape parameter.
    """
    if profile in {"sersic", "exponential", "devaucouleurs"}:
        return 1.0, 0.0
    if profile == "gaussian":
        return math.sqrt(2.0 * math.log(2.0)), 0.0
    if profile == "moffat" and shape[0] > _LEAST_BETA:
        # 1 - (1 + r^2)^(1 - beta) = 1/2
        power = 1.0 / (float(shape[0]) - 1.0)
        root = 2.0**power
        ratio = math.sqrt(root - 1.0)
        return ratio, -root * math.log(2.0) * power * power / (2.0 * ratio)
    return math.nan, math.nan


def mean_brightness(component: Component, values: FloatArray) -> Sparse1:
    """Mean surface brightness within the half-light ellipse, flux per arcsec^2.

    Parameters
    ----------
    component : Component
        A component with a half-light radius.
    values : ndarray
        All slot values.

    Returns
    -------
    value : float
        NaN if the component has no half-light radius, or no area: a source that a fit lost may
        have shrunk to nothing, or grown out of range.
    gradient : dict of int to float
        Derivative by slot.
    """
    if len(component.slots) < 6 or component.slot("q") is None:
        return math.nan, {}
    q, scale = component.slots[2], component.slots[4]
    shape = component.slots[5:-1]
    ratio, slope = half_light_ratio(component.profile, values[list(shape)])
    if not math.isfinite(ratio):
        return math.nan, {}
    flux, gradient = component_flux(component, values)
    radius = ratio * float(values[scale])
    area = 2.0 * math.pi * float(values[q]) * radius * radius
    if not (area > _LEAST_AREA and math.isfinite(area)):
        return math.nan, {}
    out = {slot: derivative / area for slot, derivative in gradient.items()}
    mean = flux / area
    out[q] = out.get(q, 0.0) - mean / float(values[q])
    out[scale] = out.get(scale, 0.0) - 2.0 * mean / float(values[scale])
    for slot in shape[:1]:
        out[slot] = out.get(slot, 0.0) - 2.0 * mean * slope / ratio
    return mean, out


def _step(value: float, sigma: float) -> float:
    """Step of a central difference, whatever the unit of the value."""
    if math.isfinite(sigma) and sigma > 0:
        return max(1e-3 * sigma, 1e-7 * abs(value))
    # Cube root of the rounding error balances truncation against cancellation.
    return 6e-6 * (abs(value) or 1e-3)


def numerical_gradient(
    function: Callable[[SlotValues], object], state: SlotState, sigma: FloatArray | None = None
) -> tuple[FloatArray, sparse.csr_array]:
    """Value of a user's function of the parameters, and its central-difference gradient.

    Parameters
    ----------
    function : callable
        Takes a `SlotValues` mapping, returns a number or an array.
    state : SlotState
        The slots.
    sigma : ndarray, optional
        Standard errors of the slots, the natural scale of the steps; NaN where unknown.

    Returns
    -------
    value : ndarray
        In the function's shape.
    gradient : scipy.sparse.csr_array
        ``[size, n_slots]``.
    """
    probe = SlotValues(state.values, state.keys)
    value = np.asarray(function(probe), dtype=np.float64)
    gradient = sparse.lil_array((value.size, state.values.size))
    for slot in sorted(probe.read):
        sides = []
        step = _step(float(state.values[slot]), math.nan if sigma is None else float(sigma[slot]))
        for sign in (1.0, -1.0):
            shifted = state.values.copy()
            shifted[slot] += sign * step
            out = np.asarray(function(SlotValues(shifted, state.keys)), dtype=np.float64)
            if out.shape != value.shape:
                msg = f"derived: the function's result changed shape, {value.shape} to {out.shape}"
                raise ValueError(msg)
            sides.append(out.ravel())
        gradient[:, [slot]] = ((sides[0] - sides[1]) / (2.0 * step))[:, None]
    return value, gradient.tocsr()
