# SPDX-License-Identifier: BSD-3-Clause
"""The de Vaucouleurs profile."""

from .component import RadialProfile
from .spec import POSITIVE, ParameterSpec


class DeVaucouleurs(RadialProfile):
    """De Vaucouleurs profile: the Sersic profile of n = 4.

    Parameters: ``center``, ``q``, ``PA``, ``Re``, ``Ie`` (or ``flux``). Options are those of
    `Component`.
    """

    type_names = ("devaucouleurs galaxy", "devaucouleurs", "de vaucouleurs", "devauc")
    profile = "devaucouleurs"
    scale_spec = ParameterSpec(
        name="Re", description="half-light radius, major axis", unit="arcsec", domain=POSITIVE
    )
    amplitude_spec = ParameterSpec(
        name="Ie", description="surface brightness at Re", unit="flux / arcsec2"
    )
