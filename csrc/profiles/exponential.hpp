// SPDX-License-Identifier: BSD-3-Clause
// Exponential disc: a Sersic profile of n = 1, R in units of its half-light radius.
#pragma once

#include "base/macros.hpp"
#include "profiles/sersic.hpp"

namespace jointlight {
JL_ISA_BEGIN

struct Exponential : SersicOfIndex<1> {
  static constexpr const char* name = "exponential";
};

using profile_exponential = Exponential;

JL_ISA_END
}  // namespace jointlight
