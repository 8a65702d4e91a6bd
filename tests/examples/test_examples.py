# SPDX-License-Identifier: BSD-3-Clause
"""The real-data examples run and agree with the published numbers they are set beside."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_missing_data_is_said_clearly(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setenv("JOINTLIGHT_SHARED", str(tmp_path))
    shared = importlib.import_module("shared")
    with pytest.raises(SystemExit, match="JOINTLIGHT_SHARED"):
        shared.data_folder("ic3478_imfit")


def test_j0056_ten_bands(run_example, tmp_path):
    comparison = run_example("j0056_ten_bands")[1]
    values = comparison.values
    assert values["success"]
    check = dict(zip(comparison.table["band"], comparison.table["check"], strict=True))
    assert len(values["mag"]) == 10
    for band, mag in values["mag"].items():
        assert abs(mag - check[band]) <= 0.05, band
    assert all(0.2 < c < 2.5 for c in values["chi2_per_pixel"].values())
    sys.modules["j0056_ten_bands"].draw(comparison, tmp_path)
    assert len(list(tmp_path.glob("*.png"))) == 2


def test_ngc4261_five_bands(run_example):
    values = run_example("ngc4261_five_bands")[1].values
    assert values["success"]
    # GALFITM convolves pixels with the PSF image, and so did the independent check.
    ours, galfitm = values["answers"]["optical"], values["answers"]["GALFITM"]
    check = values["check"]
    # The manifest's expectation for a fit with this noise model, not GALFIT's own.
    assert abs(ours["Re_pix"] / galfitm["Re_pix"] - 1) <= 0.03
    assert abs(ours["n"] / galfitm["n"] - 1) <= 0.01
    assert abs(ours["q"] - galfitm["q"]) <= 0.01
    assert abs(ours["PA"] - galfitm["PA"]) <= 1.0
    for band in "ugriz":
        limit = 0.08 if band == "u" else 0.02
        assert abs(ours[f"mag_{band}"] - galfitm[f"mag_{band}"]) <= limit, band
        assert abs(ours[f"mag_{band}"] - check[f"mag_{band}"]) <= 0.01, band
    for kind, judged in values["galsim_chi2"].items():
        if judged is not None:  # GalSim: with this noise and this PSF kind our answer is the better
            assert judged[kind] <= judged["GALFITM"]
            assert judged[kind] == pytest.approx(values["chi2"][kind], rel=1e-4)


def test_ic3478_sersic(run_example):
    values = run_example("ic3478_sersic")[1].values
    assert values["success"]
    for ours, with_psf in (("no PSF", False), ("optical", True)):
        published = values["published"][with_psf]
        for key, (value, _) in values["fitted"][ours].items():
            assert abs(value - published[key]) <= published["errors"][key], (ours, key)
        assert values["chi2_nu"][ours] == pytest.approx(published["chi2_nu"], abs=1e-3)


def test_n3073_sersic_disc(run_example):
    values = run_example("n3073_sersic_disc")[1].values
    assert values["success"]
    for key, value in values["fitted"]["optical"].items():
        assert abs(value - values["published"][key]) <= 1.5 * values["errors"][key], key
    assert values["chi2"]["optical"] == pytest.approx(values["chi2_published"], rel=1e-3)


def test_goods_acs_galfit(run_example):
    values = run_example("goods_acs_galfit")[1].values
    assert values["success"]
    fitted = values["fitted"]
    for key, (value, error) in fitted["optical"].items():  # GALFIT's way with the PSF
        both = np.hypot(error, values["errors"][key])
        assert abs(value - values["published"][key]) <= both, key
    assert fitted["effective"]["n"][0] < fitted["optical"]["n"][0] - 0.3  # the pixel counted once
    for key, (value, error) in fitted["effective"].items():
        copies, copies_error = fitted["copies"][key]
        assert abs(copies - value) <= 0.02 * error, key
        assert copies_error == pytest.approx(error / np.sqrt(3), rel=0.01), key
    assert values["chi2"]["copies"] == pytest.approx(3 * values["chi2"]["effective"], rel=1e-6)
