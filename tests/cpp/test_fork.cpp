// SPDX-License-Identifier: BSD-3-Clause
// sources: csrc/scene/transform_table.cpp csrc/base/special.cpp csrc/backend/cpu/thread_pool.cpp
// What a process shares is whole in a child that was forked in the midst of work; loops in loops.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "backend/cpu/thread_pool.hpp"
#include "check.hpp"
#include "profiles/sersic.hpp"
#include "scene/transform_table.hpp"

namespace jointlight {

// Many tables with the same profile, so that there is always a node to be made.
const std::vector<ProfileInfo>& profile_registry() {
  static const std::vector<ProfileInfo> registry = [] {
    ProfileInfo info;
    info.name = Sersic::name;
    info.n_shape = 1;
    info.shape_min = {Sersic::shape_min[0]};
    info.shape_max = {Sersic::shape_max[0]};
    info.log_mellin = &Sersic::log_mellin;
    return std::vector<ProfileInfo>(200, info);
  }();
  return registry;
}

namespace {

template <class Work>
bool child_can(const Work& work) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);  // a deadlock ends here, and fails
    work();
    _exit(0);
  }
  int status = 1;
  waitpid(child, &status, 0);
  return status == 0;
}

void test_tables_after_fork() {
  std::atomic<bool> stop{false};
  std::atomic<int> at{0};
  std::thread busy([&] {
    for (; at < 200 && !stop; ++at) {
      for (double n = 0.5; n < 8.0 && !stop; n *= 1.05)
        transform_table(at).flux_factor(&n, nullptr);
    }
  });
  for (int i = 0; i < 30; ++i) {
    CHECK(child_can([&] {
      const double n = 3.3;
      for (int table = 0; table <= at; ++table) transform_table(table).flux_factor(&n, nullptr);
    }));
    CHECK(at < 199);  // else nobody was at work any more
  }
  stop = true;
  busy.join();
}

void test_pool_after_fork() {
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop) parallel_for(64, 3, [](int, int) {});
  });
  for (int i = 0; i < 30; ++i) {
    CHECK(child_can([] {
      std::vector<int> done(100, 0);
      parallel_for(100, 3, [&](int k, int) { done[static_cast<std::size_t>(k)] = 1; });
      for (const int one : done) {
        if (one == 0) _exit(1);
      }
    }));
  }
  stop = true;
  busy.join();
}

void test_loops_in_loops() {
  std::vector<std::atomic<int>> count(50);
  parallel_for(50, 3, [&](int i, int) {
    parallel_for(10, 3, [&](int, int) { ++count[static_cast<std::size_t>(i)]; });
  });
  for (const auto& one : count) CHECK(one == 10);
}

void test_waiting() {
  std::atomic<int> told{0};
  // One of two workers sleeps; the other waits, and says so if it is the caller.
  for (int round = 0; round < 5 && told == 0; ++round) {
    parallel_for(
        2, 2,
        [&](int, int worker) {
          if (worker != 0) std::this_thread::sleep_for(std::chrono::milliseconds(400));
          if (worker == 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
        },
        [&] { ++told; });
  }
  CHECK(told > 0);
}

}  // namespace
}  // namespace jointlight

int main() {
  jointlight::test_tables_after_fork();
  jointlight::test_pool_after_fork();
  jointlight::test_loops_in_loops();
  jointlight::test_waiting();
  return check::result();
}
