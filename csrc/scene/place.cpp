// SPDX-License-Identifier: BSD-3-Clause
// What each tile's rendering needs at one parameter vector.
#include <algorithm>
#include <cmath>

#include "base/stage_clock.hpp"
#include "scene/core_table.hpp"
#include "scene/registered_profile.hpp"
#include "scene/scene.hpp"

namespace jointlight {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

}  // namespace

PlaceView Scene::place_view(std::size_t index) const {
  const TileSpec& tile = spec_.tiles[index];
  const TileView& view = views_[index];
  PlaceView place;
  place.geometry = tile.geometry;
  std::copy(tile.slots.begin(), tile.slots.end(), place.slots);
  place.renderer = view.renderer;
  place.width = view.width;
  place.height = view.height;
  if (view.renderer != Renderer::fourier) return place;
  const TransferView& transfer = view.transfer;
  place.box_x = transfer.box_x;
  place.box_y = transfer.box_y;
  place.box_x0 = view.drawn.x0;
  place.box_y0 = view.drawn.y0;
  place.core = {view.core.taper, view.core.least_px, {view.core.shift[0], view.core.shift[1]}};
  const double step = 2.0 * M_PI / std::max(transfer.box_x, transfer.box_y);
  double kx_max = 0.0;
  for (int r = 0; r < transfer.column_start[transfer.n_columns]; ++r) {
    kx_max = std::max(kx_max, std::abs(2.0 * M_PI * transfer.runs[r].jx) / transfer.box_x);
  }
  const double ky_max =
      2.0 * M_PI * std::max(std::abs(transfer.y_min), transfer.y_max) / transfer.box_y;
  place.least_k2 = step * step;
  place.largest_k2 = kx_max * kx_max + ky_max * ky_max;
  return place;
}

void Scene::make_table(std::size_t tile, TileState& state, AlignedBuffer<double>& memory) const {
  const PlaceView& view = place_views_[tile];
  const int profile = view.geometry.profile;
  double low, high;
  table_limits(view, state, low, high);
  const std::size_t far_size = TransformTable::size(low, high);
  const std::size_t needed = far_size + (view.in_parts() ? CoreGrid::table_size : 0);
  if (memory.size() < needed) memory.resize(needed + needed / 8);
  transform_table(profile).fill(state.shape, low, high, memory.data(), state.table);
  const ProfileInfo& info = profile_registry()[at(profile)];
  if (view.in_parts()) {
    fill_core_table(info, state.shape, state.taper, memory.data() + far_size, state.table);
  } else {
    info.copy_tail(view.box_x, view.box_y, state);
  }
}

void Scene::place_tiles(const ParameterState& parameters, bool internal, Tables tables,
                        std::vector<TileState>& states, std::vector<Chain>& chains,
                        std::vector<TilePlace>& places) const {
  const StageClock clock(Stage::place);
  states.resize(spec_.tiles.size());
  chains.resize(spec_.tiles.size());
  places.resize(spec_.tiles.size());
  double slots[max_slots];
  for (std::size_t i = 0; i < place_views_.size(); ++i) {
    const PlaceView& view = place_views_[i];
    TileState& state = states[i];
    TilePlace& place = places[i];
    gather_slots(view, parameters.slots.data(), slots);
    const int n_slots = view.geometry.n_all_slots(), profile = view.geometry.profile;
    if (place.known && std::equal(slots, slots + n_slots, place.slots)) continue;
    std::copy_n(slots, n_slots, place.slots);
    place.known = true;
    place_tile(view, slots, internal, RegisteredProfile{profile}, state, chains[i]);
    if (!needs_table(view, state)) continue;
    state.has_table = true;
    if (tables == Tables::made || view.in_parts()) {
      make_table(i, state, place.table);
    } else {
      double low, high;
      table_limits(view, state, low, high);
      transform_table(profile).describe(state.shape, low, high, state.table);
    }
  }
}

}  // namespace jointlight
