// SPDX-License-Identifier: BSD-3-Clause
// project: lanes of a row of pixels -> planes of sums of them, such as a dense Jacobian's.
#pragma once

#include <cstddef>

#include "base/lanes.hpp"

namespace jointlight {
JL_ISA_BEGIN

// planes[k][offset + x] += weights[k] . lanes[x] over n pixels; weights [n_planes][n_lanes].
inline void project_row(const double* lanes, int n, const double* weights, int n_planes,
                        double* const* planes, std::size_t offset) {
  constexpr int block = 64;  // pixels: their lanes, one after the other, stay in the L1 cache
  alignas(64) double turned[n_lanes][block];
  for (int begin = 0; begin < n; begin += block) {
    const int here = n - begin < block ? n - begin : block;
    const double* from = lanes + static_cast<std::ptrdiff_t>(begin) * n_lanes;
    for (int x = 0; x < here; ++x) {
      for (int i = 0; i < n_lanes; ++i) turned[i][x] = from[x * n_lanes + i];
    }
    for (int k = 0; k < n_planes; ++k) {
      double* JL_RESTRICT to = planes[k] + offset + begin;
      for (int i = 0; i < n_lanes; ++i) {
        const double weight = weights[k * n_lanes + i];
        if (weight == 0.0) continue;
        for (int x = 0; x < here; ++x) to[x] += weight * turned[i][x];
      }
    }
  }
}

JL_ISA_END
}  // namespace jointlight
