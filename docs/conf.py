# SPDX-License-Identifier: BSD-3-Clause
"""Sphinx configuration. Build: sphinx-build -W -b html docs docs/_build/html."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))

project = "jointlight"
author = "The jointlight developers"
copyright = "2026, The jointlight developers"
release = version = installed_version("jointlight")

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "executed",
    "from_code",
]
exclude_patterns = ["_build", "_ext", "_executed"]
source_suffix = {".md": "markdown"}

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_typehints = "none"
autodoc_member_order = "bysource"
autosummary_generate = True
numpydoc_show_class_members = True
numpydoc_class_members_toctree = False
numpydoc_show_inherited_class_members = False

html_theme = "furo"
html_title = f"jointlight {release}"
html_static_path = ["_static"]
html_show_sourcelink = False
