// SPDX-License-Identifier: BSD-3-Clause
// Functions that can be left in the middle and gone on with later, each on a stack of its own: many
// fits wait for one evaluation of all of them without a thread each.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace jointlight {

class Fiber {
 public:
  static constexpr std::size_t default_stack = std::size_t{512} << 10;  // bytes; used pages count

  // `body` must not throw. Memory for the stack is taken here; throws std::bad_alloc.
  explicit Fiber(std::function<void()> body, std::size_t stack_bytes = default_stack);
  // One that has begun must have ended.
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Runs the body until it waits or ends. Any thread may, one at a time. `worked`: seconds that
  // others have worked for it while it waited.
  void resume(double worked = 0.0);
  bool done() const;

  // Called from within a body: returns to whoever resumed it. No exception may be in flight.
  static void wait();
  // Seconds that the body from which it is called has waited while nobody worked for it; 0 where
  // none is running.
  static double waited();
  // Whether a body is running in this thread.
  static bool inside();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace jointlight
