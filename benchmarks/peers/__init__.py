# SPDX-License-Identifier: BSD-3-Clause
"""One script a code: each runs in that code's own virtual environment, as a subprocess."""
