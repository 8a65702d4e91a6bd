// SPDX-License-Identifier: BSD-3-Clause
// Scene.fit and Scene.describe: options in, outcome out.
#include "bindings/scene_handle.hpp"
#include "solve/lm.hpp"

namespace jointlight {
namespace {

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
        take("initial_lambda", options.initial_lambda) ||
        take("min_lambda", options.min_lambda) || take("max_lambda", options.max_lambda) ||
        take("chi2_noise", options.chi2_noise) ||
        take("degenerate_rcond", options.degenerate_rcond) ||
        take("covariance", options.covariance) ||
        take("covariance_max_size", options.covariance_max_size) ||
        take("dense_max_size", options.dense_max_size);
    require(known, "options: '", name, "' is not known");
  }
  return options;
}

py::dict history(const std::vector<IterationRecord>& records) {
  py::dict out;
  const auto column = [&](const char* name, auto member) {
    Array values(static_cast<py::ssize_t>(records.size()));
    for (std::size_t i = 0; i < records.size(); ++i) {
      values.mutable_data()[i] = static_cast<double>(records[i].*member);
    }
    out[name] = values;
  };
  column("iteration", &IterationRecord::iteration);
  column("accepted", &IterationRecord::accepted);
  column("chi2", &IterationRecord::chi2);
  column("trial_chi2", &IterationRecord::trial_chi2);
  column("predicted", &IterationRecord::predicted);
  column("gain_ratio", &IterationRecord::gain_ratio);
  column("lambda", &IterationRecord::lambda);
  column("step_norm", &IterationRecord::step_norm);
  column("gradient_cosine", &IterationRecord::gradient_cosine);
  column("n_bound", &IterationRecord::n_bound);
  column("n_linearize", &IterationRecord::n_linearize);
  column("n_chi2", &IterationRecord::n_chi2);
  column("time_s", &IterationRecord::time_s);
  return out;
}

void report(const py::object& callback, const IterationRecord& record,
            const std::vector<double>& v) {
  const py::gil_scoped_acquire gil;
  if (PyErr_CheckSignals() != 0) {
    PyErr_Clear();
    throw Interrupt();
  }
  if (callback.is_none()) return;
  py::dict state;
  state["iteration"] = record.iteration;
  state["accepted"] = record.accepted;
  state["chi2"] = record.chi2;
  state["trial_chi2"] = record.trial_chi2;
  state["gain_ratio"] = record.gain_ratio;
  state["lambda"] = record.lambda;
  state["step_norm"] = record.step_norm;
  state["n_linearize"] = record.n_linearize;
  state["time_s"] = record.time_s;
  state["v"] = to_array(v);
  try {
    const py::object answer = callback(state);
    if (!answer.is_none() && py::isinstance<py::bool_>(answer) && !py::cast<bool>(answer)) {
      throw Interrupt();
    }
  } catch (py::error_already_set& error) {
    if (error.matches(PyExc_KeyboardInterrupt)) throw Interrupt();
    throw;
  }
}

}  // namespace

py::dict fit_scene(SceneHandle& handle, const Array& v, const py::dict& options,
             const py::object& callback) {
  const ParameterMap& map = handle.scene->parameters();
  check_shape("v", v, {map.n_free()});
  const LMOptions lm = read_options(options);
  FitOutcome outcome;
  std::vector<double> natural, chi2_images;
  {
    const py::gil_scoped_release release;
    SceneHandle::Lease lease(handle);
    SceneProblem problem(handle.scene, *lease, true);
    problem.on_progress = [&](const IterationRecord& record, std::span<const double> x) {
      report(callback, record, map.to_natural(x));
    };
    outcome = levenberg_marquardt(
        problem, map.to_internal({v.data(), static_cast<std::size_t>(v.size())}), lm);
    natural = map.to_natural(outcome.x);
    map.covariance_to_natural(outcome.x, outcome.covariance);
    problem.chi2(outcome.x);
    chi2_images = problem.chi2_images();
  }
  const auto n = static_cast<py::ssize_t>(natural.size());
  py::dict out;
  out["v"] = to_array(natural);
  out["chi2"] = outcome.chi2;
  out["status"] = std::string(to_string(outcome.status));
  out["message"] = outcome.message;
  out["history"] = history(outcome.history);
  if (outcome.covariance.size() == static_cast<std::size_t>(n * n)) {
    out["covariance"] = to_array(outcome.covariance).reshape({n, n});
  } else {
    out["covariance"] = py::none();
  }
  py::array_t<bool> bound(n);
  for (py::ssize_t i = 0; i < n; ++i) {
    bound.mutable_data()[i] = outcome.at_bound[static_cast<std::size_t>(i)] != 0;
  }
  out["at_bound"] = bound;
  out["degenerate"] = outcome.degenerate;
  out["n_linearize"] = outcome.n_linearize;
  out["n_chi2"] = outcome.n_chi2;
  out["time_s"] = outcome.time_s;
  long n_pixels = 0;
  for (long count : handle.scene->n_pixels()) n_pixels += count;
  out["dof"] = n_pixels - static_cast<long>(n);
  out["chi2_images"] = to_array(chi2_images);
  out["n_pixels_images"] = handle.scene->n_pixels();
  return out;
}

py::dict describe_scene(SceneHandle& handle) {
  py::list tiles;
  for (std::size_t i = 0; i < handle.scene->tiles().size(); ++i) {
    const TileView& view = handle.scene->views()[i];
    py::dict tile;
    tile["image"] = handle.scene->tiles()[i].image;
    tile["window"] = py::make_tuple(view.x0, view.x0 + view.width, view.y0, view.y0 + view.height);
    tile["renderer"] = view.renderer == Renderer::fourier ? "fourier"
                       : view.renderer == Renderer::pixel ? "pixel"
                                                          : "sky";
    tile["box"] = py::make_tuple(view.transfer.box_x, view.transfer.box_y);
    tile["folds"] = handle.scene->folds(static_cast<int>(i));
    tiles.append(tile);
  }
  py::dict out;
  out["tiles"] = tiles;
  SceneHandle::Lease lease(handle);
  out["backend"] = (*lease).describe();
  return out;
}

}  // namespace jointlight
