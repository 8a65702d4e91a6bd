// SPDX-License-Identifier: BSD-3-Clause
// Radial transform of a profile's tapered core (base/taper.hpp) where it differs from that of the
// whole profile: at low frequencies, the rest having none beyond.
#pragma once

#include "scene/core_math.hpp"
#include "scene/profile_registry.hpp"
#include "scene/tile.hpp"

namespace jointlight {

// The rule of the quadrature, made at first use.
const CoreRule& core_rule();

// Near part and value at zero of `table` for the core within `taper` (units of the scale); memory
// [CoreGrid::table_size] from the caller.
void fill_core_table(const ProfileInfo& profile, const double* shape, double taper, double* memory,
                     RadialTable& table);

}  // namespace jointlight
