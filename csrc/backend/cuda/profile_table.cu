// SPDX-License-Identifier: BSD-3-Clause
#include "backend/cuda/profile_table.cuh"

#include "profile_stems.hpp"

namespace jointlight::cuda {

#define JL_DECLARE(stem) ProfileEntry profile_entry_##stem();
JL_PROFILE_STEMS(JL_DECLARE)
#undef JL_DECLARE

const std::vector<ProfileEntry>& profile_table() {
#define JL_ENTRY(stem) profile_entry_##stem(),
  static const std::vector<ProfileEntry> entries{JL_PROFILE_STEMS(JL_ENTRY)};
#undef JL_ENTRY
  return entries;
}

}  // namespace jointlight::cuda
