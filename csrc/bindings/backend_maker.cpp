// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/backend_maker.hpp"

#include <atomic>
#include <charconv>
#include <string_view>
#include <utility>

#include "backend/cpu/cpu_backend.hpp"
#include "backend/emulated/emulated_backend.hpp"
#include "base/error.hpp"

namespace jointlight {
namespace {

std::atomic<const CudaMaker*> cuda_maker{nullptr};

constexpr std::string_view emulated = "cuda-emulated";

// N of a name that is `prefix` and N, else -1.
int number_after(std::string_view prefix, std::string_view name) {
  if (!name.starts_with(prefix)) return -1;
  int n = -1;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + prefix.size(), end, n);
  return error == std::errc() && stop == end ? n : -1;
}

// N of "cuda:N", 0 of "cuda", -1 of anything else.
int cuda_device(std::string_view name) { return name == "cuda" ? 0 : number_after("cuda:", name); }

std::pair<CudaMaker, int> checked_cuda(const std::string& name) {
  const int device = cuda_device(name);
  require(device >= 0, "backend = '", name, "', allowed: 'cpu', 'cuda', 'cuda:N'");
  const CudaMaker* make = cuda_maker.load();
  require(make != nullptr, "backend = '", name, "': the CUDA module is not loaded");
  return {*make, device};
}

}  // namespace

void set_cuda_maker(const CudaMaker* maker) {
  maker->profile->turn(device_profile.on());
  cuda_maker.store(maker);
}

void profile_devices(bool on) {
  device_profile.turn(on);
  if (const CudaMaker* make = cuda_maker.load()) make->profile->turn(on);
}

DeviceProfile::Stages take_device_profile() {
  DeviceProfile::Stages all = device_profile.take();
  const CudaMaker* make = cuda_maker.load();
  if (make == nullptr) return all;
  const DeviceProfile::Stages more = make->profile->take();
  for (std::size_t i = 0; i < all.size(); ++i) all[i] += more[i];
  return all;
}

Ceilings device_ceilings(const std::string& name) {
  if (name == emulated) return emulated_ceilings();
  const auto [make, device] = checked_cuda(name);
  return make.ceilings(device);
}

BackendMaker backend_maker(const std::string& name, int n_threads, std::size_t memory_bytes) {
  if (name == "cpu") {
    return [=](std::shared_ptr<const Scene> scene) {
      return make_cpu_backend(std::move(scene), n_threads, memory_bytes);
    };
  }
  if (name.starts_with(emulated)) {
    return
        [](std::shared_ptr<const Scene> scene) { return make_emulated_backend(std::move(scene)); };
  }
  const auto [make, device] = checked_cuda(name);
  return [=](std::shared_ptr<const Scene> scene) {
    return make.backend(std::move(scene), device, memory_bytes);
  };
}

std::vector<std::unique_ptr<Evaluator>> make_evaluators(const std::string& name) {
  std::vector<std::unique_ptr<Evaluator>> made;
  if (name == "cpu") return made;
  constexpr int each = 2;
  if (name == emulated) {
    for (int k = 0; k < each; ++k) made.push_back(make_emulated_evaluator());
    return made;
  }
  // One after the other fails.
  if (const int n = number_after("cuda-emulated-until-", name); n > 0) {
    for (int k = 1; k <= each; ++k) made.push_back(make_failing_evaluator(k * n));
    return made;
  }
  const auto [make, device] = checked_cuda(name);
  const int first = name == "cuda" ? 0 : device;
  const int end = name == "cuda" ? make.n_devices() : device + 1;
  require(first < end, "backend = '", name, "': there is no CUDA device");
  for (int d = first; d < end; ++d) {
    for (int k = 0; k < each; ++k) made.push_back(make.evaluator(d));
  }
  return made;
}

}  // namespace jointlight
