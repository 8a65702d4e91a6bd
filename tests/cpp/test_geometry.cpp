// SPDX-License-Identifier: BSD-3-Clause
// sources: csrc/scene/geometry.cpp csrc/scene/parameter_map.cpp csrc/scene/transform_table.cpp
// sources: csrc/base/special.cpp
// Shape charts and the chain rule from slots to lanes, against differences.
#include <cmath>
#include <random>
#include <vector>

#include "check.hpp"
#include "profiles/sersic.hpp"
#include "scene/chart_math.hpp"
#include "scene/geometry.hpp"
#include "scene/parameter_map.hpp"
#include "scene/transform_table.hpp"

namespace jointlight {

const std::vector<ProfileInfo>& profile_registry() {
  static const std::vector<ProfileInfo> registry = [] {
    ProfileInfo info;
    info.name = "sersic";
    info.n_shape = 1;
    info.shape_min = {0.3};
    info.shape_max = {10.0};
    info.log_mellin = &Sersic::log_mellin;
    return std::vector<ProfileInfo>{info};
  }();
  return registry;
}

}  // namespace jointlight

using namespace jointlight;

namespace {

// A scalar that depends on everything a rendering does, with its derivatives by lane.
double probe(const TileState& s, double by_lane[n_lanes]) {
  const double f = 1.0 + 0.3 * s.x0 - 0.2 * s.y0 + 0.01 * s.S[0] + 0.02 * s.S[1] - 0.015 * s.S[2] +
                   0.1 * s.shape[0];
  const double slopes[n_lanes] = {f, 0.3, -0.2, 0.01, 0.02, -0.015, 0.1, 0.0};
  for (int i = 0; i < n_lanes; ++i) by_lane[i] = slopes[i];
  return f;
}

TileGeometry tile(ShapeChart chart, bool flux) {
  TileGeometry g;
  g.chart = chart;
  g.amplitude_is_flux = flux;
  g.profile = 0;
  g.n_shape = 1;
  g.n_slots = 7;
  const double jacobian[4] = {-0.25, 0.05, 0.04, 0.27};
  const double det = jacobian[0] * jacobian[3] - jacobian[1] * jacobian[2];
  const double inverse[4] = {jacobian[3] / det, -jacobian[1] / det, -jacobian[2] / det,
                             jacobian[0] / det};
  for (int i = 0; i < 4; ++i) {
    g.map.jacobian[i] = jacobian[i];
    g.map.inverse[i] = inverse[i];
  }
  g.map.pixel_area = std::abs(det);
  g.map.anchor_pixel[0] = 31.0;
  g.map.anchor_pixel[1] = 29.0;
  const double quadratic[6] = {1e-3, -2e-3, 5e-4, 3e-4, 1e-3, -1e-3};
  for (int i = 0; i < 6; ++i) g.map.quadratic[i] = quadratic[i];
  return g;
}

void check_chain(ShapeChart chart, bool flux, const double* slots) {
  const TileGeometry g = tile(chart, flux);
  TileState state;
  Chain chain, unused;
  CHECK(evaluate_geometry(g, slots, state, chain));
  double by_lane[n_lanes];
  probe(state, by_lane);
  for (int j = 0; j < g.n_slots; ++j) {
    double analytic = 0.0, largest = 0.0;
    for (int i = 0; i < n_lanes; ++i) {
      analytic += by_lane[i] * chain.matrix[i][j];
      largest += std::abs(by_lane[i] * chain.matrix[i][j]);
    }
    double up[7], down[7];
    for (int i = 0; i < 7; ++i) up[i] = down[i] = slots[i];
    const double h = 1e-6 * std::max(1.0, std::abs(slots[j]));
    up[j] += h;
    down[j] -= h;
    TileState a, b;
    CHECK(evaluate_geometry(g, up, a, unused) && evaluate_geometry(g, down, b, unused));
    double ignored[n_lanes];
    const double difference =
        (a.value[0] * probe(a, ignored) - b.value[0] * probe(b, ignored)) / (2.0 * h);
    CHECK_AT_MOST(std::abs(analytic - difference) / (largest + 1e-12), 1e-7, "chain rule");
  }
}

ParameterSpec identity(int n) {
  ParameterSpec p;
  p.n_free = p.n_slots = n;
  const double infinity = std::numeric_limits<double>::infinity();
  p.lower.assign(static_cast<std::size_t>(n), -infinity);
  p.upper.assign(static_cast<std::size_t>(n), infinity);
  for (int i = 0; i <= n; ++i) p.row_start.push_back(i);
  for (int i = 0; i < n; ++i) p.indices.push_back(i);
  p.coefficients.assign(static_cast<std::size_t>(n), 1.0);
  p.constants.assign(static_cast<std::size_t>(n), 0.0);
  p.prior_mean.assign(static_cast<std::size_t>(n), 0.0);
  p.prior_sigma.assign(static_cast<std::size_t>(n), std::nan(""));
  return p;
}

void check_charts(double q_low, ShapeChart expected) {
  ParameterSpec p = identity(7);
  p.start = {0.1, 0.2, 0.6, 30.0, 3.0, 2.0, 5.0};
  p.lower[2] = q_low;
  p.upper[2] = 1.0;
  p.lower[4] = 0.0;
  p.lower[5] = 0.3;
  p.upper[5] = 10.0;
  TileGeometry g = tile(ShapeChart::ellipse, false);
  const SlotUse use{{0, 1, 2, 3, 4, 5, 6}, &g};
  const ParameterMap map(p, std::span<const SlotUse>(&use, 1));
  CHECK(g.chart == expected);
  const auto x = map.to_internal(p.start);
  const auto back = map.to_natural(x);
  for (std::size_t i = 0; i < 7; ++i) CHECK(std::abs(back[i] - p.start[i]) < 1e-12);

  // The image the charts draw is the ellipse's, and covariances turn with the coordinates.
  ParameterState natural, internal;
  map.evaluate(p.start, false, natural);
  map.evaluate(x, true, internal);
  TileState a, b;
  Chain chain;
  CHECK(evaluate_geometry(tile(ShapeChart::ellipse, false), natural.slots.data(), a, chain));
  CHECK(evaluate_geometry(g, internal.slots.data(), b, chain));
  for (int i = 0; i < 3; ++i) CHECK(std::abs(a.S[i] - b.S[i]) < 1e-9 * (a.S[0] + a.S[2]));
  std::vector<double> covariance(49, 0.0);
  for (std::size_t i = 0; i < 7; ++i) covariance[i * 8] = 1.0;
  map.covariance_to_natural(x, covariance);
  for (std::size_t i = 0; i < 7; ++i) {
    for (std::size_t j = 0; j < 7; ++j) {
      double expected_value = 0.0;  // sum_k dv_i/dx_k dv_j/dx_k by differences
      for (std::size_t k = 0; k < 7; ++k) {
        auto up = x, down = x;
        up[k] += 1e-6;
        down[k] -= 1e-6;
        const auto u = map.to_natural(up), d = map.to_natural(down);
        expected_value += (u[i] - d[i]) * (u[j] - d[j]) / 4e-12;
      }
      CHECK(std::abs(covariance[i * 7 + j] - expected_value) <
            1e-5 * (1.0 + std::abs(expected_value)));
    }
  }
}

}  // namespace

int main() {
  std::mt19937 random(5);
  std::uniform_real_distribution<double> uniform(0.0, 1.0);
  for (int trial = 0; trial < 40; ++trial) {
    const double q = 0.1 + 0.89 * uniform(random), pa = 400.0 * uniform(random) - 100.0;
    const double radius = 0.3 + 8.0 * uniform(random), n = 0.4 + 6.0 * uniform(random);
    const double ellipse[3] = {q, pa, radius};
    double shear[3], back[3];
    ellipse_to_shear(ellipse, shear);
    shear_to_ellipse(shear, back);
    CHECK(std::abs(back[0] - q) < 1e-12 && std::abs(back[2] - radius) < 1e-11 * radius);
    CHECK(std::abs(std::sin((back[1] - pa) * M_PI / 180.0)) < 1e-12);
    for (bool flux : {false, true}) {
      const double plain[7] = {0.3, -0.5, q, pa, radius, n, 7.0};
      const double charted[7] = {0.3, -0.5, shear[0], shear[1], shear[2], n, 7.0};
      const double major[7] = {0.3, -0.5, shear[0], shear[1], radius, n, 7.0};
      check_chain(ShapeChart::ellipse, flux, plain);
      check_chain(ShapeChart::log_shear, flux, charted);
      check_chain(ShapeChart::shear_major, flux, major);
      const double folded[7] = {0.3, -0.5, 1.0 / q, pa, radius, n, 7.0};
      check_chain(ShapeChart::folded, flux, folded);
    }
  }
  // Through the circle.
  for (double eta : {0.0, 1e-9, 1e-4, 0.0199, 0.0201}) {
    const double slots[7] = {0.3, -0.5, eta, 0.3 * eta, 1.0, 2.0, 7.0};
    check_chain(ShapeChart::log_shear, false, slots);
  }
  check_charts(0.0, ShapeChart::log_shear);
  check_charts(0.2, ShapeChart::folded);  // limits on q stay a box in q
  // Nothing meaningful: refused, never non-finite.
  for (double bad : {std::nan(""), 1e300, -1e300, 0.0, -3.0}) {
    for (int j = 0; j < 7; ++j) {
      double slots[7] = {0.3, -0.5, 0.6, 30.0, 2.0, 2.0, 7.0};
      slots[j] = bad;
      TileState state;
      Chain chain;
      if (evaluate_geometry(tile(ShapeChart::ellipse, true), slots, state, chain)) {
        for (double s : state.S) CHECK(std::isfinite(s));
        for (const auto& row : chain.matrix) {
          for (double value : row) CHECK(std::isfinite(value));
        }
      }
    }
  }
  return check::result();
}
