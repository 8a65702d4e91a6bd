// SPDX-License-Identifier: BSD-3-Clause
// What the pixel renderer (render_pixel.hpp) does along one edge of a pixel, and with the four of
// one pixel: for any executor.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/gauss_legendre.hpp"
#include "base/lanes.hpp"
#include "base/macros.hpp"
#include "base/vmath.hpp"

namespace jointlight {
JL_ISA_BEGIN

namespace pixel_detail {

inline constexpr double edge_tolerance = 1e-12;  // relative error of one edge integral
inline constexpr int run_length = 8;             // edges that share one choice of order
inline constexpr int max_far_order = 8;
inline constexpr double foot_floor = 1e-15;  // px; closer than this an edge runs through the centre

// Integrals along one edge: m / 2, I, I tau, dm/dshape / 2.
inline constexpr int sum_mean = 0, sum_light = 1, sum_moment = 2, sum_shape = 3;
template <class Profile>
inline constexpr int n_sums = 3 + Profile::n_shape;

// Edges of one direction: d = tau t + s n with t along the edge and n its normal (a pixel axis).
struct Direction {
  double alpha;  // P_tt, 1/px^2
  double inverse_root_alpha;
  double shear;    // foot = shear * s
  double flatten;  // eta = flatten * |s|
};

struct Geometry {
  double p11, p12, p22;  // S^-1, 1/px^2
  Direction along_x, along_y;
  double sector;
  double reach2[max_far_order + 1];  // (distance / px)^2 from which an order suffices
};

// False for a matrix that is not positive definite or not finite.
JL_HD inline bool make_geometry(const double S[3], double sector, Geometry& g) {
  const double det = S[0] * S[2] - S[1] * S[1];
  const bool usable = S[0] > 1e-30 && S[0] < 1e30 && S[2] > 1e-30 && S[2] < 1e30 &&
                      det > 1e-14 * (S[0] * S[2]) && det < 1e60;
  if (!usable) return false;
  g.p11 = S[2] / det;
  g.p12 = -S[1] / det;
  g.p22 = S[0] / det;
  const double root = std::sqrt(det);
  g.along_x = {g.p11, 1.0 / std::sqrt(g.p11), S[1] / S[2], root / S[2]};
  g.along_y = {g.p22, 1.0 / std::sqrt(g.p22), S[1] / S[0], root / S[0]};
  g.sector = sector;
  for (int m = 1; m <= max_far_order; ++m) {
    const double rho = std::pow(edge_tolerance, -0.5 / m);  // Bernstein ellipse
    const double distance = 0.25 * (rho - 1.0 / rho) / std::sin(sector);
    g.reach2[m] = distance * distance;
  }
  return true;
}

JL_HD JL_INLINE bool finite_below(double x, double limit) {
  // By its bits: kernels are compiled with -ffinite-math-only.
  constexpr std::uint64_t exponent = 0x7ff0000000000000U;
  return (detail::to_bits(x) & exponent) != exponent && x < limit && x > -limit;
}

// Whether a shape parameter lies within its bounds, with a little room for finite differences.
template <class Profile, int i>
JL_HD JL_INLINE bool within_bounds(const double* shape) {
  if constexpr (i < Profile::n_shape) {
    constexpr double low = 0.96 * Profile::shape_min[i], high = 1.05 * Profile::shape_max[i];
    return finite_below(shape[i], high) && shape[i] > low;
  }
  return true;
}

// False for what has no meaning, which is drawn as nothing.
template <class Profile>
JL_HD inline bool prepare_pixel(double x0, double y0, const double S[3], const double* shape,
                                typename Profile::Constants& constants, Geometry& geometry) {
  bool usable = finite_below(x0, 1e9) && finite_below(y0, 1e9);
  for (int i = 0; i < 3; ++i) usable = usable && finite_below(S[i], 1e30);
  usable = usable && within_bounds<Profile, 0>(shape) && within_bounds<Profile, 1>(shape);
  if (!usable) return false;
  constants = Profile::prepare(shape);
  return make_geometry(S, Profile::sector(constants), geometry);
}

// Gauss-Legendre rules where the host has them.
struct HostRule {
  static double node(int order, int k) { return gauss_legendre.nodes[order][k]; }
  static double weight(int order, int k) { return gauss_legendre.weights[order][k]; }
};

// Least order from `distance2` on.
JL_HD JL_INLINE int far_order(const Geometry& geometry, double distance2) {
  int order = max_far_order;
  while (order > 2 && distance2 >= geometry.reach2[order - 1]) --order;
  return order;
}

// R^2 at `tau` along the edge at normal offset `s`.
JL_HD JL_INLINE double edge_r2(const Direction& dir, double tau, double s) {
  const double offset = tau - dir.shear * s, eta = dir.flatten * s;
  return dir.alpha * (offset * offset + eta * eta);
}

// One stretch of an edge in v, tau = foot + scale sinh(v), cut into panels of bounded order:
// sink.node(r2, tau, weight) at all nodes, sink.panel(order) after each panel.
template <class Rule, class Sink>
JL_HD inline void add_mapped(const Geometry& geometry, const Rule& rule, const Direction& dir,
                             double foot, double eta, double scale, double v0, double v1,
                             Sink& sink) {
  const double wanted = -0.5 * std::log(edge_tolerance);
  int panels = 1, order = 0;
  for (;; ++panels) {
    const double x = 2.0 * geometry.sector * panels / (v1 - v0);
    order = static_cast<int>(wanted / std::asinh(x)) + 2;
    if (order <= gauss_legendre_max || panels == 64) break;
  }
  if (order > gauss_legendre_max) order = gauss_legendre_max;
  const double half = 0.5 * (v1 - v0) / panels;
  for (int p = 0; p < panels; ++p) {
    const double middle = v0 + (2 * p + 1) * half;
    for (int k = 0; k < order; ++k) {
      const double up = exp_(middle + half * rule.node(order, k)), down = 1.0 / up;
      const double offset = 0.5 * scale * (up - down);
      sink.node(dir.alpha * (offset * offset + eta * eta), foot + offset,
                0.5 * scale * (up + down) * half * rule.weight(order, k));
    }
    sink.panel(order);
  }
  sink.finish();
}

// One edge, tau in [tau0, tau0 + 1] at normal offset s, by an order of its own.
template <class Rule, class Sink>
JL_HD inline void near_edge(const Geometry& geometry, const Rule& rule, const Direction& dir,
                            double tau0, double s, Sink& sink) {
  const double foot = dir.shear * s, eta = dir.flatten * std::abs(s);
  const double a = tau0 - foot, b = a + 1.0;
  const double gap = a > 0.0 ? a : (b < 0.0 ? -b : 0.0);
  const double distance2 = gap * gap + eta * eta;
  if (distance2 >= geometry.reach2[max_far_order]) {
    const int order = far_order(geometry, distance2);
    for (int k = 0; k < order; ++k) {
      const double tau = tau0 + 0.5 + 0.5 * rule.node(order, k);
      sink.node(dir.alpha * ((tau - foot) * (tau - foot) + eta * eta), tau,
                0.5 * rule.weight(order, k));
    }
    sink.finish();
    return;
  }
  const double scale = eta > foot_floor ? eta : foot_floor;
  const double v0 = std::asinh(a / scale), v1 = std::asinh(b / scale);
  if (eta < 4.0 * foot_floor && v0 < 0.0 && v1 > 0.0) {
    add_mapped(geometry, rule, dir, foot, eta, scale, v0, 0.0, sink);
    add_mapped(geometry, rule, dir, foot, eta, scale, 0.0, v1, sink);
  } else {
    add_mapped(geometry, rule, dir, foot, eta, scale, v0, v1, sink);
  }
}

// Square of the distance (px, along the edges) from a run to the nearest singularity.
template <bool along_x>
JL_HD JL_INLINE double run_distance2(const Geometry& geometry, int count, double tau0, double s) {
  const Direction& x = geometry.along_x;
  const double y = along_x ? s : tau0 + 0.5;
  const double foot = x.shear * y, eta = x.flatten * y;
  const double a = (along_x ? tau0 : s) - foot, b = a + (along_x ? count : count - 1);
  const double gap = a > 0.0 ? a : (b < 0.0 ? -b : 0.0);
  const double nearest2 = gap * gap + eta * eta;
  if (along_x) return nearest2;
  // From R on the line of the edges' middles to anywhere on the edges: half a pixel at most.
  const double distance =
      std::sqrt(geometry.p11 * nearest2) * geometry.along_y.inverse_root_alpha - 0.5;
  return distance > 0.0 ? distance * distance : 0.0;
}

// Lanes of the pixel [x_low, x_low + 1] x [y_low, y_low + 1], offsets from the centre, from the
// integrals along its bottom, top, left and right edge: closed line integrals around it.
template <class Profile>
JL_HD JL_INLINE void pixel_lanes(const Geometry& geometry, double x_low, double y_low,
                                 const double* b, const double* t, const double* l, const double* r,
                                 double* out) {
  const double x_high = x_low + 1.0, y_high = y_low + 1.0;
  const double normal_x = r[sum_light] - l[sum_light];
  const double normal_y = t[sum_light] - b[sum_light];
  const double xx = x_high * r[sum_light] - x_low * l[sum_light];
  const double yy = y_high * t[sum_light] - y_low * b[sum_light];
  const double yx = r[sum_moment] - l[sum_moment];  // I dy n_x
  const double xy = t[sum_moment] - b[sum_moment];  // I dx n_y
  const double flux =
      x_high * r[sum_mean] - x_low * l[sum_mean] + y_high * t[sum_mean] - y_low * b[sum_mean];
  out[0] = flux;
  out[1] = -normal_x;
  out[2] = -normal_y;
  out[3] = 0.5 * (geometry.p11 * (flux - xx) - geometry.p12 * yx);
  out[4] = geometry.p12 * (flux - 0.5 * (xx + yy)) - 0.5 * (geometry.p22 * yx + geometry.p11 * xy);
  out[5] = 0.5 * (geometry.p22 * (flux - yy) - geometry.p12 * xy);
  for (int k = 0; k < 2; ++k) {
    const int at = sum_shape + k;
    out[6 + k] = k < Profile::n_shape
                     ? x_high * r[at] - x_low * l[at] + y_high * t[at] - y_low * b[at]
                     : 0.0;
  }
}

}  // namespace pixel_detail

JL_ISA_END
}  // namespace jointlight
