# SPDX-License-Identifier: BSD-3-Clause
"""Point spread functions: arrays, and Gaussian and Moffat ones that are known exactly.

An *effective* PSF includes the response of the detector's pixel, as every PSF that was measured
on stars does (Anderson & King 2000); an *optical* one does not, and the pixel is applied to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, cast

import numpy as np
from astropy import units as u
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import map_coordinates
from scipy.special import erf

from jointlight.errors import Described, did_you_mean, invalid, warn_user

if TYPE_CHECKING:
    import os

__all__ = ["PSF", "GaussianPSF", "MoffatPSF", "as_psf", "gaussian_psf", "moffat_psf"]

Floats: TypeAlias = NDArray[np.float64]
Kind: TypeAlias = Literal["effective", "optical"]
Center: TypeAlias = Literal["array", "centroid", "peak"] | tuple[float, float]

KINDS = ("effective", "optical")
_OFF_CENTER = (
    0.45  # array px; an even array centred on pixel N/2 is off by half a pixel, less noise
)
_LEAST_SUM = 1e-3  # of the sum of |values|: below this an array is noise about zero
_FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))
_NODES = 12  # Gauss-Legendre nodes on an interval no longer than the Moffat radius: round-off
_MOFFAT_LOST = 1e-3  # of the flux that a default Moffat array leaves outside
_MOFFAT_WIDEST = 15.0  # FWHMs that the half-width of a default Moffat array does not exceed


class PSFBuilder(Protocol):
    """The part of the core's scene builder that a PSF needs."""

    def add_psf_array(
        self, array: Floats, oversampling: int, center: tuple[float, float], kind: str
    ) -> int: ...

    def add_psf_analytic(
        self, profile: str, params: tuple[float, ...], extent_px: float, kind: str
    ) -> int: ...


class PSF:
    """A point spread function given as an array.

    Parameters
    ----------
    data : array_like
        Two-dimensional, of any shape, odd or even; negative values are allowed.
    oversampling : int
        Samples per image pixel.
    kind : {"effective", "optical"}
        Whether the response of the pixel is included (as in a PSF measured on stars) or not.
    center : {"array", "centroid", "peak"} or tuple of float
        Where in the array the star sits: the array's middle, ``((nx - 1) / 2, (ny - 1) / 2)``,
        for even sizes too; the flux-weighted centre; the brightest pixel; or 0-based array
        pixels ``(x, y)``.
    normalize : bool
        Whether to divide by the sum. Without it, light that the array lacks is lost to the
        model.
    pixelscale : float or Quantity, optional
        Arcsec per image pixel, to check that the PSF belongs to the image.
    """

    def __init__(
        self,
        data: ArrayLike,
        *,
        oversampling: int = 1,
        kind: Kind = "effective",
        center: Center = "array",
        normalize: bool = True,
        pixelscale: float | u.Quantity | None = None,
    ) -> None:
        array = _checked_array(data)
        self._norm = float(array.sum())
        if normalize:
            array = array / self._norm
        array.flags.writeable = False
        self._data = array
        self._oversampling = _checked_oversampling(oversampling)
        self._kind = _checked_kind(kind)
        self._pixelscale = None if pixelscale is None else positive_arcsec("pixelscale", pixelscale)
        self._center = self._find_center(center)

    @classmethod
    def from_fits(
        cls,
        path: str | os.PathLike[str],
        hdu: int | str | None = None,
        *,
        plane: int | None = None,
        **options: Any,
    ) -> PSF:
        """Read a PSF from a FITS file.

        Parameters
        ----------
        path : path
            The file, compressed or not.
        hdu : int or str, optional
            Index or name of the HDU. Default: the first that holds an image.
        plane : int, optional
            Which plane of a cube.
        **options
            Passed on to `PSF`.

        Returns
        -------
        PSF
            The PSF.
        """
        from jointlight.image.files import read_array

        return cls(read_array(path, hdu, plane=plane, argument="hdu"), **options)

    @property
    def data(self) -> Floats:
        """The samples, shape [ny, nx], read-only; their sum is the flux they hold."""
        return self._data

    @property
    def norm(self) -> float:
        """Sum of the array as it was given."""
        return self._norm

    @property
    def oversampling(self) -> int:
        """Samples per image pixel."""
        return self._oversampling

    @property
    def kind(self) -> Kind:
        """``"effective"`` or ``"optical"``."""
        return self._kind

    @property
    def center(self) -> tuple[float, float]:
        """Where the star sits in the array, 0-based array pixels (x, y)."""
        return self._center

    @property
    def pixelscale(self) -> float | None:
        """Arcsec per image pixel, where known."""
        return self._pixelscale

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the array, (ny, nx)."""
        ny, nx = self._data.shape
        return ny, nx

    @property
    def size_px(self) -> tuple[float, float]:
        """Height and width of the array in image pixels."""
        return self.shape[0] / self._oversampling, self.shape[1] / self._oversampling

    @property
    def moments(self) -> Floats:
        """Second central moments of the effective PSF in image pixels squared, shape (2, 2).

        Order (x, y). The pixel's own 1/12 is added to an optical PSF.
        """
        return array_moments(self._data, self._oversampling) + self._pixel_moments()

    @property
    def fwhm_px(self) -> float:
        """Full width at half maximum of the samples, averaged over angle, in image pixels."""
        return _array_fwhm(self._data, self._center) / self._oversampling

    @property
    def fwhm(self) -> float | None:
        """Full width at half maximum in arcsec, where the pixel scale is known."""
        return None if self._pixelscale is None else self.fwhm_px * self._pixelscale

    def to_core(self, builder: PSFBuilder) -> int:
        """Hand the PSF to a scene under construction.

        Parameters
        ----------
        builder : SceneBuilder
            The core's builder.

        Returns
        -------
        int
            The core's number for it.
        """
        return builder.add_psf_array(self._data, self._oversampling, self._center, self._kind)

    def __repr__(self) -> str:
        parts = [f"{self.shape[1]} x {self.shape[0]}", self._kind]
        if self._oversampling != 1:
            parts.append(f"{self._oversampling} x oversampled")
        width = f"FWHM {self.fwhm_px:.3g} px"
        if self.fwhm is not None:
            width += f' = {self.fwhm:.3g}"'
        return f"<{type(self).__name__} {', '.join([*parts, width])}>"

    def _pixel_moments(self) -> Floats:
        return np.eye(2) / 12.0 if self._kind == "optical" else np.zeros((2, 2))

    def _find_center(self, center: object) -> tuple[float, float]:
        ny, nx = self._data.shape
        middle = ((nx - 1) / 2.0, (ny - 1) / 2.0)
        if isinstance(center, str):
            if center == "array":
                self._warn_if_off_center(middle)
                return middle
            if center == "centroid":
                return array_centroid(self._data)
            if center == "peak":
                iy, ix = np.unravel_index(int(np.argmax(self._data)), self._data.shape)
                return float(ix), float(iy)
            hint = did_you_mean(center, ("array", "centroid", "peak"))
            raise invalid("center", center, "'array', 'centroid', 'peak' or a pair (x, y)", hint)
        try:
            x, y = (float(value) for value in cast("tuple[float, float]", center))
        except (TypeError, ValueError):
            allowed = "'array', 'centroid', 'peak' or a pair (x, y) of array pixels"
            raise invalid("center", center, allowed) from None
        if not (-0.5 <= x <= nx - 0.5 and -0.5 <= y <= ny - 0.5):
            raise invalid("center", center, f"inside the array of {nx} x {ny} pixels")
        return x, y

    def _warn_if_off_center(self, middle: tuple[float, float]) -> None:
        x, y = array_centroid(self._data)
        off = max(abs(x - middle[0]), abs(y - middle[1]))
        if off > _OFF_CENTER:
            warn_user(
                f"PSF: the light is centred at ({x:.2f}, {y:.2f}) in the array, its middle is "
                f"({middle[0]:g}, {middle[1]:g}); the middle is used and every position will be "
                "off by the difference. Pass center='centroid', center='peak' or center=(x, y) "
                "to use the light, or center=(x, y) of the middle to say that it is meant so"
            )


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
        self._oversampling = k = _checked_oversampling(oversampling)
        self._kind = _checked_kind(kind)
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
        # The formula is handed over, not the array, so `kind` says what the formula holds.
        kind = "effective" if self._includes_pixel else "optical"
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
        return float(_FWHM_PER_SIGMA * self._params[0])

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
        line = 0.5 * (erf((offsets + 0.5) / width) - erf((offsets - 0.5) / width))
        return np.outer(line, line)


class MoffatPSF(_AnalyticPSF):
    """A round Moffat profile; made by `moffat_psf`."""

    _profile = "moffat"

    @property
    def beta(self) -> float:
        """Exponent of the profile."""
        return self._params[1]

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
        panels = int(np.ceil(1.0 / self._params[0]))
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
        width = positive_arcsec("fwhm", fwhm, scale) / _FWHM_PER_SIGMA
    else:
        assert sigma is not None
        width = positive_arcsec("sigma", sigma, scale)
    sigma_px = float(width / scale)
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
        Exponent, above 1 for a finite flux; 2.5 to 4.5 for seeing.
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
    if not (np.isfinite(exponent) and exponent > 1.0):
        raise invalid("beta", beta, "a number above 1", "the flux is infinite otherwise")
    fwhm_px = positive_arcsec("fwhm", fwhm, scale) / scale
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


def as_psf(value: object, argument: str = "psf") -> PSF:
    """Return a PSF for what a user gave as one.

    Parameters
    ----------
    value : PSF or array_like
        An array is taken as effective, sampled like the image, centred on its middle.
    argument : str
        Name to use in messages.

    Returns
    -------
    PSF
        The PSF.
    """
    if isinstance(value, PSF):
        return value
    if isinstance(value, str | bytes):
        raise invalid(argument, value, "a PSF or an array", "use PSF.from_fits(path) for a file")
    if callable(value):
        raise invalid(argument, value, "a PSF or an array")
    return PSF(cast("ArrayLike", value))


def positive_arcsec(argument: str, value: object, pixelscale: float | None = None) -> float:
    """Return a positive length in arcsec; Quantities may be in pixels where their size is known."""
    number: object = value
    if isinstance(value, u.Quantity):
        equivalencies = [] if pixelscale is None else u.pixel_scale(pixelscale * u.arcsec / u.pix)
        try:
            if value.unit.is_equivalent(u.arcsec / u.pix):
                number = value.to_value(u.arcsec / u.pix)
            else:
                number = value.to_value(u.arcsec, equivalencies=equivalencies)
        except u.UnitConversionError:
            raise invalid(argument, value, "in arcsec or another angle") from None
    try:
        result = float(number)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise invalid(argument, value, "a positive number (arcsec)") from None
    if not (np.isfinite(result) and result > 0.0):
        raise invalid(argument, value, "a positive number (arcsec)")
    return result


def array_centroid(data: Floats) -> tuple[float, float]:
    """Centre of the light, (x, y): first moments under a Gaussian window that follows the light.

    Plain first moments of a large array are mostly those of the noise in its wings.
    """
    ny, nx = data.shape
    x, y = np.arange(nx, dtype=float), np.arange(ny, dtype=float)
    iy, ix = np.unravel_index(int(np.argmax(data)), data.shape)
    cx, cy = float(ix), float(iy)
    sigma = max(_array_fwhm(data, (cx, cy)) / _FWHM_PER_SIGMA, 0.5)
    for _ in range(100):
        window = np.outer(
            np.exp(-0.5 * ((y - cy) / sigma) ** 2), np.exp(-0.5 * ((x - cx) / sigma) ** 2)
        )
        light = window * data
        total = light.sum()
        if not total > 0.0:
            break
        # Twice the step: the window of the light's own width sees half of an offset.
        dx = 2.0 * float((light.sum(axis=0) @ (x - cx)) / total)
        dy = 2.0 * float((light.sum(axis=1) @ (y - cy)) / total)
        cx, cy = cx + dx, cy + dy
        if not (0.0 <= cx <= nx - 1 and 0.0 <= cy <= ny - 1):
            break
        if max(abs(dx), abs(dy)) < 1e-6:
            return cx, cy
    if 0.0 <= cx <= nx - 1 and 0.0 <= cy <= ny - 1:
        return cx, cy
    return float(ix), float(iy)


def array_moments(data: Floats, oversampling: int) -> Floats:
    """Second central moments of an array in image pixels squared, order (x, y)."""
    ny, nx = data.shape
    total = data.sum()
    x = np.arange(nx) - float(data.sum(axis=0) @ np.arange(nx)) / total
    y = np.arange(ny) - float(data.sum(axis=1) @ np.arange(ny)) / total
    xx = float(data.sum(axis=0) @ x**2)
    yy = float(data.sum(axis=1) @ y**2)
    xy = float(y @ data @ x)
    moments: Floats = np.array([[xx, xy], [xy, yy]]) / float(total * oversampling**2)
    return moments


def _array_fwhm(data: Floats, center: tuple[float, float]) -> float:
    """Width at half maximum of the angle-averaged array about a centre, in array pixels."""
    angles = np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)
    radii = np.arange(0.0, max(data.shape), 0.05)
    points = [
        center[1] + radii[:, None] * np.sin(angles),
        center[0] + radii[:, None] * np.cos(angles),
    ]
    # A cubic spline that is zero outside: a one-pixel array has a width too.
    profile = map_coordinates(data, points, order=3, mode="grid-constant").mean(axis=1)
    below = np.flatnonzero(profile < 0.5 * profile.max())
    below = below[below > np.argmax(profile)]
    return float(2.0 * radii[below[0]]) if below.size else float(max(data.shape))


def _checked_array(data: object) -> Floats:
    if isinstance(data, u.Quantity):
        data = data.value
    array = np.asarray(np.ma.filled(data, np.nan) if np.ma.isMaskedArray(data) else data)
    if array.ndim != 2 or array.size == 0:
        raise invalid("psf", array, "a two-dimensional array")
    if array.dtype.kind not in "iuf":
        raise invalid("psf", Described(f"of type {array.dtype}"), "of real numbers")
    array = np.array(array, dtype=np.float64, order="C")
    if not np.all(np.isfinite(array)):
        count = int(np.count_nonzero(~np.isfinite(array)))
        described = Described(f"one with {count} NaN or infinite of {array.size} values")
        raise invalid("psf", described, "finite", "set them to 0 where the PSF is unknown")
    total, size = float(array.sum()), float(np.abs(array).sum())
    if not (total > 0.0 and total > _LEAST_SUM * size and np.isfinite(total)):
        described = Described(f"one of sum {total:.4g}")
        raise invalid("psf", described, "an array of positive sum", "is the background subtracted?")
    return array


def _checked_oversampling(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value <= 100:
        raise invalid("oversampling", value, "a whole number from 1 to 100")
    return int(value)


def _checked_kind(value: object) -> Kind:
    if value not in KINDS:
        raise invalid("kind", value, "'effective' or 'optical'", did_you_mean(value, KINDS))
    return cast("Kind", value)
