// SPDX-License-Identifier: BSD-3-Clause
#include "backend/device/device_plan.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <tuple>

#include "backend/device/visit_profile.hpp"
#include "base/error.hpp"
#include "scene/place_math.hpp"
#include "stages/device/copies.hpp"
#include "stages/device/pixel.hpp"
#include "stages/device/rest.hpp"

namespace jointlight {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

// Rows of a piece: enough pieces for many threads, few enough for their sums to be added quickly.
constexpr int piece_pixels = 1024;

constexpr double alignment = 32.0;  // doubles, of an array of its own

void add_pieces(const Scene& scene, int first_image, int first_tile, DevicePlan& plan) {
  for (const TilePair& pair : scene.pairs()) {
    const int image = first_image + scene.tiles()[at(pair.a)].image;
    const int width = std::max(1, pair.x_end - pair.x_begin);
    const int rows = std::max(1, piece_pixels / width);
    for (int y = pair.y_begin; y < pair.y_end; y += rows) {
      plan.pieces.push_back({image, first_tile + pair.a, first_tile + pair.b, pair.x_begin,
                             pair.x_end, y, std::min(y + rows, pair.y_end)});
    }
    plan.piece_start.push_back(static_cast<int>(plan.pieces.size()));
  }
}

// Runs of a scene's images, sorted by the tile that owns them.
void add_runs(const Scene& scene, int first_image, DevicePlan& plan) {
  std::vector<std::vector<DeviceRun>> of_tile(scene.tiles().size());
  for (std::size_t i = 0; i < scene.owned_rows().size(); ++i) {
    const OwnedRows& owned = scene.owned_rows()[i];
    for (std::size_t y = 0; y + 1 < owned.row_start.size(); ++y) {
      for (int r = owned.row_start[y]; r < owned.row_start[y + 1]; ++r) {
        const OwnedRun& run = owned.runs[at(r)];
        of_tile[at(run.tile)].push_back(
            {first_image + static_cast<int>(i), static_cast<int>(y), run.x_begin, run.x_end});
      }
    }
  }
  for (const auto& runs : of_tile) {
    plan.runs.insert(plan.runs.end(), runs.begin(), runs.end());
    plan.run_start.push_back(static_cast<int>(plan.runs.size()));
  }
}

void add_cells(const ImageSpec& spec, const std::vector<int>& tiles,
               const std::vector<TileView>& views, int first_tile, ImagePlan& plan) {
  constexpr int side = DeviceImage::cell_side;
  const int columns = (spec.width + side - 1) / side, rows = (spec.height + side - 1) / side;
  std::vector<std::vector<int>> cells(at(columns * rows));
  for (const int t : tiles) {
    const TileView& view = views[at(first_tile + t)];
    if (view.width <= 0 || view.height <= 0) continue;
    plan.covered += static_cast<double>(view.width) * view.height;
    for (int r = view.y0 / side; r <= (view.y0 + view.height - 1) / side; ++r) {
      for (int c = view.x0 / side; c <= (view.x0 + view.width - 1) / side; ++c) {
        cells[at(r * columns + c)].push_back(first_tile + t);
      }
    }
  }
  plan.cell_start.push_back(0);
  for (const auto& cell : cells) {
    plan.cell_tiles.insert(plan.cell_tiles.end(), cell.begin(), cell.end());
    plan.cell_start.push_back(static_cast<int>(plan.cell_tiles.size()));
  }
}

// Threads of a launch, which bodies number by int: a little less, as the last block's count on.
void require_threads(std::size_t n, const TileView& view) {
  constexpr std::size_t most = std::numeric_limits<int>::max() - 1024;
  require(n * n_lanes <= most, "a window of ", view.width, " x ", view.height,
          " pixels is too large for a device, allowed: ", most / n_lanes, " pixels");
}

void grow(int& largest, int value) { largest = std::max(largest, value); }

// Doubles of what a profile keeps of its shape: its constants, or with them all that the pixel
// renderer needs.
int setup_size(int profile, Renderer renderer) {
  std::size_t size = 0;
  visit_profile(profile, [&]<class Profile>() {
    size = renderer == Renderer::pixel ? sizeof(PixelSetup<Profile>)
                                       : sizeof(typename Profile::Constants);
  });
  return static_cast<int>((size + sizeof(double) - 1) / sizeof(double));
}

}  // namespace

std::size_t GroupPlan::spectrum_size() const {
  const std::size_t pairs = at((n_rows + 1) / 2);
  return std::max(at(box_y) * at(n_columns), at(box_x) * pairs);
}
std::size_t GroupPlan::coefficients_size() const { return at(n_copies) * at(n_copies) * n_lanes; }
std::size_t GroupPlan::filtered_size() const { return at(n_rest_nodes) * n_lanes; }
std::size_t GroupPlan::other_size() const {
  return std::max(
      {2 * at(n_copy_nodes), coefficients_size(), filtered_size(), at(n_edges) * most_edge_sums});
}
std::size_t GroupPlan::line_size() const {
  return std::max(at(n_rows) * at(n_copies), at(n_height) * at(n_rest_columns)) * n_lanes;
}
ScratchLayout GroupPlan::scratch_layout() const {
  ScratchLayout layout;
  const auto take = [&](std::size_t n) {
    layout.size += n;
    return layout.size - n;
  };
  layout.stencil = take((sizeof(TransformStencil) + sizeof(double) - 1) / sizeof(double));
  layout.constants = take(at(n_setup));
  layout.phase_x = take(2 * at(n_runs));
  layout.phase_y = take(2 * at(n_phases));
  layout.rays = take(n_copies > 0 ? at(tail_rays) * n_lanes : 0);
  layout.coefficients = take(coefficients_size());
  layout.other = take(other_size());
  layout.line = take(line_size());
  layout.filtered = take(filtered_size());
  return layout;
}

DevicePlan::DevicePlan(std::span<const Scene* const> scenes) {
  piece_start.push_back(0);
  run_start.push_back(0);
  std::map<std::tuple<Renderer, bool, int, int, int>, std::size_t> group_of;
  for (const Scene* scene : scenes) {
    const int first_image = this->first_image.back(), first_tile = this->first_tile.back();
    views.insert(views.end(), scene->views().begin(), scene->views().end());
    for (std::size_t i = 0; i < scene->images().size(); ++i) {
      images.push_back({&scene->images()[i], {}, {}, 0.0});
      add_cells(scene->images()[i], scene->image_tiles()[i], views, first_tile, images.back());
    }
    add_pieces(*scene, first_image, first_tile, *this);
    add_runs(*scene, first_image, *this);
    for (std::size_t t = 0; t < scene->tiles().size(); ++t) {
      const TileView& view = scene->views()[t];
      if (view.renderer == Renderer::sky) continue;
      const bool point = scene->tiles()[t].geometry.kind == ComponentKind::point;
      const int profile = point ? -1 : view.profile;
      const std::tuple key{view.renderer, view.core.taper > 0.0, profile, view.transfer.box_x,
                           view.transfer.box_y};
      const auto [place, fresh] = group_of.try_emplace(key, groups.size());
      if (fresh) {
        groups.emplace_back();
        GroupPlan& made = groups.back();
        std::tie(made.renderer, made.in_parts, made.profile, made.box_x, made.box_y) = key;
        made.n_setup = setup_size(profile, view.renderer);
      }
      GroupPlan& group = groups[place->second];
      group.tiles.push_back(first_tile + static_cast<int>(t));
      require_threads(at(view.width) * at(view.height), view);
      require_threads(at(view.transfer.box_x) * at(view.transfer.box_y), view);
      grow(group.n_rows, view.drawn_rows());
      grow(group.n_width, view.drawn.x_end - view.drawn.x_begin);
      grow(group.n_height, view.height);
      grow(group.n_pixels, view.width * view.height);
      if (view.renderer == Renderer::pixel) {
        grow(group.n_edges, n_edges(view));
        continue;
      }
      grow(group.n_columns, view.transfer.n_columns);
      grow(group.n_runs, view.transfer.column_start[view.transfer.n_columns]);
      grow(group.n_phases, view.transfer.y_max - view.transfer.y_min);
      grow(group.n_copies, view.copies.n);
      grow(group.n_copy_nodes, copy_nodes_before(view.copies, n_ring_sets));
      const RestGrid &fine = view.core.fine, &coarse = view.core.coarse;
      grow(group.n_rest_nodes, rest_nodes(fine) + rest_nodes(coarse));
      grow(group.n_rest_columns, fine.nx + coarse.nx);
    }
    this->first_tile.push_back(static_cast<int>(views.size()));
    this->first_image.push_back(static_cast<int>(images.size()));
    this->first_pair.push_back(static_cast<int>(piece_start.size()) - 1);
  }
}

std::size_t device_bytes(const Scene& scene) {
  double doubles = 0.0;
  for (const ImageSpec& image : scene.images()) {
    doubles += 6.0 * image.width * image.height;  // data, weight and what is summed
  }
  for (std::size_t t = 0; t < scene.views().size(); ++t) {
    const TileView& view = scene.views()[t];
    doubles += static_cast<double>(3 * sizeof(TileState) + sizeof(DeviceTile)) / sizeof(double);
    if (view.renderer == Renderer::sky) continue;
    doubles += 1.0 * view.width * view.height * n_lanes;
    constexpr double spare = 1.25;  // of tables, for larger ones to come
    doubles += spare * most_intervals(scene.place_views()[t]) * TransformGrid::interval_size;
    doubles += 2.0 * view.copies.n * view.copies.n;
    doubles += (rest_taps + 2.0) * (view.width + view.height);
    const TransferView& transfer = view.transfer;
    const int n_runs = transfer.runs == nullptr ? 0 : transfer.column_start[transfer.n_columns];
    doubles += n_runs * (sizeof(SpectrumRun) / sizeof(double) + alignment);
    for (int r = 0; r < n_runs; ++r) {
      doubles += 2.0 * (transfer.runs[r].y_end - transfer.runs[r].y_begin);
    }
  }
  for (const TilePair& pair : scene.pairs()) {
    const double pixels = 1.0 * (pair.x_end - pair.x_begin) * (pair.y_end - pair.y_begin);
    doubles += (pixels / (piece_pixels / 2) + 1.0) * n_piece_sums + n_block;
  }
  for (const OwnedRows& owned : scene.owned_rows())
    doubles += 4.0 * static_cast<double>(owned.runs.size());
  constexpr double rounding = 1.125;  // of the pools' blocks
  return static_cast<std::size_t>(rounding * doubles * sizeof(double));
}

}  // namespace jointlight
