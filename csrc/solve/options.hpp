// SPDX-License-Identifier: BSD-3-Clause
// Options of the Levenberg-Marquardt fit: each default with its reason.
#pragma once

namespace jointlight {

struct LMOptions {
  // Converged when a full step promises, and the last step delivered, less than this fraction of
  // chi2. For 3e5 pixels at chi2/dof = 1 it is 3e-4 in chi2, a shift of 0.02 sigma, and what is
  // left after that last step is smaller still. A full step is not even tried if the last one did
  // what was predicted and this one promises less than ftol times the chi2 of 1e5 pixels (1e-4,
  // 0.01 sigma): trying it would cost an evaluation to learn nothing.
  double ftol = 1e-9;

  // Converged when the full step is below this fraction of |x|, both in units of the coordinates'
  // (conditional) errors. With a signal-to-noise ratio of 1e4 it is 1e-4 sigma.
  double xtol = 1e-8;

  // Converged when no open coordinate's column of the Jacobian makes an angle with the residuals
  // whose cosine exceeds this: cosine^2 * chi2 is what moving that coordinate alone would gain,
  // 3e-7 for 3e5 pixels.
  double gtol = 1e-6;

  // Trial steps, accepted or not. Usual fits need 5 to 15, thousands of blended sources 100.
  int max_iterations = 400;

  // Wall-clock limit in seconds, looked at before every evaluation; 0 = none.
  double time_limit_s = 0.0;

  // The same for each independent group of sources, counting its share of the time; 0 = none. One
  // that is out of time keeps its best point and leaves the rest to the others.
  double component_time_limit_s = 0.0;

  // First damping, relative to the diagonal of J^T W J.
  double initial_lambda = 1e-3;

  // Below this, damping no longer alters a step that float64 normal equations can resolve.
  double min_lambda = 1e-15;

  // Steps are then 1e-12 of a Cauchy step: if chi2 still does not fall, it will not.
  double max_lambda = 1e12;

  // Relative rounding error of chi2: differences below this fraction of it mean nothing.
  double chi2_noise = 1e-13;

  // An eigenvalue of the unit-diagonal J^T W J below this cannot be told from zero, since float64
  // sums over pixels leave about 1e-13; its direction is reported as degenerate.
  double degenerate_rcond = 1e-11;

  // Compute the covariance at the solution.
  bool covariance = true;

  // Largest number of coordinates for a dense covariance matrix (2000 = 32 MB); above, only the
  // pairs that the pattern holds.
  int covariance_max_size = 2000;

  // Up to this size the dense factorisation wins whatever the pattern.
  int dense_max_size = 200;
};

}  // namespace jointlight
