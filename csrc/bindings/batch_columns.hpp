// SPDX-License-Identifier: BSD-3-Clause
// The columns of a batch as numpy arrays.
#pragma once

#include <vector>

#include "bindings/arrays.hpp"
#include "solve/batch.hpp"

namespace jointlight {

class BatchColumns {
 public:
  // sizes: free parameters of each object; covariance_max_size: most for a matrix, if wanted
  BatchColumns(const std::vector<std::int64_t>& sizes, bool covariance, int covariance_max_size) {
    const auto n = static_cast<py::ssize_t>(sizes.size());
    auto* offset = add<std::int64_t>("offset", n + 1);
    auto* square = add<std::int64_t>("covariance_offset", n + 1);
    offset[0] = square[0] = 0;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      offset[i + 1] = offset[i] + sizes[i];
      square[i + 1] = square[i] + (sizes[i] <= covariance_max_size ? sizes[i] * sizes[i] : 0);
    }
    output.offset = offset;
    output.covariance_offset = square;
    output.status = add<std::int8_t>("status", n);
    output.chi2 = add<double>("chi2", n);
    output.time_s = add<double>("time_s", n);
    output.n_pixels = add<std::int64_t>("n_pixels", n);
    output.n_null = add<int>("n_null", n);
    output.n_linearize = add<int>("n_linearize", n);
    output.n_chi2 = add<int>("n_chi2", n);
    output.values = add<double>("values", offset[n]);
    output.variances = add<double>("variances", offset[n]);
    output.moved = add<std::uint8_t>("moved", n);
    output.at_bound = add<std::uint8_t>("at_bound", offset[n]);
    output.degenerate = add<std::uint8_t>("degenerate", offset[n]);
    output.covariance = covariance ? add<double>("covariance", square[n]) : nullptr;
  }

  py::dict finish() {
    py::dict messages;
    for (std::size_t i = 0; i < output.messages.size(); ++i) {
      if (!output.messages[i].empty()) messages[py::int_(i)] = output.messages[i];
    }
    columns_["messages"] = messages;
    columns_["device_failure"] = output.device_failure;
    return columns_;
  }

  BatchOutput output;

 private:
  template <class T>
  T* add(const char* name, py::ssize_t size) {
    py::array_t<T> array(size);
    columns_[name] = array;
    return array.mutable_data();
  }

  py::dict columns_;
};

}  // namespace jointlight
