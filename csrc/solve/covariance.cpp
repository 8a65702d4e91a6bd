// SPDX-License-Identifier: BSD-3-Clause
#include "solve/covariance.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <optional>

#include "solve/damped.hpp"
#include "solve/disjoint_sets.hpp"
#include "solve/linear_solver.hpp"

namespace jointlight {
namespace {

// Up to here a full eigen-decomposition (under 0.1 s) finds the degenerate directions.
constexpr int eigen_max_size = 300;

// A coordinate takes part in a degenerate direction of unit length (in units of conditional
// errors) if its component exceeds this.
constexpr double participation = 1e-3;

constexpr int max_exclusions = 20;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

// Disjoint sets of coordinates.
class Groups {
 public:
  explicit Groups(std::size_t n) : sets_(n), member_(n, 0) {}
  void add(std::size_t i) { member_[i] = 1; }
  void join(std::size_t i, std::size_t j) {
    add(i);
    add(j);
    sets_.join(i, j);
  }
  bool contains(std::size_t i) const { return member_[i] != 0; }
  std::vector<std::vector<int>> list() {
    std::vector<std::vector<int>> by_root(member_.size()), result;
    for (std::size_t i = 0; i < member_.size(); ++i) {
      if (contains(i)) by_root[sets_.root(i)].push_back(static_cast<int>(i));
    }
    for (auto& group : by_root) {
      if (!group.empty()) result.push_back(std::move(group));
    }
    return result;
  }

 private:
  DisjointSets sets_;
  std::vector<std::uint8_t> member_;
};

// The unit-diagonal matrix over the coordinates in use, factorised with one coordinate of each
// degenerate direction held.
class RegularFactor {
 public:
  // scale: [n] 1 / sqrt(h_ii), 0 for coordinates not in use.
  RegularFactor(const SparsePattern& pattern, std::span<const double> h,
                std::span<const double> scale, const LMOptions& options)
      : pattern_(pattern), in_(scale.size()) {
    linear_.emplace(pattern, options.dense_max_size);
    for (std::size_t i = 0; i < in_.size(); ++i) in_[i] = scale[i] > 0.0 ? 1 : 0;
    ok_ = factor(h, scale, 0.0) && weak(options).empty();
    if (ok_) return;
    // A ridge far below degenerate_rcond keeps this factorisation from meeting a pivot <= 0.
    if (factor(h, scale, 0.1 * options.degenerate_rcond)) {
      hold(weak(options));
      ok_ = factor(h, scale, 0.0);
    }
    if (ok_) return;
    // Rows that are rounding errors through and through make it indefinite: out with them. L D L^T
    // goes on after a negative pivot and so finds them.
    linear_.emplace(pattern_, LinearSolver::Method::sparse);
    for (int k = 0; k < max_exclusions && !ok_; ++k) {
      ok_ = factor(h, scale, 0.0) && weak(options).empty();
      if (!ok_) hold(weak(options));
    }
  }

  bool ok() const { return ok_; }
  bool uses(std::size_t i) const { return in_[i] != 0; }
  const std::vector<std::size_t>& held() const { return held_; }
  const LinearSolver& linear() const { return *linear_; }

  // What the held coordinates are bound to.
  void find_groups(std::span<const double> h, std::span<const double> scale, Groups& groups) const {
    const std::size_t n = in_.size();
    std::vector<double> column(n);
    for (const std::size_t t : held_) {
      // With coordinate t moved by one, the others follow by -A^-1 a_t along the degenerate line.
      for (std::size_t i = 0; i < n; ++i) {
        const int at = uses(i) ? pattern_.find(static_cast<int>(i), static_cast<int>(t)) : -1;
        column[i] = at < 0 ? 0.0 : -h[static_cast<std::size_t>(at)] * scale[i] * scale[t];
      }
      linear_->solve(column);
      const double length =
          std::sqrt(1.0 + std::inner_product(column.begin(), column.end(), column.begin(), 0.0));
      groups.add(t);
      for (std::size_t i = 0; i < n; ++i) {
        if (uses(i) && std::abs(column[i]) > participation * length) groups.join(t, i);
      }
    }
  }

 private:
  std::vector<std::size_t> weak(const LMOptions& options) const {
    const std::vector<double> pivots = linear_->pivots();
    std::vector<std::size_t> found;
    for (std::size_t i = 0; i < in_.size(); ++i) {
      if (in_[i] != 0 && !(pivots[i] >= options.degenerate_rcond)) found.push_back(i);
    }
    return found;
  }
  void hold(const std::vector<std::size_t>& which) {
    for (const std::size_t i : which) {
      in_[i] = 0;
      held_.push_back(i);
    }
  }
  bool factor(std::span<const double> h, std::span<const double> scale, double ridge) {
    std::vector<double> values(h.size());
    for (std::size_t j = 0; j < in_.size(); ++j) {
      const auto first = static_cast<std::size_t>(pattern_.column_start[j]);
      const auto last = static_cast<std::size_t>(pattern_.column_start[j + 1]);
      values[first] = 1.0 + ridge;
      for (std::size_t k = first + 1; k < last; ++k) {
        const auto i = static_cast<std::size_t>(pattern_.row[k]);
        values[k] = in_[i] != 0 && in_[j] != 0 ? h[k] * scale[i] * scale[j] : 0.0;
      }
    }
    return linear_->factor(values, 0.0) == Factorization::ok;
  }

  const SparsePattern& pattern_;
  std::optional<LinearSolver> linear_;
  std::vector<std::uint8_t> in_;
  std::vector<std::size_t> held_;
  bool ok_ = false;
};

// One connected component: the unit-diagonal matrix over the coordinates in use.
struct Analysis {
  const SparsePattern& pattern;
  std::span<const double> h;
  const LMOptions& options;
  std::size_t n;
  bool dense;                 // every pair is wanted, not only the pattern's
  std::vector<double> scale;  // [n] 1 / sqrt(h_ii), 0 for coordinates not in use
  Groups groups;
  std::vector<double> matrix;  // result: [n * n], or [nnz]; NaN to begin with

  void put(std::size_t i, std::size_t j, double scaled) {
    const double value = scaled * scale[i] * scale[j];
    if (dense) {
      matrix[i * n + j] = matrix[j * n + i] = value;
    } else {
      const int at = pattern.find(static_cast<int>(i), static_cast<int>(j));
      if (at >= 0) matrix[static_cast<std::size_t>(at)] = value;
    }
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
  if (!symmetric_eigen(static_cast<int>(m), a, w)) return;
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
  const RegularFactor factor(pattern, h, scale, options);
  if (!factor.ok()) return;
  factor.find_groups(h, scale, groups);
  const auto known = [&](std::size_t i) { return factor.uses(i) && !groups.contains(i); };
  if (!dense) {
    const std::vector<double> inverse = factor.linear().selected_inverse();
    for (std::size_t j = 0; j < n; ++j) {
      const auto first = static_cast<std::size_t>(pattern.column_start[j]);
      const auto last = static_cast<std::size_t>(pattern.column_start[j + 1]);
      for (std::size_t k = first; k < last; ++k) {
        const auto i = static_cast<std::size_t>(pattern.row[k]);
        if (known(i) && known(j)) matrix[k] = inverse[k] * scale[i] * scale[j];
      }
    }
    return;
  }
  std::vector<double> inverse(n * n, 0.0);
  for (std::size_t i = 0; i < n; ++i) inverse[i * n + i] = 1.0;
  factor.linear().solve_many(inverse, static_cast<int>(n));
  for (std::size_t j = 0; j < n; ++j) {
    for (std::size_t i = j; i < n; ++i) {
      if (known(i) && known(j)) put(i, j, inverse[j * n + i]);
    }
  }
}

// 1 / sqrt(h_ii), 0 where a coordinate is held or has no influence.
std::vector<double> scales(const SparsePattern& pattern, std::span<const double> h,
                           std::span<const std::uint8_t> held) {
  std::vector<double> scale(static_cast<std::size_t>(pattern.n), 0.0);
  for (std::size_t i = 0; i < scale.size(); ++i) {
    const double d = h[static_cast<std::size_t>(pattern.column_start[i])];
    if (held[i] == 0 && d > no_influence) scale[i] = 1.0 / std::sqrt(d);
  }
  return scale;
}

bool all_finite(std::span<const double> values) {
  return std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
}

}  // namespace

Covariance covariance(const SparsePattern& pattern, std::span<const double> h,
                      std::span<const std::uint8_t> held, const LMOptions& options) {
  Covariance result;
  const auto n = static_cast<std::size_t>(pattern.n);
  if (!all_finite(h)) return result;
  const bool dense = pattern.n <= options.covariance_max_size;
  if (dense) {
    result.matrix.assign(n * n, nan);
  } else {
    result.sparse.assign(h.size(), nan);
  }
  const std::vector<double> scale = scales(pattern, h, held);
  std::vector<std::uint8_t> active(n, 0);
  for (std::size_t i = 0; i < n; ++i) {
    active[i] = scale[i] > 0.0 ? 1 : 0;
    if (active[i] == 0 && held[i] == 0) result.degenerate.push_back({static_cast<int>(i)});
  }
  std::vector<std::uint8_t> known(n, 0);
  std::vector<int> entries;
  for (const std::vector<int>& component : pattern.components(active)) {
    const SparsePattern part = pattern.restricted(component, entries);
    std::vector<double> values, own_scale;
    for (const int k : entries) values.push_back(h[static_cast<std::size_t>(k)]);
    for (const int i : component) own_scale.push_back(scale[static_cast<std::size_t>(i)]);
    const std::size_t m = component.size();
    Analysis analysis{part, values, options, m, dense, std::move(own_scale), Groups(m), {}};
    analysis.matrix.assign(dense ? m * m : values.size(), nan);
    if (part.n <= eigen_max_size) {
      analysis.by_eigenvectors();
    } else {
      analysis.by_pivots();
    }
    for (auto& group : analysis.groups.list()) {
      for (int& i : group) i = component[static_cast<std::size_t>(i)];
      result.degenerate.push_back(std::move(group));
    }
    if (!dense) {
      for (std::size_t k = 0; k < entries.size(); ++k) {
        result.sparse[static_cast<std::size_t>(entries[k])] = analysis.matrix[k];
      }
      continue;
    }
    for (std::size_t a = 0; a < m; ++a) {
      const auto i = static_cast<std::size_t>(component[a]);
      known[i] = std::isfinite(analysis.matrix[a * m + a]) ? 1 : 0;
      for (std::size_t b = 0; b < m; ++b) {
        result.matrix[i * n + static_cast<std::size_t>(component[b])] = analysis.matrix[a * m + b];
      }
    }
  }
  // Nothing links one component to another.
  for (std::size_t i = 0; dense && i < n; ++i) {
    for (std::size_t j = 0; known[i] != 0 && j < n; ++j) {
      double& value = result.matrix[i * n + j];
      if (known[j] != 0 && std::isnan(value)) value = 0.0;
    }
  }
  std::sort(result.degenerate.begin(), result.degenerate.end());
  return result;
}

bool covariance_columns(const SparsePattern& pattern, std::span<const double> h,
                        std::span<const std::uint8_t> held, const LMOptions& options,
                        std::span<double> columns, int k) {
  const auto n = static_cast<std::size_t>(pattern.n);
  const std::vector<double> scale = scales(pattern, h, held);
  bool ok = all_finite(h);
  if (ok) {
    const RegularFactor factor(pattern, h, scale, options);
    ok = factor.ok();
    Groups groups(n);
    if (ok) factor.find_groups(h, scale, groups);
    const auto known = [&](std::size_t i) { return factor.uses(i) && !groups.contains(i); };
    std::vector<std::uint8_t> spoilt(static_cast<std::size_t>(k), 0);
    for (std::size_t c = 0; ok && c < spoilt.size(); ++c) {
      for (std::size_t i = 0; i < n; ++i) {
        double& w = columns[c * n + i];
        if (w != 0.0 && !known(i)) spoilt[c] = 1;
        w *= factor.uses(i) ? scale[i] : 0.0;
      }
    }
    if (ok) factor.linear().solve_many(columns, k);
    for (std::size_t c = 0; ok && c < spoilt.size(); ++c) {
      for (std::size_t i = 0; i < n; ++i) {
        columns[c * n + i] *= known(i) && spoilt[c] == 0 ? scale[i] : nan;
      }
    }
  }
  if (!ok) std::fill(columns.begin(), columns.end(), nan);
  return ok;
}

}  // namespace jointlight
