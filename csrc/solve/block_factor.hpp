// SPDX-License-Identifier: BSD-3-Clause
// L D L^T of a sparse symmetric matrix in dense pieces (the multifrontal method of Duff & Reid
// 1983). Coordinates of one source are coupled to the same others, so the pieces are large and the
// arithmetic is that of dense matrices.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "solve/sparse.hpp"

namespace jointlight {

class BlockFactor {
 public:
  // Ordering and symbolic analysis.
  explicit BlockFactor(const SparsePattern& pattern);

  double flops() const { return flops_; }  // multiply-adds of a factorisation

  // values: [nnz] in the pattern's order. Goes on after pivots that are not positive; false if one
  // is zero or not finite.
  bool factor(std::span<const double> values);

  // b <- A^-1 b, [n].
  void solve(std::span<double> b) const;

  // D, by coordinate [n].
  std::span<const double> pivots() const { return pivots_; }

 private:
  // Coordinates that are eliminated together. Its matrix is that of them and of those later ones
  // that are coupled to them: its own columns stay, what is left of the others goes to its parent.
  struct Front {
    int n_own = 0, n_all = 0;         // columns, rows
    int parent = -1;                  // front
    std::size_t first_row = 0;        // into rows_
    std::size_t panel = 0;            // into panels_: [n_own][n_all], columns
    std::size_t first_entry = 0;      // into entries_
    std::size_t first_in_parent = 0;  // into in_parent_: [n_all - n_own]
  };
  struct Entry {
    int value = 0;  // position among the values
    int place = 0;  // in the panel
  };

  void plan(const SparsePattern& pattern, std::span<const std::vector<int>> blocks,
            std::span<const int> block_of);
  void eliminate(const Front& front, double* panel, double* left);

  int n_ = 0;
  double flops_ = 0.0;
  std::vector<Front> fronts_;   // children before parents
  std::vector<int> rows_;       // coordinates of every front, its own first
  std::vector<Entry> entries_;  // of the matrix, by front
  std::vector<int> in_parent_;  // rows that are handed on -> rows of the parent
  std::vector<double> panels_;  // L below a unit diagonal that is not stored as such
  std::vector<double> pivots_;  // [n]
  std::vector<double> stack_;   // what fronts have handed on and parents not yet taken
  std::vector<double> scaled_;  // L D of the rows handed on
};

}  // namespace jointlight
