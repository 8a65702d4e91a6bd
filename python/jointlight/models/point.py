# SPDX-License-Identifier: BSD-3-Clause
"""The point source."""

from .component import Component
from .spec import CENTER, FLUX, ParameterSpec


class PointSource(Component):
    """A star: the PSF itself, at any sub-pixel position.

    Parameters: ``center``, ``flux``. Options are those of `Component`.
    """

    type_names = ("point source", "point", "star")
    profile = "point"
    needs_psf = True
    amplitude_spec = FLUX

    @classmethod
    def structure_specs(cls) -> tuple[ParameterSpec, ...]:
        """The centre."""
        return (CENTER,)
