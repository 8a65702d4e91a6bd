// SPDX-License-Identifier: BSD-3-Clause
// What each tile's rendering needs at one parameter vector.
#include <algorithm>
#include <cmath>

#include "base/stage_clock.hpp"
#include "scene/core_table.hpp"
#include "scene/scene.hpp"
#include "scene/transform_table.hpp"

namespace jointlight {
namespace {

constexpr int tail_angles = 16;  // over half a turn

std::size_t at(int i) { return static_cast<std::size_t>(i); }

// Light of the copies beyond the rings summed one by one: sum_j I(d + jM) ~ 1/M^2 times the
// integral of I outside the square of half-width (rings + 1/2) M, by rays from the centre. The
// square's corners are smooth in angle between them, and what is left varies by a per cent of
// itself over the window.
void copy_tail(const ProfileInfo& profile, const TransferView& box, TileState& state) {
  const double total = state.table.at_zero[0] / (2.0 * M_PI);
  const double total_by_shape[2] = {state.table.at_zero[2] / (2.0 * M_PI),
                                    state.table.at_zero[3] / (2.0 * M_PI)};
  const double half_x = (copy_rings + 0.5) * box.box_x, half_y = (copy_rings + 0.5) * box.box_y;
  const double det = state.S[0] * state.S[2] - state.S[1] * state.S[1];
  const double i11 = state.S[2] / det, i12 = -state.S[1] / det, i22 = state.S[0] / det;
  const double scale = 2.0 * M_PI / tail_angles / (static_cast<double>(box.box_x) * box.box_y);
  struct Ray {
    double ex, ey, m, length2;
  } rays[tail_angles];
  double r2[tail_angles], brightness[tail_angles], enclosed[tail_angles];
  double enclosed_by_shape[tail_angles][2];
  for (int k = 0; k < tail_angles; ++k) {
    const double angle = M_PI * (k + 0.5) / tail_angles;  // opposite rays are alike
    const double nx = std::cos(angle), ny = std::sin(angle);
    const double length =
        std::min(half_x / std::max(std::abs(nx), 1e-12), half_y / std::max(std::abs(ny), 1e-12));
    // R = length sqrt(m) with m = n^T S^-1 n; the ray integral is (G(inf) - G(R)) / m.
    const double ex = i11 * nx + i12 * ny, ey = i12 * nx + i22 * ny;
    rays[k] = {ex, ey, nx * ex + ny * ey, length * length};
    r2[k] = rays[k].length2 * rays[k].m;
  }
  profile.light_within(state.shape, tail_angles, r2, brightness, enclosed, enclosed_by_shape);
  for (int k = 0; k < tail_angles; ++k) {
    const auto& [ex, ey, m, length2] = rays[k];
    const double outside = total - enclosed[k];
    if (!(outside > 1e-14 * total)) continue;
    // d/dm [outside / m] = -outside/m^2 - (dG/dR2 length^2)/m, dG/dR2 = I/2
    const double by_m = -outside / (m * m) - 0.5 * brightness[k] * length2 / m;
    state.tail[lane_unit] += scale * outside / m;
    state.tail[lane_s11] -= scale * by_m * ex * ex;
    state.tail[lane_s12] -= scale * by_m * 2.0 * ex * ey;
    state.tail[lane_s22] -= scale * by_m * ey * ey;
    for (int s = 0; s < std::min(profile.n_shape, 2); ++s) {
      state.tail[lane_shape0 + s] += scale * (total_by_shape[s] - enclosed_by_shape[k][s]) / m;
    }
  }
}

}  // namespace

void Scene::place_tiles(const ParameterState& parameters, bool internal,
                        std::vector<TileState>& states, std::vector<Chain>& chains,
                        std::vector<TilePlace>& places) const {
  const StageClock clock(Stage::place);
  states.resize(spec_.tiles.size());
  chains.resize(spec_.tiles.size());
  places.resize(spec_.tiles.size());
  double slots[max_slots];
  for (std::size_t i = 0; i < spec_.tiles.size(); ++i) {
    const TileSpec& tile = spec_.tiles[i];
    const TileView& view = views_[i];
    TileState& state = states[i];
    TilePlace& place = places[i];
    const std::size_t n_slots = tile.slots.size();
    for (std::size_t k = 0; k < n_slots; ++k) slots[k] = parameters.slots[at(tile.slots[k])];
    if (place.known && std::equal(slots, slots + n_slots, place.slots)) continue;
    std::copy_n(slots, n_slots, place.slots);
    place.known = true;
    state = {};
    TileGeometry geometry = tile.geometry;
    if (!internal) geometry.chart = ShapeChart::ellipse;
    state.visible = evaluate_geometry(geometry, slots, state, chains[i]);
    const bool drawable = state.visible;
    if (drawable && view.renderer == Renderer::fourier) {
      // Beyond this a copy's core would lie in the window; a core would lie beyond its box.
      const double far_x = std::max(state.x0, view.width - 1 - state.x0);
      const double far_y = std::max(state.y0, view.height - 1 - state.y0);
      const double x = state.x0 - view.drawn.x0, y = state.y0 - view.drawn.y0;
      state.visible = view.core.taper > 0.0
                          ? x > 0.0 && y > 0.0 && x < view.transfer.box_x && y < view.transfer.box_y
                          : far_x < view.transfer.box_x - 1 && far_y < view.transfer.box_y - 1;
    }
    state.beyond = drawable && !state.visible;
    if (!state.visible) {
      for (double& v : state.value) v = 0.0;
      chains[i] = {};
      continue;
    }
    if (view.renderer != Renderer::fourier || tile.geometry.kind != ComponentKind::profile)
      continue;
    // rho^2 = k^T S k between the smallest and the largest frequency of the box
    const double det = state.S[0] * state.S[2] - state.S[1] * state.S[1];
    const double largest = largest_eigenvalue(state.S), smallest = det / largest;
    const double step = 2.0 * M_PI / std::max(view.transfer.box_x, view.transfer.box_y);
    double kx_max = 0.0;
    for (int r = 0; r < view.transfer.column_start[view.transfer.n_columns]; ++r) {
      kx_max =
          std::max(kx_max, std::abs(2.0 * M_PI * view.transfer.runs[r].jx) / view.transfer.box_x);
    }
    const double ky_max = 2.0 * M_PI *
                          std::max(std::abs(view.transfer.y_min), view.transfer.y_max) /
                          view.transfer.box_y;
    const TransformTable& table = transform_table(tile.geometry.profile);
    double low = step * step * smallest;
    if (view.core.taper > 0.0) {
      state.taper = core_taper(view, state);
      low = std::pow(core_kappa / state.taper, 2);
    }
    const double high = (kx_max * kx_max + ky_max * ky_max) * largest;
    const std::size_t far_size = TransformTable::size(low, high);
    const std::size_t needed = far_size + (state.taper > 0.0 ? core_table_size() : 0);
    if (place.table.size() < needed) place.table.resize(needed + needed / 8);
    table.fill(state.shape, low, high, place.table.data(), state.table);
    state.has_table = true;
    const ProfileInfo& profile = profile_registry()[at(tile.geometry.profile)];
    if (state.taper > 0.0) {
      fill_core_table(profile, state.shape, state.taper, place.table.data() + far_size,
                      state.table);
    } else {
      copy_tail(profile, view.transfer, state);
    }
  }
}

}  // namespace jointlight
