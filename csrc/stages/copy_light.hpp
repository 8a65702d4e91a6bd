// SPDX-License-Identifier: BSD-3-Clause
// What the vector code for the light of periodic copies (copies.hpp) and the device's threads
// (device/copies.hpp) have in common.
#pragma once

#include <cmath>
#include <cstddef>

#include "base/macros.hpp"
#include "scene/tile.hpp"

namespace jointlight {
JL_ISA_BEGIN

// Whether the copies in ring `ring` and beyond (brightness falls outwards) add nothing that float64
// could hold beside the mean light of the box.
template <class Profile>
JL_HD inline bool is_dark(const TileView& view, const TileState& tile,
                          const typename Profile::Constants& constants, int ring) {
  const double distance = std::fmin(ring * view.transfer.box_x - view.copies.half_x,
                                    ring * view.transfer.box_y - view.copies.half_y);
  if (!(distance > 0.0)) return false;
  double value, slope, by_shape[2] = {0.0, 0.0};
  Profile::template brightness<double>(constants, distance * distance / largest_eigenvalue(tile.S),
                                       value, slope, by_shape);
  const double det = tile.S[0] * tile.S[2] - tile.S[1] * tile.S[1];
  const double box = static_cast<double>(view.transfer.box_x) * view.transfer.box_y;
  return value < 1e-20 * tile.table.at_zero[0] * std::sqrt(det) / box;
}

// d/du of n coefficients `step` doubles apart, times `factor`. In and out may be the same.
JL_HD JL_INLINE void differentiate(int n, double factor, const double* in, double* out,
                                   std::ptrdiff_t step) {
  double above = 0.0, higher = 0.0;  // coefficients k and k + 1 of the derivative
  for (int k = n - 1; k >= 0; --k) {
    const double next = higher + 2.0 * k * in[k * step];  // coefficient k - 1
    out[k * step] = (k == 0 ? 0.5 : 1.0) * factor * above;
    higher = above;
    above = next;
  }
}

// A trial step may take the light so far that the window leaves the polynomial's square, where it
// grows without bound: there it goes on as it is at the edge.
JL_HD JL_INLINE double within_square(double u) { return u < -1.0 ? -1.0 : u > 1.0 ? 1.0 : u; }

JL_ISA_END
}  // namespace jointlight
