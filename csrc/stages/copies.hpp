// SPDX-License-Identifier: BSD-3-Clause
// A transform on a finite box is periodic: the window also receives the light of the component's
// copies in the neighbouring boxes. There they are smooth, so their sum, and that of every
// derivative, is a Chebyshev polynomial: taken at nodes about the source, sent through the PSF's
// moments and subtracted.
//
// The nodes lie symmetrically about the light's centre, and so do the copies: what all copies
// together send to one node they send to its mirror image too. Half of the nodes tell it all, and
// the polynomial moves with the centre: its own derivatives are the centre's.
#pragma once

#include <cmath>

#include "base/lanes.hpp"
#include "scene/tile.hpp"
#include "stages/copy_light.hpp"

namespace jointlight {
JL_ISA_BEGIN

// Points are taken in whole vectors, so that no loop over them is left with scalar remains.
inline constexpr int points_step = 8;
inline constexpr int points_block = 64;

// Adds one copy's lanes, but for the centre's, at n points offset (dx, dy) from it; sum is
// [n_lanes][stride].
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
    sum[lane_s11 * stride + m] -= slope * ex * ex;
    sum[lane_s12 * stride + m] -= 2.0 * slope * ex * ey;
    sum[lane_s22 * stride + m] -= slope * ey * ey;
    sum[lane_shape0 * stride + m] += by_shape[0];
    sum[lane_shape1 * stride + m] += by_shape[1];
  }
}

// Light of the copies in rings [first, last] at the nodes of the lower half of an n x n mesh:
// values[n / 2][n][n_lanes].
template <class Profile>
inline void copies_at_nodes(const TileView& view, const double inverse[3],
                            const typename Profile::Constants& constants, const double* node, int n,
                            int first, int last, double* values) {
  double sum[n_lanes * points_block], dx[points_block], dy[points_block];
  const int total = n / 2 * n;
  for (int begin = 0; begin < total; begin += points_block) {
    const int here = total - begin < points_block ? total - begin : points_block;
    // As many copies side by side as fill a block; points beyond them see no light.
    const int slots = points_block / here;
    const int points = (slots * here + points_step - 1) / points_step * points_step;
    double node_x[points_block], node_y[points_block];
    for (int m = 0; m < here; ++m) {
      node_x[m] = view.copies.half_x * node[(begin + m) % n];
      node_y[m] = view.copies.half_y * node[(begin + m) / n];
    }
    for (double& value : sum) value = 0.0;
    int slot = 0;
    const auto flush = [&] {
      constexpr double dark = 1e30;  // pixels from the copy
      for (int m = slot * here; m < points; ++m) dx[m] = dy[m] = dark;
      add_copy<Profile>(constants, inverse, points, dx, dy, sum, points_block);
      slot = 0;
    };
    for (int b = -last; b <= last; ++b) {
      for (int a = -last; a <= last; ++a) {
        if (a > -first && a < first && b > -first && b < first) continue;
        const double away_x = static_cast<double>(a) * view.transfer.box_x;
        const double away_y = static_cast<double>(b) * view.transfer.box_y;
        for (int m = 0; m < here; ++m) {
          dx[slot * here + m] = node_x[m] - away_x;
          dy[slot * here + m] = node_y[m] - away_y;
        }
        if (++slot == slots) flush();
      }
    }
    if (slot > 0) flush();
    double* target = values + static_cast<std::ptrdiff_t>(begin) * n_lanes;
    for (int m = 0; m < here; ++m) {
      for (int lane = 0; lane < n_lanes; ++lane) {
        double s = 0.0;
        for (int k = 0; k < slots; ++k) s += sum[lane * points_block + k * here + m];
        target[m * n_lanes + lane] = s;
      }
    }
  }
}

// Adds to coefficients [stride (y)][stride (x)][n_lanes] the polynomial through the values of
// copies_at_nodes. `scratch` holds n / 2 * n lanes.
inline void add_coefficients(const double* cosine, int n, const double* values, int stride,
                             double* coefficients, double* scratch) {
  const int half = n / 2;
  for (int j = 0; j < half; ++j) {
    const double* row = values + static_cast<std::ptrdiff_t>(j) * n * n_lanes;
    for (int g = 0; g < n_lanes; g += vector_width) {
      // T_k is even or odd about the middle node.
      Vec even[CopyPlan::max_order / 2], odd[CopyPlan::max_order / 2];
      for (int i = 0; i < half; ++i) {
        const Vec a = load(row + i * n_lanes + g), b = load(row + (n - 1 - i) * n_lanes + g);
        even[i] = a + b;
        odd[i] = a - b;
      }
      for (int k = 0; k < n; ++k) {
        const Vec* fold = k % 2 == 0 ? even : odd;
        Vec s = cosine[k * n] * fold[0];
        for (int i = 1; i < half; ++i) s += cosine[k * n + i] * fold[i];
        store(scratch + (static_cast<std::ptrdiff_t>(j) * n + k) * n_lanes + g, s);
      }
    }
  }
  // The other half of the rows mirrors this one: twice its sum where l + k is even, else 0.
  for (int l = 0; l < n; ++l) {
    for (int k = l % 2; k < n; k += 2) {
      double* target = coefficients + (static_cast<std::ptrdiff_t>(l) * stride + k) * n_lanes;
      for (int g = 0; g < n_lanes; g += vector_width) {
        const double* column = scratch + static_cast<std::ptrdiff_t>(k) * n_lanes + g;
        Vec s = cosine[l * n] * load(column);
        for (int j = 1; j < half; ++j) {
          s += cosine[l * n + j] * load(column + static_cast<std::ptrdiff_t>(j) * n * n_lanes);
        }
        store(target + g, load(target + g) + 2.0 * s);
      }
    }
  }
}

// In place, c <- B c along one axis of coefficients: n of them `step` doubles apart, B upper
// triangular and of even parity.
inline void blur_axis(const double* blur, int n, double* c, std::ptrdiff_t step) {
  for (int k = 0; k < n; ++k) {
    for (int g = 0; g < n_lanes; g += vector_width) {
      Vec s = load(c + k * step + g);
      for (int m = k + 2; m < n; m += 2) s += blur[k * n + m] * load(c + m * step + g);
      store(c + k * step + g, s);
    }
  }
}

// The copies are summed as they are, but reach the window through the PSF, which does to anything
// smooth W -> exp(L) W, L W = moments : grad grad W / 2.
inline void blur_polynomial(const CopyPlan& plan, double* coefficients, double* scratch) {
  const int n = plan.n;
  const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(n) * n_lanes, size = row * n;
  for (int l = 0; l < n; ++l) blur_axis(plan.blur_x, n, coefficients + l * row, n_lanes);
  for (int k = 0; k < n; ++k) {
    blur_axis(plan.blur_y, n, coefficients + static_cast<std::ptrdiff_t>(k) * n_lanes, row);
  }
  if (plan.blur_xy == 0.0) return;
  for (std::ptrdiff_t i = 0; i < size; ++i) scratch[i] = coefficients[i];
  for (int order = 1; order <= 3; ++order) {
    for (std::ptrdiff_t i = 0; i < row; i += n_lanes) {
      for (int lane = 0; lane < n_lanes; ++lane) {
        double* in_y = scratch + i + lane;
        differentiate(n, plan.blur_xy / order, in_y, in_y, row);
      }
    }
    for (std::ptrdiff_t l = 0; l < size; l += row) {
      for (int lane = 0; lane < n_lanes; ++lane) {
        double* in_x = scratch + l + lane;
        differentiate(n, 1.0, in_x, in_x, n_lanes);
      }
    }
    for (std::ptrdiff_t i = 0; i < size; ++i) coefficients[i] += scratch[i];
  }
}

// Coefficients [n (y)][n (x)][n_lanes] of the light of all copies in the window, in units of
// (half_x, half_y) about the light's centre; `scratch` holds as much again.
template <class Profile>
inline void copies_polynomial(const TileView& view, const TileState& tile, double* coefficients,
                              double* scratch) {
  const CopyPlan& plan = view.copies;
  const auto constants = Profile::prepare(tile.shape);
  const double det = tile.S[0] * tile.S[2] - tile.S[1] * tile.S[1];
  const double inverse[3] = {tile.S[2] / det, -tile.S[1] / det, tile.S[0] / det};
  for (int i = 0; i < plan.n * plan.n * n_lanes; ++i) coefficients[i] = 0.0;
  for (int lane = 0; lane < n_lanes; ++lane) coefficients[lane] = tile.tail[lane];
  int first = 1;
  for (const CopyRings& rings : plan.rings) {
    if (is_dark<Profile>(view, tile, constants, first)) break;
    double* rest = scratch + static_cast<std::ptrdiff_t>(rings.n) * rings.n / 2 * n_lanes;
    copies_at_nodes<Profile>(view, inverse, constants, rings.node, rings.n, first, rings.last,
                             scratch);
    add_coefficients(rings.cosine, rings.n, scratch, plan.n, coefficients, rest);
    first = rings.last + 1;
  }
  blur_polynomial(plan, coefficients, scratch);
  const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(plan.n) * n_lanes;
  for (int i = 0; i < plan.n; ++i) {
    double* along_x = coefficients + i * row;
    double* along_y = coefficients + static_cast<std::ptrdiff_t>(i) * n_lanes;
    differentiate(plan.n, -1.0 / plan.half_x, along_x, along_x + lane_x0, n_lanes);
    differentiate(plan.n, -1.0 / plan.half_y, along_y, along_y + lane_y0, row);
  }
}

// Doubles of scratch for either way to subtract the copies.
inline std::size_t copies_scratch(const TileView& view) {
  return static_cast<std::size_t>(view.copies.n) *
         static_cast<std::size_t>(2 * n_lanes + 2 * view.width);
}

// basis[n][width]: Chebyshev polynomials at the columns of the window.
JL_INLINE void chebyshev_columns(const TileView& view, const TileState& tile,
                                 double* JL_RESTRICT basis) {
  const int n = view.copies.n, width = view.width;
  const double centre = tile.x0 + view.transfer.shift[0], scale = 1.0 / view.copies.half_x;
  for (int x = 0; x < width; ++x) {
    basis[x] = 1.0;
    basis[width + x] = within_square((x - centre) * scale);
  }
  for (int k = 2; k < n; ++k) {
    double* now = basis + static_cast<std::ptrdiff_t>(k) * width;
    for (int x = 0; x < width; ++x) {
      now[x] = 2.0 * basis[width + x] * now[x - width] - now[x - 2 * width];
    }
  }
}

// weight[n]: the same at row y.
JL_INLINE void chebyshev_row(const TileView& view, const TileState& tile, int y, double* weight) {
  const double v = within_square((y - tile.y0 - view.transfer.shift[1]) / view.copies.half_y);
  weight[0] = 1.0;
  weight[1] = v;
  for (int l = 2; l < view.copies.n; ++l) weight[l] = 2.0 * v * weight[l - 1] - weight[l - 2];
}

// The polynomial along x at one row: line[n][n_lanes].
JL_INLINE void copies_line(const CopyPlan& plan, const double* coefficients, const double* weight,
                           double* line) {
  const int size = plan.n * n_lanes;
  for (int i = 0; i < size; i += vector_width) {
    Vec s = load(coefficients + i);
    for (int l = 1; l < plan.n; ++l) {
      s += weight[l] * load(coefficients + static_cast<std::ptrdiff_t>(l) * size + i);
    }
    store(line + i, s);
  }
}

// row[width][n_lanes] -= line[n][n_lanes] . basis[n][width]
template <class Real>
JL_INLINE void subtract_line(int n, int width, const Real* line, const Real* basis, Real* row) {
  using V = typename Lanes<Real>::Vector;
  constexpr int together = 4;  // pixels, so that every loaded coefficient serves several
  int x = 0;
  for (; x + together <= width; x += together) {
    for (int g = 0; g < n_lanes; g += Lanes<Real>::width) {
      Real* p = row + static_cast<std::ptrdiff_t>(x) * n_lanes + g;
      V s[together];
      for (int i = 0; i < together; ++i) s[i] = load(p + i * n_lanes);
      for (int k = 0; k < n; ++k) {
        const V c = load(line + k * n_lanes + g);
        const Real* b = basis + static_cast<std::ptrdiff_t>(k) * width + x;
        for (int i = 0; i < together; ++i) s[i] -= b[i] * c;
      }
      for (int i = 0; i < together; ++i) store(p + i * n_lanes, s[i]);
    }
  }
  for (; x < width; ++x) {
    for (int g = 0; g < n_lanes; g += Lanes<Real>::width) {
      Real* p = row + static_cast<std::ptrdiff_t>(x) * n_lanes + g;
      V s = load(p);
      for (int k = 0; k < n; ++k) {
        s -= basis[static_cast<std::ptrdiff_t>(k) * width + x] * load(line + k * n_lanes + g);
      }
      store(p, s);
    }
  }
}

// row[width] -= value[n] . basis[n][width]
JL_INLINE void subtract_value(int n, int width, const double* value, const double* basis,
                              double* row) {
  constexpr int together = 32;  // pixels whose sums stay in registers
  int x = 0;
  for (; x + together <= width; x += together) {
    double s[together];
    for (int i = 0; i < together; ++i) s[i] = row[x + i];
    for (int k = 0; k < n; ++k) {
      const double* b = basis + static_cast<std::ptrdiff_t>(k) * width + x;
      for (int i = 0; i < together; ++i) s[i] -= value[k] * b[i];
    }
    for (int i = 0; i < together; ++i) row[x + i] = s[i];
  }
  for (int k = 0; k < n; ++k) {
    const double* b = basis + static_cast<std::ptrdiff_t>(k) * width;
    for (int i = x; i < width; ++i) row[i] -= value[k] * b[i];
  }
}

// Rows [begin, end) of the window lose the copies' light.
inline void subtract_copies(const TileView& view, const TileState& tile, const double* coefficients,
                            int begin, int end, double* scratch) {
  const int n = view.copies.n, width = view.width;
  double* line = scratch;                 // [n][n_lanes]
  double* basis = scratch + n * n_lanes;  // [n][width]
  chebyshev_columns(view, tile, basis);
  for (int y = begin; y < end; ++y) {
    double weight[CopyPlan::max_order];
    chebyshev_row(view, tile, y, weight);
    copies_line(view.copies, coefficients, weight, line);
    subtract_line(n, width, line, basis,
                  view.fields + static_cast<std::size_t>(y) * view.row_stride);
  }
}

// The same for float32 lanes with the image beside them.
inline void subtract_copies_mixed(const TileView& view, const TileState& tile,
                                  const double* coefficients, int begin, int end, double* scratch) {
  const int n = view.copies.n, width = view.width;
  double* line = scratch;                                            // [n][n_lanes]
  auto* single_line = reinterpret_cast<float*>(line + n * n_lanes);  // the same
  double* basis = line + 2 * n * n_lanes;                            // [n][width]
  auto* single_basis = reinterpret_cast<float*>(basis + static_cast<std::ptrdiff_t>(n) * width);
  chebyshev_columns(view, tile, basis);
  for (int i = 0; i < n * width; ++i) single_basis[i] = static_cast<float>(basis[i]);
  for (int y = begin; y < end; ++y) {
    double weight[CopyPlan::max_order], value[CopyPlan::max_order];
    chebyshev_row(view, tile, y, weight);
    copies_line(view.copies, coefficients, weight, line);
    for (int i = 0; i < n * n_lanes; ++i) single_line[i] = static_cast<float>(line[i]);
    for (int k = 0; k < n; ++k) value[k] = line[k * n_lanes + lane_unit];
    subtract_line(n, width, single_line, single_basis,
                  view.single_fields + static_cast<std::size_t>(y) * view.row_stride);
    subtract_value(n, width, value, basis, view.plane + static_cast<std::ptrdiff_t>(y) * width);
  }
}

// The same for the image alone, plane [height][width].
inline void subtract_copies_value(const TileView& view, const TileState& tile,
                                  const double* coefficients, int begin, int end, double* plane,
                                  double* scratch) {
  const int n = view.copies.n, width = view.width;
  chebyshev_columns(view, tile, scratch);
  for (int y = begin; y < end; ++y) {
    double weight[CopyPlan::max_order], value[CopyPlan::max_order];
    chebyshev_row(view, tile, y, weight);
    for (int k = 0; k < n; ++k) {
      double c = 0.0;
      for (int l = k % 2; l < n; l += 2) c += weight[l] * coefficients[(l * n + k) * n_lanes];
      value[k] = c;
    }
    subtract_value(n, width, value, scratch, plane + static_cast<std::ptrdiff_t>(y) * width);
  }
}

JL_ISA_END
}  // namespace jointlight
