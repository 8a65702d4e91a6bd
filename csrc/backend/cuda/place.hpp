// SPDX-License-Identifier: BSD-3-Clause
// Scenes placed on the current device: from free parameters to slots, tile states, chains and
// radial tables. Plain C++: host code includes this without a CUDA header.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "scene/flat_scenes.hpp"

namespace jointlight::cuda {

struct PlacedScenes {
  std::vector<std::uint8_t> valid;                   // [scenes] 1: all values are finite
  std::vector<double> natural, slots, coefficients;  // as in ParameterState, scenes end to end
  std::vector<TileState> states;                     // [tiles] tables point into `tables`
  std::vector<Chain> chains;                         // [tiles]
  std::vector<double> tables;
};

// values: [n_free], chart coordinates (`internal`) or natural ones. Uploads the scenes, launches
// and brings all results back: a check, not a fit's way. Throws CudaError if the device fails.
PlacedScenes place(const FlatScenes& scenes, std::span<const double> values, bool internal);

}  // namespace jointlight::cuda
