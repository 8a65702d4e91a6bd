// SPDX-License-Identifier: BSD-3-Clause
// Checked numpy arrays: the message names the argument, its shape and what is expected.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>
#include <vector>

#include "base/error.hpp"

namespace jointlight {

namespace py = pybind11;
using Array = py::array_t<double, py::array::c_style | py::array::forcecast>;
using IntArray = py::array_t<int, py::array::c_style | py::array::forcecast>;

inline std::string shape_text(const py::array& array) {
  std::string text = "(";
  for (py::ssize_t i = 0; i < array.ndim(); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(array.shape(i));
  }
  return text + ")";
}

// `shape`: expected lengths, -1 = any.
inline void check_shape(const char* name, const py::array& array,
                        std::initializer_list<py::ssize_t> shape) {
  bool ok = array.ndim() == static_cast<py::ssize_t>(shape.size());
  std::string expected = "(";
  py::ssize_t i = 0;
  for (py::ssize_t length : shape) {
    ok = ok && (length < 0 || array.shape(i) == length);
    expected += (i > 0 ? ", " : "") + (length < 0 ? std::string("any") : std::to_string(length));
    ++i;
  }
  require(ok, name, " has shape ", shape_text(array), ", expected ", expected, ")");
}

template <class T, class A>
std::vector<T> to_vector(const A& array) {
  return std::vector<T>(array.data(), array.data() + array.size());
}

template <class T>
Array to_array(const std::vector<T>& values) {
  Array out(static_cast<py::ssize_t>(values.size()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    out.mutable_data()[i] = static_cast<double>(values[i]);
  }
  return out;
}

}  // namespace jointlight
