// SPDX-License-Identifier: BSD-3-Clause
// What a device has to do for some scenes, in the order in which it does it: plain lists, made once
// on the host. Tiles, images and pairs of several scenes are numbered one scene after the other.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "scene/scene.hpp"
#include "stages/device/sums.hpp"

namespace jointlight {

// Tiles that are drawn together: of one renderer, profile and box size, in one part or in two.
struct GroupPlan {
  Renderer renderer = Renderer::fourier;
  int profile = -1;
  int box_x = 0, box_y = 0;
  bool in_parts = false;
  // the largest of any of its tiles
  int n_columns = 0, n_rows = 0, n_width = 0, n_runs = 0, n_phases = 0;
  int n_copies = 0;                          // of CopyPlan::n
  int n_copy_nodes = 0;                      // values at the nodes of all ring sets, lanes included
  int n_height = 0, n_pixels = 0;            // of the window
  int n_rest_nodes = 0, n_rest_columns = 0;  // nodes of both grids, and along x
  int n_edges = 0;                           // of pixels
  int n_setup = 0;                           // doubles of the profile's constants
  std::vector<int> tiles;

  // Complex numbers of one spectrum of one tile and lane.
  std::size_t spectrum_size() const;
  // Doubles of what one tile needs on the way to its lanes, beside spectra.
  std::size_t coefficients_size() const;
  std::size_t filtered_size() const;
  std::size_t other_size() const;
  std::size_t line_size() const;
  ScratchLayout scratch_layout() const;
  std::size_t scratch_size() const { return scratch_layout().size; }
};

// Whether its derivatives are float32 on a device.
inline bool is_single(const TileView& view, Precision precision) {
  return precision == Precision::mixed && view.in_one_box();
}

struct ImagePlan {
  const ImageSpec* spec = nullptr;
  std::vector<int> cell_start, cell_tiles;
  double covered = 0.0;  // pixels of the windows of all its tiles
};

struct DevicePlan {
  explicit DevicePlan(std::span<const Scene* const> scenes);

  std::vector<TileView> views;  // pointers are the host's
  std::vector<ImagePlan> images;
  std::vector<GroupPlan> groups;
  std::vector<PairPiece> pieces;
  std::vector<int> piece_start;  // [pairs + 1]
  std::vector<DeviceRun> runs;   // by tile
  std::vector<int> run_start;    // [tiles + 1]
  // [scenes + 1] first of each scene's
  std::vector<int> first_tile = {0}, first_image = {0}, first_pair = {0};
};

// What a device keeps of a scene, at most, beside its share of what is made on the way to lanes.
std::size_t device_bytes(const Scene& scene);

}  // namespace jointlight
