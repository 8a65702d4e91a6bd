// SPDX-License-Identifier: BSD-3-Clause
// The profiles' transforms on a device: all nodes that any shape may need, sent once a process.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "scene/profile_registry.hpp"
#include "scene/transform_table.hpp"

namespace jointlight {

template <class Exec>
class DeviceTransforms {
 public:
  // Those of a device. Never destroyed: threads may still use them when the process ends.
  static DeviceTransforms& shared(int device) {
    static std::mutex& mutex = *new std::mutex;
    static auto& all = *new std::map<int, std::unique_ptr<DeviceTransforms>>;
    const std::lock_guard lock(mutex);
    auto& slot = all[device];
    if (!slot) slot = std::make_unique<DeviceTransforms>(device);
    return *slot;
  }

  explicit DeviceTransforms(int device) : exec_(device) {}

  // Its nodes are the device's.
  const TransformView& of(int profile) {
    const std::lock_guard lock(mutex_);
    auto& slot = known_[profile];
    if (!slot) slot = send(profile);
    return slot->view;
  }

 private:
  struct Entry {
    TransformView view;
    typename Exec::template Buffer<double> nodes;
  };

  std::unique_ptr<Entry> send(int profile) {
    const ProfileInfo& info = profile_registry()[static_cast<std::size_t>(profile)];
    const double low = info.n_shape > 0 ? info.shape_min[0] : 0.0;
    const double high = info.n_shape > 0 ? info.shape_max[0] : 0.0;
    std::vector<double> nodes;
    const TransformView view = transform_table(profile).export_nodes(low, high, nodes);
    auto entry = std::make_unique<Entry>(view, exec_.template buffer<double>(nodes.size()));
    exec_.upload(entry->nodes.data(), nodes.data(), nodes.size());
    exec_.settle();  // other streams read it from here on
    entry->view.nodes = entry->nodes.data();
    return entry;
  }

  std::mutex mutex_;
  Exec exec_;
  std::map<int, std::unique_ptr<Entry>> known_;
};

}  // namespace jointlight
