// SPDX-License-Identifier: BSD-3-Clause
// The rest of a profile beyond its tapered core (core_box.hpp) at one place: for any executor.
#pragma once

#include "base/macros.hpp"
#include "base/taper.hpp"
#include "scene/tile.hpp"

namespace jointlight {
JL_ISA_BEGIN

struct RestFrame {
  double i11, i12, i22;  // S^-1, 1/px^2
  double per_r2;         // s / R^2, see taper.hpp
};

JL_HD JL_INLINE RestFrame rest_frame(const TileState& tile) {
  const double det = tile.S[0] * tile.S[2] - tile.S[1] * tile.S[1];
  return {tile.S[2] / det, -tile.S[1] / det, tile.S[0] / det,
          taper_end * taper_end / (tile.taper * tile.taper)};
}

// Lanes at (dx, dy) pixels from the centre.
template <class Profile>
JL_HD JL_INLINE void rest_lanes(const typename Profile::Constants& constants,
                                const RestFrame& frame, double dx, double dy, double* lanes) {
  const double ex = frame.i11 * dx + frame.i12 * dy, ey = frame.i12 * dx + frame.i22 * dy;
  const double r2 = dx * ex + dy * ey;
  double open, by_s, value, slope, by_shape[2] = {0.0, 0.0};
  opening(frame.per_r2 * r2, open, by_s);
  Profile::template brightness<double>(constants, r2, value, slope, by_shape);
  const double by_r2 = slope * open + value * (by_s * frame.per_r2);
  lanes[lane_unit] = value * open;
  lanes[lane_x0] = -2.0 * by_r2 * ex;
  lanes[lane_y0] = -2.0 * by_r2 * ey;
  lanes[lane_s11] = -by_r2 * ex * ex;
  lanes[lane_s12] = -2.0 * by_r2 * ex * ey;
  lanes[lane_s22] = -by_r2 * ey * ey;
  lanes[lane_shape0] = by_shape[0] * open;
  lanes[lane_shape1] = by_shape[1] * open;
}

JL_ISA_END
}  // namespace jointlight
