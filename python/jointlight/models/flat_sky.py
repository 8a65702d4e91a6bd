# SPDX-License-Identifier: BSD-3-Clause
"""A constant sky."""

from .component import Component
from .spec import ParameterSpec


class FlatSky(Component):
    """Constant surface brightness ``I0`` over the window, of either sign.

    Options are those of `Component`; a PSF does not change it.
    """

    type_names = ("flat sky", "sky")
    profile = "flat_sky"
    is_sky = True
    amplitude_spec = ParameterSpec(
        name="I0", description="surface brightness of the sky", unit="flux / arcsec2"
    )
