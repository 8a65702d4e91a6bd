# SPDX-License-Identifier: BSD-3-Clause
"""Files: results to ASDF and back, FITS products."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from astropy.wcs import WCS, Sip
from numpy.testing import assert_allclose, assert_array_equal

import jointlight as jl
from jointlight.io.images import image_from_tree, image_to_tree, psf_from_tree, psf_to_tree
from jointlight.io.models import model_from_tree, model_to_tree
from reference import small_problem


def target(seed: int = 2, **overrides: Any) -> jl.TargetImageList:
    clean = small_problem.noiseless()
    data = small_problem.noisy(clean, np.random.default_rng(seed))
    return jl.TargetImageList(small_problem.images(data, **overrides))


@pytest.fixture(scope="module")
def result() -> jl.FitResult:
    return jl.fit.LM(small_problem.model(target())).fit()


@pytest.fixture(scope="module")
def loaded(result: jl.FitResult, tmp_path_factory: pytest.TempPathFactory) -> jl.FitResult:
    path = tmp_path_factory.mktemp("asdf") / "fit.asdf"
    result.write(path)
    return jl.load(path)


# ---- results ----------------------------------------------------------------------------


def test_numbers_come_back(result: jl.FitResult, loaded: jl.FitResult) -> None:
    for name in ("status", "message", "chi2", "dof", "time_s", "n_linearize", "parameters"):
        assert getattr(loaded, name) == getattr(result, name), name
    for name in ("values", "initial", "covariance", "chi2_images", "parameter_flags"):
        assert_array_equal(getattr(loaded, name), getattr(result, name), err_msg=name)
    assert dict(loaded.options) == dict(result.options)
    assert_array_equal(loaded.history["chi2"], result.history["chi2"])


def test_tables_come_back(result: jl.FitResult, loaded: jl.FitResult) -> None:
    for name in ("table", "sources"):
        ours, theirs = getattr(result, name), getattr(loaded, name)
        assert ours.colnames == theirs.colnames
        for column in ours.colnames:
            assert_array_equal(np.asarray(ours[column]), np.asarray(theirs[column]))
            assert getattr(ours[column], "unit", None) == getattr(theirs[column], "unit", None)


def test_errors_can_still_be_derived(result: jl.FitResult, loaded: jl.FitResult) -> None:
    assert loaded.color("a", "b", source=0).error == result.color("a", "b", source=0).error
    area = loaded.derived(lambda p: p["q"] * p["Re"] ** 2)
    assert area.error == result.derived(lambda p: p["q"] * p["Re"] ** 2).error
    assert_array_equal(loaded.scale_errors(2.0).errors, 2 * result.errors)


def test_the_model_comes_back(result: jl.FitResult, loaded: jl.FitResult) -> None:
    ours, theirs = result.model, loaded.model
    assert ours is not None
    assert theirs is not None
    assert str(theirs) == str(ours)
    for image in result.images:
        # Not to the last bit: the WCS goes through the digits of a FITS header.
        assert_allclose(theirs.image(image.name), ours.image(image.name), rtol=1e-9)
    refitted = jl.fit.LM(theirs).fit()
    assert_allclose(refitted.chi2, jl.fit.LM(copy.deepcopy(ours)).fit().chi2, rtol=1e-9)


def test_an_existing_file_is_not_replaced_unasked(result: jl.FitResult, tmp_path: Path) -> None:
    path = tmp_path / "fit.asdf"
    path.write_text("precious")
    with pytest.raises(FileExistsError, match="overwrite"):
        result.write(path)
    assert path.read_text() == "precious"
    result.write(path, overwrite=True)
    assert jl.load(path).status == result.status
    assert [p.name for p in tmp_path.iterdir()] == ["fit.asdf"]


def test_files_that_are_none(tmp_path: Path) -> None:
    import asdf

    with pytest.raises(FileNotFoundError, match=r"nothing\.asdf"):
        jl.load(tmp_path / "nothing.asdf")
    (tmp_path / "text.asdf").write_text("hello")
    with pytest.raises(jl.InvalidInput, match="ASDF"):
        jl.load(tmp_path / "text.asdf")
    asdf.AsdfFile({"a": 1}).write_to(tmp_path / "other.asdf")
    with pytest.raises(jl.InvalidInput, match="path"):
        jl.load(tmp_path / "other.asdf")
    head = {"kind": "fit result", "format": 99}
    asdf.AsdfFile({"jointlight": head}).write_to(tmp_path / "newer.asdf")
    with pytest.raises(jl.InvalidInput, match="format 99"):
        jl.load(tmp_path / "newer.asdf")


def test_no_folder(result: jl.FitResult, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="folder"):
        result.write(tmp_path / "missing" / "fit.asdf")


# ---- models -----------------------------------------------------------------------------


def rebuilt(model: Any) -> Any:
    images = list(model.images_modelled)
    return model_from_tree(model_to_tree(model, images), images)


def test_groups_ties_limits_and_priors() -> None:
    images = target()
    a, b, c = images
    disk = jl.Model("exponential", target=a, name="disk", center=(0.1, 0.2), q=0.5, PA=10.0,
                    Re={"value": 3.0, "limits": (1.0, 9.0)}, Ie=1.0)  # fmt: skip
    bulge = jl.Model("sersic", target=a, name="bulge", center=disk["center"], q=0.9, PA=170.0,
                     n={"value": 4.0, "fixed": True}, Re=1.0, flux=20.0, amplitude="flux",
                     window=((5, 30), (4, 31)))  # fmt: skip
    bulge["Re"].tie(disk["Re"], scale=0.4, offset=0.1)
    bulge["q"].prior = jl.Normal(0.9, 0.05)
    star = jl.Model("point", target=b, name="star", center=(2.0, 2.0), flux=9.0)
    sky = jl.Model("flat sky", target=c, name="sky", I0=0.02)
    inner = jl.Group([disk, bulge], name="spiral")
    galaxy = small_problem.model(images)
    model = jl.Group([inner, star, sky, galaxy], target=images, name="all")
    twin = rebuilt(model)
    assert str(twin) == str(model)
    for one, other in zip(model.images(), twin.images(), strict=True):
        assert_array_equal(one, other)
    assert twin.compile().names == model.compile().names
    disk["Re"].value = 4.0
    twin["spiral/disk/Re"].value = 4.0
    assert twin["spiral/bulge/Re"].value == pytest.approx(bulge["Re"].value)


def test_a_polynomial_keeps_its_coefficients() -> None:
    images = target()
    model = jl.joint("sersic", target=images, per_image=["flux", "Re"], amplitude="flux", name="g")
    for name in ("center", "q", "PA", "n"):
        model[name].value = small_problem.TRUTH[name]
    for image, member in zip(images, model.models, strict=True):
        member["flux"].value = small_problem.FLUXES[image.name]
        member["Re"].value = 2.4
    jl.tie_polynomial([m["Re"] for m in model.models], [0.4, 0.6, 0.9], degree=1)
    twin = rebuilt(model)
    assert twin.compile().names == model.compile().names
    assert_allclose(twin.compile().chi2(), model.compile().chi2(), rtol=1e-12)


def test_a_function_tie_is_fixed_at_its_value() -> None:
    model = small_problem.model(target())
    model["b/Re"].tie(lambda re: 1.1 * re, [model["Re"]])
    with pytest.warns(jl.JointlightWarning, match="b/Re"):
        twin = rebuilt(model)
    assert twin["b/Re"].fixed
    assert twin["b/Re"].value == pytest.approx(1.1 * small_problem.TRUTH["Re"])


# ---- images and PSFs --------------------------------------------------------------------


@pytest.mark.parametrize(
    "psf",
    [
        jl.gaussian_psf(fwhm=1.5, pixelscale=0.5),
        jl.gaussian_psf(fwhm=1.5, pixelscale=0.5, includes_pixel=True, size=21),
        jl.moffat_psf(fwhm=1.5, beta=3.5, pixelscale=0.5, oversampling=2),
        jl.PSF(np.eye(5) + 1.0, oversampling=2, kind="optical", center=(2.0, 1.5)),
    ],
    ids=repr,
)
def test_psfs_come_back(psf: Any) -> None:
    twin = psf_from_tree(psf_to_tree(psf))
    assert type(twin) is type(psf)
    assert_allclose(twin.data, psf.data, rtol=1e-12)
    assert (twin.kind, twin.oversampling, twin.center) == (psf.kind, psf.oversampling, psf.center)
    assert repr(twin) == repr(psf)


def sip_wcs() -> WCS:
    wcs = small_problem.wcs("a")
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    a = np.zeros((3, 3))
    a[2, 0] = 2e-4
    wcs.sip = Sip(a, a.T, None, None, wcs.wcs.crpix)
    return wcs


@pytest.mark.parametrize(
    "options",
    [
        {"pixelscale": 0.4, "origin": (3.0, 4.0)},
        {"pixelscale": 0.4, "reference": (10.0, -20.0), "unit": "mJy"},
        {"wcs": small_problem.wcs("c"), "window": ((2, 30), (5, 25)), "zeropoint": 24.0},
        {"wcs": sip_wcs(), "mask": np.eye(40, dtype=bool)},
    ],
    ids=["pixels", "reference", "window", "sip"],
)
def test_images_come_back(options: dict[str, Any], rng: np.random.Generator) -> None:
    image = jl.TargetImage(rng.normal(size=(40, 40)), std=2.0, name="i", **options)
    twin = image_from_tree(image_to_tree(image))
    for name in ("data", "weight", "mask"):
        assert_array_equal(getattr(twin, name), getattr(image, name))
    for name in ("name", "window", "zeropoint", "unit", "likelihood", "has_wcs"):
        assert getattr(twin, name) == getattr(image, name), name
    x, y = rng.uniform(0, 39, size=(2, 20))
    assert_allclose(twin.pixel_to_plane(x, y), image.pixel_to_plane(x, y), atol=1e-8)


def test_images_without_noise_come_back_without(rng: np.random.Generator) -> None:
    image = jl.TargetImage(
        rng.normal(size=(9, 11)), pixelscale=1.0, mask=np.eye(9, 11), window=((1, 9), (2, 8))
    )
    back = image_from_tree(image_to_tree(image))
    assert not back.noise_known
    assert_array_equal(back.weight, image.weight)


def test_poisson_images_come_back() -> None:
    image = jl.TargetImage(np.full((9, 9), 4.0), pixelscale=1.0, likelihood="poisson", gain=2.0)
    twin = image_from_tree(image_to_tree(image))
    assert twin.likelihood == "poisson"
    assert_array_equal(twin.weight, image.weight)


# ---- FITS -------------------------------------------------------------------------------


def test_fits_products(result: jl.FitResult, tmp_path: Path) -> None:
    path = tmp_path / "fit.fits"
    result.write_fits(path)
    assert result.model is not None
    with fits.open(path) as hdus:
        hdus.verify("exception")
        assert hdus[0].header["STATUS"] == result.status
        for image in result.images:
            data = hdus[f"{image.name}_DATA"]
            model, residual = hdus[f"{image.name}_MODEL"].data, hdus[f"{image.name}_RESIDUAL"].data
            assert_array_equal(data.data, image.data)
            assert_allclose(model + residual, image.data, rtol=0, atol=1e-12)
            assert_allclose(model, result.model.image(image))
            components = hdus[f"{image.name}_COMPONENTS"]
            assert_allclose(components.data.sum(axis=0), model)
            assert components.header["COMP1"] == image.name
            position = WCS(data.header).pixel_to_world(3.0, 5.0)
            assert position.separation(image.pixel_to_world(3.0, 5.0)).arcsec < 1e-6
            assert data.header["MAGZERO"] == image.zeropoint
        assert_array_equal(hdus["COVARIANCE"].data, result.covariance)
    sources = QTable.read(path, hdu="SOURCES")
    assert sources.colnames == result.sources.colnames
    assert_allclose(sources["mag_a"].value, result.sources["mag_a"].value)
    assert list(QTable.read(path, hdu="PARAMETERS")["name"]) == [p.name for p in result.parameters]
    with pytest.raises(FileExistsError):
        result.write_fits(path)
    result.write_fits(path, overwrite=True)


def test_masked_pixels_without_a_value_are_nan(tmp_path: Path) -> None:
    image = target()[0]
    data = np.array(image.data)
    data[3, 4] = np.nan
    with pytest.warns(jl.JointlightWarning, match="NaN"):
        image = image.copy(data=data, name="r")
    star = jl.Model("point", target=image, name="star", center=(0.0, 0.0), flux=9.0)
    jl.fit.LM(star).fit().write_fits(tmp_path / "fit.fits")
    with fits.open(tmp_path / "fit.fits") as hdus:
        for name in ("r_DATA", "r_RESIDUAL"):
            assert np.argwhere(np.isnan(hdus[name].data)).tolist() == [[3, 4]]
        assert np.isfinite(hdus["r_MODEL"].data).all()


def test_files_hold_the_fit_wherever_the_model_is_now(tmp_path: Path) -> None:
    model = small_problem.model(target())
    model["b/Re"].untie()
    model["b/Re"].tie(model["Re"], scale=1.1)
    model["q"].value = 0.61
    model["q"].fixed = True
    result = jl.fit.LM(model).fit()
    images = [np.array(one) for one in model.images()]
    errors = model["Re"].uncertainty, model["b/Re"].uncertainty
    model["Re"].value = 5.0
    model["Re"].limits = (4.0, 6.0)
    model["q"].value = 0.3
    model["PA"].value = 90.0
    result.write(tmp_path / "fit.asdf")
    result.write_fits(tmp_path / "fit.fits")
    assert model["Re"].value == 5.0
    twin = jl.load(tmp_path / "fit.asdf").model
    assert twin is not None
    assert twin["q"].value == 0.61
    assert_allclose((twin["Re"].uncertainty, twin["b/Re"].uncertainty), errors, rtol=1e-9)
    with fits.open(tmp_path / "fit.fits") as hdus:
        for image, then in zip(result.images, images, strict=True):
            assert_allclose(hdus[f"{image.name}_MODEL"].data, then, rtol=1e-9)
            assert_allclose(twin.image(image.name), then, rtol=1e-8)


def test_images_without_a_component(tmp_path: Path) -> None:
    images = target()
    members = [
        jl.Model("point", target=image, name=f"star {image.name}", center=(0.0, 0.0), flux=9.0)
        for image in images[:2]
    ]
    for count in (1, 2):
        group = jl.Group([m.copy() for m in members[:count]], target=images, name="stars")
        result = jl.fit.LM(group).fit()
        result.write(tmp_path / f"{count}.asdf")
        twin = jl.load(tmp_path / f"{count}.asdf")
        assert [image.name for image in twin.images] == ["a", "b"][:count]
        assert twin.model is not None
        assert_allclose(twin.model["star a/flux"].value, group["star a/flux"].value)
        result.write_fits(tmp_path / f"{count}.fits")
