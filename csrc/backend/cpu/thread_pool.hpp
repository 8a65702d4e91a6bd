// SPDX-License-Identifier: BSD-3-Clause
// A process-wide pool of std::threads. A caller that finds the pool busy does its work alone, so
// that pipelines with threads of their own never oversubscribe the machine. After fork() the child
// starts with a fresh pool.
#pragma once

#include <functional>

namespace jointlight {

// Calls body(index, worker) for index in [0, n), worker in [0, n_threads); the caller is worker 0.
// Indices are handed out in order; which worker gets which is not fixed, so the body's result must
// not depend on it. Called from within a body it works alone. `waiting`: called by the caller a few
// times a second while it waits for the last of the others.
void parallel_for(int n, int n_threads, const std::function<void(int, int)>& body,
                  const std::function<void()>& waiting = {});

// The same for any body, by reference: a function object of its own might take memory.
template <class Body>
void parallel_for(int n, int n_threads, const Body& body) {
  parallel_for(n, n_threads, std::function<void(int, int)>(std::cref(body)));
}

// Threads to use when none are asked for: JOINTLIGHT_NUM_THREADS, else the processors this process
// may run on.
int default_threads();

}  // namespace jointlight
