# SPDX-License-Identifier: BSD-3-Clause
"""The compiled problem as Python sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jointlight.errors import InvalidInput, did_you_mean
from jointlight.image import TargetImage

from . import jacobian as jacobians
from .covariance import Covariance, standard_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from scipy import sparse

    from jointlight._core import DeviceArray
    from jointlight.parameters import Parameter

    from .compile import Compilable, Leaf
    from .jacobian import JacobianCheck
    from .slots import SlotMap

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One component on one image.

    Attributes
    ----------
    leaf : Component
        The model it comes from.
    index : int
        Its number in the core.
    image, source, psf : int
        Which image, source and PSF of the scene; no PSF is -1.
    profile : str
        The core's name of the profile.
    amplitude : {"brightness", "flux"}
        What its amplitude slot is.
    window : tuple
        ``((x0, x1), (y0, y1))``.
    slots : ndarray
        Slot of each of `slot_names`.
    image_slots : ndarray
        Slots of its image's calibration: shift (2), rotation, scale, flux scale. Empty where
        that does nothing.
    slot_names : tuple of str
        ``("center_x", "center_y", "q", ...)``.
    map_error_px : float
        Largest error of the local map over the window, in pixels.
    """

    leaf: Leaf
    index: int
    image: int
    source: int
    psf: int
    profile: str
    amplitude: str
    window: tuple[tuple[int, int], tuple[int, int]]
    slots: NDArray[np.int64]
    image_slots: NDArray[np.int64]
    slot_names: tuple[str, ...]
    map_error_px: float


class Scene:
    """A model compiled for drawing and fitting; `jointlight.scene.compile` makes it.

    Values that were fixed when it was compiled, windows and data are part of it; after changing
    those, compile again. All vectors ``v`` hold the free parameters in their natural units, in
    the order of `names`; left out, they are the last ones assigned, at first `v0`.

    Attributes
    ----------
    model : Model
    core : object
        The core's scene.
    images : tuple of TargetImage
        In the core's order.
    tiles : tuple of Tile
    sources : tuple of Source
    slots : SlotMap
        From free parameters to slots.
    backend : str
        What evaluates it: "cpu", "cuda", ...
    """

    def __init__(
        self,
        *,
        model: Compilable,
        core: Any,
        images: Sequence[TargetImage],
        tiles: Sequence[Tile],
        sources: Sequence[Any],
        slots: SlotMap,
        backend: str,
    ) -> None:
        self.model = model
        self.core = core
        self.images = tuple(images)
        self.tiles = tuple(tiles)
        self.sources = tuple(sources)
        self.slots = slots
        self.backend = backend
        self._v = slots.start.copy()

    # --- parameters -----------------------------------------------------------------------

    @property
    def v0(self) -> FloatArray:
        """Free parameters when it was compiled, [n_free]."""
        return self.slots.start.copy()

    @property
    def v(self) -> FloatArray:
        """Free parameters last assigned, [n_free]."""
        return self._v.copy()

    @property
    def free_parameters(self) -> list[tuple[Parameter, int]]:
        """Parameter and component of each free scalar."""
        return list(self.slots.free)

    @property
    def names(self) -> list[str]:
        """Path of each free scalar, unique."""
        return list(self.slots.names)

    @property
    def n_free(self) -> int:
        """Number of free scalars."""
        return self.slots.n_free

    def slot_values(self, v: Any = None) -> FloatArray:
        """All slots, [n_slots]."""
        return self.slots.values(self._vector(v))

    def slot_jacobian(self, v: Any = None) -> sparse.csr_array:
        """d slot / d free, [n_slots, n_free]."""
        return self.slots.jacobian(self._vector(v))

    def tie_errors(self) -> list[Exception]:
        """What function ties last raised while they were evaluated for the core."""
        return [b.last_error for b, _ in self.slots.blocks if b.last_error is not None]

    def assign(self, v: Any, covariance: Any = None, *, at_bound: Any = None) -> None:
        """Write values and standard errors into the model's parameters.

        Parameters
        ----------
        v : array
            [n_free].
        covariance : array, sparse matrix or Covariance, optional
            [n_free, n_free]; NaN for parameters without an error. Without it all uncertainties
            are cleared.
        at_bound : array of bool, optional
            Parameters held at a limit: they have no error and give none to those tied to them.
        """
        v = self._vector(v)
        held = np.zeros(self.n_free, bool) if at_bound is None else np.asarray(at_bound, bool)
        errors = known = None
        if covariance is not None:
            known = Covariance.of(covariance)
            if known.shape != (self.n_free, self.n_free):
                raise InvalidInput(
                    f"covariance has shape {known.shape}, expected ({self.n_free}, {self.n_free})"
                )
            with np.errstate(invalid="ignore"):
                errors = np.where(held, np.nan, np.sqrt(known.diagonal))
        stored = self.slots.wrapped(v)
        at = 0
        while at < self.n_free:
            p = self.slots.free[at][0]
            part = slice(at, at + p.size)
            p.set_fitted(stored[part], None if errors is None else errors[part])
            at += p.size
        followers = [p for p in self.slots.used if not p.is_free]
        tied = [p for p in followers if p.is_tied and known is not None]
        for p in followers:
            p.uncertainty = None
        if tied:
            where = np.concatenate([self.slots.slots_of(p) for p in tied])
            spread = standard_errors(self.slots.jacobian(v)[where, :], known, held)
            ends = np.cumsum([p.size for p in tied])
            for p, errors_of_p in zip(tied, np.split(spread, ends[:-1]), strict=True):
                p.uncertainty = errors_of_p
        self._v = v.copy()

    # --- evaluation -----------------------------------------------------------------------

    def render_on_device(self, image: TargetImage | int | str, v: Any = None) -> DeviceArray:
        """Model image, left in the device's memory, of a scene compiled for one.

        Parameters
        ----------
        image : TargetImage, int or str
            Which image: itself, its number or its name.
        v : array_like, optional
            Free parameters, ``[n_free]``; default the scene's own.

        Returns
        -------
        DeviceArray
            ``[h, w]``, float64. Offers ``__cuda_array_interface__`` and DLPack, so that
            ``cupy.asarray``, ``torch.as_tensor`` or ``jax.numpy.from_dlpack`` take it without a
            copy. It is complete: no stream has to be waited for.

        Raises
        ------
        InvalidInput
            If the scene was compiled for a backend without a device.
        """
        if not self.backend.startswith("cuda"):
            raise InvalidInput(
                f"the scene was compiled for backend {self.backend!r}, which has no device; "
                "compile it with backend='cuda', or use render()"
            )
        out: DeviceArray = self.core.render_on_device(self._vector(v), self.image_index(image))
        return out

    def render(self, image: TargetImage | int | str, v: Any = None) -> FloatArray:
        """Model image, [h, w]."""
        return np.asarray(self.core.render(self._vector(v), self.image_index(image)))

    def render_tile(self, tile: Tile | int, v: Any = None) -> FloatArray:
        """One component within its window."""
        index = tile.index if isinstance(tile, Tile) else int(tile)
        return self.render_tiles([index], v)[0]

    def render_tiles(self, tiles: Iterable[Tile | int], v: Any = None) -> list[FloatArray]:
        """Several components, each within its window."""
        indices = [tile.index if isinstance(tile, Tile) else int(tile) for tile in tiles]
        return [np.asarray(array) for array in self.core.render_tiles(self._vector(v), indices)]

    def chi2(self, v: Any = None) -> float:
        """chi2 (Poisson: -2 ln L) over the windows, priors included."""
        return float(self.core.chi2(self._vector(v)))

    def linearize(self, v: Any = None) -> tuple[float, FloatArray, FloatArray]:
        """chi2, half its gradient [n_free], and J^T W J [n_free, n_free]."""
        chi2, gradient, hessian = self.core.linearize(self._vector(v))
        return float(chi2), np.asarray(gradient), np.asarray(hessian)

    def jacobian(self, image: TargetImage | int | str, v: Any = None) -> FloatArray:
        """d image / d free, [n_free, h, w]; for small scenes."""
        return np.asarray(self.core.jacobian(self._vector(v), self.image_index(image)))

    def model_and_jacobian(
        self, image: TargetImage | int | str, v: Any = None
    ) -> tuple[FloatArray, FloatArray]:
        """Model image, [h, w], and its derivatives, [n_free, h, w], drawn once for both."""
        model, columns = self.core.model_and_jacobian(self._vector(v), self.image_index(image))
        return np.asarray(model), np.asarray(columns)

    def fit(
        self,
        options: Mapping[str, Any] | None = None,
        callback: Callable[[dict[str, Any]], bool | None] | None = None,
        *,
        v: Any = None,
        active: Any = None,
    ) -> dict[str, Any]:
        """The core's Levenberg-Marquardt fit; assigns nothing. See `jointlight.fit.LM`.

        Where `active`, [n_free], is False, parameters are held at `v`.
        """
        more = {} if active is None else {"active": np.ascontiguousarray(active, dtype=bool)}
        outcome = self.core.fit(self._vector(v), dict(options or {}), callback, **more)
        return dict(outcome)

    def describe(self) -> dict[str, Any]:
        """How the core draws each tile: box, renderer, threads."""
        return dict(self.core.describe())

    def check_jacobian(
        self,
        v: Any = None,
        *,
        parameters: Sequence[str] | None = None,
        step: float = 1e-3,
        tolerance: float = 1e-6,
    ) -> JacobianCheck:
        """Compare analytic derivatives with fourth-order finite differences.

        Parameters
        ----------
        v : array, optional
            Where; [n_free].
        parameters : sequence of str, optional
            Names of those to check, default all.
        step : float, optional
            In units of a pixel for positions, of the value for others, of 30 deg for PA.
        tolerance : float, optional
            Relative to the largest derivative in the image.

        Returns
        -------
        JacobianCheck
        """
        for name in parameters or ():
            if name not in self.names:
                raise InvalidInput(
                    f"no free parameter is named {name!r}{did_you_mean(name, self.names)}"
                )
        if not (np.isfinite(step) and step > 0.0):
            raise InvalidInput(f"step = {step!r} must be positive", argument="step")
        return jacobians.check_jacobian(
            self, self._vector(v), parameters=parameters, step=step, tolerance=tolerance
        )

    # --- details --------------------------------------------------------------------------

    def image_index(self, image: TargetImage | int | str) -> int:
        """Number of an image in the core."""
        if isinstance(image, (int, np.integer)):
            if not 0 <= int(image) < len(self.images):
                raise InvalidInput(f"image = {image} is outside 0 to {len(self.images) - 1}")
            return int(image)
        for k, known in enumerate(self.images):
            if known is image or known.name == image:
                return k
        shown = image.name if isinstance(image, TargetImage) else image
        names = [known.name for known in self.images]
        raise InvalidInput(f"image {shown!r} is not in this scene{did_you_mean(shown, names)}")

    def _vector(self, v: Any) -> FloatArray:
        if v is None:
            return self._v
        array = np.ascontiguousarray(v, dtype=np.float64)
        if array.shape != (self.n_free,):
            raise InvalidInput(
                f"v has shape {array.shape}, expected ({self.n_free},): one number for each of "
                "scene.names"
            )
        return array

    def __repr__(self) -> str:
        return (
            f"<Scene of {self.model.name!r}: {len(self.tiles)} tiles on {len(self.images)} "
            f"images, {self.n_free} free parameters, {len(self.sources)} sources>"
        )

    def __reduce__(self) -> Any:
        raise TypeError("a Scene cannot be pickled; pickle its model and compile that again")
