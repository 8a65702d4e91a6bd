// SPDX-License-Identifier: BSD-3-Clause
#include "scene/psf.hpp"

#include <algorithm>
#include <cmath>
#include <complex>
#include <functional>
#include <memory>

#include "base/fft.hpp"
#include "scene/transform_table.hpp"

namespace jointlight {
namespace {

using complex = std::complex<double>;

constexpr double negligible = 1e-10;  // of the zero-frequency power: 1e-10 of the peak pixel
constexpr int max_folds = 8;          // Nyquist zones on either side that an analytic PSF may use

std::size_t at(int i) { return static_cast<std::size_t>(i); }

double sinc(double x) { return std::abs(x) < 1e-8 ? 1.0 : std::sin(x) / x; }

// Discrete transform of the array wrapped into a box of oversampling x (box_x, box_y), for the
// indices 0..n-1 along each axis; normalised to 1 at zero frequency.
class ArrayTransform {
 public:
  ArrayTransform(const Psf& psf, int box_x, int box_y)
      : nx_(box_x * psf.oversampling), ny_(box_y * psf.oversampling) {
    const FftPlan plan_x(nx_), plan_y(ny_);
    values_.assign(static_cast<std::size_t>(nx_) * static_cast<std::size_t>(ny_), complex());
    double sum = 0.0;
    for (int j = 0; j < psf.ny; ++j) {
      for (int i = 0; i < psf.nx; ++i) {
        const double value =
            psf.data[static_cast<std::size_t>(j) * static_cast<std::size_t>(psf.nx) +
                     static_cast<std::size_t>(i)];
        at(i % nx_, j % ny_) += value;
        sum += value;
      }
    }
    for (complex& value : values_) value /= sum;
    std::vector<Complex<double>> a(static_cast<std::size_t>(std::max(nx_, ny_))), b(a.size());
    for (int j = 0; j < std::min(psf.ny, ny_); ++j) {  // the other rows are empty
      for (int i = 0; i < nx_; ++i) a[static_cast<std::size_t>(i)] = {at(i, j).real(), 0.0};
      const Complex<double>* done = inverse_fft<double>(plan_x.view(), a.data(), b.data());
      for (int i = 0; i < nx_; ++i) at(i, j) = {done[i].re, done[i].im};
    }
    for (int i = 0; i < nx_; ++i) {
      for (int j = 0; j < ny_; ++j) {
        a[static_cast<std::size_t>(j)] = {at(i, j).real(), at(i, j).imag()};
      }
      const Complex<double>* done = inverse_fft<double>(plan_y.view(), a.data(), b.data());
      // The array is real: its forward transform is the conjugate of its inverse one.
      for (int j = 0; j < ny_; ++j) at(i, j) = {done[j].re, -done[j].im};
    }
    phase_x_ = phases(psf.cx, nx_);
    phase_y_ = phases(psf.cy, ny_);
  }

  complex operator()(int jx, int jy) const {
    const int limit_x = nx_ / 2, limit_y = ny_ / 2;
    if (std::abs(jx) > limit_x || std::abs(jy) > limit_y) return 0.0;
    // A sample at exactly the sampling's Nyquist frequency belongs half to either sign.
    const double share =
        (std::abs(jx) == limit_x ? 0.5 : 1.0) * (std::abs(jy) == limit_y ? 0.5 : 1.0);
    const complex x = phase_x_[static_cast<std::size_t>(std::abs(jx))];
    const complex y = phase_y_[static_cast<std::size_t>(std::abs(jy))];
    return share * (jx < 0 ? std::conj(x) : x) * (jy < 0 ? std::conj(y) : y) *
           value((jx + nx_) % nx_, (jy + ny_) % ny_);
  }

 private:
  complex& at(int i, int j) {
    return values_[static_cast<std::size_t>(j) * static_cast<std::size_t>(nx_) +
                   static_cast<std::size_t>(i)];
  }
  const complex& value(int i, int j) const {
    return values_[static_cast<std::size_t>(j) * static_cast<std::size_t>(nx_) +
                   static_cast<std::size_t>(i)];
  }

  // exp(2 pi i j centre / n), j = 0 .. n / 2: puts the centre at the origin.
  static std::vector<complex> phases(double centre, int n) {
    std::vector<complex> out;
    for (int j = 0; j <= n / 2; ++j) out.push_back(std::polar(1.0, 2.0 * M_PI * j * centre / n));
    return out;
  }

  int nx_, ny_;
  std::vector<complex> values_, phase_x_, phase_y_;
};

}  // namespace

double Psf::reach(double faint) const {
  if (form == Form::gaussian) {
    const double s2 = params[0] * params[0];
    const double decades = std::log(std::max(1.0 / (faint * 2.0 * M_PI * s2), 2.0));
    return std::min(extent, std::sqrt(2.0 * decades * s2) + 1.0);
  }
  if (form == Form::moffat) {
    const double a = params[0], beta = params[1];
    const double drop = (beta - 1.0) / (M_PI * a * a * faint);
    return std::min(extent, a * std::sqrt(std::max(std::pow(drop, 1.0 / beta), 2.0) - 1.0) + 1.0);
  }
  double sum = 0.0, farthest = 0.0;  // farthest: squared
  for (double value : data) sum += value;
  const double limit = faint * sum / (oversampling * oversampling);
  for (int j = 0; j < ny; ++j) {
    for (int i = 0; i < nx; ++i) {
      const double value = data[static_cast<std::size_t>(j) * static_cast<std::size_t>(nx) +
                                static_cast<std::size_t>(i)];
      if (std::abs(value) <= limit) continue;
      farthest = std::max(farthest, (i - cx) * (i - cx) + (j - cy) * (j - cy));
    }
  }
  return std::sqrt(farthest) / oversampling + 1.0;
}

double Psf::core_width() const {
  if (form == Form::gaussian) return params[0];
  if (form == Form::moffat) {
    return params[0] * std::sqrt(std::exp2(1.0 / params[1]) - 1.0) / std::sqrt(2.0 * M_LN2);
  }
  double sum = 0.0, squares = 0.0;
  for (double value : data) {
    sum += value;
    squares += value * value;
  }
  return std::sqrt(sum * sum / (4.0 * M_PI * squares)) / oversampling;
}

Transfer::Transfer(const Psf& psf, int box_x, int box_y) {
  view_.box_x = box_x;
  view_.box_y = box_y;
  const double kx_step = 2.0 * M_PI / box_x, ky_step = 2.0 * M_PI / box_y;

  // Of the pixel along x and y, by |j|.
  const auto sincs = [&](double step, int n) {
    std::vector<double> values;
    for (int j = 0; j <= n && !psf.includes_pixel; ++j) values.push_back(sinc(0.5 * step * j));
    return values;
  };
  const std::vector<double> pixel_x = sincs(kx_step, max_folds * box_x),
                            pixel_y = sincs(ky_step, max_folds * box_y);
  const auto pixel = [&](int jx, int jy) {
    return psf.includes_pixel ? 1.0 : pixel_x[at(std::abs(jx))] * pixel_y[at(std::abs(jy))];
  };
  std::vector<double> table_memory;
  RadialTable table;
  std::function<complex(int, int)> transform;
  // Of an analytic PSF, which is round and whose transform falls with frequency.
  std::function<double(int, int)> radial;
  std::unique_ptr<ArrayTransform> array;
  int zones = max_folds;
  if (psf.form == Psf::Form::array) {
    array = std::make_unique<ArrayTransform>(psf, box_x, box_y);
    zones = (psf.oversampling + 1) / 2;
    transform = [&](int jx, int jy) { return pixel(jx, jy) * (*array)(jx, jy); };
  } else if (psf.form == Psf::Form::gaussian) {
    const double s2 = psf.params[0] * psf.params[0];
    radial = [&, s2](int jx, int jy) {
      const double kx = kx_step * jx, ky = ky_step * jy;
      return std::exp(-0.5 * s2 * (kx * kx + ky * ky));
    };
  } else {
    const TransformTable& moffat = transform_table(find_profile("moffat"));
    const double a2 = psf.params[0] * psf.params[0];
    const double step = std::min(kx_step, ky_step);
    table_memory.resize(TransformTable::capacity());
    moffat.fill(&psf.params[1], a2 * step * step, a2 * 1e4, table_memory.data(), table);
    radial = [&, a2](int jx, int jy) {
      const double kx = kx_step * jx, ky = ky_step * jy;
      return TransformTable::value(table, a2 * (kx * kx + ky * ky)) / table.at_zero[0];
    };
  }
  if (radial) transform = [&](int jx, int jy) -> complex { return radial(jx, jy) * pixel(jx, jy); };

  // ln P(k) ~ -i k.shift - k^T moments k / 2 at the lowest frequencies of the box
  const complex p10 = transform(1, 0), p01 = transform(0, 1), p11 = transform(1, 1);
  const auto fall = [](const complex& p) { return -2.0 * std::log(std::max(std::abs(p), 0.1)); };
  view_.shift[0] = -std::arg(p10) / kx_step;
  view_.shift[1] = -std::arg(p01) / ky_step;
  view_.moments[0] = fall(p10) / (kx_step * kx_step);
  view_.moments[2] = fall(p01) / (ky_step * ky_step);
  view_.moments[1] = 0.5 * (fall(p11) - fall(p10) - fall(p01)) / (kx_step * ky_step);

  const double scale = 1.0 / (static_cast<double>(box_x) * box_y);
  const int limit_x = box_x * zones, limit_y = box_y * zones;
  column_start_.push_back(0);
  view_.y_min = 0;
  view_.y_max = 1;
  std::vector<complex> line(static_cast<std::size_t>(2 * limit_y + 1));
  int last_used = 0;
  for (int column = 0; column <= box_x / 2; ++column) {
    for (int jx = column - (limit_x / box_x) * box_x; jx <= limit_x; jx += box_x) {
      if (jx < -limit_x || (radial && radial(jx, 0) <= negligible)) continue;
      int begin = limit_y + 1, end = -limit_y;
      // Along y, stop at the first long stretch without power: transforms of PSFs only fall.
      int known = 0;  // below this, values at jy are those at -jy
      const auto scan = [&](int direction) {
        for (int jy = direction > 0 ? 0 : -1, idle = 0; std::abs(jy) <= limit_y; jy += direction) {
          const complex value = -jy > 0 && -jy < known ? line[at(limit_y - jy)] : transform(jx, jy);
          if (direction > 0 && radial) known = jy + 1;
          line[at(jy + limit_y)] = value;
          if (std::norm(value) > negligible * negligible) {
            begin = std::min(begin, jy);
            end = std::max(end, jy + 1);
            idle = 0;
          } else if (++idle > box_y / 2 + 1) {
            break;
          }
        }
      };
      scan(+1);
      scan(-1);
      if (begin >= end) continue;
      std::vector<double> values;
      for (int jy = begin; jy < end; ++jy) {
        const complex value = scale * line[at(jy + limit_y)];
        values.push_back(value.real());
        values.push_back(value.imag());
      }
      values_.push_back(std::move(values));
      runs_.push_back({column, jx, begin, end, values_.back().data()});
      view_.y_min = std::min(view_.y_min, begin);
      view_.y_max = std::max(view_.y_max, end);
    }
    column_start_.push_back(static_cast<int>(runs_.size()));
    const int n_runs = column_start_.back() - column_start_[static_cast<std::size_t>(column)];
    folds_ = std::max(folds_, n_runs);
    if (n_runs > 0) last_used = column + 1;
  }
  view_.n_columns = std::max(last_used, 1);
  view_.runs = runs_.data();
  view_.column_start = column_start_.data();
  bytes_ = runs_.size() * sizeof(SpectrumRun) + column_start_.size() * sizeof(int);
  for (const auto& values : values_) bytes_ += values.size() * sizeof(double);
}

}  // namespace jointlight
