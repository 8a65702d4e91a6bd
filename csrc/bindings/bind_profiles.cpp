// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include "backend/cpu/kernels.hpp"
#include "backend/cpu/thread_pool.hpp"
#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"
#include "scene/transform_table.hpp"

namespace jointlight {
namespace {

py::dict profiles() {
  py::dict out;
  for (const ProfileInfo& info : profile_registry()) {
    py::dict entry;
    entry["shape_names"] = info.shape_names;
    entry["shape_min"] = info.shape_min;
    entry["shape_max"] = info.shape_max;
    entry["scale_name"] = info.scale_name;
    entry["amplitude_name"] = info.amplitude_name;
    out[py::str(info.name)] = entry;
  }
  return out;
}

py::tuple flux_factor(const std::string& profile, const Array& shape) {
  const int index = find_profile(profile);
  require(index >= 0, "profile: '", profile, "' is not known");
  const ProfileInfo& info = profile_registry()[static_cast<std::size_t>(index)];
  check_shape("shape", shape, {info.n_shape});
  for (int i = 0; i < info.n_shape; ++i) {
    const auto k = static_cast<std::size_t>(i);
    const double value = shape.data()[i];
    require(value >= info.shape_min[k] && value <= info.shape_max[k], info.shape_names[k], " = ",
            value, " lies outside ", info.shape_min[k], "..", info.shape_max[k]);
  }
  double by_shape[2] = {};
  const double value = transform_table(index).flux_factor(shape.data(), by_shape);
  Array derivative(info.n_shape);
  for (int i = 0; i < info.n_shape; ++i) derivative.mutable_data()[i] = by_shape[i];
  return py::make_tuple(value, derivative);
}

py::dict build_info() {
  py::dict out;
  out["version"] = JOINTLIGHT_VERSION;
  out["compiler"] = JOINTLIGHT_COMPILER;
  out["vector_width"] = kernels().vector_width;
  out["default_threads"] = default_threads();
  return out;
}

}  // namespace

void bind_profiles(py::module_& m) {
  m.def("profiles", &profiles, "Radial profiles of this build, by name.");
  m.def("flux_factor", &flux_factor, py::arg("profile"), py::arg("shape"),
        "Flux of unit amplitude, unit scale radius and q = 1, and its derivative by shape.");
  m.def(
      "isa", [] { return std::string(kernels().isa).substr(4); }, "Instruction-set level in use.");
  m.def("build_info", &build_info, "Version, compiler and defaults of this build.");
}

}  // namespace jointlight
