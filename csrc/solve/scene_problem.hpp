// SPDX-License-Identifier: BSD-3-Clause
// Binds a compiled scene and a backend into what the solver sees: folds lane sums into the free
// coordinates by the parameter map, once per tile pair, and adds the priors.
#pragma once

#include <functional>
#include <memory>

#include "backend/backend.hpp"
#include "solve/problem.hpp"

namespace jointlight {

class SceneProblem final : public Problem {
 public:
  // `internal` coordinates are the charts of ParameterMap (what a fit uses); natural ones are
  // those of the user.
  SceneProblem(std::shared_ptr<const Scene> scene, Backend& backend, bool internal);

  int size() const override { return scene_->parameters().n_free(); }
  std::span<const double> lower() const override { return scene_->parameters().lower(); }
  std::span<const double> upper() const override { return scene_->parameters().upper(); }
  const SparsePattern& pattern() const override { return pattern_; }
  double chi2(std::span<const double> x) override;
  double linearize(std::span<const double> x, std::span<double> g, std::span<double> h) override;
  double cost_ratio() const override { return 1.0; }  // chi2 renders the same lanes
  long n_data() const override;
  std::span<const double> max_step() const override { return scene_->parameters().max_step(); }
  void progress(const IterationRecord& record, std::span<const double> x) override;

  // At the coordinates of the last chi2 or linearize call.
  const std::vector<double>& chi2_images() const { return chi2_images_; }
  const std::vector<TileState>& tile_states() const { return tiles_; }

  // Derivatives of image `image` by every free coordinate: [n_free][height][width].
  void jacobian(std::span<const double> x, int image, double* out);
  void render(std::span<const double> x, int image, double* out);
  void render_tile(std::span<const double> x, int tile, double* out);

  std::function<void(const IterationRecord&, std::span<const double>)> on_progress;

 private:
  // Free coordinates that a tile depends on, and d(lane weights)/d(coordinate) for them.
  struct TileColumns {
    std::vector<int> free;                 // sorted, distinct
    std::vector<std::vector<int>> column;  // [slot][entry of its row] -> position in `free`
    std::vector<double> matrix;            // [free.size()][n_lanes]
  };

  bool prepare(std::span<const double> x);
  void fill_columns();
  void fold(const LaneSums& sums, std::span<double> g, std::span<double> h) const;

  std::shared_ptr<const Scene> scene_;
  Backend& backend_;
  bool internal_;
  SparsePattern pattern_;
  std::vector<TileColumns> columns_;
  std::vector<std::vector<int>> positions_;  // [pair][ia * n_b + ib] into the pattern's values
  ParameterState state_;
  std::vector<TileState> tiles_;
  std::vector<Chain> chains_;
  std::vector<AlignedBuffer<double>> table_memory_;
  LaneSums sums_;
  std::vector<double> chi2_images_;
};

}  // namespace jointlight
