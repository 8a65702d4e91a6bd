// SPDX-License-Identifier: BSD-3-Clause
// What the lanes in a device's memory are of. Those that are a tile's new state's already are not
// drawn again: a trial step that is accepted, sources that rest while others are fitted.
#pragma once

#include <algorithm>
#include <cstddef>
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
      Drawn& drawn = drawn_[first + k];
      const bool is_sky = views[first + k].renderer == Renderer::sky;
      if (!is_sky && drawn.known && alike(states[k], drawn.state)) continue;
      changed.push_back(static_cast<int>(first + k));
      drawn = {true, states[k]};
    }
  }
  void forget() { drawn_.clear(); }

 private:
  struct Drawn {
    bool known = false;
    TileState state;
  };

  // Whether lanes are the same: all else follows from these.
  static bool alike(const TileState& a, const TileState& b) {
    return a.visible == b.visible && a.x0 == b.x0 && a.y0 == b.y0 &&
           std::equal(a.S, a.S + 3, b.S) && std::equal(a.shape, a.shape + 2, b.shape);
  }

  std::vector<Drawn> drawn_;  // [tiles]
};

}  // namespace jointlight
