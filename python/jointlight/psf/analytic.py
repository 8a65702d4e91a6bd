# SPDX-License-Identifier: BSD-3-Clause
"""Gaussian and Moffat point spread functions, known as formulas."""

from __future__ import annotations

from math import erf
from typing import Any, Literal

import numpy as np
from astropy import units as u

from jointlight.errors import Described, invalid
from jointlight.psf.array import PSF, PSFBuilder
from jointlight.psf.checks import (
    Floats,
    Kind,
    checked_kind,
    checked_oversampling,
    positive_arcsec,
)
from jointlight.psf.measure import FWHM_PER_SIGMA

_NODES = 12  # Gauss-Legendre nodes on an interval no longer than Moffat radius and FWHM: round-off
_MOFFAT_LOST = 1e-3  # of the flux that a default Moffat array leaves outside
_LEAST_BETA, _LARGEST_BETA = 1.05, 20.0  # the core's table of Moffat PSFs
_BETA_RANGE = f"a number above {_LEAST_BETA:g} and at most {_LARGEST_BETA:g}"
_SHARPEST = 0.1  # px, sigma; narrower ones cannot be drawn
_MOFFAT_WIDEST = 15.0  # FWHMs that the half-width of a default Moffat array does not exceed


class _AnalyticPSF(PSF):
    """A round PSF known as a formula; the array is there for looks and for estimates."""

    _profile = ""

    def __init__(
        self,
        params: tuple[float, ...],
        *,
        pixelscale: float,
        half_width_px: float,
        size: Any,
        oversampling: int,
        kind: Kind,
        includes_pixel: bool,
    ) -> None:
        self._params = params  # lengths in image pixels
        self._pixelscale = pixelscale
        self._oversampling = k = checked_oversampling(oversampling)
        self._kind = checked_kind(kind)
        self._includes_pixel = bool(includes_pixel)
        if self._includes_pixel and self._kind == "optical":
            raise invalid("kind", kind, "'effective' where includes_pixel is set")
        if size is None:
            n = 2 * int(np.ceil(half_width_px * k)) + 1
        elif isinstance(size, int | np.integer) and not isinstance(size, bool) and size >= 1:
            n = int(size)
        else:
            raise invalid("size", size, "a whole number of array pixels, at least 1")
        self._extent = n / (2.0 * k)
        self._center = ((n - 1) / 2.0, (n - 1) / 2.0)
        self._norm = 1.0
        offsets = (np.arange(n) - self._center[0]) / k  # image px
        integrate = self._kind == "effective" and not self._includes_pixel
        array = self._over_pixel(offsets) if integrate else self._at(offsets)
        array = np.ascontiguousarray(array / k**2)
        array.flags.writeable = False
        self._data = array

    def _at(self, offsets: Floats) -> Floats:
        """Flux per image pixel area at samples."""
        raise NotImplementedError

    def _over_pixel(self, offsets: Floats) -> Floats:
        """Flux in an image pixel about each sample."""
        raise NotImplementedError

    @property
    def includes_pixel(self) -> bool:
        """Whether the formula already is the effective PSF."""
        return self._includes_pixel

    @property
    def params_px(self) -> tuple[float, ...]:
        """Parameters of the formula, lengths in image pixels."""
        return self._params

    def to_core(self, builder: PSFBuilder) -> int:
        kind: Literal["effective", "optical"] = "effective" if self._includes_pixel else "optical"
        return builder.add_psf_analytic(self._profile, self._params, self._extent, kind)


class GaussianPSF(_AnalyticPSF):
    """A round Gaussian; made by `gaussian_psf`."""

    _profile = "gaussian"

    @property
    def sigma_px(self) -> float:
        """Standard deviation of the Gaussian in image pixels."""
        return self._params[0]

    @property
    def fwhm_px(self) -> float:
        """Full width at half maximum of the Gaussian in image pixels."""
        return float(FWHM_PER_SIGMA * self._params[0])

    @property
    def moments(self) -> Floats:
        """Second central moments of the effective PSF in image pixels squared, shape (2, 2)."""
        pixel = 0.0 if self._includes_pixel else 1.0 / 12.0
        return np.eye(2) * (self._params[0] ** 2 + pixel)

    def _at(self, offsets: Floats) -> Floats:
        sigma = self._params[0]
        line = np.exp(-0.5 * (offsets / sigma) ** 2) / (np.sqrt(2.0 * np.pi) * sigma)
        return np.outer(line, line)

    def _over_pixel(self, offsets: Floats) -> Floats:
        width = np.sqrt(2.0) * self._params[0]
        # scipy's takes longer to import than all of this package.
        edges = np.array([(erf((x - 0.5) / width), erf((x + 0.5) / width)) for x in offsets])
        line = 0.5 * (edges[:, 1] - edges[:, 0])
        return np.outer(line, line)


class MoffatPSF(_AnalyticPSF):
    """A round Moffat profile; made by `moffat_psf`."""

    _profile = "moffat"

    @property
    def beta(self) -> float:
        """Exponent of the profile."""
        return self._params[1]

    def refuse_undrawable(self) -> None:
        """Raise where models cannot be drawn through it, though its array can be looked at."""
        if self.beta > _LARGEST_BETA:
            raise invalid(
                "beta of the Moffat PSF",
                self.beta,
                _BETA_RANGE,
                "gaussian_psf(fwhm=...) is nearly equal to it",
            )

    def to_core(self, builder: PSFBuilder) -> int:
        self.refuse_undrawable()
        return super().to_core(builder)

    @property
    def fwhm_px(self) -> float:
        """Full width at half maximum of the profile in image pixels."""
        alpha, beta = self._params
        return float(2.0 * alpha * np.sqrt(2.0 ** (1.0 / beta) - 1.0))

    def _brightness(self, r2: Floats) -> Floats:
        alpha, beta = self._params
        return np.asarray((beta - 1.0) / (np.pi * alpha**2) * (1.0 + r2 / alpha**2) ** -beta)

    def _at(self, offsets: Floats) -> Floats:
        return self._brightness(offsets[:, None] ** 2 + offsets**2)

    def _over_pixel(self, offsets: Floats) -> Floats:
        panels = int(np.ceil(1.0 / min(self._params[0], self.fwhm_px)))
        nodes, weights = np.polynomial.legendre.leggauss(_NODES)
        starts = (np.arange(panels) + 0.5) / panels - 0.5
        points = (starts[:, None] + 0.5 * nodes / panels).ravel()
        weights = np.tile(0.5 * weights / panels, panels)
        y2 = (np.abs(offsets)[:, None] + points) ** 2  # [n, nodes]
        # Rows mirror each other about the middle; one half is enough.
        half = (offsets.size + 1) // 2
        rows = np.empty((half, offsets.size))
        for i in range(half):
            values = self._brightness(y2[i][:, None, None] + y2)  # [y node, x pixel, x node]
            rows[i] = np.einsum("a,axb,b->x", weights, values, weights)
        return np.concatenate([rows, rows[: offsets.size // 2][::-1]])


def _refuse_sharp(argument: str, value: object, sigma_px: float) -> None:
    if sigma_px < _SHARPEST:
        raise invalid(
            argument,
            value,
            f"such that sigma (FWHM / {FWHM_PER_SIGMA:.4g}) is at least {_SHARPEST:g} px",
            "use psf=None, or give an oversampled array",
        )


def gaussian_psf(
    *,
    fwhm: float | u.Quantity | None = None,
    sigma: float | u.Quantity | None = None,
    pixelscale: float | u.Quantity,
    size: int | None = None,
    kind: Kind = "effective",
    oversampling: int = 1,
    includes_pixel: bool = False,
) -> GaussianPSF:
    """Make a round Gaussian PSF.

    Models use the formula, exact at any sampling; the array is there to look at.

    Parameters
    ----------
    fwhm, sigma : float or Quantity
        Width of the Gaussian in arcsec; one of the two.
    pixelscale : float or Quantity
        Arcsec per image pixel; 1 to give the width in pixels.
    size : int, optional
        Side of the array. Default: enough for 6 sigma on each side.
    kind : {"effective", "optical"}
        What the array holds: integrals over image pixels, or samples without the pixel.
    oversampling : int
        Samples of the array per image pixel.
    includes_pixel : bool
        True where the width was measured on stars of the image, so that it contains the pixel's
        own width; the Gaussian itself is then the effective PSF. By default the pixel is
        applied on top of the Gaussian, whichever `kind` the array is.

    Returns
    -------
    GaussianPSF
        The PSF.

    Examples
    --------
    >>> import jointlight as jl
    >>> psf = jl.gaussian_psf(fwhm=1.12, pixelscale=0.262)
    >>> round(psf.fwhm_px, 3)
    4.275
    """
    scale = positive_arcsec("pixelscale", pixelscale)
    if (fwhm is None) == (sigma is None):
        raise invalid(
            "fwhm, sigma", Described("both" if fwhm is not None else "neither"), "one of the two"
        )
    if fwhm is not None:
        width = positive_arcsec("fwhm", fwhm, scale) / FWHM_PER_SIGMA
    else:
        assert sigma is not None
        width = positive_arcsec("sigma", sigma, scale)
    sigma_px = float(width / scale)
    _refuse_sharp("sigma" if fwhm is None else "fwhm", sigma if fwhm is None else fwhm, sigma_px)
    return GaussianPSF(
        (sigma_px,),
        pixelscale=scale,
        half_width_px=6.0 * sigma_px + 0.5,
        size=size,
        oversampling=oversampling,
        kind=kind,
        includes_pixel=includes_pixel,
    )


def moffat_psf(
    *,
    fwhm: float | u.Quantity,
    beta: float,
    pixelscale: float | u.Quantity,
    size: int | None = None,
    kind: Kind = "effective",
    oversampling: int = 1,
    includes_pixel: bool = False,
) -> MoffatPSF:
    """Make a round Moffat PSF, brightness ``(1 + r^2 / Rd^2)^-beta``.

    Models use the formula, exact at any sampling; the array is there to look at.

    Parameters
    ----------
    fwhm : float or Quantity
        Full width at half maximum of the profile in arcsec.
    beta : float
        Exponent, above 1.05; 2.5 to 4.5 for seeing. Models take up to 20.
    pixelscale : float or Quantity
        Arcsec per image pixel; 1 to give the width in pixels.
    size : int, optional
        Side of the array. Default: enough for 99.9 % of the light or 15 FWHM on each side.
    kind : {"effective", "optical"}
        What the array holds: integrals over image pixels, or samples without the pixel.
    oversampling : int
        Samples of the array per image pixel.
    includes_pixel : bool
        True where the width was measured on stars of the image and so contains the pixel's own.

    Returns
    -------
    MoffatPSF
        The PSF; the sum of its array falls short of one by the light outside.
    """
    scale = positive_arcsec("pixelscale", pixelscale)
    try:
        exponent = float(beta)
    except (TypeError, ValueError):
        exponent = np.nan
    if not (np.isfinite(exponent) and exponent > _LEAST_BETA):
        raise invalid("beta", beta, _BETA_RANGE, "the flux is infinite at 1")
    fwhm_px = positive_arcsec("fwhm", fwhm, scale) / scale
    _refuse_sharp("fwhm", fwhm, fwhm_px / FWHM_PER_SIGMA)
    alpha = fwhm_px / (2.0 * np.sqrt(2.0 ** (1.0 / exponent) - 1.0))
    reach = alpha * np.sqrt(_MOFFAT_LOST ** (-1.0 / (exponent - 1.0)) - 1.0)
    return MoffatPSF(
        (float(alpha), exponent),
        pixelscale=scale,
        half_width_px=min(float(reach), _MOFFAT_WIDEST * fwhm_px) + 0.5,
        size=size,
        oversampling=oversampling,
        kind=kind,
        includes_pixel=includes_pixel,
    )
