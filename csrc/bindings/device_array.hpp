// SPDX-License-Identifier: BSD-3-Clause
// An array in a device's memory, as other packages hand it over and take it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "backend/backend.hpp"
#include "bindings/arrays.hpp"

namespace jointlight {

struct DeviceArray {
  std::shared_ptr<const void> owner;
  void* data = nullptr;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;  // bytes; empty: C-contiguous
  int type_code = 2, bits = 64;       // DLPack's
  int device_type = 2, device = 0;    // DLPack's

  std::string typestr() const;
};

// C-contiguous float64. What the emulation leaves on its device is the host's memory, and says so
// to those who ask by DLPack.
DeviceArray device_array(const DeviceModel& model, const std::vector<std::int64_t>& shape);

}  // namespace jointlight
