// SPDX-License-Identifier: BSD-3-Clause
// Shape charts: how the slots of an elliptical profile make its shape matrix, and the way between
// charts. For host and device.
#pragma once

#include <algorithm>
#include <cmath>

#include "base/macros.hpp"
#include "scene/geometry.hpp"

namespace jointlight {
JL_ISA_BEGIN

inline constexpr double degree = M_PI / 180.0;
inline constexpr double eta_max = 1.956011502714073;  // -ln(thinnest) / 2: q = exp(-2 eta)

inline constexpr int n_shape_slots = 3, n_frame = 2;  // (q, PA, scale); (rotation, scale) of image

JL_HD inline bool all_finite(const double* values, int n) {
  for (int i = 0; i < n; ++i) {
    if (!std::isfinite(values[i])) return false;
  }
  return true;
}

// S (plane, arcsec^2: S11, S12, S22) and its derivatives by the three shape slots and the image's
// rotation and scale.
struct PlaneShape {
  double S[3];
  double by_slot[3][n_shape_slots + n_frame];  // [3 (S)][slot]
};

// a = (sin PA, cos PA) is the major axis in (East, North).
JL_HD inline bool shape_from_ellipse(const double* slots, PlaneShape& out) {
  const double q = slots[0], angle = slots[1] * degree, radius = slots[2];
  // A hair outside is where charts leave a coordinate.
  const double least = thinnest * (1.0 - 1e-9);
  if (!(q >= least) || !(q * least <= 1.0) || !(radius > 0.0)) {
    return false;
  }
  const double s = std::sin(angle), c = std::cos(angle), r2 = radius * radius, q2 = q * q;
  out.S[0] = r2 * (s * s + q2 * c * c);
  out.S[1] = r2 * (1.0 - q2) * s * c;
  out.S[2] = r2 * (c * c + q2 * s * s);
  const double by_q[3] = {2.0 * r2 * q * c * c, -2.0 * r2 * q * s * c, 2.0 * r2 * q * s * s};
  const double turn = r2 * (1.0 - q2) * degree;
  const double by_pa[3] = {turn * 2.0 * s * c, turn * (c * c - s * s), -turn * 2.0 * s * c};
  for (int i = 0; i < 3; ++i) {
    out.by_slot[i][0] = by_q[i];
    out.by_slot[i][1] = by_pa[i];
    out.by_slot[i][2] = 2.0 * out.S[i] / radius;
  }
  return true;
}

JL_HD inline bool shape_from_folded(const double* slots, PlaneShape& out) {
  const double q = slots[0];
  if (!(q > 1.0)) return shape_from_ellipse(slots, out);
  const double swapped[3] = {1.0 / q, slots[1] + 90.0, slots[2]};
  if (!shape_from_ellipse(swapped, out)) return false;
  for (auto& row : out.by_slot) row[0] *= -1.0 / (q * q);
  return true;
}

// The chart's shear (y1, y2) runs to infinity where the ellipse becomes as thin as may be drawn:
// eta = L tanh(y / L), in the same direction.
struct Squeeze {
  double eta = 0.0;    // at |y|
  double ratio = 1.0;  // eta / |y|
  double slope = 1.0;  // d eta / d|y|
  double bend = 0.0;   // (slope - ratio) / y^2

  JL_HD explicit Squeeze(double y) {
    const double t = std::tanh(y / eta_max), h = y / eta_max * (y / eta_max);
    eta = eta_max * t;
    slope = 1.0 - t * t;
    if (h < 1e-4) {
      ratio = 1.0 - h / 3.0;
      bend = (-2.0 / 3.0 + 8.0 / 15.0 * h) / (eta_max * eta_max);
    } else {
      ratio = eta / y;
      bend = (slope - ratio) / (y * y);
    }
  }
};

// S = Rc^2 [cosh(2 eta) I + sinh(2 eta)/eta E], E = [[-eta1, eta2], [eta2, eta1]].
JL_HD inline bool shape_from_log_shear(const double* slots, PlaneShape& out) {
  const double y1 = slots[0], y2 = slots[1];
  const Squeeze squeeze(std::hypot(y1, y2));
  const double e1 = squeeze.ratio * y1, e2 = squeeze.ratio * y2, eta = squeeze.eta;
  if (!std::isfinite(eta) || !(std::abs(slots[2]) < 40.0)) return false;
  const double r2 = std::exp(2.0 * slots[2]), x = 2.0 * eta;
  const double ch = std::cosh(x);
  // s = sinh(2 eta)/eta and t = (ds/d eta)/eta, even in eta
  double s, t;
  if (eta < 0.02) {
    const double h = eta * eta;
    s = 2.0 + h * (4.0 / 3.0 + h * (4.0 / 15.0 + h * (8.0 / 315.0)));
    t = 8.0 / 3.0 + h * (16.0 / 15.0 + h * (16.0 / 105.0 + h * (32.0 / 2835.0)));
  } else {
    s = std::sinh(x) / eta;
    t = (2.0 * ch * eta - std::sinh(x)) / (eta * eta * eta);
  }
  out.S[0] = r2 * (ch - s * e1);
  out.S[1] = r2 * s * e2;
  out.S[2] = r2 * (ch + s * e1);
  // d cosh(2 eta)/d eta_i = 2 s eta_i,  ds/d eta_i = t eta_i
  out.by_slot[0][0] = r2 * (2.0 * s * e1 - s - t * e1 * e1);
  out.by_slot[0][1] = r2 * (2.0 * s * e2 - t * e1 * e2);
  out.by_slot[1][0] = r2 * t * e1 * e2;
  out.by_slot[1][1] = r2 * (s + t * e2 * e2);
  out.by_slot[2][0] = r2 * (2.0 * s * e1 + s + t * e1 * e1);
  out.by_slot[2][1] = r2 * (2.0 * s * e2 + t * e1 * e2);
  for (int i = 0; i < 3; ++i) {
    double* row = out.by_slot[i];
    const double by_1 = row[0], by_2 = row[1], along = squeeze.bend * (by_1 * y1 + by_2 * y2);
    row[0] = squeeze.ratio * by_1 + along * y1;
    row[1] = squeeze.ratio * by_2 + along * y2;
    row[2] = 2.0 * out.S[i];
  }
  return true;
}

// Same with the semi-major radius R = Rc exp(eta) in the third slot: a cone at eta = 0, but one
// that a step passes through.
JL_HD inline bool shape_from_shear_major(const double* slots, PlaneShape& out) {
  const double e1 = slots[0], e2 = slots[1], radius = slots[2];
  const double y = std::max(std::hypot(e1, e2), 1e-12);
  const Squeeze squeeze(y);
  if (!(radius > 0.0)) return false;
  const double log_slots[3] = {e1, e2, std::log(radius) - squeeze.eta};
  if (!shape_from_log_shear(log_slots, out)) return false;
  for (auto& row : out.by_slot) {
    row[0] -= row[2] * squeeze.slope * e1 / y;
    row[1] -= row[2] * squeeze.slope * e2 / y;
    row[2] /= radius;
  }
  return true;
}

JL_HD inline bool shape_from_slots(ShapeChart chart, const double* slots, PlaneShape& out) {
  switch (chart) {
    case ShapeChart::ellipse:
      return shape_from_ellipse(slots, out);
    case ShapeChart::folded:
      return shape_from_folded(slots, out);
    case ShapeChart::log_shear:
      return shape_from_log_shear(slots, out);
    case ShapeChart::shear_major:
      return shape_from_shear_major(slots, out);
  }
  return false;
}

// (q, PA in degrees, semi-major scale) <-> (y1, y2, ln circularised scale)
JL_HD inline void ellipse_to_shear(const double natural[3], double shear[3]) {
  const double eta = -0.5 * std::log(natural[0]), angle = 2.0 * natural[1] * degree;
  const double y = eta_max * std::atanh(std::min(eta / eta_max, 0.9999));
  shear[0] = y * std::cos(angle);
  shear[1] = y * std::sin(angle);
  shear[2] = std::log(natural[2]) - Squeeze(y).eta;
}

JL_HD inline void shear_to_ellipse(const double shear[3], double natural[3]) {
  const double y = std::hypot(shear[0], shear[1]), eta = Squeeze(y).eta;
  natural[0] = std::exp(-2.0 * eta);
  double angle = y > 0.0 ? 0.5 * std::atan2(shear[1], shear[0]) / degree : 0.0;
  natural[1] = angle < 0.0 ? angle + 180.0 : angle;
  natural[2] = std::exp(shear[2] + eta);
}

// d(q, PA, scale)/d(y1, y2, ln Rc), row-major; PA's row is large, not infinite, at the circle.
JL_HD inline void shear_jacobian(const double shear[3], double jacobian[9]) {
  const double y = std::max(std::hypot(shear[0], shear[1]), 1e-9);
  const double c = shear[0] / y, s = shear[1] / y;
  const Squeeze squeeze(y);
  const double q = std::exp(-2.0 * squeeze.eta), radius = std::exp(shear[2] + squeeze.eta);
  jacobian[0] = -2.0 * q * squeeze.slope * c;
  jacobian[1] = -2.0 * q * squeeze.slope * s;
  jacobian[2] = 0.0;
  jacobian[3] = -0.5 * s / (y * degree);
  jacobian[4] = 0.5 * c / (y * degree);
  jacobian[5] = 0.0;
  jacobian[6] = radius * squeeze.slope * c;
  jacobian[7] = radius * squeeze.slope * s;
  jacobian[8] = radius;
}

JL_ISA_END
}  // namespace jointlight
