// SPDX-License-Identifier: BSD-3-Clause
#include "backend/cpu/cpu_backend.hpp"

#include <algorithm>
#include <sstream>

#include "backend/cpu/kernels.hpp"
#include "backend/cpu/thread_pool.hpp"
#include "stages/pipeline.hpp"

namespace jointlight {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

constexpr std::size_t block_size = n_lanes * n_lanes;

// Scratch of one worker thread, sized for the largest tile of the scene.
struct Scratch {
  AlignedBuffer<double> fourier, wings, pixel, rows, sky;
  std::vector<const double*> lanes;
};

// A band of rows of one image with everything it accumulates.
struct BandPlan {
  int image = 0;
  std::vector<int> tiles, pairs;  // scene indices
  std::vector<BandTile> band_tiles;
  std::vector<BandPair> band_pairs;
  AlignedBuffer<double> blocks, gradients;
  Band band;
};

class CpuBackend final : public Backend {
 public:
  CpuBackend(std::shared_ptr<const Scene> scene, int n_threads)
      : scene_(std::move(scene)),
        n_threads_(n_threads > 0 ? n_threads : default_threads()),
        kernels_(kernels()),
        views_(scene_->views()) {
    allocate_fields();
    allocate_scratch();
    plan_bands();
  }

  void render(std::span<const TileState> states, int image, double* out) override {
    const ImageSpec& spec = scene_->images()[at(image)];
    std::fill_n(out, at(spec.width) * at(spec.height), 0.0);
    for_tiles([&](auto& worker, const TileView& view,
                  int tile) { render_tile(worker, view, states[at(tile)]); },
              image);
    std::vector<double> lanes;
    for (int t : scene_->image_tiles()[at(image)]) {
      const TileView& view = views_[at(t)];
      lanes.resize(at(view.width) * n_lanes);
      for (int y = 0; y < view.height; ++y) {
        const double* row = lane_row(view, y, lanes.data());
        double* target = out + at(view.y0 + y) * at(spec.width) + view.x0;
        for (int x = 0; x < view.width; ++x) {
          for (int i = 0; i < n_lanes; ++i) {
            target[x] += states[at(t)].value[i] * row[at(x) * n_lanes + at(i)];
          }
        }
      }
    }
  }

  FieldsView fields(std::span<const TileState> states, int tile) override {
    const TileView& view = views_[at(tile)];
    WideWorker worker{*this};
    render_tile(worker, view, states[at(tile)]);
    if (view.renderer != Renderer::sky) return {view.fields, view.row_stride};
    sky_fields_.resize(view.row_stride * at(view.height));
    for (int y = 0; y < view.height; ++y) {
      kernels_.sky_row(view, y, &sky_fields_[at(y) * view.row_stride]);
    }
    return {sky_fields_.data(), view.row_stride};
  }

  void chi2(std::span<const TileState> states, std::span<double> per_image) override {
    evaluate(*this, states, false);
    sum_chi2(per_image);
  }

  void linearize(std::span<const TileState> states, LaneSums& sums) override {
    evaluate(*this, states, true);
    sums.chi2.resize(scene_->images().size());
    sum_chi2(sums.chi2);
    sums.blocks.assign(scene_->pairs().size() * block_size, 0.0);
    sums.gradients.assign(views_.size() * n_lanes, 0.0);
    // Bands in order: the same sums for any number of threads.
    for (const BandPlan& plan : bands_) {
      for (std::size_t p = 0; p < plan.pairs.size(); ++p) {
        double* target = &sums.blocks[at(plan.pairs[p]) * block_size];
        const double* source = plan.blocks.data() + p * block_size;
        for (std::size_t i = 0; i < block_size; ++i) target[i] += source[i];
      }
      for (std::size_t t = 0; t < plan.tiles.size(); ++t) {
        double* target = &sums.gradients[at(plan.tiles[t]) * n_lanes];
        for (int i = 0; i < n_lanes; ++i) target[i] += plan.gradients[t * n_lanes + at(i)];
      }
    }
  }

  std::string describe() const override {
    std::ostringstream text;
    text << "cpu, " << kernels_.isa << ", " << n_threads_ << " threads";
    return text.str();
  }

  // ---- executor (stages/pipeline.hpp) ----

  template <class Body>
  void for_tiles(const Body& body, int image = -1) {
    // Large tiles one after the other with all threads inside, the rest side by side.
    std::vector<int> large, small;
    double total = 0.0;
    for (std::size_t t = 0; t < views_.size(); ++t) total += cost(views_[t]);
    for (std::size_t t = 0; t < views_.size(); ++t) {
      if (image >= 0 && scene_->tiles()[t].image != image) continue;
      const bool is_large =
          n_threads_ > 1 && cost(views_[t]) * n_threads_ > 0.5 * total && cost(views_[t]) > 4096.0;
      (is_large ? large : small).push_back(static_cast<int>(t));
    }
    for (int t : large) {
      WideWorker worker{*this};
      body(worker, views_[at(t)], t);
    }
    parallel_for(static_cast<int>(small.size()), n_threads_, [&](int i, int thread) {
      SerialWorker worker{*this, thread};
      body(worker, views_[at(small[at(i)])], small[at(i)]);
    });
  }

  void for_bands(std::span<const TileState> states, bool derivatives) {
    parallel_for(static_cast<int>(bands_.size()), n_threads_, [&](int i, int thread) {
      BandPlan& plan = bands_[at(i)];
      Scratch& scratch = scratch_[at(thread)];
      for (std::size_t t = 0; t < plan.tiles.size(); ++t) {
        plan.band_tiles[t].value = states[at(plan.tiles[t])].value;
      }
      plan.band.rows = scratch.rows.data();
      plan.band.sky = scratch.sky.data();
      plan.band.lanes = scratch.lanes.data();
      plan.band.pairs = derivatives ? plan.band_pairs.data() : nullptr;
      if (derivatives) {
        std::fill_n(plan.blocks.data(), plan.blocks.size(), 0.0);
        std::fill_n(plan.gradients.data(), plan.gradients.size(), 0.0);
      }
      kernels_.band(plan.band);
    });
  }

 private:
  struct SerialWorker {
    CpuBackend& backend;
    int thread;

    Scratch& scratch() const { return backend.scratch_[at(thread)]; }
    void clear(const TileView& view) const {
      std::fill_n(view.fields, view.row_stride * at(view.height), 0.0);
    }
    void pixel(const TileView& view, const TileState& state) const {
      backend.kernels_.profile(view.profile).render_pixel(view, state, scratch().pixel.data());
    }
    void columns(const TileView& view, const TileState& state) const {
      double* memory = scratch().fourier.data();
      double* phases = memory + backend.phase_offset_;
      backend.kernels_.fill_phases(state, view.transfer, phases);
      backend.kernels_.render_columns(view, state, phases, 0, view.transfer.n_columns, memory);
    }
    void rows(const TileView& view) const {
      backend.kernels_.render_rows(view, 0, view.height, scratch().fourier.data());
    }
    void wings(const TileView& view, const TileState& state) const {
      double* grid = scratch().wings.data();
      double* rest = grid + grid_size(view);
      backend.kernels_.profile(view.profile).wing_grid(view, state, grid, rest);
      backend.kernels_.subtract_wings(view, grid, 0, view.height, rest);
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
      backend.kernels_.fill_phases(state, view.transfer, phases);
      pieces(view.transfer.n_columns, [&](int begin, int end, double* memory) {
        backend.kernels_.render_columns(view, state, phases, begin, end, memory);
      });
    }
    void rows(const TileView& view) const {
      pieces(view.height, [&](int begin, int end, double* memory) {
        backend.kernels_.render_rows(view, begin, end, memory);
      });
    }
    void wings(const TileView& view, const TileState& state) const {
      double* grid = backend.scratch_[0].wings.data();
      backend.kernels_.profile(view.profile).wing_grid(view, state, grid, grid + grid_size(view));
      pieces(view.height, [&](int begin, int end, double* memory) {
        backend.kernels_.subtract_wings(view, grid, begin, end, memory);
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

  static std::size_t grid_size(const TileView& view) {
    return at(view.wings.nx) * at(view.wings.ny) * n_lanes;
  }

  static double cost(const TileView& view) {
    if (view.renderer == Renderer::sky) return 0.0;
    const double window = static_cast<double>(view.width) * view.height;
    return view.renderer == Renderer::fourier
               ? static_cast<double>(view.transfer.box_x) * view.transfer.box_y
               : window;
  }

  const double* lane_row(const TileView& view, int y, double* memory) const {
    if (view.renderer != Renderer::sky) return view.fields + at(y) * view.row_stride;
    kernels_.sky_row(view, y, memory);
    return memory;
  }

  void allocate_fields() {
    fields_.resize(views_.size());
    for (std::size_t t = 0; t < views_.size(); ++t) {
      if (views_[t].renderer == Renderer::sky) continue;
      fields_[t].resize(views_[t].row_stride * at(views_[t].height));
      views_[t].fields = fields_[t].data();
    }
  }

  void allocate_scratch() {
    std::size_t fourier = 0, phases = 0, wings = 0, pixel = 0, width = 0, most_tiles = 0;
    for (const TileView& view : views_) {
      if (view.renderer == Renderer::fourier) {
        // either half of a transform, or one row of the wing grid
        fourier = std::max(
            {fourier, kernels_.fourier_scratch(view.transfer), at(view.wings.nx) * n_lanes});
        wings = std::max(wings, 3 * grid_size(view));
        phases = std::max(phases, 2 * at(view.transfer.y_max - view.transfer.y_min));
      } else if (view.renderer == Renderer::pixel) {
        const auto size = kernels_.profile(view.profile).pixel_scratch(view.width, view.height);
        pixel = std::max(pixel, (size + sizeof(double) - 1) / sizeof(double));
      }
    }
    for (const ImageSpec& image : scene_->images()) width = std::max(width, at(image.width));
    for (const auto& tiles : scene_->image_tiles()) most_tiles = std::max(most_tiles, tiles.size());
    std::size_t most_skies = 0;
    for (const auto& tiles : scene_->image_tiles()) {
      const auto skies = std::count_if(tiles.begin(), tiles.end(), [&](int t) {
        return views_[at(t)].renderer == Renderer::sky;
      });
      most_skies = std::max(most_skies, static_cast<std::size_t>(skies));
    }
    phase_offset_ = (fourier + 7) / 8 * 8;
    scratch_.resize(at(n_threads_));
    for (Scratch& scratch : scratch_) {
      scratch.fourier.resize(phase_offset_ + phases);
      scratch.wings.resize(wings);
      scratch.pixel.resize(pixel);
      scratch.rows.resize(3 * width);
      scratch.sky.resize(most_skies * width * n_lanes);
      scratch.lanes.resize(most_tiles);
    }
  }

  void plan_bands() {
    for (std::size_t i = 0; i < scene_->images().size(); ++i) {
      const ImageSpec& image = scene_->images()[i];
      const int rows = std::max(16, (image.height + 31) / 32);
      for (int y = 0; y < image.height; y += rows) {
        const int end = std::min(image.height, y + rows);
        BandPlan plan;
        plan.image = static_cast<int>(i);
        std::vector<int> local(views_.size(), -1);
        int n_skies = 0;
        for (int t : scene_->image_tiles()[i]) {
          const TileView& view = views_[at(t)];
          if (view.y0 >= end || view.y0 + view.height <= y) continue;
          local[at(t)] = static_cast<int>(plan.tiles.size());
          plan.tiles.push_back(t);
          const bool plane = scene_->tiles()[at(t)].geometry.kind == ComponentKind::plane_sky;
          const bool is_sky = view.renderer == Renderer::sky;
          plan.band_tiles.push_back({&view, nullptr, plane ? 3 : 1, is_sky ? n_skies++ : -1});
        }
        if (plan.tiles.empty()) continue;
        for (int p : scene_->image_pairs()[i]) {
          const TilePair& pair = scene_->pairs()[at(p)];
          if (pair.y_begin >= end || pair.y_end <= y) continue;
          plan.pairs.push_back(p);
          plan.band_pairs.push_back({local[at(pair.a)], local[at(pair.b)], pair.x_begin, pair.x_end,
                                     pair.y_begin, pair.y_end, nullptr});
        }
        plan.blocks.resize(plan.pairs.size() * block_size);
        plan.gradients.resize(plan.tiles.size() * n_lanes);
        plan.band.data = image.data.data();
        plan.band.weight = image.weight.data();
        plan.band.likelihood = image.likelihood;
        plan.band.width = image.width;
        plan.band.y_begin = y;
        plan.band.y_end = end;
        bands_.push_back(std::move(plan));
      }
    }
    for (BandPlan& plan : bands_) {
      for (std::size_t p = 0; p < plan.band_pairs.size(); ++p) {
        plan.band_pairs[p].block = plan.blocks.data() + p * block_size;
      }
      plan.band.tiles = plan.band_tiles.data();
      plan.band.n_tiles = static_cast<int>(plan.band_tiles.size());
      plan.band.n_pairs = static_cast<int>(plan.band_pairs.size());
      plan.band.gradients = plan.gradients.data();
    }
  }

  void sum_chi2(std::span<double> per_image) const {
    std::fill(per_image.begin(), per_image.end(), 0.0);
    for (const BandPlan& plan : bands_) per_image[at(plan.image)] += plan.band.chi2;
  }

  std::shared_ptr<const Scene> scene_;
  int n_threads_;
  const KernelTable& kernels_;
  std::vector<TileView> views_;
  std::vector<AlignedBuffer<double>> fields_;
  std::vector<double> sky_fields_;  // filled only when asked for
  std::vector<Scratch> scratch_;
  std::size_t phase_offset_ = 0;
  std::vector<BandPlan> bands_;
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(std::shared_ptr<const Scene> scene, int n_threads) {
  return std::make_unique<CpuBackend>(std::move(scene), n_threads);
}

}  // namespace jointlight
