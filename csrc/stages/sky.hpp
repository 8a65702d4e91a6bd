// SPDX-License-Identifier: BSD-3-Clause
// render for sky backgrounds: lanes (1, X, Y) with (X, Y) the plane offset from the tile's anchor.
// A PSF leaves them unchanged.
#pragma once

#include "base/lanes.hpp"
#include "scene/tile.hpp"

namespace jointlight {
JL_ISA_BEGIN

// Lanes [width][n_lanes] of window row y, for pixels [x_begin, x_end).
inline void sky_row(const TileView& view, int y, int x_begin, int x_end, double* lanes) {
  const double* m = view.sky_map;
  for (int x = x_begin; x < x_end; ++x) {
    double* p = lanes + static_cast<std::ptrdiff_t>(x) * n_lanes;
    for (int i = 0; i < n_lanes; ++i) p[i] = 0.0;
    p[0] = 1.0;
    p[1] = m[0] + m[1] * x + m[2] * y;
    p[2] = m[3] + m[4] * x + m[5] * y;
  }
}

JL_ISA_END
}  // namespace jointlight
