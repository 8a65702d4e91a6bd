// SPDX-License-Identifier: BSD-3-Clause
#include "scene/geometry.hpp"

#include <cmath>

#include "scene/transform_table.hpp"

namespace jointlight {
namespace {

constexpr double degree = M_PI / 180.0;
const double eta_max = -0.5 * std::log(thinnest);  // q = exp(-2 eta)
constexpr double largest_px = 1e7;  // scale and distance in pixels beyond which nothing is drawn
constexpr double smallest_px = 1e-4;

constexpr int n_shape_slots = 3, n_frame = 2;  // (q, PA, scale); (rotation, scale) of the image

// S (plane, arcsec^2: S11, S12, S22) and its derivatives by the three shape slots and the image's
// rotation and scale.
struct PlaneShape {
  double S[3];
  double by_slot[3][n_shape_slots + n_frame];  // [3 (S)][slot]
};

// The similarity of the plane that an image's calibration amounts to, matrices row-major.
struct Frame {
  double shift[2] = {}, pivot[2] = {};
  double scale = 1.0, flux = 1.0;
  double turn[4] = {1.0, 0.0, 0.0, 1.0};       // R: turns (east, north) from north to east
  double by_angle[4] = {0.0, 1.0, -1.0, 0.0};  // dR/d(angle), per radian

  static bool read(const TileGeometry& tile, const double* slots, Frame& frame) {
    if (!tile.calibrated) return true;
    const double* c = slots + tile.n_slots;
    if (!(c[frame_scale] > 0.01) || !(c[frame_scale] < 100.0)) return false;
    const double angle = c[rotation] * degree, cos = std::cos(angle), sin = std::sin(angle);
    frame = {{c[shift_x], c[shift_y]}, {tile.pivot[0], tile.pivot[1]},
             c[frame_scale],           c[flux_scale],
             {cos, sin, -sin, cos},    {-sin, cos, -cos, -sin}};
    return true;
  }

  // The symmetric part of m S n^T
  static void congruence(const double* m, const double* n, const double* S, double* out) {
    const double a[4] = {m[0] * S[0] + m[1] * S[1], m[0] * S[1] + m[1] * S[2],
                         m[2] * S[0] + m[3] * S[1], m[2] * S[1] + m[3] * S[2]};  // m S
    out[0] = a[0] * n[0] + a[1] * n[1];
    out[1] = 0.5 * (a[0] * n[2] + a[1] * n[3] + a[2] * n[0] + a[3] * n[1]);
    out[2] = a[2] * n[2] + a[3] * n[3];
  }

  void apply(PlaneShape& shape) const {
    double turned[3], by_turn[3];
    for (int j = 0; j < n_shape_slots; ++j) {
      const double column[3] = {shape.by_slot[0][j], shape.by_slot[1][j], shape.by_slot[2][j]};
      congruence(turn, turn, column, turned);
      for (int k = 0; k < 3; ++k) shape.by_slot[k][j] = scale * scale * turned[k];
    }
    congruence(turn, turn, shape.S, turned);
    congruence(by_angle, turn, shape.S, by_turn);
    for (int k = 0; k < 3; ++k) {
      shape.by_slot[k][n_shape_slots] = 2.0 * degree * scale * scale * by_turn[k];
      shape.by_slot[k][n_shape_slots + 1] = 2.0 * scale * turned[k];
      shape.S[k] = scale * scale * turned[k];
    }
  }
};

// a = (sin PA, cos PA) is the major axis in (East, North).
bool shape_from_ellipse(const double* slots, PlaneShape& out) {
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

bool shape_from_folded(const double* slots, PlaneShape& out) {
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

  explicit Squeeze(double y) {
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
bool shape_from_log_shear(const double* slots, PlaneShape& out) {
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
bool shape_from_shear_major(const double* slots, PlaneShape& out) {
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

bool all_finite(const double* values, int n) {
  for (int i = 0; i < n; ++i) {
    if (!std::isfinite(values[i])) return false;
  }
  return true;
}

bool shape_from_slots(ShapeChart chart, const double* slots, PlaneShape& out) {
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

// Centre in window pixels and d(x0, y0)/d(centre slots, calibration slots).
struct CentreChain {
  double by_centre[2][2], by_calibration[2][n_calibration];
};

void place(const TileGeometry& tile, const Frame& frame, const double* centre, TileState& state,
           CentreChain& chain) {
  const LocalMap& map = tile.map;
  const double* R = frame.turn;
  const double u = centre[0] - frame.pivot[0], v = centre[1] - frame.pivot[1];
  const double turned[2] = {R[0] * u + R[1] * v, R[2] * u + R[3] * v};
  double at[2] = {centre[0], centre[1]};
  if (tile.calibrated) {
    for (int i = 0; i < 2; ++i) at[i] = frame.pivot[i] + frame.scale * turned[i] + frame.shift[i];
  }
  const double dx = at[0] - map.anchor_plane[0], dy = at[1] - map.anchor_plane[1];
  const double* q = map.quadratic;
  state.x0 = map.anchor_pixel[0] - tile.window_origin[0] + map.inverse[0] * dx +
             map.inverse[1] * dy + q[0] * dx * dx + q[1] * dx * dy + q[2] * dy * dy;
  state.y0 = map.anchor_pixel[1] - tile.window_origin[1] + map.inverse[2] * dx +
             map.inverse[3] * dy + q[3] * dx * dx + q[4] * dx * dy + q[5] * dy * dy;
  const double d[2][2] = {
      {map.inverse[0] + 2.0 * q[0] * dx + q[1] * dy, map.inverse[1] + q[1] * dx + 2.0 * q[2] * dy},
      {map.inverse[2] + 2.0 * q[3] * dx + q[4] * dy, map.inverse[3] + q[4] * dx + 2.0 * q[5] * dy}};
  const double* T = frame.by_angle;
  const double by_turn[2] = {degree * frame.scale * (T[0] * u + T[1] * v),
                             degree * frame.scale * (T[2] * u + T[3] * v)};
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 2; ++j) {
      chain.by_centre[i][j] = frame.scale * (d[i][0] * R[j] + d[i][1] * R[2 + j]);
    }
    chain.by_calibration[i][shift_x] = d[i][0];
    chain.by_calibration[i][shift_y] = d[i][1];
    chain.by_calibration[i][rotation] = d[i][0] * by_turn[0] + d[i][1] * by_turn[1];
    chain.by_calibration[i][frame_scale] = d[i][0] * turned[0] + d[i][1] * turned[1];
    chain.by_calibration[i][flux_scale] = 0.0;
  }
}

// Columns of the chain for the centre, with the calibration's part of them.
void chain_centre(const TileGeometry& tile, const CentreChain& centre, double brightness,
                  Chain& chain) {
  for (int i = 0; i < 2; ++i) {
    double* row = chain.matrix[lane_x0 + i];
    for (int j = 0; j < 2; ++j) row[j] = brightness * centre.by_centre[i][j];
    if (!tile.calibrated) continue;
    for (int j = 0; j < n_calibration; ++j) {
      row[tile.n_slots + j] = brightness * centre.by_calibration[i][j];
    }
  }
}

bool evaluate_sky(const TileGeometry& tile, const double* slots, TileState& state, Chain& chain) {
  for (int i = 0; i < tile.n_slots; ++i) {
    state.value[i] = slots[i] * tile.map.pixel_area;
    chain.matrix[i][i] = tile.map.pixel_area;
  }
  return true;
}

}  // namespace

void ellipse_to_shear(const double natural[3], double shear[3]) {
  const double eta = -0.5 * std::log(natural[0]), angle = 2.0 * natural[1] * degree;
  const double y = eta_max * std::atanh(std::min(eta / eta_max, 0.9999));
  shear[0] = y * std::cos(angle);
  shear[1] = y * std::sin(angle);
  shear[2] = std::log(natural[2]) - Squeeze(y).eta;
}

void shear_to_ellipse(const double shear[3], double natural[3]) {
  const double y = std::hypot(shear[0], shear[1]), eta = Squeeze(y).eta;
  natural[0] = std::exp(-2.0 * eta);
  double angle = y > 0.0 ? 0.5 * std::atan2(shear[1], shear[0]) / degree : 0.0;
  natural[1] = angle < 0.0 ? angle + 180.0 : angle;
  natural[2] = std::exp(shear[2] + eta);
}

void shear_jacobian(const double shear[3], double jacobian[9]) {
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

bool evaluate_geometry(const TileGeometry& tile, const double* slots, TileState& state,
                       Chain& chain) {
  chain = {};
  for (double& v : state.value) v = 0.0;
  if (!all_finite(slots, tile.n_all_slots())) return false;
  if (tile.kind == ComponentKind::flat_sky || tile.kind == ComponentKind::plane_sky) {
    return evaluate_sky(tile, slots, state, chain);
  }

  Frame frame;
  if (!Frame::read(tile, slots, frame)) return false;
  CentreChain centre;
  place(tile, frame, slots, state, centre);
  if (!(std::abs(state.x0) < largest_px) || !(std::abs(state.y0) < largest_px)) return false;
  const double amplitude = slots[tile.n_slots - 1];

  if (tile.kind == ComponentKind::point) {
    state.value[lane_unit] = amplitude * frame.flux;
    chain.matrix[lane_unit][2] = frame.flux;
    chain_centre(tile, centre, amplitude * frame.flux, chain);
    if (tile.calibrated) chain.matrix[lane_unit][tile.n_slots + flux_scale] = amplitude;
    return true;
  }

  PlaneShape plane = {};
  if (!shape_from_slots(tile.chart, slots + 2, plane)) return false;
  const int n_by = tile.calibrated ? n_shape_slots + n_frame : n_shape_slots;
  if (tile.calibrated) frame.apply(plane);

  // S_px = J^-1 S J^-T as a 3 x 3 map of (S11, S12, S22)
  const double* m = tile.map.inverse;
  const double lift[3][3] = {{m[0] * m[0], 2.0 * m[0] * m[1], m[1] * m[1]},
                             {m[0] * m[2], m[0] * m[3] + m[1] * m[2], m[1] * m[3]},
                             {m[2] * m[2], 2.0 * m[2] * m[3], m[3] * m[3]}};
  double by_slot[3][n_shape_slots + n_frame];
  for (int i = 0; i < 3; ++i) {
    state.S[i] = 0.0;
    for (int k = 0; k < 3; ++k) state.S[i] += lift[i][k] * plane.S[k];
    for (int j = 0; j < n_by; ++j) {
      by_slot[i][j] = 0.0;
      for (int k = 0; k < 3; ++k) by_slot[i][j] += lift[i][k] * plane.by_slot[k][j];
    }
  }
  const double det = state.S[0] * state.S[2] - state.S[1] * state.S[1];
  const double trace = state.S[0] + state.S[2];
  if (!(det > std::pow(smallest_px, 4)) || !(trace < largest_px * largest_px) ||
      !(det > 1e-9 * trace * trace)) {
    return false;
  }

  const int first_shape = 5, amplitude_slot = tile.n_slots - 1;
  const ProfileInfo& info = profile_registry()[static_cast<std::size_t>(tile.profile)];
  for (int s = 0; s < tile.n_shape; ++s) {
    state.shape[s] = slots[first_shape + s];
    const auto k = static_cast<std::size_t>(s);
    // A hair outside is where bounds leave a coordinate after rounding.
    if (!(state.shape[s] >= info.shape_min[k] * (1.0 - 1e-9)) ||
        !(state.shape[s] <= info.shape_max[k] * (1.0 + 1e-9))) {
      return false;
    }
  }

  // Magnified by the calibration, a source keeps its flux and loses brightness.
  double unit = tile.map.pixel_area / (frame.scale * frame.scale);
  double log_norm_by_S[3] = {}, log_norm_by_shape[2] = {};
  if (tile.amplitude_is_flux) {
    double by_shape[2];
    const double f0 = transform_table(tile.profile).flux_factor(state.shape, by_shape);
    unit = 1.0 / (std::sqrt(det) * f0);
    log_norm_by_S[0] = -0.5 * state.S[2] / det;
    log_norm_by_S[1] = state.S[1] / det;
    log_norm_by_S[2] = -0.5 * state.S[0] / det;
    for (int s = 0; s < tile.n_shape; ++s) log_norm_by_shape[s] = -by_shape[s] / f0;
  }
  const double brightness = amplitude * unit * frame.flux;
  state.value[lane_unit] = brightness;
  chain.matrix[lane_unit][amplitude_slot] = unit * frame.flux;
  chain_centre(tile, centre, brightness, chain);
  for (int j = 0; j < n_by; ++j) {
    const int slot = j < n_shape_slots ? 2 + j : tile.n_slots + rotation + j - n_shape_slots;
    for (int i = 0; i < 3; ++i) {
      chain.matrix[lane_s11 + i][slot] = brightness * by_slot[i][j];
      chain.matrix[lane_unit][slot] += brightness * log_norm_by_S[i] * by_slot[i][j];
    }
  }
  if (tile.calibrated) {
    chain.matrix[lane_unit][tile.n_slots + flux_scale] = amplitude * unit;
    if (!tile.amplitude_is_flux) {
      chain.matrix[lane_unit][tile.n_slots + frame_scale] -= 2.0 * brightness / frame.scale;
    }
  }
  for (int s = 0; s < tile.n_shape; ++s) {
    chain.matrix[lane_shape0 + s][first_shape + s] = brightness;
    chain.matrix[lane_unit][first_shape + s] += brightness * log_norm_by_shape[s];
  }
  return true;
}

}  // namespace jointlight
