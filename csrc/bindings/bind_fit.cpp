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

// [n_free] of bool; all `absent` where None is given.
std::vector<std::uint8_t> read_mask(const char* name, SceneHandle& handle, const Array& v,
                                    const py::object& given, std::uint8_t absent) {
  const int n = handle.scene()->parameters().n_free();
  check_shape("v", v, {n});
  std::vector<std::uint8_t> mask(static_cast<std::size_t>(n), absent);
  if (given.is_none()) return mask;
  const auto values = py::cast<py::array_t<bool, py::array::c_style | py::array::forcecast>>(given);
  check_shape(name, values, {n});
  for (std::size_t i = 0; i < mask.size(); ++i) mask[i] = values.data()[i] ? 1 : 0;
  return mask;
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

py::array_t<double> covariance_columns(SceneHandle& handle, const Array& v, const py::object& held,
                                       const IntArray& indices) {
  const std::vector<std::uint8_t> mask = read_mask("held", handle, v, held, 0);
  const auto n = v.size(), k = indices.size();
  for (py::ssize_t i = 0; i < k; ++i) {
    require(indices.data()[i] >= 0 && indices.data()[i] < n, "indices[", i,
            "] = ", indices.data()[i], " must lie in 0..", n - 1);
  }
  const std::vector<int> wanted = to_vector<int>(indices);
  std::vector<double> columns;
  {
    const py::gil_scoped_release release;
    SceneHandle::Lease lease(handle);
    columns = natural_covariance_columns({lease.scene(), lease.layout(), &lease.backend()},
                                         {v.data(), static_cast<std::size_t>(n)}, mask, wanted,
                                         LMOptions{});
  }
  Array out({n, k});
  for (py::ssize_t i = 0; i < n; ++i) {
    for (py::ssize_t c = 0; c < k; ++c) {
      out.mutable_data()[i * k + c] = columns[static_cast<std::size_t>(c * n + i)];
    }
  }
  return out;
}

py::dict run_fit(SceneHandle& handle, const Array& v, const py::dict& options,
                 const py::object& callback, const py::object& active) {
  const std::vector<std::uint8_t> moves = read_mask("active", handle, v, active, 1);
  const LMOptions lm = read_options(options);
  SceneFit result;
  {
    const py::gil_scoped_release release;
    const auto on_progress = [&](const IterationRecord& record, const std::vector<double>& at) {
      report(callback, record, at);
    };
    SceneHandle::Lease lease(handle);
    std::unique_ptr<Backend> own;
    const auto replan = [&](std::shared_ptr<const Scene> scene) {
      handle.replace(scene);
      own = handle.make_backend(scene);
      return Plan{scene, std::make_shared<const NormalLayout>(*scene), own.get()};
    };
    result =
        fit_scene({lease.scene(), lease.layout(), &lease.backend()},
                  {v.data(), static_cast<std::size_t>(v.size())}, moves, lm, on_progress, replan);
  }
  const FitOutcome& outcome = result.outcome;
  const std::vector<double>& natural = result.natural;
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
