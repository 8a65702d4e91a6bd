# SPDX-License-Identifier: BSD-3-Clause
"""Sphinx configuration. Build: sphinx-build -W -b html docs docs/_build/html."""

from __future__ import annotations

import sys
from pathlib import Path

import jointlight

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))

project = "jointlight"
author = "The jointlight developers"
copyright = "2026, The jointlight developers"
release = version = jointlight.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "example_page",
    "executed",
    "from_code",
]
exclude_patterns = ["_build", "_ext", "_executed"]
source_suffix = {".md": "markdown"}

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_typehints = "none"
autodoc_member_order = "bysource"
autosummary_generate = False
numpydoc_show_class_members = False  # autodoc lists them

html_theme = "furo"
html_title = f"jointlight {release}"
html_static_path = ["_static"]
html_show_sourcelink = False
