// SPDX-License-Identifier: BSD-3-Clause
// Symmetric positive definite systems on a fixed pattern. Eigen is known to linear_solver.cpp and
// block_factor.cpp alone.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "solve/sparse.hpp"

namespace jointlight {

enum class Factorization : std::uint8_t { ok, indefinite, non_finite };

class LinearSolver {
 public:
  enum class Method : std::uint8_t { small, dense, sparse };

  // Chooses the method and does the symbolic analysis. Above dense_max_size the sparse method is
  // taken unless its fill would make it slower than the dense one. The pattern must outlive *this.
  LinearSolver(const SparsePattern& pattern, int dense_max_size);
  LinearSolver(const SparsePattern& pattern, Method method);
  ~LinearSolver();
  LinearSolver(const LinearSolver&) = delete;
  LinearSolver& operator=(const LinearSolver&) = delete;

  Method method() const { return method_; }

  // values: [nnz] in the pattern's order. indefinite: some pivot of L D L^T is <= min_pivot.
  Factorization factor(std::span<const double> values, double min_pivot);

  // Coordinates to leave out where factor() found these values indefinite: those whose pivots are
  // <= min_pivot once the ones before them are out.
  std::vector<int> weak(std::span<const double> values, double min_pivot) const;

  // b <- A^-1 b, after a factorisation that was ok.
  void solve(std::span<double> b) const;

  // The same for k right-hand sides, b [k][n].
  void solve_many(std::span<double> b, int k) const;

  // A^-1 where the pattern has entries, in its order (Takahashi, Fagan & Chin 1973: the inverse on
  // the pattern of the factor follows from the factor alone).
  std::vector<double> selected_inverse() const;

  // D of L D L^T, by coordinate, in this solver's own elimination order [n].
  std::vector<double> pivots() const;

 private:
  struct Workspace;
  const SparsePattern& pattern_;
  Method method_;
  std::unique_ptr<Workspace> workspace_;
};

// Eigen-decomposition of a dense symmetric matrix a [n * n]: ascending eigenvalues w [n]; a is
// overwritten by the eigenvectors, vector k in a[k * n ... k * n + n - 1]. False if it failed.
bool symmetric_eigen(int n, std::span<double> a, std::span<double> w);

}  // namespace jointlight
