// SPDX-License-Identifier: BSD-3-Clause
#include "backend/cpu/band_plan.hpp"

#include <algorithm>

namespace jointlight {
namespace {

constexpr std::size_t block_size = n_lanes * n_lanes;
constexpr int min_rows = 16, most_bands = 32;  // of an image

std::size_t at(int i) { return static_cast<std::size_t>(i); }

// local: [n_tiles of the scene] scratch, all -1 before and after.
BandPlan plan_band(const Scene& scene, const std::vector<TileView>& views, std::size_t image,
                   int y_begin, int y_end, std::vector<int>& local) {
  BandPlan plan;
  plan.image = static_cast<int>(image);
  int n_made = 0;
  for (const int t : scene.image_tiles()[image]) {
    const TileView& view = views[at(t)];
    if (view.y0 >= y_end || view.y0 + view.height <= y_begin) continue;
    local[at(t)] = static_cast<int>(plan.tiles.size());
    plan.tiles.push_back(t);
    const bool plane = scene.tiles()[at(t)].geometry.kind == ComponentKind::plane_sky;
    const bool made = view.renderer == Renderer::sky || view.core.taper > 0.0;
    plan.band_tiles.push_back({&view, nullptr, plane ? 3 : 1, made ? n_made++ : -1});
  }
  for (const int p : scene.image_pairs()[image]) {
    const TilePair& pair = scene.pairs()[at(p)];
    if (pair.y_begin >= y_end || pair.y_end <= y_begin) continue;
    plan.pairs.push_back(p);
    plan.band_pairs.push_back({local[at(pair.a)], local[at(pair.b)], pair.x_begin, pair.x_end,
                               pair.y_begin, pair.y_end, nullptr});
  }
  const OwnedRows& owned = scene.owned_rows()[image];
  for (int y = y_begin; y < y_end; ++y) {
    plan.run_start.push_back(static_cast<int>(plan.runs.size()));
    for (int r = owned.row_start[at(y)]; r < owned.row_start[at(y) + 1]; ++r) {
      plan.runs.push_back(owned.runs[at(r)]);
      plan.runs.back().tile = local[at(plan.runs.back().tile)];
    }
  }
  plan.run_start.push_back(static_cast<int>(plan.runs.size()));
  for (const int t : plan.tiles) local[at(t)] = -1;
  plan.chi2.resize(plan.tiles.size());
  plan.blocks.resize(plan.pairs.size() * block_size);
  plan.gradients.resize(plan.tiles.size() * n_lanes);
  const ImageSpec& spec = scene.images()[image];
  plan.band.data = spec.data.data();
  plan.band.weight = spec.weight.data();
  plan.band.likelihood = spec.likelihood;
  plan.band.width = spec.width;
  plan.band.y_begin = y_begin;
  plan.band.y_end = y_end;
  return plan;
}

}  // namespace

void BandPlan::add_chi2(std::span<double> per_tile) const {
  for (std::size_t t = 0; t < tiles.size(); ++t) per_tile[at(tiles[t])] += chi2[t];
}

void BandPlan::add_normal(LaneSums& sums) const {
  for (std::size_t p = 0; p < pairs.size(); ++p) {
    double* target = &sums.blocks[at(pairs[p]) * block_size];
    const double* source = blocks.data() + p * block_size;
    for (std::size_t i = 0; i < block_size; ++i) target[i] += source[i];
  }
  for (std::size_t t = 0; t < tiles.size(); ++t) {
    double* target = &sums.gradients[at(tiles[t]) * n_lanes];
    for (int i = 0; i < n_lanes; ++i) target[i] += gradients[t * n_lanes + at(i)];
  }
}

std::vector<BandPlan> plan_bands(const Scene& scene, const std::vector<TileView>& views) {
  std::vector<BandPlan> bands;
  std::vector<int> local(views.size(), -1);
  for (std::size_t i = 0; i < scene.images().size(); ++i) {
    const int height = scene.images()[i].height;
    const int rows = std::max(min_rows, (height + most_bands - 1) / most_bands);
    for (int y = 0; y < height; y += rows) {
      BandPlan plan = plan_band(scene, views, i, y, std::min(height, y + rows), local);
      if (!plan.tiles.empty()) bands.push_back(std::move(plan));
    }
  }
  for (BandPlan& plan : bands) {
    for (std::size_t p = 0; p < plan.band_pairs.size(); ++p) {
      plan.band_pairs[p].block = plan.blocks.data() + p * block_size;
    }
    plan.band.tiles = plan.band_tiles.data();
    plan.band.n_tiles = static_cast<int>(plan.band_tiles.size());
    plan.band.n_pairs = static_cast<int>(plan.band_pairs.size());
    plan.band.gradients = plan.gradients.data();
    plan.band.runs = plan.runs.data();
    plan.band.run_start = plan.run_start.data();
    plan.band.chi2 = plan.chi2.data();
  }
  return bands;
}

}  // namespace jointlight
