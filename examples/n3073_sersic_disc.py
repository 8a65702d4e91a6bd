# SPDX-License-Identifier: BSD-3-Clause
"""NGC 3073 beside Imfit: Sersic plus exponential disc with one centre, mask and PSF.

As in ``ic3478_sersic.py``, Imfit's way with the PSF is ``kind="optical"`` here.
"""

from pathlib import Path

import numpy as np
from ic3478_sersic import imfit_variance
from scipy.special import gammaincinv
from shared import Comparison, command_line, manifest, pixels, rows, save_summary

import jointlight as jl

NAME = "n3073_imfit"
B1 = float(gammaincinv(2.0, 0.5))  # Re = B1 h of an exponential, I_e = I_0 exp(-B1)


def fit(folder: Path, kind: str) -> tuple[dict[str, float], object]:
    """Two components; the numbers in Imfit's conventions."""
    description = manifest(folder)
    data = pixels(folder / description["image"])
    scale = description["pixel_scale_arcsec"]
    image = jl.TargetImage(
        data,
        pixelscale=scale,
        variance=imfit_variance(data, description),
        mask=pixels(folder / description["mask"]) != 0,
        psf=jl.PSF(pixels(folder / description["psf"]), kind=kind),
        name="r",
    )
    bulge = jl.Model("sersic galaxy", target=image, name="Sersic")
    disc = jl.Model("exponential galaxy", target=image, name="disc")
    disc["center"].tie(bulge["center"])
    # Starts by eye: a compact component along the long axis, and a wide disc across it.
    bulge["PA"].value, bulge["q"].value, bulge["n"].value = 110.0, 0.8, 3.0
    bulge["Re"].value = 15 * scale
    disc["PA"].value, disc["q"].value, disc["Re"].value = 50.0, 0.65, 80 * scale
    model = jl.Model("group", target=image, models=[bulge, disc], name="NGC 3073")
    model.initialize()
    result = model.fit(verbose=0)
    x, y = image.plane_to_pixel(*np.asarray(bulge["center"].value))
    area = scale**2
    numbers = {
        "X0": float(x) + 1,
        "Y0": float(y) + 1,
        "PA1": float(bulge["PA"].value) % 180,
        "ell1": 1 - float(bulge["q"].value),
        "n": float(bulge["n"].value),
        "I_e": float(bulge["Ie"].value) * area,
        "r_e": float(bulge["Re"].value) / scale,
        "PA2": float(disc["PA"].value) % 180,
        "ell2": 1 - float(disc["q"].value),
        "I_0": float(disc["Ie"].value) * area * np.exp(B1),
        "h": float(disc["Re"].value) / scale / B1,
    }
    return numbers, result


def compare(folder: Path) -> Comparison:
    """Fit with either PSF kind."""
    reference = manifest(folder)["reference"]
    sersic, disc = reference["Sersic"], reference["Exponential"]
    published = {"X0": reference["X0"], "Y0": reference["Y0"]}
    published |= {"PA1": sersic["PA"], "ell1": sersic["ell"], "n": sersic["n"]}
    published |= {"I_e": sersic["I_e"], "r_e": sersic["r_e"]}
    published |= {"PA2": disc["PA"], "ell2": disc["ell"], "I_0": disc["I_0"], "h": disc["h"]}
    fitted, results = {}, {}
    for kind in ("optical", "effective"):
        fitted[kind], results[kind] = fit(folder, kind)
    lines = [
        (key, published[key], reference["errors"][key], fitted["optical"][key],
         (fitted["optical"][key] - published[key]) / reference["errors"][key],
         fitted["effective"][key])
        for key in published
    ]  # fmt: skip
    chi2 = {kind: r.chi2 for kind, r in results.items()}
    lines.append(("chi2", reference["chi2"], np.nan, chi2["optical"], np.nan, chi2["effective"]))
    columns = ["quantity", "Imfit", "Imfit's error", "ours, optical", "sigmas apart"]
    columns.append("ours, effective")
    values = {
        "fitted": fitted,
        "published": published,
        "errors": reference["errors"],
        "chi2": chi2,
        "chi2_published": reference["chi2"],
        "success": all(r.success for r in results.values()),
    }
    notes = [f"{kind}: {r.message}; {r.time_s:.2f} s" for kind, r in results.items()]
    title = "NGC 3073: Sersic + exponential, against Imfit"
    return Comparison(title, rows(columns, lines), values, results, notes)


def draw(comparison: Comparison, out: Path) -> None:
    """Data, model, residual."""
    save_summary(comparison.results["optical"], out / "n3073_sersic_disc.png")


if __name__ == "__main__":
    command_line(NAME, compare, draw, __doc__)
