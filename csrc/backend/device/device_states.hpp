// SPDX-License-Identifier: BSD-3-Clause
// States of tiles on a device, with the tables that they point to.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "backend/device/device_plan.hpp"
#include "backend/device/device_profile.hpp"
#include "scene/transform_view.hpp"
#include "stages/device/tile.hpp"

namespace jointlight {

template <class Exec>
class DeviceStates {
  template <class T>
  using Buffer = typename Exec::template Buffer<T>;
  template <class T>
  using HostBuffer = typename Exec::template HostBuffer<T>;

 public:
  DeviceStates(Exec& exec, const DevicePlan& plan) : exec_(exec), views_(plan.views) {
    const std::size_t n = views_.size();
    all_ = exec.template buffer<TileState>(n);
    new_states_ = exec.template buffer<TileState>(n);
    new_list_ = exec.template buffer<int>(n);
    sent_ = exec.template host_buffer<TileState>(n);
    sent_list_ = exec.template host_buffer<int>(n);
  }

  // [tiles]
  const TileState* data() const { return all_.data(); }
  // Those that were sent last while a profile was taken; empty if none was.
  std::span<const TileState> profiled() const { return profiled_; }
  // Most intervals of a radial table that the last states ask to be made.
  int most_intervals() const { return most_intervals_; }

  // New states of tiles first, first + 1, ..., each tile once: where they are until send().
  void set(std::size_t first, std::span<const TileState> states) {
    pending_.push_back({first, states});
  }

  // Radial tables of tiles in one box are made on the device; those of cores come from the host.
  void send() {
    const std::vector<Pending> pending = std::exchange(pending_, {});
    place_tables(pending);
    if (exec_.profiling()) {
      profiled_.resize(views_.size());
      for (const auto& [first, states] : pending) {
        std::copy(states.begin(), states.end(),
                  profiled_.begin() + static_cast<std::ptrdiff_t>(first));
      }
    }
    const std::size_t n = pack(pending);
    exec_.upload(core_tables_.data(), host_tables_.data(), host_tables_.size());
    if (n == views_.size() && std::is_sorted(sent_list_.data(), sent_list_.data() + n)) {
      exec_.upload(all_.data(), sent_.data(), n);
      return;
    }
    exec_.upload(new_states_.data(), sent_.data(), n);
    exec_.upload(new_list_.data(), sent_list_.data(), n);
    const auto cost = [=] {
      return Cost{2.0 * sizeof(TileState) * static_cast<double>(n), 0.0, 0.0};
    };
    jointlight::profiled(exec_, Stage::place, cost, [&] {
      exec_.run(1, static_cast<int>(n),
                StatesBody{new_states_.data(), new_list_.data(), all_.data()});
    });
  }

 private:
  struct Pending {
    std::size_t first;
    std::span<const TileState> states;
  };
  static constexpr std::size_t row = TransformGrid::interval_size;

  static std::size_t at(int i) { return static_cast<std::size_t>(i); }

  bool in_parts(std::size_t tile) const { return views_[tile].core.taper > 0.0; }
  bool has_table(std::size_t tile, const TileState& state) const {
    return views_[tile].renderer != Renderer::sky && state.visible && state.has_table;
  }
  // Coefficients of a table, far and near, and how many intervals they have.
  static std::array<std::pair<const double**, int>, 2> parts(RadialTable& table) {
    return {{{&table.coefficients, table.n_intervals},
             {&table.near_coefficients, table.near_intervals}}};
  }

  // Memory for the tables; those of cores are gathered.
  void place_tables(const std::vector<Pending>& pending) {
    std::size_t size = 0;
    host_tables_.clear();
    for (const auto& [first, states] : pending) {
      for (std::size_t k = 0; k < states.size(); ++k) {
        if (!has_table(first + k, states[k])) continue;
        RadialTable table = states[k].table;
        if (!in_parts(first + k)) {
          size += row * at(table.n_intervals);
          continue;
        }
        for (const auto& [coefficients, intervals] : parts(table)) {
          if (intervals <= 0) continue;
          host_tables_.insert(host_tables_.end(), *coefficients,
                              *coefficients + row * at(intervals));
        }
      }
    }
    const auto fit = [&](Buffer<double>& buffer, std::size_t n) {
      if (buffer.size() < n) buffer = exec_.template buffer<double>(n + n / 4);
    };
    fit(tables_, size);
    fit(core_tables_, host_tables_.size());
  }

  // States and their tiles one after the other, with the device's tables; how many.
  std::size_t pack(const std::vector<Pending>& pending) {
    std::size_t n = 0;
    double* core_table = core_tables_.data();
    double* table_made = tables_.data();
    most_intervals_ = 0;
    for (const auto& [first, states] : pending) {
      for (std::size_t k = 0; k < states.size(); ++k, ++n) {
        sent_list_[n] = static_cast<int>(first + k);
        TileState& state = sent_[n] = states[k];
        if (!has_table(first + k, state)) continue;
        RadialTable& table = state.table;
        if (in_parts(first + k)) {
          for (const auto& [coefficients, intervals] : parts(table)) {
            if (intervals <= 0) continue;
            *coefficients = std::exchange(core_table, core_table + row * at(intervals));
          }
        } else {
          table.coefficients = std::exchange(table_made, table_made + row * at(table.n_intervals));
          most_intervals_ = std::max(most_intervals_, table.n_intervals);
        }
      }
    }
    return n;
  }

  Exec& exec_;
  const std::vector<TileView>& views_;
  std::vector<Pending> pending_;
  std::vector<TileState> profiled_;
  HostBuffer<TileState> sent_;  // on their way, and of which tiles
  HostBuffer<int> sent_list_;
  std::vector<double> host_tables_;  // of cores
  int most_intervals_ = 0;
  mutable Buffer<TileState> all_;
  Buffer<TileState> new_states_;
  Buffer<int> new_list_;
  Buffer<double> tables_, core_tables_;
};

}  // namespace jointlight
