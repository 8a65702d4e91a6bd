// SPDX-License-Identifier: BSD-3-Clause
// Sersic (1968): I(R) = exp(-b_n (R^(1/n) - 1)), R in units of the half-light radius.
#pragma once

#include <cmath>
#include <complex>
#include <limits>

#include "base/macros.hpp"
#include "base/special.hpp"
#include "base/vmath.hpp"

namespace jointlight {
JL_ISA_BEGIN

struct Sersic {
  static constexpr const char* name = "sersic";
  static constexpr int n_shape = 1;
  static constexpr const char* shape_names[] = {"n"};
  static constexpr double shape_min[] = {0.3}, shape_max[] = {10.0};
  static constexpr const char* scale_name = "Re";
  static constexpr const char* amplitude_name = "Ie";

  struct Constants {
    double n, b, b_n;   // b_n = db/dn
    double half_inv_n;  // 1 / (2n)
  };

  JL_HD static Constants prepare(const double* shape) { return prepare_index(shape[0]); }

  JL_HD static Constants prepare_index(double n) {
    const SersicB b = sersic_b(n);
    return {n, b.b, b.d_n, 0.5 / n};
  }

  // I at R2 = R^2, dI/dR2, dI/dn. R2 is kept off 0 and infinity, where dI/dR2 has no finite value.
  template <class T>
  JL_HD JL_INLINE static void brightness(const Constants& c, T R2, T& value, T& d_r2, T* d_shape) {
    T by_n;
    brightness_index(c, R2, value, d_r2, by_n);
    d_shape[0] = by_n;
  }

  template <class T>
  JL_HD JL_INLINE static void brightness_index(const Constants& c, T R2, T& value, T& d_r2,
                                               T& d_n) {
    constexpr T tiny = sizeof(T) == 8 ? T(1e-120) : T(1e-30);
    constexpr T huge = sizeof(T) == 8 ? T(1e120) : T(1e30);
    const T r2 = R2 > tiny ? (R2 < huge ? R2 : huge) : tiny;
    const T b = static_cast<T>(c.b), half = static_cast<T>(c.half_inv_n);
    const T ln_r2 = log_(r2);
    const T power = exp_(half * ln_r2);  // R^(1/n)
    value = exp_(b - b * power);
    const T slope = value * (b * power * half);
    d_r2 = -slope / r2;
    d_n = value * (static_cast<T>(c.b_n) * (T(1) - power)) +
          slope * ln_r2 * (T(2) * half);  // d(R^(1/n))/dn = -R^(1/n) ln R / n^2
  }

  // integral_0^inf r^(s-1) I dr = e^b n b^(-ns) Gamma(ns)
  static std::complex<double> log_mellin(const double* shape, std::complex<double> s) {
    return log_mellin_index(shape[0], s);
  }
  static std::complex<double> log_mellin_index(double n, std::complex<double> s) {
    const double b = sersic_b(n).b;
    return b + std::log(n) - n * s * std::log(b) + log_gamma(n * s);
  }
  // The integral converges for 0 < Re s < strip.
  static constexpr double mellin_strip(const double* /*shape*/) {
    return std::numeric_limits<double>::infinity();
  }

  // integral_0^R r I dr = n e^b b^(-2n) gamma(2n, b R^(1/n)), and its derivative by n.
  JL_HD static void enclosed(const Constants& c, double R2, double& value, double* d_shape) {
    const double r2 = R2 > 1e-120 ? (R2 < 1e120 ? R2 : 1e120) : 1e-120;
    const double a = 2.0 * c.n, ln_r2 = std::log(r2);
    const double t = c.b * std::exp(c.half_inv_n * ln_r2);
    const GammaP g = gamma_p(a, t);
    const double ln_b = std::log(c.b);
    const double total = c.n * std::exp(c.b - a * ln_b + log_gamma(a));
    value = total * g.p;
    const double ln_total_n = 1.0 / c.n + c.b_n * (1.0 - a / c.b) - 2.0 * ln_b + 2.0 * digamma(a);
    const double t_n = t * (c.b_n / c.b - ln_r2 * c.half_inv_n / c.n);
    d_shape[0] = total * (g.p * ln_total_n + 2.0 * g.d_a + g.d_x * t_n);
  }

  // The mean 2 integral_0^R r I dr / R^2, per node of an edge integral: needed often, hence from a
  // table. With a = 2n, t = b R^(1/n), h(t) = integral_0^1 u^(a-1) e^(-tu) du and h_a = dh/da,
  //   mean = 2 n e^b h(t),
  // where h and h_a are entire functions of t: Taylor pieces at t = i step.
  struct MeanTable {
    static constexpr int degree = 10;
    static constexpr double step = 0.5;
    static constexpr int max_nodes = 192;
    int n_nodes;
    double t_end;                                   // beyond it all light is within
    double r2_end;                                  // R^2 there
    double r2_min;                                  // below it the mean is that at r2_min
    double front;                                   // 2 e^b
    double coefficients[max_nodes][degree + 1][2];  // of h and h_a
  };

  // I is analytic and bounded for complex R of |arg R| below this.
  JL_HD static double sector(const Constants& c) {
    return c.n < 1.0 ? c.n * 1.5707963267948966 : 1.5707963267948966;
  }

  JL_HD static void prepare_mean(const Constants& c, MeanTable& table) {
    prepare_mean_front(c, table);
    for (int i = 0; i < table.n_nodes; ++i) prepare_mean_node(c, i, table);
  }

  // The same in steps that threads may share: all but the coefficients, then those of one node.
  JL_HD static void prepare_mean_front(const Constants& c, MeanTable& table) {
    const double a = 2.0 * c.n;
    // 1 - P(a, t_end) < 1e-17
    double t_end = a + 40.0;
    if (a > 1.0) t_end = 40.0 + a + (a - 1.0) * std::log1p(40.0 / a);
    table.t_end = t_end;
    table.r2_end = std::exp(std::log(t_end / c.b) * a);
    table.r2_min = 1e-120;
    table.front = 2.0 * std::exp(c.b);
    int n_nodes = static_cast<int>(t_end / MeanTable::step) + 2;
    if (n_nodes > MeanTable::max_nodes) n_nodes = MeanTable::max_nodes;
    table.n_nodes = n_nodes;
  }

  JL_HD static void prepare_mean_node(const Constants& c, int node, MeanTable& table) {
    constexpr int degree = MeanTable::degree;
    const double a = 2.0 * c.n, t = node * MeanTable::step;
    // h at the highest order by its series, then downward: a h_a = e^-t + t h_(a+1), stable.
    const double top = a + degree;
    double term = 1.0 / top, sum = term, harmonic = 1.0 / top, by_a = -term * harmonic;
    for (int k = 1; k < 1000; ++k) {
      const double inverse = 1.0 / (top + k);
      term *= t * inverse;
      harmonic += inverse;
      sum += term;
      by_a -= term * harmonic;
      if (k > t && term * (1.0 + harmonic) < 1e-18 * sum) break;
    }
    const double decay = std::exp(-t);
    double h = decay * sum, d = decay * by_a;
    double factorial = 1.0;  // 1/m! with the sign of the m-th derivative
    double derivatives[2][degree + 1];
    derivatives[0][degree] = h;
    derivatives[1][degree] = d;
    for (int m = degree - 1; m >= 0; --m) {
      h = (decay + t * h) / (a + m);
      d = (t * d - h) / (a + m);
      derivatives[0][m] = h;
      derivatives[1][m] = d;
    }
    for (int m = 0; m <= degree; ++m) {
      table.coefficients[node][m][0] = derivatives[0][m] * factorial;
      table.coefficients[node][m][1] = derivatives[1][m] * factorial;
      factorial /= -(m + 1.0);
    }
  }

  // I, the mean brightness within R, and d(mean)/dn at `count` values of R2.
  JL_HD static void mean_brightness(const Constants& c, const MeanTable& table, int count,
                                    const double* r2, double* value, double* mean,
                                    double* const* d_mean) {
    mean_brightness_index<true>(c, table, count, r2, value, mean, d_mean[0]);
  }

  // In short passes: all but the table look-up becomes vector code.
  template <bool with_n>
  JL_HD static void mean_brightness_index(const Constants& c, const MeanTable& table, int count,
                                          const double* JL_RESTRICT r2, double* JL_RESTRICT value,
                                          double* JL_RESTRICT mean, double* JL_RESTRICT d_n) {
    constexpr int block = 64, degree = MeanTable::degree;
    double t[block], ln_r2[block], outside[block], h[block], d[block];
    const double a = 2.0 * c.n, r2_end = table.r2_end, r2_min = table.r2_min;
    const double e_minus_b = std::exp(-c.b), by_n = 1.0 + c.n * c.b_n, scale = c.b_n / c.b;
    for (int begin = 0; begin < count; begin += block) {
      const int n = count - begin < block ? count - begin : block;
      for (int i = 0; i < n; ++i) {
        const double low = r2[begin + i] > r2_min ? r2[begin + i] : r2_min;
        const double within = low < r2_end ? low : r2_end;
        const double ln = log_(within), at = c.b * exp_(c.half_inv_n * ln);
        ln_r2[i] = ln;
        outside[i] = table.front * (within / low);  // past r2_end the enclosed light is constant
        t[i] = at;
        value[begin + i] = low < r2_end ? exp_(c.b - at) : 0.0;
      }
      for (int i = 0; i < n; ++i) {
        int node = static_cast<int>(t[i] * (1.0 / MeanTable::step) + 0.5);
        if (node > table.n_nodes - 1) node = table.n_nodes - 1;
        const double x = t[i] - node * MeanTable::step;
        const double* taylor = table.coefficients[node][0];
        double p = taylor[2 * degree], q = taylor[2 * degree + 1];
        for (int m = degree - 1; m >= 0; --m) {
          p = p * x + taylor[2 * m];
          if constexpr (with_n) q = q * x + taylor[2 * m + 1];
        }
        h[i] = p;
        d[i] = q;
      }
      for (int i = 0; i < n; ++i) {
        mean[begin + i] = outside[i] * c.n * h[i];
        if constexpr (with_n) {
          const double decay = e_minus_b * value[begin + i];
          d_n[begin + i] =
              outside[i] * (h[i] * by_n + c.n * (d[i] + d[i]) +
                            (decay - a * h[i]) * c.n * (scale - ln_r2[i] * c.half_inv_n / c.n));
        }
      }
    }
  }
};

using profile_sersic = Sersic;

// A Sersic profile of fixed index: what a named member of the family derives from.
template <int index>
struct SersicOfIndex {
  static constexpr int n_shape = 0;
  static constexpr const char* scale_name = "Re";
  static constexpr const char* amplitude_name = "Ie";

  using Constants = Sersic::Constants;
  using MeanTable = Sersic::MeanTable;

  JL_HD static Constants prepare(const double* /*shape*/) { return Sersic::prepare_index(index); }

  template <class T>
  JL_HD JL_INLINE static void brightness(const Constants& c, T R2, T& value, T& d_r2,
                                         T* /*d_shape*/) {
    T unused;
    Sersic::brightness_index(c, R2, value, d_r2, unused);
  }

  static std::complex<double> log_mellin(const double* /*shape*/, std::complex<double> s) {
    return Sersic::log_mellin_index(index, s);
  }
  // The integral converges for 0 < Re s < strip.
  static constexpr double mellin_strip(const double* shape) { return Sersic::mellin_strip(shape); }

  JL_HD static void enclosed(const Constants& c, double R2, double& value, double* /*d_shape*/) {
    double unused;
    Sersic::enclosed(c, R2, value, &unused);
  }

  JL_HD static double sector(const Constants& c) { return Sersic::sector(c); }

  JL_HD static void prepare_mean(const Constants& c, MeanTable& table) {
    Sersic::prepare_mean(c, table);
  }
  JL_HD static void prepare_mean_front(const Constants& c, MeanTable& table) {
    Sersic::prepare_mean_front(c, table);
  }
  JL_HD static void prepare_mean_node(const Constants& c, int node, MeanTable& table) {
    Sersic::prepare_mean_node(c, node, table);
  }
  JL_HD static void mean_brightness(const Constants& c, const MeanTable& table, int count,
                                    const double* r2, double* value, double* mean,
                                    double* const* /*d_mean*/) {
    Sersic::mean_brightness_index<false>(c, table, count, r2, value, mean, nullptr);
  }
};

JL_ISA_END
}  // namespace jointlight
