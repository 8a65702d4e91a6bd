# SPDX-License-Identifier: BSD-3-Clause
"""What images and PSFs refuse: each case names its argument and says what would do."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import NDData, UnknownUncertainty
from astropy.wcs import WCS

from jointlight.errors import (
    BackendUnavailable,
    Described,
    InvalidInput,
    JointlightError,
    describe_value,
    did_you_mean,
    invalid,
)
from jointlight.image import TargetImage, TargetImageList
from jointlight.psf import PSF, as_psf, gaussian_psf, moffat_psf

ONES = np.ones((6, 8))
NAN = float("nan")


def sky(**changes: Any) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = changes.get("ctype", ["RA---TAN", "DEC--TAN"])
    wcs.wcs.crval, wcs.wcs.crpix = changes.get("crval", [10.0, 20.0]), [4.0, 3.0]
    wcs.wcs.cdelt = [-1e-4, 1e-4]
    if "pc" in changes:
        wcs.wcs.pc = changes["pc"]
    return wcs


def image(data: Any = ONES, **options: Any) -> TargetImage:
    if "wcs" not in options:
        options.setdefault("pixelscale", 1.0)
    if not {"variance", "std", "weight", "likelihood"} & options.keys():
        options["variance"] = 1.0
    return TargetImage(data, **options)


def one(value: float, *, fill: float = 1.0) -> np.ndarray:
    """An image in which one pixel differs."""
    array = np.full((6, 8), fill)
    array[3, 5] = value
    return array


Case = tuple[str, Callable[[], object], str]

IMAGE_CASES: list[Case] = [
    ("one-dimensional", lambda: image(np.ones(5)), r"data .*two-dimensional.*shape \(5,\)"),
    ("cube", lambda: image(np.ones((5, 6, 8))), r"data .*two-dimensional.*data\[0\]"),
    ("scalar", lambda: image(3.0), "data .*two-dimensional"),
    ("empty", lambda: image(np.ones((0, 8))), "data .*with pixels"),
    ("complex", lambda: image(ONES * 1j), "data .*real numbers.*complex128"),
    ("object", lambda: image(np.array([[None]])), "data .*real numbers.*object"),
    ("text", lambda: image(np.array([["a"]])), "data .*real numbers"),
    ("boolean", lambda: image(ONES > 0), "data .*real numbers.*astype"),
    ("ragged", lambda: image([[1.0, 2.0], [3.0]]), "data "),
    ("none", lambda: image(None), "data .*real numbers"),
    ("all NaN", lambda: image(ONES * NAN), "every pixel is masked or NaN"),
    ("all masked", lambda: image(mask=ONES > 0), "every pixel is masked.*ignore this pixel"),
    ("all zero weight", lambda: image(weight=0.0), "every pixel is masked or of zero weight"),
    ("mask shape", lambda: image(mask=np.zeros((6, 7))), r"mask .*\(6, 8\).*\(6, 7\)"),
    ("mask turned", lambda: image(mask=np.zeros((8, 6))), "mask .*transposed"),
    ("mask fractions", lambda: image(mask=ONES / 2), "mask .*whole numbers"),
    ("mask NaN", lambda: image(mask=one(NAN)), "mask .*whole numbers"),
    ("mask text", lambda: image(mask=np.full((6, 8), "x")), "mask .*whole numbers"),
    ("bits without mask", lambda: image(mask_bits=1), "mask_bits .*integer mask"),
    ("bits of bool", lambda: image(mask=ONES < 0, mask_bits=1), "mask_bits .*boolean"),
    ("bits zero", lambda: image(mask=np.zeros((6, 8), int), mask_bits=0), "mask_bits "),
    ("bits empty", lambda: image(mask=np.zeros((6, 8), int), mask_bits=[]), "mask_bits "),
    ("bits float", lambda: image(mask=np.zeros((6, 8), int), mask_bits=1.5), "mask_bits "),
    ("variance zero", lambda: image(variance=0.0), "variance .*positive.*not 0"),
    ("variance negative", lambda: image(variance=-1.0), "variance .*positive.*not -1"),
    (
        "variance zero somewhere",
        lambda: image(variance=one(0.0)),
        r"variance .*positive on unmasked.*\(x, y\) = \(5, 3\).*mask these",
    ),
    ("variance NaN", lambda: image(variance=one(NAN)), "variance .*nan at"),
    ("variance shape", lambda: image(variance=np.ones(8)), r"variance .*shape \(6, 8\)"),
    ("variance text", lambda: image(variance="big"), "variance .*real numbers"),
    ("variance complex", lambda: image(variance=ONES * 1j), "variance .*real numbers"),
    ("variance underflow", lambda: image(variance=1e-320), "variance .*large enough"),
    ("std zero", lambda: image(std=one(0.0)), "std .*positive"),
    ("std negative", lambda: image(std=one(-2.0)), "std .*positive.*-2"),
    ("std underflow", lambda: image(std=1e-200), "std .*large enough"),
    ("weight negative", lambda: image(weight=one(-1.0)), "weight .*not negative"),
    ("weight NaN", lambda: image(weight=one(NAN)), "weight .*finite"),
    ("weight infinite", lambda: image(weight=one(np.inf)), "weight .*finite"),
    ("two noises", lambda: image(variance=1.0, std=1.0), "at most one.*variance and std"),
    ("noise with unit", lambda: image(std=1 * u.mJy), "std .*plain array"),
    (
        "noise of wrong unit",
        lambda: image(ONES * u.mJy, variance=1 * u.mJy),
        "variance .*in mJy2",
    ),
    ("unit unknown", lambda: image(unit="florps"), "unit .*astropy knows"),
    ("unit inconvertible", lambda: image(ONES * u.mJy, unit="m"), "unit .*converts"),
    ("no scale", lambda: image(pixelscale=None), "needs wcs= or pixelscale="),
    ("scale zero", lambda: image(pixelscale=0.0), "pixelscale .*positive"),
    ("scale negative", lambda: image(pixelscale=-0.2), "pixelscale .*positive"),
    ("scale NaN", lambda: image(pixelscale=NAN), "pixelscale .*positive"),
    ("scale infinite", lambda: image(pixelscale=np.inf), "pixelscale .*positive"),
    ("scale text", lambda: image(pixelscale="0.2"), "pixelscale .*positive"),
    ("scale in metres", lambda: image(pixelscale=1 * u.m), "pixelscale .*angle"),
    ("scale against WCS", lambda: image(wcs=sky(), pixelscale=3.0), "pixelscale .*left out"),
    ("zeropoint NaN", lambda: image(zeropoint=NAN), "zeropoint .*finite"),
    ("zeropoint infinite", lambda: image(zeropoint=np.inf), "zeropoint .*finite"),
    ("zeropoint text", lambda: image(zeropoint="AB"), "zeropoint .*magnitude"),
    ("zeropoint list", lambda: image(zeropoint=[22.5, 3]), "zeropoint .*magnitude"),
    ("window outside", lambda: image(window=((8, 10), (0, 3))), "window .*8 x 6 pixels"),
    ("window over edge", lambda: image(window=((0, 9), (0, 3))), "window .*part inside"),
    ("window empty", lambda: image(window=((3, 3), (0, 3))), "window .*at least one pixel"),
    ("window backwards", lambda: image(window=((5, 3), (0, 3))), "window .*at least one"),
    ("window flat", lambda: image(window=(0, 3, 0, 3)), "window .*x0, x1"),
    ("window fractions", lambda: image(window=((0, 2.5), (0, 3))), "window .*whole pixels"),
    ("window NaN", lambda: image(window=((0, NAN), (0, 3))), "window .*whole pixels"),
    ("window text", lambda: image(window="all"), "window .*x0, x1"),
    ("window step", lambda: image(window=np.s_[::2, :]), "window .*step"),
    ("window one slice", lambda: image(window=(slice(0, 3),)), "window .*x0, x1"),
    (
        "window of masked pixels",
        lambda: image(mask=np.arange(8) < 4 + 0 * ONES, window=((0, 3), (0, 6))),
        "every pixel is masked or outside the window",
    ),
    ("wcs text", lambda: image(wcs="TAN"), "wcs .*astropy WCS"),
    ("wcs spectral", lambda: image(wcs=sky(ctype=["WAVE", "DEC--TAN"])), "wcs "),
    ("wcs linear", lambda: image(wcs=sky(ctype=["LINEAR", "LINEAR"])), "wcs .*celestial"),
    ("wcs singular", lambda: image(wcs=sky(pc=[[1.0, 1.0], [1.0, 1.0]])), "wcs .*"),
    ("wcs zero", lambda: image(wcs=sky(pc=[[0.0, 0.0], [0.0, 0.0]])), "wcs .*"),
    ("origin text", lambda: image(origin="middle"), "origin .*pixel"),
    ("origin NaN", lambda: image(origin=(NAN, 0.0)), "origin .*pixel"),
    ("origin triple", lambda: image(origin=(1, 2, 3)), "origin .*pixel"),
    ("reference text", lambda: image(reference="M31"), "reference .*SkyCoord"),
    ("reference dec", lambda: image(reference=(10.0, 95.0)), "reference .*on the sky"),
    (
        "reference array",
        lambda: image(reference=SkyCoord([1, 2], [3, 4], unit="deg")),
        "reference .*single",
    ),
    (
        "reference and origin",
        lambda: image(wcs=sky(), reference=(10, 20), origin=(0, 0)),
        "reference, origin .*at most one",
    ),
    ("likelihood", lambda: image(likelihood="poison"), "likelihood .*Did you mean 'poisson'"),
    ("poisson variance", lambda: image(likelihood="poisson", variance=1.0), "variance .*left out"),
    ("poisson negative", lambda: image(one(-1.0), likelihood="poisson"), "data .*not negative"),
    ("gain alone", lambda: image(gain=2.0), "gain .*poisson"),
    ("gain negative", lambda: image(likelihood="poisson", gain=-2.0), "gain .*not negative"),
    ("gain NaN", lambda: image(likelihood="poisson", gain=one(NAN)), "gain .*finite"),
    ("name number", lambda: image(name=3), "name .*text"),
    ("name empty", lambda: image(name=" "), "name .*empty"),
    ("local map off the sky", lambda: image().local_map(NAN, 0.0), "x, y "),
    ("local map window", lambda: image().local_map(0, 0, ((9, 12), (0, 3))), "window "),
    ("crop outside", lambda: image().crop(((9, 12), (0, 3))), "window "),
    ("unknown pixel", lambda: image().pixel_to_world(0, 0), "no WCS"),
]

PSF_CASES: list[Case] = [
    ("one-dimensional", lambda: PSF(np.ones(5)), "psf .*two-dimensional"),
    ("empty", lambda: PSF(np.ones((0, 0))), "psf .*two-dimensional"),
    ("NaN", lambda: PSF(one(NAN)), "psf .*finite.*1 NaN"),
    ("infinite", lambda: PSF(one(np.inf)), "psf .*finite"),
    ("zeros", lambda: PSF(np.zeros((5, 5))), "psf .*positive sum.*sum 0"),
    ("negative", lambda: PSF(-ONES), "psf .*positive sum"),
    ("cancelling", lambda: PSF(np.array([[1.0, -1.0 + 1e-9]])), "psf .*positive sum"),
    ("complex", lambda: PSF(ONES * 1j), "psf .*real numbers"),
    ("text", lambda: as_psf("psf.fits"), "psf .*from_fits"),
    ("function", lambda: as_psf(lambda x, y: ONES), "psf "),
    ("oversampling zero", lambda: PSF(ONES, oversampling=0), "oversampling .*whole"),
    ("oversampling half", lambda: PSF(ONES, oversampling=1.5), "oversampling .*whole"),  # type: ignore[arg-type]
    ("oversampling bool", lambda: PSF(ONES, oversampling=True), "oversampling .*whole"),
    ("kind", lambda: PSF(ONES, kind="efective"), "kind .*Did you mean 'effective'"),  # type: ignore[arg-type]
    ("center name", lambda: PSF(ONES, center="center"), "center .*'centroid'"),  # type: ignore[arg-type]
    ("center outside", lambda: PSF(ONES, center=(20.0, 2.0)), "center .*8 x 6"),
    ("center NaN", lambda: PSF(ONES, center=(NAN, 2.0)), "center .*inside"),
    ("center single", lambda: PSF(ONES, center=3.0), "center .*pair"),  # type: ignore[arg-type]
    ("scale", lambda: PSF(ONES, pixelscale=0.0), "pixelscale .*positive"),
    ("gaussian neither", lambda: gaussian_psf(pixelscale=1.0), "fwhm, sigma .*one of the two"),
    (
        "gaussian both",
        lambda: gaussian_psf(fwhm=1.0, sigma=1.0, pixelscale=1.0),
        "fwhm, sigma .*both",
    ),
    ("gaussian zero", lambda: gaussian_psf(fwhm=0.0, pixelscale=1.0), "fwhm .*positive"),
    ("gaussian NaN", lambda: gaussian_psf(sigma=NAN, pixelscale=1.0), "sigma .*positive"),
    ("gaussian unit", lambda: gaussian_psf(fwhm=1 * u.s, pixelscale=1.0), "fwhm .*arcsec"),
    ("size", lambda: gaussian_psf(fwhm=1.0, pixelscale=1.0, size=0), "size .*whole"),
    ("size half", lambda: gaussian_psf(fwhm=1.0, pixelscale=1.0, size=2.5), "size "),  # type: ignore[arg-type]
    ("moffat beta", lambda: moffat_psf(fwhm=1.0, beta=1.0, pixelscale=1.0), "beta .*above 1"),
    ("moffat beta 1.05", lambda: moffat_psf(fwhm=1.0, beta=1.05, pixelscale=1.0), "beta .*1.05"),
    (
        "moffat beta 21 on an image",
        lambda: image(psf=moffat_psf(fwhm=2.0, beta=21.0, pixelscale=0.5)),
        "beta .*above 1.05 and at most 20, not 21",
    ),
    (
        "sharp gaussian",
        lambda: gaussian_psf(sigma=0.09, pixelscale=1.0),
        "sigma .*at least 0.1 px.*psf=None.*oversampled",
    ),
    (
        "sharp moffat",
        lambda: moffat_psf(fwhm=0.2, beta=3.0, pixelscale=1.0),
        "fwhm .*at least 0.1 px.*psf=None",
    ),
    ("moffat beta NaN", lambda: moffat_psf(fwhm=1.0, beta=NAN, pixelscale=1.0), "beta "),
    (
        "optical with the pixel",
        lambda: gaussian_psf(fwhm=1.0, pixelscale=1.0, kind="optical", includes_pixel=True),
        "kind .*includes_pixel",
    ),
    ("image psf zero", lambda: image(psf=np.zeros((5, 5))), "psf .*positive sum"),
    ("image psf NaN", lambda: image(psf=one(NAN)), "psf .*finite"),
    ("image psf text", lambda: image(psf="gaussian"), "psf .*array"),
    ("image psf function", lambda: image(psf=lambda x, y: "no"), r"psf\(x, y\) .*array"),
]


def _two(**options: Any) -> list[TargetImage]:
    return [image(wcs=sky(), name="a"), image(name="b", **options)]


LIST_CASES: list[Case] = [
    ("empty", lambda: TargetImageList([]), "images .*at least one"),
    ("an image", lambda: TargetImageList(image()), "images .*sequence"),  # type: ignore[arg-type]
    ("a number", lambda: TargetImageList(3), "images .*sequence"),  # type: ignore[arg-type]
    ("an array in it", lambda: TargetImageList([ONES]), r"images\[0\] .*TargetImage"),  # type: ignore[list-item]
    ("same name", lambda: TargetImageList([image(name="r"), image(name="r")]), "two .*'r'"),
    ("same image", lambda: TargetImageList([_two()[0]] * 2), r"twice.*copy"),
    ("mixed", lambda: TargetImageList(_two()), r"'b' has no WCS.*reference=.*origin"),
    (
        "reference without WCS",
        lambda: TargetImageList([image()], reference=(1.0, 2.0)),
        "reference: none of these images has a WCS",
    ),
    (
        "two references",
        lambda: TargetImageList(_two(wcs=sky(), reference=(10.1, 20.0)), reference=(10.0, 20.0)),
        r"already on the plane.*copy\(reference",
    ),
    (
        "other side of the sky",
        lambda: TargetImageList(_two(wcs=sky(crval=[190.0, -20.0]))),
        "180 degrees",
    ),
]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(call, message, id=f"{kind}: {name}")
        for kind, cases in (("image", IMAGE_CASES), ("psf", PSF_CASES), ("list", LIST_CASES))
        for name, call, message in cases
    ],
)
def test_refused_with_a_reason(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidInput, match=f"(?si){message}") as caught:
        call()
    assert isinstance(caught.value, ValueError)
    assert len(str(caught.value)) < 500


# --- files ---------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "image.fits"
    fits.HDUList(
        [
            fits.PrimaryHDU(ONES, sky().to_header()),
            fits.ImageHDU(np.ones(5), name="LINE"),
            fits.ImageHDU(np.ones((3, 3)), name="SMALL"),
            fits.BinTableHDU.from_columns([fits.Column("a", "E", array=[1.0])], name="CAT"),
        ]
    ).writeto(path)
    return path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hdu": 9}, r"hdu .*0 \(PRIMARY\), 1 \(LINE\)"),
        ({"hdu": "SMAL"}, "hdu .*Did you mean 'SMALL'"),
        ({"hdu": "CAT"}, "hdu .*a table"),
        ({"hdu": "LINE"}, "hdu .*1 axes"),
        ({"hdu": 1.5}, "hdu .*index or the name"),
        ({"mask_hdu": "MASK"}, "mask_hdu .*one of the HDUs"),
        ({"mask_hdu": "SMALL"}, r"mask .*shape \(6, 8\)"),
        ({"std_hdu": 0, "variance_hdu": 0}, "at most one"),
        ({"std_hdu": 0, "std": 1.0}, "std, std_hdu .*one of the two"),
        ({"zeropoint": "MAGZP"}, "zeropoint .*card"),
        ({"plane": 2}, "plane .*left out"),
        ({"ctype": "TAN"}, "ctype .*left out"),
        ({"weight_hdu": ("nowhere.fits", 0)}, "path .*exists"),
    ],
)
def test_refused_files(file: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        TargetImage.from_fits(file, **options)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"path .*exists"):
        TargetImage.from_fits(tmp_path / "no.fits")
    with pytest.raises(InvalidInput, match=r"path .*a path"):
        TargetImage.from_fits(3)
    text = tmp_path / "text.fits"
    text.write_text("not an image\n" * 300)
    with pytest.raises(InvalidInput, match="cannot be read as FITS"):
        TargetImage.from_fits(text)
    empty = tmp_path / "empty.fits"
    fits.PrimaryHDU().writeto(empty)
    with pytest.raises(InvalidInput, match=r"hdu .*an image"):
        TargetImage.from_fits(empty)


def test_refused_nddata() -> None:
    with pytest.raises(InvalidInput, match=r"nddata .*NDData"):
        TargetImage.from_nddata(ONES)
    unknown = NDData(ONES, uncertainty=UnknownUncertainty(ONES))
    with pytest.raises(InvalidInput, match=r"UnknownUncertainty.*variance="):
        TargetImage.from_nddata(unknown, pixelscale=1.0)


# --- the errors themselves -----------------------------------------------------------------------


def test_error_texts() -> None:
    error = invalid("n", 12.0, "between 0.3 and 10", "start at 2")
    assert str(error) == "n must be between 0.3 and 10, not 12.0. Start at 2"
    assert error.argument == "n"
    assert isinstance(error, JointlightError)
    assert describe_value(np.zeros((3, 4))) == "an array of shape (3, 4) and type float64"
    assert describe_value(Described("as it is")) == "as it is"
    assert len(describe_value("x" * 500)) <= 80


def test_did_you_mean() -> None:
    assert did_you_mean("re", ["Re", "n"]) == ". Did you mean 'Re'? It can be 'Re' or 'n'"
    assert did_you_mean("zzz", ["Re"]) == ". It can be 'Re'"
    assert did_you_mean("zzz", []) == ""
    many = [f"name{i}" for i in range(40)]
    assert did_you_mean("name7x", many) == ". Did you mean 'name7'?"
    assert "40 names" in did_you_mean("zzz", many)


def test_errors_pickle() -> None:
    for error in (invalid("n", 1, "2"), BackendUnavailable("cuda", "no driver")):
        again = pickle.loads(pickle.dumps(error))
        assert str(again) == str(error)
        assert vars(again) == vars(error)
