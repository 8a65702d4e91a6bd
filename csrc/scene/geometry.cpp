// SPDX-License-Identifier: BSD-3-Clause
#include "scene/geometry.hpp"

#include "scene/geometry_math.hpp"
#include "scene/registered_profile.hpp"

namespace jointlight {
bool evaluate_geometry(const TileGeometry& tile, const double* slots, TileState& state,
                       Chain& chain) {
  return evaluate_tile(tile, tile.chart, slots, RegisteredProfile{tile.profile}, state, chain);
}

}  // namespace jointlight
