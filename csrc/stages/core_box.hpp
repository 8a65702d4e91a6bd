// SPDX-License-Identifier: BSD-3-Clause
// Large windows: convolve where it matters. A smooth taper (base/taper.hpp) splits the profile
// into a compact core, which is elliptical and radial again and goes through a small Fourier box
// (render_fourier.hpp), and the rest, which is smooth on the PSF's scale. The rest and its
// derivatives are computed on two coarse grids, filtered there by what stands for the PSF, and
// taken to the pixels by quintic B-splines, a row at a time where it is used; inside the box they
// are added to the core. The taper is constant in every derivative: both parts sum to the profile
// whatever it is.
#pragma once

#include "base/lanes.hpp"
#include "scene/tile.hpp"
#include "stages/rest_node.hpp"

namespace jointlight {
JL_ISA_BEGIN

inline constexpr int rest_block = 64;  // nodes at a time, a multiple of every vector width

// Lanes of the rest at the nodes of rows [begin, end): values[ny][nx][n_lanes].
template <class Profile>
inline void rest_values(const TileView& view, const RestGrid& grid, const TileState& tile,
                        int begin, int end, double* values) {
  const RestFrame frame = rest_frame(tile);
  const double x0 = grid.x_low - tile.x0 - view.core.shift[0];
  const double y0 = grid.y_low - tile.y0 - view.core.shift[1];
  const auto constants = Profile::prepare(tile.shape);
  alignas(64) double lanes[n_lanes][rest_block];
  for (int j = begin; j < end; ++j) {
    const double dy = y0 + grid.step * j;
    for (int first = 0; first < grid.nx; first += rest_block) {
      for (int m = 0; m < rest_block; ++m) {
        double node[n_lanes];
        rest_lanes<Profile>(constants, frame, x0 + grid.step * (first + m), dy, node);
        for (int lane = 0; lane < n_lanes; ++lane) lanes[lane][m] = node[lane];
      }
      const int n = grid.nx - first < rest_block ? grid.nx - first : rest_block;
      double* target = values + (static_cast<std::ptrdiff_t>(j) * grid.nx + first) * n_lanes;
      for (int m = 0; m < n; ++m) {
        for (int lane = 0; lane < n_lanes; ++lane) target[m * n_lanes + lane] = lanes[lane][m];
      }
    }
  }
}

// `n` nodes of one row, side by side so that each of the filter's numbers is loaded once.
template <int n>
JL_INLINE void filter_nodes(const RestGrid& grid, const double* JL_RESTRICT values,
                            std::ptrdiff_t node, double* JL_RESTRICT filtered) {
  for (int g = 0; g < n_vectors; ++g) {
    Vec sum[n] = {};
    for (int b = 0; b < rest_filter_size; ++b) {
      const double* row =
          values +
          (node + static_cast<std::ptrdiff_t>(b - rest_reach) * grid.nx - rest_reach) * n_lanes +
          static_cast<std::ptrdiff_t>(g) * vector_width;
      for (int a = 0; a < rest_filter_size; ++a) {
        const double c = grid.filter[b * rest_filter_size + a];
        for (int m = 0; m < n; ++m) sum[m] += c * load(row + (a + m) * n_lanes);
      }
    }
    for (int m = 0; m < n; ++m) {
      store(filtered + (node + m) * n_lanes + g * vector_width, sum[m]);
    }
  }
}

// Rows [begin, end) of the grid through its filter; the outermost nodes are never used.
inline void filter_rest(const RestGrid& grid, int begin, int end, const double* values) {
  constexpr int together = 8;
  const int first = begin > rest_reach ? begin : rest_reach;
  const int last = end < grid.ny - rest_reach ? end : grid.ny - rest_reach;
  for (int j = first; j < last; ++j) {
    const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(j) * grid.nx;
    int i = rest_reach;
    for (; i + together <= grid.nx - rest_reach; i += together) {
      filter_nodes<together>(grid, values, row + i, grid.filtered);
    }
    for (; i < grid.nx - rest_reach; ++i) filter_nodes<1>(grid, values, row + i, grid.filtered);
  }
}

// The spline along y for window row y, where window pixels [begin, end) need it: line[nx][n_lanes].
inline void rest_line(const RestGrid& grid, int y, int begin, int end, double* line) {
  const int at = y - grid.y_begin;
  const std::ptrdiff_t low = grid.cell_x[begin - grid.x_begin];
  const std::ptrdiff_t high = grid.cell_x[end - 1 - grid.x_begin] + rest_taps;
  const double* w = grid.weights_y + static_cast<std::ptrdiff_t>(at) * rest_taps;
  const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(grid.nx) * n_lanes;
  const double* first = grid.filtered + grid.cell_y[at] * row;
  for (std::ptrdiff_t i = low * n_lanes; i < high * n_lanes; i += vector_width) {
    Vec s = w[0] * load(first + i);
    for (int k = 1; k < rest_taps; ++k) s += w[k] * load(first + k * row + i);
    store(line + i, s);
  }
}

// The spline along x for window pixels [begin, end) of a row: lanes[end - begin][n_lanes]; plus
// those of the core, if any.
template <bool add>
inline void rest_pixels(const RestGrid& grid, const double* line, int begin, int end,
                        const double* core, double* lanes) {
  const int* cells = grid.cell_x + (begin - grid.x_begin);
  const double* weights =
      grid.weights_x + static_cast<std::ptrdiff_t>(begin - grid.x_begin) * rest_taps;
  const int n = end - begin;
  for (int x = 0; x < n;) {
    const int cell = cells[x];
    int stop = x + 1;  // pixels between the same nodes share them
    while (stop < n && cells[stop] == cell) ++stop;
    for (int g = 0; g < n_vectors; ++g) {
      const std::ptrdiff_t offset = static_cast<std::ptrdiff_t>(g) * vector_width;
      Vec node[rest_taps];
      for (int k = 0; k < rest_taps; ++k) {
        node[k] = load(line + static_cast<std::ptrdiff_t>(cell + k) * n_lanes + offset);
      }
      for (int i = x; i < stop; ++i) {
        const double* w = weights + static_cast<std::ptrdiff_t>(i) * rest_taps;
        const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(i) * n_lanes + offset;
        Vec s = w[0] * node[0];
        for (int k = 1; k < rest_taps; ++k) s += w[k] * node[k];
        if constexpr (add) s += load(core + at);
        store(lanes + at, s);
      }
    }
    x = stop;
  }
}

// Window pixels [begin, end) of row y: lanes[width][n_lanes], core and rest. `line` holds one row
// of either grid.
inline void core_row(const TileView& view, int y, int begin, int end, double* line, double* lanes) {
  const RestGrid &fine = view.core.fine, &coarse = view.core.coarse;
  const DrawnBox& box = view.drawn;
  const auto within = [&](int x) { return x < begin ? begin : x > end ? end : x; };
  const auto fill = [&](const RestGrid& grid, int from, int to) {
    double* target = lanes + static_cast<std::ptrdiff_t>(from) * n_lanes;
    if (from < to) rest_pixels<false>(grid, line, from, to, nullptr, target);
  };
  const bool near = y >= fine.y_begin && y < fine.y_end;
  const int left = near ? within(fine.x_begin) : end, right = near ? within(fine.x_end) : end;
  if (begin < left || right < end) {
    rest_line(coarse, y, begin < left ? begin : right, right < end ? end : left, line);
    fill(coarse, begin, left);
    fill(coarse, right, end);
  }
  if (left >= right) return;
  rest_line(fine, y, left, right, line);
  const bool boxed = y >= box.y_begin && y < box.y_end;
  const int first = boxed ? within(box.x_begin) : right, last = boxed ? within(box.x_end) : right;
  fill(fine, left, first);
  if (first < last) {
    const double* core = view.fields + static_cast<std::size_t>(y - box.y_begin) * view.row_stride +
                         static_cast<std::ptrdiff_t>(first - box.x_begin) * n_lanes;
    rest_pixels<true>(fine, line, first, last, core,
                      lanes + static_cast<std::ptrdiff_t>(first) * n_lanes);
  }
  fill(fine, last, right);
}

JL_ISA_END
}  // namespace jointlight
