# SPDX-License-Identifier: BSD-3-Clause
"""Point spread functions given as arrays."""

from __future__ import annotations

import os
from typing import Any, Literal, Protocol, TypeAlias, cast

import numpy as np
from astropy import units as u
from numpy.typing import ArrayLike

from jointlight.errors import did_you_mean, invalid, warn_user
from jointlight.psf.checks import (
    Floats,
    Kind,
    checked_array,
    checked_kind,
    checked_oversampling,
    positive_arcsec,
)
from jointlight.psf.measure import array_centroid, array_fwhm, array_moments

Center: TypeAlias = Literal["array", "centroid", "peak"] | tuple[float, float]
_OFF_CENTER = (
    0.45  # array px; an even array centred on pixel N/2 is off by half a pixel, less noise
)


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
        Whether `data` is divided by its sum. Models normalise a PSF when they use it, so this
        only matters to who reads `data`.
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
        array = checked_array(data)
        self._norm = float(array.sum())
        if normalize:
            array = array / self._norm
        array.flags.writeable = False
        self._data = array
        self._oversampling = checked_oversampling(oversampling)
        self._kind = checked_kind(kind)
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
        return array_fwhm(self._data, self._center) / self._oversampling

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

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._data.flags.writeable = False  # pickles forget

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
