// SPDX-License-Identifier: BSD-3-Clause
// Moffat (1969): I(R) = (1 + R^2)^-beta, R in units of Rd.
#pragma once

#include <cmath>
#include <complex>

#include "base/macros.hpp"
#include "base/special.hpp"
#include "base/vmath.hpp"

namespace jointlight {
JL_ISA_BEGIN

struct Moffat {
  static constexpr const char* name = "moffat";
  static constexpr int n_shape = 1;
  static constexpr const char* shape_names[] = {"beta"};
  static constexpr double shape_min[] = {1.05}, shape_max[] = {20.0};
  static constexpr double shape_origin = 1.0;  // the flux diverges there
  static constexpr const char* scale_name = "Rd";
  static constexpr const char* amplitude_name = "I0";

  struct Constants {
    double beta;
  };
  struct MeanTable {};

  JL_HD static Constants prepare(const double* shape) { return {shape[0]}; }

  // I at R2 = R^2, dI/dR2, dI/dbeta
  template <class T>
  JL_HD JL_INLINE static void brightness(const Constants& c, T R2, T& value, T& d_r2, T* d_shape) {
    constexpr T huge = sizeof(T) == 8 ? T(1e120) : T(1e30);
    const T r2 = R2 < huge ? R2 : huge;
    const T beta = static_cast<T>(c.beta);
    const T ln_u = log1p_(r2);
    value = exp_(-beta * ln_u);
    d_r2 = -beta * value / (T(1) + r2);
    d_shape[0] = -ln_u * value;
  }

  // integral_0^inf r^(s-1) I dr = Gamma(s/2) Gamma(beta - s/2) / (2 Gamma(beta))
  static std::complex<double> log_mellin(const double* shape, std::complex<double> s) {
    return log_gamma(0.5 * s) + log_gamma(shape[0] - 0.5 * s) - log_gamma(shape[0]) - std::log(2.0);
  }
  // The integral converges for 0 < Re s < strip.
  static constexpr double mellin_strip(const double* shape) { return 2.0 * shape[0]; }

  // integral_0^R r I dr = (1 - (1 + R2)^(1 - beta)) / (2 (beta - 1)), and its derivative by beta
  JL_HD static void enclosed(const Constants& c, double R2, double& value, double* d_shape) {
    const double k = c.beta - 1.0, ln_u = std::log1p(R2 < 1e120 ? R2 : 1e120);
    const double w = k * ln_u, decay = exp_(-w);
    value = 0.5 * ln_u * decay_mean(w, decay);
    d_shape[0] = 0.5 * ln_u * ln_u * decay_mean_slope(w, decay);
  }

  // I is analytic and bounded for complex R of |arg R| below this.
  JL_HD static double sector(const Constants&) { return 1.5707963267948966; }

  JL_HD static void prepare_mean(const Constants&, MeanTable&) {}

  // I, the mean brightness within R, and d(mean)/dbeta at `count` values of R2
  JL_HD static void mean_brightness(const Constants& c, const MeanTable&, int count,
                                    const double* JL_RESTRICT R2, double* JL_RESTRICT value,
                                    double* JL_RESTRICT mean, double* const* d_mean) {
    double* JL_RESTRICT by_beta = d_mean[0];
    for (int i = 0; i < count; ++i) {
      const double r2 = R2[i] > 1e-120 ? (R2[i] < 1e120 ? R2[i] : 1e120) : 1e-120;
      const double ln_u = log1p_(r2), w = (c.beta - 1.0) * ln_u, decay = exp_(-w);
      const double scale = ln_u / r2;
      value[i] = decay / (1.0 + r2);
      mean[i] = scale * decay_mean(w, decay);
      by_beta[i] = scale * ln_u * decay_mean_slope(w, decay);
    }
  }
};

using profile_moffat = Moffat;

JL_ISA_END
}  // namespace jointlight
