# SPDX-License-Identifier: BSD-3-Clause
"""``python -m jointlight`` is the ``jointlight`` command."""

from jointlight.cli import main

if __name__ == "__main__":
    main()
