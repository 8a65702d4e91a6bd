# SPDX-License-Identifier: BSD-3-Clause
"""What a fresh process pays: import, first fit, peak memory; a process for each figure.

Seconds are the processor's, which other work on the machine does not change; with one thread and
files in memory they are the wall clock's of a quiet machine. "Beyond astropy" is beyond numpy and
those of astropy's modules that jointlight imports.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .cases import CASES
from .run import ONE_THREAD, PEERS, last_line

ASTROPY = """
import json, resource, sys, time
def peak_mb():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024
began = time.process_time()
import numpy as np
import astropy.coordinates, astropy.io.fits, astropy.table, astropy.time
import astropy.units, astropy.wcs
out = {"astropy_s": time.process_time() - began}
"""
IMPORT = (
    ASTROPY
    + """
began = time.process_time()
import jointlight as jl
out["import_s"] = time.process_time() - began
"""
)
FIRST_FIT = (
    IMPORT
    + """
from astropy.io import fits
y, x = np.mgrid[:64, :64] - 31.5
data = 80 * np.exp(-np.hypot(x - 0.4, (y + 0.2) / 0.6) / 4.0)
data += np.random.default_rng(1).normal(size=data.shape)
began = time.process_time()
psf = jl.gaussian_psf(fwhm=3.0, pixelscale=1.0)
image = jl.TargetImage(data, pixelscale=1.0, variance=1.0, psf=psf)
model = jl.Model("sersic galaxy", target=image, center=(0.0, 0.0), q=0.8, PA=60, n=1.6, Re=5, Ie=20)
result = model.fit(n_threads=1)
out["first_fit_s"] = time.process_time() - began
out["core_s"] = result.time_s
out["status"] = result.status
again = []
for _ in range(5):
    began = time.process_time()
    image = jl.TargetImage(data, pixelscale=1.0, variance=1.0, psf=psf)
    model = jl.Model(
        "sersic galaxy", target=image, center=(0.0, 0.0), q=0.8, PA=60, n=1.6, Re=5, Ie=20
    )
    model.fit(n_threads=1)
    again.append(time.process_time() - began)
out["later_fit_s"] = min(again)
"""
)
BARE = """
import json, time
began = time.process_time()
import numpy, astropy
out = {"bare_astropy_s": time.process_time() - began}
"""
SAY = "\nprint(json.dumps(out))\n"
# The seed's fit with the case file given as an argument; the data count in both.
DATA = """
from astropy.io.fits import Header
from astropy.wcs import WCS
with np.load(sys.argv[1]) as file:
    arrays = {k: file[k] for k in file.files}
"""
BEFORE = "out['before_mb'] = peak_mb()\n"


def child(code: str, *arguments: str, python: str = sys.executable) -> dict[str, Any]:
    """What a fresh process with one thread says."""
    return last_line([python, "-c", code + SAY, *arguments])


def startup(repeats: int) -> dict[str, Any]:
    """Medians of import and first fit."""
    child(FIRST_FIT)  # bytecode and the file cache
    fits, bare = [], []
    for _ in range(max(repeats, 5)):
        fits.append(child(FIRST_FIT))
        bare.append(child(BARE))
    names = [k for k, v in fits[0].items() if isinstance(v, float)]
    out = {k: statistics.median(f[k] for f in fits) for k in names}
    out["best"] = {k: min(f[k] for f in fits) for k in names}
    out["bare_astropy_s"] = statistics.median(b["bare_astropy_s"] for b in bare)
    out["status"] = fits[0]["status"]
    return out


def memory(pythons: dict[str, str]) -> dict[str, Any]:
    """Peak of the seed's fit, less that of numpy, astropy and the data, for us and AstroPhot."""
    out: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "demo_fit.npz"
        CASES["demo_fit"].write(path)
        for name in ("jointlight", "astrophot"):
            if name not in pythons:
                continue
            python = pythons[name]
            before = child(ASTROPY + DATA + BEFORE, str(path), python=python)["before_mb"]
            # As in the runner, but fitted once in all.
            process = subprocess.Popen(
                [python, str(PEERS / f"{name}.py"), str(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=os.environ | ONE_THREAD,
                cwd=folder,
            )
            said, _ = process.communicate("end\n")
            peak = json.loads(said.splitlines()[-1])["peak_mb"]
            out[name] = {
                "peak_mb": round(peak, 1),
                "before_mb": round(before, 1),
                "beyond_mb": round(peak - before, 1),
            }
    return out
