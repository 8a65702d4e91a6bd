# SPDX-License-Identifier: BSD-3-Clause
"""Examples of blends and crowded fields on real images, against figures of other making."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from astropy.io import fits


def aperture_sum(data: np.ndarray, x: float, y: float, radius: float) -> float:
    """Counts in a circle of pixels above the median of a ring about it."""
    rows, columns = np.indices(data.shape)
    distance = np.hypot(columns - x, rows - y)
    ring = (distance > 1.4 * radius) & (distance < 2.0 * radius)
    return float(np.sum(data[distance < radius] - np.median(data[ring])))


@pytest.mark.slow
def test_bass_mzls_two_instruments(run_example, tmp_path):
    module, comparison, folder = run_example("bass_mzls_two_instruments")
    values = comparison.values
    assert values["success"]
    assert values["turn"] == pytest.approx(180.0, abs=2.0)
    for star, (east, north, _) in values["separations"].items():
        assert np.hypot(east, north) < 0.08, star
    assert 0.9 < values["reduced_chi2"] < 1.1
    assert all(0.85 < c < 1.1 for c in values["chi2_per_pixel"].values())
    # The survey measured its offsets on stars of the whole exposures.
    assert values["chi2_uncorrected"] - values["chi2"]["in each"] > 100
    # The motion as a parameter, and as a line through the places in single images.
    assert np.abs(values["motion_rest"]).max() < 15
    assert np.abs(values["proper_motion"] - values["proper_motion_in_each"]).max() < 3
    assert np.all(np.abs(values["proper_motion"]) > 10 * values["proper_motion_error"])
    assert values["chi2"]["rests"] - values["chi2"]["moves"] > 1000
    assert 0 <= values["chi2"]["moves"] - values["chi2"]["in each"] < 300
    check = module.manifest(folder)["independent_check"]["radec"]
    result = comparison.results[""]
    colours = values["colours"]["A"]
    for entry in module.manifest(folder)["images"]:
        band, image = entry["band"], result.model["A"][entry["band"]].target
        x, y = image.plane_to_pixel(*result.model[f"A/{band}/center"].value)
        # The check is the light's centroid, in coordinates that were not corrected.
        psf = fits.getdata(folder / entry["psf_file"]).astype(float)
        rows, columns = np.indices(psf.shape) - (psf.shape[0] - 1) / 2
        aside = np.array([np.sum(psf * columns), np.sum(psf * rows)]) / psf.sum()
        place = image.pixel_to_world(float(x) + aside[0], float(y) + aside[1])
        ra, dec = check[band]
        offset = entry["astrometric_offset_arcsec"]
        east = (place.ra.deg - ra) * np.cos(np.radians(dec)) * 3600 - offset["ra"]
        north = (place.dec.deg - dec) * 3600 - offset["dec"]
        assert np.hypot(east, north) < 0.05, band
        # The star's flux by counting pixels; the survey's PSF models are good to 2 per cent.
        counted = aperture_sum(image.data, float(x), float(y), 5.0 / entry["pixel_scale_arcsec"])
        assert result.model[f"A/{band}/flux"].value == pytest.approx(counted, rel=0.03), band
    assert colours["g-r"][0] == pytest.approx(0.467, abs=0.03)
    for name, pairs in values["colours"].items():
        for colour, (value, error) in pairs.items():
            assert np.isfinite(value), (name, colour)
            assert 0 < error < 1, (name, colour)
    module.draw(comparison, tmp_path)
    assert len(list(tmp_path.glob("*.png"))) == 1


def drawn_by_galsim(galsim: Any, source: Any, image: Any, shift: np.ndarray) -> np.ndarray:
    """A galaxy of unit flux through an image's PSF; North is up and East left."""
    params = galsim.GSParams(folding_threshold=2e-3, maximum_fft_size=16384, kvalue_accuracy=1e-5)
    samples = np.ascontiguousarray(image.psf.data)
    psf = galsim.InterpolatedImage(
        galsim.Image(samples, scale=1.0),
        x_interpolant=galsim.Lanczos(15, conserve_dc=True),
        offset=np.array(image.psf.center) - (np.array(samples.shape[::-1]) - 1) / 2,
        flux=1.0,
        gsparams=params,
    )
    values = {name: source[name].value for name in ("Re", "q", "PA", "center")}
    n = float(source["n"].value) if "n" in source.components[0].parameters else 1.0
    half_light = float(values["Re"]) * np.sqrt(float(values["q"])) / image.pixelscale
    galaxy = galsim.Sersic(n=n, half_light_radius=half_light, gsparams=params)
    galaxy = galaxy.shear(q=float(values["q"]), beta=(90.0 + float(values["PA"])) * galsim.degrees)
    x, y = image.plane_to_pixel(*(np.asarray(values["center"]) + shift))
    height, width = image.shape
    drawn = galsim.Convolve([galaxy, psf], gsparams=params).drawImage(
        nx=width,
        ny=height,
        scale=1.0,
        method="no_pixel",
        offset=(float(x) - (width - 1) / 2, float(y) - (height - 1) / 2),
        dtype=float,
    )
    return np.array(drawn.array)


@pytest.mark.slow
def test_hst_hsc_fluxes_are_those_of_galsim(run_example):
    galsim = pytest.importorskip("galsim")
    module, comparison, _ = run_example("hst_hsc_blend")
    result = comparison.results["both"]
    for image in result.images:
        if image.name not in ("F814W", "g", "i"):
            continue
        shift = np.zeros(2) if image.name == "F814W" else comparison.values["shift"]
        shapes = [drawn_by_galsim(galsim, result.model[s], image, shift) for s in module.SOURCES]
        design = np.stack([*shapes, np.ones(image.shape)], axis=-1)[image.weight > 0]
        root = np.sqrt(image.weight[image.weight > 0])
        data = image.data[image.weight > 0]
        fluxes, chi2 = np.linalg.lstsq(design * root[:, None], data * root, rcond=None)[:2]
        ours = np.array([result.model[s]["flux"][image.name].value for s in module.SOURCES])
        errors = np.array([result.model[s]["flux"][image.name].uncertainty for s in module.SOURCES])
        print(image.name, chi2, result.chi2_by_image[image.name], (fluxes[:-1] - ours) / errors)
        assert float(chi2[0]) == pytest.approx(result.chi2_by_image[image.name], rel=1e-3)
        assert np.all(np.abs(fluxes[:-1] - ours) < 0.3 * errors), image.name


@pytest.mark.slow
def test_hst_hsc_blend(run_example, tmp_path):
    module, comparison, folder = run_example("hst_hsc_blend")
    values = comparison.values
    assert values["success"]
    assert all(0.8 < c < 1.4 for c in values["chi2_per_pixel"].values())
    # F814W and i see nearly the same light: told apart rightly, all sources have one ratio.
    both, ground = np.array(list(values["F814W / i"].values())).T
    assert both.max() / both.min() < 1.25
    assert ground.max() / ground.min() > 1.4
    # One galaxy that stands alone says how the coordinates of the telescopes differ.
    apart, _ = values["shift_isolated"]
    assert np.hypot(*(values["shift"] - apart)) < 0.025
    fluxes = values["fluxes"]["both"]
    cube = fits.getdata(folder / "Cut_HSC.fits").astype(float)
    image = comparison.results["both"].images[1]
    place = np.asarray(comparison.results["both"].model["D"]["center"].value) + values["shift"]
    x, y = image.plane_to_pixel(*place)
    rows, columns = np.indices(cube[0].shape)
    circle = np.hypot(columns - x, rows - y) < 6.0
    psf_rows, psf_columns = np.indices((31, 31)) - 15
    psf_circle = np.hypot(psf_columns, psf_rows) < 6.0
    psfs = fits.getdata(folder / "PSF_HSC.fits")
    for plane, band in enumerate(module.BANDS):
        # The galaxy alone, counted above empty sky; what a circle leaves out is from the PSF.
        held = psfs[plane][psf_circle].sum() / psfs[plane].sum()
        counted = np.sum(cube[plane][circle] - np.median(cube[plane][:15])) / held
        assert fluxes["D"][band][0] == pytest.approx(counted, rel=0.08), band
        assert fluxes["D"][band][1] < values["fluxes"]["ground"]["D"][band][1]
    reddest = {name: flux["y"][0] / flux["g"][0] for name, flux in fluxes.items()}
    assert max(reddest, key=reddest.get) == "A"
    assert reddest["A"] > 4 * reddest["C"]
    module.draw(comparison, tmp_path)
    assert len(list(tmp_path.glob("*.png"))) == 2


@pytest.mark.slow
def test_hsc_cosmos_grizy(run_example, tmp_path):
    module, comparison, folder = run_example("hsc_cosmos_grizy")
    values = comparison.values
    assert values["success"]
    assert values["reduced_chi2"] < 1.6
    assert all(0.9 < c < 1.4 for c in values["chi2_outside_ring"].values())
    for name, (x, y) in values["peaks"].items():
        place = values["places"][name]
        assert np.hypot(place[0] - x, place[1] - y) < 1.0, name
        assert values["status"][name].startswith("converged"), name
    # Sum of all light, and of the star's core against its own PSF image.
    result = comparison.results[""]
    for image in result.images:
        sky = result.model["sky"][image.name]["I0"].value * image.pixelscale**2
        seen = np.sum(image.data - sky)
        drawn = np.sum(result.model.image(image) - sky)
        scatter = np.sqrt(np.sum(1 / image.weight))
        assert abs(seen - drawn) < 5 * scatter + 0.02 * seen, image.name
        core = (slice(32, 35), slice(13, 16))
        psf = fits.getdata(folder / "hsc_cosmos_35.fits", f"PSF_{image.name.upper()}")
        psf_core = psf[20:23, 20:23].sum() / psf.sum()
        counted = -2.5 * np.log10((image.data[core].sum() - 9 * sky) / psf_core) + 27.0
        assert values["mags"]["1"][image.name] == pytest.approx(counted, abs=0.05), image.name
    module.draw(comparison, tmp_path)
    assert len(list(tmp_path.glob("*.png"))) == 1


@pytest.mark.slow
def test_jwst_two_epochs(run_example, tmp_path):
    pytest.importorskip("sep")
    module, comparison, _ = run_example("jwst_a2744_two_epochs")
    values = comparison.values
    assert values["success"]
    assert values["n_sources"] >= 20
    assert all(0.8 < c < 1.6 for c in values["chi2_per_pixel"].values())
    assert abs(values["offset"]) < 0.05
    assert 1.5 < values["correlation"] < 4
    bright = {name: one for name, one in values["galaxies"].items() if one["mag"] < 25}
    assert len(bright) >= 10
    for name, one in bright.items():
        # What differs between the epochs differs in apertures on the images too.
        allowed = 3 * one["error"] + 0.02
        assert abs(one["difference"] - one["aperture"]) < allowed, name
    deviations = [abs(one["difference"] - values["offset"]) for one in bright.values()]
    assert np.median(deviations) < 0.04
    assert np.median(values["pulls"]) < 2.0
    module.draw(comparison, tmp_path)
    assert len(list(tmp_path.glob("*.png"))) == 1
