// SPDX-License-Identifier: BSD-3-Clause
// Scene.fit, Scene.covariance_columns and Scene.describe.
#include "bindings/fit_dicts.hpp"
#include "bindings/scene_handle.hpp"
#include "solve/scene_fit.hpp"

namespace jointlight {
namespace {

void report(const py::object& callback, const IterationRecord& record,
            const std::vector<double>& v) {
  const py::gil_scoped_acquire gil;
  if (PyErr_CheckSignals() != 0) {
    if (PyErr_ExceptionMatches(PyExc_KeyboardInterrupt) == 0) throw py::error_already_set();
    PyErr_Clear();
    throw Interrupt();
  }
  if (callback.is_none()) return;
  py::dict state = record_dict(record);
  state["v"] = to_array(v);
  try {
    const py::object answer = callback(state);
    const int go_on = answer.is_none() ? 1 : PyObject_IsTrue(answer.ptr());
    if (go_on < 0) throw py::error_already_set();
    if (go_on == 0) throw Interrupt();
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
      auto layout = handle.replace(scene);
      own.reset();
      lease.drop_backend();
      own = handle.make_backend(scene);
      return Plan{std::move(scene), std::move(layout), own.get()};
    };
    result =
        fit_scene({lease.scene(), lease.layout(), &lease.backend()},
                  {v.data(), static_cast<std::size_t>(v.size())}, moves, lm, on_progress, replan);
  }
  return outcome_dict(result);
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
