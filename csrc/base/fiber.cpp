// SPDX-License-Identifier: BSD-3-Clause
#include "base/fiber.hpp"

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <new>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace jointlight {
namespace {

// AddressSanitizer must be told which stack it is on.
struct StackNote {
#if defined(__SANITIZE_ADDRESS__)
  void* fake = nullptr;
  void leave(const void* bottom, std::size_t size, bool for_good = false) {
    __sanitizer_start_switch_fiber(for_good ? nullptr : &fake, bottom, size);
  }
  void arrive(const void** bottom = nullptr, std::size_t* size = nullptr) {
    __sanitizer_finish_switch_fiber(fake, bottom, size);
  }
#else
  void leave(const void*, std::size_t, bool = false) {}
  void arrive(const void** = nullptr, std::size_t* = nullptr) {}
#endif
};

}  // namespace

struct Fiber::State {
  std::function<void()> body;
  ucontext_t own{}, caller{};
  void* memory = nullptr;  // one page that faults, then the stack
  std::size_t page = 0, size = 0;
  bool begun = false, done = false;
  double worked = 0.0, waited = 0.0;  // seconds
  StackNote own_note, caller_note;
  const void* caller_bottom = nullptr;
  std::size_t caller_size = 0;

  void* stack() const { return static_cast<char*>(memory) + page; }
  void prepare();
  static void enter(unsigned high, unsigned low);
};

namespace {

thread_local void* running = nullptr;  // Fiber::State

// Out of line, so that the address of a thread's variable is never kept across a switch: another
// thread may go on with the body.
__attribute__((noinline)) void* exchange_running(void* next) {
  return std::exchange(running, next);
}

}  // namespace

void Fiber::State::enter(unsigned high, unsigned low) {
  const auto address = (static_cast<std::uintptr_t>(high) << 32) | low;
  auto& state = *reinterpret_cast<State*>(address);
  state.own_note.arrive(&state.caller_bottom, &state.caller_size);
  state.body();
  state.done = true;
  state.own_note.leave(state.caller_bottom, state.caller_size, true);
  swapcontext(&state.own, &state.caller);
}

void Fiber::State::prepare() {
  begun = true;
  getcontext(&own);
  own.uc_stack.ss_sp = stack();
  own.uc_stack.ss_size = size;
  own.uc_link = nullptr;
  const auto address = reinterpret_cast<std::uintptr_t>(this);
  makecontext(&own, reinterpret_cast<void (*)()>(&State::enter), 2,
              static_cast<unsigned>(address >> 32), static_cast<unsigned>(address));
}

Fiber::Fiber(std::function<void()> body, std::size_t stack_bytes) : state_(new State) {
  State& s = *state_;
  s.body = std::move(body);
  s.page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  s.size = (stack_bytes + s.page - 1) / s.page * s.page;
  s.memory = mmap(nullptr, s.page + s.size, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (s.memory == MAP_FAILED) throw std::bad_alloc();
  if (mprotect(s.memory, s.page, PROT_NONE) != 0) {  // one map too many for the system
    munmap(s.memory, s.page + s.size);
    throw std::bad_alloc();
  }
}

Fiber::~Fiber() { munmap(state_->memory, state_->page + state_->size); }

void Fiber::resume(double worked) {
  State& s = *state_;
  s.worked = worked;
  if (!s.begun) s.prepare();
  void* before = exchange_running(&s);
  s.caller_note.leave(s.stack(), s.size);
  swapcontext(&s.caller, &s.own);
  s.caller_note.arrive();
  exchange_running(before);
}

bool Fiber::done() const { return state_->done; }

void Fiber::wait() {
  auto& s = *static_cast<State*>(exchange_running(nullptr));
  const auto since = std::chrono::steady_clock::now();
  s.own_note.leave(s.caller_bottom, s.caller_size);
  swapcontext(&s.own, &s.caller);
  s.own_note.arrive(&s.caller_bottom, &s.caller_size);
  const std::chrono::duration<double> away = std::chrono::steady_clock::now() - since;
  s.waited += away.count() - s.worked;
}

double Fiber::waited() {
  void* state = exchange_running(nullptr);
  exchange_running(state);
  return state == nullptr ? 0.0 : static_cast<State*>(state)->waited;
}

bool Fiber::inside() {
  void* state = exchange_running(nullptr);
  exchange_running(state);
  return state != nullptr;
}

}  // namespace jointlight
