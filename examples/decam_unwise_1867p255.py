# SPDX-License-Identifier: BSD-3-Clause
"""A DECam field with unWISE: pixels of 0.26 and 2.75 arcsec, W1 to W4 forced by z.

Sources are found in z by a matched filter, told stars from galaxies by what the shape of each gains
in chi2, and fitted there. Their positions and shapes then hold in W1 to W4, where ten pixels of z
make one and neighbours overlap: free are a flux of each source in each band, a sky and an
astrometric shift an image. What W1 shows that z does not is added as stars. Fluxes of sources that
stand alone are set beside plain apertures on the unWISE images.
"""

from pathlib import Path

import numpy as np
from scipy import ndimage, signal
from shared import Comparison, command_line, manifest, pixels, rows

import jointlight as jl

NAME = "decam_unwise_1867p255"
WISE = ("W1", "W2", "W3", "W4")
FOUND, EDGE, LEAST_AREA = 5.0, 4.0, 5  # S/N of a source's peak and of its outline; its pixels
GALAXY = 30.0  # fall of chi2 that three parameters of shape must bring
WELL_RESOLVED = 100.0  # S/N from which a galaxy's Sersic index is free too
SHIFT = 0.3  # arcsec, prior of an unWISE image's offset from DECam
UNSEEN = 10.0, 8.0  # S/N of W1 sources that z lacks, and how far from others they are (arcsec)
ALONE = 12.0  # arcsec to the next source
APERTURE = 8.25  # arcsec, radius
BRIGHT = 20.0  # S/N of a source that an aperture is put on
QUASAR = 0.8  # W1 - W2 (Vega) beyond which a point source is hardly a star


def images(folder: Path) -> list[jl.TargetImage]:
    """The DECam image and the four of unWISE, whose PSFs are nominal Gaussians."""
    description = manifest(folder)
    decam = description["images"][0]
    z = jl.TargetImage.from_fits(
        folder / decam["file"],
        decam["ext"],
        weight_hdu=(folder / decam["weight_file"], decam["weight_ext"]),
        mask_hdu=(folder / decam["mask_file"], decam["mask_ext"]),
        psf=pixels(folder / decam["psf_file"]),
        zeropoint=decam["zeropoint_ab"],
        name="z",
    )
    made = [z.copy(data=z.data - np.median(z.data[~z.mask]), name="z")]
    for entry in description["unwise"]:
        psf = jl.gaussian_psf(fwhm=entry["psf_fwhm_arcsec"], pixelscale=entry["pixel_scale_arcsec"])
        made.append(
            jl.TargetImage.from_fits(
                folder / entry["file"],
                weight_hdu=folder / entry["invvar_file"],
                psf=psf,
                zeropoint=entry["zeropoint_vega"],
                name=entry["band"],
            )
        )
    return made


def signal_to_noise(image: jl.TargetImage, data: np.ndarray) -> np.ndarray:
    """S/N of a star at each pixel: the data filtered with the PSF."""
    psf = image.psf.data[::-1, ::-1]
    flux = signal.fftconvolve(image.weight * data, psf, mode="same")
    weight = signal.fftconvolve(image.weight, psf**2, mode="same")
    return flux / np.sqrt(np.maximum(weight, 1e-6 * weight.max()))


def detect(image: jl.TargetImage) -> tuple[np.ndarray, dict[int, float]]:
    """A segmentation map and each label's peak S/N."""
    data = np.where(image.mask, 0.0, image.data)
    ratio = signal_to_noise(image, data)
    labels, n = ndimage.label(ratio > EDGE)
    numbers = np.arange(1, n + 1)
    peaks = ndimage.maximum(ratio, labels, numbers)
    areas = ndimage.sum(labels > 0, labels, numbers)
    kept = numbers[(peaks > FOUND) & (areas >= LEAST_AREA)]
    segmentation = np.where(np.isin(labels, kept), labels, 0)
    return segmentation, {int(k): float(peaks[k - 1]) for k in kept}


def labels_of(segmentation: np.ndarray) -> list[str]:
    """Names of the members that stand for labels."""
    return [str(label) for label in np.unique(segmentation) if label]


def z_model(image: jl.TargetImage, segmentation: np.ndarray, types: dict[int, str]) -> jl.FitResult:
    """Fit z alone, labels that are not in `types` as stars."""
    model = jl.joint_from_segmentation(
        "point source",
        segmentation,
        target=image,
        model_types=types,
        sky="flat sky",
        amplitude="flux",
        name="z alone",
    )
    model.initialize()
    return model.fit(verbose=0)


def classify(
    image: jl.TargetImage, segmentation: np.ndarray, peaks: dict[int, float]
) -> tuple[dict[int, str], dict[int, float]]:
    """Types of the galaxies, and what a shape gained for each label."""
    stars = z_model(image, segmentation, {}).chi2
    gains = {
        label: stars - z_model(image, segmentation, {label: "exponential galaxy"}).chi2
        for label in peaks
    }
    types = {
        label: "sersic galaxy" if peaks[label] > WELL_RESOLVED else "exponential galaxy"
        for label, gain in gains.items()
        if gain > GALAXY
    }
    return types, gains


def forced_model(
    target: jl.TargetImageList, segmentation: np.ndarray, types: dict[int, str], alone: jl.FitResult
) -> jl.Group:
    """All images, structure held where z has it."""
    model = jl.joint_from_segmentation(
        "point source",
        segmentation,
        target=target,
        reference="z",
        model_types=types,
        sky="flat sky",
        amplitude="flux",
        name="DECam + unWISE",
    )
    for label in labels_of(segmentation):
        for name, parameter in model[label].shared_parameters.items():
            parameter.value = alone.model[label][name].value
            parameter.fixed = True
    for image in target:
        if image.name in WISE:
            image.calibration.free("shift", prior=jl.Normal(0.0, SHIFT))
    model.initialize()
    return model


def unseen(model: jl.Group, image: jl.TargetImage, others: list[str]) -> list[tuple[float, float]]:
    """Positions in the plane of what the image shows and the model does not have."""
    ratio = signal_to_noise(image, model.residual(image))
    peaks = (ratio == ndimage.maximum_filter(ratio, 3)) & (ratio > UNSEEN[0])
    known = np.array([model[name]["center"].value for name in others])
    found = []
    for y, x in zip(*np.nonzero(peaks), strict=True):
        place = np.array(image.pixel_to_plane(float(x), float(y)))
        if np.hypot(*(known - place).T).min() > UNSEEN[1]:
            found.append((float(place[0]), float(place[1])))
    return found


def aperture_flux(image: jl.TargetImage, x: float, y: float, sky: float) -> tuple[float, float]:
    """Flux and error within `APERTURE`, made up for the Gaussian's light outside, sky known.

    Pixels at the rim count by the part of them that is inside; the missing ones of an aperture
    that leaves the image are refused.
    """
    radius = APERTURE / image.pixelscale
    fine = 11
    step = (np.arange(fine) - fine // 2) / fine
    rows_, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    dy = rows_[..., None, None] + step[:, None] - y
    dx = columns[..., None, None] + step - x
    part = (np.hypot(dx, dy) <= radius).mean(axis=(2, 3))
    if abs(part.sum() / (np.pi * radius**2) - 1) > 0.01:
        return np.nan, np.nan
    sigma2 = (image.psf.fwhm_px / 2.3548) ** 2  # of the PSF over its pixel
    inside = 1.0 - np.exp(-(radius**2) / (2.0 * sigma2))
    flux = (part * (image.data - sky)).sum() / inside
    return float(flux), float(np.sqrt((part**2 * image.variance).sum()) / inside)


def add_unseen(model: jl.Group, target: jl.TargetImageList, labels: list[str]) -> None:
    """Add a star in W1 to W4 for what only W1 shows; its position is free."""
    wise = jl.TargetImageList([image for image in target if image.name in WISE])
    extra = []
    for number, place in enumerate(unseen(model, wise["W1"], labels), start=1):
        star = jl.joint("point source", target=wise, name=f"W1 only {number}")
        star["center"].value = place
        star["flux"].value = 0.0
        extra.append(star)
    model.add(*extra)


def standing_alone(model: jl.Group, labels: list[str], names: list[str]) -> list[str]:
    """Labels with no other source within `ALONE`."""
    places = {name: np.asarray(model[name]["center"].value) for name in names}
    return [
        name
        for name in labels
        if all(
            np.hypot(*(places[name] - place)) > ALONE
            for other, place in places.items()
            if other != name
        )
    ]


def magnitude(flux: float, error: float, zeropoint: float) -> float:
    """Magnitude, NaN below two sigma."""
    return float(zeropoint - 2.5 * np.log10(flux)) if flux > 2 * error else np.nan


def compare(folder: Path) -> Comparison:
    """Detect, classify, fit z, force W1 to W4, and measure apertures."""
    target = jl.TargetImageList(images(folder))
    z = target["z"]
    segmentation, peaks = detect(z)
    labels = labels_of(segmentation)
    types, gains = classify(z, segmentation, peaks)
    alone = z_model(z, segmentation, types)
    model = forced_model(target, segmentation, types, alone)
    first = model.fit(verbose=0)
    add_unseen(model, target, labels)
    result = model.fit(verbose=0)
    names = [*labels, *(m.name for m in model.models if m.name.startswith("W1 only"))]

    flux: dict[str, dict[str, tuple[float, float]]] = {}
    magnitudes: dict[str, dict[str, float]] = {}
    lines = []
    for name in names:
        fitted = model[name]["flux"]
        flux[name] = {
            band: (float(fitted[band].value), float(fitted[band].uncertainty)) for band in fitted
        }
        mags = {b: magnitude(*f, target[b].zeropoint) for b, f in flux[name].items()}
        magnitudes[name] = mags
        kind = types.get(int(name), "point").split()[0] if name in labels else "point"
        ratios = [f / error for b, (f, error) in flux[name].items() if b in WISE]
        lines.append((name, kind, *(mags.get(b, np.nan) for b in ("z", *WISE)), *ratios))
    columns = ["source", "type", "z (AB)", *(f"{b} (Vega)" for b in WISE)]
    table = rows(columns + [f"{b} S/N" for b in WISE], lines)

    apertures = {}
    for name in standing_alone(model, labels, names):
        for band in ("W1", "W2"):
            if flux[name][band][0] < BRIGHT * flux[name][band][1]:
                continue
            image = target[band]
            where = np.asarray(model[name]["center"].value) + image.calibration["shift"].value
            level = float(model[f"sky {band}/I0"].value) * image.pixelscale**2
            measured = aperture_flux(image, *map(float, image.plane_to_pixel(*where)), level)
            if np.isfinite(measured[0]):
                apertures[name, band] = measured
    quasars = {
        name: mags["W1"] - mags["W2"]
        for name, mags in magnitudes.items()
        if name not in map(str, types)
        and mags["W1"] - mags["W2"] > QUASAR
        and flux[name]["W2"][0] > BRIGHT * flux[name]["W2"][1]
    }
    chi2 = dict(zip(("z", *WISE), result.chi2_images / result.n_pixels_images, strict=True))
    shifts = {
        band: (
            target[band].calibration["shift"].value.tolist(),
            target[band].calibration["shift"].uncertainty.tolist(),
        )
        for band in WISE
    }
    values = {
        "success": result.success and first.success and alone.success,
        "types": types,
        "gains": gains,
        "flux": flux,
        "apertures": apertures,
        "quasars": quasars,
        "chi2_per_pixel": {band: float(c) for band, c in chi2.items()},
        "chi2_forced_alone": dict(first.chi2_by_image),
        "chi2": dict(result.chi2_by_image),
        "shifts": shifts,
        "n_labels": len(labels),
    }
    notes = [
        "chi2/pixel " + ", ".join(f"{band} {c:.3g}" for band, c in chi2.items()),
        *(
            f"{band} lies ({x:+.3f}, {y:+.3f}) +- ({ex:.3f}, {ey:.3f}) arcsec (E, N) from z"
            for band, ((x, y), (ex, ey)) in shifts.items()
        ),
        *(
            f"source {name} in {band}: forced {flux[name][band][0]:.1f}, "
            f"aperture {measured:.1f} +- {error:.1f}"
            for (name, band), (measured, error) in apertures.items()
        ),
        *(
            f"source {name}: W1 - W2 = {colour:.2f}, the colour of a quasar"
            for name, colour in quasars.items()
        ),
        f"{result.message} {result.time_s:.2f} s",
    ]
    title = "DECam z and unWISE: fluxes forced by the structure in z"
    return Comparison(title, table, values, {"forced": result, "z": alone}, notes)


def draw(comparison: Comparison, out: Path) -> None:
    """Data, model and residual in every band, East left."""
    figure = jl.plots.fit_summary(comparison.results["forced"], flipx=True)
    figure.savefig(out / "decam_unwise_1867p255.png", dpi=100, bbox_inches="tight")


if __name__ == "__main__":
    command_line(NAME, compare, draw, __doc__)
