// SPDX-License-Identifier: BSD-3-Clause
// What placing asks of profiles on the device: the light of far copies, as many threads as rays for
// each tile, and that of cores.
#pragma once

#include "backend/cuda/launch.cuh"
#include "backend/cuda/place_bodies.hpp"

namespace jointlight::cuda {

template <class Profile>
__global__ void copy_tails_kernel(TailBody<Profile> body) {
  static_assert(32 % tail_rays == 0, "a tile's rays share a warp");
  const int thread = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const int tile = thread / tail_rays, ray = thread % tail_rays;
  const bool concerned = tile < body.p.n_tiles && body.concerns(tile);
  double share[n_lanes] = {};
  if (concerned) body(tile, ray, share);
  // Added up in the order of the rays.
  for (int lane = 0; lane < n_lanes; ++lane) {
    double sum = 0.0;
    for (int k = 0; k < tail_rays; ++k) sum += __shfl_sync(0xffffffffU, share[lane], k, tail_rays);
    if (concerned && ray == 0) body.p.states[tile].tail[lane] = sum;
  }
}

template <class Profile>
void copy_tails(const Placement& placement, int index, cudaStream_t stream) {
  constexpr int threads = 128;
  const auto n = static_cast<std::size_t>(placement.n_tiles) * tail_rays;
  if (n == 0) return;
  const auto blocks = static_cast<unsigned>((n + threads - 1) / threads);
  copy_tails_kernel<Profile><<<blocks, threads, 0, stream>>>({placement, index});
  JL_CUDA_CHECK(cudaGetLastError());
}

// The light of cores, for the tiles in two parts that have this profile.
template <class Profile>
void core_light(const Placement& placement, int index, cudaStream_t stream) {
  launch_blocks(CoreLightBody<Profile>{placement, index}, placement.n_cores, 128, stream);
}

}  // namespace jointlight::cuda
