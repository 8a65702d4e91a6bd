// SPDX-License-Identifier: BSD-3-Clause
// Bodies of the real special functions (special.hpp), for host and device.
#pragma once

#include <cmath>

#include "base/macros.hpp"

namespace jointlight {

struct GammaP {
  double p;    // P(a, x) = gamma(a, x) / Gamma(a)
  double q;    // 1 - P, accurate where P is close to 1
  double d_a;  // dP/da
  double d_x;  // dP/dx
};

struct SersicB {
  double b;
  double d_n;  // db/dn
};

JL_ISA_BEGIN
namespace special_math {

// B_2k / (2k (2k - 1)), k = i + 1: Stirling's series for ln Gamma.
inline constexpr int n_stirling = 9;
JL_HD constexpr double stirling(int i) {
  constexpr double terms[n_stirling] = {1.0 / 12.0,    -1.0 / 360.0,       1.0 / 1260.0,
                                        -1.0 / 1680.0, 1.0 / 1188.0,       -691.0 / 360360.0,
                                        1.0 / 156.0,   -3617.0 / 122400.0, 43867.0 / 244188.0};
  return terms[i];
}

// ln Gamma(x), x >= 1/2
JL_HD inline double log_gamma(double x) {
  constexpr double half_log_2pi = 0.91893853320467274178;
  double product = 1.0;
  while (x < 12.0) {
    product *= x;
    x += 1.0;
  }
  const double inverse = 1.0 / x, inverse2 = inverse * inverse;
  double sum = stirling(n_stirling - 1);
  for (int i = n_stirling - 2; i >= 0; --i) sum = sum * inverse2 + stirling(i);
  return (x - 0.5) * std::log(x) - x + half_log_2pi + sum * inverse - std::log(product);
}

JL_HD inline double digamma(double x) {
  double shift = 0.0;
  while (x < 12.0) {
    shift += 1.0 / x;
    x += 1.0;
  }
  const double z = 1.0 / (x * x);
  // B_2k / 2k = (2k - 1) times the terms of Stirling's series
  double sum = 0.0;
  for (int i = n_stirling - 1; i >= 0; --i) sum = sum * z + stirling(i) * (2 * i + 1);
  return std::log(x) - 0.5 / x - sum * z - shift;
}

// A number with its derivative by a.
struct Dual {
  double v, d;
};
JL_HD inline Dual operator+(Dual a, Dual b) { return {a.v + b.v, a.d + b.d}; }
JL_HD inline Dual operator*(Dual a, Dual b) { return {a.v * b.v, a.d * b.v + a.v * b.d}; }
JL_HD inline Dual operator/(Dual a, Dual b) {
  const double v = a.v / b.v;
  return {v, (a.d - v * b.d) / b.v};
}

// Gamma(a, x) x^-a e^x by the continued fraction of Legendre, evaluated forward (modified Lentz).
JL_HD inline Dual upper_fraction(double a, double x) {
  Dual b = {x + 1.0 - a, -1.0};
  Dual c = {1e300, 0.0};  // stands for infinity
  Dual d = Dual{1.0, 0.0} / b;
  Dual h = d;
  for (int i = 1; i < 10000; ++i) {
    const Dual an = {-i * (i - a), static_cast<double>(i)};
    b.v += 2.0;
    d = Dual{1.0, 0.0} / (an * d + b);
    c = b + an / c;
    const Dual step = c * d;
    h = h * step;
    if (std::abs(step.v - 1.0) < 1e-16 && std::abs(step.d) < 1e-16) break;
  }
  return h;
}

JL_HD inline GammaP gamma_p(double a, double x) {
  if (!(x > 0.0)) return {0.0, 1.0, 0.0, a < 1.0 ? 1e300 : (a > 1.0 ? 0.0 : 1.0)};
  const double log_x = std::log(x);
  // x^a e^-x / Gamma(a + 1); tgamma keeps a digit that exp(lgamma) loses
  const double front = a < 150.0 ? std::pow(x, a) * std::exp(-x) / std::tgamma(a + 1.0)
                                 : std::exp(a * log_x - x - log_gamma(a + 1.0));
  GammaP result{};
  result.d_x = front * a / x;
  const double psi = digamma(a + 1.0);
  if (x < a + 10.0) {
    // P = front * sum_k x^k / ((a+1) ... (a+k)), and its derivative term by term
    double term = 1.0, sum = 1.0, harmonic = 0.0, by_a = 0.0;
    for (int k = 1; k < 100000; ++k) {
      term *= x / (a + k);
      harmonic += 1.0 / (a + k);
      sum += term;
      by_a -= term * harmonic;
      if (k > x && term * (1.0 + harmonic) < 1e-17 * sum) break;
    }
    result.p = front * sum;
    result.q = 1.0 - result.p;
    result.d_a = front * ((log_x - psi) * sum + by_a);
  } else {
    const Dual h = upper_fraction(a, x);
    result.q = front * a * h.v;
    result.p = 1.0 - result.q;
    result.d_a = -front * a * ((log_x - psi + 1.0 / a) * h.v + h.d);
  }
  return result;
}

JL_HD inline SersicB sersic_b(double n) {
  const double a = 2.0 * n;
  // Start: the asymptotic median of the gamma distribution, good to a few per cent at n = 0.3.
  double b = a - 1.0 / 3.0 + 8.0 / (405.0 * a);
  if (!(b > 0.05 * a)) b = 0.05 * a;
  for (int i = 0; i < 50; ++i) {
    const GammaP g = gamma_p(a, b);
    // Halley on P - 1/2; P'' / P' = (a - 1) / b - 1
    const double newton = (g.p - 0.5) / g.d_x;
    const double step = newton / (1.0 - 0.5 * newton * ((a - 1.0) / b - 1.0));
    double next = b - step;
    if (!(next > 0.2 * b)) next = 0.2 * b;
    if (!(next < 5.0 * b)) next = 5.0 * b;
    const double moved = std::abs(next - b);
    b = next;
    if (moved < 1e-15 * b) break;
  }
  const GammaP g = gamma_p(a, b);
  return {b, -2.0 * g.d_a / g.d_x};
}

}  // namespace special_math
JL_ISA_END
}  // namespace jointlight
