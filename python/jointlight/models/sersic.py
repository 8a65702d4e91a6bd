# SPDX-License-Identifier: BSD-3-Clause
"""The Sersic profile."""

from jointlight.parameters import Domain

from .component import RadialProfile
from .spec import POSITIVE, ParameterSpec


class Sersic(RadialProfile):
    """Sersic profile, ``I(R) = Ie exp(-b_n ((R / Re)^(1/n) - 1))``.

    ``Re`` is the half-light radius along the major axis; b_n is exact. Parameters: ``center``,
    ``q``, ``PA``, ``Re``, ``n``, ``Ie`` (or ``flux`` with ``amplitude="flux"``), all amplitudes
    linear and of either sign. Options are those of `Component`.

    References
    ----------
    Sersic (1968), Atlas de Galaxias Australes; Graham & Driver (2005), PASA 22, 118.
    """

    type_names = ("sersic galaxy", "sersic")
    profile = "sersic"
    scale_spec = ParameterSpec(
        name="Re", description="half-light radius, major axis", unit="arcsec", domain=POSITIVE
    )
    shape_specs = (ParameterSpec(name="n", description="Sersic index", domain=Domain(0.3, 10.0)),)
    amplitude_spec = ParameterSpec(
        name="Ie", description="surface brightness at Re", unit="flux / arcsec2"
    )
