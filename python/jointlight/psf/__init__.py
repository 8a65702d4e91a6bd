# SPDX-License-Identifier: BSD-3-Clause
"""Point spread functions: arrays, and Gaussian and Moffat ones that are known exactly.

An *effective* PSF includes the response of the detector's pixel, as every PSF that was measured
on stars does (Anderson & King 2000); an *optical* one does not, and the pixel is applied to it.
"""

from __future__ import annotations

from jointlight.psf.analytic import GaussianPSF, MoffatPSF, gaussian_psf, moffat_psf
from jointlight.psf.array import PSF, as_psf
from jointlight.psf.checks import positive_arcsec

__all__ = [
    "PSF",
    "GaussianPSF",
    "MoffatPSF",
    "as_psf",
    "gaussian_psf",
    "moffat_psf",
    "positive_arcsec",
]
