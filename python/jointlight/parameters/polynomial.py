# SPDX-License-Identifier: BSD-3-Clause
"""Parameters that vary smoothly with wavelength."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u

from jointlight.errors import InvalidInput

from .parameter import Parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from .values import FloatArray

_ROUNDING = 1e-13


def tie_polynomial(
    parameters: Sequence[Parameter], wavelengths: ArrayLike, *, degree: int
) -> list[Parameter]:
    """Let parameters vary smoothly with wavelength: a Chebyshev series of the given degree.

    Parameters
    ----------
    parameters : sequence of Parameter
        One a band, all of one shape.
    wavelengths : array or sequence of Quantity
        One a band, all in one unit, or Quantities in any units of length; only their relative
        places count.
    degree : int
        0 ties all to one value; ``len(parameters) - 1`` ties nothing.

    Returns
    -------
    list of Parameter
        The ``degree + 1`` new free coefficients, lowest order first. Where every parameter has
        a value they start from its least-squares polynomial.
    """
    w = _numbers(wavelengths)
    n = len(parameters)
    if n == 0 or w.shape != (n,) or not np.all(np.isfinite(w)):
        raise InvalidInput(
            f"tie_polynomial: wavelengths = {wavelengths!r} must hold one finite number for each "
            f"of the {n} parameters"
        )
    order: object = degree
    if not isinstance(order, (int, np.integer)) or not 0 <= order < n:
        raise InvalidInput(
            f"tie_polynomial: degree = {degree!r} must be an integer from 0 to {n - 1}"
        )
    if len(np.unique(w)) < degree + 1:
        raise InvalidInput(
            f"tie_polynomial: degree = {degree} needs at least {degree + 1} different wavelengths"
        )
    if len({id(p) for p in parameters}) < n:
        raise InvalidInput("tie_polynomial: the same parameter is listed twice")
    first = parameters[0]
    for p in parameters:
        if p.is_tied:
            raise InvalidInput(f"tie_polynomial: {p.label} is tied already ({p.state()})")
        if p.shape != first.shape:
            raise InvalidInput(
                f"tie_polynomial: {p.label} has shape {p.shape}, {first.label} {first.shape}"
            )
    span = float(np.ptp(w))
    t = (2.0 * (w - w.min()) / span - 1.0) if span > 0.0 else np.zeros(n)
    basis = np.polynomial.chebyshev.chebvander(t, int(degree))  # [n, degree + 1]
    values = [p.array for p in parameters]
    known = [v for v in values if v is not None]
    start: FloatArray | None = None
    if len(known) == n:
        start = np.linalg.lstsq(basis, np.stack([v.ravel() for v in known]), rcond=None)[0]
        # Rounding is not a slope.
        start[np.abs(start) < _ROUNDING * np.max(np.abs(start), initial=0.0)] = 0.0
    coefficients = []
    for k in range(int(degree) + 1):
        c = Parameter(f"{first.name}_c{k}", unit=first.unit, shape=first.shape)
        c.owner = "polynomial"
        if start is not None:
            c.value = start[k].reshape(first.shape)
        coefficients.append(c)
    for row, p in zip(basis, parameters, strict=True):
        p.tie_linear(coefficients, scales=[float(b) for b in row])
    return coefficients


def _numbers(wavelengths: ArrayLike) -> FloatArray:
    """Plain numbers in one unit."""
    given: Any = wavelengths
    mixed = isinstance(given, (list, tuple)) and any(isinstance(w, u.Quantity) for w in given)
    try:
        if mixed:
            given = u.Quantity([u.Quantity(w) for w in given])
        raw = given.value if isinstance(given, u.Quantity) else given
        return np.asarray(raw, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidInput(
            f"tie_polynomial: wavelengths = {wavelengths!r} must be numbers, or Quantities of "
            "one kind"
        ) from None
