# SPDX-License-Identifier: BSD-3-Clause
"""Segmentation maps of any origin as a table of labels, and catalogues as places and boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from jointlight.errors import Described, InvalidInput, invalid
from jointlight.image import TargetImage

if TYPE_CHECKING:
    from jointlight.image import Window

Windows: TypeAlias = "dict[int, Window]"

ALLOWED = "a two-dimensional array of whole numbers, 0 = no object"
# labels up to this many times the number of pixels are renumbered by a table, not by sorting
_TABLE = 4


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A segmentation map, its labels renumbered.

    Attributes
    ----------
    labels : tuple of int
        Labels that occur, in ascending order.
    index : ndarray of int32
        ``[h, w]``: 0 where there is no object, else k + 1 for ``labels[k]``.
    windows : tuple of Window
        Bounding box of each label, half-open.
    """

    labels: tuple[int, ...]
    index: NDArray[np.int32]
    windows: tuple[Window, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.index.shape
        return height, width


@dataclass(frozen=True, eq=False)
class Catalog:
    """What is used of a catalogue of sources: labels, pixel positions, boxes."""

    labels: tuple[int, ...]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    windows: tuple[Window, ...]


def read_map(seg: Any, image: TargetImage | None = None, *, argument: str = "seg") -> LabelMap:
    """Read a segmentation map.

    Parameters
    ----------
    seg : array_like
        Whole numbers, 0 = no object, or something that holds such an array as ``data``
        (photutils' SegmentationImage, a FITS HDU).
    image : TargetImage, optional
        The map must have its shape.
    argument : str
        Name for messages.

    Returns
    -------
    LabelMap
    """
    array = _whole_numbers(seg, argument)
    if image is not None:
        if not isinstance(image, TargetImage):
            raise invalid("image", image, "the TargetImage that the map was made from")
        if array.shape != image.shape:
            flipped = array.shape == image.shape[::-1]
            raise invalid(
                argument,
                Described(f"of shape {array.shape}"),
                f"of the shape {image.shape} of image {image.name!r}",
                "it looks transposed: arrays are [row, column]"
                if flipped
                else "a map belongs to the image it was made from; to go to another one use "
                "transfer_windows",
            )
    labels, index = _renumber(array, argument)
    boxes = ndimage.find_objects(index, max_label=len(labels))
    windows = tuple(
        ((int(b[1].start), int(b[1].stop)), (int(b[0].start), int(b[0].stop)))
        for b in boxes
        if b is not None
    )
    return LabelMap(labels, index, windows)


def is_catalog(seg: Any) -> bool:
    """Whether it is a catalogue of sources, as photutils makes them, instead of a map."""
    return not isinstance(seg, np.ndarray) and any(
        hasattr(seg, name) for name in ("x_centroid", "xcentroid")
    )


def read_catalog(catalog: Any) -> Catalog:
    """Read labels, centroids and bounding boxes of a photutils SourceCatalog."""

    def column(*names: str) -> NDArray[Any]:
        for name in names:
            value = getattr(catalog, name, None)
            if value is not None:
                return np.atleast_1d(np.asarray(getattr(value, "value", value)))
        raise invalid(
            "seg",
            Described(f"a {type(catalog).__name__} without {names[0]}"),
            f"{ALLOWED}, or a catalogue with labels, centroids and bounding boxes",
        )

    labels = tuple(int(label) for label in column("labels", "label"))
    x = column("x_centroid", "xcentroid").astype(np.float64)
    y = column("y_centroid", "ycentroid").astype(np.float64)
    edges = [column(f"bbox_{end}") for end in ("xmin", "xmax", "ymin", "ymax")]
    windows = tuple(
        ((int(x0), int(x1) + 1), (int(y0), int(y1) + 1))
        for x0, x1, y0, y1 in zip(*edges, strict=True)
    )
    order = np.argsort(np.array(labels), kind="stable")
    return Catalog(
        tuple(labels[k] for k in order), x[order], y[order], tuple(windows[k] for k in order)
    )


def parse_labels(labels: Any, known: tuple[int, ...], argument: str) -> list[int]:
    """Return the labels asked for, each of which must be in the map."""
    single = isinstance(labels, (int, np.integer)) and not isinstance(labels, bool)
    try:
        wanted = [labels] if single else list(labels)
    except TypeError:
        raise invalid(argument, labels, "labels of the map") from None
    present = set(known)
    found: list[int] = []
    for label in wanted:
        whole = isinstance(label, (int, np.integer)) and not isinstance(label, (bool, np.bool_))
        if not whole or int(label) not in present:
            shown = ", ".join(map(str, known[:12])) + (", ..." if len(known) > 12 else "")
            raise InvalidInput(
                f"{argument}: the map has no label {label!r}; it has "
                + (shown if known else "none at all"),
                argument=argument,
            )
        if int(label) not in found[-1:]:
            found.append(int(label))
    return list(dict.fromkeys(found))


def _whole_numbers(seg: Any, argument: str) -> NDArray[np.integer[Any]]:
    held = seg
    if not isinstance(seg, np.ndarray) and not isinstance(seg, TargetImage):
        inner = getattr(seg, "data", None)
        held = inner if isinstance(inner, np.ndarray) else seg
    if isinstance(held, TargetImage):
        raise invalid(argument, Described("an image"), ALLOWED, "give the segmentation map")
    if isinstance(held, np.ma.MaskedArray):
        held = held.filled(0)
    try:
        array = np.asarray(held)
    except (TypeError, ValueError):
        raise invalid(argument, seg, ALLOWED) from None
    if array.ndim != 2 or array.size == 0:
        raise invalid(argument, Described(f"of shape {array.shape}"), ALLOWED)
    if array.dtype.kind == "b":
        raise invalid(
            argument,
            Described("of type bool"),
            ALLOWED,
            "number its regions with scipy.ndimage.label(seg)[0]",
        )
    if array.dtype.kind == "f":
        finite = np.isfinite(array)
        if not finite.all() or np.any(array != np.rint(array)) or np.abs(array).max() >= 2.0**53:
            raise invalid(
                argument, Described(f"of type {array.dtype} with fractions or NaN"), ALLOWED
            )
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise invalid(argument, Described(f"of type {array.dtype}"), ALLOWED)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array


def _renumber(
    array: NDArray[np.integer[Any]], argument: str
) -> tuple[tuple[int, ...], NDArray[np.int32]]:
    low, high = int(array.min()), int(array.max())
    if low < 0:
        raise invalid(
            argument,
            Described(f"one with the label {low}"),
            "without negative labels",
            "0 marks pixels of no object",
        )
    if high <= _TABLE * array.size:
        present = np.zeros(high + 1, dtype=np.int32)
        present[array] = 1
        present[0] = 0
        labels = np.flatnonzero(present)
        table = np.cumsum(present, dtype=np.int32) * present
        index = table[array]
    else:
        taken = array != 0
        labels, number = np.unique(array[taken], return_inverse=True)
        index = np.zeros(array.shape, dtype=np.int32)
        index[taken] = number.ravel() + 1
    return tuple(int(label) for label in labels), index
