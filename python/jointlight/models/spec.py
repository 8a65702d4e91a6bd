# SPDX-License-Identifier: BSD-3-Clause
"""How a model class declares its parameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u

from jointlight.errors import InvalidInput
from jointlight.parameters import Domain, Parameter

if TYPE_CHECKING:
    from jointlight.image import TargetImage

POSITIVE = Domain(0.0, np.inf, low_open=True)


@dataclass(frozen=True, kw_only=True)
class ParameterSpec:
    """One parameter of a model class.

    Attributes
    ----------
    name : str
    description : str
        A phrase for tables and documentation.
    unit : str
        An astropy unit, in which ``flux`` stands for the image's own unit:
        ``"flux / arcsec2"``, ``"arcsec"``, ``"deg"``, ``""``.
    shape : tuple of int
    domain : Domain
        Where the model is defined.
    period : float or None
        Of a cyclic parameter.
    default : float or None
        Start value that needs no data; None where the data must give it.
    """

    name: str
    description: str
    unit: str = ""
    shape: tuple[int, ...] = ()
    domain: Domain = field(default_factory=Domain)
    period: float | None = None
    default: float | None = None

    def make(self, target: TargetImage) -> Parameter:
        """Return the parameter for a model on this image."""
        return Parameter(
            self.name,
            self.default,
            unit=image_unit(self.unit, target),
            shape=self.shape,
            domain=self.domain,
            period=self.period,
            description=self.description,
        )


def image_unit(unit: str, target: TargetImage) -> u.UnitBase:
    """Return the unit in which ``flux`` is replaced by the image's unit, if it has one."""
    return _unit(unit, target.unit)


@lru_cache(maxsize=256)  # thousands of models share a few units, and reading one takes time
def _unit(unit: str, flux: u.UnitBase | None) -> u.UnitBase:
    if "flux" not in unit:
        return u.Unit(unit)
    try:
        rest = u.Unit(unit.replace("flux", "1")) if unit != "flux" else u.dimensionless_unscaled
    except ValueError:
        raise InvalidInput(f"unit {unit!r} of a parameter cannot be read") from None
    return rest if flux is None else flux * rest


CENTER = ParameterSpec(
    name="center", description="position in the tangent plane", unit="arcsec", shape=(2,)
)
AXIS_RATIO = ParameterSpec(
    # Thinner ones are not drawn: see `thinnest` in the core.
    name="q",
    description="minor / major axis",
    domain=Domain(0.02, 1.0),
)
POSITION_ANGLE = ParameterSpec(
    name="PA", description="major axis, East of North", unit="deg", period=180.0
)
FLUX = ParameterSpec(name="flux", description="total flux", unit="flux")
