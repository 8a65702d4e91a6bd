# SPDX-License-Identifier: BSD-3-Clause
"""Job files: a fit written down in TOML.

A job lists images, models, ties between parameters, options and outputs. Paths are relative to
the job file. Only ``[[image]]`` and ``[[model]]`` are required::

    name = "LEDA 41136"

    [[image]]
    name = "r"                    # used by the other tables and in the tables' column names
    file = "r.fits"
    hdu = 0                       # index or name; the first image by default
    zeropoint = 22.5
    variance = 6.4e-5             # or std, or weight: a number, or "file.fits", "file.fits[1]"
    mask = "mask.fits"            # non-zero = ignore
    pixelscale = 0.262            # arcsec; only without a WCS
    window = [[0, 500], [0, 500]] # half-open pixel ranges, x then y
    likelihood = "gaussian"       # or "poisson"
    time = 59000.25               # MJD or ISO date; by default from the file's header
    wavelength = 0.62             # micrometres
    calibration = { shift = { fixed = false, prior = { mean = 0.0, sigma = 0.1 } } }
    psf = { fwhm = 1.12 }         # Gaussian, arcsec; with beta = 3.5 a Moffat;
                                  # or { file = "psf.fits", hdu = 0, oversampling = 2,
                                  #      kind = "effective", center = "array" }

    [[model]]
    name = "galaxy"
    type = "sersic galaxy"
    images = ["r", "W1"]          # all by default
    per_image = ["Ie"]            # parameters with one value an image; the amplitude by default
    window = [[0, 500], [0, 500]] # pixels of its one image, or { r = [[...], [...]], ... }
    amplitude = "brightness"      # or "flux"
    psf_convolve = true
    wavelength_degree = { n = 1 } # polynomials in wavelength
    proper_motion = true          # or { value = [3.0, -5.0] }, mas / yr; parallax likewise, mas
    reference_epoch = 59000.0     # when the center holds
    [model.parameters]
    n = 2.5                       # a start value
    center = [0.0, 0.0]           # plane arcsec, or { ra = 187.31, dec = 12.98 }
    Re = { value = 10.0, limits = [1.0, 60.0] }
    q = { fixed = true, value = 0.6 }
    PA = { prior = { mean = 45.0, sigma = 5.0 } }
    Ie = { r = 0.3, W1 = { value = 10.0, limits = [0.0, 100.0] } }   # one an image

    [[tie]]                       # parameter = scale * to + offset
    parameter = "bulge.center"
    to = "disk.center"            # "galaxy.Ie[W1]" for one image's
    scale = 1.0
    offset = 0.0

    [fit]
    method = "lm"                 # or "iter"
    max_iter = 400
    ftol = 1e-9                   # when to stop: chi2; "iter": of a sweep over all members
    xtol = 1e-8                   # the step, in units of the errors
    gtol = 1e-6                   # the gradient, as a cosine
    initialize = true
    scale_covariance = false
    n_threads = 0                 # 0: all cores
    precision = "float64"         # or "mixed"
    backend = "auto"              # or "cpu", "cuda", "cuda:1"; "auto" is what the environment's
                                  # JOINTLIGHT_BACKEND says, else what is faster
    time_limit = 60.0             # seconds
    component_time_limit = 10.0   # the same for each group of sources that touch; "lm" only

    [output]
    dir = "results"
    asdf = "fit.asdf"
    fits = "fit.fits"
    table = "parameters.ecsv"     # ecsv, csv or fits by the suffix
    sources = "sources.ecsv"
    summary = "fit.txt"
    figures = ["summary", "profile", "covariance"]   # or true for all
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits

from jointlight.backends import ALLOWED
from jointlight.errors import InvalidInput, did_you_mean, option_hint
from jointlight.image import TargetImage, TargetImageList
from jointlight.io.schema import JobError, Key, Section, existing_file, unique_names
from jointlight.models import Group, Joint, Model, joint
from jointlight.parameters import Normal, Parameter
from jointlight.psf import PSF, gaussian_psf, moffat_psf

__all__ = ["FIGURES", "TABLE_FORMATS", "Job", "JobError", "read_job"]

FIGURES: Final = ("summary", "profile", "covariance", "target", "model", "residual")

# By suffix, as astropy calls them.
TABLE_FORMATS: Final = {
    ".ecsv": "ascii.ecsv",
    ".csv": "ascii.csv",
    ".fits": "fits",
    ".txt": "ascii.ecsv",
}

_NUMBER_OR_FILE = (float, str)
_TOP: Final = Section(
    name="job",
    keys={
        "name": Key(types=(str,), text="name of the model"),
        "image": Key(types=(list,), text="the images", required=True),
        "model": Key(types=(list,), text="the models", required=True),
        "tie": Key(types=(list,), text="ties between parameters"),
        "fit": Key(types=(dict,), text="options of the fit"),
        "output": Key(types=(dict,), text="what to write"),
    },
)
_IMAGE: Final = Section(
    name="image",
    keys={
        "name": Key(types=(str,), text="name of the image", required=True),
        "file": Key(types=(str,), text="a FITS file", required=True),
        "hdu": Key(types=(int, str), text="index or name of the HDU"),
        "zeropoint": Key(types=(float,), text="magnitude of unit flux"),
        "variance": Key(types=_NUMBER_OR_FILE, text="variance of a pixel, or a FITS file"),
        "std": Key(types=_NUMBER_OR_FILE, text="standard deviation, or a FITS file"),
        "weight": Key(types=_NUMBER_OR_FILE, text="1/variance, or a FITS file"),
        "mask": Key(types=(str,), text="a FITS file, non-zero = ignore"),
        "pixelscale": Key(types=(float,), text="arcsec per pixel"),
        "window": Key(types=(list,), text="[[x0, x1], [y0, y1]]"),
        "likelihood": Key(types=(str,), text="the likelihood", choices=("gaussian", "poisson")),
        "unit": Key(types=(str,), text="unit of a pixel's value"),
        "psf": Key(types=(dict, str), text="the PSF, or a FITS file"),
        "time": Key(types=(float, str), text="when it was taken, MJD or ISO date"),
        "wavelength": Key(types=(float,), text="wavelength in micrometres"),
        "calibration": Key(types=(dict,), text="corrections to WCS and zeropoint"),
    },
)
_PSF: Final = Section(
    name="psf",
    keys={
        "fwhm": Key(types=(float,), text="width in arcsec"),
        "beta": Key(types=(float,), text="exponent of a Moffat"),
        "file": Key(types=(str,), text="a FITS file"),
        "hdu": Key(types=(int, str), text="index or name of the HDU"),
        "oversampling": Key(types=(int,), text="samples per pixel"),
        "kind": Key(types=(str,), text="kind of PSF", choices=("effective", "optical")),
        "center": Key(types=(str, list), text="where its centre is"),
        "includes_pixel": Key(types=(bool,), text="the width contains the pixel's"),
    },
)
_MODEL: Final = Section(
    name="model",
    keys={
        "name": Key(types=(str,), text="name of the model", required=True),
        "type": Key(types=(str,), text="type of the model", required=True),
        "images": Key(types=(list,), text="names of its images"),
        "per_image": Key(types=(list,), text="parameters with one value an image"),
        "window": Key(types=(list, dict), text="[[x0, x1], [y0, y1]], or one an image by name"),
        "amplitude": Key(
            types=(str,), text="which amplitude is the parameter", choices=("brightness", "flux")
        ),
        "psf_convolve": Key(types=(bool,), text="draw it through the PSF"),
        "wavelength_degree": Key(types=(dict,), text="degrees of polynomials in wavelength"),
        "proper_motion": Key(types=(bool, dict), text="fit it, or its settings"),
        "parallax": Key(types=(bool, dict), text="fit it, or its settings"),
        "reference_epoch": Key(types=(float, str), text="when the center holds"),
        "parameters": Key(types=(dict,), text="start values and limits"),
    },
)
_PARAMETER: Final = Section(
    name="parameter",
    keys={
        "value": Key(types=(float, list), text="start value"),
        "limits": Key(types=(list,), text="[lower, upper]"),
        "fixed": Key(types=(bool,), text="hold at the value"),
        "prior": Key(types=(dict,), text="{ mean, sigma }"),
        "ra": Key(types=(float,), text="degrees"),
        "dec": Key(types=(float,), text="degrees"),
    },
)
_PRIOR: Final = Section(
    name="prior",
    keys={
        "mean": Key(types=(float, list), text="mean", required=True),
        "sigma": Key(types=(float, list), text="standard deviation", required=True),
    },
)
_TIE: Final = Section(
    name="tie",
    keys={
        "parameter": Key(types=(str,), text="model.parameter that follows", required=True),
        "to": Key(types=(str,), text="model.parameter that leads", required=True),
        "scale": Key(types=(float, list), text="factor"),
        "offset": Key(types=(float, list), text="added"),
    },
)
_FIT: Final = Section(
    name="fit",
    hint=option_hint,
    keys={
        "method": Key(types=(str,), text="the method", choices=("lm", "iter")),
        "max_iter": Key(types=(int,), text="most iterations"),
        "ftol": Key(types=(float,), text="tolerance on chi2"),
        "xtol": Key(types=(float,), text="tolerance on the step"),
        "gtol": Key(types=(float,), text="tolerance on the gradient"),
        "initialize": Key(types=(bool,), text="find start values from the data"),
        "scale_covariance": Key(types=(bool,), text="scale errors by the reduced chi2"),
        "n_threads": Key(types=(int,), text="threads, 0 for all cores"),
        "backend": Key(types=(str,), text=ALLOWED),
        "precision": Key(types=(str,), text="of derivatives", choices=("float64", "mixed")),
        "time_limit": Key(types=(float,), text="seconds"),
        "component_time_limit": Key(types=(float,), text="seconds for each group of sources"),
    },
)
_OUTPUT: Final = Section(
    name="output",
    keys={
        "dir": Key(types=(str,), text="folder"),
        "asdf": Key(types=(str,), text="file of the whole result"),
        "fits": Key(types=(str,), text="file of data, models and residuals"),
        "table": Key(types=(str,), text="file of the parameter table"),
        "sources": Key(types=(str,), text="file of the source table"),
        "summary": Key(types=(str,), text="file of the summary text"),
        "figures": Key(types=(bool, list), text="figures to draw"),
    },
)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job, read and built, ready to be fitted.

    Attributes
    ----------
    path : Path
        The job file.
    model : Model
        The model, start values set where the file gives them.
    fit : dict
        Options of the fit.
    output : dict
        What to write, paths resolved.
    """

    path: Path
    model: Model
    fit: Mapping[str, Any] = field(default_factory=dict)
    output: Mapping[str, Any] = field(default_factory=dict)


def read_job(path: str | Path) -> Job:
    """Read a job file and the images it names.

    Parameters
    ----------
    path : str or Path
        The TOML file; the module's text describes its format.

    Returns
    -------
    Job
        Ready to be fitted.

    Raises
    ------
    JobError
        If anything in it cannot be used; says where.
    """
    path = Path(path)
    if not path.is_file():
        raise JobError(f"there is no job file {path}")
    try:
        raw = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise JobError(f"{path.name}: not TOML: {error}") from error
    top = _TOP.check(raw, where=path.name)
    image_tables = _tables(top, "image", _IMAGE, path.name)
    model_tables = _tables(top, "model", _MODEL, path.name)
    tie_tables = _tables(top, "tie", _TIE, path.name)
    fit = _FIT.check(top.get("fit", {}), where=f"{path.name}, [fit]")
    output = _output(_OUTPUT.check(top.get("output", {}), where=f"{path.name}, [output]"), path)
    # Every table is checked before any file is read.
    for table in model_tables:
        known = [image["name"] for image in image_tables]
        _check_parameters(table, known, f"{path.name}, model {table['name']!r}")
    images = {
        table["name"]: _image(table, path.parent, f"{path.name}, image {table['name']!r}")
        for table in image_tables
    }
    target = TargetImageList(list(images.values())) if len(images) > 1 else None
    models = [
        _model(table, images, f"{path.name}, model {table['name']!r}") for table in model_tables
    ]
    if len(models) == 1 and set(_image_names(model_tables[0], images)) == set(images):
        model = models[0]
    else:
        whole: Any = target if target is not None else next(iter(images.values()))
        model = Group(name=top.get("name", path.stem), target=whole, models=models)
    for index, table in enumerate(tie_tables):
        _tie(table, models, f"{path.name}, tie {index + 1}")
    return Job(path=path, model=model, fit=fit, output=output)


def _tables(top: Mapping[str, Any], kind: str, section: Section, name: str) -> list[dict[str, Any]]:
    raw = top.get(kind, [])
    tables = []
    for index, table in enumerate(raw):
        label = table.get("name") if isinstance(table, Mapping) else None
        where = f"{name}, {kind} {label!r}" if label else f"{name}, {kind} {index + 1}"
        tables.append(section.check(table, where=where))
    if kind != "tie":
        if not tables:
            raise JobError(f"{name}: there is no [[{kind}]]")
        unique_names(tables, kind, where=name)
    return tables


def _output(output: dict[str, Any], path: Path) -> dict[str, Any]:
    folder = path.parent / Path(output.pop("dir", ".")).expanduser()
    figures = output.pop("figures", [])
    if isinstance(figures, bool):
        figures = list(FIGURES[:3]) if figures else []
    for figure in figures:
        if figure not in FIGURES:
            hint = did_you_mean(figure, FIGURES)
            raise JobError(f"{path.name}, [output]: figure {figure!r} is not known{hint}")
    files = {key: folder / name for key, name in output.items()}
    for key, file in files.items():
        _check_output(key, file, f"{path.name}, [output]")
    if figures:
        _check_folder(folder, f"{path.name}, [output]")
    return {"dir": folder, "figures": figures, **files}


def _check_output(key: str, file: Path, where: str) -> None:
    """Before the fit, which may take long, what would keep its result from being written."""
    if key in {"table", "sources"} and file.suffix not in TABLE_FORMATS:
        raise JobError(
            f"{where}: {key}: cannot tell the format of {file.name}: use one of "
            + ", ".join(TABLE_FORMATS)
        )
    if file.is_dir():
        raise JobError(f"{where}: {key}: {file} is a folder")
    _check_folder(file.parent, f"{where}: {key}")


def _check_folder(folder: Path, where: str) -> None:
    there = next((p for p in (folder, *folder.parents) if p.exists()), folder)
    if not there.is_dir():
        raise JobError(f"{where}: {there} is a file, not a folder")
    if not os.access(there, os.W_OK):
        raise JobError(f"{where}: cannot write to the folder {there}")


# ---- images -----------------------------------------------------------------------------


def _read_array(base: Path, name: str, where: str) -> np.ndarray[Any, np.dtype[Any]]:
    """Array of ``"file.fits"`` or ``"file.fits[hdu]"``."""
    match = re.fullmatch(r"(.*?)\[([^\[\]]+)\]", name)
    hdu: int | str | None = None
    if match:
        name, text = match.groups()
        hdu = int(text) if text.isdigit() else text
    file = existing_file(base, name, where=where)
    try:
        with fits.open(file) as hdus:
            if hdu is None:
                hdu = next((i for i, h in enumerate(hdus) if h.is_image and h.data is not None), 0)
            data = hdus[hdu].data
    except (KeyError, IndexError, OSError) as error:
        raise JobError(f"{where}: cannot read HDU {hdu!r} of {file}: {error}") from error
    if data is None or data.ndim != 2:
        raise JobError(f"{where}: HDU {hdu!r} of {file} does not hold a two-dimensional image")
    return np.asarray(data)


def _image(table: Mapping[str, Any], base: Path, where: str) -> TargetImage:
    options = {k: table[k] for k in ("zeropoint", "pixelscale", "likelihood", "unit", "hdu", "time",
                                     "wavelength") if k in table}  # fmt: skip
    if "calibration" in table:
        options["calibration"] = {
            name: _settings(value, (), f"{where}, calibration, {name}")
            for name, value in table["calibration"].items()
        }
    if "window" in table:
        options["window"] = _window(table["window"], where)
    for key in ("variance", "std", "weight", "mask"):
        if key in table:
            value = table[key]
            options[key] = _read_array(base, value, where) if isinstance(value, str) else value
    if "mask" in options:
        options["mask"] = options["mask"] != 0
    file = existing_file(base, table["file"], where=where)
    try:
        image = TargetImage.from_fits(file, name=table["name"], **options)
        if "psf" in table:
            psf = _psf(table["psf"], float(image.pixelscale), base, f"{where}, psf")
            image = image.copy(psf=psf, name=table["name"])
    except JobError:
        raise
    except (InvalidInput, OSError, KeyError, IndexError) as error:
        raise JobError(f"{where}: {error}") from error
    return image


def _psf(table: object, pixelscale: float, base: Path, where: str) -> PSF:
    if isinstance(table, str):
        table = {"file": table}
    psf = _PSF.check(table, where=where)
    if ("file" in psf) == ("fwhm" in psf):
        raise JobError(f"{where}: give either fwhm (arcsec) or file")
    options: dict[str, Any] = {k: psf[k] for k in ("oversampling", "kind") if k in psf}
    if "fwhm" in psf:
        for key in ("hdu", "center"):
            if key in psf:
                raise JobError(f"{where}: {key} goes with file, not with fwhm")
        if "includes_pixel" in psf:
            options["includes_pixel"] = psf["includes_pixel"]
        options |= {"fwhm": psf["fwhm"], "pixelscale": pixelscale}
        if "beta" in psf:
            return moffat_psf(beta=psf["beta"], **options)
        return gaussian_psf(**options)
    for key in ("beta", "includes_pixel"):
        if key in psf:
            raise JobError(f"{where}: {key} goes with fwhm, not with file")
    if "center" in psf:
        center = psf["center"]
        options["center"] = tuple(center) if isinstance(center, list) else center
    file = existing_file(base, psf["file"], where=where)
    return PSF.from_fits(file, psf.get("hdu"), **options)


def _window(value: object, where: str) -> tuple[tuple[int, int], tuple[int, int]]:
    array = np.asarray(value, dtype=object)
    whole = array.shape == (2, 2) and all(
        isinstance(v, int) and not isinstance(v, bool) for v in array.ravel()
    )
    if not whole:
        raise JobError(f"{where}: window must be [[x0, x1], [y0, y1]], whole numbers")
    (x0, x1), (y0, y1) = array.tolist()
    return (x0, x1), (y0, y1)


# ---- models -----------------------------------------------------------------------------


def _image_names(table: Mapping[str, Any], images: Mapping[str, TargetImage]) -> list[str]:
    names: list[str] = list(table.get("images", images))
    return names


def _model(table: Mapping[str, Any], images: Mapping[str, TargetImage], where: str) -> Model:
    names = _image_names(table, images)
    for key in ("images", "per_image"):
        for name in table.get(key, ()):
            if not isinstance(name, str):
                raise JobError(f"{where}: {key} must be a list of names, not {name!r}")
    for name in names:
        if name not in images:
            raise JobError(f"{where}: there is no image {name!r}{did_you_mean(name, images)}")
    if not names or len(set(names)) != len(names):
        raise JobError(f"{where}: images = {names!r} must name at least one image, each once")
    if table.get("per_image") and len(names) == 1:
        raise JobError(f"{where}: per_image needs more than one image")
    options: dict[str, Any] = {k: table[k] for k in ("name", "amplitude", "psf_convolve")
                               if k in table}  # fmt: skip
    window = table.get("window")
    if isinstance(window, dict):
        options["window"] = {k: _window(v, f"{where}, window") for k, v in window.items()}
    elif window is not None:
        if len(names) > 1:
            raise JobError(
                f"{where}: window counts the pixels of one image; with several images give a "
                "table by image name"
            )
        options["window"] = _window(window, where)
    options["parameters"] = {
        name: _settings(value, list(images), f"{where}, {name}")
        for name, value in table.get("parameters", {}).items()
    }
    over_images = _over_images(table, where)
    if over_images and len(names) == 1:
        raise JobError(f"{where}: {next(iter(over_images))} needs more than one image")
    try:
        if len(names) == 1:
            if isinstance(window, dict):
                options["window"] = options["window"].get(names[0])
            return Model(table["type"], target=images[names[0]], **options)
        if "per_image" in table:
            options["per_image"] = table["per_image"]
        target = TargetImageList([images[name] for name in names])
        return joint(table["type"], target=target, **over_images, **options)
    except JobError:
        raise
    except InvalidInput as error:
        raise JobError(f"{where}: {error}") from error


def _over_images(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Options of a joint model that depend on what its images are."""
    options: dict[str, Any] = {k: table[k] for k in ("wavelength_degree", "reference_epoch")
                               if k in table}  # fmt: skip
    for key in ("proper_motion", "parallax"):
        if key in table:
            value = table[key]
            given = value if isinstance(value, bool) else _settings(value, (), f"{where}, {key}")
            options[key] = given
    return options


def _check_parameters(table: Mapping[str, Any], names: Sequence[str], where: str) -> None:
    for name, value in table.get("parameters", {}).items():
        _settings(value, names, f"{where}, {name}")


def _settings(value: Any, names: Sequence[str], where: str) -> Any:
    """What a model takes for a parameter, from what the file gives."""
    if isinstance(value, bool | str):
        raise JobError(f"{where}: must be a number, a list or a table, not {value!r}")
    if not isinstance(value, dict):
        return value
    if value and set(value) <= set(names):
        return {image: _settings(one, (), f"{where}, {image}") for image, one in value.items()}
    checked = _PARAMETER.check(value, where=where)
    settings: dict[str, Any] = {k: checked[k] for k in ("value", "fixed") if k in checked}
    if ("ra" in checked) != ("dec" in checked):
        raise JobError(f"{where}: ra and dec go together")
    if "ra" in checked:
        settings["value"] = SkyCoord(checked["ra"], checked["dec"], unit="deg")
    if "limits" in checked:
        if len(checked["limits"]) != 2:
            raise JobError(f"{where}: limits must be [lower, upper], not {checked['limits']!r}")
        settings["limits"] = tuple(checked["limits"])
    if "prior" in checked:
        prior = _PRIOR.check(checked["prior"], where=f"{where}, prior")
        try:
            settings["prior"] = Normal(
                **{k: tuple(v) if isinstance(v, list) else v for k, v in prior.items()}
            )
        except InvalidInput as error:
            raise JobError(f"{where}: {error}") from error
    return settings


def _find(model: Model, key: str, where: str) -> Parameter:
    """Parameter ``"Re"`` of a model, or ``"Ie[W1]"`` of its component on one image."""
    match = re.fullmatch(r"(.*?)\[([^\[\]]+)\]", key)
    if match:
        name, image = match.groups()
        key = f"{image}/{name}" if isinstance(model, Joint) else name
    try:
        found = model[key]
    except InvalidInput as error:
        raise JobError(f"{where}: {error}") from error
    if not isinstance(found, Parameter):
        images = ", ".join(f"{key}[{leaf.target.name}]" for leaf in model.leaves())
        raise JobError(f"{where}: {key} has one value an image; write one of {images}")
    return found


def _tie(table: Mapping[str, Any], models: list[Model], where: str) -> None:
    ends = []
    for key in ("parameter", "to"):
        name, dot, parameter = table[key].rpartition(".")
        found = [model for model in models if model.name == name]
        if not dot or not found:
            hint = did_you_mean(name, [model.name for model in models])
            raise JobError(f"{where}: {key} = {table[key]!r} must be model.parameter{hint}")
        ends.append(_find(found[0], parameter, where))
    try:
        ends[0].tie(ends[1], **{k: table[k] for k in ("scale", "offset") if k in table})
    except InvalidInput as error:
        raise JobError(f"{where}: {error}") from error
