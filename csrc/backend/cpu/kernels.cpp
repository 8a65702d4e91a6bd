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
      const BandTile& tile = band.tiles[t];
      const TileView& view = *tile.view;
      const int row = y - view.y0;
      band.lanes[t] = nullptr;
      if (row < 0 || row >= view.height) continue;
      const int x_begin = band.x_begin > view.x0 ? band.x_begin - view.x0 : 0;
      const int x_end = band.x_end - view.x0 < view.width ? band.x_end - view.x0 : view.width;
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
      add_model(band.lanes[t] + static_cast<std::ptrdiff_t>(x_begin) * n_lanes, tile.value,
                tile.n_value, x_end - x_begin, model + view.x0 + x_begin);
    }
    const double* data = band.data + static_cast<std::ptrdiff_t>(y) * band.width;
    const double* weight = band.weight + static_cast<std::ptrdiff_t>(y) * band.width;
    residual_row<kind>(band.x_end - band.x_begin, data + band.x_begin, weight + band.x_begin,
                       model + band.x_begin, w + band.x_begin, wr + band.x_begin,
                       terms + band.x_begin);
    for (int r = band.run_start[y - band.y_begin]; r < band.run_start[y - band.y_begin + 1]; ++r) {
      const OwnedRun& run = band.runs[r];
      band.chi2[run.tile] += row_sum(run.x_end - run.x_begin, terms + run.x_begin);
    }
    if (band.pairs == nullptr) continue;
    for (int p = 0; p < band.n_pairs; ++p) {
      const BandPair& pair = band.pairs[p];
      if (y < pair.y_begin || y >= pair.y_end) continue;
      const auto offset = [&](int t) {
        return band.lanes[t] +
               static_cast<std::ptrdiff_t>(pair.x_begin - band.tiles[t].view->x0) * n_lanes;
      };
      const int n = pair.x_end - pair.x_begin;
      if (pair.a == pair.b) {
        accumulate_own(offset(pair.a), w + pair.x_begin, wr + pair.x_begin, n, pair.block,
                       band.gradients + static_cast<std::ptrdiff_t>(pair.a) * n_lanes);
      } else {
        accumulate_block(offset(pair.a), offset(pair.b), w + pair.x_begin, n, pair.block);
      }
    }
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
      .filter_rest = &filter_rest,
      .band = &band,
      .sky_row = &sky_row,
      .core_row = &core_row,
      .project_row = &project_row,
      .profile = &profile_kernels,
  };
  return table;
}

JL_ISA_END
}  // namespace jointlight
