// SPDX-License-Identifier: BSD-3-Clause
// What a fit found, as dictionaries of numpy arrays.
#include <pybind11/stl.h>

#include "bindings/arrays.hpp"
#include "bindings/fit_dicts.hpp"

namespace jointlight {
namespace {

// Calls take(name, member) for every column of a fit's record.
template <class Take>
void for_each_field(const Take& take) {
  using R = IterationRecord;
  take("iteration", &R::iteration);
  take("accepted", &R::accepted);
  take("chi2", &R::chi2);
  take("trial_chi2", &R::trial_chi2);
  take("predicted", &R::predicted);
  take("gain_ratio", &R::gain_ratio);
  take("lambda", &R::lambda);
  take("step_norm", &R::step_norm);
  take("gradient_cosine", &R::gradient_cosine);
  take("n_bound", &R::n_bound);
  take("n_linearize", &R::n_linearize);
  take("n_chi2", &R::n_chi2);
  take("time_s", &R::time_s);
}

py::dict history(const std::vector<IterationRecord>& records) {
  py::dict out;
  for_each_field([&](const char* name, auto member) {
    Array values(static_cast<py::ssize_t>(records.size()));
    for (std::size_t i = 0; i < records.size(); ++i) {
      values.mutable_data()[i] = static_cast<double>(records[i].*member);
    }
    out[name] = values;
  });
  return out;
}

// (data, indices, indptr): compressed columns of the lower triangle.
py::object sparse_covariance(const SceneFit& result) {
  const std::vector<double>& values = result.outcome.sparse_covariance;
  if (values.empty()) return py::none();
  const SparsePattern& pattern = result.plan.layout->pattern;
  return py::make_tuple(to_array(values), py::array_t<int>(py::cast(pattern.row)),
                        py::array_t<int>(py::cast(pattern.column_start)));
}

// chi2 and number of pixels by tile and by image.
void add_tile_sums(const SceneFit& result, py::dict& out) {
  const Scene& scene = *result.plan.scene;
  std::vector<double> chi2(scene.images().size(), 0.0);
  std::vector<long> n_pixels(scene.images().size(), 0);
  for (std::size_t t = 0; t < scene.tiles().size(); ++t) {
    const auto image = static_cast<std::size_t>(scene.tiles()[t].image);
    chi2[image] += result.chi2_tiles[t];
    n_pixels[image] += result.n_pixels_tiles[t];
  }
  out["chi2_images"] = to_array(chi2);
  out["n_pixels_images"] = n_pixels;
  out["chi2_tiles"] = to_array(result.chi2_tiles);
  out["n_pixels_tiles"] = result.n_pixels_tiles;
}

}  // namespace

py::dict record_dict(const IterationRecord& record) {
  py::dict out;
  for_each_field([&](const char* name, auto member) { out[name] = record.*member; });
  return out;
}

py::dict outcome_dict(const SceneFit& result) {
  const FitOutcome& outcome = result.outcome;
  const std::vector<double>& natural = result.natural;
  const auto n = static_cast<py::ssize_t>(natural.size());
  py::dict out;
  out["v"] = to_array(natural);
  out["chi2"] = outcome.chi2;
  out["status"] = std::string(to_string(outcome.status));
  out["message"] = outcome.message;
  out["history"] = history(outcome.history);
  const bool dense = outcome.covariance.size() == static_cast<std::size_t>(n * n);
  out["covariance"] = dense ? py::object(to_array(outcome.covariance).reshape({n, n})) : py::none();
  py::array_t<bool> bound(n);
  for (py::ssize_t i = 0; i < n; ++i) {
    bound.mutable_data()[i] = outcome.at_bound[static_cast<std::size_t>(i)] != 0;
  }
  out["at_bound"] = bound;
  out["degenerate"] = outcome.degenerate;
  out["n_linearize"] = outcome.n_linearize;
  out["n_chi2"] = outcome.n_chi2;
  out["time_s"] = outcome.time_s;
  out["component"] = outcome.component;
  py::list statuses;
  for (const Status status : outcome.component_status) {
    statuses.append(std::string(to_string(status)));
  }
  out["component_status"] = statuses;
  out["source_status"] = result.source_status;
  out["covariance_sparse"] = sparse_covariance(result);
  add_tile_sums(result, out);
  return out;
}

}  // namespace jointlight
