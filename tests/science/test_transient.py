# SPDX-License-Identifier: BSD-3-Clause
"""Forced photometry of a transient on its host: all epochs and bands in one fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from astropy.time import Time

from reference import transient
from reference.on_backends import EVERY_BACKEND, NOT_EMULATED, SLOW_EMULATED

pytestmark = EVERY_BACKEND

jl = pytest.importorskip("jointlight")

MILLIMAG = 1e-3 * np.log(10) / 2.5  # as a fraction of flux


def build(epochs: list[transient.Epoch], data: list[np.ndarray]) -> Any:
    """Host with one flux a band, point source with one flux an epoch, one sky level an epoch."""
    images = [
        jl.TargetImage(
            image,
            wcs=e.wcs,
            variance=e.sigma**2,
            psf=jl.PSF(e.psf),
            name=e.name,
            time=Time(60000.0 + e.day, format="mjd"),
        )
        for e, image in zip(epochs, data, strict=True)
    ]
    target = jl.TargetImageList(images, reference=(transient.RA, transient.DEC))
    host = jl.joint(
        "sersic galaxy",
        target=target,
        per_image=["flux"],
        amplitude="flux",
        name="host",
        center=(0.15, -0.1),
        q=0.7,
        PA=50.0,
        Re=1.3,
        n=2.0,
        flux=[0.9 * transient.HOST_FLUX[e.band] for e in epochs],
    )
    first: dict[str, str] = {}
    for e in epochs:
        leader = first.setdefault(e.band, e.name)
        if leader != e.name:
            host["flux"][e.name].tie(host["flux"][leader])
    point = jl.joint(
        "point source",
        target=target,
        per_image=["flux"],
        name="transient",
        center=(0.5, 0.3),
        flux=[0.0 if e.is_template else 500.0 for e in epochs],
    )
    for e in epochs:
        if e.is_template:
            point["flux"][e.name].fixed = True
    sky = jl.joint("flat sky", target=target, name="sky", I0=0.0)
    return jl.Group([host, point, sky], target=target, name="field")


def fluxes(model: Any, epochs: list[transient.Epoch]) -> tuple[np.ndarray, np.ndarray]:
    """Fluxes of the epochs that have the transient, in their order, and their covariance."""
    result = model.fit(verbose=0)
    assert result.success, result.message
    table = result.light_curve("transient")
    row = {str(name): k for k, name in enumerate(table["image"])}
    use = [row[e.name] for e in epochs if not e.is_template]
    covariance = np.asarray(table.meta["covariance"])
    assert np.allclose(np.sqrt(np.diag(covariance)), np.asarray(table["flux_err"]), equal_nan=True)
    return np.asarray(table["flux"], float)[use], covariance[np.ix_(use, use)]


@dataclass
class Study:
    """What many realisations of the noise gave."""

    epochs: list[transient.Epoch]
    delta: np.ndarray  # [realisations, epochs with the transient]: flux minus truth
    covariance: np.ndarray  # [epochs, epochs], the mean of those reported
    pulls: np.ndarray  # [realisations, epochs]
    chi2: np.ndarray  # [realisations]: delta' C^-1 delta
    band_pulls: np.ndarray  # [realisations, bands]: of the summed light of a band


def study(epochs: list[transient.Epoch], realisations: int, seed: int) -> Study:
    rng = np.random.default_rng(seed)
    live = [e for e in epochs if not e.is_template]
    truth = np.array([e.flux for e in live])
    bands = list(dict.fromkeys(e.band for e in live))
    sums = np.array([[float(e.band == b) for e in live] for b in bands])
    deltas, covariances, chi2, of_bands = [], [], [], []
    for _ in range(realisations):
        data = [e.clean + rng.normal(0.0, e.sigma, e.clean.shape) for e in epochs]
        found, covariance = fluxes(build(epochs, data), epochs)
        delta = found - truth
        deltas.append(delta)
        covariances.append(covariance)
        chi2.append(delta @ np.linalg.solve(covariance, delta))
        of_bands.append((sums @ delta) / np.sqrt(np.diag(sums @ covariance @ sums.T)))
    sigma = np.sqrt([np.diag(c) for c in covariances])
    return Study(
        epochs,
        np.array(deltas),
        np.mean(covariances, axis=0),
        np.array(deltas) / sigma,
        np.array(chi2),
        np.array(of_bands),
    )


def check(s: Study, *, bias: float, width: float, slack: float) -> None:
    """Bias in millimagnitudes of the host's peak; widths of pulls; sums with their correlations.

    `bias` holds for the mean over all epochs as it stands, for each epoch within its own scatter.
    """
    n, epochs = s.delta.shape
    sigma = np.sqrt(np.diag(s.covariance))
    peak = np.array([e.host_peak for e in s.epochs if not e.is_template])
    offset = np.abs(s.delta.mean(axis=0)) / peak / MILLIMAG
    scatter = sigma / np.sqrt(n) / peak / MILLIMAG
    overall = abs(np.mean(s.delta / peak)) / MILLIMAG
    facts = {
        "bias in mmag of the host's peak": overall,
        "mean pull": s.pulls.mean(),
        "width of pulls": s.pulls.std(),
        "chi2 per epoch": s.chi2.mean() / epochs,
        "width of bands' pulls": s.band_pulls.std(),
        "the same at the worst epoch": offset.max(),
        "its standard error": scatter.max(),
    }
    print("\n".join(f"{key:40} {value:.4f}" for key, value in facts.items()))
    assert overall <= bias
    assert np.all(offset <= bias + 4 * scatter)
    assert abs(s.pulls.mean()) <= width
    assert abs(s.pulls.std() - 1) <= width
    assert abs(s.chi2.mean() / epochs - 1) <= width
    # Sums over a band hold the error of the host that its epochs share: wrong without covariance.
    assert abs(s.band_pulls.std() - 1) <= slack
    scaled = s.covariance / np.outer(sigma, sigma)
    between = scaled[~np.eye(epochs, dtype=bool)]
    found = np.corrcoef(s.delta.T)[~np.eye(epochs, dtype=bool)]
    assert np.max(between) > 0.1
    # Pairs by predicted correlation: the mean of what is found follows it.
    for chosen in (between > np.median(between), between <= np.median(between)):
        assert abs(np.mean(found[chosen]) - np.mean(between[chosen])) <= slack / 2


def check_without_noise(epochs: list[transient.Epoch]) -> None:
    """What drawing alone does to the light curve, with PSF stamps of one sample a pixel.

    The sharpest, of 3.2 pixels a FWHM, lack a little of what is finer than a pixel.
    """
    found, _ = fluxes(build(epochs, [e.clean for e in epochs]), epochs)
    live = [e for e in epochs if not e.is_template]
    offset = (found - [e.flux for e in live]) / [e.host_peak for e in live] / MILLIMAG
    assert np.max(np.abs(offset)) <= 0.3


@SLOW_EMULATED
def test_a_dozen_epochs():
    epochs = transient.make(12, bands=("r",))
    check_without_noise(epochs)
    # The tolerances are the full study's, widened by the square root of the smaller sample.
    check(study(epochs, 16, 1), bias=3.0, width=0.25, slack=0.7)


@NOT_EMULATED
@pytest.mark.slow
def test_sixty_epochs_in_three_bands():
    epochs = transient.make(60)
    check_without_noise(epochs)
    check(study(epochs, 150, 2), bias=1.0, width=0.05, slack=0.12)
