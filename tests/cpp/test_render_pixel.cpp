// SPDX-License-Identifier: BSD-3-Clause
// sources: csrc/base/special.cpp
// flags: -O3
// Pixel renderer: values against nested double-exponential quadrature, every lane against
// differences, smoothness as the centre moves, and inputs at the edge of sense.
#include "stages/render_pixel.hpp"

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <string>
#include <vector>

#include "check.hpp"
#include "profiles/exponential.hpp"
#include "profiles/gaussian.hpp"
#include "profiles/moffat.hpp"
#include "profiles/sersic.hpp"

using namespace jointlight;

namespace {

// x0, y0, S11, S12, S22, shape: in the order of the lanes.
struct Source {
  double p[6];

  static Source ellipse(double x0, double y0, double scale, double q, double angle, double shape) {
    const double c = std::cos(angle), s = std::sin(angle), r2 = scale * scale;
    return {{x0, y0, r2 * (c * c + q * q * s * s), r2 * (1.0 - q * q) * c * s,
             r2 * (s * s + q * q * c * c), shape}};
  }
  double det() const { return p[2] * p[4] - p[3] * p[3]; }
};

template <class Profile>
std::vector<double> render(const Source& source, int width, int height) {
  const auto w = static_cast<std::size_t>(width), h = static_cast<std::size_t>(height);
  std::vector<double> fields(w * h * n_lanes, std::nan(""));
  std::vector<double> workspace(render_pixel_workspace<Profile>(width), std::nan(""));
  render_pixel<Profile>(source.p[0], source.p[1], source.p + 2, source.p + 5, width, height,
                        w * n_lanes, fields.data(), workspace.data());
  return fields;
}

template <class Profile>
double total_flux(const Source& source) {
  return 2.0 * 3.14159265358979323846 * std::sqrt(source.det()) *
         std::exp(Profile::log_mellin(source.p + 5, 2.0)).real();
}

// integral of f over from < x < to, whatever f does at the ends, where nodes crowd doubly
// exponentially (tanh-sinh rule).
template <class F>
double tanh_sinh(F f, double from, double to) {
  const double step = 1.0 / 20.0;
  double sum = 0.0;
  for (double t = -3.7; t < 3.7; t += step) {
    const double u = 1.57079632679489662 * std::sinh(t), up = std::exp(u);
    const double fraction = up / (up + 1.0 / up);
    const double slope = 3.14159265358979324 * std::cosh(t) / ((up + 1.0 / up) * (up + 1.0 / up));
    sum += f(from + (to - from) * fraction) * slope;
  }
  return sum * step * (to - from);
}

// Flux in pixel (i, j): along y, split at the centre; along x, split where R is least.
template <class Profile>
double pixel_truth(const Source& source, int i, int j) {
  const double* p = source.p;
  const auto constants = Profile::prepare(p + 5);
  const double p11 = p[4] / source.det();
  const auto line = [&](double y) {
    const double foot = p[3] / p[4] * y, eta2 = y * y * source.det() / (p[4] * p[4]);
    const auto brightness = [&](double x) {
      double value, slope, by_shape[2];
      Profile::template brightness<double>(constants, p11 * (x * x + eta2), value, slope, by_shape);
      return value;
    };
    const double a = i - 0.5 - p[0] - foot, b = a + 1.0;
    if (a >= 0.0) return tanh_sinh(brightness, a, b);
    if (b <= 0.0) return tanh_sinh(brightness, -b, -a);
    return tanh_sinh(brightness, 0.0, -a) + tanh_sinh(brightness, 0.0, b);
  };
  // Along y further cuts where the ridge of R leaves the pixel.
  std::vector<double> cuts = {j - 0.5 - p[1], j + 0.5 - p[1]};
  const double left = i - 0.5 - p[0];
  const double candidates[3] = {0.0, left * p[4] / p[3], (left + 1.0) * p[4] / p[3]};
  for (const double y : candidates) {
    if (y > cuts[0] && y < cuts[1]) cuts.push_back(y);
  }
  std::sort(cuts.begin(), cuts.end());
  double flux = 0.0;
  for (std::size_t k = 0; k + 1 < cuts.size(); ++k) {
    // Measured from the end nearer to the centre.
    const bool mirror = cuts[k + 1] <= 0.0;
    flux += tanh_sinh([&](double y) { return line(mirror ? -y : y); },
                      mirror ? -cuts[k + 1] : cuts[k], mirror ? -cuts[k] : cuts[k + 1]);
  }
  return flux;
}

template <class Profile>
std::string label(const Source& s) {
  char text[200];
  std::snprintf(text, sizeof(text), "%s shape %.3g at (%.7g, %.7g) S (%.3g, %.3g, %.3g)",
                Profile::name, s.p[5], s.p[0], s.p[1], s.p[2], s.p[3], s.p[4]);
  return text;
}

constexpr int n = 13;

template <class Profile>
void test_value(const Source& source, double allowed) {
  const auto fields = render<Profile>(source, n, n);
  double peak = 0.0;
  for (std::size_t i = 0; i < n * n; ++i) peak = std::max(peak, fields[i * n_lanes]);
  double worst = 0.0;
  const int near = 1;  // pixels either side of the centre, and a sample beyond
  for (int j = 0; j < n; ++j) {
    for (int i = 0; i < n; ++i) {
      const bool close = std::abs(i - source.p[0]) < near && std::abs(j - source.p[1]) < near;
      if (!close && (i + 3 * j) % 19 != 0) continue;
      const double value = fields[static_cast<std::size_t>(j * n + i) * n_lanes];
      worst = std::max(worst, std::abs(value - pixel_truth<Profile>(source, i, j)));
    }
  }
  CHECK_AT_MOST(worst / peak, allowed, (label<Profile>(source) + ": error / peak").c_str());
  CHECK_AT_MOST(worst / total_flux<Profile>(source), allowed,
                (label<Profile>(source) + ": error / flux").c_str());
}

// `step` is that of the centre, px.
template <class Profile>
void test_lanes(const Source& source, double step, double allowed) {
  const auto fields = render<Profile>(source, n, n);
  const double least = source.det() / std::max(source.p[2], source.p[4]);
  for (int k = 0; k < 5 + Profile::n_shape; ++k) {
    const double h = k < 2 ? step : (k < 5 ? 1e-4 * least : 1e-4 * source.p[5]);
    std::vector<double> difference(n * n, 0.0);
    for (const int m : {-2, -1, 1, 2}) {
      Source moved = source;
      moved.p[k] += m * h;
      const double factor = (m < 0 ? -1.0 : 1.0) * (m * m == 1 ? 8.0 : -1.0) / (12.0 * h);
      const auto at = render<Profile>(moved, n, n);
      for (std::size_t i = 0; i < n * n; ++i) difference[i] += factor * at[i * n_lanes];
    }
    double worst = 0.0, scale = 0.0;
    for (std::size_t i = 0; i < n * n; ++i) {
      const double lane = fields[i * n_lanes + 1 + static_cast<std::size_t>(k)];
      scale = std::max(scale, std::abs(lane));
      worst = std::max(worst, std::abs(lane - difference[i]));
    }
    CHECK_AT_MOST(worst / scale, allowed,
                  (label<Profile>(source) + ": lane " + std::to_string(k + 1)).c_str());
  }
}

// The centre in steps of 1e-3 px across pixel edges and corners: fourth differences show any jump.
template <class Profile>
void test_smooth(const Source& start) {
  const int steps = 900;
  std::vector<double> flux(steps, 0.0);
  for (int k = 0; k < steps; ++k) {
    Source source = start;
    source.p[0] += 1e-3 * k;
    source.p[1] += 0.5e-3 * k;
    const auto fields = render<Profile>(source, n, n);
    for (std::size_t i = 0; i < n * n; ++i)
      flux[static_cast<std::size_t>(k)] += fields[i * n_lanes];
  }
  double worst = 0.0;
  for (std::size_t k = 2; k + 2 < steps; ++k) {
    const double jump =
        flux[k - 2] - 4.0 * flux[k - 1] + 6.0 * flux[k] - 4.0 * flux[k + 1] + flux[k + 2];
    worst = std::max(worst, std::abs(jump) / flux[k]);
  }
  CHECK_AT_MOST(worst, 1e-11, (label<Profile>(start) + ": jump of the total flux").c_str());
}

// A window that holds all light: the flux and its derivatives are known.
template <class Profile>
void test_total(const Source& source) {
  const int wide = 64;
  const auto fields = render<Profile>(source, wide, wide);
  double sum[n_lanes] = {};
  for (std::size_t i = 0; i < wide * wide; ++i) {
    for (std::size_t k = 0; k < n_lanes; ++k) sum[k] += fields[i * n_lanes + k];
  }
  const double flux = total_flux<Profile>(source), det = source.det();
  const std::string name = label<Profile>(source);
  CHECK_AT_MOST(std::abs(sum[0] / flux - 1.0), 1e-11, (name + ": total flux").c_str());
  CHECK_AT_MOST(std::abs(sum[1]) / flux, 1e-11, (name + ": total by x0").c_str());
  CHECK_AT_MOST(std::abs(sum[2]) / flux, 1e-11, (name + ": total by y0").c_str());
  CHECK_AT_MOST(std::abs(sum[3] / flux - 0.5 * source.p[4] / det) * source.p[2], 1e-10,
                (name + ": total by S11").c_str());
  CHECK_AT_MOST(std::abs(sum[4] / flux + source.p[3] / det) * source.p[2], 1e-10,
                (name + ": total by S12").c_str());
  CHECK_AT_MOST(std::abs(sum[5] / flux - 0.5 * source.p[2] / det) * source.p[4], 1e-10,
                (name + ": total by S22").c_str());
  CHECK(sum[6 + Profile::n_shape] == 0.0 || Profile::n_shape == 2);
}

template <class Profile>
void test_extreme(double shape) {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
  const double places[][2] = {{6.0, 6.0},   {6.5, 6.5},  {6.5, 2.0},  {6.5 + 1e-16, 6.5 - 1e-14},
                              {-40.0, 3.0}, {1e6, -1e6}, {1e12, 0.0}, {nan, 3.0},
                              {3.0, inf}};
  const double matrices[][3] = {{1.0, 0.0, 1.0},       {1e-8, 0.0, 1e-8},  {1e-24, 0.0, 1e-24},
                                {1e8, 0.0, 1e8},       {1e24, 0.0, 1e24},  {1e4, 0.0, 1e-2},
                                {1.0, 0.9999999, 1.0}, {1.0, 1.0, 1.0},    {1.0, 2.0, 1.0},
                                {-1.0, 0.0, 1.0},      {0.0, 0.0, 0.0},    {nan, 0.0, 1.0},
                                {inf, 0.0, 1.0},       {1e300, 0.0, 1e300}};
  for (const auto& place : places) {
    for (const auto& matrix : matrices) {
      const Source source = {{place[0], place[1], matrix[0], matrix[1], matrix[2], shape}};
      const auto fields = render<Profile>(source, n, n);
      const bool finite =
          std::all_of(fields.begin(), fields.end(), [](double x) { return std::isfinite(x); });
      CHECK_AT_MOST(finite ? 0.0 : 1.0, 0.0, (label<Profile>(source) + ": not finite").c_str());
    }
  }
}

// A part of a wider row, as tiles are stored: nothing outside the window is touched.
void test_stride() {
  const Source source = Source::ellipse(3.3, 2.1, 2.0, 0.5, 0.4, 2.0);
  const auto packed = render<Sersic>(source, 7, 5);
  const std::size_t stride = 9 * n_lanes;
  std::vector<double> fields(5 * stride, -7.0);
  std::vector<double> workspace(render_pixel_workspace<Sersic>(7));
  render_pixel<Sersic>(source.p[0], source.p[1], source.p + 2, source.p + 5, 7, 5, stride,
                       fields.data(), workspace.data());
  for (std::size_t j = 0; j < 5; ++j) {
    for (std::size_t k = 0; k < stride; ++k) {
      CHECK(fields[j * stride + k] == (k < 7 * n_lanes ? packed[j * 7 * n_lanes + k] : -7.0));
    }
  }
}

}  // namespace

int main() {
  const double places[][2] = {{6.31, 6.17}, {6.5, 5.5}, {6.0, 6.5 + 1e-6}, {-2.2, 5.1}};
  int which = 0;
  for (const double index : {0.3, 0.5, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0}) {
    for (const double scale : {0.3, 1.0, 5.0, 2000.0}) {
      for (const double q : {1.0, 0.4, 0.1}) {
        const double* place = places[which++ % 4];
        const double angle = 0.7 * which;
        test_value<Sersic>(Source::ellipse(place[0], place[1], scale, q, angle, index), 1e-9);
      }
    }
  }
  test_value<Exponential>(Source::ellipse(6.5, 6.2, 2.0, 0.3, 1.0, 0.0), 1e-9);
  test_value<Gaussian>(Source::ellipse(6.5, 6.2, 0.5, 0.3, 1.0, 0.0), 1e-9);
  for (const double beta : {1.05, 3.0, 20.0}) {
    test_value<Moffat>(Source::ellipse(6.5, 6.2, 1.3, 0.3, 1.0, beta), 1e-9);
  }

  // The centre clear of pixel edges by more than the differences reach (the true derivative by the
  // centre is continuous but not smooth where an edge runs through a cusp).
  for (const double index : {0.4, 0.5, 1.0, 2.0, 4.0, 6.0, 8.0}) {
    for (const double scale : {0.3, 1.0, 6.0, 100.0}) {
      for (const double q : {1.0, 0.4, 0.1}) {
        // A broad source without a cusp is flat: a longer step, lest its differences drown in
        // rounding.
        const bool flat = index < 1.0 && scale > 50.0;
        const double step = flat ? 0.05 : (scale > 50.0 ? 1e-3 : 2e-4), allowed = 1e-7;
        test_lanes<Sersic>(Source::ellipse(6.31, 6.17, scale, q, 0.7, index), step, allowed);
      }
    }
  }
  test_lanes<Sersic>(Source::ellipse(20.3, -4.0, 6.0, 0.3, 0.7, 3.0), 1e-3, 1e-7);
  test_lanes<Gaussian>(Source::ellipse(6.5, 6.5, 0.8, 0.5, 0.2, 0.0), 1e-4, 1e-7);
  test_lanes<Moffat>(Source::ellipse(6.5, 6.5, 0.8, 0.5, 0.2, 3.5), 1e-4, 1e-7);

  for (const double index : {0.5, 1.0, 4.0, 8.0}) {
    for (const double q : {1.0, 0.2}) {
      test_smooth<Sersic>(Source::ellipse(5.7, 5.8, 2.0, q, 0.7, index));
    }
  }
  test_smooth<Moffat>(Source::ellipse(5.7, 5.8, 1.5, 0.5, 0.7, 3.0));

  for (const double q : {1.0, 0.5, 0.2}) {
    test_total<Gaussian>(Source::ellipse(31.2, 30.9, 3.0, q, 0.3, 0.0));
    test_total<Sersic>(Source::ellipse(31.5, 31.5, 3.0, q, 0.3, 0.5));
    test_total<Sersic>(Source::ellipse(31.2, 30.9, 0.4, q, 0.3, 1.0));
  }
  for (const double index : {0.3, 1.0, 4.0, 10.0}) test_extreme<Sersic>(index);
  test_extreme<Sersic>(0.0);
  test_extreme<Sersic>(std::nan(""));
  test_extreme<Gaussian>(0.0);
  test_extreme<Moffat>(1.05);
  test_extreme<Moffat>(1.0);
  test_stride();
  return check::result();
}
