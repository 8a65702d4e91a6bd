// SPDX-License-Identifier: BSD-3-Clause
#include "backend/emulated/emulated_backend.hpp"

#include "backend/device/device_backend.hpp"
#include "backend/device/device_evaluator.hpp"
#include "backend/emulated/loop_exec.hpp"

namespace jointlight {

namespace {

constexpr std::size_t work_bytes = std::size_t{1} << 24;  // little: portions are tried too
constexpr std::size_t most_pixels = 100000;

}  // namespace

std::unique_ptr<Evaluator> make_emulated_evaluator() {
  return std::make_unique<DeviceEvaluator<LoopExec>>(LoopExec(), most_pixels, work_bytes);
}

std::unique_ptr<Backend> make_emulated_backend(std::shared_ptr<const Scene> scene) {
  return std::make_unique<DeviceBackend<LoopExec>>(std::move(scene), LoopExec(), work_bytes);
}

void emulate_backwards(bool on) { loop_backwards.store(on); }

Ceilings emulated_ceilings() {
  LoopExec exec;
  return measure_ceilings(exec,
                          {.words = 1 << 16, .threads = 1 << 8, .steps = 1 << 8, .repeats = 3});
}

}  // namespace jointlight
