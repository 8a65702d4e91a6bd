// SPDX-License-Identifier: BSD-3-Clause
// Function tables of the kernels, one per instruction-set level. Only plain data crosses here.
#pragma once

#include <cstddef>

#include "scene/ownership.hpp"
#include "scene/tile.hpp"

namespace jointlight {

// One tile as a band sees it.
struct BandTile {
  const TileView* view = nullptr;
  const double* value = nullptr;  // image = value . lanes
  int n_value = 1;                // leading lanes that `value` uses
  int made = -1;                  // index among those whose rows are made here, -1 for others
  int widened = -1;               // index among those whose lanes may be in float32, -1 for others
};

struct BandPair {
  int a = 0, b = 0;                                    // indices into the band's tiles
  int x_begin = 0, x_end = 0, y_begin = 0, y_end = 0;  // image pixels, x within the band
  double* block = nullptr;                             // [n_lanes][n_lanes]
};

// A rectangle of one image: residual and normal equations in one pass.
struct Band {
  const double* data = nullptr;  // [height][width]
  const double* weight = nullptr;
  Likelihood likelihood = Likelihood::gaussian;
  int width = 0;  // of the image
  int x_begin = 0, x_end = 0, y_begin = 0, y_end = 0;
  const BandTile* tiles = nullptr;
  int n_tiles = 0;
  const BandPair* pairs = nullptr;  // null: chi2 only
  int n_pairs = 0;
  double* gradients = nullptr;  // [n_tiles][n_lanes]
  // Pixels that each tile owns, by row from y_begin; OwnedRun::tile counts the band's tiles.
  const OwnedRun* runs = nullptr;
  const int* run_start = nullptr;  // [rows + 1] into runs
  double* chi2 = nullptr;          // [n_tiles]
  // scratch, of the whole image's width: rows of model, w, w r and chi2, lanes of rows made here
  // [n_made][width][n_lanes], and one row of a grid of a rest
  double* rows = nullptr;  // [4][width]
  double* made = nullptr;
  double* line = nullptr;
  const double** lanes = nullptr;  // [n_tiles] row pointers
  double* widened = nullptr;       // lanes of rows that are in float32 [n_widened][width][n_lanes]
};

struct ProfileKernels {
  // coefficients [n][n][n_lanes], and as much scratch
  void (*copies_polynomial)(const TileView&, const TileState&, double* coefficients,
                            double* scratch) = nullptr;
  // Rows of values [ny][nx][n_lanes]
  void (*rest_values)(const TileView&, const RestGrid&, const TileState&, int begin, int end,
                      double* values) = nullptr;
  std::size_t (*pixel_scratch)(int width, int height) = nullptr;  // bytes
  void (*render_pixel)(const TileView&, const TileState&, void* scratch) = nullptr;
};

struct KernelTable {
  const char* isa = "";
  int vector_width = 0;
  std::size_t (*fourier_scratch)(const TransferView&) = nullptr;  // doubles
  void (*fill_phases)(const TileView&, const TileState&, double*) = nullptr;
  void (*render_columns)(const TileView&, const TileState&, const double* phases, int begin,
                         int end, double* scratch) = nullptr;
  void (*render_rows)(const TileView&, int begin, int end, double* scratch) = nullptr;
  std::size_t (*copies_scratch)(const TileView&) = nullptr;  // doubles
  void (*subtract_copies)(const TileView&, const TileState&, const double* coefficients, int begin,
                          int end, double* scratch) = nullptr;
  // The image alone (stages/render_value.hpp): doubles between the passes, of scratch; the passes
  std::size_t (*value_spectra)(const TileView&) = nullptr;
  std::size_t (*value_scratch)(const TransferView&) = nullptr;
  void (*render_value_columns)(const TileView&, const TileState&, const double* phases, int begin,
                               int end, double* spectra, double* scratch) = nullptr;
  void (*render_value_rows)(const TileView&, const double* spectra, int begin, int end,
                            double* plane, double* scratch) = nullptr;
  void (*subtract_copies_value)(const TileView&, const TileState&, const double* coefficients,
                                int begin, int end, double* plane, double* scratch) = nullptr;
  // In mixed precision; spectra as of the image alone
  void (*render_columns_mixed)(const TileView&, const TileState&, const double* phases, int begin,
                               int end, double* spectra, double* scratch) = nullptr;
  void (*render_rows_mixed)(const TileView&, const double* spectra, int begin, int end,
                            double* scratch) = nullptr;
  void (*subtract_copies_mixed)(const TileView&, const TileState&, const double* coefficients,
                                int begin, int end, double* scratch) = nullptr;
  void (*filter_rest)(const RestGrid&, int begin, int end, const double* values) = nullptr;
  void (*band)(Band&) = nullptr;
  void (*sky_row)(const TileView&, int y, int x_begin, int x_end, double* lanes) = nullptr;
  void (*core_row)(const TileView&, int y, int begin, int end, double* line,
                   double* lanes) = nullptr;
  // planes[k][offset + x] += weights[k] . lanes[x], weights [n_planes][n_lanes]
  void (*project_row)(const double* lanes, int n, const double* weights, int n_planes,
                      double* const* planes, std::size_t offset) = nullptr;
  void (*project_row_mixed)(const float* lanes, const double* value, int n, const double* weights,
                            int n_planes, double* const* planes, std::size_t offset) = nullptr;
  ProfileKernels (*profile)(int index) = nullptr;
};

// The best level this processor runs; JOINTLIGHT_ISA=base|v3|v4 forces one.
// While stage clocks are on (base/stage_clock.hpp), its kernels are timed.
const KernelTable& kernels();

// The same kernels with clocks around them (one table a process).
const KernelTable& timed_kernels(const KernelTable& of);

}  // namespace jointlight
