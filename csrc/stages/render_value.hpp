// SPDX-License-Identifier: BSD-3-Clause
// The image alone, without derivatives: the same transform as render_fourier.hpp, with the lanes
// of a vector on neighbouring columns, then on neighbouring pairs of rows.
#pragma once

#include <cmath>
#include <cstddef>

#include "base/fft.hpp"
#include "base/lanes.hpp"
#include "base/vmath.hpp"
#include "scene/tile.hpp"

namespace jointlight {
JL_ISA_BEGIN

inline constexpr int value_block = 64;

// sqrt(det S), what a unit amplitude's transform is scaled by.
inline double spectrum_scale(const TileState& tile) {
  return tile.has_table ? std::sqrt(tile.S[0] * tile.S[2] - tile.S[1] * tile.S[1]) : 1.0;
}

// Rows that one transform along x takes: their pairs are the lanes of its vectors.
inline constexpr int value_rows = 2 * vector_width;

// Doubles between the two passes: [row groups][columns][re, im of even rows, re, im of odd rows]
// [vector_width].
inline std::size_t value_spectra(const TileView& view) {
  const int groups = (view.height + value_rows - 1) / value_rows;
  return static_cast<std::size_t>(groups) * static_cast<std::size_t>(view.transfer.n_columns) * 4 *
         vector_width;
}

// Doubles of scratch that one thread needs for either pass.
inline std::size_t value_scratch(const TransferView& transfer) {
  const int longest = transfer.box_x > transfer.box_y ? transfer.box_x : transfer.box_y;
  return static_cast<std::size_t>(4 * vector_width) * static_cast<std::size_t>(longest);
}

// f at `n` squared radii.
JL_INLINE void radial_value(const RadialTable& table, int n, const double* JL_RESTRICT rho2,
                            double* JL_RESTRICT f) {
  constexpr int columns = RadialTable::columns, row = 6 * columns;
  const double top = static_cast<double>(table.n_intervals) - 1e-9;
  alignas(64) double position[value_block];
  for (int i = 0; i < n; ++i) {
    double t = (log_(rho2[i]) - table.u0) * table.inverse_step;
    t = t < 0.0 ? 0.0 : t;
    position[i] = t > top ? top : t;
  }
  for (int i = 0; i < n; ++i) {
    const int k = static_cast<int>(position[i]);
    const double t = position[i] - k;
    const double* c = table.coefficients + static_cast<std::ptrdiff_t>(k) * row;
    f[i] = c[0] + t * (c[columns] +
                       t * (c[2 * columns] +
                            t * (c[3 * columns] + t * (c[4 * columns] + t * c[5 * columns]))));
  }
}

// One box column into lane `lane` of spectrum[box_y], which starts as zeros.
inline void fill_value_column(const TileState& tile, const TransferView& transfer, double root,
                              int column, const double* JL_RESTRICT phase_y, int lane,
                              Complex<Vec>* spectrum) {
  const int box_y = transfer.box_y;
  const double step_x = 2.0 * M_PI / transfer.box_x, step_y = 2.0 * M_PI / box_y;
  auto* target = reinterpret_cast<double*>(spectrum) + lane;
  constexpr int im = vector_width, next = 2 * vector_width;
  for (int r = transfer.column_start[column]; r < transfer.column_start[column + 1]; ++r) {
    const SpectrumRun& run = transfer.runs[r];
    const double kx = step_x * run.jx;
    const double cx = root * std::cos(kx * tile.x0), sx = -root * std::sin(kx * tile.x0);
    const double a = tile.S[0] * kx * kx, b = 2.0 * tile.S[1] * kx, c = tile.S[2];
    for (int y_block = run.y_begin; y_block < run.y_end; y_block += value_block) {
      const int n = run.y_end - y_block < value_block ? run.y_end - y_block : value_block;
      alignas(64) double f[value_block], re[value_block], im_part[value_block];
      if (tile.has_table) {
        alignas(64) double rho2[value_block];
        for (int i = 0; i < n; ++i) {
          const double ky = step_y * (y_block + i);
          rho2[i] = a + ky * (b + ky * c) + 1e-300;
        }
        radial_value(tile.table, n, rho2, f);
        if (run.jx == 0 && y_block <= 0 && y_block + n > 0) f[-y_block] = tile.table.at_zero[0];
      } else {
        for (int i = 0; i < n; ++i) f[i] = 1.0;
      }
      const double* transfer_yx = run.transfer + 2 * (y_block - run.y_begin);
      const double* phase = phase_y + 2 * (y_block - transfer.y_min);
      for (int i = 0; i < n; ++i) {
        const double pr = f[i] * (cx * phase[2 * i] - sx * phase[2 * i + 1]);
        const double pi = f[i] * (cx * phase[2 * i + 1] + sx * phase[2 * i]);
        re[i] = transfer_yx[2 * i] * pr - transfer_yx[2 * i + 1] * pi;
        im_part[i] = transfer_yx[2 * i] * pi + transfer_yx[2 * i + 1] * pr;
      }
      int row = y_block % box_y;
      if (row < 0) row += box_y;
      for (int i = 0; i < n; ++i) {
        target[row * next] += re[i];
        target[row * next + im] += im_part[i];
        if (++row == box_y) row = 0;
      }
    }
  }
}

// Transformed columns [first, first + n), one in each lane -> spectra, see value_spectra.
inline void keep_value_columns(const TileView& view, const Complex<Vec>* done, int first, int n,
                               double* spectra) {
  const int n_columns = view.transfer.n_columns;
  const auto row_lanes = [&](int y) {
    return spectra +
           ((static_cast<std::ptrdiff_t>(y / value_rows) * n_columns + first) * 4 + 2 * (y % 2)) *
               vector_width +
           (y % value_rows) / 2;
  };
  constexpr std::ptrdiff_t next = 4 * vector_width;  // column
  for (int y = 0; y < view.height; ++y) {
    const auto* from = reinterpret_cast<const double*>(done + y);
    double* to = row_lanes(y);
    for (int c = 0; c < n; ++c) {
      to[c * next] = from[c];
      to[c * next + vector_width] = from[vector_width + c];
    }
  }
  if (view.height % 2 == 1) {  // the last row has no partner
    double* to = row_lanes(view.height);
    for (int c = 0; c < n; ++c) to[c * next] = to[c * next + vector_width] = 0.0;
  }
}

// Columns [begin, end), begin a multiple of vector_width -> spectra, see value_spectra.
inline void render_value_columns(const TileView& view, const TileState& tile, const double* phase_y,
                                 int begin, int end, double* spectra, double* scratch) {
  const int box_y = view.transfer.box_y;
  const double root = spectrum_scale(tile);
  auto* work = reinterpret_cast<Complex<Vec>*>(scratch);
  auto* other = work + box_y;
  for (int first = begin; first < end; first += vector_width) {
    const int n = end - first < vector_width ? end - first : vector_width;
    for (int i = 0; i < box_y; ++i) work[i] = {Vec{}, Vec{}};
    for (int c = 0; c < n; ++c) {
      fill_value_column(tile, view.transfer, root, first + c, phase_y, c, work);
    }
    keep_value_columns(view, inverse_fft(view.fft_y, work, other), first, n, spectra);
  }
}

// Groups of value_rows rows [begin, end) of spectra -> plane [height][width].
inline void render_value_rows(const TileView& view, const double* spectra, int begin, int end,
                              double* plane, double* scratch) {
  const int box_x = view.transfer.box_x, n_columns = view.transfer.n_columns;
  auto* work = reinterpret_cast<Complex<Vec>*>(scratch);
  auto* other = work + box_x;
  for (int group = begin; group < end; ++group) {
    const double* from =
        spectra + static_cast<std::ptrdiff_t>(group) * n_columns * 4 * vector_width;
    work[0] = {load(from), load(from + 2 * vector_width)};
    for (int k = n_columns; k <= box_x - n_columns; ++k) work[k] = {Vec{}, Vec{}};
    for (int k = 1; k < n_columns; ++k) {
      const double* p = from + static_cast<std::ptrdiff_t>(k) * 4 * vector_width;
      const Vec a = load(p), b = load(p + vector_width), c = load(p + 2 * vector_width),
                d = load(p + 3 * vector_width);
      if (2 * k == box_x) {
        work[k] = {a, c};  // the transform at the Nyquist frequency is real
      } else {
        work[k] = {a - d, b + c};
        work[box_x - k] = {a + d, c - b};
      }
    }
    const auto* done = reinterpret_cast<const double*>(inverse_fft(view.fft_x, work, other));
    for (int r = 0; r < value_rows; ++r) {
      const int y = group * value_rows + r;
      if (y >= view.height) break;
      double* to = plane + static_cast<std::ptrdiff_t>(y) * view.width;
      const double* lane = done + r % 2 * vector_width + r / 2;
      for (int x = 0; x < view.width; ++x)
        to[x] = lane[static_cast<std::ptrdiff_t>(x) * 2 * vector_width];
    }
  }
}

JL_ISA_END
}  // namespace jointlight
