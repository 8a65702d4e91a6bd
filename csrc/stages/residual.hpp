// SPDX-License-Identifier: BSD-3-Clause
// residual: model minus data of one pixel and its weight, for either likelihood, written so that
// the same normal equations serve both: gradient = sum w (m - d) J, curvature = sum w J J^T.
#pragma once

#include <cmath>

#include "base/macros.hpp"
#include "base/vmath.hpp"
#include "scene/tile.hpp"

namespace jointlight {

JL_ISA_BEGIN

// Gaussian: w = 1/sigma^2, chi2 term = w (m - d)^2.
// Poisson (Cash 1979, with the data-only terms that make it 0 at m = d): with c = counts per data
// unit, the term is 2 c (m - d + d ln(d/m)), its gradient c (1 - d/m), its expected curvature c/m.
// Below m = floor the logarithm continues as its tangent parabola, so a wandering step stays
// finite.
template <Likelihood kind>
JL_HD JL_INLINE void residual(double data, double weight, double model, double& w, double& wr,
                              double& term) {
  if constexpr (kind == Likelihood::gaussian) {
    const double r = model - data;
    w = weight;
    wr = weight * r;
    term = wr * r;
  } else {
    const double floor = 1e-3 / (weight > 0.0 ? weight : 1.0);
    const double m = model > floor ? model : floor;
    const double below = model < floor ? model - floor : 0.0;
    const double positive = data > 0.0 ? data : 0.0;
    const double log_ratio = positive > 0.0 ? positive * (log_(positive) - log_(m)) : 0.0;
    const double slope = 1.0 - positive / m, curvature = (positive > m ? positive : m) / (m * m);
    w = weight * (below < 0.0 ? curvature : 1.0 / m);
    wr = weight * (slope + curvature * below);
    term = 2.0 * weight * (m - positive + log_ratio + below * (slope + 0.5 * curvature * below));
  }
}

// The same for n pixels of a row.
template <Likelihood kind>
JL_INLINE void residual_row(int n, const double* JL_RESTRICT data, const double* JL_RESTRICT weight,
                            const double* JL_RESTRICT model, double* JL_RESTRICT w,
                            double* JL_RESTRICT wr, double* JL_RESTRICT term) {
  for (int x = 0; x < n; ++x) residual<kind>(data[x], weight[x], model[x], w[x], wr[x], term[x]);
}

// Sum of n numbers, in as many partial sums as hide an addition's latency.
JL_INLINE double row_sum(int n, const double* JL_RESTRICT terms) {
  constexpr int parts = 16;
  double sum[parts] = {};
  int x = 0;
  for (; x + parts <= n; x += parts) {
    for (int i = 0; i < parts; ++i) sum[i] += terms[x + i];
  }
  for (; x < n; ++x) sum[0] += terms[x];
  for (int i = parts / 2; i > 0; i /= 2) {
    for (int k = 0; k < i; ++k) sum[k] += sum[k + i];
  }
  return sum[0];
}

JL_ISA_END
}  // namespace jointlight
