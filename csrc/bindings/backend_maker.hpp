// SPDX-License-Identifier: BSD-3-Clause
// Backends by name.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "backend/backend.hpp"

namespace jointlight {

using BackendMaker = std::function<std::unique_ptr<Backend>(std::shared_ptr<const Scene>)>;

// "cpu", "cuda-emulated", or "cuda" and "cuda:N" once set_cuda_maker() was called. `memory_bytes`:
// for lanes on the CPU, for what is made on the way to them on a device. Throws
// std::invalid_argument for a name that is none of these.
BackendMaker backend_maker(const std::string& name, int n_threads, std::size_t memory_bytes);

// How the CUDA module, which is one of its own, makes a backend on a device.
using CudaMaker = std::unique_ptr<Backend> (*)(std::shared_ptr<const Scene>, int device,
                                               std::size_t work_bytes);
inline constexpr const char* cuda_maker_name = "jointlight.cuda_maker";  // of the capsule
void set_cuda_maker(CudaMaker maker);

}  // namespace jointlight
