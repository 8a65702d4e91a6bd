// SPDX-License-Identifier: BSD-3-Clause
// Least-squares problems for the solver's tests: any residual function of complex numbers,
// and its Jacobian by the complex step (exact to rounding).
#pragma once

#include <cmath>
#include <complex>
#include <cstdio>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "check.hpp"
#include "solve/lm.hpp"

namespace testing {

#define CHECK_NEAR(a, b, tolerance) CHECK_AT_MOST(std::abs((a) - (b)), (tolerance), #a " - " #b)

using Complex = std::complex<double>;
inline constexpr double infinity = std::numeric_limits<double>::infinity();

// Residuals r(x) [m] as a function of complex x [n].
using Residuals = std::function<void(const Complex*, Complex*)>;

class LeastSquares : public jointlight::Problem {
 public:
  LeastSquares(int n, int m, Residuals residuals)
      : lower_bound(static_cast<std::size_t>(n), -infinity),
        upper_bound(static_cast<std::size_t>(n), infinity),
        n_(n),
        m_(m),
        residuals_(std::move(residuals)),
        pattern_(jointlight::SparsePattern::dense(n)) {}

  int size() const override { return n_; }
  std::span<const double> lower() const override { return lower_bound; }
  std::span<const double> upper() const override { return upper_bound; }
  std::span<const double> max_step() const override { return step_limit; }
  double cost_ratio() const override { return ratio; }
  long n_data(int /*part*/) const override { return data; }
  const jointlight::SparsePattern& pattern() const override { return pattern_; }

  double chi2(std::span<const double> x) override {
    const auto r = evaluate(x, -1);
    double sum = 0.0;
    for (const Complex& value : r) sum += value.real() * value.real();
    return sum;
  }

  double linearize(std::span<const double> x, std::span<double> g, std::span<double> h) override {
    const auto m = static_cast<std::size_t>(m_);
    std::vector<std::vector<double>> columns;
    std::vector<Complex> r;
    for (int j = 0; j < n_; ++j) {
      r = evaluate(x, j);
      std::vector<double> column(m);
      for (std::size_t k = 0; k < m; ++k) column[k] = r[k].imag() / step;
      columns.push_back(column);
    }
    std::size_t at = 0;
    double sum = 0.0;
    for (std::size_t k = 0; k < m; ++k) sum += r[k].real() * r[k].real();
    for (std::size_t j = 0; j < columns.size(); ++j) {
      g[j] = 0.0;
      for (std::size_t k = 0; k < m; ++k) g[j] += columns[j][k] * r[k].real();
      for (std::size_t i = j; i < columns.size(); ++i) {
        double dot = 0.0;
        for (std::size_t k = 0; k < m; ++k) dot += columns[i][k] * columns[j][k];
        h[at++] = dot;
      }
    }
    return sum;
  }

  void progress(const jointlight::IterationRecord& record, std::span<const double> x) override {
    if (on_progress) on_progress(record, x);
  }

  std::vector<double> lower_bound, upper_bound, step_limit;
  double ratio = 3.0;
  long data = -1;  // unknown: convergence to the tolerances alone
  std::function<void(const jointlight::IterationRecord&, std::span<const double>)> on_progress;

 private:
  static constexpr double step = 1e-30;

  std::vector<Complex> evaluate(std::span<const double> x, int j) const {
    std::vector<Complex> z(x.begin(), x.end()), r(static_cast<std::size_t>(m_));
    if (j >= 0) z[static_cast<std::size_t>(j)] += Complex(0.0, step);
    residuals_(z.data(), r.data());
    return r;
  }

  int n_, m_;
  Residuals residuals_;
  jointlight::SparsePattern pattern_;
};

inline void print(const char* name, const jointlight::FitOutcome& fit) {
  std::printf("%-28s %-16s chi2 %.9g  linearize %d chi2 %d trials %zu\n", name,
              std::string(jointlight::to_string(fit.status)).c_str(), fit.chi2, fit.n_linearize,
              fit.n_chi2, fit.history.empty() ? 0 : fit.history.size() - 1);
}

}  // namespace testing
