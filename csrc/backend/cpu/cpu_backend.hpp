// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <memory>

#include "backend/backend.hpp"

namespace jointlight {

// Memory for the lanes of all tiles, above which images are evaluated in batches: then nothing is
// kept from one evaluation to the next.
inline constexpr std::size_t default_field_bytes = std::size_t{1} << 30;

// One evaluation at a time; make one per thread that evaluates the same scene.
std::unique_ptr<Backend> make_cpu_backend(std::shared_ptr<const Scene> scene, int n_threads,
                                          std::size_t field_bytes = default_field_bytes);

}  // namespace jointlight
