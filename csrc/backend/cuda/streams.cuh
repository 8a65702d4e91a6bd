// SPDX-License-Identifier: BSD-3-Clause
// A stream, and branches of it that run side by side.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "backend/cuda/memory.cuh"

namespace jointlight::cuda {

class Stream {
 public:
  Stream() { JL_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  ~Stream() {
    cudaStreamSynchronize(stream_);  // what it works on may go next
    cudaStreamDestroy(stream_);
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

// A point in a stream that the host, or another stream, can wait for.
class Event {
 public:
  explicit Event(unsigned flags = cudaEventDisableTiming) {
    JL_CUDA_CHECK(cudaEventCreateWithFlags(&event_, flags));
  }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void record(cudaStream_t stream) { JL_CUDA_CHECK(cudaEventRecord(event_, stream)); }
  // Between two that can tell the time and have come.
  double seconds_since(const Event& other) const {
    float milliseconds = 0.0F;
    JL_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, other.event_, event_));
    return 1e-3 * static_cast<double>(milliseconds);
  }
  // The host waits; not at all where nothing was recorded.
  void wait() const { JL_CUDA_CHECK(cudaEventSynchronize(event_)); }
  // The stream goes on once the event has come.
  void hold(cudaStream_t stream) const { JL_CUDA_CHECK(cudaStreamWaitEvent(stream, event_, 0)); }

 private:
  cudaEvent_t event_ = nullptr;
};

// All on the current device.
class Branches {
 public:
  cudaStream_t main() const { return main_; }
  // Where launches go.
  cudaStream_t current() const { return current_; }

  // Branch 0 is the main stream; the others begin when all that is in it has been done.
  void fork(int n) {
    while (sides_.size() + 1 < static_cast<std::size_t>(n)) {
      sides_.push_back(std::make_unique<Side>());
    }
    current_ = main_;  // wherever an error left it
    n_open_ = n > 1 ? static_cast<std::size_t>(n) - 1 : 0;
    if (n_open_ == 0) return;
    forked_.record(main_);
    for (std::size_t k = 0; k < n_open_; ++k) forked_.hold(sides_[k]->stream);
  }
  void choose(int branch) {
    current_ = branch == 0 ? main() : sides_[static_cast<std::size_t>(branch) - 1]->stream;
  }
  // The main stream goes on once all branches have ended.
  void join() {
    current_ = main_;
    for (std::size_t k = 0; k < n_open_; ++k) {
      sides_[k]->done.record(sides_[k]->stream);
      sides_[k]->done.hold(main_);
    }
    n_open_ = 0;
  }

 private:
  struct Side {
    Stream stream;
    Event done;
  };

  Stream main_;
  cudaStream_t current_ = main_;
  Event forked_;
  std::vector<std::unique_ptr<Side>> sides_;
  std::size_t n_open_ = 0;  // sides that have not joined
};

}  // namespace jointlight::cuda
