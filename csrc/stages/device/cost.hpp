// SPDX-License-Identifier: BSD-3-Clause
// What the bodies of this folder move and compute, from sizes alone, for one tile of a launch (or
// what the last section says). Host code; asked for while a profile is taken.
//
// Bytes are those of the arrays that are a launch's input and output, each number once: what must
// come from memory and go there if nothing is held from the launch before. What is a few hundred
// bytes a tile (views, states) is left out, and so is what one or few threads do for a whole tile
// (constants of a shape, stencils, the copies' tail). How operations are counted:
// base/counting.hpp.
#pragma once

#include <algorithm>

#include "base/counting.hpp"
#include "stages/device/copies.hpp"
#include "stages/device/pixel.hpp"
#include "stages/device/radial.hpp"
#include "stages/device/rest.hpp"
#include "stages/device/spectrum.hpp"
#include "stages/device/sums.hpp"

namespace jointlight {

struct Cost {
  double bytes = 0.0;
  double flops = 0.0;         // float64
  double single_flops = 0.0;  // float32

  Cost& operator+=(const Cost& other) {
    bytes += other.bytes;
    flops += other.flops;
    single_flops += other.single_flops;
    return *this;
  }
};

JL_ISA_BEGIN

// In the precision of what is computed.
template <class Real>
Cost cost_in(double bytes, double flops) {
  return sizeof(Real) == sizeof(float) ? Cost{bytes, 0.0, flops} : Cost{bytes, flops, 0.0};
}

// Of value and derivatives at one radius. Takes no time worth mentioning.
template <class Profile>
double brightness_flops() {
  int count = 0;
  Counting value, slope, by_shape[2];
  Profile::template brightness<Counting>({}, Counting(2.0, &count), value, slope, by_shape);
  return count;
}

inline constexpr double number = sizeof(double), lane_numbers = n_lanes * number;

// ---- what one thread, or one a ray of the copies' tail, does for a tile

inline Cost cost_of(const AssignBody&, const TileView&, const TileState&) { return {}; }
inline Cost cost_of(const StencilBody&, const TileView&, const TileState&) { return {}; }
template <class Profile>
Cost cost_of(const ConstantsBody<Profile>&, const TileView&, const TileState&) {
  return {};
}
template <class Profile>
Cost cost_of(const TailRaysBody<Profile>&, const TileView&, const TileState&) {
  return {tail_rays * lane_numbers, 0.0, 0.0};
}
template <class Profile>
Cost cost_of(const PixelSetupBody<Profile>&, const TileView&, const TileState&) {
  return {};
}
template <class Profile>
Cost cost_of(const MeanNodesBody<Profile>&, const TileView&, const TileState&) {
  return {};
}

// ---- spectra

inline double table_bytes(const RadialTable& table) {
  return number * TransformGrid::interval_size * (table.n_intervals + table.near_intervals);
}
inline double frequencies(const TransferView& transfer) {
  double n = 0.0;
  for (int r = 0; r < transfer.column_start[transfer.n_columns]; ++r) {
    n += transfer.runs[r].y_end - transfer.runs[r].y_begin;
  }
  return n;
}

// item = interval: two ends, each a sum over nodes in shape, then a quintic a column and its slope.
inline Cost cost_of(const RadialTableBody&, const TileView&, const TileState& state) {
  if (!state.has_table) return {};
  const bool shaped = state.table.at_zero[2] != 0.0;  // the flux depends on it
  const double nodes = shaped ? TransformGrid::order : 1.0, quintics = shaped ? 2.0 : 1.0;
  const double n = state.table.n_intervals;
  return {table_bytes(state.table) + (n + 1.0) * 3.0 * nodes * number,
          n * (2.0 * (12.0 * nodes + 6.0) + 26.0 * quintics + 10.0), 0.0};
}

inline Cost cost_of(const PhaseBody&, const TileView& view, const TileState&) {
  const TransferView& transfer = view.transfer;
  const double n = transfer.column_start[transfer.n_columns] + transfer.y_max - transfer.y_min;
  return {2.0 * number * n, n * (2.0 * flops_sine + 3.0), 0.0};
}

// Sums are float64 in either precision. Of every frequency: where it lies, the transform there, the
// PSF's value turned by the phase, and what tells one lane from another.
template <class Real, int lanes>
Cost cost_of(const SpectrumBody<Real, lanes>& body, const TileView& view, const TileState& state) {
  const TransferView& transfer = view.transfer;
  const double n = frequencies(transfer), rows = transfer.box_y;
  const double n_runs = transfer.column_start[transfer.n_columns];
  const double held = rows * body.group.n_columns * lanes;
  const double radial = state.has_table ? 9.0 + (44.0 + flops_log) + 4.0 : 0.0;
  const double weights = !state.has_table ? 0.0 : lanes == 1 ? 1.0 : 22.0;
  return {2.0 * sizeof(Real) * held + table_bytes(state.table) + 2.0 * number * n,
          n * (13.0 + radial + weights + 4.0 * lanes) + rows * n_runs, 0.0};
}

constexpr double butterfly_flops(int radix) {
  return radix == 2 ? 4.0 : radix == 3 ? 16.0 : radix == 4 ? 16.0 : 48.0;
}
template <class Real, int radix>
Cost cost_of(const FftPassBody<Real, radix>& body, const TileView&, const TileState&) {
  const double n = static_cast<double>(body.m) * body.stride * body.n_sequences;
  return cost_in<Real>(2.0 * radix * n * 2.0 * sizeof(Real),
                       n * (butterfly_flops(radix) + 6.0 * (radix - 1)));
}

template <class Real, int lanes>
Cost cost_of(const PackRowsBody<Real, lanes>& body, const TileView& view, const TileState&) {
  const TransferView& transfer = view.transfer;
  const int rows = view.drawn_rows();
  const bool nyquist = 2 * (transfer.n_columns - 1) == transfer.box_x;
  const double turned = 2.0 * (transfer.n_columns - (nyquist ? 2 : 1));  // on either side
  const double numbers = static_cast<double>(transfer.n_columns) * rows +
                         static_cast<double>(transfer.box_x) * body.group.n_pairs();
  return cost_in<Real>(2.0 * sizeof(Real) * lanes * numbers,
                       2.0 * turned * ((rows + 1) / 2) * lanes);
}

template <class Real, int lanes>
Cost cost_of(const PixelsBody<Real, lanes>&, const TileView& view, const TileState& state) {
  const double rows = view.drawn_rows(), width = view.drawn.x_end - view.drawn.x_begin;
  const double n = view.copies.n, out = lanes == 1 ? number : sizeof(Real);
  const bool copies = n > 0 && state.visible;
  return {lanes * (2.0 * sizeof(Real) * width * ((view.drawn_rows() + 1) / 2) + rows * width * out +
                   (copies ? rows * n * number : 0.0)),
          copies ? rows * width * lanes * (5.0 * n - 4.0) : 0.0, 0.0};
}

// ---- copies

template <class Profile>
Cost cost_of(const CopyNodesBody<Profile>&, const TileView& view, const TileState& state) {
  const CopyPlan& plan = view.copies;
  Cost cost;
  if (plan.n == 0) return cost;
  const auto constants = Profile::prepare(state.shape);
  for (int set = 0; set < n_ring_sets; ++set) {
    const CopyRings& rings = plan.rings[set];
    const int first = set == 0 ? 1 : plan.rings[set - 1].last + 1;
    const double nodes = rings.n / 2 * rings.n;
    double copies = 0.0;
    if (!is_dark<Profile>(view, state, constants, first)) {
      const double outer = 2.0 * rings.last + 1.0, inner = 2.0 * first - 1.0;
      copies = outer * outer - inner * inner;
      cost.flops += nodes * 8.0;
    }
    cost.bytes += nodes * lane_numbers;
    cost.flops += nodes * (21.0 + brightness_flops<Profile>() +
                           copies * (26.0 + brightness_flops<Profile>()));
  }
  return cost;
}

inline Cost cost_of(const CopyRowsBody&, const TileView& view, const TileState&) {
  const CopyPlan& plan = view.copies;
  Cost cost;
  if (plan.n == 0) return cost;
  for (int set = 0; set < n_ring_sets; ++set) {
    const double n = plan.rings[set].n, numbers = n / 2.0 * n * n_lanes;
    cost += {2.0 * numbers * number, numbers * 2.0 * n, 0.0};
  }
  return cost;
}

// Every other coefficient is zero; the tail is in the first.
inline Cost cost_of(const CopyColumnsBody&, const TileView& view, const TileState& state) {
  const CopyPlan& plan = view.copies;
  const double n = plan.n;
  Cost cost{n * n * lane_numbers, 0.0, 0.0};
  if (plan.n == 0) return cost;
  if (state.has_table) cost += {tail_rays * lane_numbers, tail_rays * n_lanes, 0.0};
  for (int set = 0; set < n_ring_sets; ++set) {
    const double size = plan.rings[set].n, half = size / 2.0;
    cost += {half * size * lane_numbers, half * size * n_lanes * (2.0 * half + 2.0), 0.0};
  }
  return cost;
}

template <bool along_y>
Cost cost_of(const CopyBlurBody<along_y>&, const TileView& view, const TileState&) {
  const int n = view.copies.n;
  double terms = 0.0;  // of one row
  for (int i = 0; i < n; ++i) terms += (n - 1 - i) / 2;
  return {2.0 * n * n * lane_numbers, 2.0 * terms * n * n_lanes, 0.0};
}

inline constexpr double differentiate_flops = 4.0;  // a coefficient

template <bool along_y>
Cost cost_of(const CopyCrossBody<along_y>&, const TileView& view, const TileState&) {
  const double n = view.copies.n, numbers = n * n * n_lanes;
  if (view.copies.blur_xy == 0.0) return {};
  const double first = n * n_lanes;  // the factor
  return along_y ? Cost{2.0 * numbers * number, numbers * differentiate_flops + first, 0.0}
                 : Cost{4.0 * numbers * number, numbers * (differentiate_flops + 1.0), 0.0};
}

template <bool along_y>
Cost cost_of(const CopyCentreBody<along_y>&, const TileView& view, const TileState&) {
  const double n = view.copies.n;
  return {2.0 * n * n * number, n * (n * differentiate_flops + 1.0), 0.0};
}

inline Cost cost_of(const CopyLineBody& body, const TileView& view, const TileState&) {
  const double n = view.copies.n;
  if (view.copies.n == 0) return {};
  const double rows = std::min(body.group.n_rows, view.height);
  return {(n + rows) * n * lane_numbers, rows * n * n_lanes * (5.0 * n - 5.0), 0.0};
}

// ---- the rest of a window in two parts

inline double rest_nodes(const CorePlan& core) {
  return rest_nodes(core.fine) + rest_nodes(core.coarse);
}

template <class Profile>
Cost cost_of(const RestValuesBody<Profile>&, const TileView& view, const TileState&) {
  const double n = rest_nodes(view.core);
  constexpr double frame = 9.0, place = 8.0, opening = 84.0, lanes = 28.0;
  return {n * lane_numbers, n * (frame + place + opening + lanes + brightness_flops<Profile>()),
          0.0};
}

inline Cost cost_of(const RestFilterBody&, const TileView& view, const TileState&) {
  double inner = 0.0;
  for (const RestGrid* grid : {&view.core.fine, &view.core.coarse}) {
    inner += std::max(grid->nx - 2 * rest_reach, 0) *
             static_cast<double>(std::max(grid->ny - 2 * rest_reach, 0));
  }
  return {(rest_nodes(view.core) + inner) * lane_numbers,
          inner * n_lanes * 2.0 * rest_filter_size * rest_filter_size, 0.0};
}

inline constexpr double spline_flops = 2.0 * rest_taps - 1.0;

inline Cost cost_of(const RestLineBody&, const TileView& view, const TileState&) {
  double made = 0.0;
  for (const RestGrid* grid : {&view.core.fine, &view.core.coarse}) {
    made += static_cast<double>(grid->nx) * std::max(grid->y_end - grid->y_begin, 0);
  }
  return {(rest_nodes(view.core) + made) * lane_numbers, made * n_lanes * spline_flops, 0.0};
}

inline Cost cost_of(const RestPixelsBody&, const TileView& view, const TileState&) {
  const double pixels = static_cast<double>(view.width) * view.height;
  const double drawn =
      static_cast<double>(view.drawn.x_end - view.drawn.x_begin) * view.drawn_rows();
  const double line = static_cast<double>(view.height) * (view.core.fine.nx + view.core.coarse.nx);
  return {(pixels + drawn + line) * lane_numbers, n_lanes * (pixels * spline_flops + drawn), 0.0};
}

// ---- pixel integration

// The orders that edges take are not known here. Flops are those of the least, two nodes an edge,
// each at the cost of a brightness: what is really done is more.
template <class Profile>
Cost cost_of(const EdgesBody<Profile>&, const TileView& view, const TileState&) {
  const double n = n_edges(view);
  return {n * pixel_detail::n_sums<Profile> * number, n * 2.0 * (brightness_flops<Profile>() + 8.0),
          0.0};
}

template <class Profile>
Cost cost_of(const PixelLanesBody<Profile>&, const TileView& view, const TileState&) {
  const double pixels = static_cast<double>(view.width) * view.height;
  return {pixels * lane_numbers + n_edges(view) * pixel_detail::n_sums<Profile> * number,
          pixels * (41.0 + 7.0 * Profile::n_shape), 0.0};
}

// ---- sums: of an image that tiles cover with `covered` pixels, of a piece, of a pair

inline Cost residual_cost(double pixels, double covered, Likelihood likelihood) {
  const double own = likelihood == Likelihood::gaussian ? 3.0 : 2.0 * flops_log + 21.0;
  return {(pixels * 6.0 + covered) * number, pixels * own + covered * 2.0, 0.0};
}

// `lane`: bytes of one.
inline Cost piece_cost(const PairPiece& piece, double lane_a, double lane_b) {
  const double pixels =
      static_cast<double>(piece.x_end - piece.x_begin) * (piece.y_end - piece.y_begin);
  const bool own = piece.a == piece.b;
  const double lanes = n_lanes * (own ? lane_a : lane_a + lane_b);
  return {pixels * (lanes + (own ? 2.0 : 1.0) * number) + n_piece_sums * number,
          pixels * (3.0 * n_block + (own ? 2.0 * n_lanes : 0.0)), 0.0};
}

inline Cost pair_cost(const PairPiece& first, double pieces) {
  const double sums = first.a == first.b ? n_piece_sums : n_block;
  return {(pieces + 1.0) * sums * number, pieces * sums, 0.0};
}

JL_ISA_END
}  // namespace jointlight
