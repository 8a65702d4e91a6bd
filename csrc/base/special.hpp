// SPDX-License-Identifier: BSD-3-Clause
// Special functions for set-up code (double): not for use per pixel. What host and device code
// share is compiled once for the host, whatever the kernels' instruction set; nvcc needs bodies.
#pragma once

#include <complex>

#include "base/special_math.hpp"

namespace jointlight {

// ln Gamma(s) for complex s off the poles 0, -1, -2, ... The imaginary part is right up to a
// multiple of 2 pi (meant to be exponentiated).
std::complex<double> log_gamma(std::complex<double> s);

#if defined(__CUDACC__)
using special_math::digamma;
using special_math::gamma_p;
using special_math::log_gamma;
using special_math::sersic_b;
#else
// ln Gamma(x), x >= 1/2
double log_gamma(double x);

// psi(x) = d ln Gamma / dx, x > 0.
double digamma(double x);

// Regularised lower incomplete gamma function, a > 0, x >= 0.
GammaP gamma_p(double a, double x);

// The b_n for which half of a Sersic profile's light lies within its scale radius:
// P(2n, b) = 1/2 (Ciotti & Bertin 1999, here solved exactly).
SersicB sersic_b(double n);
#endif

}  // namespace jointlight
