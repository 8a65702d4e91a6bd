// SPDX-License-Identifier: BSD-3-Clause
// Memory on devices that others own: where it is, when it is ready, and a copy of it. Plain C++:
// host code includes this without a CUDA header. All throw CudaError.
#pragma once

#include <cstddef>
#include <cstdint>

namespace jointlight::cuda {

// Number of the device that can read what an address points to, -1 for the host's own memory.
int device_of(std::uintptr_t address);

// Returns once all that is in a stream has been done. `stream`: a cudaStream_t, 1 the legacy
// default stream, 2 the thread's default one.
void wait_for(std::uintptr_t stream, int device);

void download(std::uintptr_t address, void* to, std::size_t bytes, int device);

}  // namespace jointlight::cuda
