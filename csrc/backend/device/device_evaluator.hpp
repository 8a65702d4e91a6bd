// SPDX-License-Identifier: BSD-3-Clause
// Many scenes on a device.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backend/device/drawn_tiles.hpp"
#include "backend/device/engine.hpp"
#include "backend/evaluator.hpp"

namespace jointlight {

template <class Exec>
class DeviceEvaluator final : public Evaluator {
 public:
  // Memory for what is kept of scenes, and for what is made on the way to lanes.
  DeviceEvaluator(Exec exec, std::size_t bytes, std::size_t work_bytes)
      : exec_(std::move(exec)), bytes_(bytes), work_bytes_(work_bytes) {}

  std::size_t capacity() const override {
    constexpr std::size_t bytes_per_pixel = 160;  // about: of a source in a window of its own
    return bytes_ / bytes_per_pixel;
  }

  std::size_t plan(std::span<const Scene* const> offered, int n_threads) override {
    engine_.reset();
    drawn_.forget();
    std::size_t n = 0, bytes = 0;
    while (n < offered.size() && (bytes += device_bytes(*offered[n])) <= bytes_) ++n;
    if (n == 0) return n;
    for (;;) {
      try {
        make_engine(offered.first(n), n_threads);
        return n;
      } catch (const typename Exec::OutOfMemory&) {  // others use the device too
        engine_.reset();
        n /= 2;
        if (n == 0) return n;
      }
    }
  }

  void start(std::span<const EvaluationRequest> requests) override {
    requests_.assign(requests.begin(), requests.end());
    scenes_.clear();
    derivatives_.clear();
    changed_.clear();
    const DevicePlan& plan = engine_->plan();
    for (const EvaluationRequest& request : requests_) {
      scenes_.push_back(request.scene);
      if (request.derivatives) derivatives_.push_back(request.scene);
      const auto first = static_cast<std::size_t>(plan.first_tile[request.scene]);
      drawn_.update(plan.views, first, request.states, changed_);
      engine_->set_states(request.scene, request.states);
    }
    engine_->select(changed_, scenes_, derivatives_);
    engine_->evaluate(!derivatives_.empty());
  }

  void finish() override {
    DeviceSums<Exec>& sums = engine_->sums();
    sums.download_chi2(chi2_);
    if (!derivatives_.empty()) {
      sums.download_blocks(blocks_);
      sums.download_gradients(gradients_);
    }
    const DevicePlan& plan = engine_->plan();
    const auto part = [](const std::vector<double>& all, const std::vector<int>& first,
                         std::size_t scene, std::ptrdiff_t size, std::vector<double>& out) {
      out.assign(all.begin() + first[scene] * size, all.begin() + first[scene + 1] * size);
    };
    for (const EvaluationRequest& request : requests_) {
      part(chi2_, plan.first_tile, request.scene, 1, request.sums->chi2);
      if (!request.derivatives) continue;
      part(blocks_, plan.first_pair, request.scene, n_block, request.sums->blocks);
      part(gradients_, plan.first_tile, request.scene, n_lanes, request.sums->gradients);
    }
  }

  std::string describe() const override { return Exec::name(); }

 private:
  // All that are in one plan are drawn alike: as the most precise of them asks for.
  void make_engine(std::span<const Scene* const> scenes, int n_threads) {
    const bool mixed = std::all_of(scenes.begin(), scenes.end(), [](const Scene* scene) {
      return scene->precision() == Precision::mixed;
    });
    engine_.emplace(exec_, scenes, mixed ? Precision::mixed : Precision::float64, work_bytes_,
                    n_threads);
    const DevicePlan& plan = engine_->plan();
    blocks_.resize(engine_->sums().n_pairs() * n_block);
    gradients_.resize(plan.views.size() * n_lanes);
    chi2_.resize(plan.views.size());
  }

  Exec exec_;
  std::size_t bytes_, work_bytes_;
  std::optional<DeviceEngine<Exec>> engine_;
  std::vector<EvaluationRequest> requests_;
  std::vector<std::size_t> scenes_, derivatives_;
  DrawnTiles drawn_;
  std::vector<int> changed_;  // tiles to be drawn
  std::vector<double> blocks_, gradients_, chi2_;
};

}  // namespace jointlight
