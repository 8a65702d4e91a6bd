// SPDX-License-Identifier: BSD-3-Clause
// Wall-clock time by stage, summed over threads: what benchmarks read. While the clocks are off,
// one costs a load and a predicted branch.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>

namespace jointlight {

enum class Stage : std::uint8_t {
  place,         // slots -> tile states, radial tables
  phases,        // exp(-i k y0)
  columns,       // spectrum of every column, back along y
  rows,          // back along x
  copies,        // light of the periodic copies: its polynomial
  subtract,      // taken off every pixel
  smooth,        // rest of a tile in two parts: its coarse grids
  pixel,         // pixel renderer
  residual,      // chi2 of bands alone
  normal,        // residual and normal equations of bands
  fold,          // lanes -> free coordinates
  factor,        // of the damped system
  solve_system,  // with the factor at hand
  upload,        // to a device
  download
};
inline constexpr const char* stage_names[] = {
    "place",    "phases", "columns", "rows",   "copies",       "subtract", "smooth",  "pixel",
    "residual", "normal", "fold",    "factor", "solve_system", "upload",   "download"};
inline constexpr std::size_t n_stages = std::size(stage_names);
static_assert(n_stages == static_cast<std::size_t>(Stage::download) + 1);

struct StageTime {
  std::atomic<std::uint64_t> ns{0}, calls{0};
};
inline std::atomic<bool> stage_clocks_on{false};
inline StageTime stage_times[n_stages];

// Adds the time between its birth and its end.
class StageClock {
 public:
  explicit StageClock(Stage stage) : stage_(stage) {
    if (stage_clocks_on.load(std::memory_order_relaxed)) began_ = now();
  }
  ~StageClock() {
    if (began_ != 0) stop();
  }
  StageClock(const StageClock&) = delete;
  StageClock& operator=(const StageClock&) = delete;

 private:
  // ns, never 0
  static std::uint64_t now() {
    const auto since = std::chrono::steady_clock::now().time_since_epoch();
    const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(since).count();
    return static_cast<std::uint64_t>(ns) | 1U;
  }
  void stop() const {
    StageTime& time = stage_times[static_cast<std::size_t>(stage_)];
    time.ns.fetch_add(now() - began_, std::memory_order_relaxed);
    time.calls.fetch_add(1, std::memory_order_relaxed);
  }

  std::uint64_t began_ = 0;
  Stage stage_;
};

}  // namespace jointlight
