// SPDX-License-Identifier: BSD-3-Clause
// Where J^T W J may be non-zero: compressed columns of the lower triangle, fixed for a whole fit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace jointlight {

// Rows of column j are row[column_start[j]] ... row[column_start[j + 1] - 1]; they are strictly
// increasing and the first one is j itself, so the diagonal value of j sits at column_start[j].
// Values live apart, in an array of nonzeros() doubles in the same order.
struct SparsePattern {
  int n = 0;
  std::vector<int> column_start;  // [n + 1]
  std::vector<int> row;           // [nonzeros]

  int nonzeros() const { return static_cast<int>(row.size()); }
  int diagonal(int j) const { return column_start[static_cast<std::size_t>(j)]; }

  // Position of (i, j) in the value array, either triangle; -1 where the pattern has no entry.
  int find(int i, int j) const;

  // True if the arrays are consistent with the rules above.
  bool valid() const;

  // Every pair coupled: column-packed lower triangle.
  static SparsePattern dense(int n);

  // Coordinates that appear in one group are coupled to each other; the diagonal is always there.
  // Groups may overlap, repeat and hold an index twice.
  static SparsePattern from_groups(int n, std::span<const std::vector<int>> groups);

  // Arbitrary (i, j) pairs, either triangle, repeats allowed.
  static SparsePattern from_pairs(int n, std::vector<std::pair<int, int>> pairs);

  // Connected components of the coordinates that are active [n], each sorted, ordered by their
  // first member.
  std::vector<std::vector<int>> components(std::span<const std::uint8_t> active) const;

  // The pattern among some coordinates (ascending); entries: position here of each of its own.
  SparsePattern restricted(std::span<const int> coordinates, std::vector<int>& entries) const;
};

// y = A x for the symmetric matrix A given by its lower triangle.
void symmetric_multiply(const SparsePattern& pattern, std::span<const double> values,
                        std::span<const double> x, std::span<double> y);

}  // namespace jointlight
