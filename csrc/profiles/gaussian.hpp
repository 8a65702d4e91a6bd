// SPDX-License-Identifier: BSD-3-Clause
// Gaussian: I(R) = exp(-R^2 / 2), R in units of sigma.
#pragma once

#include <cmath>
#include <complex>
#include <limits>

#include "base/macros.hpp"
#include "base/special.hpp"
#include "base/vmath.hpp"

namespace jointlight {
JL_ISA_BEGIN

struct Gaussian {
  static constexpr const char* name = "gaussian";
  static constexpr int n_shape = 0;
  static constexpr const char* scale_name = "sigma";
  static constexpr const char* amplitude_name = "I0";

  struct Constants {};
  struct MeanTable {};

  JL_HD static Constants prepare(const double* /*shape*/) { return {}; }

  // I at R2 = R^2 and dI/dR2
  template <class T>
  JL_HD JL_INLINE static void brightness(const Constants&, T R2, T& value, T& d_r2,
                                         T* /*d_shape*/) {
    value = exp_(T(-0.5) * R2);
    d_r2 = T(-0.5) * value;
  }

  // integral_0^inf r^(s-1) I dr = 2^(s/2 - 1) Gamma(s/2)
  static std::complex<double> log_mellin(const double* /*shape*/, std::complex<double> s) {
    return (0.5 * s - 1.0) * std::log(2.0) + log_gamma(0.5 * s);
  }
  // The integral converges for 0 < Re s < strip.
  static constexpr double mellin_strip(const double* /*shape*/) {
    return std::numeric_limits<double>::infinity();
  }

  // integral_0^R r I dr
  JL_HD static void enclosed(const Constants&, double R2, double& value, double* /*d_shape*/) {
    value = -std::expm1(-0.5 * R2);
  }

  // I is analytic and bounded for complex R of |arg R| below this.
  JL_HD static double sector(const Constants&) { return 0.7853981633974483; }

  JL_HD static void prepare_mean(const Constants&, MeanTable&) {}

  // I and the mean brightness within R, 2 (1 - exp(-R2/2)) / R2, at `count` values of R2
  JL_HD static void mean_brightness(const Constants&, const MeanTable&, int count,
                                    const double* JL_RESTRICT r2, double* JL_RESTRICT value,
                                    double* JL_RESTRICT mean, double* const* /*d_mean*/) {
    for (int i = 0; i < count; ++i) {
      const double z = 0.5 * r2[i], decay = exp_(-z);
      value[i] = decay;
      mean[i] = decay_mean(z, decay);
    }
  }
};

using profile_gaussian = Gaussian;

JL_ISA_END
}  // namespace jointlight
