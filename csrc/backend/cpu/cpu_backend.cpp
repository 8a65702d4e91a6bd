// SPDX-License-Identifier: BSD-3-Clause
#include "backend/cpu/cpu_backend.hpp"

#include <algorithm>
#include <cstdint>
#include <sstream>

#include "backend/cpu/band_plan.hpp"
#include "backend/cpu/kernels.hpp"
#include "backend/cpu/thread_pool.hpp"
#include "backend/cpu/value_planes.hpp"
#include "stages/pipeline.hpp"

namespace jointlight {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

// Scratch of one worker thread, sized for the largest tile of the scene.
struct Scratch {
  AlignedBuffer<double> fourier, copies, rest, line, pixel, rows, made;
  std::vector<const double*> lanes;
};

// What a tile's fields and its share of the model were last computed for. Its fields do not depend
// on the amplitude.
struct Drawn {
  double key[7] = {};  // x0, y0, S, shape
  double value[n_lanes] = {};
  bool known = false, visible = false;
  bool in_memory = false;  // the fields are there

  // True if the state differs from the last one, which it replaces.
  bool update(const TileState& state) {
    const double now[7] = {state.x0,   state.y0,       state.S[0],    state.S[1],
                           state.S[2], state.shape[0], state.shape[1]};
    const bool same_fields = known && visible == state.visible && std::equal(now, now + 7, key);
    const bool same = same_fields && std::equal(value, value + n_lanes, state.value);
    if (!same_fields) in_memory = false;
    known = true;
    visible = state.visible;
    std::copy_n(now, 7, key);
    std::copy_n(state.value, n_lanes, value);
    return !same;
  }
};

class CpuBackend final : public Backend {
 public:
  CpuBackend(std::shared_ptr<const Scene> scene, int n_threads, std::size_t field_bytes)
      : scene_(std::move(scene)),
        n_threads_(n_threads > 0 ? n_threads : default_threads()),
        kernels_(kernels()),
        views_(scene_->views()),
        drawn_(views_.size()),
        bands_(plan_bands(*scene_, views_)),
        totals_(*scene_, bands_),
        planes_(views_, kernels_, n_threads_) {
    plan_fields(field_bytes / sizeof(double));
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
        const double* lanes = lane_row(view, y, scratch_[at(thread)]);
        kernels_.project_row(lanes, view.width, weights.data(), n_planes, planes.data(),
                             at(y) * stride);
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
      Scratch& scratch = scratch_[at(thread)];
      for (std::size_t t = 0; t < plan.tiles.size(); ++t) {
        plan.band_tiles[t].value = states[at(plan.tiles[t])].value;
      }
      plan.band.rows = scratch.rows.data();
      plan.band.made = scratch.made.data();
      plan.band.line = scratch.line.data();
      plan.band.lanes = scratch.lanes.data();
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
  struct SerialWorker {
    CpuBackend& backend;
    int thread;

    Scratch& scratch() const { return backend.scratch_[at(thread)]; }
    void clear(const TileView& view) const { std::fill_n(view.fields, fields_size(view), 0.0); }
    void pixel(const TileView& view, const TileState& state) const {
      backend.kernels_.profile(view.profile).render_pixel(view, state, scratch().pixel.data());
    }
    void columns(const TileView& view, const TileState& state) const {
      double* memory = scratch().fourier.data();
      double* phases = memory + backend.phase_offset_;
      backend.kernels_.fill_phases(view, state, phases);
      backend.kernels_.render_columns(view, state, phases, 0, view.transfer.n_columns, memory);
    }
    void rows(const TileView& view) const {
      backend.kernels_.render_rows(view, 0, drawn_rows(view), scratch().fourier.data());
    }
    void copies(const TileView& view, const TileState& state) const {
      double* coefficients = scratch().copies.data();
      backend.kernels_.profile(view.profile)
          .copies_polynomial(view, state, coefficients, coefficients + polynomial_size(view));
      backend.kernels_.subtract_copies(view, state, coefficients, 0, view.height,
                                       scratch().fourier.data());
    }
    void rest(const TileView& view, const TileState& state) const {
      backend.draw_rest(view, state, scratch().rest.data(),
                        [](int n, const auto& body) { body(0, n); });
    }
  };

  // All threads on one tile. The pieces are fixed, so that results do not depend on their number.
  struct WideWorker {
    CpuBackend& backend;

    void clear(const TileView& view) const { SerialWorker{backend, 0}.clear(view); }
    void pixel(const TileView& view, const TileState& state) const {
      SerialWorker{backend, 0}.pixel(view, state);
    }
    void columns(const TileView& view, const TileState& state) const {
      double* phases = backend.scratch_[0].fourier.data() + backend.phase_offset_;
      backend.kernels_.fill_phases(view, state, phases);
      pieces(view.transfer.n_columns, [&](int begin, int end, double* memory) {
        backend.kernels_.render_columns(view, state, phases, begin, end, memory);
      });
    }
    void rows(const TileView& view) const {
      pieces(drawn_rows(view), [&](int begin, int end, double* memory) {
        backend.kernels_.render_rows(view, begin, end, memory);
      });
    }
    void copies(const TileView& view, const TileState& state) const {
      double* coefficients = backend.scratch_[0].copies.data();
      backend.kernels_.profile(view.profile)
          .copies_polynomial(view, state, coefficients, coefficients + polynomial_size(view));
      pieces(view.height, [&](int begin, int end, double* memory) {
        backend.kernels_.subtract_copies(view, state, coefficients, begin, end, memory);
      });
    }
    void rest(const TileView& view, const TileState& state) const {
      backend.draw_rest(view, state, backend.scratch_[0].rest.data(), [&](int n, const auto& body) {
        pieces(n, [&](int begin, int end, double*) { body(begin, end); });
      });
    }
    template <class Body>
    void pieces(int n, const Body& body) const {
      constexpr int piece = 16;  // even: rows are transformed in pairs
      parallel_for((n + piece - 1) / piece, backend.n_threads_, [&](int i, int thread) {
        body(i * piece, std::min(n, (i + 1) * piece), backend.scratch_[at(thread)].fourier.data());
      });
    }
  };

  static int drawn_rows(const TileView& view) { return view.drawn.y_end - view.drawn.y_begin; }

  static bool made_by_row(const TileView& view) {
    return view.renderer == Renderer::sky || view.core.taper > 0.0;
  }

  // Doubles that a tile keeps from one evaluation to the next.
  static std::size_t fields_size(const TileView& view) {
    if (view.renderer == Renderer::sky) return 0;
    return view.row_stride * at(drawn_rows(view)) + grid_size(view.core.fine) +
           grid_size(view.core.coarse);
  }

  // Doubles.
  static std::size_t polynomial_size(const TileView& view) {
    return at(view.copies.n) * at(view.copies.n) * n_lanes;
  }

  static std::size_t grid_size(const RestGrid& grid) { return at(grid.nx) * at(grid.ny) * n_lanes; }

  // `in_pieces(n, body)` calls body(begin, end) until n rows are done.
  template <class Pieces>
  void draw_rest(const TileView& view, const TileState& state, double* values,
                 const Pieces& in_pieces) const {
    for (const RestGrid* grid : {&view.core.fine, &view.core.coarse}) {
      in_pieces(grid->ny, [&](int begin, int end) {
        kernels_.profile(view.profile).rest_values(view, *grid, state, begin, end, values);
      });
      in_pieces(grid->ny,
                [&](int begin, int end) { kernels_.filter_rest(*grid, begin, end, values); });
    }
  }

  static double cost(const TileView& view) {
    if (view.renderer == Renderer::sky) return 0.0;
    const double window = static_cast<double>(view.width) * view.height;
    if (view.renderer != Renderer::fourier) return window;
    const double box = static_cast<double>(view.transfer.box_x) * view.transfer.box_y;
    return view.core.taper > 0.0 ? box + 0.5 * window : box;
  }

  // Lanes of one row of a window: where the fields are, or made in the thread's memory.
  const double* lane_row(const TileView& view, int y, Scratch& scratch) const {
    if (!made_by_row(view)) return view.fields + at(y) * view.row_stride;
    if (view.renderer == Renderer::sky) {
      kernels_.sky_row(view, y, 0, view.width, scratch.made.data());
    } else {
      kernels_.core_row(view, y, 0, view.width, scratch.line.data(), scratch.made.data());
    }
    return scratch.made.data();
  }

  // Makes images of tiles of one image, without derivatives if under a PSF: even where those are in
  // memory, since what is remembered must not show.
  void draw_values(std::span<const TileState> states, std::span<const int> tiles) {
    if (tiles.empty()) return;
    note_changes(states);
    load_batch(batch_of_image_[at(scene_->tiles()[at(tiles[0])].image)]);
    std::vector<int> by_value, by_lanes;
    for (const int t : tiles) {
      if (states[at(t)].visible) (has_plane(t) ? by_value : by_lanes).push_back(t);
    }
    planes_.draw(states, by_value);
    draw(states, by_lanes);
  }

  bool has_plane(int tile) const {
    const TileView& view = views_[at(tile)];
    return view.renderer == Renderer::fourier && !made_by_row(view);
  }

  // target[y * stride + x] += a tile of the last draw_values, (x, y) in its window.
  void add_to_image(const TileState& state, int tile, double* target, std::size_t stride) {
    if (!state.visible) return;
    const TileView& view = views_[at(tile)];
    for (int y = 0; y < view.height; ++y, target += stride) {
      if (has_plane(tile)) {
        const double* row = planes_.plane(tile) + at(y) * at(view.width);
        for (int x = 0; x < view.width; ++x) target[x] += state.value[lane_unit] * row[x];
      } else {
        const double* lanes = lane_row(view, y, scratch_[0]);
        kernels_.project_row(lanes, view.width, state.value, 1, &target, 0);
      }
    }
  }

  // Calls body(worker, view, tile) for those whose fields are not in memory: large tiles one after
  // the other with all threads inside, the rest side by side.
  template <class Body>
  void for_these(std::span<const int> tiles, const Body& body) {
    if (tiles.empty()) return;
    load_batch(batch_of_image_[at(scene_->tiles()[at(tiles[0])].image)]);
    large_.clear();
    small_.clear();
    double total = 0.0;
    for (const int t : tiles) total += drawn_[at(t)].in_memory ? 0.0 : cost(views_[at(t)]);
    for (const int t : tiles) {
      if (drawn_[at(t)].in_memory) continue;
      const double own = cost(views_[at(t)]);
      const bool is_large = n_threads_ > 1 && own * n_threads_ > 0.5 * total && own > 4096.0;
      (is_large ? large_ : small_).push_back(t);
    }
    for (const int t : large_) {
      WideWorker worker{*this};
      body(worker, views_[at(t)], t);
    }
    parallel_for(static_cast<int>(small_.size()), n_threads_, [&](int i, int thread) {
      SerialWorker worker{*this, thread};
      body(worker, views_[at(small_[at(i)])], small_[at(i)]);
    });
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
        if (view.renderer == Renderer::sky) continue;
        offset[at(t)] = size;
        size += (fields_size(view) + 7) / 8 * 8;
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
      TileView& view = views_[t];
      if (view.renderer == Renderer::sky) continue;
      view.fields = fields_.data() + offset[t];
      if (view.core.taper > 0.0) {
        view.core.fine.filtered = view.fields + view.row_stride * at(drawn_rows(view));
        view.core.coarse.filtered = view.core.fine.filtered + grid_size(view.core.fine);
      }
    }
  }

  void allocate_scratch() {
    std::size_t fourier = 0, phases = 0, copies = 0, rest = 0, line = 0, pixel = 0, width = 0,
                most_tiles = 0;
    for (const TileView& view : views_) {
      if (view.renderer == Renderer::fourier) {
        // either half of a transform, or what subtracting the copies takes
        fourier = std::max(
            {fourier, kernels_.fourier_scratch(view.transfer), kernels_.copies_scratch(view)});
        copies = std::max(copies, 2 * polynomial_size(view));
        rest = std::max({rest, grid_size(view.core.fine), grid_size(view.core.coarse)});
        line = std::max({line, at(view.core.fine.nx) * n_lanes, at(view.core.coarse.nx) * n_lanes});
        phases = std::max(phases, 2 * at(view.transfer.y_max - view.transfer.y_min));
      } else if (view.renderer == Renderer::pixel) {
        const auto size = kernels_.profile(view.profile).pixel_scratch(view.width, view.height);
        pixel = std::max(pixel, (size + sizeof(double) - 1) / sizeof(double));
      }
    }
    for (const ImageSpec& image : scene_->images()) width = std::max(width, at(image.width));
    for (const auto& tiles : scene_->image_tiles()) most_tiles = std::max(most_tiles, tiles.size());
    std::size_t most_made = 0;
    for (const auto& tiles : scene_->image_tiles()) {
      const auto n = std::count_if(tiles.begin(), tiles.end(),
                                   [&](int t) { return made_by_row(views_[at(t)]); });
      most_made = std::max(most_made, static_cast<std::size_t>(n));
    }
    phase_offset_ = (fourier + 7) / 8 * 8;
    scratch_.resize(at(n_threads_));
    for (Scratch& scratch : scratch_) {
      scratch.fourier.resize(phase_offset_ + phases);
      scratch.copies.resize(copies);
      scratch.rest.resize(rest);
      scratch.line.resize(line);
      scratch.pixel.resize(pixel);
      scratch.rows.resize(4 * width);
      scratch.made.resize(most_made * width * n_lanes);
      scratch.lanes.resize(most_tiles);
    }
  }

  void sum_chi2(std::span<double> per_tile) const {
    std::fill(per_tile.begin(), per_tile.end(), 0.0);
    for (const BandPlan& plan : bands_) plan.add_chi2(per_tile);
  }

  std::shared_ptr<const Scene> scene_;
  int n_threads_;
  const KernelTable& kernels_;
  std::vector<TileView> views_;
  std::vector<Drawn> drawn_;
  std::vector<BandPlan> bands_;
  BandTotals totals_;
  ValuePlanes planes_;
  std::vector<std::uint8_t> changed_, wanted_;  // [n_tiles]
  std::vector<int> todo_, large_, small_;       // tiles; kept for their memory
  std::vector<BandPlan*> todo_bands_;
  std::vector<std::vector<int>> batches_;  // images
  std::vector<int> batch_of_image_;
  int loaded_ = 0;  // batch whose fields are in memory
  AlignedBuffer<double> fields_;
  std::vector<Scratch> scratch_;
  std::size_t phase_offset_ = 0;
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(std::shared_ptr<const Scene> scene, int n_threads,
                                          std::size_t field_bytes) {
  return std::make_unique<CpuBackend>(std::move(scene), n_threads, field_bytes);
}

}  // namespace jointlight
