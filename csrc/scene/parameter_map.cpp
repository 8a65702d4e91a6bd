// SPDX-License-Identifier: BSD-3-Clause
#include "scene/parameter_map.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/error.hpp"

namespace jointlight {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr int q_role = 2, pa_role = 3, scale_role = 4;  // slots of an elliptical profile

std::size_t at(int i) { return static_cast<std::size_t>(i); }

// Longest step of a centre, in the largest pixels it is seen with.
constexpr double centre_step_px = 10.0;

// So near the thinnest ellipse, its axis ratio is at a limit.
constexpr double pinned_margin = 0.02;

// Pixels; smaller sources cannot be told from points.
constexpr double smallest_scale_px = 3e-3;

// Least scale in arcsec of a parameter that appears in (use, role).
double smallest_scale(std::span<const SlotUse> uses,
                      const std::vector<std::pair<int, int>>& appearances) {
  double area = infinity;
  for (const auto& appearance : appearances) {
    area = std::min(area, uses[at(appearance.first)].geometry->map.pixel_area);
  }
  return smallest_scale_px * std::sqrt(area);
}

}  // namespace

ParameterMap::ParameterMap(ParameterSpec spec, std::span<const SlotUse> uses)
    : spec_(std::move(spec)) {
  validate();
  const auto n = at(spec_.n_free);
  chart_.assign(n, ParameterChart::identity);
  triple_.assign(n, -1);
  is_angle_.assign(n, 0);
  raw_slot_.assign(at(spec_.n_slots), 0);
  lower_ = spec_.lower;
  upper_ = spec_.upper;
  max_step_.assign(n, infinity);
  choose_charts(uses);
}

void ParameterMap::validate() const {
  const auto n = at(spec_.n_free);
  require(spec_.start.size() == n && spec_.lower.size() == n && spec_.upper.size() == n &&
              spec_.prior_mean.size() == n && spec_.prior_sigma.size() == n,
          "start, lower, upper, prior_mean and prior_sigma must have length n_free = ", n);
  require(spec_.row_start.size() == at(spec_.n_slots) + 1 && spec_.row_start.front() == 0 &&
              spec_.row_start.back() == static_cast<int>(spec_.indices.size()) &&
              spec_.indices.size() == spec_.coefficients.size(),
          "slot rows are inconsistent: indptr, indices and coefs must form a sparse matrix");
  for (int index : spec_.indices) {
    require(index >= 0 && index < spec_.n_free, "slot row refers to free parameter ", index,
            ", allowed 0..", spec_.n_free - 1);
  }
  for (std::size_t slot = 0; slot < at(spec_.n_slots); ++slot) {
    require(spec_.row_start[slot] <= spec_.row_start[slot + 1], "indptr falls at slot ", slot);
  }
  for (const FunctionTie& tie : spec_.functions) {
    for (int i : tie.inputs) {
      require(i >= 0 && i < spec_.n_free, "function input ", i, ", allowed 0..", spec_.n_free - 1);
    }
    for (int slot : tie.outputs) {
      require(slot >= 0 && slot < spec_.n_slots, "function output ", slot, ", allowed 0..",
              spec_.n_slots - 1);
      // The derivative by an input needs its place in the slot's row.
      for (int i : tie.inputs) {
        const auto begin = spec_.indices.begin() + row_begin(slot);
        const auto end = spec_.indices.begin() + row_end(slot);
        require(std::count(begin, end, i) == 1, "row of function output ", slot,
                " must hold input ", i, " once");
      }
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    require(std::isfinite(spec_.start[i]), "start[", i, "] = ", spec_.start[i], " is not finite");
    require(spec_.lower[i] <= spec_.upper[i], "lower[", i, "] = ", spec_.lower[i],
            " exceeds upper = ", spec_.upper[i]);
  }
}

void ParameterMap::choose_charts(std::span<const SlotUse> uses) {
  // A slot that is one free parameter, unscaled; -1 otherwise.
  std::vector<int> output_of_function(at(spec_.n_slots), 0);
  std::vector<std::uint8_t> in_function(at(spec_.n_free), 0);
  for (const FunctionTie& tie : spec_.functions) {
    for (int slot : tie.outputs) output_of_function[at(slot)] = 1;
    for (int i : tie.inputs) in_function[at(i)] = 1;
  }
  const auto single = [&](int slot) {
    if (output_of_function[at(slot)] != 0 || row_end(slot) - row_begin(slot) != 1 ||
        spec_.coefficients[at(row_begin(slot))] != 1.0 || spec_.constants[at(slot)] != 0.0) {
      return -1;
    }
    return free_index(row_begin(slot));
  };
  // Every appearance of a free parameter, by the role it plays there (-1: scaled or summed).
  std::vector<std::vector<std::pair<int, int>>> appearances(at(spec_.n_free));  // (use, role)
  for (std::size_t u = 0; u < uses.size(); ++u) {
    for (std::size_t role = 0; role < uses[u].slots.size(); ++role) {
      const int slot = uses[u].slots[role];
      const bool is_single = single(slot) >= 0;
      for (int e = row_begin(slot); e < row_end(slot); ++e) {
        appearances[at(free_index(e))].emplace_back(static_cast<int>(u),
                                                    is_single ? static_cast<int>(role) : -1);
      }
    }
  }
  const auto elliptical = [&](const SlotUse& use) {
    return use.geometry->kind == ComponentKind::profile;
  };
  const auto partner = [&](const SlotUse& use, int role) { return single(use.slots[at(role)]); };

  for (std::size_t i = 0; i < appearances.size(); ++i) {
    is_angle_[i] =
        !appearances[i].empty() &&
        std::all_of(appearances[i].begin(), appearances[i].end(), [&](const auto& where) {
          return where.second == pa_role && elliptical(uses[at(where.first)]);
        });
  }

  for (const SlotUse& use : uses) {
    if (!elliptical(use)) continue;
    const int q = partner(use, q_role), pa = partner(use, pa_role), r = partner(use, scale_role);
    if (q < 0 || pa < 0 || q == pa || triple_[at(q)] >= 0 || triple_[at(pa)] >= 0) continue;
    if (in_function[at(q)] || in_function[at(pa)]) continue;
    const auto only_with = [&](int free, int role, int other, int other_role) {
      for (const auto& [u, found] : appearances[at(free)]) {
        const SlotUse& where = uses[at(u)];
        if (found != role || !elliptical(where) || partner(where, other_role) != other)
          return false;
      }
      return true;
    };
    if (!only_with(q, q_role, pa, pa_role) || !only_with(pa, pa_role, q, q_role)) continue;
    // PA must be free to turn and q to approach the circle from any side.
    if (std::isfinite(lower_[at(pa)]) || std::isfinite(upper_[at(pa)])) continue;
    if (upper_[at(q)] != 1.0) continue;
    const bool closed = r >= 0 && r != q && r != pa && triple_[at(r)] < 0 && !in_function[at(r)] &&
                        only_with(r, scale_role, q, q_role) && only_with(q, q_role, r, scale_role);
    const bool open_q = lower_[at(q)] <= thinnest;  // flatter than that is not drawn at all
    const bool open_scale = closed && lower_[at(r)] <= 0.0 && upper_[at(r)] == infinity;
    ChartTriple triple{ParameterChart::shear_pair, q, pa, -1};
    if (open_q && open_scale) {
      triple = {ParameterChart::shear, q, pa, r};
    } else if (!open_q) {
      // Limits on q keep their meaning as a box in q itself; q > 1 stands for the same ellipse with
      // its axes swapped.
      triple = {ParameterChart::fold, q, pa, -1};
    }
    const int index = static_cast<int>(triples_.size());
    triples_.push_back(triple);
    for (int member : {triple.q, triple.pa, triple.scale}) {
      if (member < 0) continue;
      triple_[at(member)] = index;
      chart_[at(member)] = triple.chart;
    }
    for (const auto& appearance : appearances[at(triple.q)]) {
      const SlotUse& where = uses[at(appearance.first)];
      where.geometry->chart = triple.chart == ParameterChart::shear  ? ShapeChart::log_shear
                              : triple.chart == ParameterChart::fold ? ShapeChart::folded
                                                                     : ShapeChart::shear_major;
      raw_slot_[at(where.slots[q_role])] = raw_slot_[at(where.slots[pa_role])] = 1;
      if (triple.chart == ParameterChart::shear) raw_slot_[at(where.slots[scale_role])] = 1;
    }
    if (triple.chart == ParameterChart::fold) {
      upper_[at(q)] = 1.0 / lower_[at(q)];
      max_step_[at(q)] = 0.25;
      max_step_[at(pa)] = 40.0;
      continue;
    }
    for (int member : {triple.q, triple.pa}) {
      lower_[at(member)] = -infinity;
      upper_[at(member)] = infinity;
      max_step_[at(member)] = 0.4;
    }
    if (triple.scale >= 0) {
      // A source this small beside every pixel is a point, and its size no longer means anything.
      lower_[at(triple.scale)] = std::log(smallest_scale(uses, appearances[at(triple.scale)]));
      max_step_[at(triple.scale)] = 1.0;
    }
  }

  // A source flung far away in one step would hardly come back.
  for (const SlotUse& use : uses) {
    if (use.geometry->kind != ComponentKind::profile &&
        use.geometry->kind != ComponentKind::point) {
      continue;
    }
    for (int role = 0; role < 2; ++role) {
      const int free = partner(use, role);
      if (free < 0 || chart_[at(free)] != ParameterChart::identity) continue;
      const double pixel = std::sqrt(use.geometry->map.pixel_area);
      double& step = max_step_[at(free)];
      step = std::max(std::isfinite(step) ? step : 0.0, centre_step_px * pixel);
    }
  }

  // Scales and shapes on their own: logarithms.
  for (const SlotUse& use : uses) {
    if (!elliptical(use)) continue;
    for (int role = scale_role; role < use.geometry->n_slots - 1; ++role) {
      const int free = partner(use, role);
      if (free < 0 || triple_[at(free)] >= 0 || chart_[at(free)] == ParameterChart::logarithm)
        continue;
      const bool everywhere = std::all_of(
          appearances[at(free)].begin(), appearances[at(free)].end(),
          [](const auto& where) { return where.second < 0 || where.second >= scale_role; });
      if (!everywhere || !(lower_[at(free)] >= 0.0) || !(spec_.start[at(free)] > 0.0)) continue;
      chart_[at(free)] = ParameterChart::logarithm;
      lower_[at(free)] = lower_[at(free)] > 0.0 ? std::log(lower_[at(free)]) : -infinity;
      upper_[at(free)] = std::log(upper_[at(free)]);
      max_step_[at(free)] = role == scale_role ? 1.0 : 0.7;
    }
  }
}

std::vector<double> ParameterMap::to_internal(std::span<const double> natural) const {
  std::vector<double> x(natural.begin(), natural.end());
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (chart_[i] == ParameterChart::logarithm) x[i] = std::log(std::max(natural[i], 1e-300));
  }
  for (const ChartTriple& t : triples_) {
    if (t.chart == ParameterChart::fold) continue;
    const double scale = t.scale >= 0 ? natural[at(t.scale)] : 1.0;
    // Exactly round has no direction; start a hair away so that PA keeps the given value.
    const double q = std::min(std::max(natural[at(t.q)], thinnest), 1.0 - 1e-7);
    const double ellipse[3] = {q, natural[at(t.pa)], std::max(scale, 1e-300)};
    double shear[3];
    ellipse_to_shear(ellipse, shear);
    x[at(t.q)] = shear[0];
    x[at(t.pa)] = shear[1];
    if (t.scale >= 0) x[at(t.scale)] = shear[2];
  }
  return x;
}

std::vector<double> ParameterMap::to_natural(std::span<const double> x) const {
  const ParameterView map = view();
  std::vector<double> v(x.size());
  for (int i = 0; i < map.n_free; ++i) natural_values(map, i, x.data(), v.data());
  return v;
}

ParameterView ParameterMap::view() const {
  return {.n_free = spec_.n_free,
          .n_slots = spec_.n_slots,
          .chart = chart_.data(),
          .triple = triple_.data(),
          .triples = triples_.data(),
          .row_start = spec_.row_start.data(),
          .indices = spec_.indices.data(),
          .coefficients = spec_.coefficients.data(),
          .constants = spec_.constants.data(),
          .raw_slot = raw_slot_.data(),
          .is_angle = is_angle_.data(),
          .prior_mean = spec_.prior_mean.data(),
          .prior_sigma = spec_.prior_sigma.data()};
}

void ParameterMap::evaluate(std::span<const double> values, bool internal,
                            ParameterState& state) const {
  state.natural.resize(at(spec_.n_free));
  state.slots.resize(at(spec_.n_slots));
  state.coefficients.resize(spec_.coefficients.size());
  state.valid = evaluate_parameters(view(), values.data(), internal, state.natural.data(),
                                    state.slots.data(), state.coefficients.data());
  std::vector<double> inputs, outputs, jacobian;
  for (const FunctionTie& tie : spec_.functions) {
    const std::size_t n_in = tie.inputs.size(), n_out = tie.outputs.size();
    inputs.resize(n_in);
    outputs.assign(n_out, 0.0);
    jacobian.assign(n_in * n_out, 0.0);
    for (std::size_t k = 0; k < n_in; ++k) inputs[k] = state.natural[at(tie.inputs[k])];
    if (!tie.evaluate(inputs.data(), outputs.data(), jacobian.data())) {
      outputs.assign(n_out, std::numeric_limits<double>::quiet_NaN());
    }
    for (std::size_t j = 0; j < n_out; ++j) {
      const int slot = tie.outputs[j];
      if (!std::isfinite(outputs[j])) state.valid = false;
      state.slots[at(slot)] = outputs[j];
      for (int e = row_begin(slot); e < row_end(slot); ++e) {
        const int i = free_index(e);
        double derivative = 0.0;
        for (std::size_t k = 0; k < n_in; ++k) {
          if (tie.inputs[k] == i) derivative += jacobian[j * n_in + k];
        }
        if (!std::isfinite(derivative)) {
          state.valid = false;
          state.slots[at(slot)] = std::numeric_limits<double>::quiet_NaN();
        }
        if (internal && chart_[at(i)] == ParameterChart::logarithm)
          derivative *= state.natural[at(i)];
        state.coefficients[at(e)] = derivative;
      }
    }
  }
}

bool ParameterMap::is_linear(int i) const {
  if (chart_[static_cast<std::size_t>(i)] != ParameterChart::identity) return false;
  return std::none_of(spec_.functions.begin(), spec_.functions.end(), [&](const FunctionTie& tie) {
    return std::find(tie.inputs.begin(), tie.inputs.end(), i) != tie.inputs.end();
  });
}

double ParameterMap::prior_chi2(const ParameterState& state, int i) const {
  return jointlight::prior_chi2(view(), i, state.natural.data());
}

void ParameterMap::add_priors(std::span<const double> x, bool internal, const ParameterState& state,
                              std::span<double> gradient,
                              const std::function<void(int, int, double)>& add) const {
  const ParameterView map = view();
  for (int i = 0; i < map.n_free; ++i) {
    add_prior(map, i, x.data(), internal, state.natural.data(), gradient.data(), add);
  }
}

void ParameterMap::covariance_to_natural(std::span<const double> x,
                                         std::vector<double>& covariance) const {
  const int n = spec_.n_free;
  if (covariance.size() != at(n) * at(n)) return;
  // A coordinate fixed by the fit (NaN row) inside a triple spoils the whole triple, rightly.
  std::vector<double> half(covariance.size(), 0.0);
  const ParameterView map = view();
  int columns[3];
  double values[3];
  for (int i = 0; i < n; ++i) {
    const int m = natural_row(map, i, x.data(), columns, values);
    for (int k = 0; k < m; ++k) {
      for (int j = 0; j < n; ++j) {
        half[at(i) * at(n) + at(j)] += values[k] * covariance[at(columns[k]) * at(n) + at(j)];
      }
    }
  }
  std::fill(covariance.begin(), covariance.end(), 0.0);
  for (int j = 0; j < n; ++j) {
    const int m = natural_row(map, j, x.data(), columns, values);
    for (int k = 0; k < m; ++k) {
      for (int i = 0; i < n; ++i) {
        covariance[at(i) * at(n) + at(j)] += values[k] * half[at(i) * at(n) + at(columns[k])];
      }
    }
  }
}

double ParameterMap::at_limit(int i, double value) const {
  for (const double limit : {spec_.lower[at(i)], spec_.upper[at(i)]}) {
    if (std::isfinite(limit) && std::abs(value - limit) <= 1e-13 * std::abs(limit)) return limit;
  }
  return value;
}

double ParameterMap::natural_covariance(std::span<const double> x, int i, int j,
                                        const std::function<double(int, int)>& internal) const {
  const ParameterView map = view();
  int columns_i[3], columns_j[3];
  double values_i[3], values_j[3], sum = 0.0;
  const int n_i = natural_row(map, i, x.data(), columns_i, values_i);
  const int n_j = natural_row(map, j, x.data(), columns_j, values_j);
  for (int a = 0; a < n_i; ++a) {
    for (int b = 0; b < n_j; ++b) {
      sum += values_i[a] * values_j[b] * internal(columns_i[a], columns_j[b]);
    }
  }
  return sum;
}

void ParameterMap::add_natural_row(std::span<const double> x, int i, std::span<double> row) const {
  int columns[3];
  double values[3];
  const int n = natural_row(view(), i, x.data(), columns, values);
  for (int k = 0; k < n; ++k) row[at(columns[k])] += values[k];
}

double ParameterMap::natural_component(std::span<const double> x, int i,
                                       std::span<const double> dx) const {
  int columns[3];
  double values[3], sum = 0.0;
  const int n = natural_row(view(), i, x.data(), columns, values);
  for (int k = 0; k < n; ++k) sum += values[k] * dx[at(columns[k])];
  return sum;
}

std::vector<ParameterMap::Pinned> ParameterMap::pinned(std::span<const double> x) const {
  std::vector<Pinned> found;
  for (const ChartTriple& t : triples_) {
    if (t.chart == ParameterChart::fold) continue;
    const double shear[3] = {x[at(t.q)], x[at(t.pa)], 0.0};
    double ellipse[3];
    shear_to_ellipse(shear, ellipse);
    if (ellipse[0] > thinnest * (1.0 + pinned_margin)) continue;
    found.push_back({t.q, std::abs(shear[0]) > std::abs(shear[1]) ? t.q : t.pa});
  }
  return found;
}

std::vector<std::vector<int>> ParameterMap::chart_groups() const {
  std::vector<std::vector<int>> groups;
  for (const ChartTriple& t : triples_) {
    groups.push_back({t.q, t.pa});
    if (t.scale >= 0) groups.back().push_back(t.scale);
  }
  return groups;
}

}  // namespace jointlight
