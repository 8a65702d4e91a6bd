// SPDX-License-Identifier: BSD-3-Clause
// Compiled once per instruction-set level (JL_ISA names it). Exports one symbol: the table.
#include "backend/cpu/kernels.hpp"

#include "profile_list.hpp"
#include "stages/copies.hpp"
#include "stages/core_box.hpp"
#include "stages/normal.hpp"
#include "stages/project.hpp"
#include "stages/render_fourier.hpp"
#include "stages/render_value.hpp"
#include "stages/residual.hpp"
#include "stages/sky.hpp"

#define JL_STRING_(x) #x
#define JL_STRING(x) JL_STRING_(x)

namespace jointlight {
JL_ISA_BEGIN

#define JL_DECLARE(stem) ProfileKernels kernels_##stem();
JL_PROFILE_LIST(JL_DECLARE)
#undef JL_DECLARE

namespace {

ProfileKernels profile_kernels(int index) {
  using Maker = ProfileKernels (*)();
#define JL_MAKER(stem) &kernels_##stem,
  static constexpr Maker makers[] = {JL_PROFILE_LIST(JL_MAKER)};
#undef JL_MAKER
  return makers[index]();
}

// Row y of a tile, pixels [x_begin, x_end) of its window, into the model, and its lanes where the
// sums find them.
void add_tile(Band& band, int t, int y, double* model) {
  const BandTile& tile = band.tiles[t];
  const TileView& view = *tile.view;
  const int row = y - view.y0;
  const int x_begin = band.x_begin > view.x0 ? band.x_begin - view.x0 : 0;
  const int x_end = band.x_end - view.x0 < view.width ? band.x_end - view.x0 : view.width;
  const int n = x_end - x_begin;
  double* target = model + view.x0 + x_begin;
  if (view.plane != nullptr) {
    const double* plane = view.plane + static_cast<std::ptrdiff_t>(row) * view.width + x_begin;
    for (int x = 0; x < n; ++x) target[x] += tile.value[lane_unit] * plane[x];
    if (band.pairs == nullptr) return;
    double* lanes = band.widened + static_cast<std::ptrdiff_t>(tile.widened) * band.width * n_lanes;
    const float* from = view.single_fields + static_cast<std::size_t>(row) * view.row_stride;
    for (int i = x_begin * n_lanes; i < x_end * n_lanes; ++i) lanes[i] = from[i];
    band.lanes[t] = lanes;
    return;
  }
  if (tile.made >= 0) {
    double* lanes = band.made + static_cast<std::ptrdiff_t>(tile.made) * band.width * n_lanes;
    if (view.renderer == Renderer::sky) {
      sky_row(view, row, x_begin, x_end, lanes);
    } else {
      core_row(view, row, x_begin, x_end, band.line, lanes);
    }
    band.lanes[t] = lanes;
  } else {
    band.lanes[t] = view.fields + static_cast<std::size_t>(row) * view.row_stride;
  }
  const std::ptrdiff_t offset = static_cast<std::ptrdiff_t>(x_begin) * n_lanes;
  add_model(band.lanes[t] + offset, tile.value, tile.n_value, n, target);
}

// Row y of the normal equations.
void add_pairs(Band& band, int y, const double* w, const double* wr) {
  for (int p = 0; p < band.n_pairs; ++p) {
    const BandPair& pair = band.pairs[p];
    if (y < pair.y_begin || y >= pair.y_end) continue;
    const int first = pair.x_begin, n = pair.x_end - pair.x_begin;
    const auto offset = [&](int t) {
      return static_cast<std::ptrdiff_t>(first - band.tiles[t].view->x0) * n_lanes;
    };
    const std::ptrdiff_t a = offset(pair.a), b = offset(pair.b);
    double* gradient = band.gradients + static_cast<std::ptrdiff_t>(pair.a) * n_lanes;
    if (pair.a == pair.b) {
      accumulate_own(band.lanes[pair.a] + a, w + first, wr + first, n, pair.block, gradient);
    } else {
      accumulate_block(band.lanes[pair.a] + a, band.lanes[pair.b] + b, w + first, n, pair.block);
    }
  }
}

template <Likelihood kind>
void run_band(Band& band) {
  double* model = band.rows;
  double* w = band.rows + band.width;
  double* wr = band.rows + static_cast<std::ptrdiff_t>(2) * band.width;
  double* terms = band.rows + static_cast<std::ptrdiff_t>(3) * band.width;
  for (int t = 0; t < band.n_tiles; ++t) band.chi2[t] = 0.0;
  for (int y = band.y_begin; y < band.y_end; ++y) {
    for (int x = band.x_begin; x < band.x_end; ++x) model[x] = 0.0;
    for (int t = 0; t < band.n_tiles; ++t) {
      const TileView& view = *band.tiles[t].view;
      if (y >= view.y0 && y < view.y0 + view.height) add_tile(band, t, y, model);
    }
    const double* data = band.data + static_cast<std::ptrdiff_t>(y) * band.width;
    const double* weight = band.weight + static_cast<std::ptrdiff_t>(y) * band.width;
    const int first = band.x_begin;
    residual_row<kind>(band.x_end - first, data + first, weight + first, model + first, w + first,
                       wr + first, terms + first);
    for (int r = band.run_start[y - band.y_begin]; r < band.run_start[y - band.y_begin + 1]; ++r) {
      const OwnedRun& run = band.runs[r];
      band.chi2[run.tile] += row_sum(run.x_end - run.x_begin, terms + run.x_begin);
    }
    if (band.pairs != nullptr) add_pairs(band, y, w, wr);
  }
}

void band(Band& rows) {
  if (rows.likelihood == Likelihood::gaussian) {
    run_band<Likelihood::gaussian>(rows);
  } else {
    run_band<Likelihood::poisson>(rows);
  }
}

}  // namespace

const KernelTable& kernel_table() {
  static constexpr KernelTable table = {
      .isa = JL_STRING(JL_ISA),
      .vector_width = vector_width,
      .fourier_scratch = &fourier_scratch,
      .fill_phases = &fill_phases,
      .render_columns = &render_columns,
      .render_rows = &render_rows,
      .copies_scratch = &copies_scratch,
      .subtract_copies = &subtract_copies,
      .value_spectra = &value_spectra,
      .value_scratch = &value_scratch,
      .render_value_columns = &render_value_columns,
      .render_value_rows = &render_value_rows,
      .subtract_copies_value = &subtract_copies_value,
      .render_columns_mixed = &render_columns_mixed,
      .render_rows_mixed = &render_rows_mixed,
      .subtract_copies_mixed = &subtract_copies_mixed,
      .filter_rest = &filter_rest,
      .band = &band,
      .sky_row = &sky_row,
      .core_row = &core_row,
      .project_row = &project_row,
      .project_row_mixed = &project_row_mixed,
      .profile = &profile_kernels,
  };
  return table;
}

JL_ISA_END
}  // namespace jointlight
