// SPDX-License-Identifier: BSD-3-Clause
// What the lanes in a device's memory are of. Those that are a tile's new state's already are not
// drawn again: a trial step that is accepted, sources that rest while others are fitted.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "scene/tile.hpp"

namespace jointlight {

class DrawnTiles {
 public:
  // Adds those of tiles first, first + 1, ... to `changed` that are to be drawn, and takes them as
  // drawn. Skies, which are not, are always among them.
  void update(std::span<const TileView> views, std::size_t first, std::span<const TileState> states,
              std::vector<int>& changed) {
    if (drawn_.size() < views.size()) drawn_.resize(views.size());
    for (std::size_t k = 0; k < states.size(); ++k) {
      std::optional<LaneKey>& drawn = drawn_[first + k];
      const LaneKey now = lane_key(states[k]);
      if (views[first + k].renderer != Renderer::sky && drawn == now) continue;
      changed.push_back(static_cast<int>(first + k));
      drawn = now;
    }
  }
  void forget() { drawn_.clear(); }

 private:
  std::vector<std::optional<LaneKey>> drawn_;  // [tiles]
};

}  // namespace jointlight
