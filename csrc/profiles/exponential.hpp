// SPDX-License-Identifier: BSD-3-Clause
// Exponential disc: a Sersic profile of n = 1, R in units of its half-light radius.
#pragma once

#include <complex>

#include "base/macros.hpp"
#include "profiles/sersic.hpp"

namespace jointlight {
JL_ISA_BEGIN

struct Exponential {
  static constexpr const char* name = "exponential";
  static constexpr int n_shape = 0;
  static constexpr const char* scale_name = "Re";
  static constexpr const char* amplitude_name = "Ie";
  static constexpr double index = 1.0;

  using Constants = Sersic::Constants;
  using MeanTable = Sersic::MeanTable;

  static Constants prepare(const double* /*shape*/) { return Sersic::prepare_index(index); }

  template <class T>
  JL_HD JL_INLINE static void brightness(const Constants& c, T R2, T& value, T& d_r2,
                                         T* /*d_shape*/) {
    T unused;
    Sersic::brightness_index(c, R2, value, d_r2, unused);
  }

  static std::complex<double> log_mellin(const double* /*shape*/, std::complex<double> s) {
    return Sersic::log_mellin_index(index, s);
  }
  // The integral converges for 0 < Re s < strip.
  static constexpr double mellin_strip(const double* shape) { return Sersic::mellin_strip(shape); }

  static void enclosed(const Constants& c, double R2, double& value, double* /*d_shape*/) {
    double unused;
    Sersic::enclosed(c, R2, value, &unused);
  }

  static double sector(const Constants& c) { return Sersic::sector(c); }

  static void prepare_mean(const Constants& c, MeanTable& table) { Sersic::prepare_mean(c, table); }
  static void mean_brightness(const Constants& c, const MeanTable& table, int count,
                              const double* r2, double* value, double* mean,
                              double* const* /*d_mean*/) {
    Sersic::mean_brightness_index<false>(c, table, count, r2, value, mean, nullptr);
  }
};

using profile_exponential = Exponential;

JL_ISA_END
}  // namespace jointlight
