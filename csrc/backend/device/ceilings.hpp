// SPDX-License-Identifier: BSD-3-Clause
// What an executor can do at best, measured: what shares of it are counted against.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

#include "backend/device/device_profile.hpp"
#include "base/macros.hpp"

namespace jointlight {

// Per second, but for the launch. A multiply-add is two operations.
struct Ceilings {
  double bytes = 0.0;                      // read and written by a copy in the device's memory
  double flops = 0.0, single_flops = 0.0;  // multiply-adds in registers: float64, float32
  double upload = 0.0, download = 0.0;     // bytes between host and device, plain memory there
  double launch = 0.0;                     // seconds that one is timed at that does nothing
};

// How much is done to measure them.
struct CeilingSizes {
  int words = 1 << 24;  // of 16 bytes, that are copied
  int threads = 1 << 20, steps = 1024;
  int repeats = 5;  // of which the fastest counts
};

struct alignas(16) CopiedWord {
  double a, b;
};

JL_ISA_BEGIN

struct CopyBody {
  const CopiedWord* from;
  CopiedWord* to;

  JL_HD void operator()(int, int item) const { to[item] = from[item]; }
};

// Chains that do not wait for one another.
template <class Real>
struct MultiplyAddBody {
  static constexpr int chains = 8;

  Real factor;
  Real* out;
  int steps;

  JL_HD void operator()(int, int item) const {
    Real x[chains];
    for (int c = 0; c < chains; ++c) x[c] = static_cast<Real>(item + c);
    for (int k = 0; k < steps; ++k) {
      for (int c = 0; c < chains; ++c) x[c] = x[c] * factor + factor;
    }
    Real sum = 0;
    for (int c = 0; c < chains; ++c) sum += x[c];
    out[item] = sum;
  }
};

JL_ISA_END

template <class Exec, class Work>
double fewest_seconds(Exec& exec, const CeilingSizes& sizes, const Work& work) {
  double least = std::numeric_limits<double>::infinity();
  for (int k = 0; k < sizes.repeats; ++k) least = std::min(least, exec.timed(work));
  return least;
}

template <class Real, class Exec>
double multiply_add_rate(Exec& exec, const CeilingSizes& sizes, Real factor) {
  auto out = exec.template buffer<Real>(static_cast<std::size_t>(sizes.threads));
  const MultiplyAddBody<Real> body{factor, out.data(), sizes.steps};
  const double best = fewest_seconds(exec, sizes, [&] { exec.run(1, sizes.threads, body); });
  return 2.0 * MultiplyAddBody<Real>::chains * sizes.steps * sizes.threads / best;
}

template <class Exec>
Ceilings measure_ceilings(Exec& exec, const CeilingSizes& sizes) {
  Ceilings found;
  const auto n = static_cast<std::size_t>(sizes.words);
  const double bytes = static_cast<double>(n * sizeof(CopiedWord));
  auto from = exec.template buffer<CopiedWord>(n), to = exec.template buffer<CopiedWord>(n);
  std::vector<CopiedWord> host(n);
  const auto best = [&](const auto& work) { return fewest_seconds(exec, sizes, work); };
  found.upload = bytes / best([&] { exec.upload(from.data(), host.data(), n); });
  const CopyBody copy{from.data(), to.data()};
  found.bytes = 2.0 * bytes / best([&] { exec.run(1, sizes.words, copy); });
  found.launch = best([&] { exec.run(1, 1, copy); });
  found.download = bytes / best([&] { exec.download(host.data(), to.data(), n); });
  found.flops = multiply_add_rate<double>(exec, sizes, 0.999);
  found.single_flops = multiply_add_rate<float>(exec, sizes, 0.999F);
  return found;
}

}  // namespace jointlight
