// SPDX-License-Identifier: BSD-3-Clause
// The smooth cut between a profile's core and the rest. With s = taper_end^2 (R / taper)^2,
//   core = I Q(6, s),   rest = I P(6, s),   Q + P = 1 (regularised incomplete gamma functions):
// entire in R^2, P vanishes like R^12 so that no cusp is left in the rest, Q holds 1e-10 at
// R = taper, and of all tapers tried this one's rest reaches least far in frequency (half as far
// as a bump that is constant at either end).
#pragma once

#include "base/macros.hpp"
#include "base/vmath.hpp"

namespace jointlight {
JL_ISA_BEGIN

inline constexpr double taper_end = 6.0;

// P(6, s) and dP/ds
JL_HD JL_INLINE void opening(double s, double& value, double& slope) {
  const double decay = exp_(-s);
  const double s2 = s * s, s5 = s2 * s2 * s;
  slope = decay * s5 * (1.0 / 120.0);
  // Below 1 by the series of P, where 1 - Q would lose its digits.
  const double t = s < 1.0 ? s : 1.0;
  double series = 1.0;
  for (int k = 17; k >= 7; --k) series = 1.0 + t * series * (1.0 / k);
  double finite = 1.0;
  for (int k = 5; k >= 1; --k) finite = 1.0 + s * finite * (1.0 / k);
  const double far = s < 700.0 ? 1.0 - decay * finite : 1.0;
  value = s < 1.0 ? decay * s5 * s * (1.0 / 720.0) * series : far;
}

JL_ISA_END
}  // namespace jointlight
