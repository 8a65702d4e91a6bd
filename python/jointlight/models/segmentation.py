# SPDX-License-Identifier: BSD-3-Clause
"""From a segmentation map to a joint model of everything in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from jointlight.errors import Described, InvalidInput, did_you_mean, invalid, warn_user
from jointlight.image import TargetImage, TargetImageList
from jointlight.parameters import Parameter
from jointlight.scene import same_plane

from .component import Component
from .group import Group
from .joint import joint
from .registry import find_class
from .segment_starts import (
    Start,
    measure_starts,
    propose_amplitude,
    propose_structure,
    widen_windows,
    windows_on,
)

if TYPE_CHECKING:
    from jointlight.image import Window

    from .base import Model
    from .joint import Joint

# what `joint` takes besides parameters and what is set here
_SETTINGS = (
    "amplitude",
    "psf_convolve",
    "psf_mode",
    "proper_motion",
    "parallax",
    "reference_epoch",
    "wavelength_degree",
)


def joint_from_segmentation(
    model_type: str,
    seg: Any,
    *,
    target: TargetImageList | TargetImage,
    reference: TargetImage | str | None = None,
    per_image: Iterable[str] | None = None,
    labels: Iterable[int] | None = None,
    model_types: Mapping[int, str] | None = None,
    point_sources: Iterable[int] = (),
    sky: str | Mapping[str, str | None] | None = None,
    expand_scale: float = 1.5,
    expand_border: float = 10,
    edge: float | None = 0.03,
    min_size: float | None = None,
    max_size: float | None = None,
    min_area: float | None = None,
    max_area: float | None = None,
    min_flux: float | None = None,
    max_flux: float | None = None,
    name: str | None = None,
    **options: Any,
) -> Group:
    """Return a group of joint models, one for each label of a segmentation map.

    A member is named after its label, ``model["17"]``, and is a joint model over the images that
    show it: structure shared, one amplitude an image. Centre, position angle, axis ratio, size,
    shape and the amplitude in the reference image start from what the map tells; `initialize`
    gives the rest, the amplitudes in the other images and the skies.

    Parameters
    ----------
    model_type : str
        Type of the members, e.g. ``"sersic galaxy"``.
    seg : array_like or SegmentationImage
        Map of the reference image: whole numbers, 0 = no object.
    target : TargetImageList or TargetImage
        The images to model.
    reference : TargetImage or str, optional
        The image that the map belongs to; it need not be one of `target`. Default: the first of
        `target`.
    per_image : sequence of str, optional
        Parameters that every image has for itself; default the amplitude.
    labels : iterable of int, optional
        Just these.
    model_types : mapping of int to str, optional
        Other types for some labels.
    point_sources : iterable of int
        Labels that are point sources.
    sky : str or mapping, optional
        Type of the sky to add to every image, ``"flat sky"`` or ``"plane sky"``, or one for each
        image by name. It covers the whole image and is named after it, ``"sky r"``.
    expand_scale, expand_border : float
        Windows are the labels' bounding boxes times the scale, and as many pixels of the
        reference image more on each side; in every image at least a PSF's core. That is the
        least: see `edge`.
    edge : float, optional
        Windows grow, in each image for itself, until the light expected outside is fainter than
        this many standard deviations of a pixel's noise. None: they do not.
    min_size, max_size, min_area, max_area, min_flux, max_flux : float, optional
        Leave out labels whose bounding box is outside, see `jointlight.initialize.filter_windows`.
    name : str, optional
        Name of the group.
    **options
        For every member: what `jointlight.joint` takes (``amplitude``, ``wavelength_degree``,
        ``proper_motion``, ...), values of a parameter or its settings, such as
        ``n={"limits": (0.5, 8)}``.

    Returns
    -------
    Group

    Notes
    -----
    A label that no image shows, or of which no image has a good pixel, is left out with a
    warning.

    What the light beyond a window will be is estimated from start values, generously; after a fit
    ``model.grow_windows()`` enlarges what turned out too small.
    """
    # describing a model by hand needs none of this
    from jointlight.initialize.labels import parse_labels, read_map
    from jointlight.initialize.reach import parse_edge
    from jointlight.initialize.windows import filter_windows

    if isinstance(target, (list, tuple)):
        target = TargetImageList(target)
    if not isinstance(target, (TargetImage, TargetImageList)):
        raise invalid("target", target, "a TargetImageList or a TargetImage")
    images = (target,) if isinstance(target, TargetImage) else tuple(target)
    edge = None if edge is None else parse_edge(edge)
    base = _find_reference(reference, images)
    found = read_map(seg, base)
    windows = dict(zip(found.labels, found.windows, strict=True))
    wanted = list(found.labels) if labels is None else parse_labels(labels, found.labels, "labels")
    kept = filter_windows(
        {label: windows[label] for label in wanted},
        min_size=min_size,
        max_size=max_size,
        min_area=min_area,
        max_area=max_area,
        min_flux=min_flux,
        max_flux=max_flux,
        image=base,
    )
    types = _parse_types(model_type, found.labels, model_types, point_sources)
    maker = _Maker(base, types, per_image, options)
    skies = _parse_skies(sky, images)
    if not kept:
        raise InvalidInput(
            "seg: there is no object to model: "
            + ("the map is empty" if not found.labels else "none is left by labels= and limits"),
            argument="seg",
        )
    starts = measure_starts(found, base)
    on = {
        image.name: windows_on(image, base, kept, starts, expand_scale, expand_border)
        for image in images
    }
    members: list[Model] = []
    leaves: dict[TargetImage, list[tuple[Component, int]]] = {}
    lost: list[int] = []
    for label in kept:
        here = {image: on[image.name][label] for image in images if label in on[image.name]}
        if not here:
            lost.append(label)
            continue
        member = maker.make(label, here, starts[label])
        members.append(member)
        for leaf in member.components:
            leaves.setdefault(leaf.target, []).append((leaf, label))
    if lost:
        shown = ", ".join(map(str, lost[:8])) + (", ..." if len(lost) > 8 else "")
        warn_user(
            f"no good pixel of label{'s' if len(lost) > 1 else ''} {shown} is on any image: "
            "left out"
        )
    if not members:
        raise InvalidInput("seg: no image has a good pixel of any label", argument="seg")
    if edge is not None:
        for some in leaves.values():
            on_image, their_labels = zip(*some, strict=True)
            widen_windows(on_image, their_labels, kept, base, starts, edge)
    for image in images:
        sky_class = skies[image.name]
        if sky_class is not None:
            members.append(sky_class(target=image, name=f"sky {image.name}"))
    return Group(members, target=target, name=name)


class _Maker:
    """Makes the joint models of labels.

    Parameters
    ----------
    base : TargetImage
        The reference image.
    types : dict of int to type
        Class of each label's component.
    per_image : iterable of str or None
    options : mapping
        As `joint_from_segmentation` got them.
    """

    def __init__(
        self,
        base: TargetImage,
        types: dict[int, type[Component]],
        per_image: Iterable[str] | None,
        options: Mapping[str, Any],
    ) -> None:
        self.base = base
        self.types = types
        amplitude = options.get("amplitude")
        classes = set(types.values())
        self.names = names = {cls: _names(cls, amplitude) for cls in classes}
        known = sorted({name for some in names.values() for name in some})
        chosen = [per_image] if isinstance(per_image, str) else per_image
        chosen = None if chosen is None else list(chosen)
        for one in chosen or ():
            if one not in known:
                raise InvalidInput(
                    f"per_image: no member has a parameter {one!r}{did_you_mean(one, known)}",
                    argument="per_image",
                )
        for one in options:
            if one not in known and one not in _SETTINGS:
                raise InvalidInput(
                    f"joint_from_segmentation has no option {one!r}, nor has a member such a "
                    f"parameter{did_you_mean(one, [*known, *_SETTINGS])}",
                    argument=one,
                )
        # what a type does not have is for the others
        self.per_image = {
            cls: None if chosen is None else [p for p in chosen if p in names[cls]] or None
            for cls in classes
        }
        self.options = {
            cls: {
                key: value
                for key, value in options.items()
                if key in names[cls] or (key in _SETTINGS and _suits(key, cls))
            }
            for cls in classes
        }
        self.lists: dict[tuple[str, ...], TargetImageList] = {}

    def make(self, label: int, windows: dict[TargetImage, Window], start: Start) -> Joint:
        """Return the joint model of a label on the images that have a window for it."""
        cls = self.types[label]
        images = tuple(windows)
        key = tuple(image.id for image in images)
        if key not in self.lists:
            self.lists[key] = TargetImageList(images)
        model = joint(
            cls.type_names[0],
            target=self.lists[key],
            per_image=self.per_image[cls],
            name=str(label),
            window={image.name: window for image, window in windows.items()},
            **self._settings(cls, len(images)),
        )
        if isinstance(model["center"], Parameter):
            # of a source that moves, no component's own
            model["center"].propose(start.center)
        for tied in (False, True):
            for leaf in model.components:
                propose_structure(leaf, start, tied=tied)
        for leaf in model.components:
            if leaf.target is self.base:
                propose_amplitude(leaf, start)
        return model

    def _settings(self, cls: type[Component], n_images: int) -> dict[str, Any]:
        """Options for a member of a class on some images."""
        settings = dict(self.options[cls])
        degrees = settings.get("wavelength_degree")
        if isinstance(degrees, Mapping):
            # fewer images determine lower degrees
            own = {p: min(d, n_images - 1) for p, d in degrees.items() if p in self.names[cls]}
            settings["wavelength_degree"] = {p: d for p, d in own.items() if d > 0} or None
        return settings


def _names(cls: type[Component], amplitude: object) -> set[str]:
    return {spec.name for spec in cls.specs("flux" if amplitude == "flux" else "brightness")}


def _suits(setting: str, cls: type[Component]) -> bool:
    """Whether an option means something for a type: a point source has but one amplitude."""
    return setting != "amplitude" or cls.amplitude_spec.name != "flux"


def _find_reference(
    reference: TargetImage | str | None, images: tuple[TargetImage, ...]
) -> TargetImage:
    """The image of the map, on the plane of the others."""
    if reference is None:
        return images[0]
    if isinstance(reference, TargetImage):
        if same_plane([reference, images[0]]):
            return reference
        if reference.has_wcs and images[0].has_wcs:
            return reference.copy(reference=images[0].reference)
        without = images[0] if reference.has_wcs else reference
        raise invalid(
            "reference",
            Described(f"{reference.name!r}, while {without.name!r} has no WCS"),
            "on the same sky as target",
        )
    for image in images:
        if image.name == reference:
            return image
    raise InvalidInput(
        f"reference {reference!r} is not an image of target"
        f"{did_you_mean(reference, [image.name for image in images])}",
        argument="reference",
    )


def _parse_types(
    model_type: str,
    labels: tuple[int, ...],
    model_types: Mapping[int, str] | None,
    point_sources: Iterable[int],
) -> dict[int, type[Component]]:
    """Class of each label's component."""
    from jointlight.initialize.labels import parse_labels

    usual = _find_component("model_type", model_type)
    types = dict.fromkeys(labels, usual)
    if model_types is not None:
        if not isinstance(model_types, Mapping):
            raise invalid("model_types", model_types, "a dict {label: type}")
        for label in parse_labels(model_types, labels, "model_types"):
            types[label] = _find_component(f"model_types[{label}]", model_types[label])
    point = _find_component("point_sources", "point source")
    for label in parse_labels(point_sources, labels, "point_sources"):
        if model_types is not None and label in model_types and types[label] is not point:
            raise InvalidInput(
                f"label {label} is in point_sources and in model_types; leave it out of one",
                argument="point_sources",
            )
        types[label] = point
    return types


def _find_component(argument: str, name: str) -> type[Component]:
    cls = find_class(name)
    if not issubclass(cls, Component) or cls.is_sky:
        raise invalid(argument, name, "the type of an object, such as 'sersic galaxy'")
    return cls


def _parse_skies(sky: object, images: tuple[TargetImage, ...]) -> dict[str, type[Component] | None]:
    """Class of the sky of each image."""
    names = [image.name for image in images]
    if sky is None or isinstance(sky, str):
        given: Mapping[str, object] = dict.fromkeys(names, sky)
    elif isinstance(sky, Mapping):
        given = sky
        for key in sky:
            if key not in names:
                raise InvalidInput(
                    f"sky: no image is named {key!r}{did_you_mean(key, names)}", argument="sky"
                )
    else:
        raise invalid("sky", sky, "None, 'flat sky', 'plane sky' or a dict by image name")
    found: dict[str, type[Component] | None] = dict.fromkeys(names)
    for image_name, kind in given.items():
        if kind is None:
            continue
        cls = find_class(kind)
        if not issubclass(cls, Component) or not cls.is_sky:
            raise invalid("sky", kind, "'flat sky', 'plane sky' or None")
        found[image_name] = cls
    return found
