// SPDX-License-Identifier: BSD-3-Clause
// normal: J^T W J and J^T W r straight from the lanes of a pixel row, one 8 x 8 block per pair of
// overlapping tiles. The Jacobian of an image is never formed. Lanes that are kept in float32 come
// widened: their squares in the units that images may be in are beyond float32.
#pragma once

#include <cstddef>

#include "base/lanes.hpp"

namespace jointlight {
JL_ISA_BEGIN

// block[i][j] += sum_x w a_i b_j over n pixels; the vectors of b are taken one group at a time so
// that the accumulators stay in registers at every width.
JL_INLINE void accumulate_block(const double* JL_RESTRICT a, const double* JL_RESTRICT b,
                                const double* JL_RESTRICT w, int n, double* JL_RESTRICT block) {
  for (int g = 0; g < n_vectors; ++g) {
    Vec sum[n_lanes];
    for (int i = 0; i < n_lanes; ++i) sum[i] = load(block + i * n_lanes + g * vector_width);
    for (int x = 0; x < n; ++x) {
      const double* pa = a + static_cast<std::ptrdiff_t>(x) * n_lanes;
      const Vec wb = w[x] * load(b + static_cast<std::ptrdiff_t>(x) * n_lanes + g * vector_width);
      for (int i = 0; i < n_lanes; ++i) sum[i] += pa[i] * wb;
    }
    for (int i = 0; i < n_lanes; ++i) store(block + i * n_lanes + g * vector_width, sum[i]);
  }
}

// A tile with itself: block[i][j] += sum_x w a_i a_j and gradient[i] += sum_x wr a_i, one pass.
JL_INLINE void accumulate_own(const double* JL_RESTRICT a, const double* JL_RESTRICT w,
                              const double* JL_RESTRICT wr, int n, double* JL_RESTRICT block,
                              double* JL_RESTRICT gradient) {
  for (int g = 0; g < n_vectors; ++g) {
    Vec sum[n_lanes], slope = load(gradient + g * vector_width);
    for (int i = 0; i < n_lanes; ++i) sum[i] = load(block + i * n_lanes + g * vector_width);
    for (int x = 0; x < n; ++x) {
      const double* pa = a + static_cast<std::ptrdiff_t>(x) * n_lanes;
      const Vec own = load(pa + g * vector_width), weighted = w[x] * own;
      slope += wr[x] * own;
      for (int i = 0; i < n_lanes; ++i) sum[i] += pa[i] * weighted;
    }
    for (int i = 0; i < n_lanes; ++i) store(block + i * n_lanes + g * vector_width, sum[i]);
    store(gradient + g * vector_width, slope);
  }
}

// model[x] += value . lanes, over the leading n_value lanes
JL_INLINE void add_model(const double* JL_RESTRICT a, const double* value, int n_value, int n,
                         double* JL_RESTRICT model) {
  if (n_value == 1) {
    for (int x = 0; x < n; ++x) model[x] += value[0] * a[static_cast<std::ptrdiff_t>(x) * n_lanes];
    return;
  }
  for (int x = 0; x < n; ++x) {
    const double* p = a + static_cast<std::ptrdiff_t>(x) * n_lanes;
    double s = 0.0;
    for (int i = 0; i < n_value; ++i) s += value[i] * p[i];
    model[x] += s;
  }
}

JL_ISA_END
}  // namespace jointlight
