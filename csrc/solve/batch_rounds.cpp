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

// The fits of one evaluator.
class Table {
 public:
  Table(Evaluator& evaluator, int n_threads, const std::function<void()>& waiting)
      : evaluator_(evaluator), n_threads_(n_threads), waiting_(waiting) {}

  void add(const std::function<void(std::size_t, const SharedBackend&)>& fit, std::size_t k) {
    Seat& seat = *seats_.emplace_back(std::make_unique<Seat>());
    seat.fiber = std::make_unique<Fiber>([&fit, &seat, k] {
      fit(k, [&seat](std::size_t, std::shared_ptr<const Scene> scene) {
        seat.scene = std::move(scene);
        return std::make_unique<WaitingBackend>(seat);
      });
    });
  }

  // Goes on with all fits up to their next evaluation, and starts these. False once all have ended.
  bool round() {
    if (!requests_.empty()) guarded([&] { evaluator_.finish(); });
    for (const EvaluationRequest& request : requests_) asking_[request.scene]->failure = failure_;
    go_on();
    if (!planned_) plan();
    requests_.clear();
    for (std::size_t i = 0; i < asking_.size(); ++i) {
      Seat& seat = *asking_[i];
      if (seat.asks) requests_.push_back({i, seat.states, seat.derivatives, &seat.sums});
    }
    if (requests_.empty()) return false;
    guarded([&] { evaluator_.start(requests_); });
    return true;
  }

 private:
  // A device that failed once is not asked again.
  template <class Work>
  void guarded(const Work& work) {
    if (failure_) return;
    try {
      work();
    } catch (...) {
      failure_ = std::current_exception();
    }
  }

  // Every thread goes on with fits until each of them waits or has ended.
  void go_on() {
    constexpr int together = 8;
    const int n = static_cast<int>(seats_.size());
    const auto resume = [&](int piece, int worker) {
      for (int k = piece * together; k < std::min(n, (piece + 1) * together); ++k) {
        Seat& seat = *seats_[static_cast<std::size_t>(k)];
        if (!seat.fiber) continue;
        seat.asks = false;
        seat.fiber->resume();
        if (seat.fiber->done()) seat.fiber.reset();
        if (worker == 0) waiting_();  // the caller's thread
      }
    };
    parallel_for((n + together - 1) / together, n_threads_, resume, waiting_);
  }

  // After the first round every scene is known.
  void plan() {
    planned_ = true;
    std::vector<const Scene*> scenes;
    for (const auto& seat : seats_) {
      if (!seat->asks) continue;
      asking_.push_back(seat.get());
      scenes.push_back(seat->scene.get());
    }
    if (!scenes.empty()) guarded([&] { evaluator_.plan(scenes); });
  }

  Evaluator& evaluator_;
  int n_threads_;
  const std::function<void()>& waiting_;
  std::vector<std::unique_ptr<Seat>> seats_;
  std::vector<Seat*> asking_;  // by scene of the evaluator
  std::vector<EvaluationRequest> requests_;
  std::exception_ptr failure_;
  bool planned_ = false;
};

}  // namespace

void run_in_rounds(std::size_t n, int n_threads, std::span<Evaluator* const> evaluators,
                   const std::function<void(std::size_t, const SharedBackend&)>& fit,
                   const std::function<void()>& waiting) {
  std::vector<Table> tables;
  for (Evaluator* evaluator : evaluators) tables.emplace_back(*evaluator, n_threads, waiting);
  for (std::size_t k = 0; k < n; ++k) tables[k % tables.size()].add(fit, k);
  std::vector<bool> open(tables.size(), true);
  for (bool any = true; any;) {
    any = false;
    for (std::size_t t = 0; t < tables.size(); ++t) {
      if (open[t]) open[t] = tables[t].round();
      any = any || open[t];
      waiting();
    }
  }
}

}  // namespace jointlight
