// SPDX-License-Identifier: BSD-3-Clause
// Fibers: order, stacks of their own, exceptions inside, change of thread.
// sources: csrc/base/fiber.cpp
#include "base/fiber.hpp"

#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"

using jointlight::Fiber;

namespace {

void takes_turns() {
  std::string told;
  std::vector<std::unique_ptr<Fiber>> fibers;
  for (int k = 0; k < 3; ++k) {
    fibers.push_back(std::make_unique<Fiber>([&told, k] {
      for (int round = 0; round < 2; ++round) {
        told += static_cast<char>('a' + k);
        Fiber::wait();
      }
    }));
  }
  CHECK(told.empty());
  for (int round = 0; round < 3; ++round) {
    for (auto& fiber : fibers) {
      CHECK(!fiber->done());
      fiber->resume();
    }
  }
  CHECK(told == "abcabc");
  for (auto& fiber : fibers) CHECK(fiber->done());
}

// Locals of a deep call survive a wait.
double deep(int depth) {
  std::array<double, 256> own{};
  for (std::size_t i = 0; i < own.size(); ++i) own[i] = depth + static_cast<double>(i);
  double sum = 0.0;
  if (depth > 0) {
    sum += deep(depth - 1);
  } else {
    Fiber::wait();
  }
  for (const double v : own) sum += v;
  return sum;
}

void keeps_its_stack() {
  double expected = 0.0, found[2] = {};
  for (int d = 0; d <= 50; ++d) expected += 256.0 * d + 255.0 * 128.0;
  {
    Fiber one([&] { found[0] = deep(50); }), other([&] { found[1] = deep(50); });
    one.resume();
    other.resume();
    CHECK(found[0] == 0.0 && found[1] == 0.0);
    other.resume();
    one.resume();
    CHECK(one.done() && other.done());
  }
  CHECK(found[0] == expected && found[1] == expected);
}

void throws_inside() {
  int caught = 0;
  Fiber fiber([&] {
    for (int k = 0; k < 3; ++k) {
      try {
        Fiber::wait();
        throw std::runtime_error("inside");
      } catch (const std::runtime_error&) {
        ++caught;
      }
    }
  });
  for (int k = 0; k < 4; ++k) fiber.resume();
  CHECK(fiber.done());
  CHECK(caught == 3);
}

void goes_on_in_another_thread() {
  std::vector<std::thread::id> ids;
  Fiber fiber([&] {
    for (int k = 0; k < 4; ++k) {
      CHECK(Fiber::inside());
      ids.push_back(std::this_thread::get_id());
      Fiber::wait();
    }
  });
  for (int k = 0; k < 5; ++k) std::thread([&] { fiber.resume(); }).join();
  CHECK(fiber.done());
  CHECK(ids.size() == 4);
  CHECK(!Fiber::inside());
}

void many() {
  constexpr int n = 2000;
  int done = 0;
  std::vector<std::unique_ptr<Fiber>> fibers;
  for (int k = 0; k < n; ++k) {
    fibers.push_back(std::make_unique<Fiber>([&done] {
      Fiber::wait();
      ++done;
    }));
  }
  for (int round = 0; round < 2; ++round) {
    for (auto& fiber : fibers) fiber->resume();
  }
  CHECK(done == n);
}

void inside_each_other() {
  std::string told;
  Fiber outer([&] {
    Fiber inner([&] {
      told += "i";
      Fiber::wait();
      told += "j";
    });
    inner.resume();
    told += "o";
    Fiber::wait();
    inner.resume();
    told += "p";
  });
  outer.resume();
  CHECK(told == "io");
  outer.resume();
  CHECK(told == "iojp");
  CHECK(outer.done());
}

}  // namespace

int main() {
  takes_turns();
  keeps_its_stack();
  throws_inside();
  goes_on_in_another_thread();
  many();
  inside_each_other();
  return check::result();
}
