// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <memory>

#include "backend/backend.hpp"

namespace jointlight {

// One evaluation at a time; make one per thread that evaluates the same scene.
std::unique_ptr<Backend> make_cpu_backend(std::shared_ptr<const Scene> scene, int n_threads);

}  // namespace jointlight
