// SPDX-License-Identifier: BSD-3-Clause
// Windows drawn in two parts, cut into threads: the smooth rest beside the core that the Fourier
// box drew. See stages/core_box.hpp.
#pragma once

#include "stages/device/tile.hpp"
#include "stages/rest_node.hpp"

namespace jointlight {
JL_ISA_BEGIN

// A tile's two grids are numbered one after the other.
JL_HD JL_INLINE int rest_nodes(const RestGrid& grid) { return grid.nx * grid.ny; }
JL_HD JL_INLINE const RestGrid& rest_grid_at(const CorePlan& core, int& node) {
  const int fine = rest_nodes(core.fine);
  if (node < fine) return core.fine;
  node -= fine;
  return core.coarse;
}

// item = node: lanes of the rest there into `other` [nodes][n_lanes].
template <class Profile>
struct RestValuesBody : PlacedGroup {
  JL_HD void operator()(int which, int item) const {
    const DeviceTile& tile = tile_of(which);
    const TileState& state = state_of(which);
    const CorePlan& core = tile.view.core;
    if (item >= rest_nodes(core.fine) + rest_nodes(core.coarse) || !state.visible) return;
    int node = item;
    const RestGrid& grid = rest_grid_at(core, node);
    const double x0 = grid.x_low - state.x0 - core.shift[0];
    const double y0 = grid.y_low - state.y0 - core.shift[1];
    rest_lanes<Profile>(*static_cast<const typename Profile::Constants*>(tile.constants),
                        rest_frame(state), x0 + grid.step * (node % grid.nx),
                        y0 + grid.step * (node / grid.nx),
                        tile.other + static_cast<std::ptrdiff_t>(item) * n_lanes);
  }
};

// item = (node, lane): through the grid's filter; the outermost nodes are never used.
struct RestFilterBody : PlacedGroup {
  JL_HD void operator()(int which, int item) const {
    const DeviceTile& tile = tile_of(which);
    const CorePlan& core = tile.view.core;
    const int lane = item % n_lanes, all = rest_nodes(core.fine) + rest_nodes(core.coarse);
    int node = item / n_lanes;
    if (node >= all || !state_of(which).visible) return;
    const double* values = tile.other + item;
    const RestGrid& grid = rest_grid_at(core, node);
    const int i = node % grid.nx, j = node / grid.nx;
    if (i < rest_reach || i >= grid.nx - rest_reach || j < rest_reach ||
        j >= grid.ny - rest_reach) {
      return;
    }
    double s = 0.0;
    for (int b = 0; b < rest_filter_size; ++b) {
      const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(b - rest_reach) * grid.nx - rest_reach;
      for (int a = 0; a < rest_filter_size; ++a) {
        s += grid.filter[b * rest_filter_size + a] * values[(row + a) * n_lanes];
      }
    }
    grid.filtered[static_cast<std::ptrdiff_t>(node) * n_lanes + lane] = s;
  }
};

// item = (window row, node along x, lane): the spline along y into `line`
// [height][fine.nx + coarse.nx][n_lanes]. `most`: of nodes along x over the group.
struct RestLineBody : PlacedGroup {
  int most;

  JL_HD void operator()(int which, int item) const {
    const DeviceTile& tile = tile_of(which);
    const CorePlan& core = tile.view.core;
    const int lane = item % n_lanes, column = item / n_lanes % most, y = item / n_lanes / most;
    const int columns = core.fine.nx + core.coarse.nx;
    if (column >= columns || y >= tile.view.height || !state_of(which).visible) return;
    const bool is_fine = column < core.fine.nx;
    const RestGrid& grid = is_fine ? core.fine : core.coarse;
    if (y < grid.y_begin || y >= grid.y_end) return;
    const int node = is_fine ? column : column - core.fine.nx, at = y - grid.y_begin;
    const double* w = grid.weights_y + static_cast<std::ptrdiff_t>(at) * rest_taps;
    const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(grid.nx) * n_lanes;
    const double* from = grid.filtered + grid.cell_y[at] * row + node * n_lanes + lane;
    double s = w[0] * from[0];
    for (int k = 1; k < rest_taps; ++k) s += w[k] * from[k * row];
    tile.line[(static_cast<std::ptrdiff_t>(y) * columns + column) * n_lanes + lane] = s;
  }
};

// item = (window pixel, lane): the spline along x, to which the box adds the core that it drew.
struct RestPixelsBody : PlacedGroup {
  JL_HD void operator()(int which, int item) const {
    const DeviceTile& tile = tile_of(which);
    const TileView& view = tile.view;
    const int lane = item % n_lanes, x = item / n_lanes % view.width,
              y = item / n_lanes / view.width;
    if (y >= view.height) return;
    double& field = view.fields[item];
    if (!state_of(which).visible) {
      field = 0.0;
      return;
    }
    const RestGrid& fine = view.core.fine;
    const bool is_fine = x >= fine.x_begin && x < fine.x_end && y >= fine.y_begin && y < fine.y_end;
    const RestGrid& grid = is_fine ? fine : view.core.coarse;
    const int at = x - grid.x_begin;
    const double* w = grid.weights_x + static_cast<std::ptrdiff_t>(at) * rest_taps;
    const std::ptrdiff_t first = (is_fine ? 0 : fine.nx) + grid.cell_x[at];
    const int columns = fine.nx + view.core.coarse.nx;
    const double* from =
        tile.line + (static_cast<std::ptrdiff_t>(y) * columns + first) * n_lanes + lane;
    double s = w[0] * from[0];
    for (int k = 1; k < rest_taps; ++k) s += w[k] * from[k * n_lanes];
    const DrawnBox& box = view.drawn;
    if (x >= box.x_begin && x < box.x_end && y >= box.y_begin && y < box.y_end) s += field;
    field = s;
  }
};

JL_ISA_END
}  // namespace jointlight
