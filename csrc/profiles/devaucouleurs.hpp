// SPDX-License-Identifier: BSD-3-Clause
// de Vaucouleurs (1948): a Sersic profile of n = 4, R in units of its half-light radius.
#pragma once

#include "base/macros.hpp"
#include "profiles/sersic.hpp"

namespace jointlight {
JL_ISA_BEGIN

struct DeVaucouleurs : SersicOfIndex<4> {
  static constexpr const char* name = "devaucouleurs";
};

using profile_devaucouleurs = DeVaucouleurs;

JL_ISA_END
}  // namespace jointlight
