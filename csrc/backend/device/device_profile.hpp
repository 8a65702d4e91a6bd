// SPDX-License-Identifier: BSD-3-Clause
// What a device's launches take, move and compute, by stage: for benchmarks. While it is off, a
// launch costs a load and a predicted branch more; while it is on, launches are made and waited for
// one by one, so that times of a stage are its own; the microseconds of a launch are among them.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <utility>

#include "base/stage_clock.hpp"
#include "stages/device/cost.hpp"

namespace jointlight {

struct StageProfile {
  double seconds = 0.0;
  std::uint64_t launches = 0;
  Cost cost;

  StageProfile& operator+=(const StageProfile& other) {
    seconds += other.seconds;
    launches += other.launches;
    cost += other.cost;
    return *this;
  }
};

class DeviceProfile {
 public:
  using Stages = std::array<StageProfile, n_stages>;

  bool on() const { return on_.load(std::memory_order_relaxed); }
  void turn(bool on) { on_.store(on); }

  void add(Stage stage, double seconds, const Cost& cost) {
    const std::lock_guard lock(mutex_);
    stages_[static_cast<std::size_t>(stage)] += {seconds, 1, cost};
  }
  // Since this was last asked.
  Stages take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(stages_, {});
  }

 private:
  std::atomic<bool> on_{false};
  std::mutex mutex_;
  Stages stages_;
};
inline DeviceProfile device_profile;  // of all executors of a module

// What `launch` does on an executor, counted as `stage` with the cost that `count` gives.
template <class Exec, class Count, class Launch>
void profiled(Exec& exec, Stage stage, const Count& count, const Launch& launch) {
  if (!exec.profiling()) {
    launch();
    return;
  }
  const double seconds = exec.timed(launch);
  device_profile.add(stage, seconds, count());
}

}  // namespace jointlight
