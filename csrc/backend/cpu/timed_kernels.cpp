// SPDX-License-Identifier: BSD-3-Clause
// The kernels once more, each between two clock readings. A kernel that is not named here stays as
// it is: its time then counts among the rest.
#include "backend/cpu/kernels.hpp"
#include "base/stage_clock.hpp"

namespace jointlight {
namespace {

const KernelTable* plain = nullptr;

template <auto member, Stage stage>
struct Timed;

template <class... Arguments, void (*KernelTable::*member)(Arguments...), Stage stage>
struct Timed<member, stage> {
  static void call(Arguments... arguments) {
    const StageClock clock(stage);
    (plain->*member)(arguments...);
  }
};

void band(Band& rows) {
  const StageClock clock(rows.pairs == nullptr ? Stage::residual : Stage::normal);
  plain->band(rows);
}

void copies_polynomial(const TileView& view, const TileState& state, double* coefficients,
                       double* scratch) {
  const StageClock clock(Stage::copies);
  plain->profile(view.profile).copies_polynomial(view, state, coefficients, scratch);
}

void rest_values(const TileView& view, const RestGrid& grid, const TileState& state, int begin,
                 int end, double* values) {
  const StageClock clock(Stage::smooth);
  plain->profile(view.profile).rest_values(view, grid, state, begin, end, values);
}

void render_pixel(const TileView& view, const TileState& state, void* scratch) {
  const StageClock clock(Stage::pixel);
  plain->profile(view.profile).render_pixel(view, state, scratch);
}

ProfileKernels profile(int index) {
  ProfileKernels kernels = plain->profile(index);
  kernels.copies_polynomial = &copies_polynomial;
  kernels.rest_values = &rest_values;
  kernels.render_pixel = &render_pixel;
  return kernels;
}

}  // namespace

const KernelTable& timed_kernels(const KernelTable& of) {
  static const KernelTable table = [&of] {
    plain = &of;
    KernelTable timed = of;
    timed.fill_phases = &Timed<&KernelTable::fill_phases, Stage::phases>::call;
    timed.render_columns = &Timed<&KernelTable::render_columns, Stage::columns>::call;
    timed.render_rows = &Timed<&KernelTable::render_rows, Stage::rows>::call;
    timed.subtract_copies = &Timed<&KernelTable::subtract_copies, Stage::subtract>::call;
    timed.filter_rest = &Timed<&KernelTable::filter_rest, Stage::smooth>::call;
    timed.render_value_columns = &Timed<&KernelTable::render_value_columns, Stage::columns>::call;
    timed.render_value_rows = &Timed<&KernelTable::render_value_rows, Stage::rows>::call;
    timed.subtract_copies_value =
        &Timed<&KernelTable::subtract_copies_value, Stage::subtract>::call;
    timed.render_columns_mixed = &Timed<&KernelTable::render_columns_mixed, Stage::columns>::call;
    timed.render_rows_mixed = &Timed<&KernelTable::render_rows_mixed, Stage::rows>::call;
    timed.subtract_copies_mixed =
        &Timed<&KernelTable::subtract_copies_mixed, Stage::subtract>::call;
    timed.band = &band;
    timed.profile = &profile;
    return timed;
  }();
  return table;
}

}  // namespace jointlight
