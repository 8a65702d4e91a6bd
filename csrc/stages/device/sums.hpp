// SPDX-License-Identifier: BSD-3-Clause
// residual and normal, a thread a pixel or an entry: sums go over fixed pieces in a fixed order.
#pragma once

#include "stages/device/tile.hpp"
#include "stages/residual.hpp"

namespace jointlight {
JL_ISA_BEGIN

// One image. Its pixels lie in cells of cell_side x cell_side; a cell lists the tiles that reach
// it.
struct DeviceImage {
  static constexpr int cell_side = 32;

  int width = 0, height = 0;
  Likelihood likelihood = Likelihood::gaussian;
  const double *data = nullptr, *weight = nullptr;                        // [height][width]
  double *model = nullptr, *w = nullptr, *wr = nullptr, *term = nullptr;  // the same
  const int *cell_start = nullptr, *cell_tiles = nullptr;  // [cells + 1]; in the scene's order
};

// One lane of a tile at a pixel of its window.
JL_HD JL_INLINE double lane_at(const TileView& view, int x, int y, int lane) {
  if (view.renderer == Renderer::sky) {
    const double* m = view.sky_map;
    if (lane == 0) return 1.0;
    if (lane > 2) return 0.0;
    const double* row = m + (lane - 1) * 3;
    return row[0] + row[1] * x + row[2] * y;
  }
  const std::ptrdiff_t at = (static_cast<std::ptrdiff_t>(y) * view.width + x) * n_lanes + lane;
  return view.single_fields != nullptr ? static_cast<double>(view.single_fields[at])
                                       : view.fields[at];
}

// value . lanes of a tile at a pixel of its window.
JL_HD JL_INLINE double image_at(const TileView& view, const TileState& state, int x, int y) {
  if (!state.visible) return 0.0;
  if (view.plane != nullptr) {
    return state.value[lane_unit] * view.plane[static_cast<std::ptrdiff_t>(y) * view.width + x];
  }
  double s = state.value[lane_unit] * lane_at(view, x, y, lane_unit);
  if (view.renderer == Renderer::sky) {
    s += state.value[1] * lane_at(view, x, y, 1) + state.value[2] * lane_at(view, x, y, 2);
  }
  return s;
}

// images[list[which]], item = pixel.
struct ResidualBody {
  const int* list;
  const DeviceImage* images;
  const DeviceTile* tiles;
  const TileState* states;

  JL_HD void operator()(int which, int item) const {
    const DeviceImage& image = images[list[which]];
    if (item >= image.width * image.height) return;
    const int x = item % image.width, y = item / image.width;
    constexpr int side = DeviceImage::cell_side;
    const int cell = y / side * ((image.width + side - 1) / side) + x / side;
    double model = 0.0;
    for (int i = image.cell_start[cell]; i < image.cell_start[cell + 1]; ++i) {
      const TileView& view = tiles[image.cell_tiles[i]].view;
      const int tx = x - view.x0, ty = y - view.y0;
      if (tx < 0 || ty < 0 || tx >= view.width || ty >= view.height) continue;
      model += image_at(view, states[image.cell_tiles[i]], tx, ty);
    }
    image.model[item] = model;
    double w, wr, term;
    const double weight = image.weight[item];
    const double data = weight > 0.0 ? image.data[item] : 0.0;  // else it may be anything
    if (image.likelihood == Likelihood::gaussian) {
      residual<Likelihood::gaussian>(data, weight, model, w, wr, term);
    } else {
      residual<Likelihood::poisson>(data, weight, model, w, wr, term);
    }
    image.w[item] = w;
    image.wr[item] = wr;
    image.term[item] = term;
  }
};

// Some rows of what two tiles share (or of one tile), in image pixels.
struct PairPiece {
  int image = 0, a = 0, b = 0;
  int x_begin = 0, x_end = 0, y_begin = 0, y_end = 0;
};
inline constexpr int n_block = n_lanes * n_lanes;
inline constexpr int n_piece_sums = n_block + n_lanes;  // entries of the block, then the gradient

// pieces[list[which]], item = entry.
struct PieceBody {
  const int* list;
  const PairPiece* pieces;
  const DeviceImage* images;
  const DeviceTile* tiles;
  double* sums;  // [pieces][n_piece_sums]

  JL_HD void operator()(int which, int item) const {
    const int index = list[which];
    const PairPiece& piece = pieces[index];
    const DeviceImage& image = images[piece.image];
    const TileView &a = tiles[piece.a].view, &b = tiles[piece.b].view;
    double s = 0.0;
    if (item < n_block || piece.a == piece.b) {
      const int i = item < n_block ? item / n_lanes : item - n_block, j = item % n_lanes;
      for (int y = piece.y_begin; y < piece.y_end; ++y) {
        const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(y) * image.width;
        for (int x = piece.x_begin; x < piece.x_end; ++x) {
          const double lane = lane_at(a, x - a.x0, y - a.y0, i);
          s += item < n_block ? image.w[row + x] * lane * lane_at(b, x - b.x0, y - b.y0, j)
                              : image.wr[row + x] * lane;
        }
      }
    }
    sums[static_cast<std::ptrdiff_t>(index) * n_piece_sums + item] = s;
  }
};

// pair = list[which], item = entry: pieces [start[pair], start[pair + 1]) added in order.
struct PairBody {
  const int* list;
  const int* start;
  const PairPiece* pieces;
  const double* sums;
  double *blocks, *gradients;  // [pairs][n_lanes][n_lanes], [tiles][n_lanes]

  JL_HD void operator()(int which, int item) const {
    const int pair = list[which];
    const PairPiece& first = pieces[start[pair]];
    if (item >= n_block && first.a != first.b) return;
    double s = 0.0;
    for (int p = start[pair]; p < start[pair + 1]; ++p) {
      s += sums[static_cast<std::ptrdiff_t>(p) * n_piece_sums + item];
    }
    if (item < n_block) {
      blocks[static_cast<std::ptrdiff_t>(pair) * n_block + item] = s;
    } else {
      gradients[first.a * n_lanes + item - n_block] = s;
    }
  }
};

// Pixels [x_begin, x_end) of a row that a tile owns.
struct DeviceRun {
  int image = 0, y = 0, x_begin = 0, x_end = 0;
};

// which = 0, item = run.
struct RunBody {
  const DeviceRun* runs;
  const DeviceImage* images;
  double* sums;  // [runs]
  int n;

  JL_HD void operator()(int, int item) const {
    if (item >= n) return;
    const DeviceRun& run = runs[item];
    const DeviceImage& image = images[run.image];
    const double* row = image.term + static_cast<std::ptrdiff_t>(run.y) * image.width;
    double s = 0.0;
    for (int x = run.x_begin; x < run.x_end; ++x) s += row[x];
    sums[item] = s;
  }
};

// which = 0, item = tile: chi2 of the pixels that it owns.
struct OwnedBody {
  const int* start;  // [tiles + 1] into runs
  const double* sums;
  double* chi2;
  int n;

  JL_HD void operator()(int, int item) const {
    if (item >= n) return;
    double s = 0.0;
    for (int r = start[item]; r < start[item + 1]; ++r) s += sums[r];
    chi2[item] = s;
  }
};

// which = plane, item = pixel of the tile's window: out[plane][pixel] = weights[plane] . lanes. The
// image is taken from where it is in float64.
struct ProjectBody {
  const DeviceTile* tiles;
  int tile, n;
  const double* weights;  // [planes][n_lanes]
  double* out;

  JL_HD void operator()(int which, int item) const {
    if (item >= n) return;
    const TileView& view = tiles[tile].view;
    const int x = item % view.width, y = item / view.width;
    const double* weight = weights + which * n_lanes;
    double s = weight[0] * (view.plane != nullptr ? view.plane[item] : lane_at(view, x, y, 0));
    for (int lane = 1; lane < n_lanes; ++lane) s += weight[lane] * lane_at(view, x, y, lane);
    out[static_cast<std::ptrdiff_t>(which) * n + item] = s;
  }
};

JL_ISA_END
}  // namespace jointlight
