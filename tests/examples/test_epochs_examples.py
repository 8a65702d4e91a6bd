# SPDX-License-Identifier: BSD-3-Clause
"""Examples of many exposures, a transient, and two pixel scales, against independent numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from scipy import ndimage


def windowed_centroid(data, x, y, sigma):
    """Centroid under a round Gaussian that follows it; pixels from 0."""
    rows, columns = np.indices(data.shape)
    for _ in range(50):
        weight = data * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
        # Twice the step: a window as wide as the source shows half of an offset.
        step_x = 2 * (weight * (columns - x)).sum() / weight.sum()
        step_y = 2 * (weight * (rows - y)).sum() / weight.sum()
        x, y = x + step_x, y + step_y
        if abs(step_x) + abs(step_y) < 1e-6:
            return x, y
    raise AssertionError("the centroid did not settle")


def test_decam_grz_eight_epochs(run_example, tmp_path):
    module, comparison, folder = run_example("decam_grz_eight_epochs")
    values = comparison.values
    assert values["success"]
    assert values["n_pixels"] == 16687
    for way in ("survey's shifts", "free shifts"):
        assert all(spread <= 0.02 for spread in values["spread"][way].values())
        for name, (mag, _) in values["mag"][way].items():
            assert abs(mag - values["check_mag"][name]) <= 0.01, name
    check = values["check"]
    independent = check["with_astrometric_offsets"]
    for key, theirs in (("Re", "Re_arcsec"), ("n", "n"), ("q", "q")):
        assert values["shape"][key] == pytest.approx(independent[theirs], rel=0.04)
    np.testing.assert_allclose(
        values["star_apart"], independent["star_offset_from_reference_arcsec"], atol=0.01
    )
    chi2 = values["chi2"]
    fall = check["without_astrometric_offsets"]["chi2"] - independent["chi2"]
    assert chi2["as they come"] - chi2["survey's shifts"] == pytest.approx(fall, rel=0.1)
    # The survey's corrections come from stars. Light of another colour is refracted otherwise, by
    # hundredths of an arcsecond towards the zenith, which is no fault of the WCS: g differs from r
    # and z by that much, exposures of one band less.
    shifts = values["shifts"]
    apart = shifts["found"] - shifts["survey"]
    assert np.abs(apart).max() <= 0.04
    bands = np.array([name[0] for name in values["check_mag"]])
    for band in "grz":
        apart[bands == band] -= apart[bands == band].mean(axis=0)
    assert np.hypot(*apart.T).max() <= 0.03
    assert np.sqrt((apart**2).mean()) <= 0.5 * np.sqrt((shifts["survey"] ** 2).mean())

    # Where the galaxy is in each exposure without any model: its centroid less its PSF's.
    places = []
    for entry in json.loads((folder / "manifest.json").read_text())["images"]:
        with fits.open(folder / entry["file"]) as hdus:
            data = hdus[entry["ext"]].data.astype(float) - entry["sky_level"]
            wcs = WCS(hdus[entry["ext"]].header)
        psf = fits.getdata(folder / entry["psf_file"]).astype(float)
        middle = (psf.shape[0] - 1) / 2
        psf_x, psf_y = windowed_centroid(psf, middle, middle, sigma=3.0)
        x, y = windowed_centroid(data, *entry["target_xy_0based"], sigma=3.0)
        places.append(wcs.all_pix2world(x - psf_x + middle, y - psf_y + middle, 0))
    centre = np.mean(places, axis=0)
    seen = 3600 * (np.array(places) - centre) * (np.cos(np.radians(centre[1])), 1.0)
    fitted = -(shifts["found"] - shifts["found"].mean(axis=0))
    assert np.abs(seen - fitted).max() <= 0.008
    module.draw(comparison, tmp_path)
    assert (tmp_path / "decam_grz_eight_epochs.png").is_file()


def test_rubin_alert_transient(run_example, tmp_path):
    module, comparison, folder = run_example("rubin_alert_transient")
    values = comparison.values
    assert values["success"]
    check, (flux, error) = values["check"], values["held"]
    assert abs(flux - check["point_flux_nJy"]) <= 0.1 * check["error"]
    assert error == pytest.approx(check["error"], rel=0.05)
    alert, alert_error = values["alert"]
    assert abs(flux - alert) <= 2 * np.hypot(error, alert_error)
    assert abs(values["baseline"][0]) <= 2 * values["baseline"][1]
    np.testing.assert_allclose(values["xy"], check["point_xy_0based"], atol=0.03)
    assert values["host_flux"] == pytest.approx(check["host_flux_nJy"], rel=0.01)
    assert values["host_n"] == pytest.approx(check["host_n"], abs=0.02)
    assert values["host_Re_pix"] == pytest.approx(check["host_Re_pix"], rel=0.01)
    assert values["host_q"] == pytest.approx(check["host_q"], abs=0.01)
    for image, chi2 in values["chi2_per_pixel"].items():
        assert chi2 == pytest.approx(check["chi2_per_pixel"][image], abs=0.01), image

    # A PSF put on the difference image by hand, at the alert's position.
    with fits.open(folder / values["item"]["files"]["difference"]) as hdus:
        header, psf = hdus[0].header, hdus["PSFIMAGE"].data
        data, weight = hdus[0].data.astype(float), 1.0 / hdus["UNCERT"].data.astype(float)
    x, y = header["CRPIX1"] - 1, header["CRPIX2"] - 1  # CRVAL is the alert's position
    rows, columns = np.indices(data.shape)
    middle = (psf.shape[0] - 1) / 2
    star = ndimage.map_coordinates(psf, [rows - y + middle, columns - x + middle], order=5)
    by_hand = (weight * star * data).sum() / (weight * star**2).sum()
    assert values["difference"][0] == pytest.approx(by_hand, rel=0.01)
    assert values["difference"][1] == pytest.approx((weight * star**2).sum() ** -0.5, rel=0.01)
    module.draw(comparison, tmp_path)
    assert (tmp_path / "rubin_alert_transient.png").is_file()


def test_decam_unwise_1867p255(run_example):
    _, comparison, _ = run_example("decam_unwise_1867p255")
    values = comparison.values
    assert values["success"]
    assert values["n_labels"] >= 10
    assert "sersic galaxy" in values["types"].values()
    # Apertures know nothing of the PSF's core nor of the neighbours.
    assert len(values["apertures"]) >= 4
    for (name, band), (aperture, error) in values["apertures"].items():
        forced = values["flux"][name][band][0]
        assert abs(forced - aperture) <= 0.05 * aperture + 2 * error, (name, band)
    chi2 = values["chi2_per_pixel"]
    assert 0.9 < chi2["z"] < 1.1
    # A nominal Gaussian for a star of S/N 280; W4's stated errors are those of single frames.
    assert chi2["W1"] < 4
    assert chi2["W2"] < 1.5
    assert chi2["W3"] < 1.0
    assert chi2["W4"] < 0.5
    assert values["chi2"]["W1"] < values["chi2_forced_alone"]["W1"] - 200
    # W1 - W2 (Vega) of stars is nothing, and one point source is a quasar by its colour.
    (brightest,) = [n for n, f in values["flux"].items() if f.get("z", (0,))[0] > 1e5]
    star = {band: flux for band, (flux, _) in values["flux"][brightest].items()}
    assert abs(2.5 * np.log10(star["W2"] / star["W1"])) < 0.1
    ((quasar, colour),) = values["quasars"].items()
    assert colour == pytest.approx(1.1, abs=0.1)
    w3, error = values["flux"][quasar]["W3"]
    assert w3 > 5 * error
    for band in ("W1", "W2"):
        shift, errors = values["shifts"][band]
        assert np.hypot(*shift) < 0.2
        assert max(errors) < 0.05
