// SPDX-License-Identifier: BSD-3-Clause
// flags: -O3 -fno-math-errno -fno-trapping-math -fno-signed-zeros -ffinite-math-only
// -ffp-contract=fast exp and log over their whole range against the long double library, under the
// kernels' flags.
#include "base/vmath.hpp"

#include <cmath>
#include <initializer_list>

#include "check.hpp"

using namespace jointlight;

int main() {
  double worst = 0.0;
  for (double x = -707.9; x < 708.9; x += 0.00371) {
    const long double truth = std::exp(static_cast<long double>(x));
    worst = std::fmax(worst, std::fabs(static_cast<double>((exp_(x) - truth) / truth)));
  }
  CHECK_AT_MOST(worst, 1e-15, "relative error of exp (double)");

  worst = 0.0;
  for (double e = -700.0; e < 700.0; e += 0.00413) {
    const double x = std::exp(e);
    const long double truth = std::log(static_cast<long double>(x));
    worst = std::fmax(worst, std::fabs(static_cast<double>((log_(x) - truth) / truth)));
  }
  for (double step = 1e-15; step < 0.5; step *= 1.07) {  // relative accuracy next to 1
    for (const double x : {1.0 + step, 1.0 - step}) {
      const long double truth = std::log(static_cast<long double>(x));
      worst = std::fmax(worst, std::fabs(static_cast<double>((log_(x) - truth) / truth)));
    }
  }
  CHECK_AT_MOST(worst, 1e-15, "relative error of log (double)");

  worst = 0.0;
  for (float x = -86.9F; x < 87.9F; x += 0.00137F) {
    const double truth = std::exp(static_cast<double>(x));
    worst = std::fmax(worst, std::fabs(static_cast<double>(exp_(x)) - truth) / truth);
  }
  CHECK_AT_MOST(worst, 2e-7, "relative error of exp (float)");

  worst = 0.0;
  for (double e = -86.0; e < 87.0; e += 0.00137) {
    const float x = static_cast<float>(std::exp(e));
    const double truth = std::log(static_cast<double>(x));
    if (x != 1.0F) {
      worst = std::fmax(worst, std::fabs((static_cast<double>(log_(x)) - truth) / truth));
    }
  }
  CHECK_AT_MOST(worst, 3e-7, "relative error of log (float)");

  worst = 0.0;
  for (double x = 1e-30; x < 1e30; x *= 1.013) {
    worst = std::fmax(worst, std::fabs(log1p_(x) / std::log1p(x) - 1.0));
  }
  CHECK_AT_MOST(worst, 1e-15, "relative error of log1p");

  worst = 0.0;
  double worst_slope = 0.0;
  for (double w = 1e-9; w < 600.0; w *= 1.013) {
    const double mean = -std::expm1(-w) / w;
    worst = std::fmax(worst, std::fabs(decay_mean(w, exp_(-w)) / mean - 1.0));
    const long double v = w;
    long double slope = (std::exp(-v) + std::expm1(-v) / v) / v;
    if (w < 1.0) {  // its Taylor series
      slope = 0.0L;
      long double term = 1.0L;  // (-w)^(k-1) / (k-1)!
      for (int k = 1; k < 30; ++k) {
        slope -= term / (k + 1);
        term *= -v / k;
      }
    }
    worst_slope = std::fmax(
        worst_slope, static_cast<double>(std::fabs(decay_mean_slope(w, exp_(-w)) / slope - 1.0L)));
  }
  CHECK_AT_MOST(worst, 2e-15, "relative error of decay_mean");
  CHECK_AT_MOST(worst_slope, 1e-14, "relative error of decay_mean_slope");

  CHECK(exp_(0.0) == 1.0);
  CHECK(log_(1.0) == 0.0);
  CHECK(exp_(-709.0) == 0.0 && exp_(-1e300) == 0.0);
  CHECK(exp_(1e300) < 1e308 && exp_(1e300) == exp_(709.0));
  CHECK(exp_(-100.0F) == 0.0F && exp_(1e30F) < 1e38F * 3.0F);
  CHECK(log_(0.0) < -708.0 && log_(0.0) > -709.0);
  CHECK(log_(-1.0) == log_(0.0) && log_(0.0F) < -87.0F);
  return check::result();
}
