// SPDX-License-Identifier: BSD-3-Clause
// How many Chebyshev coefficients the light of a component's copies takes (stages/copies.hpp).
#pragma once

#include <vector>

#include "scene/tile.hpp"

namespace jointlight {

// What a CopyPlan points to, beside tables of the process.
struct CopyBlur {
  std::vector<double> x, y;  // [n][n]
};

// Plan for a tile whose box, PSF (`core` wide, pixels) and window are known; its light may move
// `slack` pixels.
CopyPlan plan_copies(const TileView& view, const TileState& state, double core, double slack,
                     CopyBlur& blur);

// Whether a tile's plan still resolves the copies, and reaches over its window.
bool suits_copies(const TileView& view, const TileState& state, double core);

}  // namespace jointlight
