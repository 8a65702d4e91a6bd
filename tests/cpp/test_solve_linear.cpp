// SPDX-License-Identifier: BSD-3-Clause
// sources: csrc/solve/lm.cpp csrc/solve/descent.cpp csrc/solve/region.cpp csrc/solve/damped.cpp
// sources: csrc/solve/descent_parts.cpp csrc/solve/descent_split.cpp csrc/solve/component.cpp
// sources: csrc/solve/covariance.cpp
// sources: csrc/solve/block_factor.cpp csrc/base/fiber.cpp
// sources: csrc/solve/linear_solver.cpp csrc/solve/sparse.cpp csrc/solve/result.cpp
// needs: eigen
// Linear algebra: patterns, the three factorisations, covariance, large banded problems.
#include <algorithm>
#include <random>

#include "solve/cholesky.hpp"
#include "solve/covariance.hpp"
#include "solve/linear_solver.hpp"
#include "solve_problems.hpp"

using namespace testing;
using jointlight::Factorization;
using jointlight::FitOutcome;
using jointlight::LinearSolver;
using jointlight::LMOptions;
using jointlight::SparsePattern;
using jointlight::Status;

namespace {

std::mt19937 generator(3);
double gauss() { return std::normal_distribution<double>()(generator); }

SparsePattern banded(int n, int width) {
  std::vector<std::pair<int, int>> pairs;
  for (int j = 0; j < n; ++j) {
    for (int i = j; i < std::min(n, j + width); ++i) pairs.emplace_back(i, j);
  }
  return SparsePattern::from_pairs(n, pairs);
}

// Diagonally dominant values with unit-ish diagonal.
std::vector<double> definite_values(const SparsePattern& pattern) {
  std::vector<double> values(pattern.row.size());
  for (double& v : values) v = 0.1 * gauss();
  std::vector<double> sums(static_cast<std::size_t>(pattern.n), 0.5);
  for (int j = 0; j < pattern.n; ++j) {
    for (int k = pattern.diagonal(j) + 1; k < pattern.diagonal(j + 1); ++k) {
      const double v = std::abs(values[static_cast<std::size_t>(k)]);
      sums[static_cast<std::size_t>(j)] += v;
      sums[static_cast<std::size_t>(pattern.row[static_cast<std::size_t>(k)])] += v;
    }
  }
  for (int j = 0; j < pattern.n; ++j) {
    values[static_cast<std::size_t>(pattern.diagonal(j))] = sums[static_cast<std::size_t>(j)];
  }
  return values;
}

void patterns() {
  const std::vector<std::vector<int>> groups{{4, 1, 4}, {1, 2}, {5}};
  const SparsePattern p = SparsePattern::from_groups(6, groups);
  CHECK(p.valid());
  CHECK(p.nonzeros() == 8);
  CHECK(p.find(1, 4) >= 0 && p.find(1, 4) == p.find(4, 1));
  CHECK(p.find(2, 4) == -1);
  std::vector<std::uint8_t> active(6, 1);
  CHECK((p.components(active) == std::vector<std::vector<int>>{{0}, {1, 2, 4}, {3}, {5}}));
  active[1] = 0;
  CHECK((p.components(active) == std::vector<std::vector<int>>{{0}, {2}, {3}, {4}, {5}}));
  std::vector<int> entries;
  const SparsePattern part = p.restricted(std::vector<int>{1, 2, 5}, entries);
  CHECK(part.valid() && part.n == 3 && part.nonzeros() == 4 && part.find(0, 1) == 1);
  for (int k = 0; k < 4; ++k) CHECK(entries[static_cast<std::size_t>(k)] >= 0);
  CHECK(entries[1] == p.find(2, 1) && entries[3] == p.diagonal(5));
  CHECK(SparsePattern::dense(5).valid() && SparsePattern::dense(5).nonzeros() == 15);
  CHECK(SparsePattern::dense(0).valid());
  SparsePattern broken = p;
  std::swap(broken.row[1], broken.row[2]);
  CHECK(!broken.valid());
}

void methods_agree() {
  for (const int n : {1, 5, 17, 32, 60}) {
    const SparsePattern pattern = banded(n, 6);
    const std::vector<double> values = definite_values(pattern);
    std::vector<double> x(static_cast<std::size_t>(n)), b(x);
    for (double& v : x) v = gauss();
    symmetric_multiply(pattern, values, x, b);
    for (const auto method :
         {LinearSolver::Method::small, LinearSolver::Method::dense, LinearSolver::Method::sparse}) {
      LinearSolver solver(pattern, method);
      CHECK(solver.factor(values, 1e-14) == Factorization::ok);
      std::vector<double> y = b;
      solver.solve(y);
      for (std::size_t i = 0; i < x.size(); ++i) CHECK_NEAR(y[i], x[i], 1e-12);
      std::vector<double> bad = values;
      bad[0] = -1.0;
      CHECK(solver.factor(bad, 1e-14) == Factorization::indefinite);
      bad[0] = std::nan("");
      CHECK(solver.factor(bad, 1e-14) == Factorization::non_finite);
      bad[0] = 0.0;
      CHECK(solver.factor(bad, 1e-14) == Factorization::indefinite);
      CHECK(solver.factor(values, 1e-14) == Factorization::ok);
    }
  }
  const SparsePattern wide = SparsePattern::dense(250), narrow = banded(2000, 8);
  CHECK(LinearSolver(wide, 200).method() == LinearSolver::Method::dense);
  CHECK(LinearSolver(narrow, 200).method() == LinearSolver::Method::sparse);
  CHECK(LinearSolver(banded(20, 3), 200).method() == LinearSolver::Method::small);
}

// Sources of one to seven coordinates on a grid, each coupled to those around it, in two fields
// that share nothing; optionally one coordinate for all of a field. Numbered in no order.
SparsePattern crowded(int side, bool shared) {
  std::vector<std::vector<int>> sources;
  int n = 0;
  for (int s = 0; s < 2 * side * side; ++s) {
    auto& own = sources.emplace_back();
    for (int k = 0; k < 1 + s % 7; ++k) own.push_back(n++);
  }
  const int first_shared = n;
  if (shared) n += 2;
  std::vector<int> name(static_cast<std::size_t>(n));
  for (int i = 0; i < n; ++i) name[static_cast<std::size_t>(i)] = i;
  std::shuffle(name.begin(), name.end(), generator);
  std::vector<std::vector<int>> groups;
  for (int field = 0; field < 2; ++field) {
    const auto at = [&](int y, int x) {
      return static_cast<std::size_t>((field * side + y) * side + x);
    };
    for (int y = 0; y < side; ++y) {
      for (int x = 0; x < side; ++x) {
        for (const auto& [dy, dx] : {std::pair{0, 1}, {1, 0}, {1, 1}, {1, -1}}) {
          auto& group = groups.emplace_back(sources[at(y, x)]);
          if (shared) group.push_back(first_shared + field);
          if (y + dy >= side || x + dx >= side || x + dx < 0) continue;
          const auto& other = sources[at(y + dy, x + dx)];
          group.insert(group.end(), other.begin(), other.end());
        }
      }
    }
  }
  for (auto& group : groups) {
    for (int& i : group) i = name[static_cast<std::size_t>(i)];
  }
  return SparsePattern::from_groups(n, groups);
}

void blocks_agree_with_dense() {
  for (const int side : {1, 2, 5, 9}) {
    for (const bool shared : {false, true}) {
      const SparsePattern pattern = crowded(side, shared);
      const auto n = static_cast<std::size_t>(pattern.n);
      std::vector<double> values = definite_values(pattern);
      LinearSolver sparse(pattern, LinearSolver::Method::sparse);
      LinearSolver dense(pattern, LinearSolver::Method::dense);
      for (int round = 0; round < 2; ++round) {  // nothing of the first is left in the second
        CHECK(sparse.factor(values, 1e-14) == Factorization::ok);
        CHECK(dense.factor(values, 1e-14) == Factorization::ok);
        std::vector<double> x(n), b(n), y;
        for (double& v : x) v = gauss();
        symmetric_multiply(pattern, values, x, b);
        y = b;
        sparse.solve(y);
        for (std::size_t i = 0; i < n; ++i) CHECK_NEAR(y[i], x[i], 1e-12);
        // The determinant is the product of the pivots, in whatever order.
        double one = 0.0, other = 0.0;
        for (const double d : sparse.pivots()) one += std::log(d);
        for (const double d : dense.pivots()) other += std::log(d);
        CHECK_NEAR(one, other, 1e-11 * static_cast<double>(n));
        const std::vector<double> selected = sparse.selected_inverse(),
                                  wanted = dense.selected_inverse();
        for (std::size_t k = 0; k < values.size(); ++k) CHECK_NEAR(selected[k], wanted[k], 1e-12);
        values = definite_values(pattern);
      }
      // As many negative pivots as the matrix has negative eigenvalues (Sylvester).
      values[static_cast<std::size_t>(pattern.diagonal(pattern.n / 2))] *= -1.0;
      CHECK(sparse.factor(values, 1e-14) == Factorization::indefinite);
      const auto pivots = sparse.pivots();
      CHECK(std::count_if(pivots.begin(), pivots.end(), [](double d) { return d < 0.0; }) == 1);
    }
  }
}

void pivots_by_coordinate() {
  // One coordinate repeats another: the vanishing pivot is named whatever the elimination order.
  const SparsePattern pattern = banded(50, 2);
  std::vector<double> values(pattern.row.size(), 0.0);
  for (int j = 0; j < 50; ++j) values[static_cast<std::size_t>(pattern.diagonal(j))] = 1.0;
  values[static_cast<std::size_t>(pattern.find(31, 30))] = 1.0 - 1e-13;
  LinearSolver solver(pattern, LinearSolver::Method::sparse);
  solver.factor(values, 0.0);
  const auto d = solver.pivots();
  const auto smallest = std::min_element(d.begin(), d.end()) - d.begin();
  CHECK(smallest == 30 || smallest == 31);
}

void single_precision() {
  float a[] = {4.0f, 0.0f, 2.0f, 5.0f}, b[] = {2.0f, -3.0f};
  CHECK(jointlight::cholesky_factor(a, 2, 2, 0.0f) == 0);
  jointlight::cholesky_solve(a, 2, 2, b);
  CHECK_NEAR(static_cast<double>(b[0]), 1.0, 1e-6);
  CHECK_NEAR(static_cast<double>(b[1]), -1.0, 1e-6);
}

void linear_least_squares() {
  int worst = 0;
  for (int k = 0; k < 30; ++k) {
    const int n = 1 + k, m = 3 * n + 2;
    std::vector<double> a(static_cast<std::size_t>(n * m)), b(static_cast<std::size_t>(m));
    for (double& v : a) v = gauss();
    for (double& v : b) v = gauss();
    LeastSquares problem(n, m, [&](const Complex* x, Complex* r) {
      for (int i = 0; i < m; ++i) {
        r[i] = b[static_cast<std::size_t>(i)];
        for (int j = 0; j < n; ++j) r[i] += a[static_cast<std::size_t>(i * n + j)] * x[j];
      }
    });
    const std::vector<double> start(static_cast<std::size_t>(n), 5.0);
    const FitOutcome fit = levenberg_marquardt(problem, start);
    CHECK(is_success(fit.status));
    worst = std::max(worst, fit.n_linearize + fit.n_chi2);
  }
  std::printf("linear least squares: at most %d evaluations\n", worst);
  CHECK(worst <= 4);
}

void covariance_is_the_inverse() {
  for (const int n : {3, 40, 320}) {
    const SparsePattern pattern = banded(n, 7);
    std::vector<double> values = definite_values(pattern);
    // Units that differ by many decades.
    std::vector<double> unit(static_cast<std::size_t>(n));
    for (double& v : unit) v = std::pow(10.0, 3.0 * gauss());
    for (int j = 0; j < n; ++j) {
      for (int k = pattern.diagonal(j); k < pattern.diagonal(j + 1); ++k) {
        const auto at = static_cast<std::size_t>(k);
        values[at] *=
            unit[static_cast<std::size_t>(j)] * unit[static_cast<std::size_t>(pattern.row[at])];
      }
    }
    std::vector<std::uint8_t> held(static_cast<std::size_t>(n), 0);
    held[1] = 1;
    const auto c = covariance(pattern, values, held, LMOptions{});
    CHECK(c.degenerate.empty());
    // H C = identity over the coordinates in use.
    const auto size = static_cast<std::size_t>(n);
    for (std::size_t j = 0; j < size; ++j) {
      if (j == 1) {
        CHECK(std::isnan(c.matrix[j * size]) && std::isnan(c.matrix[j]));
        continue;
      }
      std::vector<double> column(size, 0.0), product(size);
      for (std::size_t i = 0; i < size; ++i) {
        if (i != 1) column[i] = c.matrix[i * size + j];
      }
      symmetric_multiply(pattern, values, column, product);
      for (std::size_t i = 0; i < size; ++i) {
        if (i == 1) continue;
        CHECK_NEAR(product[i] / unit[i] * unit[j], i == j ? 1.0 : 0.0, 1e-11);
      }
    }
    // Only the pattern's pairs, and any columns by themselves.
    LMOptions large;
    large.covariance_max_size = 2;
    large.dense_max_size = 1;
    const auto selected = covariance(pattern, values, held, large);
    CHECK(selected.matrix.empty() && selected.sparse.size() == values.size());
    for (int j = 0; j < n; ++j) {
      for (int k = pattern.diagonal(j); k < pattern.diagonal(j + 1); ++k) {
        const auto i = static_cast<std::size_t>(pattern.row[static_cast<std::size_t>(k)]);
        const double value = selected.sparse[static_cast<std::size_t>(k)];
        const double whole = c.matrix[i * size + static_cast<std::size_t>(j)];
        CHECK(std::isnan(value) == std::isnan(whole));
        if (!std::isnan(whole)) {
          CHECK_NEAR(value * unit[i] * unit[static_cast<std::size_t>(j)],
                     whole * unit[i] * unit[static_cast<std::size_t>(j)], 1e-12);
        }
      }
    }
    std::vector<double> columns(2 * size, 0.0);
    columns[0] = columns[size + size - 1] = 1.0;
    CHECK(covariance_columns(pattern, values, held, large, columns, 2));
    for (std::size_t i = 0; i < size; ++i) {
      CHECK(std::isnan(columns[i]) == (i == 1));
      if (i == 1) continue;
      CHECK_NEAR(columns[i] * unit[i] * unit[0], c.matrix[i * size] * unit[i] * unit[0], 1e-12);
      CHECK_NEAR(columns[size + i] * unit[i] * unit[size - 1],
                 c.matrix[i * size + size - 1] * unit[i] * unit[size - 1], 1e-12);
    }
  }
}

void large_degenerate() {
  // 400 coordinates; 101 repeats 100, 350 is without influence.
  SparsePattern pattern = banded(400, 2);
  std::vector<double> values(pattern.row.size(), 0.0);
  const auto put = [&](int i, int j, double v) {
    values[static_cast<std::size_t>(pattern.find(i, j))] = v;
  };
  for (int j = 0; j < 400; ++j) put(j, j, j == 350 ? 0.0 : 4.0);
  put(101, 100, 4.0);
  put(201, 200, 2.0);
  const std::vector<std::uint8_t> held(400, 0);
  const auto c = covariance(pattern, values, held, LMOptions{});
  CHECK((c.degenerate == std::vector<std::vector<int>>{{100, 101}, {350}}));
  CHECK(std::isnan(c.matrix[100 * 401]) && std::isnan(c.matrix[101 * 401]));
  CHECK_NEAR(c.matrix[0], 0.25, 1e-14);
  CHECK_NEAR(c.matrix[200 * 401], 1.0 / 3.0, 1e-13);
  LMOptions options;
  options.covariance_max_size = 100;
  const auto names_only = covariance(pattern, values, held, options);
  CHECK(names_only.matrix.empty() && names_only.degenerate.size() == 2);
}

// Discrete boundary-value problem (More, Garbow and Hillstrom 1981, no. 28) with many coordinates.
class BoundaryValue final : public jointlight::Problem {
 public:
  explicit BoundaryValue(int n)
      : n_(n),
        lower_(static_cast<std::size_t>(n), -infinity),
        upper_(static_cast<std::size_t>(n), infinity),
        pattern_(banded(n, 3)) {}
  int size() const override { return n_; }
  std::span<const double> lower() const override { return lower_; }
  std::span<const double> upper() const override { return upper_; }
  const SparsePattern& pattern() const override { return pattern_; }
  double chi2(std::span<const double> x) override {
    double sum = 0.0;
    for (int i = 0; i < n_; ++i) sum += std::pow(residual(x, i), 2);
    return sum;
  }
  double linearize(std::span<const double> x, std::span<double> g, std::span<double> h) override {
    std::fill(g.begin(), g.end(), 0.0);
    std::fill(h.begin(), h.end(), 0.0);
    const double step = 1.0 / (n_ + 1);
    for (int i = 0; i < n_; ++i) {
      const double r = residual(x, i), u = x[static_cast<std::size_t>(i)] + (i + 1) * step + 1.0;
      const double d[] = {-1.0, 2.0 + 1.5 * step * step * u * u, -1.0};
      for (int a = std::max(0, i - 1); a <= std::min(n_ - 1, i + 1); ++a) {
        g[static_cast<std::size_t>(a)] += d[a - i + 1] * r;
        for (int b = std::max(0, i - 1); b <= a; ++b) {
          h[static_cast<std::size_t>(pattern_.find(a, b))] += d[a - i + 1] * d[b - i + 1];
        }
      }
    }
    return chi2(x);
  }
  std::vector<double>& lower_bounds() { return lower_; }

 private:
  double residual(std::span<const double> x, int i) const {
    const double step = 1.0 / (n_ + 1), here = x[static_cast<std::size_t>(i)];
    const double before = i > 0 ? x[static_cast<std::size_t>(i) - 1] : 0.0;
    const double after = i + 1 < n_ ? x[static_cast<std::size_t>(i) + 1] : 0.0;
    return 2.0 * here - before - after +
           0.5 * step * step * std::pow(here + (i + 1) * step + 1.0, 3);
  }
  int n_;
  std::vector<double> lower_, upper_;
  SparsePattern pattern_;
};

void large_banded() {
  LMOptions options;
  options.covariance = false;
  for (const int n : {2000, 100}) {
    BoundaryValue problem(n);
    // Jagged start: the smooth modes of this operator are nearly degenerate by themselves.
    std::vector<double> start(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < start.size(); ++i) start[i] = 0.3 * gauss();
    const FitOutcome sparse = levenberg_marquardt(problem, start, options);
    print("boundary value", sparse);
    CHECK(is_success(sparse.status));
    CHECK(sparse.chi2 < 1e-8);
    CHECK(sparse.n_linearize + sparse.n_chi2 <= 15);
    if (n > 200) continue;
    LMOptions forced = options;
    forced.dense_max_size = 10;
    const FitOutcome other = levenberg_marquardt(problem, start, forced);
    CHECK(other.n_linearize == sparse.n_linearize);
    for (std::size_t i = 0; i < start.size(); ++i) CHECK_NEAR(other.x[i], sparse.x[i], 1e-7);
  }
  // Many coordinates on a bound at once.
  BoundaryValue problem(1000);
  std::fill(problem.lower_bounds().begin(), problem.lower_bounds().end(), -0.02);
  const FitOutcome fit = levenberg_marquardt(problem, std::vector<double>(1000, 0.2), options);
  print("boundary value in a box", fit);
  CHECK(is_success(fit.status));
  const auto n_bound = std::count(fit.at_bound.begin(), fit.at_bound.end(), 1);
  std::printf("on the bound: %td\n", n_bound);
  CHECK(n_bound > 0 && n_bound < 1000);
}

}  // namespace

int main() {
  patterns();
  methods_agree();
  blocks_agree_with_dense();
  pivots_by_coordinate();
  single_precision();
  linear_least_squares();
  covariance_is_the_inverse();
  large_degenerate();
  large_banded();
  return check::result();
}
