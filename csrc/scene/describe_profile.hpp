// SPDX-License-Identifier: BSD-3-Clause
// What scene compilation needs of a profile, from its header.
#pragma once

#include "base/macros.hpp"
#include "scene/place_math.hpp"
#include "scene/profile_registry.hpp"

namespace jointlight {
JL_ISA_BEGIN

template <class Profile>
ProfileInfo describe_profile() {
  ProfileInfo info;
  info.name = Profile::name;
  info.n_shape = Profile::n_shape;
  if constexpr (Profile::n_shape > 0) {
    for (int i = 0; i < Profile::n_shape; ++i) {
      info.shape_names.emplace_back(Profile::shape_names[i]);
      info.shape_min.push_back(Profile::shape_min[i]);
      info.shape_max.push_back(Profile::shape_max[i]);
    }
  }
  info.scale_name = Profile::scale_name;
  info.amplitude_name = Profile::amplitude_name;
  if constexpr (requires { Profile::shape_origin; }) info.shape_origin = Profile::shape_origin;
  info.log_mellin = &Profile::log_mellin;
  info.brightness = [](const double* shape, int count, const double* r2, double* value,
                       double (*by_shape)[2]) {
    const auto constants = Profile::prepare(shape);
    for (int i = 0; i < count; ++i) {
      double slope = 0.0;
      by_shape[i][0] = by_shape[i][1] = 0.0;
      Profile::template brightness<double>(constants, r2[i], value[i], slope, by_shape[i]);
    }
  };
  info.light_within = [](const double* shape, int count, const double* r2, double* brightness,
                         double* enclosed, double (*by_shape)[2]) {
    const auto constants = Profile::prepare(shape);
    for (int i = 0; i < count; ++i) {
      double slope = 0.0, unused[2] = {};
      Profile::template brightness<double>(constants, r2[i], brightness[i], slope, unused);
      by_shape[i][0] = by_shape[i][1] = 0.0;
      Profile::enclosed(constants, r2[i], enclosed[i], by_shape[i]);
    }
  };
  info.copy_tail = &copy_tail<Profile>;
  return info;
}

JL_ISA_END
}  // namespace jointlight
