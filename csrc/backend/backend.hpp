// SPDX-License-Identifier: BSD-3-Clause
// What the solver may ask of whatever computes: render, chi2, linearize, describe. All inputs are
// host-prepared tile states; all outputs are sums in a fixed order. What has not changed since the
// last call need not be computed again.
#pragma once

#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "scene/scene.hpp"

namespace jointlight {

// An image in the memory of a device.
struct DeviceModel {
  int device = -1;
  bool emulated = false;           // its memory is the host's
  std::shared_ptr<double> pixels;  // [height][width]
};

// J^T W J and J^T W r in lane space.
struct LaneSums {
  std::vector<double> blocks;     // [n_pairs][n_lanes][n_lanes], as Scene::pairs()
  std::vector<double> gradients;  // [n_tiles][n_lanes]
  std::vector<double> chi2;       // [n_tiles], of the pixels that each owns
};

class Backend {
 public:
  virtual ~Backend() = default;

  // Model image [height][width].
  virtual void render(std::span<const TileState> states, int image, double* out) = 0;
  // The same, left on the device; throws std::invalid_argument where there is none.
  virtual DeviceModel render_on_device(std::span<const TileState> /*states*/, int /*image*/) {
    throw std::invalid_argument("this backend has no device");
  }
  // One tile alone: out [height][width] of its window.
  virtual void render_tile(std::span<const TileState> states, int tile, double* out) = 0;
  // Sums of one tile's lanes: planes[k][y * stride + x] += weights[k] . lanes, (x, y) in its
  // window; weights [planes][n_lanes].
  virtual void project(std::span<const TileState> states, int tile, std::span<const double> weights,
                       std::span<double* const> planes, std::size_t stride) = 0;
  virtual void chi2(std::span<const TileState> states, std::span<double> per_tile) = 0;
  virtual void linearize(std::span<const TileState> states, LaneSums& sums) = 0;
  // Which tables it wants in the states.
  virtual Tables tables() const { return Tables::made; }
  virtual std::string describe() const = 0;
};

}  // namespace jointlight
