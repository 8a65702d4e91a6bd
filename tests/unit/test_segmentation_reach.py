# SPDX-License-Identifier: BSD-3-Clause
"""Windows that grow with the light."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.wcs import WCS
from scipy import ndimage
from scipy.special import gamma, gammaincinv

import jointlight as jl
from jointlight import initialize as ini
from jointlight.initialize.reach import FluxGuess, Noise
from reference.on_backends import EVERY_BACKEND

NOISE = 0.4


def turned_wcs(shape, scale=0.3, rotation=25.0, stretch=1.0):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [150.0, 2.0]
    wcs.wcs.crpix = [(shape[1] + 1) / 2, (shape[0] + 1) / 2]
    c, s = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    cd = np.array([[-c, s], [s, c]]) @ np.diag([1.0, stretch])
    wcs.wcs.cd = scale / 3600 * cd
    return wcs


def blank(shape=(300, 260), noise=NOISE, **options):
    return jl.TargetImage(
        np.zeros(shape), wcs=turned_wcs(shape, stretch=1.3), std=noise, name="r", **options
    )


def brightness(image, flux, center, size, q, pa, profile):
    """Flux per pixel of an ellipse at every pixel's middle, by the profile's formula."""
    rows, columns = np.indices(image.shape)
    x, y = image.pixel_to_plane(columns.ravel().astype(float), rows.ravel().astype(float))
    dx, dy = x - center[0], y - center[1]
    t = np.radians(pa)
    along, across = dx * np.sin(t) + dy * np.cos(t), dx * np.cos(t) - dy * np.sin(t)
    r = np.hypot(along, across / q) / size
    if profile == "gaussian":
        values, total = np.exp(-0.5 * r**2), 2 * np.pi
    elif profile == "moffat":
        values, total = (1 + r**2) ** -3.0, np.pi / 2.0
    else:
        n = {"exponential": 1.0, "devaucouleurs": 4.0}.get(profile, 2.5)
        b = gammaincinv(2 * n, 0.5)
        values, total = np.exp(-b * r ** (1 / n)), 2 * np.pi * n * b ** (-2 * n) * gamma(2 * n)
    area = abs(
        np.linalg.det(np.reshape(image.pixel_jacobian(*image.plane_to_pixel(*center)), (2, 2)))
    )
    return np.reshape(flux * area * values / (total * size**2 * q), image.shape)


def rings(values, window, deep=4):
    """Brightest pixel outside a window, and in its outermost pixels on each side."""
    (x0, x1), (y0, y1) = window
    outside = np.ones(values.shape, bool)
    outside[y0:y1, x0:x1] = False
    part = values[y0:y1, x0:x1]
    inner = [part[:, :deep], part[:, -deep:], part[:deep], part[-deep:]]
    return values[outside].max(), min(p.max() for p in inner)


def area(window):
    (x0, x1), (y0, y1) = window
    return (x1 - x0) * (y1 - y0)


class TestGrow:
    @pytest.mark.parametrize("amplitude", ["flux", "brightness"])
    @pytest.mark.parametrize(
        ("kind", "profile", "scale", "extra"),
        [
            ("sersic galaxy", "sersic", "Re", {"n": 2.5}),
            ("exponential galaxy", "exponential", "Re", {}),
            ("devaucouleurs", "devaucouleurs", "Re", {}),
            ("gaussian", "gaussian", "sigma", {}),
            ("moffat", "moffat", "Rd", {"beta": 3.0}),
        ],
    )
    def test_edge_is_as_faint_as_asked_and_no_fainter(self, kind, profile, scale, extra, amplitude):
        image = blank()
        center, size, q, pa, flux = (1.0, -2.0), 1.5, 0.4, 70.0, 1500.0
        truth = brightness(image, flux, center, size, q, pa, profile)
        own = {"flux": flux}
        if amplitude == "brightness":
            # per arcsec^2 at the radius where each profile's amplitude holds
            at = {"gaussian": 0.0, "moffat": 0.0}.get(profile, 1.0)
            x, y = center + at * size * np.array([np.sin(np.radians(pa)), np.cos(np.radians(pa))])
            column, row = image.plane_to_pixel(x, y)
            jacobian = np.reshape(image.pixel_jacobian(column, row), (2, 2))
            peak = ndimage.map_coordinates(truth, [[float(row)], [float(column)]], order=3)[0]
            peak = truth.max() if at == 0 else peak
            own = {"Ie" if at else "I0": peak / abs(np.linalg.det(jacobian))}
        model = jl.Model(
            kind, target=image, window=((120, 130), (140, 150)), center=center, q=q, PA=pa,
            amplitude=amplitude, parameters={scale: size}, **extra, **own,
        )  # fmt: skip
        assert model.grow_windows(edge=0.1) == 1
        (x0, x1), (y0, y1) = model.window
        assert 0 < x0 < x1 < image.shape[1]
        assert 0 < y0 < y1 < image.shape[0]
        outside, inside = rings(truth, model.window)
        assert outside <= 0.1 * NOISE * 1.02
        assert inside >= 0.1 * NOISE * (0.9 if amplitude == "flux" else 0.8)
        assert model.grow_windows(edge=0.1) == 0

    @EVERY_BACKEND
    def test_wings_of_the_psf(self):
        """A star, and a galaxy so small that the PSF's wings are all that reaches out."""
        psf = jl.moffat_psf(fwhm=1.2, beta=2.5, pixelscale=0.3)
        image = jl.TargetImage(np.zeros((301, 301)), pixelscale=0.3, std=NOISE, psf=psf, name="r")
        star = jl.Model("point source", target=image, center=(0.0, 0.0), flux=3000.0)
        drawn = star.image()
        for kind, values in (
            ("point source", {}),
            ("sersic galaxy", {"n": 1.0, "Re": 0.2, "q": 0.9, "PA": 0.0, "amplitude": "flux"}),
        ):
            model = jl.Model(
                kind, target=image, window=((145, 155), (145, 155)), center=(0.0, 0.0),
                flux=3000.0, **values,
            )  # fmt: skip
            assert ini.grow_windows(model, edge=0.05) == 1
            outside, inside = rings(drawn, model.window)
            assert outside <= 0.05 * NOISE
            assert inside >= 0.05 * NOISE * 0.8

    def test_none_shrinks_and_none_leaves_the_pixels_used(self):
        image = blank(window=((40, 220), (0, 300)))
        galaxy = {"center": (0.0, 0.0), "q": 0.8, "PA": 0.0, "amplitude": "flux", "n": 4.0}
        faint = jl.Model(
            "sersic", target=image, window=((60, 200), (60, 200)), Re=0.5, flux=10.0, **galaxy
        )
        bright = jl.Model(
            "sersic", target=image, window=((20, 200), (60, 200)), Re=8.0, flux=1e7, **galaxy
        )
        whole = jl.Model("sersic", target=image, Re=8.0, flux=1e7, **galaxy)
        sky = jl.Model("flat sky", target=image, window=((0, 5), (0, 5)), I0=100.0)
        model = jl.Group([faint, bright, whole, sky])
        assert model.grow_windows() == 1
        assert faint.window == ((60, 200), (60, 200))
        assert bright.window == ((20, 220), (0, 300))
        assert not whole.has_window
        assert sky.window == ((0, 5), (0, 5))

    def test_no_light_no_growth(self):
        image = blank()
        window = ((120, 130), (140, 150))
        for flux in (0.0, -1e-12):
            model = jl.Model(
                "exponential", target=image, window=window, center=(0.0, 0.0), q=0.5, PA=0.0,
                Re=1.0, amplitude="flux", flux=flux,
            )  # fmt: skip
            assert model.grow_windows() == 0

    def test_refused(self):
        image = blank()
        model = jl.Model("sersic", target=image, window=((0, 9), (0, 9)), name="one")
        with pytest.raises(jl.InvalidInput, match=r"grow_windows: one\.center.*initialize"):
            model.grow_windows()
        for edge in (0, -1.0, "x", np.nan, True):
            with pytest.raises(jl.InvalidInput, match="edge"):
                model.grow_windows(edge=edge)


class TestNoise:
    def test_of_the_pixels_that_count(self):
        weight = np.full((100, 100), 4.0)
        weight[:, 50:] = 1 / 9
        weight[::2] = 0.0
        image = jl.TargetImage(np.zeros((100, 100)), pixelscale=1.0, weight=weight)
        noise = Noise(image)
        assert noise.sigma(((0, 50), (0, 100))) == pytest.approx(0.5)
        assert noise.sigma(((50, 100), (0, 100))) == pytest.approx(3.0)
        assert np.isnan(noise.sigma(((0, 100), (0, 1))))
        # a coarse sample of it would hit masked rows only
        assert Noise(
            jl.TargetImage(np.zeros((400, 400)), pixelscale=1.0, weight=np.pad([[1.0]], (1, 398)))
        ).sigma(((0, 400), (0, 400))) == pytest.approx(1.0)

    def test_unknown_noise_and_counts(self):
        rng = np.random.default_rng(5)
        plain = jl.TargetImage(rng.normal(scale=2.5, size=(80, 80)), pixelscale=1.0)
        assert Noise(plain).sigma(((0, 80), (0, 80))) == pytest.approx(2.5, rel=0.05)
        counts = jl.TargetImage(
            rng.poisson(100.0, (80, 80)) / 4.0, pixelscale=1.0, likelihood="poisson", gain=4.0
        )
        assert Noise(counts).sigma(((0, 80), (0, 80))) == pytest.approx(10.0 / 4.0, rel=0.05)

    def test_flux_guess(self):
        rng = np.random.default_rng(6)
        data = rng.normal(scale=1.0, size=(120, 120)) + 50.0
        data[50:70, 50:70] += 10.0
        mask = np.zeros(data.shape, bool)
        mask[50:60, 50:70] = True
        for hidden in (None, mask):
            guess = FluxGuess(jl.TargetImage(data, pixelscale=1.0, std=1.0, mask=hidden))
            found = guess.flux(((50, 70), (50, 70)), ((30, 90), (30, 90)))
            assert found == pytest.approx(4000.0, rel=0.05)
        # nothing around the box: the sky is that of the whole image
        box = ((50, 70), (50, 70))
        assert guess.flux(box, box) == pytest.approx(4000.0, rel=0.05)


# x, y (arcsec), flux in each image, Re, n: a bright one with wings and a faint one
GALAXIES = ((-9.0, -6.0, (6e4, 9e4), 1.8, 3.0), (14.0, 17.0, (120.0, 90.0), 0.5, 1.0))


def observe(seed=8, sky=(0.0, 40.0)):
    """An image of 200 x 200 pixels and one of 40 x 40, North up."""
    rng = np.random.default_rng(seed)
    made = []
    for k, (name, n, scale, fwhm) in enumerate((("r", 200, 0.3, 0.9), ("w", 60, 1.2, 2.4))):
        psf = jl.gaussian_psf(fwhm=fwhm, pixelscale=scale)
        made.append(
            jl.TargetImage(np.zeros((n, n)), pixelscale=scale, psf=psf, std=NOISE, name=name)
        )
        drawn = jl.Group(truths(made[k], k)).image()
        made[k] = made[k].copy(
            data=drawn + rng.normal(scale=NOISE, size=(n, n)) + sky[k], name=name
        )
    return jl.TargetImageList(made)


def truths(image, k):
    return [
        jl.Model(
            "sersic", target=image, name=f"galaxy {j}", amplitude="flux", center=(x, y), q=0.7,
            PA=30.0, Re=size, n=n, flux=flux[k],
        )
        for j, (x, y, flux, size, n) in enumerate(GALAXIES)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def images():
    return observe()


@pytest.fixture(scope="module")
def seg(images):
    smooth = ndimage.gaussian_filter(images["r"].data, 1.5)
    found, n = ndimage.label(smooth > 0.4)
    sizes = ndimage.sum_labels(found > 0, found, range(n + 1))
    order = np.argsort(-sizes[1:]) + 1
    # of the bright one no more than a shallow detection would have
    core = (found == order[0]) & (smooth > 10.0)
    return np.where(core, 1, np.where(found == order[1], 2, 0))


class TestFromSegmentation:
    def test_windows_hold_the_light_of_a_bright_galaxy(self, images, seg):
        rule = jl.joint_from_segmentation("sersic", seg, target=images, edge=None)
        model = jl.joint_from_segmentation("sersic", seg, target=images)
        for k, image in enumerate(images):
            drawn = truths(image, k)[0].image()
            bare, wide = (m["1"].components[k].window for m in (rule, model))
            assert rings(drawn, bare)[0] > 0.2 * NOISE
            (x0, x1), (y0, y1) = wide
            n = image.shape[0]
            outside = np.ones(image.shape, bool)
            outside[y0:y1, x0:x1] = False
            # of the whole image at most a narrow strip is left
            assert not outside.any() or drawn[outside].max() < 0.05 * NOISE
            for (low, high), (least_low, least_high) in zip(wide, bare, strict=True):
                assert 0 <= low <= least_low
                assert least_high <= high <= n
            # the faint one costs little
            few, more = (area(m["2"].components[k].window) for m in (rule, model))
            assert few <= more <= 3 * few

    def test_edge_of_a_larger_number_is_a_smaller_window(self, images, seg):
        areas = []
        for edge in (0.02, 0.3, 3.0, None):
            model = jl.joint_from_segmentation("sersic", seg, target=images, edge=edge)
            areas.append(area(model["1"].components[0].window))
        assert areas == sorted(areas, reverse=True)
        assert areas[0] > areas[1] > areas[2]
        with pytest.raises(jl.InvalidInput, match="edge"):
            jl.joint_from_segmentation("sersic", seg, target=images, edge=0.0)

    @EVERY_BACKEND
    def test_fit_grow_fit_from_windows_too_small(self, images, seg):
        model = jl.joint_from_segmentation(
            "sersic", seg, target=images, edge=None, amplitude="flux", sky="flat sky",
            expand_scale=0.6, expand_border=0,
        )  # fmt: skip
        model.initialize().fit(verbose=0)
        assert model.grow_windows() >= 2
        model.fit(verbose=0)
        for value, truth in (("Re", 1.8), ("n", 3.0)):
            parameter = model["1"][value]
            assert abs(parameter.value - truth) < 4 * parameter.uncertainty
        for name, truth in zip(("r", "w"), GALAXIES[0][2], strict=True):
            flux = model["1"]["flux"][name]
            assert abs(flux.value - truth) < 4 * flux.uncertainty

    def test_limits_given_count(self, images, seg):
        for given, found in (
            ({"limits": (0.5, 3.0)}, (0.5, 3.0)),
            ({"limits": None}, (0.0, None)),
        ):
            model = jl.joint_from_segmentation("sersic", seg, target=images, Re=given)
            assert model["1"]["Re"].limits == found
        model = jl.joint_from_segmentation(
            "sersic", seg, target=images, per_image=["Ie", "Re"], Re={"w": {"limits": (1.0, 9.0)}}
        )
        assert model["1"]["Re"]["w"].limits == (1.0, 9.0)
        # a value given is kept whatever it is
        model = jl.joint_from_segmentation("sersic", seg, target=images, Re=500.0)
        assert model["2"]["Re"].value == 500.0
