// SPDX-License-Identifier: BSD-3-Clause
// A profile of the registry as geometry_math.hpp asks for it: the host makes nodes of its
// transforms when they are first needed.
#pragma once

#include "scene/profile_registry.hpp"
#include "scene/transform_table.hpp"

namespace jointlight {

// Components without a profile are never asked.
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

}  // namespace jointlight
