// SPDX-License-Identifier: BSD-3-Clause
#include "scene/core_table.hpp"

#include <math.h>  // j0, j1

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/gauss_legendre.hpp"
#include "base/taper.hpp"

namespace jointlight {
namespace {

constexpr double kappa_step = 0.75;  // kappa = rho taper
constexpr int n_intervals = 128;
static_assert(n_intervals * kappa_step == core_kappa);
constexpr int n_kappa = 136;  // n_intervals + 1, in whole blocks
constexpr int block = 8;
static_assert(n_kappa % block == 0 && n_kappa > n_intervals);

// Quadrature of F(kappa) = 2 pi int_0^1 x g(x) J0(kappa x) dx, x in units of the taper. Within
// `inner` J0 is a short polynomial in x^2: the light there, sampled on panels halved again and
// again towards a cusp, is handed to few points that have the same moments.
struct Rule {
  static constexpr double inner = 1.0 / 64.0;
  static constexpr int n_inner = 5, inner_panels = 26, inner_order = 8;

  std::vector<double> x, weight;  // samples of g; weight includes 2 pi x and the taper
  std::vector<double> hand;       // [inner samples][n_inner]: shares of the inner points
  std::vector<double> point;      // where J0 is taken: n_inner points, then the other samples
  std::vector<double> j0, j1;     // [points][n_kappa]
  std::size_t n_inner_samples = 0;

  Rule() {
    const auto panel = [&](double low, double high, int order) {
      const double* nodes = gauss_legendre.nodes[order];
      const double* weights = gauss_legendre.weights[order];
      for (int i = 0; i < order; ++i) {
        const double at = 0.5 * (low + high) + 0.5 * (high - low) * nodes[i];
        double open, slope;
        opening(taper_end * taper_end * at * at, open, slope);
        x.push_back(at);
        weight.push_back(M_PI * (high - low) * weights[i] * at * (1.0 - open));
      }
    };
    double high = inner;
    for (int k = 0; k < inner_panels; ++k) {
      panel(0.5 * high, high, inner_order);
      high *= 0.5;
    }
    panel(0.0, high, inner_order);
    n_inner_samples = x.size();
    for (int k = 0; k < n_inner; ++k) {
      point.push_back(inner * std::sqrt(0.5 * (1.0 + gauss_legendre.nodes[n_inner][k])));
    }
    for (const double at : x) {
      for (int k = 0; k < n_inner; ++k) {
        double share = 1.0;
        for (int m = 0; m < n_inner; ++m) {
          const double pk = point[static_cast<std::size_t>(k)],
                       pm = point[static_cast<std::size_t>(m)];
          if (m != k) share *= (at * at - pm * pm) / (pk * pk - pm * pm);
        }
        hand.push_back(share);
      }
    }
    for (double low = inner; low < 0.24; low *= 2.0) panel(low, 2.0 * low, low < 0.1 ? 10 : 14);
    for (int k = 2; k < 8; ++k) panel(0.125 * k, 0.125 * (k + 1), 14);
    point.insert(point.end(), x.begin() + static_cast<std::ptrdiff_t>(n_inner_samples), x.end());
    for (const double at : point) {
      for (int i = 0; i < n_kappa; ++i) {
        j0.push_back(::j0(kappa_step * i * at));
        j1.push_back(::j1(kappa_step * i * at));
      }
    }
  }
};

const Rule& rule() {
  static const Rule* const made = new Rule;
  return *made;
}

// Columns of the transform: f and df/dshape, each with -df/dkappa and the transform of x^2 g.
constexpr int n_sums = 6;

}  // namespace

std::size_t core_table_size() {
  return static_cast<std::size_t>(n_intervals) * 6 * RadialTable::columns;
}

void fill_core_table(const ProfileInfo& profile, const double* shape, double taper, double* memory,
                     RadialTable& table) {
  const Rule& r = rule();
  const std::size_t n = r.x.size();
  constexpr std::size_t most = 512;
  double r2[most], value[most], by_shape[most][2];
  for (std::size_t i = 0; i < n; ++i) r2[i] = taper * taper * r.x[i] * r.x[i];
  profile.brightness(shape, static_cast<int>(n), r2, value, by_shape);
  const std::size_t n_points = r.point.size();
  double g[most] = {}, d[most] = {};
  const double area = taper * taper;
  for (std::size_t i = 0; i < n; ++i) {
    const double gi = area * r.weight[i] * value[i], di = area * r.weight[i] * by_shape[i][0];
    if (i < r.n_inner_samples) {
      for (std::size_t k = 0; k < Rule::n_inner; ++k) {
        g[k] += gi * r.hand[i * Rule::n_inner + k];
        d[k] += di * r.hand[i * Rule::n_inner + k];
      }
    } else {
      g[i - r.n_inner_samples + Rule::n_inner] = gi;
      d[i - r.n_inner_samples + Rule::n_inner] = di;
    }
  }
  double sums[n_sums][n_kappa] = {};
  for (int first = 0; first < n_kappa; first += block) {
    double s[n_sums][block] = {};
    for (std::size_t p = 0; p < n_points; ++p) {
      const double* j0 = &r.j0[p * n_kappa + static_cast<std::size_t>(first)];
      const double* j1 = &r.j1[p * n_kappa + static_cast<std::size_t>(first)];
      const double x = r.point[p], gx = g[p] * x, dx = d[p] * x, gx2 = gx * x, dx2 = dx * x;
      for (int i = 0; i < block; ++i) {
        s[0][i] += g[p] * j0[i];
        s[1][i] += gx * j1[i];
        s[2][i] += gx2 * j0[i];
        s[3][i] += d[p] * j0[i];
        s[4][i] += dx * j1[i];
        s[5][i] += dx2 * j0[i];
      }
    }
    for (int c = 0; c < n_sums; ++c) std::copy_n(s[c], block, &sums[c][first]);
  }
  // J0'' = -J0 - J0' / z
  const auto end_point = [&](int column, int i, double out[3]) {
    const double* s0 = sums[3 * column];
    const double slope = -sums[3 * column + 1][i];
    const double second = i == 0 ? -0.5 * sums[3 * column + 2][0]
                                 : -sums[3 * column + 2][i] - slope / (kappa_step * i);
    out[0] = s0[i];
    out[1] = slope * kappa_step;
    out[2] = second * kappa_step * kappa_step;
  };
  for (int i = 0; i < n_intervals; ++i) {
    double* c = memory + static_cast<std::size_t>(i) * 6 * RadialTable::columns;
    for (int k = 0; k < 6 * RadialTable::columns; ++k) c[k] = 0.0;
    for (int column = 0; column < 2; ++column) {
      double left[3], right[3];
      end_point(column, i, left);
      end_point(column, i + 1, right);
      const double p0 = left[0], m0 = left[1], a0 = left[2];
      const double p1 = right[0], m1 = right[1], a1 = right[2], rise = p1 - p0;
      const double q[6] = {p0,
                           m0,
                           0.5 * a0,
                           10.0 * rise - 6.0 * m0 - 4.0 * m1 - 1.5 * a0 + 0.5 * a1,
                           -15.0 * rise + 8.0 * m0 + 7.0 * m1 + 1.5 * a0 - a1,
                           6.0 * rise - 3.0 * (m0 + m1) - 0.5 * (a0 - a1)};
      for (int k = 0; k < 6; ++k) c[k * RadialTable::columns + 2 * column] = q[k];
      if (column == 0) {
        const double to_rho = 0.5 * taper / kappa_step;
        for (int k = 1; k < 6; ++k) c[(k - 1) * RadialTable::columns + 1] = k * q[k] * to_rho;
      }
    }
  }
  table.near_intervals = n_intervals;
  table.near_coefficients = memory;
  table.near_inverse_step = taper / kappa_step;
  table.near_end2 = core_kappa * core_kappa / (taper * taper);
  table.at_zero[0] = sums[0][0];
  table.at_zero[1] = 0.0;
  table.at_zero[2] = sums[3][0];
  table.at_zero[3] = 0.0;
}

}  // namespace jointlight
