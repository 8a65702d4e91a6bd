# SPDX-License-Identifier: BSD-3-Clause
"""fit_many inside pools of threads and processes, forked ones in the midst of work included."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import jointlight as jl
from reference import many_jobs
from reference.on_backends import CPU_ALONE, EVERY_BACKEND, HOST_ALONE

# Python warns of fork() in a process with threads from 3.12 on: that is what is tested here.
pytestmark = [
    EVERY_BACKEND,
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning"),
]

SEEDS = range(6)


@pytest.fixture(scope="module")
def serial(every_backend: str) -> list[Any]:
    return [many_jobs.fit(seed, 1) for seed in SEEDS]


def assert_equal(results: Any, others: Any) -> None:
    np.testing.assert_array_equal(results.values, others.values)
    np.testing.assert_array_equal(results.errors, others.errors)
    np.testing.assert_array_equal(results.status, others.status)
    np.testing.assert_array_equal(results.chi2, others.chi2)


def test_pool_of_threads(serial):
    with ThreadPoolExecutor(4) as pool:
        for results, expected in zip(pool.map(many_jobs.fit, SEEDS), serial, strict=True):
            assert_equal(results, expected)


# A forked child has no part in the device that its parent has used.
@HOST_ALONE
@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_pool_of_processes(serial, start):
    many_jobs.fit(0, 2)  # the parent has threads
    context = multiprocessing.get_context(start)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        for results, expected in zip(pool.map(many_jobs.fit, SEEDS), serial, strict=True):
            assert_equal(results, expected)
        models = pool.submit(many_jobs.fit_models, 1).result(timeout=60)
    assert_equal(models, many_jobs.fit_models(1))


# The locks are those of the CPU's threads, tables and plans, which all backends share.
@CPU_ALONE
def test_fork_while_the_core_is_at_work():
    """A child never inherits a lock of the core that a thread holds which it does not have.

    The threads are in the core when the process forks: Python's own locks are another matter.
    """
    inside = threading.Semaphore(0)
    stop = threading.Event()

    def tell(done: int, total: int) -> None:
        inside.release()
        if stop.is_set():
            raise KeyboardInterrupt

    def work(job: dict[str, Any]) -> None:
        jl.fit_many(many_jobs.template(), n_threads=1, progress=tell, **job)

    jobs = [many_jobs.stamps(100 + k, n=2000) for k in range(2)]
    for k, job in enumerate(jobs):
        # Every fit asks for shapes and boxes of its own, so that tables and plans are being made.
        job["start"]["n"] = np.linspace(0.4 + 0.1 * k, 7.5, 2000)
        job["data"] = [one[: 14 + i % 10, : 13 + i % 11] for i, one in enumerate(job["data"])]
        job["data"] *= 5
        job["start"] = {name: np.tile(values, 5) for name, values in job["start"].items()}
    threads = [threading.Thread(target=work, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for _ in threads:
        inside.acquire()
    children = []
    try:
        for k in range(15):
            child = os.fork()
            if child == 0:
                ok = False
                try:
                    ok = bool(many_jobs.fit(2000 + k, 2).success.all())
                finally:
                    os._exit(0 if ok else 1)
            children.append(child)
            time.sleep(0.01)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    codes = [wait_for(child, seconds=10.0) for child in children]
    assert codes == [0] * len(children)


def wait_for(child: int, seconds: float) -> int | None:
    """Exit code of a process; None if it does not end in time, and then it is ended."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return None
