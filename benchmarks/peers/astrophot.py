# SPDX-License-Identifier: BSD-3-Clause
"""AstroPhot 0.18 on a case file: ``python astrophot.py CASE.npz``, one thread, float64.

It integrates pixels itself, so it gets the bare PSF (no pixel response) for its best accuracy.
Its PA runs from North towards West, in radians.
"""

from __future__ import annotations

import sys
from pathlib import Path

# This file carries the name of the package it times: keep its folder off the path for imports.
FOLDER = Path(__file__).resolve().parent
sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != FOLDER]

import astrophot as ap  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from astropy.io.fits import Header  # noqa: E402
from astropy.wcs import WCS  # noqa: E402

sys.path.append(str(FOLDER))
from protocol import load, saved, saved_fits, serve  # noqa: E402

torch.set_num_threads(1)
ap.config.DTYPE = torch.float64
ap.config.DEVICE = "cpu"

facts, arrays = load(sys.argv[1])
bands = facts["bands"]


def build(vector: str):
    """Targets, models and the group at the given parameter vector."""
    data = [arrays[f"{band}_data"] for band in bands]
    return build_at(data, arrays[vector][:6], arrays[f"{vector}_ie"])


def build_at(images, structure, brightness):
    """The same for images a band, at a structure and the brightness at Re in every band."""
    x, y, q, pa, scale, n = structure
    angle = np.radians(180.0 - pa) % np.pi
    models, targets = [], []
    for band, data, ie in zip(bands, images, brightness, strict=True):
        meta = facts[f"{band}_meta"]
        target = ap.TargetImage(
            data=data,
            variance=np.full(data.shape, meta["sigma"] ** 2),
            zeropoint=meta["zeropoint"],
            psf=ap.PSFImage(data=arrays[f"{band}_psf"]),
            wcs=WCS(Header.fromstring(meta["header"])),
            name=f"target_{band}",
        )
        model = ap.Model(
            name=f"model_{band}", model_type="sersic galaxy model", target=target, psf_convolve=True
        )
        values = {"center": [x, y], "q": q, "PA": angle, "n": n, "Re": scale}
        for name, value in values.items():
            if models:
                setattr(model, name, getattr(models[0], name))
            else:
                getattr(model, name).value = value
        model.Ie.value = ie
        targets.append(target)
        models.append(model)
    if len(models) == 1:
        model = models[0]
    else:
        model = ap.Model(
            name="joint",
            model_type="group model",
            models=models,
            target=ap.TargetImageList(targets),
        )
    model.initialize()
    return model, models


def stamps_case() -> None:
    """Stamps one by one, building the model included: it is what a new object costs."""
    last: dict = {}

    def fit(index: int) -> list[float]:
        v = arrays["start"][index]
        model, _ = build_at([arrays["stamps"][index]], v[:6], v[6:])
        ap.fit.LM(model, verbose=0).fit()
        pa = (180.0 - np.degrees(float(model.PA.value))) % 180.0
        values = [*model.center.value.tolist(), model.q, pa, model.Re, model.n, model.Ie]
        return [v if isinstance(v, float) else float(v.value) for v in values]

    def fits() -> None:
        last["values"] = [fit(i) for i in facts["chosen"]]

    def result() -> dict:
        return saved_fits(last["values"])

    serve(versions, {"fits": fits}, result, warm=lambda: fit(0))


def image_case() -> None:
    """Time one image, one dense Jacobian, and that with the normal equations, at the truth."""
    model, _ = build("truth")
    state = model.get_values()
    target = model.target
    data = target._data.reshape(-1)
    weight = torch.full_like(data, facts[f"{bands[0]}_meta"]["sigma"] ** -2)

    def linearize() -> tuple:
        rows = model.jacobian()._data.reshape(len(data), -1)
        residual = data - model(params=state)._data.reshape(-1)
        weighted = weight[:, None] * rows
        return weighted.T @ rows, weighted.T @ residual

    def result() -> dict:
        return saved(model().data.detach().cpu().numpy())

    quantities = {
        "image": lambda: model(params=state),
        "jacobian": model.jacobian,
        "linearize": linearize,
    }
    serve(versions, quantities, result)


def fit_case() -> None:
    """Time the whole fit from the start values; building the model is not timed."""
    last: dict = {}

    def prepare() -> None:
        last["model"], last["models"] = build("start")

    def fit() -> None:
        last["lm"] = ap.fit.LM(last["model"], verbose=0).fit()

    def result() -> dict:
        first, lm = last["models"][0], last["lm"]
        pa = (180.0 - np.degrees(float(first.PA.value))) % 180.0
        x, y = first.center.value.tolist()
        return {
            "structure": [
                x,
                y,
                float(first.q.value),
                pa,
                float(first.Re.value),
                float(first.n.value),
            ],
            "ie": [float(m.Ie.value) for m in last["models"]],
            "message": str(lm.message),
            "iterations": len(lm.loss_history) - 1,
        }

    serve(versions, {"fit": fit}, result, prepare)


versions = {"AstroPhot": ap.__version__, "torch": torch.__version__, "numpy": np.__version__}
CASES = {"image500": image_case, "demo_fit": fit_case, "stamps": stamps_case}
CASES[facts["case"]]()
