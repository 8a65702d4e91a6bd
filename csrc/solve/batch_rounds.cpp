// SPDX-License-Identifier: BSD-3-Clause
#include "solve/batch_rounds.hpp"

#include <algorithm>
#include <exception>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "backend/cpu/thread_pool.hpp"
#include "base/fiber.hpp"

namespace jointlight {
namespace {

// One fit and what it waits for.
struct Seat {
  std::unique_ptr<Fiber> fiber;
  std::shared_ptr<const Scene> scene;  // null: none of its own to evaluate here
  bool asks = false, derivatives = false;
  std::vector<TileState> states;
  LaneSums sums;
  std::exception_ptr failure;  // of the evaluation
};

// A scene's backend whose evaluations are made with those of others. What it does not offer, a fit
// does not ask for.
class WaitingBackend final : public Backend {
 public:
  explicit WaitingBackend(Seat& seat) : seat_(seat) {}

  void chi2(std::span<const TileState> states, std::span<double> per_tile) override {
    ask(states, false);
    std::copy(seat_.sums.chi2.begin(), seat_.sums.chi2.end(), per_tile.begin());
  }
  void linearize(std::span<const TileState> states, LaneSums& sums) override {
    ask(states, true);
    std::swap(sums, seat_.sums);
  }
  void render(std::span<const TileState>, int, double*) override { refuse(); }
  void render_tile(std::span<const TileState>, int, double*) override { refuse(); }
  void project(std::span<const TileState>, int, std::span<const double>, std::span<double* const>,
               std::size_t) override {
    refuse();
  }
  std::string describe() const override { return "one of many"; }

 private:
  void ask(std::span<const TileState> states, bool derivatives) {
    seat_.states.assign(states.begin(), states.end());
    seat_.derivatives = derivatives;
    seat_.asks = true;
    Fiber::wait();
    if (seat_.failure) std::rethrow_exception(std::exchange(seat_.failure, nullptr));
  }
  [[noreturn]] static void refuse() { throw std::logic_error("fits of many draw no images"); }

  Seat& seat_;
};

// Every thread goes on with fits until each of them waits or has ended.
void go_on(std::vector<Seat>& seats, int n_threads) {
  constexpr int together = 8;
  const int n = static_cast<int>(seats.size());
  parallel_for((n + together - 1) / together, n_threads, [&](int piece, int) {
    for (int k = piece * together; k < std::min(n, (piece + 1) * together); ++k) {
      Seat& seat = seats[static_cast<std::size_t>(k)];
      if (!seat.fiber) continue;
      seat.asks = false;
      seat.fiber->resume();
      if (seat.fiber->done()) seat.fiber.reset();
    }
  });
}

}  // namespace

void run_in_rounds(std::size_t n, int n_threads, Evaluator& evaluator,
                   const std::function<void(std::size_t, const SharedBackend&)>& fit,
                   const std::function<void()>& waiting) {
  std::vector<Seat> seats(n);
  const SharedBackend shared = [&](std::size_t k, std::shared_ptr<const Scene> scene) {
    seats[k].scene = std::move(scene);
    return std::make_unique<WaitingBackend>(seats[k]);
  };
  for (std::size_t k = 0; k < n; ++k) {
    seats[k].fiber = std::make_unique<Fiber>([&, k] { fit(k, shared); });
  }
  go_on(seats, n_threads);  // up to the first evaluation, so that every scene is known
  std::vector<const Scene*> scenes;
  std::vector<std::size_t> number(n, 0);
  for (std::size_t k = 0; k < n; ++k) {
    if (!seats[k].asks) continue;
    number[k] = scenes.size();
    scenes.push_back(seats[k].scene.get());
  }
  std::exception_ptr failure;
  try {
    if (!scenes.empty()) evaluator.plan(scenes);
  } catch (...) {
    failure = std::current_exception();
  }
  std::vector<EvaluationRequest> requests;
  for (;;) {
    requests.clear();
    for (std::size_t k = 0; k < n; ++k) {
      Seat& seat = seats[k];
      if (!seat.asks) continue;
      requests.push_back({number[k], seat.states, seat.derivatives, &seat.sums});
    }
    if (requests.empty()) return;
    if (!failure) {
      try {
        evaluator.evaluate(requests);
      } catch (...) {
        failure = std::current_exception();  // a device that failed once is not asked again
      }
    }
    if (failure) {
      for (Seat& seat : seats) {
        if (seat.asks) seat.failure = failure;
      }
    }
    waiting();
    go_on(seats, n_threads);
  }
}

}  // namespace jointlight
