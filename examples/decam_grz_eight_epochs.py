# SPDX-License-Identifier: BSD-3-Clause
"""A galaxy and a faint star in eight DECam exposures: g, r and z, each with its own WCS.

Eight exposures of 2014 to 2018, three g, two r, three z, keep their own TPV distortion, PSF, noise
and zeropoint; one Sersic shape and two positions are shared by all, and every exposure has its own
fluxes, so that their scatter within a band tells how well the photometry holds. The exposures'
astrometry differs by up to a tenth of an arcsecond. Three fits: with the WCS as they come, with the
survey's corrections to Gaia, and with a free shift for every exposure, whose answer is set beside
those corrections.
"""

from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io.fits import getheader
from shared import Comparison, command_line, manifest, pixels, rows

import jointlight as jl

NAME = "decam_grz_eight_epochs"
PRIOR = 0.1  # arcsec, of a shift: what the survey's corrections scatter by, and more
WAYS = ("as they come", "survey's shifts", "free shifts")


def images(folder: Path, *, corrected: bool) -> list[jl.TargetImage]:
    """The exposures less their sky; a free one is degenerate with the wings in stamps this small.

    Corrected: the survey's offset is added to CRVAL.
    """
    made: list[jl.TargetImage] = []
    for entry in manifest(folder)["images"]:
        header = getheader(folder / entry["file"], entry["ext"])
        if corrected:
            east, north = offset(entry)
            header["CRVAL1"] += east / 3600 / np.cos(np.radians(header["CRVAL2"]))
            header["CRVAL2"] += north / 3600
        number = 1 + sum(image.name[0] == entry["band"] for image in made)
        made.append(
            jl.TargetImage(
                pixels(folder / entry["file"], entry["ext"]) - entry["sky_level"],
                wcs=header,
                weight=pixels(folder / entry["weight_file"], entry["weight_ext"]),
                mask=pixels(folder / entry["mask_file"], entry["mask_ext"]) != 0,
                psf=pixels(folder / entry["psf_file"]),
                zeropoint=entry["zeropoint_ab"],
                name=f"{entry['band']}{number}",
            )
        )
    return made


def offset(entry: dict) -> tuple[float, float]:
    """The survey's correction of an exposure's WCS, arcsec to the East and North."""
    given = entry["astrometric_offset_arcsec"]
    return given["ra"], given["dec"]


def fit(folder: Path, way: str) -> jl.FitResult:
    """Galaxy and star shared by all exposures, fluxes an exposure."""
    reference = manifest(folder)["reference"]
    target = jl.TargetImageList(images(folder, corrected=way == "survey's shifts"))
    galaxy = jl.joint("sersic galaxy", target=target, amplitude="flux", name="galaxy")
    star = jl.joint("point source", target=target, name="star")
    for model in (galaxy, star):
        place = reference[model.name]
        model["center"].value = SkyCoord(place["ra"], place["dec"], unit="deg")
    if way == "free shifts":
        # The prior also says that the shifts are none on average: centres are free as well.
        for image in target:
            image.calibration.free("shift", prior=jl.Normal(0.0, PRIOR))
    model = jl.Model("group", target=target, models=[galaxy, star], name="eight exposures")
    model.initialize()
    return model.fit(verbose=0)


def magnitudes(result: jl.FitResult, name: str) -> dict[str, tuple[float, float]]:
    """AB magnitude and error in each exposure."""
    found = {}
    for image in result.images:
        parameter = result.model[name]["flux"][image.name]
        flux, error = float(parameter.value), float(parameter.uncertainty)
        mag = image.zeropoint - 2.5 * np.log10(flux) if flux > 0 else np.nan
        found[image.name] = (float(mag), 2.5 / np.log(10) * error / abs(flux))
    return found


def shifts(folder: Path, result: jl.FitResult) -> dict[str, np.ndarray]:
    """Corrections found and the survey's, [exposure, (East, North)] arcsec, and errors.

    A source is found where the WCS has it plus the fitted shift, so the correction of the WCS is
    its negative. Only differences between exposures are known to us: the survey's are taken about
    the mean that ours have. Errors are those of differences from the mean.
    """
    found = -np.array([image.calibration["shift"].value for image in result.images])
    survey = np.array([offset(entry) for entry in manifest(folder)["images"]])
    survey += found.mean(axis=0) - survey.mean(axis=0)
    names = list(result.parameter_names)
    errors = np.empty_like(found)
    n = len(found)
    for axis, letter in enumerate("xy"):
        where = [names.index(f"image {image.name}/shift_{letter}") for image in result.images]
        covariance = result.covariance[np.ix_(where, where)]
        centred = np.eye(n) - 1.0 / n
        errors[:, axis] = np.sqrt(np.diag(centred @ covariance @ centred.T))
    return {"found": found, "survey": survey, "errors": errors}


def compare(folder: Path) -> Comparison:
    """Fit three ways; magnitudes and corrections beside the manifest's."""
    check = manifest(folder)["independent_check"]
    results = {way: fit(folder, way) for way in WAYS}
    mags = {way: magnitudes(result, "galaxy") for way, result in results.items()}
    moved = shifts(folder, results["free shifts"])
    in_band = {
        band: list(mag) for band, mag in check["with_astrometric_offsets"]["galaxy_mag"].items()
    }
    theirs = {name: in_band[name[0]].pop(0) for name in mags["free shifts"]}
    chi2 = {way: float(result.chi2_images.sum()) for way, result in results.items()}
    fitted = results["survey's shifts"].model
    star = fitted["star"]
    place = manifest(folder)["reference"]["star"]
    image = results["survey's shifts"].images[0]
    x, y = image.world_to_plane(SkyCoord(place["ra"], place["dec"], unit="deg"))
    apart = np.asarray(star["center"].value) - (float(x), float(y))
    spread = {
        way: {
            band: float(np.ptp([mag for name, (mag, _) in found.items() if name[0] == band]))
            for band in "grz"
        }
        for way, found in mags.items()
    }
    lines = [
        (name, mags["survey's shifts"][name][0], mag, error, theirs[name],
         *(1000 * moved[key][k, axis] for axis in (0, 1) for key in ("found", "errors", "survey")))
        for k, (name, (mag, error)) in enumerate(mags["free shifts"].items())
    ]  # fmt: skip
    columns = ["exposure", "mag, survey's shifts", "mag, free shifts", "error", "check's mag"]
    columns += [f"{d} {what}" for d in ("East", "North") for what in ("(mas)", "error", "survey's")]
    shape = {"Re": float(fitted["galaxy"]["Re"].value), "n": float(fitted["galaxy"]["n"].value)}
    shape["q"] = float(fitted["galaxy"]["q"].value)
    values = {
        "success": all(result.success for result in results.values()),
        "mag": mags,
        "check_mag": theirs,
        "check": check,
        "spread": spread,
        "chi2": chi2,
        "n_pixels": int(results["free shifts"].n_pixels_images.sum()),
        "shifts": moved,
        "shape": shape,
        "star_apart": apart,
    }
    independent = check["with_astrometric_offsets"]
    their_fall = check["without_astrometric_offsets"]["chi2"] - independent["chi2"]
    their_star = independent["star_offset_from_reference_arcsec"]
    notes = [
        "chi2 " + ", ".join(f"{way} {c:.0f}" for way, c in chi2.items()),
        (
            f"the survey's shifts lower chi2 by {chi2[WAYS[0]] - chi2[WAYS[1]]:.0f} "
            f"(check {their_fall}), free ones by {chi2[WAYS[0]] - chi2[WAYS[2]]:.0f}"
        ),
        "magnitudes within a band lie within "
        + ", ".join(f"{band} {s:.4f}" for band, s in spread["free shifts"].items()),
        (
            f"Re {shape['Re']:.3f} arcsec (check {independent['Re_arcsec']}), "
            f"n {shape['n']:.3f} ({independent['n']}), q {shape['q']:.3f} ({independent['q']})"
        ),
        (
            "star from its reference position, arcsec: "
            f"({apart[0]:.3f}, {apart[1]:.3f}) (check {their_star})"
        ),
        f"{results['free shifts'].message} {results['free shifts'].time_s:.3f} s",
    ]
    title = "Eight DECam exposures: one galaxy, astrometric shifts free"
    return Comparison(title, rows(columns, lines), values, results, notes)


def draw(comparison: Comparison, out: Path) -> None:
    """Residuals with and without shifts, magnitudes, and the corrections of the WCS."""
    import matplotlib.pyplot as plt

    values = comparison.values
    names = list(values["check_mag"])
    colours = {"g": "C2", "r": "C3", "z": "C5"}
    figure = plt.figure(figsize=(13, 9.5), layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=[1.1, 1])
    axes = upper.subplots(3, len(names))
    result = comparison.results["free shifts"]
    for column, image in zip(axes.T, result.images, strict=True):
        jl.plots.target_image(column[0], image, flipx=True, colorbar=False)
        column[0].set_title(image.name)
        for axis, way in zip(column[1:], (WAYS[0], WAYS[2]), strict=True):
            fitted = comparison.results[way]
            jl.plots.residual_image(
                axis, fitted.model, image=image.name, flipx=True, colorbar=False
            )
            axis.set_title("")
        for axis in column:
            axis.set(xticks=[], yticks=[], xlabel="", ylabel="")
    for axis, label in zip(
        axes[:, 0], ("data", "residual,\nno shifts", "residual,\nshifts"), strict=True
    ):
        axis.set_ylabel(label)
    left, right = lower.subplots(1, 2, width_ratios=[1.2, 1])
    for k, name in enumerate(names):
        mag, error = values["mag"]["free shifts"][name]
        mean = np.mean([values["mag"]["free shifts"][n][0] for n in names if n[0] == name[0]])
        left.errorbar(k, 1000 * (mag - mean), 1000 * error, fmt="o", color=colours[name[0]])
        left.plot(k, 1000 * (values["check_mag"][name] - mean), "k_", ms=14)
    left.axhspan(-10, 10, color="0.92", zorder=0)
    left.set(xticks=range(len(names)), xticklabels=names)
    left.set(ylabel="magnitude less its band's mean (mmag)", title="bars: the independent fit")
    left.invert_yaxis()
    found, survey, errors = (1000 * values["shifts"][k] for k in ("found", "survey", "errors"))
    for k, name in enumerate(names):
        right.plot(*np.transpose([survey[k], found[k]]), "-", color="0.7", zorder=0)
        right.plot(*survey[k], "x", color=colours[name[0]])
        right.errorbar(*found[k], errors[k, 1], errors[k, 0], fmt="o", color=colours[name[0]])
        right.annotate(name, found[k], xytext=(5, 5), textcoords="offset points")
    right.set(xlabel="East (mas)", ylabel="North (mas)", aspect="equal")
    right.set_title("corrections of the WCS: fitted (dots), survey's (crosses)")
    right.invert_xaxis()
    figure.savefig(out / "decam_grz_eight_epochs.png", dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    command_line(NAME, compare, draw, __doc__)
