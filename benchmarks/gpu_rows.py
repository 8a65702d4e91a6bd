# SPDX-License-Identifier: BSD-3-Clause
"""The device's targets, and its stages against what it can do at best: from results alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

__all__ = ["TARGETS", "Target", "against_ceilings", "judged"]

if TYPE_CHECKING:
    from collections.abc import Callable

Document = dict[str, Any]

TRANSFERS = ("upload", "download")


@dataclass(frozen=True)
class Target:
    """One figure that is to be reached; `value` raises KeyError where it was not measured."""

    work: str
    unit: str  # "/s", "ms", "s", "sigma", "" of what is true or false
    reach: float
    value: Callable[[Document], float]
    at_most: bool = False

    def met(self, reached: float) -> bool:
        """Whether that is enough."""
        return reached <= self.reach if self.at_most else reached >= self.reach

    def text(self, value: float) -> str:
        """Three significant digits with the unit."""
        if not self.unit:
            return "yes" if value else "no"
        shown = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
        return shown + (self.unit if self.unit == "/s" else f" {self.unit}")

    def aim(self) -> str:
        """The target with its direction."""
        if not self.unit:
            return self.text(self.reach)
        return ("≤ " if self.at_most else "≥ ") + self.text(self.reach)


def case(name: str, *path: str, factor: float = 1.0) -> Callable[[Document], float]:
    """A number of a case."""

    def value(document: Document) -> float:
        found = document["cases"][name]
        for key in path:
            found = found[key]
        return factor * float(found)

    return value


def measured(document: Document, key: str) -> list[Any]:
    """`key` of all float64 fits that were measured."""
    each = [facts.get("float64", facts) for facts in document["cases"].values()]
    found = [facts[key] for facts in each if key in facts]
    if not found:
        raise KeyError(key)
    return found


def passed(test: str) -> Callable[[Document], float]:
    """Whether a part of tests/gpu/run ended well."""
    return lambda document: float(document["tests"][test])


TARGETS = (
    *(
        Target(
            f"{n:,} stamps of 64x64, PSF 21x21, {precision}",
            "/s",
            reach,
            case(f"stamps_{n}", precision, "per_second"),
        )
        for n in (10_000, 100_000)
        for precision, reach in (("float64", 20_000.0), ("mixed", 40_000.0))
    ),
    Target(
        "5,000 objects, bulge and disc in nine bands",
        "/s",
        500.0,
        case("nine_bands_5000", "float64", "per_second"),
    ),
    Target(
        "three-image fit, whole", "ms", 5.0, case("seed_fit", "seconds", factor=1e3), at_most=True
    ),
    Target(
        "first fit of a fresh process",
        "s",
        0.5,
        lambda document: float(document["first_call"]["first_s"]),
        at_most=True,
    ),
    Target(
        "parameters, from the CPU's, float64",
        "sigma",
        1e-6,
        lambda document: max(measured(document, "worst_sigma")),
        at_most=True,
    ),
    Target(
        "a second run gives the same bits",
        "",
        1.0,
        lambda document: float(all(measured(document, "same_bits"))),
    ),
    Target("tests of the device pass", "", 1.0, passed("device_tests")),
    Target("the contract suite passes on the device", "", 1.0, passed("contract_suite")),
    *(
        Target(f"compute-sanitizer {tool} finds nothing", "", 1.0, passed(tool))
        for tool in ("memcheck", "racecheck", "initcheck")
    ),
)


def judged(document: Document) -> list[dict[str, Any]]:
    """Every target with what was reached and whether it is met, None where not measured."""
    out = []
    for target in TARGETS:
        try:
            reached: float | None = target.value(document)
        except KeyError:
            reached = None
        out.append(
            {
                "work": target.work,
                "target": target.aim(),
                "reached": None if reached is None else target.text(reached),
                "met": None if reached is None else target.met(reached),
            }
        )
    return out


def against_ceilings(
    stages: dict[str, dict[str, float]], ceilings: dict[str, float]
) -> dict[str, dict[str, Any]]:
    """Rates of every stage, and the share of the ceiling that binds it.

    At best a stage takes as long as its bytes, its operations or its launches do, whichever takes
    longest: `bound_s`, with `binds` saying which.
    """
    out: dict[str, dict[str, Any]] = {}
    for name, stage in stages.items():
        flops = stage["flops"] + stage["single_flops"]
        moving = stage["bytes"] / ceilings[name if name in TRANSFERS else "bytes"]
        computing = stage["flops"] / ceilings["flops"]
        computing += stage["single_flops"] / ceilings["single_flops"]
        link = "link" if name in TRANSFERS else "memory"
        limits = {
            link: moving,
            "arithmetic": computing,
            "launches": stage["launches"] * ceilings["launch"],
        }
        binds = max(limits, key=lambda limit: limits[limit])
        bound, seconds = limits[binds], stage["seconds"]
        out[name] = stage | {
            "bytes_per_s": stage["bytes"] / seconds if seconds > 0.0 else 0.0,
            "flops_per_s": flops / seconds if seconds > 0.0 else 0.0,
            "bound_s": bound,
            "binds": binds,
            "share": bound / seconds if seconds > 0.0 else 0.0,
        }
    return out
