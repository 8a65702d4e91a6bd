// SPDX-License-Identifier: BSD-3-Clause
// Stage clocks, and what devices do: for benchmarks.
#include "base/stage_clock.hpp"
#include "bindings/backend_maker.hpp"
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
  m.def("profile_devices", &profile_devices, py::arg("on"),
        "Whether devices time and count their launches, one by one (for benchmarks).");
  m.def(
      "device_profile",
      [] {
        const DeviceProfile::Stages stages = take_device_profile();
        py::dict out;
        for (std::size_t i = 0; i < n_stages; ++i) {
          const StageProfile& stage = stages[i];
          if (stage.launches == 0) continue;
          py::dict of;
          of["seconds"] = stage.seconds;
          of["launches"] = stage.launches;
          of["bytes"] = stage.cost.bytes;
          of["flops"] = stage.cost.flops;
          of["single_flops"] = stage.cost.single_flops;
          out[stage_names[i]] = of;
        }
        return out;
      },
      "What launches took, moved and computed, by stage, since this was last asked.");
  // Operations of one call, as the profile counts them.
  m.attr("counted_flops") = py::dict(py::arg("exp") = flops_exp, py::arg("log") = flops_log);
  m.def(
      "device_ceilings",
      [](const std::string& backend) {
        Ceilings found;
        {
          const py::gil_scoped_release release;
          found = device_ceilings(backend);
        }
        py::dict out;
        out["bytes"] = found.bytes;
        out["flops"] = found.flops;
        out["single_flops"] = found.single_flops;
        out["upload"] = found.upload;
        out["download"] = found.download;
        out["launch"] = found.launch;
        return out;
      },
      py::arg("backend"),
      "Measured rates of a device, per second: bytes copied in its memory, float64 and float32 "
      "operations, bytes from and to the host; and the seconds of a launch.");
}

}  // namespace jointlight
