// SPDX-License-Identifier: BSD-3-Clause
#include "backend/cuda/place.cuh"

#include "backend/cuda/launch.cuh"
#include "backend/cuda/profile_table.cuh"
#include "base/error.hpp"
#include "scene/profile_registry.hpp"

namespace jointlight::cuda {
namespace {

constexpr int table_threads = 96;  // a tile's table has about as many intervals

}  // namespace

DeviceScenes::DeviceScenes(const FlatScenes& scenes)
    : chart_(scenes.chart),
      triple_(scenes.triple),
      triples_(scenes.triples),
      row_start_(scenes.row_start),
      indices_(scenes.indices),
      coefficients_(scenes.coefficients),
      constants_(scenes.constants),
      raw_slot_(scenes.raw_slot),
      is_angle_(scenes.is_angle),
      prior_mean_(scenes.prior_mean),
      prior_sigma_(scenes.prior_sigma),
      lower_(scenes.lower),
      upper_(scenes.upper),
      max_step_(scenes.max_step),
      tiles_(scenes.tiles),
      table_start_(scenes.table_start),
      free_start_(scenes.free_start),
      cores_(scenes.cores),
      rule_(scenes.rule),
      nodes_(scenes.nodes),
      profiles_(scenes.profiles_at(nodes_.data())),
      natural_(scenes.chart.size()),
      slots_(scenes.constants.size()),
      slopes_(scenes.coefficients.size()),
      tables_(scenes.table_start.back()),
      core_light_(scenes.cores.size() * 2 *
                  static_cast<std::size_t>(scenes.rule_at(scenes.rule.data()).n_points())),
      core_sums_(scenes.cores.size() * core_sums_size),
      valid_(static_cast<std::size_t>(scenes.n_scenes())),
      states_(scenes.tiles.size()),
      chains_(scenes.tiles.size()),
      stencils_(scenes.tiles.size()),
      first_nodes_(scenes.tiles.size()) {
  for (std::size_t i = 0; i < scenes.profiles.size(); ++i) {
    if (scenes.profiles[i].transform.n_held == 0) continue;
    require(profile_registry()[i].name == profile_table()[i].name,
            "the profiles of this module are not the registry's");
    used_profiles_.push_back(static_cast<int>(i));
  }
  Placement& p = placement_;
  p.map = scenes.parameters();
  p.map.chart = chart_.data();
  p.map.triple = triple_.data();
  p.map.triples = triples_.data();
  p.map.row_start = row_start_.data();
  p.map.indices = indices_.data();
  p.map.coefficients = coefficients_.data();
  p.map.constants = constants_.data();
  p.map.raw_slot = raw_slot_.data();
  p.map.is_angle = is_angle_.data();
  p.map.prior_mean = prior_mean_.data();
  p.map.prior_sigma = prior_sigma_.data();
  p.map.lower = lower_.data();
  p.map.upper = upper_.data();
  p.map.max_step = max_step_.data();
  p.n_tiles = scenes.n_tiles();
  p.n_scenes = scenes.n_scenes();
  p.free_start = free_start_.data();
  p.tiles = tiles_.data();
  p.table_start = table_start_.data();
  p.profiles = profiles_.data();
  p.natural = natural_.data();
  p.slots = slots_.data();
  p.coefficients = slopes_.data();
  p.valid = valid_.data();
  p.states = states_.data();
  p.chains = chains_.data();
  p.stencils = stencils_.data();
  p.first_nodes = first_nodes_.data();
  p.tables = tables_.data();
  p.n_cores = static_cast<int>(scenes.cores.size());
  p.cores = cores_.data();
  p.rule = scenes.rule_at(rule_.data());
  p.core_light = core_light_.data();
  p.core_sums = core_sums_.data();
}

Placement DeviceScenes::at(const double* values, bool internal) const {
  Placement p = placement_;
  p.values = values;
  p.internal = internal;
  return p;
}

void DeviceScenes::place(const double* values, bool internal, cudaStream_t stream) const {
  const Placement p = at(values, internal);
  launch_each(CoordinateBody{p}, p.map.n_free, stream);
  launch_each(SceneBody{p}, p.n_scenes, stream);
  launch_each(SlotBody{p}, p.map.n_slots, stream);
  launch_each(TileBody{p}, p.n_tiles, stream, 64);
  launch_blocks(TableBody{p}, p.n_tiles, table_threads, stream);
  for (const int index : used_profiles_) {
    const ProfileEntry& profile = profile_table()[static_cast<std::size_t>(index)];
    profile.copy_tails(p, index, stream);
    profile.core_light(p, index, stream);
  }
  launch_blocks(CoreSumBody{p}, p.n_cores, CoreGrid::n_kappa, stream);
  launch_blocks(CoreTableBody{p}, p.n_cores, CoreGrid::n_intervals, stream);
}

void DeviceScenes::add_priors(const double* values, bool internal, const PriorSums& sums,
                              cudaStream_t stream) const {
  launch_each(PriorBody{at(values, internal), sums}, placement_.n_scenes, stream);
}

void DeviceScenes::step_limits(const double* values, double* low, double* high,
                               cudaStream_t stream) const {
  launch_each(StepBody{at(values, true), low, high}, placement_.map.n_free, stream);
}

PlacedScenes DeviceScenes::fetch() const {
  PlacedScenes placed;
  const auto fetch = [](const auto& from, auto& to) {
    to.resize(from.size());
    from.download(to);
  };
  fetch(valid_, placed.valid);
  fetch(natural_, placed.natural);
  fetch(slots_, placed.slots);
  fetch(slopes_, placed.coefficients);
  fetch(states_, placed.states);
  fetch(chains_, placed.chains);
  fetch(tables_, placed.tables);
  for (TileState& state : placed.states) {
    if (!state.has_table) continue;
    const auto here = [&](const double* there) {
      return placed.tables.data() + (there - placement_.tables);
    };
    state.table.coefficients = here(state.table.coefficients);
    if (state.table.near_intervals > 0) {
      state.table.near_coefficients = here(state.table.near_coefficients);
    }
  }
  return placed;
}

PlacedScenes place(const FlatScenes& scenes, std::span<const double> values, bool internal) {
  require(values.size() == scenes.chart.size(), "values: needs ", scenes.chart.size(),
          " free parameters, not ", values.size());
  const DeviceScenes device(scenes);
  DeviceBuffer<double> device_values(values.size());
  device_values.upload(values);
  device.place(device_values.data(), internal, nullptr);
  JL_CUDA_CHECK(cudaDeviceSynchronize());
  return device.fetch();
}

}  // namespace jointlight::cuda
