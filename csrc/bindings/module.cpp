// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/bindings.hpp"

PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used()) {
  m.doc() = "Compiled core of jointlight: scenes, evaluation and fitting.";
  jointlight::bind_profiles(m);
  jointlight::bind_builder(m);
  jointlight::bind_scene(m);
}
