// SPDX-License-Identifier: BSD-3-Clause
// Placing one tile: from its slots to what its rendering needs, whether it is drawn, which part of
// the radial transform its box asks for, and the light of far copies. For host and device.
#pragma once

#include <algorithm>
#include <cmath>

#include "base/macros.hpp"
#include "base/taper.hpp"
#include "scene/core_math.hpp"
#include "scene/geometry_math.hpp"
#include "scene/tile.hpp"
#include "scene/transform_view.hpp"

namespace jointlight {

// Of CorePlan, what the taper at a state depends on.
struct CorePlace {
  double taper = 0.0;     // of the plan, units of the profile's scale; 0 = one box
  double least_px = 0.0;  // least minor radius of the taper, pixels
  double shift[2] = {};   // of the PSF
};

// What placing a tile takes of the plan.
struct PlaceView {
  TileGeometry geometry;      // with the chart of the fit's coordinates
  int slots[max_slots] = {};  // the tile's among the scene's
  Renderer renderer = Renderer::fourier;
  int width = 0, height = 0;   // window
  int box_x = 0, box_y = 0;    // Fourier box
  int box_x0 = 0, box_y0 = 0;  // window pixel of its first
  CorePlace core;              // of a window drawn in two parts
  // Squares of the box's least frequency and of the largest with power, (rad/px)^2
  double least_k2 = 0.0, largest_k2 = 0.0;

  JL_HD bool in_parts() const { return core.taper > 0.0; }
};

JL_ISA_BEGIN

// Semi-axes of the ellipse d^T S^-1 d = 1, pixels.
struct Axes {
  double major, minor;
};

JL_HD inline Axes axes(const double S[3]) {
  const double mean = 0.5 * (S[0] + S[2]), spread = std::hypot(0.5 * (S[0] - S[2]), S[1]);
  const double major2 = mean + spread, det = S[0] * S[2] - S[1] * S[1];
  return {std::sqrt(major2), std::sqrt(std::max(det, 0.0) / major2)};
}

// The taper's radius in filters and boxes is where it leaves 1e-6 of the profile's light.
inline constexpr double taper_radius = 5.0 / taper_end;

// The plan's taper, as long as it fits into the box and suits the grids. Within those limits it is
// constant, so that what is drawn is as smooth in every parameter as the profile is.
JL_HD inline double core_taper(const PlaceView& view, const TileState& state) {
  const double x = state.x0 + view.core.shift[0] - view.box_x0;
  const double y = state.y0 + view.core.shift[1] - view.box_y0;
  const double room_x = std::min(x, view.box_x - 1 - x);
  const double room_y = std::min(y, view.box_y - 1 - y);
  const double least = view.core.least_px / axes(state.S).minor;
  double radius = std::max(taper_radius * view.core.taper, least);
  radius = std::min(radius, room_x / std::sqrt(state.S[0]));
  radius = std::min(radius, room_y / std::sqrt(state.S[2]));
  return std::max(radius, 0.25 * least) / taper_radius;
}

// Whether the plan's grids suit the taper.
JL_HD inline bool core_suits(const PlaceView& view, const TileState& state) {
  return taper_radius * core_taper(view, state) * axes(state.S).minor > 0.98 * view.core.least_px;
}

JL_HD inline void gather_slots(const PlaceView& view, const double* scene_slots, double* slots) {
  const int n = view.geometry.n_all_slots();
  for (int k = 0; k < n; ++k) slots[k] = scene_slots[view.slots[k]];
}

// Geometry, visibility and chain from the tile's own slots; `Profile` as in evaluate_tile. A tile
// that is not drawn keeps its place and has no value.
template <class Profile>
JL_HD inline void place_tile(const PlaceView& view, const double* slots, bool internal,
                             const Profile& profile, TileState& state, Chain& chain) {
  state = {};
  const ShapeChart chart = internal ? view.geometry.chart : ShapeChart::ellipse;
  state.visible = evaluate_tile(view.geometry, chart, slots, profile, state, chain);
  const bool drawable = state.visible;
  if (drawable && view.renderer == Renderer::fourier) {
    // Beyond this a copy's core would lie in the window; a core would lie beyond its box.
    const double far_x = std::max(state.x0, view.width - 1 - state.x0);
    const double far_y = std::max(state.y0, view.height - 1 - state.y0);
    const double x = state.x0 - view.box_x0, y = state.y0 - view.box_y0;
    state.visible = view.in_parts() ? x > 0.0 && y > 0.0 && x < view.box_x && y < view.box_y
                                    : far_x < view.box_x - 1 && far_y < view.box_y - 1;
  }
  state.beyond = drawable && !state.visible;
  if (!state.visible) {
    for (double& v : state.value) v = 0.0;
    chain = {};
  } else if (view.in_parts()) {
    state.taper = core_taper(view, state);
  }
}

// Whether the placed tile is drawn from a radial table.
JL_HD inline bool needs_table(const PlaceView& view, const TileState& state) {
  return state.visible && view.renderer == Renderer::fourier &&
         view.geometry.kind == ComponentKind::profile;
}

// rho^2 = k^T S k between the smallest and the largest frequency of the box
JL_HD inline void table_limits(const PlaceView& view, const TileState& state, double& low,
                               double& high) {
  const double det = state.S[0] * state.S[2] - state.S[1] * state.S[1];
  const double largest = largest_eigenvalue(state.S), smallest = det / largest;
  low = view.least_k2 * smallest;
  if (view.in_parts())
    low = (CoreGrid::kappa_end / state.taper) * (CoreGrid::kappa_end / state.taper);
  high = view.largest_k2 * largest;
}

// Intervals of a table that holds those limits wherever a drawn tile may be placed.
JL_HD inline int most_intervals(const PlaceView& view) {
  // The singular values of the map's inverse, squared, and the thinnest ellipse.
  const double* m = view.geometry.map.inverse;
  const double squares[3] = {m[0] * m[0] + m[1] * m[1], m[0] * m[2] + m[1] * m[3],
                             m[2] * m[2] + m[3] * m[3]};
  const double det = squares[0] * squares[2] - squares[1] * squares[1];
  const double largest = largest_eigenvalue(squares);
  const double stretch = largest * largest / det / (thinnest * thinnest);
  double ratio = view.largest_k2 / view.least_k2 * stretch;
  if (view.in_parts()) {
    // The taper's radius stays within the box, or is a quarter of the least.
    const double room =
        static_cast<double>(view.box_x) * view.box_x + static_cast<double>(view.box_y) * view.box_y;
    const double least = 0.25 * view.core.least_px;
    ratio = view.largest_k2 * std::max(room, least * least * stretch) /
            (taper_radius * taper_radius * CoreGrid::kappa_end * CoreGrid::kappa_end);
  }
  const int n = static_cast<int>(std::ceil(std::log(ratio) / TransformGrid::u_step)) + 2;
  return std::min(std::max(n, 1), TransformGrid::n_v - 1);
}

// Light of the copies beyond the rings summed one by one: sum_j I(d + jM) ~ 1/M^2 times the
// integral of I outside the square of half-width (rings + 1/2) M, by rays from the centre. The
// square's corners are smooth in angle between them, and what is left varies by a per cent of
// itself over the window.
inline constexpr int tail_rays = 16;  // over half a turn

struct TailSquare {
  double half_x, half_y, inverse[3], scale, total, total_by_shape[2];

  JL_HD TailSquare(int box_x, int box_y, const TileState& state) {
    total = state.table.at_zero[0] / (2.0 * M_PI);
    for (int s = 0; s < 2; ++s) total_by_shape[s] = state.table.at_zero[2 + s] / (2.0 * M_PI);
    half_x = (copy_rings + 0.5) * box_x;
    half_y = (copy_rings + 0.5) * box_y;
    const double det = state.S[0] * state.S[2] - state.S[1] * state.S[1];
    inverse[0] = state.S[2] / det;
    inverse[1] = -state.S[1] / det;
    inverse[2] = state.S[0] / det;
    scale = 2.0 * M_PI / tail_rays / (static_cast<double>(box_x) * box_y);
  }
};

// Adds the light along ray k to tail [n_lanes].
template <class Profile>
JL_HD inline void add_tail_ray(const TailSquare& square,
                               const typename Profile::Constants& constants, int k, double* tail) {
  const double angle = M_PI * (k + 0.5) / tail_rays;  // opposite rays are alike
  const double nx = std::cos(angle), ny = std::sin(angle);
  const double length = std::min(square.half_x / std::max(std::abs(nx), 1e-12),
                                 square.half_y / std::max(std::abs(ny), 1e-12));
  // R = length sqrt(m) with m = n^T S^-1 n; the ray integral is (G(inf) - G(R)) / m.
  const double ex = square.inverse[0] * nx + square.inverse[1] * ny;
  const double ey = square.inverse[1] * nx + square.inverse[2] * ny;
  const double m = nx * ex + ny * ey, length2 = length * length;
  double brightness, slope, unused[2], enclosed, by_shape[2] = {};
  Profile::template brightness<double>(constants, length2 * m, brightness, slope, unused);
  Profile::enclosed(constants, length2 * m, enclosed, by_shape);
  const double outside = square.total - enclosed;
  if (!(outside > 1e-14 * square.total)) return;
  // d/dm [outside / m] = -outside/m^2 - (dG/dR2 length^2)/m, dG/dR2 = I/2
  const double by_m = -outside / (m * m) - 0.5 * brightness * length2 / m;
  tail[lane_unit] += square.scale * outside / m;
  tail[lane_s11] -= square.scale * by_m * ex * ex;
  tail[lane_s12] -= square.scale * by_m * 2.0 * ex * ey;
  tail[lane_s22] -= square.scale * by_m * ey * ey;
  for (int s = 0; s < Profile::n_shape; ++s) {
    tail[lane_shape0 + s] += square.scale * (square.total_by_shape[s] - by_shape[s]) / m;
  }
}

template <class Profile>
JL_HD inline void copy_tail(int box_x, int box_y, TileState& state) {
  const TailSquare square(box_x, box_y, state);
  const auto constants = Profile::prepare(state.shape);
  for (int k = 0; k < tail_rays; ++k) add_tail_ray<Profile>(square, constants, k, state.tail);
}

JL_ISA_END
}  // namespace jointlight
