// SPDX-License-Identifier: BSD-3-Clause
// Placing scenes that are on the device: their memory there, and the launch.
#pragma once

#include <vector>

#include "backend/cuda/memory.cuh"
#include "backend/cuda/place.hpp"
#include "backend/cuda/place_bodies.hpp"
#include "scene/flat_scenes.hpp"

namespace jointlight::cuda {

// Scenes copied to the current device, with room for what placing them makes. Launching allocates
// nothing.
class DeviceScenes {
 public:
  explicit DeviceScenes(const FlatScenes& scenes);

  // Everything from `values` [n_free], device memory, to the radial tables.
  void place(const double* values, bool internal, cudaStream_t stream) const;
  // Adds the priors at the values last placed, all device memory.
  void add_priors(const double* values, bool internal, const PriorSums& sums,
                  cudaStream_t stream) const;
  // How far each chart coordinate may move from `values` in one step: low, high [n_free].
  void step_limits(const double* values, double* low, double* high, cudaStream_t stream) const;

  // What place() made, on the host.
  PlacedScenes fetch() const;
  // Where the results are, to be read on the device.
  const Placement& placement() const { return placement_; }

 private:
  Placement at(const double* values, bool internal) const;

  DeviceBuffer<ParameterChart> chart_;
  DeviceBuffer<int> triple_;
  DeviceBuffer<ChartTriple> triples_;
  DeviceBuffer<int> row_start_, indices_;
  DeviceBuffer<double> coefficients_, constants_;
  DeviceBuffer<std::uint8_t> raw_slot_, is_angle_;
  DeviceBuffer<double> prior_mean_, prior_sigma_, lower_, upper_, max_step_;
  DeviceBuffer<PlaceView> tiles_;
  DeviceBuffer<std::size_t> table_start_;
  DeviceBuffer<int> free_start_;
  DeviceBuffer<int> cores_;
  DeviceBuffer<double> rule_, nodes_;
  DeviceBuffer<ProfileView> profiles_;

  DeviceBuffer<double> natural_, slots_, slopes_, tables_, core_light_, core_sums_;
  DeviceBuffer<std::uint8_t> valid_;
  DeviceBuffer<TileState> states_;
  DeviceBuffer<Chain> chains_;
  DeviceBuffer<TransformStencil> stencils_;
  DeviceBuffer<int> first_nodes_;

  std::vector<int> used_profiles_;
  Placement placement_;
};

}  // namespace jointlight::cuda
