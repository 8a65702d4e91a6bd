# SPDX-License-Identifier: BSD-3-Clause
"""A blend resolved by HST (F814W, 0.03 arcsec pixels) and seen in five bands by HSC (0.168 arcsec).

Every source has one shape and one place in all six images, and a flux of its own in each; what
tells the sources apart comes from HST, what their colours are from Subaru's HSC. The five HSC
images share one free offset from HST's coordinates. The same sources fitted to HSC alone show what
HST brings: without it the fluxes of blended neighbours are traded freely for one another.

Noise is measured on empty sky. HST's neighbouring pixels are correlated by the resampling, which
is not accounted for: errors that hang on HST alone are too small by a factor of about two. No
zeropoints are recorded, so that fluxes are in image units.
"""

from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord
from shared import Comparison, command_line, pixels, rows, save_summary

import jointlight as jl

NAME = "hst_hsc_blend"
BANDS = "grizy"
# Found by eye: pixels (x, y) of the HST image.
SOURCES = {
    "A": ("sersic", (80, 117)),
    "A's tail": ("exponential", (50, 109)),
    "B": ("sersic", (117, 124)),
    "B's arc": ("exponential", (138, 117)),
    "C": ("sersic", (142, 152)),
    "D": ("sersic", (208, 140)),
}
EMPTY_ROWS = {"F814W": 80, "HSC": 15}  # counted from the bottom
HSC_WINDOW = ((0, 50), (0, 41))  # keeps out a galaxy at the upper edge, beyond HST's image


def noise(data: np.ndarray) -> float:
    """Standard deviation from the median absolute deviation."""
    return float(1.4826 * np.median(np.abs(data - np.median(data))))


def hst(folder: Path) -> jl.TargetImage:
    """The HST image."""
    file = folder / "Cut_HST.fits"
    return jl.TargetImage.from_fits(
        file,
        std=noise(pixels(file)[: EMPTY_ROWS["F814W"]]),
        psf=jl.PSF(pixels(folder / "PSF_HST.fits"), center="centroid"),
        name="F814W",
    )


def hsc(folder: Path) -> list[jl.TargetImage]:
    """The planes of the HSC cube, their offset from HST's coordinates free and common."""
    file = folder / "Cut_HSC.fits"
    images = []
    for plane, band in enumerate(BANDS):
        data = pixels(file)[plane]
        mask = np.zeros(data.shape, dtype=bool)
        mask[46] = band == "r"  # a dark row
        image = jl.TargetImage.from_fits(
            file,
            plane=plane,
            std=noise(data[: EMPTY_ROWS["HSC"]]),
            mask=mask,
            window=HSC_WINDOW,
            psf=jl.PSF(pixels(folder / "PSF_HSC.fits")[plane], center="centroid"),
            name=band,
        )
        if images:
            image.calibration["shift"].tie(images[0].calibration["shift"])
        else:
            image.calibration.free("shift")
        images.append(image)
    return images


def model_of(target: jl.TargetImageList, places: dict, names: list[str]) -> jl.Model:
    """Some of the sources and a sky in all images of a list."""
    models: list[jl.Model] = [
        jl.joint(
            f"{SOURCES[name][0]} galaxy", target=target, name=name, amplitude="flux",
            center=places[name],
        )
        for name in names
    ]  # fmt: skip
    models.append(jl.joint("flat sky", target=target, name="sky"))
    return jl.Model("group", target=target, models=models, name="blend")


def fit_both(folder: Path) -> jl.FitResult:
    """HST and HSC together."""
    sharp = hst(folder)
    target = jl.TargetImageList([sharp, *hsc(folder)])
    places = {name: sharp.pixel_to_world(*xy) for name, (_, xy) in SOURCES.items()}
    model = model_of(target, places, list(SOURCES))
    model.initialize()
    return model.fit(verbose=0)


def fit_ground(folder: Path, both: jl.FitResult) -> jl.FitResult:
    """HSC alone, from the joint fit's shapes and places."""
    images = hsc(folder)
    images[0].calibration["shift"].value = both.images[1].calibration["shift"].value
    images[0].calibration["shift"].fixed = True
    target = jl.TargetImageList(images)
    places = {row["name"]: SkyCoord(row["ra"], row["dec"]) for row in both.sources}
    model = model_of(target, places, list(SOURCES))
    for name, (profile, _) in SOURCES.items():
        for parameter in ("q", "PA", "Re", *(["n"] if profile == "sersic" else [])):
            model[name][parameter].value = both.model[name][parameter].value
        for band in BANDS:
            model[name]["flux"][band].value = both.model[name]["flux"][band].value
    for band in BANDS:
        model["sky"]["I0"][band].value = both.model["sky"]["I0"][band].value
    return model.fit(verbose=0)


def place_of_isolated(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Where D is in HSC relative to HST when each is fitted alone, with errors (arcsec)."""
    sharp, ground = hst(folder), hsc(folder)
    ground[0].calibration["shift"].fixed = True
    places = {"D": sharp.pixel_to_world(*SOURCES["D"][1])}
    both = jl.TargetImageList([sharp, *ground])  # one plane
    found, errors = [], []
    for images, window in (
        ([both[0]], ((175, 240), (105, 175))),
        (list(both)[1:], ((33, 47), (19, 36))),
    ):
        target = jl.TargetImageList(images)
        windows = {image.name: window for image in images}
        source = jl.joint(
            "sersic galaxy", target=target, name="D", amplitude="flux", center=places["D"],
            window=windows,
        )  # fmt: skip
        sky = jl.joint("flat sky", target=target, name="sky", window=windows)
        model = jl.Model("group", target=target, models=[source, sky], name="D alone")
        model.initialize()
        model.fit(verbose=0)
        found.append(np.asarray(source["center"].value))
        errors.append(np.asarray(source["center"].uncertainty))
    return found[1] - found[0], np.hypot(*errors)


def offset(shift: np.ndarray, error: np.ndarray) -> str:
    """An offset in mas."""
    pairs = zip(1e3 * shift, 1e3 * error, strict=True)
    return ", ".join(f"{value:+.1f} +- {one:.1f}" for value, one in pairs)


def compare(folder: Path) -> Comparison:
    """Deblended HSC fluxes with and without HST."""
    both = fit_both(folder)
    ground = fit_ground(folder, both)
    fluxes: dict[str, dict[str, dict[str, tuple[float, float]]]] = {}
    lines, like_i = [], {}
    for kind, result in (("both", both), ("ground", ground)):
        fluxes[kind] = {
            row["name"]: {
                b: (float(row[f"flux_{b}"]), float(row[f"flux_{b}_error"])) for b in BANDS
            }
            for row in result.sources
        }
    for name in SOURCES:
        cells: list = [name]
        for band in BANDS:
            cells += fluxes["both"][name][band]
        ratio = [fluxes["ground"][name][b][1] / fluxes["both"][name][b][1] for b in BANDS]
        sharp = both.model[name]["flux"]["F814W"].value
        like_i[name] = [sharp / fluxes[kind][name]["i"][0] for kind in ("both", "ground")]
        lines.append([*cells, float(np.median(ratio)), *like_i[name]])
    columns = ["source"]
    for band in BANDS:
        columns += [f"flux {band}", f"error {band}"]
    columns += ["errors without HST / with", "F814W / i", "F814W / i without"]
    shift = np.asarray(both.images[1].calibration["shift"].value)
    shift_error = np.asarray(both.images[1].calibration["shift"].uncertainty)
    isolated = place_of_isolated(folder)
    chi2 = {
        image.name: float(c / n)
        for image, c, n in zip(both.images, both.chi2_images, both.n_pixels_images, strict=True)
    }
    values = {
        "success": both.success,
        "chi2_per_pixel": chi2,
        "fluxes": fluxes,
        "F814W / i": like_i,
        "shift": shift,
        "shift_isolated": isolated,
    }
    notes = [
        "chi2 per pixel: " + ", ".join(f"{name} {c:.3f}" for name, c in chi2.items()),
        "F814W is much like i: where sources are told apart rightly, the two fluxes go together.",
        "HSC from HST (mas, East and North):",
        f"  all sources: {offset(shift, shift_error)}",
        f"  galaxy D fitted apart in each: {offset(*isolated)}",
        f"with HST: {both.message} {both.n_free} parameters, {both.time_s:.2f} s",
        f"without: {ground.message} {ground.time_s:.2f} s",
    ]
    title = "Fluxes in HSC's bands of sources told apart by HST"
    return Comparison(title, rows(columns, lines), values, {"both": both, "ground": ground}, notes)


def draw(comparison: Comparison, out: Path) -> None:
    """Fit summary, and the fluxes with and without HST."""
    import matplotlib.pyplot as plt

    save_summary(comparison.results["both"], out / "hst_hsc_blend.png")
    fluxes = comparison.values["fluxes"]
    fig, axes = plt.subplots(2, 3, figsize=(9, 5), sharex=True, layout="constrained")
    for ax, name in zip(axes.flat, SOURCES, strict=True):
        for kind, label, step in (("both", "HST + HSC", -0.08), ("ground", "HSC alone", 0.08)):
            values, errors = np.array([fluxes[kind][name][b] for b in BANDS]).T
            ax.errorbar(np.arange(len(BANDS)) + step, values, errors, fmt="o", ms=4, label=label)
        ax.set(title=name, xticks=range(len(BANDS)), xticklabels=list(BANDS))
        ax.axhline(0, color="0.7", lw=0.8)
    axes[0, 0].set_ylabel("flux")
    axes[1, 0].set_ylabel("flux")
    axes[0, 0].legend()
    fig.savefig(out / "hst_hsc_blend_fluxes.png", dpi=110)
    plt.close(fig)


if __name__ == "__main__":
    command_line(NAME, compare, draw, __doc__)
