// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/backend_maker.hpp"

#include "backend/cpu/cpu_backend.hpp"
#include "backend/emulated/emulated_backend.hpp"
#include "base/error.hpp"

namespace jointlight {

BackendMaker backend_maker(const std::string& name, int n_threads, std::size_t field_bytes) {
  require(name == "cpu" || name == "cuda-emulated", "backend = '", name,
          "', allowed: 'cpu', 'cuda-emulated'");
  if (name == "cuda-emulated") {
    return [](std::shared_ptr<const Scene> scene) {
      return make_emulated_backend(std::move(scene));
    };
  }
  return [=](std::shared_ptr<const Scene> scene) {
    return make_cpu_backend(std::move(scene), n_threads, field_bytes);
  };
}

}  // namespace jointlight
