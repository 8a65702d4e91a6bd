// SPDX-License-Identifier: BSD-3-Clause
// A profile header evaluated on the device, point by point.
#pragma once

#include <cstddef>
#include <span>

#include "backend/cuda/memory.cuh"
#include "base/macros.hpp"

namespace jointlight::cuda {

// One thread a point. r2, value, d_r2: [n]; d_shape: [n_shape][n].
template <class Profile>
__global__ void brightness_kernel(typename Profile::Constants constants, std::size_t n,
                                  const double* JL_RESTRICT r2, double* JL_RESTRICT value,
                                  double* JL_RESTRICT d_r2, double* JL_RESTRICT d_shape) {
  const std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= n) return;
  double by_shape[Profile::n_shape + 1];  // one more than needed: no array of size zero
  Profile::template brightness<double>(constants, r2[i], value[i], d_r2[i], by_shape);
  for (int s = 0; s < Profile::n_shape; ++s) {
    d_shape[static_cast<std::size_t>(s) * n + i] = by_shape[s];
  }
}

// Sizes are the caller's care (see probe.hpp).
template <class Profile>
void evaluate_brightness(std::span<const double> shape, std::span<const double> r2,
                         std::span<double> value, std::span<double> d_r2,
                         std::span<double> d_shape) {
  const std::size_t n = r2.size();
  if (n == 0) return;
  DeviceBuffer<double> device_r2(n), device_value(n), device_d_r2(n),
      device_d_shape(d_shape.size());
  device_r2.upload(r2);
  constexpr unsigned threads = 256;
  const auto blocks = static_cast<unsigned>((n + threads - 1) / threads);
  brightness_kernel<Profile><<<blocks, threads>>>(Profile::prepare(shape.data()), n,
                                                  device_r2.data(), device_value.data(),
                                                  device_d_r2.data(), device_d_shape.data());
  JL_CUDA_CHECK(cudaGetLastError());
  device_value.download(value);
  device_d_r2.download(d_r2);
  device_d_shape.download(d_shape);
}

}  // namespace jointlight::cuda
