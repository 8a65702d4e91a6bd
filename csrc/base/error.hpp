// SPDX-License-Identifier: BSD-3-Clause
// Errors about what the caller gave: thrown while a scene is built, never later.
#pragma once

#include <cstdio>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

namespace jointlight {
namespace detail {

inline void append(std::string& text, std::string_view part) { text += part; }

template <class Number>
  requires std::is_arithmetic_v<Number>
void append(std::string& text, Number value) {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.10g", static_cast<double>(value));
  text += digits;
}

}  // namespace detail

// Message: the problem, with the offending value; Python sees a ValueError.
template <class... Parts>
void require(bool ok, const Parts&... parts) {
  if (ok) return;
  std::string message;
  (detail::append(message, parts), ...);
  throw std::invalid_argument(message);
}

}  // namespace jointlight
