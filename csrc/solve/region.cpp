// SPDX-License-Identifier: BSD-3-Clause
#include "solve/region.hpp"

#include <algorithm>
#include <cstddef>

#include "solve/disjoint_sets.hpp"

namespace jointlight {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

}  // namespace

std::vector<Region> find_regions(const Problem& problem, std::span<const std::uint8_t> active) {
  const SparsePattern& pattern = problem.pattern();
  const auto n = at(problem.size());
  DisjointSets sets(n);
  std::vector<std::uint8_t> inside(active.begin(), active.end());
  for (int j = 0; j < pattern.n; ++j) {
    for (int k = pattern.diagonal(j); k < pattern.diagonal(j + 1); ++k) {
      const auto i = at(pattern.row[at(k)]);
      if (inside[i] != 0 && inside[at(j)] != 0) sets.join(i, at(j));
    }
  }
  // A part whose own coordinates are held may still link others.
  std::vector<int> first_of_part(at(problem.n_parts()), -1);
  for (int part = 0; part < problem.n_parts(); ++part) {
    const std::span<const int> coordinates = problem.part_coordinates(part);
    const bool whole = problem.n_parts() == 1;
    const int count = whole ? problem.size() : static_cast<int>(coordinates.size());
    int& first = first_of_part[at(part)];
    for (int k = 0; k < count; ++k) {
      const int i = whole ? k : coordinates[at(k)];
      if (inside[at(i)] == 0) continue;
      if (first < 0) {
        first = i;
      } else {
        sets.join(at(first), at(i));
      }
    }
  }
  for (std::size_t i = 0; i < n; ++i) {  // priors of a coordinate belong to its home
    int& first = first_of_part[at(problem.home(static_cast<int>(i)))];
    if (inside[i] == 0) continue;
    if (first < 0) {
      first = static_cast<int>(i);
    } else {
      sets.join(at(first), i);
    }
  }

  std::vector<Region> regions;
  std::vector<int> region_of_root(n, -1);
  for (std::size_t i = 0; i < n; ++i) {
    if (inside[i] == 0) continue;
    int& r = region_of_root[sets.root(i)];
    if (r < 0) {
      r = static_cast<int>(regions.size());
      regions.emplace_back();
    }
    regions[at(r)].coordinates.push_back(static_cast<int>(i));
  }
  std::vector<int> local_part(first_of_part.size(), -1);
  for (std::size_t p = 0; p < first_of_part.size(); ++p) {
    if (first_of_part[p] < 0) continue;
    Region& region = regions[at(region_of_root[sets.root(at(first_of_part[p]))])];
    local_part[p] = static_cast<int>(region.parts.size());
    region.parts.push_back(static_cast<int>(p));
    const long count = problem.n_data(static_cast<int>(p));
    if (count >= 0) region.n_data = std::max(region.n_data, 0L) + count;
  }
  for (Region& region : regions) {
    for (const int i : region.coordinates) region.home.push_back(local_part[at(problem.home(i))]);
    region.pattern = pattern.restricted(region.coordinates, region.entries);
  }
  return regions;
}

}  // namespace jointlight
