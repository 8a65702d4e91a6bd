// SPDX-License-Identifier: BSD-3-Clause
// Radial transform of a profile's tapered core (base/taper.hpp) where it differs from that of the
// whole profile: at low frequencies, the rest having none beyond.
#pragma once

#include <cstddef>

#include "scene/profile_registry.hpp"
#include "scene/tile.hpp"

namespace jointlight {

// The core's transform is the profile's where rho times the taper is larger than this.
inline constexpr double core_kappa = 96.0;

// Doubles that `fill_core_table` writes.
std::size_t core_table_size();

// Near part and value at zero of `table` for the core within `taper` (units of the scale).
void fill_core_table(const ProfileInfo& profile, const double* shape, double taper, double* memory,
                     RadialTable& table);

}  // namespace jointlight
