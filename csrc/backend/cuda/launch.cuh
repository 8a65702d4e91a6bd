// SPDX-License-Identifier: BSD-3-Clause
// Bodies of loops as kernels.
#pragma once

#include "backend/cuda/memory.cuh"

namespace jointlight::cuda {

template <class Body>
__global__ void each_kernel(Body body, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) body(i);
}

// body(0) ... body(n - 1)
template <class Body>
void launch_each(const Body& body, int n, cudaStream_t stream, int threads = 128) {
  if (n <= 0) return;
  const auto blocks = static_cast<unsigned>((n + threads - 1) / threads);
  each_kernel<<<blocks, static_cast<unsigned>(threads), 0, stream>>>(body, n);
  JL_CUDA_CHECK(cudaGetLastError());
}

template <class Body>
__global__ void blocks_kernel(Body body) {
  body(static_cast<int>(blockIdx.x), static_cast<int>(threadIdx.x), static_cast<int>(blockDim.x));
}

// body(i, first, stride): block i's threads share what it does.
template <class Body>
void launch_blocks(const Body& body, int n_blocks, int threads, cudaStream_t stream) {
  if (n_blocks <= 0) return;
  blocks_kernel<<<static_cast<unsigned>(n_blocks), static_cast<unsigned>(threads), 0, stream>>>(
      body);
  JL_CUDA_CHECK(cudaGetLastError());
}

}  // namespace jointlight::cuda
