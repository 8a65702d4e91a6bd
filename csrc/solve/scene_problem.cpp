// SPDX-License-Identifier: BSD-3-Clause
#include "solve/scene_problem.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.hpp"
#include "base/stage_clock.hpp"

namespace jointlight {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

}  // namespace

SceneProblem::SceneProblem(std::shared_ptr<const Scene> scene,
                           std::shared_ptr<const NormalLayout> layout, Backend& backend,
                           bool internal)
    : scene_(std::move(scene)),
      layout_(std::move(layout)),
      backend_(&backend),
      internal_(internal),
      columns_(layout_->tiles.size()),
      parts_(at(layout_->n_sources)) {}

void SceneProblem::rebind(std::shared_ptr<const Scene> scene,
                          std::shared_ptr<const NormalLayout> layout, Backend& backend) {
  scene_ = std::move(scene);
  layout_ = std::move(layout);
  backend_ = &backend;
  places_.clear();  // other boxes, other tables
  folded_.clear();
  filled_from_.clear();
}

const std::vector<TileState>& SceneProblem::place(std::span<const double> x) {
  prepare(x);
  return tiles_;
}

bool SceneProblem::prepare(std::span<const double> x) {
  scene_->parameters().evaluate(x, internal_, state_);
  scene_->place_tiles(state_, internal_, backend_->tables(), tiles_, chains_, places_);
  return state_.valid;
}

// chi2 by source and in all. What cannot be evaluated spoils its own source alone.
double SceneProblem::sum_parts(std::span<const double> x) {
  std::fill(parts_.begin(), parts_.end(), 0.0);
  const auto& tiles = scene_->tiles();
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  for (std::size_t t = 0; t < tiles.size(); ++t) {
    for (const int slot : tiles[t].slots) {
      if (!state_.valid && !std::isfinite(state_.slots[at(slot)])) sums_.chi2[t] = nan;
    }
    parts_[at(tiles[t].source)] += sums_.chi2[t];
  }
  for (int i = 0; i < size(); ++i) {
    double& part = parts_[at(home(i))];
    part += scene_->parameters().prior_chi2(state_, i);
    if (!std::isfinite(x[at(i)])) part = nan;
  }
  double sum = 0.0;
  for (const double part : parts_) sum += part;
  return sum;
}

double SceneProblem::chi2(std::span<const double> x) {
  prepare(x);
  sums_.chi2.resize(tiles_.size());
  backend_->chi2(tiles_, sums_.chi2);
  return sum_parts(x);
}

double SceneProblem::linearize(std::span<const double> x, std::span<double> g,
                               std::span<double> h) {
  prepare(x);
  backend_->linearize(tiles_, sums_);
  finish_normal(x, g, h);
  return sum_parts(x);
}

// Lane sums at the current state -> normal equations, priors included.
void SceneProblem::finish_normal(std::span<const double> x, std::span<double> g,
                                 std::span<double> h) {
  fill_columns();
  fold(g, h);
  const SparsePattern& entries = pattern();
  scene_->parameters().add_priors(x, internal_, state_, g, [&](int i, int j, double value) {
    h[at(entries.find(i, j))] += value;
  });
}

// Chain rule of every tile at the current state: lanes -> slots -> free coordinates.
void SceneProblem::fill_columns() {
  const StageClock clock(Stage::fold);
  const ParameterMap& map = scene_->parameters();
  unfolded_.resize(columns_.size(), 1);
  filled_from_.resize(columns_.size());
  constexpr std::size_t chain_size = sizeof(Chain::matrix) / sizeof(double);
  for (std::size_t t = 0; t < columns_.size(); ++t) {
    const NormalLayout::TileColumns& layout = layout_->tiles[t];
    const std::vector<int>& slots = scene_->tiles()[t].slots;
    // Calls visit(begin, end) for all that the columns are made of.
    const double visible = tiles_[t].visible ? 1.0 : 0.0;
    const auto each_range = [&](const auto& visit) {
      const double* matrix = &chains_[t].matrix[0][0];
      visit(&visible, &visible + 1);
      visit(matrix, matrix + chain_size);
      for (std::size_t s = 0; s < slots.size(); ++s) {
        const double* first = state_.coefficients.data() + map.row_begin(slots[s]);
        visit(first, first + layout.column[s].size());
      }
    };
    std::vector<double>& from = filled_from_[t];
    bool same = !from.empty();
    std::size_t next = 0;
    each_range([&](const double* begin, const double* end) {
      same = same && std::equal(begin, end, from.data() + next);
      next += static_cast<std::size_t>(end - begin);
    });
    if (same) continue;
    from.clear();
    each_range(
        [&](const double* begin, const double* end) { from.insert(from.end(), begin, end); });
    unfolded_[t] = 1;
    std::vector<double>& now = columns_[t];
    now.assign(layout.free.size() * n_lanes, 0.0);
    for (std::size_t s = 0; s < slots.size() && tiles_[t].visible; ++s) {
      for (std::size_t k = 0; k < layout.column[s].size(); ++k) {
        const double weight = state_.coefficients[at(map.row_begin(slots[s])) + k];
        double* column = &now[at(layout.column[s][k]) * n_lanes];
        for (int i = 0; i < n_lanes; ++i) column[i] += weight * chains_[t].matrix[i][s];
      }
    }
  }
}

// Sums of two tiles' lanes change with either of them; where data weigh as the model says, with all
// that lies beneath.
void SceneProblem::note_drawn() {
  const auto gaussian = [](const ImageSpec& image) {
    return image.likelihood == Likelihood::gaussian;
  };
  const bool all_gaussian = std::all_of(scene_->images().begin(), scene_->images().end(), gaussian);
  drawn_for_.resize(tiles_.size());
  for (std::size_t t = 0; t < tiles_.size(); ++t) {
    const LaneKey now = lane_key(tiles_[t]);
    if (all_gaussian && now == drawn_for_[t]) continue;
    drawn_for_[t] = now;
    unfolded_[t] = 1;
  }
}

void SceneProblem::fold(std::span<double> g, std::span<double> h) {
  const StageClock clock(Stage::fold);
  note_drawn();
  std::fill(g.begin(), g.end(), 0.0);
  for (std::size_t t = 0; t < columns_.size(); ++t) {
    const std::vector<int>& free = layout_->tiles[t].free;
    for (std::size_t c = 0; c < free.size(); ++c) {
      double sum = 0.0;
      for (std::size_t i = 0; i < n_lanes; ++i) {
        sum += columns_[t][c * n_lanes + i] * sums_.gradients[t * n_lanes + i];
      }
      g[at(free[c])] += sum;
    }
  }
  const auto& pairs = scene_->pairs();
  const bool afresh = folded_.size() != h.size();
  if (afresh) folded_.assign(h.size(), 0.0);
  for (const std::vector<int>& group : layout_->pair_groups) {
    const auto stale = [&](int p) {
      return unfolded_[at(pairs[at(p)].a)] != 0 || unfolded_[at(pairs[at(p)].b)] != 0;
    };
    if (!afresh && std::none_of(group.begin(), group.end(), stale)) continue;
    for (const int p : group) {
      for (const int position : layout_->positions[at(p)]) folded_[at(position)] = 0.0;
    }
    for (const int p : group) fold_pair(at(p));
  }
  std::fill(unfolded_.begin(), unfolded_.end(), std::uint8_t{0});
  std::copy(folded_.begin(), folded_.end(), h.begin());
}

void SceneProblem::fold_pair(std::size_t pair) {
  const TilePair& tiles = scene_->pairs()[pair];
  const std::vector<int>&free_a = layout_->tiles[at(tiles.a)].free,
        &free_b = layout_->tiles[at(tiles.b)].free;
  const std::vector<double>&a = columns_[at(tiles.a)], &b = columns_[at(tiles.b)];
  const bool same = tiles.a == tiles.b;
  const double* block = &sums_.blocks[pair * n_lanes * n_lanes];
  for (std::size_t ib = 0; ib < free_b.size(); ++ib) {
    double half[n_lanes];  // block x column of b
    for (int i = 0; i < n_lanes; ++i) {
      half[i] = 0.0;
      for (int j = 0; j < n_lanes; ++j) {
        half[i] += block[i * n_lanes + j] * b[ib * n_lanes + at(j)];
      }
    }
    for (std::size_t ia = 0; ia < free_a.size(); ++ia) {
      // A tile with itself is symmetric: one triangle of it. Two tiles that share a coordinate
      // meet it from both sides.
      if (same && free_a[ia] < free_b[ib]) continue;
      double sum = 0.0;
      for (int i = 0; i < n_lanes; ++i) sum += a[ia * n_lanes + at(i)] * half[i];
      const double factor = !same && free_a[ia] == free_b[ib] ? 2.0 : 1.0;
      folded_[at(layout_->positions[pair][ia * free_b.size() + ib])] += factor * sum;
    }
  }
}

std::vector<int> SceneProblem::meaningless(std::span<const double> x) const {
  std::vector<int> held;
  for (const auto& pin : scene_->parameters().pinned(x)) held.push_back(pin.held);
  return held;
}

void SceneProblem::progress(const IterationRecord& record, std::span<const double> x) {
  if (on_progress) on_progress(record, x);
}

void SceneProblem::render(std::span<const double> x, int image, double* out) {
  if (prepare(x)) {
    backend_->render(tiles_, image, out);
    return;
  }
  const ImageSpec& spec = scene_->images()[at(image)];
  std::fill_n(out, at(spec.width) * at(spec.height), std::numeric_limits<double>::quiet_NaN());
}

DeviceModel SceneProblem::render_on_device(std::span<const double> x, int image) {
  require(prepare(x), "v: a model without meaning there cannot be left on the device");
  return backend_->render_on_device(tiles_, image);
}

void SceneProblem::render_tiles(std::span<const double> x, std::span<const int> tiles,
                                std::span<double* const> out) {
  const bool valid = prepare(x);
  for (std::size_t k = 0; k < tiles.size(); ++k) {
    const TileView& view = scene_->views()[at(tiles[k])];
    const std::size_t width = at(view.width), size = width * at(view.height);
    if (!valid) {
      std::fill_n(out[k], size, std::numeric_limits<double>::quiet_NaN());
      continue;
    }
    backend_->render_tile(tiles_, tiles[k], out[k]);
  }
}

void SceneProblem::jacobian(std::span<const double> x, int image, double* out, double* model) {
  const ImageSpec& spec = scene_->images()[at(image)];
  const std::size_t size = at(spec.width) * at(spec.height);
  const double empty = prepare(x) ? 0.0 : std::numeric_limits<double>::quiet_NaN();
  std::fill_n(out, size * at(this->size()), empty);
  if (model != nullptr) std::fill_n(model, size, empty);
  if (!state_.valid) return;
  fill_columns();
  for (int t : scene_->image_tiles()[at(image)]) {
    const TileView& view = scene_->views()[at(t)];
    const std::size_t origin = at(view.y0) * at(spec.width) + at(view.x0);
    std::vector<double> weights = columns_[at(t)];
    std::vector<double*> planes;
    for (const int column : layout_->tiles[at(t)].free) {
      planes.push_back(out + at(column) * size + origin);
    }
    if (model != nullptr) {
      weights.insert(weights.end(), tiles_[at(t)].value, tiles_[at(t)].value + n_lanes);
      planes.push_back(model + origin);
    }
    backend_->project(tiles_, t, weights, planes, at(spec.width));
  }
}

}  // namespace jointlight
