# SPDX-License-Identifier: BSD-3-Clause
"""A Rubin alert measured without a difference image: science and template fitted together.

A Sersic host is shared by both images; a point source has one position and a flux in each, held at
zero in the template, which was taken before it appeared. Every image keeps its own PSF, its own
noise and its own sky, and neither is blurred to match the other. Set beside it are the flux in the
alert, which comes from the difference image, a PSF fit of that difference, and an independent fit.
A second fit leaves the template's flux free: it must come out as nothing.
"""

from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord
from shared import Comparison, command_line, manifest, rows

import jointlight as jl

NAME = "rubin_alert_transient"
EXPECTED_BASELINE = 0.0  # nJy, in the template


def load(folder: Path, kind: str) -> jl.TargetImage:
    """One of the alert's stamps; its headers lack CTYPE, its noise is a variance."""
    item = manifest(folder)["items"][0]
    return jl.TargetImage.from_fits(
        folder / item["files"][kind],
        0,
        variance_hdu="UNCERT",
        psf_hdu="PSFIMAGE",
        ctype="TAN",
        zeropoint=manifest(folder)["zeropoint_ab"],
        name=kind,
    )


def fit(folder: Path, *, free_baseline: bool) -> jl.FitResult:
    """Host, point source and skies in science and template."""
    item = manifest(folder)["items"][0]
    target = jl.TargetImageList([load(folder, kind) for kind in ("science", "template")])
    host = jl.joint(
        "sersic galaxy", target=target, per_image=[], amplitude="flux", name="host"
    )  # one flux for both: they are calibrated alike
    sky = jl.joint("flat sky", target=target, name="sky")
    transient = jl.joint("point source", target=target, name="transient")
    transient["center"].value = SkyCoord(item["ra"], item["dec"], unit="deg")
    if not free_baseline:
        transient["flux"]["template"].value = EXPECTED_BASELINE
        transient["flux"]["template"].fixed = True
    model = jl.Model("group", target=target, models=[host, transient, sky], name="alert")
    model.initialize()
    return model.fit(verbose=0)


def fit_difference(folder: Path) -> jl.FitResult:
    """The alert's own way: a PSF at the alert's position on the difference image."""
    item = manifest(folder)["items"][0]
    star = jl.Model("point source", target=load(folder, "difference"), name="difference")
    star["center"].value = SkyCoord(item["ra"], item["dec"], unit="deg")
    star["center"].fixed = True
    star.initialize()
    return star.fit(verbose=0)


def flux(result: jl.FitResult, image: str) -> tuple[float, float]:
    """Flux of the point source in an image and its error, nJy; no error where it was held."""
    parameter = result.model["transient"]["flux"][image]
    error = parameter.uncertainty
    return float(parameter.value), np.nan if error is None else float(error)


def compare(folder: Path) -> Comparison:
    """Fit and set beside the alert and the manifest's independent check."""
    description = manifest(folder)
    alert = description["items"][0]["reference"]
    check = description["independent_check"]["snhost"]
    results = {
        "held": fit(folder, free_baseline=False),
        "free": fit(folder, free_baseline=True),
        "difference": fit_difference(folder),
    }
    held, free = flux(results["held"], "science"), flux(results["free"], "science")
    baseline = flux(results["free"], "template")
    star = results["difference"].model
    difference = (float(star["flux"].value), float(star["flux"].uncertainty))
    image = results["held"].images[0]
    model = results["held"].model
    host = model["host"]
    x, y = image.plane_to_pixel(*model["transient"]["center"].value)
    chi2 = results["held"].chi2_images / results["held"].n_pixels_images
    lines = [
        ("joint fit", *held),
        ("joint fit, template's flux free", *free),
        ("... its flux in the template", *baseline),
        ("PSF fit of the difference", *difference),
        ("alert, PSF on the difference", alert["psfFlux_nJy"], alert["psfFluxErr_nJy"]),
        ("alert, science less template",
         alert["scienceFlux_nJy"] - alert["templateFlux_nJy"],
         float(np.hypot(alert["scienceFluxErr_nJy"], alert["templateFluxErr_nJy"]))),
        ("independent joint fit", check["point_flux_nJy"], check["error"]),
    ]  # fmt: skip
    values = {
        "success": all(result.success for result in results.values()),
        "held": held,
        "free": free,
        "baseline": baseline,
        "difference": difference,
        "item": description["items"][0],
        "alert": (alert["psfFlux_nJy"], alert["psfFluxErr_nJy"]),
        "check": check,
        "xy": (float(x), float(y)),
        "host_flux": float(host["flux"].value),
        "host_n": float(host["n"].value),
        "host_Re_pix": float(host["Re"].value) / image.pixelscale,
        "host_q": float(host["q"].value),
        "chi2_per_pixel": {"science": float(chi2[0]), "template": float(chi2[1])},
    }
    ours = [values[key] for key in ("host_flux", "host_n", "host_Re_pix", "host_q")]
    theirs = [check[key] for key in ("host_flux_nJy", "host_n", "host_Re_pix", "host_q")]
    pairs = zip(("flux", "n", "Re (px)", "q"), ours, theirs, strict=True)
    pixels = values["chi2_per_pixel"]
    notes = [
        "host: " + ", ".join(f"{name} {a:.4g} (check {b})" for name, a, b in pairs),
        (
            f"chi2/pixel {pixels['science']:.3f} (check {check['chi2_per_pixel']['science']}) and "
            f"{pixels['template']:.3f} (check {check['chi2_per_pixel']['template']})"
        ),
        f"{results['held'].message} {results['held'].time_s:.3f} s",
    ]
    table = rows(["flux of the transient", "nJy", "error"], lines)
    return Comparison("A transient on its host: science + template", table, values, results, notes)


def draw(comparison: Comparison, out: Path) -> None:
    """Data, model and residual; below, the science image less host and sky, and the light curve."""
    import matplotlib.pyplot as plt

    result = comparison.results["held"]
    model, science = result.model, result.images[0]
    fig = plt.figure(figsize=(11, 8.2), layout="constrained")
    upper, lower = fig.subfigures(2, 1, height_ratios=[2, 1])
    jl.plots.fit_summary(result, figure=upper)
    left, right = lower.subplots(1, 2, width_ratios=[1, 2.2])
    without_host = science.copy(
        data=science.data - model.image("science", exclude="transient"),
        name="science less host and sky",
    )
    jl.plots.target_image(left, without_host)
    left.set_title(without_host.name)
    item = comparison.values["item"]
    for band, colour in (("r", "C1"), ("i", "C3")):
        points = [p for p in item["previous_detections"] if p["band"] == band]
        right.errorbar(
            [p["mjd"] for p in points],
            [p["psfFlux_nJy"] for p in points],
            [p["psfFluxErr_nJy"] for p in points],
            fmt=".",
            color=colour,
            alpha=0.6,
            label=f"earlier alerts, {band}",
        )
    value, error = comparison.values["held"]
    right.errorbar(item["mjd"], value, error, fmt="s", color="C3", mfc="w", label="joint fit, i")
    value, error = comparison.values["alert"]
    right.errorbar(item["mjd"] + 0.6, value, error, fmt="D", color="k", ms=4, label="this alert, i")
    right.set(xlabel="MJD (this alert's moved by 0.6 d)", ylabel="flux (nJy)", ylim=(0, None))
    right.legend()
    fig.savefig(out / "rubin_alert_transient.png", dpi=110)
    plt.close(fig)


if __name__ == "__main__":
    command_line(NAME, compare, draw, __doc__)
