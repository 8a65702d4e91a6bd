// SPDX-License-Identifier: BSD-3-Clause
// What Python holds of a compiled scene: the scene, and workspaces handed out one per call, so
// that many threads may use it at once.
#pragma once

#include <pybind11/stl.h>

#include <array>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/backend_maker.hpp"
#include "scene/scene.hpp"
#include "solve/scene_problem.hpp"

namespace jointlight {

class SceneHandle {
 public:
  SceneHandle(std::shared_ptr<const Scene> scene, BackendMaker maker) : maker_(std::move(maker)) {
    replace(std::move(scene));
  }

  std::shared_ptr<const Scene> scene() {
    const std::lock_guard lock(mutex_);
    return scene_;
  }

  std::unique_ptr<Backend> make_backend(std::shared_ptr<const Scene> scene) const {
    return maker_(std::move(scene));
  }

  // Calls under way keep the plan they started with.
  std::shared_ptr<const NormalLayout> replace(std::shared_ptr<const Scene> scene) {
    auto layout = std::make_shared<const NormalLayout>(*scene);
    std::vector<std::unique_ptr<Backend>> old;  // let go outside the lock
    const std::lock_guard lock(mutex_);
    scene_ = std::move(scene);
    layout_ = layout;
    old.swap(idle_);
    return layout;
  }

  // A scene with a backend of this call's own, returned to the store afterwards.
  class Lease {
   public:
    explicit Lease(SceneHandle& owner) : owner_(owner) {
      const std::lock_guard lock(owner_.mutex_);
      scene_ = owner_.scene_;
      layout_ = owner_.layout_;
      if (!owner_.idle_.empty()) {
        backend_ = std::move(owner_.idle_.back());
        owner_.idle_.pop_back();
      }
    }
    ~Lease() {
      const std::lock_guard lock(owner_.mutex_);
      const bool wanted = scene_ == owner_.scene_ && owner_.idle_.size() < most_idle;
      if (backend_ && wanted) owner_.idle_.push_back(std::move(backend_));
    }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    const std::shared_ptr<const Scene>& scene() const { return scene_; }
    const std::shared_ptr<const NormalLayout>& layout() const { return layout_; }
    Backend& backend() {
      if (!backend_) backend_ = owner_.make_backend(scene_);
      return *backend_;
    }
    // A backend that will not be used again, before another one takes as much memory.
    void drop_backend() { backend_.reset(); }

   private:
    SceneHandle& owner_;
    std::shared_ptr<const Scene> scene_;
    std::shared_ptr<const NormalLayout> layout_;
    std::unique_ptr<Backend> backend_;
  };

  // Calls body(problem) without the GIL. Away from where the boxes suit, the scene is planned anew
  // for the call.
  template <class Body>
  void evaluate(std::span<const double> v, const Body& body) {
    const py::gil_scoped_release release;
    Lease lease(*this);
    SceneProblem problem(lease.scene(), lease.layout(), lease.backend(), false);
    if (lease.scene()->covers(problem.place(v))) return body(problem);
    const auto scene = std::make_shared<const Scene>(lease.scene()->respecified(v));
    const std::unique_ptr<Backend> backend = make_backend(scene);
    SceneProblem there(scene, std::make_shared<const NormalLayout>(*scene), *backend, false);
    body(there);
  }

 private:
  static constexpr std::size_t most_idle = 4;  // workspaces kept for calls to come

  std::mutex mutex_;
  std::shared_ptr<const Scene> scene_;
  std::shared_ptr<const NormalLayout> layout_;
  BackendMaker maker_;
  std::vector<std::unique_ptr<Backend>> idle_;
};

std::unique_ptr<SceneHandle> build_scene(const SceneSpec& spec, int n_threads, double memory_mb,
                                         double tolerance, const std::string& backend);

// A Python callable f(inputs) -> (values, jacobian), called with the GIL held only for the call.
// What it raises or returns amiss makes the evaluation non-finite.
FunctionTie make_function_tie(py::object function, std::vector<int> inputs,
                              std::vector<int> outputs);

}  // namespace jointlight
