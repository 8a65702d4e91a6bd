// SPDX-License-Identifier: BSD-3-Clause
// Many scenes on a device.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backend/device/engine.hpp"
#include "backend/evaluator.hpp"

namespace jointlight {

template <class Exec>
class DeviceEvaluator final : public Evaluator {
 public:
  DeviceEvaluator(Exec exec, std::size_t capacity, std::size_t work_bytes)
      : exec_(std::move(exec)), capacity_(capacity), work_bytes_(work_bytes) {}

  std::size_t capacity() const override { return capacity_; }

  void plan(std::span<const Scene* const> scenes) override {
    engines_.clear();
    engines_.resize(scenes.size());
    for (std::size_t i = 0; i < scenes.size(); ++i) {
      engines_[i] = std::make_unique<DeviceEngine<Exec>>(exec_, scenes.subspan(i, 1),
                                                         scenes[i]->precision(), work_bytes_);
    }
  }

  void start(std::span<const EvaluationRequest> requests) override {
    requests_.assign(requests.begin(), requests.end());
    for (const EvaluationRequest& request : requests_) {
      DeviceEngine<Exec>& engine = *engines_[request.scene];
      engine.upload(request.states);
      engine.draw();
      engine.sum(request.derivatives);
    }
  }

  void finish() override {
    for (const EvaluationRequest& request : requests_) {
      DeviceEngine<Exec>& engine = *engines_[request.scene];
      LaneSums& sums = *request.sums;
      sums.chi2.resize(request.states.size());
      engine.download_chi2(sums.chi2);
      if (!request.derivatives) continue;
      sums.blocks.resize(engine.n_pairs() * n_block);
      sums.gradients.resize(request.states.size() * n_lanes);
      engine.download_blocks(sums.blocks);
      engine.download_gradients(sums.gradients);
    }
    requests_.clear();
  }

  std::string describe() const override { return Exec::name(); }

 private:
  Exec exec_;
  std::size_t capacity_, work_bytes_;
  std::vector<std::unique_ptr<DeviceEngine<Exec>>> engines_;
  std::vector<EvaluationRequest> requests_;
};

}  // namespace jointlight
