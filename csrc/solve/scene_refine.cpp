// SPDX-License-Identifier: BSD-3-Clause
// Amplitudes and skies at their best for given shapes. A tile's lanes do not depend on them, so
// what the lanes add up to gives chi2 and the normal equations at any other amplitudes exactly.
#include <algorithm>
#include <cmath>
#include <cstddef>

#include "base/sorted.hpp"
#include "solve/scene_problem.hpp"

namespace jointlight {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

// An amplitude that were best with the other sign, or without any light, keeps this share of
// itself: derivatives by all else follow it.
constexpr double least_share = 0.125;

// Where several sources share light, one whose best amplitude for the shapes at hand is more than
// this many times what it has, or less, keeps what it has: the shapes are too wrong to divide the
// light by them, and a source once without light does not come back.
constexpr double most_moved = 3.0;

// A coordinate that adds less than this to the mean gain of all stays, and with it what its tile
// was last drawn for.
constexpr double least_gain = 1e-2;

// A decrease below this fraction of chi2 is not worth moving for.
constexpr double least_decrease = 1e-10;

// Rounding of sums before the move, in chi2 after it, beyond which that is worth an evaluation.
constexpr double trusted_share = 1e-6;

constexpr int max_rounds = 30;  // of conjugate gradients; few amplitudes take as many as they are
constexpr int max_passes = 8;   // in which coordinates find their limits

bool is_sky(const TileGeometry& geometry) {
  return geometry.kind == ComponentKind::flat_sky || geometry.kind == ComponentKind::plane_sky;
}

}  // namespace

void SceneProblem::Subsystem::multiply(const std::vector<double>& v,
                                       std::vector<double>& out) const {
  std::fill(out.begin(), out.end(), 0.0);
  for (const Entry& e : entries) {
    out[at(e.row)] += e.value * v[at(e.column)];
    if (e.row != e.column) out[at(e.column)] += e.value * v[at(e.row)];
  }
}

// Conjugate gradients with the diagonal as preconditioner (Hestenes & Stiefel 1952); coordinates
// that are fixed stay at their step.
void SceneProblem::Subsystem::solve(const std::vector<std::uint8_t>& fixed) {
  const std::size_t n = slope.size();
  std::vector<double> rest(n), scaled(n), direction(n);
  for (std::size_t i = 0; i < n; ++i) step[i] = fixed[i] != 0 ? step[i] : 0.0;
  multiply(step, image);
  double product = 0.0;
  for (std::size_t i = 0; i < n; ++i) {
    rest[i] = fixed[i] != 0 ? 0.0 : -slope[i] - image[i];
    scaled[i] = direction[i] = rest[i] / diagonal[i];
    product += rest[i] * scaled[i];
  }
  const double first = product;
  for (int round = 0; round < max_rounds && product > 1e-24 * first; ++round) {
    multiply(direction, image);
    double curvature = 0.0;
    for (std::size_t i = 0; i < n; ++i) curvature += direction[i] * image[i];
    if (!(curvature > 0.0)) break;
    const double length = product / curvature;
    double next = 0.0;
    for (std::size_t i = 0; i < n; ++i) {
      if (fixed[i] != 0) continue;
      step[i] += length * direction[i];
      rest[i] -= length * image[i];
      scaled[i] = rest[i] / diagonal[i];
      next += rest[i] * scaled[i];
    }
    for (std::size_t i = 0; i < n; ++i) direction[i] = scaled[i] + next / product * direction[i];
    product = next;
  }
}

void SceneProblem::refine(std::span<const int> group, std::span<double> x, std::span<double> g,
                          std::span<double> h) {
  const int n_groups = group.empty() ? 0 : *std::max_element(group.begin(), group.end()) + 1;
  std::vector<Subsystem> systems(at(n_groups));
  std::vector<int> position(x.size(), -1);
  for (const int i : layout_->linear) {
    const double diagonal = h[at(pattern().diagonal(i))];
    const bool no_light = layout_->amplitude[at(i)] != 0 && x[at(i)] == 0.0;
    if (group[at(i)] < 0 || !(diagonal > 0.0) || no_light) continue;
    Subsystem& system = systems[at(group[at(i)])];
    position[at(i)] = static_cast<int>(system.coordinates.size());
    system.coordinates.push_back(i);
    system.slope.push_back(g[at(i)]);
    system.diagonal.push_back(diagonal);
  }
  for (const int j : layout_->linear) {
    if (position[at(j)] < 0) continue;
    for (int k = pattern().diagonal(j); k < pattern().diagonal(j + 1); ++k) {
      const auto i = at(pattern().row[at(k)]);
      if (position[i] < 0 || group[i] != group[at(j)]) continue;
      systems[at(group[i])].entries.push_back({position[i], position[at(j)], h[at(k)]});
    }
  }
  for (std::size_t part = 0; part < parts_.size(); ++part) {
    for (const int i : part_coordinates(static_cast<int>(part))) {
      if (group[at(i)] < 0) continue;
      systems[at(group[at(i)])].chi2 += parts_[part];
      break;
    }
  }
  std::vector<double> full(x.size(), 0.0);
  bool any = false, afresh = false;
  for (Subsystem& system : systems) {
    const double change = best_step(system, x);
    if (!(change < -least_decrease * system.chi2)) continue;
    any = true;
    afresh = afresh || system.chi2 + change < trusted_share * system.chi2;
    for (std::size_t k = 0; k < system.step.size(); ++k) {
      const int i = system.coordinates[k];
      full[at(i)] = system.step[k];
      x[at(i)] = std::clamp(x[at(i)] + system.step[k], lower()[at(i)], upper()[at(i)]);
      // Sources that share pixels share what their amplitudes gain together.
      parts_[at(home(i))] += system.step[k] * (2.0 * system.slope[k] + system.image[k]);
    }
  }
  if (!any) return;
  if (afresh || !shift_amplitudes(full)) {
    linearize(x, g, h);
    return;
  }
  finish_normal(x, g, h);
}

// The best step inside limits; returns chi2's change, NaN where there is none.
double SceneProblem::best_step(Subsystem& system, std::span<const double> x) const {
  std::vector<double>& step = system.step;
  step.assign(system.coordinates.size(), 0.0);
  system.image.assign(step.size(), 0.0);
  std::vector<std::uint8_t> fixed(step.size(), 0);
  std::vector<int> sources;
  for (const int i : system.coordinates) {
    if (layout_->amplitude[at(i)] != 0) sources.push_back(home(i));
  }
  sort_unique(sources);
  bool any_fixed = true;
  for (int pass = 0; pass < max_passes && any_fixed; ++pass) {
    system.solve(fixed);
    any_fixed = false;
    for (std::size_t k = 0; k < step.size(); ++k) {
      if (fixed[k] != 0) continue;
      const auto i = at(system.coordinates[k]);
      double goal = x[i] + step[k];
      const double factor = layout_->amplitude[i] != 0 ? goal / x[i] : 1.0;
      if (sources.size() > 1) {
        if (!(factor > 1.0 / most_moved && factor < most_moved)) goal = x[i];
      } else if (!(factor > 0.0)) {
        goal = least_share * x[i];
      }
      goal = std::clamp(goal, lower()[i], upper()[i]);
      if (goal == x[i] + step[k]) continue;
      step[k] = goal - x[i];
      fixed[k] = 1;
      any_fixed = true;
    }
  }
  double gain = 0.0;
  for (std::size_t k = 0; k < step.size(); ++k) gain += step[k] * step[k] * system.diagonal[k];
  const double least = least_gain * gain / static_cast<double>(step.size());
  for (std::size_t k = 0; k < step.size(); ++k) {
    if (step[k] * step[k] * system.diagonal[k] < least) step[k] = 0.0;
  }
  system.multiply(step, system.image);
  double change = 0.0;
  for (std::size_t k = 0; k < step.size(); ++k) {
    change += step[k] * (2.0 * system.slope[k] + system.image[k]);
  }
  return change;
}

// The state at amplitudes and skies `step` [n_free] from the present ones; false if a tile has too
// little light for its derivatives to follow by a factor, and nothing was moved.
bool SceneProblem::shift_amplitudes(std::span<const double> step) {
  constexpr double least_light = 1e-6;  // of what it gains
  const ParameterMap& map = scene_->parameters();
  const auto& tiles = scene_->tiles();
  const auto slot_change = [&](int slot) {
    double change = 0.0;
    for (int e = map.row_begin(slot); e < map.row_end(slot); ++e) {
      change += state_.coefficients[at(e)] * step[at(map.free_index(e))];
    }
    return change;
  };
  std::vector<double> moved(tiles.size() * n_lanes, 0.0);  // value lanes
  for (std::size_t t = 0; t < tiles.size(); ++t) {
    if (!tiles_[t].visible) continue;
    const TileGeometry& geometry = tiles[t].geometry;
    const Chain& chain = chains_[t];
    double* own = &moved[t * n_lanes];
    if (is_sky(geometry)) {
      for (int s = 0; s < geometry.n_slots; ++s) {
        own[s] = chain.matrix[s][s] * slot_change(tiles[t].slots[at(s)]);
      }
      continue;
    }
    const int last = geometry.n_slots - 1;
    const double change = slot_change(tiles[t].slots[at(last)]);
    if (change == 0.0) continue;
    own[lane_unit] = chain.matrix[lane_unit][last] * change;
    const double light = std::abs(tiles_[t].value[lane_unit]);
    if (!(light > least_light * std::abs(own[lane_unit]))) return false;
  }
  for (std::size_t t = 0; t < tiles.size(); ++t) {
    TileState& state = tiles_[t];
    const double* own = &moved[t * n_lanes];
    const TileGeometry& geometry = tiles[t].geometry;
    if (!is_sky(geometry) && own[lane_unit] != 0.0) {
      const double factor = 1.0 + own[lane_unit] / state.value[lane_unit];
      for (auto& row : chains_[t].matrix) {
        for (int s = 0; s < geometry.n_all_slots(); ++s) {
          if (s != geometry.n_slots - 1) row[s] *= factor;
        }
      }
    }
    for (int i = 0; i < n_lanes; ++i) state.value[i] += own[i];
  }
  for (std::size_t i = 0; i < step.size(); ++i) state_.natural[i] += step[i];
  std::vector<std::uint8_t> done(state_.slots.size(), 0);
  for (const TileSpec& tile : tiles) {
    for (const int slot : tile.slots) {
      if (done[at(slot)] == 0) state_.slots[at(slot)] += slot_change(slot);
      done[at(slot)] = 1;
    }
  }
  for (std::size_t t = 0; t < tiles.size(); ++t) {  // placed where they are now
    for (std::size_t s = 0; s < tiles[t].slots.size(); ++s) {
      places_[t].slots[s] = state_.slots[at(tiles[t].slots[s])];
    }
  }
  std::vector<std::uint8_t> moves(tiles.size(), 0);
  for (std::size_t t = 0; t < tiles.size(); ++t) {
    const double* own = &moved[t * n_lanes];
    moves[t] = std::any_of(own, own + n_lanes, [](double v) { return v != 0.0; }) ? 1 : 0;
  }
  const auto& pairs = scene_->pairs();
  for (std::size_t p = 0; p < pairs.size(); ++p) {
    const auto a = at(pairs[p].a), b = at(pairs[p].b);
    if (moves[a] == 0 && moves[b] == 0) continue;
    const double* block = &sums_.blocks[p * n_lanes * n_lanes];
    for (int i = 0; i < n_lanes; ++i) {
      for (int j = 0; j < n_lanes; ++j) {
        const double value = block[i * n_lanes + j];
        sums_.gradients[a * n_lanes + at(i)] += value * moved[b * n_lanes + at(j)];
        if (a != b) sums_.gradients[b * n_lanes + at(j)] += value * moved[a * n_lanes + at(i)];
      }
    }
  }
  return true;
}

}  // namespace jointlight
