// SPDX-License-Identifier: BSD-3-Clause
// sources: csrc/solve/lm.cpp csrc/solve/descent.cpp csrc/solve/region.cpp csrc/solve/damped.cpp
// sources: csrc/solve/descent_parts.cpp csrc/solve/descent_split.cpp csrc/solve/component.cpp
// sources: csrc/solve/covariance.cpp
// sources: csrc/solve/block_factor.cpp csrc/base/fiber.cpp
// sources: csrc/solve/linear_solver.cpp csrc/solve/sparse.cpp csrc/solve/result.cpp
// needs: eigen
// Many sources in one fit: regions that converge apart, dampings of their own, held coordinates.
#include <algorithm>
#include <random>

#include "solve/region.hpp"
#include "solve_problems.hpp"

using namespace testing;
using jointlight::FitOutcome;
using jointlight::LMOptions;
using jointlight::Problem;
using jointlight::SparsePattern;
using jointlight::Status;

namespace {

// Decays a_k exp(-b_k t), one a source; `link` shares the data of source k with source k + 1.
class Decays final : public Problem {
 public:
  Decays(int n_sources, bool link) : n_(n_sources), link_(link), parts_(at(n_sources)) {
    lower_.assign(at(2 * n_), -infinity);
    upper_.assign(at(2 * n_), infinity);
    std::vector<std::vector<int>> groups;
    for (int k = 0; k < n_; ++k) {
      coordinates_.push_back({2 * k, 2 * k + 1});
      if (link_ && k + 1 < n_) {
        coordinates_.back().push_back(2 * k + 2);
        coordinates_.back().push_back(2 * k + 3);
      }
      groups.push_back(coordinates_.back());
    }
    pattern_ = SparsePattern::from_groups(2 * n_, groups);
  }

  int size() const override { return 2 * n_; }
  std::span<const double> lower() const override { return lower_; }
  std::span<const double> upper() const override { return upper_; }
  const SparsePattern& pattern() const override { return pattern_; }
  int n_parts() const override { return n_; }
  std::span<const double> parts() const override { return parts_; }
  std::span<const int> part_coordinates(int part) const override { return coordinates_[at(part)]; }
  int home(int coordinate) const override { return coordinate / 2; }
  long n_data(int part) const override { return part == masked ? 0 : samples; }
  double cost_ratio() const override { return ratio; }

  double truth(int i) const { return i % 2 == 0 ? 2.0 + 0.1 * (i % 7) : 1.0 + 0.05 * (i % 11); }
  double residual(int k, int s, std::span<const double> x, double* slopes) const {
    const double t = 0.1 * s, noise = 0.01 * std::sin(37.0 * s * s + k);
    double r = noise;
    for (int j = 0; j < (link_ && k + 1 < n_ ? 2 : 1); ++j) {
      const int i = 2 * (k + j);
      const double share = j == 0 ? 1.0 : 0.4, decay = std::exp(-x[at(i + 1)] * t);
      r += share * (x[at(i)] * decay - truth(i) * std::exp(-truth(i + 1) * t));
      slopes[2 * j] = share * decay;
      slopes[2 * j + 1] = -share * x[at(i)] * t * decay;
    }
    return k == broken && x[at(2 * k)] != start_of_broken ? std::nan("") : r;
  }

  double chi2(std::span<const double> x) override {
    double total = 0.0, slopes[4];
    for (int k = 0; k < n_; ++k) {
      parts_[at(k)] = 0.0;
      for (int s = 0; s < (k == masked ? 0 : samples); ++s) {
        const double r = residual(k, s, x, slopes);
        parts_[at(k)] += r * r;
      }
      total += parts_[at(k)];
    }
    return total;
  }

  double linearize(std::span<const double> x, std::span<double> g, std::span<double> h) override {
    std::fill(g.begin(), g.end(), 0.0);
    std::fill(h.begin(), h.end(), 0.0);
    double slopes[4];
    for (int k = 0; k < n_; ++k) {
      const auto& own = coordinates_[at(k)];
      for (int s = 0; s < (k == masked ? 0 : samples); ++s) {
        const double r = residual(k, s, x, slopes);
        for (std::size_t a = 0; a < own.size(); ++a) {
          g[at(own[a])] += slopes[a] * r;
          for (std::size_t b = 0; b <= a; ++b) {
            h[at(pattern_.find(own[a], own[b]))] += slopes[a] * slopes[b];
          }
        }
      }
    }
    ++evaluations;
    return chi2(x);
  }

  static constexpr int samples = 30;
  int masked = -1, broken = -1, evaluations = 0;
  double start_of_broken = 1.0, ratio = 1.0;

 private:
  static std::size_t at(int i) { return static_cast<std::size_t>(i); }

  int n_;
  bool link_;
  std::vector<double> lower_, upper_, parts_;
  std::vector<std::vector<int>> coordinates_;
  SparsePattern pattern_;
};

std::vector<double> ones(int n) { return std::vector<double>(static_cast<std::size_t>(n), 1.0); }

void regions_apart() {
  Decays one(1, false);
  const FitOutcome alone = levenberg_marquardt(one, ones(2));
  for (const double ratio : {1.0, 3.0}) {
    Decays problem(40, false);
    problem.ratio = ratio;
    problem.masked = 7;
    problem.broken = 11;
    const FitOutcome fit = levenberg_marquardt(problem, ones(80));
    print("forty apart", fit);
    CHECK(fit.component_status.size() == 40 && fit.part_status.size() == 40);
    CHECK(fit.status == Status::non_finite);
    CHECK(fit.component[3] == 1 && fit.component[79] == 39);
    for (int k = 0; k < 40; ++k) {
      const Status s = fit.component_status[static_cast<std::size_t>(k)];
      CHECK(fit.part_status[static_cast<std::size_t>(k)] == s);
      if (k == 7) {
        CHECK(s == Status::all_masked);
      } else if (k == 11) {
        CHECK(s == Status::non_finite);
      } else {
        CHECK(is_success(s));
        for (int i = 2 * k; i < 2 * k + 2; ++i) {
          CHECK_NEAR(fit.x[static_cast<std::size_t>(i)], problem.truth(i), 0.02);
        }
      }
    }
    // The first source goes its way as if it were alone.
    CHECK(fit.x[0] == alone.x[0] && fit.x[1] == alone.x[1]);
  }
}

void linked() {
  Decays problem(60, true);
  const FitOutcome fit = levenberg_marquardt(problem, ones(120));
  print("sixty linked", fit);
  CHECK(is_success(fit.status) && fit.component_status.size() == 1);
  CHECK(problem.evaluations <= 15);
  for (int i = 0; i < 120; ++i)
    CHECK_NEAR(fit.x[static_cast<std::size_t>(i)], problem.truth(i), 0.1);
  // First-order conditions.
  for (std::size_t i = 0; i < 120; ++i) {
    const double d =
        fit.hessian[static_cast<std::size_t>(problem.pattern().diagonal(static_cast<int>(i)))];
    CHECK_NEAR(fit.gradient[i] / std::sqrt(d), 0.0, 1e-3);
  }
}

// With the outer two thirds held, the middle converges to the minimum that it has alone.
void held() {
  Decays problem(30, true);
  std::vector<std::uint8_t> active(60, 0);
  std::vector<double> start;
  for (int i = 0; i < 60; ++i) start.push_back(problem.truth(i));
  for (int i = 20; i < 40; ++i) {
    active[static_cast<std::size_t>(i)] = 1;
    start[static_cast<std::size_t>(i)] = 1.0;
  }
  active[30] = active[31] = 0;  // a held source between two that move
  const FitOutcome fit = levenberg_marquardt(problem, start, {}, active);
  CHECK(is_success(fit.status));
  for (std::size_t i = 0; i < 60; ++i) {
    const bool moves = active[i] != 0;
    CHECK(moves ? fit.x[i] != start[i] : fit.x[i] == start[i]);
    CHECK((fit.component[i] >= 0) == moves);
    const double d =
        fit.hessian[static_cast<std::size_t>(problem.pattern().diagonal(static_cast<int>(i)))];
    if (moves) CHECK_NEAR(fit.gradient[i] / std::sqrt(d), 0.0, 1e-3);
    CHECK(std::isfinite(fit.covariance[i * 60 + i]) == moves);
  }
  CHECK(std::abs(problem.chi2(fit.x) - fit.chi2) <= 1e-12 * fit.chi2);

  std::fill(active.begin(), active.end(), std::uint8_t{0});
  const FitOutcome nothing = levenberg_marquardt(problem, start, {}, active);
  CHECK(nothing.status == Status::no_free_parameters && nothing.x == start);
}

// Far from the solution at few of many sources only: those go on by themselves, and the end is that
// of the whole: its full step is a tenth of an error at most.
void divided() {
  for (const double ratio : {1.0, 3.0}) {
    Decays problem(90, true);
    problem.ratio = ratio;
    std::vector<double> start;
    for (int i = 0; i < 180; ++i) start.push_back(problem.truth(i));
    for (const int k : {3, 4, 40, 41, 42, 77}) {
      start[static_cast<std::size_t>(2 * k)] *= 4.0;
      start[static_cast<std::size_t>(2 * k + 1)] *= 0.2;
    }
    const FitOutcome fit = levenberg_marquardt(problem, start);
    print("few of ninety", fit);
    CHECK(is_success(fit.status) && fit.component_status.size() == 1);
    const double variance = fit.chi2 / (90.0 * Decays::samples);
    for (std::size_t i = 0; i < 180; ++i) {
      double step = 0.0;
      for (std::size_t j = 0; j < 180; ++j) step += fit.covariance[i * 180 + j] * fit.gradient[j];
      CHECK_NEAR(step / std::sqrt(variance * fit.covariance[i * 180 + i]), 0.0, 0.1);
    }
    // They came together again, at least once, before the end.
    const auto together = std::count_if(
        fit.history.begin() + 1, fit.history.end(),
        [](const auto& record) { return record.accepted && record.step_norm == 0.0; });
    CHECK(together >= 1);
    // What is handed back is that of the solution, between groups too.
    std::vector<double> g(180), h(problem.pattern().row.size());
    CHECK(problem.linearize(fit.x, g, h) == fit.chi2);
    CHECK(g == fit.gradient && h == fit.hessian);
  }
}

// Groups share no part that depends on them; priors count for the source itself.
void splitting() {
  Decays problem(9, true);  // part k depends on sources k and k + 1
  const std::vector<std::uint8_t> all(18, 1);
  const std::vector<jointlight::Region> regions = jointlight::find_regions(problem, all);
  CHECK(regions.size() == 1);
  const std::vector<std::uint8_t> moving = {1, 0, 1, 1, 0, 0, 1, 0, 0};
  const auto groups = jointlight::split_region(regions[0], moving);
  CHECK(groups.size() == 3);
  const std::vector<std::vector<int>> parts = {{0}, {1, 2, 3}, {5, 6}};
  const std::vector<std::vector<int>> coordinates = {{0, 1}, {4, 5, 6, 7}, {12, 13}};
  for (std::size_t k = 0; k < 3; ++k) {
    CHECK(groups[k].parts == parts[k] && groups[k].region.parts == parts[k]);
    CHECK(groups[k].coordinates == coordinates[k]);
    const jointlight::Region& region = groups[k].region;
    CHECK(region.coordinates == coordinates[k] && region.pattern.valid());
    for (std::size_t i = 0; i < region.home.size(); ++i) {
      CHECK(region.parts[static_cast<std::size_t>(region.home[i])] == region.coordinates[i] / 2);
    }
    for (int j = 0; j < region.pattern.n; ++j) {
      for (int e = region.pattern.diagonal(j); e < region.pattern.diagonal(j + 1); ++e) {
        const int row = region.pattern.row[static_cast<std::size_t>(e)];
        CHECK(region.entries[static_cast<std::size_t>(e)] ==
              problem.pattern().find(region.coordinates[static_cast<std::size_t>(row)],
                                     region.coordinates[static_cast<std::size_t>(j)]));
      }
    }
  }
}

void component_time() {
  Decays problem(3, false);
  LMOptions options;
  options.component_time_limit_s = 1e-9;
  const FitOutcome fit = levenberg_marquardt(problem, ones(6), options);
  CHECK(fit.status == Status::timed_out);
  for (const Status s : fit.component_status) CHECK(s == Status::timed_out);
  CHECK(fit.history.size() == 2);
}

}  // namespace

int main() {
  regions_apart();
  linked();
  held();
  divided();
  splitting();
  component_time();
  return check::result();
}
