# SPDX-License-Identifier: BSD-3-Clause
"""q = 1 is no wall: from nearly round starts at a wrong angle every fit finds its minimum."""

from __future__ import annotations

import numpy as np
import pytest

from reference import core
from reference.on_backends import EVERY_BACKEND
from reference.render import Ellipse

pytestmark = EVERY_BACKEND

TRUE_Q = (0.3, 0.5, 0.7, 0.85, 0.95, 1.0)
START_Q = (0.85, 0.93, 0.99, 1.0)
WRONG_ANGLE = (30.0, 60.0, 90.0)
PSF = core.PsfAnalytic("gaussian", 2.4)


@pytest.mark.parametrize("true_q", TRUE_Q)
@pytest.mark.parametrize("snr", [15.0, 60.0])
def test_none_sticks_at_round(true_q, snr):
    rng = np.random.default_rng(int(1000 * true_q + snr))
    e = Ellipse("sersic", (1.5,), 20.2, 19.7, 4.0, true_q, 0.6).with_flux(1000.0)
    clean = core.render(e, 41, 41, psf=PSF)
    sigma = np.sqrt(np.sum(clean**2)) / snr
    data = clean + rng.normal(0.0, sigma, clean.shape)
    weight = np.full(data.shape, sigma**-2)
    scene, truth = core.scene(e, 41, 41, psf=PSF, data=data, weight=weight)
    best = scene.fit(truth, {}, None)
    for q in START_Q:
        for turn in WRONG_ANGLE:
            start = truth.copy()
            start[2], start[3] = q, (truth[3] + turn) % 180.0
            fit = scene.fit(start, {}, None)
            assert fit["status"].startswith("converged"), fit["message"]
            assert fit["chi2"] <= best["chi2"] + 0.1
            assert 0 < fit["v"][2] <= 1.0
            assert 0 <= fit["v"][3] <= 180.0
            error = np.sqrt(fit["covariance"][2, 2])
            assert not error < 1e-9  # a bound's zero error would be a lie; NaN says "no error"
            assert abs(fit["v"][2] - best["v"][2]) <= 0.05 * np.nan_to_num(error, nan=0.2)
