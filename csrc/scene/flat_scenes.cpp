// SPDX-License-Identifier: BSD-3-Clause
#include "scene/flat_scenes.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "scene/core_table.hpp"
#include "scene/profile_registry.hpp"
#include "scene/scene.hpp"
#include "scene/transform_table.hpp"

namespace jointlight {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

template <class T>
void append(std::vector<T>& to, const T* from, int n) {
  to.insert(to.end(), from, from + n);
}

}  // namespace

FlatScenes::FlatScenes(const std::vector<const Scene*>& scenes) {
  profiles.resize(profile_registry().size());
  node_start.assign(profiles.size(), 0);
  for (const Scene* scene : scenes) {
    add_tiles(*scene);
    add_parameters(scene->parameters().view());
  }
  if (cores.empty()) return;
  const CoreRule& r = core_rule();
  append(rule, r.x, r.n_samples);
  append(rule, r.weight, r.n_samples);
  append(rule, r.hand, r.n_inner_samples * CoreGrid::n_inner);
  append(rule, r.point, r.n_points());
  append(rule, r.j0, r.n_points() * CoreGrid::n_kappa);
  append(rule, r.j1, r.n_points() * CoreGrid::n_kappa);
}

CoreRule FlatScenes::rule_at(const double* from) const {
  if (cores.empty()) return {};
  CoreRule r = core_rule();
  r.x = from;
  r.weight = r.x + r.n_samples;
  r.hand = r.weight + r.n_samples;
  r.point = r.hand + r.n_inner_samples * CoreGrid::n_inner;
  r.j0 = r.point + r.n_points();
  r.j1 = r.j0 + r.n_points() * CoreGrid::n_kappa;
  return r;
}

void FlatScenes::add_parameters(const ParameterView& map) {
  require(!map.has_functions, "a scene with function ties is evaluated on the host alone");
  const int first_free = n_free(), first_entry = row_start.back();
  const int first_triple = static_cast<int>(triples.size());
  append(chart, map.chart, map.n_free);
  for (int i = 0; i < map.n_free; ++i) {
    triple.push_back(map.triple[i] < 0 ? -1 : map.triple[i] + first_triple);
  }
  for (int t = 0; t < map.n_triples; ++t) {
    ChartTriple moved = map.triples[t];
    moved.q += first_free;
    moved.pa += first_free;
    if (moved.scale >= 0) moved.scale += first_free;
    triples.push_back(moved);
  }
  for (int slot = 1; slot <= map.n_slots; ++slot) {
    row_start.push_back(map.row_start[slot] + first_entry);
  }
  for (int e = 0; e < map.n_entries(); ++e) indices.push_back(map.indices[e] + first_free);
  append(coefficients, map.coefficients, map.n_entries());
  append(constants, map.constants, map.n_slots);
  append(raw_slot, map.raw_slot, map.n_slots);
  append(is_angle, map.is_angle, map.n_free);
  append(prior_mean, map.prior_mean, map.n_free);
  append(prior_sigma, map.prior_sigma, map.n_free);
  append(lower, map.lower, map.n_free);
  append(upper, map.upper, map.n_free);
  append(max_step, map.max_step, map.n_free);
  free_start.push_back(first_free + map.n_free);
  slot_start.push_back(n_slots() + map.n_slots);
}

void FlatScenes::add_tiles(const Scene& scene) {
  const int first_slot = n_slots();
  for (PlaceView tile : scene.place_views()) {
    if (tile.in_parts()) cores.push_back(static_cast<int>(tiles.size()));
    for (int k = 0; k < tile.geometry.n_all_slots(); ++k) tile.slots[k] += first_slot;
    tiles.push_back(tile);
    const int profile = tile.geometry.profile;
    const bool tabulated = tile.renderer == Renderer::fourier && profile >= 0;
    const int n = tabulated ? most_intervals(tile) : 0;
    table_start.push_back(table_start.back() + at(n * TransformGrid::interval_size) +
                          at(tile.in_parts() ? CoreGrid::table_size : 0));
    if (profile >= 0) add_profile(profile);
  }
  tile_start.push_back(static_cast<int>(tiles.size()));
}

void FlatScenes::add_profile(int index) {
  ProfileView& view = profiles[at(index)];
  if (view.transform.n_held > 0) return;
  const ProfileInfo& info = profile_registry()[at(index)];
  view.n_shape = info.n_shape;
  std::copy(info.shape_min.begin(), info.shape_min.end(), view.shape_min);
  std::copy(info.shape_max.begin(), info.shape_max.end(), view.shape_max);
  node_start[at(index)] = nodes.size();
  std::vector<double> made;
  view.transform = transform_table(index).export_nodes(view.shape_min[0], view.shape_max[0], made);
  view.transform.nodes = nullptr;
  nodes.insert(nodes.end(), made.begin(), made.end());
}

ParameterView FlatScenes::parameters() const {
  return {.n_free = n_free(),
          .n_slots = n_slots(),
          .n_triples = static_cast<int>(triples.size()),
          .has_functions = false,
          .chart = chart.data(),
          .triple = triple.data(),
          .triples = triples.data(),
          .row_start = row_start.data(),
          .indices = indices.data(),
          .coefficients = coefficients.data(),
          .constants = constants.data(),
          .raw_slot = raw_slot.data(),
          .is_angle = is_angle.data(),
          .prior_mean = prior_mean.data(),
          .prior_sigma = prior_sigma.data(),
          .lower = lower.data(),
          .upper = upper.data(),
          .max_step = max_step.data()};
}

std::vector<ProfileView> FlatScenes::profiles_at(const double* from) const {
  std::vector<ProfileView> placed = profiles;
  for (std::size_t i = 0; i < placed.size(); ++i) {
    if (placed[i].transform.n_held > 0) placed[i].transform.nodes = from + node_start[i];
  }
  return placed;
}

}  // namespace jointlight
