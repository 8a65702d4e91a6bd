// SPDX-License-Identifier: BSD-3-Clause
// What a DLPack capsule points to: the layout is fixed by that protocol (ABI 0, which later
// versions still take from and give to those who do not ask for more).
#pragma once

#include <cstdint>

namespace jointlight::dlpack {

inline constexpr int on_cpu = 1, on_cuda = 2;  // types of devices

struct Device {
  std::int32_t type;
  std::int32_t id;
};

struct DataType {
  std::uint8_t code;  // 0 int, 1 unsigned, 2 float, 6 bool
  std::uint8_t bits;
  std::uint16_t lanes;
};

struct Tensor {
  void* data;
  Device device;
  std::int32_t ndim;
  DataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;  // in entries; null: C-contiguous
  std::uint64_t byte_offset;
};

struct ManagedTensor {
  Tensor tensor;
  void* context;
  void (*deleter)(ManagedTensor*);
};

inline constexpr const char* fresh = "dltensor";       // name of a capsule
inline constexpr const char* taken = "used_dltensor";  // of one whose tensor is somebody else's now

}  // namespace jointlight::dlpack
