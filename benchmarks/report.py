# SPDX-License-Identifier: BSD-3-Clause
"""Write the README's comparison from a result file, so that no figure is typed by hand.

python -m benchmarks.report [benchmarks/results/first.json]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DEFAULT = ROOT / "benchmarks" / "results" / "first.json"
BEGIN, END = "<!-- comparison: begin -->", "<!-- comparison: end -->"

# case, quantity, what it is
ROWS = (
    ("image500", "image", "500x500 PSF-convolved Sersic: the image alone"),
    ("image500", "jacobian", "the same with its 7 derivatives, as arrays"),
    ("image500", "linearize", "the same, derivatives and normal equations (what a step needs)"),
    ("demo_fit", "fit", "three-image joint fit, start 20-50 % off, to convergence"),
)


def milliseconds(seconds: float) -> str:
    """Two or three significant digits."""
    value = 1e3 * seconds
    return f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"


def render(result: dict[str, Any]) -> str:
    """Markdown for the lines between the README's markers."""
    cases = result["cases"]
    theirs = cases["demo_fit"]["peers"]["astrophot"]
    ours = cases["demo_fit"]["peers"]["jointlight"]
    machine = result["machine"]
    version = theirs["versions"]["AstroPhot"]
    setting = (
        f"One thread, float64, medians of {cases['demo_fit']['repeats']} interleaved repeats on "
        f"an {machine['cpu']} ({result['date']}); `benchmarks/` says how."
    )
    lines = [
        setting,
        "",
        f"| work | jointlight | AstroPhot {version} | ratio |",
        "| --- | --- | --- | --- |",
    ]
    for case, quantity, what in ROWS:
        peers = cases[case]["peers"]
        mine = peers["jointlight"]["quantities"][quantity]["median_s"]
        other = peers["astrophot"]["quantities"][quantity]["median_s"]
        lines.append(
            f"| {what} | {milliseconds(mine)} | {milliseconds(other)} | {other / mine:.0f}x |"
        )
    pixel = {
        name: peer["agreement"]["worst_pixel_over_peak"]
        for name, peer in cases["image500"]["peers"].items()
    }
    chi2 = {
        name: peer["agreement"]["chi2_above_galsim_optimum"]
        for name, peer in cases["demo_fit"]["peers"].items()
    }
    facts = (
        (
            "worst pixel of that image against GalSim, of the peak",
            f"{pixel['jointlight']:.0e}",
            f"{pixel['astrophot']:.0e}",
        ),
        (
            "chi2 of that fit above the optimum of the exact (GalSim) model",
            f"{chi2['jointlight']:.2f}",
            f"{chi2['astrophot']:.2f}",
        ),
        (
            "peak memory of the fit's process",
            f"{ours['peak_mb']} MB",
            f"{theirs['peak_mb']} MB",
        ),
    )
    lines += [f"| {what} | {mine} | {other} | |" for what, mine, other in facts]
    return "\n".join(lines)


def section(readme: str) -> str:
    """What stands between the markers now."""
    return readme.partition(BEGIN)[2].partition(END)[0].strip()


def main() -> None:
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    path = ROOT / "README.md"
    readme = path.read_text(encoding="utf-8")
    before, _, rest = readme.partition(BEGIN)
    after = rest.partition(END)[2]
    text = render(json.loads(source.read_text(encoding="utf-8")))
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
