// SPDX-License-Identifier: BSD-3-Clause
// What a fit hands back: status, history, solution, covariance.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace jointlight {

enum class Status : std::uint8_t {
  converged_ftol,      // chi2 no longer falls by a meaningful amount
  converged_xtol,      // the step no longer moves any coordinate
  converged_gtol,      // no open direction leads downhill
  max_iterations,      // still falling when the iterations ran out
  no_decrease,         // no step, however short, lowered chi2
  all_masked,          // no usable data
  degenerate,          // no coordinate has any influence on the data
  non_finite,          // chi2 or its derivatives are not finite at the start or all around it
  timed_out,           // time limit
  interrupted,         // stopped from outside
  no_free_parameters,  // nothing to fit; chi2 is evaluated once
};
inline constexpr int n_statuses = 11;

// The enumerator's name, e.g. "converged_ftol".
std::string_view to_string(Status status);

// One sentence for people.
std::string_view describe(Status status);

// True for the three converged statuses and for no_free_parameters.
bool is_success(Status status);

// One trial step; record 0 is the start itself (accepted, zero step).
struct IterationRecord {
  int iteration = 0;
  bool accepted = false;
  double chi2 = 0.0;             // at the best point known after this trial
  double trial_chi2 = 0.0;       // at the trial point; NaN where it could not be evaluated
  double predicted = 0.0;        // decrease promised by the quadratic model
  double gain_ratio = 0.0;       // actual over predicted decrease; NaN if not known
  double lambda = 0.0;           // damping of this trial
  double step_norm = 0.0;        // |D p|, D = square root of the scaling diagonal
  double gradient_cosine = 0.0;  // at the best point, over open coordinates
  int n_bound = 0;               // coordinates on a bound at the best point
  int n_linearize = 0;           // evaluations so far
  int n_chi2 = 0;
  double time_s = 0.0;
};

struct FitOutcome {
  Status status = Status::no_free_parameters;
  std::string message;
  std::vector<double> x;  // [n] best point, within bounds
  double chi2 = 0.0;
  std::vector<IterationRecord> history;
  std::vector<std::uint8_t> at_bound;  // [n] 1 where x sits on a bound

  // [n * n] row-major inverse of J^T W J over coordinates neither on a bound nor degenerate; rows
  // and columns of the others are NaN. Empty if not asked for, not to be had, or n too large.
  std::vector<double> covariance;

  // Above LMOptions::covariance_max_size: the same in the pattern's order [nnz], else empty.
  std::vector<double> sparse_covariance;

  std::vector<int> component;            // [n] independent region, -1 where held
  std::vector<Status> component_status;  // [regions]
  std::vector<Status> part_status;       // [parts] no_free_parameters where nothing of it moves

  // Groups of coordinates that the data tie only in some combination; a group of one has no
  // influence at all.
  std::vector<std::vector<int>> degenerate;

  // [n] and [nnz of the pattern] at x: half the gradient of chi2, and J^T W J.
  std::vector<double> gradient, hessian;

  int n_linearize = 0;
  int n_chi2 = 0;
  double time_s = 0.0;
};

}  // namespace jointlight
