// SPDX-License-Identifier: BSD-3-Clause
#include "backend/cpu/tile_painter.hpp"

namespace jointlight {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

// A multiple of the pieces of columns and of rows that any kernel takes together.
constexpr int piece = 16;

// Numbers in the lanes of a tile's drawn pixels.
std::size_t lanes_size(const TileView& view) {
  return view.renderer == Renderer::sky ? 0 : view.row_stride * at(view.drawn_rows());
}

bool is_single(const TileView& view, Precision precision) {
  return precision == Precision::mixed && view.in_one_box();
}

}  // namespace

std::size_t TilePainter::fields_size(const TileView& view, Precision precision) {
  if (is_single(view, precision)) {
    return lanes_size(view) / 2 + at(view.width) * at(view.height);  // of two floats each; doubles
  }
  return lanes_size(view) + view.core.fine.size() + view.core.coarse.size();
}

void TilePainter::place_fields(TileView& view, Precision precision, double* memory) {
  if (is_single(view, precision)) {
    view.fields = nullptr;
    view.single_fields = reinterpret_cast<float*>(memory);
    view.plane = memory + lanes_size(view) / 2;
    return;
  }
  view.fields = memory;
  view.core.fine.filtered = memory + lanes_size(view);
  view.core.coarse.filtered = view.core.fine.filtered + view.core.fine.size();
}

TilePainter::TilePainter(std::span<const TileView> views, const KernelTable& kernels, int n_threads)
    : kernels_(kernels), n_threads_(n_threads), scratch_(at(n_threads)) {
  std::size_t work = 0, phases = 0, spectra = 0, copies = 0, rest = 0, pixel = 0;
  for (const TileView& view : views) {
    if (view.renderer == Renderer::fourier) {
      work = std::max({work, kernels.fourier_scratch(view.transfer), kernels.copies_scratch(view),
                       kernels.value_scratch(view.transfer)});
      if (view.plane != nullptr) spectra = std::max(spectra, kernels.value_spectra(view));
      phases = std::max(phases, 2 * at(view.transfer.y_max - view.transfer.y_min));
      copies = std::max(copies, 2 * view.copies.size());
      rest = std::max({rest, view.core.fine.size(), view.core.coarse.size()});
    } else if (view.renderer == Renderer::pixel) {
      const auto size = kernels.profile(view.profile).pixel_scratch(view.width, view.height);
      pixel = std::max(pixel, (size + sizeof(double) - 1) / sizeof(double));
    }
  }
  for (Scratch& scratch : scratch_) {
    scratch.work.resize(work);
    scratch.phases.resize(phases);
    scratch.spectra.resize(spectra);
    scratch.copies.resize(copies);
    scratch.rest.resize(rest);
    scratch.pixel.resize(pixel);
  }
}

const double* TilePainter::Worker::phases(const TileView& view, const TileState& state) const {
  double* phases = painter_.scratch_[at(thread_)].phases.data();
  painter_.kernels_.fill_phases(view, state, phases);
  return phases;
}

const double* TilePainter::Worker::copies_polynomial(const TileView& view,
                                                     const TileState& state) const {
  double* coefficients = painter_.scratch_[at(thread_)].copies.data();
  painter_.kernels_.profile(view.profile)
      .copies_polynomial(view, state, coefficients, coefficients + view.copies.size());
  return coefficients;
}

void TilePainter::Worker::clear(const TileView& view) const {
  if (view.plane != nullptr) {
    std::fill_n(view.single_fields, lanes_size(view), 0.0F);
    std::fill_n(view.plane, at(view.width) * at(view.height), 0.0);
    return;
  }
  std::fill_n(view.fields, fields_size(view, Precision::float64), 0.0);
}

void TilePainter::Worker::pixel(const TileView& view, const TileState& state) const {
  painter_.kernels_.profile(view.profile)
      .render_pixel(view, state, painter_.scratch_[at(thread_)].pixel.data());
}

void TilePainter::Worker::columns(const TileView& view, const TileState& state) const {
  const KernelTable& kernels = painter_.kernels_;
  const double* own = phases(view, state);
  double* spectra = painter_.scratch_[at(thread_)].spectra.data();
  pieces(view.transfer.n_columns, piece, [&](int begin, int end, double* memory) {
    if (view.plane != nullptr) {
      kernels.render_columns_mixed(view, state, own, begin, end, spectra, memory);
    } else {
      kernels.render_columns(view, state, own, begin, end, memory);
    }
  });
}

void TilePainter::Worker::rows(const TileView& view) const {
  const KernelTable& kernels = painter_.kernels_;
  const double* spectra = painter_.scratch_[at(thread_)].spectra.data();
  pieces(view.drawn_rows(), piece, [&](int begin, int end, double* memory) {
    if (view.plane != nullptr) {
      kernels.render_rows_mixed(view, spectra, begin, end, memory);
    } else {
      kernels.render_rows(view, begin, end, memory);
    }
  });
}

void TilePainter::Worker::copies(const TileView& view, const TileState& state) const {
  const KernelTable& kernels = painter_.kernels_;
  const auto subtract =
      view.plane != nullptr ? kernels.subtract_copies_mixed : kernels.subtract_copies;
  const double* coefficients = copies_polynomial(view, state);
  pieces(view.height, piece, [&](int begin, int end, double* memory) {
    subtract(view, state, coefficients, begin, end, memory);
  });
}

void TilePainter::Worker::rest(const TileView& view, const TileState& state) const {
  const KernelTable& kernels = painter_.kernels_;
  double* values = painter_.scratch_[at(thread_)].rest.data();
  for (const RestGrid* grid : {&view.core.fine, &view.core.coarse}) {
    pieces(grid->ny, piece, [&](int begin, int end, double*) {
      kernels.profile(view.profile).rest_values(view, *grid, state, begin, end, values);
    });
    pieces(grid->ny, piece,
           [&](int begin, int end, double*) { kernels.filter_rest(*grid, begin, end, values); });
  }
}

void TilePainter::Worker::image(const TileView& view, const TileState& state, double* plane) const {
  const KernelTable& kernels = painter_.kernels_;
  const double* own = phases(view, state);
  AlignedBuffer<double>& buffer = painter_.scratch_[at(thread_)].spectra;
  if (buffer.size() < kernels.value_spectra(view)) buffer.resize(kernels.value_spectra(view));
  double* spectra = buffer.data();
  pieces(view.transfer.n_columns, piece, [&](int begin, int end, double* memory) {
    kernels.render_value_columns(view, state, own, begin, end, spectra, memory);
  });
  const int rows = 2 * kernels.vector_width;
  pieces((view.height + rows - 1) / rows, piece / rows, [&](int begin, int end, double* memory) {
    kernels.render_value_rows(view, spectra, begin, end, plane, memory);
  });
  if (view.copies.n == 0) return;
  const double* coefficients = copies_polynomial(view, state);
  pieces(view.height, piece, [&](int begin, int end, double* memory) {
    kernels.subtract_copies_value(view, state, coefficients, begin, end, plane, memory);
  });
}

}  // namespace jointlight
