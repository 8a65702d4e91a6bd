// SPDX-License-Identifier: BSD-3-Clause
// fit_scenes and fit_stamps: many fits in one call, the GIL released.
#include <optional>

#include "bindings/backend_maker.hpp"
#include "bindings/batch_columns.hpp"
#include "bindings/bindings.hpp"
#include "bindings/fit_dicts.hpp"
#include "bindings/scene_handle.hpp"
#include "bindings/stamp_table.hpp"

namespace jointlight {
namespace {

// Runs without the GIL; what the callback raises is raised here in the end, except for a keyboard
// interrupt, which only stops.
py::dict run(BatchColumns& columns, const std::vector<std::int64_t>& n_pixels, int n_threads,
             const std::function<BatchJob(std::size_t)>& job, const LMOptions& lm,
             const py::object& callback, const std::string& backend) {
  const auto made = make_evaluators(backend);
  std::vector<Evaluator*> evaluators;
  for (const auto& evaluator : made) evaluators.push_back(evaluator.get());
  std::optional<py::error_already_set> raised;
  const auto poll = [&](std::size_t done) {
    const py::gil_scoped_acquire gil;
    try {
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
      if (callback.is_none()) return true;
      const py::object answer = callback(done);
      const int go_on = answer.is_none() ? 1 : PyObject_IsTrue(answer.ptr());
      if (go_on < 0) throw py::error_already_set();
      return go_on == 1;
    } catch (py::error_already_set& error) {
      if (!error.matches(PyExc_KeyboardInterrupt)) raised.emplace(error);
      return false;
    }
  };
  {
    const py::gil_scoped_release release;
    run_batch(n_pixels, n_threads, job, lm, poll, columns.output, evaluators);
  }
  if (raised) throw py::error_already_set(*raised);
  return columns.finish();
}

py::dict fit_scenes(const py::list& scenes, const py::list& starts, const py::dict& options,
                    int n_threads, bool covariance, const py::object& callback,
                    const std::string& backend) {
  // The list may change while the GIL is not held.
  std::vector<std::shared_ptr<const Scene>> compiled;
  std::vector<std::vector<double>> start;
  std::vector<std::int64_t> sizes, n_pixels;
  require(scenes.size() == starts.size(), "there are ", scenes.size(), " scenes and ",
          starts.size(), " starts");
  for (std::size_t i = 0; i < scenes.size(); ++i) {
    compiled.push_back(py::cast<SceneHandle&>(scenes[i]).scene());
    const Scene& scene = *compiled.back();
    const auto v = py::cast<Array>(starts[i]);
    check_shape("v", v, {scene.parameters().n_free()});
    start.push_back(to_vector<double>(v));
    sizes.push_back(v.size());
    n_pixels.push_back(0);
    for (const ImageSpec& image : scene.images()) {
      n_pixels.back() += static_cast<std::int64_t>(image.data.size());
    }
  }
  const LMOptions lm = read_options(options);
  BatchColumns columns(sizes, covariance, lm.covariance_max_size);
  const auto job = [&](std::size_t i) { return BatchJob{compiled[i], start[i]}; };
  return run(columns, n_pixels, n_threads, job, lm, callback, backend);
}

py::dict fit_stamps(const SceneSpec& kind, const py::list& images, const Array& start,
                    const py::object& lower, const py::object& upper, const py::object& constants,
                    const py::dict& options, int n_threads, bool covariance,
                    const py::object& callback, const std::string& backend) {
  const auto n_free = static_cast<std::size_t>(kind.parameters.n_free);
  const auto n_slots = static_cast<std::size_t>(kind.parameters.n_slots);
  check_shape("start", start, {-1, kind.parameters.n_free});
  const auto n = static_cast<std::size_t>(start.shape(0));
  require(images.size() == kind.images.size(), "stamps on ", images.size(), " images, expected ",
          kind.images.size());
  const StampTable stamps(n, images);
  std::vector<Array> kept;
  const auto table = [&](const char* name, const py::object& given, std::size_t width) {
    if (given.is_none()) return static_cast<const double*>(nullptr);
    kept.push_back(py::cast<Array>(given));
    check_shape(name, kept.back(), {start.shape(0), static_cast<py::ssize_t>(width)});
    return kept.back().data();
  };
  const double* low = table("lower", lower, n_free);
  const double* high = table("upper", upper, n_free);
  const double* fixed = table("constants", constants, n_slots);
  const double* v = start.data();
  std::vector<std::int64_t> n_pixels(n, 0);
  for (std::size_t i = 0; i < n; ++i) {
    for (const Stamp& stamp : stamps.of(i)) {
      n_pixels[i] += static_cast<std::int64_t>(stamp.width) * stamp.height;
    }
  }
  const LMOptions lm = read_options(options);
  BatchColumns columns(std::vector<std::int64_t>(n, kind.parameters.n_free), covariance,
                       lm.covariance_max_size);
  const auto job = [&](std::size_t i) {
    const auto row = [&](const double* all, std::size_t width) {
      return all == nullptr ? nullptr : all + i * width;
    };
    const StampParameters own{row(v, n_free), row(low, n_free), row(high, n_free),
                              row(fixed, n_slots)};
    return BatchJob{std::make_shared<const Scene>(stamp_spec(kind, stamps.of(i), own)),
                    {own.start, own.start + n_free}};
  };
  return run(columns, n_pixels, n_threads, job, lm, callback, backend);
}

}  // namespace

void bind_batch(py::module_& m) {
  m.def(
      "batch_statuses",
      [] {
        py::list out;
        for (int code = 0; code < n_batch_statuses; ++code) {
          const BatchStatus status = batch_status(code);
          out.append(py::make_tuple(status.name, status.sentence, status.is_success));
        }
        return out;
      },
      "Name, sentence and success of each status code of many fits.");
  m.def("fit_scenes", &fit_scenes, "Fit many compiled scenes.", py::arg("scenes"),
        py::arg("starts"), py::arg("options") = py::dict(), py::arg("n_threads") = 0,
        py::arg("covariance") = false, py::arg("callback") = py::none(),
        py::arg("backend") = "cpu");
  m.def("fit_stamps", &fit_stamps, "Fit many objects of one kind, given as arrays.",
        py::arg("template"), py::arg("images"), py::arg("start"), py::arg("lower") = py::none(),
        py::arg("upper") = py::none(), py::arg("constants") = py::none(),
        py::arg("options") = py::dict(), py::arg("n_threads") = 0, py::arg("covariance") = false,
        py::arg("callback") = py::none(), py::arg("backend") = "cpu");
}

}  // namespace jointlight
