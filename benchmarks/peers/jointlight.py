# SPDX-License-Identifier: BSD-3-Clause
"""jointlight on a case file: ``python jointlight.py CASE.npz``, one thread, float64."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

# This file carries the name of the package it times: keep its folder off the path for imports.
FOLDER = Path(__file__).resolve().parent
sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != FOLDER]

import numpy as np  # noqa: E402
from astropy.io.fits import Header  # noqa: E402
from astropy.wcs import WCS  # noqa: E402

import jointlight as jl  # noqa: E402

sys.path.append(str(FOLDER))
from protocol import load, saved, saved_fits, serve  # noqa: E402

facts, arrays = load(sys.argv[1])
bands = facts["bands"]


def build(vector: str):
    """The joint model at the given parameter vector; PSFs by the width the other codes get too."""
    x, y, q, pa, scale, n, *_ = arrays[vector]
    targets = []
    for band in bands:
        meta = facts[f"{band}_meta"]
        targets.append(
            jl.TargetImage(
                arrays[f"{band}_data"],
                variance=meta["sigma"] ** 2,
                zeropoint=meta["zeropoint"],
                psf=jl.gaussian_psf(fwhm=meta["fwhm"], pixelscale=meta["pixelscale"]),
                wcs=WCS(Header.fromstring(meta["header"])),
                name=band,
            )
        )
    values = {"center": (x, y), "q": q, "PA": pa, "n": n, "Re": scale}
    if len(targets) == 1:
        model = jl.Model("sersic galaxy", target=targets[0], name="galaxy")
        members = [model]
    else:
        target = jl.TargetImageList(targets)
        model = jl.joint("sersic galaxy", target=target, per_image=["Ie"], name="galaxy")
        members = model.models
    for name, value in values.items():
        model[name].value = value
    for member, ie in zip(members, arrays[f"{vector}_ie"], strict=True):
        member["Ie"].value = ie
    return model, members


def image_case() -> None:
    """One image, one pass of value, 7 derivatives and normal equations, one dense Jacobian."""
    model, _ = build("truth")
    scene = model.compile(n_threads=1)
    core, start = scene.core, np.asarray(scene.v0)

    def result() -> dict:
        return saved(core.render(start, 0))

    calls = itertools.count(1)

    def moved() -> np.ndarray:
        # The core does not compute anew what has not changed: every call gets its own vector.
        return start * (1 + 1e-9 * next(calls))

    quantities = {
        "image": lambda: core.render(moved(), 0),
        "planes": lambda: core.model_and_jacobian(moved(), 0),
        "jacobian": lambda: core.jacobian(moved(), 0),
        "linearize": lambda: core.linearize(moved()),
    }
    serve(versions, quantities, result)


def stamps_case() -> None:
    """All stamps through `fit_many`, from arrays; with two threads; those the slow codes fit."""
    data, start = arrays["stamps"], arrays["start"]
    meta = facts["s_meta"]
    psf = jl.PSF(arrays["s_psf"], pixelscale=meta["pixelscale"], kind="optical")
    first = jl.TargetImage(
        data[0], pixelscale=meta["pixelscale"], variance=meta["sigma"] ** 2, psf=psf
    )
    template = jl.Model("sersic galaxy", target=first, center=(0.0, 0.0))
    columns = dict(zip(("q", "PA", "Re", "n", "Ie"), start.T[2:], strict=True))
    columns["center"] = start[:, :2]
    weight = np.full(len(data), meta["sigma"] ** -2)
    chosen = np.array(facts["chosen"])
    few = data[chosen], weight[chosen], {k: v[chosen] for k, v in columns.items()}
    last: dict = {}

    def fits(n_threads: int = 1) -> None:
        last["many"] = jl.fit_many(
            template, data=data, weight=weight, psf=psf, start=columns, n_threads=n_threads
        )

    def fits_chosen() -> None:
        stamps, weights, starts = few
        jl.fit_many(template, data=stamps, weight=weights, psf=psf, start=starts, n_threads=1)

    def result() -> dict:
        many = last["many"]
        names = list(many.names)
        statuses, counts = np.unique(many.status, return_counts=True)
        return saved_fits(many.values[:, [names.index(name) for name in PARAMETERS]]) | {
            "status": {str(k): int(n) for k, n in zip(statuses, counts, strict=True)},
            "n_linearize": np.asarray(many.n_linearize).tolist(),
        }

    quantities = {
        "fits": fits,
        "fits_2_threads": lambda: fits(2),
        "fits_chosen": fits_chosen,
    }
    serve(versions, quantities, result)


PARAMETERS = ("center_x", "center_y", "q", "PA", "Re", "n", "Ie")


def fit_case() -> None:
    """The whole fit from the start values, compiling the scene included."""
    last: dict = {}

    def prepare() -> None:
        last["model"], last["members"] = build("start")

    def fit() -> None:
        last["result"] = last["model"].fit(verbose=0, n_threads=1)

    def result() -> dict:
        model, fitted = last["model"], last["result"]
        return {
            "structure": [
                *map(float, np.asarray(model["center"].value)),
                *(float(model[k].value) for k in ("q", "PA", "Re", "n")),
            ],
            "ie": [float(m["Ie"].value) for m in last["members"]],
            "message": fitted.message,
            "iterations": fitted.n_linearize,
        }

    serve(versions, {"fit": fit}, result, prepare)


versions = {"jointlight": jl.__version__, "numpy": np.__version__}
CASES = {"image500": image_case, "demo_fit": fit_case, "stamps": stamps_case}
CASES[facts["case"]]()
