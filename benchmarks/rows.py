# SPDX-License-Identifier: BSD-3-Clause
"""What must be reached, and where in a result it stands: the rows of the performance table.

Only the standard library: tests read it without the benchmarks' other needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["BOUNDS", "ROWS", "Row", "judged", "text_of"]

Document = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One figure with its target; `value` gives None where it was not measured."""

    key: str
    group: str  # measured together
    work: str
    baseline: str
    unit: str  # "x", "/s", "s", "ms", "MB"
    reach: float
    value: Callable[[Document], float | None]
    at_most: bool = False
    note: Callable[[Document], str] | None = None  # on what is compared, from the result


def ratio(case: str, quantity: str, peer: str, theirs: str | None = None) -> Callable:
    """Their processor time over ours, of one case: with one thread, what a quiet machine's wall
    clock shows.
    """

    def value(document: Document) -> float | None:
        peers = document[case]["peers"]
        if peer not in peers:
            return None
        ours = peers["jointlight"]["quantities"][quantity]["median_cpu_s"]
        return float(peers[peer]["quantities"][theirs or quantity]["median_cpu_s"] / ours)

    return value


def rate(case: str, quantity: str = "fits") -> Callable:
    """Objects a second."""
    return lambda d: d[case]["peers"]["jointlight"]["quantities"][quantity]["per_second"]


def faster(case: str, peer: str) -> Callable:
    """Their processor time over ours, both on the objects that the slow codes fit."""

    def value(document: Document) -> float | None:
        peers = document[case]["peers"]
        if peer not in peers:
            return None
        ours = peers["jointlight"]["quantities"]["fits_chosen"]
        theirs = peers[peer]["quantities"]["fits"]
        if ours["n"] != theirs["n"]:
            return None
        return float(theirs["median_cpu_s"] / ours["median_cpu_s"])

    return value


def threads(case: str) -> Callable:
    """Two threads over one, both by the wall clock."""

    def value(document: Document) -> float:
        found = document[case]["peers"]["jointlight"]["quantities"]
        return float(found["fits"]["median_s"] / found["fits_2_threads"]["median_s"])

    return value


def off_by(case: str, peer: str) -> Callable[[Document], str]:
    """How far a peer's answer is from the optimum, of the fit or of the median stamp."""

    def note(document: Document) -> str:
        found = document[case]["peers"][peer]["agreement"]
        if "median_offset_sigma" in found:
            return f"off by {found['median_offset_sigma']:.2g} sigma at the median"
        worst = max(abs(v) for v in found["offset_from_galsim_optimum_sigma"].values())
        return f"off by {worst:.2g} sigma"

    return note


FIT = "three-image fit (500x500, 52x52, 90x90), 9 parameters, start 20-50 % off"
PLANES = "500x500 PSF-convolved Sersic: image and 7 derivative planes"
ALONE = "the same: image alone"
STAMPS = "1,000 different galaxies, 101x101, PSF 31x31, 7 parameters, through fit_many"
SMALL = "the same, 64x64, PSF 21x21"
NINE = "nine-band bulge and disc, 4 pixel scales, 27 parameters"
CROWDED = "crowded field of 1,000 sources, one solve"
EPOCHS = "host and transient in 100 exposures of 100 WCS, 69 parameters"
ROWS = (
    Row(
        "fit_astrophot",
        "demo_fit",
        FIT,
        "AstroPhot LM",
        "x",
        150,
        ratio("demo_fit", "fit", "astrophot"),
    ),
    Row(
        "fit_scipy",
        "demo_fit",
        FIT,
        "scipy by hand",
        "x",
        40,
        ratio("demo_fit", "fit", "scipy_hand"),
        note=off_by("demo_fit", "scipy_hand"),
    ),
    Row(
        "fit_scipy_fine",
        "demo_fit",
        FIT,
        "scipy by hand, pixels cut in 3x3",
        "x",
        40,
        ratio("demo_fit", "fit", "scipy_fine"),
        note=off_by("demo_fit", "scipy_fine"),
    ),
    Row(
        "planes_astrophot",
        "image500",
        PLANES,
        "AstroPhot Jacobian",
        "x",
        80,
        ratio("image500", "planes", "astrophot", "jacobian"),
    ),
    Row(
        "planes_pysersic",
        "image500",
        PLANES,
        "pysersic/JAX Jacobian",
        "x",
        10,
        ratio("image500", "planes", "pysersic_jax", "jacobian"),
    ),
    Row(
        "image_pyimfit",
        "image500",
        ALONE,
        "pyimfit",
        "x",
        40,
        ratio("image500", "image", "pyimfit_image"),
    ),
    Row(
        "image_galsim",
        "image500",
        ALONE,
        "GalSim, to 1e-7 of the peak",
        "x",
        50,
        ratio("image500", "image", "galsim_draw", "image_tight"),
    ),
    Row(
        "image_pysersic",
        "image500",
        ALONE,
        "pysersic/JAX",
        "x",
        4,
        ratio("image500", "image", "pysersic_jax"),
    ),
    Row("stamps_rate", "stamps_101", STAMPS, "", "/s", 600, rate("stamps_101")),
    Row(
        "stamps_scipy",
        "stamps_101",
        STAMPS,
        "scipy by hand",
        "x",
        85,
        faster("stamps_101", "scipy_hand"),
        note=off_by("stamps_101", "scipy_hand"),
    ),
    Row(
        "stamps_scipy_fine",
        "stamps_101",
        STAMPS,
        "scipy by hand, pixels cut in 3x3",
        "x",
        85,
        faster("stamps_101", "scipy_fine"),
        note=off_by("stamps_101", "scipy_fine"),
    ),
    Row(
        "stamps_astrophot",
        "stamps_101",
        STAMPS,
        "AstroPhot LM, one by one",
        "x",
        300,
        faster("stamps_101", "astrophot"),
    ),
    Row(
        "stamps_pyimfit",
        "stamps_101",
        STAMPS,
        "pyimfit LM",
        "x",
        400,
        faster("stamps_101", "pyimfit_image"),
    ),
    Row("small_rate", "stamps_64", SMALL, "", "/s", 1200, rate("stamps_64")),
    Row(
        "small_threads",
        "stamps_64",
        SMALL + ", 2 threads",
        "1 thread",
        "x",
        1.9,
        threads("stamps_64"),
    ),
    Row("nine_bands", "nine_bands", NINE, "", "/s", 15, lambda d: d["nine_bands"]["per_second"]),
    Row(
        "crowded_ratio",
        "crowded",
        CROWDED,
        "before this work",
        "x",
        5,
        lambda d: d["crowded"]["ratio"],
        note=lambda d: str(d["crowded"]["before_is"]),
    ),
    Row(
        "crowded_time",
        "crowded",
        CROWDED + ", 2 threads",
        "",
        "s",
        60,
        lambda d: d["crowded"]["two_threads_s"],
        at_most=True,
    ),
    Row(
        "transient",
        "transient",
        EPOCHS,
        "",
        "s",
        1,
        lambda d: d["transient"]["seconds"]["fit"],
        at_most=True,
    ),
    Row(
        "first_fit",
        "startup",
        "first fit after import, 64x64",
        "",
        "ms",
        50,
        lambda d: 1e3 * d["startup"]["first_fit_s"],
        at_most=True,
    ),
    Row(
        "import",
        "startup",
        "import beyond astropy",
        "",
        "ms",
        150,
        lambda d: 1e3 * d["startup"]["import_s"],
        at_most=True,
    ),
    Row(
        "memory",
        "memory",
        "peak memory of the three-image fit beyond numpy and astropy",
        "",
        "MB",
        60,
        lambda d: d["memory"]["jointlight"]["beyond_mb"],
        at_most=True,
    ),
)

PLANES_BOUND = (
    "eight planes of 500x500 doubles are 16 MB, which leave the caches; a fit never makes them "
    "(image, derivatives and normal equations: below)."
)
HAND_BOUND = (
    "this renderer convolves whole pixels and does not compute the same answer (offsets: below); "
    "the row with pixels cut in 3x3 compares answers that agree."
)
RATE_BOUND = (
    "the target is a rate, set on another machine, and goes with the speed of a core; how near an "
    "evaluation's stages are to this processor's limits, and how many a fit takes, stands below."
)
PEER_BOUND = (
    "what our fit takes: how near an evaluation's stages are to this processor's limits, and how "
    "many a fit takes, stands below."
)
IMAGE_BOUND = (
    "what our image takes: the coarse grids of the smooth rest and one pass over the pixels, "
    "of which the image from Python is a copy (stages of an evaluation: below)."
)
SOLVE_BOUND = (
    "one solve takes as many rounds as its slowest region, each with the windows of all sources "
    "that still move (time with the number of sources: below)."
)
THREADS_BOUND = "wall clocks on two cores that other work shares: what it takes, two threads lack."
START_BOUND = (
    "processor time of Python, of loading modules and of the first scene: it goes with the speed "
    "of a core, and the target was set on another machine."
)
# Said of a row where it is missed.
BOUNDS: dict[str, str] = {
    "fit_astrophot": PEER_BOUND,
    "fit_scipy": HAND_BOUND,
    "fit_scipy_fine": PEER_BOUND,
    "planes_astrophot": PLANES_BOUND,
    "planes_pysersic": PLANES_BOUND,
    "image_pyimfit": IMAGE_BOUND,
    "image_galsim": IMAGE_BOUND,
    "image_pysersic": IMAGE_BOUND,
    "stamps_rate": RATE_BOUND,
    "stamps_scipy": HAND_BOUND,
    "stamps_scipy_fine": PEER_BOUND,
    "stamps_astrophot": PEER_BOUND,
    "stamps_pyimfit": PEER_BOUND,
    "small_rate": RATE_BOUND,
    "small_threads": THREADS_BOUND,
    "nine_bands": RATE_BOUND,
    "crowded_ratio": SOLVE_BOUND,
    "crowded_time": SOLVE_BOUND,
    "transient": (
        "a hundred windows of their own WCS in every evaluation: stages of a window stand below; "
        "the target was set on another machine."
    ),
    "first_fit": START_BOUND,
    "import": START_BOUND,
    "memory": "the data, the PSF's transforms and the shared libraries that importing maps.",
}


def judged(document: Document) -> list[dict[str, Any]]:
    """Every row with what was reached and whether that is enough, None where not measured."""
    out = []
    for row in ROWS:
        met, note = None, ""
        try:
            reached = row.value(document)
            if reached is not None and row.note is not None:
                note = row.note(document)
        except (KeyError, TypeError):  # a group or a quantity that was not measured
            reached = None
        if reached is not None:
            met = bool(reached <= row.reach if row.at_most else reached >= row.reach)
        out.append(
            {
                "key": row.key,
                "work": row.work,
                "baseline": row.baseline,
                "note": note,
                "reach": text_of(row.reach, row.unit, at_most=row.at_most),
                "reached": reached,
                "unit": row.unit,
                "met": met,
            }
        )
    return out


def text_of(value: float | None, unit: str, *, at_most: bool | None = None) -> str:
    """Three significant digits with the unit; a target with its direction."""
    if value is None:
        return "-"
    text = f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
    sign = "" if at_most is None else "≤ " if at_most else "≥ "
    return sign + text + (unit if unit in ("x", "/s") else f" {unit}")
