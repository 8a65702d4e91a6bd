// SPDX-License-Identifier: BSD-3-Clause
#include "solve/scene_problem.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace jointlight {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

}  // namespace

SceneProblem::SceneProblem(std::shared_ptr<const Scene> scene, Backend& backend, bool internal)
    : scene_(std::move(scene)), backend_(backend), internal_(internal) {
  const ParameterMap& map = scene_->parameters();
  chi2_images_.assign(scene_->images().size(), 0.0);
  for (const TileSpec& tile : scene_->tiles()) {
    TileColumns columns;
    for (int slot : tile.slots) {
      for (int e = map.row_begin(slot); e < map.row_end(slot); ++e) {
        columns.free.push_back(map.free_index(e));
      }
    }
    std::sort(columns.free.begin(), columns.free.end());
    columns.free.erase(std::unique(columns.free.begin(), columns.free.end()), columns.free.end());
    for (int slot : tile.slots) {
      auto& row = columns.column.emplace_back();
      for (int e = map.row_begin(slot); e < map.row_end(slot); ++e) {
        const auto found =
            std::lower_bound(columns.free.begin(), columns.free.end(), map.free_index(e));
        row.push_back(static_cast<int>(found - columns.free.begin()));
      }
    }
    columns.matrix.resize(columns.free.size() * n_lanes);
    columns_.push_back(std::move(columns));
  }
  std::vector<std::vector<int>> groups = map.chart_groups();
  for (const TilePair& pair : scene_->pairs()) {
    std::vector<int> group = columns_[at(pair.a)].free;
    const std::vector<int>& other = columns_[at(pair.b)].free;
    group.insert(group.end(), other.begin(), other.end());
    groups.push_back(std::move(group));
  }
  pattern_ = SparsePattern::from_groups(map.n_free(), groups);
  for (const TilePair& pair : scene_->pairs()) {
    std::vector<int> position;
    for (int i : columns_[at(pair.a)].free) {
      for (int j : columns_[at(pair.b)].free) position.push_back(pattern_.find(i, j));
    }
    positions_.push_back(std::move(position));
  }
}

long SceneProblem::n_data() const {
  long sum = 0;
  for (long n : scene_->n_pixels()) sum += n;
  return sum;
}

bool SceneProblem::prepare(std::span<const double> x) {
  const ParameterMap& map = scene_->parameters();
  map.evaluate(x, internal_, state_);
  if (!state_.valid) return false;
  scene_->place_tiles(state_, internal_, tiles_, chains_, table_memory_);
  return true;
}

double SceneProblem::chi2(std::span<const double> x) {
  if (!prepare(x)) return std::numeric_limits<double>::quiet_NaN();
  backend_.chi2(tiles_, chi2_images_);
  double sum = scene_->parameters().prior_chi2(state_);
  for (double value : chi2_images_) sum += value;
  return sum;
}

double SceneProblem::linearize(std::span<const double> x, std::span<double> g,
                               std::span<double> h) {
  std::fill(g.begin(), g.end(), 0.0);
  std::fill(h.begin(), h.end(), 0.0);
  if (!prepare(x)) return std::numeric_limits<double>::quiet_NaN();
  backend_.linearize(tiles_, sums_);
  fill_columns();
  fold(sums_, g, h);
  chi2_images_ = sums_.chi2;
  const ParameterMap& map = scene_->parameters();
  double sum = map.prior_chi2(state_);
  map.add_priors(x, internal_, state_, g,
                 [&](int i, int j, double value) { h[at(pattern_.find(i, j))] += value; });
  for (double value : chi2_images_) sum += value;
  return sum;
}

// Chain rule of every tile at the current state: lanes -> slots -> free coordinates.
void SceneProblem::fill_columns() {
  const ParameterMap& map = scene_->parameters();
  for (std::size_t t = 0; t < columns_.size(); ++t) {
    TileColumns& columns = columns_[t];
    std::fill(columns.matrix.begin(), columns.matrix.end(), 0.0);
    const std::vector<int>& slots = scene_->tiles()[t].slots;
    for (std::size_t s = 0; s < slots.size(); ++s) {
      for (std::size_t k = 0; k < columns.column[s].size(); ++k) {
        const double weight = state_.coefficients[at(map.row_begin(slots[s])) + k];
        double* column = &columns.matrix[at(columns.column[s][k]) * n_lanes];
        for (int i = 0; i < n_lanes; ++i) column[i] += weight * chains_[t].matrix[i][s];
      }
    }
  }
}

void SceneProblem::fold(const LaneSums& sums, std::span<double> g, std::span<double> h) const {
  for (std::size_t t = 0; t < columns_.size(); ++t) {
    const TileColumns& columns = columns_[t];
    for (std::size_t c = 0; c < columns.free.size(); ++c) {
      double sum = 0.0;
      for (std::size_t i = 0; i < n_lanes; ++i) {
        sum += columns.matrix[c * n_lanes + i] * sums.gradients[t * n_lanes + i];
      }
      g[at(columns.free[c])] += sum;
    }
  }
  const auto& pairs = scene_->pairs();
  for (std::size_t p = 0; p < pairs.size(); ++p) {
    const TileColumns &a = columns_[at(pairs[p].a)], &b = columns_[at(pairs[p].b)];
    const bool same = pairs[p].a == pairs[p].b;
    const double* block = &sums.blocks[p * n_lanes * n_lanes];
    for (std::size_t ib = 0; ib < b.free.size(); ++ib) {
      double half[n_lanes];  // block x column of b
      for (int i = 0; i < n_lanes; ++i) {
        half[i] = 0.0;
        for (int j = 0; j < n_lanes; ++j) {
          half[i] += block[i * n_lanes + j] * b.matrix[ib * n_lanes + at(j)];
        }
      }
      for (std::size_t ia = 0; ia < a.free.size(); ++ia) {
        // A tile with itself is symmetric: one triangle of it. Two tiles that share a coordinate
        // meet it from both sides.
        if (same && a.free[ia] < b.free[ib]) continue;
        double sum = 0.0;
        for (int i = 0; i < n_lanes; ++i) sum += a.matrix[ia * n_lanes + at(i)] * half[i];
        const double factor = !same && a.free[ia] == b.free[ib] ? 2.0 : 1.0;
        h[at(positions_[p][ia * b.free.size() + ib])] += factor * sum;
      }
    }
  }
}

void SceneProblem::progress(const IterationRecord& record, std::span<const double> x) {
  if (on_progress) on_progress(record, x);
}

void SceneProblem::render(std::span<const double> x, int image, double* out) {
  if (prepare(x)) {
    backend_.render(tiles_, image, out);
    return;
  }
  const ImageSpec& spec = scene_->images()[at(image)];
  std::fill_n(out, at(spec.width) * at(spec.height), std::numeric_limits<double>::quiet_NaN());
}

void SceneProblem::render_tile(std::span<const double> x, int tile, double* out) {
  const TileView& view = scene_->views()[at(tile)];
  const std::size_t size = at(view.width) * at(view.height);
  if (!prepare(x)) {
    std::fill_n(out, size, std::numeric_limits<double>::quiet_NaN());
    return;
  }
  const FieldsView fields = backend_.fields(tiles_, tile);
  for (int y = 0; y < view.height; ++y) {
    const double* row = fields.data + at(y) * fields.row_stride;
    for (std::size_t px = 0; px < at(view.width); ++px) {
      double sum = 0.0;
      for (std::size_t i = 0; i < n_lanes; ++i) {
        sum += tiles_[at(tile)].value[i] * row[px * n_lanes + i];
      }
      out[at(y) * at(view.width) + px] = sum;
    }
  }
}

void SceneProblem::jacobian(std::span<const double> x, int image, double* out) {
  const ImageSpec& spec = scene_->images()[at(image)];
  const std::size_t size = at(spec.width) * at(spec.height);
  if (!prepare(x)) {
    std::fill_n(out, size * at(this->size()), std::numeric_limits<double>::quiet_NaN());
    return;
  }
  std::fill_n(out, size * at(this->size()), 0.0);
  fill_columns();
  for (int t : scene_->image_tiles()[at(image)]) {
    const TileView& view = scene_->views()[at(t)];
    const TileColumns& columns = columns_[at(t)];
    const FieldsView fields = backend_.fields(tiles_, t);
    for (int y = 0; y < view.height; ++y) {
      const double* row = fields.data + at(y) * fields.row_stride;
      const std::size_t offset = at(view.y0 + y) * at(spec.width) + at(view.x0);
      for (std::size_t c = 0; c < columns.free.size(); ++c) {
        double* plane = out + at(columns.free[c]) * size + offset;
        for (std::size_t i = 0; i < n_lanes; ++i) {
          const double weight = columns.matrix[c * n_lanes + i];
          if (weight == 0.0) continue;
          for (std::size_t px = 0; px < at(view.width); ++px)
            plane[px] += weight * row[px * n_lanes + i];
        }
      }
    }
  }
}

}  // namespace jointlight
