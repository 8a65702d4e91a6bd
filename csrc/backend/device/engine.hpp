// SPDX-License-Identifier: BSD-3-Clause
// Scenes on a device, for any executor: tiles are drawn, then pixels summed. Nothing is allocated
// after construction, but for tables that outgrow their memory, and planes that are projected.
#pragma once

#include <span>
#include <vector>

#include "backend/device/device_sums.hpp"
#include "backend/device/device_tiles.hpp"

namespace jointlight {

template <class Exec>
class DeviceEngine {
  template <class T>
  using Buffer = typename Exec::template Buffer<T>;

 public:
  // n_threads: to gather pixels.
  DeviceEngine(Exec& exec, std::span<const Scene* const> scenes, Precision precision,
               std::size_t work_bytes, int n_threads)
      : exec_(exec),
        plan_(scenes),
        arena_(exec),
        tiles_(exec, arena_, plan_, precision, work_bytes),
        sums_(exec, arena_, plan_, precision, n_threads) {
    arena_.send();
  }

  const DevicePlan& plan() const { return plan_; }
  DeviceSums<Exec>& sums() { return sums_; }

  // Only these scenes from now on, of which these tiles are drawn; `derivatives`: those whose
  // normal equations are summed.
  void select(std::span<const int> tiles, std::span<const std::size_t> scenes,
              std::span<const std::size_t> derivatives) {
    tiles_.select(tiles);
    sums_.select(scenes, derivatives);
  }

  void set_states(std::size_t scene, std::span<const TileState> states) {
    tiles_.set_states(static_cast<std::size_t>(plan_.first_tile[scene]), states);
  }

  // Lanes of all selected tiles at the states that were set, then, unless only drawn, all sums.
  void draw() {
    tiles_.send_states();
    tiles_.draw(tiles_.most_intervals());
  }
  void evaluate(bool derivatives) {
    draw();
    sums_.run(tiles_.tiles(), tiles_.states(), derivatives);
  }

  // Lanes of these tiles alone, those of the others being drawn.
  void draw(std::span<const int> tiles) {
    select_tiles(tiles);
    draw();
  }
  // Then all sums. What does not depend on the tiles is recorded the first time.
  void replay(std::span<const int> tiles, bool derivatives) {
    select_tiles(tiles);
    tiles_.send_states();
    if (!all_selected_) tiles_.draw(tiles_.most_intervals());
    const int intervals = TransformGrid::n_v;  // whatever the states ask for
    exec_.replay((all_selected_ ? 0 : 2) + (derivatives ? 1 : 0), [&] {
      if (all_selected_) tiles_.draw(intervals);
      sums_.run(tiles_.tiles(), tiles_.states(), derivatives);
    });
  }

  // Of one tile's lanes as drawn last: planes [planes][window pixels] = weights . lanes.
  void project(int tile, std::span<const double> weights, std::vector<double>& planes) {
    const TileView& view = plan_.views[static_cast<std::size_t>(tile)];
    const int n = view.width * view.height;
    const std::size_t n_planes = weights.size() / n_lanes;
    Buffer<double> device_weights = exec_.template buffer<double>(weights.size());
    Buffer<double> out = exec_.template buffer<double>(n_planes * static_cast<std::size_t>(n));
    exec_.upload(device_weights.data(), weights.data(), weights.size());
    const auto cost = [&] {
      const double values = static_cast<double>(n) * static_cast<double>(n_planes);
      return Cost{(n * static_cast<double>(n_lanes) + values) * number,
                  values * (2.0 * n_lanes - 1.0), 0.0};
    };
    profiled(exec_, Stage::normal, cost, [&] {
      exec_.run(static_cast<int>(n_planes), n,
                ProjectBody{tiles_.tiles(), tile, n, device_weights.data(), out.data()});
    });
    planes.resize(out.size());
    exec_.download(planes.data(), out.data(), planes.size());
  }

 private:
  void select_tiles(std::span<const int> tiles) {
    const bool all = tiles.size() == plan_.views.size();
    if (!(all && all_selected_)) tiles_.select(tiles);
    all_selected_ = all;
  }

  Exec& exec_;
  DevicePlan plan_;
  DeviceArena<Exec> arena_;
  DeviceTiles<Exec> tiles_;
  DeviceSums<Exec> sums_;
  bool all_selected_ = true;  // tiles, by draw() and replay()
};

}  // namespace jointlight
