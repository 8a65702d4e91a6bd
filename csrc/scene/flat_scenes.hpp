// SPDX-License-Identifier: BSD-3-Clause
// Scenes laid end to end in flat arrays: all that leads from free parameters to placed tiles, for
// an executor with memory of its own, which copies the arrays and points views at its copies.
// Coordinates, slots, entries of slot rows and tiles are numbered through.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "scene/parameter_view.hpp"
#include "scene/place_math.hpp"
#include "scene/transform_view.hpp"

namespace jointlight {

class Scene;

struct FlatScenes {
  // As in ParameterView
  std::vector<ParameterChart> chart;
  std::vector<int> triple;
  std::vector<ChartTriple> triples;
  std::vector<int> row_start = {0}, indices;
  std::vector<double> coefficients, constants;
  std::vector<std::uint8_t> raw_slot, is_angle;
  std::vector<double> prior_mean, prior_sigma, lower, upper, max_step;

  std::vector<PlaceView> tiles;
  std::vector<std::size_t> table_start = {0};  // [tiles + 1] doubles of the tiles' radial tables
  std::vector<int> free_start = {0}, slot_start = {0}, tile_start = {0};  // [scenes + 1]

  std::vector<int> cores;    // tiles in two parts
  std::vector<double> rule;  // of their quadrature

  // The registry's profiles; nodes only of those that tiles use.
  std::vector<double> nodes;
  std::vector<std::size_t> node_start;  // [profiles] into nodes
  std::vector<ProfileView> profiles;    // without pointers

  explicit FlatScenes(const std::vector<const Scene*>& scenes);

  int n_free() const { return free_start.back(); }
  int n_slots() const { return slot_start.back(); }
  int n_tiles() const { return tile_start.back(); }
  int n_scenes() const { return static_cast<int>(tile_start.size()) - 1; }

  // On the host's own arrays
  ParameterView parameters() const;
  // With what they point to at `from`, a copy of `rule` or of `nodes`
  CoreRule rule_at(const double* from) const;
  std::vector<ProfileView> profiles_at(const double* from) const;

 private:
  void add_parameters(const ParameterView& map);
  void add_tiles(const Scene& scene);
  void add_profile(int index);
};

}  // namespace jointlight
