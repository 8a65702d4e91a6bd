// SPDX-License-Identifier: BSD-3-Clause
#include "scene/rest_filter.hpp"

#include <algorithm>
#include <cmath>
#include <complex>
#include <memory>
#include <vector>

#include "base/taper.hpp"
#include "scene/transform_table.hpp"

namespace jointlight {
namespace {

using complex = std::complex<double>;

std::size_t at(int i) { return static_cast<std::size_t>(i); }

double sinc(double x) { return std::abs(x) < 1e-8 ? 1.0 : std::sin(x) / x; }

// With m the taper's minor radius, the rest's light at frequency k and beyond is at most
// exp(-(k m)^2 / (2 content^2)) of the convolved peak: the envelope over Sersic profiles of any
// index and radius (the widest: n = 0.5 and 1 with R_e of a third of the taper's radius and more).
constexpr double content = 9.5;
constexpr double floor_of_content = 1e-7;

double envelope(double km) { return std::exp(-0.5 * km * km / (content * content)); }

constexpr int half_points = 10;  // frequencies of the fit along half an axis
constexpr int points = 2 * half_points + 1;
constexpr int n_filter = rest_filter_size * rest_filter_size;

// Transform of a PSF at (k_x, k_y) = step (i, j), i = 0 .. half_points, j = -half_points ..
// half_points; 1 at zero.
std::vector<complex> spectrum(const Psf& psf, double step) {
  std::vector<complex> out(at((half_points + 1) * points));
  const auto value = [&](int i, int j) -> complex& {
    return out[at(i * points + j + half_points)];
  };
  if (psf.form == Psf::Form::array) {
    const double scale = 1.0 / psf.oversampling;
    double sum = 0.0;
    for (const double v : psf.data) sum += v;
    std::vector<complex> line(at(psf.ny)), turn_x(at(psf.nx)), turn_y(at(psf.ny * points));
    for (int j = -half_points; j <= half_points; ++j) {
      for (int y = 0; y < psf.ny; ++y) {
        turn_y[at((j + half_points) * psf.ny + y)] =
            std::polar(1.0 / sum, -step * j * (y - psf.cy) * scale);
      }
    }
    for (int i = 0; i <= half_points; ++i) {
      for (int x = 0; x < psf.nx; ++x) {
        turn_x[at(x)] = std::polar(1.0, -step * i * (x - psf.cx) * scale);
      }
      for (int y = 0; y < psf.ny; ++y) {
        double re = 0.0, im = 0.0;
        for (int x = 0; x < psf.nx; ++x) {
          const double v = psf.data[at(y * psf.nx + x)];
          re += v * turn_x[at(x)].real();
          im += v * turn_x[at(x)].imag();
        }
        line[at(y)] = {re, im};
      }
      for (int j = -half_points; j <= half_points; ++j) {
        complex s = 0.0;
        for (int y = 0; y < psf.ny; ++y) {
          s += line[at(y)] * turn_y[at((j + half_points) * psf.ny + y)];
        }
        value(i, j) = s;
      }
    }
  } else {
    const bool gaussian = psf.form == Psf::Form::gaussian;
    const double width2 = psf.params[0] * psf.params[0];
    std::vector<double> memory;
    RadialTable table;
    if (!gaussian) {
      memory.resize(TransformTable::capacity());
      transform_table(find_profile("moffat"))
          .fill(&psf.params[1], width2 * step * step, width2 * 1e4, memory.data(), table);
    }
    for (int i = 0; i <= half_points; ++i) {
      for (int j = -half_points; j <= half_points; ++j) {
        const double k2 = step * step * (i * i + j * j);
        value(i, j) = gaussian ? std::exp(-0.5 * width2 * k2)
                               : TransformTable::value(table, width2 * k2) / table.at_zero[0];
      }
    }
  }
  if (!psf.includes_pixel) {
    for (int i = 0; i <= half_points; ++i) {
      for (int j = -half_points; j <= half_points; ++j) {
        value(i, j) *= sinc(0.5 * step * i) * sinc(0.5 * step * j);
      }
    }
  }
  return out;
}

// Least squares by Householder reflections: a is [columns][rows] (destroyed), b [rows] (destroyed).
std::vector<double> least_squares(std::vector<std::vector<double>>& a, std::vector<double>& b) {
  const std::size_t n = a.size(), rows = b.size();
  for (std::size_t c = 0; c < n; ++c) {
    double norm = 0.0;
    for (std::size_t r = c; r < rows; ++r) norm += a[c][r] * a[c][r];
    norm = std::sqrt(norm);
    const double alpha = a[c][c] > 0.0 ? -norm : norm;
    std::vector<double> v(a[c].begin() + static_cast<std::ptrdiff_t>(c), a[c].end());
    v[0] -= alpha;
    double length2 = 0.0;
    for (const double x : v) length2 += x * x;
    const auto reflect = [&](std::vector<double>& column) {
      double dot = 0.0;
      for (std::size_t r = c; r < rows; ++r) dot += v[r - c] * column[r];
      dot *= 2.0 / length2;
      for (std::size_t r = c; r < rows; ++r) column[r] -= dot * v[r - c];
    };
    if (length2 > 0.0) {
      for (std::size_t k = c; k < n; ++k) reflect(a[k]);
      reflect(b);
    }
  }
  std::vector<double> x(n);
  for (std::size_t c = n; c-- > 0;) {
    double s = b[c];
    for (std::size_t k = c + 1; k < n; ++k) s -= a[k][c] * x[k];
    x[c] = s / a[c][c];
  }
  return x;
}

// The filter whose response times the spline's is the PSF's transform where the rest has light;
// returns the bound of what is left. `km_step`: k m from one frequency of `transform` to the next,
// `omega_step`: k times the grid's step.
double fit_filter(const std::vector<complex>& transform, double km_step, double omega_step,
                  double* filter) {
  constexpr double calm = 1e-9;  // keeps numbers that nothing asks for from growing
  // Half of the filter is even, half odd about its middle.
  struct Node {
    int a, b;
  };
  std::vector<Node> nodes;
  for (int b = -rest_reach; b <= rest_reach; ++b) {
    for (int a = -rest_reach; a <= rest_reach; ++a) {
      if (b > 0 || (b == 0 && a >= 0)) nodes.push_back({a, b});
    }
  }
  // cos and sin of omega_step times 0 .. half_points rest_reach
  double cosine[half_points * rest_reach + 1], sine[half_points * rest_reach + 1];
  for (int m = 0; m <= half_points * rest_reach; ++m) {
    cosine[m] = std::cos(omega_step * m);
    sine[m] = std::sin(omega_step * m);
  }
  double spline[half_points + 1];
  for (int i = 0; i <= half_points; ++i) spline[i] = std::pow(sinc(0.5 * omega_step * i), 6);
  struct Frequency {
    int i, j;
    double weight;
    complex target;
  };
  std::vector<Frequency> frequencies;
  for (int i = 0; i <= half_points; ++i) {
    // Of every two opposite frequencies one: the other tells the same.
    for (int j = i == 0 ? 0 : -half_points; j <= half_points; ++j) {
      const double response = spline[i] * spline[std::abs(j)];
      double weight = (envelope(km_step * std::hypot(i, j)) + floor_of_content) * response;
      if (i == 0 && j == 0) weight *= 30.0;  // light is conserved
      frequencies.push_back({i, j, weight, transform[at(i * points + j + half_points)] / response});
    }
  }
  // exp(i omega . node)
  const auto turn = [&](const Frequency& f, int a, int b) -> complex {
    const int x = f.i * a, y = f.j * b;
    const double cx = cosine[std::abs(x)], sx = x < 0 ? -sine[-x] : sine[x];
    const double cy = cosine[std::abs(y)], sy = y < 0 ? -sine[-y] : sine[y];
    return {cx * cy - sx * sy, sx * cy + cx * sy};
  };
  double even[n_filter] = {}, odd[n_filter] = {};
  for (int parity = 0; parity < 2; ++parity) {
    const std::size_t first = parity == 0 ? 0 : 1;  // the middle has no odd part
    std::vector<std::vector<double>> a;
    std::vector<double> b;
    for (const Frequency& f : frequencies) {
      b.push_back(f.weight * (parity == 0 ? f.target.real() : f.target.imag()));
    }
    b.resize(frequencies.size() + nodes.size() - first, 0.0);
    double largest = 0.0;
    for (const double v : b) largest = std::max(largest, std::abs(v));
    if (largest < 1e-12) continue;
    for (std::size_t n = first; n < nodes.size(); ++n) {
      const bool middle = nodes[n].a == 0 && nodes[n].b == 0;
      std::vector<double> column;
      for (const Frequency& f : frequencies) {
        const complex t = turn(f, nodes[n].a, nodes[n].b);
        column.push_back(f.weight * (middle ? 1.0 : 2.0 * (parity == 0 ? t.real() : t.imag())));
      }
      column.resize(b.size(), 0.0);
      column[frequencies.size() + n - first] = calm;
      a.push_back(std::move(column));
    }
    const std::vector<double> x = least_squares(a, b);
    for (std::size_t n = first; n < nodes.size(); ++n) {
      const int here = (nodes[n].b + rest_reach) * rest_filter_size + nodes[n].a + rest_reach;
      double* part = parity == 0 ? even : odd;
      part[here] = x[n - first];
      part[n_filter - 1 - here] = parity == 0 ? x[n - first] : -x[n - first];
    }
  }
  for (int n = 0; n < n_filter; ++n) filter[n] = even[n] + odd[n];
  double bound = 0.0;
  for (const Frequency& f : frequencies) {
    complex response = 0.0;
    for (int b = -rest_reach; b <= rest_reach; ++b) {
      for (int a = -rest_reach; a <= rest_reach; ++a) {
        response += filter[(b + rest_reach) * rest_filter_size + a + rest_reach] * turn(f, a, b);
      }
    }
    bound = std::max(bound, f.weight * std::abs(response - f.target));
  }
  return bound;
}

// Light that a quintic spline of `divisions` steps to the taper's minor radius puts at wrong
// frequencies, of the peak.
double spline_error(double divisions) {
  double worst = 0.0;
  for (double omega = 0.2; omega < 3.1; omega += 0.1) {
    const double image = std::pow(omega / (2.0 * M_PI - omega), 6);
    worst = std::max(worst, image * (envelope(omega * divisions) + floor_of_content));
  }
  return worst;
}

}  // namespace

RestFilter make_rest_filter(const Psf& psf, double accuracy) {
  // Bounds are 2 to 10 times what is reached on Sersic profiles; the coarse grid sees the light
  // beyond the taper alone, a tenth of the peak and less.
  constexpr double slack = 2.0, coarse_slack = 4.0;
  constexpr double least = 14.0, most = 120.0, growth = 1.12;  // minor radius, PSF core widths
  constexpr double steps[] = {1.7, 2.2, 1.3, 1.0};             // PSF core widths
  RestFilter result;
  double divisions = 12.0;
  while (divisions < 60.0 && spline_error(divisions) > slack * accuracy) divisions += 1.0;
  const double k_low = 2.0 * M_PI / 512.0;
  const std::vector<complex> lowest = spectrum(psf, k_low);
  result.shift[0] = -std::arg(lowest[at(points + half_points)]) / k_low;
  result.shift[1] = -std::arg(lowest[at(half_points + 1)]) / k_low;
  Psf centred = psf;
  centred.cx += result.shift[0] * psf.oversampling;
  centred.cy += result.shift[1] * psf.oversampling;
  const double core = std::max(psf.core_width(), 0.8);
  double best = 0.0;
  for (const double relative : steps) {
    const double step = relative * core;
    const double smallest = std::max(least * core, divisions * step);
    // Work for an ellipse of middling axis ratio in a window of middling size (core_plan.cpp has
    // the whole account).
    const auto work = [&](double minor) {
      constexpr double window = 400.0, stretch = 2.8;
      const double fine = stretch * minor / step + 24.0,
                   coarse = window / (rest_ratio * step) + 12.0;
      return std::pow(stretch * minor, 2) + fine * fine + coarse * coarse;
    };
    const auto suits = [&](double minor, RestFilter& trial) {
      // Light that the PSF's wings carry out of the box, or around it.
      if (psf.reach(accuracy / (2.0 * M_PI * minor * minor)) > 0.75 * minor) return false;
      // up to the grid's own limit, or to where the rest has no light
      const double k_step = std::min(3.0 / step, 6.0 * content / minor) / half_points;
      trial.found = true;
      trial.minor_px = minor;
      trial.step_px = step;
      trial.bound =
          fit_filter(spectrum(centred, k_step), k_step * minor, k_step * step, trial.fine);
      if (trial.bound > slack * accuracy) return false;
      return fit_filter(spectrum(centred, k_step / rest_ratio), k_step * minor, k_step * step,
                        trial.coarse) <= coarse_slack * accuracy;
    };
    // The least radius that suits, by bisection.
    int low = -1, high = 0;
    while (smallest * std::pow(growth, high + 1) < most * core) ++high;
    while (high > 0 && result.found && work(smallest * std::pow(growth, high)) > best) --high;
    if (result.found && work(smallest * std::pow(growth, high)) > best) continue;
    RestFilter trial = result, good;
    if (!suits(smallest * std::pow(growth, high), trial)) continue;
    good = trial;
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      trial = result;
      if (suits(smallest * std::pow(growth, middle), trial)) {
        good = trial;
        high = middle;
      } else {
        low = middle;
      }
    }
    best = work(good.minor_px);
    result = good;
  }
  return result;
}

}  // namespace jointlight
