// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

namespace jointlight {

// Factor by which the damping is raised until a step is short enough.
inline constexpr double damping_growth = 8.0;

// Search for the least damping from `lambda` upwards with a step no longer than max_norm.
struct Bracket {
  // How often it interpolates: factorisations are cheap beside an evaluation of the scene.
  static constexpr int max_refinements = 3;

  double lambda = 0.0;
  double long_lambda = std::numeric_limits<double>::quiet_NaN(),
         long_norm = std::numeric_limits<double>::quiet_NaN();  // logarithms, of the last step that
                                                                // was too long
  double fit_lambda = 0.0, fit_norm = -1.0;                     // last one that was not
  int refinements = 0;
  bool done = false;

  void update(bool solved, double norm, double max_norm) {
    if (solved && norm <= max_norm) {
      fit_lambda = lambda;
      fit_norm = norm;
      done = std::isnan(long_norm) || norm > 0.7 * max_norm || norm == 0.0 ||
             refinements == max_refinements;
      if (done) return;
    } else if (solved) {
      long_lambda = std::log(lambda);
      long_norm = std::log(norm);
    }
    if (fit_norm <= 0.0) {
      lambda *= damping_growth;
      return;
    }
    // Between one too long and one needlessly short.
    ++refinements;
    const double slope = (std::log(fit_norm) - long_norm) / (std::log(fit_lambda) - long_lambda);
    const double aim = long_lambda + (std::log(0.85 * max_norm) - long_norm) / slope;
    if (!std::isfinite(aim) || refinements > max_refinements) {
      lambda = fit_lambda;
      done = true;
      return;
    }
    lambda = std::exp(std::clamp(aim, long_lambda, std::log(fit_lambda)));
  }
};

}  // namespace jointlight
