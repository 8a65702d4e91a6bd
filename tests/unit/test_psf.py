# SPDX-License-Identifier: BSD-3-Clause
"""Point spread functions as arrays and as formulas."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from scipy.integrate import dblquad

from jointlight.backends import ready_backend
from jointlight.errors import JointlightWarning
from jointlight.psf import PSF, as_psf, gaussian_psf, moffat_psf
from reference.on_backends import EVERY_BACKEND

if TYPE_CHECKING:
    from pathlib import Path


def gaussian(shape: tuple[int, int], center: tuple[float, float], sigma: float = 2.0) -> np.ndarray:
    y, x = np.indices(shape)
    return np.exp(-0.5 * ((x - center[0]) ** 2 + (y - center[1]) ** 2) / sigma**2)


class Builder:
    """Remembers what a PSF hands to the core."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def add_psf_array(self, *arguments: Any) -> int:
        self.calls.append(("array", *arguments))
        return len(self.calls) - 1

    def add_psf_analytic(self, *arguments: Any) -> int:
        self.calls.append(("analytic", *arguments))
        return len(self.calls) - 1


# --- arrays --------------------------------------------------------------------------------------


def test_array_is_normalised_and_its_norm_kept() -> None:
    data = 3.0 * gaussian((21, 25), (12.0, 10.0)).astype(">f4")
    psf = PSF(data)
    assert psf.data.sum() == pytest.approx(1.0, abs=1e-14)
    assert psf.norm == pytest.approx(float(data.sum()), rel=1e-6)
    assert psf.data.dtype == np.float64
    assert psf.data.dtype.isnative
    assert psf.shape == (21, 25)
    assert psf.center == (12.0, 10.0)
    assert psf.kind == "effective"
    assert psf.oversampling == 1
    kept = PSF(0.9 * data / data.sum(), normalize=False)
    assert kept.data.sum() == pytest.approx(0.9, rel=1e-6)
    assert kept.norm == pytest.approx(0.9, rel=1e-6)


def test_arrays_are_copied_and_read_only() -> None:
    data = gaussian((21, 21), (10.0, 10.0))
    psf = PSF(data, normalize=False)
    data[:] = 0.0
    assert psf.data.sum() > 0.0
    with pytest.raises(ValueError, match="read-only"):
        psf.data[0, 0] = 1.0


@pytest.mark.parametrize("shape", [(21, 21), (20, 20), (21, 30), (1, 1), (3, 40)])
def test_middle_of_odd_and_even_arrays(shape: tuple[int, int]) -> None:
    middle = ((shape[1] - 1) / 2, (shape[0] - 1) / 2)
    assert PSF(gaussian(shape, middle)).center == middle


def test_centre_options() -> None:
    data = gaussian((31, 31), (17.3, 12.6))
    with pytest.warns(JointlightWarning, match=r"\(17\.30, 12\.60\).*\(15, 15\)"):
        assert PSF(data).center == (15.0, 15.0)
    assert PSF(data, center="centroid").center == pytest.approx((17.3, 12.6), abs=1e-5)
    assert PSF(data, center="peak").center == (17.0, 13.0)
    assert PSF(data, center=(17.25, 12.5)).center == (17.25, 12.5)


def test_even_array_centred_on_a_pixel_is_noticed() -> None:
    """The old habit of putting the star on pixel N/2 of an even array."""
    with pytest.warns(JointlightWarning, match="centred at"):
        PSF(gaussian((32, 32), (16.0, 16.0)))
    PSF(gaussian((32, 32), (16.0, 16.0)), center="peak")


def test_small_offsets_and_noise_pass_without_a_word(rng: np.random.Generator) -> None:
    data = gaussian((101, 101), (50.2, 49.9)) + 2e-3 * rng.standard_normal((101, 101))
    psf = PSF(data)  # warnings are errors here
    assert psf.data.min() < 0.0
    centered = PSF(data, center="centroid")
    assert centered.center == pytest.approx((50.2, 49.9), abs=0.02)


@pytest.mark.parametrize("oversampling", [1, 3, 4])
def test_widths_are_in_image_pixels(oversampling: int) -> None:
    n = 30 * oversampling + 1
    middle = (n - 1) / 2
    psf = PSF(gaussian((n, n), (middle, middle), 2.0 * oversampling), oversampling=oversampling)
    assert psf.fwhm_px == pytest.approx(2.0 * 2.3548, rel=1e-2)
    np.testing.assert_allclose(psf.moments, 4.0 * np.eye(2), atol=1e-3)
    assert psf.size_px == (n / oversampling, n / oversampling)
    assert psf.fwhm is None
    known = PSF(psf.data, oversampling=oversampling, pixelscale=0.2 * u.arcsec / u.pix)
    assert known.fwhm == pytest.approx(0.2 * psf.fwhm_px)


def test_optical_moments_include_the_pixel() -> None:
    data = gaussian((41, 41), (20.0, 20.0))
    optical = PSF(data, kind="optical")
    np.testing.assert_allclose(
        optical.moments, PSF(data).moments + np.eye(2) / 12.0, rtol=0, atol=1e-12
    )


def test_tilted_moments() -> None:
    y, x = np.indices((61, 61)) - 30.0
    a, b = (x + y) / np.sqrt(2.0), (y - x) / np.sqrt(2.0)
    psf = PSF(np.exp(-0.5 * (a**2 / 9.0 + b**2 / 4.0)))
    np.testing.assert_allclose(psf.moments, [[6.5, 2.5], [2.5, 6.5]], rtol=1e-6)


def test_array_goes_to_the_core_as_it_is() -> None:
    builder = Builder()
    psf = PSF(gaussian((20, 22), (10.5, 9.5)), oversampling=2, kind="optical")
    assert psf.to_core(builder) == 0
    name, array, oversampling, center, kind = builder.calls[0]
    assert (name, oversampling, center, kind) == ("array", 2, (10.5, 9.5), "optical")
    assert array is psf.data


def test_pickles_and_repr() -> None:
    for psf in (
        PSF(gaussian((21, 21), (10.0, 10.0)), oversampling=2, kind="optical", pixelscale=0.3),
        gaussian_psf(fwhm=1.0, pixelscale=0.3),
        moffat_psf(fwhm=1.0, beta=3.0, pixelscale=0.3),
    ):
        again = pickle.loads(pickle.dumps(psf))
        np.testing.assert_array_equal(again.data, psf.data)
        assert repr(again) == repr(psf)
        assert "FWHM" in repr(psf)
        assert again.center == psf.center
        assert not again.data.flags.writeable


def test_as_psf_wraps_arrays_only() -> None:
    psf = gaussian_psf(fwhm=1.0, pixelscale=0.3)
    assert as_psf(psf) is psf
    assert as_psf(psf.data.tolist()).shape == psf.shape


# --- formulas ------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.1, 0.4, 0.94, 3.0])
def test_gaussian_pixel_integrals(sigma: float) -> None:
    psf = gaussian_psf(sigma=sigma, pixelscale=1.0, size=9)

    def brightness(y: float, x: float) -> float:
        return float(np.exp(-0.5 * (x**2 + y**2) / sigma**2) / (2.0 * np.pi * sigma**2))

    for i, j in ((4, 4), (4, 5), (3, 6)):
        x, y = j - 4, i - 4
        exact, _ = dblquad(
            brightness, x - 0.5, x + 0.5, y - 0.5, y + 0.5, epsabs=1e-12, epsrel=1e-11
        )
        assert psf.data[i, j] == pytest.approx(exact, abs=1e-10)
    whole = gaussian_psf(sigma=sigma, pixelscale=1.0)
    assert whole.data.sum() == pytest.approx(1.0, abs=1e-8)


@pytest.mark.parametrize("beta", [1.6, 2.5, 3.5, 30.0])
@pytest.mark.parametrize("fwhm", [0.4, 1.5, 4.2])
def test_moffat_pixel_integrals(fwhm: float, beta: float) -> None:
    psf = moffat_psf(fwhm=fwhm, beta=beta, pixelscale=1.0, size=9)
    alpha, exponent = psf.params_px
    assert exponent == beta == psf.beta
    assert psf.fwhm_px == pytest.approx(fwhm)

    def brightness(y: float, x: float) -> float:
        scale = (beta - 1.0) / (np.pi * alpha**2)
        return float(scale * (1.0 + (x**2 + y**2) / alpha**2) ** -beta)

    for i, j in ((4, 4), (4, 5), (3, 6), (8, 0)):
        x, y = j - 4, i - 4
        quarters = [(x - 0.5, x, y - 0.5, y), (x - 0.5, x, y, y + 0.5)]
        quarters += [(x, x + 0.5, y - 0.5, y), (x, x + 0.5, y, y + 0.5)]
        exact = sum(dblquad(brightness, *q, epsabs=1e-13, epsrel=1e-11)[0] for q in quarters)
        assert psf.data[i, j] == pytest.approx(exact, abs=1e-10)


@pytest.mark.parametrize("beta", [2.5, 3.5, 4.765])
def test_moffat_arrays_hold_nearly_all_light(beta: float) -> None:
    psf = moffat_psf(fwhm=1.12, beta=beta, pixelscale=0.262)
    assert 0.998 < psf.data.sum() < 1.0
    assert psf.shape[0] % 2 == 1


def test_moffat_with_endless_wings_stays_small() -> None:
    psf = moffat_psf(fwhm=4.0, beta=1.1, pixelscale=1.0)
    assert psf.shape[0] <= 2 * (15 * 4 + 1) + 1


@pytest.mark.parametrize("size", [1, 2, 7, 10, 30])
@pytest.mark.parametrize("oversampling", [1, 2, 5])
def test_arrays_of_any_size_are_symmetric(size: int, oversampling: int) -> None:
    for psf in (
        gaussian_psf(fwhm=2.0, pixelscale=1.0, size=size, oversampling=oversampling),
        moffat_psf(fwhm=2.0, beta=3.0, pixelscale=1.0, size=size, oversampling=oversampling),
    ):
        assert psf.shape == (size, size)
        assert psf.center == ((size - 1) / 2, (size - 1) / 2)
        for turned in (psf.data.T, psf.data[::-1], psf.data[:, ::-1]):
            np.testing.assert_allclose(psf.data, turned, rtol=1e-12)


def test_oversampled_effective_array_is_the_pixel_integral_at_finer_steps() -> None:
    """Every k-th sample of an oversampled effective PSF is the native one."""
    for make in (gaussian_psf, lambda **k: moffat_psf(beta=3.5, **k)):
        native = make(fwhm=2.2, pixelscale=1.0, size=9)
        fine = make(fwhm=2.2, pixelscale=1.0, size=41, oversampling=5)
        np.testing.assert_allclose(25.0 * fine.data[::5, ::5], native.data, rtol=1e-10)


def test_optical_arrays_are_samples() -> None:
    psf = gaussian_psf(sigma=2.0, pixelscale=1.0, kind="optical", size=11)
    y, x = np.indices((11, 11)) - 5.0
    np.testing.assert_allclose(psf.data, np.exp(-(x**2 + y**2) / 8.0) / (8.0 * np.pi), rtol=1e-12)


def test_the_core_gets_the_formula() -> None:
    builder = Builder()
    gaussian_psf(sigma=0.524, pixelscale=0.262, size=51).to_core(builder)
    gaussian_psf(sigma=0.524, pixelscale=0.262, size=51, kind="optical").to_core(builder)
    gaussian_psf(sigma=0.524, pixelscale=0.262, size=51, includes_pixel=True).to_core(builder)
    moffat_psf(fwhm=1.0, beta=3.5, pixelscale=0.25, size=20, oversampling=2).to_core(builder)
    # Without the pixel in the formula the core has to apply it, whatever the array shows.
    assert builder.calls[0] == ("analytic", "gaussian", (pytest.approx(2.0),), 25.5, "optical")
    assert builder.calls[1] == builder.calls[0]
    assert builder.calls[2] == ("analytic", "gaussian", (pytest.approx(2.0),), 25.5, "effective")
    name, profile, (alpha, beta), extent, kind = builder.calls[3]
    assert (name, profile, beta, extent, kind) == ("analytic", "moffat", 3.5, 5.0, "optical")
    assert 2.0 * alpha * np.sqrt(2.0 ** (1 / 3.5) - 1.0) == pytest.approx(4.0)


def test_a_width_that_includes_the_pixel() -> None:
    psf = gaussian_psf(sigma=2.0, pixelscale=1.0, includes_pixel=True, size=11)
    np.testing.assert_allclose(
        psf.data, gaussian_psf(sigma=2.0, pixelscale=1.0, kind="optical", size=11).data
    )
    np.testing.assert_allclose(psf.moments, 4.0 * np.eye(2))
    plain = gaussian_psf(sigma=2.0, pixelscale=1.0)
    np.testing.assert_allclose(plain.moments, (4.0 + 1.0 / 12.0) * np.eye(2))


def test_analytic_moments_are_those_of_the_effective_array() -> None:
    for kind in ("effective", "optical"):
        psf = gaussian_psf(fwhm=3.0, pixelscale=1.0, kind=kind)  # type: ignore[arg-type]
        from_array = PSF(psf.data, kind=kind)  # type: ignore[arg-type]
        np.testing.assert_allclose(psf.moments, from_array.moments, atol=1e-6)


def test_units() -> None:
    by_number = gaussian_psf(fwhm=1.12, pixelscale=0.262)
    by_unit = gaussian_psf(fwhm=1120 * u.mas, pixelscale=0.262 * u.arcsec / u.pix)
    by_pixel = gaussian_psf(fwhm=1.12 / 0.262 * u.pix, pixelscale=0.262)
    for psf in (by_unit, by_pixel):
        assert psf.sigma_px == pytest.approx(by_number.sigma_px, rel=1e-12)
    assert by_number.fwhm == pytest.approx(1.12)


@EVERY_BACKEND
def test_models_see_the_same_psf_as_its_array() -> None:
    """A point source drawn by the core is the PSF's own effective array."""
    core = pytest.importorskip("jointlight._core")
    for options in ({}, {"kind": "optical"}, {"includes_pixel": True}):
        for psf in (
            gaussian_psf(fwhm=2.5, pixelscale=1.0, size=31, **options),
            moffat_psf(fwhm=2.5, beta=4.5, pixelscale=1.0, size=31, **options),
        ):
            builder = core.SceneBuilder()
            image = builder.add_image(np.ones((31, 31)), np.ones((31, 31)))
            slots = np.arange(3)
            builder.add_tile(
                "point", image, psf.to_core(builder), (0, 31, 0, 31), (15.0, 15.0), (0.0, 0.0),
                np.array([[-1.0, 0.0], [0.0, 1.0]]), np.zeros((2, 3)), slots, "flux", 0,
            )  # fmt: skip
            builder.set_parameters(
                3, np.array([0.0, 0.0, 1.0]), np.full(3, -np.inf), np.full(3, np.inf),
                np.arange(4), np.arange(3), np.ones(3), np.zeros(3),
                np.full(3, np.nan), np.full(3, np.inf), [],
            )  # fmt: skip
            drawn = builder.build(1, backend=ready_backend("auto"))
            drawn = drawn.render(np.array([0.0, 0.0, 1.0]), image)
            # The effective array; that of an optical PSF lacks the pixel.
            expected = psf.data
            if options.get("kind") == "optical":
                beta = {} if not hasattr(psf, "beta") else {"beta": psf.beta}
                make: Any = moffat_psf if beta else gaussian_psf
                expected = make(fwhm=2.5, pixelscale=1.0, size=31, **beta).data
            np.testing.assert_allclose(drawn, expected, atol=2e-4 * expected.max())


def test_galsim_draws_the_same_arrays() -> None:
    galsim = pytest.importorskip("galsim")
    params = galsim.GSParams(folding_threshold=1e-5, maxk_threshold=1e-6, maximum_fft_size=2**15)
    for ours, theirs in (
        (
            gaussian_psf(fwhm=2.2, pixelscale=1.0, size=21),
            galsim.Gaussian(fwhm=2.2, gsparams=params),
        ),
        (
            moffat_psf(fwhm=2.8, beta=3.5, pixelscale=1.0, size=21),
            galsim.Moffat(fwhm=2.8, beta=3.5, gsparams=params),
        ),
    ):
        drawn = theirs.drawImage(nx=21, ny=21, scale=1.0, method="auto", dtype=float).array
        np.testing.assert_allclose(ours.data, drawn, atol=2e-6)


# --- real ones -----------------------------------------------------------------------------------


def test_real_psf_off_its_middle(data_dir: Path) -> None:
    path = data_dir / "j0056_galex_sdss_2mass" / "galexnuv_psf.fits"
    with pytest.warns(JointlightWarning, match="centred at"):
        PSF.from_fits(path)
    psf = PSF.from_fits(path, center="centroid")
    np.testing.assert_allclose(psf.center, (32.0, 32.0), atol=0.3)
    assert psf.norm == pytest.approx(15.2966, rel=1e-4)
    assert psf.data.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("file", "fwhm"),
    [
        ("goods_acs_galfit/psf.fits", (1.5, 4.0)),
        ("jwst_a2744_two_epochs/psf_glass.fits", (1.5, 3.5)),
        ("ngc4261_ugriz/psf_r.fits", (2.0, 4.5)),
        ("hst_hsc_blend/PSF_HST.fits", (2.0, 5.0)),
    ],
)
def test_real_psfs_have_sensible_widths(
    data_dir: Path, file: str, fwhm: tuple[float, float]
) -> None:
    psf = PSF.from_fits(data_dir / file, center="centroid")
    assert fwhm[0] < psf.fwhm_px < fwhm[1]
    assert psf.norm == pytest.approx(float(fits.getdata(data_dir / file).sum(dtype=float)))


def test_planes_of_a_cube(data_dir: Path) -> None:
    path = data_dir / "hst_hsc_blend" / "PSF_HSC.fits"
    cube = fits.getdata(path)
    psf = PSF.from_fits(path, plane=3, center="peak")
    np.testing.assert_allclose(psf.data * psf.norm, cube[3], rtol=1e-6)
