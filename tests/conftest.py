# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures and rules that every test may use."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from importlib import import_module
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import settings

from reference.on_backends import BACKENDS, NoBackend, require_backend

ROOT = Path(__file__).resolve().parents[1]

mpl.use("Agg")

# The same examples on every run; no time limit, since machines differ.
settings.register_profile("fixed", derandomize=True, deadline=None, max_examples=25)
settings.register_profile("wide", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("JOINTLIGHT_HYPOTHESIS", "fixed"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a device, with the reason, where there is none."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    from jointlight.backends import cuda_module
    from jointlight.errors import BackendUnavailable

    try:
        cuda_module()
    except BackendUnavailable as error:
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=error.reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """One line of the summary for all that is skipped because a backend is not here."""
    report = yield
    if call.excinfo is not None and isinstance(call.excinfo.value, NoBackend):
        report.longrepr = (str(Path(__file__)), None, f"Skipped: {call.excinfo.value}")
    return report


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers, the same on every run."""
    return np.random.default_rng(20260101)


@pytest.fixture(scope="module", params=BACKENDS)
def every_backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Compute on each backend in turn wherever a test asks for none; fixtures with fits ask for it.

    "cuda-emulated" is the device's code run on the host. "cuda" is skipped where there is none.
    """
    name: str = request.param
    require_backend(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JOINTLIGHT_BACKEND", name)
        # Single images too.
        patch.setattr(import_module("jointlight.scene.compile"), "DRAWS_IMAGES", name)
        yield name


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder that holds pyproject.toml, csrc and docs."""
    return ROOT


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real images: JOINTLIGHT_SHARED, or shared/data beside the repository."""
    folder = Path(os.environ.get("JOINTLIGHT_SHARED", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real images at {folder}; set JOINTLIGHT_SHARED to their folder")
    return folder
