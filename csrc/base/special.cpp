// SPDX-License-Identifier: BSD-3-Clause
#include "base/special.hpp"

#include <cmath>

namespace jointlight {
namespace {

using complex = std::complex<double>;

constexpr double pi = 3.14159265358979323846;
constexpr double half_log_2pi = 0.91893853320467274178;
using special_math::n_stirling, special_math::stirling;

// Re s >= 1/2
complex log_gamma_right(complex s) {
  complex product = 1.0;
  while (s.real() < 12.0 && std::abs(s) < 14.0) {
    product *= s;
    s += 1.0;
  }
  const complex inverse = 1.0 / s, inverse2 = inverse * inverse;
  complex sum = stirling(n_stirling - 1);
  for (int i = n_stirling - 2; i >= 0; --i) sum = sum * inverse2 + stirling(i);
  return (s - 0.5) * std::log(s) - s + half_log_2pi + sum * inverse - std::log(product);
}

}  // namespace

complex log_gamma(complex s) {
  if (s.real() >= 0.5) return log_gamma_right(s);
  // Reflection: Gamma(s) Gamma(1 - s) = pi / sin(pi s). With s = k + t, |Re t| <= 1/2, and Im t of
  // the sign that keeps exp(2 pi i t) bounded: sin(pi t) = exp(-i pi t) (1 - exp(2 pi i t)) i / 2.
  const bool below = s.imag() < 0.0;
  const complex up = below ? std::conj(s) : s;
  const double k = std::nearbyint(up.real());
  const double x = up.real() - k, y = up.imag();
  const double sin_x = std::sin(pi * x), sin_2x = std::sin(2.0 * pi * x);
  const double decay = std::exp(-2.0 * pi * y);
  const complex one_minus(-std::expm1(-2.0 * pi * y) + 2.0 * decay * sin_x * sin_x,
                          -decay * sin_2x);
  const complex i_unit(0.0, 1.0);
  const complex log_sin = -i_unit * pi * complex(x, y) + std::log(one_minus * complex(0.0, 0.5)) +
                          i_unit * pi * std::fmod(k, 2.0);
  const complex result = std::log(pi) - log_sin - log_gamma_right(1.0 - up);
  return below ? std::conj(result) : result;
}

double log_gamma(double x) { return special_math::log_gamma(x); }
double digamma(double x) { return special_math::digamma(x); }
GammaP gamma_p(double a, double x) { return special_math::gamma_p(a, x); }
SersicB sersic_b(double n) { return special_math::sersic_b(n); }

}  // namespace jointlight
