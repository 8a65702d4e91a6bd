// SPDX-License-Identifier: BSD-3-Clause
#include "scene/geometry.hpp"

#include "scene/geometry_math.hpp"
#include "scene/profile_registry.hpp"
#include "scene/transform_table.hpp"

namespace jointlight {
namespace {

// Asked only about profiles, which the registry holds.
struct RegisteredProfile {
  int index;

  bool allows(const double* shape) const {
    const ProfileInfo& info = profile_registry()[static_cast<std::size_t>(index)];
    return within_limits(info.n_shape, shape, info.shape_min.data(), info.shape_max.data());
  }
  double flux_factor(const double* shape, double* by_shape) const {
    return transform_table(index).flux_factor(shape, by_shape);
  }
};

}  // namespace

bool evaluate_geometry(const TileGeometry& tile, const double* slots, TileState& state,
                       Chain& chain) {
  return evaluate_tile(tile, slots, RegisteredProfile{tile.profile}, state, chain);
}

}  // namespace jointlight
