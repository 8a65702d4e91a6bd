# SPDX-License-Identifier: BSD-3-Clause
"""From initialize()'s starts a fit must end where a fit started at the truth ends."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

import jointlight as jl
from reference.on_backends import EVERY_BACKEND, SLOW_EMULATED

SIZE = 64
FIT = {"max_iterations": 200}


def image(data, *, sigma=1.0, fwhm=3.0, scale=0.3, name="image", **options):
    """Image with a Gaussian effective PSF; lengths of the PSF in pixels, 0 for none."""
    psf = None
    if fwhm:
        psf = jl.gaussian_psf(fwhm=fwhm * scale, pixelscale=scale, includes_pixel=True)
    if not options.get("wcs"):
        options.setdefault("pixelscale", scale)
    options.setdefault("variance", sigma**2)
    return jl.TargetImage(data, psf=psf, name=name, **options)


def blank(size=SIZE, **options):
    return image(np.ones((size, size) if np.isscalar(size) else size), **options)


def signal_to_noise(model_image, sigma=1.0):
    """Matched-filter signal-to-noise of a noise-free image."""
    return float(np.sqrt((model_image**2).sum()) / sigma)


def final_chi2(model):
    """chi^2 and number of Jacobians of a fit from the present values, which stay."""
    outcome = model.compile(n_threads=1).fit(FIT)
    return float(outcome["chi2"]), int(outcome["n_linearize"]), outcome


def random_galaxy(seed, snr=None):
    """One noisy Sersic: (image, true parameters)."""
    rng = np.random.default_rng(seed)
    scale = 0.3
    uniform = bool(seed % 2)  # half with uniform, half with logarithmic size and index
    n = rng.uniform(0.5, 6) if uniform else np.exp(rng.uniform(np.log(0.5), np.log(6)))
    re = rng.uniform(2, 15) if uniform else np.exp(rng.uniform(np.log(2), np.log(15)))
    snr = 10 ** rng.uniform(1, np.log10(300)) if snr is None else snr
    fwhm = rng.uniform(2.5, 4)
    truth = {
        "center": tuple(rng.uniform(-1.5, 1.5, 2) * scale),
        "q": rng.uniform(0.2, 1.0),
        "PA": rng.uniform(0, 180),
        "Re": re * scale,
        "n": n,
        "Ie": 1.0,
    }
    model = jl.Model("sersic galaxy", target=blank(fwhm=fwhm), **truth)
    clean = model.image()
    truth["Ie"] = snr / signal_to_noise(clean)
    data = clean * truth["Ie"] + rng.normal(size=clean.shape)
    return image(data, fwhm=fwhm), truth


def reaches_minimum(target, truth, **options):
    start = jl.Model("sersic galaxy", target=target)
    start.initialize(**options)
    best, _, _ = final_chi2(jl.Model("sersic galaxy", target=target, **truth))
    found, n_linearize, _ = final_chi2(start)
    return found <= best + 1.0, n_linearize


def count(seeds, snr=None, **options):
    results = [reaches_minimum(*random_galaxy(seed, snr), **options) for seed in seeds]
    return sum(good for good, _ in results), [n for _, n in results]


@SLOW_EMULATED
@EVERY_BACKEND
def test_random_galaxies():
    good, n_linearize = count(range(60))
    assert good >= 59
    assert np.median(n_linearize) <= 6


@pytest.mark.slow
def test_300_random_galaxies():
    good, _ = count(range(300))
    assert good >= 294


@pytest.mark.slow
def test_300_faint_galaxies():
    good, _ = count(range(300, 600), snr=10.0)
    assert good >= 294


@pytest.mark.slow
def test_grid_alone_is_enough():
    good, _ = count(range(600, 900), n_candidates=0)
    assert good >= 294


class TestValuesThatAreGiven:
    def test_are_kept(self):
        target, truth = random_galaxy(4, 100)
        model = jl.Model("sersic galaxy", target=target, n=2.2, q=0.55)
        model["center"].value = truth["center"]
        model.initialize()
        assert model["n"].value == 2.2
        assert model["q"].value == 0.55
        assert tuple(model["center"].value) == truth["center"]
        assert not model.unset_parameters

    def test_amplitude_alone(self):
        target, truth = random_galaxy(5, 200)
        structure = {name: value for name, value in truth.items() if name != "Ie"}
        model = jl.Model("sersic galaxy", target=target, **structure)
        model.initialize()
        assert model["Ie"].value == pytest.approx(truth["Ie"], rel=0.03)

    def test_known_amplitude(self):
        target, truth = random_galaxy(6, 200)
        model = jl.Model("sersic galaxy", target=target, Ie=truth["Ie"])
        model.initialize()
        assert model["Ie"].value == truth["Ie"]
        assert model["Re"].value == pytest.approx(truth["Re"], rel=0.3)

    def test_limits_hold(self):
        target, _ = random_galaxy(8, 100)
        model = jl.Model("sersic galaxy", target=target)
        limits = {"n": (6.5, 8.0), "q": (0.9, 1.0), "Re": (0.1, 0.3), "PA": (10.0, 20.0)}
        for name, pair in limits.items():
            model[name].limits = pair
        model.initialize()
        for name, (low, high) in limits.items():
            assert low <= model[name].value <= high

    def test_overwrite(self):
        target, truth = random_galaxy(9, 200)
        model = jl.Model("sersic galaxy", target=target, n=0.5, Re=30.0, q=0.1)
        model["q"].fixed = True
        model.initialize(overwrite=True)
        assert model["Re"].value < 10
        assert model["q"].value == 0.1
        model["q"].fixed = False
        model.initialize(overwrite=True)
        assert model["Re"].value == pytest.approx(truth["Re"], rel=0.3)

    def test_nothing_to_do(self):
        target, truth = random_galaxy(10)
        model = jl.Model("sersic galaxy", target=target, **truth)
        model.initialize()
        assert model["Re"].value == truth["Re"]


@pytest.mark.parametrize("name", ["exponential", "devaucouleurs", "gaussian", "moffat"])
def test_other_profiles(name):
    rng = np.random.default_rng(3)
    scale = {"gaussian": "sigma", "moffat": "Rd"}.get(name, "Re")
    amplitude = "I0" if name in ("gaussian", "moffat") else "Ie"
    truth: ClassVar = {"center": (0.4, -0.3), "q": 0.5, "PA": 130.0, scale: 1.5, amplitude: 1.0}
    if name == "moffat":
        truth["beta"] = 2.5
    clean = jl.Model(name, target=blank(), **truth).image()
    truth[amplitude] = 80 / signal_to_noise(clean)
    target = image(clean * truth[amplitude] + rng.normal(size=clean.shape))
    best, _, _ = final_chi2(jl.Model(name, target=target, **truth))
    found, n_linearize, _ = final_chi2(jl.Model(name, target=target).initialize())
    assert found <= best + 1
    assert n_linearize <= 12


def test_point_source():
    rng = np.random.default_rng(4)
    clean = jl.Model("point source", target=blank(), center=(1.13, -2.2), flux=400.0).image()
    target = image(clean + rng.normal(size=clean.shape))
    model = jl.Model("point source", target=target).initialize()
    assert tuple(model["center"].value) == pytest.approx((1.13, -2.2), abs=0.1)
    assert model["flux"].value == pytest.approx(400, rel=0.1)


def test_flux_as_amplitude():
    rng = np.random.default_rng(5)
    truth = {"center": (0.2, 0.1), "q": 0.6, "PA": 20.0, "Re": 1.2, "n": 3.0, "flux": 2000.0}
    make = {"model_type": "sersic galaxy", "amplitude": "flux"}
    clean = jl.Model(target=blank(), **make, **truth).image()
    target = image(clean + rng.normal(size=clean.shape))
    model = jl.Model(target=target, **make).initialize()
    assert model["flux"].value == pytest.approx(2000, rel=0.2)


def test_negative_source():
    target, truth = random_galaxy(12, 100)
    negative = image(-target.data, fwhm=target.psf.fwhm_px)
    structure = {name: value for name, value in truth.items() if name != "Ie"}
    model = jl.Model("sersic galaxy", target=negative, **structure).initialize()
    assert model["Ie"].value == pytest.approx(-truth["Ie"], rel=0.05)


class TestDirtyData:
    """Bad pixels, neighbours, wrong skies: the start must stay sane."""

    truth: ClassVar = {"center": (0.3, -0.2), "q": 0.6, "PA": 60.0, "Re": 1.5, "n": 2.0, "Ie": 1.0}

    def scene(self, snr=80.0, seed=7):
        rng = np.random.default_rng(seed)
        clean = jl.Model("sersic galaxy", target=blank(), **self.truth).image()
        factor = snr / signal_to_noise(clean)
        return clean * factor + rng.normal(size=clean.shape), factor

    def check(self, model, factor=1.0):
        assert tuple(model["center"].value) == pytest.approx(self.truth["center"], abs=0.2)
        assert model["q"].value == pytest.approx(0.6, abs=0.2)
        assert abs((model["PA"].value - 60 + 90) % 180 - 90) < 15
        assert model["Re"].value == pytest.approx(1.5, rel=0.5)

    @pytest.mark.filterwarnings("ignore:image. .* are NaN")
    def test_nan_and_masked_pixels(self):
        data, _ = self.scene()
        data[30:33, 36] = np.nan
        data[10:20, 5:50] = np.nan
        mask = np.zeros(data.shape, dtype=bool)
        mask[:, 20] = True
        data[:, 20] = 1e6
        model = jl.Model("sersic galaxy", target=image(data, mask=mask)).initialize()
        self.check(model)

    def test_half_the_source_is_masked(self):
        data, _ = self.scene()
        mask = np.zeros(data.shape, dtype=bool)
        mask[:, :31] = True
        model = jl.Model("sersic galaxy", target=image(data, mask=mask)).initialize()
        assert not model.unset_parameters
        assert np.hypot(*model["center"].value) < 1.5

    def test_unmodelled_neighbours(self):
        data, _ = self.scene()
        star = {"center": (-6.0, 5.0), "flux": 1500.0}
        data += jl.Model("point source", target=blank(), **star).image()
        other = {**self.truth, "center": (6.5, -6.0), "Re": 1.0, "Ie": 6.0}
        data += jl.Model("sersic galaxy", target=blank(), **other).image()
        self.check(jl.Model("sersic galaxy", target=image(data)).initialize())

    @pytest.mark.parametrize("level", [-0.3, 0.3])
    def test_sky_left_in_without_a_sky_model(self, level):
        data, _ = self.scene()
        model = jl.Model("sersic galaxy", target=image(data + level)).initialize()
        assert tuple(model["center"].value) == pytest.approx(self.truth["center"], abs=0.2)
        assert 0.3 < model["Re"].value < 10

    @pytest.mark.parametrize("level", [-500.0, 4000.0])
    def test_sky_model(self, level):
        data, factor = self.scene()
        target = image(data + level)
        galaxy = jl.Model("sersic galaxy", target=target, name="galaxy")
        sky = jl.Model("flat sky", target=target, name="sky")
        model = jl.Group([galaxy, sky]).initialize()
        self.check(galaxy)
        assert sky["I0"].value * 0.09 == pytest.approx(level, abs=0.2)
        found, _, _ = final_chi2(model)
        galaxy["Ie"].value = factor
        for name in ("center", "q", "PA", "Re", "n"):
            galaxy[name].value = self.truth[name]
        sky["I0"].value = level / 0.09
        assert found <= final_chi2(model)[0] + 1

    def test_plane_sky(self):
        data, _ = self.scene()
        x = np.arange(SIZE) - (SIZE - 1) / 2
        data = data + 100 + 0.5 * x - 0.2 * x[:, None]
        target = image(data)
        galaxy = jl.Model("sersic galaxy", target=target, name="galaxy")
        sky = jl.Model("plane sky", target=target, name="sky")
        jl.Group([galaxy, sky]).initialize()
        self.check(galaxy)
        assert sky["I0"].value * 0.09 == pytest.approx(100, abs=0.5)
        # East is to the left
        assert sky["slope_x"].value * 0.027 == pytest.approx(-0.5, abs=0.05)
        assert sky["slope_y"].value * 0.027 == pytest.approx(-0.2, abs=0.05)

    def test_noise_only(self):
        rng = np.random.default_rng(8)
        model = jl.Model("sersic galaxy", target=image(rng.normal(size=(SIZE, SIZE)))).initialize()
        assert not model.unset_parameters
        assert np.isfinite(model.chi2())

    def test_constant_data(self):
        for value in (0.0, 5.0):
            target = image(np.full((SIZE, SIZE), value))
            model = jl.Model("sersic galaxy", target=target).initialize()
            assert np.isfinite(model.chi2())

    def test_tiny_image(self):
        rng = np.random.default_rng(9)
        model = jl.Model("sersic galaxy", target=image(rng.normal(size=(3, 4)))).initialize()
        assert np.isfinite(model.chi2())

    def test_no_variance_given(self):
        data, _ = self.scene()
        target = image(data * 1e-9, variance=None)
        self.check(jl.Model("sersic galaxy", target=target).initialize())

    def test_poisson_counts(self):
        rng = np.random.default_rng(10)
        clean = jl.Model("sersic galaxy", target=blank(), **self.truth).image()
        sky_counts = 5.0
        data = rng.poisson(clean * 300 + sky_counts).astype(float)
        target = image(data, variance=None, likelihood="poisson")
        galaxy = jl.Model("sersic galaxy", target=target, name="galaxy")
        sky = jl.Model("flat sky", target=target, name="sky")
        jl.Group([galaxy, sky]).initialize()
        self.check(galaxy)
        assert sky["I0"].value * 0.09 == pytest.approx(sky_counts, rel=0.2)


class TestSizes:
    @pytest.mark.parametrize("re", [1.0, 4.0, 60.0])
    def test_large_image(self, re):
        rng = np.random.default_rng(11)
        truth = {"center": (20.0, -14.0), "q": 0.5, "PA": 70.0, "Re": re * 0.3, "n": 2.5}
        clean = jl.Model("sersic galaxy", target=blank(400), Ie=1.0, **truth).image()
        factor = 150 / signal_to_noise(clean)
        target = image(clean * factor + rng.normal(size=clean.shape))
        best, _, _ = final_chi2(jl.Model("sersic galaxy", target=target, Ie=factor, **truth))
        found, n_linearize, _ = final_chi2(jl.Model("sersic galaxy", target=target).initialize())
        assert found <= best + 1
        assert n_linearize <= 12

    def test_without_psf(self):
        rng = np.random.default_rng(12)
        truth = {"center": (0.2, 0.3), "q": 0.5, "PA": 70.0, "Re": 1.5, "n": 2.5, "Ie": 20.0}
        clean = jl.Model("sersic galaxy", target=blank(fwhm=0), **truth).image()
        target = image(clean + rng.normal(size=clean.shape), fwhm=0)
        best, _, _ = final_chi2(jl.Model("sersic galaxy", target=target, **truth))
        found, _, _ = final_chi2(jl.Model("sersic galaxy", target=target).initialize())
        assert found <= best + 1


def tan(size, scale, rotation=0.0, mirrored=False, offset=(0.0, 0.0), stretch=1.0):
    from astropy.wcs import WCS

    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crpix = [(size + 1) / 2] * 2
    wcs.wcs.crval = [150.0 + offset[0] / 3600, 30.0 + offset[1] / 3600]
    c, s = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    flip = 1.0 if mirrored else -1.0
    step = scale / 3600
    wcs.wcs.cd = np.array([[flip * c, s], [-flip * s, c]]) @ np.diag([step * stretch, step])
    wcs.wcs.set()
    return wcs


@pytest.mark.parametrize(
    "geometry",
    [
        {},
        {"rotation": 50.0},
        {"rotation": -120.0, "mirrored": True},
        {"rotation": 30.0, "stretch": 1.6},
    ],
)
@pytest.mark.filterwarnings("ignore:image. the PSF was made for pixels")
def test_any_orientation(geometry):
    rng = np.random.default_rng(13)
    wcs = tan(SIZE, 0.3, **geometry)
    truth = {"center": (0.5, -0.4), "q": 0.4, "PA": 25.0, "Re": 2.0, "n": 1.5, "Ie": 20.0}
    clean = jl.Model("sersic galaxy", target=blank(wcs=wcs), **truth).image()
    target = image(clean + rng.normal(size=clean.shape), wcs=wcs)
    model = jl.Model("sersic galaxy", target=target).initialize()
    assert tuple(model["center"].value) == pytest.approx(truth["center"], abs=0.15)
    assert abs((model["PA"].value - 25 + 90) % 180 - 90) < 5
    assert model["q"].value == pytest.approx(0.4, abs=0.1)
    best, _, _ = final_chi2(jl.Model("sersic galaxy", target=target, **truth))
    assert final_chi2(model)[0] <= best + 1


class TestJoint:
    """Three images of one galaxy: sharp and deep, coarse, mirrored and faint."""

    truth: ClassVar = {"center": (0.4, -0.3), "q": 0.6, "PA": 57.0, "Re": 3.0, "n": 1.6}
    bands = (
        ("sharp", 180, 0.3, 3.5, 0.05, {}),
        ("coarse", 40, 1.4, 2.4, 1.0, {"rotation": 20.0, "offset": (1.2, 0.7)}),
        ("faint", 50, 0.9, 3.0, 2.0, {"rotation": -15.0, "mirrored": True}),
    )

    def images(self, data=None):
        made = []
        for k, (name, size, scale, fwhm, sigma, geometry) in enumerate(self.bands):
            pixels = np.ones((size, size)) if data is None else data[k]
            wcs = tan(size, scale, **geometry)
            made.append(image(pixels, sigma=sigma, fwhm=fwhm, scale=scale, wcs=wcs, name=name))
        return jl.TargetImageList(made)

    def observed(self, amplitudes=(1.0, 8.0, 1.0)):
        rng = np.random.default_rng(14)
        truth = jl.joint("sersic galaxy", target=self.images(), **self.truth)
        truth["Ie"].value = dict(zip(("sharp", "coarse", "faint"), amplitudes, strict=True))
        clean = truth.images()
        noise = [rng.normal(size=c.shape) * b[4] for c, b in zip(clean, self.bands, strict=True)]
        return self.images([c + n for c, n in zip(clean, noise, strict=True)])

    def test_shared_structure(self):
        targets = self.observed()
        model = jl.joint("sersic galaxy", target=targets).initialize()
        assert model["Re"].value == pytest.approx(3.0, rel=0.05)
        assert model["Ie"]["coarse"].value == pytest.approx(8.0, rel=0.1)
        found, n_linearize, _ = final_chi2(model)
        truth = jl.joint("sersic galaxy", target=targets, **self.truth)
        truth["Ie"].value = {"sharp": 1.0, "coarse": 8.0, "faint": 1.0}
        assert found <= final_chi2(truth)[0] + 1
        assert n_linearize <= 12

    def test_tied_the_long_way_round(self):
        targets = self.observed()
        members = [jl.Model("sersic galaxy", target=t, name=t.name) for t in targets]
        # the parameters live in the poorest image
        for other in members[:2]:
            other.tie(members[2], except_=["Ie"])
        jl.Group(members).initialize()
        assert members[2]["Re"].value == pytest.approx(3.0, rel=0.05)
        assert members[1]["Ie"].value == pytest.approx(8.0, rel=0.1)

    def test_scaled_and_function_ties(self):
        targets = self.observed()
        members = [jl.Model("sersic galaxy", target=t, name=t.name) for t in targets]
        for other in members[1:]:
            other.tie(members[0], except_=["Ie", "Re", "n"])
        members[1]["Re"].tie(members[0]["Re"], scale=1.1)
        members[2]["Re"].tie(lambda re: 0.9 * re, [members[0]["Re"]])
        group = jl.Group(members).initialize()
        assert not group.unset_parameters
        assert members[0]["Re"].value == pytest.approx(3.0, rel=0.1)

    def test_negative_flux_in_one_band(self):
        model = jl.joint("sersic galaxy", target=self.observed((1.0, 8.0, -3.0))).initialize()
        assert model["Ie"]["faint"].value == pytest.approx(-3.0, rel=0.3)


class TestManySources:
    places = ((-6.0, -5.0), (5.5, 6.0), (0.5, 0.0), (6.5, -6.5))
    sizes, amplitudes = (1.0, 1.5, 0.8, 1.2), (80.0, 40.0, 200.0, 60.0)

    def models(self, target, **options):
        return [
            jl.Model("sersic galaxy", target=target, name=f"galaxy {k}", **options)
            for k in range(len(self.places))
        ]

    def observed(self):
        rng = np.random.default_rng(15)
        group = jl.Group(self.models(blank(96), q=0.6, PA=40.0, n=1.5))
        self.set_truth(group)
        clean = group.image()
        return image(clean + rng.normal(size=clean.shape))

    def set_truth(self, group):
        for k, member in enumerate(group.models):
            member["center"].value = self.places[k]
            member["Re"].value, member["Ie"].value = self.sizes[k], self.amplitudes[k]

    def best(self, target):
        group = jl.Group(self.models(target, q=0.6, PA=40.0, n=1.5))
        self.set_truth(group)
        return final_chi2(group)[0]

    def test_unplaced(self):
        target = self.observed()
        group = jl.Group(self.models(target)).initialize()
        found = [tuple(m["center"].value) for m in group.models]
        for place in self.places:
            assert min(np.hypot(*np.subtract(place, f)) for f in found) < 0.3
        assert final_chi2(group)[0] <= self.best(target) + 1

    def test_placed(self):
        target = self.observed()
        members = self.models(target)
        for member, place in zip(members, self.places, strict=True):
            member["center"].value = place
        group = jl.Group(members).initialize()
        for k, member in enumerate(members):
            assert tuple(member["center"].value) == self.places[k]
            assert member["Re"].value == pytest.approx(self.sizes[k], rel=0.4)
        assert final_chi2(group)[0] <= self.best(target) + 1

    def test_windows(self):
        target = self.observed()
        members = self.models(target)
        for member, place in zip(members, self.places, strict=True):
            x, y = target.plane_to_pixel(*place)
            window = ((int(x) - 15, int(x) + 16), (int(y) - 15, int(y) + 16))
            member.window = target.parse_window(window, clip=True)
        jl.Group(members).initialize()
        for member, place in zip(members, self.places, strict=True):
            assert np.hypot(*np.subtract(member["center"].value, place)) < 0.3

    def test_with_a_star_and_a_sky(self):
        rng = np.random.default_rng(16)
        truth = self.observed()
        star = jl.Model("point source", target=blank(96), center=(-7.0, 8.0), flux=900.0)
        target = image(truth.data + star.image() + 40.0 + 0.01 * rng.normal(size=truth.shape))
        members = self.models(target)
        for member, place in zip(members, self.places, strict=True):
            member["center"].value = place
        point = jl.Model("point source", target=target, name="star", center=(-7.0, 8.0))
        sky = jl.Model("flat sky", target=target, name="sky")
        jl.Group([*members, point, sky]).initialize()
        assert point["flux"].value == pytest.approx(900, rel=0.1)
        assert sky["I0"].value * 0.09 == pytest.approx(40, abs=0.3)


class TestBulgeAndDisc:
    def observed(self):
        rng = np.random.default_rng(17)
        target = blank(96)
        bulge = {"center": (0.1, 0.2), "q": 0.8, "PA": 30.0, "Re": 0.8, "n": 3.0, "Ie": 40.0}
        disc = {"center": (0.1, 0.2), "q": 0.5, "PA": 40.0, "Re": 4.0, "Ie": 6.0}
        clean = jl.Model("sersic galaxy", target=target, **bulge).image()
        clean = clean + jl.Model("exponential", target=target, **disc).image()
        return image(clean + rng.normal(size=clean.shape)), bulge, disc

    @pytest.mark.parametrize("tied", [True, False])
    def test_common_centre(self, tied):
        target, bulge, disc = self.observed()
        a = jl.Model("exponential", target=target, name="disc")
        b = jl.Model("sersic galaxy", target=target, name="bulge")
        if tied:
            a["center"].tie(b["center"])
        group = jl.Group([a, b]).initialize()
        assert b["Re"].value < a["Re"].value
        found, _, _ = final_chi2(group)
        c = jl.Model("exponential", target=target, name="disc", **disc)
        d = jl.Model("sersic galaxy", target=target, name="bulge", **bulge)
        if tied:
            c["center"].tie(d["center"])
        best, _, _ = final_chi2(jl.Group([c, d]))
        assert found <= best + 1
