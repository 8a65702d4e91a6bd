// SPDX-License-Identifier: BSD-3-Clause
// What one thread does on the way from free parameters to placed tiles: plain data and host/device
// functors, launched by place.cu and run in loops by the tests.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/macros.hpp"
#include "scene/parameter_view.hpp"
#include "scene/place_math.hpp"

namespace jointlight::cuda {

// Scenes end to end (scene/flat_scenes.hpp), their parameters and what is made of them.
struct Placement {
  ParameterView map;
  int n_tiles = 0, n_scenes = 0;
  const int* free_start = nullptr;           // [scenes + 1]
  const PlaceView* tiles = nullptr;          // [tiles]
  const std::size_t* table_start = nullptr;  // [tiles + 1]
  const ProfileView* profiles = nullptr;     // as in the registry
  const double* values = nullptr;            // [n_free]
  bool internal = true;                      // values are chart coordinates
  double* natural = nullptr;                 // [n_free]
  double* slots = nullptr;                   // [n_slots]
  double* coefficients = nullptr;            // [entries]
  std::uint8_t* valid = nullptr;             // [scenes] 1: all values are finite
  TileState* states = nullptr;               // [tiles]
  Chain* chains = nullptr;                   // [tiles]
  TransformStencil* stencils = nullptr;      // [tiles]
  int* first_nodes = nullptr;                // [tiles] in ln rho
  double* tables = nullptr;                  // [table_start of all]
};

JL_ISA_BEGIN

struct CoordinateBody {
  Placement p;

  JL_HD void operator()(int i) const {
    if (p.internal) {
      natural_values(p.map, i, p.values, p.natural);
    } else {
      p.natural[i] = p.values[i];
    }
  }
};

struct SceneBody {
  Placement p;

  JL_HD void operator()(int scene) const {
    const int begin = p.free_start[scene], end = p.free_start[scene + 1];
    p.valid[scene] = all_finite(p.values + begin, end - begin) ? 1 : 0;
  }
};

struct SlotBody {
  Placement p;

  JL_HD void operator()(int slot) const {
    p.slots[slot] = slot_value(p.map, slot, p.values, p.natural, p.internal, p.coefficients);
  }
};

// State, chain and the head of the radial table.
struct TileBody {
  Placement p;

  JL_HD void operator()(int tile) const {
    const PlaceView& view = p.tiles[tile];
    const ViewedProfile profile{p.profiles + std::max(view.geometry.profile, 0)};
    double slots[max_slots];
    gather_slots(view, p.slots, slots);
    TileState& state = p.states[tile];
    place_tile(view, slots, p.internal, profile, state, p.chains[tile]);
    if (!needs_table(view, state)) return;
    double low, high;
    table_limits(view, state, low, high);
    RadialRange range = radial_range(low, high);
    const std::size_t room =
        (p.table_start[tile + 1] - p.table_start[tile]) / TransformGrid::interval_size;
    range.end = std::min(range.end, range.begin + static_cast<int>(room));
    p.first_nodes[tile] = range.begin;
    p.stencils[tile] = transform_stencil(profile.view->transform, state.shape);
    radial_header(p.stencils[tile], range, state.table);
    state.table.coefficients = p.tables + p.table_start[tile];
    state.has_table = true;
  }
};

// Intervals `first`, `first + stride`, ... of a placed tile's radial table.
struct TableBody {
  Placement p;

  JL_HD void operator()(int tile, int first, int stride) const {
    const TileState& state = p.states[tile];
    if (!state.has_table) return;
    double* coefficients = p.tables + p.table_start[tile];
    for (int i = first; i < state.table.n_intervals; i += stride) {
      radial_interval(p.stencils[tile], p.first_nodes[tile], i,
                      coefficients + i * TransformGrid::interval_size);
    }
  }
};

// Light of a placed tile's far copies along ray k, if it has the profile of this index.
template <class Profile>
struct TailBody {
  Placement p;
  int index;

  JL_HD bool concerns(int tile) const {
    return p.states[tile].has_table && p.tiles[tile].geometry.profile == index;
  }
  // Adds to tail [n_lanes].
  JL_HD void operator()(int tile, int k, double* tail) const {
    const TileState& state = p.states[tile];
    const TailSquare square(p.tiles[tile].box_x, p.tiles[tile].box_y, state);
    add_tail_ray<Profile>(square, Profile::prepare(state.shape), k, tail);
  }
};

JL_ISA_END
}  // namespace jointlight::cuda
