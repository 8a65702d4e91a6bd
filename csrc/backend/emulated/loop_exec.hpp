// SPDX-License-Identifier: BSD-3-Clause
// A device that is the host: bodies run in a plain loop. What holds here of the device's maths
// holds there.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <functional>
#include <new>
#include <vector>

#include "backend/device/device_profile.hpp"

namespace jointlight {

// Threads share nothing, so that the last may come first: a test has it so.
inline std::atomic<bool> loop_backwards{false};

class LoopExec {
 public:
  using OutOfMemory = std::bad_alloc;

  explicit LoopExec(int = 0) {}

  template <class T>
  class Buffer {
   public:
    explicit Buffer(std::size_t n = 0) : values_(n) {}
    T* data() { return values_.data(); }
    std::size_t size() const { return values_.size(); }
    T& operator[](std::size_t i) { return values_[i]; }

   private:
    std::vector<T> values_;
  };

  template <class T>
  using HostBuffer = Buffer<T>;

  template <class T>
  Buffer<T> buffer(std::size_t n) {
    return Buffer<T>(n);
  }
  template <class T>
  HostBuffer<T> host_buffer(std::size_t n) {
    return Buffer<T>(n);
  }
  template <class T>
  Buffer<T> lasting_buffer(std::size_t n) {
    return Buffer<T>(n);
  }
  template <class T>
  void upload(T* to, const T* from, std::size_t n) {
    move(Stage::upload, to, from, n);
  }
  template <class T>
  void download(T* to, const T* from, std::size_t n) {
    move(Stage::download, to, from, n);
  }

  // make(to, begin, end) for numbers [begin, end) of n, a piece at a time.
  template <class T, class Make>
  void upload_made(T* to, std::size_t n, const Make& make) {
    if (n == 0) return;
    const double bytes = static_cast<double>(n * sizeof(T));
    profiled(
        *this, Stage::upload, [=] { return Cost{bytes, 0.0, 0.0}; },
        [&] { make(to, std::size_t{0}, n); });
  }
  template <class T>
  void copy(T* to, const T* from, std::size_t n) {
    if (n > 0) std::memcpy(static_cast<void*>(to), from, n * sizeof(T));
  }

  void settle() {}
  int device() const { return 0; }

  // body(outer, inner) for all outer < n_outer, inner < n_inner, in any order.
  template <class Body>
  void run(int n_outer, int n_inner, const Body& body) {
    if (!branches_.empty()) {
      branches_[branch_].push_back([=] { loop(n_outer, n_inner, body); });
    } else {
      loop(n_outer, n_inner, body);
    }
  }

  // Branches take turns, the last one first: as far apart as a device may run them. For a profile
  // there is but one.
  void fork(int n) { branches_.resize(n > 1 && !profiling() ? static_cast<std::size_t>(n) : 0); }
  void on_branch(int k) { branch_ = static_cast<std::size_t>(k); }
  void join() {
    std::vector<std::vector<std::function<void()>>> branches;
    branches.swap(branches_);
    branch_ = 0;
    bool any = true;
    for (std::size_t step = 0; any; ++step) {
      any = false;
      for (std::size_t k = branches.size(); k-- > 0;) {
        if (step >= branches[k].size()) continue;
        branches[k][step]();
        any = true;
      }
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

  static constexpr bool emulated = true;
  static const char* name() { return "cuda-emulated"; }

 private:
  template <class T>
  void move(Stage stage, T* to, const T* from, std::size_t n) {
    if (n == 0) return;
    const std::size_t bytes = n * sizeof(T);
    profiled(
        *this, stage, [=] { return Cost{static_cast<double>(bytes), 0.0, 0.0}; },
        [=] { std::memcpy(static_cast<void*>(to), from, bytes); });
  }

  template <class Body>
  static void loop(int n_outer, int n_inner, const Body& body) {
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

  std::vector<std::vector<std::function<void()>>> branches_;  // what they have yet to do
  std::size_t branch_ = 0;
};

}  // namespace jointlight
