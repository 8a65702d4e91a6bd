// SPDX-License-Identifier: BSD-3-Clause
#include "backend/emulated/emulated_backend.hpp"

#include <memory>
#include <stdexcept>
#include <string>

#include "backend/device/device_backend.hpp"
#include "backend/device/device_evaluator.hpp"
#include "backend/emulated/loop_exec.hpp"

namespace jointlight {

namespace {

constexpr std::size_t work_bytes = std::size_t{1} << 24;  // little: portions are tried too
constexpr std::size_t bytes = std::size_t{1} << 24;       // likewise: fits take turns

class FailingEvaluator final : public Evaluator {
 public:
  explicit FailingEvaluator(int n) : left_(n) {}

  std::size_t capacity() const override { return emulated_->capacity(); }
  std::size_t plan(std::span<const Scene* const> scenes, int n_threads) override {
    return emulated_->plan(scenes, n_threads);
  }
  void start(std::span<const EvaluationRequest> requests) override {
    if (--left_ <= 0)
      throw std::runtime_error("the emulated device has failed, as it was asked to");
    emulated_->start(requests);
  }
  void finish() override { emulated_->finish(); }
  std::string describe() const override { return emulated_->describe(); }

 private:
  std::unique_ptr<Evaluator> emulated_ = make_emulated_evaluator();
  int left_;
};

}  // namespace

std::unique_ptr<Evaluator> make_emulated_evaluator() {
  return std::make_unique<DeviceEvaluator<LoopExec>>(LoopExec(), bytes, work_bytes);
}

std::unique_ptr<Backend> make_emulated_backend(std::shared_ptr<const Scene> scene) {
  return std::make_unique<DeviceBackend<LoopExec>>(std::move(scene), LoopExec(), work_bytes);
}

std::unique_ptr<Evaluator> make_failing_evaluator(int n) {
  return std::make_unique<FailingEvaluator>(n);
}

void emulate_backwards(bool on) { loop_backwards.store(on); }

Ceilings emulated_ceilings() {
  LoopExec exec;
  return measure_ceilings(exec,
                          {.words = 1 << 16, .threads = 1 << 8, .steps = 1 << 8, .repeats = 3});
}

}  // namespace jointlight
