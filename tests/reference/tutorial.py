# SPDX-License-Identifier: BSD-3-Clause
"""The joint-modelling tutorial: its images with their truth, and tensors without torch."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "tutorial_data.py"
BANDS = ("r", "W1", "NUV")
MOST_SIGMAS = 4.0


class Tensor:
    """What a tensor shows of itself: no NumPy protocol, numbers by way of the host only."""

    def __init__(self, data: Any, on_host: bool = False, attached: bool = True) -> None:
        self._data, self._on_host, self._attached = np.asarray(data), on_host, attached

    def detach(self) -> Tensor:
        return Tensor(self._data, self._on_host, attached=False)

    def cpu(self) -> Tensor:
        return Tensor(self._data, on_host=True, attached=self._attached)

    def numpy(self) -> Any:
        if self._attached or not self._on_host:
            raise TypeError("only a detached tensor on the host has numbers")
        return self._data.copy()


class torch:
    """Stands for the library where that is not installed."""

    tensor = Tensor


def make_data(folder: Path, **options: Any) -> dict[str, Any]:
    """Write the images with GalSim and return their truth; skip without GalSim."""
    import pytest

    pytest.importorskip("galsim")
    spec = importlib.util.spec_from_file_location("tutorial_data", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up.
    import sys

    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[spec.name]
    truth: dict[str, Any] = module.make_tutorial_data(folder, **options)
    return truth


def pulls(truth: dict[str, Any], models: dict[str, Any]) -> dict[str, float]:
    """(fitted - true) / error of every free number of one galaxy, in the tutorial's units.

    Parameters
    ----------
    truth : dict
        As the script returns it.
    models : dict
        The galaxy's component by band.
    """
    first = models["r"]
    found = {}

    def pull(name: str, node: Any, true: Any) -> None:
        difference = np.ravel(node.value) - np.ravel(true)
        if name == "PA":
            difference = (difference + math.pi / 2) % math.pi - math.pi / 2
        for k, number in enumerate(difference / np.ravel(node.uncertainty)):
            found[f"{name}{k}"] = float(number)

    for name in ("center", "q", "n", "Re"):
        pull(name, first[name], truth[name])
    # The tutorial's angle runs from North towards West.
    pull("PA", first["PA"], -math.radians(truth["PA"]))
    for band in BANDS:
        pull(f"Ie {band}", models[band]["Ie"], math.log10(truth["Ie"][band]))
    return found


def check_galaxy(truth: dict[str, Any], models: dict[str, Any]) -> None:
    """Assert that a galaxy is recovered, and that its structure is one in all bands."""
    for name in ("center", "q", "PA", "n", "Re"):
        for band in BANDS[1:]:
            tied, root = models[band][name], models["r"][name]
            assert np.array_equal(tied.value, root.value), (name, band)
            assert tied.native.is_tied, (name, band)
    found = pulls(truth, models)
    assert len(found) == 9
    off = {key: value for key, value in found.items() if not abs(value) < MOST_SIGMAS}
    assert not off, off


def matched(truths: list[dict[str, Any]], groups: list[Any]) -> list[tuple[dict[str, Any], Any]]:
    """Each true galaxy with the group that is nearest to it, all different, within 0.5 arcsec."""
    assert len(groups) == len(truths)
    pairs = []
    for truth in truths:
        distance = [
            np.hypot(*(member["center"].value - truth["center"]))
            for member in (next(iter(group)) for group in groups)
        ]
        nearest = int(np.argmin(distance))
        assert distance[nearest] < 0.5, truth
        pairs.append((truth, groups[nearest]))
    assert len({id(group) for _, group in pairs}) == len(pairs)
    return pairs
