// SPDX-License-Identifier: BSD-3-Clause
// Runs the bodies of stages/device on a CUDA device, in order on one stream.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <utility>

#include "backend/cuda/memory.cuh"
#include "backend/device/device_profile.hpp"

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
    for (const auto& [which, graph] : graphs_) {
      if (graph != nullptr) cudaGraphExecDestroy(graph);
    }
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
    copy(Stage::upload, to, from, n * sizeof(T), cudaMemcpyHostToDevice);
  }
  template <class T>
  void download(T* to, const T* from, std::size_t n) {
    copy(Stage::download, to, from, n * sizeof(T), cudaMemcpyDeviceToHost);
    if (n > 0) JL_CUDA_CHECK(cudaStreamSynchronize(stream_));
  }

  // What was uploaded may change or go from here on.
  void settle() {
    use();
    JL_CUDA_CHECK(cudaStreamSynchronize(stream_));
  }

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

  // What `work` launches, recorded the second time as a graph and launched whole from then on. It
  // may only launch, and always the same over the same memory. The first time loads the kernels,
  // which a recording might not allow, and is all there is of what is evaluated once. A graph's
  // launches have no times of their own: for a profile they are made one by one.
  template <class Work>
  void replay(int which, const Work& work) {
    if (profiling()) return work();
    use();
    const auto [place, fresh] = graphs_.try_emplace(which, nullptr);
    if (fresh) return work();
    if (place->second == nullptr) place->second = record(work);
    JL_CUDA_CHECK(cudaGraphLaunch(place->second, stream_));
  }

  // Not while a graph is recorded, in which nothing may be waited for.
  bool profiling() const { return device_profile.on() && !recording_; }

  // Seconds that the device takes for `launch`, after what it did before.
  template <class Launch>
  double timed(const Launch& launch) {
    use();
    const Event began, ended;
    JL_CUDA_CHECK(cudaEventRecord(began.get(), stream_));
    launch();
    JL_CUDA_CHECK(cudaEventRecord(ended.get(), stream_));
    JL_CUDA_CHECK(cudaEventSynchronize(ended.get()));
    float milliseconds = 0.0F;
    JL_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, began.get(), ended.get()));
    return 1e-3 * static_cast<double>(milliseconds);
  }

  static const char* name() { return "cuda"; }

 private:
  class Event {
   public:
    Event() { JL_CUDA_CHECK(cudaEventCreate(&event_)); }
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;
    ~Event() { cudaEventDestroy(event_); }
    cudaEvent_t get() const { return event_; }

   private:
    cudaEvent_t event_ = nullptr;
  };

  void copy(Stage stage, void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
    if (bytes == 0) return;
    use();
    profiled(
        *this, stage, [=] { return Cost{static_cast<double>(bytes), 0.0, 0.0}; },
        [=, this] { JL_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, kind, stream_)); });
  }

  template <class Work>
  cudaGraphExec_t record(const Work& work) {
    cudaGraph_t graph = nullptr;
    JL_CUDA_CHECK(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
    recording_ = true;
    try {
      work();
      recording_ = false;
    } catch (...) {  // the stream must leave its recording
      recording_ = false;
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
  bool recording_ = false;
  std::map<int, cudaGraphExec_t> graphs_;
};

}  // namespace jointlight::cuda
