// SPDX-License-Identifier: BSD-3-Clause
// Sizes, factors and twiddles of a one-dimensional transform. The view is plain data that any
// executor can read; the plan owns the memory.
#pragma once

#include <cmath>
#include <vector>

namespace jointlight {

struct FftView {
  int size = 0;
  int n_factors = 0;
  int factors[16] = {};
  const double* twiddles[16] = {};  // per pass: (cos, sin) pairs, [m][radix - 1]
};

class FftPlan {
 public:
  explicit FftPlan(int size) {
    view_.size = size;
    int rest = size;
    while (rest % 4 == 0) push(4, rest);
    for (int radix : {2, 3, 5}) {
      while (rest % radix == 0) push(radix, rest);
    }
    storage_.resize(static_cast<std::size_t>(view_.n_factors));
    int n = size;
    for (int pass = 0; pass < view_.n_factors; ++pass) {
      const int radix = view_.factors[pass];
      const int m = n / radix;
      auto& table = storage_[static_cast<std::size_t>(pass)];
      for (int p = 0; p < m; ++p) {
        for (int j = 1; j < radix; ++j) {
          const double angle = 2.0 * M_PI * static_cast<double>(p * j) / n;
          table.push_back(std::cos(angle));
          table.push_back(std::sin(angle));
        }
      }
      n = m;
    }
    for (int pass = 0; pass < view_.n_factors; ++pass) {
      view_.twiddles[pass] = storage_[static_cast<std::size_t>(pass)].data();
    }
  }
  FftPlan(const FftPlan&) = delete;
  FftPlan& operator=(const FftPlan&) = delete;

  const FftView& view() const { return view_; }

  // Smallest even size 2^a 3^b 5^c that holds n samples.
  static int good_size(int n) {
    for (int size = n < 8 ? 8 : n + n % 2;; size += 2) {
      int rest = size;
      for (int radix : {2, 3, 5}) {
        while (rest % radix == 0) rest /= radix;
      }
      if (rest == 1) return size;
    }
  }

 private:
  void push(int radix, int& rest) {
    view_.factors[view_.n_factors++] = radix;
    rest /= radix;
  }

  FftView view_;
  std::vector<std::vector<double>> storage_;
};

}  // namespace jointlight
