// SPDX-License-Identifier: BSD-3-Clause
#include "backend/cpu/band_plan.hpp"

#include <algorithm>

namespace jointlight {
namespace {

constexpr std::size_t block_size = n_lanes * n_lanes;
constexpr int min_rows = 16, most_bands = 32;  // of an image

// With so many tiles, few of which may move, an image is cut into squares of this side: of what
// one tile touches, little else has to be summed again, and the lanes of a square's tiles stay in
// L2. Fewer tiles are best served by whole rows.
constexpr std::size_t many_tiles = 16;
constexpr int square_side = 48;

std::size_t at(int i) { return static_cast<std::size_t>(i); }

// An image cut into rows x columns of bands.
struct Grid {
  int width = 0, height = 0;
  int band_width = 1, band_height = 1;

  Grid(const ImageSpec& image, std::size_t n_tiles)
      : width(image.width), height(image.height), band_width(std::max(1, image.width)) {
    band_height = std::max(min_rows, (height + most_bands - 1) / most_bands);
    if (n_tiles >= many_tiles) band_width = band_height = square_side;
  }
  int columns() const { return (width + band_width - 1) / band_width; }
  int rows() const { return (height + band_height - 1) / band_height; }

  // Calls visit(band) for those that a rectangle of the image meets.
  template <class Visit>
  void each(int x_begin, int x_end, int y_begin, int y_end, const Visit& visit) const {
    if (x_begin >= x_end || y_begin >= y_end) return;
    for (int r = y_begin / band_height; r <= (y_end - 1) / band_height; ++r) {
      for (int c = x_begin / band_width; c <= (x_end - 1) / band_width; ++c) {
        visit(at(r * columns() + c));
      }
    }
  }
};

std::vector<BandPlan> plan_image(const Scene& scene, const std::vector<TileView>& views,
                                 std::size_t image, std::vector<int>& local) {
  const ImageSpec& spec = scene.images()[image];
  const Grid grid(spec, scene.image_tiles()[image].size());
  std::vector<BandPlan> bands(at(grid.rows() * grid.columns()));
  std::vector<int> n_made(bands.size(), 0), n_widened(bands.size(), 0);
  for (const int t : scene.image_tiles()[image]) {
    const TileView& view = views[at(t)];
    const bool plane = scene.tiles()[at(t)].geometry.kind == ComponentKind::plane_sky;
    grid.each(view.x0, view.x0 + view.width, view.y0, view.y0 + view.height, [&](std::size_t b) {
      const int made = view.made_by_row() ? n_made[b]++ : -1;
      const int widened = view.in_one_box() ? n_widened[b]++ : -1;
      bands[b].tiles.push_back(t);
      bands[b].band_tiles.push_back({&view, nullptr, plane ? 3 : 1, made, widened});
    });
  }
  for (const int p : scene.image_pairs()[image]) {
    const TilePair& pair = scene.pairs()[at(p)];
    grid.each(pair.x_begin, pair.x_end, pair.y_begin, pair.y_end,
              [&](std::size_t b) { bands[b].pairs.push_back(p); });
  }
  const OwnedRows& owned = scene.owned_rows()[image];
  for (std::size_t b = 0; b < bands.size(); ++b) {
    BandPlan& plan = bands[b];
    plan.image = static_cast<int>(image);
    Band& band = plan.band;
    band.data = spec.data.data();
    band.weight = spec.weight.data();
    band.likelihood = spec.likelihood;
    band.width = spec.width;
    band.x_begin = static_cast<int>(b) % grid.columns() * grid.band_width;
    band.x_end = std::min(spec.width, band.x_begin + grid.band_width);
    band.y_begin = static_cast<int>(b) / grid.columns() * grid.band_height;
    band.y_end = std::min(spec.height, band.y_begin + grid.band_height);
    for (std::size_t t = 0; t < plan.tiles.size(); ++t) {
      local[at(plan.tiles[t])] = static_cast<int>(t);
    }
    for (const int p : plan.pairs) {
      const TilePair& pair = scene.pairs()[at(p)];
      plan.band_pairs.push_back(
          {local[at(pair.a)], local[at(pair.b)], std::max(pair.x_begin, band.x_begin),
           std::min(pair.x_end, band.x_end), pair.y_begin, pair.y_end, nullptr});
    }
    for (int y = band.y_begin; y < band.y_end; ++y) {
      plan.run_start.push_back(static_cast<int>(plan.runs.size()));
      const auto end = owned.runs.begin() + owned.row_start[at(y) + 1];
      auto run = std::partition_point(owned.runs.begin() + owned.row_start[at(y)], end,
                                      [&](const OwnedRun& r) { return r.x_end <= band.x_begin; });
      for (; run != end && run->x_begin < band.x_end; ++run) {
        plan.runs.push_back({std::max(run->x_begin, band.x_begin), std::min(run->x_end, band.x_end),
                             local[at(run->tile)]});
      }
    }
    plan.run_start.push_back(static_cast<int>(plan.runs.size()));
    plan.chi2.resize(plan.tiles.size());
    plan.blocks.resize(plan.pairs.size() * block_size);
    plan.gradients.resize(plan.tiles.size() * n_lanes);
  }
  std::erase_if(bands, [](const BandPlan& plan) { return plan.tiles.empty(); });
  return bands;
}

}  // namespace

void BandPlan::add_chi2(std::span<double> per_tile) const {
  for (std::size_t t = 0; t < tiles.size(); ++t) per_tile[at(tiles[t])] += chi2[t];
}

std::vector<BandPlan> plan_bands(const Scene& scene, const std::vector<TileView>& views) {
  std::vector<BandPlan> bands;
  std::vector<int> local(views.size(), -1);
  for (std::size_t i = 0; i < scene.images().size(); ++i) {
    for (BandPlan& plan : plan_image(scene, views, i, local)) bands.push_back(std::move(plan));
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

BandTotals::BandTotals(const Scene& scene, std::span<const BandPlan> bands)
    : by_pair_(collect(scene.pairs().size(), bands, &BandPlan::pairs)),
      by_tile_(collect(scene.tiles().size(), bands, &BandPlan::tiles)) {
  blocks_.resize(scene.pairs().size() * block_size);
  gradients_.resize(scene.tiles().size() * n_lanes);
}

BandTotals::Shares BandTotals::collect(std::size_t n, std::span<const BandPlan> bands,
                                       std::vector<int> BandPlan::* items) {
  Shares by_item;
  by_item.start.assign(n + 1, 0);
  for (const BandPlan& plan : bands) {
    for (const int i : plan.*items) ++by_item.start[at(i) + 1];
  }
  for (std::size_t i = 0; i < n; ++i) by_item.start[i + 1] += by_item.start[i];
  by_item.shares.resize(at(by_item.start[n]));
  std::vector<int> next(by_item.start.begin(), by_item.start.end() - 1);
  for (std::size_t b = 0; b < bands.size(); ++b) {
    const std::vector<int>& list = bands[b].*items;
    for (std::size_t k = 0; k < list.size(); ++k) {
      by_item.shares[at(next[at(list[k])]++)] = {static_cast<int>(b), static_cast<int>(k)};
    }
  }
  return by_item;
}

void BandTotals::update(std::span<BandPlan> bands) {
  const auto renew = [&](const Shares& by_item, std::vector<int> BandPlan::* items,
                         std::size_t size, AlignedBuffer<double> BandPlan::* sums,
                         AlignedBuffer<double>& totals) {
    const std::size_t n = by_item.start.size() - 1;
    stale_.assign(n, 0);
    for (const BandPlan& plan : bands) {
      if (plan.summed) continue;
      for (const int i : plan.*items) stale_[at(i)] = 1;
    }
    for (std::size_t i = 0; i < n; ++i) {
      if (stale_[i] == 0) continue;
      double* total = totals.data() + i * size;
      std::fill_n(total, size, 0.0);
      for (int s = by_item.start[i]; s < by_item.start[i + 1]; ++s) {
        const Share& share = by_item.shares[at(s)];
        const double* own = (bands[at(share.band)].*sums).data() + at(share.index) * size;
        for (std::size_t k = 0; k < size; ++k) total[k] += own[k];
      }
    }
  };
  renew(by_pair_, &BandPlan::pairs, block_size, &BandPlan::blocks, blocks_);
  renew(by_tile_, &BandPlan::tiles, n_lanes, &BandPlan::gradients, gradients_);
  for (BandPlan& plan : bands) plan.summed = true;
}

}  // namespace jointlight
