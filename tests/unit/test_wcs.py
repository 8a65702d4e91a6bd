# SPDX-License-Identifier: BSD-3-Clause
"""Pixels, plane and sky, with astropy as the judge."""

from __future__ import annotations

import json
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import ICRS, SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import wcs_to_celestial_frame
from astropy.wcs.wcsapi import BaseLowLevelWCS
from hypothesis import given
from hypothesis import strategies as st

from jointlight.errors import InvalidInput, JointlightWarning
from jointlight.image import TargetImage
from jointlight.wcs import Gnomonic, LinearPlane, SkyPlane, fit_local_map, sky_vectors

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (180, 240)  # rows, columns
REACH = 1e-3  # px


def tan_wcs(
    ra: float = 187.3,
    dec: float = 12.98,
    *,
    scale: float = 0.262,
    angle: float = 0.0,
    parity: int = 1,
    crpix: tuple[float, float] = (120.5, 90.5),
    frame: tuple[str, str, str] = ("RA---TAN", "DEC--TAN", "ICRS"),
) -> WCS:
    """A TAN WCS; `angle` turns North from up towards the left, `parity` -1 has East right."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = list(frame[:2])
    if frame[2]:
        wcs.wcs.radesys = frame[2]
    wcs.wcs.crval = [ra, dec]
    wcs.wcs.crpix = list(crpix)
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    wcs.wcs.cd = np.array([[-c, s], [s, c]]) @ np.diag([parity, 1.0]) * scale / 3600.0
    wcs.wcs.set()
    return wcs


def sip_wcs(**keywords: Any) -> WCS:
    """A TAN-SIP WCS that bends by about a pixel towards the corners."""
    header = tan_wcs(**keywords).to_header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN-SIP", "DEC--TAN-SIP"
    header["A_ORDER"] = header["B_ORDER"] = 3
    header["A_2_0"], header["A_1_1"], header["B_0_2"] = 4e-5, -2e-5, 3e-5
    header["A_3_0"], header["B_1_2"] = 2e-9, -3e-9
    return WCS(header)


def tpv_wcs(**keywords: Any) -> WCS:
    """A TPV WCS with quadratic and cubic terms."""
    header = tan_wcs(**keywords).to_header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TPV", "DEC--TPV"
    header["PV1_1"], header["PV2_1"] = 1.001, 0.999
    header["PV1_4"], header["PV1_7"], header["PV2_5"] = 2e-3, 5e-2, -1e-3
    return WCS(header)


def zpn_wcs(**keywords: Any) -> WCS:
    """A ZPN WCS as of wide-field infrared cameras."""
    header = tan_wcs(**keywords).to_header()
    header["CTYPE1"], header["CTYPE2"] = "RA---ZPN", "DEC--ZPN"
    header["PV2_1"], header["PV2_3"] = 1.0, 42.0
    return WCS(header)


def pixels(shape: tuple[int, int] = SHAPE) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0 : shape[0] - 1 : 13j, 0 : shape[1] - 1 : 11j]
    return x, y


def image_of(wcs: Any, **keywords: Any) -> TargetImage:
    return TargetImage(np.ones(SHAPE), wcs=wcs, variance=1.0, **keywords)


# --- the projection ------------------------------------------------------------------------------


@given(
    ra0=st.floats(0, 360),
    dec0=st.floats(-89.9, 89.9),  # at a pole right ascension holds no position
    distance=st.floats(0, 5),
    angle=st.floats(0, 360),
)
def test_gnomonic_is_astropys_tan(ra0: float, dec0: float, distance: float, angle: float) -> None:
    there = SkyCoord(ra0, dec0, unit="deg").directional_offset_by(angle * u.deg, distance * u.deg)
    x, y = Gnomonic(ra0, dec0).project(sky_vectors(there))
    wcs = tan_wcs(ra0, dec0, scale=1.0, crpix=(1.0, 1.0))
    px, py = wcs.all_world2pix(there.ra.deg, there.dec.deg, 0)
    # Near a pole right ascension itself holds fewer digits.
    assert x == pytest.approx(-px, abs=1e-7)
    assert y == pytest.approx(py, abs=1e-7)


@given(
    ra0=st.floats(0, 360),
    dec0=st.floats(-90, 90),
    x=st.floats(-1e5, 1e5),
    y=st.floats(-1e5, 1e5),
)
def test_gnomonic_round_trip(ra0: float, dec0: float, x: float, y: float) -> None:
    plane = Gnomonic(ra0, dec0)
    back = plane.project(plane.unproject(x, y))
    np.testing.assert_allclose(back, (x, y), rtol=0, atol=2e-10)


def test_gnomonic_has_no_far_side() -> None:
    x, y = Gnomonic(10.0, 0.0).project(
        sky_vectors(SkyCoord([190.0, 101.0], [0.0, 0.0], unit="deg"))
    )
    assert np.isnan(x).all()
    assert np.isnan(y).all()


# --- images on the plane -------------------------------------------------------------------------


@pytest.mark.parametrize("make", [tan_wcs, sip_wcs, tpv_wcs, zpn_wcs])
@pytest.mark.parametrize("angle", [0.0, 37.0, 180.0, 271.5])
@pytest.mark.parametrize("parity", [1, -1])
@pytest.mark.parametrize("offset", [(0.0, 0.0), (0.4, -0.3)])
def test_any_wcs_lands_where_astropy_puts_it(
    make: Any, angle: float, parity: int, offset: tuple[float, float]
) -> None:
    reference = SkyCoord(187.3, 60.0, unit="deg")
    wcs = make(ra=187.3 + offset[0], dec=60.0 + offset[1], angle=angle, parity=parity)
    image = image_of(wcs, reference=reference)
    x, y = pixels()
    plane = image.pixel_to_plane(x, y)
    world = image.plane_to_world(*plane)
    ax, ay = wcs.all_world2pix(world.ra.deg, world.dec.deg, 0, tolerance=1e-9, maxiter=100)
    np.testing.assert_allclose([ax, ay], [x, y], rtol=0, atol=1e-5)
    np.testing.assert_allclose(image.plane_to_pixel(*plane), [x, y], rtol=0, atol=1e-6)
    np.testing.assert_allclose(image.world_to_pixel(world), [x, y], rtol=0, atol=1e-6)

    window = ((60, 140), (40, 120))
    local = image.local_map(101.3, 77.7, window)
    wx, wy = np.meshgrid(np.linspace(60, 139, 9), np.linspace(40, 119, 9))
    world = SkyCoord(*wcs.all_pix2world(wx, wy, 0), unit="deg")
    lx, ly = local.plane_to_pixel(*image.world_to_plane(world))
    error = np.hypot(lx - wx, ly - wy).max()
    assert error < REACH
    assert error <= local.error_px * 1.1 + 1e-7
    assert local.error_px <= local.affine_error_px + 1e-12


def test_local_map_is_exact_at_its_anchor_and_inverts() -> None:
    image = image_of(sip_wcs(angle=20.0))
    local = image.local_map(50.2, 120.9, ((0, 240), (0, 180)))
    np.testing.assert_array_equal(local.anchor_pixel, [50.2, 120.9])
    np.testing.assert_allclose(
        local.plane_to_pixel(*local.anchor_plane), [50.2, 120.9], rtol=0, atol=1e-12
    )
    np.testing.assert_allclose(
        local.anchor_plane, image.pixel_to_plane(50.2, 120.9), rtol=0, atol=1e-12
    )
    x, y = pixels()
    np.testing.assert_allclose(
        local.plane_to_pixel(*local.pixel_to_plane(x, y)), [x, y], rtol=0, atol=1e-9
    )
    assert local.affine_error_px > REACH  # the quadratic is needed here


def test_local_map_says_how_far_it_is_off() -> None:
    """The error that it reports is that of an independent, finer grid."""
    image = image_of(tpv_wcs(scale=20.0))
    local = image.local_map(120.0, 90.0)
    x, y = np.meshgrid(np.linspace(0, 239, 101), np.linspace(0, 179, 101))
    lx, ly = local.plane_to_pixel(*image.pixel_to_plane(x, y))
    error = np.hypot(lx - x, ly - y).max()
    assert error > REACH
    assert local.error_px == pytest.approx(error, rel=0.05)


def test_affine_images_get_no_quadratic() -> None:
    image = image_of(tan_wcs(angle=33.0, crpix=(120.0, 90.0)), reference=(187.3, 12.98))
    local = image.local_map(10.0, 20.0)
    np.testing.assert_array_equal(local.quadratic, 0.0)
    assert local.error_px < 1e-7
    np.testing.assert_allclose(local.jacobian, image.pixel_jacobian(10.0, 20.0), atol=1e-9)


def test_thin_and_distant_windows() -> None:
    image = image_of(sip_wcs())
    for window in (((5, 6), (7, 8)), ((0, 240), (9, 10)), ((230, 240), (170, 180))):
        local = image.local_map(6.0, 8.0, window)
        assert np.isfinite(local.jacobian).all()
        assert local.error_px < 0.5
        assert local.jacobian == pytest.approx(image.pixel_jacobian(6.0, 8.0), rel=2e-2, abs=2e-3)


@pytest.mark.parametrize("dec", [89.99, -89.99, 0.0])
@pytest.mark.parametrize("ra", [0.0, 359.9999])
def test_poles_and_the_wrap_of_right_ascension(ra: float, dec: float) -> None:
    image = image_of(tan_wcs(ra, dec, angle=11.0), reference=(ra, dec))
    x, y = pixels()
    plane = image.pixel_to_plane(x, y)
    distance = np.hypot(plane[0], plane[1])
    np.testing.assert_allclose(distance, 0.262 * np.hypot(x - 119.5, y - 89.5), atol=1e-7)
    np.testing.assert_allclose(image.plane_to_pixel(*plane), [x, y], rtol=0, atol=1e-6)


def test_orientation_and_scale() -> None:
    """East is +x and left, North is +y and up on a standard image; PA turns towards East."""
    image = image_of(tan_wcs())
    jacobian = image.pixel_jacobian(119.5, 89.5)
    np.testing.assert_allclose(jacobian, [[-0.262, 0.0], [0.0, 0.262]], atol=1e-7)
    assert image.pixelscale == pytest.approx(0.262, rel=1e-9)
    assert image.pixel_area(3.0, 4.0) == pytest.approx(0.262**2, rel=1e-5)
    assert image.pixel_area(*pixels()).shape == (13, 11)
    flat = TargetImage(np.ones(SHAPE), pixelscale=0.262, variance=1.0)
    np.testing.assert_allclose(
        flat.pixel_jacobian(119.5, 89.5), [[-0.262, 0.0], [0.0, 0.262]], atol=1e-12
    )
    north = image.plane_to_world(0.0, 100.0)
    assert image.reference is not None
    assert np.cos(image.reference.position_angle(north).rad) == pytest.approx(1.0, abs=1e-9)
    east = image.plane_to_world(100.0, 0.0)
    assert image.reference.position_angle(east).deg == pytest.approx(90.0, abs=1e-2)


@pytest.mark.parametrize(
    "frame",
    [
        ("RA---TAN", "DEC--TAN", "FK5"),
        ("RA---TAN", "DEC--TAN", "FK4"),
        ("GLON-TAN", "GLAT-TAN", ""),
    ],
)
def test_frames_other_than_icrs(frame: tuple[str, str, str]) -> None:
    wcs = tan_wcs(120.0, 30.0, angle=70.0, frame=frame)
    image = image_of(wcs)
    x, y = pixels()
    expected = wcs.pixel_to_world(x, y)
    found = image.pixel_to_world(x, y)
    assert expected.icrs.separation(found).arcsec.max() < 1e-6
    np.testing.assert_allclose(image.world_to_pixel(expected), [x, y], rtol=0, atol=1e-5)


def test_swapped_axes() -> None:
    """A header with declination first."""
    header = tan_wcs(angle=15.0).to_header()
    swapped = header.copy()
    for i, j in ((1, 2), (2, 1)):
        for card in ("CTYPE", "CRVAL", "CDELT", "CUNIT"):
            swapped[f"{card}{j}"] = header[f"{card}{i}"]
        for axis in (1, 2):
            swapped[f"PC{j}_{axis}"] = header.get(f"PC{i}_{axis}", float(i == axis))
    a, b = image_of(WCS(header)), image_of(WCS(swapped))
    x, y = pixels()
    assert a.pixel_to_world(x, y).separation(b.pixel_to_world(x, y)).arcsec.max() < 1e-8
    np.testing.assert_allclose(a.pixel_to_plane(x, y), b.pixel_to_plane(x, y), rtol=0, atol=1e-8)


def test_cube_wcs_is_reduced_to_the_sky() -> None:
    cube = WCS(naxis=3)
    cube.wcs.ctype = ["RA---TAN", "DEC--TAN", "WAVE"]
    cube.wcs.crval, cube.wcs.crpix = [10.0, 20.0, 5e-7], [50.0, 60.0, 1.0]
    cube.wcs.cdelt = [-1e-4, 1e-4, 1e-9]
    image = image_of(cube)
    np.testing.assert_allclose(
        image.world_to_pixel(SkyCoord(10.0, 20.0, unit="deg")), [49.0, 59.0], atol=1e-7
    )


class Tilted(BaseLowLevelWCS):
    """A bare APE 14 object without an inverse; radians, latitude first."""

    pixel_n_dim = world_n_dim = 2
    world_axis_physical_types = ("pos.eq.dec", "pos.eq.ra")
    world_axis_units = ("rad", "rad")
    world_axis_object_components = (("sky", 1, "lat"), ("sky", 0, "lon"))

    @property
    def world_axis_object_classes(self) -> dict[str, Any]:
        return {"sky": (SkyCoord, (), {"frame": ICRS(), "unit": (u.rad, u.rad)})}

    def pixel_to_world_values(self, x: Any, y: Any) -> Any:
        x, y = np.asarray(x, float), np.asarray(y, float)
        lat = 0.2 + 1e-6 * (0.8 * x + 0.6 * y + 1e-5 * x**2)
        lon = 1.0 + 1e-6 * (-0.6 * x + 0.8 * y) / np.cos(lat)
        return lat, lon

    def world_to_pixel_values(self, *world: Any) -> Any:
        raise NotImplementedError


def test_objects_that_only_go_forward() -> None:
    image = image_of(Tilted())
    assert image.pixelscale == pytest.approx(np.degrees(1e-6) * 3600.0, rel=1e-2)
    x, y = pixels()
    plane = image.pixel_to_plane(x, y)
    np.testing.assert_allclose(image.plane_to_pixel(*plane), [x, y], rtol=0, atol=1e-6)
    assert image.local_map(100.0, 100.0, ((80, 120), (80, 120))).error_px < REACH


def test_gwcs() -> None:
    gwcs = pytest.importorskip("gwcs")
    from astropy.modeling import models
    from gwcs import coordinate_frames as cf

    shift = models.Shift(-100.0) & models.Shift(-80.0)
    turn = models.AffineTransformation2D(np.array([[-0.8, 0.6], [0.6, 0.8]]) * 0.03 / 3600.0)
    sky = models.Pix2Sky_TAN() | models.RotateNative2Celestial(5.6, -72.0, 180.0)
    detector = cf.Frame2D(name="detector", unit=(u.pix, u.pix))
    icrs = cf.CelestialFrame(reference_frame=ICRS(), unit=(u.deg, u.deg), name="icrs")
    wcs = gwcs.WCS([(detector, shift | turn | sky), (icrs, None)])
    image = image_of(wcs)
    x, y = pixels()
    expected = wcs.pixel_to_world(x, y)
    assert expected.separation(image.pixel_to_world(x, y)).arcsec.max() < 1e-9
    np.testing.assert_allclose(image.world_to_pixel(expected), [x, y], rtol=0, atol=1e-6)
    assert image.pixelscale == pytest.approx(0.03, rel=1e-8)


def test_outside_a_bounding_box_is_no_place() -> None:
    gwcs = pytest.importorskip("gwcs")
    from astropy.modeling import models
    from gwcs import coordinate_frames as cf

    scale = models.Scale(-1e-4) & models.Scale(1e-4)
    sky = models.Pix2Sky_TAN() | models.RotateNative2Celestial(5.6, -72.0, 180.0)
    detector = cf.Frame2D(name="detector", unit=(u.pix, u.pix))
    icrs = cf.CelestialFrame(reference_frame=ICRS(), unit=(u.deg, u.deg), name="icrs")
    wcs = gwcs.WCS([(detector, scale | sky), (icrs, None)])
    wcs.bounding_box = ((-0.5, 239.5), (-0.5, 179.5))
    image = image_of(wcs)
    local = image.local_map(239.0, 179.0, ((200, 240), (150, 180)))
    assert local.error_px < 1e-6
    with pytest.raises(InvalidInput, match="x, y must be a pixel"):
        image.local_map(300.0, 20.0)


# --- crops, pickles, threads ----------------------------------------------------------------------


@pytest.mark.parametrize("make", [tan_wcs, sip_wcs, tpv_wcs])
def test_crops_keep_their_place(make: Any) -> None:
    image = image_of(make(angle=40.0))
    part = image.crop(((30, 90), (20, 75))).crop(np.s_[5:50, 10:40])
    assert part.shape == (45, 30)
    x, y = pixels(part.shape)
    np.testing.assert_allclose(
        part.pixel_to_plane(x, y), image.pixel_to_plane(x + 40, y + 25), rtol=0, atol=1e-9
    )
    world = part.wcs.pixel_to_world(x, y)
    assert world.separation(image.pixel_to_world(x + 40, y + 25)).arcsec.max() < 1e-6
    flat = TargetImage(np.ones(SHAPE), pixelscale=0.5, variance=1.0)
    cut = flat.crop(((30, 90), (20, 75)))
    np.testing.assert_allclose(cut.pixel_to_plane(0, 0), flat.pixel_to_plane(30, 20))


@pytest.mark.parametrize("make", [tan_wcs, sip_wcs, tpv_wcs, zpn_wcs])
def test_pickles_keep_the_wcs(make: Any) -> None:
    image = image_of(make())
    again = pickle.loads(pickle.dumps(image))
    x, y = pixels()
    np.testing.assert_allclose(
        again.pixel_to_plane(x, y), image.pixel_to_plane(x, y), rtol=0, atol=1e-8
    )


def test_an_image_owns_its_wcs() -> None:
    wcs = tan_wcs()
    image = image_of(wcs)
    before = image.pixel_to_plane(0.0, 0.0)
    wcs.wcs.crval = [0.0, 0.0]
    np.testing.assert_array_equal(image.pixel_to_plane(0.0, 0.0), before)


def test_many_threads_get_one_answer() -> None:
    image = image_of(sip_wcs())
    x, y = pixels()

    def work(_: int) -> np.ndarray:
        return np.array(image.plane_to_pixel(*image.pixel_to_plane(x, y)))

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(work, range(64)))
    for result in results[1:]:  # numpy's last digit may depend on an array's alignment
        np.testing.assert_allclose(result, results[0], rtol=0, atol=1e-8)


# --- what cannot be used --------------------------------------------------------------------------


def test_singular_matrices_are_refused() -> None:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.cd = [[1e-4, 1e-4], [1e-4, 1e-4]]
    with pytest.raises(InvalidInput, match="wcs must be"):
        image_of(wcs)
    nearly = WCS(naxis=2)
    nearly.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    nearly.wcs.cd = [[1e-4, 1e-4], [1e-4, 1e-4 * (1 + 1e-12)]]
    with pytest.raises(InvalidInput, match="wcs must be"):
        image_of(nearly)


def test_linear_plane() -> None:
    plane = LinearPlane(0.5, (10.0, 20.0))
    np.testing.assert_allclose(plane.pixel_to_plane(9.0, 21.0), [0.5, 0.5])
    np.testing.assert_allclose(plane.plane_to_pixel(0.5, 0.5), [9.0, 21.0])
    local = fit_local_map(plane, 3.0, 4.0, ((0, 9), (0, 9)))
    np.testing.assert_allclose(local.jacobian, [[-0.5, 0.0], [0.0, 0.5]], atol=1e-12)
    assert local.error_px < 1e-12
    assert repr(plane) == "LinearPlane(0.5, (10.0, 20.0))"


def test_sky_plane_repr_and_default_origin() -> None:
    plane = SkyPlane(tan_wcs(crpix=(1.0, 1.0)))
    assert "187.3" in repr(plane)
    np.testing.assert_allclose(plane.pixel_to_plane(0.0, 0.0), [0.0, 0.0], atol=1e-9)


# --- real headers ---------------------------------------------------------------------------------


def read_quietly(path: Path, **options: Any) -> TargetImage:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", JointlightWarning)  # of NaN
        return TargetImage.from_fits(path, variance=1.0, **options)


def test_awkward_headers_agree_with_published_positions(data_dir: Path) -> None:
    folder = data_dir / "awkward"
    items = json.loads((folder / "manifest.json").read_text())["files"]
    checked = 0
    for item in items:
        if "wcs_truth" not in item:
            continue
        image = read_quietly(folder / item["file"])
        for truth in item["wcs_truth"]:
            frame = wcs_to_celestial_frame(image.wcs)  # theirs, 23 mas from ICRS for some
            world = SkyCoord(truth["ra"], truth["dec"], unit=("hourangle", "deg"), frame=frame)
            x, y = image.world_to_pixel(world)
            expected = truth["x_1based"] - 1, truth["y_1based"] - 1
            assert np.hypot(x - expected[0], y - expected[1]) < REACH, item
            checked += 1
    assert checked >= 12


def test_blank_middles_still_get_a_reference(data_dir: Path) -> None:
    image = read_quietly(data_dir / "awkward" / "1904-66_ZPN.fits")
    assert image.reference is not None
    assert 300.0 < image.pixelscale < 500.0


def test_epochs_with_their_own_tpv(data_dir: Path) -> None:
    """Eight exposures of one galaxy agree on where it is once brought onto one astrometry."""
    folder = data_dir / "decam_grz_eight_epochs"
    manifest = json.loads((folder / "manifest.json").read_text())
    target = SkyCoord(manifest["ra"], manifest["dec"], unit="deg")
    for item in manifest["images"]:
        image = read_quietly(folder / item["file"], hdu=item["ext"], reference=target)
        x, y = image.plane_to_pixel(0.0, 0.0)
        np.testing.assert_allclose([x, y], item["target_xy_0based"], atol=0.6)
        assert image.pixelscale == pytest.approx(item["pixel_scale_arcsec"], rel=1e-2)
        assert image.local_map(float(x), float(y)).error_px < REACH
        assert np.sign(np.linalg.det(image.pixel_jacobian(x, y))) == item["cd_determinant_sign"]


def test_headers_without_ctype(data_dir: Path) -> None:
    path = data_dir / "j0056_galex_sdss_2mass" / "sdssr_cut.fits"
    with pytest.warns(JointlightWarning, match=r"no CTYPE.*0\.396"):
        image = TargetImage.from_fits(path, std_hdu=2, mask_hdu=1, pixelscale=0.396)
    assert not image.has_wcs
    with (
        pytest.warns(JointlightWarning, match="no CTYPE"),
        pytest.raises(InvalidInput, match="needs wcs= or pixelscale="),
    ):
        TargetImage.from_fits(path)
    image = TargetImage.from_fits(path, std_hdu=2, ctype="TAN")
    header = fits.getheader(path)
    position = SkyCoord(header["CRVAL1"], header["CRVAL2"], unit="deg")
    np.testing.assert_allclose(
        image.world_to_pixel(position),
        [header["CRPIX1"] - 1, header["CRPIX2"] - 1],
        atol=1e-7,
    )
