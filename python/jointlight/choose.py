# SPDX-License-Identifier: BSD-3-Clause
"""``backend="auto"``: what computes here at the least measured cost.

The CPU comes first everywhere. A device is looked for only where there is enough to do, and takes
over only where it has shown itself faster at that very work.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from math import log2
from time import perf_counter
from typing import TYPE_CHECKING, Final

from jointlight.backends import cuda_module, environment_backend
from jointlight.errors import BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["DEVICE_FAILED", "SceneSize", "Turns", "devices", "is_open", "scene_backend"]

CPU: Final = "cpu"

SMALL_SCENE: Final = 1 << 20
"""Pixels of all windows below which a scene is the CPU's. An evaluation takes one thread 7 to 20
ns a pixel, a fit some 20 evaluations: 0.4 s at most (see `WAKING`)."""

SMALL_BATCH: Final = 1 << 23
"""Pixels of all objects below which many fits are the CPU's: 2000 stamps of 64 x 64, about a
second's work for one thread, and too few to fill a device."""

EVALUATIONS: Final = 20
"""Evaluations of a usual fit."""

WAKING: Final = 0.4
"""Seconds of the CPU's work below which no device is woken: what waking one (driver, context,
kernels) is assumed to take, not measured yet."""

DEVICE_FAILED: Final = (BackendUnavailable, RuntimeError, MemoryError, ValueError)
"""What a device raises that cannot be used after all, as for want of memory or threads."""


def is_open(backend: object) -> bool:
    """Whether it is left to this module what computes.

    Parameters
    ----------
    backend : object
        What was asked for, already found to be good.

    Returns
    -------
    bool
        True for "auto", unless the environment's ``JOINTLIGHT_BACKEND`` says what that is.
    """
    return backend == "auto" and environment_backend() == "auto"


@cache
def devices() -> tuple[str, ...]:
    """Names of what could compute in the CPU's place; looked for once.

    Returns
    -------
    tuple of str
        ``("cuda",)``, or nothing.
    """
    if find_spec("jointlight._cuda") is None:
        return ()
    try:
        cuda_module()
    except BackendUnavailable:
        return ()
    return ("cuda",)


class SceneSize:
    """How large a scene is, as far as its cost goes.

    Parameters
    ----------
    windows : sequence of int
        Pixels of each component's window.
    more : tuple of str and int
        What else scenes must have in common to cost alike: precision, threads.
    """

    def __init__(self, windows: Sequence[int], *more: str | int) -> None:
        self.pixels = sum(windows)
        # Twice as many pixels, or windows twice as large, are another class.
        self.key = (round(log2(max(self.pixels, 1))), round(log2(max(len(windows), 1))), *more)


def scene_backend(
    size: SceneSize,
    seconds: Callable[[str], float],
    *,
    find: Callable[[], Sequence[str]] = devices,
    known: dict[tuple[str | int, ...], str] | None = None,
) -> str:
    """What evaluates a scene fastest, measured once for each class of size.

    Parameters
    ----------
    size : SceneSize
        How large it is.
    seconds : callable
        Seconds that one evaluation takes a backend, by its name. Where that fails, as for want
        of memory, the device is out of the question.
    find : callable, optional
        Names of the devices.
    known : dict, optional
        What was found before, by size; default all of the process.

    Returns
    -------
    str
        The backend's name.
    """
    if size.pixels < SMALL_SCENE or not (names := find()):
        return CPU
    known = _KNOWN if known is None else known
    if size.key not in known:
        best, least = CPU, seconds(CPU)
        for name in names if EVALUATIONS * least >= WAKING else ():
            try:
                took = seconds(name)
            except DEVICE_FAILED:
                continue
            if took < least:
                best, least = name, took
        known[size.key] = best
    return known[size.key]


_KNOWN: dict[tuple[str | int, ...], str] = {}


class Turns:
    """Deals many objects out: a few to each backend, the rest to the faster one.

    Nothing is fitted twice, except where a device failed.

    Parameters
    ----------
    n_threads : int
        Of the CPU.
    find : callable, optional
        Names of the devices.
    clock : callable, optional
        Seconds.

    Attributes
    ----------
    rates : dict of str to float
        Pixels a second of each backend that was tried.
    """

    least_cpu = 64
    """Objects that the CPU is tried with, and at least `per_thread` a thread."""
    per_thread = 16
    least_device = 64
    """Objects with which a device is woken, before its time counts."""
    most_device = 4096
    """Objects that it is tried with: as many as it takes at a time, and no more than a quarter of
    what is left, which bounds what a slow one costs."""

    def __init__(
        self,
        n_threads: int,
        *,
        find: Callable[[], Sequence[str]] = devices,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._find = find
        self._clock = clock
        self._n_cpu = max(self.least_cpu, self.per_thread * n_threads)
        self._chosen: str | None = None
        self._struck: set[str] = set()
        self.rates: dict[str, float] = {}

    def strike(self, name: str) -> None:
        """Do without a device that has failed.

        Parameters
        ----------
        name : str
            Its name.
        """
        self._struck.add(name)
        self.rates.pop(name, None)
        if self._chosen == name:
            self._chosen = CPU

    def deal(
        self, work: Sequence[int], fit: Callable[[str, int, int], bool], *, later: float = 0.0
    ) -> None:
        """Have some objects fitted.

        Parameters
        ----------
        work : sequence of int
            Pixels of each.
        fit : callable
            ``fit(backend, begin, end)`` fits some of them. False: the device failed, and the CPU
            is to fit them.
        later : float, optional
            Pixels of objects that are still to come in other calls.
        """
        work = [max(pixels, 1) for pixels in work]  # an object without any takes time as well
        at, n = 0, len(work)
        if self._chosen is None and (sum(work) + later < SMALL_BATCH or not self._find()):
            self._chosen = CPU
        if self._chosen is None:
            at = self._try_all(work, fit, later)
        chosen = self._chosen or CPU
        if at < n and not fit(chosen, at, n):
            self.strike(chosen)
            fit(CPU, at, n)

    def _try_all(
        self, work: Sequence[int], fit: Callable[[str, int, int], bool], later: float
    ) -> int:
        """Measure all backends at objects from the first on; the number of those fitted."""
        n = len(work)
        at = min(self._n_cpu, n // 4)
        if at < self.least_cpu:
            return 0  # too few: another call's objects may do
        self._measure(CPU, work, fit, 0, at)
        if (sum(work[at:]) + later) / self.rates[CPU] < WAKING:
            self._chosen = CPU
            return at
        for name in self._find():
            for most in (self.least_device, self.most_device):
                if name in self._struck:
                    break
                begin, at = at, at + min(most, (n - at) // 4)
                self._measure(name, work, fit, begin, at)
        self._chosen = max(self.rates, key=lambda name: self.rates[name])
        return at

    def _measure(
        self,
        name: str,
        work: Sequence[int],
        fit: Callable[[str, int, int], bool],
        begin: int,
        end: int,
    ) -> None:
        since = self._clock()
        if not fit(name, begin, end):
            self.strike(name)
            fit(CPU, begin, end)
        elif name not in self._struck:
            self.rates[name] = sum(work[begin:end]) / max(self._clock() - since, 1e-9)
