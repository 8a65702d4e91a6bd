// SPDX-License-Identifier: BSD-3-Clause
// render by pixel integration, a thread an edge, then a pixel: see stages/render_pixel.hpp.
#pragma once

#include "stages/device/tile.hpp"
#include "stages/pixel_edge.hpp"

namespace jointlight {
JL_ISA_BEGIN

// What `constants` of a pixel tile points to.
template <class Profile>
struct PixelSetup {
  bool usable;
  pixel_detail::Geometry geometry;
  typename Profile::Constants constants;
  typename Profile::MeanTable table;
};

struct DeviceRule {
  const GaussLegendre* table;

  JL_HD double node(int order, int k) const { return table->nodes[order][k]; }
  JL_HD double weight(int order, int k) const { return table->weights[order][k]; }
};

// A profile whose table of means threads can share.
template <class Profile>
concept SharedMeanTable = requires { Profile::prepare_mean_node; };

// Edges of a window: [height + 1][width] along x, then [height][width + 1] along y.
JL_HD JL_INLINE int edges_along_x(const TileView& view) { return (view.height + 1) * view.width; }
JL_HD JL_INLINE int n_edges(const TileView& view) {
  return edges_along_x(view) + view.height * (view.width + 1);
}
inline constexpr int most_edge_sums = 5;  // of any profile

template <class Profile>
struct PixelSetupBody : PlacedGroup {
  JL_HD void operator()(int which, int) const {
    const TileState& state = state_of(which);
    auto& setup = *static_cast<PixelSetup<Profile>*>(tile_of(which).constants);
    setup.usable = state.visible &&
                   pixel_detail::prepare_pixel<Profile>(state.x0, state.y0, state.S, state.shape,
                                                        setup.constants, setup.geometry);
    if (!setup.usable) return;
    if constexpr (SharedMeanTable<Profile>) {
      Profile::prepare_mean_front(setup.constants, setup.table);
    } else {
      Profile::prepare_mean(setup.constants, setup.table);
    }
  }
};

// item = node of the table of means.
template <SharedMeanTable Profile>
struct MeanNodesBody {
  const DeviceTile* tiles;
  DeviceGroup group;

  JL_HD void operator()(int which, int item) const {
    auto& setup = *static_cast<PixelSetup<Profile>*>(tiles[group.tiles[which]].constants);
    if (!setup.usable || item >= setup.table.n_nodes) return;
    Profile::prepare_mean_node(setup.constants, item, setup.table);
  }
};

// Adds the nodes of one edge one by one.
template <class Profile>
struct EdgeSums {
  const PixelSetup<Profile>& setup;
  double sums[pixel_detail::n_sums<Profile>] = {};

  JL_HD JL_INLINE void node(double r2, double tau, double weight) {
    using namespace pixel_detail;
    double value, mean, by_shape[2];
    double* const d_mean[2] = {by_shape, by_shape + 1};
    Profile::mean_brightness(setup.constants, setup.table, 1, &r2, &value, &mean, d_mean);
    const double light = weight * value;
    sums[sum_mean] += weight * (0.5 * mean);
    sums[sum_light] += light;
    sums[sum_moment] += light * tau;
    for (int k = 0; k < Profile::n_shape; ++k) sums[sum_shape + k] += weight * (0.5 * by_shape[k]);
  }
  JL_HD void panel(int) {}
  JL_HD void finish() {}
};

// item = edge: its integrals into `other` [edges][n_sums]. Edges take the order of their run, as in
// Evaluator::run.
template <class Profile>
struct EdgesBody : PlacedGroup {
  const GaussLegendre* rule;

  JL_HD void operator()(int which, int item) const {
    constexpr int n = pixel_detail::n_sums<Profile>;
    static_assert(n <= most_edge_sums);
    const DeviceTile& tile = tile_of(which);
    const TileView& view = tile.view;
    const TileState& state = state_of(which);
    const auto& setup = *static_cast<const PixelSetup<Profile>*>(tile.constants);
    if (item >= n_edges(view) || !setup.usable) return;
    EdgeSums<Profile> sink{setup};
    const double left = -0.5 - state.x0;
    const int along_x = edges_along_x(view);
    if (item < along_x) {
      const int j = item / view.width;
      const double s = j == 0 ? -0.5 - state.y0 : j - 1 - 0.5 - state.y0 + 1.0;
      edge<true>(item % view.width, view.width, left, s, sink);
    } else {
      const int own = item - along_x, columns = view.width + 1;
      edge<false>(own % columns, columns, own / columns - 0.5 - state.y0, left, sink);
    }
    double* out = tile.other + static_cast<std::ptrdiff_t>(item) * n;
    for (int k = 0; k < n; ++k) out[k] = sink.sums[k];
  }

  // Edge i of a row of n that starts at (tau0, s).
  template <bool along_x>
  JL_HD void edge(int i, int n, double tau0, double s, EdgeSums<Profile>& sink) const {
    using namespace pixel_detail;
    const Geometry& geometry = sink.setup.geometry;
    const DeviceRule nodes{rule};
    const Direction& dir = along_x ? geometry.along_x : geometry.along_y;
    const int first = i / run_length * run_length, own = i - first;
    const int count = n - first < run_length ? n - first : run_length;
    const double tau_run = along_x ? tau0 + first : tau0, s_run = along_x ? s : s + first;
    const double distance2 = run_distance2<along_x>(geometry, count, tau_run, s_run);
    if (distance2 < geometry.reach2[max_far_order]) {
      near_edge(geometry, nodes, dir, along_x ? tau_run + own : tau_run,
                along_x ? s_run : s_run + own, sink);
      return;
    }
    const int order = far_order(geometry, distance2);
    for (int k = 0; k < order; ++k) {
      const double at = tau_run + 0.5 + 0.5 * nodes.node(order, k);
      const double tau = along_x ? at + own : at;
      sink.node(edge_r2(dir, tau, along_x ? s_run : s_run + own), tau,
                0.5 * nodes.weight(order, k));
    }
  }
};

// item = pixel: its lanes from its four edges.
template <class Profile>
struct PixelLanesBody : PlacedGroup {
  JL_HD void operator()(int which, int item) const {
    constexpr int n = pixel_detail::n_sums<Profile>;
    const DeviceTile& tile = tile_of(which);
    const TileView& view = tile.view;
    if (item >= view.width * view.height) return;
    double* out = view.fields + static_cast<std::ptrdiff_t>(item) * n_lanes;
    const auto& setup = *static_cast<const PixelSetup<Profile>*>(tile.constants);
    if (!setup.usable) {
      for (int lane = 0; lane < n_lanes; ++lane) out[lane] = 0.0;
      return;
    }
    const int i = item % view.width, j = item / view.width;
    const double* bottom = tile.other + static_cast<std::ptrdiff_t>(item) * n;
    const double* side =
        tile.other + (static_cast<std::ptrdiff_t>(edges_along_x(view)) + item + j) * n;
    pixel_detail::pixel_lanes<Profile>(setup.geometry, -0.5 - state_of(which).x0 + i,
                                       j - 0.5 - state_of(which).y0, bottom,
                                       bottom + view.width * n, side, side + n, out);
  }
};

JL_ISA_END
}  // namespace jointlight
