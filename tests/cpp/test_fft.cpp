// SPDX-License-Identifier: BSD-3-Clause
// The lane transform against a direct sum, for every radix and their mixtures.
#include <complex>
#include <random>
#include <vector>

#include "base/fft.hpp"
#include "check.hpp"

using namespace jointlight;

namespace {

void against_direct_sum(int size) {
  const FftPlan plan(size);
  std::vector<Complex<Vec>> a(static_cast<std::size_t>(size)), b(a.size());
  std::mt19937 random(static_cast<unsigned>(size));
  std::normal_distribution<double> normal;
  std::vector<std::complex<double>> input[vector_width];
  for (auto& value : a) {
    for (int lane = 0; lane < vector_width; ++lane) {
      value.re[lane] = normal(random);
      value.im[lane] = normal(random);
      input[lane].emplace_back(value.re[lane], value.im[lane]);
    }
  }
  const Complex<Vec>* done = inverse_fft(plan.view(), a.data(), b.data());
  double worst = 0.0;
  for (int lane = 0; lane < vector_width; ++lane) {
    for (int k = 0; k < size; ++k) {
      std::complex<double> sum;
      for (int j = 0; j < size; ++j) {
        const double angle =
            2.0 * M_PI * static_cast<double>((static_cast<long>(j) * k) % size) / size;
        sum += input[lane][static_cast<std::size_t>(j)] * std::polar(1.0, angle);
      }
      worst =
          std::max(worst, std::abs(sum - std::complex<double>(done[k].re[lane], done[k].im[lane])));
    }
  }
  CHECK_AT_MOST(worst / std::sqrt(size), 1e-13, ("size " + std::to_string(size)).c_str());
}

}  // namespace

int main() {
  for (int size : {8, 10, 12, 18, 20, 30, 32, 50, 54, 64, 80, 90, 96, 100, 128, 150, 250, 270}) {
    against_direct_sum(size);
  }
  for (int n = 1; n < 3000; ++n) {
    const int size = FftPlan::good_size(n);
    CHECK(size >= n && size >= 8 && size % 2 == 0 && size <= 2 * n + 8);
    int rest = size;
    for (int radix : {2, 3, 5}) {
      while (rest % radix == 0) rest /= radix;
    }
    CHECK(rest == 1);
  }
  return check::result();
}
