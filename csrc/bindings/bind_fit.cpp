// SPDX-License-Identifier: BSD-3-Clause
// Scene.fit and Scene.describe: options in, outcome out.
#include "bindings/scene_handle.hpp"
#include "solve/scene_fit.hpp"

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

void report(const py::object& callback, const IterationRecord& record,
            const std::vector<double>& v) {
  const py::gil_scoped_acquire gil;
  if (PyErr_CheckSignals() != 0) {
    if (PyErr_ExceptionMatches(PyExc_KeyboardInterrupt) == 0) throw py::error_already_set();
    PyErr_Clear();
    throw Interrupt();
  }
  if (callback.is_none()) return;
  py::dict state;
  for_each_field([&](const char* name, auto member) { state[name] = record.*member; });
  state["v"] = to_array(v);
  try {
    const py::object answer = callback(state);
    if (!answer.is_none() && PyObject_IsTrue(answer.ptr()) == 0) throw Interrupt();
  } catch (py::error_already_set& error) {
    if (error.matches(PyExc_KeyboardInterrupt)) throw Interrupt();
    throw;
  }
}

}  // namespace

py::dict run_fit(SceneHandle& handle, const Array& v, const py::dict& options,
                 const py::object& callback) {
  check_shape("v", v, {handle.scene()->parameters().n_free()});
  const LMOptions lm = read_options(options);
  SceneFit result;
  {
    const py::gil_scoped_release release;
    const auto on_progress = [&](const IterationRecord& record, const std::vector<double>& at) {
      report(callback, record, at);
    };
    SceneHandle::Lease lease(handle);
    result =
        fit_scene(lease.scene(), lease.backend(), {v.data(), static_cast<std::size_t>(v.size())},
                  lm, on_progress, [&](std::shared_ptr<const Scene> scene) {
                    handle.replace(scene);
                    return make_cpu_backend(std::move(scene), handle.n_threads());
                  });
  }
  const FitOutcome& outcome = result.outcome;
  const std::vector<double>&natural = result.natural, &chi2_images = result.chi2_images;
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
  for (long count : result.n_pixels) n_pixels += count;
  out["dof"] = n_pixels - static_cast<long>(n);
  out["chi2_images"] = to_array(chi2_images);
  out["n_pixels_images"] = result.n_pixels;
  return out;
}

py::dict describe_scene(SceneHandle& handle) {
  py::list tiles;
  SceneHandle::Lease lease(handle);
  const auto& scene = lease.scene();
  for (std::size_t i = 0; i < scene->tiles().size(); ++i) {
    const TileView& view = scene->views()[i];
    py::dict tile;
    tile["image"] = scene->tiles()[i].image;
    tile["window"] = py::make_tuple(view.x0, view.x0 + view.width, view.y0, view.y0 + view.height);
    tile["renderer"] = view.renderer == Renderer::fourier ? "fourier"
                       : view.renderer == Renderer::pixel ? "pixel"
                                                          : "sky";
    tile["box"] = py::make_tuple(view.transfer.box_x, view.transfer.box_y);
    tile["folds"] = scene->folds(static_cast<int>(i));
    tiles.append(tile);
  }
  py::dict out;
  out["tiles"] = tiles;
  out["backend"] = lease.backend().describe();
  return out;
}

}  // namespace jointlight
