# SPDX-License-Identifier: BSD-3-Clause
"""Radial profiles of unit amplitude and unit scale radius: brightness, transform, total flux.

Truth for the stage *render*. Written for clarity: closed forms where they exist, panel quadrature
between the zeros of the Bessel function elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial.legendre import leggauss
from scipy import special

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

Shape = tuple[float, ...]


def sersic_b(n: float) -> float:
    """Half of a Sersic profile's flux lies inside R = 1 for this exponent scale (exact)."""
    return float(special.gammaincinv(2.0 * n, 0.5))


def _sersic(r: NDArray, shape: Shape) -> NDArray:
    (n,) = shape
    return np.exp(-sersic_b(n) * (r ** (1.0 / n) - 1.0))


def _sersic_flux(shape: Shape) -> float:
    (n,) = shape
    b = sersic_b(n)
    return float(2 * np.pi * n * np.exp(b - 2 * n * np.log(b) + special.gammaln(2 * n)))


def _exponential(r: NDArray, shape: Shape) -> NDArray:
    return _sersic(r, (1.0,))


def _devaucouleurs(r: NDArray, shape: Shape) -> NDArray:
    return _sersic(r, (4.0,))


def _gaussian(r: NDArray, shape: Shape) -> NDArray:
    return np.exp(-0.5 * r * r)


def _moffat(r: NDArray, shape: Shape) -> NDArray:
    (beta,) = shape
    return (1.0 + r * r) ** -beta


def _wynn(partial_sums: NDArray) -> float:
    """Limit of a slowly converging alternating series from its partial sums (epsilon algorithm)."""
    previous = np.zeros(len(partial_sums) + 1)
    current = np.asarray(partial_sums, float)
    best = current[-1]
    while len(current) > 1:
        steps = np.diff(current)
        if np.any(steps == 0.0):
            break
        following = previous[1:-1] + 1.0 / steps
        previous, current = current, following
        if len(partial_sums) % 2 == len(current) % 2:
            best = current[-1]
    return float(best)


def hankel(brightness: Callable[[NDArray], NDArray], rho: float, r_max: float) -> float:
    """2 pi times the integral of r I(r) J0(rho r) from 0 to infinity, I negligible past `r_max`.

    Panels end at the zeros of J0 and are graded towards r = 0, where Sersic profiles have a cusp;
    a long oscillating tail is summed by extrapolation.
    """
    x, w = leggauss(24)
    graded = 0.5 ** np.arange(0, 60)

    def panels(edges: NDArray) -> NDArray:
        half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
        r = middle[:, None] + half[:, None] * x
        return np.sum(w * half[:, None] * r * brightness(r) * special.j0(rho * r), axis=1)

    n_zeros = 90
    zeros = special.jn_zeros(0, n_zeros) / rho if rho > 0 else np.array([np.inf])
    first = min(zeros[0], r_max)
    total = np.sum(panels(np.append(0.0, first * graded[::-1])))
    if first == r_max:
        return 2 * np.pi * total
    if zeros[-1] >= r_max:
        edges = np.append(zeros[zeros < r_max], r_max)
        smooth = np.geomspace(first, r_max, 60)
        return 2 * np.pi * (total + np.sum(panels(np.unique(np.append(edges, smooth)))))
    lobes = np.array([np.sum(panels(np.linspace(a, b, 4))) for a, b in pairwise(zeros)])
    skip = 40  # the first lobes are summed plainly, the rest is extrapolated
    return 2 * np.pi * (total + np.sum(lobes[:skip]) + _wynn(np.cumsum(lobes[skip:])))


def _sersic_transform(rho: NDArray, shape: Shape) -> NDArray:
    (n,) = shape
    b = sersic_b(n)
    r_max = (1.0 + 45.0 / b) ** n
    table = [hankel(lambda r: _sersic(r, shape), float(k), r_max) for k in np.ravel(rho)]
    return np.reshape(table, np.shape(rho))


def _exponential_transform(rho: NDArray, shape: Shape) -> NDArray:
    b = sersic_b(1.0)
    return 2 * np.pi * np.exp(b) / b**2 * (1.0 + (np.asarray(rho) / b) ** 2) ** -1.5


def _gaussian_transform(rho: NDArray, shape: Shape) -> NDArray:
    return 2 * np.pi * np.exp(-0.5 * np.asarray(rho) ** 2)


def _moffat_transform(rho: NDArray, shape: Shape) -> NDArray:
    (beta,) = shape
    rho = np.asarray(rho, float)
    safe = np.where(rho > 0, rho, 1.0)
    value = (2 * np.pi * 2 ** (1 - beta) / special.gamma(beta) * safe ** (beta - 1)) * special.kv(
        beta - 1, safe
    )
    return np.where(rho > 0, value, np.pi / (beta - 1))


@dataclass(frozen=True)
class RadialProfile:
    """One profile's truth: I(r), its transform f(rho) and f(0)."""

    name: str
    brightness: Callable[[NDArray, Shape], NDArray]
    transform: Callable[[NDArray, Shape], NDArray]
    flux: Callable[[Shape], float]


PROFILES: dict[str, RadialProfile] = {
    p.name: p
    for p in (
        RadialProfile("sersic", _sersic, _sersic_transform, _sersic_flux),
        RadialProfile(
            "exponential", _exponential, _exponential_transform, lambda _: _sersic_flux((1.0,))
        ),
        RadialProfile(
            "devaucouleurs",
            _devaucouleurs,
            lambda rho, _: _sersic_transform(rho, (4.0,)),
            lambda _: _sersic_flux((4.0,)),
        ),
        RadialProfile("gaussian", _gaussian, _gaussian_transform, lambda _: 2 * np.pi),
        RadialProfile("moffat", _moffat, _moffat_transform, lambda s: np.pi / (s[0] - 1)),
    )
}
