# SPDX-License-Identifier: BSD-3-Clause
"""Images made by GalSim at tight settings: the independent judge of everything convolved.

Conventions to translate: GalSim's half-light radius of an ellipse is Re sqrt(q); its angles run
from +x towards +y; its images put the true centre at ((nx - 1) / 2, (ny - 1) / 2) from 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .profiles import sersic_b

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .render import Ellipse


def galsim() -> Any:
    """Import GalSim or skip the calling test."""
    import pytest

    return pytest.importorskip("galsim")


def gsparams(folding: float = 1e-4) -> Any:
    """Settings checked against ones ten times tighter: images move by less than 1e-7 of peak."""
    return galsim().GSParams(
        folding_threshold=folding,
        kvalue_accuracy=1e-7,
        xvalue_accuracy=1e-7,
        maxk_threshold=1e-5,
        integration_relerr=1e-8,
        integration_abserr=1e-10,
        maximum_fft_size=32768,
        stepk_minimum_hlr=20,
    )


def component(e: Ellipse, *, params: Any = None) -> Any:
    """The GalSim object of an ellipse, centred at the origin, in pixels."""
    gs = galsim()
    params = params or gsparams()
    round_scale = e.scale * np.sqrt(e.q)
    flux = e.flux
    if e.profile == "sersic":
        obj = gs.Sersic(n=e.shape[0], half_light_radius=round_scale, flux=flux, gsparams=params)
    elif e.profile == "exponential":
        # Re of a jointlight exponential is its half-light radius; GalSim's scale is Re / b_1.
        obj = gs.Exponential(scale_radius=round_scale / sersic_b(1.0), flux=flux, gsparams=params)
    elif e.profile == "devaucouleurs":
        obj = gs.DeVaucouleurs(half_light_radius=round_scale, flux=flux, gsparams=params)
    elif e.profile == "gaussian":
        obj = gs.Gaussian(sigma=round_scale, flux=flux, gsparams=params)
    elif e.profile == "moffat":
        obj = gs.Moffat(beta=e.shape[0], scale_radius=round_scale, flux=flux, gsparams=params)
    else:
        raise ValueError(e.profile)
    return obj.shear(q=e.q, beta=e.theta * gs.radians)


def psf(kind: str, fwhm: float, *, beta: float = 3.5, params: Any = None) -> Any:
    """An optical PSF (pixel response not included) of unit flux; `fwhm` in pixels."""
    gs = galsim()
    params = params or gsparams()
    if kind == "gaussian":
        return gs.Gaussian(fwhm=fwhm, gsparams=params)
    return gs.Moffat(fwhm=fwhm, beta=beta, gsparams=params)


def effective_array(optical: Any, size: int, oversampling: int = 1) -> NDArray:
    """Samples of PSF * pixel, `oversampling` per pixel, odd `size`, sum near 1."""
    gs = galsim()
    effective = gs.Convolve([optical, gs.Pixel(1.0)], gsparams=gsparams())
    return _samples(effective, size, oversampling)


def optical_array(optical: Any, size: int, oversampling: int = 1) -> NDArray:
    """Samples of the bare PSF."""
    return _samples(optical, size, oversampling)


def _samples(obj: Any, size: int, oversampling: int) -> NDArray:
    step = 1.0 / oversampling
    image = obj.drawImage(nx=size, ny=size, scale=step, method="no_pixel", dtype=float)
    return np.array(image.array)


def image(e: Ellipse, optical: Any, height: int, width: int, *, folding: float = 1e-4) -> NDArray:
    """The ellipse convolved with the PSF and the pixel, [height, width]."""
    gs = galsim()
    params = gsparams(folding)
    obj = gs.Convolve([component(e, params=params), optical], gsparams=params)
    offset = (e.x - (width - 1) / 2, e.y - (height - 1) / 2)
    drawn = obj.drawImage(nx=width, ny=height, scale=1.0, offset=offset, dtype=float)
    return np.array(drawn.array)


def star(x: float, y: float, flux: float, optical: Any, height: int, width: int) -> NDArray:
    """A point source under the PSF and the pixel."""
    offset = (x - (width - 1) / 2, y - (height - 1) / 2)
    params = gsparams(1e-6)
    drawn = (
        optical.withGSParams(params)
        .withFlux(flux)
        .drawImage(nx=width, ny=height, scale=1.0, offset=offset, dtype=float)
    )
    return np.array(drawn.array)
