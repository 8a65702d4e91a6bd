# SPDX-License-Identifier: BSD-3-Clause
"""One galaxy in ten bands of three instruments: GALEX, SDSS and 2MASS, pixels of 1.5 to 0.4 arcsec.

One Sersic shape is shared by all ten images; every band has its own flux, and every survey its own
centre (the surveys' astrometry disagrees by a few tenths of an arcsecond). The result is compared
with an independent fit of the same choices listed in the data's manifest.
"""

from pathlib import Path

import numpy as np
from astropy.io.fits import getheader
from astropy.wcs import WCS
from shared import Comparison, command_line, from_up, manifest, pixels, rows, save_summary

import jointlight as jl

NAME = "j0056_galex_sdss_2mass"
SHORT = {"galexfuv": "FUV", "galexnuv": "NUV"}


def band_name(entry: dict) -> str:
    """FUV, NUV, u, g, r, i, z, J, H, K."""
    return SHORT.get(entry["band"], entry["band"][-1])


def survey(entry: dict) -> str:
    """galex, sdss or tmass."""
    return next(s for s in ("galex", "sdss", "tmass") if entry["band"].startswith(s))


def wcs_of(path: Path) -> WCS:
    """The headers lack CTYPE and the sign of the RA axis: say tangent plane, East left."""
    header = getheader(path)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [header["CRVAL1"], header["CRVAL2"]]
    wcs.wcs.crpix = [header["CRPIX1"], header["CRPIX2"]]
    wcs.wcs.cdelt = [-header["CDELT1"], header["CDELT2"]]
    return wcs


def images(folder: Path) -> list[tuple[dict, jl.TargetImage]]:
    """The ten images less their sky, sigmas scaled to its scatter (as the manifest has both)."""
    made = []
    for entry in manifest(folder)["images"]:
        path = folder / entry["file"]
        scale = entry["measured_background_sigma"] / entry["median_sigma_extension"]
        image = jl.TargetImage(
            pixels(path) - entry["measured_background_median"],
            wcs=wcs_of(path),
            std=scale * pixels(path, entry["sigma_ext"]),
            mask=pixels(path, entry["mask_ext"]) != 0,
            psf=jl.PSF(pixels(folder / entry["psf_file"]), center="peak"),
            zeropoint=entry["zeropoint_ab"],
            name=band_name(entry),
        )
        made.append((entry, image))
    return made


def build(folder: Path) -> tuple[list[tuple[dict, jl.TargetImage]], jl.Model]:
    """One Sersic a band, tied: shape over all, centre within a survey."""
    targets = images(folder)
    target = jl.TargetImageList([image for _, image in targets])
    first: dict[str, jl.Model] = {}
    members = []
    for entry, image in targets:
        member = jl.Model(
            "sersic galaxy", target=image, name=f"galaxy {image.name}", amplitude="flux"
        )
        leader = first.setdefault("shape", member)
        if member is not leader:
            member.tie(leader, except_=["flux", "center"])
        of_survey = first.setdefault(survey(entry), member)
        if member is not of_survey:
            member["center"].tie(of_survey["center"])
        members.append(member)
    return targets, jl.Model("group", target=target, models=members, name="J0056-0021")


def compare(folder: Path) -> Comparison:
    """Fit and set beside the manifest's independent check."""
    targets, model = build(folder)
    model.initialize()
    result = model.fit(verbose=0)
    check = manifest(folder)["independent_check"]
    shape = model.models[0]
    values: dict = {
        "success": result.success,
        "Re": float(shape["Re"].value),
        "n": float(shape["n"].value),
        "q": float(shape["q"].value),
        "PA": from_up(float(shape["PA"].value)),
        "mag": {},
        "mag_error": {},
        "chi2_per_pixel": {},
    }
    lines = []
    for index, ((_, image), member) in enumerate(zip(targets, model.models, strict=True)):
        flux, error = member["flux"].value, member["flux"].uncertainty
        mag = -2.5 * np.log10(flux) + image.zeropoint
        mag_error = 2.5 / np.log(10) * error / flux
        chi2 = result.chi2_images[index] / result.n_pixels_images[index]
        name = image.name
        values["mag"][name], values["mag_error"][name] = float(mag), float(mag_error)
        values["chi2_per_pixel"][name] = float(chi2)
        theirs = check["mag_ab"][name]
        lines.append(
            (name, mag, mag_error, theirs, mag - theirs, chi2, check["chi2_per_pixel"][name])
        )
    table = rows(
        ["band", "mag", "error", "check", "difference", "chi2/pixel", "check's chi2/pixel"], lines
    )
    shape_of_check = (check["Re_arcsec"], check["n"], check["q"], check["PA_from_plus_x_deg"])
    shape_of_ours = (values["Re"], values["n"], values["q"], 90 + values["PA"])
    pairs = zip(("Re", "n", "q", "PA from +x"), shape_of_ours, shape_of_check, strict=True)
    notes = [
        ", ".join(f"{name} {ours:.4g} (check {theirs})" for name, ours, theirs in pairs),
        f"{result.message}; {result.n_linearize} Jacobians, {result.time_s:.2f} s",
    ]
    title = "J0056: ten bands, one shape (AB magnitudes)"
    return Comparison(title, table, values, {"": result}, notes)


def draw(comparison: Comparison, out: Path) -> None:
    """Fit summary and the spectral energy distribution."""
    import matplotlib.pyplot as plt

    save_summary(comparison.results[""], out / "j0056_ten_bands.png")
    wavelength = dict(
        zip(
            ["FUV", "NUV", "u", "g", "r", "i", "z", "J", "H", "K"],
            [0.153, 0.227, 0.355, 0.469, 0.617, 0.748, 0.893, 1.24, 1.66, 2.16],
            strict=True,
        )
    )
    fig, ax = plt.subplots(figsize=(5.5, 4), layout="constrained")
    names = list(comparison.values["mag"])
    ax.errorbar(
        [wavelength[n] for n in names],
        list(comparison.values["mag"].values()),
        list(comparison.values["mag_error"].values()),
        fmt="o",
        label="jointlight",
    )
    ax.plot([wavelength[n] for n in names], comparison.table["check"], "k_", ms=14, label="check")
    ax.set(xscale="log", xlabel="wavelength (micron)", ylabel="AB magnitude")
    ax.invert_yaxis()
    ax.legend()
    fig.savefig(out / "j0056_ten_bands_sed.png", dpi=110)
    plt.close(fig)


if __name__ == "__main__":
    command_line(NAME, compare, draw, __doc__)
