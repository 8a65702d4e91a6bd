// SPDX-License-Identifier: BSD-3-Clause
// Stage `render`, pixel flavour: exact integrals of an elliptical profile over unit pixels, with
// every derivative lane, no PSF.
//
// With d the offset from the centre, R^2 = d^T P d, P = S^-1, and the mean brightness within R
// m(R) = 2 G(R) / R^2, G = integral_0^R r I dr, the vector field d m(R) / 2 has divergence I(R). So
//
//   flux of a pixel     = closed line integral of (m / 2) d.n around it,
//   d flux / d x0       = -(closed line integral of I n_x),
//   d flux / d S        = -(closed line integral of I (M d).n) + tr(M) flux,  M = dS P / 2,
//   d flux / d shape    = closed line integral of (dm/dshape / 2) d.n,
//
// and all lanes follow from a few integrals along each pixel edge (d.n is constant on an edge):
// of m / 2, I, I tau and dm/dshape / 2, tau being the coordinate along the edge. No integrand has
// the cusp of the centre in its interior unless the edge runs through it, and an edge is shared by
// two pixels, so the total flux depends on the window's border alone.
//
// On an edge R^2 = alpha ((tau - foot)^2 + eta^2). Close to the centre tau = foot + eta sinh(v)
// makes R = sqrt(alpha) eta cosh(v), analytic in |Im v| < pi / 2 at any distance; further out plain
// Gauss-Legendre does, whose order follows from the distance of the same singularities. Every order
// is chosen to err by about edge_tolerance, so that a change of order as the centre moves is not
// seen.
#pragma once

#include <cmath>
#include <cstddef>
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
inline constexpr int node_block = 160;       // nodes evaluated at a time
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
inline bool make_geometry(const double S[3], double sector, Geometry& g) {
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

// Profile at a block of nodes.
template <class Profile>
struct Nodes {
  double r2[node_block], weight[node_block], tau[node_block];
  double light[node_block], mean[node_block];
  double d_mean[Profile::n_shape > 0 ? Profile::n_shape : 1][node_block];

  void evaluate(const typename Profile::Constants& c, const typename Profile::MeanTable& table,
                int count) {
    double* by_shape[2] = {d_mean[0], d_mean[Profile::n_shape > 1 ? 1 : 0]};
    Profile::mean_brightness(c, table, count, r2, light, mean, by_shape);
    for (int i = 0; i < count; ++i) mean[i] *= 0.5;
    for (int k = 0; k < Profile::n_shape; ++k) {
      for (int i = 0; i < count; ++i) d_mean[k][i] *= 0.5;
    }
  }
};

template <class Profile>
struct Evaluator {
  const Geometry& geometry;
  const typename Profile::Constants& constants;
  const typename Profile::MeanTable& table;
  Nodes<Profile>& nodes;

  void add(int count, double* JL_RESTRICT sums) {
    nodes.evaluate(constants, table, count);
    double total[n_sums<Profile>] = {};
    for (int i = 0; i < count; ++i) {
      const double w = nodes.weight[i], light = w * nodes.light[i];
      total[sum_mean] += w * nodes.mean[i];
      total[sum_light] += light;
      total[sum_moment] += light * nodes.tau[i];
      for (int k = 0; k < Profile::n_shape; ++k) total[sum_shape + k] += w * nodes.d_mean[k][i];
    }
    for (int k = 0; k < n_sums<Profile>; ++k) sums[k] += total[k];
  }

  // One stretch of an edge in v, tau = foot + scale sinh(v), cut into panels of bounded order.
  void add_mapped(const Direction& dir, double foot, double eta, double scale, double v0, double v1,
                  double* sums) {
    const double wanted = -0.5 * std::log(edge_tolerance);
    int panels = 1, order = 0;
    for (;; ++panels) {
      const double x = 2.0 * geometry.sector * panels / (v1 - v0);
      order = static_cast<int>(wanted / std::asinh(x)) + 2;
      if (order <= gauss_legendre_max || panels == 64) break;
    }
    if (order > gauss_legendre_max) order = gauss_legendre_max;
    const double half = 0.5 * (v1 - v0) / panels;
    int count = 0;
    for (int p = 0; p < panels; ++p) {
      const double middle = v0 + (2 * p + 1) * half;
      for (int k = 0; k < order; ++k) {
        const double up = exp_(middle + half * gauss_legendre.nodes[order][k]), down = 1.0 / up;
        const double offset = 0.5 * scale * (up - down);
        nodes.r2[count] = dir.alpha * (offset * offset + eta * eta);
        nodes.tau[count] = foot + offset;
        nodes.weight[count] = 0.5 * scale * (up + down) * half * gauss_legendre.weights[order][k];
        ++count;
      }
      if (count + order > node_block) {
        add(count, sums);
        count = 0;
      }
    }
    if (count > 0) add(count, sums);
  }

  // One edge, tau in [tau0, tau0 + 1] at normal offset s.
  void near_edge(const Direction& dir, double tau0, double s, double* sums) {
    for (int k = 0; k < n_sums<Profile>; ++k) sums[k] = 0.0;
    const double foot = dir.shear * s, eta = dir.flatten * std::abs(s);
    const double a = tau0 - foot, b = a + 1.0;
    const double gap = a > 0.0 ? a : (b < 0.0 ? -b : 0.0);
    const double distance2 = gap * gap + eta * eta;
    if (distance2 >= geometry.reach2[max_far_order]) {
      int order = max_far_order;
      while (order > 2 && distance2 >= geometry.reach2[order - 1]) --order;
      for (int k = 0; k < order; ++k) {
        const double tau = tau0 + 0.5 + 0.5 * gauss_legendre.nodes[order][k];
        nodes.tau[k] = tau;
        nodes.r2[k] = dir.alpha * ((tau - foot) * (tau - foot) + eta * eta);
        nodes.weight[k] = 0.5 * gauss_legendre.weights[order][k];
      }
      add(order, sums);
      return;
    }
    const double scale = eta > foot_floor ? eta : foot_floor;
    const double v0 = std::asinh(a / scale), v1 = std::asinh(b / scale);
    if (eta < 4.0 * foot_floor && v0 < 0.0 && v1 > 0.0) {
      add_mapped(dir, foot, eta, scale, v0, 0.0, sums);
      add_mapped(dir, foot, eta, scale, 0.0, v1, sums);
    } else {
      add_mapped(dir, foot, eta, scale, v0, v1, sums);
    }
  }

  // Square of the distance (px, along the edges) from a run to the nearest singularity.
  template <bool along_x>
  double run_distance2(int count, double tau0, double s) const {
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

  // `count` <= run_length edges side by side along x, all of one order. Edges along x: tau0 steps
  // by one, s is fixed; edges along y: tau0 fixed, s steps by one.
  template <bool along_x>
  void run(int count, double tau0, double s, double* JL_RESTRICT sums) {
    const Direction& dir = along_x ? geometry.along_x : geometry.along_y;
    const double distance2 = run_distance2<along_x>(count, tau0, s);
    if (distance2 < geometry.reach2[max_far_order]) {
      for (int i = 0; i < count; ++i) {
        near_edge(dir, along_x ? tau0 + i : tau0, along_x ? s : s + i, sums + i * n_sums<Profile>);
      }
      return;
    }
    int order = max_far_order;
    while (order > 2 && distance2 >= geometry.reach2[order - 1]) --order;
    for (int k = 0; k < order; ++k) {
      const double at = tau0 + 0.5 + 0.5 * gauss_legendre.nodes[order][k];
      for (int i = 0; i < run_length; ++i) {
        const double tau = along_x ? at + i : at, normal = along_x ? s : s + i;
        const double offset = tau - dir.shear * normal, eta = dir.flatten * normal;
        nodes.r2[k * run_length + i] = dir.alpha * (offset * offset + eta * eta);
        nodes.tau[k * run_length + i] = tau;
      }
    }
    nodes.evaluate(constants, table, order * run_length);
    double total[n_sums<Profile>][run_length] = {};
    for (int k = 0; k < order; ++k) {
      const double w = 0.5 * gauss_legendre.weights[order][k];
      for (int i = 0; i < run_length; ++i) {
        const int at = k * run_length + i;
        const double light = w * nodes.light[at];
        total[sum_mean][i] += w * nodes.mean[at];
        total[sum_light][i] += light;
        total[sum_moment][i] += light * nodes.tau[at];
        for (int j = 0; j < Profile::n_shape; ++j) {
          total[sum_shape + j][i] += w * nodes.d_mean[j][at];
        }
      }
    }
    for (int i = 0; i < count; ++i) {
      for (int k = 0; k < n_sums<Profile>; ++k) sums[i * n_sums<Profile> + k] = total[k][i];
    }
  }

  // All edges of one row: below its pixels (along x) or between them (along y).
  template <bool along_x>
  void row(int n, double tau0, double s, double* sums) {
    for (int i = 0; i < n; i += run_length) {
      const int count = n - i < run_length ? n - i : run_length;
      run<along_x>(count, along_x ? tau0 + i : tau0, along_x ? s : s + i,
                   sums + i * n_sums<Profile>);
    }
  }
};

inline bool finite_below(double x, double limit) {
  // By its bits: kernels are compiled with -ffinite-math-only.
  constexpr std::uint64_t exponent = 0x7ff0000000000000U;
  return (detail::to_bits(x) & exponent) != exponent && x < limit && x > -limit;
}

}  // namespace pixel_detail

// Doubles of workspace that render_pixel needs.
template <class Profile>
constexpr std::size_t render_pixel_workspace(int width) {
  return (3 * static_cast<std::size_t>(width) + 1) * pixel_detail::n_sums<Profile> +
         (sizeof(pixel_detail::Nodes<Profile>) + sizeof(typename Profile::MeanTable)) /
             sizeof(double) +
         2;
}

// Unit-amplitude, unit-radius profile of centre (x0, y0) and shape matrix S = (S11, S12, S22) in
// px^2 over the pixels (i, j) = [i - 1/2, i + 1/2] x [j - 1/2, j + 1/2] of a window.
// fields[j * row_stride + 8 i + lane], lanes as in scene/tile.hpp; all eight are written.
// A geometry without meaning (S not positive definite, anything not finite) gives zeros.
template <class Profile>
void render_pixel(double x0, double y0, const double S[3], const double* shape, int width,
                  int height, std::size_t row_stride, double* fields, double* workspace) {
  using namespace pixel_detail;
  constexpr int sums = n_sums<Profile>;
  Geometry geometry;
  bool usable = finite_below(x0, 1e9) && finite_below(y0, 1e9);
  for (int i = 0; i < 3; ++i) usable = usable && finite_below(S[i], 1e30);
  if constexpr (Profile::n_shape > 0) {
    for (int i = 0; i < Profile::n_shape; ++i) {  // a little room for finite differences at a bound
      usable = usable && finite_below(shape[i], 1.05 * Profile::shape_max[i]) &&
               shape[i] > 0.96 * Profile::shape_min[i];
    }
  }
  typename Profile::Constants constants{};
  if (usable) {
    constants = Profile::prepare(shape);
    usable = make_geometry(S, Profile::sector(constants), geometry);
  }
  if (!usable) {
    for (int j = 0; j < height; ++j) {
      double* out = fields + static_cast<std::size_t>(j) * row_stride;
      for (int i = 0; i < width * n_lanes; ++i) out[i] = 0.0;
    }
    return;
  }

  auto& nodes = *reinterpret_cast<Nodes<Profile>*>(workspace);
  workspace += sizeof(Nodes<Profile>) / sizeof(double);
  auto& table = *reinterpret_cast<typename Profile::MeanTable*>(workspace);
  workspace += sizeof(typename Profile::MeanTable) / sizeof(double) + 1;
  Profile::prepare_mean(constants, table);
  Evaluator<Profile> evaluator{geometry, constants, table, nodes};
  double* below = workspace;
  double* above = below + static_cast<std::size_t>(width) * sums;
  double* sides = above + static_cast<std::size_t>(width) * sums;

  const double left = -0.5 - x0;
  evaluator.template row<true>(width, left, -0.5 - y0, below);
  for (int j = 0; j < height; ++j) {
    const double y_low = j - 0.5 - y0, y_high = y_low + 1.0;
    evaluator.template row<true>(width, left, y_high, above);
    evaluator.template row<false>(width + 1, y_low, left, sides);
    double* out = fields + static_cast<std::size_t>(j) * row_stride;
    for (int i = 0; i < width; ++i, out += n_lanes) {
      const double x_low = left + i, x_high = x_low + 1.0;
      const double* b = below + i * sums;
      const double* t = above + i * sums;
      const double* l = sides + i * sums;
      const double* r = l + sums;
      // Closed line integrals around the pixel.
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
      out[4] =
          geometry.p12 * (flux - 0.5 * (xx + yy)) - 0.5 * (geometry.p22 * yx + geometry.p11 * xy);
      out[5] = 0.5 * (geometry.p22 * (flux - yy) - geometry.p12 * xy);
      for (int k = 0; k < 2; ++k) {
        const int at = sum_shape + k;
        out[6 + k] = k < Profile::n_shape
                         ? x_high * r[at] - x_low * l[at] + y_high * t[at] - y_low * b[at]
                         : 0.0;
      }
    }
    double* swap = below;
    below = above;
    above = swap;
  }
}

JL_ISA_END
}  // namespace jointlight
