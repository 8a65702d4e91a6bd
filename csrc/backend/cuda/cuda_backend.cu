// SPDX-License-Identifier: BSD-3-Clause
#include "backend/cuda/cuda_backend.hpp"

#include "backend/cuda/cuda_exec.cuh"
#include "backend/device/device_backend.hpp"
#include "backend/device/device_evaluator.hpp"

namespace jointlight::cuda {

std::unique_ptr<Backend> make_cuda_backend(std::shared_ptr<const Scene> scene, int device,
                                           std::size_t work_bytes) {
  return std::make_unique<DeviceBackend<CudaExec>>(std::move(scene), CudaExec(device), work_bytes);
}

std::unique_ptr<Evaluator> make_cuda_evaluator(int device) {
  std::size_t free = 0, total = 0;
  JL_CUDA_CHECK(cudaSetDevice(device));
  JL_CUDA_CHECK(cudaMemGetInfo(&free, &total));
  return std::make_unique<DeviceEvaluator<CudaExec>>(CudaExec(device), free / 4, free / 8);
}

Ceilings cuda_ceilings(int device) {
  CudaExec exec(device);
  return measure_ceilings(exec, {});
}

int device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  cudaGetLastError();  // seen
  return 0;
}

}  // namespace jointlight::cuda
