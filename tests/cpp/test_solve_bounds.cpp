// SPDX-License-Identifier: BSD-3-Clause
// sources: csrc/solve/lm.cpp csrc/solve/descent.cpp csrc/solve/region.cpp csrc/solve/damped.cpp
// sources: csrc/solve/descent_parts.cpp csrc/solve/descent_split.cpp csrc/solve/component.cpp
// sources: csrc/solve/covariance.cpp
// sources: csrc/solve/block_factor.cpp csrc/base/fiber.cpp
// sources: csrc/solve/linear_solver.cpp csrc/solve/sparse.cpp csrc/solve/result.cpp
// needs: eigen
// Boxes: solutions on a bound, bounds that must be left again, and no success short of the minimum.
#include <algorithm>
#include <random>

#include "solve/damped.hpp"
#include "solve_problems.hpp"

using namespace testing;
using jointlight::DampedSolver;
using jointlight::FitOutcome;
using jointlight::SparsePattern;
using jointlight::Status;

namespace {

LeastSquares rosenbrock() {
  return {2, 2, [](const Complex* x, Complex* r) {
            r[0] = 10.0 * (x[1] - x[0] * x[0]);
            r[1] = 1.0 - x[0];
          }};
}

void solution_on_a_bound() {
  LeastSquares problem = rosenbrock();
  problem.upper_bound = {0.5, infinity};
  const FitOutcome fit = levenberg_marquardt(problem, {-1.2, 1.0});
  print("rosenbrock, x <= 0.5", fit);
  CHECK(is_success(fit.status));
  CHECK(fit.x[0] == 0.5);
  CHECK_NEAR(fit.x[1], 0.25, 1e-6);
  CHECK_NEAR(fit.chi2, 0.25, 1e-9);
  CHECK(fit.at_bound[0] == 1 && fit.at_bound[1] == 0);
  CHECK(std::isnan(fit.covariance[0]) && std::isnan(fit.covariance[1]));
  CHECK_NEAR(fit.covariance[3], 0.01, 1e-12);
  CHECK(fit.history.back().n_bound == 1);
}

void bound_left_again() {
  // The start sits on both bounds; the path to (1, 1) leads away from them.
  LeastSquares problem = rosenbrock();
  problem.lower_bound = {-1.2, 0.0};
  problem.upper_bound = {infinity, 1.0};
  const FitOutcome fit = levenberg_marquardt(problem, {-1.2, 1.0});
  print("rosenbrock from a corner", fit);
  CHECK(is_success(fit.status));
  CHECK_NEAR(fit.x[0], 1.0, 1e-6);
  CHECK_NEAR(fit.x[1], 1.0, 1e-6);

  // Gauss-Newton overshoots to the bound x = 3 first and has to come back from it.
  LeastSquares arctangent(1, 1, [](const Complex* x, Complex* r) { r[0] = std::atan(x[0]); });
  arctangent.lower_bound = {-3.0};
  arctangent.upper_bound = {10.0};
  bool visited = false;
  arctangent.on_progress = [&](const jointlight::IterationRecord& record, std::span<const double>) {
    visited = visited || record.n_bound > 0;
  };
  const FitOutcome back = levenberg_marquardt(arctangent, {5.0});
  print("arctangent", back);
  CHECK(visited);
  CHECK(is_success(back.status));
  CHECK_NEAR(back.x[0], 0.0, 1e-8);
  CHECK(back.at_bound[0] == 0);
}

void start_outside_and_fixed() {
  LeastSquares problem = rosenbrock();
  problem.lower_bound = {2.0, -infinity};
  problem.upper_bound = {2.0, infinity};
  const FitOutcome fit = levenberg_marquardt(problem, {-7.0, 1.0});
  CHECK(is_success(fit.status));
  CHECK(fit.x[0] == 2.0);
  CHECK_NEAR(fit.x[1], 4.0, 1e-6);
  CHECK(fit.at_bound[0] == 1);

  // Every downhill direction is shut: converged where it stands.
  problem.upper_bound = {2.0, 3.0};
  const FitOutcome corner = levenberg_marquardt(problem, {2.0, 3.0});
  CHECK(corner.status == Status::converged_gtol);
  CHECK(corner.x[0] == 2.0 && corner.x[1] == 3.0);
  CHECK(corner.n_linearize == 1);
}

// Random linear problems in a box against projected gradient iterations.
void random_boxes() {
  std::mt19937 random(11);
  std::normal_distribution<double> gauss;
  int worst = 0;
  for (int k = 0; k < 200; ++k) {
    const int n = 2 + k % 9, m = n + 3;
    std::vector<double> a(static_cast<std::size_t>(n * m)), b(static_cast<std::size_t>(m));
    for (double& v : a) v = gauss(random);
    for (double& v : b) v = 3.0 * gauss(random);
    LeastSquares problem(n, m, [&](const Complex* x, Complex* r) {
      for (int i = 0; i < m; ++i) {
        r[i] = -b[static_cast<std::size_t>(i)];
        for (int j = 0; j < n; ++j) r[i] += a[static_cast<std::size_t>(i * n + j)] * x[j];
      }
    });
    std::vector<double> start;
    for (int j = 0; j < n; ++j) {
      const double c = gauss(random);
      problem.lower_bound[static_cast<std::size_t>(j)] = c - 0.3;
      problem.upper_bound[static_cast<std::size_t>(j)] = c + 0.3;
      start.push_back(c + 0.3 * (k % 3 - 1));
    }
    const FitOutcome fit = levenberg_marquardt(problem, start);
    CHECK(is_success(fit.status));
    worst = std::max(worst, fit.n_linearize + fit.n_chi2);
    // First-order conditions of the convex problem.
    for (std::size_t j = 0; j < fit.x.size(); ++j) {
      const double scale = std::sqrt(
          fit.hessian[static_cast<std::size_t>(problem.pattern().diagonal(static_cast<int>(j)))] *
          fit.chi2);
      const double g = fit.gradient[j] / scale;
      if (fit.x[j] == problem.lower_bound[j]) {
        CHECK(g > -1e-5);
      } else if (fit.x[j] == problem.upper_bound[j]) {
        CHECK(g < 1e-5);
      } else {
        CHECK_NEAR(g, 0.0, 1e-4);
      }
    }
  }
  std::printf("random boxes: at most %d evaluations\n", worst);
  CHECK(worst <= 6);
}

void step_limit() {
  LeastSquares problem(1, 1, [](const Complex* x, Complex* r) { r[0] = x[0] - 100.0; });
  problem.step_limit = {30.0};
  double last = 0.0;
  problem.on_progress = [&](const jointlight::IterationRecord&, std::span<const double> x) {
    CHECK(std::abs(x[0] - last) <= 30.0);
    last = x[0];
  };
  const FitOutcome fit = levenberg_marquardt(problem, {0.0});
  CHECK(is_success(fit.status));
  CHECK_NEAR(fit.x[0], 100.0, 1e-6);
  CHECK(fit.at_bound[0] == 0);
}

void exact_box_minimum() {
  // Minimum of the quadratic by hand: x0 held at 1, x1 solved again, not merely cut.
  const SparsePattern pattern = SparsePattern::dense(2);
  DampedSolver solver(pattern, 200);
  const std::vector<double> h{2.0, 1.0, 2.0}, g{-6.0, -3.0}, zero{0.0, 0.0};
  const std::vector<double> low{-10.0, -10.0}, high{1.0, 10.0};
  const auto step = solver.step({h, g, zero, low, high});
  CHECK(step.status == jointlight::Factorization::ok);
  CHECK_NEAR(step.p[0], 1.0, 0.0);
  CHECK_NEAR(step.p[1], 1.0, 1e-14);  // (3 - 1) / 2
  CHECK_NEAR(step.predicted, 18.0 - 6.0, 1e-12);
  // A coordinate without diagonal stays.
  const std::vector<double> h0{2.0, 0.0, 0.0}, g0{-6.0, 0.0};
  const auto idle = solver.step({h0, g0, zero, low, high});
  CHECK(idle.status == jointlight::Factorization::ok);
  CHECK(idle.p[0] == 1.0 && idle.p[1] == 0.0);
}

}  // namespace

int main() {
  solution_on_a_bound();
  bound_left_again();
  start_outside_and_fixed();
  random_boxes();
  step_limit();
  exact_box_minimum();
  return check::result();
}
