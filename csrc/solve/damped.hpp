// SPDX-License-Identifier: BSD-3-Clause
// The damped Gauss-Newton step inside a box.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "solve/linear_solver.hpp"
#include "solve/sparse.hpp"

namespace jointlight {

// The quadratic model at a point and the box around it: views, all [n] but h [nnz].
struct DampedProblem {
  std::span<const double> h;        // J^T W J
  std::span<const double> g;        // J^T W r
  std::span<const double> damping;  // added to the diagonal of h
  std::span<const double> low;      // lower bound - x, <= 0
  std::span<const double> high;     // upper bound - x, >= 0
};

struct DampedStep {
  Factorization status = Factorization::ok;
  std::vector<double> p;   // [n]
  double predicted = 0.0;  // decrease of chi2 in the undamped model: -(2 g.p + p^T H p)
  double slope = 0.0;      // 2 g.p
  int n_factor = 0;        // factorisations spent
};

// Minimises 2 g.p + p^T (H + diag(damping)) p over low <= p <= high by a primal-dual active set:
// coordinates that would leave the box are held on its wall and the others solved again; held ones
// come back when the model's gradient on the wall points inward. A coordinate without influence
// (no diagonal) stays where it is.
//
// Damping is a vector so that connected components of the pattern, whose blocks factorise
// independently, can be given dampings of their own.
class DampedSolver {
 public:
  DampedSolver(const SparsePattern& pattern, int dense_max_size);

  DampedStep step(const DampedProblem& problem);

  LinearSolver::Method method() const { return linear_.method(); }

 private:
  enum class State : std::uint8_t { free, low, high, idle };

  void assemble(const DampedProblem& problem);
  Factorization factor_without_weak(int& n_factor);
  bool update_states(const DampedProblem& problem, const std::vector<double>& p, bool release);

  const SparsePattern& pattern_;
  LinearSolver linear_;
  std::vector<State> state_;    // [n]
  std::vector<double> scale_;   // [n] 1 / sqrt(H_ii + damping_i), 0 where idle
  std::vector<double> matrix_;  // [nnz] scaled system; held coordinates are rows of the identity
  std::vector<double> wall_;    // [n] p of held coordinates, 0 elsewhere
  std::vector<double> work_;    // [n]
};

// Below this a diagonal element of J^T W J carries no information (its inverse would overflow).
inline constexpr double no_influence = 1e-290;

}  // namespace jointlight
