// SPDX-License-Identifier: BSD-3-Clause
// Chooses the instruction-set level once, when first asked.
#include <cstdlib>
#include <string_view>

#include "backend/cpu/kernels.hpp"
#include "base/stage_clock.hpp"

namespace jointlight {

#define JL_LEVEL(name)               \
  namespace name {                   \
  const KernelTable& kernel_table(); \
  }
#if defined(JL_HAVE_base)
JL_LEVEL(isa_base)
#endif
#if defined(JL_HAVE_v3)
JL_LEVEL(isa_v3)
#endif
#if defined(JL_HAVE_v4)
JL_LEVEL(isa_v4)
#endif

const KernelTable& kernels() {
  static const KernelTable* const chosen = []() -> const KernelTable* {
    const char* variable = std::getenv("JOINTLIGHT_ISA");
    [[maybe_unused]] const std::string_view forced = variable != nullptr ? variable : "";
#if defined(JL_HAVE_v4)
    if ((forced.empty() || forced == "v4") && __builtin_cpu_supports("x86-64-v4")) {
      return &isa_v4::kernel_table();
    }
#endif
#if defined(JL_HAVE_v3)
    if ((forced.empty() || forced == "v3" || forced == "v4") &&
        __builtin_cpu_supports("x86-64-v3")) {
      return &isa_v3::kernel_table();
    }
#endif
    return &isa_base::kernel_table();
  }();
  return stage_clocks_on.load() ? timed_kernels(*chosen) : *chosen;
}

}  // namespace jointlight
