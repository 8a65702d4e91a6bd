// SPDX-License-Identifier: BSD-3-Clause
// Independent pieces of a problem: coordinates that no part of chi2 links to any other.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "solve/problem.hpp"

namespace jointlight {

struct Region {
  std::vector<int> coordinates;  // [n] ascending
  std::vector<int> parts;        // parts of chi2 that change with them
  std::vector<int> home;         // [n] index into `parts`
  SparsePattern pattern;         // over `coordinates`
  std::vector<int> entries;      // [nnz] position in the problem's pattern
  long n_data = -1;              // -1 = unknown
  bool rough = false;            // derivatives are, see Problem
  // [parts] those whose coordinates each part changes with, as indices into `parts`; empty where
  // there is only one part
  std::vector<std::vector<int>> sources;
};

// active: [n], zero where a coordinate is held; held ones belong to no region.
std::vector<Region> find_regions(const Problem& problem, std::span<const std::uint8_t> active);

// What is left of a region when some of its parts are held. Where its coordinates, parts and
// entries of the pattern are in the region that it was made from.
struct Subregion {
  Region region;
  std::vector<int> coordinates, parts, entries;
};

// moving: [parts], zero where a part's coordinates are held.
std::vector<Subregion> split_region(const Region& region, std::span<const std::uint8_t> moving);

}  // namespace jointlight
