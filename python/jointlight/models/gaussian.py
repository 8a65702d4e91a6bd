# SPDX-License-Identifier: BSD-3-Clause
"""The elliptical Gaussian."""

from .component import RadialProfile
from .spec import POSITIVE, ParameterSpec


class Gaussian(RadialProfile):
    """Elliptical Gaussian, ``I(R) = I0 exp(-R^2 / (2 sigma^2))``.

    Parameters: ``center``, ``q``, ``PA``, ``sigma`` (along the major axis), ``I0`` (or
    ``flux``). Options are those of `Component`.
    """

    type_names = ("gaussian galaxy", "gaussian")
    profile = "gaussian"
    scale_spec = ParameterSpec(
        name="sigma", description="dispersion, major axis", unit="arcsec", domain=POSITIVE
    )
    amplitude_spec = ParameterSpec(
        name="I0", description="central surface brightness", unit="flux / arcsec2"
    )
