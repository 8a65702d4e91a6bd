# SPDX-License-Identifier: BSD-3-Clause
"""A hundred exposures with a hundred maps of the sky: one blend, solved in all of them at once."""

from __future__ import annotations

import numpy as np
import pytest

from reference import exposures
from reference.on_backends import EVERY_BACKEND

pytestmark = EVERY_BACKEND

jl = pytest.importorskip("jointlight")


def check(taken: list[exposures.Exposure]) -> None:
    model = exposures.build(jl, taken, exposures.rough())
    result = model.fit(verbose=0)
    assert result.success, result.message
    assert result.n_free == 21
    # 4 sigma of chi2 per degree of freedom.
    assert abs(result.chi2 / result.dof - 1) <= 4 * np.sqrt(2 / result.dof)
    values = result.values.reshape(3, 7)
    errors = result.errors.reshape(3, 7)
    delta = values - exposures.TRUTH
    delta[:, 3] = (delta[:, 3] + 90) % 180 - 90
    assert np.max(np.abs(delta / errors)) <= 4
    # The fit is as sharp as so many exposures allow: fluxes to better than 4 % x sqrt(100 / n).
    assert np.all(errors[:, 6] <= 0.04 * np.sqrt(100 / len(taken)) * exposures.TRUTH[:, 6])


def test_exposures_differ():
    """Rotations, dithers and distortions are there, and large enough to ruin a fit without."""
    taken = exposures.make(6)
    maps = [exposures.place(e.header, 0.0, 0.0) for e in taken]
    assert np.ptp([pixel[0] for pixel, _ in maps]) > 1.0
    areas = [abs(np.linalg.det(local)) for _, local in maps]
    assert np.ptp(areas) / np.mean(areas) > 0.01
    turned = [np.degrees(np.arctan2(local[0, 1], local[1, 1])) for _, local in maps]
    assert np.ptp(turned) > 90


def test_rendering_through_every_kind_of_map():
    taken = exposures.make(6)
    model = exposures.build(jl, taken, exposures.TRUTH)
    for exposure, image in zip(taken, model.images(), strict=True):
        truth = exposures.draw(exposure.header)
        assert np.max(np.abs(image - truth)) <= 1e-4 * truth.max()


def test_a_dozen_exposures():
    check(exposures.make(12))


@pytest.mark.slow
def test_a_hundred_exposures():
    check(exposures.make(100))
