# SPDX-License-Identifier: BSD-3-Clause
"""Slow, obvious truth for every stage, in numpy, and GalSim as the outside judge.

Nothing here calls jointlight, except ``core.py`` which sets up small scenes for the tests.
"""
