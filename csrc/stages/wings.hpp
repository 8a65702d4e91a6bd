// SPDX-License-Identifier: BSD-3-Clause
// A transform on a finite box is periodic: the window also receives the wings of the component's
// copies in the neighbouring boxes. There the copies are smooth, so that their sum, and that of
// every derivative, is interpolated from Chebyshev nodes, 11 x 11 for the nearest, and subtracted.
#pragma once

#include <cmath>

#include "base/lanes.hpp"
#include "scene/tile.hpp"

namespace jointlight {

JL_ISA_BEGIN

// Coefficients of dW/dt from those of W, t in [-1, 1]; `step` apart.
inline void chebyshev_derivative(const double* w, int step, double scale, double* out) {
  constexpr int n = wing_nodes;
  out[(n - 1) * step] = 0.0;
  double above = 0.0;
  for (int k = n - 1; k > 0; --k) {
    const double value = above + 2.0 * k * scale * w[k * step];
    above = k + 1 < n ? out[k * step] : 0.0;
    out[(k - 1) * step] = value;
  }
  out[0] *= 0.5;
}

// L W = moments : grad grad W / 2 - shift . grad W for one lane's coefficients.
inline void smooth_blur(const TransferView& psf, double sx, double sy, const double* w,
                        double* out) {
  constexpr int n = wing_nodes, size = n * n;
  double x[size], y[size], xx[size], xy[size], yy[size];
  for (int i = 0; i < n; ++i) {
    chebyshev_derivative(w + i * n, 1, sx, x + i * n);
    chebyshev_derivative(x + i * n, 1, sx, xx + i * n);
    chebyshev_derivative(w + i, n, sy, y + i);
    chebyshev_derivative(y + i, n, sy, yy + i);
  }
  for (int i = 0; i < n; ++i) chebyshev_derivative(x + i, n, sy, xy + i);
  for (int i = 0; i < size; ++i) {
    out[i] = 0.5 * psf.moments[0] * xx[i] + psf.moments[1] * xy[i] + 0.5 * psf.moments[2] * yy[i] -
             psf.shift[0] * x[i] - psf.shift[1] * y[i];
  }
}

// The copies were summed as they are, but reach the window through the PSF, which does to anything
// smooth W -> exp(L) W; three terms of it.
inline void convolve_wings(const TileView& view, double* coefficients) {
  constexpr int size = wing_nodes * wing_nodes;
  const double sx = view.width > 1 ? 2.0 / (view.width - 1) : 0.0;
  const double sy = view.height > 1 ? 2.0 / (view.height - 1) : 0.0;
  for (int lane = 0; lane < n_lanes; ++lane) {
    double w[size], first[size], second[size];
    for (int i = 0; i < size; ++i) w[i] = coefficients[i * n_lanes + lane];
    smooth_blur(view.transfer, sx, sy, w, first);
    smooth_blur(view.transfer, sx, sy, first, second);
    for (int i = 0; i < size; ++i) {
      coefficients[i * n_lanes + lane] += first[i] + 0.5 * second[i];
    }
  }
}

// Adds the Chebyshev coefficients of the copies in rings [first, last], from n x n nodes.
template <int n, class Profile>
inline void add_copies(const TileView& view, const TileState& tile,
                       const typename Profile::Constants& constants, int first, int last,
                       double* coefficients) {
  constexpr int n2 = n * n;
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
  for (int b = -last; b <= last; ++b) {
    for (int a = -last; a <= last; ++a) {
      if (a > -first && a < first && b > -first && b < first) continue;
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
        for (int m = 0; m < n; ++m) s += cosine[i][m] * sum[lane][j * n + m];
        half[i][j] = s;
      }
    }
    for (int k = 0; k < n; ++k) {
      for (int i = 0; i < n; ++i) {
        double s = 0.0;
        for (int j = 0; j < n; ++j) s += cosine[k][j] * half[i][j];
        coefficients[(k * wing_nodes + i) * n_lanes + lane] += s;
      }
    }
  }
}

// Sum of the copies' lanes -> Chebyshev coefficients [wing_nodes (y)][wing_nodes (x)][n_lanes]. The
// further a ring, the smoother it is across the window and the fewer nodes describe it.
template <class Profile>
inline void wing_coefficients(const TileView& view, const TileState& tile, double* coefficients) {
  for (int i = 0; i < wing_nodes * wing_nodes * n_lanes; ++i) coefficients[i] = 0.0;
  const auto constants = Profile::prepare(tile.shape);
  add_copies<wing_nodes, Profile>(view, tile, constants, 1, 1, coefficients);
  add_copies<5, Profile>(view, tile, constants, 2, 3, coefficients);
  add_copies<3, Profile>(view, tile, constants, 4, wing_shells, coefficients);
  convolve_wings(view, coefficients);
  for (int lane = 0; lane < n_lanes; ++lane) coefficients[lane] += tile.tail[lane];
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
