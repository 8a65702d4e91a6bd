# SPDX-License-Identifier: BSD-3-Clause
"""Galaxies of the cluster Abell 2744 in two epochs of JWST (NIRCam F200W).

The images are on one grid that is turned by 43 degrees against the sky; their PSFs differ, as the
telescope had rolled. Objects are detected on the sum of both epochs, `jl.joint_from_segmentation`
turns the detections into galaxies with one shape for both epochs and a flux in each, and one fit
solves for all. A large spiral galaxy, which no smooth profile describes, is masked; the bright
elliptical beside it gets a halo as second component.

Differences of magnitude between the epochs are set beside those in apertures on the images
themselves. Errors are multiplied by a factor that is measured on blank sky, since resampling has
correlated neighbouring pixels. Some galaxies differ by more than that: the backgrounds of the two
epochs are not flat on their scale.
"""

from pathlib import Path

import numpy as np
from scipy import ndimage
from shared import Comparison, command_line, manifest, pixels, rows, save_summary

import jointlight as jl

NAME = "jwst_a2744_two_epochs"
SPIRAL = (127, 210, 64, 33, 70)  # ellipse that is masked: x, y, semi-axes, angle from +x (degrees)
ELLIPTICAL = (159, 175)  # pixel
ELLIPTICAL_WINDOW = ((60, 290), (30, 320))
BORDER = 8  # pixels: what is detected nearer to the border is left out
APERTURE, RING = 14.0, (18.0, 26.0)  # pixels
PATCH = 8  # pixels, side of the patches on which the correlation of noise is measured


def epochs(folder: Path) -> jl.TargetImageList:
    """The two images; the spiral galaxy is masked."""
    made = []
    for entry in manifest(folder)["images"]:
        sigma = pixels(folder / entry["error_file"])
        made.append(
            jl.TargetImage.from_fits(
                folder / entry["file"],
                std=sigma,
                mask=in_ellipse(sigma.shape, *SPIRAL),
                psf=pixels(folder / entry["psf_file"]),
                zeropoint=entry["zeropoint_ab"],
                name=entry["epoch"],
            )
        )
    return jl.TargetImageList(made)


def in_ellipse(
    shape: tuple[int, int], x0: float, y0: float, a: float, b: float, angle: float
) -> np.ndarray:
    """Pixels within an ellipse."""
    y, x = np.indices(shape)
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    along, across = (x - x0) * c + (y - y0) * s, (y - y0) * c - (x - x0) * s
    return np.hypot(along / a, across / b) < 1


def detect(folder: Path) -> np.ndarray:
    """Segmentation map of both epochs added up, without the spiral and the border."""
    try:
        import sep
    except ImportError:
        raise SystemExit("this example detects its galaxies with sep: pip install sep") from None
    entries = manifest(folder)["images"]
    weights = [1 / pixels(folder / entry["error_file"]) ** 2 for entry in entries]
    data = sum(w * pixels(folder / e["file"]) for w, e in zip(weights, entries, strict=True))
    data = np.ascontiguousarray(data / sum(weights))
    offset = np.arange(-3, 4)
    kernel = np.exp(-0.5 * (offset[:, None] ** 2 + offset**2) / 1.6**2)
    found, labels = sep.extract(
        data - sep.Background(data, bw=32, bh=32).back(),
        4.0,
        err=sum(weights) ** -0.5,
        minarea=15,
        filter_kernel=kernel,
        deblend_nthresh=64,
        deblend_cont=0.0005,
        segmentation_map=True,
    )
    spiral = in_ellipse(data.shape, *SPIRAL)
    inner = np.zeros(data.shape, dtype=bool)
    inner[BORDER:-BORDER, BORDER:-BORDER] = True
    column, row = np.rint([found["x"], found["y"]]).astype(int)
    dropped = 1 + np.flatnonzero(spiral[row, column] | ~inner[row, column])
    return np.where(np.isin(labels, dropped), 0, labels)


def build(target: jl.TargetImageList, labels: np.ndarray) -> jl.Group:
    """A galaxy for each label, a halo for the elliptical, a sky for each epoch."""
    model = jl.joint_from_segmentation(
        "sersic galaxy", labels, target=target, amplitude="flux", sky="flat sky",
        n={"limits": (0.3, 8)}, q={"limits": (0.1, 1)}, min_area=64, name="Abell 2744",
    )  # fmt: skip
    elliptical = model[str(labels[ELLIPTICAL[::-1]])]
    for component in elliptical.components:
        component.window = ELLIPTICAL_WINDOW
    halo = jl.joint(
        "exponential galaxy", target=target, name="halo", amplitude="flux",
        center=elliptical["center"], PA=elliptical["PA"].value, q=0.6, Re=2.0,
    )  # fmt: skip
    return model.add(halo)


def correlation(folder: Path, labels: np.ndarray) -> float:
    """How much wider patches of blank sky scatter than if their pixels were independent."""
    entries = manifest(folder)["images"]
    one, two = (pixels(folder / entry["file"]) for entry in entries)
    variance = sum(pixels(folder / entry["error_file"]) ** 2 for entry in entries)
    noise = (one - two) / np.sqrt(variance)
    blank = ~ndimage.binary_dilation(labels > 0, iterations=6)
    blank &= ~in_ellipse(noise.shape, *SPIRAL)
    n = noise.shape[0] // PATCH
    patches = noise[: n * PATCH, : n * PATCH].reshape(n, PATCH, n, PATCH).sum(axis=(1, 3))
    empty = blank[: n * PATCH, : n * PATCH].reshape(n, PATCH, n, PATCH).all(axis=(1, 3))
    scatter = 1.4826 * np.median(np.abs(patches[empty] - np.median(patches[empty])))
    return float(scatter / PATCH)


def aperture_difference(target: jl.TargetImageList, x: float, y: float) -> float:
    """Difference of magnitude in an aperture above the sky in a ring about it."""
    row, column = np.indices(target[0].shape)
    distance = np.hypot(column - x, row - y)
    magnitudes = []
    for image in target:
        ring = (distance > RING[0]) & (distance < RING[1]) & ~image.mask
        inside = (distance < APERTURE) & ~image.mask
        flux = np.sum(image.data[inside] - np.median(image.data[ring]))
        magnitudes.append(image.zeropoint - 2.5 * np.log10(flux))
    return float(magnitudes[0] - magnitudes[1])


def compare(folder: Path) -> Comparison:
    """Fit both epochs; their magnitudes beside aperture photometry."""
    target, labels = epochs(folder), detect(folder)
    model = build(target, labels)
    model.initialize()
    result = model.fit(verbose=0)
    factor = correlation(folder, labels)
    first, second = (image.name for image in target)
    lines, galaxies = [], {}
    for row in result.sources:
        x, y = target[0].plane_to_pixel(row["x"].value, row["y"].value)
        difference = result.color(first, second, source=row["name"])
        one = {
            "xy": (float(x), float(y)),
            "mag": float(row[f"mag_{first}"].value),
            "difference": float(difference.value),
            "error": factor * float(difference.error),
            "aperture": aperture_difference(target, float(x), float(y)),
            "status": str(row["status"]),
        }
        galaxies[row["name"]] = one
        shape = (float(row["Re"].value), float(row["n"]), float(row["q"]))
        flags = ", ".join(jl.flags.decode(int(row["flags"]))) or "none"
        lines.append(
            (row["name"], *one["xy"], one["mag"], one["difference"], one["error"],
             one["aperture"], *shape, flags)
        )  # fmt: skip
    columns = ["galaxy", "x", "y", first, "difference", "error", "in apertures"]
    columns += ["Re (arcsec)", "n", "q", "flags"]
    chi2 = {
        image.name: float(c / n)
        for image, c, n in zip(target, result.chi2_images, result.n_pixels_images, strict=True)
    }
    bright = [one for one in galaxies.values() if one["mag"] < 25]
    offset = float(np.median([one["difference"] for one in bright]))
    pulls = [abs(one["difference"] - offset) / one["error"] for one in galaxies.values()]
    values = {
        "success": result.success,
        "chi2_per_pixel": chi2,
        "galaxies": galaxies,
        "n_sources": len(galaxies),
        "offset": offset,
        "pulls": pulls,
        "correlation": factor,
        "time_s": result.time_s,
    }
    notes = [
        f"{len(galaxies)} galaxies, {result.n_free} parameters. {result.message}",
        f"{result.n_linearize} Jacobians, {result.time_s:.2f} s",
        "chi2 per pixel: " + ", ".join(f"{name} {c:.3f}" for name, c in chi2.items()),
        f"Galaxies brighter than 25: the epochs' zeropoints differ by {offset:+.3f} (median).",
        f"From that all {len(galaxies)} differ by {np.median(pulls):.1f} errors (median).",
        f"Noise on {PATCH} x {PATCH} pixels is {factor:.2f} times that of independent pixels.",
    ]
    title = f"Abell 2744: magnitudes in {first} less those in {second}"
    return Comparison(title, rows(columns, lines), values, {"": result}, notes)


def draw(comparison: Comparison, out: Path) -> None:
    """Data, model, residual."""
    save_summary(comparison.results[""], out / "jwst_a2744_two_epochs.png")


if __name__ == "__main__":
    command_line(NAME, compare, draw, __doc__)
