# SPDX-License-Identifier: BSD-3-Clause
"""The command line and job files."""

from __future__ import annotations

import importlib
import re
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from typer.testing import CliRunner

import jointlight as jl
from jointlight import demo
from jointlight.cli import app
from jointlight.io import JobError, read_job
from jointlight.io import job as job_files
from reference import small_problem

IMAGES = """
[[image]]
name = "a"
file = "a.fits"
zeropoint = 25.0
variance = 0.01
psf = { fwhm = 1.5 }

[[image]]
name = "b"
file = "b.fits"
std = "b.fits[STD]"
mask = "b.fits[MASK]"
zeropoint = 25.0
psf = { file = "psf.fits", oversampling = 1 }
"""
GALAXY = """
[[model]]
name = "galaxy"
type = "sersic galaxy"
per_image = ["Ie"]
[model.parameters]
center = [0.4, -0.3]
q = 0.6
PA = 30.0
n = { value = 1.8, limits = [0.5, 8.0] }
Re = 2.4
Ie = { a = 4.0, b = { value = 9.0, limits = [0.0, 100.0] } }
"""


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def job(tmp_path: Path) -> Any:
    """Files of two images, and a function that writes a job about them."""
    data = small_problem.noisy(small_problem.noiseless(), np.random.default_rng(8))
    for name in ("a", "b"):
        header = small_problem.wcs(name).to_header()
        primary = fits.PrimaryHDU(data[name].astype(">f4"), header=header)
        std = fits.ImageHDU(np.full(data[name].shape, small_problem.BANDS[name][2]), name="STD")
        mask = np.zeros(data[name].shape, dtype=np.int16)
        mask[0, :3] = 4
        parts = [primary, std, fits.ImageHDU(mask, name="MASK")]
        fits.HDUList(parts).writeto(tmp_path / f"{name}.fits")
    psf = jl.gaussian_psf(fwhm=2.4, pixelscale=0.9)
    fits.PrimaryHDU(np.array(psf.data)).writeto(tmp_path / "psf.fits")

    def write(*parts: str) -> Path:
        path = tmp_path / "job.toml"
        path.write_text("\n".join(textwrap.dedent(part) for part in parts))
        return path

    return write


def test_help_and_version() -> None:
    for command in ([], ["demo"], ["fit"], ["info"]):
        result = run(*command, "--help")
        assert result.exit_code == 0
    assert jl.__version__ in run("--version").output


def test_info() -> None:
    result = run("info")
    assert result.exit_code == 0
    for word in (jl.__version__, "isa", "compiler", "threads", "cuda"):
        assert word in result.output


# ---- demo -------------------------------------------------------------------------------


def test_demo(tmp_path: Path) -> None:
    result = run("demo", "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    for word in ("Re", "W1/Ie", "colour", "chi2/dof"):
        assert word in result.output
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"summary.png", "profile.png", "covariance.png", "sources.ecsv"} <= written
    assert len(QTable.read(tmp_path / "out" / "sources.ecsv")) == 1


def test_demo_finds_the_truth() -> None:
    outcome = demo.run(None)
    assert outcome.result.success
    assert np.abs(outcome.pulls).max() < 4
    assert 0.99 < outcome.result.reduced_chi2 < 1.01
    assert outcome.result.n_linearize <= 12
    assert outcome.files == ()


def test_demo_images_differ_in_their_sky() -> None:
    images = demo.make_images(noise=False)
    assert [image.shape for image in images] == [(500, 500), (52, 52), (90, 90)]
    assert [round(image.pixelscale, 3) for image in images] == [0.262, 2.75, 1.5]
    parity = [np.sign(np.linalg.det(image.wcs.pixel_scale_matrix)) for image in images]
    assert parity == [-1, -1, 1]
    again = demo.make_images(3)
    assert np.array_equal(again[0].data, demo.make_images(3)[0].data)
    assert not np.array_equal(again[0].data, demo.make_images(4)[0].data)


def test_demo_on_a_missing_device_says_why() -> None:
    if jl.backends()["cuda"].available:
        pytest.skip("CUDA is there")
    result = run("demo", "--backend", "cuda")
    assert result.exit_code == 1
    assert "not available" in result.output
    result = run("demo", "--device", "abacus")  # the other name of the option
    assert result.exit_code == 1
    assert "'abacus'" in result.output


# ---- jobs -------------------------------------------------------------------------------


def test_a_job_runs_and_writes(job: Any, tmp_path: Path) -> None:
    output = """
    [fit]
    initialize = false
    [output]
    dir = "out"
    asdf = "fit.asdf"
    fits = "fit.fits"
    table = "parameters.ecsv"
    sources = "sources.csv"
    summary = "fit.txt"
    figures = true
    """
    result = run("fit", str(job(IMAGES, GALAXY, output)))
    assert result.exit_code == 0, result.output
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {
        "fit.asdf", "fit.fits", "parameters.ecsv", "sources.csv", "fit.txt",
        "summary.png", "profile.png", "covariance.png",
    }  # fmt: skip
    fitted = jl.load(tmp_path / "out" / "fit.asdf")
    assert fitted.success
    assert fitted.images[1].mask.sum() == 3
    assert abs(fitted.sources["Re"][0].value - 2.4) < 5 * fitted.sources["Re_error"][0].value
    assert "Re" in result.output
    assert run("fit", "--quiet", str(tmp_path / "job.toml")).output == ""


def test_a_job_is_read_as_written(job: Any) -> None:
    extra = """
    [[model]]
    name = "bulge"
    type = "sersic"
    images = ["a"]
    window = [[2, 38], [3, 37]]
    amplitude = "flux"
    [model.parameters]
    center = { ra = 150.0, dec = 2.0 }
    PA = { prior = { mean = 45.0, sigma = 5.0 } }
    n = { value = 4.0, fixed = true }

    [[tie]]
    parameter = "bulge.Re"
    to = "galaxy.Re"
    scale = 0.5

    [[tie]]
    parameter = "galaxy.Ie[b]"
    to = "galaxy.Ie[a]"
    scale = 2.0
    """
    task = read_job(job('name = "both"', IMAGES, GALAXY, extra))
    model = task.model
    assert model.name == "both"
    assert [member.name for member in model.models] == ["galaxy", "bulge"]
    bulge = model["bulge"]
    assert bulge.window == ((2, 38), (3, 37))
    assert bulge.amplitude == "flux"
    assert bulge["n"].fixed
    assert bulge["PA"].prior == jl.Normal(45.0, 5.0)
    assert bulge["Re"].value == pytest.approx(1.2)
    assert model["galaxy"]["Ie"]["b"].value == pytest.approx(8.0)
    assert model["galaxy/n"].limits == (0.5, 8.0)
    # The sky position is on the plane of both images.
    x, y = model["bulge/center"].value
    assert np.hypot(x, y) < 1.0


def test_iter_in_a_job(job: Any) -> None:
    result = run("fit", str(job(IMAGES, GALAXY, '[fit]\nmethod = "iter"\ninitialize = false')))
    assert result.exit_code == 0, result.output


MISTAKES: list[tuple[str, str, str]] = [
    # what is wrong, replacement in a good job ("old -> new"), what the message must say
    ("top key", "[[model]] -> [[modle]]", "unknown key 'modle'. Did you mean 'model'"),
    ("image key", "zeropoint = 25.0 -> zeropiont = 25.0", "image 'a': unknown key 'zeropiont'"),
    ("no name", 'name = "a" -> ', "image 1: name is missing"),
    ("no file", 'file = "a.fits" -> file = "A.fits"', "Did you mean 'a.fits'"),
    ("kind", "zeropoint = 25.0 -> zeropoint = true", "zeropoint must be a number"),
    ("psf key", "fwhm = 1.5 -> fhwm = 1.5", "psf: unknown key 'fhwm'"),
    ("psf both", 'file = "psf.fits" -> fwhm = 1.0, file = "psf.fits"', "either fwhm"),
    ("psf none", "fwhm = 1.5 -> beta = 3.0", "either fwhm"),
    ("psf option", "fwhm = 1.5 -> fwhm = 1.5, hdu = 1", "hdu goes with file"),
    ("hdu", "[STD] -> [SDT]", "SDT"),
    ("hdu number", "[STD] -> [7]", "7"),
    ("twice", 'name = "b" -> name = "a"', "2 images are called 'a'"),
    ("variance", "variance = 0.01 -> variance = -0.01", "variance"),
    ("likelihood", "variance = 0.01 -> likelihood = 'poison'", "Did you mean 'poisson'"),
    ("type", "sersic galaxy -> sersik galaxy", "sersic"),
    ("image list", 'per_image = ["Ie"] -> images = [["a"]]', "images must be a list of names"),
    ("per_image list", '["Ie"] -> [["Ie"]]', "per_image must be a list of names"),
    ("table", "[fit] -> [output]\ntable = 'p.xyz'\n[fit]", "use one of .ecsv, .csv"),
    ("sources", "[fit] -> [output]\nsources = 'p'\n[fit]", "sources: cannot tell the format"),
    ("dir", "[fit] -> [output]\ndir = 'a.fits'\nfigures = true\n[fit]", "is a file, not a folder"),
    ("parent", "[fit] -> [output]\nasdf = 'a.fits/b/c.asdf'\n[fit]", "is a file, not a folder"),
    ("output dir", "[fit] -> [output]\nsummary = '.'\n[fit]", "is a folder"),
    ("images", 'per_image = ["Ie"] -> images = ["a", "c"]', "there is no image 'c'"),
    ("no images", 'per_image = ["Ie"] -> images = []', "at least one image"),
    ("per_image", '["Ie"] -> ["Iee"]', "Iee"),
    (
        "one image",
        'per_image = ["Ie"] -> images = ["a"]\nper_image = ["Ie"]',
        "more than one image",
    ),
    ("window", 'per_image = ["Ie"] -> window = [[0, 4], [0, 4]]', "one image"),
    ("window shape", 'per_image = ["Ie"] -> window = { a = [0, 4] }', "[[x0, x1], [y0, y1]]"),
    ("parameter", "Re = 2.4 -> Ree = 2.4", "Did you mean 'Re'"),
    ("parameter key", "limits = [0.5, 8.0] -> limit = [0.5, 8.0]", "Did you mean 'limits'"),
    ("limits", "[0.5, 8.0] -> [0.5]", "[lower, upper]"),
    ("outside", "value = 1.8, -> value = 9.0,", "limits"),
    ("text", 'Re = 2.4 -> Re = "big"', "Re: must be a number"),
    ("half a position", "[0.4, -0.3] -> { ra = 150.0 }", "ra and dec go together"),
    ("prior", "Re = 2.4 -> Re = { prior = { mean = 2.0 } }", "sigma is missing"),
    ("prior sigma", "Re = 2.4 -> Re = { prior = { mean = 2.0, sigma = -1.0 } }", "sigma"),
    ("fit key", "[fit] -> [fit]\nmax_itr = 3", "Did you mean 'max_iter'"),
    ("method", "[fit] -> [fit]\nmethod = 'lmm'", "Did you mean 'lm'"),
    ("figure", "[fit] -> [output]\nfigures = ['summry']\n[fit]", "Did you mean 'summary'"),
    ("tie end", "[fit] -> [[tie]]\nparameter = 'galaxy.q'\nto = 'galxy.n'\n[fit]", "'galaxy'"),
    ("tie part", "[fit] -> [[tie]]\nparameter = 'galaxy.q'\nto = 'galaxy.m'\n[fit]", "'m'"),
    ("tie image", "[fit] -> [[tie]]\nparameter = 'galaxy.q'\nto = 'galaxy.Ie'\n[fit]", "Ie[a]"),
    ("tie circle", "[fit] -> [[tie]]\nparameter = 'galaxy.q'\nto = 'galaxy.q'\n[fit]", "tie 1"),
    ("not TOML", "[fit] -> [fit", "not TOML"),
]


@pytest.mark.parametrize(
    ("edit", "message"), [pytest.param(e, m, id=name) for name, e, m in MISTAKES]
)
def test_mistakes_are_named(job: Any, edit: str, message: str) -> None:
    old, new = edit.split(" -> ")
    text = IMAGES + GALAXY + "\n[fit]\ninitialize = false\n"
    assert old in text
    path = job(text.replace(old, new, 1))
    with pytest.raises(JobError) as caught:
        read_job(path)
    assert message in str(caught.value)
    result = run("fit", str(path))
    assert result.exit_code == 1
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("ftol = -2", "ftol must be a finite number, 0 or more, not -2"),
        ("xtol = nan", "xtol must be a finite number"),
        ("time_limit = 0", "time_limit must be a positive number of seconds"),
        ("component_time_limit = -1", "component_time_limit must be a positive number of seconds"),
        ('method = "iter"\ncomponent_time_limit = 1', "no option 'component_time_limit'"),
        ("max_iter = -1", "max_iter must be a whole number"),
        ("n_threads = -1", "n_threads must be a whole number"),
        ('method = "iter"\nftol = 2', "ftol must be between 0 and 1"),
        ('method = "iter"\ngtol = -1.0', "gtol must be a finite number"),
        ('backend = "gpu"', "backend must be 'auto', 'cpu', 'cuda' or 'cuda:N'"),
        ('backend = "CUDA"', "not 'CUDA'. Did you mean 'cuda'?"),
        ('backend = "cuda:99"', "backend 'cuda:99' is not available"),
        ("backend = 1", "backend must be text ('auto', 'cpu', 'cuda' or 'cuda:N'"),
        ('device = "cuda"', "unknown key 'device'. Did you mean 'backend'?"),
        ("tolerance = 1e-3", "'tolerance'. It can be 'ftol', 'xtol' or 'gtol' (when to stop)"),
    ],
)
def test_bad_options_are_named_before_the_fit(job: Any, options: str, message: str) -> None:
    """With file and section, in one wording for all."""
    result = run("fit", str(job(IMAGES, GALAXY, f"[fit]\n{options}")))
    assert result.exit_code == 1
    told = " ".join(result.output.split())
    assert told.startswith("error: job.toml, [fit]: ")
    assert message in told


def test_a_bad_variable_is_not_the_jobs(job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JOINTLIGHT_BACKEND", "JOINTLIGHT_NUM_THREADS"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "gpu")
            result = run("fit", str(job(IMAGES, GALAXY, "[fit]\ninitialize = false")))
        assert result.exit_code == 1
        assert result.output.startswith(f"error: the environment variable {name}")


def test_every_key_of_fit_is_in_the_example() -> None:
    example = (job_files.__doc__ or "").partition("    [fit]\n")[2].partition("    [output]")[0]
    for key in job_files._FIT.keys:
        assert re.search(rf"^    {key} = ", example, re.MULTILINE), key


def test_iter_takes_all_tolerances(job: Any) -> None:
    text = '[fit]\nmethod = "iter"\ninitialize = false\nftol = 1e-6\nxtol = 1e-7\ngtol = 1e-5'
    result = run("fit", str(job(IMAGES, GALAXY, text)))
    assert result.exit_code == 0, result.output


def test_an_image_with_a_psf_is_read_once(job: Any, tmp_path: Path) -> None:
    path = job(IMAGES, GALAXY)
    with fits.open(tmp_path / "a.fits", mode="update") as hdus:
        hdus[0].data[3, 3] = np.nan
    with pytest.warns(jl.JointlightWarning, match="NaN") as caught:
        model = read_job(path).model
    assert len(caught) == 1
    first = model.images_modelled[0]
    assert first.psf is not None
    assert first.name == "a"
    assert first.zeropoint == 25.0
    assert first.mask[3, 3]


def test_info_names_a_bad_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOINTLIGHT_NUM_THREADS", "two")
    result = run("info")
    assert result.exit_code == 1
    assert "JOINTLIGHT_NUM_THREADS" in result.output
    monkeypatch.setenv("JOINTLIGHT_NUM_THREADS", "3")
    monkeypatch.setenv("JOINTLIGHT_BACKEND", "gpu")
    result = run("info")
    assert result.exit_code == 1
    assert "variable JOINTLIGHT_BACKEND must be" in " ".join(result.output.split())


def test_info_shows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("JOINTLIGHT_BACKEND", "JOINTLIGHT_NUM_THREADS")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    assert "JOINTLIGHT_" not in run("info").output.replace("JOINTLIGHT_CUDA", "")
    for name, value in zip(names, ("cpu", "3"), strict=True):
        monkeypatch.setenv(name, value)
    rows = [line.split() for line in run("info").output.splitlines()]
    assert ["JOINTLIGHT_BACKEND", "cpu"] in rows
    assert ["JOINTLIGHT_NUM_THREADS", "3"] in rows


def test_info_says_none(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = jl.backends()["cpu"]
    details: dict[str, Any] = {"devices": []}
    cuda = replace(nothing, name="cuda", available=False, reason="no driver", details=details)
    module = importlib.import_module("jointlight.backends")  # not the function of this name
    monkeypatch.setattr(module, "backends", lambda: {"cuda": cuda})
    assert ["devices", "none"] in [line.split() for line in run("info").output.splitlines()]


def test_no_job_file(tmp_path: Path) -> None:
    result = run("fit", str(tmp_path / "nothing.toml"))
    assert result.exit_code == 1
    assert "no job file" in result.output


def test_unknown_table_format(job: Any) -> None:
    text = '[fit]\ninitialize = false\n[output]\ntable = "parameters.xyz"'
    result = run("fit", str(job(IMAGES, GALAXY, text)))
    assert result.exit_code == 1
    assert "xyz" in result.output


def test_the_example_job_is_valid(repository: Path) -> None:
    # Its images are not in the repository: the first thing missed is the first of them.
    with pytest.raises(JobError, match=r"leda41136_r\.fits"):
        read_job(repository / "examples" / "leda41136.toml")
