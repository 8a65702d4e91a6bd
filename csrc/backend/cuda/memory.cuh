// SPDX-License-Identifier: BSD-3-Clause
// Error checks and owned memory of the CUDA backend.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include "backend/cuda/probe.hpp"

namespace jointlight::cuda {

inline void check(cudaError_t code, const char* call, const char* file, int line) {
  if (code == cudaSuccess) return;
  cudaGetLastError();  // a launch after this one would report it again
  throw CudaError(std::string(call) + " failed: " + cudaGetErrorString(code) + " (" +
                  cudaGetErrorName(code) + ", " + file + ":" + std::to_string(line) + ")");
}
#define JL_CUDA_CHECK(call) ::jointlight::cuda::check((call), #call, __FILE__, __LINE__)

// n values of T on the current device.
template <class T>
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  explicit DeviceBuffer(std::size_t n) : n_(n) {
    if (n > 0) JL_CUDA_CHECK(cudaMalloc(&data_, n * sizeof(T)));
  }
  ~DeviceBuffer() { cudaFree(data_); }
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;
  DeviceBuffer(DeviceBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), n_(std::exchange(other.n_, 0)) {}
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(n_, other.n_);
    return *this;
  }

  T* data() { return data_; }
  std::size_t size() const { return n_; }

  void upload(std::span<const T> from) {
    if (n_ > 0) {
      JL_CUDA_CHECK(cudaMemcpy(data_, from.data(), n_ * sizeof(T), cudaMemcpyHostToDevice));
    }
  }
  void download(std::span<T> to) const {
    if (n_ > 0) {
      JL_CUDA_CHECK(cudaMemcpy(to.data(), data_, n_ * sizeof(T), cudaMemcpyDeviceToHost));
    }
  }

 private:
  T* data_ = nullptr;
  std::size_t n_ = 0;
};

class OutOfMemory : public CudaError {
 public:
  using CudaError::CudaError;
};

// What the runtime's `get` gives; null where there is nothing left.
template <class Get>
void* allocated(const Get& get) {
  void* data = nullptr;
  const cudaError_t code = get(&data);
  if (code == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // seen
    return nullptr;
  }
  JL_CUDA_CHECK(code);
  return data;
}

// Sources of pools.
struct DeviceMemory {
  static void* allocate(std::size_t bytes) {
    return allocated([=](void** data) { return cudaMalloc(data, bytes); });
  }
  static void release(void* data) noexcept { cudaFree(data); }
  [[noreturn]] static void refuse(std::size_t bytes) {
    throw OutOfMemory("the device has no " + std::to_string(bytes) + " bytes left");
  }
};
// Of the host, for copies that run beside it.
struct PinnedMemory {
  static void* allocate(std::size_t bytes) {
    return allocated([=](void** data) { return cudaMallocHost(data, bytes); });
  }
  static void release(void* data) noexcept { cudaFreeHost(data); }
  [[noreturn]] static void refuse(std::size_t bytes) {
    throw OutOfMemory("the host can lock no " + std::to_string(bytes) + " bytes more in memory");
  }
};

}  // namespace jointlight::cuda
