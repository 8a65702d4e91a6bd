// SPDX-License-Identifier: BSD-3-Clause
#include "solve/normal_layout.hpp"

#include <algorithm>
#include <limits>

#include "base/error.hpp"
#include "base/sorted.hpp"
#include "solve/disjoint_sets.hpp"

namespace jointlight {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

}  // namespace

NormalLayout::NormalLayout(const Scene& scene) {
  list_columns(scene);
  divide(scene);
  make_pattern(scene);
  group_pairs();
  find_linear(scene);
}

void NormalLayout::list_columns(const Scene& scene) {
  const ParameterMap& map = scene.parameters();
  for (const TileSpec& tile : scene.tiles()) {
    TileColumns columns;
    for (const int slot : tile.slots) {
      for (int e = map.row_begin(slot); e < map.row_end(slot); ++e) {
        columns.free.push_back(map.free_index(e));
      }
    }
    sort_unique(columns.free);
    for (const int slot : tile.slots) {
      auto& row = columns.column.emplace_back();
      for (int e = map.row_begin(slot); e < map.row_end(slot); ++e) {
        const auto found =
            std::lower_bound(columns.free.begin(), columns.free.end(), map.free_index(e));
        row.push_back(static_cast<int>(found - columns.free.begin()));
      }
    }
    tiles.push_back(std::move(columns));
  }
}

void NormalLayout::find_linear(const Scene& scene) {
  const ParameterMap& map = scene.parameters();
  amplitude.assign(at(map.n_free()), 0);
  for (const ImageSpec& image : scene.images()) {
    if (image.likelihood != Likelihood::gaussian) return;
  }
  std::vector<std::uint8_t> used(amplitude.size(), 0), other(amplitude.size(), 0);
  for (const TileSpec& tile : scene.tiles()) {
    const ComponentKind kind = tile.geometry.kind;
    const bool sky = kind == ComponentKind::flat_sky || kind == ComponentKind::plane_sky;
    for (std::size_t s = 0; s < tile.slots.size(); ++s) {
      const bool is_amplitude = !sky && static_cast<int>(s) == tile.geometry.n_slots - 1;
      for (int e = map.row_begin(tile.slots[s]); e < map.row_end(tile.slots[s]); ++e) {
        const auto i = at(map.free_index(e));
        used[i] = 1;
        if (is_amplitude) amplitude[i] = 1;
        if (!sky && !is_amplitude) other[i] = 1;
      }
    }
  }
  for (std::size_t i = 0; i < used.size(); ++i) {
    const bool is_linear = used[i] != 0 && other[i] == 0 && map.is_linear(static_cast<int>(i));
    if (is_linear) linear.push_back(static_cast<int>(i));
    if (!is_linear) amplitude[i] = 0;
  }
}

void NormalLayout::divide(const Scene& scene) {
  for (const TileSpec& tile : scene.tiles()) n_sources = std::max(n_sources, tile.source + 1);
  source_coordinates.resize(at(n_sources));
  n_data.assign(at(n_sources), 0);
  home.assign(at(scene.parameters().n_free()), -1);
  for (std::size_t t = 0; t < tiles.size(); ++t) {
    const int source = scene.tiles()[t].source;
    n_data[at(source)] += scene.owned_pixels()[t];
    for (const int i : tiles[t].free) {
      if (home[at(i)] < 0) home[at(i)] = source;
    }
  }
  for (int& source : home) source = std::max(source, 0);
  // A source's pixels change with whatever overlaps it.
  for (const TilePair& pair : scene.pairs()) {
    for (const auto& [one, other] : {std::pair{pair.a, pair.b}, std::pair{pair.b, pair.a}}) {
      std::vector<int>& list = source_coordinates[at(scene.tiles()[at(one)].source)];
      list.insert(list.end(), tiles[at(other)].free.begin(), tiles[at(other)].free.end());
    }
  }
  for (auto& list : source_coordinates) sort_unique(list);
}

// Coordinates are coupled where tiles share pixels, by a chart, and within a source (so that its
// covariance is complete).
void NormalLayout::make_pattern(const Scene& scene) {
  const int n = scene.parameters().n_free();
  std::vector<std::vector<int>> groups = scene.parameters().chart_groups();
  std::vector<std::vector<int>> own(at(n_sources));
  std::vector<int> owner(at(n), -1);  // -2: of several sources
  for (std::size_t t = 0; t < tiles.size(); ++t) {
    const int source = scene.tiles()[t].source;
    for (const int i : tiles[t].free) {
      int& o = owner[at(i)];
      o = o == -1 || o == source ? source : -2;
    }
  }
  // What an image's sources share would couple each of them across all images.
  for (std::size_t t = 0; t < tiles.size(); ++t) {
    std::vector<int>& list = own[at(scene.tiles()[t].source)];
    for (const int i : tiles[t].free) {
      if (owner[at(i)] >= 0) list.push_back(i);
    }
  }
  for (auto& list : own) {
    sort_unique(list);
    groups.push_back(std::move(list));
  }
  std::vector<std::vector<int>> below(at(n));  // [column] rows
  const auto couple = [&](const std::vector<int>& rows, const std::vector<int>& columns) {
    for (const int j : columns) {
      const auto first = std::lower_bound(rows.begin(), rows.end(), j);
      below[at(j)].insert(below[at(j)].end(), first, rows.end());
    }
  };
  for (std::vector<int>& group : groups) {
    std::sort(group.begin(), group.end());
    couple(group, group);
  }
  for (const TilePair& pair : scene.pairs()) {
    couple(tiles[at(pair.a)].free, tiles[at(pair.b)].free);
    couple(tiles[at(pair.b)].free, tiles[at(pair.a)].free);
  }
  pattern.n = n;
  pattern.column_start.assign(1, 0);
  for (int j = 0; j < n; ++j) {
    std::vector<int>& rows = below[at(j)];
    rows.push_back(j);
    sort_unique(rows);
    pattern.row.insert(pattern.row.end(), rows.begin(), rows.end());
    require(pattern.row.size() < static_cast<std::size_t>(std::numeric_limits<int>::max()),
            "the normal equations of this scene have too many entries for one solve");
    pattern.column_start.push_back(pattern.nonzeros());
    std::vector<int>().swap(rows);
  }
  for (const TilePair& pair : scene.pairs()) {
    std::vector<int> position;
    for (const int i : tiles[at(pair.a)].free) {
      for (const int j : tiles[at(pair.b)].free) position.push_back(pattern.find(i, j));
    }
    positions.push_back(std::move(position));
  }
}

void NormalLayout::group_pairs() {
  DisjointSets sets(positions.size());
  std::vector<int> first(pattern.row.size(), -1);  // pair that adds to a value
  for (std::size_t p = 0; p < positions.size(); ++p) {
    for (const int position : positions[p]) {
      int& pair = first[at(position)];
      if (pair < 0) pair = static_cast<int>(p);
      if (at(pair) != p) sets.join(at(pair), p);
    }
  }
  std::vector<int> number(positions.size(), -1);
  for (std::size_t p = 0; p < positions.size(); ++p) {
    int& group = number[sets.root(p)];
    if (group < 0) {
      group = static_cast<int>(pair_groups.size());
      pair_groups.emplace_back();
    }
    pair_groups[at(group)].push_back(static_cast<int>(p));
  }
}

}  // namespace jointlight
