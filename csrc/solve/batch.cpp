// SPDX-License-Identifier: BSD-3-Clause
#include "solve/batch.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "backend/cpu/cpu_backend.hpp"
#include "backend/cpu/thread_pool.hpp"
#include "base/fiber.hpp"
#include "solve/batch_rounds.hpp"
#include "solve/linear_solver.hpp"
#include "solve/scene_fit.hpp"

namespace jointlight {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double poll_interval = 0.2;  // seconds

using MakeBackend = std::function<std::unique_ptr<Backend>(std::shared_ptr<const Scene>)>;

std::unique_ptr<Backend> on_one_thread(std::shared_ptr<const Scene> scene) {
  return make_cpu_backend(std::move(scene), 1);
}

Plan make_plan(std::shared_ptr<const Scene> scene, const MakeBackend& make,
               std::unique_ptr<Backend>& backend) {
  Plan plan;
  plan.layout = std::make_shared<const NormalLayout>(*scene);
  backend.reset();  // its memory serves the next one
  backend = make(scene);
  plan.scene = std::move(scene);
  plan.backend = backend.get();
  return plan;
}

bool all_finite(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
}

// Directions that the data leave open: one a group, except that a group of three or more may have
// several.
int count_open_directions(const SparsePattern& pattern, const FitOutcome& outcome,
                          const LMOptions& options) {
  const int n_groups = static_cast<int>(outcome.degenerate.size());
  std::size_t largest = 0;
  for (const std::vector<int>& group : outcome.degenerate) {
    largest = std::max(largest, group.size());
  }
  constexpr std::size_t most = 1000;  // coordinates up to which they are counted exactly
  const std::size_t n = outcome.x.size();
  if (largest < 3 || n > most || !all_finite(outcome.hessian)) return n_groups;
  std::vector<std::size_t> used;
  std::vector<double> scale(n, 0.0);
  int n_open = 0;
  for (std::size_t i = 0; i < n; ++i) {
    if (outcome.at_bound[i] != 0) continue;
    const auto diagonal = static_cast<std::size_t>(pattern.diagonal(static_cast<int>(i)));
    if (!(outcome.hessian[diagonal] > 0.0)) {
      ++n_open;
      continue;
    }
    scale[i] = 1.0 / std::sqrt(outcome.hessian[diagonal]);
    used.push_back(i);
  }
  const std::size_t m = used.size();
  std::vector<double> a(m * m), w(m);
  for (std::size_t j = 0; j < m; ++j) {
    for (std::size_t i = j; i < m; ++i) {
      const int k = pattern.find(static_cast<int>(used[i]), static_cast<int>(used[j]));
      const double h = k < 0 ? 0.0 : outcome.hessian[static_cast<std::size_t>(k)];
      a[i * m + j] = a[j * m + i] = h * scale[used[i]] * scale[used[j]];
    }
  }
  if (!symmetric_eigen(static_cast<int>(m), a, w)) return n_groups;
  for (const double value : w) n_open += value <= options.degenerate_rcond ? 1 : 0;
  return std::max(n_open, n_groups);
}

std::int8_t status_code(const SceneFit& fit) {
  const Status status = fit.outcome.status;
  if (status == Status::all_masked) return batch_no_data;
  // Skies cannot be lost, and a source that is fixed says nothing.
  bool any = false, all = true;
  const Scene& scene = *fit.plan.scene;
  for (std::size_t t = 0; t < scene.tiles().size(); ++t) {
    if (scene.views()[t].renderer == Renderer::sky) continue;
    const auto source = static_cast<std::size_t>(scene.tiles()[t].source);
    const std::string_view name = fit.source_status[source];
    any = any || name == "lost";
    all = all && (name == "lost" || name == "fixed");
  }
  if (any && all && status != Status::interrupted && status != Status::timed_out) return batch_lost;
  return static_cast<std::int8_t>(status);
}

class Batch {
 public:
  Batch(const std::function<BatchJob(std::size_t)>& job, const LMOptions& options,
        const BatchPoll& poll, BatchOutput& output)
      : job_(job), options_(options), poll_(poll), output_(output) {}

  // `first`: makes the backend of the first plan.
  void run_one(std::size_t i, int worker, const MakeBackend& first) noexcept {
    if (stopped_.load(std::memory_order_relaxed)) {
      output_.status[i] = static_cast<std::int8_t>(Status::interrupted);
      return;
    }
    const auto begin = Clock::now();
    const double waited = Fiber::waited();
    try {
      fit(i, worker, first);
    } catch (const Interrupt&) {
      output_.status[i] = static_cast<std::int8_t>(Status::interrupted);
    } catch (const std::invalid_argument& error) {
      refuse(i, batch_invalid_input, error.what());
    } catch (const std::exception& error) {
      refuse(i, batch_failed, error.what());
    } catch (...) {
      refuse(i, batch_failed, "unknown error");
    }
    output_.time_s[i] = seconds_since(begin) - (Fiber::waited() - waited);
    done_.fetch_add(1, std::memory_order_relaxed);
    poll(worker);
  }

  // Only the caller's thread asks, and tells the others.
  void poll(int worker) noexcept {
    if (worker != 0 || seconds_since(last_poll_) < poll_interval) return;
    try {
      if (!poll_(done_.load(std::memory_order_relaxed))) stopped_.store(true);
    } catch (...) {
      stopped_.store(true);
    }
    last_poll_ = Clock::now();
  }

 private:
  using Clock = std::chrono::steady_clock;

  static double seconds_since(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
  }

  void refuse(std::size_t i, int status, const char* message) noexcept {
    output_.status[i] = static_cast<std::int8_t>(status);
    try {
      output_.messages[i] = message;
    } catch (...) {  // without memory for the text, the status stands alone
    }
  }

  void fit(std::size_t i, int worker, const MakeBackend& first) {
    BatchJob job = job_(i);
    for (std::size_t k = 0; k < job.start.size(); ++k) {
      if (!std::isfinite(job.start[k])) {
        throw std::invalid_argument("start[" + std::to_string(k) + "] must be finite");
      }
    }
    std::unique_ptr<Backend> backend;
    const auto on_progress = [&](const IterationRecord&, const std::vector<double>&) {
      poll(worker);
      if (stopped_.load(std::memory_order_relaxed)) throw Interrupt();
    };
    const auto replan = [&](std::shared_ptr<const Scene> scene) {
      return make_plan(std::move(scene), &on_one_thread, backend);
    };
    store(i, fit_scene(make_plan(std::move(job.scene), first, backend), job.start, {}, options_,
                       on_progress, replan));
  }

  void store(std::size_t i, const SceneFit& fit) {
    const FitOutcome& outcome = fit.outcome;
    const auto first = static_cast<std::size_t>(output_.offset[i]);
    const std::size_t n = fit.natural.size();
    output_.status[i] = status_code(fit);
    output_.chi2[i] = outcome.chi2;
    std::int64_t n_pixels = 0;
    for (const long tile : fit.n_pixels_tiles) n_pixels += tile;
    output_.n_pixels[i] = n_pixels;
    output_.n_linearize[i] = outcome.n_linearize;
    output_.n_chi2[i] = outcome.n_chi2;
    output_.n_null[i] = count_open_directions(fit.plan.layout->pattern, outcome, options_);
    std::copy(fit.natural.begin(), fit.natural.end(), output_.values + first);
    std::copy(outcome.at_bound.begin(), outcome.at_bound.end(), output_.at_bound + first);
    for (const std::vector<int>& group : outcome.degenerate) {
      for (const int k : group) output_.degenerate[first + static_cast<std::size_t>(k)] = 1;
    }
    const bool dense = outcome.covariance.size() == n * n;
    const SparsePattern& pattern = fit.plan.layout->pattern;
    for (std::size_t k = 0; k < n; ++k) {
      const auto diagonal = static_cast<std::size_t>(pattern.diagonal(static_cast<int>(k)));
      if (dense) output_.variances[first + k] = outcome.covariance[k * n + k];
      if (diagonal < outcome.sparse_covariance.size()) {
        output_.variances[first + k] = outcome.sparse_covariance[diagonal];
      }
    }
    if (output_.covariance != nullptr && dense) {
      std::copy(outcome.covariance.begin(), outcome.covariance.end(),
                output_.covariance + output_.covariance_offset[i]);
    }
  }

  const std::function<BatchJob(std::size_t)>& job_;
  const LMOptions& options_;
  const BatchPoll& poll_;
  BatchOutput& output_;
  std::atomic<std::size_t> done_{0};
  std::atomic<bool> stopped_{false};
  Clock::time_point last_poll_ = Clock::now();
};

// Some at a time, enough to keep the evaluators busy, until all are done or every evaluator has
// failed. Returns how many were.
std::size_t run_together(std::span<const std::size_t> order, std::span<const std::int64_t> sizes,
                         int n_threads, std::vector<Evaluator*> evaluators, Batch& batch,
                         BatchOutput& output) {
  // Of each evaluator: plenty for a device; of all: few enough stacks, of two maps each, for the
  // 65530 maps that a process has by default.
  constexpr std::size_t most_fits = 4096, most_stacks = 24000;
  constexpr int nobody = -1;  // no fit's own thread: the caller polls between the rounds
  std::size_t first = 0;
  while (first < order.size() && !evaluators.empty()) {
    std::size_t capacity = 0;
    for (const Evaluator* evaluator : evaluators) capacity += evaluator->capacity();
    const std::size_t most = std::min(most_fits * evaluators.size(), most_stacks);
    std::size_t last = first, pixels = 0;
    while (last < order.size() && (last == first || (last - first < most && pixels < capacity))) {
      pixels += static_cast<std::size_t>(std::max<std::int64_t>(sizes[order[last]], 1));
      ++last;
    }
    const RoundsReport report = run_in_rounds(
        last - first, n_threads, evaluators,
        [&](std::size_t k, const SharedBackend& shared) {
          batch.run_one(order[first + k], nobody, [&](std::shared_ptr<const Scene> scene) {
            return shared(k, std::move(scene));
          });
        },
        [&] { batch.poll(0); });
    const std::size_t begin = std::exchange(first, last);
    for (const std::size_t k : report.moved) output.moved[order[begin + k]] = 1;
    std::vector<Evaluator*> working;
    for (std::size_t k = 0; k < evaluators.size(); ++k) {
      if (report.failures[k].empty()) working.push_back(evaluators[k]);
      if (output.device_failure.empty()) output.device_failure = report.failures[k];
    }
    evaluators = std::move(working);
  }
  return first;
}

}  // namespace

BatchStatus batch_status(int code) {
  switch (code) {
    case batch_invalid_input:
      return {"invalid_input", "The input was refused."};
    case batch_no_data:
      return {"no_data", describe(Status::all_masked)};
    case batch_lost:
      return {"lost", "Lost: the source wandered where it cannot be drawn."};
    case batch_failed:
      return {"failed", "An error that is not the input's."};
    default:
      break;
  }
  const auto status = static_cast<Status>(code);
  return {to_string(status), describe(status), is_success(status)};
}

void run_batch(std::span<const std::int64_t> sizes, int n_threads,
               const std::function<BatchJob(std::size_t)>& job, const LMOptions& options,
               const BatchPoll& poll, BatchOutput& output, std::span<Evaluator* const> evaluators) {
  const std::size_t n = sizes.size();
  for (std::size_t i = 0; i < n; ++i) {
    output.chi2[i] = nan;
    output.time_s[i] = 0.0;
    output.n_pixels[i] = output.n_linearize[i] = output.n_chi2[i] = output.n_null[i] = 0;
  }
  std::fill(output.values + output.offset[0], output.values + output.offset[n], nan);
  std::fill(output.variances + output.offset[0], output.variances + output.offset[n], nan);
  std::fill(output.at_bound + output.offset[0], output.at_bound + output.offset[n], 0);
  std::fill(output.degenerate + output.offset[0], output.degenerate + output.offset[n], 0);
  if (output.covariance != nullptr) {
    std::fill(output.covariance, output.covariance + output.covariance_offset[n], nan);
  }
  output.messages.assign(n, {});
  if (n_threads <= 0) n_threads = default_threads();
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (n_threads > 1) {
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return sizes[a] > sizes[b]; });
  }
  Batch batch(job, options, poll, output);
  std::fill(output.moved, output.moved + n, 0);
  output.device_failure.clear();
  std::span<const std::size_t> left = order;
  if (!evaluators.empty()) {
    left = left.subspan(run_together(order, sizes, n_threads,
                                     {evaluators.begin(), evaluators.end()}, batch, output));
    for (const std::size_t i : left) output.moved[i] = 1;
  }
  parallel_for(
      static_cast<int>(left.size()), n_threads,
      [&](int k, int worker) {
        batch.run_one(left[static_cast<std::size_t>(k)], worker, &on_one_thread);
      },
      [&] { batch.poll(0); });
}

}  // namespace jointlight
