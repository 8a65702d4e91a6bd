// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/bindings.hpp"
#include "solve/problem.hpp"

PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used()) {
  m.doc() = "Compiled core of jointlight: scenes, evaluation and fitting.";
  pybind11::register_exception_translator([](std::exception_ptr thrown) {
    try {
      if (thrown) std::rethrow_exception(thrown);
    } catch (const jointlight::Interrupt&) {
      PyErr_SetNone(PyExc_KeyboardInterrupt);
    }
  });
  jointlight::bind_profiles(m);
  jointlight::bind_builder(m);
  jointlight::bind_scene(m);
  jointlight::bind_stages(m);
  jointlight::bind_backends(m);
  jointlight::bind_batch(m);
  jointlight::bind_device_array(m);
}
