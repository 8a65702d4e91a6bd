// SPDX-License-Identifier: BSD-3-Clause
// Bands: the rectangles of an image in which residuals and normal equations are summed, in a fixed
// order. Each keeps its sums until something in it changes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend/backend.hpp"
#include "backend/cpu/kernels.hpp"
#include "base/aligned.hpp"

namespace jointlight {

// A rectangle of one image with everything it accumulates.
struct BandPlan {
  enum class Level { stale, chi2, normal };  // what its sums hold for the last states

  int image = 0;
  std::vector<int> tiles, pairs;  // scene indices
  std::vector<BandTile> band_tiles;
  std::vector<BandPair> band_pairs;
  std::vector<OwnedRun> runs;
  std::vector<int> run_start;
  std::vector<double> chi2;  // [tiles]
  AlignedBuffer<double> blocks, gradients;
  Band band;
  Level level = Level::stale;
  bool summed = false;  // these blocks and gradients are in the totals

  void add_chi2(std::span<double> per_tile) const;
};

// The views must outlive the plans.
std::vector<BandPlan> plan_bands(const Scene& scene, const std::vector<TileView>& views);

// Sums over bands by tile pair and by tile. Bands are added in order, whatever has changed, so the
// sums do not depend on what was evaluated before.
class BandTotals {
 public:
  BandTotals(const Scene& scene, std::span<const BandPlan> bands);

  // Brings the totals up to date with bands that have new sums, and marks those as summed.
  void update(std::span<BandPlan> bands);

  std::span<const double> blocks() const { return {blocks_.data(), blocks_.size()}; }
  std::span<const double> gradients() const { return {gradients_.data(), gradients_.size()}; }

 private:
  struct Share {
    int band = 0, index = 0;  // band, and place among its pairs or tiles
  };
  // What bands hold of item i: shares[start[i]] ... shares[start[i + 1] - 1].
  struct Shares {
    std::vector<int> start;
    std::vector<Share> shares;
  };
  static Shares collect(std::size_t n, std::span<const BandPlan> bands,
                        std::vector<int> BandPlan::* items);

  Shares by_pair_, by_tile_;
  AlignedBuffer<double> blocks_, gradients_;  // [pairs][n_lanes][n_lanes], [tiles][n_lanes]
  std::vector<std::uint8_t> stale_;
};

}  // namespace jointlight
