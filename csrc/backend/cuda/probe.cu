// SPDX-License-Identifier: BSD-3-Clause
#include "backend/cuda/probe.hpp"

#include "backend/cuda/memory.cuh"
#include "backend/cuda/profile_table.cuh"
#include "base/error.hpp"

namespace jointlight::cuda {

namespace {

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

DeviceInfo describe_device(int index) {
  cudaDeviceProp properties{};
  JL_CUDA_CHECK(cudaGetDeviceProperties(&properties, index));
  return {index,
          properties.name,
          properties.major,
          properties.minor,
          properties.multiProcessorCount,
          properties.totalGlobalMem};
}

}  // namespace

Probe probe() {
  Probe result;
  // Neither call needs a driver.
  JL_CUDA_CHECK(cudaRuntimeGetVersion(&result.runtime_version));
  JL_CUDA_CHECK(cudaDriverGetVersion(&result.driver_version));
  if (result.driver_version == 0) {
    result.message = "no NVIDIA driver was found";
    return result;
  }
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code == cudaErrorInsufficientDriver) {
    result.message = "the NVIDIA driver supports CUDA " + version_text(result.driver_version) +
                     ", this module needs CUDA " + version_text(result.runtime_version);
    return result;
  }
  result.driver = true;
  if (code == cudaErrorNoDevice || (code == cudaSuccess && count == 0)) {
    result.message = "the NVIDIA driver reports no device";
    return result;
  }
  if (code != cudaSuccess) {
    result.message = cudaGetErrorString(code);
    return result;
  }
  for (int index = 0; index < count; ++index) result.devices.push_back(describe_device(index));
  return result;
}

std::string architectures() { return JOINTLIGHT_CUDA_ARCHITECTURES; }

std::vector<std::string> profiles() {
  std::vector<std::string> names;
  for (const ProfileEntry& entry : profile_table()) names.emplace_back(entry.name);
  return names;
}

void brightness(const std::string& profile, std::span<const double> shape,
                std::span<const double> r2, std::span<double> value, std::span<double> d_r2,
                std::span<double> d_shape) {
  for (const ProfileEntry& entry : profile_table()) {
    if (profile != entry.name) continue;
    const auto n_shape = static_cast<std::size_t>(entry.n_shape);
    require(shape.size() == n_shape, profile, " takes ", n_shape, " shape values, not ",
            shape.size());
    require(value.size() == r2.size() && d_r2.size() == r2.size() &&
                d_shape.size() == n_shape * r2.size(),
            "the outputs of ", profile, " do not match r2 of size ", r2.size());
    entry.brightness(shape, r2, value, d_r2, d_shape);
    return;
  }
  require(false, "no profile named '", profile, "'");
}

}  // namespace jointlight::cuda
