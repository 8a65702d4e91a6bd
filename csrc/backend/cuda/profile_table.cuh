// SPDX-License-Identifier: BSD-3-Clause
// What the module can do with each profile on the device.
#pragma once

#include <span>
#include <vector>

namespace jointlight::cuda {

// A profile as the module's table holds it.
struct ProfileEntry {
  const char* name;
  int n_shape;
  void (*brightness)(std::span<const double> shape, std::span<const double> r2,
                     std::span<double> value, std::span<double> d_r2, std::span<double> d_shape);
};

// In the order of the registry.
const std::vector<ProfileEntry>& profile_table();

}  // namespace jointlight::cuda
