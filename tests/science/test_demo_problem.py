# SPDX-License-Identifier: BSD-3-Clause
"""The three-image joint fit, from `initialize()` to errors, judged by GalSim as the exact model."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import Any

import numpy as np
import pytest

from reference import demo_problem
from reference.on_backends import CPU_ALONE, EVERY_BACKEND

pytestmark = EVERY_BACKEND

jl = pytest.importorskip("jointlight")


def build(bands: list[demo_problem.Band]) -> Any:
    targets = [
        jl.TargetImage(
            b.data,
            wcs=b.wcs(),
            variance=b.sigma**2,
            zeropoint=b.zeropoint,
            psf=jl.gaussian_psf(fwhm=b.fwhm, pixelscale=b.pixelscale, kind="optical"),
            name=b.name,
        )
        for b in bands
    ]
    return jl.joint(
        "sersic galaxy",
        target=jl.TargetImageList(targets, reference=(demo_problem.RA, demo_problem.DEC)),
        per_image=["flux"],
        amplitude="flux",
        name="galaxy",
    )


def vector(model: Any) -> np.ndarray:
    center = np.asarray(model["center"].value)
    shape = [float(model[k].value) for k in ("q", "PA", "Re", "n")]
    return np.array([*center, *shape, *(float(m["flux"].value) for m in model.models)])


@pytest.fixture(scope="module")
def bands() -> list[demo_problem.Band]:
    return demo_problem.bands()


@pytest.fixture(scope="module")
def fitted(bands, every_backend) -> tuple[Any, Any]:
    model = build(bands)
    model.initialize()
    return model, model.fit(verbose=0)


@pytest.fixture(scope="module")
def exact(bands) -> demo_problem.Optimum:
    return demo_problem.optimum(bands)


def test_converges_quickly_from_initialize(fitted):
    _, result = fitted
    assert result.success, result.message
    assert result.n_linearize <= 12


def test_chi2_is_the_exact_models(bands, fitted, exact):
    model, result = fitted
    best = exact.chi2
    assert result.chi2 <= best + 2
    # And not by fitting something else: GalSim agrees about the images at our answer.
    assert demo_problem.chi2(vector(model), bands) <= best + 2
    assert result.chi2 / result.dof == pytest.approx(1.0, abs=0.01)


def test_parameters_are_the_exact_models(fitted, exact):
    model, result = fitted
    sigma = exact.sigma
    assert np.max(np.abs(vector(model) - exact.v) / sigma) <= 0.2
    errors = {p.name: e for p, e in zip(result.parameters, result.errors, strict=True)}
    for name, expected in zip(demo_problem.NAMES[2:6], sigma[2:6], strict=True):
        assert errors[name] == pytest.approx(expected, rel=0.03), name


def test_parameters_are_the_truth_within_errors(fitted):
    model, result = fitted
    errors = {p.full_name: e for p, e in zip(result.parameters, result.errors, strict=True)}
    assert np.all(np.isfinite(list(errors.values())))
    fluxes = [m["flux"].uncertainty for m in model.models]
    shape = [model[k].uncertainty for k in ("q", "PA", "Re", "n")]
    sigma = np.array([*np.asarray(model["center"].uncertainty), *shape, *fluxes])
    assert np.max(np.abs(vector(model) - demo_problem.TRUTH) / sigma) <= 4


def test_rendering_against_galsim(bands):
    model = build(bands)
    x, y, q, pa, scale, n, *fluxes = demo_problem.TRUTH
    for name, value in {"center": (x, y), "q": q, "PA": pa, "Re": scale, "n": n}.items():
        model[name].value = value
    for member, flux in zip(model.models, fluxes, strict=True):
        member["flux"].value = flux
    expected = demo_problem.model(demo_problem.TRUTH, bands)
    for image, truth, band in zip(model.images(), expected, bands, strict=True):
        assert np.max(np.abs(np.asarray(image) - truth)) <= 2e-5 * truth.max(), band.name


@CPU_ALONE
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's peak memory")
def test_memory_of_the_whole_fit(bands, tmp_path):
    content = {f"{b.name}_{k}": getattr(b, k) for b in bands for k in ("data", "sigma", "fwhm")}
    headers = {f"{b.name}_header": b.wcs().to_header_string() for b in bands}
    scales = {f"{b.name}_scale": b.pixelscale for b in bands}
    np.savez(tmp_path / "bands.npz", **content, **headers, **scales)
    script = f"""
        import numpy as np
        from astropy.io.fits import Header
        from astropy.wcs import WCS
        import jointlight as jl
        f = np.load({str(tmp_path / "bands.npz")!r})
        targets = [
            jl.TargetImage(
                f[b + "_data"], wcs=WCS(Header.fromstring(str(f[b + "_header"]))),
                variance=float(f[b + "_sigma"]) ** 2, name=b,
                psf=jl.gaussian_psf(fwhm=float(f[b + "_fwhm"]), pixelscale=float(f[b + "_scale"])),
            )
            for b in ("r", "W1", "NUV")
        ]
        target = jl.TargetImageList(targets)
        m = jl.joint("sersic galaxy", target=target, per_image=["Ie"], name="g")
        m.initialize()
        assert m.fit(verbose=0).success
        # Not ru_maxrss: a child inherits the peak of the process that forked it.
        status = open("/proc/self/status").read()
        print(int(status.split("VmHWM:")[1].split()[0]) / 1024)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) < 400
