# SPDX-License-Identifier: BSD-3-Clause
"""``scipy_hand.py`` convolving on a grid three times as fine, for answers close to GalSim's."""

from __future__ import annotations

import importlib
import os

os.environ["SCIPY_HAND_FINE"] = "3"
importlib.import_module("scipy_hand")
