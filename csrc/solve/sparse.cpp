// SPDX-License-Identifier: BSD-3-Clause
#include "solve/sparse.hpp"

#include <algorithm>
#include <stdexcept>

#include "base/sorted.hpp"
#include "solve/disjoint_sets.hpp"

namespace jointlight {

int SparsePattern::find(int i, int j) const {
  if (i < j) std::swap(i, j);
  const auto first = row.begin() + column_start[static_cast<std::size_t>(j)];
  const auto last = row.begin() + column_start[static_cast<std::size_t>(j) + 1];
  const auto found = std::lower_bound(first, last, i);
  return found != last && *found == i ? static_cast<int>(found - row.begin()) : -1;
}

bool SparsePattern::valid() const {
  if (n < 0 || column_start.size() != static_cast<std::size_t>(n) + 1) return false;
  if (column_start.front() != 0 || column_start.back() != nonzeros()) return false;
  for (std::size_t j = 0; j < static_cast<std::size_t>(n); ++j) {
    const int first = column_start[j], last = column_start[j + 1];
    if (first >= last || last > nonzeros()) return false;
    if (row[static_cast<std::size_t>(first)] != static_cast<int>(j)) return false;
    for (int k = first + 1; k < last; ++k) {
      const auto at = static_cast<std::size_t>(k);
      if (row[at] <= row[at - 1] || row[at] >= n) return false;
    }
  }
  return true;
}

SparsePattern SparsePattern::dense(int n) {
  SparsePattern pattern{.n = n, .column_start = {0}, .row = {}};
  for (int j = 0; j < n; ++j) {
    for (int i = j; i < n; ++i) pattern.row.push_back(i);
    pattern.column_start.push_back(pattern.nonzeros());
  }
  return pattern;
}

SparsePattern SparsePattern::from_pairs(int n, std::vector<std::pair<int, int>> pairs) {
  for (auto& [j, i] : pairs) {
    if (std::min(i, j) < 0 || std::max(i, j) >= n) {
      throw std::invalid_argument("sparse pattern: index out of range");
    }
    if (i < j) std::swap(i, j);
  }
  for (int j = 0; j < n; ++j) pairs.emplace_back(j, j);
  sort_unique(pairs);
  SparsePattern pattern{
      .n = n, .column_start = std::vector<int>(static_cast<std::size_t>(n) + 1, 0), .row = {}};
  pattern.row.reserve(pairs.size());
  for (const auto& [j, i] : pairs) {
    pattern.row.push_back(i);
    pattern.column_start[static_cast<std::size_t>(j) + 1] = pattern.nonzeros();
  }
  return pattern;
}

SparsePattern SparsePattern::from_groups(int n, std::span<const std::vector<int>> groups) {
  std::vector<std::pair<int, int>> pairs;
  for (const auto& group : groups) {
    for (std::size_t a = 0; a < group.size(); ++a) {
      for (std::size_t b = 0; b <= a; ++b) pairs.emplace_back(group[a], group[b]);
    }
  }
  return from_pairs(n, std::move(pairs));
}

std::vector<std::vector<int>> SparsePattern::components(
    std::span<const std::uint8_t> active) const {
  DisjointSets sets(static_cast<std::size_t>(n));
  const auto is_active = [&](int i) { return active[static_cast<std::size_t>(i)] != 0; };
  for (int j = 0; j < n; ++j) {
    for (int k = diagonal(j); k < diagonal(j + 1); ++k) {
      const int i = row[static_cast<std::size_t>(k)];
      if (is_active(i) && is_active(j)) {
        sets.join(static_cast<std::size_t>(i), static_cast<std::size_t>(j));
      }
    }
  }
  std::vector<std::vector<int>> result;
  std::vector<int> label(static_cast<std::size_t>(n), -1);
  for (int j = 0; j < n; ++j) {
    if (!is_active(j)) continue;
    int& number = label[sets.root(static_cast<std::size_t>(j))];
    if (number < 0) {
      number = static_cast<int>(result.size());
      result.emplace_back();
    }
    result[static_cast<std::size_t>(number)].push_back(j);
  }
  return result;
}

SparsePattern SparsePattern::restricted(std::span<const int> coordinates,
                                        std::vector<int>& entries) const {
  SparsePattern part{.n = static_cast<int>(coordinates.size()), .column_start = {0}, .row = {}};
  entries.clear();
  for (const int j : coordinates) {
    auto inside = coordinates.begin();
    for (int k = diagonal(j); k < diagonal(j + 1); ++k) {
      const int i = row[static_cast<std::size_t>(k)];
      inside = std::lower_bound(inside, coordinates.end(), i);
      if (inside == coordinates.end()) break;
      if (*inside != i) continue;
      part.row.push_back(static_cast<int>(inside - coordinates.begin()));
      entries.push_back(k);
    }
    part.column_start.push_back(part.nonzeros());
  }
  return part;
}

void symmetric_multiply(const SparsePattern& pattern, std::span<const double> values,
                        std::span<const double> x, std::span<double> y) {
  std::fill(y.begin(), y.end(), 0.0);
  for (int j = 0; j < pattern.n; ++j) {
    const auto column = static_cast<std::size_t>(j);
    const auto first = static_cast<std::size_t>(pattern.diagonal(j));
    const auto last = static_cast<std::size_t>(pattern.diagonal(j + 1));
    double sum = values[first] * x[column];
    for (std::size_t k = first + 1; k < last; ++k) {
      const auto i = static_cast<std::size_t>(pattern.row[k]);
      sum += values[k] * x[i];
      y[i] += values[k] * x[column];
    }
    y[column] += sum;
  }
}

}  // namespace jointlight
