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

#include <cstddef>

#include "base/lanes.hpp"
#include "base/macros.hpp"
#include "stages/pixel_edge.hpp"

namespace jointlight {
JL_ISA_BEGIN

namespace pixel_detail {

inline constexpr int node_block = 160;  // nodes evaluated at a time

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

  // Takes the nodes of one edge, and adds them up whenever the next panel would not fit.
  struct Block {
    Evaluator& evaluator;
    double* sums;
    int count = 0;

    JL_INLINE void node(double r2, double tau, double weight) {
      evaluator.nodes.r2[count] = r2;
      evaluator.nodes.tau[count] = tau;
      evaluator.nodes.weight[count] = weight;
      ++count;
    }
    void panel(int order) {
      if (count + order > node_block) finish();
    }
    void finish() {
      if (count > 0) evaluator.add(count, sums);
      count = 0;
    }
  };

  void near(const Direction& dir, double tau0, double s, double* sums) {
    for (int k = 0; k < n_sums<Profile>; ++k) sums[k] = 0.0;
    Block block{*this, sums};
    near_edge(geometry, HostRule{}, dir, tau0, s, block);
  }

  // `count` <= run_length edges side by side along x, all of one order. Edges along x: tau0 steps
  // by one, s is fixed; edges along y: tau0 fixed, s steps by one.
  template <bool along_x>
  void run(int count, double tau0, double s, double* JL_RESTRICT sums) {
    const Direction& dir = along_x ? geometry.along_x : geometry.along_y;
    const double distance2 = run_distance2<along_x>(geometry, count, tau0, s);
    if (distance2 < geometry.reach2[max_far_order]) {
      for (int i = 0; i < count; ++i) {
        near(dir, along_x ? tau0 + i : tau0, along_x ? s : s + i, sums + i * n_sums<Profile>);
      }
      return;
    }
    const int order = far_order(geometry, distance2);
    for (int k = 0; k < order; ++k) {
      const double at = tau0 + 0.5 + 0.5 * HostRule::node(order, k);
      for (int i = 0; i < run_length; ++i) {
        const double tau = along_x ? at + i : at, normal = along_x ? s : s + i;
        nodes.r2[k * run_length + i] = edge_r2(dir, tau, normal);
        nodes.tau[k * run_length + i] = tau;
      }
    }
    nodes.evaluate(constants, table, order * run_length);
    double total[n_sums<Profile>][run_length] = {};
    for (int k = 0; k < order; ++k) {
      const double w = 0.5 * HostRule::weight(order, k);
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
  typename Profile::Constants constants{};
  const bool usable = prepare_pixel<Profile>(x0, y0, S, shape, constants, geometry);
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
    const double y_low = j - 0.5 - y0;
    evaluator.template row<true>(width, left, y_low + 1.0, above);
    evaluator.template row<false>(width + 1, y_low, left, sides);
    double* out = fields + static_cast<std::size_t>(j) * row_stride;
    for (int i = 0; i < width; ++i, out += n_lanes) {
      const double *bottom = below + i * sums, *side = sides + i * sums;
      pixel_lanes<Profile>(geometry, left + i, y_low, bottom, above + i * sums, side, side + sums,
                           out);
    }
    double* swap = below;
    below = above;
    above = swap;
  }
}

JL_ISA_END
}  // namespace jointlight
