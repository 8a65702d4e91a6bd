# SPDX-License-Identifier: BSD-3-Clause
"""Joint modelling of galaxies, stars and sky in many images at once.

Images (`TargetImage`, `TargetImageList`) each keep their own pixels, world coordinates, point
spread function and noise. Models (`Model`, `Group`, `joint`) predict all of them from one set of
parameters; a fit (`fit`, or a model's own method) finds the parameters with their covariance.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

from jointlight._core import build_info as _build_info
from jointlight.backends import Backend, backends
from jointlight.errors import (
    BackendUnavailable,
    DeviceFailed,
    InvalidInput,
    JointlightError,
    JointlightWarning,
)
from jointlight.image import TargetImage, TargetImageList
from jointlight.models import Group, Model, joint, joint_from_segmentation, merge
from jointlight.parameters import Normal, Parameter, tie_polynomial
from jointlight.psf import PSF, gaussian_psf, moffat_psf

if TYPE_CHECKING:
    from jointlight import fit, flags, initialize, plots
    from jointlight.io import load
    from jointlight.many import ManyResults, fit_many
    from jointlight.result import FitResult

__version__: str = _build_info()["version"]

__all__ = [
    "PSF",
    "Backend",
    "BackendUnavailable",
    "DeviceFailed",
    "FitResult",
    "Group",
    "InvalidInput",
    "JointlightError",
    "JointlightWarning",
    "ManyResults",
    "Model",
    "Normal",
    "Parameter",
    "TargetImage",
    "TargetImageList",
    "backends",
    "fit",
    "fit_many",
    "flags",
    "gaussian_psf",
    "initialize",
    "joint",
    "joint_from_segmentation",
    "load",
    "merge",
    "moffat_psf",
    "plots",
    "tie_polynomial",
]

# Imported when first asked for: describing a scene needs neither tables nor files nor plots.
_LATER = {
    "FitResult": "jointlight.result",
    "ManyResults": "jointlight.many",
    "fit_many": "jointlight.many",
    "load": "jointlight.io",
    "fit": "",
    "flags": "",
    "initialize": "",
    "plots": "",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if _LATER[name]:
        return getattr(_import_module(_LATER[name]), name)
    return _import_module(f"{__name__}.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
