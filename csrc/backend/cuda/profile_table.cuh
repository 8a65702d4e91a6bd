// SPDX-License-Identifier: BSD-3-Clause
// What the module can do with each profile on the device.
#pragma once

#include <cuda_runtime.h>

#include <span>
#include <vector>

#include "backend/cuda/place_bodies.hpp"

namespace jointlight::cuda {

// A profile as the module's table holds it.
struct ProfileEntry {
  const char* name;
  int n_shape;
  void (*brightness)(std::span<const double> shape, std::span<const double> r2,
                     std::span<double> value, std::span<double> d_r2, std::span<double> d_shape);
  // Light of far copies for the placed tiles that have this profile, registered as `index`.
  void (*copy_tails)(const Placement& placement, int index, cudaStream_t stream);
  // Likewise the light of cores.
  void (*core_light)(const Placement& placement, int index, cudaStream_t stream);
};

// In the order of the registry.
const std::vector<ProfileEntry>& profile_table();

}  // namespace jointlight::cuda
