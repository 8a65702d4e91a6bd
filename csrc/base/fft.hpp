// SPDX-License-Identifier: BSD-3-Clause
// Inverse complex transform of many sequences at once: each element is a vector whose lanes are
// independent sequences. Stockham autosort, radices 4, 2, 3, 5 (Van Loan 1992, ch. 1).
#pragma once

#include "base/fft_plan.hpp"
#include "base/lanes.hpp"

namespace jointlight {
JL_ISA_BEGIN

template <class V>
struct Complex {
  V re, im;
};

template <class V>
JL_HD JL_INLINE Complex<V> operator+(Complex<V> a, Complex<V> b) {
  return {a.re + b.re, a.im + b.im};
}
template <class V>
JL_HD JL_INLINE Complex<V> operator-(Complex<V> a, Complex<V> b) {
  return {a.re - b.re, a.im - b.im};
}
template <class V>
JL_HD JL_INLINE Complex<V> rotate(Complex<V> a, Scalar<V> c, Scalar<V> s) {
  return {a.re * c - a.im * s, a.re * s + a.im * c};
}
template <class V>
JL_HD JL_INLINE Complex<V> times_i(Complex<V> a) {
  return {-a.im, a.re};
}
template <class V>
JL_HD JL_INLINE Complex<V> scaled(Complex<V> a, Scalar<V> factor) {
  return {a.re * factor, a.im * factor};
}

// a[j] <- sum_m a[m] exp(+2 pi i j m / radix)
template <int radix, class V>
JL_HD JL_INLINE void butterfly(Complex<V>* a) {
  if constexpr (radix == 2) {
    const Complex<V> t = a[1];
    a[1] = a[0] - t;
    a[0] = a[0] + t;
  } else if constexpr (radix == 3) {
    constexpr auto s = static_cast<Scalar<V>>(0.86602540378443864676);  // sin(2 pi / 3)
    const Complex<V> sum = a[1] + a[2];
    const Complex<V> turn = times_i(scaled(a[1] - a[2], s));
    const Complex<V> mid = a[0] - scaled(sum, Scalar<V>(0.5));
    a[0] = a[0] + sum;
    a[1] = mid + turn;
    a[2] = mid - turn;
  } else if constexpr (radix == 4) {
    const Complex<V> even = a[0] + a[2], even_d = a[0] - a[2];
    const Complex<V> odd = a[1] + a[3], odd_d = times_i(a[1] - a[3]);
    a[0] = even + odd;
    a[1] = even_d + odd_d;
    a[2] = even - odd;
    a[3] = even_d - odd_d;
  } else {
    static_assert(radix == 5);
    using Real = Scalar<V>;
    constexpr Real c1 = Real(0.30901699437494742410), c2 = Real(-0.80901699437494742410);
    constexpr Real s1 = Real(0.95105651629515357212), s2 = Real(0.58778525229247312917);
    const Complex<V> p = a[1] + a[4], pd = a[1] - a[4];
    const Complex<V> q = a[2] + a[3], qd = a[2] - a[3];
    const Complex<V> m1 = a[0] + scaled(p, c1) + scaled(q, c2);
    const Complex<V> m2 = a[0] + scaled(p, c2) + scaled(q, c1);
    const Complex<V> u1 = times_i(scaled(pd, s1) + scaled(qd, s2));
    const Complex<V> u2 = times_i(scaled(pd, s2) - scaled(qd, s1));
    a[0] = a[0] + p + q;
    a[1] = m1 + u1;
    a[4] = m1 - u1;
    a[2] = m2 + u2;
    a[3] = m2 - u2;
  }
}

template <int radix, class V>
JL_INLINE void fft_pass(const Complex<V>* JL_RESTRICT x, Complex<V>* JL_RESTRICT y, int m,
                        int stride, const double* twiddles) {
  for (int p = 0; p < m; ++p) {
    Scalar<V> w[2 * (radix - 1)];
    for (int j = 0; j < 2 * (radix - 1); ++j) {
      w[j] = static_cast<Scalar<V>>(twiddles[2 * (radix - 1) * p + j]);
    }
    for (int q = 0; q < stride; ++q) {
      Complex<V> a[radix];
      for (int j = 0; j < radix; ++j) a[j] = x[q + stride * (p + m * j)];
      butterfly<radix>(a);
      y[q + stride * radix * p] = a[0];
      for (int j = 1; j < radix; ++j) {
        y[q + stride * (radix * p + j)] = rotate(a[j], w[2 * j - 2], w[2 * j - 1]);
      }
    }
  }
}

// Unnormalised inverse transform. Returns whichever of the two buffers holds the result.
template <class V>
inline Complex<V>* inverse_fft(const FftView& plan, Complex<V>* a, Complex<V>* b) {
  int m = plan.size, stride = 1;
  for (int pass = 0; pass < plan.n_factors; ++pass) {
    const int radix = plan.factors[pass];
    m /= radix;
    switch (radix) {
      case 2:
        fft_pass<2>(a, b, m, stride, plan.twiddles[pass]);
        break;
      case 3:
        fft_pass<3>(a, b, m, stride, plan.twiddles[pass]);
        break;
      case 4:
        fft_pass<4>(a, b, m, stride, plan.twiddles[pass]);
        break;
      default:
        fft_pass<5>(a, b, m, stride, plan.twiddles[pass]);
        break;
    }
    Complex<V>* t = a;
    a = b;
    b = t;
    stride *= radix;
  }
  return a;
}

JL_ISA_END
}  // namespace jointlight
