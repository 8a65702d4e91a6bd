# SPDX-License-Identifier: BSD-3-Clause
"""A crowded field in five bands: the seven peaks of its catalogue, fitted together.

Every source has one shape for all bands and a flux in each. The brightest peak is a star. The
second is a galaxy with a compact bulge and a ring, made of two Sersic components about one centre;
what the ring leaves behind is most of what chi2 has above one a pixel, as the last columns show.
Two more sources, which the catalogue lacks, are modelled lest they disturb their neighbours.
"""

from pathlib import Path

import numpy as np
from astropy.io import fits
from shared import Comparison, command_line, manifest, pixels, rows, save_summary

import jointlight as jl

NAME = "hsc_cosmos_grizy"
# In the order of the catalogue, then two that it lacks, found by eye.
KINDS = ["star", "bulge + disc", "sersic", "exponential", "exponential", "star", "exponential"]
EXTRA = {"edge": ("exponential", (45, 13)), "red": ("star", (8, 44)), "knot": ("star", (35.4, 37))}
RING_RADIUS = 2.0  # arcsec about galaxy 2 that is left out of the outer chi2


def images(folder: Path) -> jl.TargetImageList:
    """The five bands. Bits of the masks are of unknown meaning, and nothing looks masked."""
    description = manifest(folder)
    file = folder / description["file"]
    return jl.TargetImageList(
        [
            jl.TargetImage(
                pixels(file, f"IMAGE_{band.upper()}"),
                pixelscale=description["pixel_scale_arcsec"],
                variance=pixels(file, f"VARIANCE_{band.upper()}"),
                psf=pixels(file, f"PSF_{band.upper()}"),
                zeropoint=description["zeropoint_ab"],
                name=band,
            )
            for band in description["bands"]
        ]
    )


def source(kind: str, name: str, target: jl.TargetImageList, xy: tuple[float, float]) -> jl.Model:
    """One source at a pixel."""
    center = target[0].pixel_to_plane(*xy)
    if kind == "star":
        return jl.joint("point source", target=target, name=name, center=center)
    if kind != "bulge + disc":
        return jl.joint(f"{kind} galaxy", target=target, name=name, amplitude="flux", center=center)
    bulge = jl.joint(
        "sersic galaxy", target=target, name="bulge", amplitude="flux", center=center,
        Re=0.3, n=3.0,
    )  # fmt: skip
    disc = jl.joint(
        "sersic galaxy", target=target, name="disc", amplitude="flux", center=bulge["center"],
        Re=1.0, n=0.5,
    )  # fmt: skip
    return jl.Model("group", target=target, models=[bulge, disc], name=name)


def compare(folder: Path) -> Comparison:
    """Fit; magnitudes, colours and how each source ended."""
    target = images(folder)
    catalogue = fits.getdata(folder / manifest(folder)["file"], "CATALOG")
    peaks = {str(k): (float(row["x"]), float(row["y"])) for k, row in enumerate(catalogue, 1)}
    sources = {name: (kind, xy) for kind, (name, xy) in zip(KINDS, peaks.items(), strict=True)}
    models = [source(kind, name, target, xy) for name, (kind, xy) in {**sources, **EXTRA}.items()]
    models.append(jl.joint("flat sky", target=target, name="sky"))
    model = jl.Model("group", target=target, models=models, name="COSMOS field")
    model.initialize()
    result = model.fit(verbose=0)
    values: dict = {"success": result.success, "reduced_chi2": result.reduced_chi2}
    values["peaks"], values["places"] = peaks, {}
    values["mags"], values["status"] = {}, {}
    lines = []
    for row in result.sources:
        name = row["name"]
        x, y = target[0].plane_to_pixel(row["x"].value, row["y"].value)
        mags = {image.name: float(row[f"mag_{image.name}"].value) for image in target}
        values["places"][name] = (float(x), float(y))
        values["mags"][name] = mags
        values["status"][name] = str(row["status"])
        colours = [result.color(*pair, source=name) for pair in ("gr", "ri", "iz", "zy")]
        cells: list = [name, mags["i"], float(row["mag_i_error"].value)]
        for colour in colours:
            cells += [float(colour.value), float(colour.error)]
        found = ", ".join(jl.flags.decode(int(row["flags"]))) or "none"
        lines.append([*cells, values["status"][name], found])
    columns = ["source", "i", "i error"]
    for colour in ("g-r", "r-i", "i-z", "z-y"):
        columns += [colour, "error" + " " * len([c for c in columns if c.startswith("error")])]
    columns += ["status", "flags"]
    values["chi2_per_pixel"], values["chi2_outside_ring"] = {}, {}
    x, y = target[0].pixel_to_plane(*np.meshgrid(*map(np.arange, target[0].shape[::-1])))
    middle = np.asarray(model["2/bulge/center"].value)
    outside = np.hypot(x - middle[0], y - middle[1]) > RING_RADIUS
    for image in target:
        squares = image.weight * model.residual(image) ** 2
        values["chi2_per_pixel"][image.name] = float(squares.mean())
        values["chi2_outside_ring"][image.name] = float(squares[outside].mean())
    notes = [
        "chi2 per pixel: " + shown(values["chi2_per_pixel"]),
        f"farther than {RING_RADIUS} arcsec from galaxy 2: " + shown(values["chi2_outside_ring"]),
        f"{result.message} {result.n_free} parameters, {result.time_s:.2f} s",
    ]
    title = "COSMOS: a crowded field in grizy, AB magnitudes and colours"
    return Comparison(title, rows(columns, lines), values, {"": result}, notes)


def shown(numbers: dict[str, float]) -> str:
    """Numbers by band."""
    return ", ".join(f"{band} {number:.3f}" for band, number in numbers.items())


def draw(comparison: Comparison, out: Path) -> None:
    """Data, model, residual."""
    save_summary(comparison.results[""], out / "hsc_cosmos_grizy.png")


if __name__ == "__main__":
    command_line(NAME, compare, draw, __doc__)
