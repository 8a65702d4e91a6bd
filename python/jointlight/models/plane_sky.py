# SPDX-License-Identifier: BSD-3-Clause
"""A sky with a gradient."""

from .component import Component
from .spec import ParameterSpec


class PlaneSky(Component):
    """Sky with a gradient, ``I0 + slope_x (X - X0) + slope_y (Y - Y0)``.

    (X0, Y0) is the middle of the window, so that ``I0`` is the sky there; slopes are per arcsec
    to the East and to the North. Options are those of `Component`; a PSF does not change it.
    """

    type_names = ("plane sky",)
    profile = "plane_sky"
    is_sky = True
    amplitude_spec = ParameterSpec(
        name="I0", description="surface brightness at the window's middle", unit="flux / arcsec2"
    )

    @classmethod
    def specs(cls, amplitude: str = "brightness") -> tuple[ParameterSpec, ...]:
        """Brightness, then the slopes."""
        del amplitude  # there is but one kind
        slopes = tuple(
            ParameterSpec(
                name=f"slope_{axis}",
                description=f"gradient to the {where}",
                unit="flux / arcsec3",
                default=0.0,
            )
            for axis, where in (("x", "East"), ("y", "North"))
        )
        return (cls.amplitude_spec, *slopes)
