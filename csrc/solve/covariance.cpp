// SPDX-License-Identifier: BSD-3-Clause
#include "solve/covariance.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>

#include "solve/damped.hpp"
#include "solve/linear_solver.hpp"

namespace jointlight {
namespace {

// Up to here a full eigen-decomposition (under 0.1 s) finds the degenerate directions.
constexpr int eigen_max_size = 300;

// A coordinate takes part in a degenerate direction of unit length (in units of conditional
// errors) if its component exceeds this.
constexpr double participation = 1e-3;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

// Disjoint sets of coordinates.
class Groups {
 public:
  explicit Groups(std::size_t n) : parent_(n), member_(n, 0) {
    std::iota(parent_.begin(), parent_.end(), std::size_t{0});
  }
  void add(std::size_t i) { member_[i] = 1; }
  void join(std::size_t i, std::size_t j) {
    add(i);
    add(j);
    const std::size_t a = root(i), b = root(j);
    parent_[std::max(a, b)] = std::min(a, b);
  }
  bool contains(std::size_t i) const { return member_[i] != 0; }
  std::vector<std::vector<int>> list() {
    std::vector<std::vector<int>> by_root(parent_.size()), result;
    for (std::size_t i = 0; i < parent_.size(); ++i) {
      if (contains(i)) by_root[root(i)].push_back(static_cast<int>(i));
    }
    for (auto& group : by_root) {
      if (!group.empty()) result.push_back(std::move(group));
    }
    return result;
  }

 private:
  std::size_t root(std::size_t i) const {
    while (parent_[i] != i) i = parent_[i];
    return i;
  }
  std::vector<std::size_t> parent_;
  std::vector<std::uint8_t> member_;
};

// One covariance computation: the unit-diagonal matrix over the coordinates in use.
struct Analysis {
  const SparsePattern& pattern;
  std::span<const double> h;
  const LMOptions& options;
  std::size_t n;
  std::vector<double> scale;  // [n] 1 / sqrt(h_ii), 0 for coordinates not in use
  Groups groups;
  std::vector<double> matrix;  // [n * n] result, NaN to begin with

  bool wanted() const { return !matrix.empty(); }
  void put(std::size_t i, std::size_t j, double scaled) {
    matrix[i * n + j] = matrix[j * n + i] = scaled * scale[i] * scale[j];
  }
  void by_eigenvectors();
  void by_pivots();
};

// Degenerate directions are eigenvectors; what is left is the pseudo-inverse.
void Analysis::by_eigenvectors() {
  std::vector<std::size_t> used;
  for (std::size_t i = 0; i < n; ++i) {
    if (scale[i] > 0.0) used.push_back(i);
  }
  const std::size_t m = used.size();
  if (m == 0) return;
  std::vector<double> a(m * m), w(m);
  for (std::size_t j = 0; j < m; ++j) {
    for (std::size_t i = j; i < m; ++i) {
      const int at = pattern.find(static_cast<int>(used[i]), static_cast<int>(used[j]));
      const double v = at < 0 ? 0.0 : h[static_cast<std::size_t>(at)];
      a[i * m + j] = a[j * m + i] = v * scale[used[i]] * scale[used[j]];
    }
  }
  if (!symmetric_eigen(static_cast<int>(m), a, w)) {
    matrix.clear();
    return;
  }
  const auto n_null = static_cast<std::size_t>(
      std::upper_bound(w.begin(), w.end(), options.degenerate_rcond) - w.begin());
  // Eigenvectors of a null space of several dimensions are arbitrary mixtures; the projector onto
  // it is not, and it is block-diagonal over the independent degeneracies.
  const auto projector = [&](std::size_t i, std::size_t j) {
    double sum = 0.0;
    for (std::size_t k = 0; k < n_null; ++k) sum += a[k * m + i] * a[k * m + j];
    return sum;
  };
  std::vector<double> share(m, 0.0);
  for (std::size_t i = 0; i < m && n_null > 0; ++i) share[i] = std::sqrt(projector(i, i));
  for (std::size_t i = 0; i < m; ++i) {
    if (share[i] <= participation) continue;
    groups.add(used[i]);
    for (std::size_t j = 0; j < i; ++j) {
      if (share[j] > participation &&
          std::abs(projector(i, j)) > participation * share[i] * share[j]) {
        groups.join(used[i], used[j]);
      }
    }
  }
  if (!wanted()) return;
  for (std::size_t i = 0; i < m; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      if (groups.contains(used[i]) || groups.contains(used[j])) continue;
      double sum = 0.0;
      for (std::size_t k = n_null; k < m; ++k) sum += a[k * m + i] * a[k * m + j] / w[k];
      put(used[i], used[j], sum);
    }
  }
}

// Degenerate directions show as vanishing pivots; holding one coordinate of each leaves a regular
// system.
void Analysis::by_pivots() {
  LinearSolver linear(pattern, options.dense_max_size);
  std::vector<double> values(h.size());
  std::vector<std::uint8_t> in(n);
  for (std::size_t i = 0; i < n; ++i) in[i] = scale[i] > 0.0 ? 1 : 0;
  // A ridge far below degenerate_rcond keeps the first factorisation from meeting a pivot <= 0.
  const auto factor = [&](double ridge) {
    for (std::size_t j = 0; j < n; ++j) {
      const auto first = static_cast<std::size_t>(pattern.column_start[j]);
      const auto last = static_cast<std::size_t>(pattern.column_start[j + 1]);
      values[first] = 1.0 + ridge;
      for (std::size_t k = first + 1; k < last; ++k) {
        const auto i = static_cast<std::size_t>(pattern.row[k]);
        values[k] = in[i] != 0 && in[j] != 0 ? h[k] * scale[i] * scale[j] : 0.0;
      }
    }
    return linear.factor(values, 0.0) == Factorization::ok;
  };
  if (!factor(0.1 * options.degenerate_rcond)) {
    matrix.clear();
    return;
  }
  const std::vector<double> pivots = linear.pivots();
  std::vector<std::size_t> held;
  for (std::size_t i = 0; i < n; ++i) {
    if (in[i] != 0 && pivots[i] < options.degenerate_rcond) held.push_back(i);
  }
  for (const std::size_t i : held) in[i] = 0;
  if (!held.empty() && !factor(0.0)) {
    matrix.clear();
    return;
  }
  std::vector<double> column(n), unit(n);
  for (const std::size_t t : held) {
    // With coordinate t moved by one, the others follow by -A^-1 a_t along the degenerate line.
    std::fill(column.begin(), column.end(), 0.0);
    for (std::size_t i = 0; i < n; ++i) {
      const int at = in[i] != 0 ? pattern.find(static_cast<int>(i), static_cast<int>(t)) : -1;
      if (at >= 0) column[i] = -h[static_cast<std::size_t>(at)] * scale[i] * scale[t];
    }
    linear.solve(column);
    const double length =
        std::sqrt(1.0 + std::inner_product(column.begin(), column.end(), column.begin(), 0.0));
    groups.add(t);
    for (std::size_t i = 0; i < n; ++i) {
      if (in[i] != 0 && std::abs(column[i]) > participation * length) groups.join(t, i);
    }
  }
  if (!wanted()) return;
  for (std::size_t j = 0; j < n; ++j) {
    if (in[j] == 0 || groups.contains(j)) continue;
    std::fill(unit.begin(), unit.end(), 0.0);
    unit[j] = 1.0;
    linear.solve(unit);
    for (std::size_t i = j; i < n; ++i) {
      if (in[i] != 0 && !groups.contains(i)) put(i, j, unit[i]);
    }
  }
}

}  // namespace

Covariance covariance(const SparsePattern& pattern, std::span<const double> h,
                      std::span<const std::uint8_t> held, const LMOptions& options) {
  Covariance result;
  const auto n = static_cast<std::size_t>(pattern.n);
  if (!std::all_of(h.begin(), h.end(), [](double v) { return std::isfinite(v); })) return result;
  Analysis analysis{pattern, h, options, n, std::vector<double>(n, 0.0), Groups(n), {}};
  if (pattern.n <= options.covariance_max_size) analysis.matrix.assign(n * n, nan);
  for (std::size_t i = 0; i < n; ++i) {
    if (held[i] != 0) continue;
    const double d = h[static_cast<std::size_t>(pattern.column_start[i])];
    if (d > no_influence) {
      analysis.scale[i] = 1.0 / std::sqrt(d);
    } else {
      analysis.groups.add(i);
    }
  }
  if (pattern.n <= eigen_max_size) {
    analysis.by_eigenvectors();
  } else {
    analysis.by_pivots();
  }
  result.matrix = std::move(analysis.matrix);
  result.degenerate = analysis.groups.list();
  return result;
}

}  // namespace jointlight
