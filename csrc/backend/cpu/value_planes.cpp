// SPDX-License-Identifier: BSD-3-Clause
#include "backend/cpu/value_planes.hpp"

#include <algorithm>

#include "backend/cpu/thread_pool.hpp"

namespace jointlight {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

void grow(AlignedBuffer<double>& buffer, std::size_t size) {
  if (buffer.size() < size) buffer.resize(size);
}

std::size_t polynomial_size(const TileView& view) {
  return at(view.copies.n) * at(view.copies.n) * n_lanes;
}

}  // namespace

void ValuePlanes::prepare(Scratch& scratch, const TileView& view) const {
  grow(scratch.spectra, kernels_.value_spectra(view));
  grow(scratch.copies, 2 * polynomial_size(view));
  grow(scratch.phases, 2 * at(view.transfer.y_max - view.transfer.y_min));
  grow(scratch.work,
       std::max(kernels_.value_scratch(view.transfer), kernels_.copies_scratch(view)));
}

void ValuePlanes::draw_tile(const TileView& view, const TileState& state, Scratch& scratch,
                            double* plane, bool wide) {
  // Pieces are fixed, so that results do not depend on the number of threads.
  const auto pieces = [&](int n, int size, const auto& body) {
    const auto piece = [&](int i, Scratch& own) {
      body(i * size, std::min(n, (i + 1) * size), own.work.data());
    };
    const int count = (n + size - 1) / size;
    if (wide) {
      parallel_for(count, n_threads_, [&](int i, int thread) { piece(i, scratch_[at(thread)]); });
    } else {
      for (int i = 0; i < count; ++i) piece(i, scratch);
    }
  };
  double* phases = scratch.phases.data();
  double* spectra = scratch.spectra.data();
  kernels_.fill_phases(view, state, phases);
  pieces(view.transfer.n_columns, kernels_.vector_width, [&](int begin, int end, double* work) {
    kernels_.render_value_columns(view, state, phases, begin, end, spectra, work);
  });
  const int rows = 2 * kernels_.vector_width;
  pieces((view.height + rows - 1) / rows, 1, [&](int begin, int end, double* work) {
    kernels_.render_value_rows(view, spectra, begin, end, plane, work);
  });
  if (view.copies.n == 0) return;
  double* coefficients = scratch.copies.data();
  kernels_.profile(view.profile)
      .copies_polynomial(view, state, coefficients, coefficients + polynomial_size(view));
  pieces(view.height, 16, [&](int begin, int end, double* work) {
    kernels_.subtract_copies_value(view, state, coefficients, begin, end, plane, work);
  });
}

void ValuePlanes::draw(std::span<const TileState> states, std::span<const int> tiles) {
  std::size_t size = 0, total = 0;
  for (const int t : tiles) {
    const TileView& view = views_[at(t)];
    offset_[at(t)] = size;
    size += (at(view.width) * at(view.height) + 7) / 8 * 8;
    total += at(view.transfer.box_x) * at(view.transfer.box_y);
  }
  grow(planes_, size);
  scratch_.resize(at(n_threads_));
  std::vector<int> small;
  for (const int t : tiles) {
    const TileView& view = views_[at(t)];
    const std::size_t own = at(view.transfer.box_x) * at(view.transfer.box_y);
    const bool large = n_threads_ > 1 && own * at(n_threads_) * 2 > total && own > 65536;
    if (!large) {
      small.push_back(t);
      continue;
    }
    for (Scratch& scratch : scratch_) prepare(scratch, view);
    draw_tile(view, states[at(t)], scratch_[0], planes_.data() + offset_[at(t)], true);
  }
  parallel_for(static_cast<int>(small.size()), n_threads_, [&](int i, int thread) {
    const TileView& view = views_[at(small[at(i)])];
    Scratch& scratch = scratch_[at(thread)];
    prepare(scratch, view);
    draw_tile(view, states[at(small[at(i)])], scratch, planes_.data() + offset_[at(small[at(i)])],
              false);
  });
}

}  // namespace jointlight
