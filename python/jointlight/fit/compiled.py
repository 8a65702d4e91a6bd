# SPDX-License-Identifier: BSD-3-Clause
"""A compiled scene as the fits and results use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jointlight import scene as scenes
from jointlight.models import Group
from jointlight.result import Component, FreeParameter, SlotState

if TYPE_CHECKING:
    from jointlight.backends import Precision
    from jointlight.image import TargetImage
    from jointlight.models import Model

__all__ = ["CompiledFit", "leaf_paths"]

FloatArray = NDArray[np.float64]

_SHORT = {"center_x": "x", "center_y": "y"}


def leaf_paths(model: Model, prefix: str = "") -> Iterator[tuple[str, Model]]:
    """Single components with their path below a model.

    Parameters
    ----------
    model : Model
        The model.
    prefix : str, optional
        Path of the model itself.

    Yields
    ------
    path : str
        ``"galaxy 1/r"``; empty for a component by itself.
    leaf : Component
        The component.
    """
    if not isinstance(model, Group):
        yield prefix, model
        return
    for member in model.models:
        yield from leaf_paths(member, f"{prefix}/{member.name}" if prefix else member.name)


class CompiledFit:
    """A model compiled for one fit.

    Parameters
    ----------
    model : Model
        The model; its parameters' values are the start.
    n_threads : int, optional
        Threads.
    precision : {"float64", "mixed"}, optional
        Of derivatives, see `jointlight.scene.compile`.
    backend : str, optional
        What to compute on, see `jointlight.scene.compile`.
    """

    def __init__(
        self,
        model: Model,
        *,
        n_threads: int | None = None,
        precision: Precision = "float64",
        backend: str = "auto",
    ) -> None:
        self.model = model
        self.precision = precision
        self.scene = scenes.compile(
            model, n_threads=n_threads, precision=precision, backend=backend
        )

    @property
    def start(self) -> FloatArray:
        """Free parameters at the start, ``[n_free]``."""
        return self.scene.v0

    @property
    def images(self) -> tuple[TargetImage, ...]:
        """Images that count, in the core's order."""
        return self.scene.images

    @property
    def n_priors(self) -> int:
        """Number of free scalars with a prior."""
        return int(np.isfinite(self.scene.slots.prior_sigma).sum())

    def free_parameters(self) -> tuple[FreeParameter, ...]:
        """What is known of each free scalar."""
        slots = self.scene.slots
        return tuple(
            FreeParameter(
                path=path,
                name=p.component_names[component],
                model=p.owner,
                unit=p.unit.to_string(),
                lower=float(slots.lower[i]),
                upper=float(slots.upper[i]),
            )
            for i, ((p, component), path) in enumerate(
                zip(self.scene.free_parameters, self.scene.names, strict=True)
            )
        )

    def wrapped(self, v: FloatArray) -> FloatArray:
        """Free parameters with cyclic ones brought into their period; see `SlotMap.wrapped`.

        Parameters
        ----------
        v : ndarray
            ``[n_free]``.

        Returns
        -------
        ndarray
            The same point.
        """
        return self.scene.slots.wrapped(v)

    def fit(
        self,
        options: Mapping[str, Any],
        step: Callable[[Mapping[str, Any]], bool] | None,
    ) -> dict[str, Any]:
        """Run the core's fit; moves no parameter of the model.

        Parameters
        ----------
        options : mapping
            The core's options.
        step : callable or None
            Called after each trial step; True stops.

        Returns
        -------
        dict
            The core's outcome.
        """
        # The core goes on unless it is told False.
        callback = None if step is None else lambda record: not step(record)
        return self.scene.fit(options, callback)

    def push(self, v: FloatArray, covariance: Any, at_bound: Any = None) -> None:
        """Write values and errors into the model.

        Parameters
        ----------
        v : ndarray
            ``[n_free]``.
        covariance : ndarray, sparse matrix, Covariance or None
            ``[n_free, n_free]``.
        at_bound : ndarray of bool, optional
            Parameters held at a limit.
        """
        self.scene.assign(v, covariance, at_bound=at_bound)

    def slot_state(self, v: FloatArray) -> SlotState:
        """All components' parameters and their derivatives.

        Parameters
        ----------
        v : ndarray
            ``[n_free]``.

        Returns
        -------
        SlotState
            A snapshot that does not follow the model.
        """
        scene = self.scene
        paths = {id(leaf): path for path, leaf in leaf_paths(self.model)}
        components = []
        names: list[tuple[str, Component]] = []
        for tile in scene.tiles:
            source = scene.sources[tile.source]
            component = Component(
                source=-1 if source.is_sky else tile.source,
                source_name=source.name,
                name=tile.leaf.name,
                model_type=tile.leaf.model_type,
                profile=tile.profile,
                image=tile.image,
                slot_names=tuple(_SHORT.get(name, name) for name in tile.slot_names),
                slots=tuple(int(slot) for slot in tile.slots),
                amplitude=tile.amplitude,
            )
            components.append(component)
            names.append((paths[id(tile.leaf)], component))
        return SlotState(
            values=scene.slot_values(v),
            jacobian=scene.slot_jacobian(v).tocsr(),
            components=tuple(components),
            keys=_keys(names, [image.name for image in scene.images]) | self._calibration_keys(),
        )

    def _calibration_keys(self) -> dict[str, int]:
        """Slots of the images' calibrations by path, ``"image r/shift_x"``."""
        keys: dict[str, int] = {}
        for tile in self.scene.tiles:
            if tile.image_slots.size:
                image = self.scene.images[tile.image]
                names = [n for p in image.calibration.values() for n in p.component_names]
                for name, slot in zip(names, tile.image_slots, strict=True):
                    keys[f"image {image.name}/{name}"] = int(slot)
        return keys


def _keys(named: list[tuple[str, Component]], images: list[str]) -> dict[str, int]:
    """Names of slots: by path always, shorter ones where they mean one slot only."""
    keys: dict[str, int] = {}
    candidates: dict[str, set[int]] = {}
    for path, component in named:
        image = images[component.image]
        for name, slot in zip(component.slot_names, component.slots, strict=True):
            long = {"x": "center_x", "y": "center_y"}.get(name, name)
            for one in {name, long}:
                keys[f"{path}/{one}" if path else one] = slot
                for prefix in ("", f"{component.source_name}."):
                    candidates.setdefault(f"{prefix}{one}", set()).add(slot)
                    candidates.setdefault(f"{prefix}{one}[{image}]", set()).add(slot)
    for name, found in candidates.items():
        if len(found) == 1:
            keys.setdefault(name, found.pop())
    return keys
