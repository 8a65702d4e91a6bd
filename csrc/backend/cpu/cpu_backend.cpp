// SPDX-License-Identifier: BSD-3-Clause
#include "backend/cpu/cpu_backend.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <sstream>

#include "backend/cpu/band_plan.hpp"
#include "backend/cpu/kernels.hpp"
#include "backend/cpu/thread_pool.hpp"
#include "backend/cpu/tile_painter.hpp"
#include "stages/pipeline.hpp"

namespace jointlight {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

// Of one thread, for bands and rows: see Band.
struct RowScratch {
  AlignedBuffer<double> line, rows, made, widened;
  std::vector<const double*> lanes;
};

// What a tile's fields and its share of the model were last computed for. Its fields do not depend
// on the amplitude.
struct Drawn {
  LaneKey key = {};
  double value[n_lanes] = {};
  bool known = false;
  bool in_memory = false;  // the fields are there

  // True if the state differs from the last one, which it replaces.
  bool update(const TileState& state) {
    const LaneKey now = lane_key(state);
    const bool same_fields = known && now == key;
    const bool same = same_fields && std::equal(value, value + n_lanes, state.value);
    if (!same_fields) in_memory = false;
    known = true;
    key = now;
    std::copy_n(state.value, n_lanes, value);
    return !same;
  }
};

class CpuBackend final : public Backend {
 public:
  CpuBackend(std::shared_ptr<const Scene> scene, int n_threads, std::size_t field_bytes)
      : scene_(std::move(scene)),
        n_threads_(n_threads > 0 ? n_threads : default_threads()),
        precision_(scene_->precision()),
        kernels_(kernels()),
        views_(scene_->views()),
        drawn_(views_.size()),
        bands_(plan_bands(*scene_, views_)),
        totals_(*scene_, bands_),
        plane_offset_(views_.size()) {
    plan_fields(field_bytes / sizeof(double));
    painter_.emplace(views_, kernels_, n_threads_);
    allocate_scratch();
  }

  void render(std::span<const TileState> states, int image, double* out) override {
    const ImageSpec& spec = scene_->images()[at(image)];
    const std::vector<int>& tiles = scene_->image_tiles()[at(image)];
    std::fill_n(out, at(spec.width) * at(spec.height), 0.0);
    draw_values(states, tiles);
    for (const int t : tiles) {
      const TileView& view = views_[at(t)];
      add_to_image(states[at(t)], t, out + at(view.y0) * at(spec.width) + view.x0, at(spec.width));
    }
  }

  void render_tile(std::span<const TileState> states, int tile, double* out) override {
    const TileView& view = views_[at(tile)];
    std::fill_n(out, at(view.width) * at(view.height), 0.0);
    draw_values(states, {&tile, 1});
    add_to_image(states[at(tile)], tile, out, at(view.width));
  }

  void project(std::span<const TileState> states, int tile, std::span<const double> weights,
               std::span<double* const> planes, std::size_t stride) override {
    constexpr int piece = 16;  // rows
    const TileView& view = views_[at(tile)];
    note_changes(states);
    draw(states, {&tile, 1});
    parallel_for((view.height + piece - 1) / piece, n_threads_, [&](int i, int thread) {
      const int n_planes = static_cast<int>(planes.size());
      for (int y = i * piece; y < std::min(view.height, (i + 1) * piece); ++y) {
        project_row(view, y, weights.data(), n_planes, planes.data(), at(y) * stride,
                    scratch_[at(thread)]);
      }
    });
  }

  void chi2(std::span<const TileState> states, std::span<double> per_tile) override {
    evaluate(*this, states, false);
    sum_chi2(per_tile);
  }

  void linearize(std::span<const TileState> states, LaneSums& sums) override {
    evaluate(*this, states, true);
    sums.chi2.resize(views_.size());
    sum_chi2(sums.chi2);
    totals_.update(bands_);
    sums.blocks.assign(totals_.blocks().begin(), totals_.blocks().end());
    sums.gradients.assign(totals_.gradients().begin(), totals_.gradients().end());
  }

  std::string describe() const override {
    std::ostringstream text;
    text << "cpu, " << kernels_.isa << ", " << n_threads_ << " threads";
    if (precision_ == Precision::mixed) text << ", mixed precision";
    return text.str();
  }

  // ---- executor (stages/pipeline.hpp) ----

  // Notes what changed since the last evaluation and what of it has to be computed.
  void begin(std::span<const TileState> states, bool derivatives) {
    const auto wanted = derivatives ? BandPlan::Level::normal : BandPlan::Level::chi2;
    note_changes(states);
    wanted_.assign(views_.size(), 0);
    for (BandPlan& plan : bands_) {
      if (plan.level >= wanted) continue;
      for (const int t : plan.tiles) wanted_[at(t)] = 1;
    }
  }

  int n_batches() const { return static_cast<int>(batches_.size()); }

  template <class Body>
  void for_tiles(int batch, const Body& body) {
    todo_.clear();
    for (const int image : batches_[at(batch)]) {
      for (const int t : scene_->image_tiles()[at(image)]) {
        if (wanted_[at(t)] != 0) todo_.push_back(t);
      }
    }
    for_these(todo_, body);
  }

  void for_bands(int batch, std::span<const TileState> states, bool derivatives) {
    const auto wanted = derivatives ? BandPlan::Level::normal : BandPlan::Level::chi2;
    todo_bands_.clear();
    for (BandPlan& plan : bands_) {
      const bool due = batch_of_image_[at(plan.image)] == batch && plan.level < wanted;
      if (due) todo_bands_.push_back(&plan);
    }
    parallel_for(static_cast<int>(todo_bands_.size()), n_threads_, [&](int i, int thread) {
      BandPlan& plan = *todo_bands_[at(i)];
      RowScratch& scratch = scratch_[at(thread)];
      for (std::size_t t = 0; t < plan.tiles.size(); ++t) {
        plan.band_tiles[t].value = states[at(plan.tiles[t])].value;
      }
      plan.band.rows = scratch.rows.data();
      plan.band.made = scratch.made.data();
      plan.band.line = scratch.line.data();
      plan.band.lanes = scratch.lanes.data();
      plan.band.widened = scratch.widened.data();
      plan.band.pairs = derivatives ? plan.band_pairs.data() : nullptr;
      if (derivatives) {
        std::fill_n(plan.blocks.data(), plan.blocks.size(), 0.0);
        std::fill_n(plan.gradients.data(), plan.gradients.size(), 0.0);
        plan.summed = false;
      }
      kernels_.band(plan.band);
      plan.level = wanted;
    });
  }

 private:
  static double cost(const TileView& view) {
    if (view.renderer == Renderer::sky) return 0.0;
    const double window = static_cast<double>(view.width) * view.height;
    if (view.renderer != Renderer::fourier) return window;
    const double box = static_cast<double>(view.transfer.box_x) * view.transfer.box_y;
    return view.core.taper > 0.0 ? box + 0.5 * window : box;
  }

  // planes[k][offset + x] += weights[k] . lanes of row y of a window, drawn before.
  void project_row(const TileView& view, int y, const double* weights, int n_planes,
                   double* const* planes, std::size_t offset, RowScratch& scratch) const {
    if (view.plane != nullptr) {
      kernels_.project_row_mixed(view.single_fields + at(y) * view.row_stride,
                                 view.plane + at(y) * at(view.width), view.width, weights, n_planes,
                                 planes, offset);
      return;
    }
    const double* lanes = view.fields + at(y) * view.row_stride;
    if (view.made_by_row()) {
      lanes = scratch.made.data();
      if (view.renderer == Renderer::sky) {
        kernels_.sky_row(view, y, 0, view.width, scratch.made.data());
      } else {
        kernels_.core_row(view, y, 0, view.width, scratch.line.data(), scratch.made.data());
      }
    }
    kernels_.project_row(lanes, view.width, weights, n_planes, planes, offset);
  }

  // Makes images of tiles of one image, without derivatives if in one box: even where those are in
  // memory, since what is remembered must not show.
  void draw_values(std::span<const TileState> states, std::span<const int> tiles) {
    if (tiles.empty()) return;
    note_changes(states);
    load_batch(batch_of_image_[at(scene_->tiles()[at(tiles[0])].image)]);
    std::vector<int> by_value, by_lanes;
    std::size_t size = 0;
    for (const int t : tiles) {
      const TileView& view = views_[at(t)];
      if (!states[at(t)].visible) continue;
      (view.in_one_box() ? by_value : by_lanes).push_back(t);
      plane_offset_[at(t)] = size;
      if (view.in_one_box()) size += (at(view.width) * at(view.height) + 7) / 8 * 8;
    }
    if (planes_.size() < size) planes_.resize(size);
    each_tile(by_value, [&](auto& worker, int tile) {
      worker.image(views_[at(tile)], states[at(tile)], planes_.data() + plane_offset_[at(tile)]);
    });
    draw(states, by_lanes);
  }

  // target[y * stride + x] += a tile of the last draw_values, (x, y) in its window.
  void add_to_image(const TileState& state, int tile, double* target, std::size_t stride) {
    if (!state.visible) return;
    const TileView& view = views_[at(tile)];
    for (int y = 0; y < view.height; ++y, target += stride) {
      if (view.in_one_box()) {
        const double* row = planes_.data() + plane_offset_[at(tile)] + at(y) * at(view.width);
        for (int x = 0; x < view.width; ++x) target[x] += state.value[lane_unit] * row[x];
      } else {
        project_row(view, y, state.value, 1, &target, 0, scratch_[0]);
      }
    }
  }

  // Calls body(worker, tile): large tiles one after the other with all threads inside, the rest
  // side by side.
  template <class Body>
  void each_tile(std::span<const int> tiles, const Body& body) {
    large_.clear();
    small_.clear();
    double total = 0.0;
    for (const int t : tiles) total += cost(views_[at(t)]);
    for (const int t : tiles) {
      const double own = cost(views_[at(t)]);
      const bool is_large = n_threads_ > 1 && own * n_threads_ > 0.5 * total && own > 4096.0;
      (is_large ? large_ : small_).push_back(t);
    }
    for (const int t : large_) {
      auto worker = painter_->with_all_threads();
      body(worker, t);
    }
    parallel_for(static_cast<int>(small_.size()), n_threads_, [&](int i, int thread) {
      auto worker = painter_->in_thread(thread);
      body(worker, small_[at(i)]);
    });
  }

  // Calls body(worker, view, tile) for those whose fields are not in memory.
  template <class Body>
  void for_these(std::span<const int> tiles, const Body& body) {
    if (tiles.empty()) return;
    load_batch(batch_of_image_[at(scene_->tiles()[at(tiles[0])].image)]);
    missing_.clear();
    for (const int t : tiles) {
      if (!drawn_[at(t)].in_memory) missing_.push_back(t);
    }
    each_tile(missing_, [&](auto& worker, int tile) { body(worker, views_[at(tile)], tile); });
    for (const int t : tiles) drawn_[at(t)].in_memory = true;
  }

  // Fields of some tiles of one image; after note_changes.
  void draw(std::span<const TileState> states, std::span<const int> tiles) {
    for_these(tiles, [&](auto& worker, const TileView& view, int tile) {
      jointlight::render_tile(worker, view, states[at(tile)]);
    });
  }

  void note_changes(std::span<const TileState> states) {
    changed_.assign(views_.size(), 0);
    for (std::size_t t = 0; t < views_.size(); ++t) changed_[t] = drawn_[t].update(states[t]);
    for (BandPlan& plan : bands_) {
      for (const int t : plan.tiles) {
        if (changed_[at(t)] != 0) plan.level = BandPlan::Level::stale;
      }
    }
  }

  void load_batch(int batch) {
    if (batch == loaded_) return;
    loaded_ = batch;
    for (Drawn& drawn : drawn_) drawn.in_memory = false;
  }

  // Images in batches whose fields fit into the allowance [doubles], or one by one.
  void plan_fields(std::size_t allowance) {
    std::size_t largest = 0, used = 0;
    std::vector<std::size_t> offset(views_.size(), 0);
    for (std::size_t i = 0; i < scene_->images().size(); ++i) {
      std::size_t size = 0;
      for (const int t : scene_->image_tiles()[i]) {
        const TileView& view = views_[at(t)];
        offset[at(t)] = size;
        size += (TilePainter::fields_size(view, precision_) + 7) / 8 * 8;
      }
      if (batches_.empty() || used + size > allowance) {
        batches_.emplace_back();
        used = 0;
      }
      for (const int t : scene_->image_tiles()[i]) offset[at(t)] += used;
      batches_.back().push_back(static_cast<int>(i));
      batch_of_image_.push_back(static_cast<int>(batches_.size()) - 1);
      used += size;
      largest = std::max(largest, used);
    }
    fields_.resize_unset(largest);  // written before they are read
    for (std::size_t t = 0; t < views_.size(); ++t) {
      TilePainter::place_fields(views_[t], precision_, fields_.data() + offset[t]);
    }
  }

  void allocate_scratch() {
    std::size_t line = 0, width = 0, most_tiles = 0, most_made = 0, most_widened = 0;
    for (const TileView& view : views_) {
      line = std::max({line, at(view.core.fine.nx) * n_lanes, at(view.core.coarse.nx) * n_lanes});
    }
    for (const ImageSpec& image : scene_->images()) width = std::max(width, at(image.width));
    for (const BandPlan& plan : bands_) {
      std::size_t made = 0, widened = 0;
      for (const BandTile& tile : plan.band_tiles) {
        made += tile.made >= 0 ? 1 : 0;
        widened += tile.widened >= 0 ? 1 : 0;
      }
      most_tiles = std::max(most_tiles, plan.tiles.size());
      most_made = std::max(most_made, made);
      most_widened = std::max(most_widened, widened);
    }
    for (const TileView& view : views_) {
      if (view.made_by_row()) most_made = std::max<std::size_t>(most_made, 1);  // for project_row
    }
    if (precision_ == Precision::float64) most_widened = 0;
    scratch_.resize(at(n_threads_));
    for (RowScratch& scratch : scratch_) {
      scratch.line.resize(line);
      scratch.rows.resize(4 * width);
      scratch.made.resize(most_made * width * n_lanes);
      scratch.lanes.resize(most_tiles);
      scratch.widened.resize(most_widened * width * n_lanes);
    }
  }

  void sum_chi2(std::span<double> per_tile) const {
    std::fill(per_tile.begin(), per_tile.end(), 0.0);
    for (const BandPlan& plan : bands_) plan.add_chi2(per_tile);
  }

  std::shared_ptr<const Scene> scene_;
  int n_threads_;
  Precision precision_;
  const KernelTable& kernels_;
  std::vector<TileView> views_;
  std::vector<Drawn> drawn_;
  std::vector<BandPlan> bands_;
  BandTotals totals_;
  std::vector<std::uint8_t> changed_, wanted_;       // [n_tiles]
  std::vector<int> todo_, missing_, large_, small_;  // tiles; kept for their memory
  std::vector<BandPlan*> todo_bands_;
  std::vector<std::vector<int>> batches_;  // images
  std::vector<int> batch_of_image_;
  int loaded_ = 0;  // batch whose fields are in memory
  AlignedBuffer<double> fields_;
  std::optional<TilePainter> painter_;
  std::vector<RowScratch> scratch_;
  AlignedBuffer<double> planes_;           // images of the last draw_values
  std::vector<std::size_t> plane_offset_;  // [n_tiles] doubles into planes_
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(std::shared_ptr<const Scene> scene, int n_threads,
                                          std::size_t field_bytes) {
  return std::make_unique<CpuBackend>(std::move(scene), n_threads, field_bytes);
}

}  // namespace jointlight
