// SPDX-License-Identifier: BSD-3-Clause
#include "scene/profile_registry.hpp"

#include "profile_list.hpp"

namespace jointlight {
namespace {

template <class Profile>
ProfileInfo describe() {
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
  return info;
}

}  // namespace

const std::vector<ProfileInfo>& profile_registry() {
#define JL_DESCRIBE(stem) describe<profile_##stem>(),
  static const std::vector<ProfileInfo> registry = {JL_PROFILE_LIST(JL_DESCRIBE)};
#undef JL_DESCRIBE
  return registry;
}

int find_profile(std::string_view name) {
  const auto& registry = profile_registry();
  for (std::size_t i = 0; i < registry.size(); ++i) {
    if (registry[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace jointlight
