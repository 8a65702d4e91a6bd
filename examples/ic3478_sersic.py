# SPDX-License-Identifier: BSD-3-Clause
"""IC 3478 beside Imfit: one Sersic, with and without the PSF.

Imfit samples the pixel and then convolves, so its numbers are to be compared with
``kind="optical"``; ``kind="effective"`` shows what becomes of them if the PSF image holds the pixel
already.
"""

from pathlib import Path

import numpy as np
from shared import Comparison, command_line, from_up, manifest, pixels, rows, save_summary

import jointlight as jl

NAME = "ic3478_imfit"


def imfit_variance(data: np.ndarray, description: dict) -> np.ndarray:
    """Imfit's data-based noise: photons of galaxy and removed sky, and the read noise, in ADU^2."""
    gain, read = description["gain"], description["readnoise_e"]
    return (data + description["original_sky_subtracted"]) / gain + (read / gain) ** 2


def target(folder: Path, psf: jl.PSF | None) -> jl.TargetImage:
    """The image without its WCS: positions and angles in the reference's pixel frame."""
    description = manifest(folder)
    data = pixels(folder / description["image"])
    return jl.TargetImage(
        data,
        pixelscale=description["pixel_scale_arcsec"],
        variance=imfit_variance(data, description),
        mask=pixels(folder / description["mask"]) != 0,
        psf=psf,
        name="r",
    )


def numbers(model: jl.Model) -> dict[str, tuple[float, float]]:
    """Value and error in Imfit's conventions: pixels from 1, ell = 1 - q, I_e per pixel."""
    image = model.target
    scale = image.pixelscale
    center, sigma = np.asarray(model["center"].value), np.asarray(model["center"].uncertainty)
    x, y = image.plane_to_pixel(center[0], center[1])
    pair = {
        k: (float(model[k].value), float(model[k].uncertainty))
        for k in model.parameters
        if k != "center"
    }
    return {
        "X0": (float(x) + 1, sigma[0] / scale),
        "Y0": (float(y) + 1, sigma[1] / scale),
        "PA": (from_up(pair["PA"][0]), pair["PA"][1]),
        "ell": (1 - pair["q"][0], pair["q"][1]),
        "n": pair["n"],
        "I_e": (pair["Ie"][0] * scale**2, pair["Ie"][1] * scale**2),
        "r_e": (pair["Re"][0] / scale, pair["Re"][1] / scale),
    }


def compare(folder: Path) -> Comparison:
    """Three fits: no PSF, optical, effective."""
    description = manifest(folder)
    psf = pixels(folder / description["psf"])
    published = {
        with_psf: next(
            r for r in description["reference"]
            if r["code"] == "imfit" and r["model"] == "Sersic" and r["psf"] is with_psf
        )
        for with_psf in (False, True)
    }  # fmt: skip
    kinds = {"no PSF": None, "optical": jl.PSF(psf, kind="optical"), "effective": jl.PSF(psf)}
    fitted, results = {}, {}
    for name, kernel in kinds.items():
        model = jl.Model("sersic galaxy", target=target(folder, kernel), name="IC 3478")
        model.initialize()
        results[name] = model.fit(verbose=0)
        fitted[name] = numbers(model)
    lines = [
        (key, published[False][key], fitted["no PSF"][key][0], published[True][key],
         fitted["optical"][key][0], fitted["effective"][key][0], published[True]["errors"][key])
        for key in fitted["no PSF"]
    ]  # fmt: skip
    chi2_nu = {name: r.reduced_chi2 for name, r in results.items()}
    lines.append(
        ("chi2/dof", published[False]["chi2_nu"], chi2_nu["no PSF"], published[True]["chi2_nu"],
         chi2_nu["optical"], chi2_nu["effective"], np.nan)
    )  # fmt: skip
    columns = ["quantity", "Imfit, no PSF", "ours, no PSF", "Imfit, PSF", "ours, optical"]
    columns += ["ours, effective", "Imfit's error"]
    values = {
        "fitted": fitted,
        "published": published,
        "chi2_nu": chi2_nu,
        "success": all(r.success for r in results.values()),
    }
    notes = [f"{name}: {r.message}; {r.time_s:.2f} s" for name, r in results.items()]
    return Comparison(
        "IC 3478: Sersic, against Imfit", rows(columns, lines), values, results, notes
    )


def draw(comparison: Comparison, out: Path) -> None:
    """Data, model, residual."""
    save_summary(comparison.results["optical"], out / "ic3478_sersic.png")


if __name__ == "__main__":
    command_line(NAME, compare, draw, __doc__)
