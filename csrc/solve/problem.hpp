// SPDX-License-Identifier: BSD-3-Clause
// What the solver sees of a scene: chi2, its quadratic model, and a box.
#pragma once

#include <exception>
#include <span>
#include <vector>

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

  // After linearize(x, g, h): moves coordinates in which the residuals are linear to where chi2 is
  // least for given others (Golub & Pereyra 1973), without evaluating anything anew unless rounding
  // asks for it, and brings g, h and parts() there. group [n]: coordinates of one group share no
  // part with those of another and do not depend on them; -1 = does not move.
  virtual void refine(std::span<const int> /*group*/, std::span<double> /*x*/,
                      std::span<double> /*g*/, std::span<double> /*h*/) {}

  // Cost of linearize() over that of chi2(). It decides when a trial point is linearised at once:
  // when its chance of acceptance exceeds 1 - 1/ratio. 1 always linearises, infinity never.
  virtual double cost_ratio() const { return 3.0; }

  // chi2 is a sum of parts, for instance one a source. Parts that share no coordinate are fitted
  // apart, in step; in one fit, parts have damping of their own.
  virtual int n_parts() const { return 1; }

  // chi2 by part at the last chi2 or linearize call [n_parts]; empty = one part. A part may be
  // non-finite without spoiling the others.
  virtual std::span<const double> parts() const { return {}; }

  // Every coordinate that a part changes with; not asked where there is only one part.
  virtual std::span<const int> part_coordinates(int /*part*/) const { return {}; }

  // The part whose damping a coordinate takes.
  virtual int home(int /*coordinate*/) const { return 0; }

  // Number of data of a part that count (weight above zero), -1 = unknown. Without any, its
  // coordinates have nothing to fit.
  virtual long n_data(int /*part*/) const { return -1; }

  // Longest sensible change of each coordinate in one step [n] (for instance log 4 for the
  // logarithm of a radius); empty = no limit, entries may be infinite.
  virtual std::span<const double> max_step() const { return {}; }

  // Whether derivatives are rounded to float32. Then the full step goes on promising a gain that is
  // their rounding, in directions that the data hardly determine.
  virtual bool rough_derivatives() const { return false; }

  // Coordinates without any meaning of their own at x, to be held in the covariance.
  virtual std::vector<int> meaningless(std::span<const double> /*x*/) const { return {}; }

  // Asked after every trial and, with `ended`, once nothing is left to try: whether the problem is
  // drawn anew from here on. Then the box and the coordinates of a point may have changed (x, the
  // best one, is in the old coordinates and is replaced by the new), and chi2 a little; pattern and
  // parts have not.
  virtual bool renew(std::span<double> /*x*/, bool /*ended*/) { return false; }

  // Called for the start and after every trial, with the best point so far. May throw Interrupt.
  virtual void progress(const IterationRecord& /*record*/, std::span<const double> /*x*/) {}
};

}  // namespace jointlight
