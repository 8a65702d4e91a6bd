// SPDX-License-Identifier: BSD-3-Clause
// What the solver sees of a scene: chi2, its quadratic model, and a box.
#pragma once

#include <exception>
#include <span>

#include "solve/result.hpp"
#include "solve/sparse.hpp"

namespace jointlight {

// Thrown from any Problem method to stop the fit: the best point so far is returned with
// Status::interrupted. Every other exception passes through the solver.
struct Interrupt : std::exception {
  const char* what() const noexcept override { return "interrupted"; }
};

// chi2(x) = r^T W r. Near x, chi2(x + p) is modelled by chi2 + 2 g.p + p^T H p with g = J^T W r
// (half the gradient) and H = J^T W J.
class Problem {
 public:
  virtual ~Problem() = default;

  virtual int size() const = 0;  // number of coordinates n

  virtual std::span<const double> lower() const = 0;  // [n], -inf allowed
  virtual std::span<const double> upper() const = 0;  // [n], +inf allowed

  // A non-finite value rejects the point.
  virtual double chi2(std::span<const double> x) = 0;

  // Fixed during a fit.
  virtual const SparsePattern& pattern() const = 0;

  // Returns chi2(x); fills g [n] and h, the values of H in the pattern's order. Both arrive
  // uninitialised. The solver calls it for a trial point without asking for chi2 first when the
  // point is likely to be accepted, and right after chi2(x) at the same x otherwise, so an
  // implementation may keep what it rendered there.
  virtual double linearize(std::span<const double> x, std::span<double> g, std::span<double> h) = 0;

  // Cost of linearize() over that of chi2(). It decides when a trial point is linearised at once:
  // when its chance of acceptance exceeds 1 - 1/ratio. 1 always linearises, infinity never.
  virtual double cost_ratio() const { return 3.0; }

  // Number of data that count (weight above zero): 0 ends the fit as all_masked, -1 = unknown.
  virtual long n_data() const { return -1; }

  // Longest sensible change of each coordinate in one step [n] (for instance log 4 for the
  // logarithm of a radius); empty = no limit, entries may be infinite.
  virtual std::span<const double> max_step() const { return {}; }

  // Called for the start and after every trial, with the best point so far. May throw Interrupt.
  virtual void progress(const IterationRecord& /*record*/, std::span<const double> /*x*/) {}

  // Rewrite x in a canonical form with the same chi2, inside the bounds. Returns non-zero if x was
  // changed; the solver then linearises again, so do it only where a chart nears its edge.
  virtual int retract(std::span<double> /*x*/) { return 0; }
};

}  // namespace jointlight
