# SPDX-License-Identifier: BSD-3-Clause
"""Windows of many objects: from a segmentation map, scaled, filtered, in other images.

A dict of windows has an entry a label, ``{label: ((x0, x1), (y0, y1))}``, half-open pixel ranges
of one image.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jointlight.errors import Described, InvalidInput, invalid
from jointlight.image import TargetImage
from jointlight.initialize.labels import Windows, is_catalog, read_catalog, read_map
from jointlight.scene import same_plane

if TYPE_CHECKING:
    from jointlight.image import Window

Floats = NDArray[np.float64]

# points on each side of a window whose places on the sky are compared
_EDGE_POINTS = 9
# px; a boundary this close to that of a pixel is on it but for rounding
_ROUNDING = 1e-6


def windows_from_segmentation_map(seg: Any) -> Windows:
    """Bounding box of every label of a segmentation map.

    Parameters
    ----------
    seg : array_like or SegmentationImage or SourceCatalog
        Whole numbers, 0 = no object: from photutils, sep, SExtractor, ProFound or elsewhere. Of
        a photutils catalogue the bounding boxes are taken.

    Returns
    -------
    dict
        ``{label: ((x0, x1), (y0, y1))}``, half-open, by ascending label; empty for an empty map.
    """
    found = read_catalog(seg) if is_catalog(seg) else read_map(seg)
    return dict(zip(found.labels, found.windows, strict=True))


def scale_windows(
    windows: Mapping[int, Any],
    *,
    image: TargetImage | None = None,
    image_shape: tuple[int, int] | None = None,
    expand_scale: float = 1.0,
    expand_border: float = 0,
) -> Windows:
    """Scale windows about their middles and add a border.

    Parameters
    ----------
    windows : mapping
        ``{label: ((x0, x1), (y0, y1))}``.
    image : TargetImage, optional
        Windows are cut at its edge; or give its shape:
    image_shape : tuple of int, optional
        ``(height, width)``.
    expand_scale : float
        Factor on width and height.
    expand_border : float
        Pixels to add on each side, after scaling.

    Returns
    -------
    dict
        Windows rounded outward. Those that do not touch the image are left out.
    """
    height, width = _parse_shape(image, image_shape)
    scale = _number("expand_scale", expand_scale, low=0.0)
    border = _number("expand_border", expand_border)
    labels, boxes = parse_windows(windows)
    middle = 0.5 * (boxes[:, :, 0] + boxes[:, :, 1])
    half = 0.5 * scale * (boxes[:, :, 1] - boxes[:, :, 0]) + border
    # a negative border shrinks a window to no less than its middle pixel
    half = np.maximum(half, 0.5)
    return _clipped(labels, middle - half, middle + half, (height, width))


def transfer_windows(
    windows: Mapping[int, Any], base_image: TargetImage, new_image: TargetImage
) -> Windows:
    """Find the windows of another image that hold the same parts of the sky.

    The outline of each window, corners and points along the sides, is carried over the sky,
    whatever the two images' scales, rotations, parities and projections.

    Parameters
    ----------
    windows : mapping
        ``{label: ((x0, x1), (y0, y1))}`` in pixels of `base_image`.
    base_image : TargetImage
        Where they are from.
    new_image : TargetImage
        Where they are wanted.

    Returns
    -------
    dict
        The smallest windows of whole pixels of `new_image` that hold the outlines, cut at its
        edge. Windows that do not touch it are left out.
    """
    for argument, image in (("base_image", base_image), ("new_image", new_image)):
        if not isinstance(image, TargetImage):
            raise invalid(argument, image, "a TargetImage")
    labels, boxes = parse_windows(windows)
    if not labels:
        return {}
    if base_image is new_image:
        return _clipped(labels, boxes[:, :, 0], boxes[:, :, 1], new_image.shape)
    x, y = map_pixels(*_outlines(boxes), base_image, new_image)
    usable = np.isfinite(x) & np.isfinite(y)
    seen = np.asarray(usable.any(axis=1))
    ends = np.full((len(labels), 2, 2), np.nan)
    for axis, values in enumerate((x, y)):
        ends[:, axis, 0] = np.where(usable, values, np.inf).min(axis=1) + 0.5
        ends[:, axis, 1] = np.where(usable, values, -np.inf).max(axis=1) + 0.5
    kept = [label for label, here in zip(labels, seen, strict=True) if here]
    return _clipped(kept, ends[seen, :, 0], ends[seen, :, 1], new_image.shape)


def filter_windows(
    windows: Mapping[int, Any],
    *,
    min_size: float | None = None,
    max_size: float | None = None,
    min_area: float | None = None,
    max_area: float | None = None,
    min_flux: float | None = None,
    max_flux: float | None = None,
    image: TargetImage | None = None,
) -> Windows:
    """Keep the windows within limits.

    Parameters
    ----------
    windows : mapping
        ``{label: ((x0, x1), (y0, y1))}``.
    min_size, max_size : float, optional
        Of the shorter and of the longer side, in pixels.
    min_area, max_area : float, optional
        Of width times height, in pixels.
    min_flux, max_flux : float, optional
        Of the sum of the image's good pixels in the window, sky included.
    image : TargetImage, optional
        Needed for the flux.

    Returns
    -------
    dict
        Windows within all limits, both ends included, in the order given.
    """
    limits = {
        name: None if value is None else _number(name, value)
        for name, value in (
            ("min_size", min_size),
            ("max_size", max_size),
            ("min_area", min_area),
            ("max_area", max_area),
            ("min_flux", min_flux),
            ("max_flux", max_flux),
        )
    }
    for what in ("size", "area", "flux"):
        low, high = limits[f"min_{what}"], limits[f"max_{what}"]
        if low is not None and high is not None and low > high:
            raise invalid(f"min_{what}", low, f"at most max_{what} = {high:g}")
    by_flux = limits["min_flux"] is not None or limits["max_flux"] is not None
    if by_flux and not isinstance(image, TargetImage):
        raise invalid("image", image, "a TargetImage where min_flux or max_flux is given")
    labels, boxes = parse_windows(windows)
    sides = boxes[:, :, 1] - boxes[:, :, 0]
    keep = np.ones(len(labels), dtype=bool)
    measures = {
        "min_size": sides.min(axis=1, initial=np.inf),
        "max_size": sides.max(axis=1, initial=0.0),
        "min_area": sides.prod(axis=1),
        "max_area": sides.prod(axis=1),
    }
    if by_flux:
        assert image is not None
        measures["min_flux"] = measures["max_flux"] = _fluxes(boxes, image)
    for name, values in measures.items():
        limit = limits[name]
        if limit is not None:
            keep &= values >= limit if name.startswith("min") else values <= limit
    return {label: _window(box) for label, box, k in zip(labels, boxes, keep, strict=True) if k}


def map_pixels(x: Floats, y: Floats, base: TargetImage, new: TargetImage) -> tuple[Floats, Floats]:
    """Pixels of one image that show what pixels of another do; NaN where there are none."""
    shape = x.shape
    if same_plane([base, new]):
        plane = base.pixel_to_plane(x.ravel(), y.ravel())
        u, v = new.plane_to_pixel(*plane)
    elif base.has_wcs and new.has_wcs:
        u, v = new.world_to_pixel(base.pixel_to_world(x.ravel(), y.ravel()))
    else:
        without = base if new.has_wcs else new
        raise InvalidInput(
            f"windows cannot go from image {base.name!r} to {new.name!r}: {without.name!r} has "
            "no place on the sky. Give it wcs=, or reference=SkyCoord(...)",
            argument="new_image",
        )
    return np.reshape(u, shape), np.reshape(v, shape)


def parse_windows(windows: Any) -> tuple[list[int], Floats]:
    """Return labels and ``[n, 2, 2]`` boxes (axis x or y, first or beyond last pixel)."""
    if not isinstance(windows, Mapping):
        raise invalid("windows", windows, "a dict {label: ((x0, x1), (y0, y1))}")
    boxes = np.empty((len(windows), 2, 2))
    for k, (label, window) in enumerate(windows.items()):
        if isinstance(window, tuple) and all(isinstance(part, slice) for part in window):
            window = [(part.start, part.stop) for part in window[::-1]]
        try:
            box = np.asarray(window, dtype=np.float64)
        except (TypeError, ValueError):
            box = np.empty(0)
        whole = box.shape == (2, 2) and bool(np.all(np.isfinite(box) & (box == np.rint(box))))
        if not whole or np.any(box[:, 1] <= box[:, 0]):
            raise invalid(
                f"windows[{label!r}]",
                window,
                "((x0, x1), (y0, y1)) in whole pixels with x0 < x1 and y0 < y1",
            )
        boxes[k] = box
    return list(windows), boxes


def _window(box: Floats) -> Window:
    (x0, x1), (y0, y1) = box
    return (int(x0), int(x1)), (int(y0), int(y1))


def _clipped(labels: list[int], low: Floats, high: Floats, shape: tuple[int, int]) -> Windows:
    """Windows of whole pixels about ``[n, 2]`` pixel boundaries, cut at an image's edge."""
    size = np.array([shape[1], shape[0]], dtype=np.float64)
    first = np.clip(np.floor(low + _ROUNDING), 0.0, size)
    last = np.clip(np.ceil(high - _ROUNDING), 0.0, size)
    boxes = np.stack([first, last], axis=-1)
    inside = np.all(last > first, axis=1)
    return {label: _window(box) for label, box, k in zip(labels, boxes, inside, strict=True) if k}


def _outlines(boxes: Floats) -> tuple[Floats, Floats]:
    """Pixel coordinates ``[n, 4 * (points - 1)]`` along the windows' outlines."""
    t = np.linspace(0.0, 1.0, _EDGE_POINTS)[:-1]
    zero, one = np.zeros_like(t), np.ones_like(t)
    along_x = np.concatenate([t, one, 1 - t, zero])
    along_y = np.concatenate([zero, t, one, 1 - t])
    low, high = boxes[:, :, 0] - 0.5, boxes[:, :, 1] - 0.5
    x = low[:, [0]] + (high - low)[:, [0]] * along_x
    y = low[:, [1]] + (high - low)[:, [1]] * along_y
    return x, y


def _fluxes(boxes: Floats, image: TargetImage) -> Floats:
    """Sum of the good pixels of each window."""
    data = np.where(image.mask, 0.0, image.data)
    height, width = image.shape
    ends = np.clip(boxes, 0, np.array([[[width], [height]]])).astype(int)
    return np.array([data[y0:y1, x0:x1].sum() for (x0, x1), (y0, y1) in ends], dtype=float)


def _parse_shape(image: object, image_shape: Any) -> tuple[int, int]:
    if isinstance(image, TargetImage):
        return image.shape
    if image is not None:
        raise invalid("image", image, "a TargetImage", "an array's shape goes in image_shape=")
    if image_shape is None:
        raise invalid(
            "image, image_shape",
            Described("both left out"),
            "given, one of them",
            "windows are cut at the image's edge",
        )
    try:
        height, width = (int(n) for n in image_shape)
    except (TypeError, ValueError):
        raise invalid("image_shape", image_shape, "(height, width)") from None
    if height < 1 or width < 1:
        raise invalid("image_shape", image_shape, "(height, width), both positive")
    return height, width


def _number(argument: str, value: object, *, low: float | None = None) -> float:
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(
        value, bool
    )
    if not number or not np.isfinite(value):  # type: ignore[call-overload]
        raise invalid(argument, value, "a finite number")
    if low is not None and value <= low:  # type: ignore[operator]
        raise invalid(argument, value, f"more than {low:g}")
    return float(value)  # type: ignore[arg-type]
