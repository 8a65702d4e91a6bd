# SPDX-License-Identifier: BSD-3-Clause
"""Stars and galaxies seen by two cameras: 90prime (g, r) and Mosaic-3 (z).

The cameras lie at 180 degrees to each other on the sky, with pixels of 0.45 and 0.26 arcsec,
distorted (TPV) coordinates and tile-compressed files. Each camera is first fitted alone, to see
where its stars are relative to the other's; then all three images together, with one shape a source
and one flux an image. The images were taken in 2016, 2017 and 2018, and the brightest star moves:
its proper motion is a parameter of the fit.
"""

from pathlib import Path

import numpy as np
from astropy.io.fits import getheader
from astropy.wcs import WCS
from shared import Comparison, command_line, manifest, pixels, rows, save_summary

import jointlight as jl

NAME = "bass_mzls_1773p595"
YEAR = 365.25  # days
# Found by eye: pixels (x, y) of the r image. The last of the stars is seen in z only.
STARS = {"A": (52, 45), "B": (80, 80), "C": (72, 83.5), "D": (5, 53.5)}
GALAXIES = {
    "edge-on": ("sersic", (20, 57)),
    "diffuse": ("sersic", (40, 92)),
    "corner": ("exponential", (1, 13)),
    "faint 1": ("exponential", (77, 69)),
    "faint 2": ("exponential", (48, 10)),
}


def image(folder: Path, entry: dict, *, offsets: bool = True) -> jl.TargetImage:
    """One exposure, by default with the survey's correction of its astrometry."""
    file, hdu = folder / entry["file"], entry["ext"]
    wcs = WCS(getheader(file, hdu))
    if offsets:
        shift = entry["astrometric_offset_arcsec"]
        east = shift["ra"] / np.cos(np.radians(wcs.wcs.crval[1]))
        wcs.wcs.crval = wcs.wcs.crval + np.array([east, shift["dec"]]) / 3600
    return jl.TargetImage.from_fits(
        file,
        hdu,
        wcs=wcs,
        weight_hdu=(folder / entry["weight_file"], entry["weight_ext"]),
        mask_hdu=(folder / entry["mask_file"], entry["mask_ext"]),
        psf=pixels(folder / entry["psf_file"]),
        zeropoint=entry["zeropoint_ab"],
        time=entry["mjd"],
        name=entry["band"],
    )


def field(folder: Path, *, offsets: bool = True) -> dict[str, jl.TargetImage]:
    """The three images by band, on one plane."""
    entries = manifest(folder)["images"]
    images = jl.TargetImageList([image(folder, entry, offsets=offsets) for entry in entries])
    return {one.name: one for one in images}


def fit(images: dict[str, jl.TargetImage], bands: str, *, star_a: str = "rests") -> jl.FitResult:
    """All sources in some of the images.

    Star A rests, "moves" evenly, or has a place of its own "in each" image.
    """
    target = jl.TargetImageList([images[band] for band in bands])
    sky_position = images["r"].pixel_to_world
    models: list[jl.Model] = []
    for name, xy in STARS.items():
        is_a = name == "A"
        models.append(
            jl.joint(
                "point source", target=target, name=name, center=sky_position(*xy),
                per_image=["flux", "center"] if is_a and star_a == "in each" else ["flux"],
                proper_motion=is_a and star_a == "moves",
            )
        )  # fmt: skip
    for name, (profile, xy) in GALAXIES.items():
        models.append(
            jl.joint(
                f"{profile} galaxy", target=target, name=name, amplitude="flux",
                center=sky_position(*xy),
            )
        )  # fmt: skip
    models.append(jl.joint("flat sky", target=target, name="sky"))
    model = jl.Model("group", target=target, models=models, name=f"field in {bands}")
    model.initialize()
    return model.fit(verbose=0)


def separations(one: jl.FitResult, other: jl.FitResult) -> dict[str, tuple[float, float, float]]:
    """Where the stars are in one fit relative to another: East, North and error, arcsec."""
    found = {}
    places = [{row["name"]: row for row in result.sources} for result in (one, other)]
    for name in ("A", "B", "C"):
        a, b = (place[name] for place in places)
        north = (a["dec"] - b["dec"]).to_value("arcsec")
        east = (a["ra"] - b["ra"]).to_value("arcsec") * np.cos(a["dec"].to_value("rad"))
        error = np.hypot(a["x_error"].value, b["x_error"].value)
        found[name] = (float(east), float(north), float(error))
    return found


def motion(result: jl.FitResult, entries: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """Even motion through star A's places: East and North in mas a year, and the rest in mas."""
    years = np.array([entry["mjd"] for entry in entries]) / YEAR
    years -= years.mean()
    places = [result.model[f"A/{entry['band']}/center"].value for entry in entries]
    place = 1e3 * np.array(places)
    slope, start = np.polyfit(years, place, 1)
    return slope, place - (start + np.outer(years, slope))


def shown(parameter: jl.Parameter) -> str:
    """Two values with their errors."""
    pairs = zip(parameter.value, parameter.uncertainty, strict=True)
    return ", ".join(f"{value:+.1f} +-{error:.1f}" for value, error in pairs)


def turn(one: jl.TargetImage, other: jl.TargetImage) -> float:
    """Angle between the detectors' rows on the sky, degrees."""
    angles = []
    for image in (one, other):
        (x0, x1), (y0, y1) = image.pixel_to_plane(np.array([0.0, 1.0]), np.zeros(2))
        angles.append(np.degrees(np.arctan2(y1 - y0, x1 - x0)))
    return float((angles[1] - angles[0]) % 360)


def compare(folder: Path) -> Comparison:
    """Both cameras alone and together."""
    entries = manifest(folder)["images"]
    images = field(folder)
    alone = {bands: fit(images, bands) for bands in ("gr", "z")}
    together = fit(images, "grz", star_a="moves")
    rests, free = fit(images, "grz"), fit(images, "grz", star_a="in each")
    uncorrected = fit(field(folder, offsets=False), "grz", star_a="in each")
    apart = separations(alone["gr"], alone["z"])
    moved = together.model["A/proper_motion"]
    slope, rest = motion(free, entries)

    lines = []
    colours: dict[str, dict[str, tuple[float, float]]] = {}
    for row in together.sources:
        name = row["name"]
        colours[name] = {}
        cells = [name]
        for band in "grz":
            cells += [row[f"mag_{band}"].value, row[f"mag_{band}_error"].value]
        for blue, red in ("gr", "rz"):
            colour = together.color(blue, red, source=name)
            colours[name][f"{blue}-{red}"] = (float(colour.value), float(colour.error))
            cells += [float(colour.value), float(colour.error)]
        lines.append(cells)
    columns = ["source", "g", "g error", "r", "r error", "z", "z error"]
    columns += ["g-r", "g-r error", "r-z", "r-z error"]
    chi2_per_pixel = {
        image.name: float(chi2 / n)
        for image, chi2, n in zip(
            together.images, together.chi2_images, together.n_pixels_images, strict=True
        )
    }
    values = {
        "success": together.success and all(r.success for r in alone.values()),
        "separations": apart,
        "reduced_chi2": together.reduced_chi2,
        "chi2_per_pixel": chi2_per_pixel,
        "chi2": {"rests": rests.chi2, "moves": together.chi2, "in each": free.chi2},
        "chi2_uncorrected": uncorrected.chi2,
        "colours": colours,
        "proper_motion": np.asarray(moved.value),
        "proper_motion_error": np.asarray(moved.uncertainty),
        "proper_motion_in_each": slope,
        "motion_rest": rest,
        "turn": turn(images["r"], images["z"]),
    }
    notes = ["Stars of 90prime from those of Mosaic-3, fitted apart (mas, East and North):"]
    for name, (east, north, error) in apart.items():
        notes.append(f"  {name}: {1e3 * east:+.1f}, {1e3 * north:+.1f} (each +-{1e3 * error:.1f})")
    notes += [
        f"Proper motion of star A (mas a year, East and North): {shown(moved)}",
        f"  It lowers chi2 by {rests.chi2 - together.chi2:.0f}.",
        f"  Places in single images lie within {np.abs(rest).max():.0f} mas of an even motion.",
        f"The survey's offsets lower the joint chi2 by {uncorrected.chi2 - free.chi2:.0f}.",
        "chi2 per pixel: " + ", ".join(f"{b} {c:.3f}" for b, c in chi2_per_pixel.items()),
        f"{together.message} {together.n_free} parameters, {together.time_s:.2f} s",
    ]
    title = "Two cameras, three bands: AB magnitudes and colours of the joint fit"
    return Comparison(title, rows(columns, lines), values, {"": together}, notes)


def draw(comparison: Comparison, out: Path) -> None:
    """Data, model, residual."""
    save_summary(comparison.results[""], out / "bass_mzls_two_instruments.png")


if __name__ == "__main__":
    command_line(NAME, compare, draw, __doc__)
