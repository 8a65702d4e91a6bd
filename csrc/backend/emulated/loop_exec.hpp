// SPDX-License-Identifier: BSD-3-Clause
// A device that is the host: bodies run in a plain loop. What holds here of the device's maths
// holds there.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <vector>

#include "backend/device/device_profile.hpp"

namespace jointlight {

// Threads share nothing, so that the last may come first: a test has it so.
inline std::atomic<bool> loop_backwards{false};

class LoopExec {
 public:
  template <class T>
  class Buffer {
   public:
    explicit Buffer(std::size_t n = 0) : values_(n) {}
    T* data() { return values_.data(); }
    std::size_t size() const { return values_.size(); }

   private:
    std::vector<T> values_;
  };

  template <class T>
  Buffer<T> buffer(std::size_t n) {
    return Buffer<T>(n);
  }
  template <class T>
  void upload(T* to, const T* from, std::size_t n) {
    copy(Stage::upload, to, from, n);
  }
  template <class T>
  void download(T* to, const T* from, std::size_t n) {
    copy(Stage::download, to, from, n);
  }

  void settle() {}

  // body(outer, inner) for all outer < n_outer, inner < n_inner, in any order.
  template <class Body>
  void run(int n_outer, int n_inner, const Body& body) {
    if (loop_backwards.load(std::memory_order_relaxed)) {
      for (int outer = n_outer - 1; outer >= 0; --outer) {
        for (int inner = n_inner - 1; inner >= 0; --inner) body(outer, inner);
      }
      return;
    }
    for (int outer = 0; outer < n_outer; ++outer) {
      for (int inner = 0; inner < n_inner; ++inner) body(outer, inner);
    }
  }

  template <class Work>
  void replay(int, const Work& work) {
    work();
  }

  bool profiling() const { return device_profile.on(); }

  // Seconds that `launch` takes.
  template <class Launch>
  double timed(const Launch& launch) {
    const auto began = std::chrono::steady_clock::now();
    launch();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  }

  static const char* name() { return "cuda-emulated"; }

 private:
  template <class T>
  void copy(Stage stage, T* to, const T* from, std::size_t n) {
    if (n == 0) return;
    const std::size_t bytes = n * sizeof(T);
    profiled(
        *this, stage, [=] { return Cost{static_cast<double>(bytes), 0.0, 0.0}; },
        [=] { std::memcpy(static_cast<void*>(to), from, bytes); });
  }
};

}  // namespace jointlight
