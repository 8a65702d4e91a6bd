# SPDX-License-Identifier: BSD-3-Clause
"""The data shared out among the sources that they are light of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jointlight import scene as scenes
from jointlight.errors import InvalidInput, did_you_mean, invalid

if TYPE_CHECKING:
    from jointlight.image import TargetImage, Window
    from jointlight.scene import Scene, Tile

    from .base import Model

FloatArray = np.ndarray[Any, np.dtype[np.float64]]

# A source's share never falls below this fraction of its peak, so that where no source has
# light the data are shared as their peaks are, not as the rounding of their wings is.
_FLOOR = 1e-12


class DeblendedSource(NamedTuple):
    """One source's part of the data.

    Attributes
    ----------
    array : ndarray
        [h, w] of the window, in the image's unit.
    window : tuple
        ``((x0, x1), (y0, y1))``, half-open pixel ranges.
    """

    array: FloatArray
    window: Window


class Deblended(Mapping[str, DeblendedSource]):
    """Parts of one image's data by name of the source; made by ``model.deblend``.

    Attributes
    ----------
    image : TargetImage
    sky : ndarray
        The model of the sky that was subtracted, [h, w] of the image.

    Examples
    --------
    >>> array, window = model.deblend()["galaxy 3"]  # doctest: +SKIP
    """

    def __init__(
        self, image: TargetImage, sky: FloatArray, parts: dict[str, DeblendedSource]
    ) -> None:
        self.image = image
        self.sky = sky
        self._parts = parts

    def __getitem__(self, name: str) -> DeblendedSource:
        try:
            return self._parts[name]
        except KeyError:
            raise InvalidInput(
                f"no source {name!r} on image {self.image.name!r}{did_you_mean(name, self._parts)}"
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __contains__(self, name: object) -> bool:
        return name in self._parts

    def on_image(self, name: str) -> FloatArray:
        """One source's part on the whole image, [h, w]; 0 outside its window."""
        out = np.zeros(self.image.shape)
        array, ((x0, x1), (y0, y1)) = self[name]
        out[y0:y1, x0:x1] = array
        return out

    def total(self) -> FloatArray:
        """Sum of all parts, [h, w] of the image: data minus sky; 0 outside all windows."""
        out = np.zeros(self.image.shape)
        for array, ((x0, x1), (y0, y1)) in self._parts.values():
            out[y0:y1, x0:x1] += array
        return out

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, list(self._parts)[:6]))
        more = f", ... {len(self) - 6} more" if len(self) > 6 else ""
        return f"<Deblended image {self.image.name!r} of {len(self)} sources: {shown}{more}>"


def deblend_images(
    model: Model, images: Sequence[TargetImage], *, masked: str = "nan"
) -> list[Deblended]:
    """Share the data of images out among a model's sources; see ``Model.deblend``."""
    if masked not in ("nan", "model"):
        raise invalid("masked", masked, "'nan' or 'model'")
    modelled = {id(leaf.target) for leaf in model.leaves()}
    chosen = [image for image in images if id(image) in modelled]
    scene = scenes.compile(model, images=chosen) if chosen else None
    tiles: dict[int, list[Tile]] = {}
    for tile in () if scene is None else scene.tiles:
        tiles.setdefault(id(scene.images[tile.image]), []).append(tile)  # type: ignore[union-attr]
    return [_deblend(image, scene, tiles.get(id(image), []), masked) for image in images]


def _deblend(
    image: TargetImage, scene: Scene | None, on_image: Sequence[Tile], masked: str
) -> Deblended:
    """Share one image's data out."""
    sky = np.zeros(image.shape)
    tiles: dict[str, list[tuple[FloatArray, Window]]] = {}
    drawn = [] if scene is None else scene.render_tiles(on_image)
    for tile, light in zip(on_image, drawn, strict=True):
        assert scene is not None
        (x0, x1), (y0, y1) = tile.window
        source = scene.sources[tile.source]
        if source.is_sky:
            sky[y0:y1, x0:x1] += light
        else:
            tiles.setdefault(source.name, []).append((light, tile.window))
    light_of = {name: _together(drawn) for name, drawn in tiles.items()}

    total, weights = np.zeros(image.shape), np.zeros(image.shape)
    for light, covered, ((x0, x1), (y0, y1)) in light_of.values():
        total[y0:y1, x0:x1] += light
        weights[y0:y1, x0:x1] += _weight(light, covered)
    rest = image.data - sky - total
    rest = np.where(image.mask, np.nan if masked == "nan" else 0.0, rest)
    parts = {}
    for name, (light, covered, window) in light_of.items():
        (x0, x1), (y0, y1) = window
        share = np.zeros(light.shape)
        own, of_all = _weight(light, covered), weights[y0:y1, x0:x1]
        np.divide(own, of_all, out=share, where=own > 0.0)
        # With positive light this is light / total of the data. As light plus a share of the
        # residuals it also holds where negative light brings the total to 0.
        left = np.where(share > 0.0, share * rest[y0:y1, x0:x1], 0.0)
        parts[name] = DeblendedSource(light + left, window)
    return Deblended(image, sky, parts)


def _together(
    drawn: list[tuple[FloatArray, Window]],
) -> tuple[FloatArray, np.ndarray[Any, np.dtype[np.bool_]] | None, Window]:
    """Light of one source's components in the box of their windows, and where they are drawn."""
    if len({window for _, window in drawn}) == 1:
        return np.sum([light for light, _ in drawn], axis=0), None, drawn[0][1]
    x0, y0 = (min(window[axis][0] for _, window in drawn) for axis in (0, 1))
    x1, y1 = (max(window[axis][1] for _, window in drawn) for axis in (0, 1))
    total, covered = np.zeros((y1 - y0, x1 - x0)), np.zeros((y1 - y0, x1 - x0), dtype=bool)
    for light, ((a0, a1), (b0, b1)) in drawn:
        total[b0 - y0 : b1 - y0, a0 - x0 : a1 - x0] += light
        covered[b0 - y0 : b1 - y0, a0 - x0 : a1 - x0] = True
    return total, covered, ((x0, x1), (y0, y1))


def _weight(light: FloatArray, covered: np.ndarray[Any, np.dtype[np.bool_]] | None) -> FloatArray:
    """What a source's share of the residuals goes by, positive wherever it is drawn."""
    size = np.abs(light)
    weight = size + max(_FLOOR * float(size.max(initial=0.0)), np.finfo(np.float64).tiny)
    return weight if covered is None else np.where(covered, weight, 0.0)
