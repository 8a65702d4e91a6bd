// SPDX-License-Identifier: BSD-3-Clause
// Which tile each pixel is counted for, so that chi2 divides among the sources.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace jointlight {

// Pixels [x_begin, x_end) of one row that belong to `tile`.
struct OwnedRun {
  int x_begin = 0, x_end = 0, tile = 0;
};

// One image's runs by row: those of row y are runs[row_start[y]] ... runs[row_start[y + 1] - 1],
// from left to right.
struct OwnedRows {
  std::vector<OwnedRun> runs;
  std::vector<int> row_start;  // [height + 1]
};

// A tile's claim: what covers a pixel competes for it.
struct Claim {
  int tile = 0;
  int x_begin = 0, x_end = 0, y_begin = 0, y_end = 0;  // image pixels
  int rank = 0;                                        // lower ranks take pixels first
  double x0 = 0.0, y0 = 0.0;                           // centre, image pixels
  double inverse[3] = {};  // S^-1: the nearest by d^T S^-1 d wins; zero = no preference
};

// Adds the pixels with weight that each tile owns to n_owned [n_tiles].
OwnedRows divide_pixels(int width, int height, std::span<const double> weight,
                        std::vector<Claim> claims, std::vector<long>& n_owned);

}  // namespace jointlight
