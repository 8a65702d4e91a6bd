# SPDX-License-Identifier: BSD-3-Clause
"""Calls of fit_many that worker processes can import, whichever way they are started."""

from __future__ import annotations

from typing import Any

import numpy as np

import jointlight as jl

NOISE = 0.05


def template(size: int = 24) -> Any:
    psf = jl.gaussian_psf(fwhm=2.5, pixelscale=1.0)
    image = jl.TargetImage(np.zeros((size, size)), psf=psf, std=NOISE, pixelscale=1.0, name="r")
    return jl.Model(
        "sersic galaxy", target=image, center=(0.0, 0.0), q=0.7, PA=30.0, Re=3.0, n=1.5, Ie=1.0
    )


def stamps(seed: int, n: int = 6, size: int = 24) -> dict[str, Any]:
    """Data and starts of galaxies that depend on the seed."""
    rng = np.random.default_rng(seed)
    model = template(size)
    model["n"].value = rng.uniform(0.7, 4.0)
    model["Re"].value = rng.uniform(2.0, 4.0)
    # The same bits in every process, whatever draws images there.
    drawn = model.compile(backend="cpu").render(model.target)
    data = drawn + rng.normal(0, NOISE, (n, size, size))
    return {"data": data, "start": {"n": rng.uniform(0.7, 4.0, n), "Ie": rng.uniform(0.6, 1.5, n)}}


def fit(seed: int, n_threads: int = 2) -> Any:
    """Results of some stamps."""
    return jl.fit_many(template(), n_threads=n_threads, **stamps(seed))


def fit_models(seed: int) -> Any:
    """Results of some models, made here."""
    models = []
    for data in stamps(seed)["data"]:
        model = template()
        psf = model.target.psf
        image = jl.TargetImage(data, psf=psf, std=NOISE, pixelscale=1.0, name="r")
        models.append(
            jl.Model("sersic galaxy", target=image, center=(0.0, 0.0), q=0.6, PA=20.0, Re=2.5,
                     n=1.2, Ie=1.0)
        )  # fmt: skip
    return jl.fit_many(models, n_threads=2)
