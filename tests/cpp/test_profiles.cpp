// SPDX-License-Identifier: BSD-3-Clause
// sources: csrc/base/special.cpp
// Every profile: derivatives by differences, enclosed light and Mellin transform by quadrature.
#include <cmath>
#include <complex>
#include <limits>
#include <string>

#include "check.hpp"
#include "profiles/devaucouleurs.hpp"
#include "profiles/exponential.hpp"
#include "profiles/gaussian.hpp"
#include "profiles/moffat.hpp"
#include "profiles/sersic.hpp"

using namespace jointlight;
using complex = std::complex<double>;

namespace {

template <class Profile>
double brightness_at(const double* shape, double r2) {
  double value, slope, by_shape[2];
  Profile::template brightness<double>(Profile::prepare(shape), r2, value, slope, by_shape);
  return value;
}

// integral_0^inf r^(s-1) I dr in ln r, where the integrand fades on both sides, so that the
// trapezoidal rule converges exponentially.
template <class Profile>
complex mellin_by_quadrature(const double* shape, complex s) {
  const auto constants = Profile::prepare(shape);
  complex sum = 0.0;
  const double step = 1.0 / 128.0;
  for (double v = -60.0; v < 130.0; v += step) {
    double value, slope, by_shape[2];
    Profile::template brightness<double>(constants, std::exp(2.0 * v), value, slope, by_shape);
    if (value > 0.0) sum += std::exp(s * v) * (value * step);
  }
  return sum;
}

template <class Profile>
double enclosed_by_quadrature(const double* shape, double r) {
  // Simpson's rule in u, r' = r u^8: the power removes the cusp.
  const auto constants = Profile::prepare(shape);
  const int n = 4000;
  double sum = 0.0;
  for (int i = 0; i <= n; ++i) {
    const double u = static_cast<double>(i) / n, x = r * std::pow(u, 8.0);
    double value, slope, by_shape[2];
    Profile::template brightness<double>(constants, x * x, value, slope, by_shape);
    const double weight = (i == 0 || i == n) ? 1.0 : (i % 2 == 1 ? 4.0 : 2.0);
    sum += weight * x * value * 8.0 * r * std::pow(u, 7.0);
  }
  return sum / (3.0 * n);
}

template <class Profile>
void test_profile(double shape_value) {
  const double shape[1] = {shape_value};
  const std::string label = std::string(Profile::name) + " " + std::to_string(shape_value);
  const auto say = [&label](const char* what) { return label + ": " + what; };
  const auto constants = Profile::prepare(shape);
  static typename Profile::MeanTable table;
  Profile::prepare_mean(constants, table);

  double worst_slope = 0.0, worst_shape = 0.0, worst_float = 0.0, worst_mean = 0.0;
  double worst_mean_shape = 0.0, worst_value = 0.0;
  double worst_enclosed = 0.0, worst_enclosed_shape = 0.0;
  for (double r = 1e-6; r < 30.0; r *= 1.31) {
    const double r2 = r * r;
    double value, slope, by_shape[2] = {};
    Profile::template brightness<double>(constants, r2, value, slope, by_shape);
    const double h = 1e-4;  // fourth-order differences in ln R2
    const auto at = [&](double k) { return brightness_at<Profile>(shape, r2 * std::exp(k * h)); };
    const double by_ln = (8.0 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12.0 * h);
    if (value > 1e-6) {
      worst_slope = std::fmax(worst_slope, std::fabs(by_ln - slope * r2) / value);
    }
    float value_f, slope_f, by_shape_f[2];
    Profile::template brightness<float>(constants, static_cast<float>(r2), value_f, slope_f,
                                        by_shape_f);
    const double peak = std::fmax(brightness_at<Profile>(shape, 0.0), 1.0);
    worst_float = std::fmax(worst_float, std::fabs(static_cast<double>(value_f) - value) / peak);

    double enclosed, enclosed_shape[2] = {};
    Profile::enclosed(constants, r2, enclosed, enclosed_shape);
    const double truth = enclosed_by_quadrature<Profile>(shape, r);
    worst_enclosed = std::fmax(worst_enclosed, std::fabs(enclosed / truth - 1.0));

    double v, mean, mean_shape;
    double* d_mean[2] = {&mean_shape, nullptr};
    Profile::mean_brightness(constants, table, 1, &r2, &v, &mean, d_mean);
    worst_mean = std::fmax(worst_mean, std::fabs(0.5 * mean * r2 / enclosed - 1.0));
    worst_value = std::fmax(worst_value, std::fabs(v - value));

    if constexpr (Profile::n_shape > 0) {
      const double d = 1e-4 * (shape_value - 0.9 * Profile::shape_min[0]);
      double by_difference = 0.0, enclosed_difference = 0.0;
      for (const int k : {-2, -1, 1, 2}) {
        const double moved[1] = {shape_value + k * d};
        const double factor = (k < 0 ? -1.0 : 1.0) * (k * k == 1 ? 8.0 : -1.0) / (12.0 * d);
        by_difference += factor * brightness_at<Profile>(moved, r2);
        double g, unused[2];
        Profile::enclosed(Profile::prepare(moved), r2, g, unused);
        enclosed_difference += factor * g;
      }
      worst_shape = std::fmax(worst_shape, std::fabs(by_difference - by_shape[0]) / peak);
      worst_enclosed_shape = std::fmax(
          worst_enclosed_shape, std::fabs(enclosed_difference - enclosed_shape[0]) / enclosed);
      worst_mean_shape = std::fmax(worst_mean_shape,
                                   std::fabs(0.5 * mean_shape * r2 - enclosed_shape[0]) / enclosed);
    }
  }
  CHECK_AT_MOST(worst_slope, 1e-9, say("dI/dR2 against differences").c_str());
  CHECK_AT_MOST(worst_float, 1e-4, say("float brightness").c_str());
  CHECK_AT_MOST(worst_shape, 1e-9, say("dI/dshape against differences").c_str());
  CHECK_AT_MOST(worst_enclosed, 2e-9, say("enclosed light against quadrature").c_str());
  CHECK_AT_MOST(worst_enclosed_shape, 1e-8, say("enclosed light by shape, differences").c_str());
  CHECK_AT_MOST(worst_mean, 1e-13, say("mean brightness against enclosed light").c_str());
  CHECK_AT_MOST(worst_mean_shape, 1e-12, say("mean brightness by shape").c_str());
  CHECK_AT_MOST(worst_value, 1e-15, say("brightness beside the mean").c_str());

  const complex points[] = {{2.0, 0.0}, {1.2, 0.0}, {1.5, 3.0}, {2.0, -9.0}};
  for (const complex s : points) {
    if (s.real() + 0.3 >= Profile::mellin_strip(shape)) continue;
    const complex truth = mellin_by_quadrature<Profile>(shape, s);
    const complex value = std::exp(Profile::log_mellin(shape, s));
    const double scale = std::abs(std::exp(Profile::log_mellin(shape, s.real())));
    CHECK_AT_MOST(std::abs(value - truth) / scale, 1e-11, say("Mellin transform").c_str());
  }
  double total, unused[2];
  Profile::enclosed(constants, 1e300, total, unused);
  const double flux = std::exp(Profile::log_mellin(shape, 2.0)).real();
  if (Profile::mellin_strip(shape) > 2.3) {
    CHECK_AT_MOST(std::fabs(total / flux - 1.0), 1e-13, say("total light").c_str());
  }

  // Where nothing is finite by nature, numbers must still come out.
  const double inf = std::numeric_limits<double>::infinity();
  for (const double r2 : {0.0, 1e-320, 1e-200, 1e200, inf}) {
    double value, slope, by_shape[2] = {}, mean, mean_shape = 0.0;
    Profile::template brightness<double>(constants, r2, value, slope, by_shape);
    CHECK(std::isfinite(value) && std::isfinite(slope) && std::isfinite(by_shape[0]));
    double* d_mean[2] = {&mean_shape, nullptr};
    Profile::mean_brightness(constants, table, 1, &r2, &value, &mean, d_mean);
    CHECK(std::isfinite(value) && std::isfinite(mean) && std::isfinite(mean_shape));
    float value_f, slope_f, by_shape_f[2] = {};
    Profile::template brightness<float>(constants, static_cast<float>(r2), value_f, slope_f,
                                        by_shape_f);
    CHECK(std::isfinite(value_f) && std::isfinite(slope_f) && std::isfinite(by_shape_f[0]));
  }
}

}  // namespace

int main() {
  for (const double n : {0.3, 0.5, 1.0, 2.5, 4.0, 6.0, 8.0, 10.0}) test_profile<Sersic>(n);
  test_profile<Exponential>(0.0);
  test_profile<DeVaucouleurs>(0.0);
  test_profile<Gaussian>(0.0);
  for (const double beta : {1.05, 1.5, 2.5, 4.765, 20.0}) test_profile<Moffat>(beta);

  // Half of the light within Re, by definition of b_n; the wrappers are Sersic profiles.
  for (const double n : {0.3, 1.0, 4.0, 10.0}) {
    double half, total, unused[2];
    Sersic::enclosed(Sersic::prepare(&n), 1.0, half, unused);
    Sersic::enclosed(Sersic::prepare(&n), 1e100, total, unused);
    CHECK_AT_MOST(std::fabs(half / total - 0.5), 1e-14, "light within Re");
    CHECK_AT_MOST(std::fabs(brightness_at<Sersic>(&n, 1.0) - 1.0), 1e-14, "brightness at Re");
  }
  const double one = 1.0, four = 4.0;
  CHECK(brightness_at<Exponential>(nullptr, 2.3) == brightness_at<Sersic>(&one, 2.3));
  CHECK(brightness_at<DeVaucouleurs>(nullptr, 2.3) == brightness_at<Sersic>(&four, 2.3));
  return check::result();
}
