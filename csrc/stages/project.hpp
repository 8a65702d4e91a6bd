// SPDX-License-Identifier: BSD-3-Clause
// project: lanes of a row of pixels -> planes of sums of them, such as a dense Jacobian's.
#pragma once

#include <cstddef>

#include "base/lanes.hpp"

namespace jointlight {
JL_ISA_BEGIN

// planes[k][offset + x] += weights[k] . lanes[x] over n pixels; weights [n_planes][n_lanes]. The
// image is taken from `value` [n] where that is given, the other lanes' precision being less.
template <class Real>
inline void project_lanes(const Real* lanes, const double* value, int n, const double* weights,
                          int n_planes, double* const* planes, std::size_t offset) {
  constexpr int block = 64;  // pixels: their lanes, one after the other, stay in the L1 cache
  alignas(64) double turned[n_lanes][block];
  for (int begin = 0; begin < n; begin += block) {
    const int here = n - begin < block ? n - begin : block;
    const Real* from = lanes + static_cast<std::ptrdiff_t>(begin) * n_lanes;
    for (int x = 0; x < here; ++x) {
      for (int i = 0; i < n_lanes; ++i) turned[i][x] = from[x * n_lanes + i];
    }
    if (value != nullptr) {
      for (int x = 0; x < here; ++x) turned[0][x] = value[begin + x];
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

inline void project_row(const double* lanes, int n, const double* weights, int n_planes,
                        double* const* planes, std::size_t offset) {
  project_lanes<double>(lanes, nullptr, n, weights, n_planes, planes, offset);
}

inline void project_row_mixed(const float* lanes, const double* value, int n, const double* weights,
                              int n_planes, double* const* planes, std::size_t offset) {
  project_lanes<float>(lanes, value, n, weights, n_planes, planes, offset);
}

JL_ISA_END
}  // namespace jointlight
