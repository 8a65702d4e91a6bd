# SPDX-License-Identifier: BSD-3-Clause
"""Five galaxies in a row in two bands: two blends and one alone, over one sky a band.

Far galaxies share no pixels, yet through sky and neighbours all are one problem. Covariances come
from a dense inverse in numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.wcs import WCS
from scipy import sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCALE = 0.4  # arcsec per pixel
SHAPE = (36, 170)
SIGMA = {"g": 0.05, "r": 0.08}
SKY = {"g": 0.3, "r": -0.2}
COLUMNS = (20, 37, 78, 97, 148)  # pixels
HALF = 15  # half a window in pixels


def images() -> Any:
    """Two bands of noise, for `model` to draw on."""
    import jointlight as jl

    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [30.0, -5.0]
    wcs.wcs.crpix = [SHAPE[1] / 2, SHAPE[0] / 2]
    wcs.wcs.cdelt = [-SCALE / 3600, SCALE / 3600]
    noise = np.random.default_rng(3)
    return jl.TargetImageList(
        [
            jl.TargetImage(
                noise.normal(0.0, sigma, SHAPE), variance=sigma**2, wcs=wcs, zeropoint=25.0,
                name=name,
            )
            for name, sigma in SIGMA.items()
        ]
    )  # fmt: skip


def model(targets: Any) -> Any:
    """The galaxies, called s0 to s4, and the skies, at the truth."""
    import jointlight as jl

    members: list[Any] = []
    for number, column in enumerate(COLUMNS):
        row = SHAPE[0] // 2 + (3 if number % 2 else -2)
        x, y = targets[0].pixel_to_plane(column, row)
        window = ((max(column - HALF, 0), column + HALF), (max(row - HALF, 0), row + HALF))
        galaxy = jl.joint(
            "sersic galaxy", target=targets, name=f"s{number}",
            window=dict.fromkeys(SIGMA, window), psf_convolve=False,
        )  # fmt: skip
        galaxy["center"].value = (float(x), float(y))
        galaxy["q"].value = 0.5 + 0.06 * number
        galaxy["PA"].value = 20.0 + 30.0 * number
        galaxy["Re"].value = 1.2 + 0.1 * number
        galaxy["n"].value = 1.2
        for member in galaxy.models:
            member["Ie"].value = 1.5 if member.target.name == "g" else 2.5
        members.append(galaxy)
    for target in targets:
        sky = jl.Model("flat sky", target=target, name=f"sky {target.name}")
        next(iter(sky.parameters.values())).value = SKY[target.name]
        members.append(sky)
    return jl.Group(members, target=targets, name="row")


def problem() -> Any:
    """The model at its start, on images that hold it with noise."""
    import jointlight as jl

    empty = images()
    drawn = model(empty)
    noisy = [image.copy(data=image.data + drawn.image(image), name=image.name) for image in empty]
    return model(jl.TargetImageList(noisy))


def normal_matrix(scene: Any, v: NDArray[np.float64]) -> NDArray[np.float64]:
    """J^T W J from the images' derivatives, without priors, ``[n_free, n_free]``."""
    total = np.zeros((scene.n_free, scene.n_free))
    for image in scene.images:
        jacobian = scene.jacobian(image, v).reshape(scene.n_free, -1)
        total += (jacobian * image.weight.ravel()) @ jacobian.T
    return total


def stored_pairs(scene: Any) -> NDArray[np.bool_]:
    """Pairs of free scalars of one source, or of components with overlapping windows."""
    used = [scene.slots.matrix[tile.slots, :].tocsr().indices for tile in scene.tiles]
    pairs = np.zeros((scene.n_free, scene.n_free), dtype=bool)
    for a, first in enumerate(scene.tiles):
        for b, second in enumerate(scene.tiles):
            near = first.image == second.image and all(
                low < end and start < high
                for (low, high), (start, end) in zip(first.window, second.window, strict=True)
            )
            if near or first.source == second.source:
                pairs[np.ix_(used[a], used[b])] = True
    return pairs


def lower(dense: NDArray[np.float64], pairs: NDArray[np.bool_]) -> sparse.csc_array:
    """The lower triangle of some pairs, stored zeros and NaN included."""
    row, column = np.nonzero(np.tril(pairs))
    return sparse.coo_array((dense[row, column], (row, column)), shape=dense.shape).tocsc()
