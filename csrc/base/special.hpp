// SPDX-License-Identifier: BSD-3-Clause
// Special functions for set-up code (host, double): not for use per pixel.
#pragma once

#include <complex>

namespace jointlight {

// ln Gamma(s) for complex s off the poles 0, -1, -2, ... The imaginary part is right up to a
// multiple of 2 pi (meant to be exponentiated).
std::complex<double> log_gamma(std::complex<double> s);

// psi(x) = d ln Gamma / dx, x > 0.
double digamma(double x);

struct GammaP {
  double p;    // P(a, x) = gamma(a, x) / Gamma(a)
  double q;    // 1 - P, accurate where P is close to 1
  double d_a;  // dP/da
  double d_x;  // dP/dx
};

// Regularised lower incomplete gamma function, a > 0, x >= 0.
GammaP gamma_p(double a, double x);

struct SersicB {
  double b;
  double d_n;  // db/dn
};

// The b_n for which half of a Sersic profile's light lies within its scale radius:
// P(2n, b) = 1/2 (Ciotti & Bertin 1999, here solved exactly).
SersicB sersic_b(double n);

}  // namespace jointlight
