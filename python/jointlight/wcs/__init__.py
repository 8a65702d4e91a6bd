# SPDX-License-Identifier: BSD-3-Clause
"""From the pixels of one image to the tangent plane that all images of a scene share.

Pixels are 0-based, ``x`` the column and ``y`` the row, integer at the pixel's centre. The plane is
the gnomonic projection of the sky about a reference position, in arcsec, +x East and +y North.
Every image keeps its own WCS, whatever astropy can evaluate; `local_map` replaces it over one
window by a quadratic map and says how far that is off.
"""

from __future__ import annotations

from jointlight.wcs.headers import (
    header_scale,
    lacks_ctype,
    low_level_celestial,
    warn_no_ctype,
    wcs_from_header,
)
from jointlight.wcs.local import LocalMap, fit_local_map, fit_local_maps
from jointlight.wcs.planes import LinearPlane, PlaneMap, SkyPlane
from jointlight.wcs.sky import Gnomonic, sky_coordinates, sky_vectors, unit_vectors

__all__ = [
    "Gnomonic",
    "LinearPlane",
    "LocalMap",
    "PlaneMap",
    "SkyPlane",
    "fit_local_map",
    "fit_local_maps",
    "header_scale",
    "lacks_ctype",
    "low_level_celestial",
    "sky_coordinates",
    "sky_vectors",
    "unit_vectors",
    "warn_no_ctype",
    "wcs_from_header",
]
