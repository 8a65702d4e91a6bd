// SPDX-License-Identifier: BSD-3-Clause
// render + convolve, a thread a frequency, or a number and lane: see stages/render_fourier.hpp for
// the maths.
// Spectra are [box row][column][lane], then, along x, [box column][row pair][lane]: neighbouring
// threads read and write neighbouring numbers.
#pragma once

#include "stages/copy_light.hpp"
#include "stages/device/tile.hpp"

namespace jointlight {
JL_ISA_BEGIN

// (f, df/du, df/dshape) of a radial table at one squared radius: out[4].
JL_HD JL_INLINE void radial_at(const RadialTable& table, double rho2, double* out) {
  constexpr int columns = RadialTable::columns;
  const bool near = table.near_intervals > 0 && rho2 < table.near_end2;
  const double rho = near ? std::sqrt(rho2) : 0.0;
  const double top = static_cast<double>(near ? table.near_intervals : table.n_intervals) - 1e-9;
  double t = near ? rho * table.near_inverse_step : (log_(rho2) - table.u0) * table.inverse_step;
  t = t < 0.0 ? 0.0 : t > top ? top : t;
  const int k = static_cast<int>(t);
  t -= k;
  const double* c = (near ? table.near_coefficients : table.coefficients) +
                    static_cast<std::ptrdiff_t>(k) * 6 * columns;
  for (int j = 0; j < columns; ++j) {
    double s = c[5 * columns + j];
    for (int d = 4; d >= 0; --d) s = s * t + c[d * columns + j];
    out[j] = s;
  }
  if (near) out[1] *= rho;  // df/du = rho (df/drho) / 2
}

// Phases of the centre: item = run, then extended j_y.
struct PhaseBody : PlacedGroup {
  int most_runs;

  JL_HD void operator()(int which, int item) const {
    const DeviceTile& tile = tile_of(which);
    const TileState& state = state_of(which);
    const TransferView& transfer = tile.view.transfer;
    if (item < most_runs) {
      if (item >= transfer.column_start[transfer.n_columns]) return;
      const double step = 2.0 * M_PI / transfer.box_x;
      const double angle = step * transfer.runs[item].jx * (state.x0 - tile.view.drawn.x0);
      tile.phase_x[2 * item] = std::cos(angle);
      tile.phase_x[2 * item + 1] = -std::sin(angle);
      return;
    }
    const int j = item - most_runs;
    if (j >= transfer.y_max - transfer.y_min) return;
    const double step = 2.0 * M_PI / transfer.box_y;
    const double angle = step * (transfer.y_min + j) * (state.y0 - tile.view.drawn.y0);
    tile.phase_y[2 * j] = std::cos(angle);
    tile.phase_y[2 * j + 1] = -std::sin(angle);
  }
};

// Weights of the first `lanes` lanes at one frequency, up to the factor i of the centre's two.
template <int lanes>
JL_HD JL_INLINE void lane_weights(const TileState& tile, double kx, double ky, double rho2,
                                  const double* radial, double* weights) {
  const double root = std::sqrt(tile.S[0] * tile.S[2] - tile.S[1] * tile.S[1]);
  const double f = radial[0];
  weights[lane_unit] = root * f;
  if constexpr (lanes > 1) {
    const double q = root * (radial[1] / rho2), half = 0.5 / root * f;
    weights[lane_x0] = weights[lane_unit] * kx;
    weights[lane_y0] = weights[lane_unit] * ky;
    weights[lane_s11] = half * tile.S[2] + q * kx * kx;
    weights[lane_s12] = 2.0 * (q * kx * ky - half * tile.S[1]);
    weights[lane_s22] = half * tile.S[0] + q * ky * ky;
    weights[lane_shape0] = root * radial[2];
    weights[lane_shape1] = root * radial[3];
  }
}

// item = (box row, column): all lanes of the spectrum there.
template <class Real, int lanes>
struct SpectrumBody : PlacedGroup {
  Complex<Real>* spectrum;  // [tiles][box_y][n_columns][lanes]
  std::size_t per_tile;

  JL_HD void operator()(int which, int item) const {
    const DeviceTile& tile = tile_of(which);
    const TileState& state = state_of(which);
    const TransferView& transfer = tile.view.transfer;
    const int column = item % group.n_columns, row = item / group.n_columns;
    double re[lanes] = {}, im[lanes] = {};
    if (state.visible && column < transfer.n_columns) {
      const double step_x = 2.0 * M_PI / transfer.box_x, step_y = 2.0 * M_PI / transfer.box_y;
      for (int r = transfer.column_start[column]; r < transfer.column_start[column + 1]; ++r) {
        const SpectrumRun& run = transfer.runs[r];
        const double kx = step_x * run.jx;
        const double cx = tile.phase_x[2 * r], sx = tile.phase_x[2 * r + 1];
        // the first extended index of the run that folds into this row
        int fold = (run.y_begin - row) % transfer.box_y;
        if (fold < 0) fold += transfer.box_y;
        for (int j = run.y_begin + (fold == 0 ? 0 : transfer.box_y - fold); j < run.y_end;
             j += transfer.box_y) {
          const double ky = step_y * j;
          const double* p = run.transfer + 2 * (j - run.y_begin);
          const double* phase = tile.phase_y + 2 * (j - transfer.y_min);
          const double pr = cx * phase[0] - sx * phase[1], pi = cx * phase[1] + sx * phase[0];
          const double zr = p[0] * pr - p[1] * pi, zi = p[0] * pi + p[1] * pr;
          double weights[lanes] = {};
          at_frequency(state, run.jx, j, kx, ky, weights);
          for (int lane = 0; lane < lanes; ++lane) {
            const bool odd = lane == lane_x0 || lane == lane_y0;
            re[lane] += weights[lane] * (odd ? zi : zr);
            im[lane] += weights[lane] * (odd ? -zr : zi);
          }
        }
      }
    }
    Complex<Real>* out = spectrum + static_cast<std::size_t>(which) * per_tile +
                         static_cast<std::size_t>(item) * lanes;
    for (int lane = 0; lane < lanes; ++lane) {
      out[lane] = {static_cast<Real>(re[lane]), static_cast<Real>(im[lane])};
    }
  }

  JL_HD static void at_frequency(const TileState& state, int jx, int jy, double kx, double ky,
                                 double* weights) {
    if (!state.has_table) {  // a point source: f = 1
      weights[lane_unit] = 1.0;
      if constexpr (lanes > 1) {
        weights[lane_x0] = kx;
        weights[lane_y0] = ky;
      }
      return;
    }
    double radial[RadialTable::columns];
    double rho2 = state.S[0] * kx * kx + ky * (2.0 * state.S[1] * kx + ky * state.S[2]) + 1e-300;
    if (jx == 0 && jy == 0) {
      for (int k = 0; k < RadialTable::columns; ++k) radial[k] = state.table.at_zero[k];
      rho2 = 1.0;
    } else {
      radial_at(state.table, rho2, radial);
    }
    lane_weights<lanes>(state, kx, ky, rho2, radial, weights);
  }
};

// One pass of many transforms of one size side by side (base/fft.hpp): item = (butterfly,
// sequence).
template <class Real, int radix>
struct FftPassBody {
  const Complex<Real>* from;
  Complex<Real>* to;
  std::size_t per_tile;
  int m, stride, n_sequences;
  const double* twiddles;

  JL_HD void operator()(int which, int item) const {
    const int sequence = item % n_sequences, q = item / n_sequences % stride;
    const int p = item / n_sequences / stride;
    const Complex<Real>* x = from + static_cast<std::size_t>(which) * per_tile + sequence;
    Complex<Real>* y = to + static_cast<std::size_t>(which) * per_tile + sequence;
    const auto at = [this](int i) { return static_cast<std::ptrdiff_t>(i) * n_sequences; };
    Complex<Real> a[radix];
    for (int j = 0; j < radix; ++j) a[j] = x[at(q + stride * (p + m * j))];
    butterfly<radix>(a);
    y[at(q + stride * radix * p)] = a[0];
    const double* w = twiddles + 2 * (radix - 1) * p;
    for (int j = 1; j < radix; ++j) {
      y[at(q + stride * (radix * p + j))] =
          rotate(a[j], static_cast<Real>(w[2 * j - 2]), static_cast<Real>(w[2 * j - 1]));
    }
  }
};

// Two real rows as one complex one: item = (box column, row pair, lane).
template <class Real, int lanes>
struct PackRowsBody {
  const DeviceTile* tiles;
  DeviceGroup group;
  const Complex<Real>* columns;  // [tiles][box_y][n_columns][lanes]
  Complex<Real>* rows;           // [tiles][box_x][n_pairs][lanes]
  std::size_t per_tile;

  JL_HD void operator()(int which, int item) const {
    const TileView& view = tiles[group.tiles[which]].view;
    const int lane = item % lanes, pair = item / lanes % group.n_pairs();
    const int kx = item / lanes / group.n_pairs();
    const int n_columns = view.transfer.n_columns, box_x = view.transfer.box_x;
    const int y = view.drawn.y_begin - view.drawn.y0 + 2 * pair;  // of the box
    const int y_end = view.drawn.y_end - view.drawn.y0;
    const bool mirrored = 2 * kx > box_x;
    const int k = mirrored ? box_x - kx : kx;
    Complex<Real> out{0, 0};
    if (k < n_columns && y < y_end) {
      const Complex<Real>* from = columns + static_cast<std::size_t>(which) * per_tile;
      const auto at = [&](int row) {
        return from[(static_cast<std::ptrdiff_t>(row) * group.n_columns + k) * lanes + lane];
      };
      const Complex<Real> zero{0, 0}, a = at(y), b = y + 1 < y_end ? at(y + 1) : zero;
      if (k == 0 || 2 * k == box_x) {
        out = {a.re, b.re};  // real there
      } else if (mirrored) {
        out = {a.re + b.im, b.re - a.im};
      } else {
        out = {a.re - b.im, a.im + b.re};
      }
    }
    rows[static_cast<std::size_t>(which) * per_tile + static_cast<std::size_t>(item)] = out;
  }
};

// Lanes of the drawn pixels, at their place in the window, less the copies' light: item = (row,
// column, lane).
template <class Real, int lanes>
struct PixelsBody : PlacedGroup {
  const Complex<Real>* rows;  // [tiles][box_x][n_pairs][lanes]
  std::size_t per_tile;

  JL_HD void operator()(int which, int item) const {
    const DeviceTile& tile = tile_of(which);
    const TileView& view = tile.view;
    const int lane = item % lanes, x = item / lanes % group.n_width;
    const int y = item / lanes / group.n_width;
    const int width = view.drawn.x_end - view.drawn.x_begin;
    if (x >= width || y >= view.drawn.y_end - view.drawn.y_begin) return;
    const Complex<Real>* from = rows + static_cast<std::size_t>(which) * per_tile;
    const int column = x + view.drawn.x_begin - view.drawn.x0;
    const Complex<Real> both =
        from[(static_cast<std::ptrdiff_t>(column) * group.n_pairs() + y / 2) * lanes + lane];
    double value = static_cast<double>(y % 2 == 0 ? both.re : both.im);
    const int n = view.copies.n;
    if (n > 0 && state_of(which).visible) {
      const double centre = state_of(which).x0 + view.transfer.shift[0];
      const double u = within_square((x - centre) / view.copies.half_x);
      const double* line = tile.line + (static_cast<std::ptrdiff_t>(y) * n) * n_lanes + lane;
      double before = 1.0, now = u, light = line[0] + u * line[n_lanes];
      for (int k = 2; k < n; ++k) {
        const double next = 2.0 * u * now - before;
        before = now;
        now = next;
        light += now * line[k * n_lanes];
      }
      value -= light;
    }
    const std::ptrdiff_t pixel =
        static_cast<std::ptrdiff_t>(y + view.drawn.y_begin) * view.width + x + view.drawn.x_begin;
    if constexpr (lanes == 1) {
      view.plane[pixel] = value;
    } else if constexpr (sizeof(Real) == sizeof(float)) {
      view.single_fields[pixel * n_lanes + lane] = static_cast<float>(value);
    } else {
      view.fields[pixel * n_lanes + lane] = value;
    }
  }
};

JL_ISA_END
}  // namespace jointlight
