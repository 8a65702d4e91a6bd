# SPDX-License-Identifier: BSD-3-Clause
"""Settings that exist so that scripts which read or set them run."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["AP_config"]


class _Config:
    """Device and type of arrays; jointlight works in double precision on its own backends.

    Attributes
    ----------
    ap_dtype : type
        Always double precision in effect.
    ap_device : str
        Device of arrays; they are NumPy's. Backends are chosen by jointlight.
    """

    def __init__(self) -> None:
        self.ap_dtype: Any = np.float64
        self.ap_device: Any = "cpu"

    def set_logging_output(self, *_: Any, **__: Any) -> None:
        """Accepted and without effect; fits take ``verbose=``."""


AP_config = _Config()
