# SPDX-License-Identifier: BSD-3-Clause
"""Many sources in several images, straight onto the compiled core.

A slot is one entry of a table of values; those that are not held are the scene's parameters, in
the table's order. Unless a tile says otherwise, the plane is the pixel frame of its image (one
pixel is one arcsecond, East is +x).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Lower and upper limit of (x, y, q, PA, scale, amplitude); shapes go before the amplitude.
_INF = np.inf
_ELLIPSE = ((-_INF, _INF), (-_INF, _INF), (0.0, 1.0), (-_INF, _INF), (0.0, _INF))
_OPEN = (-_INF, _INF)
LIMITS: dict[str, tuple[tuple[float, float], ...]] = {
    "gaussian": (*_ELLIPSE, _OPEN),
    "exponential": (*_ELLIPSE, _OPEN),
    "devaucouleurs": (*_ELLIPSE, _OPEN),
    "sersic": (*_ELLIPSE, (0.3, 10.0), _OPEN),
    "moffat": (*_ELLIPSE, (1.05, 20.0), _OPEN),
    "point": (_OPEN,) * 3,
    "flat_sky": (_OPEN,),
    "plane_sky": (_OPEN,) * 3,
    "calibration": (_OPEN,) * 5,
}


@dataclass
class Tile:
    """One component in one image."""

    profile: str
    slots: Sequence[int]
    source: int = 0
    image: int = 0
    window: tuple[int, int, int, int] | None = None  # x0, x1, y0, y1; None: the whole image
    amplitude: str = "brightness"
    psf: int = 0
    image_slots: Sequence[int] | None = None
    pivot: tuple[float, float] = (0.0, 0.0)
    anchor: tuple[float, float] = (0.0, 0.0)  # pixel of the plane's origin
    jacobian: Any = field(default_factory=lambda: np.eye(2))


class Field:
    """Slots, tiles and images of a scene to be.

    Parameters
    ----------
    *shapes
        Height and width of each image.
    sigma
        Width of the Gaussian PSF of all images, pixels.
    """

    def __init__(self, *shapes: tuple[int, int], sigma: float = 1.3) -> None:
        self.data = [np.zeros(shape) for shape in shapes]
        self.weight = [np.ones(shape) for shape in shapes]
        self.likelihood = ["gaussian"] * len(shapes)
        self.sigma = sigma
        # Instead of the Gaussian, by image: an array, its oversampling, and its centre in it
        self.psf_arrays: dict[int, tuple[NDArray, int, tuple[float, float]]] = {}
        self.values: list[float] = []
        self.lower: list[float] = []
        self.upper: list[float] = []
        self.prior: dict[int, tuple[float, float]] = {}  # slot: mean, sigma
        self.tiles: list[Tile] = []
        self.held: set[int] = set()
        self.functions: list[tuple[Any, list[int], list[int]]] = []  # f, input and output slots

    def slots(self, kind: str, values: Sequence[float]) -> list[int]:
        """New slots with the limits of a profile, of "point", "flat_sky" or "calibration"."""
        first = len(self.values)
        self.values += [float(value) for value in values]
        limits = LIMITS[kind]
        assert len(limits) == len(values), (kind, len(values))
        self.lower += [low for low, _ in limits]
        self.upper += [high for _, high in limits]
        return list(range(first, len(self.values)))

    def add(self, profile: str, values: Sequence[float], **tile: Any) -> list[int]:
        """A new source with one tile; returns its slots."""
        slots = self.slots(profile, values)
        number = 1 + max((t.source for t in self.tiles), default=-1)
        self.tiles.append(Tile(profile, slots, **{"source": number, **tile}))
        return slots

    @property
    def free(self) -> NDArray:
        """Slots that are parameters."""
        return np.array([i for i in range(len(self.values)) if i not in self.held], dtype=int)

    @property
    def start(self) -> NDArray:
        """Their values."""
        return np.array(self.values)[self.free]

    def index(self, slots: Sequence[int]) -> NDArray:
        """Parameters behind slots that are not held."""
        return np.searchsorted(self.free, slots)

    def builder(self) -> Any:
        """A builder that holds everything."""
        from jointlight import _core

        builder = _core.SceneBuilder()
        images = zip(self.data, self.weight, self.likelihood, strict=True)
        for i, (data, weight, kind) in enumerate(images):
            builder.add_image(data, weight, kind)
            if i in self.psf_arrays:
                builder.add_psf_array(*self.psf_arrays[i], "effective")
            else:
                builder.add_psf_analytic("gaussian", (self.sigma,), 12 * self.sigma, "effective")
        for t in self.tiles:
            height, width = self.data[t.image].shape
            calibration = {}
            if t.image_slots is not None:
                calibration = {"image_slots": np.asarray(t.image_slots), "pivot": t.pivot}
            builder.add_tile(
                profile=t.profile,
                image=t.image,
                psf=t.psf,
                window=t.window or (0, width, 0, height),
                anchor_pixel=t.anchor,
                anchor_plane=(0.0, 0.0),
                jacobian=t.jacobian,
                quadratic=np.zeros((2, 3)),
                slots=np.asarray(t.slots),
                amplitude=t.amplitude,
                source=t.source,
                **calibration,
            )
        free, n_slots = self.free, len(self.values)
        rows = [[k] if i not in self.held else [] for k, i in zip(*self._numbered(), strict=True)]
        for _, inputs, outputs in self.functions:
            for slot in outputs:
                rows[slot] = [int(k) for k in self.index(inputs)]
        const = [self.values[i] if not rows[i] else 0.0 for i in range(n_slots)]
        prior = np.array([self.prior.get(int(i), (0.0, np.inf)) for i in free]).reshape(-1, 2)
        builder.set_parameters(
            n_free=len(free),
            start=self.start,
            lower=np.array(self.lower)[free],
            upper=np.array(self.upper)[free],
            indptr=np.cumsum([0] + [len(row) for row in rows]),
            indices=np.array([k for row in rows for k in row], dtype=int),
            coefs=np.ones(sum(map(len, rows))),
            const=np.array(const),
            prior_mean=prior[:, 0],
            prior_sigma=prior[:, 1],
            functions=[
                (f, self.index(inputs), np.array(outputs)) for f, inputs, outputs in self.functions
            ],
        )
        return builder

    def _numbered(self) -> tuple[list[int], list[int]]:
        """Parameter (0 where there is none) and number of each slot."""
        slots = list(range(len(self.values)))
        number = {int(i): k for k, i in enumerate(self.free)}
        return [number.get(i, 0) for i in slots], slots

    def scene(self, *, precision: str = "float64", **build: Any) -> Any:
        """The compiled scene; of one thread and the environment's backend unless asked for more."""
        from jointlight.backends import ready_backend

        builder = self.builder()
        builder.set_precision(precision)
        return builder.build(**{"n_threads": 1, "backend": ready_backend("auto"), **build})

    def observe(self, noise: float = 0.0, seed: int = 0) -> NDArray:
        """Make the images of the present values the data; returns the parameters."""
        random = np.random.default_rng(seed)
        scene, v = self.scene(), self.start
        for i, data in enumerate(self.data):
            self.data[i] = scene.render(v, i) + noise * random.normal(size=data.shape)
            if noise > 0:
                self.weight[i] = np.where(self.weight[i] > 0, noise**-2, 0.0)
        return v


def normal_matrix(scene: Any, v: NDArray, weights: Sequence[NDArray]) -> NDArray:
    """J^T W J over all images, from the derivative images."""
    total = np.zeros((len(v), len(v)))
    for i, weight in enumerate(weights):
        jacobian = scene.jacobian(v, i).reshape(len(v), -1)
        total += (jacobian * weight.ravel()) @ jacobian.T
    return total


def central_differences(scene: Any, v: NDArray, image: int, steps: NDArray) -> NDArray:
    """d(image)/d(parameter), [n_free, height, width], to fourth order in the steps."""
    found = []
    for i, h in enumerate(steps):
        e = np.zeros_like(v)
        e[i] = h
        near = scene.render(v + e, image) - scene.render(v - e, image)
        far = scene.render(v + 2 * e, image) - scene.render(v - 2 * e, image)
        found.append((8 * near - far) / (12 * h))
    return np.array(found)
