// SPDX-License-Identifier: BSD-3-Clause
// sources: csrc/solve/lm.cpp csrc/solve/descent.cpp csrc/solve/region.cpp csrc/solve/damped.cpp
// sources: csrc/solve/descent_parts.cpp csrc/solve/descent_split.cpp csrc/solve/component.cpp
// sources: csrc/solve/covariance.cpp
// sources: csrc/solve/block_factor.cpp csrc/base/fiber.cpp
// sources: csrc/solve/linear_solver.cpp csrc/solve/sparse.cpp csrc/solve/result.cpp
// needs: eigen
// Every status, non-finite regions, interruption, degenerate columns.
#include <chrono>
#include <random>
#include <set>
#include <stdexcept>
#include <thread>

#include "solve_problems.hpp"

using namespace testing;
using jointlight::FitOutcome;
using jointlight::LMOptions;
using jointlight::Status;

namespace {

std::set<Status> seen;

FitOutcome expect(Status status, LeastSquares& problem, std::vector<double> start,
                  const LMOptions& options = {}) {
  const FitOutcome fit = levenberg_marquardt(problem, std::move(start), options);
  print(std::string(to_string(status)).c_str(), fit);
  CHECK(fit.status == status);
  CHECK(!fit.message.empty() && to_string(status) != "unknown");
  seen.insert(fit.status);
  return fit;
}

// y = a exp(-b t) + c with fixed noise: residuals that do not vanish.
LeastSquares decay() {
  return {3, 40, [](const Complex* x, Complex* r) {
            for (int i = 0; i < 40; ++i) {
              const double t = 0.1 * i, noise = 0.1 * std::sin(37.0 * i * i);
              r[i] = x[0] * std::exp(-x[1] * t) + x[2] - (3.0 * std::exp(-1.3 * t) + 0.5 + noise);
            }
          }};
}

void convergence() {
  LeastSquares problem = decay();
  LMOptions options;
  options.gtol = 0.0;
  options.xtol = 0.0;
  const FitOutcome f = expect(Status::converged_ftol, problem, {1.0, 0.5, 0.0}, options);
  options = {};
  options.ftol = 0.0;
  options.gtol = 0.0;
  const FitOutcome x = expect(Status::converged_xtol, problem, {1.0, 0.5, 0.0}, options);
  options = {};
  options.ftol = 0.0;
  options.xtol = 0.0;
  const FitOutcome g = expect(Status::converged_gtol, problem, {1.0, 0.5, 0.0}, options);
  for (std::size_t i = 0; i < 3; ++i) {
    const double sigma = std::sqrt(x.covariance[i * 4]);
    CHECK_NEAR(f.x[i], x.x[i], 1e-3 * sigma);
    CHECK_NEAR(g.x[i], x.x[i], 1e-4 * sigma);
  }
  const FitOutcome usual = levenberg_marquardt(problem, {1.0, 0.5, 0.0});
  CHECK_NEAR(usual.chi2, x.chi2, 1e-9 * x.chi2);
  // With the noise level known from chi2 and the number of data, 0.01 sigma ends the fit.
  problem.data = 40;
  const FitOutcome early = levenberg_marquardt(problem, {1.0, 0.5, 0.0});
  CHECK(early.status == Status::converged_ftol);
  CHECK(early.n_linearize + early.n_chi2 < usual.n_linearize + usual.n_chi2);
  CHECK_NEAR(early.chi2, x.chi2, 1e-4 * x.chi2 / 40.0);
}

void limits() {
  LeastSquares problem = decay();
  LMOptions options;
  options.max_iterations = 2;
  const FitOutcome fit = expect(Status::max_iterations, problem, {1.0, 0.5, 0.0}, options);
  CHECK(fit.history.size() == 3);

  LeastSquares slow = decay();
  slow.on_progress = [](const jointlight::IterationRecord&, std::span<const double>) {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
  };
  options = {};
  options.time_limit_s = 0.02;
  CHECK(expect(Status::timed_out, slow, {1.0, 0.5, 0.0}, options).n_linearize == 1);

  LeastSquares stopped = decay();
  double best = infinity;
  stopped.on_progress = [&](const jointlight::IterationRecord& record, std::span<const double>) {
    best = record.chi2;
    if (record.iteration == 2) throw jointlight::Interrupt();
  };
  const FitOutcome cut = expect(Status::interrupted, stopped, {1.0, 0.5, 0.0});
  CHECK(cut.chi2 == best && !cut.covariance.empty());
  CHECK_NEAR(stopped.chi2(cut.x), cut.chi2, 1e-12);
}

void nothing_to_do() {
  LeastSquares none(0, 3, [](const Complex*, Complex* r) { r[0] = r[1] = r[2] = 2.0; });
  const FitOutcome fit = expect(Status::no_free_parameters, none, {});
  CHECK(is_success(fit.status) && fit.chi2 == 12.0);

  LeastSquares masked(2, 0, [](const Complex*, Complex*) {});
  masked.data = 0;
  CHECK(expect(Status::all_masked, masked, {1.0, 2.0}).x[1] == 2.0);

  LeastSquares flat(2, 1, [](const Complex*, Complex* r) { r[0] = 2.0; });
  const FitOutcome still = expect(Status::degenerate, flat, {1.0, 2.0});
  CHECK(still.degenerate.size() == 2);
  CHECK(std::isnan(still.covariance[0]) && std::isnan(still.covariance[3]));
}

class WrongGradient final : public LeastSquares {
 public:
  using LeastSquares::LeastSquares;
  double linearize(std::span<const double> x, std::span<double> g, std::span<double> h) override {
    const double chi2 = LeastSquares::linearize(x, g, h);
    for (double& v : g) v = -v;
    return chi2;
  }
};

void no_way_down() {
  WrongGradient wrong(1, 2, [](const Complex* x, Complex* r) {
    r[0] = x[0];
    r[1] = 1.0;
  });
  const FitOutcome fit = expect(Status::no_decrease, wrong, {1.0});
  CHECK(fit.x[0] == 1.0 && !is_success(fit.status));

  LeastSquares nowhere(1, 1, [](const Complex*, Complex* r) { r[0] = std::nan(""); });
  expect(Status::non_finite, nowhere, {1.0});
  // Finite at the start alone.
  LeastSquares island(1, 1, [](const Complex* x, Complex* r) {
    r[0] = x[0].real() == 1.0 ? x[0] : Complex(std::nan(""));
  });
  expect(Status::non_finite, island, {1.0});
}

void non_finite_region() {
  // The full step from 10 lands where the logarithm has no value.
  LeastSquares problem(1, 1, [](const Complex* x, Complex* r) {
    r[0] = x[0].real() > 0.0 ? std::log(x[0]) : Complex(std::nan(""));
  });
  const FitOutcome fit = levenberg_marquardt(problem, {10.0});
  print("non-finite region", fit);
  CHECK(is_success(fit.status));
  CHECK_NEAR(fit.x[0], 1.0, 1e-8);
  bool rejected = false;
  for (const auto& record : fit.history) {
    rejected = rejected || (!record.accepted && !std::isfinite(record.trial_chi2));
  }
  CHECK(rejected);
}

void degenerate_columns() {
  // x0 and x1 enter as a sum, x3 and x5 as a difference, x4 not at all; x2 is well determined.
  LeastSquares problem(6, 30, [](const Complex* x, Complex* r) {
    for (int i = 0; i < 30; ++i) {
      const double t = 0.1 * i;
      r[i] = (x[0] + x[1]) * std::exp(-t) + x[2] * t * t + (x[3] - x[5]) * std::sin(5.0 * t) -
             (3.0 * std::exp(-t) + 0.7 * t * t + std::sin(5.0 * t) + 0.1 * std::cos(91.0 * i));
    }
  });
  const FitOutcome fit = levenberg_marquardt(problem, {1.0, 1.0, 1.0, 0.5, 9.0, 0.5});
  print("degenerate columns", fit);
  CHECK(is_success(fit.status));
  CHECK(fit.n_linearize + fit.n_chi2 <= 5);
  CHECK(fit.x[4] == 9.0);
  CHECK((fit.degenerate == std::vector<std::vector<int>>{{0, 1}, {3, 5}, {4}}));
  for (std::size_t i = 0; i < 6; ++i) {
    for (std::size_t j = 0; j < 6; ++j) {
      CHECK(std::isfinite(fit.covariance[i * 6 + j]) == (i == 2 && j == 2));
    }
  }
  // Marginal over the sum and the difference, as in the problem written with those.
  LeastSquares reduced(3, 30, [](const Complex* x, Complex* r) {
    for (int i = 0; i < 30; ++i) {
      const double t = 0.1 * i;
      r[i] = x[0] * std::exp(-t) + x[1] * t * t + x[2] * std::sin(5.0 * t);
    }
  });
  const FitOutcome regular = levenberg_marquardt(reduced, {1.0, 1.0, 1.0});
  CHECK_NEAR(fit.covariance[14] / regular.covariance[4], 1.0, 1e-9);
}

void bad_arguments() {
  LeastSquares problem = decay();
  int thrown = 0;
  try {
    levenberg_marquardt(problem, {1.0});
  } catch (const std::invalid_argument&) {
    ++thrown;
  }
  problem.lower_bound[1] = 2.0;
  problem.upper_bound[1] = 1.0;
  try {
    levenberg_marquardt(problem, {1.0, 1.0, 1.0});
  } catch (const std::invalid_argument&) {
    ++thrown;
  }
  CHECK(thrown == 2);
}

}  // namespace

int main() {
  convergence();
  limits();
  nothing_to_do();
  no_way_down();
  non_finite_region();
  degenerate_columns();
  bad_arguments();
  CHECK(static_cast<int>(seen.size()) == jointlight::n_statuses);
  return check::result();
}
