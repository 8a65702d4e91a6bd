// SPDX-License-Identifier: BSD-3-Clause
// Scene: evaluation and fitting. The GIL is released around every core call.
#include "bindings/backend_maker.hpp"
#include "bindings/bindings.hpp"
#include "bindings/device_array.hpp"
#include "bindings/scene_handle.hpp"

namespace jointlight {

py::dict run_fit(SceneHandle& handle, const Array& v, const py::dict& options,
                 const py::object& callback, const py::object& active);  // bind_fit.cpp
py::array_t<double> covariance_columns(SceneHandle& handle, const Array& v, const py::object& held,
                                       const IntArray& indices);  // bind_fit.cpp
py::dict describe_scene(SceneHandle& handle);                     // bind_fit.cpp

std::unique_ptr<SceneHandle> build_scene(const SceneSpec& spec, int n_threads, double memory_mb,
                                         double tolerance, const std::string& backend) {
  require(memory_mb > 0.0, "memory_mb = ", memory_mb, " must be positive");
  SceneSpec copy = spec;
  copy.tolerance = tolerance;
  const py::gil_scoped_release release;
  return std::make_unique<SceneHandle>(
      std::make_shared<const Scene>(std::move(copy)),
      backend_maker(backend, n_threads,
                    static_cast<std::size_t>(std::min(memory_mb, 1e9) * 1048576.0)));
}

namespace {

std::span<const double> checked(SceneHandle& handle, const Array& v) {
  check_shape("v", v, {handle.scene()->parameters().n_free()});
  return {v.data(), static_cast<std::size_t>(v.size())};
}

const ImageSpec& checked_image(const Scene& scene, int image) {
  const auto& images = scene.images();
  require(image >= 0 && image < static_cast<int>(images.size()), "image ", image,
          " does not exist; the scene has ", images.size());
  return images[static_cast<std::size_t>(image)];
}

Array render(SceneHandle& handle, const Array& v, int image) {
  const auto x = checked(handle, v);
  const auto scene = handle.scene();
  const ImageSpec& spec = checked_image(*scene, image);
  Array out({spec.height, spec.width});
  double* target = out.mutable_data();
  handle.evaluate(x, [&](SceneProblem& problem) { problem.render(x, image, target); });
  return out;
}

DeviceArray render_on_device(SceneHandle& handle, const Array& v, int image) {
  const auto x = checked(handle, v);
  const auto scene = handle.scene();
  const ImageSpec& spec = checked_image(*scene, image);
  DeviceModel model;
  handle.evaluate(x, [&](SceneProblem& problem) { model = problem.render_on_device(x, image); });
  return device_array(model, {spec.height, spec.width});
}

py::list render_tiles(SceneHandle& handle, const Array& v, const IntArray& tiles) {
  const auto x = checked(handle, v);
  const auto scene = handle.scene();
  py::list out;
  std::vector<double*> targets;
  for (py::ssize_t k = 0; k < tiles.size(); ++k) {
    const int tile = tiles.data()[k];
    require(tile >= 0 && tile < static_cast<int>(scene->views().size()), "tile ", tile,
            " does not exist; the scene has ", scene->views().size());
    const TileView& view = scene->views()[static_cast<std::size_t>(tile)];
    Array image({view.height, view.width});
    targets.push_back(image.mutable_data());
    out.append(image);
  }
  const std::vector<int> wanted = to_vector<int>(tiles);
  handle.evaluate(x, [&](SceneProblem& problem) { problem.render_tiles(x, wanted, targets); });
  return out;
}

double chi2(SceneHandle& handle, const Array& v) {
  const auto x = checked(handle, v);
  double value = 0.0;
  handle.evaluate(x, [&](SceneProblem& problem) { value = problem.chi2(x); });
  return value;
}

py::tuple linearize(SceneHandle& handle, const Array& v) {
  const auto x = checked(handle, v);
  const auto n = static_cast<py::ssize_t>(x.size());
  Array gradient(n), hessian({n, n});
  std::span<double> g(gradient.mutable_data(), x.size());
  double* target = hessian.mutable_data();
  double value = 0.0;
  handle.evaluate(x, [&](SceneProblem& problem) {
    const SparsePattern& pattern = problem.pattern();
    std::vector<double> h(pattern.row.size());
    value = problem.linearize(x, g, h);
    std::fill_n(target, n * n, 0.0);
    for (int j = 0; j < pattern.n; ++j) {
      const auto column = static_cast<std::size_t>(j);
      for (int e = pattern.column_start[column]; e < pattern.column_start[column + 1]; ++e) {
        const int i = pattern.row[static_cast<std::size_t>(e)];
        target[i * n + j] = target[j * n + i] = h[static_cast<std::size_t>(e)];
      }
    }
  });
  return py::make_tuple(value, gradient, hessian);
}

// With the image itself into `model`, if that is given.
Array jacobian(SceneHandle& handle, const Array& v, int image, Array* model) {
  const auto x = checked(handle, v);
  const auto scene = handle.scene();
  const ImageSpec& spec = checked_image(*scene, image);
  Array out({static_cast<py::ssize_t>(x.size()), static_cast<py::ssize_t>(spec.height),
             static_cast<py::ssize_t>(spec.width)});
  if (model != nullptr) *model = Array({spec.height, spec.width});
  double* target = out.mutable_data();
  double* value = model != nullptr ? model->mutable_data() : nullptr;
  handle.evaluate(x, [&](SceneProblem& problem) { problem.jacobian(x, image, target, value); });
  return out;
}

py::tuple model_and_jacobian(SceneHandle& handle, const Array& v, int image) {
  Array model;
  const Array columns = jacobian(handle, v, image, &model);
  return py::make_tuple(model, columns);
}

}  // namespace

void bind_scene(py::module_& m) {
  py::class_<SceneHandle>(m, "Scene", "A compiled problem; safe to use from many threads.")
      .def("render", &render, py::arg("v"), py::arg("image"))
      .def("render_on_device", &render_on_device, py::arg("v"), py::arg("image"))
      .def("render_tiles", &render_tiles, py::arg("v"), py::arg("tiles"))
      .def("chi2", &chi2, py::arg("v"))
      .def("linearize", &linearize, py::arg("v"))
      .def(
          "jacobian",
          [](SceneHandle& handle, const Array& v, int image) {
            return jacobian(handle, v, image, nullptr);
          },
          py::arg("v"), py::arg("image"))
      .def("model_and_jacobian", &model_and_jacobian, py::arg("v"), py::arg("image"))
      .def("fit", &run_fit, py::arg("v"), py::arg("options") = py::dict(),
           py::arg("callback") = py::none(), py::arg("active") = py::none())
      .def("covariance_columns", &covariance_columns, py::arg("v"), py::arg("held"),
           py::arg("indices"))
      .def("held_together",
           [](SceneHandle& handle) { return handle.scene()->parameters().chart_groups(); })
      .def("describe", &describe_scene);
}

}  // namespace jointlight
