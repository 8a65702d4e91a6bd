# SPDX-License-Identifier: BSD-3-Clause
"""Start values and windows of the members of a model made from a segmentation map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jointlight import _core

from .component import Component

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jointlight.image import TargetImage
    from jointlight.initialize.labels import LabelMap, Windows


# of the PSF's FWHM, on each side of the centre: a window is at least this large
_PSF_REACH = 1.5
# start values of shape parameters other than the Sersic index
_SHAPES = {"beta": 3.0}
# Limits of half-light radii. Smaller ones (px of the sharpest image) are points; larger ones, than
# half the diagonal of the segment's box times this and these px wider a side, something else.


@dataclass(frozen=True, eq=False)
class Start:
    """Start values of one label, lengths in arcsec."""

    center: NDArray[np.float64]
    q: float
    pa: float
    half_light: float
    n: float
    flux: float


def measure_starts(found: LabelMap, image: TargetImage) -> dict[int, Start]:
    """Start values by label."""
    from jointlight.initialize.segmentation import (
        aperture_correction,
        half_light_radii,
        sersic_indices,
    )
    from jointlight.initialize.segments import measure_segments

    measured = measure_segments(found, image)
    _, q, pa = measured.plane_shape(image)
    whole = aperture_correction(measured)
    half = half_light_radii(measured, image) * np.sqrt(whole)
    n = sersic_indices(measured)
    x, y = image.pixel_to_plane(measured.x, measured.y)
    return {
        label: Start(
            np.array([x[k], y[k]]),
            float(q[k]),
            float(pa[k]),
            float(half[k]),
            float(n[k]),
            float(measured.flux[k] * whole[k]),
        )
        for k, label in enumerate(found.labels)
    }


def windows_on(
    image: TargetImage,
    base: TargetImage,
    windows: Windows,
    starts: Mapping[int, Start],
    expand_scale: float,
    expand_border: float,
) -> Windows:
    """Windows of the labels that an image shows, in its pixels."""
    from jointlight.initialize.windows import scale_windows, transfer_windows

    bare = transfer_windows(windows, base, image)
    wide = scale_windows(
        windows, image=base, expand_scale=expand_scale, expand_border=expand_border
    )
    wide = transfer_windows(wide, base, image)
    good = image.weight > 0
    height, width = image.shape
    fwhm = 0.0 if image.psf is None else image.psf.fwhm_px
    reach = _PSF_REACH * fwhm + 1.0
    centers = np.array([starts[label].center for label in bare]).reshape(-1, 2)
    x, y = image.plane_to_pixel(centers[:, 0], centers[:, 1])
    found: Windows = {}
    for k, (label, ((u0, u1), (v0, v1))) in enumerate(bare.items()):
        if not good[v0:v1, u0:u1].any():
            continue
        (x0, x1), (y0, y1) = wide.get(label, ((u0, u1), (v0, v1)))
        if np.isfinite(x[k]) and np.isfinite(y[k]):
            x0, x1 = min(x0, _floor(x[k] - reach)), max(x1, _floor(x[k] + reach) + 1)
            y0, y1 = min(y0, _floor(y[k] - reach)), max(y1, _floor(y[k] + reach) + 1)
        found[label] = ((max(x0, 0), min(x1, width)), (max(y0, 0), min(y1, height)))
    return found


def _floor(value: float) -> int:
    return int(np.floor(value + 0.5))


def widen_windows(
    leaves: Sequence[Component],
    labels: Sequence[int],
    windows: Windows,
    base: TargetImage,
    starts: Mapping[int, Start],
    edge: float,
) -> None:
    """Grow the windows of components on one image until they hold the light expected.

    Parameters
    ----------
    leaves, labels : sequence
        Components on the same image, their labels.
    windows : dict
        The labels' bounding boxes in `base`.
    base : TargetImage
        The reference image.
    starts : mapping
        Start values by label.
    edge : float
        In units of the noise of a pixel.
    """
    from jointlight.initialize.reach import FluxGuess, usual_lights, windows_for
    from jointlight.initialize.windows import transfer_windows

    image = leaves[0].target
    boxes = transfer_windows({label: windows[label] for label in labels}, base, image)
    guess = FluxGuess(image)
    fluxes: dict[Component, float | None] = {}
    for leaf, label in zip(leaves, labels, strict=True):
        if leaf[leaf.amplitude_name].array is not None:
            fluxes[leaf] = None
        elif image is base and np.isfinite(starts[label].flux):
            fluxes[leaf] = starts[label].flux
        else:
            fluxes[leaf] = guess.flux(boxes.get(label, leaf.window), leaf.window)
    lights = usual_lights(leaves, fluxes)
    found = windows_for(image, lights, [leaf.window for leaf in leaves], edge)
    for leaf, window in zip(leaves, found, strict=True):
        leaf.window = window


def propose_structure(leaf: Component, start: Start, *, tied: bool) -> None:
    """Give what is not set its start value: parameters that follow others, or those they follow."""
    wanted: dict[str, Any] = {"center": start.center}
    scale = getattr(type(leaf), "scale_spec", None)
    if scale is not None:
        shapes = []
        for spec in type(leaf).shape_specs:  # type: ignore[attr-defined]
            low, high = leaf[spec.name].bounds
            middle = float(np.sqrt(max(float(low), 0.1) * min(float(high), 100.0)))
            wanted[spec.name] = start.n if spec.name == "n" else _SHAPES.get(spec.name, middle)
            known = leaf[spec.name].array
            shapes.append(wanted[spec.name] if known is None else float(known))
        ratio = _half_light_ratio(leaf.profile, np.array(shapes))
        wanted |= {"q": start.q, "PA": start.pa, scale.name: start.half_light / ratio}
    for name, value in wanted.items():
        if leaf[name].is_tied == tied:
            leaf[name].propose(value)


def propose_amplitude(leaf: Component, start: Start) -> None:
    """Start at the flux measured, if there is one."""
    if not np.isfinite(start.flux):
        return
    factor = 1.0
    scale = getattr(type(leaf), "scale_spec", None)
    if scale is not None and leaf.amplitude != "flux":
        shapes = [leaf[spec.name].array for spec in type(leaf).shape_specs]  # type: ignore[attr-defined]
        size, q = leaf[scale.name].array, leaf["q"].array
        if size is None or q is None or any(shape is None for shape in shapes):
            return
        factor = float(size) ** 2 * float(q)
        factor *= _core.flux_factor(leaf.profile, np.array(shapes, dtype=np.float64))[0]
    leaf[leaf.amplitude_name].propose(start.flux / factor)


def _half_light_ratio(profile: str, shape: Any) -> float:
    from jointlight.result.derived import half_light_ratio

    ratio = half_light_ratio(profile, shape)[0]
    return ratio if np.isfinite(ratio) else 1.0
