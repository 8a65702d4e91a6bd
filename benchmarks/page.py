# SPDX-License-Identifier: BSD-3-Clause
"""Write docs/performance.md from the stored results, so that no figure is typed by hand.

    python -m benchmarks.page

A test compares page and results.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "performance.md"
LANES, DOUBLE = 8, 8

Document = dict[str, Any]


def neighbour(name: str) -> ModuleType:
    """A module of this folder by file: tests have no package `benchmarks` on their path."""
    full = f"jointlight_benchmarks_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[full] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[full]


rows = neighbour("rows")


def table(head: list[str], body: list[list[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(line) + " |" for line in body])


def milliseconds(seconds: float) -> str:
    """Three significant digits."""
    value = 1e3 * seconds
    return f"{value:.3g} ms" if value < 1000 else f"{seconds:.3g} s"


def targets(document: Document) -> str:
    """What was to be reached and what was."""
    body, missed, absent = [], [], []
    for row in rows.judged(document):
        if row["met"] is None:
            absent.append(row["key"])
            continue
        verdict = "met" if row["met"] else "**missed**"
        reached = rows.text_of(row["reached"], row["unit"])
        against = "; ".join(t for t in (row["baseline"], row["note"]) if t)
        body.append([row["work"], against, row["reach"], reached, verdict])
        if not row["met"]:
            missed.append(f"- {row['work']}, {row['baseline'] or row['reach']}: "
                          f"{rows.BOUNDS[row['key']]}")  # fmt: skip
    text = table(["work", "against", "target", "reached", ""], body)
    counts = [f"{len(body) - len(missed)} met", f"{len(missed)} missed"]
    if absent:
        counts.append(f"not measured: {', '.join(absent)}")
    text += "\n\n" + ", ".join(counts) + "." + by_hand(document)
    if missed:
        text += "\n\nWhat bounds the rows that were missed:\n\n" + "\n".join(missed)
    return text


def by_hand(document: Document) -> str:
    """That scipy by hand is two codes, of which one gives another answer."""
    cases = ("demo_fit", "stamps_101")
    peers = ("scipy_hand", "scipy_fine")
    if not all(p in document.get(c, {}).get("peers", {}) for c in cases for p in peers):
        return ""
    coarse, fine = (
        [rows.off_by(c, p)(document).removeprefix("off by ") for c in cases] for p in peers
    )
    return (
        "\n\nscipy by hand, as given, does not compute the same answer: its worst parameter is off "
        f"by {coarse[0]} in the three-image fit and by {coarse[1]} of the stamps. With pixels cut "
        f"in 3x3 it comes within {fine[0]} and {fine[1]}, at several times the cost. Both have the "
        "same target."
    )


def left_out(document: Document) -> str:
    """Objects that no answer is compared on."""
    found = [
        f"{name.partition('_')[2]}x{name.partition('_')[2]} stamp {e['stamp']} ({e['why']})"
        for name in ("stamps_101", "stamps_64")
        for e in document.get(name, {}).get("left_out", [])
    ]
    if not found:
        return ""
    return "Left out of the answers, though not of the times: " + "; ".join(found) + "."


def answers(document: Document) -> str:
    """How far the codes' answers are from GalSim's."""
    body = []
    for name, peer in document.get("image500", {}).get("peers", {}).items():
        found = peer["agreement"]["worst_pixel_over_peak"]
        body.append(["500x500 image", label(name, peer), f"worst pixel {found:.0e} of the peak"])
    for name, peer in document.get("demo_fit", {}).get("peers", {}).items():
        found = peer["agreement"]["chi2_above_galsim_optimum"]
        offsets = peer["agreement"]["offset_from_galsim_optimum_sigma"]
        worst = max(abs(v) for v in offsets.values())
        body.append(
            [
                "three-image fit",
                label(name, peer),
                f"χ² {found:.2f} above the optimum, parameters within {worst:.2g} sigma",
            ]
        )
    for name, peer in document.get("stamps_101", {}).get("peers", {}).items():
        found = peer["agreement"]
        text = f"median {found['median_offset_sigma']:.2g} sigma"
        text += f", largest {found['largest_offset_sigma']:.2g} sigma"
        if found["failed"]:
            text += f", {found['failed']} of {found['of']} beyond 1 sigma"
        body.append(["101x101 stamps, worst parameter of each", label(name, peer), text])
    return table(["answers", "code", "from GalSim's"], body)


def label(name: str, peer: Document) -> str:
    """Code and version."""
    names = {
        "jointlight": "jointlight",
        "scipy_hand": "scipy",
        "scipy_fine": "scipy",
        "galsim_draw": "GalSim",
        "pyimfit_image": "pyimfit",
        "pysersic_jax": "pysersic",
        "astrophot": "AstroPhot",
    }
    version = peer["versions"].get(names[name], "")
    how = {"scipy_hand": " by hand", "scipy_fine": " by hand, pixels cut in 3x3"}
    return f"{names[name]} {version}{how.get(name, '')}"


def times(document: Document) -> str:
    """Medians of every quantity."""
    words = {
        "image": "image",
        "planes": "image and 7 derivative planes",
        "jacobian": "7 derivative planes",
        "linearize": "image, derivatives and normal equations",
        "image_new_n": "image, a new n each time",
        "image_tight": "image, to 1e-7 of the peak",
        "image_tight_new_n": "image, to 1e-7 of the peak, a new n each time",
        "fit": "fit",
        "fits": "fits",
        "fits_2_threads": "fits, 2 threads",
        "fits_chosen": "fits",
    }
    body = []
    for case, what in (
        ("image500", "500x500"),
        ("demo_fit", "three-image fit"),
        ("stamps_101", "stamps 101x101"),
        ("stamps_64", "stamps 64x64"),
    ):
        for name, peer in document.get(case, {}).get("peers", {}).items():
            for quantity, found in peer["quantities"].items():
                n = found.get("n")
                said = words[quantity].replace("fits", f"{n:,} fits" if n else "fits")
                wall, cpu = found["median_s"], found["median_cpu_s"]
                shown = [
                    rows.text_of(round(n / t, 1 if n < 100 * t else None), "/s")
                    if n
                    else milliseconds(t)
                    for t in (cpu, wall)
                ]
                if quantity == "fits_2_threads":
                    shown[0] = "-"
                body.append([what, label(name, peer), said, *shown])
    return table(["work", "code", "quantity", "by processor time", "by wall clock"], body)


def fft_cost(limits: Document, size: int, points: float) -> float:
    """Seconds of transforms of this length over so many points, from those measured alone."""
    known = {int(k): v for k, v in limits["fft_ns_per_point"].items()}
    nearest = min(known, key=lambda k: abs(k - size))
    return 1e-9 * known[nearest] * points


def roofline(document: Document, name: str) -> str:
    """One evaluation by stage against what the processor could do."""
    limits, found = document["limits"], document["stages"]["stages"][name]
    seconds, pixels = found["seconds"], found["pixels"]
    box_x, box_y = found["box"]
    columns, fma = box_x // 2 + 1, limits["fma_per_s"]
    lanes = LANES * DOUBLE * pixels  # bytes
    level = "l2" if lanes < 800e3 else "l3" if lanes < 12e6 else "memory"
    read = lanes / limits[f"read_{level}_bytes_per_s"]
    where = {"l2": "second cache", "l3": "third cache", "memory": "memory"}[level]
    # Multiply-adds a pixel: 8 x 8 block, weights, gradient, model.
    sums = pixels * (LANES * LANES + 3 * LANES) / fma
    height = min(pixels**0.5, box_y)
    bounds = {
        "columns": (
            fft_cost(limits, box_y, columns * box_y),
            "the transforms alone; the rest fills the spectrum",
        ),
        "rows": (fft_cost(limits, box_x, 0.5 * box_x * height), "the transforms alone"),
        "normal": (max(sums, read), f"88 multiply-adds or 64 bytes from the {where} a pixel"),
        "subtract": (2 * read, f"128 bytes to and from the {where} a pixel"),
    }
    if "smooth" in seconds:  # in two parts: rows of lanes are made where they are summed
        bounds["normal"] = (sums, "88 multiply-adds a pixel, once its lanes are made")
    names = {
        "place": "place tiles, radial table",
        "columns": "fill columns, FFT along y",
        "rows": "FFT along x",
        "copies": "wings: copies' light",
        "subtract": "wings: taken off",
        "smooth": "smooth rest: coarse grids",
        "pixel": "pixel renderer",
        "residual": "residual alone",
        "normal": "residual, normal equations",
        "fold": "fold into parameters",
        "rest": "rest",
    }
    body = []
    for key, took in seconds.items():
        if key == "total":
            continue
        bound, what = bounds.get(key, (None, ""))
        body.append(
            [
                names[key],
                f"{1e9 * took / pixels:.2f}",
                f"{100 * took / seconds['total']:.0f} %",
                f"{1e9 * bound / pixels:.2f}" if bound else "",
                f"{100 * bound / took:.0f} %" if bound else "",
                what,
            ]
        )
    total = seconds["total"]
    body.append(["all", f"{1e9 * total / pixels:.2f}", "100 %", "", "", milliseconds(total)])
    return table(["stage", "ns a pixel", "share", "limit", "reached", "the limit is"], body)


def machine_limits(limits: Document) -> str:
    """One paragraph."""
    rates = ", ".join(
        f"{limits[f'read_{k}_bytes_per_s'] / 1e9:.0f} GB/s from {name}"
        for k, name in (("l1", "the first cache"), ("l2", "the second"), ("l3", "the third"),
                        ("memory", "memory"))
    )  # fmt: skip
    return (
        f"One thread of this processor (`{limits['isa']}` kernels, {limits['vector_width']} lanes "
        f"a vector) does {limits['fma_per_s'] / 1e9:.0f}e9 multiply-adds a second in registers, "
        f"one `exp` in {limits['exp_ns']:.2f} ns and one `log` in {limits['log_ns']:.2f} ns (ours, "
        f"in loops over arrays), and reads {rates}."
    )


def scaling(document: Document) -> str:
    """Growth with size, PSF, sources, threads."""
    found = document["stages"]["scaling"]
    parts = []
    for key, what in (
        ("size", "image side, pixels (PSF 21x21)"),
        ("psf", "PSF side, pixels (image 101x101)"),
    ):
        body = [
            [side, "x".join(map(str, e["box"])), milliseconds(e["seconds"]["total"]),
             f"{1e9 * e['seconds']['total'] / e['pixels']:.1f}"]
            for side, e in found[key].items()
        ]  # fmt: skip
        parts.append(table([what, "box", "one evaluation", "ns a pixel"], body))
    body = []
    for count, e in found["sources"].items():
        used = e["used"]  # without the dense matrix that the Python method returns
        body.append([count, milliseconds(used), f"{1e6 * used / int(count):.0f} µs"])
    parts.append(table(["sources in windows of 48x48", "one evaluation", "a source"], body))
    body = []
    for name, each in found["threads"].items():
        one, two = (each[k]["used"] for k in ("1", "2"))
        body.append([name, milliseconds(one), milliseconds(two), f"{one / two:.2f}"])
    parts.append(table(["one evaluation, wall clock", "1 thread", "2 threads", "ratio"], body))
    return "\n\n".join(parts)


def evaluations(tuning: Document, before: Document | None) -> str:
    """Distribution of evaluations on the tuning set."""
    body = []
    for kind, what in (("single", "one galaxy"), ("blend", "blend of two"), ("all", "all")):
        for state, found in (("before", before), ("now", tuning)):
            if found is None:
                continue
            s = found["summary"][kind]
            tail = s["n_linearize"]
            body.append(
                [what, str(s["n"]), state, *(f"{tail[k]:.0f}" for k in TAIL), f"{tail['mean']:.1f}",
                 str(s["not_converged"]), str(s["wrong"])]
            )  # fmt: skip
    head = ["problems", "number", "", *TAIL, "mean", "not converged", "not at the optimum"]
    text = table(head, body)
    return text + "\n\n" + worse(tuning, before) if before is not None else text


def worse(tuning: Document, before: Document) -> str:
    """Which figures of the evaluations rose: what the lower ones cost."""
    rose = []
    for kind, what in (("single", "single galaxies"), ("blend", "blends")):
        now, then = tuning["summary"][kind], before["summary"][kind]
        for key in (*TAIL, "mean"):
            a, b = then["n_linearize"][key], now["n_linearize"][key]
            if b > a:
                rose.append(f"{what}: evaluations ({key}) {a:.1f} to {b:.1f}")
        for key, said in (("not_converged", "not converged"), ("wrong", "not at the optimum")):
            if now[key] > then[key]:
                rose.append(f"{what}: {said} {then[key]} to {now[key]} of {now['n']}")
    if not rose:
        return f"Before is commit {before['commit']}, now {tuning['commit']}; nothing got worse."
    return (
        f"Before is commit {before['commit']}, now {tuning['commit']}. What got worse: "
        + "; ".join(rose)
        + "."
    )


TAIL = ("median", "90 %", "99 %", "max")


HOW = """
Written from `benchmarks/results/` by `python -m benchmarks.page`; how it is measured:
`benchmarks/README.md`.

{cpu}, {cores} cores, {date}. Every code in a process of its own, one thread unless said, float64
(pysersic: float32), {repeats} interleaved repeats (fewer of what takes long); figures are medians
and ratios those of medians, of processor time where there is one thread: other work shares the
machine. Times of two threads, and what is divided by them, are wall clock. Peers fit {subset} of
the 1,000 stamps, chosen at random, and ratios are to our time for these same stamps; rates are for
all 1,000. Target rates were set on another machine. jointlight's derivative planes come with the
image, the others' without.
"""
JUDGE = """
Speed counts only with the same answer. The judge is GalSim: its image, or the optimum of its model
on the same data. Codes that convolve a pixelated galaxy on the native grid have an error of their
own, which is theirs at any speed.
"""
EVALUATION = """
One evaluation is value, 7 derivatives, residual and normal equations. A stamp of 101x101 pixels:
"""
TUNING = """
{n} made-up problems, always the same (`python -m benchmarks.tuning`): n 0.5-7, half-light radius
0.7-12 pixels, axis ratio 0.15-1, signal-to-noise ratio 10-1000, a third of them blends, starts
20-50 % off in every parameter. Linearizations until convergence:
"""


def precision(found: Document) -> str:
    """Both precisions at every level."""
    body = []
    for level, facts in found["levels"].items():
        for side, seconds in facts["evaluations"].items():
            one, other = seconds["float64"], seconds["mixed"]
            body.append(
                [LEVELS[level], side, *(f"{1e6 * s:.0f} µs" for s in (one, other)),
                 f"{one / other:.2f}"]
            )  # fmt: skip
    each = [facts["answers"] for facts in found["levels"].values()]
    told = {
        "n": each[0]["n"],
        "shift": max(a["worst_shift_sigma"] for a in each),
        "ratio": max(a["worst_error_ratio"] for a in each),
        "other": sum(a["other_status"] for a in each),
        "commit": found["commit"],
    }
    head = ["instructions", "image side, pixels", "float64", "mixed", "ratio"]
    return table(head, body) + "\n\n" + ANSWERS.format(**told).strip()


LEVELS = {"v4": "AVX-512", "v3": "AVX2", "base": "SSE2", "isa_host": "of the processor"}
PRECISION = """
`precision="mixed"` takes derivatives in float32 where one Fourier box holds a window; images, chi2,
all sums and large windows stay float64 (`python -m benchmarks.precision`). A scene keeps 0.6 of the
memory, and it saves time where a register holds fewer than eight float64 numbers, the
lanes of one pixel:
"""
ANSWERS = """
Of {n} stored stamps, fitted both ways, no parameter differs by more than {shift:.2g} sigma, no
error by more than {ratio:.2g} of itself, and {other} end with another status
(`benchmarks/results/precision.json`, commit {commit}).
"""


def render(
    document: Document,
    tuning: Document | None,
    before: Document | None,
    precisions: Document | None,
) -> str:
    """The page."""
    repeats = {facts["repeats"] for facts in document["measured"].values()}
    facts = document["machine"] | {"date": document["date"]}
    facts["repeats"] = " to ".join(str(r) for r in sorted({min(repeats), max(repeats)}))
    facts["subset"] = document.get("stamps_101", {}).get("subset", "some")
    parts = ["# Performance", HOW.format(**facts), states(document)]
    parts += ["## What was to be reached", targets(document)]
    parts += ["## The answers", JUDGE, answers(document), left_out(document)]
    parts += ["## Times", times(document)]
    if "limits" in document and "stages" in document:
        parts += ["## One evaluation by stage", machine_limits(document["limits"])]
        parts += [EVALUATION, roofline(document, "stamp 101")]
        parts += ["An image of 500x500 pixels, its core and its smooth rest drawn apart:"]
        parts += [roofline(document, "image 500")]
        parts += ["The limit of a transform is the same transform alone, in the first caches."]
        parts += ["## Scaling", scaling(document)]
    if precisions is not None:
        parts += ["## Mixed precision", PRECISION, precision(precisions)]
    if tuning is not None:
        parts += ["## Evaluations a fit takes", TUNING.format(n=tuning["summary"]["all"]["n"])]
        parts += [evaluations(tuning, before)]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def states(document: Document) -> str:
    """The commits that were measured."""
    by_commit: dict[str, list[str]] = {}
    for name, facts in document["measured"].items():
        by_commit.setdefault(facts["commit"], []).append(name)
    if len(by_commit) == 1:
        return f"Measured at commit {next(iter(by_commit))}."
    each = (f"{commit} ({', '.join(sorted(names))})" for commit, names in by_commit.items())
    return "Measured at commits " + "; ".join(each) + "."


def stored(name: str) -> Document | None:
    """A result file, None where there is none."""
    path = RESULTS / name
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def page() -> str:
    """The page of the stored results."""
    document = stored("fast.json")
    assert document is not None
    return render(
        document,
        stored("tuning.json"),
        stored("tuning_before.json"),
        stored("precision.json"),
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
