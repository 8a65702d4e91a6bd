// SPDX-License-Identifier: BSD-3-Clause
// Gauss-Legendre rules on [-1, 1], made by the compiler.
#pragma once

#include "base/macros.hpp"

namespace jointlight {
JL_ISA_BEGIN

inline constexpr int gauss_legendre_max = 20;

struct GaussLegendre {
  // Rule of order m: nodes[m][0 .. m-1], weights[m][0 .. m-1].
  double nodes[gauss_legendre_max + 1][gauss_legendre_max] = {};
  double weights[gauss_legendre_max + 1][gauss_legendre_max] = {};
};

constexpr GaussLegendre make_gauss_legendre() {
  GaussLegendre rule;
  for (int m = 1; m <= gauss_legendre_max; ++m) {
    for (int i = 0; i < m; ++i) {
      // Start of Newton's iteration: cos(angle), by its series.
      const double angle = 3.14159265358979324 * (i + 0.75) / (m + 0.5);
      double x = 0.0, term = 1.0;
      for (int k = 0; k < 40; ++k) {
        x += term;
        term *= -angle * angle / ((2.0 * k + 1.0) * (2.0 * k + 2.0));
      }
      double slope = 1.0;
      for (int step = 0; step < 8; ++step) {
        double p = x, before = 1.0;
        for (int k = 2; k <= m; ++k) {
          const double next = ((2.0 * k - 1.0) * x * p - (k - 1.0) * before) / k;
          before = p;
          p = next;
        }
        slope = m * (before - x * p) / (1.0 - x * x);
        x -= p / slope;
      }
      if (2 * i + 1 == m) x = 0.0;
      rule.nodes[m][m - 1 - i] = x;
      rule.weights[m][m - 1 - i] = 2.0 / ((1.0 - x * x) * slope * slope);
    }
  }
  return rule;
}

inline constexpr GaussLegendre gauss_legendre = make_gauss_legendre();

JL_ISA_END
}  // namespace jointlight
