// SPDX-License-Identifier: BSD-3-Clause
// A table of radial transforms (transform_table.hpp) as plain data, and what is read from it: for
// host and device. Nodes in (ln rho, ln shape) hold f, df/du and d2f/du2 with u = ln rho^2; between
// shapes they are interpolated by Lagrange's polynomials, between radii by quintic pieces.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "base/macros.hpp"
#include "scene/tile.hpp"

namespace jointlight {

struct TransformGrid {
  static constexpr double v_min = -14.0, v_max = 12.0;  // ln rho
  static constexpr int n_v = 521;                       // nodes in ln rho, 0.05 apart
  static constexpr double v_step = (v_max - v_min) / (n_v - 1);
  static constexpr double u_step = 2.0 * v_step;
  static constexpr double shape_step = 0.05;  // nodes in ln(shape - origin)
  static constexpr int order = 8;             // points of the interpolation in shape
  // Doubles of one node in shape: [n_v][3], then f at rho = 0.
  static constexpr int at_zero = 3 * n_v, node_size = at_zero + 1;
  // Doubles of one interval of a radial table: [degree + 1][columns].
  static constexpr int interval_size = (RadialTable::degree + 1) * RadialTable::columns;
};

struct TransformView {
  int n_shape = 0;
  double shape_origin = 0.0;
  int first_node = 0,
      n_nodes = 1;                 // of the table: ln(shape - origin) = shape_step (first_node + i)
  int first_held = 0, n_held = 0;  // nodes that are here, the first by its index in the table
  const double* nodes = nullptr;   // [n_held][node_size]
};

// Nodes and weights that give f at one shape.
struct TransformStencil {
  bool shaped = false;
  int first = 0, n = 1;  // nodes used
  const double* nodes[TransformGrid::order] = {};
  double weight[TransformGrid::order] = {1.0};  // value
  double slope[TransformGrid::order] = {0.0};   // derivative by shape
};

// First and last node in ln rho of a table.
struct RadialRange {
  int begin, end;

  JL_HD int n_intervals() const { return end - begin; }
};

JL_ISA_BEGIN

// All but the nodes themselves, which the host makes when they are first needed.
JL_HD inline TransformStencil stencil_weights(const TransformView& view, const double* shape) {
  constexpr int order = TransformGrid::order;
  TransformStencil s;
  if (view.n_shape == 0) return s;
  s.shaped = true;
  s.n = order;
  const double distance = shape[0] - view.shape_origin;
  const double position = std::log(distance) / TransformGrid::shape_step - view.first_node;
  s.first = static_cast<int>(std::floor(position)) - order / 2 + 1;
  s.first = std::min(std::max(s.first, 0), view.n_nodes - order);
  const double t = position - s.first;
  for (int i = 0; i < order; ++i) {
    // Lagrange polynomial and its derivative at t
    double weight = 1.0, slope = 0.0;
    for (int j = 0; j < order; ++j) {
      if (j == i) continue;
      double product = 1.0 / (i - j);
      for (int k = 0; k < order; ++k) {
        if (k != i && k != j) product *= (t - k) / (i - k);
      }
      slope += product;
      weight *= (t - j) / (i - j);
    }
    s.weight[i] = weight;
    s.slope[i] = slope / (TransformGrid::shape_step * distance);
  }
  return s;
}

JL_HD inline TransformStencil transform_stencil(const TransformView& view, const double* shape) {
  TransformStencil s = stencil_weights(view, shape);
  for (int i = 0; i < s.n; ++i) {
    s.nodes[i] = view.nodes + static_cast<std::ptrdiff_t>(s.first + i - view.first_held) *
                                  TransformGrid::node_size;
  }
  return s;
}

// f(0) = flux of unit amplitude and unit scale radius; derivatives by shape.
JL_HD inline double transform_flux(const TransformStencil& s, double* by_shape) {
  double value = 0.0, slope = 0.0;
  for (int i = 0; i < s.n; ++i) {
    value += s.weight[i] * s.nodes[i][TransformGrid::at_zero];
    slope += s.slope[i] * s.nodes[i][TransformGrid::at_zero];
  }
  if (by_shape != nullptr) {
    by_shape[0] = s.shaped ? slope : 0.0;
    by_shape[1] = 0.0;
  }
  return value;
}

// Whether shape parameters lie within their limits; a hair outside is where bounds leave a
// coordinate after rounding.
JL_HD inline bool within_limits(int n_shape, const double* shape, const double* low,
                                const double* high) {
  for (int s = 0; s < n_shape; ++s) {
    if (!(shape[s] >= low[s] * (1.0 - 1e-9)) || !(shape[s] <= high[s] * (1.0 + 1e-9))) return false;
  }
  return true;
}

// Nodes in ln rho of a table for rho^2 in [low, high].
JL_HD inline RadialRange radial_range(double low, double high) {
  constexpr int n_v = TransformGrid::n_v;
  const auto position = [](double rho2) {
    return (0.5 * std::log(std::min(std::max(rho2, 1e-290), 1e290)) - TransformGrid::v_min) /
           TransformGrid::v_step;
  };
  const int begin = std::min(std::max(static_cast<int>(std::floor(position(low))), 0), n_v - 2);
  const int end = static_cast<int>(std::ceil(position(high)));
  return {begin, std::min(std::max(end, begin + 1), n_v - 1)};
}

// All of a table but its coefficients.
JL_HD inline void radial_header(const TransformStencil& s, RadialRange range, RadialTable& table) {
  table.u0 = 2.0 * (TransformGrid::v_min + TransformGrid::v_step * range.begin);
  table.inverse_step = 1.0 / TransformGrid::u_step;
  table.n_intervals = range.n_intervals();
  double by_shape[2];
  table.at_zero[0] = transform_flux(s, by_shape);
  table.at_zero[1] = 0.0;
  table.at_zero[2] = by_shape[0];
  table.at_zero[3] = by_shape[1];
}

// At one end of an interval: f and df/dshape, each with two derivatives by the place in the
// interval.
struct RadialEnd {
  double column[2][3];
};

JL_HD inline void radial_end(const TransformStencil& s, int node, RadialEnd& end) {
  for (int d = 0; d < 3; ++d) {
    double value = 0.0, slope = 0.0;
    for (int m = 0; m < s.n; ++m) {
      const double f = s.nodes[m][node * 3 + d];
      value += s.weight[m] * f;
      slope += s.slope[m] * f;
    }
    constexpr double u_step = TransformGrid::u_step;
    const double scale = d == 0 ? 1.0 : (d == 1 ? u_step : u_step * u_step);
    end.column[0][d] = value * scale;
    end.column[1][d] = slope * scale;
  }
}

// The polynomial on [0, 1] with the given value and two derivatives at either end.
JL_HD JL_INLINE void quintic(const double left[3], const double right[3], double q[6]) {
  const double m0 = left[1], a0 = left[2], m1 = right[1], a1 = right[2], d = right[0] - left[0];
  q[0] = left[0];
  q[1] = m0;
  q[2] = 0.5 * a0;
  q[3] = 10.0 * d - 6.0 * m0 - 4.0 * m1 - 1.5 * a0 + 0.5 * a1;
  q[4] = -15.0 * d + 8.0 * m0 + 7.0 * m1 + 1.5 * a0 - a1;
  q[5] = 6.0 * d - 3.0 * (m0 + m1) - 0.5 * (a0 - a1);
}

// Coefficients [degree + 1][columns] of the interval between two ends.
JL_HD inline void radial_interval(bool shaped, const RadialEnd& left, const RadialEnd& right,
                                  double* c) {
  for (int k = 0; k < TransformGrid::interval_size; ++k) c[k] = 0.0;
  for (int column = 0; column < (shaped ? 2 : 1); ++column) {
    double q[6];
    quintic(left.column[column], right.column[column], q);
    const int target = column == 0 ? 0 : 2;
    for (int k = 0; k < 6; ++k) c[k * RadialTable::columns + target] = q[k];
    if (column == 0) {
      for (int k = 1; k < 6; ++k) {
        c[(k - 1) * RadialTable::columns + 1] = k * q[k] / TransformGrid::u_step;
      }
    }
  }
}

// Coefficients of interval `index` of the table whose range begins at `begin`.
JL_HD inline void radial_interval(const TransformStencil& s, int begin, int index, double* c) {
  RadialEnd left, right;
  radial_end(s, begin + index, left);
  radial_end(s, begin + index + 1, right);
  radial_interval(s.shaped, left, right, c);
}

JL_ISA_END
}  // namespace jointlight
