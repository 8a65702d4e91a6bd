// SPDX-License-Identifier: BSD-3-Clause
// Binds a compiled scene and a backend into what the solver sees: folds lane sums into the free
// coordinates by the parameter map, once per tile pair, and adds the priors.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "backend/backend.hpp"
#include "solve/normal_layout.hpp"
#include "solve/problem.hpp"

namespace jointlight {

class SceneProblem final : public Problem {
 public:
  // `internal` coordinates are the charts of ParameterMap (what a fit uses); natural ones are
  // those of the user. The layout must be that of the scene.
  SceneProblem(std::shared_ptr<const Scene> scene, std::shared_ptr<const NormalLayout> layout,
               Backend& backend, bool internal);

  int size() const override { return scene_->parameters().n_free(); }
  std::span<const double> lower() const override { return scene_->parameters().lower(); }
  std::span<const double> upper() const override { return scene_->parameters().upper(); }
  const SparsePattern& pattern() const override { return layout_->pattern; }
  double chi2(std::span<const double> x) override;
  double linearize(std::span<const double> x, std::span<double> g, std::span<double> h) override;
  void refine(std::span<const int> group, std::span<double> x, std::span<double> g,
              std::span<double> h) override;          // scene_refine.cpp
  double cost_ratio() const override { return 1.0; }  // chi2 renders the same lanes
  std::span<const double> max_step() const override { return scene_->parameters().max_step(); }
  bool rough_derivatives() const override { return scene_->precision() == Precision::mixed; }
  void progress(const IterationRecord& record, std::span<const double> x) override;
  bool renew(std::span<double> x, bool ended) override { return on_renew && on_renew(x, ended); }
  std::vector<int> meaningless(std::span<const double> x) const override;

  // Parts are sources: the pixels that they own, and the priors at home with them.
  int n_parts() const override { return layout_->n_sources; }
  std::span<const double> parts() const override { return parts_; }
  std::span<const int> part_coordinates(int part) const override {
    return layout_->source_coordinates[static_cast<std::size_t>(part)];
  }
  int home(int coordinate) const override {
    return layout_->home[static_cast<std::size_t>(coordinate)];
  }
  long n_data(int part) const override { return layout_->n_data[static_cast<std::size_t>(part)]; }

  // Goes on with another plan of the same problem.
  void rebind(std::shared_ptr<const Scene> scene, std::shared_ptr<const NormalLayout> layout,
              Backend& backend);
  // The tiles at x, nothing drawn.
  const std::vector<TileState>& place(std::span<const double> x);

  // At the coordinates of the last chi2 or linearize call, before any refine().
  const std::vector<double>& chi2_tiles() const { return sums_.chi2; }
  const std::vector<TileState>& tile_states() const { return tiles_; }

  // Derivatives of image `image` by every free coordinate: [n_free][height][width]; with the image
  // [height][width] itself in `model`, if that is given.
  void jacobian(std::span<const double> x, int image, double* out, double* model = nullptr);
  void render(std::span<const double> x, int image, double* out);
  DeviceModel render_on_device(std::span<const double> x, int image);
  // [height][width] of each tile's window
  void render_tiles(std::span<const double> x, std::span<const int> tiles,
                    std::span<double* const> out);

  std::function<void(const IterationRecord&, std::span<const double>)> on_progress;
  std::function<bool(std::span<double>, bool)> on_renew;

 private:
  // chi2 as a quadratic in the linear coordinates of one group: chi2 + 2 slope.step + step.H.step
  struct Subsystem {
    struct Entry {
      int row, column;  // into the coordinates
      double value;
    };

    void multiply(const std::vector<double>& v, std::vector<double>& out) const;  // H v
    void solve(const std::vector<std::uint8_t>& fixed);

    std::vector<int> coordinates;
    std::vector<Entry> entries;                        // of one triangle of H
    std::vector<double> diagonal, slope, step, image;  // image = H step
    double chi2 = 0.0;
  };

  double best_step(Subsystem& system, std::span<const double> x) const;
  // False if nothing could be drawn as asked.
  bool prepare(std::span<const double> x);
  void fill_columns();
  void fold(std::span<double> g, std::span<double> h);
  void fold_pair(std::size_t pair);
  void note_drawn();
  void finish_normal(std::span<const double> x, std::span<double> g, std::span<double> h);
  bool shift_amplitudes(std::span<const double> step);  // scene_refine.cpp
  double sum_parts(std::span<const double> x);

  std::shared_ptr<const Scene> scene_;
  std::shared_ptr<const NormalLayout> layout_;
  Backend* backend_;
  bool internal_;
  std::vector<std::vector<double>> columns_;  // [tile][free][n_lanes] d(lane weights)/d(coordinate)
  std::vector<std::vector<double>> filled_from_;  // [tile] chain, visible, weights of the columns
  std::vector<LaneKey> drawn_for_;                // [tile]
  std::vector<std::uint8_t> unfolded_;  // [tile] 1: lanes or columns are not those in folded_
  std::vector<double> folded_;          // J^T W J of the pairs alone; empty: nothing of it stands
  ParameterState state_;
  std::vector<TileState> tiles_;
  std::vector<Chain> chains_;
  std::vector<TilePlace> places_;
  LaneSums sums_;
  std::vector<double> parts_;
};

}  // namespace jointlight
