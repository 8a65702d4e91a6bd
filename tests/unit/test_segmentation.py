# SPDX-License-Identifier: BSD-3-Clause
"""Segmentation maps: what is read of them, and positions, shapes and sizes from them."""

from __future__ import annotations

import time

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from scipy import ndimage

import jointlight as jl
from jointlight import initialize as ini

SHAPE = (40, 50)


def small_map(dtype=np.int32):
    seg = np.zeros(SHAPE, dtype=dtype)
    seg[3:9, 4:14] = 7
    seg[20, 30] = 2
    seg[30:40, 45:50] = 90
    return seg


def image(data=None, **options):
    options.setdefault("pixelscale", 0.5)
    options.setdefault("variance", 1.0)
    return jl.TargetImage(np.zeros(SHAPE) if data is None else data, name="r", **options)


WINDOWS = {2: ((30, 31), (20, 21)), 7: ((4, 14), (3, 9)), 90: ((45, 50), (30, 40))}


class Held:
    """Something that holds its map as ``data``, as photutils and FITS files do."""

    def __init__(self, data):
        self.data = data


class TestReading:
    @pytest.mark.parametrize(
        "seg",
        [
            small_map(np.int16),
            small_map(np.uint8),
            small_map(">i4"),
            small_map(np.uint64),
            small_map(np.float32),
            small_map().tolist(),
            np.asfortranarray(small_map()),
            small_map().astype(float)[::-1][::-1],
            Held(small_map()),
            fits.ImageHDU(small_map()),
        ],
        ids=lambda seg: type(seg).__name__ + str(getattr(seg, "dtype", "")),
    )
    def test_any_whole_numbers(self, seg):
        windows = ini.windows_from_segmentation_map(seg)
        assert windows == WINDOWS
        assert list(windows) == [2, 7, 90]

    def test_last_row_and_column_are_inside(self):
        (_, x1), (_, y1) = ini.windows_from_segmentation_map(small_map())[90]
        assert (y1, x1) == SHAPE

    def test_masked_pixels_belong_to_no_object(self):
        seg = np.ma.masked_equal(small_map(), 7)
        assert list(ini.windows_from_segmentation_map(seg)) == [2, 90]

    def test_huge_labels(self):
        seg = small_map(np.int64)
        seg[seg == 90] = 2**62
        seg[seg == 7] = 5_000_000_000
        assert ini.windows_from_segmentation_map(seg) == {
            2: WINDOWS[2],
            5_000_000_000: WINDOWS[7],
            2**62: WINDOWS[90],
        }

    def test_label_in_two_pieces_is_one_object(self):
        seg = small_map()
        seg[35, 1] = 7
        assert ini.windows_from_segmentation_map(seg)[7] == ((1, 14), (3, 36))

    def test_empty_map(self):
        seg = np.zeros(SHAPE, dtype=int)
        assert ini.windows_from_segmentation_map(seg) == {}
        for function in (
            ini.centroids_from_segmentation_map,
            ini.PA_from_segmentation_map,
            ini.q_from_segmentation_map,
            ini.fluxes_from_segmentation_map,
            ini.half_light_radii_from_segmentation_map,
        ):
            assert function(seg, image()) == {}

    @pytest.mark.parametrize(
        ("seg", "message"),
        [
            (small_map() > 0, r"type bool.*scipy\.ndimage\.label"),
            (small_map() + 0.5, "with fractions or NaN"),
            (np.full(SHAPE, np.nan), "with fractions or NaN"),
            (np.full(SHAPE, np.inf), "with fractions or NaN"),
            (-small_map(), "label -90"),
            (small_map()[0], r"shape \(50,\)"),
            (np.zeros((0, 5), int), r"shape \(0, 5\)"),
            (np.zeros((2, 3, 4), int), r"shape \(2, 3, 4\)"),
            (small_map() + 0j, "complex"),
            (np.full(SHAPE, "a"), "<U1"),
            (None, "shape"),
            ([[1, 2], [3]], "array of whole numbers"),
            (5, r"shape \(\)"),
            ("map.fits", "shape"),
        ],
    )
    def test_refused(self, seg, message):
        with pytest.raises(jl.InvalidInput, match=message):
            ini.windows_from_segmentation_map(seg)

    def test_an_image_is_no_map(self):
        with pytest.raises(jl.InvalidInput, match="an image"):
            ini.windows_from_segmentation_map(image())

    def test_wrong_shape_names_both(self):
        with pytest.raises(jl.InvalidInput, match=r"\(40, 50\) of image 'r'.*transposed"):
            ini.q_from_segmentation_map(small_map().T, image())
        with pytest.raises(jl.InvalidInput, match=r"\(40, 49\).*transfer_windows"):
            ini.q_from_segmentation_map(small_map()[:, :49], image())

    def test_image_must_be_one(self):
        with pytest.raises(jl.InvalidInput, match="image must be"):
            ini.centroids_from_segmentation_map(small_map(), np.zeros(SHAPE))


def blob(x, y, sigma=2.0, flux=500.0, shape=SHAPE):
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    return flux * np.exp(-0.5 * ((xx - x) ** 2 + (yy - y) ** 2) / sigma**2) / (2 * np.pi * sigma**2)


def disc(x, y, radius, label=1, shape=SHAPE):
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    return np.where(np.hypot(xx - x, yy - y) < radius, label, 0)


class TestPlaces:
    def pixel(self, target, place):
        return np.array(target.plane_to_pixel(*place))

    @pytest.mark.parametrize("sky", [0.0, 3000.0, -50.0])
    def test_sky_does_not_count(self, sky):
        rng = np.random.default_rng(4)
        target = image(blob(20.3, 15.8) + sky + rng.normal(size=SHAPE) * 0.3, variance=0.09)
        seg = disc(22, 15, 8)  # off the source: a plain mean of the pixels would be as well
        place = ini.centroids_from_segmentation_map(seg, target)[1]
        assert self.pixel(target, place) == pytest.approx((20.3, 15.8), abs=0.15)
        assert ini.fluxes_from_segmentation_map(seg, target)[1] == pytest.approx(500, rel=0.05)

    def test_sloping_sky(self):
        slope = 10.0 * np.arange(200)[None, :] + 0.0 * np.arange(200)[:, None]
        shape = (200, 200)
        target = image(slope + blob(150, 60, flux=4000, shape=shape))
        seg = disc(150, 60, 7, shape=shape)
        place = ini.centroids_from_segmentation_map(seg, target)[1]
        assert self.pixel(target, place) == pytest.approx((150, 60), abs=0.5)

    def test_negative_source(self):
        target = image(-blob(20.3, 15.8))
        seg = disc(21, 15, 8)
        assert self.pixel(target, ini.centroids_from_segmentation_map(seg, target)[1]) == (
            pytest.approx((20.3, 15.8), abs=0.05)
        )
        assert ini.fluxes_from_segmentation_map(seg, target)[1] == pytest.approx(-500, rel=0.05)

    def test_no_light_at_all(self):
        target = image()
        for label, place in ini.centroids_from_segmentation_map(small_map(), target).items():
            (x0, x1), (y0, y1) = WINDOWS[label]
            middle = ((x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2)
            assert self.pixel(target, place) == pytest.approx(middle)

    def test_noise_alone_stays_in_the_segment(self):
        rng = np.random.default_rng(1)
        for seed in range(20):
            target = image(np.random.default_rng(seed).normal(size=SHAPE) - rng.uniform(0, 5))
            x, y = self.pixel(target, ini.centroids_from_segmentation_map(small_map(), target)[7])
            assert 0 < x < 18
            assert 0 < y < 13

    def test_wholly_masked_label(self):
        mask = disc(20, 15, 9) > 0
        seg = disc(20, 15, 6) + disc(40, 30, 7, label=5)
        target = image(blob(20, 15) + blob(40, 30), mask=mask)
        places = ini.centroids_from_segmentation_map(seg, target)
        assert self.pixel(target, places[1]) == pytest.approx((20, 15))
        assert np.isnan(ini.fluxes_from_segmentation_map(seg, target)[1])
        assert ini.fluxes_from_segmentation_map(seg, target)[5] == pytest.approx(500, rel=0.1)
        assert ini.q_from_segmentation_map(seg, target)[1] == pytest.approx(1.0, abs=0.05)
        assert 0 <= ini.PA_from_segmentation_map(seg, target)[1] < 180

    def test_masked_stripe_moves_little(self):
        mask = np.zeros(SHAPE, bool)
        mask[:, 21:23] = True
        target = image(blob(20.3, 15.8, sigma=3.0), mask=mask)
        seg = disc(20, 16, 10)
        place = self.pixel(target, ini.centroids_from_segmentation_map(seg, target)[1])
        assert place == pytest.approx((20.3, 15.8), abs=0.4)
        assert ini.q_from_segmentation_map(seg, target)[1] > 0.85

    def test_single_pixels(self):
        seg = np.zeros(SHAPE, int)
        seg[5, 5], seg[20, 20], seg[39, 49] = 1, 2, 3
        target = image(np.where(seg > 0, 50.0, 0.0), psf=jl.gaussian_psf(fwhm=1.5, pixelscale=0.5))
        places = ini.centroids_from_segmentation_map(seg, target)
        assert self.pixel(target, places[3]) == pytest.approx((49, 39))
        assert set(ini.q_from_segmentation_map(seg, target).values()) == {1.0}
        assert all(
            0 < r < 1 for r in ini.half_light_radii_from_segmentation_map(seg, target).values()
        )

    def test_map_without_background(self):
        target = image(blob(20.3, 15.8) + 10.0)
        seg = np.ones(SHAPE, int)
        place = self.pixel(target, ini.centroids_from_segmentation_map(seg, target)[1])
        assert place == pytest.approx((20.3, 15.8), abs=0.3)

    def test_poisson_image(self):
        rng = np.random.default_rng(3)
        counts = rng.poisson(blob(20.3, 15.8) + 4.0)
        target = jl.TargetImage(counts, pixelscale=0.5, likelihood="poisson")
        place = self.pixel(target, ini.centroids_from_segmentation_map(disc(20, 16, 8), target)[1])
        assert place == pytest.approx((20.3, 15.8), abs=0.5)


def sky_wcs(rotation=0.0, flip=False, scale=0.3, size=121):
    """TAN with +rotation turning the image on the sky; East left unless flipped."""
    header = WCS(naxis=2)
    header.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    header.wcs.crval, header.wcs.crpix = [150.0, 20.0], [(size + 1) / 2, (size + 1) / 2]
    c, s = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    sign = 1.0 if flip else -1.0
    header.wcs.cd = scale / 3600 * np.array([[sign * c, -sign * s], [s, c]])
    return header


class TestShapes:
    """Against GalSim's Sersic galaxies seen through a PSF of FWHM 3.5 px at S/N 150.

    Tolerances: q within 0.12 (0.15 above n = 2.5), PA within 10 degrees where q < 0.75, size
    within 40 %: what second moments inside an isophote can tell.
    """

    size, fwhm, scale = 121, 3.5, 0.3

    def observed(self, seed, n, psf, **options):
        galsim = pytest.importorskip("galsim")
        rng = np.random.default_rng(seed)
        q, beta, re = rng.uniform(0.3, 0.95), rng.uniform(0, 180), rng.uniform(2.5, 7)
        galaxy = galsim.Sersic(n=n, half_light_radius=re * np.sqrt(q))
        galaxy = galaxy.shear(q=q, beta=beta * galsim.degrees)
        seeing = {"gaussian": galsim.Gaussian(fwhm=self.fwhm)}
        seeing["moffat"] = galsim.Moffat(beta=3.5, fwhm=self.fwhm)
        drawn = galsim.Convolve(galaxy, seeing[psf]).drawImage(
            nx=self.size, ny=self.size, scale=1.0, offset=tuple(rng.uniform(-0.5, 0.5, 2))
        )
        clean = drawn.array.astype(float)
        clean *= 150.0 / np.sqrt((clean**2).sum())
        data = clean + rng.normal(size=clean.shape)
        regions, _ = ndimage.label(ndimage.gaussian_filter(data, 1.5) > 0.45)
        middle = self.size // 2
        seg = np.where(regions == regions[middle, middle], 4, 0)
        seen = jl.gaussian_psf(fwhm=self.fwhm * self.scale, pixelscale=self.scale)
        if psf == "moffat":
            seen = jl.moffat_psf(fwhm=self.fwhm * self.scale, beta=3.5, pixelscale=self.scale)
        target = jl.TargetImage(data, variance=1.0, psf=seen, name="r", **options)
        return target, seg, q, beta, re

    @pytest.mark.parametrize("psf", ["gaussian", "moffat"])
    @pytest.mark.parametrize("n", [1.0, 2.5, 4.0])
    @pytest.mark.parametrize("seed", range(4))
    def test_galsim_galaxies(self, seed, n, psf):
        rotation, flip = 40.0 * seed, bool(seed % 2)
        wcs = sky_wcs(rotation, flip)
        target, seg, q, beta, re = self.observed(seed, n, psf, wcs=wcs)
        found_q = ini.q_from_segmentation_map(seg, target)[4]
        found_pa = ini.PA_from_segmentation_map(seg, target)[4]
        radius = ini.half_light_radii_from_segmentation_map(seg, target)[4]
        assert found_q == pytest.approx(q, abs=0.12 if n < 3 else 0.15)
        # GalSim's beta turns from +x to +y; what that is on the sky, astropy knows
        middle = (self.size - 1) / 2
        ends = wcs.pixel_to_world(
            middle + np.array([0, np.cos(np.radians(beta))]),
            middle + np.array([0, np.sin(np.radians(beta))]),
        )
        pa = ends[0].position_angle(ends[1]).deg
        if q < 0.75:
            assert abs((found_pa - pa + 90) % 180 - 90) < 10
        assert radius == pytest.approx(re * self.scale, rel=0.4)

    def test_a_star_is_round_and_small(self):
        rng = np.random.default_rng(2)
        shape = (61, 61)
        data = blob(30.2, 29.9, sigma=1.5, flux=3000, shape=shape) + rng.normal(size=shape)
        psf = jl.gaussian_psf(fwhm=1.5 * 2.3548 * 0.3, pixelscale=0.3, includes_pixel=True)
        target = jl.TargetImage(data, variance=1.0, pixelscale=0.3, psf=psf)
        seg = disc(30, 30, 7, shape=shape)
        assert ini.half_light_radii_from_segmentation_map(seg, target)[1] < 0.3
        assert ini.q_from_segmentation_map(seg, target)[1] > 0.6

    def test_anisotropic_pixels(self):
        """A round source on pixels twice as wide as high is round on the sky."""
        yy, xx = np.mgrid[:81, :81]
        data = 100 * np.exp(-0.5 * (((xx - 40) * 2) ** 2 + (yy - 40) ** 2) / 8.0**2)
        header = sky_wcs(size=81)
        header.wcs.cd = np.array([[-0.6, 0.0], [0.0, 0.3]]) / 3600
        target = jl.TargetImage(data, variance=1.0, wcs=header)
        seg = np.where(data > 1.0, 1, 0)
        assert ini.q_from_segmentation_map(seg, target)[1] == pytest.approx(1.0, abs=0.02)


class TestPhotutils:
    def scene(self):
        pytest.importorskip("photutils", minversion="1.12")
        from photutils.segmentation import SegmentationImage, SourceCatalog

        seg = disc(14, 16, 6, label=3) + disc(36, 25, 5, label=11)
        data = blob(14.3, 16.4) + blob(35.8, 25.1)
        held = SegmentationImage(seg)
        return seg, held, SourceCatalog(data, held), image(data)

    def test_segmentation_image(self):
        seg, held, _, target = self.scene()
        assert ini.windows_from_segmentation_map(held) == ini.windows_from_segmentation_map(seg)
        assert ini.q_from_segmentation_map(held, target) == ini.q_from_segmentation_map(seg, target)

    def test_catalogue(self):
        seg, _, catalog, target = self.scene()
        assert ini.windows_from_segmentation_map(catalog) == ini.windows_from_segmentation_map(seg)
        places = ini.centroids_from_segmentation_map(catalog, target)
        assert list(places) == [3, 11]
        assert np.array(target.plane_to_pixel(*places[3])) == pytest.approx((14.3, 16.4), abs=0.05)
        with pytest.raises(jl.InvalidInput, match="a catalogue"):
            ini.q_from_segmentation_map(catalog, target)


@pytest.mark.slow
def test_5000_segments():
    """Well under a second of work on 2000 x 2000 pixels, with room for slow machines."""
    rng = np.random.default_rng(0)
    seg = np.zeros((2000, 2000), dtype=np.int32)
    data = rng.normal(size=seg.shape)
    for label, (x, y) in enumerate(rng.integers(10, 1990, (5000, 2)), 1):
        h = int(rng.integers(2, 6))
        seg[y - h : y + h + 1, x - h : x + h + 1] = label
        data[y - h : y + h + 1, x - h : x + h + 1] += 20.0
    target = image(data)
    start = time.process_time()
    windows = ini.windows_from_segmentation_map(seg)
    places = ini.centroids_from_segmentation_map(seg, target)
    assert time.process_time() - start < 3.0
    assert windows.keys() == places.keys()
