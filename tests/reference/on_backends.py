# SPDX-License-Identifier: BSD-3-Clause
"""Marks of tests that hold on every backend: see the fixture `every_backend`."""

from __future__ import annotations

import pytest

BACKENDS = ("cpu", "cuda-emulated", "cuda")

EVERY_BACKEND = pytest.mark.usefixtures("every_backend")
# Within a module that is marked so: what is about the CPU's backend itself; what takes long on the
# emulated device, or too long; what a device does not offer.
CPU_ALONE = pytest.mark.parametrize("every_backend", ["cpu"], indirect=True)
SLOW_EMULATED = pytest.mark.parametrize(
    "every_backend",
    ["cpu", pytest.param("cuda-emulated", marks=pytest.mark.slow), "cuda"],
    indirect=True,
)
NOT_EMULATED = pytest.mark.parametrize("every_backend", ["cpu", "cuda"], indirect=True)
HOST_ALONE = pytest.mark.parametrize("every_backend", ["cpu", "cuda-emulated"], indirect=True)


class NoBackend(pytest.skip.Exception):
    """What a test is to run on is not here."""


def require_backend(name: str) -> None:
    """Skip where there is no such backend, with the reason."""
    from jointlight.backends import backends

    cuda = backends()["cuda"]
    if name == "cuda" and not cuda.available:
        raise NoBackend(cuda.reason)
