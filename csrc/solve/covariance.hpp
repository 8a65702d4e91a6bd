// SPDX-License-Identifier: BSD-3-Clause
// Inverse of J^T W J with its degenerate directions named instead of inverted.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "solve/options.hpp"
#include "solve/sparse.hpp"

namespace jointlight {

struct Covariance {
  // [n * n] row-major; rows and columns of held or degenerate coordinates are NaN. Empty above
  // LMOptions::covariance_max_size, or where h is not finite.
  std::vector<double> matrix;

  // Above that size instead: the pairs of the pattern, in its order [nnz].
  std::vector<double> sparse;

  // Groups of coordinates bound together by a degenerate direction, each sorted, ordered by their
  // first member; one alone has no influence on the data.
  std::vector<std::vector<int>> degenerate;
};

// h: [nnz]; held: [n], non-zero where a coordinate is fixed (on a bound). The covariance of the
// rest is marginal over whatever the data do determine of the degenerate coordinates.
Covariance covariance(const SparsePattern& pattern, std::span<const double> h,
                      std::span<const std::uint8_t> held, const LMOptions& options);

// Columns C w of that covariance C, for right-hand sides w: columns [k][n] is overwritten. NaN
// wherever held or degenerate coordinates come in. Returns false where h is not finite.
bool covariance_columns(const SparsePattern& pattern, std::span<const double> h,
                        std::span<const std::uint8_t> held, const LMOptions& options,
                        std::span<double> columns, int k);

}  // namespace jointlight
