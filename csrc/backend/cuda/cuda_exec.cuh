// SPDX-License-Identifier: BSD-3-Clause
// Runs the bodies of stages/device on a CUDA device, in order on one stream.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <utility>

#include "backend/cuda/memory.cuh"
#include "backend/cuda/streams.cuh"
#include "backend/device/device_profile.hpp"
#include "backend/device/memory_pool.hpp"

namespace jointlight::cuda {

template <class Body>
__global__ void run_body(Body body, int first, int n_inner) {
  const int inner = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (inner < n_inner) body(first + static_cast<int>(blockIdx.y), inner);
}

class CudaExec {
  using DevicePool = MemoryPool<DeviceMemory>;
  using HostPool = MemoryPool<PinnedMemory>;

 public:
  using OutOfMemory = cuda::OutOfMemory;

  explicit CudaExec(int device)
      : device_(device),
        memory_(std::make_unique<DevicePool>()),
        host_memory_(std::make_unique<HostPool>()) {
    use();
    streams_ = std::make_unique<Branches>();
  }
  CudaExec(CudaExec&& other) noexcept
      : device_(other.device_),
        memory_(std::move(other.memory_)),
        host_memory_(std::move(other.host_memory_)),
        streams_(std::move(other.streams_)),
        graphs_(std::move(other.graphs_)) {
    other.graphs_.clear();
  }
  CudaExec(const CudaExec&) = delete;
  CudaExec& operator=(const CudaExec&) = delete;
  CudaExec& operator=(CudaExec&&) = delete;
  ~CudaExec() {
    if (!streams_) return;
    cudaSetDevice(device_);
    for (const auto& [which, graph] : graphs_) {
      if (graph != nullptr) cudaGraphExecDestroy(graph);
    }
  }

  // Used again by this executor's later buffers, in the order of its stream.
  template <class T>
  using Buffer = PoolBuffer<T, DevicePool>;
  template <class T>
  using HostBuffer = PoolBuffer<T, HostPool>;

  // Contents are zero.
  template <class T>
  Buffer<T> buffer(std::size_t n) {
    use();
    Buffer<T> made(*memory_, n);
    if (n > 0) JL_CUDA_CHECK(cudaMemsetAsync(made.data(), 0, n * sizeof(T), streams_->main()));
    return made;
  }
  // One that may outlive the executor; its contents are undefined.
  template <class T>
  DeviceBuffer<T> lasting_buffer(std::size_t n) {
    use();
    return DeviceBuffer<T>(n);
  }
  // Uploads from there, and downloads, run beside the host.
  template <class T>
  HostBuffer<T> host_buffer(std::size_t n) {
    use();
    return HostBuffer<T>(*host_memory_, n);
  }
  // make(to, begin, end) for numbers [begin, end) of n, a piece at a time: one is made while the
  // other is sent.
  template <class T, class Make>
  void upload_made(T* to, std::size_t n, const Make& make) {
    constexpr std::size_t piece = (std::size_t{1} << 22) / sizeof(T);
    const std::size_t size = std::min(n, piece);
    const HostBuffer<T> halves[2] = {host_buffer<T>(size), host_buffer<T>(n > piece ? size : 0)};
    Event sent[2];
    int half = 0;
    for (std::size_t begin = 0; begin < n; begin += piece, half = 1 - half) {
      const std::size_t end = std::min(n, begin + piece);
      sent[half].wait();
      make(halves[half].data(), begin, end);
      upload(to + begin, halves[half].data(), end - begin);
      sent[half].record(streams_->main());
    }
    for (const Event& event : sent) event.wait();
  }
  template <class T>
  void upload(T* to, const T* from, std::size_t n) {
    move(Stage::upload, to, from, n * sizeof(T), cudaMemcpyHostToDevice);
  }
  template <class T>
  void download(T* to, const T* from, std::size_t n) {
    if (n == 0) return;
    move(Stage::download, to, from, n * sizeof(T), cudaMemcpyDeviceToHost);
    JL_CUDA_CHECK(cudaStreamSynchronize(streams_->main()));
  }
  // Within the device.
  template <class T>
  void copy(T* to, const T* from, std::size_t n) {
    if (n == 0) return;
    use();
    JL_CUDA_CHECK(
        cudaMemcpyAsync(to, from, n * sizeof(T), cudaMemcpyDeviceToDevice, streams_->main()));
  }

  // What was uploaded may change or go from here on.
  void settle() {
    use();
    JL_CUDA_CHECK(cudaStreamSynchronize(streams_->main()));
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
      run_body<<<grid, static_cast<unsigned>(threads), 0, streams_->current()>>>(body, first,
                                                                                 n_inner);
      JL_CUDA_CHECK(cudaGetLastError());
    }
  }

  // What run() launches after on_branch(k), k < n, may run beside that of other branches, until all
  // of them join. For a profile there is but one.
  void fork(int n) {
    use();
    forked_ = n > 1 && !profiling();
    if (forked_) streams_->fork(n);
  }
  void on_branch(int k) { streams_->choose(forked_ ? k : 0); }
  void join() {
    use();
    streams_->join();
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
    JL_CUDA_CHECK(cudaGraphLaunch(place->second, streams_->main()));
  }

  // Not while a graph is recorded, in which nothing may be waited for.
  bool profiling() const { return device_profile.on() && !recording_; }

  // Seconds that the device takes for `launch`, on the main stream, after what it did before.
  template <class Launch>
  double timed(const Launch& launch) {
    use();
    Event began(cudaEventDefault), ended(cudaEventDefault);
    began.record(streams_->main());
    launch();
    ended.record(streams_->main());
    ended.wait();
    return ended.seconds_since(began);
  }

  static constexpr bool emulated = false;
  static const char* name() { return "cuda"; }

 private:
  void move(Stage stage, void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
    if (bytes == 0) return;
    use();
    profiled(
        *this, stage, [=] { return Cost{static_cast<double>(bytes), 0.0, 0.0}; },
        [=, this] { JL_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, kind, streams_->main())); });
  }

  template <class Work>
  cudaGraphExec_t record(const Work& work) {
    cudaGraph_t graph = nullptr;
    JL_CUDA_CHECK(cudaStreamBeginCapture(streams_->main(), cudaStreamCaptureModeThreadLocal));
    recording_ = true;
    try {
      work();
      recording_ = false;
    } catch (...) {  // the stream must leave its recording
      recording_ = false;
      if (cudaStreamEndCapture(streams_->main(), &graph) == cudaSuccess) cudaGraphDestroy(graph);
      cudaGetLastError();
      throw;
    }
    JL_CUDA_CHECK(cudaStreamEndCapture(streams_->main(), &graph));
    cudaGraphExec_t made = nullptr;
    const cudaError_t code = cudaGraphInstantiate(&made, graph, 0);
    cudaGraphDestroy(graph);
    JL_CUDA_CHECK(code);
    return made;
  }

  // The current device is the thread's, and any thread may call.
  void use() const { JL_CUDA_CHECK(cudaSetDevice(device_)); }

  int device_;
  bool forked_ = false, recording_ = false;
  std::unique_ptr<DevicePool> memory_;
  std::unique_ptr<HostPool> host_memory_;
  std::unique_ptr<Branches> streams_;  // ends before its memory goes
  std::map<int, cudaGraphExec_t> graphs_;
};

}  // namespace jointlight::cuda
