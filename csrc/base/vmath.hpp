// SPDX-License-Identifier: BSD-3-Clause
// Branch-free exp and log that compilers turn into vector code, and that run on the device as they
// are. Coefficients: tests/reference/make_vmath_coefficients.py. Relative error (measured in
// tests/cpp/test_vmath.cpp) below 1e-15 in double and 2e-7 in float.
//
// Not to be compiled with -ffast-math: reassociation removes the rounding by a large constant.
#pragma once

#include <bit>
#include <cstdint>

#include "base/macros.hpp"

namespace jointlight {
JL_ISA_BEGIN

namespace detail {

JL_HD JL_INLINE std::uint64_t to_bits(double x) {
#if defined(__CUDA_ARCH__)
  return static_cast<std::uint64_t>(__double_as_longlong(x));
#else
  return std::bit_cast<std::uint64_t>(x);
#endif
}
JL_HD JL_INLINE std::uint32_t to_bits(float x) {
#if defined(__CUDA_ARCH__)
  return __float_as_uint(x);
#else
  return std::bit_cast<std::uint32_t>(x);
#endif
}
JL_HD JL_INLINE double from_bits(std::uint64_t b) {
#if defined(__CUDA_ARCH__)
  return __longlong_as_double(static_cast<long long>(b));
#else
  return std::bit_cast<double>(b);
#endif
}
JL_HD JL_INLINE float from_bits(std::uint32_t b) {
#if defined(__CUDA_ARCH__)
  return __uint_as_float(b);
#else
  return std::bit_cast<float>(b);
#endif
}

}  // namespace detail

// exp(x). Above 709 (float: 88) it stays at exp(709); below -708 (float: -87) it is exactly 0, so
// that no denormal is ever made. NaN gives a finite number.
JL_HD JL_INLINE double exp_(double x) {
  constexpr double magic = 6755399441055744.0;  // 1.5 2^52: adding it rounds to an integer
  const double y = x < 709.0 ? (x > -708.0 ? x : -708.0) : 709.0;
  const double shifted = y * 1.44269504088896340736 + magic;
  const double k = shifted - magic;
  double r = y - k * 0x1.62e42feep-1;
  r = r - k * 1.90821492927058781614e-10;
  double p = 2.50000583050178571649e-8;
  p = p * r + 2.7630248003971849862e-7;
  p = p * r + 0.00000275575863824910516509;
  p = p * r + 0.0000248014931000842112759;
  p = p * r + 0.0001984126950657161738;
  p = p * r + 0.00138888889436288036498;
  p = p * r + 0.0083333333334944632079;
  p = p * r + 0.0416666666665301646001;
  p = p * r + 0.166666666666664125249;
  p = p * r + 0.50000000000000106262;
  p = p * (r * r) + r + 1.0;
  // The low bits of `shifted` hold k in two's complement: move them onto the exponent.
  const double e = detail::from_bits(detail::to_bits(p) + (detail::to_bits(shifted) << 52));
  return x > -708.0 ? e : 0.0;
}

JL_HD JL_INLINE float exp_(float x) {
  constexpr float magic = 12582912.0F;  // 1.5 2^23
  const float y = x < 88.0F ? (x > -87.0F ? x : -87.0F) : 88.0F;
  const float shifted = y * 1.44269504F + magic;
  const float k = shifted - magic;
  float r = y - k * 0x1.62e4p-1F;
  r = r - k * 1.42860682031e-6F;
  float p = 0.00138145988918F;
  p = p * r + 0.00836871680656F;
  p = p * r + 0.0416683880325F;
  p = p * r + 0.166665206325F;
  p = p * r + 0.499999934479F;
  p = p * (r * r) + r + 1.0F;
  const float e = detail::from_bits(detail::to_bits(p) + (detail::to_bits(shifted) << 23));
  return x > -87.0F ? e : 0.0F;
}

// ln(x), x > 0. Zero, negative numbers and denormals are taken as the smallest normal number.
JL_HD JL_INLINE double log_(double x) {
  constexpr std::uint64_t one = 0x3ff0000000000000U, root_half = 0x3fe6a09e667f3bcdU;
  constexpr std::uint64_t mantissa = 0x000fffffffffffffU, bits52 = 0x4330000000000000U;
  const double clamped = x > 0x1p-1022 ? x : 0x1p-1022;
  // Biased exponent with the cut at sqrt(1/2), so that m below lies in [sqrt(1/2), sqrt(2)).
  const std::uint64_t u = detail::to_bits(clamped) + (one - root_half);
  const double e = detail::from_bits((u >> 52) | bits52) - (4503599627370496.0 + 1023.0);
  const double m = detail::from_bits((u & mantissa) + root_half);
  const double f = m - 1.0;
  const double s = f / (2.0 + f);  // ln m = 2 atanh s
  const double z = s * s;
  double p = 0.0739873387064758053177;
  p = p * z + 0.0765695376645434384243;
  p = p * z + 0.0909178477893500388434;
  p = p * z + 0.111110992399258136028;
  p = p * z + 0.142857143716100325121;
  p = p * z + 0.199999999997056588195;
  p = p * z + 0.333333333333336742637;
  const double s2 = s + s;
  return e * 0x1.62e42feep-1 + (s2 + (s2 * (z * p) + e * 1.90821492927058781614e-10));
}

JL_HD JL_INLINE float log_(float x) {
  constexpr std::uint32_t one = 0x3f800000U, root_half = 0x3f3504f3U;
  constexpr std::uint32_t mantissa = 0x007fffffU, bits23 = 0x4b000000U;
  const float clamped = x > 0x1p-126F ? x : 0x1p-126F;
  const std::uint32_t u = detail::to_bits(clamped) + (one - root_half);
  const float e = detail::from_bits((u >> 23) | bits23) - (8388608.0F + 127.0F);
  const float m = detail::from_bits((u & mantissa) + root_half);
  const float f = m - 1.0F;
  const float s = f / (2.0F + f);
  const float z = s * s;
  float p = 0.149365240008F;
  p = p * z + 0.19988748349F;
  p = p * z + 0.333333883527F;
  const float s2 = s + s;
  return e * 0x1.62e4p-1F + (s2 + (s2 * (z * p) + e * 1.42860682031e-6F));
}

// ln(1 + x), x >= 0, without the loss of digits at small x.
template <class T>
JL_HD JL_INLINE T log1p_(T x) {
  const T u = T(1) + x;
  return log_(u) + (x - (u - T(1))) / u;
}

// (1 - e^-w) / w, w >= 0, given decay = e^-w: the mean of e^-x over 0 < x < w.
template <class T>
JL_HD JL_INLINE T decay_mean(T w, T decay) {
  constexpr T turn = T(0.5);
  const T s = w < turn ? w : turn;
  const T direct = (T(1) - decay) / (w > turn ? w : turn);
  T series = T(1);
  for (int k = 13; k >= 1; --k) series = T(1) - s * series * T(1.0 / (k + 1));
  return w < turn ? series : direct;
}

// Derivative of decay_mean by w.
template <class T>
JL_HD JL_INLINE T decay_mean_slope(T w, T decay) {
  constexpr T turn = T(0.5);
  const T s = w < turn ? w : turn, v = w > turn ? w : turn;
  const T direct = (decay - (T(1) - decay) / v) / v;
  // -1/2 + w/3 - w^2/8 + ..., term k: (-1)^k k / (k + 1)! w^(k-1)
  T series = T(0);
  T inverse_factorial = T(1.0 / 1307674368000.0);  // 1 / 15!
  for (int k = 14; k >= 1; --k) {
    const T term = static_cast<T>(k) * inverse_factorial;
    series = series * s + (k % 2 == 0 ? term : -term);
    inverse_factorial *= static_cast<T>(k + 1);
  }
  return w < turn ? series : direct;
}

JL_ISA_END
}  // namespace jointlight
