# SPDX-License-Identifier: BSD-3-Clause
"""Times, wavelengths, calibration and motion in job files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

import jointlight as jl
from jointlight.io import JobError, read_job
from unit.model_cases import make_image

IMAGE = """
[[image]]
name = "{name}"
file = "{name}.fits"
variance = 1.0
psf = {{ fwhm = 1.2 }}
{extra}
"""
SHIFT = "calibration = { shift = { fixed = false, prior = { mean = 0.0, sigma = 0.1 } } }"


def job(folder: Path, model: str, extras: tuple[str, str]) -> Path:
    text = ""
    for name, extra in zip(("a", "b"), extras, strict=True):
        image = make_image(name)
        header = image.wcs.to_header()
        header["MJD-OBS"] = 59000.5
        fits.PrimaryHDU(image.data, header).writeto(folder / f"{name}.fits", overwrite=True)
        text += IMAGE.format(name=name, extra=extra)
    path = folder / "job.toml"
    path.write_text(f"{text}\n[[model]]\nname = 'star'\n{model}\n")
    return path


def test_images(tmp_path: Path) -> None:
    extras = ("wavelength = 0.62", f'time = "2021-05-31T12:00:00"\nwavelength = 2\n{SHIFT}')
    model = read_job(job(tmp_path, "type = 'point'", extras)).model
    a, b = model.images_modelled
    assert a.time.mjd == 59000.5
    assert b.time.mjd == pytest.approx(59365.5)
    assert [image.wavelength.value for image in (a, b)] == [0.62, 2.0]
    assert not a.calibration.in_use
    assert b.calibration["shift"].is_free
    assert b.calibration["shift"].prior == jl.Normal(0.0, 0.1)
    assert "image b/shift" in model.free_parameters


def test_models(tmp_path: Path) -> None:
    extras = ("time = 59000.0\nwavelength = 0.5", "time = 59400.0\nwavelength = 0.8")
    text = """type = 'sersic galaxy'
    wavelength_degree = { n = 1 }
    proper_motion = { value = [3.0, -5.0], fixed = true }
    parallax = true
    reference_epoch = 59100.0
    """
    model: Any = read_job(job(tmp_path, text, extras)).model
    np.testing.assert_array_equal(model["proper_motion"].value, [3.0, -5.0])
    assert model["proper_motion"].fixed
    assert model["parallax"].is_free
    assert model.reference_epoch.mjd == 59100.0
    assert dict(model.wavelength_degree) == {"n": 1}


@pytest.mark.parametrize(
    ("model", "extra", "words"),
    [
        ("type = 'point'", "time = true", ("time", "a number or text")),
        ("type = 'point'", 'time = "noon"', ("image 'a'", "time", "noon")),
        ("type = 'point'", "wavelength = -1.0", ("image 'a'", "wavelength")),
        ("type = 'point'", "calibration = { turn = 1.0 }", ("image 'a'", "turn")),
        ("type = 'point'", "calibration = { scale = true }", ("calibration, scale",)),
        ("type = 'point'\nparallax = 3.0", "", ("parallax", "true or false")),
        ("type = 'point'\nimages = ['a']\nparallax = true", "", ("parallax", "more than one")),
        ("type = 'sersic'\nwavelength_degree = {n = 1}", "", ("'a' has no wavelength",)),
    ],
)
def test_refused(tmp_path: Path, model: str, extra: str, words: tuple[str, ...]) -> None:
    with pytest.raises(JobError) as caught:
        read_job(job(tmp_path, model, (extra, "")))
    for word in words:
        assert word in str(caught.value)
