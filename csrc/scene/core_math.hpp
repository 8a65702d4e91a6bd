// SPDX-License-Identifier: BSD-3-Clause
// Radial transform of a profile's tapered core (core_table.hpp) by quadrature: for host and device.
//   F(kappa) = 2 pi int_0^1 x g(x) J0(kappa x) dx,   x in units of the taper, kappa = rho taper
#pragma once

#include <cmath>

#include "base/macros.hpp"
#include "scene/tile.hpp"
#include "scene/transform_view.hpp"

namespace jointlight {

struct CoreGrid {
  static constexpr double kappa_end = 96.0;  // beyond it the core's transform is the profile's
  static constexpr double kappa_step = 0.75;
  static constexpr int n_intervals = 128;
  static constexpr int block = 8;
  static constexpr int n_kappa = 136;  // n_intervals + 1, in whole blocks
  static_assert(n_intervals * kappa_step == kappa_end);
  static_assert(n_kappa % block == 0 && n_kappa > n_intervals);
  static constexpr int n_inner = 5;  // points that stand for the light within the innermost part
  // Columns of the transform: f and df/dshape, each with -df/dkappa and the transform of x^2 g.
  static constexpr int n_sums = 6;
  static constexpr int table_size = n_intervals * TransformGrid::interval_size;  // doubles
};

// Where g is sampled and J0 is taken. The inner samples, fine towards a cusp, are handed to
// n_inner points that have the same moments; the others are points themselves.
struct CoreRule {
  int n_samples = 0, n_inner_samples = 0;
  const double *x = nullptr, *weight = nullptr;  // [n_samples] weight includes 2 pi x and the taper
  const double* hand = nullptr;                  // [inner samples][n_inner] shares
  const double* point = nullptr;                 // [points]
  const double *j0 = nullptr, *j1 = nullptr;     // [points][n_kappa]

  JL_HD int n_points() const { return CoreGrid::n_inner + n_samples - n_inner_samples; }
};

JL_ISA_BEGIN

// R^2 of a sample, R in units of the profile's scale.
JL_HD inline double core_r2(const CoreRule& rule, double taper, int sample) {
  return taper * taper * rule.x[sample] * rule.x[sample];
}

// Light g at a point and its derivative by shape d, from light(sample, value, by_shape).
template <class Light>
JL_HD inline void core_point(const CoreRule& rule, double taper, int point, const Light& light,
                             double& g, double& d) {
  const double area = taper * taper;
  double value, by_shape;
  if (point >= CoreGrid::n_inner) {
    const int sample = point - CoreGrid::n_inner + rule.n_inner_samples;
    light(sample, value, by_shape);
    g = area * rule.weight[sample] * value;
    d = area * rule.weight[sample] * by_shape;
    return;
  }
  g = d = 0.0;
  for (int i = 0; i < rule.n_inner_samples; ++i) {
    const double share = rule.hand[i * CoreGrid::n_inner + point];
    light(i, value, by_shape);
    g += area * rule.weight[i] * value * share;
    d += area * rule.weight[i] * by_shape * share;
  }
}

// Columns of the transform at `width` values of kappa, from `first` on: sums [n_sums][width].
template <int width>
JL_HD inline void core_sums(const CoreRule& rule, const double* g, const double* d, int first,
                            double (&sums)[CoreGrid::n_sums][width]) {
  for (auto& row : sums) {
    for (double& value : row) value = 0.0;
  }
  const int n_points = rule.n_points();
  for (int p = 0; p < n_points; ++p) {
    const double* j0 = rule.j0 + p * CoreGrid::n_kappa + first;
    const double* j1 = rule.j1 + p * CoreGrid::n_kappa + first;
    const double x = rule.point[p], gx = g[p] * x, dx = d[p] * x, gx2 = gx * x, dx2 = dx * x;
    for (int i = 0; i < width; ++i) {
      sums[0][i] += g[p] * j0[i];
      sums[1][i] += gx * j1[i];
      sums[2][i] += gx2 * j0[i];
      sums[3][i] += d[p] * j0[i];
      sums[4][i] += dx * j1[i];
      sums[5][i] += dx2 * j0[i];
    }
  }
}

// End of an interval from the sums at node i, `stride` apart. J0'' = -J0 - J0' / z
JL_HD inline void core_end(const double* sums, int stride, int i, RadialEnd& end) {
  constexpr double step = CoreGrid::kappa_step;
  for (int column = 0; column < 2; ++column) {
    const double* s = sums + 3 * column * stride;
    const double slope = -s[stride];
    const double second = i == 0 ? -0.5 * s[2 * stride] : -s[2 * stride] - slope / (step * i);
    end.column[column][0] = s[0];
    end.column[column][1] = slope * step;
    end.column[column][2] = second * step * step;
  }
}

// Coefficients [degree + 1][columns] of the interval between two ends.
JL_HD inline void core_interval(double taper, const RadialEnd& left, const RadialEnd& right,
                                double* c) {
  for (int k = 0; k < TransformGrid::interval_size; ++k) c[k] = 0.0;
  for (int column = 0; column < 2; ++column) {
    double q[6];
    quintic(left.column[column], right.column[column], q);
    for (int k = 0; k < 6; ++k) c[k * RadialTable::columns + 2 * column] = q[k];
    if (column == 0) {
      const double to_rho = 0.5 * taper / CoreGrid::kappa_step;
      for (int k = 1; k < 6; ++k) c[(k - 1) * RadialTable::columns + 1] = k * q[k] * to_rho;
    }
  }
}

// All of the near part but its coefficients, from the light and its derivative at kappa = 0.
JL_HD inline void core_header(double taper, double light, double by_shape, RadialTable& table) {
  table.near_intervals = CoreGrid::n_intervals;
  table.near_inverse_step = taper / CoreGrid::kappa_step;
  table.near_end2 = CoreGrid::kappa_end * CoreGrid::kappa_end / (taper * taper);
  table.at_zero[0] = light;
  table.at_zero[1] = 0.0;
  table.at_zero[2] = by_shape;
  table.at_zero[3] = 0.0;
}

JL_ISA_END
}  // namespace jointlight
