// SPDX-License-Identifier: BSD-3-Clause
#include "solve/damped.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace jointlight {
namespace {

// Rounding of a factorisation with unit diagonal; smaller pivots are noise.
constexpr double min_pivot = 1e-14;

// Passes that may release held coordinates. The exchange nearly always settles in two to four; if
// it cycles, later passes only hold, which ends after at most n.
constexpr int release_passes = 12;
constexpr int max_passes = 40;

constexpr int max_exclusions = 5;

}  // namespace

DampedSolver::DampedSolver(const SparsePattern& pattern, int dense_max_size)
    : pattern_(pattern),
      linear_(pattern, dense_max_size),
      state_(static_cast<std::size_t>(pattern.n)),
      scale_(static_cast<std::size_t>(pattern.n)),
      matrix_(pattern.row.size()),
      wall_(static_cast<std::size_t>(pattern.n)),
      work_(static_cast<std::size_t>(pattern.n)) {}

void DampedSolver::assemble(const DampedProblem& problem) {
  for (int j = 0; j < pattern_.n; ++j) {
    const auto column = static_cast<std::size_t>(j);
    const auto first = static_cast<std::size_t>(pattern_.diagonal(j));
    const auto last = static_cast<std::size_t>(pattern_.diagonal(j + 1));
    matrix_[first] = 1.0;
    for (std::size_t k = first + 1; k < last; ++k) {
      const auto i = static_cast<std::size_t>(pattern_.row[k]);
      const bool both_free = state_[i] == State::free && state_[column] == State::free;
      matrix_[k] = both_free ? problem.h[k] * scale_[i] * scale_[column] : 0.0;
    }
  }
}

// A row of H that is rounding error makes the whole system indefinite: such coordinates stay where
// they are, rather than the damping of all others rising until it drowns them.
Factorization DampedSolver::factor_without_weak(int& n_factor) {
  Factorization status = linear_.factor(matrix_, min_pivot);
  for (int k = 0; k < max_exclusions && status == Factorization::indefinite; ++k) {
    for (const int i : linear_.weak(matrix_, min_pivot)) {
      state_[static_cast<std::size_t>(i)] = State::idle;
    }
    for (int j = 0; j < pattern_.n; ++j) {
      for (int e = pattern_.diagonal(j) + 1; e < pattern_.diagonal(j + 1); ++e) {
        const int i = pattern_.row[static_cast<std::size_t>(e)];
        const bool idle = state_[static_cast<std::size_t>(i)] == State::idle ||
                          state_[static_cast<std::size_t>(j)] == State::idle;
        if (idle) matrix_[static_cast<std::size_t>(e)] = 0.0;
      }
    }
    ++n_factor;
    status = linear_.factor(matrix_, min_pivot);
  }
  return status;
}

// Returns true if any coordinate changed sides. p: the last solution, walls included.
bool DampedSolver::update_states(const DampedProblem& problem, const std::vector<double>& p,
                                 bool release) {
  bool any_held = false;
  for (const State s : state_) any_held = any_held || s == State::low || s == State::high;
  if (any_held && release) symmetric_multiply(pattern_, problem.h, p, work_);
  bool changed = false;
  for (std::size_t i = 0; i < p.size(); ++i) {
    State next = state_[i];
    if (next == State::free) {
      if (p[i] < problem.low[i]) next = State::low;
      if (p[i] > problem.high[i]) next = State::high;
    } else if (next != State::idle && release && problem.low[i] < problem.high[i]) {
      const double slope = problem.g[i] + work_[i] + problem.damping[i] * p[i];
      if (next == State::low ? slope < 0.0 : slope > 0.0) next = State::free;
    }
    changed = changed || next != state_[i];
    state_[i] = next;
  }
  return changed;
}

DampedStep DampedSolver::step(const DampedProblem& problem) {
  const auto n = static_cast<std::size_t>(pattern_.n);
  DampedStep result;
  result.p.assign(n, 0.0);
  for (std::size_t i = 0; i < n; ++i) {
    const double d = problem.h[static_cast<std::size_t>(pattern_.column_start[i])];
    scale_[i] = d > no_influence ? 1.0 / std::sqrt(d + problem.damping[i]) : 0.0;
    const bool idle = scale_[i] == 0.0;
    state_[i] = idle ? State::idle : State::free;
    if (idle) continue;
    if (problem.low[i] == 0.0 && (problem.g[i] > 0.0 || problem.high[i] == 0.0)) {
      state_[i] = State::low;
    } else if (problem.high[i] == 0.0 && problem.g[i] < 0.0) {
      state_[i] = State::high;
    }
  }
  for (int pass = 0; pass < max_passes; ++pass) {
    bool moved_wall = false;
    for (std::size_t i = 0; i < n; ++i) {
      wall_[i] = state_[i] == State::low    ? problem.low[i]
                 : state_[i] == State::high ? problem.high[i]
                                            : 0.0;
      moved_wall = moved_wall || wall_[i] != 0.0;
    }
    assemble(problem);
    ++result.n_factor;
    result.status = factor_without_weak(result.n_factor);
    if (result.status != Factorization::ok) return result;
    if (moved_wall) {
      symmetric_multiply(pattern_, problem.h, wall_, work_);
    } else {
      std::fill(work_.begin(), work_.end(), 0.0);
    }
    for (std::size_t i = 0; i < n; ++i) {
      result.p[i] = state_[i] == State::free ? -(problem.g[i] + work_[i]) * scale_[i] : 0.0;
    }
    linear_.solve(result.p);
    for (std::size_t i = 0; i < n; ++i) {
      result.p[i] = state_[i] == State::free ? result.p[i] * scale_[i] : wall_[i];
    }
    if (!update_states(problem, result.p, pass < release_passes)) break;
  }
  double slope = 0.0, curvature = 0.0;
  for (std::size_t i = 0; i < n; ++i) {
    result.p[i] = std::clamp(result.p[i], problem.low[i], problem.high[i]);
    slope += 2.0 * problem.g[i] * result.p[i];
  }
  symmetric_multiply(pattern_, problem.h, result.p, work_);
  for (std::size_t i = 0; i < n; ++i) curvature += result.p[i] * work_[i];
  result.slope = slope;
  result.predicted = -(slope + curvature);
  if (!std::isfinite(result.predicted)) result.status = Factorization::non_finite;
  return result;
}

}  // namespace jointlight
