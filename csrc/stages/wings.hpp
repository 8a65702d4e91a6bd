// SPDX-License-Identifier: BSD-3-Clause
// A transform on a finite box is periodic: the window also receives the wings of the component's
// copies in the neighbouring boxes. There the copies are smooth, so that their sum, and that of
// every derivative, is interpolated from 9 x 9 Chebyshev nodes and subtracted.
#pragma once

#include <cmath>

#include "base/lanes.hpp"
#include "scene/tile.hpp"

namespace jointlight {

inline constexpr int wing_nodes = 9;    // per axis
inline constexpr int wing_shells = 3;   // rings of copies summed one by one; the rest is `tail`

JL_ISA_BEGIN

// Sum of the copies' lanes at the nodes -> Chebyshev coefficients [9 (y)][9 (x)][n_lanes].
template <class Profile>
inline void wing_coefficients(const TileView& view, const TileState& tile, double* coefficients) {
  constexpr int n = wing_nodes, n2 = n * n;
  double node[n], x[n2], y[n2], sum[n_lanes][n2];
  for (int i = 0; i < n; ++i) node[i] = std::cos(M_PI * (i + 0.5) / n);
  for (int j = 0; j < n; ++j) {
    for (int i = 0; i < n; ++i) {
      x[j * n + i] = 0.5 * (node[i] + 1.0) * (view.width - 1) - tile.x0;
      y[j * n + i] = 0.5 * (node[j] + 1.0) * (view.height - 1) - tile.y0;
    }
  }
  for (auto& lane : sum) {
    for (double& value : lane) value = 0.0;
  }
  const double det = tile.S[0] * tile.S[2] - tile.S[1] * tile.S[1];
  const double i11 = tile.S[2] / det, i12 = -tile.S[1] / det, i22 = tile.S[0] / det;
  const auto constants = Profile::prepare(tile.shape);
  for (int b = -wing_shells; b <= wing_shells; ++b) {
    for (int a = -wing_shells; a <= wing_shells; ++a) {
      if (a == 0 && b == 0) continue;
      const double shift_x = static_cast<double>(a) * view.transfer.box_x;
      const double shift_y = static_cast<double>(b) * view.transfer.box_y;
      for (int m = 0; m < n2; ++m) {
        const double dx = x[m] - shift_x, dy = y[m] - shift_y;
        const double ex = i11 * dx + i12 * dy, ey = i12 * dx + i22 * dy;
        double value, slope, by_shape[2] = {0.0, 0.0};
        Profile::template brightness<double>(constants, dx * ex + dy * ey, value, slope, by_shape);
        sum[lane_unit][m] += value;
        sum[lane_x0][m] -= 2.0 * slope * ex;
        sum[lane_y0][m] -= 2.0 * slope * ey;
        sum[lane_s11][m] -= slope * ex * ex;
        sum[lane_s12][m] -= 2.0 * slope * ex * ey;
        sum[lane_s22][m] -= slope * ey * ey;
        sum[lane_shape0][m] += by_shape[0];
        sum[lane_shape1][m] += by_shape[1];
      }
    }
  }
  double cosine[n][n];  // T_i at node j
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
        for (int m = 0; m < n; ++m) s += cosine[i][m] * sum[lane][j * n + m];
        half[i][j] = s;
      }
    }
    for (int k = 0; k < n; ++k) {
      for (int i = 0; i < n; ++i) {
        double s = 0.0;
        for (int j = 0; j < n; ++j) s += cosine[k][j] * half[i][j];
        coefficients[(k * n + i) * n_lanes + lane] = s;
      }
    }
    coefficients[lane] += tile.tail[lane];
  }
}

inline void subtract_wings(const TileView& view, const double* coefficients, int begin, int end) {
  constexpr int n = wing_nodes;
  for (int y = begin; y < end; ++y) {
    const double* ty = view.basis_y + static_cast<std::ptrdiff_t>(y) * n;
    double* row = view.fields + static_cast<std::size_t>(y) * view.row_stride;
    for (int g = 0; g < n_vectors; ++g) {
      Vec line[n];
      for (int i = 0; i < n; ++i) {
        line[i] = Vec{};
        for (int k = 0; k < n; ++k) {
          line[i] += ty[k] * load(coefficients + (k * n + i) * n_lanes + g * vector_width);
        }
      }
      for (int x = 0; x < view.width; ++x) {
        const double* tx = view.basis_x + static_cast<std::ptrdiff_t>(x) * n;
        double* p = row + static_cast<std::ptrdiff_t>(x) * n_lanes + g * vector_width;
        Vec s = line[0];
        for (int i = 1; i < n; ++i) s += tx[i] * line[i];
        store(p, load(p) - s);
      }
    }
  }
}

JL_ISA_END
}  // namespace jointlight
