// SPDX-License-Identifier: BSD-3-Clause
// Many independent fits side by side, one thread each. What goes wrong with one of them is its
// own outcome.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/evaluator.hpp"
#include "scene/scene.hpp"
#include "solve/options.hpp"
#include "solve/result.hpp"

namespace jointlight {

// How an object ended: Status' values, and these.
inline constexpr int batch_invalid_input = n_statuses;  // refused, with a message
inline constexpr int batch_no_data = n_statuses + 1;    // no pixel that counts
inline constexpr int batch_lost = n_statuses + 2;       // every source wandered off
inline constexpr int batch_failed = n_statuses + 3;     // an error that is not the input's
inline constexpr int n_batch_statuses = n_statuses + 4;

// Name, one sentence for people, and whether it is a good end.
struct BatchStatus {
  std::string_view name, sentence;
  bool is_success = false;
};
BatchStatus batch_status(int code);

// One problem, made by the thread that fits it.
struct BatchJob {
  std::shared_ptr<const Scene> scene;
  std::vector<double> start;  // [n_free] natural
};

// Outcomes, in memory of the caller's: [n] each, and of object i the free parameters
// [offset[i], offset[i + 1]).
struct BatchOutput {
  const std::int64_t* offset = nullptr;             // [n + 1]
  const std::int64_t* covariance_offset = nullptr;  // [n + 1] into covariance
  std::int8_t* status = nullptr;
  double *chi2 = nullptr, *time_s = nullptr;
  std::int64_t* n_pixels = nullptr;
  int* n_null = nullptr;  // directions that the data leave open
  int *n_linearize = nullptr, *n_chi2 = nullptr;
  double *values = nullptr, *variances = nullptr;
  std::uint8_t *at_bound = nullptr, *degenerate = nullptr;
  std::uint8_t* moved = nullptr;      // 1: an evaluator's object that the CPU fitted, or ended
  double* covariance = nullptr;       // [n_free][n_free] each; null: not wanted
  std::vector<std::string> messages;  // [n] empty unless there is more to say than the status
  std::string device_failure;         // of an evaluator, in its own words; empty: none
};

// Called by the thread that called run_batch, a few times a second at most, with the number of
// objects done; false stops. Objects that are not done end as interrupted, with the best point
// so far if they were begun.
using BatchPoll = std::function<bool(std::size_t)>;

// The same outcome for any number of threads. `job` is called by all of them. `sizes`: [n] pixels;
// several threads begin with the largest object, so that none is left alone with it in the end.
// With evaluators, fits go side by side and are evaluated together; threads do the rest.
void run_batch(std::span<const std::int64_t> sizes, int n_threads,
               const std::function<BatchJob(std::size_t)>& job, const LMOptions& options,
               const BatchPoll& poll, BatchOutput& output,
               std::span<Evaluator* const> evaluators = {});

}  // namespace jointlight
