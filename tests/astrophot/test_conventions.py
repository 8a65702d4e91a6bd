# SPDX-License-Identifier: BSD-3-Clause
"""Each convention that jointlight.astrophot translates, against an independent truth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from numpy.testing import assert_allclose
from scipy import sparse
from scipy.special import erf, gamma, gammaincinv

import jointlight as jl
import jointlight.astrophot as ap
from reference.tutorial import Tensor

CENTER = SkyCoord(150.1, 41.3, unit="deg")


def sky_wcs(
    size: tuple[int, int], *, scale: float = 0.5, rotation: float = 0.0, mirrored: bool = False
) -> WCS:
    """Gnomonic WCS about CENTER at the middle of an array of (width, height)."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [CENTER.ra.deg, CENTER.dec.deg]
    wcs.wcs.crpix = [(n + 1) / 2 for n in size]
    c, s = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
    flip = 1.0 if mirrored else -1.0
    wcs.wcs.cd = np.array([[flip * c, s], [-flip * s, c]]) * scale / 3600.0
    wcs.wcs.set()
    return wcs


def blank(wcs: WCS | None = None, shape: tuple[int, int] = (81, 101), **options: Any) -> Any:
    """An image of nothing; RA left and North up unless told otherwise."""
    if "pixelscale" not in options:
        options["wcs"] = sky_wcs(shape[::-1]) if wcs is None else wcs
    return ap.image.Target_Image(data=np.zeros(shape), variance=np.ones(shape), **options)


def long_axis(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre and direction of the long axis in pixels, from second moments."""
    y, x = np.indices(pixels.shape)
    total = pixels.sum()
    middle = np.array([(x * pixels).sum(), (y * pixels).sum()]) / total
    dx, dy = x - middle[0], y - middle[1]
    moments = [[(a * b * pixels).sum() / total for a in (dx, dy)] for b in (dx, dy)]
    return middle, np.linalg.eigh(moments)[1][:, 1]


def galaxy(target: Any, model_type: str = "sersic galaxy model", **parameters: Any) -> Any:
    return ap.models.AstroPhot_Model(
        name="galaxy", model_type=model_type, target=target, parameters=parameters
    )


# ---- position angle ---------------------------------------------------------------------------


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0.0, 35.0, 200.0])
@pytest.mark.parametrize("angle", [0.3, 2.0])
def test_angles_run_from_north_to_west(rotation: float, mirrored: bool, angle: float) -> None:
    """The position angle that astropy finds for the long axis is 180 degrees less the model's."""
    target = blank(sky_wcs((101, 81), rotation=rotation, mirrored=mirrored))
    model = galaxy(target, center=[0.0, 0.0], q=0.4, PA=angle, n=1.0, Re=2.0, Ie=0.0)
    (x, y), (dx, dy) = long_axis(model().data)
    ends = [target.native.wcs.pixel_to_world(x + k * dx, y + k * dy) for k in (-5, 5)]
    found = ends[0].position_angle(ends[1]).deg
    assert (found + math.degrees(angle) + 90) % 180 == pytest.approx(90.0, abs=0.01)
    assert model["PA"].value == pytest.approx(angle)
    assert model["PA"].native.value == pytest.approx(180 - math.degrees(angle))


@pytest.mark.parametrize("angle", [10.0, 100.0, 170.0])
def test_pixel_angles_are_turned_into_parameters_by_a_sign(angle: float) -> None:
    """For RA to the left, -PA of the map is the parameter, as the tutorial has it."""
    wcs = sky_wcs((101, 81))
    # A streak along the sky's position angle, found by astropy alone.
    pixels = np.zeros((81, 101))
    y, x = np.indices(pixels.shape)
    for step in np.linspace(-6, 6, 61):
        place = CENTER.directional_offset_by(angle * u.deg, step * u.arcsec)
        px, py = wcs.world_to_pixel(place)
        pixels += np.exp(-0.5 * ((x - px) ** 2 + (y - py) ** 2) / 4.0)
    labels = (pixels > 0.01 * pixels.max()).astype(int)
    found = ap.utils.initialize.PA_from_segmentation_map(labels, pixels)[1]
    assert 0.0 <= found < math.pi
    target = ap.image.Target_Image(data=pixels, variance=1.0, wcs=wcs)
    node = galaxy(target, PA=-found)["PA"]
    assert node.native.value == pytest.approx(angle, abs=0.5)
    assert math.sin(node.value + found) == pytest.approx(0.0, abs=1e-12)
    # On a picture: from up towards left.
    across, up = -math.sin(found), math.cos(found)
    assert abs(np.dot(long_axis(pixels)[1], [across, up])) == pytest.approx(1.0, abs=1e-4)
    ratio = ap.utils.initialize.q_from_segmentation_map(labels, target)[1]
    axes = np.linalg.eigvalsh(np.cov(np.vstack([x.ravel(), y.ravel()]), aweights=pixels.ravel()))
    assert ratio == pytest.approx(math.sqrt(axes[0] / axes[1]), abs=0.05)


def test_angle_limits_and_errors_are_turned_round() -> None:
    model = galaxy(blank(), PA={"value": 0.5, "limits": (0.2, 0.9), "uncertainty": 0.01})
    node = model["PA"]
    assert_allclose(node.limits, (0.2, 0.9))
    assert_allclose(node.native.limits, np.degrees([-0.9, -0.2]))
    assert node.value == pytest.approx(0.5)
    assert node.uncertainty == pytest.approx(0.01)
    assert node.native.uncertainty == pytest.approx(math.degrees(0.01))


# ---- amplitudes -------------------------------------------------------------------------------


def sersic_flux(n: float, re: float, q: float, ie: float) -> float:
    """Light of a Sersic galaxy to infinity, flux."""
    b = gammaincinv(2 * n, 0.5)
    return 2 * np.pi * n * q * re**2 * ie * np.exp(b) * b ** (-2 * n) * gamma(2 * n)


def test_brightness_is_a_decimal_logarithm_per_square_arcsec() -> None:
    model = galaxy(blank(), center=[0.0, 0.0], q=0.7, PA=0.0, n=0.8, Re=2.5, Ie=1.5)
    expected = sersic_flux(0.8, 2.5, 0.7, 10**1.5)  # Re along the major axis
    assert model().data.sum() == pytest.approx(expected, rel=1e-5)
    assert model["Ie"].native.value == pytest.approx(10**1.5)
    model["Ie"].uncertainty = 0.02
    assert model["Ie"].native.uncertainty == pytest.approx(10**1.5 * math.log(10) * 0.02)
    model["Ie"].limits = (-1.0, 2.0)
    assert_allclose(model["Ie"].native.limits, (0.1, 100.0))
    model["Ie"].limits = (None, 2.0)
    assert model["Ie"].limits == (None, pytest.approx(2.0))


def test_negative_light_has_no_logarithm() -> None:
    model = galaxy(blank(), center=[0.0, 0.0], q=0.7, PA=0.0, n=1.0, Re=2.5, Ie=0.0)
    model["Ie"].native.value = -0.3
    model["Ie"].native.uncertainty = 0.1
    with pytest.warns(jl.JointlightWarning, match=r"-0\.3.*native"):
        assert math.isnan(model["Ie"].value)
    assert math.isnan(model["Ie"].uncertainty)
    assert "nan" in repr(model.parameters)  # printing does not warn
    assert model().data.sum() < 0.0


def test_fit_finds_negative_light_in_one_band() -> None:
    rng = np.random.default_rng(3)
    spot = np.outer(in_pixels(4.0, 40, 81), in_pixels(4.0, 50, 101))
    members = []
    for name, light in (("bright", 500.0), ("hole", -50.0)):
        data = light * spot + rng.normal(0.0, 0.05, spot.shape)
        target = ap.image.Target_Image(
            data=data, variance=np.full(spot.shape, 0.05**2), wcs=sky_wcs((101, 81)), name=name
        )
        members.append(
            ap.models.AstroPhot_Model(
                name=name, model_type="gaussian galaxy model", target=target, parameters={"q": 1.0}
            )
        )
    bright, hole = members
    for name in ("center", "q", "PA", "sigma"):
        hole[name].value = bright[name]
    bright["q"].locked = True
    bright["PA"].value, bright["PA"].locked = 0.0, True
    both = ap.models.AstroPhot_Model(name="both", model_type="group model", models=members)
    fit = ap.fit.LM(both).fit()
    assert fit.message.startswith("success")
    assert bright["flux"].value == pytest.approx(
        math.log10(500.0), abs=4 * bright["flux"].uncertainty
    )
    linear = hole["flux"].native
    assert linear.value == pytest.approx(-50.0, abs=4 * linear.uncertainty)
    assert linear.uncertainty < 5.0
    errors = np.sqrt(np.diag(fit.covariance_matrix))
    assert np.isfinite(errors[:-1]).all()
    assert math.isnan(errors[-1])


def test_a_sparse_covariance_stays_one() -> None:
    target = ap.image.Target_Image(np.random.default_rng(2).normal(size=(40, 40)),
                                   pixelscale=1.0, variance=1.0)  # fmt: skip
    star = ap.models.AstroPhot_Model(
        name="star", model_type="gaussian galaxy model", target=target,
        parameters={"center": [20.0, 20.0], "q": 0.7, "PA": 1.0, "sigma": 3.0, "flux": 3.0},
    )  # fmt: skip
    made = star().data
    noisy = ap.image.Target_Image(target.data + made, pixelscale=1.0, variance=1.0)
    found = []
    for size in (100, 2):
        model = ap.models.AstroPhot_Model(
            name="star", model_type="gaussian galaxy model", target=noisy,
            parameters={"center": [20.0, 20.0], "q": 0.7, "PA": 1.0, "sigma": 3.0, "flux": 3.0},
        )  # fmt: skip
        options = jl.fit.LMOptions(covariance_max_size=size)
        found.append(ap.fit.LM(model, options=options).fit().covariance_matrix)
    dense, thin = found
    assert sparse.issparse(thin)
    assert_allclose(thin.toarray(), dense, rtol=1e-6, atol=1e-9 * np.abs(dense).max())


def test_amplitudes_of_other_models() -> None:
    star = galaxy(
        blank(psf=ap.utils.initialize.gaussian_psf(1.0, 31, 0.5)), "point model",
        center=[1.0, -2.0], flux=2.0,
    )  # fmt: skip
    assert star().data.sum() == pytest.approx(100.0, rel=1e-6)
    gauss = galaxy(
        blank(), "gaussian galaxy model", center=[0, 0], q=0.5, PA=0.1, sigma=2.0, flux=1.0
    )
    assert gauss().data.sum() == pytest.approx(10.0, rel=1e-5)
    moffat = galaxy(
        blank(), "moffat galaxy model", center=[0, 0], q=1.0, PA=0.0, n=3.0, Rd=1.5, I0=0.5
    )
    y, x = np.indices((81, 101))
    radius = 0.5 * np.hypot(x - 50, y - 40)
    far = radius > 5.0  # where a pixel's mean is its middle's value
    expected = 0.25 * 10**0.5 * (1 + (radius / 1.5) ** 2) ** -3.0
    assert_allclose(moffat().data[far], expected[far], rtol=0.02)
    sky = galaxy(blank(), "flat sky model", F=-1.0)
    assert_allclose(sky().data, 0.1 * 0.25)
    slope = galaxy(blank(), "plane sky model", F=-0.2, delta=[0.01, 0.0])
    assert_allclose(slope().data[40, 50], -0.2 * 0.25)
    # x of the plane grows towards the East, which is left.
    assert_allclose(np.diff(slope().data[40]), -0.01 * 0.5 * 0.25, rtol=1e-6)
    assert_allclose(slope["delta"].value, [0.01, 0.0])


# ---- PSF --------------------------------------------------------------------------------------


def in_pixels(sigma: float, center: float, n: int) -> np.ndarray:
    """Integrals of a line of unit light over pixels."""
    edges = (np.arange(n + 1) - 0.5 - center) / (math.sqrt(2) * sigma)
    return np.diff(erf(edges)) / 2


def test_psf_array_is_integrated_over_pixels() -> None:
    array = ap.utils.initialize.gaussian_psf(1.3, 31, 0.5)
    line = in_pixels(2.6, 15, 31)
    assert_allclose(array, np.outer(line, line) / line.sum() ** 2, atol=1e-12)
    assert array.sum() == pytest.approx(1.0)
    wings = ap.utils.initialize.moffat_psf(3.0, 1.0, 41, 0.5)
    assert wings.sum() == pytest.approx(1.0)
    # Far out the pixel does not matter.
    ratio = wings[20, 40] / wings[20, 38]
    assert ratio == pytest.approx(((1 + 81) / (1 + 100)) ** 3.0, rel=0.01)


@pytest.mark.parametrize("upscale", [1, 2, 3, 5])
def test_pixel_is_counted_once(upscale: int) -> None:
    """Gaussian light through a Gaussian PSF array is a Gaussian in pixels, once."""
    array = ap.utils.initialize.gaussian_psf(0.6, 24 * upscale + 1, 0.5 / upscale)
    target = blank(psf=Tensor(array), psf_upscale=upscale)
    model = ap.models.AstroPhot_Model(
        model_type="gaussian galaxy model", target=target, psf_mode="full",
        parameters={"center": [0.2, 0.1], "q": 1.0, "PA": 0.0, "sigma": 0.5, "flux": 3.0},
    )  # fmt: skip
    assert target.psf.kind == "effective"
    sigma = math.hypot(0.6, 0.5) / 0.5
    x = in_pixels(sigma, 50 - 0.4, 101)  # plane x is -pixel x
    y = in_pixels(sigma, 40 + 0.2, 81)
    expected = 1000.0 * np.outer(y, x)
    # Sampled once a pixel, so narrow a PSF is aliased a little.
    atol = 1e-3 if upscale == 1 else 1e-5
    assert_allclose(model().data, expected, atol=atol * expected.max())


@pytest.mark.parametrize("upscale", [1, 3])
@pytest.mark.parametrize(
    ("n", "radius", "sigma"),
    [(1.0, 1.5, 0.94), (1.0, 4.0, 0.94), (4.0, 4.0, 0.94), (4.0, 4.0, 1.8)],
)
def test_indices_are_right_through_coarse_psfs(
    n: float, radius: float, sigma: float, upscale: int
) -> None:
    """PSFs of 2.2 and 4.2 pixels, GalSim's images without noise."""
    galsim = pytest.importorskip("galsim")
    exact = galsim.GSParams(
        folding_threshold=1e-4, stepk_minimum_hlr=20, maxk_threshold=1e-5, kvalue_accuracy=1e-7,
        maximum_fft_size=16384,
    )  # fmt: skip
    size, x, y = 61, 30.23, 29.63
    light = galsim.Sersic(n, half_light_radius=radius * math.sqrt(0.6), flux=1e3, gsparams=exact)
    light = light.shear(q=0.6, beta=40 * galsim.degrees)
    seen = galsim.Convolve(light, galsim.Gaussian(sigma=sigma, gsparams=exact), gsparams=exact)
    drawn = seen.drawImage(
        nx=size, ny=size, scale=1.0, offset=(x - 30, y - 30), method="auto", dtype=float
    )
    target = ap.image.Target_Image(
        data=drawn.array,
        variance=np.full((size, size), 1e-4),
        pixelscale=1.0,
        psf=ap.utils.initialize.gaussian_psf(sigma, 20 * upscale + 1, 1.0 / upscale),
        psf_upscale=upscale,
    )
    start = {"center": [x + 0.5, y + 0.5], "q": 0.6, "n": 1.05 * n, "Re": 1.03 * radius}
    model = ap.models.AstroPhot_Model(
        model_type="sersic galaxy model", target=target, psf_mode="full", parameters=start
    )
    assert ap.fit.LM(model).fit().message.startswith("success")
    assert model["n"].value == pytest.approx(n, abs=0.003)
    assert model["Re"].value == pytest.approx(radius, abs=0.003)
    assert model["q"].value == pytest.approx(0.6, abs=2e-4)
    # 40 degrees from right to up are 50 from up to right: the tutorial's angle, less a turn.
    assert model["PA"].value == pytest.approx(math.pi - math.radians(50.0), abs=1e-4)


def test_psf_is_used_when_asked_for_and_groups_leave_it_so() -> None:
    target = blank(psf=ap.utils.initialize.gaussian_psf(1.5, 31, 0.5))
    start = {"center": [0.0, 0.0], "q": 0.8, "PA": 0.0, "n": 1.0, "Re": 1.0, "Ie": 1.0}

    def member(name: str, **options: Any) -> Any:
        return ap.models.AstroPhot_Model(
            name=name, model_type="sersic galaxy model", target=target, parameters=start, **options
        )

    with_psf, without = member("a", psf_mode="full"), member("b")
    peaks = [model().data.max() for model in (with_psf, without)]
    assert peaks[0] < 0.5 * peaks[1]
    group = ap.models.AstroPhot_Model(
        name="g", model_type="group model", models=[with_psf, without], target=target
    )
    assert [model.psf_mode for model in group] == ["full", "none"]
    assert group.psf_mode is None
    assert with_psf().data.max() == peaks[0]
    told = ap.models.AstroPhot_Model(
        name="h", model_type="group model", models=[member("c"), member("d")], psf_mode="full"
    )
    assert told.psf_mode == "full"
    assert_allclose(told().data.max(), 2 * peaks[0])
    with pytest.raises(jl.InvalidInput, match="psf_mode"):
        with_psf.psf_mode = "partial"


# ---- windows ----------------------------------------------------------------------------------


def test_windows_hold_all_of_a_segment() -> None:
    labels = np.zeros((20, 30), dtype=int)
    labels[3:9, 10:22] = 7
    labels[19, 29] = 2
    windows = ap.utils.initialize.windows_from_segmentation_map(Tensor(labels))
    assert windows == {2: [[29, 30], [19, 20]], 7: [[10, 22], [3, 9]]}
    (x0, x1), (y0, y1) = windows[7]
    assert np.count_nonzero(labels[y0:y1, x0:x1] == 7) == np.count_nonzero(labels == 7)
    scaled = ap.utils.initialize.scale_windows(
        windows, image_shape=labels.shape, expand_scale=1.5, expand_border=2
    )
    # 12 x 6 pixels become 18 x 9, rounded outward, and 2 more on each side, cut at the edge.
    assert scaled[7] == [[5, 27], [0, 13]]
    assert list(ap.utils.initialize.filter_windows(windows, min_area=5)) == [7]
    assert list(ap.utils.initialize.windows_from_segmentation_map(labels, skip_index=(7,))) == [2]
    flux = ap.utils.initialize.filter_windows(windows, max_flux=5.0, image=labels.astype(float))
    assert list(flux) == [2]


def test_model_is_drawn_within_its_window() -> None:
    target = blank()
    model = ap.models.AstroPhot_Model(
        model_type="flat sky model",
        target=target,
        window=[[10, 30], [5, 12]],
        parameters={"F": 0.0},
    )
    ys, xs = np.nonzero(model().data)
    assert (xs.min(), xs.max() + 1, ys.min(), ys.max() + 1) == (10, 30, 5, 12)
    assert model.window == ((10, 30), (5, 12))


def test_windows_are_carried_to_a_turned_image() -> None:
    base = blank()
    new = blank(sky_wcs((60, 60), scale=1.1, rotation=40.0, mirrored=True), shape=(60, 60))
    window = [[40, 61], [30, 46]]
    moved = ap.utils.initialize.transfer_windows({4: window}, base, new)
    (u0, u1), (v0, v1) = moved[4]
    corners = base.native.wcs.pixel_to_world([39.5, 60.5, 60.5, 39.5], [29.5, 29.5, 45.5, 45.5])
    x, y = new.native.wcs.world_to_pixel(corners)
    # The smallest whole pixels that hold all four corners.
    assert (u0, v0) == (math.floor(x.min() + 0.5), math.floor(y.min() + 0.5))
    assert (u1, v1) == (math.ceil(x.max() + 0.5), math.ceil(y.max() + 0.5))


def test_windows_outside_stay_as_one_pixel() -> None:
    base = blank()
    new = blank(sky_wcs((10, 10), scale=0.5), shape=(10, 10))
    found = ap.utils.initialize.transfer_windows(
        {1: [[0, 9], [0, 9]], 2: [[48, 53], [38, 43]]}, base, new
    )
    assert list(found) == [1, 2]
    assert found[1] == [[0, 1], [0, 1]]


# ---- places -----------------------------------------------------------------------------------


def test_plane_is_about_the_header_s_position() -> None:
    wcs = sky_wcs((101, 81), rotation=20.0)
    wcs.wcs.crpix = [12.0, 70.0]
    target = blank(wcs)
    assert_allclose(target.window.reference_radec, wcs.wcs.crval, atol=1e-10)
    assert_allclose(target.pixel_to_plane(Tensor([11.0, 69.0])), 0.0, atol=1e-6)
    east, north = target.pixel_to_plane([40.0, 20.0])
    offsets = CENTER.skyoffset_frame()
    place = wcs.pixel_to_world(40.0, 20.0).transform_to(offsets)
    assert_allclose([east, north], [place.lon.arcsec, place.lat.arcsec], atol=1e-5)
    assert_allclose(target.plane_to_pixel([east, north]), [40.0, 20.0])
    sky = wcs.pixel_to_world(40.0, 20.0)
    assert_allclose(target.world_to_plane([sky.ra.deg, sky.dec.deg]), [east, north], atol=1e-7)
    assert_allclose(target.plane_to_world([east, north]), [sky.ra.deg, sky.dec.deg])
    grid = target.pixel_to_plane(np.ones((2, 4, 3)))
    assert grid.shape == (2, 4, 3)


def test_setting_the_header_s_reference_moves_nothing() -> None:
    target = blank()
    before = target.pixel_to_plane([3.0, 4.0])
    target.header.reference_radec = (10.0, 20.0)
    assert target.header.reference_radec == (10.0, 20.0)
    assert_allclose(target.pixel_to_plane([3.0, 4.0]), before)
    assert_allclose(target.window.reference_radec, [CENTER.ra.deg, CENTER.dec.deg])


def test_images_of_different_positions_share_a_plane() -> None:
    other = sky_wcs((101, 81))
    other.wcs.crval = [CENTER.ra.deg + 0.004, CENTER.dec.deg - 0.002]
    first, second = blank(name="one"), blank(other, name="two")
    ap.image.Target_Image_List([first, second])
    assert second.window.reference_radec == pytest.approx(first.window.reference_radec)
    x, y = second.plane_to_pixel(first.pixel_to_plane([50.0, 40.0]))
    assert_allclose([x, y], other.world_to_pixel(CENTER), atol=1e-6)


def test_image_without_wcs_has_its_corner_at_zero_and_x_to_the_right() -> None:
    target = blank(pixelscale=0.5)
    assert_allclose(target.pixel_to_plane([0.0, 0.0]), [0.25, 0.25], atol=1e-9)
    assert_allclose(target.pixel_to_plane([10.0, 4.0]), [5.25, 2.25], atol=1e-9)
    assert target.window.reference_radec == pytest.approx((0.0, 0.0))
    # On the picture the angle still runs from up towards left.
    model = galaxy(target, center=[25.0, 20.0], q=0.3, PA=0.4, n=1.0, Re=3.0, Ie=0.0)
    middle, axis = long_axis(model().data)
    assert_allclose(middle, [49.5, 39.5], atol=1e-3)
    assert abs(np.dot(axis, [-math.sin(0.4), math.cos(0.4)])) == pytest.approx(1.0, abs=1e-6)
    centred = blank(pixelscale=[[0.5, 0.0], [0.0, 0.25]], center=[3.0, -1.0])
    assert_allclose(centred.pixel_to_plane([50.0, 40.0]), [3.0, -1.0], atol=1e-9)
    assert_allclose(centred.pixel_to_plane([52.0, 44.0]), [4.0, 0.0], atol=1e-9)
    assert_allclose(blank(pixelscale=1.0, origin=[7.0, 8.0]).pixel_to_plane([-0.5, -0.5]), [7, 8])


# ---- the rest ---------------------------------------------------------------------------------


def test_ties_follow_and_can_be_undone() -> None:
    target = blank()
    a = galaxy(target, center=[0, 0], q=0.5, PA=0.3, n=1.0, Re=3.0, Ie=0.0)
    b = galaxy(target, Re=a["Re"])
    b["PA"].value = a["PA"]
    a["PA"].value, a["Re"].value = 1.1, Tensor(4.0)
    assert b["PA"].value == pytest.approx(1.1)
    assert b["Re"].value == 4.0
    assert "= galaxy.Re" in repr(b.parameters)
    b["Re"].value = 2.0
    assert (a["Re"].value, b["Re"].value) == (4.0, 2.0)
    with pytest.raises(jl.InvalidInput, match="cannot be tied"):
        b["n"].value = a["PA"]
    a["n"].locked = True
    assert a["n"].native.fixed


def test_groups_are_searched_by_path() -> None:
    target = blank()
    a, b = (
        ap.models.AstroPhot_Model(name=name, model_type="sersic galaxy model", target=target)
        for name in "ab"
    )
    inner = ap.models.AstroPhot_Model(name="in", model_type="group model", models=[b])
    outer = ap.models.AstroPhot_Model(name="out", model_type="group model", models=[a, inner])
    assert outer["a"] is a
    assert outer["in:b:Re"] is outer["in"]["b|Re"] is b["Re"]
    assert "in:b:Re" in outer.parameters
    assert outer.target is target
    with pytest.raises(jl.InvalidInput, match="no member"):
        outer["c"]


def test_settings_may_be_read_and_set() -> None:
    config = ap.AP_config
    assert np.zeros(3, dtype=config.ap_dtype).dtype == np.float64
    config.set_logging_output(stdout=True)


def test_mistakes_are_named() -> None:
    target = blank()
    with pytest.raises(jl.InvalidInput, match="no parameter 'Rs'"):
        galaxy(target, Rs=2.0)
    with pytest.raises(jl.InvalidInput, match="unknown setting 'limit'"):
        galaxy(target, Re={"limit": (0, 1)})
    with pytest.raises(jl.InvalidInput, match="units"):
        galaxy(target, PA={"value": 30.0, "units": "deg"})
    with pytest.raises(jl.InvalidInput, match="no option 'windo'"):
        ap.models.AstroPhot_Model(model_type="sersic galaxy model", target=target, windo=None)
    with pytest.warns(jl.JointlightWarning, match="sampling_mode is ignored"):
        ap.models.AstroPhot_Model(
            model_type="sersic galaxy model", target=target, sampling_mode="midpoint"
        )
    with pytest.raises(jl.InvalidInput, match="Target_Image"):
        galaxy(target.native)
    with pytest.raises(jl.InvalidInput, match="numbers"):
        ap.image.Target_Image(data=np.zeros((9, 9)), pixelscale=1.0, variance="auto")
    with pytest.raises(jl.InvalidInput, match="pixelscale"):
        ap.image.Target_Image(data=np.zeros((9, 9)))
    with pytest.warns(jl.JointlightWarning, match="L0 is ignored"):
        ap.fit.LM(galaxy(target), L0=10.0)
    with pytest.raises(jl.InvalidInput, match="no option 'tolerance'"):
        ap.fit.LM(galaxy(target), tolerance=1e-3)
    with pytest.raises(jl.InvalidInput, match="AstroPhot_Model"):
        ap.fit.LM(galaxy(target).native)


def test_faintest_magnitude_is_the_low_end_of_the_colours() -> None:
    plt = pytest.importorskip("matplotlib.pyplot")
    target = blank(zeropoint=25.0, psf=ap.utils.initialize.gaussian_psf(1.0, 15, 0.5))
    model = galaxy(target, center=[0, 0], q=0.5, PA=0.3, n=1.0, Re=3.0, Ie=5.0)
    fig, ax = plt.subplots()
    assert ap.plots.model_image(fig, ax, model, flipx=True, vmax=24.0, vmin=15.0) == (fig, ax)
    norm = ax.collections[0].norm
    assert_allclose([norm.vmin, norm.vmax], [10**0.4, 10**4.0])
    left, right = ax.get_xlim()
    assert left > right  # East left
    fig, axes = plt.subplots(1, 4)
    ap.plots.target_image(fig, axes[0], target)
    left, right = axes[0].get_xlim()
    assert left < right  # as AstroPhot draws unless told to flip
    ap.plots.residual_image(fig, axes[1], model)
    ap.plots.model_window(fig, axes[1], model)
    ap.plots.psf_image(fig, axes[2], target)
    assert len(axes[1].lines) == 1
    plt.close("all")
