# SPDX-License-Identifier: BSD-3-Clause
"""The Moffat profile."""

from jointlight.parameters import Domain

from .component import RadialProfile
from .spec import POSITIVE, ParameterSpec


class Moffat(RadialProfile):
    """Elliptical Moffat profile, ``I(R) = I0 (1 + (R / Rd)^2)^-beta``.

    Parameters: ``center``, ``q``, ``PA``, ``Rd`` (along the major axis), ``beta``, ``I0`` (or
    ``flux``). Options are those of `Component`.
    """

    type_names = ("moffat galaxy", "moffat")
    profile = "moffat"
    scale_spec = ParameterSpec(
        name="Rd", description="core radius, major axis", unit="arcsec", domain=POSITIVE
    )
    shape_specs = (
        ParameterSpec(name="beta", description="slope of the wings", domain=Domain(1.05, 20.0)),
    )
    amplitude_spec = ParameterSpec(
        name="I0", description="central surface brightness", unit="flux / arcsec2"
    )
