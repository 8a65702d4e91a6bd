// SPDX-License-Identifier: BSD-3-Clause
#include "scene/transform_table.hpp"

#include <pthread.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <utility>

#include "base/special.hpp"

namespace jointlight {
namespace {

constexpr double v_min = -14.0, v_max = 12.0;  // ln rho
constexpr int n_v = 521;                       // nodes in ln rho, 0.05 apart
constexpr double v_step = (v_max - v_min) / (n_v - 1);
constexpr double u_step = 2.0 * v_step;
constexpr double shape_step = 0.05;  // nodes in ln(shape - origin)
constexpr int order = 8;             // points of the interpolation in shape

// The line Re s = c must lie right of the pole at 0 and left of the first pole of M's
// continuation; the periodic images of the trapezoidal rule fade as exp(-c P) and
// exp(-(2 + ... - c) P) with P = 100 their distance in ln rho.
constexpr double image_distance = 100.0;

// First and last node in ln rho of a table for rho^2 in [low, high].
std::pair<int, int> node_range(double low, double high) {
  const auto position = [](double rho2) {
    return (0.5 * std::log(std::min(std::max(rho2, 1e-290), 1e290)) - v_min) / v_step;
  };
  const int begin = std::min(std::max(static_cast<int>(std::floor(position(low))), 0), n_v - 2);
  const int end = static_cast<int>(std::ceil(position(high)));
  return {begin, std::min(std::max(end, begin + 1), n_v - 1)};
}

}  // namespace

struct TransformTable::Stencil {
  int n = 1;  // nodes used
  const Node* nodes[order] = {};
  double weight[order] = {1.0};  // value
  double slope[order] = {0.0};   // derivative by shape
};

TransformTable::TransformTable(const ProfileInfo& profile) : profile_(profile) {
  if (profile.n_shape > 0) {
    const double low = std::log(profile.shape_min[0] - profile.shape_origin);
    const double high = std::log(profile.shape_max[0] - profile.shape_origin);
    first_node_ = static_cast<int>(std::floor(low / shape_step)) - order / 2;
    n_nodes_ = static_cast<int>(std::ceil(high / shape_step)) + order / 2 - first_node_ + 1;
  }
  nodes_ = std::make_unique<std::atomic<const Node*>[]>(static_cast<std::size_t>(n_nodes_));
}

std::size_t TransformTable::size(double low, double high) {
  const auto [begin, end] = node_range(low, high);
  return static_cast<std::size_t>(end - begin) * 6 * RadialTable::columns;
}

std::size_t TransformTable::capacity() {
  return static_cast<std::size_t>(n_v) * 6 * RadialTable::columns;
}

TransformTable::Node TransformTable::compute(double shape) const {
  using complex = std::complex<double>;
  Node result;
  result.f.assign(static_cast<std::size_t>(n_v) * 3, 0.0);
  result.at_zero = 2.0 * M_PI * std::exp(profile_.log_mellin(&shape, complex(2.0, 0.0))).real();
  const double t_step = 2.0 * M_PI / image_distance;
  const int split = static_cast<int>(std::lround(-v_min / v_step));  // node of ln rho = 0
  // Left of ln rho = 0 a line close to the pole at 0 keeps f(rho -> 0) accurate, right of it one
  // close to the decaying side keeps the small values accurate.
  const double lines[2] = {0.3, 1.5};
  for (int side = 0; side < 2; ++side) {
    const int begin = side == 0 ? 0 : split, end = side == 0 ? split : n_v;
    double largest = 0.0;
    for (int k = 0; k < 4000; ++k) {
      const complex s(lines[side], t_step * k);
      const complex log_phi = (s - 1.0) * M_LN2 + log_gamma(0.5 * s) - log_gamma(1.0 - 0.5 * s) +
                              profile_.log_mellin(&shape, 2.0 - s);
      // 2 Re of the half line t > 0; the point t = 0 counts half.
      const complex phi = std::exp(log_phi) * (t_step * (k == 0 ? 1.0 : 2.0));
      const double size = std::abs(phi);
      largest = std::max(largest, size);
      complex power = phi * std::exp(-s * (v_min + v_step * begin));
      const complex ratio = std::exp(-s * v_step);
      const complex d1 = -0.5 * s, d2 = 0.25 * s * s;  // d/du of rho^-s
      for (int i = begin; i < end; ++i) {
        double* f = &result.f[static_cast<std::size_t>(i) * 3];
        f[0] += power.real();
        f[1] += (power * d1).real();
        f[2] += (power * d2).real();
        power *= ratio;
      }
      if (size * std::norm(s) < 1e-18 * largest && k > 8) break;
    }
  }
  return result;
}

const TransformTable::Node& TransformTable::node(int index) const {
  auto& slot = nodes_[static_cast<std::size_t>(index)];
  if (const Node* ready = slot.load(std::memory_order_acquire)) return *ready;
  const std::lock_guard lock(mutex_);
  if (const Node* ready = slot.load(std::memory_order_acquire)) return *ready;
  const double y = shape_step * (first_node_ + index);
  made_.push_back(std::make_unique<const Node>(compute(profile_.shape_origin + std::exp(y))));
  slot.store(made_.back().get(), std::memory_order_release);
  return *made_.back();
}

TransformTable::Stencil TransformTable::stencil(const double* shape) const {
  Stencil s;
  if (profile_.n_shape == 0) {
    s.nodes[0] = &node(0);
    return s;
  }
  s.n = order;
  const double distance = shape[0] - profile_.shape_origin;
  const double position = std::log(distance) / shape_step - first_node_;
  int first = static_cast<int>(std::floor(position)) - order / 2 + 1;
  first = std::min(std::max(first, 0), n_nodes_ - order);
  const double t = position - first;
  for (int i = 0; i < order; ++i) {
    s.nodes[i] = &node(first + i);
    // Lagrange polynomial and its derivative at t
    double weight = 1.0, slope = 0.0;
    for (int j = 0; j < order; ++j) {
      if (j == i) continue;
      double product = 1.0 / (i - j);
      for (int k = 0; k < order; ++k) {
        if (k != i && k != j) product *= (t - k) / (i - k);
      }
      slope += product;
      weight *= (t - j) / (i - j);
    }
    s.weight[i] = weight;
    s.slope[i] = slope / (shape_step * distance);
  }
  return s;
}

void TransformTable::fill(const double* shape, double low, double high, double* memory,
                          RadialTable& table) const {
  const Stencil s = stencil(shape);
  const auto [begin, end] = node_range(low, high);
  table.u0 = 2.0 * (v_min + v_step * begin);
  table.inverse_step = 1.0 / u_step;
  table.n_intervals = end - begin;
  table.coefficients = memory;

  // Columns: f and df/dshape with two derivatives each, at both ends of an interval.
  const bool shaped = profile_.n_shape > 0;
  double left[2][3] = {}, right[2][3] = {};
  const auto gather = [&](int i, double (&out)[2][3]) {
    for (int d = 0; d < 3; ++d) {
      double value = 0.0, slope = 0.0;
      for (int m = 0; m < s.n; ++m) {
        const double f =
            s.nodes[m]->f[static_cast<std::size_t>(i) * 3 + static_cast<std::size_t>(d)];
        value += s.weight[m] * f;
        slope += s.slope[m] * f;
      }
      const double scale = d == 0 ? 1.0 : (d == 1 ? u_step : u_step * u_step);
      out[0][d] = value * scale;
      out[1][d] = slope * scale;
    }
  };
  gather(begin, left);
  for (int i = begin; i < end; ++i) {
    gather(i + 1, right);
    double* c = memory + static_cast<std::size_t>(i - begin) * 6 * RadialTable::columns;
    for (int k = 0; k < 6 * RadialTable::columns; ++k) c[k] = 0.0;
    for (int column = 0; column < (shaped ? 2 : 1); ++column) {
      const double p0 = left[column][0], m0 = left[column][1], a0 = left[column][2];
      const double p1 = right[column][0], m1 = right[column][1], a1 = right[column][2];
      const double d = p1 - p0;
      const double q[6] = {p0,
                           m0,
                           0.5 * a0,
                           10.0 * d - 6.0 * m0 - 4.0 * m1 - 1.5 * a0 + 0.5 * a1,
                           -15.0 * d + 8.0 * m0 + 7.0 * m1 + 1.5 * a0 - a1,
                           6.0 * d - 3.0 * (m0 + m1) - 0.5 * (a0 - a1)};
      const int target = column == 0 ? 0 : 2;
      for (int k = 0; k < 6; ++k) c[k * RadialTable::columns + target] = q[k];
      if (column == 0) {
        for (int k = 1; k < 6; ++k) c[(k - 1) * RadialTable::columns + 1] = k * q[k] / u_step;
      }
    }
    for (int column = 0; column < 2; ++column) {
      for (int d = 0; d < 3; ++d) left[column][d] = right[column][d];
    }
  }
  double by_shape[2] = {};
  table.at_zero[0] = flux_factor(shape, by_shape);
  table.at_zero[1] = 0.0;
  table.at_zero[2] = by_shape[0];
  table.at_zero[3] = by_shape[1];
}

double TransformTable::value(const double* shape, double rho2) const {
  std::vector<double> memory(4 * 6 * RadialTable::columns);
  RadialTable table;
  fill(shape, rho2, rho2, memory.data(), table);
  return value(table, rho2);
}

double TransformTable::value(const RadialTable& table, double rho2) {
  if (rho2 <= 0.0) return table.at_zero[0];
  const double t = std::min(std::max((std::log(rho2) - table.u0) * table.inverse_step, 0.0),
                            static_cast<double>(table.n_intervals));
  const int k = std::min(static_cast<int>(t), table.n_intervals - 1);
  const double* c = table.coefficients + static_cast<std::size_t>(k) * 6 * RadialTable::columns;
  double sum = 0.0;
  for (int d = 5; d >= 0; --d) sum = sum * (t - k) + c[d * RadialTable::columns];
  return sum;
}

double TransformTable::flux_factor(const double* shape, double* by_shape) const {
  const Stencil s = stencil(shape);
  double value = 0.0, slope = 0.0;
  for (int i = 0; i < s.n; ++i) {
    value += s.weight[i] * s.nodes[i]->at_zero;
    slope += s.slope[i] * s.nodes[i]->at_zero;
  }
  if (by_shape != nullptr) {
    by_shape[0] = profile_.n_shape > 0 ? slope : 0.0;
    by_shape[1] = 0.0;
  }
  return value;
}

namespace {

// Never destroyed: threads may still use them when the process ends. Held across fork(), so that a
// child never finds one locked by a thread that it does not have.
struct SharedTables {
  std::mutex mutex;
  std::vector<std::unique_ptr<TransformTable>> tables{profile_registry().size()};

  static SharedTables& get() {
    static SharedTables* const shared = [] {
      pthread_atfork([] { get().lock_all(); }, [] { get().unlock_all(); },
                     [] { get().unlock_all(); });
      return new SharedTables;
    }();
    return *shared;
  }

 private:
  void lock_all() {
    mutex.lock();
    for (const auto& table : tables) {
      if (table) table->lock();
    }
  }
  void unlock_all() {
    for (const auto& table : tables) {
      if (table) table->unlock();
    }
    mutex.unlock();
  }
};

// As early as the library: see PlanCache::shared().
[[maybe_unused]] const SharedTables& made_early = SharedTables::get();

}  // namespace

const TransformTable& transform_table(int profile) {
  SharedTables& shared = SharedTables::get();
  const std::lock_guard lock(shared.mutex);
  auto& slot = shared.tables[static_cast<std::size_t>(profile)];
  if (!slot) {
    slot = std::make_unique<TransformTable>(profile_registry()[static_cast<std::size_t>(profile)]);
  }
  return *slot;
}

}  // namespace jointlight
