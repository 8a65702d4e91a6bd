// SPDX-License-Identifier: BSD-3-Clause
// Plain-data views of one tile (one component on one image, inside its window): what the stages
// read. No ownership, so that the same structs serve any executor.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "base/fft_plan.hpp"
#include "base/lanes.hpp"
#include "base/macros.hpp"

namespace jointlight {

// Lanes of a tile's fields, in the tile's own pixel frame.
enum Lane : int {
  lane_unit = 0,  // the component with unit amplitude
  lane_x0 = 1,    // d/d(centre), pixels
  lane_y0 = 2,
  lane_s11 = 3,  // d/d(shape matrix), px^2; lane_s12 moves S12 and S21 together
  lane_s12 = 4,
  lane_s22 = 5,
  lane_shape0 = 6,  // d/d(profile shape)
  lane_shape1 = 7,
};

enum class Likelihood : std::uint8_t { gaussian, poisson };

// mixed: derivatives in float32; images, chi2 and all sums in float64.
enum class Precision : std::uint8_t { float64, mixed };

// Rings of copies of a component in the neighbouring boxes (stages/copies.hpp) that are summed one
// by one; the rest is the tail.
inline constexpr int copy_rings = 8;

// Copies up to ring `last`, beyond those before: their light as a polynomial of n x n coefficients.
struct CopyRings {
  int last = 0;
  int n = 0;                       // even
  const double* node = nullptr;    // [n] Chebyshev nodes in [-1, 1]
  const double* cosine = nullptr;  // [k][i]: share of the value at node i in coefficient k
};

// The copies' light on a square about the component's own, (-half_x, half_x) x (-half_y, half_y).
struct CopyPlan {
  static constexpr int max_order = 48;
  int n = 0;  // coefficients along each axis, 0 = nothing to subtract; the largest of the rings'
  double half_x = 0.0, half_y = 0.0;  // pixels
  CopyRings rings[3];
  // What the PSF's moments do to coefficients: along each axis, [n][n], and d^2/dxdy's factor
  const double *blur_x = nullptr, *blur_y = nullptr;
  double blur_xy = 0.0;

  // Numbers in a polynomial.
  JL_HD std::size_t size() const {
    return static_cast<std::size_t>(n) * static_cast<std::size_t>(n) * n_lanes;
  }
};

// A large window is drawn in two parts (stages/core_box.hpp): the profile's tapered core through a
// box around the source, and the smooth rest on grids that the PSF's filter and a spline take to
// the pixels, row by row where they are used.
inline constexpr int rest_reach = 3;  // nodes that the filter reaches
inline constexpr int rest_filter_size = 2 * rest_reach + 1;
inline constexpr int rest_taps = 6;  // of the quintic B-spline

struct RestGrid {
  double step = 0.0;                // pixels between nodes; 0 = no such grid
  int nx = 0, ny = 0;               // nodes
  double x_low = 0.0, y_low = 0.0;  // window pixels of node 0
  // Pixels of the window that it serves
  int x_begin = 0, x_end = 0, y_begin = 0, y_end = 0;
  // For each such pixel along an axis: first of the rest_taps nodes, and the spline there
  const int *cell_x = nullptr, *cell_y = nullptr;
  const double *weights_x = nullptr, *weights_y = nullptr;  // [.][rest_taps]
  // PSF about its shift, over the spline's response: [rest_filter_size (y)][rest_filter_size (x)]
  const double* filter = nullptr;
  double* filtered = nullptr;  // [ny][nx][n_lanes], the rest under the PSF over the spline

  JL_HD std::size_t size() const {
    return static_cast<std::size_t>(nx) * static_cast<std::size_t>(ny) * n_lanes;
  }
};

struct CorePlan {
  double taper = 0.0;     // in units of the profile's scale, 0 = the whole profile in one box
  double least_px = 0.0;  // least minor radius of the taper for which the grids suffice, pixels
  double shift[2] = {};   // of the PSF
  RestGrid fine, coarse;  // around the box, and beyond (none where fine serves the window)
};

// The part of the window that is drawn through the Fourier box.
struct DrawnBox {
  int x0 = 0, y0 = 0;                                  // window pixel of the box's first
  int x_begin = 0, x_end = 0, y_begin = 0, y_end = 0;  // window pixels
};

enum class Renderer : std::uint8_t { fourier, pixel, sky };

// Radial transform f(rho) of one profile at one shape, rho^2 = k^T S k: quintic pieces on a
// uniform grid in u = ln rho^2.
struct RadialTable {
  static constexpr int degree = 5;
  static constexpr int columns = 4;  // f, df/du, df/dshape0, df/dshape1
  double u0 = 0.0, inverse_step = 1.0;
  int n_intervals = 0;
  const double* coefficients = nullptr;  // [n_intervals][degree + 1][columns]
  double at_zero[columns] = {};          // at rho = 0: f, 0, df/dshape...
  // Below rho^2 = near_end2, if any, quintic pieces on a uniform grid in rho; columns f,
  // (df/drho) / 2, df/dshape.
  int near_intervals = 0;
  double near_end2 = 0.0, near_inverse_step = 0.0;
  const double* near_coefficients = nullptr;  // [near_intervals][degree + 1][columns]
};

// One run of frequencies j_y in [y_begin, y_end) at fixed extended j_x, to be folded into box
// column x. Extended indices run past the box's Nyquist where the PSF has power there.
struct SpectrumRun {
  int column;              // box column, 0 .. box_x / 2
  int jx;                  // signed extended index
  int y_begin, y_end;      // signed extended indices
  const double* transfer;  // PSF transform / (box_x box_y), (re, im) pairs [y_end - y_begin]
};

// Everything of a PSF that a box of box_x x box_y pixels needs.
struct TransferView {
  int box_x = 0, box_y = 0;
  int n_columns = 0;                  // box columns 0 .. n_columns-1 hold power
  int y_min = 0, y_max = 0;           // range of extended j_y over all runs, y_max exclusive
  const SpectrumRun* runs = nullptr;  // sorted by column
  const int* column_start = nullptr;  // [n_columns + 1] into runs
  // What the PSF does to anything smooth: shift, and second moments xx, xy, yy about the shift
  double shift[2] = {};
  double moments[3] = {};
};

// Largest eigenvalue of a shape matrix: the major axis' scale squared, px^2.
JL_HD JL_INLINE double largest_eigenvalue(const double S[3]) {
  const double half = 0.5 * (S[0] - S[2]);
  return 0.5 * (S[0] + S[2]) + std::sqrt(half * half + S[1] * S[1]);
}

// What a tile's rendering depends on at one parameter vector (host-prepared, a few hundred bytes).
struct TileState {
  double x0 = 0.0, y0 = 0.0;      // centre, window pixels
  double S[3] = {1.0, 0.0, 1.0};  // S11, S12, S22, px^2
  double shape[2] = {};
  RadialTable table;
  bool has_table = false;      // false: point source, f = 1
  bool visible = true;         // false: not drawn
  bool beyond = false;         // not drawn because the plan's boxes do not reach that far
  double taper = 0.0;          // of the core, units of the scale; 0 = none
  double tail[n_lanes] = {};   // light of the copies beyond the summed shells
  double value[n_lanes] = {};  // image = value . lanes
};

// What a tile's lanes depend on; all else of its state scales them.
using LaneKey = std::array<double, 8>;
inline LaneKey lane_key(const TileState& state) {
  return {state.x0,   state.y0,       state.S[0],     state.S[1],
          state.S[2], state.shape[0], state.shape[1], state.visible ? 1.0 : 0.0};
}

struct TileView {
  Renderer renderer = Renderer::fourier;
  int profile = 0;             // index into the profile table
  int x0 = 0, y0 = 0;          // window origin in the image
  int width = 0, height = 0;   // window size
  std::size_t row_stride = 0;  // numbers per row of the fields
  double* fields = nullptr;    // [drawn rows][row_stride], lanes of the drawn pixels interleaved
  // In mixed precision instead: the same in float32, and the image [height][width]
  float* single_fields = nullptr;
  double* plane = nullptr;
  CopyPlan copies;
  CorePlan core;
  DrawnBox drawn;
  TransferView transfer;
  FftView fft_x, fft_y;
  double sky_map[6] = {};  // plane offset = (a + b x + c y, d + e x + f y), arcsec

  // Whether lanes are made a row at a time where they are used, and are in no memory.
  JL_HD bool made_by_row() const { return renderer == Renderer::sky || core.taper > 0.0; }
  // Whether one box holds the window, so that its image can be drawn without its derivatives.
  JL_HD bool in_one_box() const { return renderer == Renderer::fourier && core.taper == 0.0; }
  JL_HD int drawn_rows() const { return drawn.y_end - drawn.y_begin; }
};

}  // namespace jointlight
