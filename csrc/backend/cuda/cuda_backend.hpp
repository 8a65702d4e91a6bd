// SPDX-License-Identifier: BSD-3-Clause
// A scene on a CUDA device. Plain C++: host code includes this without a CUDA header.
#pragma once

#include <cstddef>
#include <memory>

#include "backend/backend.hpp"
#include "backend/device/ceilings.hpp"
#include "backend/evaluator.hpp"

namespace jointlight::cuda {

// `work_bytes`: memory on the way to lanes, above which tiles are drawn in portions. Throws
// CudaError.
std::unique_ptr<Backend> make_cuda_backend(std::shared_ptr<const Scene> scene, int device,
                                           std::size_t work_bytes);
// One of two that share a device.
std::unique_ptr<Evaluator> make_cuda_evaluator(int device);

Ceilings cuda_ceilings(int device);

int device_count();  // 0 where there is no driver

}  // namespace jointlight::cuda
