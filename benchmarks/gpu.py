# SPDX-License-Identifier: BSD-3-Clause
"""What a CUDA device does, beside all cores of the CPU in the same run.

    python -m benchmarks.gpu [--backend cuda] [--scale 1.0] [--only CASE] [--out FILE]

writes results/gpu.json: what the device can do at best, what the first fit of a process takes, and
for each case the times of both, how far the answers lie apart, whether a second run on the device
gives the same bits, and, from one more run, every stage's time, bytes and operations with the share
of the ceiling that binds it. `python -m benchmarks.gpu_page` makes docs/gpu.md of it.
`--scale 0.001 --backend cuda-emulated` is a dry run that any machine can make; its times mean
nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import objects, stamps
from .cases import ROOT, crowded
from .gpu_rows import against_ceilings, judged
from .run import RESULTS, machine
from .table import commit

if TYPE_CHECKING:
    from collections.abc import Callable


COPIES = 4  # runs, of which the fastest counts
CORES = os.cpu_count() or 1

# In a process of its own: the library, then a fit of a stamp, then another.
FIRST_CALL = """
import json, sys, time
import numpy as np
began = time.perf_counter()
import jointlight as jl
out = {"import_s": time.perf_counter() - began}
y, x = np.mgrid[:64, :64] - 31.5
data = 80 * np.exp(-np.hypot(x - 0.4, (y + 0.2) / 0.6) / 4.0)
data += np.random.default_rng(1).normal(size=data.shape)
for key in ("first_s", "second_s"):
    began = time.perf_counter()
    psf = jl.gaussian_psf(fwhm=3.0, pixelscale=1.0)
    image = jl.TargetImage(data, pixelscale=1.0, variance=1.0, psf=psf)
    model = jl.Model(
        "sersic galaxy", target=image, center=(0.0, 0.0), q=0.8, PA=60, n=1.6, Re=5, Ie=20
    )
    out["status"] = jl.fit.LM(model, backend=sys.argv[1]).fit().status
    out[key] = time.perf_counter() - began
print(json.dumps(out))
"""


def first_call(backend: str) -> dict[str, Any]:
    """Import, first and second fit of fresh processes: of several, that of the fastest start."""
    runs = []
    for _ in range(COPIES):
        done = subprocess.run(
            [sys.executable, "-c", FIRST_CALL, backend],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    return min(runs, key=lambda run: float(run["first_s"]))


def profile(work: Callable[[], Any]) -> dict[str, Any]:
    """What the device's stages and the host's take while `work` runs."""
    from jointlight import _core

    _core.time_stages(True)
    _core.profile_devices(True)
    try:
        _core.stage_times(), _core.device_profile()
        began = time.perf_counter()
        work()
        seconds = time.perf_counter() - began
        host = {k: s for k, (s, _) in _core.stage_times().items() if s > 0.0}
        stages = _core.device_profile()
    finally:
        _core.time_stages(False)
        _core.profile_devices(False)
    return {"seconds": seconds, "stages": stages, "host": host}


def timed(work: Callable[[], Any], repeats: int = COPIES) -> tuple[float, list[Any]]:
    """Smallest seconds of some calls, and what they gave."""
    best, given = np.inf, []
    for _ in range(repeats):
        began = time.perf_counter()
        given.append(work())
        best = min(best, time.perf_counter() - began)
    return best, given


def apart(one: Any, other: Any, names: list[str]) -> float:
    """Largest difference of two tables of fits, in errors of the first, where both converged."""
    both = np.asarray(one["success"]) & np.asarray(other["success"])
    worst = 0.0
    for name in names:
        shift = (np.asarray(other[name]) - np.asarray(one[name])) / np.asarray(one[f"{name}_error"])
        worst = max(worst, float(np.nanmax(np.abs(shift[both]), initial=0.0)))
    return worst


def same_bits(one: Any, other: Any, names: list[str]) -> bool:
    """Whether two runs gave the same values."""
    return all(np.array_equal(one[n], other[n], equal_nan=True) for n in names)


def many(models: Any, names: list[str], backend: str, **given: Any) -> dict[str, Any]:
    """fit_many on both, in both precisions."""
    import jointlight as jl

    def fit(where: str, precision: str) -> Any:
        asked = given | {"backend": where, "precision": precision, "n_threads": CORES}
        return jl.fit_many(models, **asked).table

    found: dict[str, Any] = {}
    cpu, (reference, *_) = timed(lambda: fit("cpu", "float64"), 1)
    found["n"] = len(reference)
    found["cpu_s"] = cpu
    found["profile"] = {}
    for precision in ("float64", "mixed"):
        seconds, (first, second, *_) = timed(lambda p=precision: fit(backend, p), 2)
        found[precision] = {
            "seconds": seconds,
            "per_second": len(first) / seconds,
            "worst_sigma": apart(reference, first, names),
            "same_bits": same_bits(first, second, names),
            "other_status": int(np.sum(first["status"] != reference["status"])),
        }
        found["profile"][precision] = profile(lambda p=precision: fit(backend, p))
    return found


def stamps_64(n: int, backend: str) -> dict[str, Any]:
    """Stored galaxies in 64 x 64 pixels, PSF 21 x 21, with noise of their own each time."""
    import jointlight as jl

    small = stamps.stored().small()
    k = np.arange(n) % len(small.data)
    noise = np.random.default_rng(64).normal(0.0, 0.1 * stamps.SIGMA, (min(n, 1000), 64, 64))
    data = small.data[k] + noise[np.arange(n) % len(noise)]
    target = jl.TargetImage(data[0], variance=stamps.SIGMA**2, psf=small.psf, pixelscale=1.0)
    model = jl.Model("sersic galaxy", target=target, name="galaxy")
    names = ["center_x", "center_y", "q", "PA", "Re", "n", "Ie"]
    start = dict(zip(names, small.start[k].T, strict=True))
    return many(model, names, backend, data=data, variance=stamps.SIGMA**2, start=start)


def nine_bands(n: int, backend: str) -> dict[str, Any]:
    """Bulge and disc in nine bands of four pixel scales."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "nine_bands.npz"
        objects.write_nine_bands(path)
        with np.load(path) as file:
            data = {key: file[key] for key in file.files}
    models = [
        objects.build_nine_bands(data, i % objects.N_OBJECTS, f"object {i}") for i in range(n)
    ]
    return many(models, ["bulge/q", "bulge/Re", "disc/Re"], backend, update=False)


def single(build: Callable[[], Any], backend: str) -> dict[str, Any]:
    """One fit on both."""
    import jointlight as jl

    def fit(where: str) -> Any:
        return jl.fit.LM(build(), backend=where, n_threads=CORES).fit()

    cpu, (reference, *_) = timed(lambda: fit("cpu"), 2)
    began = time.perf_counter()
    fit(backend)
    first = time.perf_counter() - began
    seconds, (one, other, *_) = timed(lambda: fit(backend))
    errors = np.sqrt(np.diag(reference.covariance))
    return {
        "n_free": int(reference.n_free),
        "cpu_s": cpu,
        "first_s": first,
        "seconds": seconds,
        "worst_sigma": float(np.nanmax(np.abs((one.values - reference.values) / errors))),
        "same_bits": bool(np.array_equal(one.values, other.values)),
        "status": [reference.status, one.status],
        "profile": {"float64": profile(lambda: fit(backend))},
    }


def seed_fit(_: int, backend: str) -> dict[str, Any]:
    """The demonstration's galaxy in three images, from the data alone."""
    import jointlight as jl
    from jointlight import demo

    target = demo.make_images()

    def build() -> Any:
        model = jl.joint("sersic galaxy", target=target, per_image=["Ie"], name="galaxy")
        model.initialize()
        return model

    return single(build, backend)


def large_image(size: int, backend: str) -> dict[str, Any]:
    """One galaxy in a large image."""
    import jointlight as jl

    psf = jl.gaussian_psf(fwhm=3.0, pixelscale=1.0)
    true = {"q": 0.6, "PA": 30.0, "n": 2.5, "Re": size / 16, "Ie": 5.0}
    blank = jl.TargetImage(np.zeros((size, size)), pixelscale=1.0, variance=1.0, psf=psf)
    model = jl.Model("sersic galaxy", target=blank, center=(0.3, -0.2), **true)
    noise = np.random.default_rng(4).normal(size=(size, size))
    image = blank.copy(data=np.asarray(model.image()) + noise)
    start = true | {"q": 0.8, "n": 1.5, "Re": size / 20, "Ie": 4.0}
    return single(
        lambda: jl.Model("sersic galaxy", target=image, center=(0.0, 0.0), name="galaxy", **start),
        backend,
    )


def crowded_field(n: int, backend: str) -> dict[str, Any]:
    """Many blended galaxies in one image, one solve; chi2 is what both must reach."""
    import jointlight as jl

    field = crowded.stored(n)
    labels = crowded.segmentation(field)

    def fit(where: str) -> Any:
        (target,) = field.targets(jl)
        model = jl.joint_from_segmentation("sersic galaxy", labels, reference=target, target=target)
        model.initialize()
        began = time.perf_counter()
        result = jl.fit.LM(model, backend=where, n_threads=CORES).fit()
        return time.perf_counter() - began, result

    cpu_s, cpu = fit("cpu")
    seconds, device = fit(backend)
    return {
        "cpu_s": cpu_s,
        "seconds": seconds,
        "chi2": [cpu.chi2, device.chi2],
        "profile": {"float64": profile(lambda: fit(backend))},
    }


CASES: dict[str, tuple[Callable[[int, str], dict[str, Any]], int, int]] = {
    # case: what measures it, its size, the least that says anything
    "stamps_10000": (stamps_64, 10_000, 10),
    "stamps_100000": (stamps_64, 100_000, 20),
    "nine_bands_5000": (nine_bands, 5_000, 2),
    "seed_fit": (seed_fit, 1, 1),
    "image_4096": (large_image, 4096, 256),
    "crowded_1000": (crowded_field, 1000, 20),
    "crowded_10000": (crowded_field, 10_000, 30),
}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="cuda")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--only", action="append", choices=["first_call", *CASES])
    parser.add_argument("--out", type=Path, default=RESULTS / "gpu.json")
    chosen = parser.parse_args()
    import jointlight as jl
    from jointlight import _core
    from jointlight.backends import ready_backend

    ceilings = _core.device_ceilings(ready_backend(chosen.backend))
    document: dict[str, Any] = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": commit(),
        "machine": machine(),
        "backend": chosen.backend,
        "device": str(jl.backends()["cuda"]),
        "scale": chosen.scale,
        "cpu_threads": CORES,
        "ceilings": ceilings,
        "counting": _core.counted_flops,
        "cases": {},
    }
    wanted = chosen.only or ["first_call", *CASES]
    if "first_call" in wanted:
        document["first_call"] = first_call(chosen.backend)
    for name in (name for name in wanted if name in CASES):
        measure, size, least = CASES[name]
        n = max(least, round(size * chosen.scale))
        try:
            found = {"size": n} | measure(n, chosen.backend)
            for profiled in found["profile"].values():
                profiled["stages"] = against_ceilings(profiled["stages"], ceilings)
            document["cases"][name] = found
        except Exception as error:  # a case that fails leaves the others theirs
            document["cases"][name] = {"size": n, "failed": f"{type(error).__name__}: {error}"}
        print(name, json.dumps(document["cases"][name]), flush=True)
    document["targets"] = judged(document)
    for row in document["targets"]:
        print(f"{row['work']}: {row['target']}, reached {row['reached']}, met {row['met']}")
    chosen.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
