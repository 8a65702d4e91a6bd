// SPDX-License-Identifier: BSD-3-Clause
// Radial tables of tiles in one box, an interval a thread: see scene/transform_view.hpp. The host
// has said how many intervals, and from where.
#pragma once

#include "scene/transform_view.hpp"
#include "stages/device/tile.hpp"

namespace jointlight {
JL_ISA_BEGIN

struct StencilBody : PlacedGroup {
  TransformView transform;

  JL_HD void operator()(int which, int) const {
    const TileState& state = state_of(which);
    if (!state.visible || !state.has_table) return;
    *tile_of(which).stencil = transform_stencil(transform, state.shape);
  }
};

// item = interval.
struct RadialTableBody : PlacedGroup {
  JL_HD void operator()(int which, int item) const {
    const TileState& state = state_of(which);
    if (!state.visible || !state.has_table || item >= state.table.n_intervals) return;
    using Grid = TransformGrid;
    const double begin = (0.5 * state.table.u0 - Grid::v_min) / Grid::v_step;
    auto* coefficients = const_cast<double*>(state.table.coefficients);
    radial_interval(*tile_of(which).stencil, static_cast<int>(begin + 0.5), item,
                    coefficients + item * Grid::interval_size);
  }
};

JL_ISA_END
}  // namespace jointlight
