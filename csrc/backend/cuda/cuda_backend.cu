// SPDX-License-Identifier: BSD-3-Clause
#include "backend/cuda/cuda_backend.hpp"

#include "backend/cuda/cuda_exec.cuh"
#include "backend/device/device_backend.hpp"

namespace jointlight::cuda {

std::unique_ptr<Backend> make_cuda_backend(std::shared_ptr<const Scene> scene, int device,
                                           std::size_t work_bytes) {
  return std::make_unique<DeviceBackend<CudaExec>>(std::move(scene), CudaExec(device), work_bytes);
}

}  // namespace jointlight::cuda
