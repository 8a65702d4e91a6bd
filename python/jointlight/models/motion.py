# SPDX-License-Identifier: BSD-3-Clause
"""Sources that move between exposures: proper motion and parallax."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.coordinates import get_body_barycentric
from astropy.time import Time

from jointlight.errors import InvalidInput, invalid
from jointlight.image.epoch import in_scale, parse_time
from jointlight.parameters import Parameter

from .spec import CENTER, ParameterSpec

if TYPE_CHECKING:
    from jointlight.image import TargetImage

    from .component import Component

FloatArray = np.ndarray[Any, np.dtype[np.float64]]

PROPER_MOTION = ParameterSpec(
    name="proper_motion",
    description="proper motion, mu_alpha* East and mu_delta North",
    unit="mas / yr",
    shape=(2,),
)
PARALLAX = ParameterSpec(name="parallax", description="parallax", unit="mas")

_MAS = 1e-3  # arcsec


def parallax_factors(reference: Any, times: Time) -> FloatArray:
    """Displacement of a star by its parallax, East and North, per unit of parallax.

    Parameters
    ----------
    reference : SkyCoord
        Where the star is.
    times : Time
        Of the exposures, ``[n]``.

    Returns
    -------
    ndarray
        ``[n, 2]``, for an observer at the centre of the Earth.
    """
    earth = get_body_barycentric("earth", in_scale(times, "tdb"), ephemeris="builtin")
    x, y, z = (np.asarray(part.to_value(u.au)) for part in earth.xyz)
    ra, dec = np.radians(reference.icrs.ra.deg), np.radians(reference.icrs.dec.deg)
    east = x * np.sin(ra) - y * np.cos(ra)
    north = (x * np.cos(ra) + y * np.sin(ra)) * np.sin(dec) - z * np.cos(dec)
    return np.stack([east, north], axis=-1)


class Motion:
    """Shared position at an epoch, proper motion and parallax that centres follow.

    The centre in each image is linear in all of them, with coefficients from the image's time.
    East and North are those of the plane at its origin.

    Parameters
    ----------
    owner : str
        Name of the model, for messages.
    images : sequence of TargetImage
        Each with a time.
    proper_motion, parallax : bool, value or mapping
        True to fit it from 0; a value, or a dict of value, limits, fixed and prior.
    reference_epoch : Time, float or str, optional
        When ``center`` holds; default the middle of the images' times.
    """

    def __init__(
        self,
        owner: str,
        images: Sequence[TargetImage],
        *,
        proper_motion: Any,
        parallax: Any,
        reference_epoch: Any = None,
    ) -> None:
        times = []
        for image in images:
            if image.time is None:
                raise InvalidInput(
                    f"{owner!r} moves, but image {image.name!r} has no time; give it time= when "
                    "it is made",
                    argument="target",
                )
            times.append(in_scale(image.time, "tdb"))
        years = np.array([(time - times[0]).to_value(u.yr) for time in times])
        epoch = parse_time(reference_epoch, "reference_epoch")
        if epoch is None:
            epoch = times[0] + 0.5 * (years.min() + years.max()) * u.yr
        self.reference_epoch: Time = epoch
        self.years: FloatArray = years + (times[0] - in_scale(epoch, "tdb")).to_value(u.yr)
        self.center = CENTER.make(images[0])
        self.center.follow_plane_of(images[0])
        self.proper_motion = _made(PROPER_MOTION, proper_motion, images[0])
        self.parallax = _made(PARALLAX, parallax, images[0])
        self.factors: FloatArray = np.zeros((len(times), 2))
        if self.parallax is not None:
            reference = images[0].reference
            if reference is None:
                raise InvalidInput(
                    f"{owner!r}: the parallax needs a place on the sky, but image "
                    f"{images[0].name!r} has no WCS; give it wcs= or reference=",
                    argument="parallax",
                )
            self.factors = parallax_factors(reference, Time(times))

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The shared parameters by name."""
        named = {
            "center": self.center,
            "proper_motion": self.proper_motion,
            "parallax": self.parallax,
        }
        return {name: p for name, p in named.items() if p is not None}

    def move(self, components: Sequence[Component]) -> None:
        """Let the centres follow."""
        for component, dt, factor in zip(components, self.years, self.factors, strict=True):
            inputs: list[Parameter] = [self.center]
            scales: list[Any] = [1.0]
            if self.proper_motion is not None:
                inputs.append(self.proper_motion)
                scales.append(float(dt) * _MAS)
            if self.parallax is not None:
                inputs.append(self.parallax)
                scales.append(factor * _MAS)
            component["center"].tie_linear(inputs, scales=scales)


def is_asked_for(setting: Any) -> bool:
    """Whether proper motion or parallax is wanted: anything but False and None."""
    return setting is not None and not (isinstance(setting, (bool, np.bool_)) and not bool(setting))


def _made(spec: ParameterSpec, setting: Any, image: TargetImage) -> Parameter | None:
    if not is_asked_for(setting):
        return None
    parameter = spec.make(image)
    parameter.value = np.zeros(spec.shape)
    if isinstance(setting, (bool, np.bool_)):
        return parameter
    if isinstance(setting, str) or callable(setting):
        raise invalid(spec.name, setting, "True, a value, or a dict of settings")
    if isinstance(setting, Mapping) or not isinstance(setting, Parameter):
        parameter.configure(setting)
    else:
        parameter.tie(setting)
    return parameter
