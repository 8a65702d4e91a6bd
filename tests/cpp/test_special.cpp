// SPDX-License-Identifier: BSD-3-Clause
// sources: csrc/base/special.cpp
// Special functions against mpmath.
#include "base/special.hpp"

#include <cmath>
#include <complex>

#include "check.hpp"
#include "special_values.hpp"

using namespace jointlight;

int main() {
  double worst_b = 0.0, worst_slope = 0.0;
  for (const auto& v : sersic_b_values) {
    const SersicB b = sersic_b(v[0]);
    worst_b = std::fmax(worst_b, std::fabs(b.b / v[1] - 1.0));
    worst_slope = std::fmax(worst_slope, std::fabs(b.d_n / v[2] - 1.0));
  }
  CHECK_AT_MOST(worst_b, 3e-15, "relative error of b_n");
  CHECK_AT_MOST(worst_slope, 3e-15, "relative error of db/dn");
  for (double n = 0.3; n < 10.0; n += 0.0137) {
    CHECK_AT_MOST(std::fabs(gamma_p(2.0 * n, sersic_b(n).b).p - 0.5), 2e-15, "P(2n, b_n) - 1/2");
  }

  double worst_p = 0.0, worst_q = 0.0, worst_a = 0.0;
  for (const auto& v : gamma_p_values) {
    const GammaP g = gamma_p(v[0], v[1]);
    worst_p = std::fmax(worst_p, std::fabs(g.p / v[2] - 1.0));
    worst_q = std::fmax(worst_q, std::fabs(g.q - v[3]));
    worst_a = std::fmax(worst_a, std::fabs(g.d_a - v[4]));
    const double density = std::exp((v[0] - 1.0) * std::log(v[1]) - v[1] - std::lgamma(v[0]));
    CHECK_AT_MOST(std::fabs(g.d_x - density), 1e-13 * density, "dP/dx");
  }
  CHECK_AT_MOST(worst_p, 1e-13, "relative error of P(a, x)");
  CHECK_AT_MOST(worst_q, 1e-14, "error of Q(a, x)");
  CHECK_AT_MOST(worst_a, 1e-13, "error of dP/da");
  CHECK(gamma_p(3.0, 0.0).p == 0.0);
  CHECK(gamma_p(3.0, 1e6).p == 1.0);

  double worst_gamma = 0.0;
  for (const auto& v : log_gamma_values) {
    const std::complex<double> truth(v[2], v[3]);
    const auto value = log_gamma(std::complex<double>(v[0], v[1]));
    // As it is used, exponentiated; what rounding of the logarithm itself allows.
    const double error = std::abs(std::exp(value - truth) - 1.0);
    worst_gamma = std::fmax(worst_gamma, error / std::fmax(1.0, std::abs(truth)));
  }
  CHECK_AT_MOST(worst_gamma, 1e-14, "relative error of Gamma(s) per unit of |ln Gamma|");

  for (double x = 0.5; x < 400.0; x *= 1.017) {
    const double of_complex = log_gamma(std::complex<double>(x, 0.0)).real();
    CHECK_AT_MOST(std::fabs(log_gamma(x) - of_complex), 1e-15 * (1.0 + std::fabs(of_complex)),
                  "ln Gamma of a real number");
  }

  for (double x = 0.05; x < 40.0; x *= 1.3) {
    CHECK_AT_MOST(std::fabs(digamma(x + 1.0) - digamma(x) - 1.0 / x), 2e-14 / x, "digamma");
  }
  CHECK_AT_MOST(std::fabs(digamma(1.0) + 0.57721566490153286061), 1e-15, "digamma(1)");
  return check::result();
}
