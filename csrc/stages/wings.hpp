// SPDX-License-Identifier: BSD-3-Clause
// A transform on a finite box is periodic: the window also receives the wings of the component's
// copies in the neighbouring boxes. There the copies are smooth, so their sum, and that of every
// derivative, is computed on a coarse grid, sent through the PSF's moments, interpolated and
// subtracted. The grid's step follows the narrowest thing a copy sends into the window, the ridge
// along its major axis, about q times the distance wide.
#pragma once

#include <cmath>

#include "base/lanes.hpp"
#include "scene/tile.hpp"

namespace jointlight {
JL_ISA_BEGIN

// Adds one copy's lanes at n points offset (dx, dy) from its centre; sum is [n_lanes][stride].
template <class Profile>
JL_INLINE void add_copy(const typename Profile::Constants& constants, const double inverse[3],
                        int n, const double* JL_RESTRICT dx, const double* JL_RESTRICT dy,
                        double* JL_RESTRICT sum, int stride) {
  for (int m = 0; m < n; ++m) {
    const double ex = inverse[0] * dx[m] + inverse[1] * dy[m];
    const double ey = inverse[1] * dx[m] + inverse[2] * dy[m];
    double value, slope, by_shape[2] = {0.0, 0.0};
    Profile::template brightness<double>(constants, dx[m] * ex + dy[m] * ey, value, slope,
                                         by_shape);
    sum[lane_unit * stride + m] += value;
    sum[lane_x0 * stride + m] -= 2.0 * slope * ex;
    sum[lane_y0 * stride + m] -= 2.0 * slope * ey;
    sum[lane_s11 * stride + m] -= slope * ex * ex;
    sum[lane_s12 * stride + m] -= 2.0 * slope * ex * ey;
    sum[lane_s22 * stride + m] -= slope * ey * ey;
    sum[lane_shape0 * stride + m] += by_shape[0];
    sum[lane_shape1 * stride + m] += by_shape[1];
  }
}

struct WingFrame {
  double inverse[3];     // S^-1
  double x0, y0;         // centre of the light: the source's, moved by the PSF
  double x_low, x_high;  // extent of the grid, window pixels
  double y_low, y_high;
};

inline WingFrame wing_frame(const TileView& view, const TileState& tile) {
  const double det = tile.S[0] * tile.S[2] - tile.S[1] * tile.S[1];
  const WingPlan& wings = view.wings;
  return {{tile.S[2] / det, -tile.S[1] / det, tile.S[0] / det},
          tile.x0 + view.transfer.shift[0],
          tile.y0 + view.transfer.shift[1],
          wings.x_low,
          wings.x_low + static_cast<double>(wings.step) * (wings.nx - 1),
          wings.y_low,
          wings.y_low + static_cast<double>(wings.step) * (wings.ny - 1)};
}

// Points are taken in whole vectors, so that no loop over them is left with scalar remains.
inline constexpr int points_step = 8;
inline constexpr int points_block = 64;

// Whether the copies in ring `ring` and beyond (brightness falls outwards) add nothing that float64
// could hold beside the mean light of the box.
template <class Profile>
inline bool is_dark(const TileView& view, const TileState& tile, const WingFrame& frame,
                    const typename Profile::Constants& constants, int ring) {
  const double far_x = std::fmax(frame.x_high - frame.x0, frame.x0 - frame.x_low);
  const double far_y = std::fmax(frame.y_high - frame.y0, frame.y0 - frame.y_low);
  const double distance =
      std::fmin(ring * view.transfer.box_x - far_x, ring * view.transfer.box_y - far_y);
  if (!(distance > 0.0)) return false;
  const double mean = 0.5 * (tile.S[0] + tile.S[2]);
  const double spread = std::hypot(0.5 * (tile.S[0] - tile.S[2]), tile.S[1]);
  double value, slope, by_shape[2] = {0.0, 0.0};
  Profile::template brightness<double>(constants, distance * distance / (mean + spread), value,
                                       slope, by_shape);
  const double det = tile.S[0] * tile.S[2] - tile.S[1] * tile.S[1];
  const double box = static_cast<double>(view.transfer.box_x) * view.transfer.box_y;
  return value < 1e-20 * tile.table.at_zero[0] * std::sqrt(det) / box;
}

// Chebyshev coefficients over the grid's extent of the copies in rings [first, last], from n x n
// nodes; added to [n (y)][n (x)][n_lanes].
template <int n, class Profile>
inline void far_copies(const TileView& view, const WingFrame& frame,
                       const typename Profile::Constants& constants, int first, int last,
                       double* coefficients) {
  constexpr int n2 = n * n;
  // As many copies side by side as fill a block; the points beyond them see no light.
  constexpr int slots = n2 < points_block ? points_block / n2 : 1;
  constexpr int used = slots * n2;
  constexpr int points = (used + points_step - 1) / points_step * points_step;
  double node[n], node_x[n2], node_y[n2], dx[points], dy[points], wide[n_lanes * points];
  for (int i = 0; i < n; ++i) node[i] = std::cos(M_PI * (i + 0.5) / n);
  for (int m = 0; m < n2; ++m) {
    node_x[m] = frame.x_low + 0.5 * (node[m % n] + 1.0) * (frame.x_high - frame.x_low) - frame.x0;
    node_y[m] = frame.y_low + 0.5 * (node[m / n] + 1.0) * (frame.y_high - frame.y_low) - frame.y0;
  }
  for (double& value : wide) value = 0.0;
  int slot = 0;
  const auto flush = [&] {
    constexpr double dark = 1e30;  // pixels from the copy: no light
    for (int m = slot * n2; m < points; ++m) dx[m] = dy[m] = dark;
    add_copy<Profile>(constants, frame.inverse, points, dx, dy, wide, points);
    slot = 0;
  };
  for (int b = -last; b <= last; ++b) {
    for (int a = -last; a <= last; ++a) {
      if (a > -first && a < first && b > -first && b < first) continue;
      for (int m = 0; m < n2; ++m) {
        dx[slot * n2 + m] = node_x[m] - static_cast<double>(a) * view.transfer.box_x;
        dy[slot * n2 + m] = node_y[m] - static_cast<double>(b) * view.transfer.box_y;
      }
      if (++slot == slots) flush();
    }
  }
  if (slot > 0) flush();
  double sum[n_lanes * n2];
  for (int lane = 0; lane < n_lanes; ++lane) {
    for (int m = 0; m < n2; ++m) {
      double s = 0.0;
      for (int k = 0; k < slots; ++k) s += wide[lane * points + k * n2 + m];
      sum[lane * n2 + m] = s;
    }
  }
  double cosine[n][n];  // T_i at node j, with the quadrature's weights
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < n; ++j) {
      cosine[i][j] = std::cos(M_PI * i * (j + 0.5) / n) * (i == 0 ? 1.0 : 2.0) / n;
    }
  }
  for (int lane = 0; lane < n_lanes; ++lane) {
    double half[n][n];  // [T_i in x][node y]
    for (int i = 0; i < n; ++i) {
      for (int j = 0; j < n; ++j) {
        double s = 0.0;
        for (int m = 0; m < n; ++m) s += cosine[i][m] * sum[lane * n2 + j * n + m];
        half[i][j] = s;
      }
    }
    for (int k = 0; k < n; ++k) {
      for (int i = 0; i < n; ++i) {
        double s = 0.0;
        for (int j = 0; j < n; ++j) s += cosine[k][j] * half[i][j];
        coefficients[(k * n + i) * n_lanes + lane] += s;
      }
    }
  }
}

// grid[ny][nx][n_lanes] += polynomial given by its Chebyshev coefficients.
template <int n>
inline void add_polynomial(const TileView& view, const double* coefficients, double* grid) {
  const int nx = view.wings.nx, ny = view.wings.ny;
  for (int j = 0; j < ny; ++j) {
    const double t = 2.0 * j / (ny - 1) - 1.0;
    Vec line[n][n_vectors];
    for (int i = 0; i < n; ++i) {
      for (int g = 0; g < n_vectors; ++g) {
        double previous = 1.0, current = t;
        Vec s = load(coefficients + i * n_lanes + g * vector_width);
        for (int k = 1; k < n; ++k) {
          s += current * load(coefficients + (k * n + i) * n_lanes + g * vector_width);
          const double next = 2.0 * t * current - previous;
          previous = current;
          current = next;
        }
        line[i][g] = s;
      }
    }
    for (int i = 0; i < nx; ++i) {
      const double u = 2.0 * i / (nx - 1) - 1.0;
      double* p = grid + (static_cast<std::ptrdiff_t>(j) * nx + i) * n_lanes;
      for (int g = 0; g < n_vectors; ++g) {
        double previous = 1.0, current = u;
        Vec s = line[0][g];
        for (int k = 1; k < n; ++k) {
          s += current * line[k][g];
          const double next = 2.0 * u * current - previous;
          previous = current;
          current = next;
        }
        store(p + g * vector_width, load(p + g * vector_width) + s);
      }
    }
  }
}

// out = factor L in, L W = moments : grad grad W / 2, by central differences of fourth order along
// the axes (`fine`) or second; the outermost `edge` nodes become 0.
template <bool fine>
inline void blur_once(const TileView& view, const double* in, double* out, int edge,
                      double factor) {
  const int nx = view.wings.nx, ny = view.wings.ny;
  const double h = view.wings.step;
  const double* m = view.transfer.moments;
  const double f2 = factor / (h * h);
  const double xx = 0.5 * m[0] * f2, yy = 0.5 * m[2] * f2, xy = 0.25 * m[1] * f2;
  const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(nx) * n_lanes;
  for (int j = 0; j < ny; ++j) {
    for (int i = 0; i < nx; ++i) {
      const std::ptrdiff_t at = j * row + static_cast<std::ptrdiff_t>(i) * n_lanes;
      if (j < edge || i < edge || j >= ny - edge || i >= nx - edge) {
        for (int g = 0; g < n_vectors; ++g) store(out + at + g * vector_width, Vec{});
        continue;
      }
      for (int g = 0; g < n_vectors; ++g) {
        const double* p = in + at + g * vector_width;
        const Vec west = load(p - n_lanes), east = load(p + n_lanes), here = load(p);
        const Vec south = load(p - row), north = load(p + row);
        const Vec cross = load(p + row + n_lanes) - load(p + row - n_lanes) -
                          load(p - row + n_lanes) + load(p - row - n_lanes);
        Vec d_xx = west + east - 2.0 * here, d_yy = south + north - 2.0 * here;
        if constexpr (fine) {
          const Vec west2 = load(p - 2 * n_lanes), east2 = load(p + 2 * n_lanes);
          const Vec south2 = load(p - 2 * row), north2 = load(p + 2 * row);
          d_xx -= (1.0 / 12.0) * (west2 + east2 - 4.0 * (west + east) + 6.0 * here);
          d_yy -= (1.0 / 12.0) * (south2 + north2 - 4.0 * (south + north) + 6.0 * here);
        }
        store(out + at + g * vector_width, xx * d_xx + yy * d_yy + xy * cross);
      }
    }
  }
}

// The copies are summed as they are, but reach the window through the PSF, which does to anything
// smooth W -> exp(L) W; four terms of it. Each term spoils another ring of the border's nodes.
inline void blur_grid(const TileView& view, double* grid, double* scratch) {
  const std::ptrdiff_t size = static_cast<std::ptrdiff_t>(view.wings.nx) * view.wings.ny * n_lanes;
  double* term = scratch;
  double* next = scratch + size;
  for (std::ptrdiff_t i = 0; i < size; ++i) {
    term[i] = grid[i];
    next[i] = 0.0;
  }
  for (int k = 1; k <= 3; ++k) {
    if (k == 1) {
      blur_once<true>(view, term, next, 2, 1.0);
    } else {
      blur_once<false>(view, term, next, k + 1, 1.0 / k);
    }
    for (std::ptrdiff_t i = 0; i < size; ++i) grid[i] += next[i];
    double* swap = term;
    term = next;
    next = swap;
  }
}

// Sum of all copies' lanes on the coarse grid [ny][nx][n_lanes]; `scratch` holds two more grids.
template <class Profile>
inline void wing_grid(const TileView& view, const TileState& tile, double* grid, double* scratch) {
  constexpr int near_n = 7, far_n = 3;
  const WingFrame frame = wing_frame(view, tile);
  const auto constants = Profile::prepare(tile.shape);
  const int nx = view.wings.nx, n_nodes = nx * view.wings.ny;
  const double h = view.wings.step;
  double sum[n_lanes * points_block], x[points_block], y[points_block], dx[points_block],
      dy[points_block];
  for (int begin = 0; begin < n_nodes; begin += points_block) {
    const int n = n_nodes - begin < points_block ? n_nodes - begin : points_block;
    const int points = (n + points_step - 1) / points_step * points_step;
    for (double& value : sum) value = 0.0;
    for (int m = 0; m < points; ++m) {
      const int node = begin + (m < n ? m : n - 1);
      x[m] = frame.x_low + h * (node % nx) - frame.x0;
      y[m] = frame.y_low + h * (node / nx) - frame.y0;
    }
    for (int b = -1; b <= 1; ++b) {
      for (int a = -1; a <= 1; ++a) {
        if (a == 0 && b == 0) continue;
        for (int m = 0; m < points; ++m) {
          dx[m] = x[m] - static_cast<double>(a) * view.transfer.box_x;
          dy[m] = y[m] - static_cast<double>(b) * view.transfer.box_y;
        }
        add_copy<Profile>(constants, frame.inverse, points, dx, dy, sum, points_block);
      }
    }
    double* target = grid + static_cast<std::ptrdiff_t>(begin) * n_lanes;
    for (int m = 0; m < n; ++m) {
      for (int lane = 0; lane < n_lanes; ++lane) {
        target[m * n_lanes + lane] = sum[lane * points_block + m] + tile.tail[lane];
      }
    }
  }
  if (!is_dark<Profile>(view, tile, frame, constants, 2)) {
    alignas(64) double near_rings[near_n * near_n * n_lanes] = {};
    far_copies<near_n, Profile>(view, frame, constants, 2, 3, near_rings);
    add_polynomial<near_n>(view, near_rings, grid);
  }
  if (!is_dark<Profile>(view, tile, frame, constants, 4)) {
    alignas(64) double far_rings[far_n * far_n * n_lanes] = {};
    far_copies<far_n, Profile>(view, frame, constants, 4, wing_shells, far_rings);
    add_polynomial<far_n>(view, far_rings, grid);
  }
  blur_grid(view, grid, scratch);
}

// Rows [begin, end) of the window lose the wings. `line` holds one row of the grid.
inline void subtract_wings(const TileView& view, const double* grid, int begin, int end,
                           double* line) {
  const WingPlan& wings = view.wings;
  const int nx = wings.nx;
  for (int y = begin; y < end; ++y) {
    const double* wy = wings.weights_y + static_cast<std::ptrdiff_t>(y) * wing_taps;
    const double* rows = grid + static_cast<std::ptrdiff_t>(wings.cell_y[y]) * nx * n_lanes;
    for (int i = 0; i < nx * n_lanes; i += vector_width) {
      Vec s = wy[0] * load(rows + i);
      for (int k = 1; k < wing_taps; ++k) {
        s += wy[k] * load(rows + static_cast<std::ptrdiff_t>(k) * nx * n_lanes + i);
      }
      store(line + i, s);
    }
    double* field = view.fields + static_cast<std::size_t>(y) * view.row_stride;
    // Pixels between the same nodes share them.
    for (int x = 0; x < view.width;) {
      const int cell = wings.cell_x[x];
      int end = x + 1;
      while (end < view.width && wings.cell_x[end] == cell) ++end;
      for (int g = 0; g < n_vectors; ++g) {
        Vec node[wing_taps];
        for (int k = 0; k < wing_taps; ++k) {
          node[k] = load(line + static_cast<std::ptrdiff_t>(cell + k) * n_lanes + g * vector_width);
        }
        for (int i = x; i < end; ++i) {
          const double* wx = wings.weights_x + static_cast<std::ptrdiff_t>(i) * wing_taps;
          double* p = field + static_cast<std::ptrdiff_t>(i) * n_lanes + g * vector_width;
          Vec s = load(p);
          for (int k = 0; k < wing_taps; ++k) s -= wx[k] * node[k];
          store(p, s);
        }
      }
      x = end;
    }
  }
}

JL_ISA_END
}  // namespace jointlight
