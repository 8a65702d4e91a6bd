// SPDX-License-Identifier: BSD-3-Clause
// Cholesky factorisation of small symmetric systems, one text for host and device.
#pragma once

#include <cmath>

#include "base/macros.hpp"

namespace jointlight {
JL_ISA_BEGIN

// Up to here the plain loops beat a blocked library, and a matrix fits a warp's registers.
inline constexpr int small_cholesky_max = 32;

// In place A = L L^T. a: row-major [n][stride], lower triangle read and overwritten by L, the
// strict upper triangle untouched. Returns 0, or 1 + the first row whose pivot (L_ii^2) is not
// above min_pivot (NaN included); rows from there on are then undefined.
template <class T>
JL_HD int cholesky_factor(T* a, int n, int stride, T min_pivot) {
  for (int i = 0; i < n; ++i) {
    T* row_i = a + i * stride;
    T pivot = row_i[i];
    for (int j = 0; j < i; ++j) {
      const T* row_j = a + j * stride;
      T sum = row_i[j];
      for (int k = 0; k < j; ++k) sum -= row_i[k] * row_j[k];
      sum /= row_j[j];
      row_i[j] = sum;
      pivot -= sum * sum;
    }
    if (!(pivot > min_pivot)) return i + 1;
    row_i[i] = std::sqrt(pivot);
  }
  return 0;
}

// b <- A^-1 b with the factor from cholesky_factor.
template <class T>
JL_HD void cholesky_solve(const T* l, int n, int stride, T* b) {
  for (int i = 0; i < n; ++i) {
    T sum = b[i];
    for (int k = 0; k < i; ++k) sum -= l[i * stride + k] * b[k];
    b[i] = sum / l[i * stride + i];
  }
  for (int i = n - 1; i >= 0; --i) {
    T sum = b[i];
    for (int k = i + 1; k < n; ++k) sum -= l[k * stride + i] * b[k];
    b[i] = sum / l[i * stride + i];
  }
}

JL_ISA_END
}  // namespace jointlight
