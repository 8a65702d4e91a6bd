# SPDX-License-Identifier: BSD-3-Clause
"""The estimators behind initialize(), each on its own."""

from __future__ import annotations

import numpy as np
import pytest

from jointlight import TargetImage, gaussian_psf
from jointlight.initialize import estimators as est
from jointlight.initialize.amplitudes import bounded_newton
from jointlight.initialize.stamp import bin_blocks, cut, psf_covariance

SHAPE = (61, 73)


def gaussian(x, y, sigma, q=1.0, pa=0.0, flux=1.0, shape=SHAPE):
    """Pixel-sampled elliptical Gaussian; PA in degrees from +y towards +x."""
    c = est.covariance_from_ellipse(sigma, q, pa)
    r = est.elliptical_radius(shape, x, y, c)
    return flux / (2 * np.pi * sigma**2 * q) * np.exp(-0.5 * (r / sigma) ** 2)


@pytest.fixture
def rng():
    return np.random.default_rng(20240607)


class TestClean:
    def test_bad_pixels_get_no_weight(self):
        data = np.ones((4, 5))
        data[1, 2], data[0, 0] = np.nan, np.inf
        weight = np.full((4, 5), 2.0)
        weight[3, 3], weight[3, 4], weight[2, 2] = np.nan, -1.0, 0.0
        values, weights = est.clean(data, weight)
        assert np.count_nonzero(weights == 0) == 5
        assert (values[weights == 0] == 0).all()
        assert np.isnan(data[1, 2])

    def test_integer_and_big_endian_input(self):
        values, weights = est.clean(np.arange(6, dtype=">i2").reshape(2, 3))
        assert values.dtype == np.float64
        assert (weights == 1).all()

    def test_one_dimension_is_refused(self):
        with pytest.raises(ValueError, match="two dimensions"):
            est.clean(np.ones(4))


class TestNoise:
    @pytest.mark.parametrize("sigma", [0.02, 3.0])
    def test_pure_noise(self, rng, sigma):
        assert est.noise_level(rng.normal(scale=sigma, size=(80, 80))) == pytest.approx(
            sigma, rel=0.05
        )

    def test_source_and_gradient_do_not_count(self, rng):
        image = gaussian(30, 30, 6, flux=2e4) + np.arange(SHAPE[1]) * 0.5
        assert est.noise_level(image + rng.normal(size=SHAPE)) == pytest.approx(1.0, rel=0.15)

    def test_weights_scale_it(self, rng):
        sigma = np.linspace(0.5, 4, SHAPE[1]) * np.ones(SHAPE)
        noise = rng.normal(size=SHAPE) * sigma
        assert est.noise_level(noise, 1 / sigma**2) == pytest.approx(1.0, rel=0.08)

    def test_degenerate_input(self):
        assert est.noise_level(np.zeros((10, 10))) == 1.0
        assert est.noise_level(np.ones((2, 2))) == 1.0
        assert est.noise_level(np.full((9, 9), np.nan)) == 1.0


class TestSky:
    @pytest.mark.parametrize("level", [-7.0, 0.0, 1234.5])
    def test_level_with_sources(self, rng, level):
        image = level + rng.normal(size=(120, 120))
        for x, y in rng.uniform(0, 120, (12, 2)):
            image += gaussian(x, y, 2.5, flux=800, shape=(120, 120))
        sky = est.sky_level(image)
        assert sky.level == pytest.approx(level, abs=0.15)
        assert sky.scatter == pytest.approx(1.0, rel=0.1)

    def test_plane(self, rng):
        x = np.arange(SHAPE[1]) - (SHAPE[1] - 1) / 2
        y = np.arange(SHAPE[0])[:, None] - (SHAPE[0] - 1) / 2
        image = 5 + 0.2 * x - 0.1 * y + rng.normal(size=SHAPE) + gaussian(20, 40, 3, flux=3000)
        sky = est.sky_level(image, plane=True)
        assert sky.level == pytest.approx(5, abs=0.15)
        assert sky.slope_x == pytest.approx(0.2, abs=0.01)
        assert sky.slope_y == pytest.approx(-0.1, abs=0.01)

    def test_masked_pixels_do_not_count(self, rng):
        image = rng.normal(size=SHAPE)
        image[:, :30] += 50
        weight = np.ones(SHAPE)
        weight[:, :30] = 0
        assert est.sky_level(image, weight).level == pytest.approx(0, abs=0.1)

    def test_constant_and_empty(self):
        assert est.sky_level(np.full((8, 8), 3.0)).level == 3.0
        assert est.sky_level(np.full((8, 8), np.nan)).n_pixels == 0


class TestPeak:
    def test_finds_source_and_scale(self, rng):
        image = gaussian(40.3, 22.1, 4, flux=400) + rng.normal(size=SHAPE)
        peak = est.find_peak(image, psf_sigma=1.2)
        assert np.hypot(peak.x - 40.3, peak.y - 22.1) < 2
        assert 2 < peak.scale < 8
        assert peak.snr > 10

    def test_neighbour_at_the_border_does_not_win(self, rng):
        image = gaussian(35, 31, 3, flux=500) + gaussian(3, 4, 3, flux=1000)
        peak = est.find_peak(image + rng.normal(size=SHAPE), psf_sigma=1.2)
        assert np.hypot(peak.x - 35, peak.y - 31) < 3

    def test_exclude(self, rng):
        image = gaussian(35, 31, 3, flux=900) + gaussian(60, 40, 3, flux=600)
        exclude = np.hypot(np.arange(SHAPE[1]) - 35, np.arange(SHAPE[0])[:, None] - 31) < 12
        peak = est.find_peak(image + rng.normal(size=SHAPE), exclude=exclude)
        assert np.hypot(peak.x - 60, peak.y - 40) < 3

    def test_nothing_usable(self):
        assert est.find_peak(np.full(SHAPE, np.nan)) is None


class TestMoments:
    @pytest.mark.parametrize("q", [0.35, 0.7, 0.95])
    @pytest.mark.parametrize("pa", [0.0, 35.0, 120.0])
    def test_gaussian_is_recovered(self, q, pa):
        image = gaussian(37.4, 29.8, 4.0, q, pa)
        found = est.moments(image, start=(36, 31), covariance=np.eye(2) * 9)
        sigma, axis_ratio, angle = est.ellipse_from_covariance(found.covariance)
        assert found.converged
        assert (found.x, found.y) == pytest.approx((37.4, 29.8), abs=1e-3)
        assert (sigma, axis_ratio) == pytest.approx((4.0, q), rel=1e-3)
        assert abs((angle - pa + 90) % 180 - 90) < 0.2

    def test_neighbour_and_sky_error_change_little(self):
        image = gaussian(30, 30, 3, 0.6, 40, flux=100) + gaussian(52, 30, 3, flux=100) + 0.005
        found = est.moments(image, start=(30, 30), covariance=np.eye(2) * 9)
        sigma, q, _ = est.ellipse_from_covariance(found.covariance)
        assert found.x == pytest.approx(30, abs=0.1)
        assert sigma == pytest.approx(3, rel=0.1)
        assert q == pytest.approx(0.6, abs=0.05)

    def test_masked_stripe(self):
        image = gaussian(30, 30, 4, 0.6, 40, flux=100)
        weight = np.ones(SHAPE)
        weight[:, 33:35] = 0
        found = est.moments(image, weight, start=(30, 30), covariance=np.eye(2) * 9)
        sigma, q, _ = est.ellipse_from_covariance(found.covariance)
        assert np.hypot(found.x - 30, found.y - 30) < 0.4
        assert sigma == pytest.approx(4, rel=0.1)
        assert q == pytest.approx(0.6, abs=0.08)

    def test_signal_to_noise(self, rng):
        image = gaussian(35, 30, 3, flux=300)
        expected = np.sqrt((image**2).sum())
        found = est.moments(
            image + rng.normal(size=SHAPE), start=(35, 30), covariance=np.eye(2) * 9
        )
        assert found.snr == pytest.approx(expected, abs=4)

    def test_negative_light_fails_softly(self):
        found = est.moments(-gaussian(35, 30, 3), start=(35, 30), covariance=np.eye(2) * 9)
        assert not found.converged
        assert (found.x, found.y) == (35, 30)

    def test_psf_removed(self):
        inner = est.covariance_from_ellipse(3.0, 0.4, 70.0)
        psf = np.eye(2) * 1.5**2
        sigma, q, pa = est.ellipse_from_covariance(est.subtract_psf(inner + psf, psf))
        assert (sigma, q, pa) == pytest.approx((3.0, 0.4, 70.0))
        point = est.subtract_psf(psf * 0.98, psf)
        assert (np.linalg.eigvalsh(point) > 0).all()

    def test_centroid(self, rng):
        image = gaussian(37.4, 29.8, 3.0, flux=2000) + rng.normal(size=SHAPE)
        assert est.centroid(image, start=(36, 31), sigma=3.0) == pytest.approx(
            (37.4, 29.8), abs=0.1
        )


class TestProfile:
    def test_half_light_radius_of_a_gaussian(self):
        c = est.covariance_from_ellipse(5.0, 0.5, 30.0)
        image = gaussian(36, 30, 5.0, 0.5, 30.0, flux=1e4)
        profile = est.radial_profile(image, x=36, y=30, covariance=c, n_bins=24)
        assert est.half_light_radius(profile) == pytest.approx(1.1774 * 5, rel=0.08)

    def test_neighbour_does_not_enter(self, rng):
        c = np.eye(2)
        image = gaussian(36, 30, 4.0, flux=1e4) + rng.normal(size=SHAPE)
        alone = est.half_light_radius(est.radial_profile(image, x=36, y=30, covariance=c))
        image += gaussian(55, 30, 2.0, flux=1e4)
        with_it = est.half_light_radius(est.radial_profile(image, x=36, y=30, covariance=c))
        assert with_it == pytest.approx(alone, rel=0.1)

    def test_no_light(self):
        profile = est.radial_profile(np.zeros(SHAPE), x=36, y=30, covariance=np.eye(2))
        assert est.half_light_radius(profile) > 0

    def test_asymmetric_pixels(self, rng):
        image = gaussian(36, 30, 4.0, 0.4, 60, flux=5e3) + rng.normal(size=SHAPE)
        clean = est.asymmetric_pixels(image, np.ones(SHAPE), x=36.3, y=30.2, core=4)
        assert np.count_nonzero(clean) == 0
        image += gaussian(50, 40, 2.0, flux=1e3)
        flagged = est.asymmetric_pixels(image, np.ones(SHAPE), x=36.3, y=30.2, core=4)
        assert flagged[40, 50]
        assert not flagged[30, 36]


def test_ellipse_round_trip():
    for pa in (0.0, 10.0, 89.0, 91.0, 179.0):
        c = est.covariance_from_ellipse(2.5, 0.3, pa)
        assert est.ellipse_from_covariance(c) == pytest.approx((2.5, 0.3, pa))
    # PA 45: from +y towards +x, so xy is positive
    assert est.covariance_from_ellipse(1.0, 0.2, 45.0)[0, 1] > 0


class TestStamp:
    def target(self, shape=(150, 130), **options):
        rng = np.random.default_rng(1)
        data = rng.normal(size=shape) + 5
        psf = gaussian_psf(fwhm=1.2, pixelscale=0.4)
        return TargetImage(data, variance=4.0, psf=psf, pixelscale=0.4, **options)

    def test_blocks_keep_the_flux(self, rng):
        data = rng.normal(size=(12, 9)) + 3
        flux, weight = bin_blocks(data, np.full(data.shape, 0.25), 3)
        assert flux.shape == (4, 3)
        assert flux.sum() == pytest.approx(data.sum())
        # nine pixels of variance 4 make a block of variance 36
        assert weight == pytest.approx(np.full((4, 3), 1 / 36))

    def test_blocks_with_holes(self):
        weight = np.ones((4, 4))
        weight[0, 0] = 0
        weight[2:, 2] = 0
        flux, binned = bin_blocks(np.ones((4, 4)) * weight, weight, 2)
        assert flux[0, 0] == pytest.approx(4)
        assert binned[1, 1] == 0

    @pytest.mark.parametrize(("centre", "radius"), [(None, None), ((100.0, 40.0), 20.0)])
    @pytest.mark.parametrize("max_side", [32, 96, 1000])
    def test_pixels_stay_where_they_are(self, centre, radius, max_side):
        target = self.target()
        window = ((5, 125), (10, 141))
        psf = target.psf
        stamp = cut(target, window, psf=psf, centre=centre, radius=radius, max_side=max_side)
        assert max(stamp.data.shape) <= max_side
        for x, y in ((0.0, 0.0), (3.2, 7.9)):
            expected = target.pixel_to_plane(*stamp.to_image_pixel(x, y))
            assert stamp.to_plane(x, y) == pytest.approx(np.array(expected), abs=1e-9)
            assert stamp.to_pixel(stamp.to_plane(x, y)) == pytest.approx([x, y], abs=1e-9)
        assert stamp.pixel_area == pytest.approx((0.4 * stamp.block) ** 2)

    def test_nothing_left(self):
        mask = np.zeros((150, 130), dtype=bool)
        mask[:50, :50] = True
        assert cut(self.target(mask=mask), ((0, 50), (0, 50))) is None

    def test_psf_covariance(self):
        effective = gaussian_psf(fwhm=2.3548 * 1.5, pixelscale=1.0)
        assert psf_covariance(effective) == pytest.approx((2.25 + 1 / 12) * np.eye(2), abs=0.03)
        fine = gaussian_psf(fwhm=2.3548 * 1.5, pixelscale=1.0, kind="optical", oversampling=3)
        assert psf_covariance(fine) == pytest.approx((2.25 + 1 / 12) * np.eye(2), abs=0.03)


class TestBoundedNewton:
    h = np.array([[4.0, 1.0], [1.0, 3.0]])

    def solve(self, at, lower, upper):
        best = np.array([1.0, -2.0])
        return bounded_newton(self.h @ (at - best), self.h, at, lower, upper)

    def test_free(self):
        inf = np.full(2, np.inf)
        assert self.solve(np.array([7.0, 7.0]), -inf, inf) == pytest.approx([1, -2], abs=1e-6)

    def test_at_a_bound_the_other_one_follows(self):
        found = self.solve(np.array([3.0, 3.0]), np.array([-np.inf, 0.0]), np.full(2, np.inf))
        # d/dx0 of the quadratic with x1 held at 0
        assert found == pytest.approx([1 - 2 / 4, 0.0], abs=1e-6)

    def test_a_parameter_without_effect_stays(self):
        h = np.diag([2.0, 0.0])
        found = bounded_newton(
            np.array([2.0, 0.0]), h, np.array([1.0, 5.0]), np.full(2, -9.0), np.full(2, 9.0)
        )
        assert found == pytest.approx([0, 5], abs=1e-8)
