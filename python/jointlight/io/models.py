# SPDX-License-Identifier: BSD-3-Clause
"""Models as plain trees of numbers, text and arrays, and back."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jointlight.errors import warn_user
from jointlight.image import TargetImage, TargetImageList
from jointlight.io.images import psf_from_tree, psf_to_tree, time_from_tree, time_to_tree
from jointlight.models import Component, Group, Joint, Model
from jointlight.parameters import LinearTie, Normal, Parameter, dependency_order
from jointlight.scene import standard_errors

if TYPE_CHECKING:
    from jointlight.result import FitResult

__all__ = ["model_from_tree", "model_of_result", "model_to_tree"]


def model_of_result(result: FitResult) -> Model | None:
    """The model of a result with the values that the fit found.

    Parameters
    ----------
    result : FitResult
        The result.

    Returns
    -------
    Model or None
        The live model, or a copy with the result's values where that has been moved since.
    """
    if result.model is None or not _moves(result, result.model):
        return result.model
    model = _detached(result.model)
    rows = result.slots.jacobian.tocsr()
    fitted = {name: i for i, name in enumerate(result.parameter_names)}
    for parameter, value in _moves(result, model):
        if parameter.is_tied:
            parameter.untie()
        low, high = parameter.bounds
        if parameter.period is None and (np.any(value < low) or np.any(value > high)):
            parameter.limits = None
        parameter.set_fitted(value, None)
    for parameter, names in _named(model):
        error = np.full(parameter.size, np.nan)
        if parameter.is_tied and all(name in result.slots.keys for name in names):
            gradient = rows[[result.slots.keys[name] for name in names], :]
            error = standard_errors(gradient, result.known_covariance, result.at_bound)
        elif all(name in fitted for name in names):
            where = [fitted[name] for name in names]
            error = np.where(result.at_bound[where], np.nan, result.errors[where])
        elif not parameter.is_tied:
            parameter.uncertainty = None
            continue
        none = result.raw_covariance is None
        parameter.uncertainty = None if none else error.reshape(parameter.shape)
    return model


def _detached(model: Model) -> Model:
    """Copy of a model whose images' calibrations are its own too; pixels are shared."""
    if not model.calibrations:
        return model.copy()
    own = model.all_parameters
    inside = {id(parameter) for parameter in own.values()}
    memo: dict[int, Any] = {id(p): p for p in dependency_order(own.values()) if id(p) not in inside}
    for image in model.images_modelled:
        memo[id(image)] = twin = copy.copy(image)
        twin.__dict__["_calibration"] = copy.deepcopy(image.calibration, memo)
    return copy.deepcopy(model, memo)


def _named(model: Model) -> list[tuple[Parameter, list[str]]]:
    """Every parameter that a model follows, with the names of its scalars as in a fit."""
    paths: dict[int, str] = {}
    for path, parameter in model.all_parameters.items():
        paths.setdefault(id(parameter), path)
    out = []
    for parameter in dependency_order(model.all_parameters.values()):
        path = paths.get(id(parameter), parameter.label)
        named = path.endswith(parameter.name)
        prefix = path[: len(path) - len(parameter.name)] if named else f"{path} "
        out.append((parameter, [prefix + component for component in parameter.component_names]))
    return out


def _moves(result: FitResult, model: Model) -> list[tuple[Parameter, NDArray[np.float64]]]:
    """Parameters whose values are not the result's, with those."""
    values = {name: float(result.slots.values[slot]) for name, slot in result.slots.keys.items()}
    fitted = dict(zip(result.parameter_names, map(float, result.values), strict=True))
    values |= fitted
    moves = []
    for parameter, names in _named(model):
        if not all(name in values for name in names):
            continue
        if parameter.is_tied and not all(name in fitted for name in names):
            continue
        then = np.array([values[name] for name in names]).reshape(parameter.shape)
        now = parameter.array
        if parameter.is_tied or now is None or not np.allclose(now, then, rtol=1e-10, atol=0.0):
            moves.append((parameter, then))
    return moves


def model_to_tree(model: Model, images: Sequence[TargetImage]) -> dict[str, Any]:
    """A model as a tree.

    Parameters
    ----------
    model : Model
        The model.
    images : sequence of TargetImage
        The images it refers to, by index.

    Returns
    -------
    dict
        Structure, parameters and ties. A parameter that follows a function is written as fixed
        at its value, with a warning.
    """
    parameters = dict(model.all_parameters)
    inside = {id(parameter) for parameter in parameters.values()}
    # Others come in through ties: a polynomial's coefficients, parameters of another model.
    outside = [p for p in dependency_order(parameters.values()) if id(p) not in inside]
    parameters |= {f"@{number}": parameter for number, parameter in enumerate(outside)}
    paths = {id(parameter): path for path, parameter in parameters.items()}
    ties = []
    lost = []
    for path, parameter in parameters.items():
        tie = parameter.current_tie
        if tie is None:
            continue
        if isinstance(tie, LinearTie):
            ties.append(
                {
                    "parameter": path,
                    "inputs": [paths[id(p)] for p in tie.inputs],
                    "scales": [np.array(scale) for scale in tie.scales],
                    "offset": np.array(tie.offset),
                }
            )
        else:
            lost.append(path)
    if lost:
        warn_user(
            f"{', '.join(lost)}: a tie by a function cannot be written; in the file the parameter "
            "is fixed at its value"
        )
    return {
        "structure": _structure(model, images),
        "parameters": {
            path: _parameter(parameter, lost=path in lost) for path, parameter in parameters.items()
        },
        "outside": [
            {"name": p.name, "owner": p.owner, "unit": p.unit.to_string(), "shape": list(p.shape)}
            for p in outside
        ],
        "ties": ties,
    }


def _structure(model: Model, images: Sequence[TargetImage]) -> dict[str, Any]:
    tree: dict[str, Any] = {
        "name": model.name,
        # A group's target may hold images that none of its components is on: no fit has those.
        "images": [n for image in model.images_modelled if (n := _index(image, images)) >= 0],
    }
    if isinstance(model, Component):
        (x0, x1), (y0, y1) = model.window
        return tree | {
            "kind": "component",
            "type": model.model_type,
            "window": [[int(x0), int(x1)], [int(y0), int(y1)]],
            "amplitude": model.amplitude,
            **_psf(model),
        }
    assert isinstance(model, Group)
    members = [_structure(member, images) for member in model.models]
    if isinstance(model, Joint):
        return tree | {
            "kind": "joint",
            "per_image": list(model.per_image),
            "models": members,
            "wavelength_degree": dict(model.wavelength_degree),
            "motion": _motion(model),
        }
    return tree | {"kind": "group", "models": members}


def _motion(model: Joint) -> dict[str, Any] | None:
    epoch = model.reference_epoch
    if epoch is None:
        return None
    shared = model.shared_parameters
    return {
        "reference_epoch": time_to_tree(epoch),
        **{name: name in shared for name in ("proper_motion", "parallax")},
    }


def _index(image: TargetImage, images: Sequence[TargetImage]) -> int:
    return next(
        (index for index, one in enumerate(images) if one is image or one.id == image.id), -1
    )


def _psf(leaf: Component) -> dict[str, Any]:
    """PSF of a component where it is not its image's."""
    (x0, x1), (y0, y1) = leaf.window
    middle = (0.5 * (x0 + x1 - 1), 0.5 * (y0 + y1 - 1))
    own = leaf.psf_at(*middle)
    from_image = own is leaf.target.psf
    return {
        "psf_convolve": leaf.has_psf or leaf.target.psf is None,
        "psf": None if own is None or from_image else psf_to_tree(own),
    }


def _parameter(parameter: Parameter, *, lost: bool) -> dict[str, Any]:
    array, error, prior = parameter.array, parameter.uncertainty, parameter.prior
    low, high = parameter.bounds
    return {
        "value": None if array is None else np.array(array),
        "uncertainty": None if error is None else np.array(error),
        "lower": np.array(low),
        "upper": np.array(high),
        "fixed": bool(parameter.fixed) or lost,
        "prior": None if prior is None else [np.array(prior.mean), np.array(prior.sigma)],
    }


def model_from_tree(tree: Mapping[str, Any], images: Sequence[TargetImage]) -> Model:
    """The model of a tree.

    Parameters
    ----------
    tree : mapping
        What `model_to_tree` returned.
    images : sequence of TargetImage
        The images it refers to.

    Returns
    -------
    Model
        With the values, limits, priors and ties it had.
    """
    target = TargetImageList(images) if len(images) > 1 else images[0]
    model = _build(tree["structure"], images, target)
    parameters = dict(model.all_parameters)
    for image in images:
        for parameter in image.calibration.values():
            parameters[f"{parameter.owner}/{parameter.name}"] = parameter
    for number, one in enumerate(tree["outside"]):
        parameter = Parameter(one["name"], unit=one["unit"], shape=tuple(one["shape"]))
        parameter.owner = one["owner"]
        parameters[f"@{number}"] = parameter
    for path, settings in tree["parameters"].items():
        parameter = parameters[path]
        parameter.untie()
        _configure(parameter, settings)
    for tie in tree["ties"]:
        parameter = parameters[tie["parameter"]]
        parameter.tie_linear(
            [parameters[path] for path in tie["inputs"]],
            scales=[np.array(scale) for scale in tie["scales"]],
            offset=np.array(tie["offset"]),
        )
        error = tree["parameters"][tie["parameter"]]["uncertainty"]
        parameter.uncertainty = None if error is None else np.array(error)
    return model


def _build(
    tree: Mapping[str, Any],
    images: Sequence[TargetImage],
    whole: TargetImage | TargetImageList,
) -> Model:
    own = [images[index] for index in tree["images"]]
    if tree["kind"] == "component":
        return Model(tree["type"], target=own[0], **_options(tree))
    target: Any = whole if len(own) == len(images) else own[0]
    if 1 < len(own) < len(images):
        target = TargetImageList(own)
    if tree["kind"] == "group":
        members = [_build(member, images, whole) for member in tree["models"]]
        return Group(members, target=target, name=tree["name"])
    # Images may have been taken out of it since it was made.
    own = [images[member["images"][0]] for member in tree["models"]]
    if len(own) < len(tree["images"]):
        target = TargetImageList(own) if len(own) > 1 else own[0]
    options = {member["name"]: _options(member) for member in tree["models"]}
    first = tree["models"][0]
    common: dict[str, Any] = {k: first[k] for k in ("amplitude", "psf_convolve")}
    for key in ("window", "psf"):
        common[key] = {name: one[key] for name, one in options.items() if one.get(key) is not None}
    if tree.get("wavelength_degree"):
        # Ties are as the file has them; a polynomial needs more wavelengths than its degree.
        most = len({image.wavelength.value for image in own if image.wavelength is not None}) - 1
        degrees = {k: min(int(v), most) for k, v in tree["wavelength_degree"].items()}
        common["wavelength_degree"] = {k: v for k, v in degrees.items() if v >= 0}
    if tree.get("motion") is not None:
        motion = dict(tree["motion"])
        common |= {**motion, "reference_epoch": time_from_tree(motion["reference_epoch"])}
    return Joint(
        first["type"], target=target, name=tree["name"], per_image=tree["per_image"], **common
    )


def _options(tree: Mapping[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {k: tree[k] for k in ("name", "amplitude", "psf_convolve")}
    options["window"] = tuple(tuple(pair) for pair in tree["window"])
    if tree["psf"] is not None:
        options["psf"] = psf_from_tree(tree["psf"])
    return options


def _configure(parameter: Parameter, settings: Mapping[str, Any]) -> None:
    given: dict[str, Any] = {
        "limits": (np.array(settings["lower"]), np.array(settings["upper"])),
        "value": None if settings["value"] is None else np.array(settings["value"]),
    }
    if settings["prior"] is not None:
        mean, sigma = (np.array(part) for part in settings["prior"])
        given["prior"] = Normal(_plain(mean), _plain(sigma))
    parameter.value = None  # a default may lie outside the limits to be set
    parameter.configure(given)
    parameter.fixed = bool(settings["fixed"])
    if settings["uncertainty"] is not None:
        parameter.uncertainty = np.array(settings["uncertainty"])


def _plain(array: Any) -> Any:
    return float(array) if array.ndim == 0 else tuple(float(v) for v in array)
