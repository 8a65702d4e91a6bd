// SPDX-License-Identifier: BSD-3-Clause
// Options of a fit, by name.
#include <string>
#include <type_traits>

#include "base/error.hpp"
#include "bindings/fit_dicts.hpp"

namespace jointlight {

namespace py = pybind11;

LMOptions read_options(const py::dict& given) {
  LMOptions options;
  for (const auto& [key, value] : given) {
    const auto name = py::cast<std::string>(key);
    const auto take = [&](const char* field, auto& target) {
      if (name != field) return false;
      target = py::cast<std::remove_reference_t<decltype(target)>>(value);
      return true;
    };
    const bool known =
        take("ftol", options.ftol) || take("xtol", options.xtol) || take("gtol", options.gtol) ||
        take("max_iterations", options.max_iterations) ||
        take("time_limit_s", options.time_limit_s) ||
        take("component_time_limit_s", options.component_time_limit_s) ||
        take("initial_lambda", options.initial_lambda) || take("min_lambda", options.min_lambda) ||
        take("max_lambda", options.max_lambda) || take("chi2_noise", options.chi2_noise) ||
        take("degenerate_rcond", options.degenerate_rcond) ||
        take("covariance", options.covariance) ||
        take("covariance_max_size", options.covariance_max_size) ||
        take("dense_max_size", options.dense_max_size);
    require(known, "options: '", name, "' is not known");
  }
  return options;
}

}  // namespace jointlight
