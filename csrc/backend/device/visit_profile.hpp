// SPDX-License-Identifier: BSD-3-Clause
// From a profile's index in the registry to its class.
#pragma once

#include "profile_list.hpp"

namespace jointlight {

// visit.template operator()<Profile>(); nothing where no profile has that index.
template <class Visit>
void visit_profile(int index, const Visit& visit) {
  int k = 0;
  const auto each = [&]<class Profile>() {
    if (k++ == index) visit.template operator()<Profile>();
  };
#define JL_VISIT(stem) each.template operator()<profile_##stem>();
  JL_PROFILE_LIST(JL_VISIT)
#undef JL_VISIT
}

}  // namespace jointlight
