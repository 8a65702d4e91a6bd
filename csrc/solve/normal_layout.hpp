// SPDX-License-Identifier: BSD-3-Clause
// Where a scene's lane sums go in the normal equations of its free coordinates, and how chi2 and
// the coordinates divide among sources. Made once a scene, shared by all who evaluate it.
#pragma once

#include <cstdint>
#include <vector>

#include "scene/scene.hpp"
#include "solve/sparse.hpp"

namespace jointlight {

struct NormalLayout {
  explicit NormalLayout(const Scene& scene);

  // Free coordinates that a tile depends on.
  struct TileColumns {
    std::vector<int> free;                 // sorted, distinct
    std::vector<std::vector<int>> column;  // [slot][entry of its row] -> position in `free`
  };

  std::vector<TileColumns> tiles;
  SparsePattern pattern;
  std::vector<std::vector<int>> positions;  // [pair][ia * n_b + ib] into the pattern's values

  // Pairs that add to the same values of the pattern, directly or through others, in ascending
  // order: what one group adds up to is no other's concern.
  std::vector<std::vector<int>> pair_groups;

  // Coordinates that every model image is linear in, and [n_free] which of those are amplitudes of
  // sources. None where a likelihood is not Gaussian.
  std::vector<int> linear;
  std::vector<std::uint8_t> amplitude;

  int n_sources = 0;
  std::vector<std::vector<int>> source_coordinates;  // [source] all that its pixels change with
  std::vector<int> home;                             // [n_free] first source that follows it
  std::vector<long> n_data;                          // [source]

 private:
  void list_columns(const Scene& scene);
  void make_pattern(const Scene& scene);
  void group_pairs();
  void divide(const Scene& scene);
  void find_linear(const Scene& scene);
};

}  // namespace jointlight
