# SPDX-License-Identifier: BSD-3-Clause
"""What every model can do, a single component and a group alike."""

from __future__ import annotations

import copy
import inspect
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from jointlight import scene as scenes
from jointlight.backends import ready_backend
from jointlight.errors import InvalidInput, did_you_mean
from jointlight.image import Calibration, TargetImage, TargetImageList, calibrations_in_use
from jointlight.parameters import dependency_order

from .deblend import Deblended, deblend_images
from .display import ParameterView, tree
from .registry import find_class, register
from .selection import Selection

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jointlight.backends import Precision
    from jointlight.parameters import Parameter
    from jointlight.result import FitResult
    from jointlight.scene import JacobianCheck, Scene

    from .component import Component
    from .sources import Source

FloatArray = np.ndarray[Any, np.dtype[np.float64]]


class _Factory(type):
    """Lets ``Model("sersic galaxy", ...)`` return an instance of the class of that name."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls.__dict__.get("_is_factory"):
            if "model_type" in kwargs:
                args = (kwargs.pop("model_type"), *args)
            if len(args) != 1:
                raise InvalidInput(
                    "Model takes the model's type as its only positional argument, e.g. "
                    "Model('sersic galaxy', target=image)"
                )
            return find_class(args[0])(**kwargs)
        return super().__call__(*args, **kwargs)


class Model(metaclass=_Factory):
    """A model of light on one or several images; also the factory for all of them.

    ``Model("sersic galaxy", target=image, n=2.5)`` is the same as
    ``Sersic(target=image, n=2.5)``.

    Parameters
    ----------
    model_type : str
        See `model_types`; ``"sersic galaxy model"``, ``"sersic galaxy"`` and ``"sersic"`` are
        the same.
    **options
        Those of the class.
    """

    _is_factory: ClassVar[bool] = True
    type_names: ClassVar[tuple[str, ...]] = ()

    _name: str
    _named: bool
    _target: TargetImage | TargetImageList

    def __init__(self, model_type: str = "", **options: Any) -> None:
        # Reached by subclasses only: the metaclass sends calls of Model itself elsewhere.
        raise NotImplementedError

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._is_factory = False
        if "type_names" in cls.__dict__ and cls.type_names:
            register(cls)

    def __setattr__(self, attribute: str, value: Any) -> None:
        # Anything else would be an attribute that nobody reads, silently.
        if not attribute.startswith("_") and not self._may_set(attribute):
            raise InvalidInput(self._no_attribute(attribute, value))
        super().__setattr__(attribute, value)

    @classmethod
    def _may_set(cls, attribute: str) -> bool:
        if any(attribute in inspect.get_annotations(base) for base in cls.__mro__):
            return True
        return hasattr(getattr(cls, attribute, None), "__set__")

    def _no_attribute(self, attribute: str, value: object) -> str:
        what = f"{type(self).__name__} {self.__dict__.get('_name', '')!r}"
        names = self._own_names()
        if attribute in names:
            shown = " ".join(repr(value).split())
            shown = shown if len(shown) <= 40 else "..."
            return (
                f"{what} has no attribute {attribute!r} to be set: it is a parameter; write "
                f"model[{attribute!r}].value = {shown}"
            )
        if callable(getattr(type(self), attribute, None)):
            return f"{what}.{attribute} is a method: call it, .{attribute}(...)"
        known = [k for k in dir(type(self)) if not k.startswith("_") and self._may_set(k)]
        return f"{what} has no attribute {attribute!r} to be set" + did_you_mean(
            attribute, [*known, *names]
        )

    def _own_names(self) -> tuple[str, ...]:
        """Names of its own parameters, for messages."""
        return ()

    def _set_name(self, name: object) -> None:
        if name is None:
            self._name, self._named = self.model_type, False
            return
        if not isinstance(name, str) or not name.strip():
            raise InvalidInput(f"name must be a non-empty string, not {name!r}", argument="name")
        self._name, self._named = name, True

    # --- what it is -----------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Name, unique within its group."""
        return self._name

    @property
    def model_type(self) -> str:
        """Usual name of its type."""
        return type(self).type_names[0]

    @property
    def target(self) -> TargetImage | TargetImageList:
        """The image or images it is a model of."""
        return self._target

    @property
    def images_modelled(self) -> tuple[TargetImage, ...]:
        """`target` as a tuple of images."""
        target = self.target
        return (target,) if isinstance(target, TargetImage) else tuple(target)

    def leaves(self) -> tuple[Component, ...]:
        """All single components, in order."""
        raise NotImplementedError

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter below this model with its path, ``"galaxy 1/Re"``."""
        raise NotImplementedError

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """Parameters by name."""
        raise NotImplementedError

    def __getitem__(self, key: str) -> Any:
        """A parameter by name; of a group, a member by name or anything by path."""
        raise NotImplementedError

    @property
    def all_parameters(self) -> Mapping[str, Parameter]:
        """Every parameter below this model by path, tied and fixed ones included.

        Those of images come last, as ``"image r/shift"``, where any of them is free or does
        something.
        """
        own = dict(self.named_parameters())
        for calibration in self.calibrations.values():
            for name, parameter in calibration.items():
                own[f"{parameter.owner}/{name}"] = parameter
        return ParameterView(own)

    @property
    def calibrations(self) -> Mapping[str, Calibration]:
        """Calibrations of its images that are free or do something, by image name."""
        images = {id(leaf.target): leaf.target for leaf in self.leaves() if not leaf.is_sky}
        used = calibrations_in_use(images.values())
        return {images[key].name: calibration for key, calibration in used.items()}

    def _image_parameter(self, key: object) -> Parameter | None:
        """Parameter of an image's calibration by its path ``"image r/shift"``."""
        for leaf in self.leaves():
            start = f"image {leaf.target.name}/"
            if isinstance(key, str) and key.startswith(start):
                name = key[len(start) :]
                if name in leaf.target.calibration:
                    return leaf.target.calibration[name]
        return None

    @property
    def free_parameters(self) -> Mapping[str, Parameter]:
        """What a fit would move, each once, by path.

        Parameters of models outside this one come in through ties and go by their own label.
        """
        return ParameterView(
            {
                name: parameter
                for name, parameter in scenes.root_parameters(self.all_parameters).items()
                if parameter.is_free
            }
        )

    @property
    def unset_parameters(self) -> Mapping[str, Parameter]:
        """Parameters that need a start value before anything can be drawn, by path."""
        return ParameterView(
            {
                name: parameter
                for name, parameter in scenes.root_parameters(self.all_parameters).items()
                if parameter.array is None
            }
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        """Components that stand for one object on the sky, together."""
        from .sources import find_sources

        return find_sources(self)

    # --- what it does ---------------------------------------------------------------------

    def initialize(self, **options: Any) -> Self:
        """Give every unset parameter a start value from the data; returns the model itself."""
        from jointlight.initialize import initialize_model

        initialize_model(self, **options)
        return self

    def grow_windows(self, *, edge: float = 0.03) -> int:
        """Enlarge windows that cut off light at the present values; returns how many grew.

        See `jointlight.initialize.grow_windows`.
        """
        from jointlight.initialize import grow_windows

        return grow_windows(self, edge=edge)

    def fit(self, **options: Any) -> FitResult:
        """Fit with `jointlight.fit.LM`, and leave values and uncertainties in the model.

        Parameters
        ----------
        **options
            Those of `jointlight.fit.LM`, among them ``max_iter`` and ``time_limit`` (seconds),
            ``ftol``, ``xtol`` and ``gtol`` (when to stop), ``precision`` ("float64" or "mixed"),
            ``backend`` ("auto", "cpu", "cuda" or "cuda:N"), ``n_threads``, ``verbose`` and
            ``scale_covariance``.

        Returns
        -------
        FitResult
            The outcome; one that did not converge is returned, not raised.
        """
        from jointlight.fit import LM

        return LM(self, **options).fit()

    def compile(
        self,
        *,
        images: Any = None,
        n_threads: int | None = None,
        tolerance: float | None = None,
        precision: Precision = "float64",
        backend: str = "auto",
    ) -> Scene:
        """Flatten into the tables the core works on; see `jointlight.scene.compile`."""
        ready_backend(backend)  # None, which draws images there, is no backend here
        return scenes.compile(
            self,
            images=images,
            n_threads=n_threads,
            tolerance=tolerance,
            precision=precision,
            backend=backend,
        )

    def image(
        self, target: TargetImage | str | None = None, *, exclude: Any = (), only: Any = None
    ) -> FloatArray:
        """Model image, shape [h, w] of the target, in its unit; 0 outside the windows.

        Parameters
        ----------
        target : TargetImage or str, optional
            Image or its name; may be left out where there is only one.
        exclude : str, Model, Source, or sequence of them, optional
            Members, paths or sources that are left out, so that data minus this image shows
            them without their neighbours. Skies are members like any other.
        only : the same, optional
            All others are left out.

        Returns
        -------
        ndarray
        """
        chosen = self.find_image(target)
        drawn = Selection(self, exclude=exclude, only=only)
        if not any(leaf.target is chosen for leaf in drawn.leaves()):
            return np.zeros(chosen.shape)  # its list may hold images without a component
        return scenes.compile(drawn, images=[chosen]).render(chosen)

    __call__ = image

    def images(self, *, exclude: Any = (), only: Any = None) -> list[FloatArray]:
        """Model images of all targets, in their order; options as in `image`."""
        drawn = Selection(self, exclude=exclude, only=only)
        if not drawn.leaves():
            return [np.zeros(image.shape) for image in self.images_modelled]
        scene = scenes.compile(drawn)
        return [
            scene.render(image) if image in scene.images else np.zeros(image.shape)
            for image in self.images_modelled
        ]

    def residual(
        self, target: TargetImage | str | None = None, *, exclude: Any = (), only: Any = None
    ) -> FloatArray:
        """Data minus model, NaN where a pixel is masked; parameters as in `image`."""
        chosen = self.find_image(target)
        model = self.image(chosen, exclude=exclude, only=only)
        return np.where(chosen.mask, np.nan, chosen.data - model)

    def residuals(self, *, exclude: Any = (), only: Any = None) -> list[FloatArray]:
        """Data minus model of all targets, in their order; options as in `image`."""
        models = self.images(exclude=exclude, only=only)
        return [
            np.where(image.mask, np.nan, image.data - model)
            for image, model in zip(self.images_modelled, models, strict=True)
        ]

    def deblend(
        self,
        target: TargetImage | str | None = None,
        *,
        masked: Literal["nan", "model"] = "nan",
    ) -> Deblended:
        """Share the data of an image out among the sources, in proportion to their light.

        Each source gets an array in its window; they add up to the data minus the sky wherever
        a source is drawn. The residuals go the same way as the light, so noise and misfits are
        not lost. Where no source has light the data go by the peaks; a source of negative flux
        keeps its light and takes its share of the residuals.

        Parameters
        ----------
        target : TargetImage or str, optional
            As in `image`; `deblend_all` does all images.
        masked : {"nan", "model"}, optional
            What masked pixels are filled with.

        Returns
        -------
        Deblended
            By name of the source, as in `sources`: its array and window.
        """
        return deblend_images(self, [self.find_image(target)], masked=masked)[0]

    def deblend_all(self, *, masked: Literal["nan", "model"] = "nan") -> dict[str, Deblended]:
        """`deblend` of every image, by image name."""
        images = self.images_modelled
        parts = deblend_images(self, images, masked=masked)
        return {image.name: part for image, part in zip(images, parts, strict=True)}

    def chi2(self) -> float:
        """chi2 (Poisson: -2 ln L) over the windows, priors included, at the present values."""
        return scenes.compile(self).chi2()

    def check_jacobian(self, **options: Any) -> JacobianCheck:
        """Compare analytic derivatives with finite differences; see `Scene.check_jacobian`."""
        return scenes.compile(self).check_jacobian(**options)

    def copy(self, *, name: str | None = None) -> Self:
        """Independent model on the same images.

        Ties inside it lead to its own parameters, those to other models to the same ones as
        before.
        """
        own = self.all_parameters
        # Those of images are not copied with the model: it stays on the same images.
        inside = {id(parameter) for _, parameter in self.named_parameters()}
        outside = {
            id(parameter): parameter
            for parameter in dependency_order(own.values())
            if id(parameter) not in inside
        }
        twin = copy.deepcopy(self, dict(outside))
        if name is not None:
            twin._set_name(name)
            twin._relabel()
        return twin

    def _relabel(self) -> None:
        """Tell the parameters the name of their model, for messages."""

    def find_image(self, target: object = None) -> TargetImage:
        """Return the image meant by an image, a name, or None where there is only one."""
        images = self.images_modelled
        names = [image.name for image in images]
        if target is None:
            if len(images) == 1:
                return images[0]
            raise InvalidInput(
                f"{self.name!r} is a model of {len(images)} images, so target must say which: "
                + ", ".join(map(repr, names)),
                argument="target",
            )
        for image in images:
            if image is target or image.name == target:
                return image
        for image in images:
            # The same image after a round trip through a pickle.
            if isinstance(target, TargetImage) and image.id == target.id:
                return image
        shown = target.name if isinstance(target, TargetImage) else target
        raise InvalidInput(
            f"target {shown!r} is not an image of the model {self.name!r}"
            f"{did_you_mean(shown, names)}",
            argument="target",
        )

    def __str__(self) -> str:
        return tree(self)
