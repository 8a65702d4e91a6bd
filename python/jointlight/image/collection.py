# SPDX-License-Identifier: BSD-3-Clause
"""Several images that are modelled together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, overload

import numpy as np

from jointlight.errors import Described, InvalidInput, did_you_mean, invalid
from jointlight.image.placement import Reference, parse_reference, same_position
from jointlight.image.target import TargetImage

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord

_FARTHEST = 60.0  # degrees; the gnomonic plane is of no use far beyond, and ends at 90


class TargetImageList(Sequence[TargetImage]):
    """Images that share one plane of the sky.

    The plane is that of the first image, or of `reference`, or of images that were already given
    one. Each image keeps its own WCS. Positions in the plane that were read from another member
    beforehand (``image.pixel_to_plane``) belong to that member's former plane: make the list
    first, or use sky coordinates.

    Parameters
    ----------
    images : iterable of TargetImage
        At least one; either all or none of them with a place on the sky.
    reference : SkyCoord or tuple of float, optional
        Sky position of the plane's origin.
    """

    def __init__(
        self, images: Iterable[TargetImage], *, reference: Reference | None = None
    ) -> None:
        if isinstance(images, TargetImage):
            raise invalid("images", images, "a sequence of images", "write [image]")
        try:
            members = tuple(images)
        except TypeError:
            raise invalid("images", images, "a sequence of images") from None
        if not members:
            raise invalid("images", Described("an empty sequence"), "at least one image")
        for i, image in enumerate(members):
            if not isinstance(image, TargetImage):
                raise invalid(f"images[{i}]", image, "a TargetImage")
        _refuse_repeats(members)
        self._images = members
        position = None if reference is None else parse_reference(reference)
        self._share_plane(position)

    def _share_plane(self, position: SkyCoord | None) -> None:
        with_sky = [image for image in self._images if image.has_wcs]
        if not with_sky:
            if position is not None:
                raise InvalidInput(
                    "reference: none of these images has a WCS; give each one "
                    "reference=SkyCoord(...), the sky position of its pixel `origin`",
                    argument="reference",
                )
            return
        if len(with_sky) < len(self._images):
            without = next(image for image in self._images if not image.has_wcs)
            raise InvalidInput(
                f"images: {without.name!r} has no WCS but {with_sky[0].name!r} has one, so they "
                f"share no coordinates. Give {without.name!r} reference=SkyCoord(...), the sky "
                "position of its pixel `origin` (default: its middle; North is up, East left), "
                "or leave out the WCS of the others and give each its `origin`, the pixel of "
                "the common point (0, 0)",
                argument="images",
            )
        chosen = position
        source = "reference="
        for image in self._images:
            if not image.reference_fixed:
                continue
            if chosen is None:
                chosen, source = image.reference, f"image {image.name!r}"
            elif not same_position(chosen, image.reference):
                raise InvalidInput(
                    f"images: {image.name!r} is already on the plane about "
                    f"{_degrees(image.reference)} (its own reference, or that of another list), "
                    f"but {source} is on that about {_degrees(chosen)}, "
                    f"{_distance(image.reference, chosen)} away. Pass "
                    f"{image.name!r} as .copy(reference=...) to have it on both",
                    argument="images",
                )
        if chosen is None:
            chosen = self._images[0].reference
        assert chosen is not None
        for image in self._images:
            _refuse_if_far(image, chosen)
        for image in self._images:
            image.adopt_reference(chosen)

    @property
    def reference(self) -> SkyCoord | None:
        """Sky position of the common plane's origin; None without WCS."""
        return self._images[0].reference

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the images."""
        return tuple(image.name for image in self._images)

    @overload
    def __getitem__(self, key: int | str) -> TargetImage: ...

    @overload
    def __getitem__(self, key: slice) -> TargetImageList: ...

    def __getitem__(self, key: int | str | slice) -> TargetImage | TargetImageList:
        if isinstance(key, str):
            for image in self._images:
                if image.name == key:
                    return image
            raise KeyError(f"no image is named {key!r}{did_you_mean(key, self.names)}")
        if isinstance(key, slice):
            return TargetImageList(self._images[key])
        return self._images[int(key)]

    def __len__(self) -> int:
        return len(self._images)

    def __iter__(self) -> Iterator[TargetImage]:
        return iter(self._images)

    def __contains__(self, value: object) -> bool:
        return any(image is value for image in self._images)

    def __repr__(self) -> str:
        lines = "".join(f"\n  {image!r}" for image in self._images)
        return f"<{type(self).__name__} of {len(self)}:{lines}>"


def _refuse_repeats(images: tuple[TargetImage, ...]) -> None:
    names: dict[str, TargetImage] = {}
    for image in images:
        other = names.setdefault(image.name, image)
        if other is image and sum(image is member for member in images) > 1:
            raise InvalidInput(
                f"images: {image.name!r} is in the list twice; use image.copy(name=...) to count "
                "it twice",
                argument="images",
            )
        if other is not image:
            raise InvalidInput(
                f"images: two of them are named {image.name!r}; tables name columns after "
                "images, so give each its own name=",
                argument="images",
            )


def _refuse_if_far(image: TargetImage, origin: SkyCoord) -> None:
    height, width = image.shape
    distance = float(image.pixel_to_world((width - 1) / 2, (height - 1) / 2).separation(origin).deg)
    if distance > _FARTHEST:
        raise InvalidInput(
            f"images: {image.name!r} is {distance:.0f} degrees from the plane's origin at "
            f"{_degrees(origin)}; images modelled together must show one part of the sky",
            argument="images",
        )


def _degrees(position: SkyCoord | None) -> str:
    if position is None:
        return "no position"
    # Microarcseconds, without zeros at the end.
    texts = (f"{float(a.deg):.9f}".rstrip("0").rstrip(".") for a in (position.ra, position.dec))
    return f"({', '.join(texts)}) deg"


def _distance(a: SkyCoord | None, b: SkyCoord | None) -> str:
    arcsec = np.nan if a is None or b is None else float(a.separation(b).arcsec)
    return f"{arcsec:.4g} arcsec" if arcsec < 3600.0 else f"{arcsec / 3600.0:.4g} deg"
