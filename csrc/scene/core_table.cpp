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

constexpr double kappa_step = CoreGrid::kappa_step;
constexpr int n_kappa = CoreGrid::n_kappa, block = CoreGrid::block;

// Quadrature of F(kappa) = 2 pi int_0^1 x g(x) J0(kappa x) dx, x in units of the taper. Within
// `inner` J0 is a short polynomial in x^2: the light there, sampled on panels halved again and
// again towards a cusp, is handed to few points that have the same moments.
struct Rule {
  static constexpr double inner = 1.0 / 64.0;
  static constexpr int n_inner = CoreGrid::n_inner, inner_panels = 26, inner_order = 8;

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

const Rule& made_rule() {
  static const Rule* const made = new Rule;
  return *made;
}

}  // namespace

const CoreRule& core_rule() {
  static const CoreRule view = [] {
    const Rule& r = made_rule();
    return CoreRule{.n_samples = static_cast<int>(r.x.size()),
                    .n_inner_samples = static_cast<int>(r.n_inner_samples),
                    .x = r.x.data(),
                    .weight = r.weight.data(),
                    .hand = r.hand.data(),
                    .point = r.point.data(),
                    .j0 = r.j0.data(),
                    .j1 = r.j1.data()};
  }();
  return view;
}

void fill_core_table(const ProfileInfo& profile, const double* shape, double taper, double* memory,
                     RadialTable& table) {
  const CoreRule& rule = core_rule();
  constexpr std::size_t most = 512;
  double r2[most], value[most], by_shape[most][2], g[most], d[most];
  for (int i = 0; i < rule.n_samples; ++i) r2[i] = core_r2(rule, taper, i);
  profile.brightness(shape, rule.n_samples, r2, value, by_shape);
  const auto light = [&](int i, double& at_sample, double& slope) {
    at_sample = value[i];
    slope = by_shape[i][0];
  };
  const int n_points = rule.n_points();
  for (int p = 0; p < n_points; ++p) core_point(rule, taper, p, light, g[p], d[p]);
  double sums[CoreGrid::n_sums][n_kappa];
  for (int first = 0; first < n_kappa; first += block) {
    double s[CoreGrid::n_sums][block];
    core_sums(rule, g, d, first, s);
    for (int c = 0; c < CoreGrid::n_sums; ++c) std::copy_n(s[c], block, &sums[c][first]);
  }
  core_header(taper, sums[0][0], sums[3][0], table);
  table.near_coefficients = memory;
  RadialEnd left, right;
  core_end(&sums[0][0], n_kappa, 0, left);
  for (int i = 0; i < CoreGrid::n_intervals; ++i) {
    core_end(&sums[0][i + 1], n_kappa, i + 1, right);
    core_interval(taper, left, right, memory);
    memory += TransformGrid::interval_size;
    left = right;
  }
}

}  // namespace jointlight
