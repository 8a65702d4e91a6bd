// SPDX-License-Identifier: BSD-3-Clause
#include "scene/scene.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace jointlight {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

double axis_ratio(const double S[3]) {
  return std::sqrt(std::max(S[0] * S[2] - S[1] * S[1], 0.0)) / largest_eigenvalue(S);
}

}  // namespace

Scene::Scene(SceneSpec spec) : spec_(std::move(spec)) {
  validate();
  views_.resize(spec_.tiles.size());
  folds_.assign(spec_.tiles.size(), 0);
  copy_blurs_.resize(spec_.tiles.size());
  std::vector<SlotUse> uses;
  for (TileSpec& tile : spec_.tiles) uses.push_back({tile.slots, &tile.geometry});
  parameters_ = std::make_unique<ParameterMap>(std::move(spec_.parameters), uses);
  for (const Psf& psf : spec_.psfs) {
    psf_keys_.push_back(PlanCache::key(psf));
    psf_extents_.push_back(PlanCache::shared().extent(psf_keys_.back(), psf));
  }
  ParameterState start;
  parameters_->evaluate(parameters_->spec().start, false, start);
  std::vector<TileState> states(spec_.tiles.size());
  for (std::size_t i = 0; i < spec_.tiles.size(); ++i) {
    states[i] = plan_tile(i, start);
    place_views_.push_back(place_view(i));
  }
  find_pairs();
  divide_images(states);
}

bool Scene::follows_parameters(const TileSpec& tile) const {
  return std::any_of(tile.slots.begin(), tile.slots.end(), [&](int slot) {
    return parameters_->row_end(slot) > parameters_->row_begin(slot);
  });
}

void Scene::divide_images(const std::vector<TileState>& states) {
  owned_pixels_.assign(spec_.tiles.size(), 0);
  for (std::size_t i = 0; i < spec_.images.size(); ++i) {
    ImageSpec& image = spec_.images[i];
    std::vector<Claim> claims;
    for (const int t : image_tiles_[i]) {
      const TileSpec& tile = spec_.tiles[at(t)];
      const bool is_sky = views_[at(t)].renderer == Renderer::sky;
      Claim claim{.tile = t,
                  .x_begin = tile.x_begin,
                  .x_end = tile.x_end,
                  .y_begin = tile.y_begin,
                  .y_end = tile.y_end};
      // Pixels belong to what a fit can move, as long as anything there can be moved.
      claim.rank = (follows_parameters(tile) ? 0 : 2) + (is_sky ? 1 : 0);
      if (!is_sky) {
        const TileState& state = states[at(t)];
        claim.x0 = tile.x_begin + state.x0;
        claim.y0 = tile.y_begin + state.y0;
        const bool extended = tile.geometry.kind == ComponentKind::profile;
        const double core = tile.psf >= 0 ? psf_extents_[at(tile.psf)].core : 0.0;
        const double blur = core * core + 0.5;  // PSF and pixel, px^2
        const double s11 = (extended ? state.S[0] : 0.0) + blur, s12 = extended ? state.S[1] : 0.0;
        const double s22 = (extended ? state.S[2] : 0.0) + blur, det = s11 * s22 - s12 * s12;
        claim.inverse[0] = s22 / det;
        claim.inverse[1] = -s12 / det;
        claim.inverse[2] = s11 / det;
      }
      claims.push_back(claim);
    }
    owned_rows_.push_back(
        divide_pixels(image.width, image.height, image.weight, std::move(claims), owned_pixels_));
    // Pixels that no tile covers carry no information about the model.
    std::vector<std::uint8_t> covered(image.data.size(), 0);
    const OwnedRows& rows = owned_rows_.back();
    for (int y = 0; y < image.height; ++y) {
      for (int r = rows.row_start[at(y)]; r < rows.row_start[at(y) + 1]; ++r) {
        const OwnedRun& run = rows.runs[at(r)];
        std::fill_n(covered.begin() + static_cast<std::ptrdiff_t>(y) * image.width + run.x_begin,
                    run.x_end - run.x_begin, std::uint8_t{1});
      }
    }
    for (std::size_t p = 0; p < covered.size(); ++p) {
      if (covered[p] == 0 && image.weight[p] > 0.0) {
        image.weight[p] = 0.0;
        image.on_device.weight = nullptr;
      }
      if (!(image.weight[p] > 0.0)) image.data[p] = 0.0;
    }
  }
}

void Scene::validate() const {
  require(spec_.tolerance >= 0.0 && spec_.tolerance < 1.0, "tolerance = ", spec_.tolerance,
          " must lie in [0, 1)");
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
    require(static_cast<int>(tile.slots.size()) == tile.geometry.n_all_slots(), "tile ", i,
            ": has ", tile.slots.size(), " slots, its profile and calibration have ",
            tile.geometry.n_all_slots());
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
  if (!slot) {
    slot = PlanCache::shared().transfer(psf_keys_[at(psf)], spec_.psfs[at(psf)], box_x, box_y);
  }
  return *slot;
}

const FftPlan& Scene::fft(int size) {
  auto& slot = ffts_[size];
  if (!slot) slot = PlanCache::shared().fft(size);
  return *slot;
}

// The window fits into the box, and copies of the source stay clear of it: further than the PSF
// reaches, and far enough to be smooth there.
int Scene::box_size(const TileSpec& tile, int size, double centre, double q, double slack) const {
  const PsfExtent& psf = psf_extents_[at(tile.psf)];
  double clear = psf.far;
  if (tile.geometry.kind == ComponentKind::profile) {
    // The ridge along a copy's major axis is q times its distance wide, and must stay wide beside
    // the PSF's core.
    clear = std::max({1.3 * psf.near, psf.core * std::max(14.0, 5.0 / std::max(q, 0.1)),
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
    const TileState& state = states[t];
    const bool inside =
        state.x0 >= 0.0 && state.x0 < view.width && state.y0 >= 0.0 && state.y0 < view.height;
    if (state.beyond && inside) return false;
    if (view.renderer != Renderer::fourier || !state.visible) continue;
    if (view.core.taper > 0.0) {
      if (!core_suits(place_views_[t], state)) return false;
      continue;
    }
    const double q = std::min(1.1 * axis_ratio(states[t].S), 1.0);
    if (box_size(spec_.tiles[t], view.width, states[t].x0, q, -1.0) > view.transfer.box_x ||
        box_size(spec_.tiles[t], view.height, states[t].y0, q, -1.0) > view.transfer.box_y ||
        !suits_copies(view, states[t], psf_extents_[at(spec_.tiles[t].psf)].core)) {
      return false;
    }
  }
  return true;
}

SceneSpec Scene::respecified(std::span<const double> start) const {
  SceneSpec spec = spec_;
  spec.parameters = parameters_->spec();
  for (std::size_t i = 0; i < start.size(); ++i) {
    if (std::isfinite(start[i])) spec.parameters.start[i] = start[i];
  }
  for (TileSpec& tile : spec.tiles) tile.geometry.chart = ShapeChart::ellipse;
  return spec;
}

TileState Scene::plan_tile(std::size_t index, const ParameterState& start) {
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
  view.drawn = {0, 0, 0, view.width, 0, view.height};
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
    return {};
  }
  std::vector<double> slots(tile.slots.size());
  for (std::size_t k = 0; k < slots.size(); ++k) slots[k] = start.slots[at(tile.slots[k])];
  TileGeometry natural = tile.geometry;
  natural.chart = ShapeChart::ellipse;
  TileState state;
  Chain chain;
  if (!evaluate_geometry(natural, slots.data(), state, chain)) {
    state = {};
    state.x0 = 0.5 * (view.width - 1);
    state.y0 = 0.5 * (view.height - 1);
  }
  if (tile.psf < 0) {
    view.renderer = Renderer::pixel;
    return state;
  }
  view.renderer = Renderer::fourier;
  const auto box = [&](int size, double centre) {
    return FftPlan::good_size(box_size(tile, size, centre, axis_ratio(state.S), 0.08 * size + 3.0));
  };
  int box_x = box(view.width, state.x0), box_y = box(view.height, state.y0);
  int core_x = 0, core_y = 0;
  const bool in_parts = plan_core(tile, state, box_x, box_y, view, core_x, core_y);
  if (in_parts) {
    box_x = core_x;
    box_y = core_y;
  }
  const Transfer& t = transfer(tile.psf, box_x, box_y);
  view.transfer = t.view();
  folds_[index] = t.folds();
  view.fft_x = fft(box_x).view();
  view.fft_y = fft(box_y).view();
  if (kind == ComponentKind::profile && !in_parts) {
    const double slack = 2.0 + 0.02 * std::max(view.width, view.height);
    view.copies =
        plan_copies(view, state, psf_extents_[at(tile.psf)].core, slack, copy_blurs_[index]);
  }
  // Rows hold half spectra first and pixels afterwards; an odd multiple of a cache line avoids
  // rows that alias in the cache.
  const std::size_t columns =
      at(std::max(view.drawn.x_end - view.drawn.x_begin, 2 * view.transfer.n_columns));
  view.row_stride = (columns | 1U) * n_lanes;
  return state;
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

}  // namespace jointlight
