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
#include "scene/transform_view.hpp"

namespace jointlight {

// A tile with all that is made of it between evaluations and within one. Pointers are the
// device's.
struct DeviceTile {
  TileView view;  // its `fields` are [height][width][n_lanes] on a device
  double *phase_x = nullptr, *phase_y = nullptr;  // (re, im) by run; by extended j_y from y_min
  double* coefficients = nullptr;                 // of the copies [n][n][n_lanes]
  double* rays = nullptr;                         // light of far copies along each ray [n_lanes]
  double* other = nullptr;                        // for the steps between, of copies, rest or edges
  double* line = nullptr;                         // copies along x [rows][n][n_lanes], or the rest
  void* constants = nullptr;            // the profile's, at the present shape; see also PixelSetup
  TransformStencil* stencil = nullptr;  // of the radial table
};

// Tiles of one box size, drawn together: sizes are the largest of any of them.
struct DeviceGroup {
  int box_x = 0, box_y = 0, n_columns = 0, n_rows = 0, n_width = 0;
  int n_tiles = 0;
  const int* tiles = nullptr;  // [n_tiles]

  JL_HD int n_pairs() const { return (n_rows + 1) / 2; }
};

// Where in a tile's share of scratch memory its parts begin, doubles.
struct ScratchLayout {
  std::size_t stencil = 0, constants = 0, phase_x = 0, phase_y = 0, rays = 0, coefficients = 0,
              other = 0, line = 0, filtered = 0, size = 0;
};

// What most bodies work on: a group's tiles with their states, in the group's order.
struct PlacedGroup {
  const DeviceTile* tiles;
  const TileState* states;
  DeviceGroup group;

  JL_HD const DeviceTile& tile_of(int which) const { return tiles[group.tiles[which]]; }
  JL_HD const TileState& state_of(int which) const { return states[group.tiles[which]]; }
};

// item: states of some tiles go where all are.
struct StatesBody {
  const TileState* from;
  const int* tiles;
  TileState* states;

  JL_HD void operator()(int, int item) const { states[tiles[item]] = from[item]; }
};

// Tiles that are drawn together take their shares.
struct AssignBody {
  DeviceTile* tiles;
  DeviceGroup group;
  double* scratch;
  ScratchLayout layout;

  JL_HD void operator()(int which, int) const {
    DeviceTile& tile = tiles[group.tiles[which]];
    double* own = scratch + static_cast<std::size_t>(which) * layout.size;
    tile.stencil = reinterpret_cast<TransformStencil*>(own + layout.stencil);
    tile.constants = own + layout.constants;
    tile.phase_x = own + layout.phase_x;
    tile.phase_y = own + layout.phase_y;
    tile.rays = own + layout.rays;
    tile.coefficients = own + layout.coefficients;
    tile.other = own + layout.other;
    tile.line = own + layout.line;
    RestGrid &fine = tile.view.core.fine, &coarse = tile.view.core.coarse;
    fine.filtered = own + layout.filtered;
    coarse.filtered = fine.filtered + fine.size();
  }
};

}  // namespace jointlight
