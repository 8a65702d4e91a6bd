// SPDX-License-Identifier: BSD-3-Clause
// Errors about what the caller gave: thrown while a scene is built, never later.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace jointlight {

// Message: the problem, with the offending value; Python sees a ValueError.
template <class... Parts>
void require(bool ok, const Parts&... parts) {
  if (ok) return;
  std::ostringstream message;
  (message << ... << parts);
  throw std::invalid_argument(message.str());
}

}  // namespace jointlight
