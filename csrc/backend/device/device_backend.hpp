// SPDX-License-Identifier: BSD-3-Clause
// A scene on a device behind the solver's abstract backend.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.hpp"
#include "backend/device/drawn_tiles.hpp"
#include "backend/device/engine.hpp"

namespace jointlight {

template <class Exec>
class DeviceBackend final : public Backend {
 public:
  DeviceBackend(std::shared_ptr<const Scene> scene, Exec exec, std::size_t work_bytes)
      : scene_(std::move(scene)),
        exec_(std::move(exec)),
        engine_(exec_, one(), scene_->precision(), work_bytes, 1) {}

  void render(std::span<const TileState> states, int image, double* out) override {
    evaluate(states, false);
    engine_.sums().download_model(image, out);
  }

  DeviceModel render_on_device(std::span<const TileState> states, int image) override {
    evaluate(states, false);
    return {exec_.device(), Exec::emulated, engine_.sums().keep_model(image)};
  }

  void render_tile(std::span<const TileState> states, int tile, double* out) override {
    draw(states);
    engine_.project(tile, {states[static_cast<std::size_t>(tile)].value, n_lanes}, planes_);
    std::copy(planes_.begin(), planes_.end(), out);
  }

  void project(std::span<const TileState> states, int tile, std::span<const double> weights,
               std::span<double* const> planes, std::size_t stride) override {
    draw(states);
    engine_.project(tile, weights, planes_);
    const TileView& view = scene_->views()[static_cast<std::size_t>(tile)];
    const double* from = planes_.data();
    for (double* plane : planes) {
      for (int y = 0; y < view.height; ++y, plane += stride, from += view.width) {
        for (int x = 0; x < view.width; ++x) plane[x] += from[x];
      }
    }
  }

  void chi2(std::span<const TileState> states, std::span<double> per_tile) override {
    evaluate(states, false);
    engine_.sums().download_chi2(per_tile);
  }

  void linearize(std::span<const TileState> states, LaneSums& sums) override {
    evaluate(states, true);
    sums.blocks.resize(scene_->pairs().size() * n_block);
    sums.gradients.resize(states.size() * n_lanes);
    sums.chi2.resize(states.size());
    engine_.sums().download_blocks(sums.blocks);
    engine_.sums().download_gradients(sums.gradients);
    engine_.sums().download_chi2(sums.chi2);
  }

  Tables tables() const override { return Tables::sized; }
  std::string describe() const override { return Exec::name(); }

 private:
  std::span<const Scene* const> one() {
    pointer_ = scene_.get();
    return {&pointer_, 1};
  }

  void draw(std::span<const TileState> states) {
    update(states, [&] { engine_.draw(changed_); });
  }
  void evaluate(std::span<const TileState> states, bool derivatives) {
    update(states, [&] { engine_.replay(changed_, derivatives); });
  }

  template <class Work>
  void update(std::span<const TileState> states, const Work& work) {
    changed_.clear();
    drawn_.update(scene_->views(), 0, states, changed_);
    engine_.set_states(0, states);
    try {
      work();
    } catch (...) {
      drawn_.forget();
      throw;
    }
  }

  std::shared_ptr<const Scene> scene_;
  const Scene* pointer_ = nullptr;
  Exec exec_;
  DeviceEngine<Exec> engine_;
  DrawnTiles drawn_;
  std::vector<int> changed_;  // tiles to be drawn
  std::vector<double> planes_;
};

}  // namespace jointlight
