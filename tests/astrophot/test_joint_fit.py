# SPDX-License-Identifier: BSD-3-Clause
"""Joint fits in the tutorial's spelling: one galaxy, and a blend, on images of known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from numpy.testing import assert_allclose

import jointlight.astrophot as ap
from reference.tutorial import BANDS, Tensor, check_galaxy, make_data, matched

STRUCTURE = ("center", "q", "PA", "n", "Re")
# zeropoint, noise, PSF FWHM and its array's width
SURVEYS = {
    "r": (22.5, 0.008, 1.12, 51),
    "W1": (25.199, 4.9, 6.1, 21),
    "NUV": (20.08, 7e-4, 5.4, 21),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("data")
    return folder, make_data(folder, seed=20)


def read(folder: Path, ra: float) -> dict[str, ap.image.Target_Image]:
    """The images around one position, on the plane of the first."""
    found: dict[str, ap.image.Target_Image] = {}
    layers = {"r": "ls-dr9", "W1": "unwise-neo7", "NUV": "galex"}
    for band, (zeropoint, sigma, fwhm, width) in SURVEYS.items():
        (path,) = folder.glob(f"ra={ra}*layer={layers[band]}*")
        pixels, header = fits.getdata(path, header=True)
        scale = header["CD2_2"] * 3600.0
        plane = {"reference_radec": found["r"].window.reference_radec} if found else {}
        found[band] = ap.image.Target_Image(
            data=Tensor(pixels),
            variance=Tensor(np.full(pixels.shape, sigma**2)),
            psf=Tensor(ap.utils.initialize.gaussian_psf(fwhm / 2.355, width, scale)),
            zeropoint=zeropoint,
            wcs=WCS(header),
            name=band,
            **plane,
        )
    return found


def band_models(
    images: dict[str, ap.image.Target_Image], tag: str, **first: Any
) -> list[ap.models.Component_Model]:
    """A Sersic model for each image, of one structure."""
    made = []
    for band, image in images.items():
        options = first if band == "r" else {}
        model = ap.models.AstroPhot_Model(
            name=f"{tag} in {band}", model_type="sersic galaxy model", target=image, **options
        )
        if made:
            for name in STRUCTURE:
                model[name].value = made[0][name]
        made.append(model)
    return made


def test_one_galaxy(data: tuple[Path, dict[str, Any]]) -> None:
    folder, truth = data
    images = read(folder, 187.3119)
    members = band_models(images, "galaxy", parameters={"n": {"value": 2.0, "limits": (0.4, 6.0)}})
    whole = ap.models.AstroPhot_Model(
        name="galaxy",
        model_type="group model",
        models=members,
        target=ap.image.Target_Image_List(images.values()),
        psf_mode="full",  # passed on
    )
    assert [member.psf_mode for member in members] == ["full"] * 3
    whole.initialize()
    assert members[1]["n"].value == 2.0
    fit = ap.fit.LM(whole, verbose=0).fit()
    assert fit.message.startswith("success")
    check_galaxy(truth["single"], dict(zip(BANDS, members, strict=True)))

    # The covariance is in the tutorial's units too: radians and decades.
    errors = np.sqrt(np.diag(fit.covariance_matrix))
    free = [members[0][name] for name in ("center", "q", "PA", "Re", "n", "Ie")]
    free += [member["Ie"] for member in members[1:]]
    assert_allclose(errors, np.concatenate([np.ravel(node.uncertainty) for node in free]))
    assert_allclose(fit.res(), np.concatenate([np.ravel(node.value) for node in free]))
    assert fit.loss_history[-1] == pytest.approx(fit.res_loss(), rel=1e-6)

    drawn = whole()
    for image, model in zip(whole.target, drawn, strict=True):
        pull = (image.data - model.data) * np.sqrt(image.weight)
        assert abs(np.mean(pull**2) - 1.0) < 4 * np.sqrt(2.0 / pull.size)


def test_blend(data: tuple[Path, dict[str, Any]]) -> None:
    folder, truth = data
    images = read(folder, 156.7283)
    pixels = images["r"].data
    tools = ap.utils.initialize
    # Bright pixels go to the nearest galaxy: any integer map will do.
    y, x = np.indices(pixels.shape)
    places = [images["r"].plane_to_pixel(galaxy["center"]) for galaxy in truth["group"]]
    distance = np.array([np.hypot(x - px, y - py) for px, py in places])
    labels = np.where(pixels > 0.05, distance.argmin(axis=0) + 1, 0)

    windows = {"r": tools.windows_from_segmentation_map(labels)}
    windows["r"] = tools.scale_windows(
        windows["r"], image_shape=pixels.shape, expand_scale=1.5, expand_border=10
    )
    for band in ("W1", "NUV"):
        windows[band] = tools.transfer_windows(windows["r"], images["r"], images[band])
    centers = tools.centroids_from_segmentation_map(labels, pixels)
    angles = tools.PA_from_segmentation_map(labels, pixels, centers)
    ratios = tools.q_from_segmentation_map(labels, pixels, centers, angles)
    full = ap.image.Target_Image_List(images.values())
    groups = []
    for label in windows["r"]:
        start = {
            "center": images["r"].pixel_to_plane(Tensor(centers[label])),
            "PA": -angles[label],
            "q": ratios[label],
        }
        members = band_models(images, f"galaxy {label}", psf_mode="full", parameters=start)
        for member, band in zip(members, images, strict=True):
            member.psf_mode = "full"
            member.window = windows[band][label]
        groups.append(
            ap.models.AstroPhot_Model(
                name=f"galaxy {label}", model_type="group model", target=full, models=members
            )
        )
    scene = ap.models.AstroPhot_Model(
        name="scene", model_type="group model", target=full, models=groups
    )
    scene.initialize()
    swept = ap.fit.Iter(scene, max_iter=30).fit()
    assert swept.message.startswith("success")
    solved = ap.fit.LM(scene).fit()
    assert solved.message.startswith("success")
    assert solved.result.chi2 <= swept.result.chi2
    assert swept.result.chi2 < solved.result.chi2 + 1.0
    for galaxy, group in matched(truth["group"], groups):
        check_galaxy(galaxy, dict(zip(BANDS, group, strict=True)))
