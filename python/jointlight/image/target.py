# SPDX-License-Identifier: BSD-3-Clause
"""One image to be modelled."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from numpy.typing import ArrayLike

from jointlight import wcs as geometry
from jointlight.errors import Described, InvalidInput, did_you_mean, invalid, warn_user
from jointlight.image import arrays
from jointlight.image.calibration import Calibration
from jointlight.image.epoch import TimeLike, WavelengthLike, parse_time, parse_wavelength
from jointlight.image.placement import (
    Reference,
    measured_scale,
    north_up_wcs,
    parse_pair,
    parse_reference,
    same_position,
    sky_plane,
)
from jointlight.psf import PSF, MoffatPSF, as_psf, positive_arcsec
from jointlight.wcs import LinearPlane, LocalMap, PlaneMap, SkyPlane

if TYPE_CHECKING:
    import os

    from astropy.time import Time

    from jointlight.image.arrays import Floats, Mask, Window

Likelihood: TypeAlias = Literal["gaussian", "poisson"]
PSFLike: TypeAlias = PSF | ArrayLike | Callable[[float, float], PSF | ArrayLike] | None

LIKELIHOODS = ("gaussian", "poisson")
_SILLY_PSF = 10.0  # times the image, in both directions: more likely a mistake than a wide PSF
_MOVED = 1e-9  # degrees; a plane that moves by less has not moved
_SAME_SCALE = 0.01  # pixel scales that differ by less are the same


class TargetImage:
    """One exposure: pixels, noise, mask, PSF, zeropoint and its place on the sky.

    Images do not change once made, and are equal only to themselves.

    Parameters
    ----------
    data : array_like or Quantity
        Pixels, ``[row, column]``. Pixel (x, y) = (column, row) counts from 0, integer at the
        pixel's centre. NaN and infinite pixels are masked.
    wcs : WCS, Header or APE 14 object, optional
        Where the pixels are on the sky; any celestial WCS that astropy can evaluate.
    pixelscale : float or Quantity, optional
        Arcsec per pixel of an image without WCS, which then has North up and East left.
    origin : tuple of float, optional
        Pixel (x, y) of the plane's origin. Default: the array's middle.
    reference : SkyCoord or tuple of float, optional
        Sky position of the plane's origin, (RA, Dec) in degrees if a tuple. Without WCS it puts
        pixel `origin` there. Images in one `TargetImageList` share that of the first by
        themselves.
    variance, std, weight : float, array_like or Quantity, optional
        The noise, as one of the three: variance, standard deviation, or inverse variance (0 =
        ignore the pixel).
    mask : array_like, optional
        True, or any integer but 0, = ignore.
    mask_bits : int or sequence of int, optional
        Of an integer mask, only the bits of these numbers mark bad pixels: ``1 << 5`` for bit 5.
    psf : PSF, array_like or callable, optional
        An array is an effective PSF sampled like the image. A callable takes a pixel (x, y) and
        returns the PSF there.
    zeropoint : float, optional
        Magnitude of one unit of flux: m = -2.5 log10(flux) + zeropoint.
    window : tuple, optional
        Pixels to use, ``((x0, x1), (y0, y1))`` or numpy slices ``[y0:y1, x0:x1]``; the others
        are ignored. Default: all.
    unit : Unit or str, optional
        Unit of the pixels.
    likelihood : {"gaussian", "poisson"}
        How pixels scatter about the model.
    gain : float or array_like, optional
        Counts per unit of `data`, for the Poisson likelihood.
    name : str, optional
        Name, for tables and plots.
    time : Time, float or str, optional
        When it was taken, best the middle of the exposure: an astropy Time, a modified Julian
        date (UTC) or an ISO date.
    wavelength : Quantity or float, optional
        Wavelength of its band; plain numbers are micrometres.
    calibration : mapping, optional
        Settings of `calibration` by name, e.g. ``{"shift": {"fixed": False}}``.
    """

    _plane: PlaneMap
    _mask: Mask
    _weight: Floats

    def __init__(
        self,
        data: ArrayLike | u.Quantity,
        *,
        wcs: Any = None,
        pixelscale: float | u.Quantity | None = None,
        origin: tuple[float, float] | None = None,
        reference: Reference | None = None,
        variance: ArrayLike | u.Quantity | None = None,
        std: ArrayLike | u.Quantity | None = None,
        weight: ArrayLike | u.Quantity | None = None,
        mask: ArrayLike | None = None,
        mask_bits: int | Sequence[int] | None = None,
        psf: PSFLike = None,
        zeropoint: float | u.Quantity | None = None,
        window: object = None,
        unit: u.UnitBase | str | None = None,
        likelihood: Likelihood = "gaussian",
        gain: ArrayLike | None = None,
        name: str | None = None,
        time: TimeLike | None = None,
        wavelength: WavelengthLike | None = None,
        calibration: Mapping[str, Any] | None = None,
    ) -> None:
        self._id = uuid.uuid4().hex
        self._plane_used = False
        self._name, self._named = arrays.parse_name(name), name is not None
        self._data, own_mask, self._unit = arrays.split_data(data, unit)
        self._bad = arrays.build_mask(mask, mask_bits, self.shape)
        if own_mask is not None:
            self._bad |= own_mask
        arrays.mask_non_finite(self._data, self._bad, self._name)
        self._refuse_if_all_masked(self._bad, "masked or NaN")
        self._zeropoint = arrays.parse_zeropoint(zeropoint)
        if likelihood not in LIKELIHOODS:
            hint = did_you_mean(likelihood, LIKELIHOODS)
            raise invalid("likelihood", likelihood, "'gaussian' or 'poisson'", hint)
        self._likelihood: Likelihood = likelihood
        noise = {"variance": variance, "std": std, "weight": weight}
        if likelihood == "poisson":
            for key, value in noise.items():
                if value is not None:
                    raise invalid(key, value, "left out with likelihood='poisson'", "give gain=")
            self._full_weight = arrays.build_poisson_weight(gain, self._data, self._bad)
            self._noise_known = True
        else:
            if gain is not None:
                raise invalid("gain", gain, "left out unless likelihood='poisson'")
            self._full_weight, self._noise_known = arrays.build_weight(
                noise, self._data, self._bad, self._unit
            )
        self._refuse_if_all_masked(self._full_weight == 0.0, "masked or of zero weight")
        self._set_window(window)
        self._set_plane(wcs, pixelscale, origin, reference)
        self._set_psf(psf)
        self._time = parse_time(time)
        self._wavelength = parse_wavelength(wavelength)
        self._calibration = Calibration(self._name, calibration)
        self._freeze()

    # --- other ways to make one -------------------------------------------------------------

    @classmethod
    def from_fits(
        cls,
        path: str | os.PathLike[str] | Any,
        hdu: int | str | None = None,
        *,
        plane: int | None = None,
        mask_hdu: Any = None,
        variance_hdu: Any = None,
        std_hdu: Any = None,
        weight_hdu: Any = None,
        psf_hdu: Any = None,
        ctype: str | tuple[str, str] | None = None,
        zeropoint: float | str | u.Quantity | None = None,
        **options: Any,
    ) -> Self:
        """Read an image from a FITS file, with its WCS.

        Parameters
        ----------
        path : path or HDUList
            The file, compressed or not, or an open one.
        hdu : int or str, optional
            Index or name of the image. Default: the first HDU that holds one.
        plane : int, optional
            Which plane of a cube.
        mask_hdu, variance_hdu, std_hdu, weight_hdu, psf_hdu : int, str, path or tuple, optional
            Where the mask, the noise and the PSF are: index or name of an HDU of the same file,
            ``(path, hdu)`` in another, or a `pathlib.Path` for the first image of another.
        ctype : str or tuple of str, optional
            What the axes are where the header lacks CTYPE: ``"TAN"`` for right ascension and
            declination, or both cards.
        zeropoint : float or str, optional
            Zeropoint, or the name of the header card that holds it.
        **options
            Any other argument of `TargetImage`; ``wcs`` replaces the header's.

        Returns
        -------
        TargetImage
            The image; its name is the file's unless given, and so is its time: MJD-AVG, else
            MJD-OBS or DATE-OBS, most often the exposure's start.
        """
        from jointlight.image.files import read_target

        extra = {
            "mask": mask_hdu,
            "variance": variance_hdu,
            "std": std_hdu,
            "weight": weight_hdu,
            "psf": psf_hdu,
        }
        return cls(
            **read_target(
                path, hdu, plane=plane, extra=extra, ctype=ctype, zeropoint=zeropoint, given=options
            )
        )

    @classmethod
    def from_nddata(cls, nddata: Any, **options: Any) -> Self:
        """Take over an astropy NDData or CCDData.

        Parameters
        ----------
        nddata : NDData
            Data, unit, mask, uncertainty (standard deviation, variance or inverse variance), WCS
            and PSF are used.
        **options
            Any argument of `TargetImage`; those given replace what `nddata` has.

        Returns
        -------
        TargetImage
            The image.
        """
        from jointlight.image.files import from_nddata

        return cls(**from_nddata(nddata, options))

    def copy(self, **changes: Any) -> Self:
        """Return another image like this one.

        Parameters
        ----------
        **changes
            Arguments of `TargetImage` to change; a new noise replaces the old one whatever its
            kind, and ``data`` keeps the mask. The name is kept if it was given: one list holds
            both only if one of them gets another.

        Returns
        -------
        TargetImage
            Not equal to this one: it can be fitted beside it.
        """
        current: dict[str, Any] = {
            "data": self._data,
            "name": self._name if self._named else None,
            "mask": self._bad,
            "psf": self._psf if self._psf_function is None else self._psf_function,
            "zeropoint": self._zeropoint,
            "window": self._window,
            "unit": self._unit,
            "likelihood": self._likelihood,
            "time": self._time,
            "wavelength": self._wavelength,
        }
        if "likelihood" not in changes and not set(arrays.NOISE_ARGUMENTS) & changes.keys():
            if self._likelihood == "poisson":
                current["gain"] = self._full_weight
            elif self._noise_known:
                current["weight"] = self._full_weight
        if isinstance(self._plane, LinearPlane):
            if changes.get("wcs") is None:
                current["pixelscale"] = self._plane.pixelscale
                current["origin"] = self._plane.origin
        else:
            current["wcs"] = self._plane
            if self._reference_fixed and "origin" not in changes:
                current["reference"] = self.reference
        if "calibration" in changes:
            return type(self)(**{**current, **changes})
        twin = type(self)(**{**current, **changes})
        return twin._calibrated_like(self)

    def crop(self, window: object, *, name: str | None = None) -> Self:
        """Return the image of a window, with its own pixel coordinates.

        Parameters
        ----------
        window : tuple
            ``((x0, x1), (y0, y1))`` or numpy slices ``[y0:y1, x0:x1]``.
        name : str, optional
            Name of the new image. Default: this one's.

        Returns
        -------
        TargetImage
            On the same plane; pixel (0, 0) is this image's (x0, y0).
        """
        (x0, x1), (y0, y1) = self.parse_window(window)
        part = (slice(y0, y1), slice(x0, x1))
        noise: dict[str, Any] = {}
        if self._likelihood == "poisson":
            noise["gain"] = self._weight[part]
        elif self._noise_known:
            noise["weight"] = self._weight[part]
        shifted = self._plane.shifted(x0, y0)
        place: dict[str, Any] = {"wcs": shifted}
        if isinstance(shifted, LinearPlane):
            place = {"origin": shifted.origin}
        function = self._psf_function
        psf: PSFLike = self._psf
        if function is not None:
            psf = _ShiftedPSF(function, (x0, y0))
        return self.copy(
            data=self._data[part],
            mask=self._mask[part],
            psf=psf,
            window=None,
            name=self._name if name is None else name,
            **noise,
            **place,
        )

    # --- pixels -----------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """Unique identification, kept when pickled."""
        return self._id

    @property
    def name(self) -> str:
        """Name, for tables and plots."""
        return self._name

    @property
    def data(self) -> Floats:
        """Pixels, shape [h, w], read-only; 0 where they were NaN."""
        return self._data

    @property
    def mask(self) -> Mask:
        """True where a pixel does not count, whatever the reason, shape [h, w]."""
        return self._mask

    @property
    def weight(self) -> Floats:
        """Inverse variance (Poisson: counts per data unit), 0 = ignore, shape [h, w]."""
        return self._weight

    @property
    def variance(self) -> Floats:
        """Variance of each pixel, infinite where it does not count, shape [h, w].

        With the Poisson likelihood an estimate from the pixel itself, of at least one count.
        """
        counts = self._data * self._weight if self._likelihood == "poisson" else None
        with np.errstate(divide="ignore"):
            if counts is None:
                return np.asarray(1.0 / self._weight)
            return np.asarray(np.maximum(counts, 1.0) / self._weight**2)

    @property
    def noise_known(self) -> bool:
        """Whether the noise was given; otherwise every pixel has weight 1."""
        return self._noise_known

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self._data.shape
        return height, width

    @property
    def window(self) -> Window:
        """The pixels that are used, ``((x0, x1), (y0, y1))``, half-open."""
        return self._window

    @property
    def unit(self) -> u.UnitBase | None:
        """Unit of the pixels, where known."""
        return self._unit

    @property
    def zeropoint(self) -> float | None:
        """Magnitude of one unit of flux, where known."""
        return self._zeropoint

    @property
    def likelihood(self) -> Likelihood:
        """``"gaussian"`` or ``"poisson"``."""
        return self._likelihood

    @property
    def time(self) -> Time | None:
        """When it was taken, where known."""
        return self._time

    @property
    def wavelength(self) -> u.Quantity | None:
        """Wavelength of its band in micrometres, where known."""
        return None if self._wavelength is None else self._wavelength * u.um

    @property
    def calibration(self) -> Calibration:
        """Corrections to WCS and zeropoint as parameters: shift, rotation, scale, flux_scale."""
        return self._calibration

    @property
    def calibration_pivot(self) -> tuple[float, float]:
        """Plane position in arcsec about which `calibration` turns and stretches: the middle."""
        height, width = self.shape
        x, y = self._plane.pixel_to_plane((width - 1) / 2.0, (height - 1) / 2.0)
        return float(x), float(y)

    @property
    def psf(self) -> PSF | None:
        """The PSF; at the array's middle where it varies."""
        return self._psf

    def psf_at(self, x: float, y: float) -> PSF | None:
        """Return the PSF at a pixel."""
        if self._psf_function is None:
            return self._psf
        return as_psf(self._psf_function(float(x), float(y)), "psf(x, y)")

    def parse_window(self, window: object, *, clip: bool = False) -> Window:
        """Return a window of this image as plain numbers; see `parse_window`."""
        return arrays.parse_window(window, self.shape, clip=clip)

    # --- place on the sky -------------------------------------------------------------------

    @property
    def has_wcs(self) -> bool:
        """Whether the image has a place on the sky."""
        return isinstance(self._plane, SkyPlane)

    @property
    def plane(self) -> PlaneMap:
        """The map between pixels and the plane."""
        return self._plane

    @property
    def wcs(self) -> Any:
        """The WCS, as an astropy object that counts this image's pixels; None without."""
        return self._plane.image_wcs() if isinstance(self._plane, SkyPlane) else None

    @property
    def reference(self) -> SkyCoord | None:
        """Sky position of the plane's origin; None without WCS."""
        return self._plane.reference

    @property
    def pixelscale(self) -> float:
        """Arcsec per pixel at the array's middle: the square root of a pixel's area."""
        return self._pixelscale

    def pixel_area(self, x: ArrayLike, y: ArrayLike) -> Floats:
        """Area of pixels on the plane in arcsec squared."""
        return np.asarray(np.abs(np.linalg.det(self._plane.jacobian(x, y))))[()]

    def pixel_jacobian(self, x: ArrayLike, y: ArrayLike) -> Floats:
        """Derivatives d(plane)/d(pixel) in arcsec per pixel, shape (..., 2, 2)."""
        return self._plane.jacobian(x, y)

    def pixel_to_plane(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Plane coordinates (x East, y North) in arcsec of pixel coordinates."""
        return self._plane.pixel_to_plane(x, y)

    def plane_to_pixel(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Pixel coordinates of plane coordinates in arcsec."""
        return self._plane.plane_to_pixel(x, y)

    def pixel_to_world(self, x: ArrayLike, y: ArrayLike) -> SkyCoord:
        """ICRS coordinates of pixel coordinates."""
        return self._sky_plane("pixel_to_world").pixel_to_world(x, y)

    def world_to_pixel(self, world: SkyCoord) -> tuple[Floats, Floats]:
        """Pixel coordinates of sky coordinates."""
        return self._sky_plane("world_to_pixel").world_to_pixel(world)

    def world_to_plane(self, world: SkyCoord) -> tuple[Floats, Floats]:
        """Plane coordinates in arcsec of sky coordinates."""
        return self._sky_plane("world_to_plane").world_to_plane(world)

    def plane_to_world(self, x: ArrayLike, y: ArrayLike) -> SkyCoord:
        """ICRS coordinates of plane coordinates in arcsec."""
        return self._sky_plane("plane_to_world").plane_to_world(x, y)

    def local_map(self, x: float, y: float, window: object = None) -> LocalMap:
        """Return the quadratic map that stands for the WCS over a window.

        Parameters
        ----------
        x, y : float
            Pixel of the anchor, at which it is exact.
        window : tuple, optional
            Default: the image's own.

        Returns
        -------
        LocalMap
            The map and its largest error.
        """
        area = self._window if window is None else self.parse_window(window, clip=True)
        return geometry.fit_local_map(self._plane, float(x), float(y), area)

    def local_maps(self, x: ArrayLike, y: ArrayLike, windows: Sequence[object]) -> list[LocalMap]:
        """Maps over many windows; like `local_map` for each, but faster.

        Parameters
        ----------
        x, y : array_like
            Pixels of the anchors.
        windows : sequence of tuple
            One window for each.

        Returns
        -------
        list of LocalMap
            One map for each.
        """
        areas = [self.parse_window(window, clip=True) for window in windows]
        return geometry.fit_local_maps(self._plane, x, y, areas)

    def adopt_reference(self, reference: SkyCoord) -> None:
        """Move the image to the plane of others; `TargetImageList` calls it."""
        plane = self._sky_plane("adopt_reference")
        if not same_position(plane.reference, reference):
            former: Any = plane.reference
            if self._plane_used and former.separation(reference).deg > _MOVED:
                warn_user(
                    f"{self._name}: its tangent plane moves to the point that its list of images "
                    "has in common, but positions in arcsec were already set or fitted on it and "
                    "now mean other places on the sky. Make the TargetImageList before the "
                    "models, or set centers as SkyCoord"
                )
            self._plane = plane.with_reference(reference)
        self._reference_fixed = True

    def note_plane_used(self) -> None:
        """Remember that a model holds numbers in this image's plane; parameters call it."""
        self._plane_used = True

    @property
    def reference_fixed(self) -> bool:
        """Whether the reference was given, or taken over from a `TargetImageList`."""
        return self._reference_fixed

    # --- the rest ---------------------------------------------------------------------------

    def __repr__(self) -> str:
        height, width = self.shape
        parts = [f'{width} x {height} px of {self._pixelscale:.4g}"']
        masked = int(np.count_nonzero(self._mask))
        if masked:
            parts.append(f"{masked} masked")
        if self._window != ((0, width), (0, height)):
            (x0, x1), (y0, y1) = self._window
            parts.append(f"window x {x0}:{x1}, y {y0}:{y1}")
        if self._likelihood == "poisson":
            parts.append("Poisson")
        elif not self._noise_known:
            parts.append("no noise given")
        if self._zeropoint is not None:
            parts.append(f"zeropoint {self._zeropoint:g}")
        if self._unit is not None:
            parts.append(f"unit {self._unit}")
        if self._time is not None:
            parts.append(f"MJD {self._time.mjd:.5f}")
        if self._wavelength is not None:
            parts.append(f"{self._wavelength:g} um")
        parts.append("no PSF" if self._psf is None else f"PSF {self._psf!r}")
        if self.reference is None:
            parts.append("no WCS")
        else:
            parts.append(f"plane about {self.reference.to_string('hmsdms', precision=1)}")
        return f"<{type(self).__name__} {self._name!r}: {', '.join(parts)}>"

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # nothing in it changes, and models find their image by identity

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._freeze()  # pickles forget that arrays are read-only

    def _calibrated_like(self, other: TargetImage) -> Self:
        """Take over another image's calibration, about its own middle."""
        if other.calibration.in_use:
            (x, y), (x0, y0) = self.calibration_pivot, other.calibration_pivot
            settings = other.calibration.moved((x - x0, y - y0))
            self._calibration = Calibration(self._name, settings)
            self._calibration.tie_like(other.calibration)
        return self

    def _freeze(self) -> None:
        for array in (self._data, self._bad, self._mask, self._full_weight, self._weight):
            array.flags.writeable = False

    def _sky_plane(self, method: str) -> SkyPlane:
        if isinstance(self._plane, SkyPlane):
            return self._plane
        raise InvalidInput(
            f"{method}: image {self._name!r} has no WCS, so it has no place on the sky. Give it "
            "one with wcs=, or with reference=SkyCoord(...) for its pixel `origin`"
        )

    def _refuse_if_all_masked(self, mask: Mask, what: str) -> None:
        if mask.all():
            raise invalid(
                "data, mask",
                Described(f"an image ({self._name!r}) of which every pixel is {what}"),
                "such that some pixels count",
                "True in a mask means: ignore this pixel",
            )

    def _set_window(self, window: object) -> None:
        height, width = self.shape
        self._window: Window = ((0, width), (0, height))
        self._weight, self._mask = self._full_weight, self._full_weight == 0.0
        if window is None:
            return
        self._window = arrays.parse_window(window, self.shape)
        if self._window == ((0, width), (0, height)):
            return
        (x0, x1), (y0, y1) = self._window
        self._weight = np.zeros_like(self._full_weight)
        self._weight[y0:y1, x0:x1] = self._full_weight[y0:y1, x0:x1]
        self._mask = self._weight == 0.0
        self._refuse_if_all_masked(self._mask, "masked or outside the window")

    def _set_plane(
        self,
        wcs: Any,
        pixelscale: float | u.Quantity | None,
        origin: tuple[float, float] | None,
        reference: Reference | None,
    ) -> None:
        height, width = self.shape
        middle = ((width - 1) / 2.0, (height - 1) / 2.0)
        scale = None if pixelscale is None else positive_arcsec("pixelscale", pixelscale)
        place = None if origin is None else parse_pair("origin", origin, "a pixel (x, y)")
        position = None if reference is None else parse_reference(reference)
        self._reference_fixed = position is not None
        if wcs is not None and geometry.lacks_ctype(wcs):
            geometry.warn_no_ctype(wcs, self._name)
            wcs = None
        if wcs is not None:
            if position is not None and place is not None:
                raise invalid(
                    "reference, origin", Described("both"), "at most one of them with a WCS"
                )
            self._plane = sky_plane(wcs, position, place, self.shape)
        elif scale is None:
            raise InvalidInput(
                f"image {self._name!r} needs wcs= or pixelscale= (arcsec per pixel; 1 to work in "
                "pixels)",
                argument="pixelscale",
            )
        elif position is not None:
            self._plane = SkyPlane(north_up_wcs(position, scale, place or middle), position)
        else:
            self._plane = LinearPlane(scale, place or middle)
        self._pixelscale = measured_scale(self._plane, self.shape)
        if scale is not None and abs(scale / self._pixelscale - 1.0) > _SAME_SCALE:
            raise invalid(
                "pixelscale",
                pixelscale,
                f"left out with a WCS, whose scale is {self._pixelscale:.5g} arcsec per pixel",
            )

    def _set_psf(self, psf: PSFLike) -> None:
        self._psf_function: Callable[[float, float], PSF | ArrayLike] | None = None
        self._psf: PSF | None = None
        if psf is None:
            return
        height, width = self.shape
        if callable(psf) and not isinstance(psf, PSF):
            self._psf_function = psf
            self._psf = as_psf(psf((width - 1) / 2.0, (height - 1) / 2.0), "psf(x, y)")
        else:
            self._psf = as_psf(psf)
        if isinstance(self._psf, MoffatPSF):
            self._psf.refuse_undrawable()
        made_for = self._psf.pixelscale
        if made_for is not None and abs(made_for / self._pixelscale - 1.0) > _SAME_SCALE:
            warn_user(
                f"{self._name}: the PSF was made for pixels of {made_for:.5g} arcsec, the "
                f"image's are {self._pixelscale:.5g} arcsec"
            )
        tall, wide = self._psf.size_px
        if tall > _SILLY_PSF * height and wide > _SILLY_PSF * width:
            warn_user(
                f"{self._name}: the PSF covers {wide:g} x {tall:g} pixels, the image {width} x "
                f"{height}; is its oversampling right?"
            )


class _ShiftedPSF:
    """A varying PSF seen from a cropped image."""

    def __init__(
        self, function: Callable[[float, float], PSF | ArrayLike], offset: tuple[int, int]
    ) -> None:
        self._function, self._offset = function, offset

    def __call__(self, x: float, y: float) -> PSF | ArrayLike:
        return self._function(x + self._offset[0], y + self._offset[1])
