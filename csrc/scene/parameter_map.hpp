// SPDX-License-Identifier: BSD-3-Clause
// The one map from free parameters to the slots of every tile: charts, sparse linear ties,
// functions, bounds and priors, with the exact chain rule.
//
//   x (internal) --chart--> v (natural: q, PA, Re, ...) --ties--> slots
//
// Charts make the fit's coordinates well behaved: logarithms of scales and shapes, and for a
// (q, PA, scale) triple the log-shear coordinates in which the circle is an ordinary point.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "scene/parameter_view.hpp"

namespace jointlight {

// slots[outputs] = f(v[inputs]); jacobian [n_outputs][n_inputs]. Returns false where f has no
// finite value. Called once per evaluation, never from a worker thread.
struct FunctionTie {
  std::vector<int> inputs, outputs;
  std::function<bool(const double* inputs, double* values, double* jacobian)> evaluate;
};

// Rows in compressed form: slot i = constants[i] + sum coefficients * v[indices].
struct ParameterSpec {
  int n_free = 0, n_slots = 0;
  std::vector<double> start, lower, upper;      // [n_free] natural
  std::vector<int> row_start, indices;          // [n_slots + 1], [nnz]
  std::vector<double> coefficients, constants;  // [nnz], [n_slots]
  std::vector<double> prior_mean, prior_sigma;  // [n_free], sigma NaN or inf = none
  std::vector<FunctionTie> functions;
};

// What each slot of a tile is, so that charts can be chosen.
struct SlotUse {
  std::vector<int> slots;
  TileGeometry* geometry;  // chart is written here
};

// All that one evaluation needs of the parameters.
struct ParameterState {
  std::vector<double> natural;       // [n_free]
  std::vector<double> slots;         // [n_slots]
  std::vector<double> coefficients;  // [nnz] d(slot)/d(free coordinate), ties and charts folded in
  bool valid = true;                 // every slot is finite
};

class ParameterMap {
 public:
  ParameterMap(ParameterSpec spec, std::span<const SlotUse> uses);

  int n_free() const { return spec_.n_free; }
  const ParameterSpec& spec() const { return spec_; }

  std::vector<double> to_internal(std::span<const double> natural) const;
  std::vector<double> to_natural(std::span<const double> x) const;
  std::span<const double> lower() const { return lower_; }  // internal box
  std::span<const double> upper() const { return upper_; }
  std::span<const double> max_step() const { return max_step_; }

  // Plain data for evaluations elsewhere; valid as long as this map.
  ParameterView view() const;

  // `internal`: values are chart coordinates and derivatives are by them; else natural ones.
  void evaluate(std::span<const double> values, bool internal, ParameterState& state) const;

  // Free coordinates behind a slot: entries of `indices` and ParameterState::coefficients.
  int row_begin(int slot) const { return spec_.row_start[static_cast<std::size_t>(slot)]; }
  int row_end(int slot) const { return spec_.row_start[static_cast<std::size_t>(slot) + 1]; }
  int free_index(int entry) const { return spec_.indices[static_cast<std::size_t>(entry)]; }

  // Whether every slot is linear in coordinate i, with constant coefficients.
  bool is_linear(int i) const;

  // Gaussian priors: their chi2, their part of the gradient, and their contributions to J^T W J by
  // add(i, j, h). On a position angle they repeat every 180 degrees.
  double prior_chi2(const ParameterState& state, int i) const;  // of coordinate i
  void add_priors(std::span<const double> x, bool internal, const ParameterState& state,
                  std::span<double> gradient,
                  const std::function<void(int, int, double)>& add) const;

  // Row-major [n][n] covariance of x -> of v.
  void covariance_to_natural(std::span<const double> x, std::vector<double>& covariance) const;

  // A natural value off its limit by no more than a chart's rounding: the limit itself.
  double at_limit(int i, double value) const;

  // Covariance of v_i and v_j from that of x, given entry by entry.
  double natural_covariance(std::span<const double> x, int i, int j,
                            const std::function<double(int, int)>& internal) const;
  // Row i of dv/dx: added to a vector [n], or applied to one.
  void add_natural_row(std::span<const double> x, int i, std::span<double> row) const;
  double natural_component(std::span<const double> x, int i, std::span<const double> dx) const;

  // Ellipses as thin as may be drawn: `held` is the coordinate of the two of their chart that
  // hardly changes them, to be left out of the covariance; natural parameter `q` has none.
  struct Pinned {
    int q = 0, held = 0;
  };
  std::vector<Pinned> pinned(std::span<const double> x) const;

  // Groups of coordinates that a chart couples.
  std::vector<std::vector<int>> chart_groups() const;

 private:
  void validate() const;
  void choose_charts(std::span<const SlotUse> uses);

  ParameterSpec spec_;
  std::vector<ParameterChart> chart_;  // [n_free]
  std::vector<int> triple_;            // [n_free] index into triples_, -1 none
  std::vector<ChartTriple> triples_;
  std::vector<std::uint8_t> is_angle_;  // [n_free] 1: a position angle, period 180
  std::vector<std::uint8_t> raw_slot_;  // [n_slots] 1: the slot is the chart coordinate itself
  std::vector<double> lower_, upper_, max_step_;
};

}  // namespace jointlight
