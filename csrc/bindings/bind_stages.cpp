// SPDX-License-Identifier: BSD-3-Clause
// Stage clocks, for benchmarks.
#include "base/stage_clock.hpp"
#include "bindings/bindings.hpp"

namespace jointlight {

void bind_stages(pybind11::module_& m) {
  namespace py = pybind11;
  m.def(
      "time_stages", [](bool on) { stage_clocks_on.store(on); }, py::arg("on"),
      "Whether scenes built from now on time their stages (for benchmarks).");
  m.def(
      "stage_times",
      [] {
        py::dict out;
        for (std::size_t i = 0; i < n_stages; ++i) {
          StageTime& time = stage_times[i];
          const double seconds = 1e-9 * static_cast<double>(time.ns.exchange(0));
          out[stage_names[i]] = py::make_tuple(seconds, time.calls.exchange(0));
        }
        return out;
      },
      "Seconds, summed over threads, and calls by stage since this was last asked.");
}

}  // namespace jointlight
