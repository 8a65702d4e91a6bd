# SPDX-License-Identifier: BSD-3-Clause
"""Images: pixels, noise, masks, windows, files, and lists of them."""

from __future__ import annotations

import copy
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import (
    CCDData,
    InverseVariance,
    NDData,
    StdDevUncertainty,
    VarianceUncertainty,
)
from astropy.wcs import WCS

from jointlight.errors import InvalidInput, JointlightWarning
from jointlight.image import TargetImage, TargetImageList, parse_window
from jointlight.psf import PSF, gaussian_psf

SHAPE = (6, 8)


def make(data: Any = None, **options: Any) -> TargetImage:
    values = np.arange(48.0).reshape(SHAPE) if data is None else data
    noise = {"variance", "std", "weight", "likelihood"} & options.keys()
    defaults: dict[str, Any] = {} if noise else {"variance": 2.0}
    if "wcs" not in options:
        defaults["pixelscale"] = 0.5
    return TargetImage(values, **{**defaults, **options})


def sky(ra: float = 10.0, dec: float = 20.0, scale: float = 0.5) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [ra, dec], [4.0, 3.0]
    wcs.wcs.cdelt = [-scale / 3600.0, scale / 3600.0]
    return wcs


# --- pixels and noise ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [">f4", "<f8", ">i2", "u1", "u2", "i8", "f2", np.longdouble])
def test_any_real_type_becomes_native_float64(dtype: Any) -> None:
    values = np.arange(48).reshape(SHAPE).astype(dtype)
    image = make(values)
    assert image.data.dtype == np.float64
    assert image.data.dtype.isnative
    assert image.data.flags.c_contiguous
    np.testing.assert_array_equal(image.data, np.arange(48).reshape(SHAPE))


def test_arrays_are_copied_and_read_only() -> None:
    values = np.ones(SHAPE)
    image = make(values)
    values[:] = 7.0
    assert image.data.max() == 1.0
    for array in (image.data, image.weight, image.mask):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 0


def test_strided_and_transposed_input() -> None:
    values = np.arange(96.0).reshape(12, 8)[::2]
    np.testing.assert_array_equal(make(values).data, values)
    np.testing.assert_array_equal(make(np.asfortranarray(values)).data, values)


def test_variance_std_and_weight_say_the_same() -> None:
    std = np.linspace(1.0, 3.0, 48).reshape(SHAPE)
    images = [make(std=std), make(variance=std**2), make(weight=std**-2.0)]
    for image in images:
        np.testing.assert_allclose(image.weight, std**-2.0, rtol=1e-14)
        np.testing.assert_allclose(image.variance, std**2, rtol=1e-14)
        assert image.noise_known
    np.testing.assert_allclose(make(std=3).weight, 1.0 / 9.0)
    nothing = make(variance=None)
    assert not nothing.noise_known
    assert "no noise given" in repr(nothing)
    np.testing.assert_array_equal(nothing.weight, 1.0)


def test_masked_pixels_have_no_weight_and_may_hold_anything() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[2, 3] = True
    values, variance = np.ones(SHAPE), np.ones(SHAPE)
    values[2, 3], variance[2, 3] = np.nan, -1.0
    image = make(values, variance=variance, mask=mask)
    assert image.weight[2, 3] == 0.0
    assert image.data[2, 3] == 0.0
    assert np.isinf(image.variance[2, 3])
    np.testing.assert_array_equal(image.mask, mask)


def test_nan_is_masked_and_said_once() -> None:
    values = np.ones(SHAPE)
    values[0, :3] = np.nan, np.inf, -np.inf
    with pytest.warns(JointlightWarning, match="'?mine'?: 3 pixels") as record:
        image = make(values, name="mine")
    assert len(record) == 1
    assert record[0].filename == __file__  # the user's line, not ours
    assert image.mask.sum() == 3
    assert np.isfinite(image.data).all()
    image.copy()  # warnings are errors: it is not said again
    image.crop(((0, 4), (0, 4)))
    pickle.loads(pickle.dumps(image))


def test_infinite_noise_and_zero_weight_ignore_a_pixel() -> None:
    for options in (
        {"variance": np.where(np.arange(48).reshape(SHAPE) == 5, np.inf, 1.0)},
        {"std": np.where(np.arange(48).reshape(SHAPE) == 5, np.inf, 1.0)},
        {"weight": np.where(np.arange(48).reshape(SHAPE) == 5, 0.0, 1.0)},
    ):
        image = make(**options)
        assert image.mask.sum() == 1
        assert image.mask[0, 5]


def test_tiny_fluxes() -> None:
    image = make(1e-12 * np.ones(SHAPE), std=1e-14)
    np.testing.assert_allclose(image.weight, 1e28)


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.uint64, ">i4", np.float32, "bool"])
def test_masks_of_any_type(dtype: Any) -> None:
    mask = np.zeros(SHAPE, dtype)
    mask[1, 2] = 1
    assert make(mask=mask).mask.sum() == 1


def test_bit_masks() -> None:
    mask = np.arange(48).reshape(SHAPE)
    np.testing.assert_array_equal(make(mask=mask).mask, mask != 0)
    np.testing.assert_array_equal(make(mask=mask, mask_bits=4).mask, (mask & 4) != 0)
    np.testing.assert_array_equal(make(mask=mask, mask_bits=[1, 8]).mask, (mask & 9) != 0)
    high = np.zeros(SHAPE, np.int32)
    high[0, 0] = -(2**31)
    assert make(mask=high, mask_bits=1 << 31).mask[0, 0]


def test_masked_arrays() -> None:
    values = np.ma.masked_greater(np.arange(48.0).reshape(SHAPE), 40.0)
    extra = np.zeros(SHAPE, bool)
    extra[0, 0] = True
    image = make(values, mask=extra)
    assert image.mask.sum() == 8


def test_quantities() -> None:
    values = np.ones(SHAPE) * u.mJy
    image = make(values, std=0.1 * u.uJy, zeropoint=16.4 * u.ABmag)
    assert image.unit == u.mJy
    assert image.zeropoint == 16.4
    np.testing.assert_allclose(image.weight, 1e8)
    np.testing.assert_allclose(make(values, variance=4 * u.mJy**2).weight, 0.25)
    np.testing.assert_allclose(make(values, weight=4 / u.mJy**2).weight, 4.0)
    converted = make(values, unit="uJy")
    np.testing.assert_allclose(converted.data, 1000.0)
    assert make(np.ones(SHAPE), unit="nJy").unit == u.nJy
    assert make(pixelscale=500 * u.mas).pixelscale == pytest.approx(0.5)


def test_poisson() -> None:
    counts = np.arange(48.0).reshape(SHAPE)
    image = make(counts, likelihood="poisson", gain=4.0)
    np.testing.assert_array_equal(image.weight, 4.0)
    np.testing.assert_allclose(image.variance, np.maximum(counts * 4.0, 1.0) / 16.0)
    assert "Poisson" in repr(image)
    exposure = np.ones(SHAPE)
    exposure[0, 0] = 0.0
    assert make(counts, likelihood="poisson", gain=exposure).mask.sum() == 1
    np.testing.assert_array_equal(make(counts, likelihood="poisson").weight, 1.0)
    again = image.copy()
    assert again.likelihood == "poisson"
    np.testing.assert_array_equal(again.weight, 4.0)


# --- windows -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "window",
    [
        ((2, 7), (1, 5)),
        [[2, 7], [1, 5]],
        np.array([[2, 7], [1, 5]]),
        np.s_[1:5, 2:7],
        np.s_[1:-1, 2:-1],
        ((2.0, 7.0), (1.0, 5.0)),
    ],
)
def test_spellings_of_a_window(window: Any) -> None:
    assert parse_window(window, SHAPE) == ((2, 7), (1, 5))


def test_windows_over_the_edge() -> None:
    assert parse_window(((-3, 4), (2, 99)), SHAPE, clip=True) == ((0, 4), (2, 6))
    assert parse_window(np.s_[:, :3], SHAPE) == ((0, 3), (0, 6))
    with pytest.raises(InvalidInput, match=r"part inside is \(\(0, 4\), \(2, 6\)\)"):
        parse_window(((-3, 4), (2, 99)), SHAPE)
    with pytest.raises(InvalidInput, match="inside the image"):
        parse_window(((8, 12), (0, 6)), SHAPE, clip=True)


def test_a_window_restricts_what_counts() -> None:
    image = make(window=((2, 7), (1, 5)))
    assert image.window == ((2, 7), (1, 5))
    assert image.shape == SHAPE
    assert np.count_nonzero(image.weight) == 20
    assert np.count_nonzero(~image.mask) == 20
    assert image.weight[0, 0] == 0.0
    wider = image.copy(window=None)
    assert np.count_nonzero(wider.weight) == 48
    assert make().window == ((0, 8), (0, 6))
    assert "window x 2:7, y 1:5" in repr(image)


def test_crop() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[3, 4] = True
    image = make(mask=mask, variance=np.arange(1.0, 49.0).reshape(SHAPE), name="r")
    part = image.crop(((2, 7), (1, 5)))
    np.testing.assert_array_equal(part.data, image.data[1:5, 2:7])
    np.testing.assert_array_equal(part.mask, image.mask[1:5, 2:7])
    np.testing.assert_allclose(part.weight, image.weight[1:5, 2:7])
    np.testing.assert_allclose(part.pixel_to_plane(0, 0), image.pixel_to_plane(2, 1))
    assert part.name == "r"
    assert part.window == ((0, 5), (0, 4))
    counts = make(likelihood="poisson", gain=3.0).crop(((2, 7), (1, 5)))
    np.testing.assert_array_equal(counts.weight, 3.0)


# --- identity, copies, pickles -------------------------------------------------------------------


def test_images_are_equal_only_to_themselves() -> None:
    a = make(name="a")
    b = a.copy()
    assert a != b
    assert a.id != b.id
    assert len({a, b}) == 2
    assert copy.deepcopy([a])[0] is a
    again = pickle.loads(pickle.dumps(a))
    assert again.id == a.id
    assert not again.data.flags.writeable
    np.testing.assert_array_equal(again.weight, a.weight)


def test_copies_keep_a_given_name() -> None:
    named = make(name="r")
    assert named.copy().name == "r"
    assert named.copy(name="s").name == "s"
    unnamed = make()
    assert unnamed.copy().name != unnamed.name
    TargetImageList([unnamed, unnamed.copy()])


def test_copy_changes_what_is_asked() -> None:
    image = make(wcs=sky(), psf=gaussian_psf(fwhm=2.0, pixelscale=0.5), zeropoint=22.5, name="r")
    noisy = image.copy(data=image.data + 1.0, name="noisy")
    np.testing.assert_array_equal(noisy.data, image.data + 1.0)
    assert noisy.psf is image.psf
    assert noisy.zeropoint == 22.5
    np.testing.assert_allclose(noisy.pixel_to_plane(1, 2), image.pixel_to_plane(1, 2))
    np.testing.assert_array_equal(noisy.weight, image.weight)
    np.testing.assert_array_equal(image.copy(std=0.1).weight, make(std=0.1).weight)
    assert image.copy(psf=None).psf is None
    flat = make()
    assert flat.copy(pixelscale=2.0).pixelscale == pytest.approx(2.0)
    np.testing.assert_allclose(flat.copy(origin=(0, 0)).pixel_to_plane(0, 0), 0.0)
    assert flat.copy(wcs=sky()).has_wcs
    fixed = make(wcs=sky(), reference=(10.001, 20.0))
    assert fixed.copy().reference_fixed
    np.testing.assert_allclose(fixed.copy().pixel_to_plane(0, 0), fixed.pixel_to_plane(0, 0))
    assert not fixed.copy(reference=None).reference_fixed


def test_names() -> None:
    assert make(name="W1").name == "W1"
    assert make().name != make().name


def test_repr_tells_the_essentials() -> None:
    text = repr(make(wcs=sky(), zeropoint=22.5, name="r", unit="nJy"))
    for part in ("'r'", '8 x 6 px of 0.5"', "zeropoint 22.5", "nJy", "no PSF", "00h40m"):
        assert part in text
    assert "no WCS" in repr(make())


# --- place ---------------------------------------------------------------------------------------


def test_without_wcs_north_is_up_and_east_left() -> None:
    image = make()
    np.testing.assert_allclose(image.pixel_to_plane(3.5, 2.5), [0.0, 0.0], atol=1e-15)
    np.testing.assert_allclose(image.pixel_to_plane(2.5, 3.5), [0.5, 0.5])
    moved = make(origin=(0.0, 0.0))
    np.testing.assert_allclose(moved.pixel_to_plane(2.0, 4.0), [-1.0, 2.0])
    assert image.reference is None
    assert not image.has_wcs
    assert image.wcs is None
    with pytest.raises(InvalidInput, match="no WCS"):
        image.pixel_to_world(0, 0)


def test_a_reference_puts_an_image_on_the_sky() -> None:
    position = SkyCoord(150.0, 2.0, unit="deg")
    image = make(reference=position, origin=(1.0, 2.0))
    assert image.has_wcs
    assert image.pixel_to_world(1.0, 2.0).separation(position).arcsec < 1e-8
    np.testing.assert_allclose(image.pixel_to_plane(0.0, 3.0), [0.5, 0.5], atol=1e-8)


def test_arrays_in_arrays_out() -> None:
    image = make(wcs=sky())
    x, y = np.meshgrid(np.arange(8.0), np.arange(6.0))
    for result in (image.pixel_to_plane(x, y), image.plane_to_pixel(x, y)):
        assert result[0].shape == x.shape
    assert np.ndim(image.pixel_to_plane(1, 2)[0]) == 0
    assert image.pixel_to_plane(1.0, [2, 3, 4])[0].shape == (3,)
    world = image.pixel_to_world(x, y)
    assert world.shape == x.shape
    np.testing.assert_allclose(image.world_to_pixel(world), [x, y], atol=1e-8)
    np.testing.assert_allclose(image.world_to_plane(world), image.pixel_to_plane(x, y), atol=1e-8)


def test_default_reference_is_the_middle() -> None:
    image = make(wcs=sky())
    np.testing.assert_allclose(image.pixel_to_plane(3.5, 2.5), [0.0, 0.0], atol=1e-9)
    elsewhere = make(wcs=sky(), origin=(0.0, 0.0))
    np.testing.assert_allclose(elsewhere.pixel_to_plane(0.0, 0.0), [0.0, 0.0], atol=1e-9)
    assert make(wcs=sky(), pixelscale=0.5).pixelscale == pytest.approx(0.5)


# --- PSFs ----------------------------------------------------------------------------------------


def test_psf_forms() -> None:
    array = gaussian_psf(fwhm=1.5, pixelscale=0.5).data
    image = make(psf=array)
    assert isinstance(image.psf, PSF)
    assert image.psf_at(3, 3) is image.psf
    assert make().psf is None
    assert make().psf_at(0, 0) is None


def test_varying_psf() -> None:
    def psf(x: float, y: float) -> PSF:
        return gaussian_psf(fwhm=1.5 + 0.1 * x + 0.01 * y, pixelscale=0.5)

    image = make(psf=psf)
    assert image.psf is not None
    assert image.psf.fwhm == pytest.approx(1.5 + 0.35 + 0.025)
    there = image.psf_at(6.0, 1.0)
    assert there is not None
    assert there.fwhm == pytest.approx(2.11)
    cropped = image.crop(((2, 8), (1, 6))).crop(((1, 4), (1, 4)))
    there = cropped.psf_at(3.0, -1.0)
    assert there is not None
    assert there.fwhm == pytest.approx(2.11)


def test_psf_for_another_pixel_scale_is_noticed() -> None:
    with pytest.warns(JointlightWarning, match=r"pixels of 0\.262 arcsec"):
        make(psf=gaussian_psf(fwhm=1.12, pixelscale=0.262))


def test_psf_larger_than_the_image_is_fine_until_it_is_silly() -> None:
    make(psf=gaussian_psf(fwhm=3.0, pixelscale=0.5, size=41))
    with pytest.warns(JointlightWarning, match="oversampling"):
        make(psf=gaussian_psf(fwhm=3.0, pixelscale=0.5, size=101))


# --- files ---------------------------------------------------------------------------------------


@pytest.fixture
def hdus() -> fits.HDUList:
    """An image in the first extension, with everything beside it."""
    rng = np.random.default_rng(3)
    header = sky().to_header()
    header["BUNIT"], header["MAGZP"] = "nJy", 31.4
    mask = np.zeros(SHAPE, np.int32)
    mask[0, 0], mask[0, 1] = 1, 32
    psf = gaussian_psf(fwhm=1.5, pixelscale=0.5).data
    return fits.HDUList(
        [
            fits.PrimaryHDU(),
            fits.ImageHDU(rng.normal(size=SHAPE).astype(">f4"), header, name="SCI"),
            fits.ImageHDU(mask, name="DQ"),
            fits.ImageHDU(np.full(SHAPE, 4.0), name="VAR"),
            fits.ImageHDU(psf, name="PSF"),
            fits.ImageHDU(np.arange(144.0).reshape(3, *SHAPE), name="CUBE"),
            fits.BinTableHDU.from_columns([fits.Column("a", "E", array=[1.0])], name="CAT"),
        ]
    )


@pytest.fixture
def file(hdus: fits.HDUList, tmp_path: Path) -> Path:
    path = tmp_path / "exposure.fits.gz"
    hdus.writeto(path)
    return path


def test_from_fits(file: Path, hdus: fits.HDUList) -> None:
    image = TargetImage.from_fits(
        file,
        mask_hdu="DQ",
        mask_bits=32,
        variance_hdu=3,
        psf_hdu="psf",
        zeropoint="MAGZP",
        window=((1, 8), (0, 6)),
    )
    np.testing.assert_array_equal(image.data, hdus["SCI"].data.astype(float))
    assert image.name == "exposure"
    assert image.unit == u.nJy
    assert image.zeropoint == 31.4
    assert image.mask[0, 1]
    assert np.count_nonzero(image.weight) == 41
    assert image.weight[1, 1] == 0.25
    assert image.psf is not None
    assert image.pixelscale == pytest.approx(0.5)
    same = TargetImage.from_fits(str(file), "SCI", std=2.0, name="r", zeropoint=25)
    np.testing.assert_array_equal(same.data, image.data)
    assert same.name == "r"
    with fits.open(file) as opened:
        again = TargetImage.from_fits(opened, 1, variance=1.0)
    np.testing.assert_array_equal(again.data, image.data)


def test_from_fits_takes_parts_from_other_files(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "noise.fits"
    fits.writeto(other, np.full(SHAPE, 0.25))
    image = TargetImage.from_fits(file, weight_hdu=other, mask_hdu=(file, "DQ"))
    assert image.mask.sum() == 2
    assert image.weight[3, 3] == 0.25


def test_cubes(file: Path) -> None:
    image = TargetImage.from_fits(file, "CUBE", plane=2, variance_hdu="VAR", pixelscale=1.0)
    assert image.data[0, 0] == 96.0
    with pytest.raises(InvalidInput, match=r"plane must be given for a cube.*0 to 2"):
        TargetImage.from_fits(file, "CUBE", variance=1.0, pixelscale=1.0)


def test_scaled_unsigned_and_compressed_files(tmp_path: Path) -> None:
    values = np.arange(48, dtype=np.uint16).reshape(SHAPE) + 40000
    path = tmp_path / "a.fits"
    fits.writeto(path, values, sky().to_header())
    np.testing.assert_array_equal(TargetImage.from_fits(path, variance=1.0).data, values)
    scaled = fits.PrimaryHDU(np.linspace(0.0, 47.0, 48).reshape(SHAPE), sky().to_header())
    scaled.scale("int16", bscale=0.5, bzero=3.0)
    scaled.writeto(tmp_path / "b.fits")
    read = TargetImage.from_fits(tmp_path / "b.fits", variance=1.0)
    np.testing.assert_allclose(read.data.ravel(), np.arange(48.0), atol=0.26)
    packed = fits.HDUList(
        [
            fits.PrimaryHDU(),
            fits.CompImageHDU(values.astype(np.int32), sky().to_header(), name="SCI"),
        ]
    )
    packed.writeto(tmp_path / "c.fits.fz")
    image = TargetImage.from_fits(tmp_path / "c.fits.fz", "SCI", variance=1.0)
    np.testing.assert_array_equal(image.data, values)
    assert image.name == "c"


def test_leading_axes_of_one(tmp_path: Path) -> None:
    path = tmp_path / "radio.fits"
    fits.writeto(path, np.arange(48.0).reshape(1, 1, *SHAPE), sky().to_header())
    assert TargetImage.from_fits(path, variance=1.0).shape == SHAPE


@pytest.mark.parametrize(
    "uncertainty",
    [StdDevUncertainty, VarianceUncertainty, InverseVariance],
)
def test_from_nddata(uncertainty: Any) -> None:
    std = np.linspace(1.0, 2.0, 48).reshape(SHAPE)
    values = {StdDevUncertainty: std, VarianceUncertainty: std**2, InverseVariance: std**-2.0}
    mask = np.zeros(SHAPE, bool)
    mask[5, 5] = True
    nddata = NDData(
        np.ones(SHAPE),
        uncertainty=uncertainty(values[uncertainty]),
        mask=mask,
        unit="mJy",
        wcs=sky(),
        psf=gaussian_psf(fwhm=1.5, pixelscale=0.5).data,
    )
    image = TargetImage.from_nddata(nddata, zeropoint=16.4)
    np.testing.assert_allclose(image.weight, np.where(mask, 0.0, std**-2.0), rtol=1e-12)
    assert image.unit == u.mJy
    assert image.psf is not None
    assert image.has_wcs
    replaced = TargetImage.from_nddata(nddata, variance=4.0, mask=None, psf=None)
    np.testing.assert_array_equal(replaced.weight, 0.25)
    assert replaced.psf is None


def test_uncertainty_in_another_unit() -> None:
    nddata = NDData(
        np.ones(SHAPE), uncertainty=StdDevUncertainty(np.ones(SHAPE), unit="uJy"), unit="mJy"
    )
    image = TargetImage.from_nddata(nddata, pixelscale=1.0)
    np.testing.assert_allclose(image.weight, 1e6)


def test_from_ccddata() -> None:
    ccd = CCDData(
        np.ones(SHAPE), unit="adu", wcs=sky(), uncertainty=StdDevUncertainty(np.ones(SHAPE))
    )
    image = TargetImage.from_nddata(ccd, name="NUV")
    assert image.name == "NUV"
    assert image.pixelscale == pytest.approx(0.5)


# --- lists ---------------------------------------------------------------------------------------


def test_a_list_shares_the_first_images_plane() -> None:
    r = make(wcs=sky(), name="r")
    w = make(wcs=sky(10.01, 20.01, scale=2.75), name="W1")
    before = w.pixel_to_plane(0.0, 0.0)
    images = TargetImageList([r, w])
    assert images.reference is r.reference
    assert w.reference is not None
    assert w.reference.separation(r.reference).arcsec < 1e-9
    assert np.hypot(*(np.array(w.pixel_to_plane(0.0, 0.0)) - before)) > 10.0
    world = r.pixel_to_world(2.0, 3.0)
    np.testing.assert_allclose(w.world_to_plane(world), r.pixel_to_plane(2.0, 3.0), atol=1e-8)
    assert images[0] is r
    assert images["W1"] is w
    assert images.names == ("r", "W1")
    assert len(images) == 2
    assert list(images) == [r, w]
    assert images.index(w) == 1
    assert w in images
    assert make(name="r") not in images
    assert isinstance(images[:1], TargetImageList)
    assert "W1" in repr(images)
    with pytest.raises(KeyError, match="Did you mean 'W1'"):
        images["w1"]


def test_explicit_references() -> None:
    position = SkyCoord(10.002, 20.001, unit="deg")
    a, b = make(wcs=sky(), name="a"), make(wcs=sky(), name="b", reference=position)
    TargetImageList([a, b])
    assert a.reference is not None
    assert a.reference.separation(position).arcsec < 1e-9
    c, d = make(wcs=sky(), name="c"), make(wcs=sky(), name="d")
    assert TargetImageList([c, d], reference=(10.002, 20.001)).reference is c.reference
    np.testing.assert_allclose(c.world_to_plane(position), 0.0, atol=1e-8)


def test_a_second_list_keeps_the_plane_of_the_first() -> None:
    a, b, c = (make(wcs=sky(10.0 + 0.001 * i), name=f"i{i}") for i in range(3))
    TargetImageList([a, b])
    TargetImageList([c, b])
    assert c.reference is not None
    assert c.reference.separation(a.reference).arcsec < 1e-9
    d, e = make(wcs=sky(10.01), name="d"), make(wcs=sky(), name="e")
    TargetImageList([d, e])
    with pytest.raises(InvalidInput, match="already on the plane"):
        TargetImageList([a, d])
    TargetImageList([a, d.copy(reference=a.reference)])


@pytest.mark.parametrize(
    ("dec", "shown", "apart"),
    [(20.0001, "20.0001", "0.36 arcsec"), (20.00000002, "20.00000002", "7.2e-05 arcsec")],
)
def test_planes_that_nearly_agree_are_told_apart(dec: float, shown: str, apart: str) -> None:
    near = [make(wcs=sky(), name=f"i{d}", reference=(10.0, d)) for d in (20.0, dec)]
    with pytest.raises(InvalidInput) as caught:
        TargetImageList(near)
    assert f"(10, {shown}) deg" in str(caught.value)
    assert "(10, 20) deg" in str(caught.value)
    assert apart in str(caught.value)


def test_lists_pickle_with_their_plane() -> None:
    images = TargetImageList([make(wcs=sky(), name="a"), make(wcs=sky(10.01), name="b")])
    again = pickle.loads(pickle.dumps(images))
    np.testing.assert_allclose(again[1].pixel_to_plane(1, 1), images[1].pixel_to_plane(1, 1))


def test_lists_without_wcs_share_their_origins() -> None:
    images = TargetImageList([make(name="a"), make(name="b", origin=(0, 0))])
    assert images.reference is None


# --- real ones -----------------------------------------------------------------------------------


def read(path: Path, *arguments: Any, **options: Any) -> TargetImage:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", JointlightWarning)
        return TargetImage.from_fits(path, *arguments, **options)


def test_real_survey_files(data_dir: Path) -> None:
    folder = data_dir / "awkward"
    stem = "c4d_171113_060340_oo{}_r_ls9.N6.fits"
    image = read(
        folder / stem.format("i"),
        weight_hdu=(folder / stem.format("w"), 1),
        mask_hdu=folder / stem.format("d"),
        psf_hdu=folder / "c4d_171113_060340_psf_r_ls9.N6.fits",
        zeropoint=29.301,
    )
    assert image.shape == (375, 280)
    assert image.psf is not None
    assert image.mask.sum() < image.mask.size / 2
    half_null = read(folder / "ps1_h1413_sci.fits", variance_hdu=folder / "ps1_h1413_var.fits")
    assert half_null.mask.sum() == 822
    assert read(folder / "sdss_frame_r.fits.bz2", variance=1.0).shape == (100, 100)
    assert read(folder / "tnx_uint16.fits", variance=1.0).data[90, 31] == 7140.0
    doubled = read(folder / "multiextension_ic3478.fits", 1, variance=1.0)
    plain = read(folder / "multiextension_ic3478.fits", 0, variance=1.0)
    np.testing.assert_allclose(doubled.data, 2.0 * plain.data, rtol=1e-6)


def test_real_alert_with_its_own_psf(data_dir: Path) -> None:
    path = data_dir / "rubin_alert_transient" / "snhost_science.fits"
    image = read(path, variance_hdu="UNCERT", psf_hdu="PSFIMAGE", ctype="TAN", zeropoint=31.4)
    assert image.unit == u.nJy
    assert image.pixelscale == pytest.approx(0.1996, rel=1e-3)
    x, y = image.world_to_pixel(SkyCoord(60.243462430162076, -48.36553084273716, unit="deg"))
    np.testing.assert_allclose([x, y], [14.468, 14.4136], atol=1e-3)


def test_two_telescopes_of_one_field(data_dir: Path) -> None:
    folder = data_dir / "hst_hsc_blend"
    hst = read(folder / "Cut_HST.fits", variance=1.0, name="hst")
    hsc = read(folder / "Cut_HSC.fits", plane=2, variance=1.0, name="hsc")
    TargetImageList([hsc, hst])
    x, y = hst.plane_to_pixel(0.0, 0.0)
    assert 50 < x < 200
    assert 50 < y < 200
    np.testing.assert_allclose(
        hst.pixel_to_plane(x, y), hsc.pixel_to_plane(*hsc.plane_to_pixel(0.0, 0.0)), atol=1e-6
    )
