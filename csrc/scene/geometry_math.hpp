// SPDX-License-Identifier: BSD-3-Clause
// From a tile's slots to its geometry in pixels and the chain back: for host and device.
#pragma once

#include <cmath>

#include "base/macros.hpp"
#include "scene/chart_math.hpp"
#include "scene/geometry.hpp"
#include "scene/transform_view.hpp"

namespace jointlight {
JL_ISA_BEGIN

inline constexpr double largest_px = 1e7;  // scale and distance beyond which nothing is drawn
inline constexpr double smallest_px = 1e-4;

// The similarity of the plane that an image's calibration amounts to, matrices row-major.
struct Frame {
  double shift[2] = {}, pivot[2] = {};
  double scale = 1.0, flux = 1.0;
  double turn[4] = {1.0, 0.0, 0.0, 1.0};       // R: turns (east, north) from north to east
  double by_angle[4] = {0.0, 1.0, -1.0, 0.0};  // dR/d(angle), per radian

  JL_HD static bool read(const TileGeometry& tile, const double* slots, Frame& frame) {
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
  JL_HD static void congruence(const double* m, const double* n, const double* S, double* out) {
    const double a[4] = {m[0] * S[0] + m[1] * S[1], m[0] * S[1] + m[1] * S[2],
                         m[2] * S[0] + m[3] * S[1], m[2] * S[1] + m[3] * S[2]};  // m S
    out[0] = a[0] * n[0] + a[1] * n[1];
    out[1] = 0.5 * (a[0] * n[2] + a[1] * n[3] + a[2] * n[0] + a[3] * n[1]);
    out[2] = a[2] * n[2] + a[3] * n[3];
  }

  JL_HD void apply(PlaneShape& shape) const {
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

// Centre in window pixels and d(x0, y0)/d(centre slots, calibration slots).
struct CentreChain {
  double by_centre[2][2], by_calibration[2][n_calibration];
};

JL_HD inline void place_centre(const TileGeometry& tile, const Frame& frame, const double* centre,
                               TileState& state, CentreChain& chain) {
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
JL_HD inline void chain_centre(const TileGeometry& tile, const CentreChain& centre,
                               double brightness, Chain& chain) {
  for (int i = 0; i < 2; ++i) {
    double* row = chain.matrix[lane_x0 + i];
    for (int j = 0; j < 2; ++j) row[j] = brightness * centre.by_centre[i][j];
    if (!tile.calibrated) continue;
    for (int j = 0; j < n_calibration; ++j) {
      row[tile.n_slots + j] = brightness * centre.by_calibration[i][j];
    }
  }
}

JL_HD inline bool evaluate_sky(const TileGeometry& tile, const double* slots, TileState& state,
                               Chain& chain) {
  for (int i = 0; i < tile.n_slots; ++i) {
    state.value[i] = slots[i] * tile.map.pixel_area;
    chain.matrix[i][i] = tile.map.pixel_area;
  }
  return true;
}

// What evaluate_geometry does (geometry.hpp), in a given chart and with a profile that says of
// itself
//   bool allows(const double* shape) const;
//   double flux_factor(const double* shape, double* by_shape) const;
template <class Profile>
JL_HD inline bool evaluate_tile(const TileGeometry& tile, ShapeChart chart, const double* slots,
                                const Profile& profile, TileState& state, Chain& chain) {
  chain = {};
  for (double& v : state.value) v = 0.0;
  if (!all_finite(slots, tile.n_all_slots())) return false;
  if (tile.kind == ComponentKind::flat_sky || tile.kind == ComponentKind::plane_sky) {
    return evaluate_sky(tile, slots, state, chain);
  }

  Frame frame;
  if (!Frame::read(tile, slots, frame)) return false;
  CentreChain centre;
  place_centre(tile, frame, slots, state, centre);
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
  if (!shape_from_slots(chart, slots + 2, plane)) return false;
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
  if (!(det > smallest_px * smallest_px * smallest_px * smallest_px) ||
      !(trace < largest_px * largest_px) || !(det > 1e-9 * trace * trace)) {
    return false;
  }

  const int first_shape = 5, amplitude_slot = tile.n_slots - 1;
  for (int s = 0; s < tile.n_shape; ++s) state.shape[s] = slots[first_shape + s];
  if (!profile.allows(state.shape)) return false;

  // Magnified by the calibration, a source keeps its flux and loses brightness.
  double unit = tile.map.pixel_area / (frame.scale * frame.scale);
  double log_norm_by_S[3] = {}, log_norm_by_shape[2] = {};
  if (tile.amplitude_is_flux) {
    double by_shape[2];
    const double f0 = profile.flux_factor(state.shape, by_shape);
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

JL_ISA_END
}  // namespace jointlight
