// SPDX-License-Identifier: BSD-3-Clause
#include "scene/scene.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "scene/transform_table.hpp"

namespace jointlight {
namespace {

constexpr int tail_angles = 16;  // over half a turn

std::size_t at(int i) { return static_cast<std::size_t>(i); }

// Light of the copies beyond the shells summed one by one: sum_j I(d + jM) ~ 1/M^2 times the
// integral of I outside the square of half-width (shells + 1/2) M, by rays from the centre. The
// square's corners are smooth in angle between them, and what is left varies by a per cent of
// itself over the window.
void wing_tail(const ProfileInfo& profile, const TransferView& box, TileState& state) {
  const double total = state.table.at_zero[0] / (2.0 * M_PI);
  const double total_by_shape[2] = {state.table.at_zero[2] / (2.0 * M_PI),
                                    state.table.at_zero[3] / (2.0 * M_PI)};
  const double half_x = (wing_shells + 0.5) * box.box_x, half_y = (wing_shells + 0.5) * box.box_y;
  const double det = state.S[0] * state.S[2] - state.S[1] * state.S[1];
  const double i11 = state.S[2] / det, i12 = -state.S[1] / det, i22 = state.S[0] / det;
  const double scale = 2.0 * M_PI / tail_angles / (static_cast<double>(box.box_x) * box.box_y);
  for (int k = 0; k < tail_angles; ++k) {
    const double angle = M_PI * (k + 0.5) / tail_angles;  // opposite rays are alike
    const double nx = std::cos(angle), ny = std::sin(angle);
    const double length =
        std::min(half_x / std::max(std::abs(nx), 1e-12), half_y / std::max(std::abs(ny), 1e-12));
    // R = length sqrt(m) with m = n^T S^-1 n; the ray integral is (G(inf) - G(R)) / m.
    const double ex = i11 * nx + i12 * ny, ey = i12 * nx + i22 * ny;
    const double m = nx * ex + ny * ey, r2 = length * length * m;
    double enclosed_by_shape[2] = {};
    const double outside = total - profile.enclosed(state.shape, r2, enclosed_by_shape);
    if (!(outside > 1e-14 * total)) continue;
    // d/dm [outside / m] = -outside/m^2 - (dG/dR2 length^2)/m, dG/dR2 = I/2
    const double by_m =
        -outside / (m * m) - 0.5 * profile.brightness(state.shape, r2) * length * length / m;
    state.tail[lane_unit] += scale * outside / m;
    state.tail[lane_s11] -= scale * by_m * ex * ex;
    state.tail[lane_s12] -= scale * by_m * 2.0 * ex * ey;
    state.tail[lane_s22] -= scale * by_m * ey * ey;
    for (int s = 0; s < std::min(profile.n_shape, 2); ++s) {
      state.tail[lane_shape0 + s] += scale * (total_by_shape[s] - enclosed_by_shape[s]) / m;
    }
  }
}

double axis_ratio(const double S[3]) {
  const double mean = 0.5 * (S[0] + S[2]), spread = std::hypot(0.5 * (S[0] - S[2]), S[1]);
  return std::sqrt(std::max(mean - spread, 0.0) / (mean + spread));
}

// Pixels between grid nodes that resolve the copies' ridges in the window, q times the distance of
// the nearest copy wide, by five nodes, and keep the grid's border well off that copy.
int wing_step(const TileView& view, const TileState& state) {
  const double far_x = std::max(state.x0, view.width - 1 - state.x0);
  const double far_y = std::max(state.y0, view.height - 1 - state.y0);
  const double distance =
      std::max(std::min(view.transfer.box_x - far_x, view.transfer.box_y - far_y), 1.0);
  const double widest = distance * std::min(axis_ratio(state.S) / 5.0, 0.1);
  return std::min(std::max(static_cast<int>(widest), 1), 32);
}

}  // namespace

Scene::Scene(SceneSpec spec) : spec_(std::move(spec)) {
  validate();
  views_.resize(spec_.tiles.size());
  folds_.assign(spec_.tiles.size(), 0);
  std::vector<SlotUse> uses;
  for (TileSpec& tile : spec_.tiles) uses.push_back({tile.slots, &tile.geometry});
  parameters_ = std::make_unique<ParameterMap>(std::move(spec_.parameters), uses);
  ParameterState start;
  parameters_->evaluate(parameters_->spec().start, false, start);
  for (std::size_t i = 0; i < spec_.tiles.size(); ++i) plan_tile(i, start);
  find_pairs();

  // Pixels that no tile covers carry no information about the model.
  n_pixels_.assign(spec_.images.size(), 0);
  for (std::size_t i = 0; i < spec_.images.size(); ++i) {
    ImageSpec& image = spec_.images[i];
    std::vector<std::uint8_t> covered(image.data.size(), 0);
    for (int t : image_tiles_[i]) {
      const TileSpec& tile = spec_.tiles[at(t)];
      for (int y = tile.y_begin; y < tile.y_end; ++y) {
        std::fill_n(covered.begin() + static_cast<std::ptrdiff_t>(y) * image.width + tile.x_begin,
                    tile.x_end - tile.x_begin, std::uint8_t{1});
      }
    }
    for (std::size_t p = 0; p < covered.size(); ++p) {
      if (covered[p] == 0 || !(image.weight[p] > 0.0)) {
        image.weight[p] = 0.0;
        image.data[p] = 0.0;
      } else {
        ++n_pixels_[i];
      }
    }
  }
}

void Scene::validate() const {
  require(!spec_.images.empty(), "a scene needs at least one image");
  require(!spec_.tiles.empty(), "a scene needs at least one tile");
  for (std::size_t i = 0; i < spec_.images.size(); ++i) {
    const ImageSpec& image = spec_.images[i];
    const std::size_t size = at(image.width) * at(image.height);
    require(image.width > 0 && image.height > 0 && image.data.size() == size &&
                image.weight.size() == size,
            "image ", i, ": data and weight must both have shape (", image.height, ", ",
            image.width, ")");
    for (std::size_t p = 0; p < size; ++p) {
      require(std::isfinite(image.weight[p]) && image.weight[p] >= 0.0, "image ", i, ": weight[", p,
              "] = ", image.weight[p], " must be finite and not negative");
      require(image.weight[p] == 0.0 || std::isfinite(image.data[p]), "image ", i, ": data[", p,
              "] = ", image.data[p], " must be finite where the weight is positive");
    }
  }
  for (std::size_t i = 0; i < spec_.psfs.size(); ++i) {
    const Psf& psf = spec_.psfs[i];
    if (psf.form == Psf::Form::array) {
      double sum = 0.0;
      for (double value : psf.data) sum += value;
      require(psf.nx > 0 && psf.ny > 0 && psf.data.size() == at(psf.nx) * at(psf.ny) &&
                  psf.oversampling >= 1,
              "psf ", i, ": needs a 2-d array and oversampling >= 1");
      const double far = 10.0 * std::max(psf.nx, psf.ny);
      require(std::abs(psf.cx) < far && std::abs(psf.cy) < far, "psf ", i, ": center = (", psf.cx,
              ", ", psf.cy, ") must be finite and near the array");
      require(std::isfinite(sum) && sum > 0.0, "psf ", i, ": sum = ", sum, " must be positive");
    } else {
      require(psf.params[0] > 0.0, "psf ", i, ": width = ", psf.params[0], " must be positive");
      require(psf.form != Psf::Form::moffat || (psf.params[1] > 1.05 && psf.params[1] <= 20.0),
              "psf ", i, ": beta = ", psf.params[1], " must lie in (1.05, 20]");
      require(psf.core_width() >= 0.1, "psf ", i, ": sigma = ", psf.core_width(),
              " px is sharper than the 0.1 px that can be rendered");
      require(psf.extent > 0.0 && psf.extent < 1e4, "psf ", i, ": extent = ", psf.extent,
              " px must lie in (0, 1e4)");
    }
  }
  for (std::size_t i = 0; i < spec_.tiles.size(); ++i) {
    const TileSpec& tile = spec_.tiles[i];
    require(tile.image >= 0 && tile.image < static_cast<int>(spec_.images.size()), "tile ", i,
            ": image ", tile.image, " does not exist");
    require(tile.psf >= -1 && tile.psf < static_cast<int>(spec_.psfs.size()), "tile ", i, ": psf ",
            tile.psf, " does not exist");
    const ImageSpec& image = spec_.images[at(tile.image)];
    require(tile.x_begin >= 0 && tile.x_begin < tile.x_end && tile.x_end <= image.width &&
                tile.y_begin >= 0 && tile.y_begin < tile.y_end && tile.y_end <= image.height,
            "tile ", i, ": window (", tile.x_begin, ", ", tile.x_end, ", ", tile.y_begin, ", ",
            tile.y_end, ") must be non-empty and inside its ", image.width, " x ", image.height,
            " image");
    require(static_cast<int>(tile.slots.size()) == tile.geometry.n_slots, "tile ", i, ": has ",
            tile.slots.size(), " slots, its profile has ", tile.geometry.n_slots);
    for (int slot : tile.slots) {
      require(slot >= 0 && slot < spec_.parameters.n_slots, "tile ", i, ": slot ", slot,
              " does not exist");
    }
    const double* j = tile.geometry.map.jacobian;
    const double det = j[0] * j[3] - j[1] * j[2];
    require(std::isfinite(det) && det != 0.0, "tile ", i,
            ": the pixel to sky map is singular (determinant ", det, ")");
    require(tile.geometry.kind != ComponentKind::point || tile.psf >= 0, "tile ", i,
            ": a point source needs a PSF");
  }
}

const Transfer& Scene::transfer(int psf, int box_x, int box_y) {
  auto& slot = transfers_[{psf, box_x, box_y}];
  if (!slot) slot = std::make_unique<Transfer>(spec_.psfs[at(psf)], box_x, box_y);
  return *slot;
}

const FftPlan& Scene::plan(int size) {
  auto& slot = plans_[size];
  if (!slot) slot = std::make_unique<FftPlan>(size);
  return *slot;
}

const WingAxis& Scene::wing_axis(int size, int step) {
  WingAxis& axis = wing_axes_[{size, step}];
  if (axis.nodes > 0) return axis;
  axis.nodes = (size - 1 + step - 1) / step + 1 + 2 * wing_border;
  axis.low = 0.5 * (size - 1) - 0.5 * step * (axis.nodes - 1);
  for (int i = 0; i < size; ++i) {
    const double position = (i - axis.low) / step;
    const int cell = static_cast<int>(std::floor(position)) - 2;
    axis.cell.push_back(cell);
    for (int k = 0; k < wing_taps; ++k) {
      double w = 1.0;  // Lagrange polynomial k of the six nodes
      for (int m = 0; m < wing_taps; ++m) {
        if (m != k) w *= (position - cell - m) / (k - m);
      }
      axis.weights.push_back(w);
    }
  }
  return axis;
}

// The window fits into the box, and copies of the source stay clear of it: further than the PSF
// reaches, and far enough to be smooth there.
int Scene::box_size(const TileSpec& tile, int size, double centre, double q, double slack) const {
  const Psf& psf = spec_.psfs[at(tile.psf)];
  double clear = psf.reach(1e-10);
  if (tile.geometry.kind == ComponentKind::profile) {
    // The ridge along a copy's major axis is q times its distance wide, and must stay wide beside
    // the PSF's core.
    clear =
        std::max({1.3 * psf.reach(1e-7), psf.core_width() * std::max(7.0, 5.0 / std::max(q, 0.1)),
                  0.25 * size, std::clamp(0.5 * size, 20.0, 46.0)});
  }
  double far = std::max(centre, size - 1 - centre);
  far = std::min(far, 5.0 * size + 200.0);  // a start that far off is no reason for a huge box
  return std::max(size, static_cast<int>(std::ceil(far + clear + slack)));
}

bool Scene::covers(std::span<const TileState> states) const {
  if (states.size() != views_.size()) return true;  // nothing was drawn yet
  for (std::size_t t = 0; t < views_.size(); ++t) {
    const TileView& view = views_[t];
    if (view.renderer != Renderer::fourier || !states[t].visible) continue;
    const double q = std::min(1.1 * axis_ratio(states[t].S), 1.0);
    if (box_size(spec_.tiles[t], view.width, states[t].x0, q, -1.0) > view.transfer.box_x ||
        box_size(spec_.tiles[t], view.height, states[t].y0, q, -1.0) > view.transfer.box_y ||
        1.5 * wing_step(view, states[t]) < view.wings.step) {
      return false;
    }
  }
  return true;
}

SceneSpec Scene::respecified(std::span<const double> start) const {
  SceneSpec spec = spec_;
  spec.parameters = parameters_->spec();
  spec.parameters.start.assign(start.begin(), start.end());
  for (TileSpec& tile : spec.tiles) tile.geometry.chart = ShapeChart::ellipse;
  return spec;
}

void Scene::plan_tile(std::size_t index, const ParameterState& start) {
  TileSpec& tile = spec_.tiles[index];
  TileView& view = views_[index];
  view.profile = tile.geometry.profile;
  view.x0 = tile.x_begin;
  view.y0 = tile.y_begin;
  view.width = tile.x_end - tile.x_begin;
  view.height = tile.y_end - tile.y_begin;
  tile.geometry.window_origin[0] = tile.x_begin;
  tile.geometry.window_origin[1] = tile.y_begin;
  view.row_stride = at(view.width) * n_lanes;
  const ComponentKind kind = tile.geometry.kind;
  if (kind == ComponentKind::flat_sky || kind == ComponentKind::plane_sky) {
    view.renderer = Renderer::sky;
    const LocalMap& map = tile.geometry.map;
    for (int row = 0; row < 2; ++row) {
      const double a = map.jacobian[2 * row], b = map.jacobian[2 * row + 1];
      view.sky_map[3 * row] =
          a * (tile.x_begin - map.anchor_pixel[0]) + b * (tile.y_begin - map.anchor_pixel[1]);
      view.sky_map[3 * row + 1] = a;
      view.sky_map[3 * row + 2] = b;
    }
    return;
  }
  if (tile.psf < 0) {
    view.renderer = Renderer::pixel;
    return;
  }
  view.renderer = Renderer::fourier;

  std::vector<double> slots(at(tile.geometry.n_slots));
  for (std::size_t k = 0; k < slots.size(); ++k) slots[k] = start.slots[at(tile.slots[k])];
  TileGeometry natural = tile.geometry;
  natural.chart = ShapeChart::ellipse;
  TileState state;
  Chain chain;
  if (!start.valid || !evaluate_geometry(natural, slots.data(), state, chain)) {
    state = {};
    state.x0 = 0.5 * (view.width - 1);
    state.y0 = 0.5 * (view.height - 1);
  }
  const auto box = [&](int size, double centre) {
    return FftPlan::good_size(box_size(tile, size, centre, axis_ratio(state.S), 0.08 * size + 3.0));
  };
  const int box_x = box(view.width, state.x0), box_y = box(view.height, state.y0);
  const Transfer& t = transfer(tile.psf, box_x, box_y);
  view.transfer = t.view();
  folds_[index] = t.folds();
  view.fft_x = plan(box_x).view();
  view.fft_y = plan(box_y).view();
  if (kind == ComponentKind::profile) {
    const int step = wing_step(view, state);
    const WingAxis &x = wing_axis(view.width, step), &y = wing_axis(view.height, step);
    view.wings = {step,          x.nodes,       y.nodes,          x.low,           y.low,
                  x.cell.data(), y.cell.data(), x.weights.data(), y.weights.data()};
  }
  // Rows hold half spectra first and pixels afterwards; an odd multiple of a cache line avoids
  // rows that alias in the cache.
  const std::size_t columns = at(std::max(view.width, 2 * view.transfer.n_columns));
  view.row_stride = (columns | 1U) * n_lanes;
}

void Scene::find_pairs() {
  image_tiles_.resize(spec_.images.size());
  image_pairs_.resize(spec_.images.size());
  for (std::size_t t = 0; t < spec_.tiles.size(); ++t) {
    image_tiles_[at(spec_.tiles[t].image)].push_back(static_cast<int>(t));
  }
  for (std::size_t i = 0; i < spec_.images.size(); ++i) {
    // Sweep in y so that distant tiles are never compared.
    std::vector<int> order = image_tiles_[i];
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
      return spec_.tiles[at(a)].y_begin < spec_.tiles[at(b)].y_begin;
    });
    std::vector<std::pair<int, int>> found;
    for (std::size_t m = 0; m < order.size(); ++m) {
      const TileSpec& a = spec_.tiles[at(order[m])];
      found.emplace_back(order[m], order[m]);
      for (std::size_t k = m + 1; k < order.size(); ++k) {
        const TileSpec& b = spec_.tiles[at(order[k])];
        if (b.y_begin >= a.y_end) break;
        if (b.x_begin < a.x_end && a.x_begin < b.x_end) {
          found.emplace_back(std::min(order[m], order[k]), std::max(order[m], order[k]));
        }
      }
    }
    std::sort(found.begin(), found.end());
    for (const auto& [first, second] : found) {
      const TileSpec &a = spec_.tiles[at(first)], &b = spec_.tiles[at(second)];
      image_pairs_[i].push_back(static_cast<int>(pairs_.size()));
      pairs_.push_back({first, second, std::max(a.x_begin, b.x_begin), std::min(a.x_end, b.x_end),
                        std::max(a.y_begin, b.y_begin), std::min(a.y_end, b.y_end)});
    }
  }
}

void Scene::place_tiles(const ParameterState& parameters, bool internal,
                        std::vector<TileState>& states, std::vector<Chain>& chains,
                        std::vector<AlignedBuffer<double>>& table_memory) const {
  states.resize(spec_.tiles.size());
  chains.resize(spec_.tiles.size());
  table_memory.resize(spec_.tiles.size());
  double slots[max_slots];
  for (std::size_t i = 0; i < spec_.tiles.size(); ++i) {
    const TileSpec& tile = spec_.tiles[i];
    const TileView& view = views_[i];
    TileState& state = states[i];
    state = {};
    for (std::size_t k = 0; k < tile.slots.size(); ++k) {
      slots[k] = parameters.slots[at(tile.slots[k])];
    }
    TileGeometry geometry = tile.geometry;
    if (!internal) geometry.chart = ShapeChart::ellipse;
    state.visible = evaluate_geometry(geometry, slots, state, chains[i]);
    if (state.visible && view.renderer == Renderer::fourier) {
      // Beyond this a copy's core would lie in the window.
      const double far_x = std::max(state.x0, view.width - 1 - state.x0);
      const double far_y = std::max(state.y0, view.height - 1 - state.y0);
      state.visible = far_x < view.transfer.box_x - 1 && far_y < view.transfer.box_y - 1;
    }
    if (!state.visible) {
      for (double& v : state.value) v = 0.0;
      chains[i] = {};
      continue;
    }
    if (view.renderer != Renderer::fourier || tile.geometry.kind != ComponentKind::profile)
      continue;
    // rho^2 = k^T S k between the smallest and the largest frequency of the box
    const double mean = 0.5 * (state.S[0] + state.S[2]);
    const double spread = std::hypot(0.5 * (state.S[0] - state.S[2]), state.S[1]);
    const double det = state.S[0] * state.S[2] - state.S[1] * state.S[1];
    const double largest = mean + spread, smallest = det / largest;
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
    const double low = step * step * smallest;
    const double high = (kx_max * kx_max + ky_max * ky_max) * largest;
    const std::size_t needed = TransformTable::size(low, high);
    if (table_memory[i].size() < needed) table_memory[i].resize(needed + needed / 8);
    table.fill(state.shape, low, high, table_memory[i].data(), state.table);
    state.has_table = true;
    wing_tail(profile_registry()[at(tile.geometry.profile)], view.transfer, state);
  }
}

}  // namespace jointlight
