// SPDX-License-Identifier: BSD-3-Clause
// Tiles on a device: their memory, and how their lanes are drawn. Which bodies run, in which order.
#pragma once

#include <algorithm>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "backend/device/device_memory.hpp"
#include "backend/device/device_plan.hpp"
#include "backend/device/device_profile.hpp"
#include "backend/device/device_states.hpp"
#include "backend/device/device_transforms.hpp"
#include "backend/device/visit_profile.hpp"
#include "stages/device/copies.hpp"
#include "stages/device/pixel.hpp"
#include "stages/device/radial.hpp"
#include "stages/device/rest.hpp"
#include "stages/device/spectrum.hpp"

namespace jointlight {

template <class Exec>
class DeviceTiles {
  template <class T>
  using Buffer = typename Exec::template Buffer<T>;

 public:
  // `work_bytes`: memory for what is made of a tile on the way to its lanes; groups that need more
  // are drawn in portions.
  DeviceTiles(Exec& exec, DeviceArena<Exec>& arena, const DevicePlan& plan, Precision precision,
              std::size_t work_bytes)
      : exec_(exec),
        arena_(arena),
        plan_(plan),
        precision_(precision),
        work_bytes_(work_bytes),
        all_states_(exec, plan),
        states_(all_states_.data()),
        group_of_(plan.views.size(), -1),
        selected_(plan.groups.size()) {
    for (std::size_t g = 0; g < plan_.groups.size(); ++g) {
      for (const int t : plan_.groups[g].tiles) group_of_[at(t)] = static_cast<int>(g);
    }
    place_tiles();
    plan_work();
    list_ = exec.template buffer<int>(plan_.views.size());
    select_all();
  }

  const DeviceTile* tiles() const { return tiles_; }
  const TileState* states() const { return states_; }

  void select_all() {
    std::vector<int> all(plan_.views.size());
    for (std::size_t t = 0; t < all.size(); ++t) all[t] = static_cast<int>(t);
    select(all);
  }

  // Those that draw() draws from now on, in ascending order.
  void select(std::span<const int> tiles) {
    for (auto& list : selected_) list.clear();
    for (const int t : tiles) {
      if (group_of_[at(t)] >= 0) selected_[at(group_of_[at(t)])].push_back(t);
    }
    portions_.clear();
    host_list_.clear();
    for (std::size_t g = 0; g < selected_.size(); ++g) {
      const GroupPlan& group = plan_.groups[g];
      const std::size_t count = selected_[g].size();
      for (std::size_t first = 0; first < count; first += together_[g]) {
        const std::size_t n = std::min(together_[g], count - first);
        portions_.push_back(
            {g,
             {group.box_x, group.box_y, group.n_columns, group.n_rows, group.n_width,
              static_cast<int>(n), list_.data() + host_list_.size() + first}});
      }
      host_list_.insert(host_list_.end(), selected_[g].begin(), selected_[g].end());
    }
    exec_.upload(list_.data(), host_list_.data(), host_list_.size());
  }

  // New states of tiles first, first + 1, ...: where they are until send_states().
  void set_states(std::size_t first, std::span<const TileState> states) {
    all_states_.set(first, states);
  }
  void send_states() { all_states_.send(); }
  // Most intervals of a radial table that the last states ask to be made.
  int most_intervals() const { return all_states_.most_intervals(); }

  // `most_intervals`: at least that of the states.
  void draw(int most_intervals) {
    const int n_branches =
        side_by_side_ ? std::min<int>(most_branches, static_cast<int>(plan_.groups.size())) : 1;
    exec_.fork(n_branches);
    for (const Portion& portion : portions_) {
      exec_.on_branch(static_cast<int>(portion.group) % n_branches);
      draw_portion(portion, most_intervals);
    }
    exec_.join();
  }

 private:
  // Groups that are drawn at the same time where each has memory of its own.
  static constexpr int most_branches = 4;

  // Some tiles of a group.
  struct Portion {
    std::size_t group = 0;
    DeviceGroup tiles;
  };

  static std::size_t at(int i) { return static_cast<std::size_t>(i); }

  // Memory on the way to lanes: bytes of spectra, and doubles.
  struct WorkShare {
    static constexpr std::size_t alignment = 256;
    std::size_t spectra = 0, doubles = 0;
    std::size_t spectra_bytes() const { return aligned(spectra); }
    std::size_t bytes() const { return aligned(spectra) + aligned(doubles * sizeof(double)); }
    static std::size_t aligned(std::size_t n) {
      return (n + alignment - 1) / alignment * alignment;
    }
  };
  struct Work {
    std::byte* spectra;
    double* scratch;
  };

  // Mixed precision is that of tiles in one box.
  bool is_mixed(const GroupPlan& group) const {
    return precision_ == Precision::mixed && !group.in_parts;
  }

  static bool makes_tables(const GroupPlan& group) {
    return group.renderer == Renderer::fourier && !group.in_parts && group.profile >= 0;
  }

  // A body for the tiles of a portion.
  template <class Body>
  void run(Stage stage, const DeviceGroup& group, int n_inner, const Body& body) {
    const auto cost = [&] {
      Cost sum;
      if (all_states_.profiled().empty()) return sum;  // turned on since
      const int* listed = host_list_.data() + (group.tiles - list_.data());
      for (const int t : std::span(listed, at(group.n_tiles))) {
        const TileState& state = all_states_.profiled()[at(t)];
        if (state.visible) sum += cost_of(body, plan_.views[at(t)], state);
      }
      return sum;
    };
    profiled(exec_, stage, cost, [&] { exec_.run(group.n_tiles, n_inner, body); });
  }

  // How many tiles of each group are drawn together, and memory for any portion.
  void plan_work() {
    DeviceTransforms<Exec>& transforms = DeviceTransforms<Exec>::shared(exec_.device());
    std::vector<WorkShare> own;  // of each group
    std::size_t sum = 0, largest = 0;
    for (const GroupPlan& group : plan_.groups) {
      const std::size_t lane = is_mixed(group) ? sizeof(float) : sizeof(double);
      const std::size_t spectrum = group.spectrum_size() * n_lanes * 2 * lane;
      const std::size_t bytes = 2 * spectrum + group.scratch_size() * sizeof(double);
      constexpr std::size_t most = 65535;  // of a launch
      const std::size_t n = std::clamp<std::size_t>(
          work_bytes_ / bytes, 1, std::min(most, std::max<std::size_t>(group.tiles.size(), 1)));
      together_.push_back(n);
      own.push_back({2 * n * spectrum, n * group.scratch_size()});
      sum += own.back().bytes();
      largest = std::max(largest, own.back().bytes());
      const TileView& view = plan_.views[at(group.tiles[0])];
      ffts_.emplace_back(on_device(view.fft_x), on_device(view.fft_y));
      if (group.renderer == Renderer::pixel && rule_ == nullptr) {
        rule_ = arena_.put_once(&gauss_legendre, 1);
      }
      if (makes_tables(group)) transforms_[group.profile] = transforms.of(group.profile);
    }
    side_by_side_ = sum <= work_bytes_;
    work_ = exec_.template buffer<std::byte>(side_by_side_ ? sum : largest);
    std::size_t before = 0;
    for (const WorkShare& share : own) {
      std::byte* first = work_.data() + before;
      work_of_.push_back({first, reinterpret_cast<double*>(first + share.spectra_bytes())});
      if (side_by_side_) before += share.bytes();
    }
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
      const bool single = is_single(view, precision_);
      size += single ? pixels * n_lanes / 2 + pixels : pixels * n_lanes;
    }
    fields_ = exec_.template buffer<double>(size);
    for (std::size_t t = 0; t < tiles.size(); ++t) {
      TileView& view = tiles[t].view;
      if (view.renderer == Renderer::sky) continue;
      view.fields = fields_.data() + offset[t];
      if (is_single(view, precision_)) {
        view.single_fields = reinterpret_cast<float*>(view.fields);
        view.plane = view.fields + at(view.width) * at(view.height) * n_lanes / 2;
        view.fields = nullptr;
      }
      if (view.renderer == Renderer::fourier) move_plan(view);
    }
    tiles_ = arena_.put_once(tiles.data(), tiles.size());
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

  void make_tables(const GroupPlan& plan, const DeviceGroup& group, int most_intervals) {
    const TransformView& view = transforms_.at(plan.profile);
    run(Stage::place, group, 1, StencilBody{tiles_, states_, group, view});
    run(Stage::place, group, most_intervals, RadialTableBody{tiles_, states_, group});
  }

  void draw_portion(const Portion& portion, int most_intervals) {
    const GroupPlan& plan = plan_.groups[portion.group];
    double* scratch = work_of_[portion.group].scratch;
    run(Stage::place, portion.tiles, 1,
        AssignBody{tiles_, portion.tiles, scratch, plan.scratch_layout()});
    if (plan.renderer == Renderer::pixel) {
      draw_pixels(plan, portion.tiles);
      return;
    }
    if (makes_tables(plan)) make_tables(plan, portion.tiles, most_intervals);
    run(Stage::phases, portion.tiles, plan.n_runs + plan.n_phases,
        PhaseBody{tiles_, states_, portion.tiles, plan.n_runs});
    if (plan.n_copies > 0) draw_copies(plan, portion.tiles);
    if (is_mixed(plan)) {
      draw_box<double, 1>(portion);
      draw_box<float, n_lanes>(portion);
    } else {
      draw_box<double, n_lanes>(portion);
    }
  }

  template <class Real, int lanes>
  void draw_box(const Portion& portion) {
    const GroupPlan& plan = plan_.groups[portion.group];
    const DeviceGroup& group = portion.tiles;
    const int n = group.n_tiles;
    const std::size_t per_tile = plan.spectrum_size() * at(lanes);
    auto* spectrum = reinterpret_cast<Complex<Real>*>(work_of_[portion.group].spectra);
    auto* other = spectrum + per_tile * at(n);
    const TileState* states = states_;
    run(Stage::columns, group, group.box_y * group.n_columns,
        SpectrumBody<Real, lanes>{tiles_, states, group, spectrum, per_tile});
    transform(Stage::columns, group, ffts_[portion.group].second, group.n_columns * lanes, per_tile,
              spectrum, other);
    run(Stage::rows, group, group.box_x * group.n_pairs() * lanes,
        PackRowsBody<Real, lanes>{tiles_, group, spectrum, other, per_tile});
    std::swap(spectrum, other);
    transform(Stage::rows, group, ffts_[portion.group].first, group.n_pairs() * lanes, per_tile,
              spectrum, other);
    run(Stage::subtract, group, group.n_rows * group.n_width * lanes,
        PixelsBody<Real, lanes>{tiles_, states, group, spectrum, per_tile});
    if (plan.in_parts) draw_rest(plan, group);
  }

  template <class Real>
  void transform(Stage stage, const DeviceGroup& group, const FftView& fft, int n_sequences,
                 std::size_t per_tile, Complex<Real>*& from, Complex<Real>*& to) {
    int m = fft.size, stride = 1;
    for (int pass = 0; pass < fft.n_factors; ++pass) {
      const int radix = fft.factors[pass];
      m /= radix;
      const auto go = [&]<int r>() {
        run(stage, group, m * stride * n_sequences,
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
    const int size = plan.n_copies * plan.n_copies * n_lanes;
    const TileState* states = states_;
    visit_profile(plan.profile, [&]<class Profile>() {
      run(Stage::copies, group, 1, ConstantsBody<Profile>{tiles_, states, group});
      run(Stage::copies, group, tail_rays, TailRaysBody<Profile>{tiles_, states, group});
      run(Stage::copies, group, plan.n_copy_nodes / n_lanes,
          CopyNodesBody<Profile>{tiles_, states, group});
    });
    run(Stage::copies, group, plan.n_copy_nodes, CopyRowsBody{tiles_, group});
    run(Stage::copies, group, size, CopyColumnsBody{tiles_, states, group});
    run(Stage::copies, group, size, CopyBlurBody<false>{tiles_, group});
    run(Stage::copies, group, size, CopyBlurBody<true>{tiles_, group});
    for (int order = 1; order <= 3; ++order) {
      run(Stage::copies, group, plan.n_copies * n_lanes, CopyCrossBody<true>{tiles_, group, order});
      run(Stage::copies, group, plan.n_copies * n_lanes,
          CopyCrossBody<false>{tiles_, group, order});
    }
    run(Stage::copies, group, plan.n_copies, CopyCentreBody<false>{tiles_, group});
    run(Stage::copies, group, plan.n_copies, CopyCentreBody<true>{tiles_, group});
    run(Stage::copies, group, group.n_rows * plan.n_copies * n_lanes,
        CopyLineBody{tiles_, states, group, plan.n_copies});
  }

  void draw_rest(const GroupPlan& plan, const DeviceGroup& group) {
    const TileState* states = states_;
    visit_profile(plan.profile, [&]<class Profile>() {
      run(Stage::smooth, group, 1, ConstantsBody<Profile>{tiles_, states, group});
      run(Stage::smooth, group, plan.n_rest_nodes, RestValuesBody<Profile>{tiles_, states, group});
    });
    run(Stage::smooth, group, plan.n_rest_nodes * n_lanes, RestFilterBody{tiles_, states, group});
    run(Stage::smooth, group, plan.n_height * plan.n_rest_columns * n_lanes,
        RestLineBody{tiles_, states, group, plan.n_rest_columns});
    run(Stage::smooth, group, plan.n_pixels * n_lanes, RestPixelsBody{tiles_, states, group});
  }

  void draw_pixels(const GroupPlan& plan, const DeviceGroup& group) {
    const TileState* states = states_;
    visit_profile(plan.profile, [&]<class Profile>() {
      run(Stage::pixel, group, 1, PixelSetupBody<Profile>{tiles_, states, group});
      if constexpr (SharedMeanTable<Profile>) {
        run(Stage::pixel, group, Profile::MeanTable::max_nodes,
            MeanNodesBody<Profile>{tiles_, group});
      }
      run(Stage::pixel, group, plan.n_edges, EdgesBody<Profile>{tiles_, states, group, rule_});
      run(Stage::pixel, group, plan.n_pixels, PixelLanesBody<Profile>{tiles_, states, group});
    });
  }

  Exec& exec_;
  DeviceArena<Exec>& arena_;
  const DevicePlan& plan_;
  Precision precision_;
  std::size_t work_bytes_;
  DeviceStates<Exec> all_states_;
  const TileState* states_;
  std::vector<int> group_of_;                      // [tiles] -1: a sky
  std::vector<std::vector<int>> selected_;         // [groups]
  std::vector<std::size_t> together_;              // [groups] tiles of a portion
  std::vector<Work> work_of_;                      // [groups] memory of a portion
  bool side_by_side_ = false;                      // each group has memory of its own
  std::vector<std::pair<FftView, FftView>> ffts_;  // [groups] x, y; twiddles are the device's
  std::map<int, TransformView> transforms_;        // by profile
  std::map<const void*, std::vector<SpectrumRun>> moved_runs_;
  std::vector<Portion> portions_;
  std::vector<int> host_list_;
  DeviceTile* tiles_ = nullptr;
  const GaussLegendre* rule_ = nullptr;
  Buffer<int> list_;        // selected tiles by group
  Buffer<std::byte> work_;  // spectra and scratch
  Buffer<double> fields_;
};

}  // namespace jointlight
