# SPDX-License-Identifier: BSD-3-Clause
"""The demonstration: one galaxy in three made-up images, fitted jointly.

The images imitate a ground-based r band, WISE W1 and GALEX NUV: different pixels, PSFs, noise,
zeropoints, sky positions, rotations, and one mirrored. They hold one Sersic galaxy, rendered by
jointlight itself, plus Gaussian noise from a fixed seed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from jointlight.backends import ready_backend
from jointlight.fit import LM
from jointlight.image import TargetImage, TargetImageList
from jointlight.models import joint
from jointlight.psf import gaussian_psf

if TYPE_CHECKING:
    from rich.console import Console

    from jointlight.models import Model
    from jointlight.result import FitResult

__all__ = ["BANDS", "TRUTH", "Band", "Demo", "make_images", "run"]


@dataclass(frozen=True, kw_only=True)
class Band:
    """What one of the demonstration's images is like.

    Attributes
    ----------
    name : str
        Name of the image.
    size : int
        Pixels on a side.
    pixelscale : float
        Arcsec per pixel.
    fwhm : float
        Width of the Gaussian PSF in arcsec.
    sigma : float
        Noise of a pixel.
    zeropoint : float
        Magnitude of unit flux.
    Ie : float
        The galaxy's surface brightness at Re, flux per arcsec^2.
    offset : tuple of float
        Sky position of the image's middle relative to the first image's, arcsec East and North.
    rotation : float
        Rotation on the sky in degrees.
    mirrored : bool
        East to the right.
    """

    name: str
    size: int
    pixelscale: float
    fwhm: float
    sigma: float
    zeropoint: float
    Ie: float
    offset: tuple[float, float] = (0.0, 0.0)
    rotation: float = 0.0
    mirrored: bool = False

    def wcs(self) -> WCS:
        """Gnomonic WCS of the image.

        Returns
        -------
        WCS
            With its own reference position, rotation and parity.
        """
        wcs = WCS(naxis=2)
        wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        middle = (self.size + 1) / 2.0
        wcs.wcs.crpix = [middle, middle]
        east, north = (value / 3600.0 for value in self.offset)
        dec = _CENTER[1] + north
        wcs.wcs.crval = [_CENTER[0] + east / math.cos(math.radians(dec)), dec]
        angle = math.radians(self.rotation)
        step = self.pixelscale / 3600.0
        flip = 1.0 if self.mirrored else -1.0
        cosine, sine = step * math.cos(angle), step * math.sin(angle)
        wcs.wcs.cd = [[flip * cosine, sine], [-flip * sine, cosine]]
        wcs.wcs.set()
        return wcs


_CENTER: Final = (187.3119, 12.9783)  # degrees

BANDS: Final[tuple[Band, ...]] = (
    Band(
        name="r", size=500, pixelscale=0.262, fwhm=1.12, sigma=0.008, zeropoint=22.5, Ie=0.35
    ),
    Band(
        name="W1", size=52, pixelscale=2.75, fwhm=6.1, sigma=4.9, zeropoint=25.199, Ie=11.0,
        offset=(1.9, -1.1), rotation=3.0,
    ),
    Band(
        name="NUV", size=90, pixelscale=1.5, fwhm=5.4, sigma=0.0007, zeropoint=20.08, Ie=3.2e-3,
        offset=(-2.3, 0.8), rotation=-12.0, mirrored=True,
    ),
)  # fmt: skip

TRUTH: Final[Mapping[str, Any]] = {
    "center": (0.35, -0.22),
    "q": 0.62,
    "PA": 57.0,
    "n": 1.5,
    "Re": 12.0,
    **{f"Ie_{band.name}": band.Ie for band in BANDS},
}

NAME: Final = "LEDA 41136"


@dataclass(frozen=True, kw_only=True)
class Demo:
    """What `run` hands back.

    Attributes
    ----------
    result : FitResult
        The fit.
    truth : ndarray
        True values of the free parameters, in the result's order.
    timing : dict of str to float
        Seconds by step.
    files : tuple of Path
        What was written.
    """

    result: FitResult
    truth: NDArray[np.float64]
    timing: Mapping[str, float]
    files: tuple[Path, ...]

    @property
    def pulls(self) -> NDArray[np.float64]:
        """(fit - truth) / error of the free parameters."""
        return np.asarray((self.result.values - self.truth) / self.result.errors)


def _image(band: Band, data: NDArray[np.float64]) -> TargetImage:
    return TargetImage(
        data, wcs=band.wcs(), variance=band.sigma**2, zeropoint=band.zeropoint, name=band.name,
        psf=gaussian_psf(fwhm=band.fwhm, pixelscale=band.pixelscale),
    )  # fmt: skip


def true_model(target: TargetImageList) -> Model:
    """The galaxy as it truly is.

    Parameters
    ----------
    target : TargetImageList
        The demonstration's images.

    Returns
    -------
    Model
        One Sersic over all images, its parameters at the truth.
    """
    model = joint("sersic galaxy", target=target, per_image=["Ie"], name=NAME)
    for name in ("center", "q", "PA", "n", "Re"):
        model[name].value = TRUTH[name]
    for leaf in model.leaves():
        leaf["Ie"].value = TRUTH[f"Ie_{leaf.target.name}"]
    return model


def make_images(seed: int = 41136, *, noise: bool = True) -> TargetImageList:
    """The three images.

    Parameters
    ----------
    seed : int, optional
        Seed of the noise.
    noise : bool, optional
        Add noise; without it the images are the model itself.

    Returns
    -------
    TargetImageList
        r (500 x 500), W1 (52 x 52) and NUV (90 x 90).
    """
    rng = np.random.default_rng(seed)
    empty = TargetImageList([_image(band, np.zeros((band.size, band.size))) for band in BANDS])
    model = true_model(empty)
    images = []
    for band, image in zip(BANDS, empty, strict=True):
        data = np.array(model.image(image), dtype=np.float64)
        if noise:
            data += rng.normal(0.0, band.sigma, data.shape)
        images.append(_image(band, data))
    return TargetImageList(images)


def run(
    out: str | Path | None = "jointlight-demo",
    *,
    backend: str = "cpu",
    seed: int = 41136,
    n_threads: int | None = None,
    console: Console | None = None,
) -> Demo:
    """Make the images, start from the data alone, fit, and write table and figures.

    Parameters
    ----------
    out : str or Path or None, optional
        Folder for figures and tables; None writes nothing.
    backend : str, optional
        What the fit is computed on: "cpu", "cuda", "cuda:N" or "auto", as `LM` takes it.
    seed : int, optional
        Seed of the noise.
    n_threads : int, optional
        Threads; all cores by default.
    console : rich.console.Console, optional
        Where to print the table; None prints nothing.

    Returns
    -------
    Demo
        Result, truth, timing and files.
    """
    ready_backend(backend)  # before any work
    timing: dict[str, float] = {}
    with _timed(timing, "make the images"):
        target = make_images(seed)
    with _timed(timing, "initialise"):
        model = joint("sersic galaxy", target=target, per_image=["Ie"], name=NAME)
        model.initialize()
    with _timed(timing, "fit"):
        result = LM(model, n_threads=n_threads, backend=backend).fit()
    truth = _truth_of(target, result)
    files: tuple[Path, ...] = ()
    if out is not None:
        with _timed(timing, "figures and files"):
            files = _write(Path(out), result)
    outcome = Demo(result=result, truth=truth, timing=timing, files=files)
    if console is not None:
        report(outcome, console)
    return outcome


def _truth_of(target: TargetImageList, result: FitResult) -> NDArray[np.float64]:
    """True values of the result's free parameters."""
    scene = true_model(target).compile(backend="cpu")
    truth = dict(zip(scene.names, scene.v0, strict=True))
    return np.array([truth[name] for name in result.parameter_names])


@contextmanager
def _timed(timing: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    timing[name] = time.perf_counter() - start


def _write(out: Path, result: FitResult) -> tuple[Path, ...]:
    from jointlight import plots

    out.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Callable[[], Any]] = {
        "summary.png": lambda: plots.fit_summary(result),
        "profile.png": lambda: _profiles(result),
        "covariance.png": lambda: plots.covariance(result),
    }
    files = []
    for name, make in figures.items():
        make().savefig(out / name, dpi=100)
        files.append(out / name)
    for name, table in (("parameters.ecsv", result.table), ("sources.ecsv", result.sources)):
        table.write(out / name, overwrite=True)
        files.append(out / name)
    return tuple(files)


def _profiles(result: FitResult) -> Any:
    from matplotlib.figure import Figure

    from jointlight import plots

    figure = Figure(figsize=(4.4 * len(result.images), 3.8), layout="constrained")
    for index, image in enumerate(result.images):
        panel = figure.add_subplot(1, len(result.images), index + 1)
        plots.radial_profile(panel, result.model, image)
    return figure


def report(demo: Demo, console: Console) -> None:
    """Print truth, fit and errors, and where the time went.

    Parameters
    ----------
    demo : Demo
        What `run` returned.
    console : rich.console.Console
        Where to print.
    """
    from rich.table import Table

    from jointlight.result.summary import format_value

    result = demo.result
    table = Table(title=f"{NAME}: one Sersic in {len(result.images)} images", title_justify="left")
    for name in ("parameter", "unit"):
        table.add_column(name)
    for name in ("truth", "fit", "error", "pull"):
        table.add_column(name, justify="right")
    for parameter, truth, value, error, pull in zip(
        result.parameters, demo.truth, result.values, result.errors, demo.pulls, strict=True
    ):
        shown = format_value(float(value), float(error))
        table.add_row(parameter.path, parameter.unit, f"{truth:.6g}", *shown, f"{pull:+.2f}")
    console.print(table)
    for first, second in (("NUV", "r"), ("r", "W1")):
        color, error = result.color(first, second, source=0)
        console.print(f"colour {first} - {second}: {float(color):.4f} ± {float(error):.4f} mag")
    console.print(
        f"chi2/dof = {result.chi2:.1f}/{result.dof} = {result.reduced_chi2:.4f}; {result.message}"
    )
    console.print(
        f"{result.n_linearize} evaluations with derivatives, {result.n_chi2} without; "
        + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in demo.timing.items())
    )
    if demo.files:
        console.print(
            f"written to {demo.files[0].parent}: " + ", ".join(f.name for f in demo.files)
        )
