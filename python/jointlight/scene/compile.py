# SPDX-License-Identifier: BSD-3-Clause
"""From a model to the tables of the core: validated once, flattened once."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from jointlight.errors import InvalidInput, JointlightError, JointlightWarning
from jointlight.image.placement import same_position

from .scene import Scene, Tile
from .slots import SlotMap, as_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jointlight.image import TargetImage, Window
    from jointlight.parameters import Parameter
    from jointlight.psf import PSF
    from jointlight.wcs import LocalMap

FloatArray = NDArray[np.float64]

_MAP_ERROR_PX = 0.01  # pixels; above it the quadratic local map is reported as too coarse


class Leaf(Protocol):
    """What compilation needs of a single component."""

    profile: Any
    is_sky: Any
    needs_psf: Any

    @property
    def name(self) -> str: ...
    @property
    def model_type(self) -> str: ...
    @property
    def amplitude(self) -> str: ...
    @property
    def target(self) -> TargetImage: ...
    @property
    def window(self) -> Window: ...
    @property
    def parameters(self) -> Mapping[str, Parameter]: ...
    def psf_at(self, x: float, y: float) -> PSF | None: ...


class Compilable(Protocol):
    """What compilation needs of a model."""

    @property
    def name(self) -> str: ...
    @property
    def all_parameters(self) -> Mapping[str, Parameter]: ...
    @property
    def images_modelled(self) -> tuple[TargetImage, ...]: ...
    @property
    def sources(self) -> Sequence[Any]: ...
    def leaves(self) -> Sequence[Any]: ...


def same_plane(images: Iterable[TargetImage]) -> bool:
    """Whether the images' plane coordinates are about one point of the sky."""
    references = [image.reference for image in images]
    return all(same_position(reference, references[0]) for reference in references[1:])


def compile(  # one word for one thing throughout the package
    model: Compilable,
    *,
    images: Iterable[TargetImage] | None = None,
    n_threads: int | None = None,
    tolerance: float | None = None,
) -> Scene:
    """Compile a model for drawing and fitting.

    Everything that the user may have got wrong is refused here. Each image counts within the
    windows of the components on it, taken together.

    Parameters
    ----------
    model : Model
    images : sequence of TargetImage, optional
        Only these, with the components on them; default all that have components.
    n_threads : int, optional
        Default the environment's ``JOINTLIGHT_NUM_THREADS``, else all cores.
    tolerance : float, optional
        Of drawing, relative to a component's peak; the core's default where left out.

    Returns
    -------
    Scene
    """
    from jointlight import _core

    leaves = list(model.leaves())
    if images is not None:
        wanted = {id(image) for image in images}
        leaves = [leaf for leaf in leaves if id(leaf.target) in wanted]
    modelled = {id(leaf.target) for leaf in leaves}
    used_images = [image for image in model.images_modelled if id(image) in modelled]
    if not used_images:
        raise InvalidInput(f"the model {model.name!r} has no component on the images asked for")
    _check_planes(model, used_images)
    slots = SlotMap(model.all_parameters, (p for leaf in leaves for p in leaf.parameters.values()))
    sources = model.sources
    source_of = {
        id(component): number
        for number, source in enumerate(sources)
        for component in source.components
    }

    for leaf in leaves:
        center = leaf.parameters.get("center")
        if center is not None and (center.is_tied or center.is_plane_position):
            leaf.target.note_plane_used()
    builder = _core.SceneBuilder()
    image_index = {}
    for image in used_images:
        weight = _weight_in_windows(image, [leaf for leaf in leaves if leaf.target is image])
        image_index[id(image)] = builder.add_image(image.data, weight, image.likelihood)
    psfs: dict[int, tuple[int, PSF]] = {}  # keeps each PSF alive, so that its id stays its own
    tiles = [
        _add_tile(builder, leaf, image_index[id(leaf.target)], source_of[id(leaf)], slots, psfs)
        for leaf in leaves
    ]
    builder.set_parameters(**as_table(slots))
    build: dict[str, Any] = {"n_threads": _parse_threads(n_threads)}
    if tolerance is not None:
        build["tolerance"] = _parse_tolerance(tolerance)
    try:
        core = builder.build(**build)
    except ValueError as error:
        raise InvalidInput(f"the model {model.name!r} cannot be compiled: {error}") from error
    return Scene(
        model=model,
        core=core,
        images=used_images,
        tiles=tiles,
        sources=sources,
        slots=slots,
    )


def check_profile(leaf: Any) -> None:
    """Raise where a class of components and the core disagree about a profile."""
    from jointlight import _core

    if not hasattr(leaf, "scale_spec"):
        return
    known = _core.profiles()
    if leaf.profile not in known:
        raise JointlightError(
            f"the core was built without the profile {leaf.profile!r} of {leaf.model_type!r}; "
            "rebuild it with csrc/profiles/ holding that header"
        )
    core = known[leaf.profile]
    python = {
        "scale_name": leaf.scale_spec.name,
        "amplitude_name": leaf.amplitude_spec.name,
        "shape_names": [spec.name for spec in leaf.shape_specs],
        "shape_min": [spec.domain.low for spec in leaf.shape_specs],
        "shape_max": [spec.domain.high for spec in leaf.shape_specs],
    }
    for key, value in python.items():
        theirs = core[key]
        same = list(theirs) == value if isinstance(value, list) else theirs == value
        if not same:
            raise JointlightError(
                f"profile {leaf.profile!r}: {key} is {theirs!r} in the core and {value!r} in Python"
            )


def _add_tile(
    builder: Any,
    leaf: Leaf,
    image: int,
    source: int,
    slots: SlotMap,
    psfs: dict[int, tuple[int, PSF]],
) -> Tile:
    check_profile(leaf)
    (x0, x1), (y0, y1) = leaf.window
    x, y = _centre(leaf)
    # The map is exact at its anchor, so that goes where the light is, if that is in the window.
    anchor = (min(max(x, x0 - 0.5), x1 - 0.5), min(max(y, y0 - 0.5), y1 - 0.5))
    local: LocalMap = leaf.target.local_map(*anchor, leaf.window)
    if local.error_px > _MAP_ERROR_PX and not leaf.is_sky:
        warnings.warn(
            f"{leaf.name!r} on image {leaf.target.name!r}: over its window the local map errs by "
            f"up to {local.error_px:.2g} pixels; a smaller window has less distortion",
            JointlightWarning,
            stacklevel=4,
        )
    psf = leaf.psf_at(*anchor)
    psf_index = -1
    if psf is not None:
        if id(psf) not in psfs:
            psfs[id(psf)] = (psf.to_core(builder), psf)
        psf_index = psfs[id(psf)][0]
    elif leaf.needs_psf:
        raise InvalidInput(f"{leaf.name!r}, a {leaf.model_type}, needs a PSF")
    parameters = list(leaf.parameters.values())
    slot_index = np.concatenate([slots.slots_of(p) for p in parameters])
    index = builder.add_tile(
        leaf.profile,
        image,
        psf_index,
        (x0, x1, y0, y1),
        (float(local.anchor_pixel[0]), float(local.anchor_pixel[1])),
        (float(local.anchor_plane[0]), float(local.anchor_plane[1])),
        local.jacobian,
        local.quadratic,
        slot_index,
        leaf.amplitude,
        source,
    )
    return Tile(
        leaf=leaf,
        index=index,
        image=image,
        source=source,
        psf=psf_index,
        profile=leaf.profile,
        amplitude=leaf.amplitude,
        window=leaf.window,
        slots=slot_index,
        slot_names=tuple(name for p in parameters for name in p.component_names),
        map_error_px=float(local.error_px),
    )


def _centre(leaf: Leaf) -> tuple[float, float]:
    """Pixel of a component's centre; of its window's middle for a sky."""
    (x0, x1), (y0, y1) = leaf.window
    if "center" not in leaf.parameters:
        return 0.5 * (x0 + x1 - 1), 0.5 * (y0 + y1 - 1)
    center = leaf.parameters["center"].array
    assert center is not None
    x, y = (float(c) for c in leaf.target.plane_to_pixel(center[0], center[1]))
    if not (np.isfinite(x) and np.isfinite(y)):
        raise InvalidInput(
            f"{leaf.parameters['center'].label} = ({center[0]:g}, {center[1]:g}) arcsec has no "
            f"pixel on image {leaf.target.name!r}"
        )
    return x, y


def _weight_in_windows(image: TargetImage, leaves: Sequence[Leaf]) -> FloatArray:
    """Weight of the image where a component is drawn, 0 elsewhere."""
    height, width = image.shape
    if any(leaf.window == ((0, width), (0, height)) for leaf in leaves):
        return image.weight
    inside = np.zeros(image.shape, dtype=bool)
    for leaf in leaves:
        (x0, x1), (y0, y1) = leaf.window
        inside[y0:y1, x0:x1] = True
    return np.where(inside, image.weight, 0.0)


def _check_planes(model: Compilable, images: Sequence[TargetImage]) -> None:
    if not same_plane(images):
        raise InvalidInput(
            f"the images of {model.name!r} ("
            + ", ".join(repr(image.name) for image in images)
            + ") have tangent planes about different points; put them in one TargetImageList "
            "before setting positions"
        )


def _parse_threads(n_threads: int | None) -> int:
    source: object = n_threads
    if n_threads is None:
        text = os.environ.get("JOINTLIGHT_NUM_THREADS", "").strip()
        if not text:
            return 0
        source = int(text) if text.isdigit() else text
    if not isinstance(source, (int, np.integer)) or isinstance(source, bool) or source < 0:
        raise InvalidInput(
            f"n_threads = {source!r} must be a whole number, 0 for all cores",
            argument="n_threads",
        )
    return int(source)


def _parse_tolerance(tolerance: object) -> float:
    if not (isinstance(tolerance, (int, float)) and 0.0 < tolerance < 1.0):
        raise InvalidInput(
            f"tolerance = {tolerance!r} must be between 0 and 1", argument="tolerance"
        )
    return float(tolerance)
