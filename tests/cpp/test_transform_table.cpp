// SPDX-License-Identifier: BSD-3-Clause
// sources: csrc/scene/transform_table.cpp csrc/base/special.cpp
// Radial transforms: closed forms, direct quadrature of the Hankel integral, derivatives.
#include <cmath>
#include <string>
#include <vector>

#include "check.hpp"
#include "profiles/exponential.hpp"
#include "profiles/gaussian.hpp"
#include "profiles/moffat.hpp"
#include "profiles/sersic.hpp"
#include "scene/transform_table.hpp"

namespace jointlight {

template <class Profile>
ProfileInfo made() {
  ProfileInfo info;
  info.name = Profile::name;
  info.n_shape = Profile::n_shape;
  if constexpr (Profile::n_shape > 0) {
    info.shape_min = {Profile::shape_min[0]};
    info.shape_max = {Profile::shape_max[0]};
  }
  if constexpr (requires { Profile::shape_origin; }) info.shape_origin = Profile::shape_origin;
  info.log_mellin = &Profile::log_mellin;
  return info;
}

const std::vector<ProfileInfo>& profile_registry() {
  static const std::vector<ProfileInfo> registry = {made<Sersic>(), made<Exponential>(),
                                                    made<Gaussian>(), made<Moffat>()};
  return registry;
}

}  // namespace jointlight

using namespace jointlight;

namespace {

// 2 pi int_0^inf r I(r) J0(rho r) dr for a Sersic profile: r = t^n, composite Simpson on a mesh
// fine beside both the profile and the oscillation.
double hankel_sersic(double n, double rho) {
  const double b = sersic_b(n).b, t_max = 1.0 + 42.0 / b;
  const long steps = 400000;
  const double h = t_max / static_cast<double>(steps);
  double sum = 0.0;
  for (long i = 1; i < steps; ++i) {
    const double t = h * static_cast<double>(i), r = std::pow(t, n);
    const double f =
        std::pow(t, 2.0 * n - 1.0) * std::exp(-b * (t - 1.0)) * std::cyl_bessel_j(0.0, rho * r);
    sum += (i % 2 == 1 ? 4.0 : 2.0) * f;
  }
  return 2.0 * M_PI * n * sum * h / 3.0;
}

}  // namespace

int main() {
  const TransformTable& sersic = transform_table(0);
  for (double n : {1.0, 2.3, 4.0}) {
    const double f0 = sersic.flux_factor(&n, nullptr);
    for (double rho : {0.01, 0.3, 1.0, 4.0}) {
      const double truth = hankel_sersic(n, rho);
      CHECK_AT_MOST(std::abs(sersic.value(&n, rho * rho) - truth) / f0, 3e-9,
                    ("hankel n=" + std::to_string(n) + " rho=" + std::to_string(rho)).c_str());
    }
  }

  // Closed forms: exponential 2 pi e^b / b^2 (1 + rho^2/b^2)^(-3/2), Gaussian 2 pi exp(-rho^2/2).
  const double b1 = sersic_b(1.0).b;
  const double one = 1.0;
  for (double rho = 1e-5; rho < 1e3; rho *= 1.37) {
    const double u = 1.0 + rho * rho / (b1 * b1);
    const double exponential = 2.0 * M_PI * std::exp(b1) / (b1 * b1) / (u * std::sqrt(u));
    CHECK_AT_MOST(std::abs(transform_table(1).value(nullptr, rho * rho) / exponential - 1.0), 2e-8,
                  "exponential, relative");
    CHECK_AT_MOST(std::abs(sersic.value(&one, rho * rho) / exponential - 1.0), 2e-8,
                  "Sersic n = 1, relative");
    CHECK_AT_MOST(std::abs(transform_table(2).value(nullptr, rho * rho) / (2.0 * M_PI) -
                           std::exp(-0.5 * rho * rho)),
                  1e-8, "Gaussian");
  }

  // Flux factor against 2 pi n e^b b^(-2n) Gamma(2n), and its derivative against differences.
  for (double n = 0.3; n <= 10.0; n *= 1.07) {
    const double b = sersic_b(n).b;
    const double truth =
        2.0 * M_PI * n * std::exp(b - 2.0 * n * std::log(b) + std::lgamma(2.0 * n));
    double slope[2];
    CHECK_AT_MOST(std::abs(sersic.flux_factor(&n, slope) / truth - 1.0), 1e-9, "flux factor");
    const double step = 1e-5 * n;
    const double up = n + step, down = n - step;
    if (down < 0.3 || up > 10.0) continue;
    const double difference =
        (sersic.flux_factor(&up, nullptr) - sersic.flux_factor(&down, nullptr)) / (2.0 * step);
    CHECK_AT_MOST(std::abs(slope[0] - difference) / truth, 1e-8, "flux factor slope");
  }

  // The tables' own derivatives.
  std::vector<double> memory(TransformTable::capacity());
  for (double n : {0.31, 0.5, 0.8, 1.0, 2.5, 4.0, 7.7, 9.9}) {
    RadialTable table;
    sersic.fill(&n, 1e-6, 1e4, memory.data(), table);
    for (int k = 0; k < table.n_intervals; k += 3) {
      const double* c = table.coefficients + k * 24;
      // f and df/du join across the end of an interval.
      if (k + 1 == table.n_intervals) continue;
      for (int column = 0; column < 3; ++column) {
        double end = 0.0;
        for (int d = 0; d < 6; ++d) end += c[d * 4 + column];
        CHECK_AT_MOST(std::abs(end - c[24 + column]) / (std::abs(c[column]) + 1e-12), 1e-11,
                      "continuity");
      }
      const double u = table.u0 + (k + 0.4) / table.inverse_step, h = 1e-4;
      const double difference =
          (sersic.value(&n, std::exp(u + h)) - sersic.value(&n, std::exp(u - h))) / (2.0 * h);
      double slope = 0.0;
      for (int d = 5; d >= 0; --d) slope = slope * 0.4 + c[d * 4 + 1];
      CHECK_AT_MOST(std::abs(slope - difference) / table.at_zero[0], 2e-8, "df/du");
    }
  }

  // Moffat beta = 2: K_1; near the edge of its range the flux diverges as 1/(beta - 1).
  const double beta = 2.0;
  for (double rho : {0.05, 0.7, 3.0, 12.0}) {
    const double truth = M_PI * rho * std::cyl_bessel_k(1.0, rho);
    CHECK_AT_MOST(std::abs(transform_table(3).value(&beta, rho * rho) - truth), 1e-8, "Moffat");
  }
  for (double edge : {1.06, 1.5, 3.5, 19.0}) {
    CHECK_AT_MOST(
        std::abs(transform_table(3).flux_factor(&edge, nullptr) * (edge - 1.0) / M_PI - 1.0), 1e-9,
        "Moffat flux");
  }
  return check::result();
}
