// SPDX-License-Identifier: BSD-3-Clause
// The parameter map (parameter_map.hpp) as plain data, and what is evaluated with it: for host and
// device. Function ties are the host's alone.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/macros.hpp"
#include "scene/chart_math.hpp"

namespace jointlight {

// How a free coordinate x stands for a natural value.
enum class ParameterChart : std::uint8_t { identity, logarithm, shear, shear_pair, fold };

// Coordinates that share a chart; scale = -1 for a pair.
struct ChartTriple {
  ParameterChart chart;
  int q, pa, scale;
};

struct ParameterView {
  int n_free = 0, n_slots = 0;
  const ParameterChart* chart = nullptr;  // [n_free]
  const int* triple = nullptr;            // [n_free] index into triples, -1 none
  const ChartTriple* triples = nullptr;   // those
  // slot i = constants[i] + sum coefficients * v[indices]
  const int *row_start = nullptr, *indices = nullptr;          // [n_slots + 1], [nnz]
  const double *coefficients = nullptr, *constants = nullptr;  // [nnz], [n_slots]
  const std::uint8_t* raw_slot = nullptr;                      // [n_slots] 1: chart coordinate
  const std::uint8_t* is_angle = nullptr;                      // [n_free] 1: period 180
  const double *prior_mean = nullptr, *prior_sigma = nullptr;  // [n_free] natural
};

JL_ISA_BEGIN

// The chart's coordinates, without its scale 0 for that.
struct TripleCoordinates {
  double shear[3];

  JL_HD TripleCoordinates(const ChartTriple& t, const double* x)
      : shear{x[t.q], x[t.pa], t.scale >= 0 ? x[t.scale] : 0.0} {}
};

JL_HD inline void natural_triple(const ChartTriple& t, const double* x, double* v) {
  if (t.chart == ParameterChart::fold) {
    const double q = x[t.q];
    v[t.q] = q > 1.0 ? 1.0 / q : q;
    v[t.pa] = q > 1.0 ? x[t.pa] + 90.0 : x[t.pa];
  } else {
    double ellipse[3];
    shear_to_ellipse(TripleCoordinates(t, x).shear, ellipse);
    v[t.q] = ellipse[0];
    v[t.pa] = ellipse[1];
    if (t.scale >= 0) v[t.scale] = ellipse[2];
  }
  v[t.pa] -= 180.0 * std::floor(v[t.pa] / 180.0);
}

// Natural values that coordinate i answers for: its own, or all of the chart that it leads.
JL_HD inline void natural_values(const ParameterView& map, int i, const double* x, double* v) {
  const int t = map.triple[i];
  if (t < 0) {
    v[i] = map.chart[i] == ParameterChart::logarithm ? std::exp(x[i]) : x[i];
  } else if (map.triples[t].q == i) {
    natural_triple(map.triples[t], x, v);
  }
}

// d(natural)/d(internal) of coordinate i as (column, value) pairs; returns how many.
JL_HD inline int natural_row(const ParameterView& map, int i, const double* x, int columns[3],
                             double values[3]) {
  columns[0] = i;
  values[0] = map.chart[i] == ParameterChart::logarithm ? std::exp(x[i]) : 1.0;
  if (map.triple[i] < 0) return 1;
  const ChartTriple& t = map.triples[map.triple[i]];
  if (t.chart == ParameterChart::fold) {
    const double q = x[t.q];
    if (q > 1.0 && i == t.q) values[0] = -1.0 / (q * q);
    return 1;
  }
  double jacobian[9];
  shear_jacobian(TripleCoordinates(t, x).shear, jacobian);
  const int row = i == t.q ? 0 : (i == t.pa ? 1 : 2), n = t.scale >= 0 ? 3 : 2;
  const int members[3] = {t.q, t.pa, t.scale};
  for (int k = 0; k < n; ++k) {
    columns[k] = members[k];
    values[k] = jacobian[3 * row + k];
  }
  return n;
}

// Value of a slot, and d(slot)/d(values) into its row of `coefficients` [nnz]; `values` are chart
// coordinates (`internal`) or natural ones.
JL_HD inline double slot_value(const ParameterView& map, int slot, const double* values,
                               const double* natural, bool internal, double* coefficients) {
  const double* from = internal && map.raw_slot[slot] != 0 ? values : natural;
  double sum = map.constants[slot];
  for (int e = map.row_start[slot]; e < map.row_start[slot + 1]; ++e) {
    const int i = map.indices[e];
    const double coefficient = map.coefficients[e], value = from[i];
    sum += coefficient * value;
    const bool by_log = internal && map.chart[i] == ParameterChart::logarithm;
    coefficients[e] = by_log ? coefficient * value : coefficient;
  }
  return sum;
}

// Everything of one evaluation but function ties; false if `values` are not finite.
JL_HD inline bool evaluate_parameters(const ParameterView& map, const double* values, bool internal,
                                      double* natural, double* slots, double* coefficients) {
  for (int i = 0; i < map.n_free; ++i) {
    if (internal) {
      natural_values(map, i, values, natural);
    } else {
      natural[i] = values[i];
    }
  }
  for (int slot = 0; slot < map.n_slots; ++slot) {
    slots[slot] = slot_value(map, slot, values, natural, internal, coefficients);
  }
  return all_finite(values, map.n_free);
}

// Off the prior's mean; on a position angle priors repeat every 180 degrees.
JL_HD inline double prior_residual(const ParameterView& map, int i, double natural) {
  const double residual = natural - map.prior_mean[i];
  return map.is_angle[i] != 0 ? residual - 180.0 * std::round(residual / 180.0) : residual;
}

// chi2 of coordinate i's prior.
JL_HD inline double prior_chi2(const ParameterView& map, int i, const double* natural) {
  const double sigma = map.prior_sigma[i];
  if (!std::isfinite(sigma)) return 0.0;
  const double pull = prior_residual(map, i, natural[i]) / sigma;
  return pull * pull;
}

// The prior on coordinate i in the gradient, and in J^T W J by add(i, j, h).
template <class Add>
JL_HD inline void add_prior(const ParameterView& map, int i, const double* x, bool internal,
                            const double* natural, double* gradient, const Add& add) {
  const double sigma = map.prior_sigma[i];
  if (!std::isfinite(sigma)) return;
  const double weight = 1.0 / (sigma * sigma), residual = prior_residual(map, i, natural[i]);
  int columns[3] = {i, 0, 0}, n = 1;
  double values[3] = {1.0, 0.0, 0.0};
  if (internal) n = natural_row(map, i, x, columns, values);
  for (int a = 0; a < n; ++a) {
    gradient[columns[a]] += weight * residual * values[a];
    for (int b = 0; b <= a; ++b) add(columns[a], columns[b], weight * values[a] * values[b]);
  }
}

JL_ISA_END
}  // namespace jointlight
