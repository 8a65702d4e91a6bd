// SPDX-License-Identifier: BSD-3-Clause
// Draws tiles and sums normal equations on a device, for any executor: which bodies run, in which
// order, over which memory. Nothing is allocated after construction.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "backend/device/device_memory.hpp"
#include "backend/device/device_plan.hpp"
#include "profile_list.hpp"
#include "scene/profile_registry.hpp"
#include "stages/device/copies.hpp"
#include "stages/device/pixel.hpp"
#include "stages/device/rest.hpp"
#include "stages/device/spectrum.hpp"
#include "stages/device/sums.hpp"

namespace jointlight {

template <class Exec>
class DeviceEngine {
  template <class T>
  using Buffer = typename Exec::template Buffer<T>;

 public:
  // `work_bytes`: memory for what is made of a tile on the way to its lanes; groups that need more
  // are drawn in portions.
  DeviceEngine(Exec& exec, std::span<const Scene* const> scenes, Precision precision,
               std::size_t work_bytes)
      : exec_(exec), plan_(scenes), precision_(precision), arena_(exec) {
    place_images();
    plan_groups(work_bytes);
    place_tiles();
    pieces_ = arena_.put(plan_.pieces);
    piece_start_ = arena_.put(plan_.piece_start);
    runs_ = arena_.put(plan_.runs);
    run_start_ = arena_.put(plan_.run_start);
    n_pairs_ = static_cast<int>(plan_.piece_start.size()) - 1;
    piece_sums_ = exec.template buffer<double>(plan_.pieces.size() * n_piece_sums);
    run_sums_ = exec.template buffer<double>(plan_.runs.size());
    blocks_ = exec.template buffer<double>(at(n_pairs_) * n_block);
    gradients_ = exec.template buffer<double>(plan_.views.size() * n_lanes);
    chi2_ = exec.template buffer<double>(plan_.views.size());
    states_ = exec.template buffer<TileState>(plan_.views.size());
    arena_.send();
  }

  std::size_t n_pairs() const { return at(n_pairs_); }

  // States with their radial tables, as the host made them.
  void upload(std::span<const TileState> states) {
    const std::size_t row = 6 * RadialTable::columns;
    std::size_t size = 0;
    for (const TileState& state : states) {
      if (!state.visible || !state.has_table) continue;
      size += row * at(state.table.n_intervals + state.table.near_intervals);
    }
    if (tables_.size() < size) tables_ = exec_.template buffer<double>(size + size / 4);
    host_tables_.clear();
    host_states_.assign(states.begin(), states.end());
    for (TileState& state : host_states_) {
      if (!state.visible || !state.has_table) continue;
      RadialTable& table = state.table;
      const auto move = [&](const double*& coefficients, int intervals) {
        if (intervals <= 0) return;
        const double* from = coefficients;
        coefficients = tables_.data() + host_tables_.size();
        host_tables_.insert(host_tables_.end(), from, from + row * at(intervals));
      };
      move(table.coefficients, table.n_intervals);
      move(table.near_coefficients, table.near_intervals);
    }
    exec_.upload(tables_.data(), host_tables_.data(), host_tables_.size());
    exec_.upload(states_.data(), host_states_.data(), host_states_.size());
  }

  // Lanes of all tiles, then all sums.
  void evaluate(bool derivatives) {
    exec_.replay(derivatives ? 1 : 0, [&] {
      draw();
      sum(derivatives);
    });
  }

  void draw() {
    for (const Portion& portion : portions_) {
      const GroupPlan& plan = plan_.groups[portion.group];
      if (plan.renderer == Renderer::pixel) {
        draw_pixels(plan, portion.tiles);
      } else if (is_mixed(plan)) {
        draw_portion<double, 1>(portion);
        draw_portion<float, n_lanes>(portion);
      } else {
        draw_portion<double, n_lanes>(portion);
      }
    }
  }

  void sum(bool derivatives) {
    const int n_tiles = static_cast<int>(plan_.views.size());
    const int n_runs = static_cast<int>(plan_.runs.size());
    exec_.run(n_images(), most_pixels_, ResidualBody{images_, tiles_, states_.data()});
    exec_.run(1, n_runs, RunBody{runs_, images_, run_sums_.data(), n_runs});
    exec_.run(1, n_tiles, OwnedBody{run_start_, run_sums_.data(), chi2_.data(), n_tiles});
    if (!derivatives) return;
    exec_.run(static_cast<int>(plan_.pieces.size()), n_piece_sums,
              PieceBody{pieces_, images_, tiles_, piece_sums_.data()});
    exec_.run(
        n_pairs_, n_piece_sums,
        PairBody{piece_start_, pieces_, piece_sums_.data(), blocks_.data(), gradients_.data()});
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
  // Model image of the last sum.
  void download_model(int image, double* out) {
    const ImageSpec& spec = *plan_.images[at(image)].spec;
    exec_.download(out, pixels_.data() + pixel_offset_[at(image)],
                   at(spec.width) * at(spec.height));
  }

  // Of one tile's lanes as drawn last: planes [planes][window pixels] = weights . lanes.
  void project(int tile, std::span<const double> weights, std::vector<double>& planes) {
    const TileView& view = plan_.views[at(tile)];
    const int n = view.width * view.height;
    const int n_planes = static_cast<int>(weights.size()) / n_lanes;
    Buffer<double> device_weights = exec_.template buffer<double>(weights.size());
    Buffer<double> out = exec_.template buffer<double>(at(n_planes) * at(n));
    exec_.upload(device_weights.data(), weights.data(), weights.size());
    exec_.run(n_planes, n, ProjectBody{tiles_, tile, n, device_weights.data(), out.data()});
    planes.resize(out.size());
    exec_.download(planes.data(), out.data(), planes.size());
  }

 private:
  // Some tiles of a group.
  struct Portion {
    std::size_t group = 0;
    DeviceGroup tiles;
    FftView fft_x, fft_y;  // twiddles are the device's
  };

  static std::size_t at(int i) { return static_cast<std::size_t>(i); }
  int n_images() const { return static_cast<int>(plan_.images.size()); }

  void place_images() {
    std::size_t total = 0;
    for (const ImagePlan& image : plan_.images) {
      pixel_offset_.push_back(total);
      total += at(image.spec->width) * at(image.spec->height);
      most_pixels_ = std::max(most_pixels_, image.spec->width * image.spec->height);
    }
    pixels_ = exec_.template buffer<double>(4 * total);  // model, w, w r, chi2
    std::vector<DeviceImage> images;
    for (std::size_t i = 0; i < plan_.images.size(); ++i) {
      const ImagePlan& plan = plan_.images[i];
      DeviceImage image;
      image.width = plan.spec->width;
      image.height = plan.spec->height;
      image.likelihood = plan.spec->likelihood;
      image.data = arena_.put(plan.spec->data);
      image.weight = arena_.put(plan.spec->weight);
      image.model = pixels_.data() + pixel_offset_[i];
      image.w = image.model + total;
      image.wr = image.w + total;
      image.term = image.wr + total;
      image.cell_start = arena_.put(plan.cell_start);
      image.cell_tiles = arena_.put(plan.cell_tiles);
      images.push_back(image);
    }
    images_ = arena_.put_once(images.data(), images.size());
  }

  // Mixed precision is that of tiles in one box.
  bool is_mixed(const GroupPlan& group) const {
    return precision_ == Precision::mixed && !group.in_parts;
  }
  void plan_groups(std::size_t work_bytes) {
    std::size_t spectra = 0, doubles = 0;
    for (std::size_t g = 0; g < plan_.groups.size(); ++g) {
      const GroupPlan& group = plan_.groups[g];
      const std::size_t lane = is_mixed(group) ? sizeof(float) : sizeof(double);
      const std::size_t spectrum = group.spectrum_size() * n_lanes * 2 * lane;
      const std::size_t bytes = 2 * spectrum + group.scratch_size() * sizeof(double);
      constexpr std::size_t most = 65535;  // of a launch
      const std::size_t together = std::clamp<std::size_t>(work_bytes / bytes, 1, most);
      const int* tiles = arena_.put(group.tiles);
      for (std::size_t first = 0; first < group.tiles.size(); first += together) {
        const auto n = std::min(together, group.tiles.size() - first);
        const TileView& view = plan_.views[at(group.tiles[0])];
        portions_.push_back({g,
                             {group.box_x, group.box_y, group.n_columns, group.n_rows,
                              group.n_width, static_cast<int>(n), tiles + first},
                             on_device(view.fft_x),
                             on_device(view.fft_y)});
        spectra = std::max(spectra, 2 * n * spectrum);
        doubles = std::max(doubles, n * group.scratch_size());
      }
    }
    if (std::any_of(plan_.groups.begin(), plan_.groups.end(),
                    [](const GroupPlan& group) { return group.renderer == Renderer::pixel; })) {
      rule_ = arena_.put_once(&gauss_legendre, 1);
    }
    spectra_ = exec_.template buffer<std::byte>(spectra);
    scratch_ = exec_.template buffer<double>(doubles);
  }

  FftView on_device(FftView view) {
    int m = view.size;
    for (int pass = 0; pass < view.n_factors; ++pass) {
      m /= view.factors[pass];
      view.twiddles[pass] = arena_.put(view.twiddles[pass], at(2 * (view.factors[pass] - 1) * m));
    }
    return view;
  }

  // Fields for all tiles, and views whose pointers are the device's.
  void place_tiles() {
    std::vector<DeviceTile> tiles(plan_.views.size());
    std::size_t size = 0;  // doubles
    std::vector<std::size_t> offset(tiles.size());
    for (std::size_t t = 0; t < tiles.size(); ++t) {
      tiles[t].view = plan_.views[t];
      const TileView& view = plan_.views[t];
      offset[t] = size;
      if (view.renderer == Renderer::sky) continue;
      const std::size_t pixels = at(view.width) * at(view.height);
      const bool single = precision_ == Precision::mixed && view.in_one_box();
      size += single ? pixels * n_lanes / 2 + pixels : pixels * n_lanes;
    }
    fields_ = exec_.template buffer<double>(size);
    for (std::size_t t = 0; t < tiles.size(); ++t) {
      TileView& view = tiles[t].view;
      if (view.renderer == Renderer::sky) continue;
      view.fields = fields_.data() + offset[t];
      if (precision_ == Precision::mixed && view.in_one_box()) {
        view.single_fields = reinterpret_cast<float*>(view.fields);
        view.plane = view.fields + at(view.width) * at(view.height) * n_lanes / 2;
        view.fields = nullptr;
      }
      if (view.renderer == Renderer::fourier) move_plan(view);
    }
    for (const Portion& portion : portions_) {
      const GroupPlan& group = plan_.groups[portion.group];
      const auto first = static_cast<std::size_t>(portion.tiles.tiles - first_tile(portion.group));
      for (std::size_t i = 0; i < at(portion.tiles.n_tiles); ++i) {
        DeviceTile& tile = tiles[at(group.tiles[first + i])];
        double* memory = scratch_.data() + i * group.scratch_size();
        const auto take = [&](std::size_t n) {
          memory += n;
          return memory - n;
        };
        tile.constants = take(at(group.n_setup));
        tile.phase_x = take(2 * at(group.n_runs));
        tile.phase_y = take(2 * at(group.n_phases));
        tile.coefficients = take(group.coefficients_size());
        tile.other = take(group.other_size());
        tile.line = take(group.line_size());
        RestGrid &fine = tile.view.core.fine, &coarse = tile.view.core.coarse;
        fine.filtered = take(group.filtered_size());
        coarse.filtered = fine.filtered + fine.size();
      }
    }
    tiles_ = arena_.put_once(tiles.data(), tiles.size());
  }

  const int* first_tile(std::size_t group) const {
    for (const Portion& portion : portions_) {
      if (portion.group == group) return portion.tiles.tiles;
    }
    return nullptr;
  }

  void move_plan(TileView& view) {
    TransferView& transfer = view.transfer;
    const int n_runs = transfer.column_start[transfer.n_columns];
    std::vector<SpectrumRun>& runs = moved_runs_[transfer.runs];
    if (runs.empty()) {
      runs.assign(transfer.runs, transfer.runs + n_runs);
      for (SpectrumRun& run : runs) {
        run.transfer = arena_.put(run.transfer, 2 * at(run.y_end - run.y_begin));
      }
    }
    transfer.runs = arena_.put(runs);
    transfer.column_start = arena_.put(transfer.column_start, at(transfer.n_columns) + 1);
    for (RestGrid* grid : {&view.core.fine, &view.core.coarse}) {
      const std::size_t width = at(grid->x_end - grid->x_begin);
      const std::size_t height = at(grid->y_end - grid->y_begin);
      grid->cell_x = arena_.put(grid->cell_x, width);
      grid->cell_y = arena_.put(grid->cell_y, height);
      grid->weights_x = arena_.put(grid->weights_x, width * rest_taps);
      grid->weights_y = arena_.put(grid->weights_y, height * rest_taps);
      grid->filter = arena_.put(grid->filter, rest_filter_size * rest_filter_size);
    }
    CopyPlan& copies = view.copies;
    if (copies.n == 0) return;
    for (CopyRings& rings : copies.rings) {
      rings.node = arena_.put(rings.node, at(rings.n));
      rings.cosine = arena_.put(rings.cosine, at(rings.n) * at(rings.n));
    }
    copies.blur_x = arena_.put(copies.blur_x, at(copies.n) * at(copies.n));
    copies.blur_y = arena_.put(copies.blur_y, at(copies.n) * at(copies.n));
  }

  template <class Real, int lanes>
  void draw_portion(const Portion& portion) {
    const GroupPlan& plan = plan_.groups[portion.group];
    const DeviceGroup& group = portion.tiles;
    const int n = group.n_tiles;
    const std::size_t per_tile = plan.spectrum_size() * at(lanes);
    auto* spectrum = reinterpret_cast<Complex<Real>*>(spectra_.data());
    auto* other = spectrum + per_tile * at(n);
    const TileState* states = states_.data();
    exec_.run(n, plan.n_runs + plan.n_phases, PhaseBody{tiles_, states, group, plan.n_runs});
    exec_.run(n, group.box_y * group.n_columns * lanes,
              SpectrumBody<Real, lanes>{tiles_, states, group, spectrum, per_tile});
    transform(portion.fft_y, group.n_columns * lanes, n, per_tile, spectrum, other);
    exec_.run(n, group.box_x * group.n_pairs() * lanes,
              PackRowsBody<Real, lanes>{tiles_, group, spectrum, other, per_tile});
    std::swap(spectrum, other);
    transform(portion.fft_x, group.n_pairs() * lanes, n, per_tile, spectrum, other);
    if (plan.n_copies > 0) draw_copies(plan, group);
    exec_.run(n, group.n_rows * group.n_width * lanes,
              PixelsBody<Real, lanes>{tiles_, states, group, spectrum, per_tile});
    if (plan.in_parts) draw_rest(plan, group);
  }

  template <class Real>
  void transform(const FftView& fft, int n_sequences, int n_tiles, std::size_t per_tile,
                 Complex<Real>*& from, Complex<Real>*& to) {
    int m = fft.size, stride = 1;
    for (int pass = 0; pass < fft.n_factors; ++pass) {
      const int radix = fft.factors[pass];
      m /= radix;
      const auto go = [&]<int r>() {
        exec_.run(
            n_tiles, m * stride * n_sequences,
            FftPassBody<Real, r>{from, to, per_tile, m, stride, n_sequences, fft.twiddles[pass]});
      };
      switch (radix) {
        case 2:
          go.template operator()<2>();
          break;
        case 3:
          go.template operator()<3>();
          break;
        case 4:
          go.template operator()<4>();
          break;
        default:
          go.template operator()<5>();
          break;
      }
      std::swap(from, to);
      stride *= radix;
    }
  }

  void draw_copies(const GroupPlan& plan, const DeviceGroup& group) {
    const int n = group.n_tiles, size = plan.n_copies * plan.n_copies * n_lanes;
    const TileState* states = states_.data();
    with_profile(plan, [&]<class Profile>() {
      exec_.run(n, 1, ConstantsBody<Profile>{tiles_, states, group});
      exec_.run(n, plan.n_copy_nodes / n_lanes, CopyNodesBody<Profile>{tiles_, states, group});
    });
    exec_.run(n, plan.n_copy_nodes, CopyRowsBody{tiles_, group});
    exec_.run(n, size, CopyColumnsBody{tiles_, states, group});
    exec_.run(n, size, CopyBlurBody<false>{tiles_, group});
    exec_.run(n, size, CopyBlurBody<true>{tiles_, group});
    for (int order = 1; order <= 3; ++order) {
      exec_.run(n, plan.n_copies * n_lanes, CopyCrossBody<true>{tiles_, group, order});
      exec_.run(n, plan.n_copies * n_lanes, CopyCrossBody<false>{tiles_, group, order});
    }
    exec_.run(n, plan.n_copies, CopyCentreBody<false>{tiles_, group});
    exec_.run(n, plan.n_copies, CopyCentreBody<true>{tiles_, group});
    exec_.run(n, group.n_rows * plan.n_copies * n_lanes,
              CopyLineBody{tiles_, states, group, plan.n_copies});
  }

  void draw_rest(const GroupPlan& plan, const DeviceGroup& group) {
    const int n = group.n_tiles;
    const TileState* states = states_.data();
    with_profile(plan, [&]<class Profile>() {
      exec_.run(n, 1, ConstantsBody<Profile>{tiles_, states, group});
      exec_.run(n, plan.n_rest_nodes, RestValuesBody<Profile>{tiles_, states, group});
    });
    exec_.run(n, plan.n_rest_nodes * n_lanes, RestFilterBody{tiles_, states, group});
    exec_.run(n, plan.n_height * plan.n_rest_columns * n_lanes,
              RestLineBody{tiles_, states, group, plan.n_rest_columns});
    exec_.run(n, plan.n_pixels * n_lanes, RestPixelsBody{tiles_, states, group});
  }

  void draw_pixels(const GroupPlan& plan, const DeviceGroup& group) {
    const int n = group.n_tiles;
    const TileState* states = states_.data();
    with_profile(plan, [&]<class Profile>() {
      exec_.run(n, 1, PixelSetupBody<Profile>{tiles_, states, group});
      if constexpr (SharedMeanTable<Profile>) {
        exec_.run(n, Profile::MeanTable::max_nodes, MeanNodesBody<Profile>{tiles_, group});
      }
      exec_.run(n, plan.n_edges, EdgesBody<Profile>{tiles_, states, group, rule_});
      exec_.run(n, plan.n_pixels, PixelLanesBody<Profile>{tiles_, states, group});
    });
  }

  // draw.template operator()<Profile>() with a group's.
  template <class Draw>
  static void with_profile(const GroupPlan& plan, const Draw& draw) {
    int index = 0;
    const auto visit = [&]<class Profile>() {
      if (index++ == plan.profile) draw.template operator()<Profile>();
    };
#define JL_VISIT(stem) visit.template operator()<profile_##stem>();
    JL_PROFILE_LIST(JL_VISIT)
#undef JL_VISIT
  }

  Exec& exec_;
  DevicePlan plan_;
  Precision precision_;
  DeviceArena<Exec> arena_;
  std::map<const void*, std::vector<SpectrumRun>> moved_runs_;
  const DeviceTile* tiles_ = nullptr;
  const DeviceImage* images_ = nullptr;
  const GaussLegendre* rule_ = nullptr;
  const PairPiece* pieces_ = nullptr;
  const int *piece_start_ = nullptr, *run_start_ = nullptr;
  const DeviceRun* runs_ = nullptr;
  int n_pairs_ = 0, most_pixels_ = 0;
  std::vector<Portion> portions_;
  std::vector<std::size_t> pixel_offset_;
  std::vector<TileState> host_states_;
  std::vector<double> host_tables_;
  Buffer<std::byte> spectra_;
  Buffer<double> scratch_, fields_, pixels_, tables_;
  Buffer<double> piece_sums_, run_sums_, blocks_, gradients_, chi2_;
  Buffer<TileState> states_;
};

}  // namespace jointlight
