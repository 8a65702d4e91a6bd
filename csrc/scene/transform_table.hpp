// SPDX-License-Identifier: BSD-3-Clause
// Radial (Hankel) transform f(rho) = 2 pi int r I(r) J0(rho r) dr of a profile, tabulated once in
// (ln rho, ln shape) and interpolated to high order, with exact derivatives.
//
// By Parseval's formula for the Mellin transform,
//   f(rho) = 1/(2 pi i) int_(c - i inf)^(c + i inf) rho^-s 2 pi 2^(s-1) Gamma(s/2)/Gamma(1 - s/2)
//            M(2 - s) ds,     M(s) = int_0^inf r^(s-1) I(r) dr,
// whose integrand decays exponentially along the line, so the trapezoidal rule converges
// exponentially. A profile therefore only has to state M. Nodes in shape are computed when first
// needed (a fraction of a millisecond each).
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "scene/profile_registry.hpp"
#include "scene/tile.hpp"
#include "scene/transform_view.hpp"

namespace jointlight {

class TransformTable {
 public:
  explicit TransformTable(const ProfileInfo& profile);

  // Doubles that `fill` writes for rho^2 in [low, high], and at most.
  static std::size_t size(double low, double high);
  static std::size_t capacity();

  // One-dimensional table at `shape` covering rho^2 in [low, high]; memory from the caller.
  void fill(const double* shape, double low, double high, double* memory, RadialTable& table) const;

  // All of that table but its coefficients.
  void describe(const double* shape, double low, double high, RadialTable& table) const;

  // f at one radius (set-up only).
  double value(const double* shape, double rho2) const;
  static double value(const RadialTable& table, double rho2);

  // f(0) = flux of unit amplitude and unit scale radius; derivatives by shape.
  double flux_factor(const double* shape, double* by_shape) const;

  // Every node that shapes in [shape_min, shape_max] need, made now and copied into `memory`, which
  // the view points to: for executors that make none.
  TransformView export_nodes(double shape_min, double shape_max, std::vector<double>& memory) const;

  // No nodes are made in between.
  void lock() const { mutex_.lock(); }
  void unlock() const { mutex_.unlock(); }

 private:
  using Node = std::vector<double>;  // [TransformGrid::node_size]

  const double* node(int index) const;
  Node compute(double shape) const;
  TransformStencil stencil(const double* shape) const;

  ProfileInfo profile_;
  TransformView grid_;              // without nodes
  mutable std::mutex mutex_;        // guards making nodes
  mutable std::vector<Node> made_;  // owner; moving it leaves the nodes in place
  std::unique_ptr<std::atomic<const double*>[]> nodes_;  // [n_nodes] null until made
};

// The table of one registered profile, made at first use and shared.
const TransformTable& transform_table(int profile);

}  // namespace jointlight
