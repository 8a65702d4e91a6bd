// SPDX-License-Identifier: BSD-3-Clause
// Images on a device, and the sums over their pixels.
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "backend/cpu/thread_pool.hpp"
#include "backend/device/device_memory.hpp"
#include "backend/device/device_plan.hpp"
#include "backend/device/device_profile.hpp"

namespace jointlight {

template <class Exec>
class DeviceSums {
  template <class T>
  using Buffer = typename Exec::template Buffer<T>;

 public:
  // n_threads: to gather pixels.
  DeviceSums(Exec& exec, DeviceArena<Exec>& arena, const DevicePlan& plan, Precision precision,
             int n_threads)
      : exec_(exec), plan_(plan), precision_(precision), n_pairs_(plan.piece_start.size() - 1) {
    place_images(arena, n_threads);
    pieces_ = arena.put(plan_.pieces);
    piece_start_ = arena.put(plan_.piece_start);
    runs_ = arena.put(plan_.runs);
    run_start_ = arena.put(plan_.run_start);
    piece_sums_ = exec.template buffer<double>(plan_.pieces.size() * n_piece_sums);
    run_sums_ = exec.template buffer<double>(plan_.runs.size());
    blocks_ = exec.template buffer<double>(n_pairs_ * n_block);
    gradients_ = exec.template buffer<double>(plan_.views.size() * n_lanes);
    chi2_ = exec.template buffer<double>(plan_.views.size());
    list_ = exec.template buffer<int>(plan_.images.size() + plan_.pieces.size() + n_pairs_);
    std::vector<std::size_t> all(plan_.first_tile.size() - 1);
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
    select(all, all);
  }

  std::size_t n_pairs() const { return n_pairs_; }

  // Scenes that run() sums over from now on, and those among them whose derivatives it sums.
  void select(std::span<const std::size_t> scenes, std::span<const std::size_t> derivatives) {
    host_list_.clear();
    const auto add = [&](const std::vector<int>& first, std::size_t scene) {
      for (int i = first[scene]; i < first[scene + 1]; ++i) host_list_.push_back(i);
    };
    for (const std::size_t scene : scenes) add(plan_.first_image, scene);
    n_images_ = static_cast<int>(host_list_.size());
    for (const std::size_t scene : derivatives) {
      const int begin = plan_.piece_start[at(plan_.first_pair[scene])];
      const int end = plan_.piece_start[at(plan_.first_pair[scene + 1])];
      for (int i = begin; i < end; ++i) host_list_.push_back(i);
    }
    n_pieces_ = static_cast<int>(host_list_.size()) - n_images_;
    for (const std::size_t scene : derivatives) add(plan_.first_pair, scene);
    n_listed_pairs_ = static_cast<int>(host_list_.size()) - n_images_ - n_pieces_;
    exec_.upload(list_.data(), host_list_.data(), host_list_.size());
  }

  void run(const DeviceTile* tiles, const TileState* states, bool derivatives) {
    const int n_tiles = static_cast<int>(plan_.views.size());
    const int n_runs = static_cast<int>(plan_.runs.size());
    run(Stage::residual, &DeviceSums::residual_costs, n_images_, most_pixels_,
        ResidualBody{list_.data(), images_, tiles, states});
    run(Stage::residual, &DeviceSums::run_costs, 1, n_runs,
        RunBody{runs_, images_, run_sums_.data(), n_runs});
    run(Stage::residual, &DeviceSums::owned_costs, 1, n_tiles,
        OwnedBody{run_start_, run_sums_.data(), chi2_.data(), n_tiles});
    if (!derivatives) return;
    const int* pieces = list_.data() + n_images_;
    run(Stage::normal, &DeviceSums::piece_costs, n_pieces_, n_piece_sums,
        PieceBody{pieces, pieces_, images_, tiles, piece_sums_.data()});
    run(Stage::normal, &DeviceSums::pair_costs, n_listed_pairs_, n_piece_sums,
        PairBody{pieces + n_pieces_, piece_start_, pieces_, piece_sums_.data(), blocks_.data(),
                 gradients_.data()});
  }

  void download_chi2(std::span<double> out) {
    exec_.download(out.data(), chi2_.data(), out.size());
  }
  void download_blocks(std::span<double> out) {
    exec_.download(out.data(), blocks_.data(), out.size());
  }
  void download_gradients(std::span<double> out) {
    exec_.download(out.data(), gradients_.data(), out.size());
  }
  // Model image of the last run.
  void download_model(int image, double* out) {
    const ImageSpec& spec = *plan_.images[at(image)].spec;
    exec_.download(out, pixels_.data() + pixel_offset_[at(image)],
                   at(spec.width) * at(spec.height));
  }
  // The same where it is, in memory of its own.
  std::shared_ptr<double> keep_model(int image) {
    const ImageSpec& spec = *plan_.images[at(image)].spec;
    const std::size_t n = at(spec.width) * at(spec.height);
    auto made = exec_.template lasting_buffer<double>(n);
    const auto kept = std::make_shared<decltype(made)>(std::move(made));
    exec_.copy(kept->data(), pixels_.data() + pixel_offset_[at(image)], n);
    exec_.settle();
    return {kept, kept->data()};
  }

 private:
  // Pixels on the host that go to place `first`.
  struct HostPart {
    const double* from;
    std::size_t first, n;
  };

  static std::size_t at(int i) { return static_cast<std::size_t>(i); }

  template <class Body>
  void run(Stage stage, Cost (DeviceSums::*cost)() const, int n_outer, int n_inner,
           const Body& body) {
    profiled(
        exec_, stage, [&] { return (this->*cost)(); }, [&] { exec_.run(n_outer, n_inner, body); });
  }

  // What of the host's list is from `first` on.
  std::span<const int> listed(int first, int n) const {
    return std::span(host_list_).subspan(at(first), at(n));
  }
  Cost residual_costs() const {
    Cost sum;
    for (const int i : listed(0, n_images_)) {
      const ImagePlan& image = plan_.images[at(i)];
      sum += residual_cost(static_cast<double>(image.spec->width) * image.spec->height,
                           image.covered, image.spec->likelihood);
    }
    return sum;
  }
  Cost run_costs() const {
    double pixels = 0.0;
    for (const DeviceRun& run : plan_.runs) pixels += run.x_end - run.x_begin;
    return {(pixels + static_cast<double>(plan_.runs.size())) * number, pixels, 0.0};
  }
  Cost owned_costs() const {
    const auto runs = static_cast<double>(plan_.runs.size());
    return {(runs + static_cast<double>(plan_.views.size())) * number, runs, 0.0};
  }
  // Bytes of a tile's lane; those of a sky are made where they are used.
  double lane_bytes(int tile) const {
    const TileView& view = plan_.views[at(tile)];
    if (view.renderer == Renderer::sky) return 0.0;
    return is_single(view, precision_) ? sizeof(float) : sizeof(double);
  }
  Cost piece_costs() const {
    Cost sum;
    for (const int p : listed(n_images_, n_pieces_)) {
      const PairPiece& piece = plan_.pieces[at(p)];
      sum += piece_cost(piece, lane_bytes(piece.a), lane_bytes(piece.b));
    }
    return sum;
  }
  Cost pair_costs() const {
    Cost sum;
    for (const int pair : listed(n_images_ + n_pieces_, n_listed_pairs_)) {
      const int begin = plan_.piece_start[at(pair)], end = plan_.piece_start[at(pair) + 1];
      if (begin < end) sum += pair_cost(plan_.pieces[at(begin)], end - begin);
    }
    return sum;
  }

  void place_images(DeviceArena<Exec>& arena, int n_threads) {
    std::size_t total = 0;
    for (const ImagePlan& image : plan_.images) {
      pixel_offset_.push_back(total);
      total += at(image.spec->width) * at(image.spec->height);
      most_pixels_ = std::max(most_pixels_, image.spec->width * image.spec->height);
    }
    pixels_ = exec_.template buffer<double>(4 * total);  // model, w, w r, chi2
    // What is not there already: [images] data and weight, null where it is.
    std::vector<HostPart> parts;
    std::size_t n_given = 0;
    for (const ImagePlan& image : plan_.images) {
      const DevicePixels there = pixels_there(*image.spec);
      const auto add = [&](const double* device, const std::vector<double>& host) {
        const std::size_t n = device == nullptr ? host.size() : 0;
        parts.push_back({host.data(), n_given, n});
        n_given += n;
      };
      add(there.data, image.spec->data);
      add(there.weight, image.spec->weight);
    }
    given_ = exec_.template buffer<double>(n_given);
    exec_.upload_made(given_.data(), n_given, [&](double* to, std::size_t begin, std::size_t end) {
      gather(parts, to, begin, end, n_threads);
    });
    std::vector<DeviceImage> images;
    for (std::size_t i = 0; i < plan_.images.size(); ++i) {
      const ImagePlan& plan = plan_.images[i];
      DeviceImage image;
      image.width = plan.spec->width;
      image.height = plan.spec->height;
      image.likelihood = plan.spec->likelihood;
      const DevicePixels there = pixels_there(*plan.spec);
      image.data = there.data != nullptr ? there.data : given_.data() + parts[2 * i].first;
      image.weight =
          there.weight != nullptr ? there.weight : given_.data() + parts[2 * i + 1].first;
      image.model = pixels_.data() + pixel_offset_[i];
      image.w = image.model + total;
      image.wr = image.w + total;
      image.term = image.wr + total;
      image.cell_start = arena.put(plan.cell_start);
      image.cell_tiles = arena.put(plan.cell_tiles);
      images.push_back(image);
    }
    images_ = arena.put_once(images.data(), images.size());
  }

  // Numbers [begin, end) of all parts, one after the other.
  static void gather(const std::vector<HostPart>& parts, double* to, std::size_t begin,
                     std::size_t end, int n_threads) {
    const auto copy = [&](int k, int) {
      const HostPart& part = parts[at(k)];
      const std::size_t low = std::max(part.first, begin);
      const std::size_t high = std::min(part.first + part.n, end);
      if (low < high) {
        std::copy(part.from + (low - part.first), part.from + (high - part.first),
                  to + (low - begin));
      }
    };
    parallel_for(static_cast<int>(parts.size()), n_threads, copy);
  }

  // The image's pixels if they are on this device already.
  DevicePixels pixels_there(const ImageSpec& spec) const {
    return spec.on_device.device == exec_.device() ? spec.on_device : DevicePixels{};
  }

  Exec& exec_;
  const DevicePlan& plan_;
  Precision precision_;
  std::size_t n_pairs_;
  int n_images_ = 0, n_pieces_ = 0, n_listed_pairs_ = 0, most_pixels_ = 0;
  std::vector<int> host_list_;  // images, then pieces, then pairs
  std::vector<std::size_t> pixel_offset_;
  const DeviceImage* images_ = nullptr;
  const PairPiece* pieces_ = nullptr;
  const int *piece_start_ = nullptr, *run_start_ = nullptr;
  const DeviceRun* runs_ = nullptr;
  Buffer<int> list_;
  Buffer<double> pixels_, given_, piece_sums_, run_sums_, blocks_, gradients_, chi2_;
};

}  // namespace jointlight
