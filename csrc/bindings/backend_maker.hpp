// SPDX-License-Identifier: BSD-3-Clause
// Backends by name.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "backend/backend.hpp"

namespace jointlight {

using BackendMaker = std::function<std::unique_ptr<Backend>(std::shared_ptr<const Scene>)>;

// Throws std::invalid_argument for a name that this installation does not know.
BackendMaker backend_maker(const std::string& name, int n_threads, std::size_t field_bytes);

}  // namespace jointlight
