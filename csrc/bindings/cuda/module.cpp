// SPDX-License-Identifier: BSD-3-Clause
// The module jointlight._cuda: loads without a driver and says what is missing.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <span>
#include <string>

#include "backend/cuda/cuda_backend.hpp"
#include "backend/cuda/foreign_memory.hpp"
#include "backend/cuda/probe.hpp"
#include "bindings/backend_maker.hpp"

namespace py = pybind11;
namespace cuda = jointlight::cuda;

namespace {

using Array = py::array_t<double, py::array::c_style | py::array::forcecast>;

std::span<const double> input(const Array& array) {
  return {array.data(), static_cast<std::size_t>(array.size())};
}
std::span<double> output(Array& array) {
  return {array.mutable_data(), static_cast<std::size_t>(array.size())};
}

py::dict device_dict(const cuda::DeviceInfo& device) {
  py::dict d;
  d["index"] = device.index;
  d["name"] = device.name;
  d["compute_capability"] = py::make_tuple(device.major, device.minor);
  d["multiprocessors"] = device.multiprocessors;
  d["memory"] = device.memory;
  return d;
}

py::dict probe() {
  cuda::Probe found;
  {
    py::gil_scoped_release release;
    found = cuda::probe();
  }
  py::list devices;
  for (const cuda::DeviceInfo& device : found.devices) devices.append(device_dict(device));
  py::dict d;
  d["driver"] = found.driver;
  d["driver_version"] = found.driver_version;
  d["runtime_version"] = found.runtime_version;
  d["message"] = found.message;
  d["devices"] = devices;
  return d;
}

// (value [n], dI/dR2 [n], dI/dshape [n_shape, n]) at r2 [n]
py::tuple brightness(const std::string& profile, const Array& shape, const Array& r2) {
  Array value(r2.size()), d_r2(r2.size()), d_shape({shape.size(), r2.size()});
  const auto shape_span = input(shape), r2_span = input(r2);
  const auto value_span = output(value), d_r2_span = output(d_r2), d_shape_span = output(d_shape);
  {
    py::gil_scoped_release release;
    cuda::brightness(profile, shape_span, r2_span, value_span, d_r2_span, d_shape_span);
  }
  return py::make_tuple(value, d_r2, d_shape);
}

void wait_for(std::uintptr_t stream, int device) {
  const py::gil_scoped_release release;
  cuda::wait_for(stream, device);
}

// Into `out`, C-contiguous.
void download(std::uintptr_t address, py::array& out, int device) {
  void* to = out.mutable_data();
  const auto bytes = static_cast<std::size_t>(out.nbytes());
  const py::gil_scoped_release release;
  cuda::download(address, to, bytes, device);
}

// For _core's use_cuda().
py::capsule backend_maker() {
  static const jointlight::CudaMaker maker{&cuda::make_cuda_backend, &cuda::make_cuda_evaluator,
                                           &cuda::device_count, &cuda::cuda_ceilings,
                                           &jointlight::device_profile};
  return py::capsule(static_cast<const void*>(&maker), jointlight::cuda_maker_name);
}

}  // namespace

PYBIND11_MODULE(_cuda, m) {
  m.doc() = "CUDA devices and the profiles evaluated on them.";
  const py::object base = py::module_::import("jointlight.errors").attr("DeviceFailed");
  py::register_exception<cuda::CudaError>(m, "CudaError", base).attr("__doc__") =
      "What the CUDA runtime reported: no driver or device, or a call that failed.";
  m.def("probe", &probe, "Driver, runtime and devices; why there is nothing to use.");
  m.def("backend_maker", &backend_maker, "What makes backends, for the core.");
  m.def("device_of", &cuda::device_of, py::arg("address"),
        "Number of the device that can read an address, -1 for the host's memory.");
  m.def("wait_for", &wait_for, py::arg("stream"), py::arg("device"),
        "Returns once all that is in a stream has been done.");
  m.def("download", &download, py::arg("address"), py::arg("out"), py::arg("device"),
        "Copies a device's memory into an array.");
  m.def("architectures", &cuda::architectures, "Compute architectures the module was built for.");
  m.def("profiles", &cuda::profiles, "Names of the profiles the module was built with.");
  m.def("brightness", &brightness, py::arg("profile"), py::arg("shape"), py::arg("r2"),
        "Brightness at R^2 with its derivatives by R^2 and by the shape parameters.");
}
