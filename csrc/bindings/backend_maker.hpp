// SPDX-License-Identifier: BSD-3-Clause
// Backends by name.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.hpp"
#include "backend/device/ceilings.hpp"
#include "backend/device/device_profile.hpp"
#include "backend/evaluator.hpp"

namespace jointlight {

using BackendMaker = std::function<std::unique_ptr<Backend>(std::shared_ptr<const Scene>)>;

// "cpu", "cuda-emulated", or "cuda" and "cuda:N" once set_cuda_maker() was called. `memory_bytes`:
// for lanes on the CPU, for what is made on the way to them on a device. Throws
// std::invalid_argument for a name that is none of these.
BackendMaker backend_maker(const std::string& name, int n_threads, std::size_t memory_bytes);

// The same for many scenes, two a device, so that one works while the host goes on with the other's
// fits; "cuda" is all devices. None for the CPU, which takes scenes one by one.
std::vector<std::unique_ptr<Evaluator>> make_evaluators(const std::string& name);

// How the CUDA module, which is one of its own, makes them on a device.
struct CudaMaker {
  std::unique_ptr<Backend> (*backend)(std::shared_ptr<const Scene>, int device,
                                      std::size_t work_bytes) = nullptr;
  std::unique_ptr<Evaluator> (*evaluator)(int device) = nullptr;
  int (*n_devices)() = nullptr;
  Ceilings (*ceilings)(int device) = nullptr;
  DeviceProfile* profile = nullptr;  // that module's
};
inline constexpr const char* cuda_maker_name = "jointlight.cuda_maker";  // of the capsule
void set_cuda_maker(const CudaMaker* maker);  // one that is never destroyed

// Whether launches on any device are profiled, and what was found since this was last asked.
void profile_devices(bool on);
DeviceProfile::Stages take_device_profile();

// Of a device by its backend's name.
Ceilings device_ceilings(const std::string& name);

}  // namespace jointlight
