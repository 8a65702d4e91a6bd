// SPDX-License-Identifier: BSD-3-Clause
// Which tiles are drawn in two parts (stages/core_box.hpp), with which taper, box and grids.
#include <algorithm>
#include <cmath>

#include "scene/scene.hpp"

namespace jointlight {
namespace {

// Pixels along either axis: below it one box is about as fast, and needs no filter of the PSF.
constexpr int least_window = 200;

// Nanoseconds for a pixel of a Fourier box, a node of a grid and a pixel interpolated.
constexpr double box_cost = 14.0, node_cost = 16.0, pixel_cost = 2.0;

std::size_t at(int i) { return static_cast<std::size_t>(i); }

double spline(double u) {  // quintic B-spline
  u = std::abs(u);
  if (u < 1.0) return (66.0 + u * u * (-60.0 + u * u * (30.0 - 10.0 * u))) / 120.0;
  if (u < 2.0) {
    return (51.0 + u * (75.0 + u * (-210.0 + u * (150.0 + u * (-45.0 + 5.0 * u))))) / 120.0;
  }
  return u < 3.0 ? std::pow(3.0 - u, 5) / 120.0 : 0.0;
}

}  // namespace

const RestAxis& Scene::rest_axis(int begin, int end, double step) {
  RestAxis& axis = rest_axes_[{begin, end, step}];
  if (axis.nodes > 0) return axis;
  // Centred on the pixels, so that turning an image turns its grids.
  const double middle = 0.5 * (begin + end - 1);
  axis.nodes = static_cast<int>(std::ceil((end - 1 - begin) / step)) + 2 * (rest_reach + 3);
  axis.low = middle - 0.5 * step * (axis.nodes - 1);
  for (int pixel = begin; pixel < end; ++pixel) {
    const double position = (pixel - axis.low) / step;
    const int cell = static_cast<int>(std::floor(position)) - (rest_taps / 2 - 1);
    axis.cell.push_back(cell);
    for (int k = 0; k < rest_taps; ++k) axis.weights.push_back(spline(position - cell - k));
  }
  return axis;
}

RestGrid Scene::rest_grid(const int range[4], double step, const double* filter) {
  const RestAxis &x = rest_axis(range[0], range[1], step), &y = rest_axis(range[2], range[3], step);
  return {.step = step,
          .nx = x.nodes,
          .ny = y.nodes,
          .x_low = x.low,
          .y_low = y.low,
          .x_begin = range[0],
          .x_end = range[1],
          .y_begin = range[2],
          .y_end = range[3],
          .cell_x = x.cell.data(),
          .cell_y = y.cell.data(),
          .weights_x = x.weights.data(),
          .weights_y = y.weights.data(),
          .filter = filter};
}

// Sets box, grids and taper and returns true where two parts keep the tolerance and pay
// beside one box of full_x x full_y pixels.
bool Scene::plan_core(const TileSpec& tile, const TileState& state, int full_x, int full_y,
                      TileView& view, int& box_x, int& box_y) {
  constexpr double room = 1.1;       // for the taper's minor radius
  constexpr double wander_px = 3.0;  // of the source, before the taper has to shrink
  if (tile.geometry.kind != ComponentKind::profile || !(spec_.tolerance > 0.0)) return false;
  if (std::min(view.width, view.height) < least_window) return false;
  const bool inside =
      state.x0 > 0.0 && state.y0 > 0.0 && state.x0 < view.width - 1 && state.y0 < view.height - 1;
  if (!inside) return false;
  auto& filter = rest_filters_[tile.psf];
  if (!filter) {
    filter = PlanCache::shared().rest_filter(psf_keys_[at(tile.psf)], spec_.psfs[at(tile.psf)],
                                             spec_.tolerance);
  }
  if (!filter->found) return false;
  const Axes ellipse = axes(state.S);
  const double radius = room * filter->minor_px / ellipse.minor;  // units of the scale
  const auto box_of = [&](double s) {
    const double half = std::max(radius * std::sqrt(s), 0.7 * radius * ellipse.major);
    return half < 4096.0 ? FftPlan::good_size(static_cast<int>(2.0 * (1.05 * half + wander_px)))
                         : 16384;
  };
  box_x = box_of(state.S[0]);
  box_y = box_of(state.S[2]);
  DrawnBox drawn;
  drawn.x0 = static_cast<int>(std::lround(state.x0 + filter->shift[0] - 0.5 * (box_x - 1)));
  drawn.y0 = static_cast<int>(std::lround(state.y0 + filter->shift[1] - 0.5 * (box_y - 1)));
  drawn.x_begin = std::max(drawn.x0, 0);
  drawn.x_end = std::min(drawn.x0 + box_x, view.width);
  drawn.y_begin = std::max(drawn.y0, 0);
  drawn.y_end = std::min(drawn.y0 + box_y, view.height);
  const double coarse_step = rest_ratio * filter->step_px;
  const int margin = static_cast<int>(std::ceil(rest_margin * coarse_step));
  int range[4] = {std::max(drawn.x0 - margin, 0), std::min(drawn.x0 + box_x + margin, view.width),
                  std::max(drawn.y0 - margin, 0), std::min(drawn.y0 + box_y + margin, view.height)};
  const int whole[4] = {0, view.width, 0, view.height};
  const auto nodes = [](const int r[4], double step) {
    const double border = 2.0 * (rest_reach + 3);
    return ((r[1] - r[0]) / step + border) * ((r[3] - r[2]) / step + border);
  };
  const bool one_grid =
      nodes(whole, filter->step_px) < nodes(range, filter->step_px) + nodes(whole, coarse_step);
  if (one_grid) std::copy_n(whole, 4, range);
  const double n_nodes =
      nodes(range, filter->step_px) + (one_grid ? 0.0 : nodes(whole, coarse_step));
  const double window = static_cast<double>(view.width) * view.height;
  const double cost = box_cost * box_x * box_y + node_cost * n_nodes + pixel_cost * window;
  if (cost > 0.9 * (box_cost * full_x * full_y + pixel_cost * window)) return false;
  view.drawn = drawn;
  view.core.taper = radius / taper_radius;
  view.core.least_px = filter->minor_px;
  std::copy_n(filter->shift, 2, view.core.shift);
  view.core.fine = rest_grid(range, filter->step_px, filter->fine);
  if (!one_grid) view.core.coarse = rest_grid(whole, coarse_step, filter->coarse);
  return true;
}

}  // namespace jointlight
