// SPDX-License-Identifier: BSD-3-Clause
// From a tile's slots (plane, sky units) to what its rendering needs in pixels, with the matrix
// that carries lane derivatives back to the slots.
#pragma once

#include "scene/tile.hpp"

namespace jointlight {

// An image's own corrections, after the component's slots: shift east and north (arcsec), rotation
// (degrees, north to east), scale, flux scale.
inline constexpr int n_calibration = 5;
enum CalibrationSlot : int {
  shift_x = 0,
  shift_y = 1,
  rotation = 2,
  frame_scale = 3,
  flux_scale = 4,
};

inline constexpr int max_slots = 9 + n_calibration;

// Least axis ratio that is drawn: its errors reach 2e-3 of the peak for a steep profile of large
// extent, against 1e-5 from 0.1 on, and they grow with the square of what is below.
inline constexpr double thinnest = 0.02;

// How the slots (q, PA, scale) of an elliptical profile are to be read.
enum class ShapeChart : std::uint8_t {
  ellipse,      // q, PA (degrees), semi-major scale
  folded,       // the same, and q > 1 stands for 1/q at PA + 90
  log_shear,    // y1, y2, ln of the circularised scale: S = Rc^2 exp(2 E(y)), smooth at q = 1
  shear_major,  // y1, y2, semi-major scale
};

enum class ComponentKind : std::uint8_t { profile, point, flat_sky, plane_sky };

// Local map between the image's pixels and the tangent plane (arcsec), about an anchor.
struct LocalMap {
  double anchor_pixel[2] = {};  // image pixels
  double anchor_plane[2] = {};  // arcsec
  double jacobian[4] = {};      // d(X, Y)/d(x, y), row-major, arcsec/px
  double inverse[4] = {};       // its inverse
  double quadratic[6] = {};     // [2][3]: pixel += Q (dX^2, dX dY, dY^2)
  double pixel_area = 1.0;      // arcsec^2
};

struct TileGeometry {
  ComponentKind kind = ComponentKind::profile;
  ShapeChart chart = ShapeChart::ellipse;
  bool amplitude_is_flux = false;
  int profile = -1;  // registry index, or -1
  int n_shape = 0;
  int n_slots = 0;  // of the component
  // With a calibration the true plane position c is found at pivot + scale R (c - pivot) + shift in
  // the plane of this image's map.
  bool calibrated = false;
  double pivot[2] = {};  // arcsec
  LocalMap map;
  double window_origin[2] = {};  // image pixels

  JL_HD int n_all_slots() const { return n_slots + (calibrated ? n_calibration : 0); }
};

// lanes -> slots: d(image)/d(slot j) = sum_i lanes_i chain[i][j]
struct Chain {
  double matrix[n_lanes][max_slots] = {};
};

// Fills centre, S, shape, value and chain. Returns false if the slots describe nothing that can be
// drawn (non-finite, extreme).
bool evaluate_geometry(const TileGeometry& tile, const double* slots, TileState& state,
                       Chain& chain);

}  // namespace jointlight
