# SPDX-License-Identifier: BSD-3-Clause
"""A small galaxy of HST's GOODS-S beside GALFITM: one Sersic and a flat sky; then three copies.

GALFITM convolves pixels with the PSF image, as ``kind="optical"`` does here. This PSF (FWHM 1.9
pixels) came from stars and holds the pixel already; counted once (``kind="effective"``), the
fit gives a lower n.

The same image given three times as a joint fit must give the same parameters, three times the
chi-squared, and errors smaller by the square root of three.
"""

from pathlib import Path

import numpy as np
from shared import Comparison, command_line, from_up, manifest, pixels, rows, save_summary

import jointlight as jl

NAME = "goods_acs_galfit"
EXPOSURE = 1040.0  # s; the magnitudes are for counts per second


def target(folder: Path, kind: str, name: str = "F850LP") -> jl.TargetImage:
    """The image in its pixel frame (its WCS is turned)."""
    description = manifest(folder)
    return jl.TargetImage(
        pixels(folder / description["image"]),
        pixelscale=description["pixel_scale_arcsec"],
        std=pixels(folder / description["sigma"]),
        psf=jl.PSF(pixels(folder / description["psf"]), kind=kind),
        zeropoint=description["zeropoint"] + 2.5 * np.log10(EXPOSURE),
        name=name,
    )


def components(image: jl.TargetImage) -> tuple[jl.Model, jl.Model]:
    """Galaxy and sky on one image."""
    galaxy = jl.Model("sersic galaxy", target=image, name=f"galaxy {image.name}", amplitude="flux")
    sky = jl.Model("flat sky", target=image, name=f"sky {image.name}")
    return galaxy, sky


def numbers(galaxy: jl.Model, sky: jl.Model) -> dict[str, tuple[float, float]]:
    """Value and error in GALFIT's conventions."""
    image = galaxy.target
    scale = image.pixelscale
    center, sigma = np.asarray(galaxy["center"].value), np.asarray(galaxy["center"].uncertainty)
    x, y = image.plane_to_pixel(center[0], center[1])
    pair = {
        k: (float(galaxy[k].value), float(galaxy[k].uncertainty))
        for k in ("q", "PA", "n", "Re", "flux")
    }
    flux, error = pair["flux"]
    level = float(sky["I0"].value), float(sky["I0"].uncertainty)
    return {
        "x": (float(x) + 1, sigma[0] / scale),
        "y": (float(y) + 1, sigma[1] / scale),
        "mag": (-2.5 * np.log10(flux) + image.zeropoint, 2.5 / np.log(10) * error / flux),
        "Re_pix": (pair["Re"][0] / scale, pair["Re"][1] / scale),
        "n": pair["n"],
        "q": pair["q"],
        "PA": (from_up(pair["PA"][0]), pair["PA"][1]),
        "sky": (level[0] * scale**2, level[1] * scale**2),
    }


def fit(folder: Path, kind: str) -> tuple[dict[str, tuple[float, float]], object]:
    """One image."""
    image = target(folder, kind)
    galaxy, sky = components(image)
    model = jl.Model("group", target=image, models=[galaxy, sky], name="galaxy and sky")
    model.initialize()
    result = model.fit(verbose=0)
    return numbers(galaxy, sky), result


def fit_copies(folder: Path, copies: int = 3) -> tuple[dict[str, tuple[float, float]], object]:
    """The same image several times, everything tied."""
    targets = [target(folder, "effective", f"copy {i + 1}") for i in range(copies)]
    pairs = [components(image) for image in targets]
    for pair in pairs[1:]:
        for member, leader in zip(pair, pairs[0], strict=True):
            member.tie(leader)
    model = jl.Model(
        "group",
        target=jl.TargetImageList(targets),
        models=[member for pair in pairs for member in pair],
        name="copies",
    )
    model.initialize()
    result = model.fit(verbose=0)
    return numbers(*pairs[0]), result


def compare(folder: Path) -> Comparison:
    """Either PSF kind, and three copies."""
    description = manifest(folder)
    reference, check = description["reference"], description["independent_check"]
    fitted, results = {}, {}
    for kind in ("effective", "optical"):
        fitted[kind], results[kind] = fit(folder, kind)
    fitted["copies"], results["copies"] = fit_copies(folder)
    names = {"x": "x_1based", "y": "y_1based", "PA": "PA_deg_up0_left90"}
    published = {key: reference[names.get(key, key)] for key in fitted["effective"]}
    independent = {
        key: check[names.get(key, key) if key != "PA" else "PA"] for key in fitted["effective"]
    }
    errors = {key: reference["errors"]["Re" if key == "Re_pix" else key] for key in published}
    lines = [
        (key, published[key], errors[key], independent[key], *fitted["optical"][key],
         fitted["effective"][key][0], *fitted["copies"][key])
        for key in published
    ]  # fmt: skip
    lines.append(
        ("chi2", np.nan, np.nan, check["chi2"], results["optical"].chi2, np.nan,
         results["effective"].chi2, results["copies"].chi2, np.nan)
    )  # fmt: skip
    columns = ["quantity", "GALFITM", "its error", "independent check", "optical", "error"]
    columns += ["effective", "three copies", "error of copies"]
    values = {
        "fitted": fitted,
        "published": published,
        "errors": errors,
        "check": independent | {"chi2": check["chi2"]},
        "chi2": {k: r.chi2 for k, r in results.items()},
        "success": all(r.success for r in results.values()),
    }
    notes = [f"{name}: {r.message}; {r.time_s:.2f} s" for name, r in results.items()]
    return Comparison(
        "GOODS-S galaxy: Sersic + sky, against GALFITM",
        rows(columns, lines),
        values,
        results,
        notes,
    )


def draw(comparison: Comparison, out: Path) -> None:
    """Data, model, residual."""
    save_summary(comparison.results["effective"], out / "goods_acs_galfit.png")


if __name__ == "__main__":
    command_line(NAME, compare, draw, __doc__)
