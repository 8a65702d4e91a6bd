# SPDX-License-Identifier: BSD-3-Clause
"""Models: components, groups of them, and joint models over several images.

Every module of this folder is imported and every class of single components found in them is a
name of this package, so that a new profile is a new file and nothing else.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from .base import Model
from .component import Component, RadialProfile
from .deblend import Deblended, DeblendedSource
from .devaucouleurs import DeVaucouleurs
from .exponential import Exponential
from .flat_sky import FlatSky
from .gaussian import Gaussian
from .group import Group, merge
from .joint import Joint, PerImage, joint
from .moffat import Moffat
from .plane_sky import PlaneSky
from .point import PointSource
from .registry import component_classes, find_class, model_types
from .segmentation import joint_from_segmentation
from .sersic import Sersic
from .sources import Source
from .spec import ParameterSpec

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

_FOUND = {cls.__name__: cls for cls in component_classes() if cls.__module__.startswith(__name__)}

__all__ = [
    "Component",
    "DeVaucouleurs",
    "Deblended",
    "DeblendedSource",
    "Exponential",
    "FlatSky",
    "Gaussian",
    "Group",
    "Joint",
    "Model",
    "Moffat",
    "ParameterSpec",
    "PerImage",
    "PlaneSky",
    "PointSource",
    "RadialProfile",
    "Sersic",
    "Source",
    "component_classes",
    "find_class",
    "joint",
    "joint_from_segmentation",
    "merge",
    "model_types",
]
__all__ += [name for name in sorted(_FOUND) if name not in __all__]


def __getattr__(name: str) -> Any:
    """Classes of files that are not listed above."""
    try:
        return _FOUND[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
