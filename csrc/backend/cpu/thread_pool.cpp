// SPDX-License-Identifier: BSD-3-Clause
#include "backend/cpu/thread_pool.hpp"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>

namespace jointlight {
namespace {

thread_local bool is_inside = false;  // a body

class Pool {
 public:
  // False if another caller holds the pool.
  bool try_run(int n, int n_threads, const std::function<void(int, int)>& body,
               const std::function<void()>& waiting) {
    if (is_inside) return false;  // locking again what this thread may hold is undefined
    std::unique_lock owner(owner_, std::try_to_lock);
    if (!owner.owns_lock()) return false;
    grow(n_threads - 1);
    {
      const std::lock_guard lock(mutex_);
      body_ = &body;
      n_ = n;
      next_.store(0, std::memory_order_relaxed);
      helpers_ = n_threads - 1;
      running_ = n_threads - 1;
      ++generation_;
    }
    wake_.notify_all();
    work(0);
    std::unique_lock lock(mutex_);
    const auto all_done = [this] { return running_ == 0; };
    while (waiting && !done_.wait_for(lock, std::chrono::milliseconds(100), all_done)) {
      lock.unlock();
      is_inside = true;  // what it calls finds the pool taken
      waiting();
      is_inside = false;
      lock.lock();
    }
    done_.wait(lock, all_done);
    body_ = nullptr;
    return true;
  }

 private:
  void work(int worker) {
    is_inside = true;
    for (int i = next_.fetch_add(1); i < n_; i = next_.fetch_add(1)) (*body_)(i, worker);
    is_inside = false;
  }

  void grow(int n_helpers) {
    while (static_cast<int>(threads_.size()) < n_helpers) {
      const int worker = static_cast<int>(threads_.size()) + 1;
      std::uint64_t seen;
      {
        const std::lock_guard lock(mutex_);
        seen = generation_;
      }
      threads_.emplace_back([this, worker, seen]() mutable {
        for (;;) {
          {
            std::unique_lock lock(mutex_);
            wake_.wait(lock, [&] { return generation_ != seen; });
            seen = generation_;
            if (worker > helpers_) continue;
          }
          work(worker);
          const std::lock_guard lock(mutex_);
          if (--running_ == 0) done_.notify_one();
        }
      });
      threads_.back().detach();
    }
  }

  std::mutex owner_, mutex_;
  std::condition_variable wake_, done_;
  std::vector<std::thread> threads_;  // detached: they live as long as the process
  const std::function<void(int, int)>* body_ = nullptr;
  std::atomic<int> next_{0};
  int n_ = 0, helpers_ = 0, running_ = 0;
  std::uint64_t generation_ = 0;
};

// Never destroyed: threads may still wait in it when the process ends.
Pool* pool = nullptr;
std::once_flag pool_once;

Pool& shared_pool() {
  std::call_once(pool_once, [] {
    pool = new Pool;
    pthread_atfork(nullptr, nullptr, [] { pool = new Pool; });
  });
  return *pool;
}

}  // namespace

void parallel_for(int n, int n_threads, const std::function<void(int, int)>& body,
                  const std::function<void()>& waiting) {
  n_threads = std::min(n_threads, n);
  if (n_threads > 1 && shared_pool().try_run(n, n_threads, body, waiting)) return;
  for (int i = 0; i < n; ++i) body(i, 0);
}

int default_threads() {
  if (const char* variable = std::getenv("JOINTLIGHT_NUM_THREADS")) {
    const int asked = std::atoi(variable);
    if (asked > 0) return asked;
  }
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace jointlight
