// SPDX-License-Identifier: BSD-3-Clause
// Images of tiles without their derivatives: an eighth of the memory and of the transforms.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "backend/cpu/kernels.hpp"
#include "base/aligned.hpp"

namespace jointlight {

class ValuePlanes {
 public:
  ValuePlanes(const std::vector<TileView>& views, const KernelTable& kernels, int n_threads)
      : views_(views), kernels_(kernels), n_threads_(n_threads), offset_(views.size()) {}

  // Draws tiles under a PSF, each with unit amplitude.
  void draw(std::span<const TileState> states, std::span<const int> tiles);

  // [height][width] of a tile of the last call.
  const double* plane(int tile) const {
    return planes_.data() + offset_[static_cast<std::size_t>(tile)];
  }

 private:
  struct Scratch {
    AlignedBuffer<double> spectra, copies, phases, work;
  };

  void prepare(Scratch& scratch, const TileView& view) const;
  void draw_tile(const TileView& view, const TileState& state, Scratch& scratch, double* plane,
                 bool wide);

  const std::vector<TileView>& views_;
  const KernelTable& kernels_;
  const int n_threads_;
  AlignedBuffer<double> planes_;
  std::vector<std::size_t> offset_;  // [tiles] doubles into planes_
  std::vector<Scratch> scratch_;     // [threads]
};

}  // namespace jointlight
