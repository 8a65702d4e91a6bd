// SPDX-License-Identifier: BSD-3-Clause
// Takes in what other modules can compute on.
#include <string_view>

#include "backend/emulated/emulated_backend.hpp"
#include "base/error.hpp"
#include "bindings/backend_maker.hpp"
#include "bindings/bindings.hpp"

namespace jointlight {
namespace {

void use_cuda(const pybind11::capsule& maker) {
  const char* name = maker.name();
  require(name != nullptr && std::string_view(name) == cuda_maker_name,
          "not what makes CUDA backends");
  set_cuda_maker(maker.get_pointer<const CudaMaker>());
}

}  // namespace

void bind_backends(pybind11::module_& m) {
  m.def("use_cuda", &use_cuda, pybind11::arg("maker"),
        "Lets scenes be built for CUDA devices, by the CUDA module's backend_maker().");
  m.def("emulate_backwards", &emulate_backwards, pybind11::arg("on"),
        "Whether the emulated device runs its threads from the last to the first (for tests).");
}

}  // namespace jointlight
