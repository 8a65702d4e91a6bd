// SPDX-License-Identifier: BSD-3-Clause
// Checks for the plain test programs of this folder: each failure is printed, and the program's
// exit status tells whether there was any.
#pragma once

#include <cmath>
#include <cstdio>

namespace check {

inline int failures = 0;

inline void that(bool ok, const char* text, const char* file, int line) {
  if (ok) return;
  ++failures;
  std::printf("%s:%d: failed: %s\n", file, line, text);
}

// |value| <= bound; a NaN fails. `what` names the quantity and the case.
inline void at_most(double value, double bound, const char* what, const char* file, int line) {
  if (value <= bound) return;
  ++failures;
  std::printf("%s:%d: failed: %s is %.3g, allowed %.3g\n", file, line, what, value, bound);
}

inline int result() {
  if (failures > 0) std::printf("%d failed\n", failures);
  return failures > 0 ? 1 : 0;
}

}  // namespace check

#define CHECK(condition) check::that((condition), #condition, __FILE__, __LINE__)
#define CHECK_AT_MOST(value, bound, what) \
  check::at_most((value), (bound), (what), __FILE__, __LINE__)
