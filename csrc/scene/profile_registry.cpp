// SPDX-License-Identifier: BSD-3-Clause
#include "scene/profile_registry.hpp"

#include "profile_list.hpp"
#include "scene/describe_profile.hpp"

namespace jointlight {

const std::vector<ProfileInfo>& profile_registry() {
#define JL_DESCRIBE(stem) describe_profile<profile_##stem>(),
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
