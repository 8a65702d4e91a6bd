# SPDX-License-Identifier: BSD-3-Clause
"""From a model to the tables of the core: validated once, flattened once."""

from __future__ import annotations

import os
import time
import warnings
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from jointlight import choose
from jointlight.backends import check_precision, ready_backend
from jointlight.errors import InvalidInput, JointlightError, JointlightWarning
from jointlight.image import calibrations_in_use
from jointlight.image.placement import same_position

from .scene import Scene, Tile
from .slots import SlotMap, as_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jointlight.backends import Precision
    from jointlight.image import TargetImage, Window
    from jointlight.parameters import Parameter
    from jointlight.psf import PSF
    from jointlight.wcs import LocalMap

FloatArray = NDArray[np.float64]

_MOST_DENSE = 2000  # free parameters, for a matrix of 32 MB
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


@dataclass(frozen=True, kw_only=True)
class Tables:
    """A model flattened into the core's builder, with what the tables stand for.

    Attributes
    ----------
    builder : object
        The core's ``SceneBuilder``.
    images : tuple of TargetImage
        In the core's order.
    tiles : tuple of Tile
    sources : tuple of Source
    slots : SlotMap
    """

    builder: Any
    images: tuple[TargetImage, ...]
    tiles: tuple[Tile, ...]
    sources: tuple[Any, ...]
    slots: SlotMap


DRAWS_IMAGES = "cpu"
"""Backend of scenes that are drawn or evaluated once or twice."""


def compile(  # one word for one thing throughout the package
    model: Compilable,
    *,
    images: Iterable[TargetImage] | None = None,
    n_threads: int | None = None,
    tolerance: float | None = None,
    precision: Precision = "float64",
    backend: str | None = None,
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
        Of drawing, relative to a component's peak; 0 draws every window in one box. The core's
        default where left out.
    precision : {"float64", "mixed"}, optional
        "mixed": derivatives in float32; images, chi2 and all sums in float64.
    backend : str, optional
        "cpu", "cuda", or "cuda:N" for device N; "auto" is what the environment's
        ``JOINTLIGHT_BACKEND`` says, else the CPU, or a device where one has evaluated scenes of
        this size faster: large scenes are evaluated for that, the first of each size. Where left
        out, for a single image, the CPU.

    Returns
    -------
    Scene
    """
    tables = flatten(model, images=images)
    backend = DRAWS_IMAGES if backend is None else backend
    name = ready_backend(backend)
    build: dict[str, Any] = {"n_threads": parse_threads(n_threads)}
    if tolerance is not None:
        build["tolerance"] = _parse_tolerance(tolerance)
    tables.builder.set_precision(check_precision(precision))
    try:
        if choose.is_open(backend):
            name, core = _fastest(tables, str(precision), build)
        else:
            core = tables.builder.build(**build, backend=name)
    except ValueError as error:
        raise InvalidInput(f"the model {model.name!r} cannot be compiled: {error}") from error
    return Scene(
        model=model,
        core=core,
        backend=name,
        images=tables.images,
        tiles=tables.tiles,
        sources=tables.sources,
        slots=tables.slots,
    )


def _fastest(tables: Tables, precision: str, build: Mapping[str, Any]) -> tuple[str, Any]:
    """The backend that evaluates a scene fastest, and the core's scene on it."""
    built: dict[str, Any] = {}
    slots = tables.slots
    # Next to the start, within the limits: sums at a point that is known would cost nothing.
    step = 1e-9 * (1.0 + np.abs(slots.start))
    beside = np.where(slots.start + step > slots.upper, slots.start - step, slots.start + step)

    def seconds(name: str) -> float:
        built[name] = core = tables.builder.build(**build, backend=ready_backend(name))
        # A matrix of all pairs is no part of a large fit, and may not fit into memory.
        evaluate = core.linearize if slots.n_free <= _MOST_DENSE else core.chi2
        evaluate(slots.start)  # plans, and allocates
        since = time.perf_counter()
        evaluate(beside)
        return time.perf_counter() - since

    windows = [(x1 - x0) * (y1 - y0) for ((x0, x1), (y0, y1)) in (t.window for t in tables.tiles)]
    size = choose.SceneSize(windows, precision, build["n_threads"])
    name = choose.scene_backend(size, seconds)
    if name not in built and name != "cpu":
        try:
            core = tables.builder.build(**build, backend=ready_backend(name))
            core.describe()  # plans, and allocates
            return name, core
        except choose.DEVICE_FAILED:
            name = "cpu"
    return name, built.get(name) or tables.builder.build(**build, backend=name)


def flatten(model: Compilable, *, images: Iterable[TargetImage] | None = None) -> Tables:
    """Write a model into the core's tables, without building its scene.

    Parameters
    ----------
    model : Model
    images : sequence of TargetImage, optional
        As for `compile`.

    Returns
    -------
    Tables
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
    calibrations = calibrations_in_use(
        {id(leaf.target): leaf.target for leaf in leaves if not leaf.is_sky}.values()
    )
    used = [p for leaf in leaves for p in leaf.parameters.values()]
    used += [p for calibration in calibrations.values() for p in calibration.values()]
    slots = SlotMap(model.all_parameters, used)
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
    on_image: dict[int, list[Leaf]] = {}
    for leaf in leaves:
        on_image.setdefault(id(leaf.target), []).append(leaf)
    for image in used_images:
        weight = _weight_in_windows(image, on_image[id(image)])
        image_index[id(image)] = builder.add_image(image.data, weight, image.likelihood)
    frames = {id(image): _frame(image, slots) for image in used_images if id(image) in calibrations}
    psfs: dict[int, tuple[int, PSF]] = {}  # keeps each PSF alive, so that its id stays its own
    maps = _local_maps(leaves)
    tiles = [
        _add_tile(
            builder, leaf, image_index[id(leaf.target)], source_of[id(leaf)], slots, psfs, frames,
            local,
        )
        for leaf, local in zip(leaves, maps, strict=True)
    ]  # fmt: skip
    builder.set_parameters(**as_table(slots))
    return Tables(
        builder=builder,
        images=tuple(used_images),
        tiles=tuple(tiles),
        sources=tuple(sources),
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
    frames: Mapping[int, dict[str, Any]],
    local: LocalMap,
) -> Tile:
    check_profile(leaf)
    (x0, x1), (y0, y1) = leaf.window
    anchor = (float(local.anchor_pixel[0]), float(local.anchor_pixel[1]))
    if local.error_px > _MAP_ERROR_PX and not leaf.is_sky:
        warnings.warn(
            f"{leaf.name!r} on image {leaf.target.name!r}: over its window the local map errs by "
            f"up to {local.error_px:.2g} pixels; a smaller window has less distortion",
            JointlightWarning,
            stacklevel=5,
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
    frame = {} if leaf.is_sky else frames.get(id(leaf.target), {})
    index = builder.add_tile(
        leaf.profile,
        image,
        psf_index,
        (x0, x1, y0, y1),
        anchor,
        (float(local.anchor_plane[0]), float(local.anchor_plane[1])),
        local.jacobian,
        local.quadratic,
        slot_index,
        leaf.amplitude,
        source,
        **frame,
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
        image_slots=frame.get("image_slots", np.zeros(0, dtype=np.int64)),
        slot_names=tuple(name for p in parameters for name in p.component_names),
        map_error_px=float(local.error_px),
    )


def _frame(image: TargetImage, slots: SlotMap) -> dict[str, Any]:
    """What the core needs to know of an image's calibration, for each of its tiles."""
    pivot = image.calibration_pivot
    if not np.all(np.isfinite(pivot)):
        raise InvalidInput(
            f"image {image.name!r} cannot be calibrated: its middle, about which it would be "
            "turned, is not on the sky"
        )
    index = np.concatenate([slots.slots_of(p) for p in image.calibration.values()])
    return {"image_slots": index, "pivot": pivot}


def _local_maps(leaves: Sequence[Leaf]) -> list[LocalMap]:
    """The map of each component's window, image by image: WCSs are slow one by one."""
    on_image: dict[int, list[int]] = {}
    for number, leaf in enumerate(leaves):
        on_image.setdefault(id(leaf.target), []).append(number)
    maps: dict[int, LocalMap] = {}
    for numbers in on_image.values():
        here = [leaves[number] for number in numbers]
        windows = np.array([leaf.window for leaf in here], dtype=float)  # [n, axis, end]
        # The map is exact at its anchor, so that goes where the light is, if that is in the window.
        at = np.clip(_centres(here, windows), windows[..., 0] - 0.5, windows[..., 1] - 0.5)
        found = here[0].target.local_maps(at[:, 0], at[:, 1], [leaf.window for leaf in here])
        maps.update(zip(numbers, found, strict=True))
    return [maps[number] for number in range(len(leaves))]


def _centres(leaves: Sequence[Leaf], windows: FloatArray) -> FloatArray:
    """Pixel of each component's centre, [n, 2], on their one image; a sky's window's middle."""
    at = np.asarray(0.5 * (windows.sum(axis=-1) - 1.0), dtype=np.float64)
    pointed = [i for i, leaf in enumerate(leaves) if "center" in leaf.parameters]
    if not pointed:
        return at
    plane = np.array([leaves[i].parameters["center"].array for i in pointed], dtype=float)
    at[pointed] = np.stack(leaves[0].target.plane_to_pixel(plane[:, 0], plane[:, 1]), axis=-1)
    for leaf, found in zip(leaves, np.all(np.isfinite(at), axis=-1), strict=True):
        if not found:
            center = leaf.parameters["center"]
            assert center.array is not None
            raise InvalidInput(
                f"{center.label} = ({center.array[0]:g}, {center.array[1]:g}) arcsec has no "
                f"pixel on image {leaf.target.name!r}"
            )
    return at


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


def parse_threads(n_threads: int | None) -> int:
    """Number of threads as the core takes it: 0 for all cores.

    Parameters
    ----------
    n_threads : int or None
        What was asked for; None leaves it to ``JOINTLIGHT_NUM_THREADS``.

    Returns
    -------
    int
    """
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
    number = isinstance(tolerance, Real) and not isinstance(tolerance, (bool, np.bool_))
    if not (number and 0.0 <= tolerance < 1.0):  # type: ignore[operator]
        raise InvalidInput(
            f"tolerance = {tolerance!r} must be a number, at least 0 (one box) and below 1",
            argument="tolerance",
        )
    return float(tolerance)  # type: ignore[arg-type]
