// SPDX-License-Identifier: BSD-3-Clause
// What the CUDA module can tell of this machine's devices, and the profiles evaluated on one of
// them. Plain C++: host code includes this without a CUDA header.
#pragma once

#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace jointlight::cuda {

// A CUDA runtime call that failed: what was called, where, and the runtime's own words.
class CudaError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct DeviceInfo {
  int index = 0;
  std::string name;
  int major = 0, minor = 0;  // compute capability
  int multiprocessors = 0;
  std::size_t memory = 0;  // bytes
};

struct Probe {
  bool driver = false;  // a driver is installed and new enough for this runtime
  int driver_version =
      0;  // the newest CUDA the driver serves, 1000 major + 10 minor; 0 = no driver
  int runtime_version = 0;  // the CUDA this module was built with, likewise
  std::string message;      // why there is nothing to use; empty if there is
  std::vector<DeviceInfo> devices;
};

// Never throws for a missing driver or device: says so.
Probe probe();

// Architectures this module holds machine code for, e.g. "80-real 90".
std::string architectures();

// Names of the profiles this module was built with.
std::vector<std::string> profiles();

// Brightness I(R^2) of a profile of unit amplitude and scale, dI/dR^2 and dI/dshape, evaluated by
// the device. r2, value, d_r2: [n]; shape: [n_shape]; d_shape: [n_shape * n], one row a shape
// parameter. Throws std::invalid_argument for an unknown profile or a wrong size, CudaError if the
// device fails.
void brightness(const std::string& profile, std::span<const double> shape,
                std::span<const double> r2, std::span<double> value, std::span<double> d_r2,
                std::span<double> d_shape);

}  // namespace jointlight::cuda
