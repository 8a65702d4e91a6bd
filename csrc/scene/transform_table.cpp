// SPDX-License-Identifier: BSD-3-Clause
#include "scene/transform_table.hpp"

#include <pthread.h>

#include <algorithm>
#include <cmath>
#include <complex>

#include "base/special.hpp"

namespace jointlight {
namespace {

constexpr double v_min = TransformGrid::v_min, v_step = TransformGrid::v_step;
constexpr double shape_step = TransformGrid::shape_step;
constexpr int n_v = TransformGrid::n_v, order = TransformGrid::order;
constexpr std::size_t interval_size = TransformGrid::interval_size;

// The line Re s = c must lie right of the pole at 0 and left of the first pole of M's
// continuation; the periodic images of the trapezoidal rule fade as exp(-c P) and
// exp(-(2 + ... - c) P) with P = 100 their distance in ln rho.
constexpr double image_distance = 100.0;

}  // namespace

TransformTable::TransformTable(const ProfileInfo& profile) : profile_(profile) {
  grid_.n_shape = profile.n_shape;
  grid_.shape_origin = profile.shape_origin;
  if (profile.n_shape > 0) {
    const double low = std::log(profile.shape_min[0] - profile.shape_origin);
    const double high = std::log(profile.shape_max[0] - profile.shape_origin);
    grid_.first_node = static_cast<int>(std::floor(low / shape_step)) - order / 2;
    grid_.n_nodes =
        static_cast<int>(std::ceil(high / shape_step)) + order / 2 - grid_.first_node + 1;
  }
  nodes_ = std::make_unique<std::atomic<const double*>[]>(static_cast<std::size_t>(grid_.n_nodes));
}

std::size_t TransformTable::size(double low, double high) {
  return static_cast<std::size_t>(radial_range(low, high).n_intervals()) * interval_size;
}

std::size_t TransformTable::capacity() { return static_cast<std::size_t>(n_v) * interval_size; }

TransformTable::Node TransformTable::compute(double shape) const {
  using complex = std::complex<double>;
  Node result;
  result.assign(TransformGrid::node_size, 0.0);
  result[TransformGrid::at_zero] =
      2.0 * M_PI * std::exp(profile_.log_mellin(&shape, complex(2.0, 0.0))).real();
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
        double* f = &result[static_cast<std::size_t>(i) * 3];
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

const double* TransformTable::node(int index) const {
  auto& slot = nodes_[static_cast<std::size_t>(index)];
  if (const double* ready = slot.load(std::memory_order_acquire)) return ready;
  const std::lock_guard lock(mutex_);
  if (const double* ready = slot.load(std::memory_order_acquire)) return ready;
  const double y = shape_step * (grid_.first_node + index);
  made_.push_back(compute(profile_.shape_origin + std::exp(y)));
  slot.store(made_.back().data(), std::memory_order_release);
  return made_.back().data();
}

TransformStencil TransformTable::stencil(const double* shape) const {
  TransformStencil s = stencil_weights(grid_, shape);
  for (int i = 0; i < s.n; ++i) s.nodes[i] = node(s.first + i);
  return s;
}

TransformView TransformTable::export_nodes(double shape_min, double shape_max,
                                           std::vector<double>& memory) const {
  const TransformStencil low = stencil_weights(grid_, &shape_min);
  const TransformStencil high = stencil_weights(grid_, &shape_max);
  TransformView view = grid_;
  view.first_held = low.first;
  view.n_held = high.first + high.n - low.first;
  memory.clear();
  for (int i = 0; i < view.n_held; ++i) {
    const double* from = node(low.first + i);
    memory.insert(memory.end(), from, from + TransformGrid::node_size);
  }
  view.nodes = memory.data();
  return view;
}

void TransformTable::fill(const double* shape, double low, double high, double* memory,
                          RadialTable& table) const {
  const TransformStencil s = stencil(shape);
  const RadialRange range = radial_range(low, high);
  radial_header(s, range, table);
  table.coefficients = memory;
  RadialEnd left, right;
  radial_end(s, range.begin, left);
  for (int i = range.begin; i < range.end; ++i) {
    radial_end(s, i + 1, right);
    radial_interval(s.shaped, left, right, memory);
    memory += interval_size;
    left = right;
  }
}

void TransformTable::describe(const double* shape, double low, double high,
                              RadialTable& table) const {
  radial_header(stencil(shape), radial_range(low, high), table);
}

double TransformTable::value(const double* shape, double rho2) const {
  std::vector<double> memory(4 * interval_size);
  RadialTable table;
  fill(shape, rho2, rho2, memory.data(), table);
  return value(table, rho2);
}

double TransformTable::value(const RadialTable& table, double rho2) {
  if (rho2 <= 0.0) return table.at_zero[0];
  const double t = std::min(std::max((std::log(rho2) - table.u0) * table.inverse_step, 0.0),
                            static_cast<double>(table.n_intervals));
  const int k = std::min(static_cast<int>(t), table.n_intervals - 1);
  const double* c = table.coefficients + static_cast<std::size_t>(k) * interval_size;
  double sum = 0.0;
  for (int d = 5; d >= 0; --d) sum = sum * (t - k) + c[d * RadialTable::columns];
  return sum;
}

double TransformTable::flux_factor(const double* shape, double* by_shape) const {
  return transform_flux(stencil(shape), by_shape);
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
