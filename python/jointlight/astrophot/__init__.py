# SPDX-License-Identifier: BSD-3-Clause
"""The AstroPhot tutorials' spelling of jointlight.

``import jointlight.astrophot as ap`` lets code written for AstroPhot 0.16 run on jointlight:
its names, argument orders, units and angle conventions are translated here and nowhere else, and
what is behind them is jointlight's own images, models and fits, at hand as ``.native``. The
documentation's page "Coming from AstroPhot" says what maps to what, and what is done otherwise.
"""

from __future__ import annotations

from jointlight.astrophot import fit, image, models, plots, utils
from jointlight.astrophot.config import AP_config

__all__ = ["AP_config", "fit", "image", "models", "plots", "utils"]
