// SPDX-License-Identifier: BSD-3-Clause
#include "backend/cuda/foreign_memory.hpp"

#include "backend/cuda/memory.cuh"

namespace jointlight::cuda {

int device_of(std::uintptr_t address) {
  cudaPointerAttributes found{};
  JL_CUDA_CHECK(cudaPointerGetAttributes(&found, reinterpret_cast<const void*>(address)));
  const bool there = found.type == cudaMemoryTypeDevice || found.type == cudaMemoryTypeManaged;
  return there ? found.device : -1;
}

void wait_for(std::uintptr_t stream, int device) {
  JL_CUDA_CHECK(cudaSetDevice(device));
  JL_CUDA_CHECK(cudaStreamSynchronize(reinterpret_cast<cudaStream_t>(stream)));
}

void download(std::uintptr_t address, void* to, std::size_t bytes, int device) {
  if (bytes == 0) return;
  JL_CUDA_CHECK(cudaSetDevice(device));
  JL_CUDA_CHECK(
      cudaMemcpy(to, reinterpret_cast<const void*>(address), bytes, cudaMemcpyDeviceToHost));
}

}  // namespace jointlight::cuda
