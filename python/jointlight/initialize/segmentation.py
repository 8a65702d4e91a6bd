# SPDX-License-Identifier: BSD-3-Clause
"""Start values of many objects from a segmentation map of one image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jointlight.errors import Described, invalid
from jointlight.image import TargetImage
from jointlight.initialize.labels import is_catalog, read_catalog, read_map
from jointlight.initialize.segments import Segments, measure_segments

if TYPE_CHECKING:
    from jointlight.initialize.labels import LabelMap

Floats = NDArray[np.float64]


def centroids_from_segmentation_map(seg: Any, image: TargetImage) -> dict[int, Floats]:
    """Flux-weighted position of every label.

    The local sky is removed first and the light weighted with a Gaussian of the source's own
    shape, so that neighbours in the same segment and negative pixels move it little. A label
    without light or without good pixels is put at the middle of its segment.

    Parameters
    ----------
    seg : array_like or SegmentationImage or SourceCatalog
        Map of the image, 0 = no object; of a photutils catalogue its centroids are taken.
    image : TargetImage

    Returns
    -------
    dict
        ``{label: array([X, Y])}`` in the image's plane, arcsec to the East and North, as
        ``center`` takes it.
    """
    if is_catalog(seg):
        catalog = read_catalog(seg)
        _need_image(image)
        labels, x, y = catalog.labels, catalog.x, catalog.y
    else:
        found, measured = _measure(seg, image)
        labels, x, y = found.labels, measured.x, measured.y
    if not labels:
        return {}
    places = np.stack(image.pixel_to_plane(x, y), axis=-1)
    return dict(zip(labels, places, strict=True))


def PA_from_segmentation_map(seg: Any, image: TargetImage) -> dict[int, float]:
    """Position angle of every label, from second moments without the PSF's.

    Parameters
    ----------
    seg : array_like or SegmentationImage
        Map of the image, 0 = no object.
    image : TargetImage

    Returns
    -------
    dict
        ``{label: PA}`` in degrees East of North, 0 <= PA < 180.
    """
    found, measured = _measure(seg, image)
    angles = measured.plane_shape(image)[2]
    return _by_label(found, angles)


def q_from_segmentation_map(seg: Any, image: TargetImage) -> dict[int, float]:
    """Axis ratio of every label, from second moments without those of PSF and pixel.

    It is drawn towards 1 where the signal-to-noise is too low to tell, and 1 for what is not
    resolved.

    Parameters
    ----------
    seg : array_like or SegmentationImage
        Map of the image, 0 = no object.
    image : TargetImage

    Returns
    -------
    dict
        ``{label: q}``, minor over major axis on the sky, 0.05 <= q <= 1.
    """
    found, measured = _measure(seg, image)
    ratios = measured.plane_shape(image)[1]
    return _by_label(found, ratios)


def half_light_radii_from_segmentation_map(seg: Any, image: TargetImage) -> dict[int, float]:
    """Half-light radius of every label along its major axis, without the PSF's part.

    Parameters
    ----------
    seg : array_like or SegmentationImage
        Map of the image, 0 = no object.
    image : TargetImage

    Returns
    -------
    dict
        ``{label: radius}`` in arcsec. Light outside the segments is missing.
    """
    found, measured = _measure(seg, image)
    radii = half_light_radii(measured, image)
    return _by_label(found, radii)


def fluxes_from_segmentation_map(seg: Any, image: TargetImage) -> dict[int, float]:
    """Flux of every label above the local sky, bad pixels filled from their neighbours.

    Parameters
    ----------
    seg : array_like or SegmentationImage
        Map of the image, 0 = no object.
    image : TargetImage

    Returns
    -------
    dict
        ``{label: flux}`` in the image's unit; NaN where a label has no good pixel.
    """
    found, measured = _measure(seg, image)
    return _by_label(found, measured.flux)


def half_light_radii(measured: Segments, image: TargetImage) -> Floats:
    """Half-light radii along the major axis without the PSF's part, arcsec."""
    sigma, _, _ = measured.plane_shape(image)
    if sigma.size == 0:
        return sigma
    seen = np.sqrt(np.linalg.eigvalsh(measured.observed)[:, 1])
    radii: Floats = measured.half_light / seen * sigma
    return radii


def aperture_correction(measured: Segments) -> Floats:
    """Rough factor from the flux inside the segments to the whole.

    Light below the threshold of detection is missing: the more, the fainter the source.
    """
    snr = np.where(np.isfinite(measured.snr), np.maximum(np.abs(measured.snr), 1.0), 1.0)
    factor: Floats = 1.0 + np.minimum(1.5 / np.sqrt(snr), 0.3)
    return factor


def sersic_indices(measured: Segments) -> Floats:
    """Rough Sersic indices from the concentration of the light inside the segments."""
    trust = np.where(np.isfinite(measured.snr), measured.snr**2 / (measured.snr**2 + 900.0), 0.0)
    found = np.clip(1.0 + 2.0 * (measured.concentration - 2.7), 0.7, 4.0)
    indices: Floats = np.exp(trust * np.log(found) + (1 - trust) * np.log(1.5))
    return indices


def _need_image(image: object) -> None:
    if not isinstance(image, TargetImage):
        raise invalid("image", image, "the TargetImage that the map was made from")


def _by_label(found: LabelMap, values: Any) -> dict[int, float]:
    return {label: float(value) for label, value in zip(found.labels, values, strict=True)}


def _measure(seg: Any, image: TargetImage) -> tuple[LabelMap, Segments]:
    _need_image(image)
    if is_catalog(seg):
        hint = "pass the map that the catalogue was made from"
        raise invalid("seg", Described("a catalogue"), "a segmentation map", hint)
    found = read_map(seg, image)
    return found, measure_segments(found, image)
