# SPDX-License-Identifier: BSD-3-Clause
"""Images under AstroPhot's names."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from astropy.io.fits import Header

from jointlight.astrophot.convert import FloatArray, as_array, plain
from jointlight.errors import Described, invalid
from jointlight.image import TargetImage, TargetImageList
from jointlight.psf import PSF

__all__ = [
    "Image_Header",
    "Model_Image",
    "Model_Image_List",
    "PSF_Image",
    "Target_Image",
    "Target_Image_List",
    "Window",
]


class PSF_Image:
    """A point spread function given as an array.

    Parameters
    ----------
    data : array_like or tensor
        Light in each of its pixels. At the image's own sampling that is what a star looks like;
        finer ones hold less of the image's pixel, and the rest of it is added here.
    psf_upscale : int
        Its pixels per image pixel, along each axis.
    pixelscale : float, optional
        Arcsec per pixel of the array; checked against the image's.
    """

    def __init__(self, data: Any, *, psf_upscale: int = 1, pixelscale: float | None = None) -> None:
        scale = None if pixelscale is None else float(pixelscale) * psf_upscale
        array = as_array("psf", data)
        if psf_upscale > 1 and array.ndim == 2:
            from scipy.signal import convolve

            # An image pixel is k x k of the array's: with them its response is whole, and the
            # array's middle stays its middle for odd and even k.
            array = convolve(array, np.full((psf_upscale, psf_upscale), psf_upscale**-2.0))
        self._native = PSF(array, oversampling=psf_upscale, kind="effective", pixelscale=scale)

    @property
    def native(self) -> PSF:
        """jointlight's PSF."""
        return self._native

    @property
    def data(self) -> FloatArray:
        """The effective PSF, sampled like the array."""
        return self._native.data


class Window:
    """Which part of the sky an image covers.

    Parameters
    ----------
    image : TargetImage
        The image.
    """

    def __init__(self, image: TargetImage) -> None:
        self._image = image

    @property
    def reference_radec(self) -> tuple[float, float]:
        """(RA, Dec) in degrees of the plane's origin, the tangent point."""
        position = self._image.reference
        assert position is not None  # every image here has a place on the sky
        return float(position.ra.deg), float(position.dec.deg)

    @property
    def pixels(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Half-open pixel ranges ``((x0, x1), (y0, y1))``."""
        return self._image.window

    @property
    def center(self) -> FloatArray:
        """Plane position of its middle in arcsec."""
        (x0, x1), (y0, y1) = self._image.window
        return np.array(self._image.pixel_to_plane((x0 + x1 - 1) / 2.0, (y0 + y1 - 1) / 2.0))

    @property
    def shape(self) -> FloatArray:
        """Width and height in arcsec."""
        (x0, x1), (y0, y1) = self._image.window
        return np.array([x1 - x0, y1 - y0]) * self._image.pixelscale


class Image_Header:
    """Place of an image, as attributes.

    Attributes
    ----------
    reference_radec : tuple of float
        (RA, Dec) in degrees of the tangent point. Setting it moves nothing: an image made
        afterwards takes ``reference_radec=``, and images in one list share a plane anyway.

    Parameters
    ----------
    image : TargetImage
        The image.
    """

    def __init__(self, image: TargetImage) -> None:
        self._image = image
        self._reference: Any = None

    @property
    def reference_radec(self) -> Any:
        """(RA, Dec) in degrees of the tangent point; what was set last, if anything was."""
        return Window(self._image).reference_radec if self._reference is None else self._reference

    @reference_radec.setter
    def reference_radec(self, value: Any) -> None:
        self._reference = value

    @property
    def pixelscale(self) -> float:
        """Arcsec per pixel."""
        return self._image.pixelscale


class Target_Image:
    """One exposure: pixels, noise, mask, PSF, zeropoint and its place on the sky.

    Parameters
    ----------
    data : array_like or tensor
        Pixels ``[y, x]``; NaN is masked.
    pixelscale : float or 2 x 2 array, optional
        Without WCS: arcsec per pixel, or d(plane)/d(pixel). A single number puts East to the
        right.
    zeropoint : float, optional
        Magnitude of unit flux.
    variance, weight : float, array or tensor, optional
        The noise, as one of the two.
    mask : array or tensor, optional
        True = ignore.
    psf : array, tensor or PSF_Image, optional
        Light of a star in each pixel, or in each of the finer pixels of `psf_upscale`.
    psf_upscale : int
        Pixels of `psf` per pixel of the image, along each axis.
    wcs : WCS, optional
        Any celestial WCS.
    reference_radec : tuple of float, optional
        (RA, Dec) in degrees of the tangent point of the plane. Default: the CRVAL of the WCS, or
        (0, 0) without.
    origin, center : tuple of float, optional
        Without WCS: plane position in arcsec of the outer corner of pixel (0, 0), or of the
        array's middle. Default: the corner is at (0, 0).
    window : [[x0, x1], [y0, y1]], optional
        Half-open pixel ranges to use.
    name : str, optional
        Name, for tables and plots.
    """

    def __init__(
        self,
        data: Any = None,
        *,
        pixelscale: Any = None,
        zeropoint: Any = None,
        variance: Any = None,
        weight: Any = None,
        mask: Any = None,
        psf: Any = None,
        psf_upscale: int = 1,
        wcs: Any = None,
        reference_radec: Any = None,
        origin: Any = None,
        center: Any = None,
        window: Any = None,
        name: str | None = None,
    ) -> None:
        pixels = as_array("data", data)
        for key, value in {"variance": variance, "weight": weight}.items():
            if isinstance(value, str):
                raise invalid(key, value, "numbers", "estimate the noise before the fit")
        place: dict[str, Any] = {}
        if wcs is None:
            header = _linear_header(pixels.shape, pixelscale, origin, center, reference_radec)
            place = {"wcs": header, "reference": (header["CRVAL1"], header["CRVAL2"])}
        else:
            for key, value in {
                "pixelscale": pixelscale,
                "origin": origin,
                "center": center,
            }.items():
                if value is not None:
                    raise invalid(key, value, "left out with a WCS")
            place = {"wcs": wcs}
            if reference_radec is not None:
                ra, dec = as_array("reference_radec", reference_radec)
                place["reference"] = (float(ra), float(dec))
            elif hasattr(getattr(wcs, "wcs", None), "crpix"):
                # By its pixel, so that a list may still move the plane.
                place["origin"] = tuple(np.asarray(wcs.wcs.crpix[:2], dtype=float) - 1.0)
        if psf is not None and not isinstance(psf, PSF):
            psf = psf.native if isinstance(psf, PSF_Image) else PSF_Image(
                psf, psf_upscale=psf_upscale
            ).native  # fmt: skip
        self._native = TargetImage(
            pixels,
            zeropoint=None if zeropoint is None else float(zeropoint),
            variance=None if variance is None else as_array("variance", variance),
            weight=None if weight is None else as_array("weight", weight),
            mask=None if mask is None else np.asarray(plain(mask)),
            psf=psf,
            window=window.pixels if isinstance(window, Window) else window,
            name=name,
            **place,
        )
        self._header = Image_Header(self._native)

    @property
    def native(self) -> TargetImage:
        """jointlight's image."""
        return self._native

    @property
    def name(self) -> str:
        """Its name."""
        return self._native.name

    @property
    def data(self) -> FloatArray:
        """Pixels ``[y, x]``."""
        return self._native.data

    @property
    def variance(self) -> FloatArray:
        """Variance of each pixel."""
        return self._native.variance

    @property
    def weight(self) -> FloatArray:
        """Inverse variance of each pixel."""
        return self._native.weight

    @property
    def mask(self) -> Any:
        """True where a pixel does not count."""
        return self._native.mask

    @property
    def psf(self) -> PSF | None:
        """jointlight's PSF."""
        return self._native.psf

    @property
    def zeropoint(self) -> float | None:
        """Magnitude of unit flux."""
        return self._native.zeropoint

    @property
    def window(self) -> Window:
        """Which part of the sky it covers."""
        return Window(self._native)

    @property
    def header(self) -> Image_Header:
        """Its place."""
        return self._header

    @property
    def pixel_length(self) -> float:
        """Arcsec per pixel."""
        return self._native.pixelscale

    @property
    def pixel_area(self) -> float:
        """Area of a pixel in arcsec squared, at the array's middle."""
        return self._native.pixelscale**2

    def pixel_to_plane(self, pixel_coordinate: Any) -> FloatArray:
        """Plane position in arcsec of a pixel ``(x, y)``; arrays are ``[2, ...]``."""
        x, y = as_array("pixel_coordinate", pixel_coordinate)
        return np.array(self._native.pixel_to_plane(x, y))

    def plane_to_pixel(self, plane_coordinate: Any) -> FloatArray:
        """Pixel ``(x, y)`` of a plane position in arcsec; arrays are ``[2, ...]``."""
        x, y = as_array("plane_coordinate", plane_coordinate)
        return np.array(self._native.plane_to_pixel(x, y))

    def world_to_plane(self, world_coordinate: Any) -> FloatArray:
        """Plane position in arcsec of (RA, Dec) in degrees; arrays are ``[2, ...]``."""
        ra, dec = as_array("world_coordinate", world_coordinate)
        return np.array(self._native.world_to_plane(_sky(ra, dec)))

    def plane_to_world(self, plane_coordinate: Any) -> FloatArray:
        """(RA, Dec) in degrees of a plane position in arcsec; arrays are ``[2, ...]``."""
        x, y = as_array("plane_coordinate", plane_coordinate)
        world = self._native.plane_to_world(x, y)
        return np.array([world.ra.deg, world.dec.deg])

    def __repr__(self) -> str:
        return f"<Target_Image of {self._native!r}>"


class Target_Image_List:
    """Images that are modelled together.

    Parameters
    ----------
    image_list : iterable of Target_Image
        The images, in the order of plots.
    """

    def __init__(self, image_list: Iterable[Target_Image]) -> None:
        self._images = tuple(image_list)
        for image in self._images:
            if not isinstance(image, Target_Image):
                raise invalid("image_list", image, "Target_Image each")
        self._native = TargetImageList([image.native for image in self._images])

    @property
    def native(self) -> TargetImageList:
        """jointlight's list."""
        return self._native

    @property
    def window(self) -> list[Window]:
        """Window of each image."""
        return [image.window for image in self._images]

    def __iter__(self) -> Iterator[Target_Image]:
        return iter(self._images)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, key: int) -> Target_Image:
        return self._images[key]

    def __repr__(self) -> str:
        return f"<Target_Image_List of {self._native!r}>"


class Model_Image:
    """What a model predicts for one image.

    Parameters
    ----------
    data : ndarray
        Pixels of the whole image, 0 outside the model's window.
    target : Target_Image
        The image.
    """

    def __init__(self, data: FloatArray, target: Target_Image) -> None:
        self._data, self._target = data, target

    @property
    def data(self) -> FloatArray:
        """Pixels ``[y, x]``."""
        return self._data

    @property
    def target(self) -> Target_Image:
        """The image predicted."""
        return self._target

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> FloatArray:
        if copy is False:
            return np.asarray(self._data, dtype)
        return np.array(self._data, dtype)


class Model_Image_List(tuple[Model_Image, ...]):
    """What a model predicts for each image of its list."""

    __slots__ = ()

    @property
    def data(self) -> list[FloatArray]:
        """Pixels of each image."""
        return [image.data for image in self]


def _sky(ra: Any, dec: Any) -> Any:
    from astropy.coordinates import SkyCoord

    return SkyCoord(ra, dec, unit="deg", frame="icrs")


def _linear_header(
    shape: tuple[int, ...], pixelscale: Any, origin: Any, center: Any, reference_radec: Any
) -> Header:
    """Header of a gnomonic plane whose axes are those of a linear pixel map."""
    if pixelscale is None:
        raise invalid("pixelscale", None, "given where there is no WCS", "1 to work in pixels")
    scale = as_array("pixelscale", pixelscale)
    matrix = scale * np.eye(2) if scale.ndim == 0 else scale
    if matrix.shape != (2, 2) or len(shape) != 2:
        raise invalid("pixelscale", pixelscale, "a number or a 2 x 2 matrix, data an image")
    if origin is not None and center is not None:
        raise invalid("origin, center", Described("both"), "at most one of them")
    height, width = shape
    middle = np.array([width, height]) / 2.0 - 0.5
    pixel, place = np.full(2, -0.5), np.zeros(2)
    if origin is not None:
        place = as_array("origin", origin)
    elif center is not None:
        pixel, place = middle, as_array("center", center)
    zero = pixel - np.linalg.solve(matrix, place)  # pixel of the plane's (0, 0)
    ra, dec = (
        (0.0, 0.0) if reference_radec is None else as_array("reference_radec", reference_radec)
    )
    header = Header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    header["CUNIT1"], header["CUNIT2"] = "deg", "deg"
    header["CRVAL1"], header["CRVAL2"] = float(ra), float(dec)
    header["CRPIX1"], header["CRPIX2"] = float(zero[0]) + 1.0, float(zero[1]) + 1.0
    for i in range(2):
        for j in range(2):
            header[f"CD{i + 1}_{j + 1}"] = float(matrix[i, j]) / 3600.0
    header["RADESYS"] = "ICRS"
    assert math.isfinite(header["CRPIX1"])
    return header
