// SPDX-License-Identifier: BSD-3-Clause
// render + convolve for elliptical profiles and point sources under a PSF: the component's
// continuous Fourier transform times the PSF's, transformed back once. With R^2 = d^T S^-1 d,
//   image^(k) = sqrt(det S) f(rho) P(k) exp(-i k.x0),   rho^2 = k^T S k,
// and every derivative is a product with the same transform. Frequencies beyond the box's Nyquist
// are folded back, which is what sampling at pixel centres does.
//
// Columns first (frequency j_x fixed: fill, transform along y, keep the window's rows), then rows
// two at a time as the real and imaginary part of one complex transform.
//
// In mixed precision the lanes are float32 and serve as derivatives alone; the image goes beside
// them in float64, the way of render_value.hpp.
#pragma once

#include <cmath>
#include <type_traits>

#include "base/fft.hpp"
#include "base/lanes.hpp"
#include "base/vmath.hpp"
#include "scene/tile.hpp"
#include "stages/render_value.hpp"

namespace jointlight {
JL_ISA_BEGIN

inline constexpr int spectrum_block = 64;

// Lane weights w of one frequency: unit field = w[0] z, centre derivatives -i w[1], -i w[2], ...
template <class Real>
struct SpectrumWeights {
  alignas(64) Real f0[n_lanes], f_kx[n_lanes], f_ky[n_lanes];    // times f
  alignas(64) Real r_xx[n_lanes], r_xy[n_lanes], r_yy[n_lanes];  // times (df/du) / rho^2
  alignas(64) Real s0[n_lanes], s1[n_lanes];                     // times df/dshape
  alignas(64) Real even[n_lanes], odd[n_lanes];                  // lane masks
};

template <class Real>
inline SpectrumWeights<Real> spectrum_weights(const TileState& tile) {
  SpectrumWeights<Real> w{};
  const double scale = spectrum_scale(tile);
  const Real root = static_cast<Real>(scale);
  w.f0[lane_unit] = root;
  w.f_kx[lane_x0] = root;
  w.f_ky[lane_y0] = root;
  if (tile.has_table) {
    const double det = tile.S[0] * tile.S[2] - tile.S[1] * tile.S[1];
    w.f0[lane_s11] = static_cast<Real>(0.5 * scale * tile.S[2] / det);
    w.f0[lane_s12] = static_cast<Real>(-scale * tile.S[1] / det);
    w.f0[lane_s22] = static_cast<Real>(0.5 * scale * tile.S[0] / det);
    w.r_xx[lane_s11] = root;
    w.r_xy[lane_s12] = 2 * root;
    w.r_yy[lane_s22] = root;
    w.s0[lane_shape0] = root;
    w.s1[lane_shape1] = root;
  }
  for (int i = 0; i < n_lanes; ++i) {
    const bool is_odd = i == lane_x0 || i == lane_y0;
    w.even[i] = is_odd ? 0 : 1;
    w.odd[i] = is_odd ? 1 : 0;
  }
  return w;
}

typedef double Quad __attribute__((vector_size(32)));

// The near part of a table (RadialTable), where it has one.
JL_INLINE void near_transform(const RadialTable& table, int n, const double* JL_RESTRICT rho2,
                              double* JL_RESTRICT out) {
  const double top = static_cast<double>(table.near_intervals) - 1e-9;
  for (int i = 0; i < n; ++i) {
    if (!(rho2[i] < table.near_end2)) continue;
    const double rho = std::sqrt(rho2[i]);
    double t = rho * table.near_inverse_step;
    t = t > top ? top : t;
    const int k = static_cast<int>(t);
    t -= k;
    const auto* c = reinterpret_cast<const Quad*>(
        table.near_coefficients + static_cast<std::size_t>(k) * 6 * RadialTable::columns);
    const Quad scale = {1.0, rho, 1.0, 1.0};  // df/du = rho (df/drho) / 2
    *reinterpret_cast<Quad*>(out + 4 * i) =
        scale * (c[0] + t * (c[1] + t * (c[2] + t * (c[3] + t * (c[4] + t * c[5])))));
  }
}

// Radial transform at `n` squared radii -> columns (f, df/du, df/dshape0, df/dshape1) [n][4].
JL_INLINE void radial_transform(const RadialTable& table, int n, const double* JL_RESTRICT rho2,
                                double* JL_RESTRICT out) {
  alignas(64) double position[spectrum_block];
  const double top = static_cast<double>(table.n_intervals) - 1e-9;
  for (int i = 0; i < n; ++i) {
    double t = (log_(rho2[i]) - table.u0) * table.inverse_step;
    t = t < 0.0 ? 0.0 : t;
    position[i] = t > top ? top : t;
  }
  for (int i = 0; i < n; ++i) {
    const int k = static_cast<int>(position[i]);
    const double t = position[i] - k;
    const auto* c = reinterpret_cast<const Quad*>(
        table.coefficients + static_cast<std::size_t>(k) * 6 * RadialTable::columns);
    *reinterpret_cast<Quad*>(out + 4 * i) =
        c[0] + t * (c[1] + t * (c[2] + t * (c[3] + t * (c[4] + t * c[5]))));
  }
  if (table.near_intervals > 0) near_transform(table, n, rho2, out);
}

// One box column: accumulate all runs into spectrum[lane vectors][box_y]. In mixed precision the
// image's own transform goes to `value`, one lane of a Complex<Vec>[box_y] that starts as zeros.
// `x0`: centre in the box, pixels.
template <class Real>
inline void fill_column(const TileState& tile, const TransferView& transfer,
                        const SpectrumWeights<Real>& w, double x0, int column,
                        const double* JL_RESTRICT phase_y,
                        Complex<typename Lanes<Real>::Vector>* JL_RESTRICT spectrum,
                        double* JL_RESTRICT value) {
  using V = typename Lanes<Real>::Vector;
  constexpr int count = Lanes<Real>::count;
  constexpr bool mixed = std::is_same_v<Real, float>;
  const int box_y = transfer.box_y;
  for (int i = 0; i < count * box_y; ++i) spectrum[i] = {V{}, V{}};
  const double step_x = 2.0 * M_PI / transfer.box_x, step_y = 2.0 * M_PI / box_y;
  const double scale = mixed ? spectrum_scale(tile) : 1.0;
  for (int r = transfer.column_start[column]; r < transfer.column_start[column + 1]; ++r) {
    const SpectrumRun& run = transfer.runs[r];
    const double kx = step_x * run.jx;
    const double cx = std::cos(kx * x0), sx = -std::sin(kx * x0);
    const Real k1 = static_cast<Real>(kx), k2 = static_cast<Real>(kx * kx);
    V f_const[count], f_lin[count], r_const[count], r_lin[count], r_quad[count], s0[count],
        s1[count], even[count], odd[count];
    for (int g = 0; g < count; ++g) {
      const int o = g * Lanes<Real>::width;
      f_const[g] = load(w.f0 + o) + k1 * load(w.f_kx + o);
      f_lin[g] = load(w.f_ky + o);
      r_const[g] = k2 * load(w.r_xx + o);
      r_lin[g] = k1 * load(w.r_xy + o);
      r_quad[g] = load(w.r_yy + o);
      s0[g] = load(w.s0 + o);
      s1[g] = load(w.s1 + o);
      even[g] = load(w.even + o);
      odd[g] = load(w.odd + o);
    }
    const double a = tile.S[0] * kx * kx, b = 2.0 * tile.S[1] * kx, c = tile.S[2];
    for (int y_block = run.y_begin; y_block < run.y_end; y_block += spectrum_block) {
      const int n = run.y_end - y_block < spectrum_block ? run.y_end - y_block : spectrum_block;
      alignas(64) double rho2[spectrum_block], radial[4 * spectrum_block];
      if (tile.has_table) {
        for (int i = 0; i < n; ++i) {
          const double ky = step_y * (y_block + i);
          rho2[i] = a + ky * (b + ky * c) + 1e-300;
        }
        radial_transform(tile.table, n, rho2, radial);
        if (run.jx == 0 && y_block <= 0 && y_block + n > 0) {
          for (int j = 0; j < 4; ++j) radial[4 * (-y_block) + j] = tile.table.at_zero[j];
          rho2[-y_block] = 1.0;
        }
      }
      int row = y_block % box_y;
      if (row < 0) row += box_y;
      const double* transfer_yx = run.transfer + 2 * (y_block - run.y_begin);
      const double* phase = phase_y + 2 * (y_block - transfer.y_min);
      for (int i = 0; i < n; ++i) {
        const Real ky = static_cast<Real>(step_y * (y_block + i));
        const double pr = cx * phase[2 * i] - sx * phase[2 * i + 1];
        const double pi = cx * phase[2 * i + 1] + sx * phase[2 * i];
        const double re = transfer_yx[2 * i] * pr - transfer_yx[2 * i + 1] * pi;
        const double im = transfer_yx[2 * i] * pi + transfer_yx[2 * i + 1] * pr;
        const Real zr = static_cast<Real>(re), zi = static_cast<Real>(im);
        Real f = 1, q = 0, d0 = 0, d1 = 0;
        if (tile.has_table) {
          f = static_cast<Real>(radial[4 * i]);
          q = static_cast<Real>(radial[4 * i + 1] / rho2[i]);
          d0 = static_cast<Real>(radial[4 * i + 2]);
          d1 = static_cast<Real>(radial[4 * i + 3]);
        }
        for (int g = 0; g < count; ++g) {
          const V weight = f * (f_const[g] + ky * f_lin[g]) +
                           q * (r_const[g] + ky * (r_lin[g] + ky * r_quad[g])) + d0 * s0[g] +
                           d1 * s1[g];
          Complex<V>& target = spectrum[g * box_y + row];
          target.re += weight * (zr * even[g] + zi * odd[g]);
          target.im += weight * (zi * even[g] - zr * odd[g]);
        }
        if constexpr (mixed) {
          const double whole = tile.has_table ? scale * radial[4 * i] : scale;
          value[row * 2 * vector_width] += whole * re;
          value[row * 2 * vector_width + vector_width] += whole * im;
        }
        if (++row == box_y) row = 0;
      }
    }
  }
}

// Doubles of scratch that one thread needs for either half of the transform.
inline std::size_t fourier_scratch(const TransferView& transfer) {
  const std::size_t longest =
      static_cast<std::size_t>(transfer.box_x > transfer.box_y ? transfer.box_x : transfer.box_y);
  return 2 * (n_lanes + 2 * vector_width) * longest;
}

// exp(-i k_y y0) over the extended range of j_y, (re, im) pairs.
inline void fill_phases(const TileView& view, const TileState& tile, double* phase_y) {
  const TransferView& transfer = view.transfer;
  const double y0 = tile.y0 - view.drawn.y0;
  const double step_y = 2.0 * M_PI / transfer.box_y;
  for (int j = transfer.y_min; j < transfer.y_max; ++j) {
    const double angle = step_y * j * y0;
    phase_y[2 * (j - transfer.y_min)] = std::cos(angle);
    phase_y[2 * (j - transfer.y_min) + 1] = -std::sin(angle);
  }
}

// One filled column back along y, its rows into the fields: per column, n_lanes real then n_lanes
// imaginary parts. `other` is as long as one lane vector of the spectrum.
template <class Real, class V>
inline void transform_column(const TileView& view, int column, Complex<V>* spectrum,
                             Complex<V>* other, Real* fields) {
  const int box_y = view.transfer.box_y;
  for (int g = 0; g < Lanes<Real>::count; ++g) {
    const Complex<V>* done =
        inverse_fft(view.fft_y, spectrum + static_cast<std::ptrdiff_t>(g) * box_y, other);
    done -= view.drawn.y0;
    Real* target = fields + static_cast<std::ptrdiff_t>(column) * 2 * n_lanes +
                   static_cast<std::ptrdiff_t>(g) * Lanes<Real>::width;
    for (int y = view.drawn.y_begin; y < view.drawn.y_end; ++y, target += view.row_stride) {
      store(target, done[y].re);
      store(target + n_lanes, done[y].im);
    }
  }
}

inline void render_columns(const TileView& view, const TileState& tile, const double* phase_y,
                           int begin, int end, double* scratch) {
  const auto weights = spectrum_weights<double>(tile);
  auto* spectrum = reinterpret_cast<Complex<Vec>*>(scratch);
  auto* other = spectrum + static_cast<std::ptrdiff_t>(n_vectors) * view.transfer.box_y;
  for (int column = begin; column < end; ++column) {
    fill_column<double>(tile, view.transfer, weights, tile.x0 - view.drawn.x0, column, phase_y,
                        spectrum, nullptr);
    transform_column(view, column, spectrum, other, view.fields);
  }
}

// begin a multiple of vector_width; `spectra` as value_spectra() says.
inline void render_columns_mixed(const TileView& view, const TileState& tile, const double* phase_y,
                                 int begin, int end, double* spectra, double* scratch) {
  const int box_y = view.transfer.box_y;
  const auto weights = spectrum_weights<float>(tile);
  auto* value = reinterpret_cast<Complex<Vec>*>(scratch);
  auto* value_other = value + box_y;
  auto* spectrum = reinterpret_cast<Complex<SingleVec>*>(value_other + box_y);
  auto* other = spectrum + static_cast<std::ptrdiff_t>(Lanes<float>::count) * box_y;
  for (int first = begin; first < end; first += vector_width) {
    const int n = end - first < vector_width ? end - first : vector_width;
    for (int i = 0; i < box_y; ++i) value[i] = {Vec{}, Vec{}};
    for (int c = 0; c < n; ++c) {
      fill_column<float>(tile, view.transfer, weights, tile.x0 - view.drawn.x0, first + c, phase_y,
                         spectrum, reinterpret_cast<double*>(value) + c);
      transform_column(view, first + c, spectrum, other, view.single_fields);
    }
    keep_value_columns(view, inverse_fft(view.fft_y, value, value_other), first, n, spectra);
  }
}

// Rows [begin, end) of those drawn, begin even: complex half spectra in, real lanes out, in place.
template <class Real>
inline void transform_rows(const TileView& view, Real* fields, int begin, int end,
                           double* scratch) {
  using V = typename Lanes<Real>::Vector;
  constexpr int width = Lanes<Real>::width, count = Lanes<Real>::count;
  const int box_x = view.transfer.box_x, n_columns = view.transfer.n_columns;
  const int n_x = view.drawn.x_end - view.drawn.x_begin;
  auto* work = reinterpret_cast<Complex<V>*>(scratch);
  auto* other = work + box_x;
  // Real rows overwrite the spectra they come from, so keep one group's output aside until all
  // groups of the row pair are read: with several groups the lanes interleave, hence the two loops.
  auto* kept = other + box_x;
  for (int y = begin; y < end; y += 2) {
    Real* row0 = fields + static_cast<std::size_t>(y) * view.row_stride;
    const bool pair = y + 1 < end;
    Real* row1 = pair ? row0 + view.row_stride : row0;
    for (int g = 0; g < count; ++g) {
      const int o = g * width;
      work[0] = {load(row0 + o), pair ? load(row1 + o) : V{}};
      for (int k = n_columns; k <= box_x - n_columns; ++k) work[k] = {V{}, V{}};
      for (int k = 1; k < n_columns; ++k) {
        const Real* p0 = row0 + static_cast<std::ptrdiff_t>(k) * 2 * n_lanes + o;
        const V a = load(p0), b = load(p0 + n_lanes);
        V c{}, d{};
        if (pair) {
          const Real* p1 = row1 + static_cast<std::ptrdiff_t>(k) * 2 * n_lanes + o;
          c = load(p1);
          d = load(p1 + n_lanes);
        }
        if (2 * k == box_x) {
          work[k] = {a, c};  // the transform at the Nyquist frequency is real
        } else {
          work[k] = {a - d, b + c};
          work[box_x - k] = {a + d, c - b};
        }
      }
      const Complex<V>* done = inverse_fft(view.fft_x, work, other);
      Complex<V>* keep = kept + static_cast<std::ptrdiff_t>(g) * n_x;
      done += view.drawn.x_begin - view.drawn.x0;
      for (int x = 0; x < n_x; ++x) keep[x] = done[x];
    }
    for (int g = 0; g < count; ++g) {
      const Complex<V>* keep = kept + static_cast<std::ptrdiff_t>(g) * n_x;
      for (int x = 0; x < n_x; ++x) {
        store(row0 + static_cast<std::ptrdiff_t>(x) * n_lanes + g * width, keep[x].re);
        if (pair) store(row1 + static_cast<std::ptrdiff_t>(x) * n_lanes + g * width, keep[x].im);
      }
    }
  }
}

inline void render_rows(const TileView& view, int begin, int end, double* scratch) {
  transform_rows(view, view.fields, begin, end, scratch);
}

// begin a multiple of value_rows.
inline void render_rows_mixed(const TileView& view, const double* spectra, int begin, int end,
                              double* scratch) {
  transform_rows(view, view.single_fields, begin, end, scratch);
  render_value_rows(view, spectra, begin / value_rows, (end + value_rows - 1) / value_rows,
                    view.plane, scratch);
}

JL_ISA_END
}  // namespace jointlight
