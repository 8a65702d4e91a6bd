// SPDX-License-Identifier: BSD-3-Clause
// Ties that are Python functions.
#include "bindings/scene_handle.hpp"

namespace jointlight {

FunctionTie make_function_tie(py::object function, std::vector<int> inputs,
                              std::vector<int> outputs) {
  FunctionTie tie;
  const auto n_in = static_cast<py::ssize_t>(inputs.size());
  const auto n_out = static_cast<py::ssize_t>(outputs.size());
  tie.inputs = std::move(inputs);
  tie.outputs = std::move(outputs);
  // The last owner may let go without the GIL.
  const std::shared_ptr<py::object> held(new py::object(std::move(function)), [](py::object* p) {
    const py::gil_scoped_acquire gil;
    delete p;
  });
  tie.evaluate = [held, n_in, n_out](const double* in, double* values, double* jacobian) {
    const py::gil_scoped_acquire gil;
    try {
      Array argument(n_in);
      std::copy_n(in, n_in, argument.mutable_data());
      const py::tuple result = (*held)(argument);
      const auto value = py::cast<Array>(result[0]), slope = py::cast<Array>(result[1]);
      if (value.size() != n_out || slope.size() != n_in * n_out) return false;
      std::copy_n(value.data(), n_out, values);
      std::copy_n(slope.data(), n_in * n_out, jacobian);
      return true;
    } catch (py::error_already_set& error) {
      if (error.matches(PyExc_KeyboardInterrupt)) throw Interrupt();
      return false;
    } catch (const py::cast_error&) {
      return false;
    }
  };
  return tie;
}

}  // namespace jointlight
