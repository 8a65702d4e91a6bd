// SPDX-License-Identifier: BSD-3-Clause
#include "solve/batch_rounds.hpp"

#include <algorithm>
#include <chrono>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include "backend/cpu/cpu_backend.hpp"
#include "backend/cpu/thread_pool.hpp"
#include "base/fiber.hpp"

namespace jointlight {
namespace {

// One fit and what it waits for.
struct Seat {
  std::size_t number = 0;  // of the fit
  std::unique_ptr<Fiber> fiber;
  std::shared_ptr<const Scene> scene;  // null: none of its own to evaluate here
  bool asks = false, derivatives = false;
  bool ready = true;   // to go on
  bool alone = false;  // to be evaluated by itself from here on
  double share = 0.0;  // seconds of the last evaluation that were spent for it
  std::vector<TileState> states;
  LaneSums sums;
};

// A scene's backend whose evaluations are made with those of others, or on the CPU if there is
// nobody to make them. What it does not offer, a fit does not ask for.
class WaitingBackend final : public Backend {
 public:
  explicit WaitingBackend(Seat& seat) : seat_(seat) {}

  void chi2(std::span<const TileState> states, std::span<double> per_tile) override {
    if (!ask(states, false)) return cpu_->chi2(complete(states), per_tile);
    std::copy(seat_.sums.chi2.begin(), seat_.sums.chi2.end(), per_tile.begin());
  }
  void linearize(std::span<const TileState> states, LaneSums& sums) override {
    if (!ask(states, true)) return cpu_->linearize(complete(states), sums);
    std::swap(sums, seat_.sums);
  }
  void render(std::span<const TileState>, int, double*) override { refuse(); }
  void render_tile(std::span<const TileState>, int, double*) override { refuse(); }
  void project(std::span<const TileState>, int, std::span<const double>, std::span<double* const>,
               std::size_t) override {
    refuse();
  }
  Tables tables() const override { return Tables::sized; }
  std::string describe() const override { return "one of many"; }

 private:
  // False if it has to be done here.
  bool ask(std::span<const TileState> states, bool derivatives) {
    if (!seat_.alone) {
      seat_.states.assign(states.begin(), states.end());
      seat_.derivatives = derivatives;
      seat_.asks = true;
      Fiber::wait();
    }
    if (seat_.alone && !cpu_) cpu_ = make_cpu_backend(seat_.scene, 1);
    return !seat_.alone;
  }
  // With the tables that the CPU draws from.
  std::span<const TileState> complete(std::span<const TileState> states) {
    seat_.states.assign(states.begin(), states.end());
    tables_.resize(states.size());
    for (std::size_t t = 0; t < states.size(); ++t) {
      TileState& state = seat_.states[t];
      if (!state.has_table || state.table.coefficients != nullptr) continue;
      seat_.scene->make_table(t, state, tables_[t]);
    }
    return seat_.states;
  }
  [[noreturn]] static void refuse() { throw std::logic_error("fits of many draw no images"); }

  Seat& seat_;
  std::unique_ptr<Backend> cpu_;
  std::vector<AlignedBuffer<double>> tables_;  // [tiles]
};

// The fits of one evaluator.
class Table {
 public:
  Table(Evaluator& evaluator, int n_threads, const std::function<void()>& waiting)
      : evaluator_(evaluator), n_threads_(n_threads), waiting_(waiting) {}

  void add(const std::function<void(std::size_t, const SharedBackend&)>& fit, std::size_t k) {
    Seat& seat = *seats_.emplace_back(std::make_unique<Seat>());
    seat.number = k;
    seat.fiber = std::make_unique<Fiber>([&fit, &seat, k] {
      fit(k, [&seat](std::size_t, std::shared_ptr<const Scene> scene) {
        seat.scene = std::move(scene);
        return std::make_unique<WaitingBackend>(seat);
      });
    });
  }

  // Goes on with all fits up to their next evaluation, and starts these. False once all have ended.
  bool round() {
    if (!requests_.empty()) finish();
    go_on();
    if (!begun_) queue_all();
    while (!start()) {
      if (queue_.empty()) return false;
      plan();
      go_on();  // those that were sent away
    }
    return true;
  }

  const std::string& failure() const { return failure_; }
  const std::vector<std::size_t>& moved() const { return moved_; }

 private:
  template <class Work>
  static double seconds_of(const Work& work) {
    const auto since = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
  }

  // An evaluator that failed once is not asked again.
  template <class Work>
  void guarded(const Work& work) {
    if (!failure_.empty()) return;
    try {
      work();
    } catch (const std::exception& error) {
      failure_ = error.what();
      if (failure_.empty()) failure_ = "unknown error";
    } catch (...) {
      failure_ = "unknown error";
    }
  }

  // Every thread goes on with fits until each of them waits or has ended.
  void go_on() {
    constexpr int together = 8;
    const int n = static_cast<int>(seats_.size());
    const auto resume = [&](int piece, int worker) {
      for (int k = piece * together; k < std::min(n, (piece + 1) * together); ++k) {
        Seat& seat = *seats_[static_cast<std::size_t>(k)];
        if (!seat.fiber || !seat.ready) continue;
        seat.asks = seat.ready = false;
        seat.fiber->resume(std::exchange(seat.share, 0.0));
        if (seat.fiber->done()) seat.fiber.reset();
        if (worker == 0) waiting_();  // the caller's thread
      }
    };
    parallel_for((n + together - 1) / together, n_threads_, resume, waiting_);
  }

  // After the first round every scene is known.
  void queue_all() {
    begun_ = true;
    for (const auto& seat : seats_) {
      if (seat->asks) queue_.push_back(seat.get());
    }
  }

  // Gives seats to as many of the queue as there is room for. The first goes its own way if there
  // is none, all do if the evaluator fails.
  void plan() {
    std::vector<const Scene*> scenes;
    for (const Seat* seat : queue_) scenes.push_back(seat->scene.get());
    std::size_t n = 0;
    guarded([&] { n = evaluator_.plan(scenes, n_threads_); });
    planned_.clear();
    const bool room = n > 0;
    if (!room) n = failure_.empty() ? 1 : queue_.size();
    for (; n > 0; --n) {
      Seat& seat = *queue_.front();
      queue_.pop_front();
      if (room) {
        planned_.push_back(&seat);
      } else {
        send_away(seat);
      }
    }
  }

  // False if none of those with a seat asks.
  bool start() {
    requests_.clear();
    for (std::size_t i = 0; i < planned_.size(); ++i) {
      Seat& seat = *planned_[i];
      if (seat.asks) requests_.push_back({i, seat.states, seat.derivatives, &seat.sums});
    }
    if (requests_.empty()) return false;
    seconds_ = seconds_of([&] { guarded([&] { evaluator_.start(requests_); }); });
    return true;
  }

  void finish() {
    seconds_ += seconds_of([&] { guarded([&] { evaluator_.finish(); }); });
    for (const EvaluationRequest& request : requests_) {
      Seat& seat = *planned_[request.scene];
      seat.ready = true;
      seat.share = seconds_ / static_cast<double>(requests_.size());
      if (!failure_.empty()) send_away(seat);
    }
  }

  void send_away(Seat& seat) {
    seat.alone = seat.ready = true;
    moved_.push_back(seat.number);
  }

  Evaluator& evaluator_;
  int n_threads_;
  const std::function<void()>& waiting_;
  std::vector<std::unique_ptr<Seat>> seats_;
  std::deque<Seat*> queue_;
  std::vector<Seat*> planned_;  // by scene of the evaluator
  std::vector<EvaluationRequest> requests_;
  double seconds_ = 0.0;  // that the host gave to this evaluation
  std::string failure_;
  std::vector<std::size_t> moved_;
  bool begun_ = false;
};

}  // namespace

RoundsReport run_in_rounds(std::size_t n, int n_threads, std::span<Evaluator* const> evaluators,
                           const std::function<void(std::size_t, const SharedBackend&)>& fit,
                           const std::function<void()>& waiting) {
  std::deque<Table> tables;
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
  RoundsReport report;
  for (const Table& table : tables) {
    report.failures.push_back(table.failure());
    report.moved.insert(report.moved.end(), table.moved().begin(), table.moved().end());
  }
  return report;
}

}  // namespace jointlight
