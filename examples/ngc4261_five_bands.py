# SPDX-License-Identifier: BSD-3-Clause
"""NGC 4261 in ugriz beside GALFITM's joint fit: one shape, five magnitudes, fixed skies.

GALFITM samples the pixel, then convolves with a PSF image measured on stars, which holds the pixel
already. ``kind="optical"`` does the same here on purpose, so that the table shows how much of the
difference it explains. Where GalSim is installed it judges: the galaxy drawn by GalSim at both
answers, against the same pixels and noise.
"""

from pathlib import Path

import numpy as np
from shared import Comparison, command_line, from_up, manifest, pixels, rows, save_summary

import jointlight as jl

NAME = "ngc4261_ugriz"


def noise(data: np.ndarray, sky: float, mask: np.ndarray) -> np.ndarray:
    """Variance in electrons (gain 1): the galaxy's own light plus the scatter of the sky."""
    above = data - sky
    border = np.ones(data.shape, dtype=bool)
    border[15:-15, 15:-15] = False
    edge = above[border & ~mask]
    rms = 1.4826 * np.median(np.abs(edge - np.median(edge)))
    return np.maximum(above, 0.0) + rms**2


def images(folder: Path, kind: str) -> list[jl.TargetImage]:
    """The five bands, sky removed as the reference fixed it."""
    mask = pixels(folder / "mask.fits") != 0
    made = []
    for entry in manifest(folder)["images"]:
        data = pixels(folder / entry["file"])
        sky = entry["sky_fixed_in_reference"]
        made.append(
            jl.TargetImage(
                data - sky,
                pixelscale=entry["pixel_scale_arcsec"],
                variance=noise(data, sky, mask),
                mask=mask,
                psf=jl.PSF(pixels(folder / entry["psf_file"]), kind=kind, center="peak"),
                zeropoint=entry["zeropoint"],
                name=entry["band"],
            )
        )
    return made


def fit(folder: Path, kind: str) -> tuple[jl.Model, object]:
    """Joint fit with one flux a band."""
    target = jl.TargetImageList(images(folder, kind))
    model = jl.joint(
        "sersic galaxy", target=target, per_image=["flux"], amplitude="flux", name="NGC 4261"
    )
    model.initialize()
    return model, model.fit(verbose=0)


def numbers(model: jl.Model, pixelscale: float) -> dict[str, float]:
    """In the reference's units: pixels, degrees from up, magnitudes."""
    center = np.asarray(model["center"].value)
    image = model.models[0].target
    x, y = image.plane_to_pixel(center[0], center[1])
    out = {
        "x": float(x),
        "y": float(y),
        "Re_pix": float(model["Re"].value) / pixelscale,
        "n": float(model["n"].value),
        "q": float(model["q"].value),
        "PA": from_up(float(model["PA"].value)),
    }
    for member in model.models:
        mag = -2.5 * np.log10(member["flux"].value) + member.target.zeropoint
        out[f"mag_{member.target.name}"] = float(mag)
    return out


def judge(folder: Path, answers: dict[str, dict[str, float]], kind: str) -> dict[str, float] | None:
    """Chi-squared of GalSim's drawing of each answer, fluxes at their best; None without GalSim.

    `kind` says whether GalSim adds the pixel to the PSF image ("optical") or not.
    """
    try:
        import galsim
    except ImportError:
        return None
    # Ten times tighter folding moves the image by 1e-6 of its peak.
    params = galsim.GSParams(folding_threshold=5e-3, maximum_fft_size=16384, kvalue_accuracy=1e-5)
    method = "auto" if kind == "optical" else "no_pixel"
    out = dict.fromkeys(answers, 0.0)
    for image in images(folder, kind):
        samples = np.ascontiguousarray(image.psf.data)
        middle = (np.array(samples.shape[::-1]) - 1) / 2
        psf = galsim.InterpolatedImage(
            galsim.Image(samples, scale=1.0),
            x_interpolant=galsim.Lanczos(15, conserve_dc=True),
            offset=np.array(image.psf.center) - middle,
            flux=1.0,
            gsparams=params,
        )
        height, width = image.shape
        for name, a in answers.items():
            galaxy = galsim.Sersic(
                n=a["n"], half_light_radius=a["Re_pix"] * np.sqrt(a["q"]), gsparams=params
            ).shear(q=a["q"], beta=(90.0 + a["PA"]) * galsim.degrees)
            drawn = galsim.Convolve([galaxy, psf], gsparams=params).drawImage(
                nx=width,
                ny=height,
                scale=1.0,
                method=method,
                offset=(a["x"] - (width - 1) / 2, a["y"] - (height - 1) / 2),
                dtype=float,
            )
            shape, w = np.array(drawn.array), image.weight
            flux = np.sum(w * shape * image.data) / np.sum(w * shape**2)
            out[name] += float(np.sum(w * (image.data - flux * shape) ** 2))
    return out


def compare(folder: Path) -> Comparison:
    """Fit with either PSF kind and set beside GALFITM."""
    description = manifest(folder)
    reference = description["reference"]
    check = description["independent_check"]
    scale = description["images"][0]["pixel_scale_arcsec"]
    x, y = reference["centre_xy_0based_in_crop"]
    galfitm = {"x": x, "y": y, "Re_pix": reference["Re_pix"], "n": reference["n"]}
    galfitm |= {"q": reference["q"], "PA": reference["PA_deg_up0_left90"]}
    galfitm |= {f"mag_{band}": mag for band, mag in reference["magnitudes"].items()}
    answers = {"GALFITM": galfitm}
    checks = {"Re_pix": check["Re_pix"], "n": check["n"], "q": check["q"], "PA": check["PA"]}
    checks |= {f"mag_{band}": mag for band, mag in check["magnitudes"].items()}
    results = {}
    for kind in ("effective", "optical"):
        model, results[kind] = fit(folder, kind)
        answers[kind] = numbers(model, scale)
    lines = [
        (key, galfitm[key], checks.get(key, np.nan), answers["effective"][key],
         answers["optical"][key], answers["optical"][key] - galfitm[key])
        for key in galfitm
    ]  # fmt: skip
    columns = ["quantity", "GALFITM", "independent check", "effective PSF", "optical PSF"]
    columns.append("optical - GALFITM")
    notes = [
        f"{kind}: chi2 {r.chi2:.0f} for {r.dof} dof; {r.message}" for kind, r in results.items()
    ]
    judged = {}
    for kind in ("effective", "optical"):
        pair = {name: answers[name] for name in ("GALFITM", kind)}
        judged[kind] = judge(folder, pair, kind)
        if judged[kind] is not None:
            theirs, ours = judged[kind]["GALFITM"], judged[kind][kind]
            notes.append(
                f"judged by GalSim, {kind} PSF, fluxes at their best: chi2 of our shape "
                f"{ours:.1f}, of GALFITM's {theirs:.1f} ({theirs - ours:+.1f})"
            )
    notes.append(
        "GALFITM's way with the PSF is the optical one, and the data prefer it. What is left is "
        "the noise: GALFITM weighs with a sigma image of its own, here sigma^2 = galaxy + sky's."
    )
    values = {"answers": answers, "check": checks, "galsim_chi2": judged}
    values["chi2"] = {kind: r.chi2 for kind, r in results.items()}
    values["success"] = all(r.success for r in results.values())
    title = "NGC 4261: five bands, one shape, against GALFITM 1.2.0"
    return Comparison(title, rows(columns, lines), values, results, notes)


def draw(comparison: Comparison, out: Path) -> None:
    """Data, model, residual."""
    save_summary(comparison.results["effective"], out / "ngc4261_five_bands.png")


if __name__ == "__main__":
    command_line(NAME, compare, draw, __doc__)
