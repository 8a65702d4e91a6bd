// SPDX-License-Identifier: BSD-3-Clause
// fit_scenes and fit_stamps: many fits in one call, the GIL released.
#include <optional>

#include "bindings/bindings.hpp"
#include "bindings/fit_dicts.hpp"
#include "bindings/scene_handle.hpp"
#include "bindings/stamp_table.hpp"
#include "solve/batch.hpp"

namespace jointlight {
namespace {

// The columns of a batch as numpy arrays.
class Columns {
 public:
  // sizes: free parameters of each object
  Columns(const std::vector<std::int64_t>& sizes, bool covariance) {
    const auto n = static_cast<py::ssize_t>(sizes.size());
    auto* offset = add<std::int64_t>("offset", n + 1);
    auto* square = add<std::int64_t>("covariance_offset", n + 1);
    offset[0] = square[0] = 0;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      offset[i + 1] = offset[i] + sizes[i];
      square[i + 1] = square[i] + sizes[i] * sizes[i];
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

// Runs without the GIL; what the callback raises is raised here in the end, except for a keyboard
// interrupt, which only stops.
py::dict run(Columns& columns, std::size_t n, int n_threads,
             const std::function<BatchJob(std::size_t)>& job, const py::dict& options,
             const py::object& callback) {
  const LMOptions lm = read_options(options);
  std::optional<py::error_already_set> raised;
  const auto poll = [&](std::size_t done) {
    const py::gil_scoped_acquire gil;
    try {
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
      if (callback.is_none()) return true;
      const py::object answer = callback(done);
      return answer.is_none() || PyObject_IsTrue(answer.ptr()) == 1;
    } catch (py::error_already_set& error) {
      if (!error.matches(PyExc_KeyboardInterrupt)) raised.emplace(error);
      return false;
    }
  };
  {
    const py::gil_scoped_release release;
    run_batch(n, n_threads, job, lm, poll, columns.output);
  }
  if (raised) throw py::error_already_set(*raised);
  return columns.finish();
}

py::dict fit_scenes(const py::list& scenes, const py::list& starts, const py::dict& options,
                    int n_threads, bool covariance, const py::object& callback) {
  std::vector<SceneHandle*> handles;
  std::vector<std::vector<double>> start;
  std::vector<std::int64_t> sizes;
  require(scenes.size() == starts.size(), "there are ", scenes.size(), " scenes and ",
          starts.size(), " starts");
  for (std::size_t i = 0; i < scenes.size(); ++i) {
    handles.push_back(&py::cast<SceneHandle&>(scenes[i]));
    const auto v = py::cast<Array>(starts[i]);
    check_shape("v", v, {handles.back()->scene()->parameters().n_free()});
    start.push_back(to_vector<double>(v));
    sizes.push_back(v.size());
  }
  Columns columns(sizes, covariance);
  const auto job = [&](std::size_t i) { return BatchJob{handles[i]->scene(), start[i]}; };
  return run(columns, handles.size(), n_threads, job, options, callback);
}

py::dict fit_stamps(const SceneSpec& kind, const py::list& images, const Array& start,
                    const py::object& lower, const py::object& upper, const py::object& constants,
                    const py::dict& options, int n_threads, bool covariance,
                    const py::object& callback) {
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
  Columns columns(std::vector<std::int64_t>(n, kind.parameters.n_free), covariance);
  const auto job = [&](std::size_t i) {
    const auto row = [&](const double* all, std::size_t width) {
      return all == nullptr ? nullptr : all + i * width;
    };
    const StampParameters own{row(v, n_free), row(low, n_free), row(high, n_free),
                              row(fixed, n_slots)};
    return BatchJob{std::make_shared<const Scene>(stamp_spec(kind, stamps.of(i), own)),
                    {own.start, own.start + n_free}};
  };
  return run(columns, n, n_threads, job, options, callback);
}

}  // namespace

void bind_batch(py::module_& m) {
  m.def("fit_scenes", &fit_scenes, "Fit many compiled scenes.", py::arg("scenes"),
        py::arg("starts"), py::arg("options") = py::dict(), py::arg("n_threads") = 0,
        py::arg("covariance") = false, py::arg("callback") = py::none());
  m.def("fit_stamps", &fit_stamps, "Fit many objects of one kind, given as arrays.",
        py::arg("template"), py::arg("images"), py::arg("start"), py::arg("lower") = py::none(),
        py::arg("upper") = py::none(), py::arg("constants") = py::none(),
        py::arg("options") = py::dict(), py::arg("n_threads") = 0, py::arg("covariance") = false,
        py::arg("callback") = py::none());
}

}  // namespace jointlight
