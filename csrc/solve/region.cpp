// SPDX-License-Identifier: BSD-3-Clause
#include "solve/region.hpp"

#include <algorithm>
#include <cstddef>

#include "base/sorted.hpp"
#include "solve/disjoint_sets.hpp"

namespace jointlight {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

// inside: [n] non-zero where a coordinate moves; local_part: [parts] index in its region.
void list_sources(const Problem& problem, std::span<const std::uint8_t> inside,
                  std::span<const int> local_part, Region& region) {
  if (region.parts.size() < 2) return;
  for (const int part : region.parts) {
    std::vector<int>& list = region.sources.emplace_back();
    for (const int i : problem.part_coordinates(part)) {
      if (inside[at(i)] != 0) list.push_back(local_part[at(problem.home(i))]);
    }
    sort_unique(list);
  }
}

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
    region.rough = problem.rough_derivatives();
    for (const int i : region.coordinates) region.home.push_back(local_part[at(problem.home(i))]);
    region.pattern = pattern.restricted(region.coordinates, region.entries);
    list_sources(problem, inside, local_part, region);
  }
  return regions;
}

std::vector<Subregion> split_region(const Region& region, std::span<const std::uint8_t> moving) {
  const std::size_t n_parts = region.parts.size();
  DisjointSets sets(n_parts);
  std::vector<int> mover(n_parts, -1);  // one on which a part depends
  for (std::size_t p = 0; p < n_parts; ++p) {
    int& first = mover[p];
    if (moving[p] != 0) first = static_cast<int>(p);  // priors
    for (const int source : region.sources[p]) {
      if (moving[at(source)] == 0) continue;
      if (first < 0) first = source;
      sets.join(at(first), at(source));
    }
  }
  std::vector<Subregion> found;
  std::vector<int> number(n_parts, -1), local(n_parts, -1);
  for (std::size_t p = 0; p < n_parts; ++p) {
    if (mover[p] < 0) continue;
    int& which = number[sets.root(at(mover[p]))];
    if (which < 0) {
      which = static_cast<int>(found.size());
      found.emplace_back();
    }
    Subregion& sub = found[at(which)];
    local[p] = static_cast<int>(sub.parts.size());
    sub.parts.push_back(static_cast<int>(p));
    sub.region.parts.push_back(region.parts[p]);
  }
  for (std::size_t i = 0; i < region.coordinates.size(); ++i) {
    const std::size_t home = at(region.home[i]);
    if (moving[home] == 0) continue;
    Subregion& sub = found[at(number[sets.root(home)])];
    sub.coordinates.push_back(static_cast<int>(i));
    sub.region.coordinates.push_back(region.coordinates[i]);
    sub.region.home.push_back(local[home]);
  }
  for (Subregion& sub : found) {
    sub.region.rough = region.rough;
    sub.region.pattern = region.pattern.restricted(sub.coordinates, sub.entries);
    for (const int e : sub.entries) sub.region.entries.push_back(region.entries[at(e)]);
  }
  return found;
}

}  // namespace jointlight
