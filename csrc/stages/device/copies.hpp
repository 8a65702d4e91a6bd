// SPDX-License-Identifier: BSD-3-Clause
// The light of the periodic copies as a polynomial, cut into threads: see stages/copies.hpp.
#pragma once

#include "scene/place_math.hpp"
#include "stages/copy_light.hpp"
#include "stages/device/tile.hpp"

namespace jointlight {
JL_ISA_BEGIN

// Where the values at the nodes of ring set `set` begin, of [rings][n / 2][n][n_lanes]; of
// `n_sets`, their number.
JL_HD JL_INLINE int copy_nodes_before(const CopyPlan& plan, int set) {
  int n = 0;
  for (int s = 0; s < set; ++s) n += plan.rings[s].n / 2 * plan.rings[s].n * n_lanes;
  return n;
}
inline constexpr int n_ring_sets = 3;

template <class Profile>
struct ConstantsBody : PlacedGroup {
  JL_HD void operator()(int which, int) const {
    if (!state_of(which).visible) return;
    *static_cast<typename Profile::Constants*>(tile_of(which).constants) =
        Profile::prepare(state_of(which).shape);
  }
};

// item = ray: what far copies send along it.
template <class Profile>
struct TailRaysBody : PlacedGroup {
  JL_HD void operator()(int which, int item) const {
    const DeviceTile& tile = tile_of(which);
    const TileState& state = state_of(which);
    if (!state.visible || !state.has_table) return;
    const TailSquare square(tile.view.transfer.box_x, tile.view.transfer.box_y, state);
    double light[n_lanes] = {};
    add_tail_ray<Profile>(square, *static_cast<const typename Profile::Constants*>(tile.constants),
                          item, light);
    for (int lane = 0; lane < n_lanes; ++lane) tile.rays[item * n_lanes + lane] = light[lane];
  }
};

// item = (ring set, node): all lanes of the light that the copies of these rings send there.
template <class Profile>
struct CopyNodesBody : PlacedGroup {
  JL_HD void operator()(int which, int item) const {
    const DeviceTile& tile = tile_of(which);
    const CopyPlan& plan = tile.view.copies;
    const TileState& state = state_of(which);
    if (plan.n == 0 || !state.visible) return;
    int set = 0, node = item;
    while (set < n_ring_sets && node >= plan.rings[set].n / 2 * plan.rings[set].n) {
      node -= plan.rings[set].n / 2 * plan.rings[set].n;
      ++set;
    }
    if (set == n_ring_sets) return;
    const auto& constants = *static_cast<const typename Profile::Constants*>(tile.constants);
    const CopyRings& rings = plan.rings[set];
    const int first = set == 0 ? 1 : plan.rings[set - 1].last + 1;
    double* out = tile.other + copy_nodes_before(plan, set) + node * n_lanes;
    double sum[n_lanes] = {};
    if (!is_dark<Profile>(tile.view, state, constants, first)) {
      const double det = state.S[0] * state.S[2] - state.S[1] * state.S[1];
      const double inverse[3] = {state.S[2] / det, -state.S[1] / det, state.S[0] / det};
      const double x = plan.half_x * rings.node[node % rings.n];
      const double y = plan.half_y * rings.node[node / rings.n];
      const TransferView& box = tile.view.transfer;
      for (int b = -rings.last; b <= rings.last; ++b) {
        for (int a = -rings.last; a <= rings.last; ++a) {
          if (a > -first && a < first && b > -first && b < first) continue;
          const double dx = x - static_cast<double>(a) * box.box_x;
          const double dy = y - static_cast<double>(b) * box.box_y;
          const double ex = inverse[0] * dx + inverse[1] * dy;
          const double ey = inverse[1] * dx + inverse[2] * dy;
          double value, slope, by_shape[2] = {0.0, 0.0};
          Profile::template brightness<double>(constants, dx * ex + dy * ey, value, slope,
                                               by_shape);
          sum[lane_unit] += value;
          sum[lane_s11] -= slope * ex * ex;
          sum[lane_s12] -= 2.0 * slope * ex * ey;
          sum[lane_s22] -= slope * ey * ey;
          sum[lane_shape0] += by_shape[0];
          sum[lane_shape1] += by_shape[1];
        }
      }
    }
    for (int lane = 0; lane < n_lanes; ++lane) out[lane] = sum[lane];
  }
};

// item = (ring set, j, k, lane): values along x -> coefficients along x, behind the values.
struct CopyRowsBody {
  const DeviceTile* tiles;
  DeviceGroup group;

  JL_HD void operator()(int which, int item) const {
    const DeviceTile& tile = tiles[group.tiles[which]];
    const CopyPlan& plan = tile.view.copies;
    if (plan.n == 0) return;
    const int total = copy_nodes_before(plan, n_ring_sets);
    if (item >= total) return;
    int set = 0;
    while (item >= copy_nodes_before(plan, set + 1)) ++set;
    const CopyRings& rings = plan.rings[set];
    const int before = copy_nodes_before(plan, set), own = item - before;
    const int lane = own % n_lanes, k = own / n_lanes % rings.n, j = own / n_lanes / rings.n;
    const double* values = tile.other + before + j * rings.n * n_lanes + lane;
    double s = 0.0;
    for (int i = 0; i < rings.n; ++i) s += rings.cosine[k * rings.n + i] * values[i * n_lanes];
    tile.other[total + item] = s;
  }
};

// item = (l, k, lane): the polynomial before the PSF, from all rings, with the tail.
struct CopyColumnsBody : PlacedGroup {
  JL_HD void operator()(int which, int item) const {
    const DeviceTile& tile = tile_of(which);
    const CopyPlan& plan = tile.view.copies;
    const int n = plan.n, lane = item % n_lanes;
    if (item >= n * n * n_lanes) return;
    const int k = item / n_lanes % n, l = item / n_lanes / n;
    double s = 0.0;
    if (item < n_lanes && state_of(which).visible && state_of(which).has_table) {
      for (int ray = 0; ray < tail_rays; ++ray) s += tile.rays[ray * n_lanes + lane];
    }
    if ((k + l) % 2 == 0) {
      const int total = copy_nodes_before(plan, n_ring_sets);
      for (int set = 0; set < n_ring_sets; ++set) {
        const CopyRings& rings = plan.rings[set];
        if (k >= rings.n || l >= rings.n) continue;
        const double* column =
            tile.other + total + copy_nodes_before(plan, set) + k * n_lanes + lane;
        double sum = 0.0;
        for (int j = 0; j < rings.n / 2; ++j) {
          sum += rings.cosine[l * rings.n + j] * column[j * rings.n * n_lanes];
        }
        s += 2.0 * sum;  // the other half mirrors this one
      }
    }
    tile.coefficients[item] = s;
  }
};

// item = (l, k, lane): the PSF's second moments along x into `other`, then along y and back.
template <bool along_y>
struct CopyBlurBody {
  const DeviceTile* tiles;
  DeviceGroup group;

  JL_HD void operator()(int which, int item) const {
    const DeviceTile& tile = tiles[group.tiles[which]];
    const CopyPlan& plan = tile.view.copies;
    const int n = plan.n;
    if (item >= n * n * n_lanes) return;
    const int k = item / n_lanes % n, l = item / n_lanes / n;
    const double* from = along_y ? tile.other : tile.coefficients;
    const double* blur = along_y ? plan.blur_y : plan.blur_x;
    const int i = along_y ? l : k, step = along_y ? n * n_lanes : n_lanes;
    double s = from[item];
    for (int m = i + 2; m < n; m += 2) s += blur[i * n + m] * from[item + (m - i) * step];
    (along_y ? tile.coefficients : tile.other)[item] = s;
  }
};

// The moment xy, order by order: item = (k, lane) with along_y, then (l, lane). The first order
// starts from the coefficients; along x ends by adding the order to them.
template <bool along_y>
struct CopyCrossBody {
  const DeviceTile* tiles;
  DeviceGroup group;
  int order;

  JL_HD void operator()(int which, int item) const {
    const DeviceTile& tile = tiles[group.tiles[which]];
    const CopyPlan& plan = tile.view.copies;
    const int n = plan.n, row = n * n_lanes;
    if (plan.blur_xy == 0.0 || item >= row) return;
    if constexpr (along_y) {
      const double* in = (order == 1 ? tile.coefficients : tile.other) + item;
      differentiate(n, plan.blur_xy / order, in, tile.other + item, row);
    } else {
      const int at = item / n_lanes * row + item % n_lanes;
      differentiate(n, 1.0, tile.other + at, tile.other + at, n_lanes);
      for (int k = 0; k < n; ++k)
        tile.coefficients[at + k * n_lanes] += tile.other[at + k * n_lanes];
    }
  }
};

// Derivatives by the centre: item = row or column of coefficients.
template <bool along_y>
struct CopyCentreBody {
  const DeviceTile* tiles;
  DeviceGroup group;

  JL_HD void operator()(int which, int item) const {
    const DeviceTile& tile = tiles[group.tiles[which]];
    const CopyPlan& plan = tile.view.copies;
    const int n = plan.n, row = n * n_lanes;
    if (item >= n) return;
    double* c = tile.coefficients + (along_y ? item * n_lanes : item * row);
    const double factor = -1.0 / (along_y ? plan.half_y : plan.half_x);
    differentiate(n, factor, c, c + (along_y ? lane_y0 : lane_x0), along_y ? row : n_lanes);
  }
};

// item = (window row, k, lane): the polynomial along x at that row.
struct CopyLineBody : PlacedGroup {
  int most;  // of n over the group

  JL_HD void operator()(int which, int item) const {
    const DeviceTile& tile = tile_of(which);
    const CopyPlan& plan = tile.view.copies;
    const int n = plan.n, entry = item % (most * n_lanes), y = item / (most * n_lanes);
    if (entry >= n * n_lanes || y >= tile.view.height) return;
    const double v =
        within_square((y - state_of(which).y0 - tile.view.transfer.shift[1]) / plan.half_y);
    const double* c = tile.coefficients + entry;
    const int row = n * n_lanes;
    double before = 1.0, now = v, s = c[0] + v * c[row];
    for (int l = 2; l < n; ++l) {
      const double next = 2.0 * v * now - before;
      before = now;
      now = next;
      s += now * c[l * row];
    }
    tile.line[y * row + entry] = s;
  }
};

JL_ISA_END
}  // namespace jointlight
