// SPDX-License-Identifier: BSD-3-Clause
#ifndef EIGEN_MPL2_ONLY
#define EIGEN_MPL2_ONLY
#endif
#include "solve/linear_solver.hpp"

#include <Eigen/Dense>
#include <Eigen/SparseCholesky>
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>

#include "base/stage_clock.hpp"
#include "solve/block_factor.hpp"
#include "solve/cholesky.hpp"

namespace jointlight {
namespace {

using SparseMatrix = Eigen::SparseMatrix<double, Eigen::ColMajor, int>;

// A dense flop is worth this many of the factorisation in blocks.
constexpr double sparse_flop_cost = 2.0;

// Where the dense matrix would outgrow memory (6000^2 doubles = 288 MB).
constexpr int dense_memory_max = 6000;

class SparseFactor
    : public Eigen::SimplicialLDLT<SparseMatrix, Eigen::Lower, Eigen::AMDOrdering<int>> {
 public:
  // Inverse on the factor's pattern, in elimination order: diagonal [n], and below it in the
  // order of the factor's values.
  void invert(std::vector<double>& diagonal, std::vector<double>& below) const {
    const Eigen::Index n = m_matrix.outerSize();
    const int* start = m_matrix.outerIndexPtr();
    const int* row = m_matrix.innerIndexPtr();
    const double* factor = m_matrix.valuePtr();
    diagonal.resize(static_cast<std::size_t>(n));
    below.assign(static_cast<std::size_t>(start[n]), 0.0);
    std::vector<int> place(static_cast<std::size_t>(n), -1);
    std::vector<double> sum;
    for (Eigen::Index j = n - 1; j >= 0; --j) {
      const int first = start[j], count = start[j + 1] - first;
      for (int k = 0; k < count; ++k) place[static_cast<std::size_t>(row[first + k])] = k;
      // z_ij = -sum_k z_ik l_kj over the rows k of column j; all z_ik lie on the pattern.
      sum.assign(static_cast<std::size_t>(count), 0.0);
      for (int k = 0; k < count; ++k) {
        const int c = row[first + k];
        const double l = factor[first + k];
        sum[static_cast<std::size_t>(k)] -= l * diagonal[static_cast<std::size_t>(c)];
        for (int e = start[c]; e < start[c + 1]; ++e) {
          const int i = place[static_cast<std::size_t>(row[e])];
          if (i < 0) continue;
          const double z = below[static_cast<std::size_t>(e)];
          sum[static_cast<std::size_t>(i)] -= l * z;
          sum[static_cast<std::size_t>(k)] -= factor[first + i] * z;
        }
      }
      double own = 1.0 / m_diag.coeff(j);
      for (int k = 0; k < count; ++k) {
        below[static_cast<std::size_t>(first + k)] = sum[static_cast<std::size_t>(k)];
        own -= factor[first + k] * sum[static_cast<std::size_t>(k)];
        place[static_cast<std::size_t>(row[first + k])] = -1;
      }
      diagonal[static_cast<std::size_t>(j)] = own;
    }
  }
  const SparseMatrix& below_diagonal() const { return m_matrix; }
};

}  // namespace

struct LinearSolver::Workspace {
  std::vector<double> small;  // row-major [n][n]
  Eigen::MatrixXd dense;
  Eigen::LLT<Eigen::MatrixXd> dense_factor;
  std::optional<BlockFactor> blocks;
  std::vector<double> values;  // of the sparse matrix at hand
};

LinearSolver::LinearSolver(const SparsePattern& pattern, int dense_max_size)
    : pattern_(pattern), method_(Method::dense), workspace_(std::make_unique<Workspace>()) {
  if (pattern.n <= std::min(small_cholesky_max, dense_max_size)) {
    method_ = Method::small;
  } else if (pattern.n > dense_max_size) {
    const double n = pattern.n;
    workspace_->blocks.emplace(pattern);
    if (pattern.n > dense_memory_max ||
        sparse_flop_cost * workspace_->blocks->flops() < n * n * n / 3.0) {
      method_ = Method::sparse;
    } else {
      workspace_->blocks.reset();
    }
  }
}

LinearSolver::LinearSolver(const SparsePattern& pattern, Method method)
    : pattern_(pattern), method_(method), workspace_(std::make_unique<Workspace>()) {
  if (method == Method::sparse) workspace_->blocks.emplace(pattern);
}

LinearSolver::~LinearSolver() = default;

Factorization LinearSolver::factor(std::span<const double> values, double min_pivot) {
  const StageClock clock(Stage::factor);
  if (!std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); })) {
    return Factorization::non_finite;
  }
  Workspace& w = *workspace_;
  const int n = pattern_.n;
  const auto each_entry = [&](auto&& put) {
    for (int j = 0; j < n; ++j) {
      for (int k = pattern_.diagonal(j); k < pattern_.diagonal(j + 1); ++k) {
        put(pattern_.row[static_cast<std::size_t>(k)], j, values[static_cast<std::size_t>(k)]);
      }
    }
  };
  if (method_ == Method::small) {
    w.small.assign(static_cast<std::size_t>(n) * static_cast<std::size_t>(n), 0.0);
    each_entry([&](int i, int j, double v) { w.small[static_cast<std::size_t>(i * n + j)] = v; });
    const int failed = cholesky_factor(w.small.data(), n, n, min_pivot);
    return failed == 0 ? Factorization::ok : Factorization::indefinite;
  }
  if (method_ == Method::dense) {
    w.dense.setZero(n, n);
    each_entry([&](int i, int j, double v) { w.dense(i, j) = v; });
    w.dense_factor.compute(w.dense);
    if (w.dense_factor.info() != Eigen::Success) return Factorization::indefinite;
  } else {
    w.values.assign(values.begin(), values.end());
    if (!w.blocks->factor(values)) return Factorization::indefinite;
  }
  const std::vector<double> d = pivots();
  const bool positive = std::all_of(d.begin(), d.end(), [&](double p) { return p > min_pivot; });
  return positive ? Factorization::ok : Factorization::indefinite;
}

std::vector<int> LinearSolver::weak(std::span<const double> values, double min_pivot) const {
  const int n = pattern_.n;
  std::vector<int> found;
  if (method_ == Method::sparse) {
    const std::vector<double> d = pivots();
    for (int i = 0; i < n; ++i) {
      if (!(d[static_cast<std::size_t>(i)] > min_pivot)) found.push_back(i);
    }
    return found;
  }
  // L D L^T column by column, a weak one passed over.
  Eigen::MatrixXd a = Eigen::MatrixXd::Zero(n, n);
  for (int j = 0; j < n; ++j) {
    for (int k = pattern_.diagonal(j); k < pattern_.diagonal(j + 1); ++k) {
      a(pattern_.row[static_cast<std::size_t>(k)], j) = values[static_cast<std::size_t>(k)];
    }
  }
  for (int j = 0; j < n; ++j) {
    if (!(a(j, j) > min_pivot)) {
      found.push_back(j);
      continue;
    }
    const int below = n - j - 1;
    const Eigen::VectorXd column = a.col(j).tail(below);
    a.bottomRightCorner(below, below)
        .selfadjointView<Eigen::Lower>()
        .rankUpdate(column, -1.0 / a(j, j));
  }
  return found;
}

void LinearSolver::solve(std::span<double> b) const {
  const StageClock clock(Stage::solve_system);
  const Workspace& w = *workspace_;
  if (method_ == Method::small) {
    cholesky_solve(w.small.data(), pattern_.n, pattern_.n, b.data());
    return;
  }
  Eigen::Map<Eigen::VectorXd> vector(b.data(), pattern_.n);
  if (method_ == Method::dense) {
    w.dense_factor.solveInPlace(vector);
  } else {
    w.blocks->solve(b);
  }
}

void LinearSolver::solve_many(std::span<double> b, int k) const {
  const Workspace& w = *workspace_;
  const auto n = static_cast<std::size_t>(pattern_.n);
  if (method_ != Method::dense) {
    for (int i = 0; i < k; ++i) solve(b.subspan(static_cast<std::size_t>(i) * n, n));
    return;
  }
  Eigen::Map<Eigen::MatrixXd> columns(b.data(), pattern_.n, k);
  w.dense_factor.solveInPlace(columns);
}

std::vector<double> LinearSolver::selected_inverse() const {
  const Workspace& w = *workspace_;
  const auto n = static_cast<std::size_t>(pattern_.n);
  std::vector<double> values(pattern_.row.size());
  const auto each_entry = [&](auto&& get) {
    for (int j = 0; j < pattern_.n; ++j) {
      for (int k = pattern_.diagonal(j); k < pattern_.diagonal(j + 1); ++k) {
        values[static_cast<std::size_t>(k)] = get(pattern_.row[static_cast<std::size_t>(k)], j);
      }
    }
  };
  if (method_ != Method::sparse) {
    std::vector<double> inverse(n * n, 0.0);
    for (std::size_t i = 0; i < n; ++i) inverse[i * n + i] = 1.0;
    solve_many(inverse, pattern_.n);
    each_entry([&](int i, int j) {
      return inverse[static_cast<std::size_t>(j) * n + static_cast<std::size_t>(i)];
    });
    return values;
  }
  // Once a fit: column by column, whose pattern the inverse is then known on.
  SparseFactor sparse_factor;
  sparse_factor.compute(Eigen::Map<const SparseMatrix>(pattern_.n, pattern_.n, pattern_.nonzeros(),
                                                       pattern_.column_start.data(),
                                                       pattern_.row.data(), w.values.data()));
  std::vector<double> diagonal, below;
  sparse_factor.invert(diagonal, below);
  const auto& order = sparse_factor.permutationP().indices();
  const SparseMatrix& factor = sparse_factor.below_diagonal();
  each_entry([&](int i, int j) {
    const int a = order.size() > 0 ? order(i) : i, b = order.size() > 0 ? order(j) : j;
    if (a == b) return diagonal[static_cast<std::size_t>(a)];
    const int* row = factor.innerIndexPtr();
    const int *first = row + factor.outerIndexPtr()[std::min(a, b)],
              *last = row + factor.outerIndexPtr()[std::min(a, b) + 1];
    return below[static_cast<std::size_t>(std::lower_bound(first, last, std::max(a, b)) - row)];
  });
  return values;
}

std::vector<double> LinearSolver::pivots() const {
  const Workspace& w = *workspace_;
  const int n = pattern_.n;
  std::vector<double> d(static_cast<std::size_t>(n));
  for (int i = 0; i < n; ++i) {
    double& out = d[static_cast<std::size_t>(i)];
    if (method_ == Method::small) {
      out = std::pow(w.small[static_cast<std::size_t>(i * n + i)], 2);
    } else if (method_ == Method::dense) {
      out = std::pow(w.dense_factor.matrixLLT()(i, i), 2);
    } else {
      out = w.blocks->pivots()[static_cast<std::size_t>(i)];
    }
  }
  return d;
}

bool symmetric_eigen(int n, std::span<double> a, std::span<double> w) {
  Eigen::Map<Eigen::MatrixXd> matrix(a.data(), n, n);
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(matrix);
  if (eigen.info() != Eigen::Success) return false;
  matrix = eigen.eigenvectors();
  Eigen::Map<Eigen::VectorXd>(w.data(), n) = eigen.eigenvalues();
  return true;
}

}  // namespace jointlight
