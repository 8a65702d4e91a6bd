// SPDX-License-Identifier: BSD-3-Clause
// What one thread of a device works on. The bodies in this folder are the stages cut into threads
// that share nothing: body(tile, item) reads what earlier bodies wrote and writes what is its own,
// so that they run on a device, in any order, as in a plain loop.
#pragma once

#include <cmath>
#include <cstddef>

#include "base/fft.hpp"
#include "base/lanes.hpp"
#include "base/macros.hpp"
#include "scene/tile.hpp"

namespace jointlight {

// A tile with all that is made of it between evaluations and within one. Pointers are the
// device's.
struct DeviceTile {
  TileView view;  // its `fields` are [height][width][n_lanes] on a device
  double *phase_x = nullptr, *phase_y = nullptr;  // (re, im) by run; by extended j_y from y_min
  double* coefficients = nullptr;                 // of the copies [n][n][n_lanes]
  double* other = nullptr;                        // for the steps between, of copies, rest or edges
  double* line = nullptr;                         // copies along x [rows][n][n_lanes], or the rest
  void* constants = nullptr;  // the profile's, at the present shape; see also PixelSetup
};

// Tiles of one box size, drawn together: sizes are the largest of any of them.
struct DeviceGroup {
  int box_x = 0, box_y = 0, n_columns = 0, n_rows = 0, n_width = 0;
  int n_tiles = 0;
  const int* tiles = nullptr;  // [n_tiles]

  JL_HD int n_pairs() const { return (n_rows + 1) / 2; }
};

}  // namespace jointlight
