# SPDX-License-Identifier: BSD-3-Clause
"""Named cases, one runner, peers in their own processes; figures are ratios with machine facts."""
