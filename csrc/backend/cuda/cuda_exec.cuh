// SPDX-License-Identifier: BSD-3-Clause
// Runs the bodies of stages/device on a CUDA device, in order on one stream.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <utility>

#include "backend/cuda/memory.cuh"

namespace jointlight::cuda {

template <class Body>
__global__ void run_body(Body body, int first, int n_inner) {
  const int inner = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (inner < n_inner) body(first + static_cast<int>(blockIdx.y), inner);
}

class CudaExec {
 public:
  explicit CudaExec(int device) : device_(device) {
    use();
    JL_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  }
  CudaExec(CudaExec&& other) noexcept
      : device_(other.device_),
        stream_(std::exchange(other.stream_, nullptr)),
        graphs_(std::move(other.graphs_)) {
    other.graphs_.clear();
  }
  CudaExec(const CudaExec&) = delete;
  CudaExec& operator=(const CudaExec&) = delete;
  CudaExec& operator=(CudaExec&&) = delete;
  ~CudaExec() {
    for (const auto& [which, graph] : graphs_) cudaGraphExecDestroy(graph);
    if (stream_ != nullptr) cudaStreamDestroy(stream_);
  }

  template <class T>
  using Buffer = DeviceBuffer<T>;

  // Contents are zero.
  template <class T>
  Buffer<T> buffer(std::size_t n) {
    use();
    Buffer<T> made(n);
    if (n > 0) JL_CUDA_CHECK(cudaMemsetAsync(made.data(), 0, n * sizeof(T), stream_));
    return made;
  }
  template <class T>
  void upload(T* to, const T* from, std::size_t n) {
    if (n == 0) return;
    use();
    JL_CUDA_CHECK(cudaMemcpyAsync(to, from, n * sizeof(T), cudaMemcpyHostToDevice, stream_));
  }
  template <class T>
  void download(T* to, const T* from, std::size_t n) {
    if (n == 0) return;
    use();
    JL_CUDA_CHECK(cudaMemcpyAsync(to, from, n * sizeof(T), cudaMemcpyDeviceToHost, stream_));
    JL_CUDA_CHECK(cudaStreamSynchronize(stream_));
  }
  // Within the device.
  template <class T>
  void copy(T* to, const T* from, std::size_t n) {
    if (n == 0) return;
    use();
    JL_CUDA_CHECK(cudaMemcpyAsync(to, from, n * sizeof(T), cudaMemcpyDeviceToDevice, stream_));
  }

  // What was uploaded may change or go from here on.
  void settle() {
    use();
    JL_CUDA_CHECK(cudaStreamSynchronize(stream_));
  }

  int device() const { return device_; }

  // body(outer, inner) for all outer < n_outer, inner < n_inner, in any order.
  template <class Body>
  void run(int n_outer, int n_inner, const Body& body) {
    if (n_outer <= 0 || n_inner <= 0) return;
    use();
    constexpr int most = 65535;  // of a grid's second dimension
    const int threads = std::min(256, (n_inner + 31) / 32 * 32);
    const auto blocks = static_cast<unsigned>((n_inner + threads - 1) / threads);
    for (int first = 0; first < n_outer; first += most) {
      const dim3 grid(blocks, static_cast<unsigned>(std::min(most, n_outer - first)));
      run_body<<<grid, static_cast<unsigned>(threads), 0, stream_>>>(body, first, n_inner);
      JL_CUDA_CHECK(cudaGetLastError());
    }
  }

  // What `work` launches, recorded the first time as a graph and launched whole from then on. It
  // may only launch, and always the same over the same memory.
  template <class Work>
  void replay(int which, const Work& work) {
    use();
    const auto [place, fresh] = graphs_.try_emplace(which, nullptr);
    if (fresh) {
      try {
        place->second = record(work);
      } catch (...) {
        graphs_.erase(place);
        throw;
      }
    }
    JL_CUDA_CHECK(cudaGraphLaunch(graphs_.at(which), stream_));
  }

  static constexpr bool emulated = false;
  static const char* name() { return "cuda"; }

 private:
  template <class Work>
  cudaGraphExec_t record(const Work& work) {
    cudaGraph_t graph = nullptr;
    JL_CUDA_CHECK(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
    try {
      work();
    } catch (...) {  // the stream must leave its recording
      if (cudaStreamEndCapture(stream_, &graph) == cudaSuccess) cudaGraphDestroy(graph);
      cudaGetLastError();
      throw;
    }
    JL_CUDA_CHECK(cudaStreamEndCapture(stream_, &graph));
    cudaGraphExec_t made = nullptr;
    const cudaError_t code = cudaGraphInstantiate(&made, graph, 0);
    cudaGraphDestroy(graph);
    JL_CUDA_CHECK(code);
    return made;
  }

  // The current device is the thread's, and any thread may call.
  void use() const { JL_CUDA_CHECK(cudaSetDevice(device_)); }

  int device_;
  cudaStream_t stream_ = nullptr;
  std::map<int, cudaGraphExec_t> graphs_;
};

}  // namespace jointlight::cuda
