// SPDX-License-Identifier: BSD-3-Clause
// Bands of rows: the pieces in which residuals and normal equations are summed, in a fixed order.
#pragma once

#include <span>
#include <vector>

#include "backend/backend.hpp"
#include "backend/cpu/kernels.hpp"
#include "base/aligned.hpp"

namespace jointlight {

// A band of rows of one image with everything it accumulates.
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

  void add_chi2(std::span<double> per_tile) const;
  void add_normal(LaneSums& sums) const;
};

// The views must outlive the plans.
std::vector<BandPlan> plan_bands(const Scene& scene, const std::vector<TileView>& views);

}  // namespace jointlight
