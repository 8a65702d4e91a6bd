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
  // Tiles in two parts
  int n_cores = 0;
  const int* cores = nullptr;  // [cores] tile
  CoreRule rule;
  double* core_light = nullptr;  // [cores][2][points] g, d
  double* core_sums = nullptr;   // [cores][n_sums][n_kappa]
};

// Where priors are added up, per scene: dense and by their lower triangles.
struct PriorSums {
  double* chi2 = nullptr;                        // [scenes]
  double* gradient = nullptr;                    // [n_free]
  double* curvature = nullptr;                   // [curvature_start of all] J^T W J, [n][n] each
  const std::size_t* curvature_start = nullptr;  // [scenes + 1]
};

inline constexpr int core_sums_size = CoreGrid::n_sums * CoreGrid::n_kappa;  // doubles a core

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

// Adds a scene's priors at its natural values.
struct PriorBody {
  Placement p;
  PriorSums sums;

  JL_HD void operator()(int scene) const {
    const int begin = p.free_start[scene], end = p.free_start[scene + 1], n = end - begin;
    double* curvature = sums.curvature + sums.curvature_start[scene];
    double chi2 = 0.0;
    for (int i = begin; i < end; ++i) {
      chi2 += prior_chi2(p.map, i, p.natural);
      add_prior(p.map, i, p.values, p.internal, p.natural, sums.gradient,
                [&](int a, int b, double h) {
                  const int row = (a > b ? a : b) - begin, column = (a > b ? b : a) - begin;
                  curvature[row * n + column] += h;
                });
    }
    sums.chi2[scene] += chi2;
  }
};

// How far coordinate i may move in one step.
struct StepBody {
  Placement p;
  double *low, *high;  // [n_free]

  JL_HD void operator()(int i) const { step_limits(p.map, i, p.values[i], low[i], high[i]); }
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
    const int room = static_cast<int>(p.table_start[tile + 1] - p.table_start[tile]) -
                     (view.in_parts() ? CoreGrid::table_size : 0);
    range.end = std::min(range.end, range.begin + room / TransformGrid::interval_size);
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
    return p.states[tile].has_table && !p.tiles[tile].in_parts() &&
           p.tiles[tile].geometry.profile == index;
  }
  // Adds to tail [n_lanes].
  JL_HD void operator()(int tile, int k, double* tail) const {
    const TileState& state = p.states[tile];
    const TailSquare square(p.tiles[tile].box_x, p.tiles[tile].box_y, state);
    add_tail_ray<Profile>(square, Profile::prepare(state.shape), k, tail);
  }
};

// Light of a core at the points of the rule, if it has the profile of this index.
template <class Profile>
struct CoreLightBody {
  Placement p;
  int index;

  JL_HD void operator()(int core, int first, int stride) const {
    const int tile = p.cores[core];
    const TileState& state = p.states[tile];
    if (!state.has_table || p.tiles[tile].geometry.profile != index) return;
    const auto constants = Profile::prepare(state.shape);
    const auto light = [&](int sample, double& value, double& by_shape) {
      double slope, by_shapes[2] = {};
      Profile::template brightness<double>(constants, core_r2(p.rule, state.taper, sample), value,
                                           slope, by_shapes);
      by_shape = by_shapes[0];
    };
    const int n = p.rule.n_points();
    double* g = p.core_light + static_cast<std::ptrdiff_t>(core) * 2 * n;
    for (int k = first; k < n; k += stride) {
      core_point(p.rule, state.taper, k, light, g[k], g[n + k]);
    }
  }
};

// Its transform at values of kappa.
struct CoreSumBody {
  Placement p;

  JL_HD void operator()(int core, int first, int stride) const {
    if (!p.states[p.cores[core]].has_table) return;
    const int n = p.rule.n_points();
    const double* g = p.core_light + static_cast<std::ptrdiff_t>(core) * 2 * n;
    double* sums = p.core_sums + static_cast<std::ptrdiff_t>(core) * core_sums_size;
    for (int i = first; i < CoreGrid::n_kappa; i += stride) {
      double s[CoreGrid::n_sums][1];
      jointlight::core_sums(p.rule, g, g + n, i, s);
      for (int c = 0; c < CoreGrid::n_sums; ++c) sums[c * CoreGrid::n_kappa + i] = s[c][0];
    }
  }
};

// The near part of its table, behind the far one.
struct CoreTableBody {
  Placement p;

  JL_HD void operator()(int core, int first, int stride) const {
    const int tile = p.cores[core];
    TileState& state = p.states[tile];
    if (!state.has_table) return;
    const double* sums = p.core_sums + static_cast<std::ptrdiff_t>(core) * core_sums_size;
    double* memory = p.tables + p.table_start[tile + 1] - CoreGrid::table_size;
    for (int i = first; i < CoreGrid::n_intervals; i += stride) {
      RadialEnd left, right;
      core_end(sums + i, CoreGrid::n_kappa, i, left);
      core_end(sums + i + 1, CoreGrid::n_kappa, i + 1, right);
      core_interval(state.taper, left, right, memory + i * TransformGrid::interval_size);
    }
    if (first != 0) return;
    core_header(state.taper, sums[0], sums[3 * CoreGrid::n_kappa], state.table);
    state.table.near_coefficients = memory;
  }
};

JL_ISA_END
}  // namespace jointlight::cuda
