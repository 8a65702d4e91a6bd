# SPDX-License-Identifier: BSD-3-Clause
"""The exponential disc."""

from .component import RadialProfile
from .spec import POSITIVE, ParameterSpec


class Exponential(RadialProfile):
    """Exponential disc: the Sersic profile of n = 1; ``Re`` is 1.678 scale lengths.

    Parameters: ``center``, ``q``, ``PA``, ``Re``, ``Ie`` (or ``flux``). Options are those of
    `Component`.
    """

    type_names = ("exponential galaxy", "exponential", "exponential disk", "exponential disc")
    profile = "exponential"
    scale_spec = ParameterSpec(
        name="Re", description="half-light radius, major axis", unit="arcsec", domain=POSITIVE
    )
    amplitude_spec = ParameterSpec(
        name="Ie", description="surface brightness at Re", unit="flux / arcsec2"
    )
